// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a guest_memfd lives as long as its inode, which others than its
 * file can hold.  Until it goes it is counted: as closed, populated and stale
 * memory of its VM, and as memory without a VM once that is gone.
 */
#include <sys/inotify.h>
#include <sys/wait.h>

#include "policy_fixture.h"
#include "orphans.skel.h"
#include "../kvm/frames.h"

/* As bpf/policies/quota.h has it, for programs. */
struct quota_params {
	__u64 populated, stale, stale_percent, grace, error;
};
#include "quota.skel.h"

#define FILE_PAGES	100ULL
#define FILE_SIZE	(FILE_PAGES * PAGE_SIZE)

static uint64_t orphaned(void)
{
	static struct orphans_bpf *skel;
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (!skel)
		skel = orphans_bpf__open_and_load();
	MUST(skel && !bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_orphans),
					     &opts),
	     "cannot ask for the memory without a VM");
	return skel->bss->pages;
}

/* A second guest_memfd of the VM, with @pages populated. */
static int new_file(struct kvm_vm *vm, uint64_t pages)
{
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);

	MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, pages * PAGE_SIZE),
	     "fallocate: %s", strerror(errno));
	return fd;
}

static void path_of(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
}

static int hold_by_path(int fd)
{
	char path[64];
	int holder;

	path_of(fd, path, sizeof(path));
	holder = open(path, O_PATH | O_CLOEXEC);
	MUST(holder >= 0, "O_PATH: %s", strerror(errno));
	return holder;
}

static int hold_by_inotify(int fd)
{
	int holder = inotify_init1(IN_CLOEXEC);
	char path[64];

	path_of(fd, path, sizeof(path));
	MUST(holder >= 0 &&
	     inotify_add_watch(holder, path, IN_ALL_EVENTS) >= 0,
	     "inotify: %s", strerror(errno));
	return holder;
}

/* Pages go when the last reference does, which may be a moment later. */
static void await_populated(uint64_t pages)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (usage().populated_pages == pages)
			return;
		usleep(10000);
	}
}

static void await_orphaned(uint64_t pages)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (orphaned() == pages)
			return;
		usleep(10000);
	}
}

TEST_F(policy, o_path_keeps_pages_and_they_are_counted)
{
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	int fd = new_file(self->vm, FILE_PAGES), holder = hold_by_path(fd);
	struct gmem_vm_sample u = usage();

	EXPECT_EQ(u.populated_pages, FILE_PAGES);
	EXPECT_EQ(u.closed_pages, 0);
	EXPECT_EQ(u.size_pages, DATA_PAGES + FILE_PAGES);

	close(fd);
	u = usage();
	EXPECT_EQ(u.populated_pages, FILE_PAGES);
	EXPECT_EQ(u.closed_pages, FILE_PAGES);
	EXPECT_EQ(u.stale_pages, FILE_PAGES);
	EXPECT_EQ(u.size_pages, DATA_PAGES);
	EXPECT_EQ(u.allocated_pages, FILE_PAGES);
	EXPECT_EQ(u.freed_pages, 0);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_RELEASE], 1);
	EXPECT_EQ(p->bss->invalidated[GMEM_INVALIDATE_RELEASE], 1);
	EXPECT_EQ(p->bss->freed, 0);
	EXPECT_EQ(orphaned(), 0);

	close(holder);
	u = usage();
	EXPECT_EQ(u.populated_pages, 0);
	EXPECT_EQ(u.closed_pages, 0);
	EXPECT_EQ(u.stale_pages, 0);
	EXPECT_EQ(u.allocated_pages, FILE_PAGES);
	EXPECT_EQ(u.freed_pages, FILE_PAGES);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_RELEASE], 2);
	ASSERT_EQ(p->bss->invalidates, 2);
	EXPECT_EQ(p->bss->told_reason[1], GMEM_INVALIDATE_RELEASE);
	EXPECT_EQ(p->bss->told_start[1], ~0ULL);
	EXPECT_EQ(p->bss->told_freed[0], 0);
	EXPECT_EQ(p->bss->told_freed[1], FILE_PAGES);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* With nobody else, it is all told at once. */
TEST_F(policy, nobody_holds_it_and_it_is_told_once)
{
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link = attach(p);

	close(new_file(self->vm, FILE_PAGES));
	ASSERT_EQ(p->bss->invalidates, 1);
	EXPECT_EQ(p->bss->told_reason[0], GMEM_INVALIDATE_RELEASE);
	EXPECT_EQ(p->bss->told_freed[0], FILE_PAGES);
	EXPECT_EQ(usage().freed_pages, FILE_PAGES);
	EXPECT_EQ(usage().closed_pages, 0);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* The pages of the memslot, too, with the frames that they had. */
TEST_F(policy, a_bound_file_is_closed_and_held)
{
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link;
	int fd = data_fd(self->vm), holder = hold_by_path(fd);
	struct gmem_vm_sample u;

	ASSERT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	ASSERT_EQ(convert(self->vm, 0, 10, false), 0);
	EXPECT_EQ(usage().stale_pages, 10);

	link = attach(p);
	close(fd);
	u = usage();
	EXPECT_EQ(u.populated_pages, DATA_PAGES);
	EXPECT_EQ(u.stale_pages, DATA_PAGES);
	EXPECT_EQ(u.closed_pages, DATA_PAGES);
	EXPECT_EQ(u.size_pages, 0);
	EXPECT_EQ(u.freed_pages, 0);
	ASSERT_EQ(p->bss->invalidates, 1);
	EXPECT_EQ(p->bss->told_start[0], DATA_GPA / PAGE_SIZE);
	EXPECT_EQ(p->bss->told_freed[0], 0);

	/* It is in no memslot any more: what frames become changes nothing. */
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, false), 0);
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	vm_mem_region_delete(self->vm, DATA_SLOT);
	u = usage();
	EXPECT_EQ(u.stale_pages, DATA_PAGES);
	EXPECT_EQ(u.populated_pages, DATA_PAGES);

	close(holder);
	u = usage();
	EXPECT_EQ(u.stale_pages, 0);
	EXPECT_EQ(u.populated_pages, 0);
	EXPECT_EQ(u.freed_pages, DATA_PAGES);
	EXPECT_EQ(p->bss->freed, DATA_PAGES);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* Files of different sizes, open and closed, that go in another order. */
TEST_F(policy, several_files)
{
	static const int order[] = { 2, 0, 4, 1, 3 };
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	uint64_t pages = 0, freed = 0, seen = 0;
	struct gmem_vm_sample u;
	int holders[5], i, fd;

	for (i = 0; i < 5; i++) {
		fd = new_file(self->vm, 10 * (i + 1));
		holders[i] = hold_by_path(fd);
		close(fd);
		pages += 10 * (i + 1);
		u = usage();
		EXPECT_EQ(u.closed_pages, pages);
		EXPECT_EQ(u.populated_pages, pages);
		EXPECT_EQ(u.stale_pages, pages);
		EXPECT_EQ(u.freed_pages, 0);
	}
	ASSERT_EQ(populate(self->vm, 0, 7), 0);
	for (i = 0; i < 5; i++) {
		close(holders[order[i]]);
		freed += 10 * (order[i] + 1);
		u = usage();
		EXPECT_EQ(u.closed_pages, pages - freed);
		EXPECT_EQ(u.stale_pages, pages - freed);
		EXPECT_EQ(u.populated_pages, pages - freed + 7);
		EXPECT_EQ(u.freed_pages, freed);
		EXPECT_GE(u.freed_pages, seen);
		seen = u.freed_pages;
		EXPECT_EQ(p->bss->freed, freed);
	}
	EXPECT_EQ(usage().invalidations[GMEM_INVALIDATE_RELEASE], 10);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* A ceiling counts them, or closing files in a loop would get around it. */
TEST_F(policy, quota_sees_closed_pages)
{
	struct quota_bpf *quota = quota_bpf__open();
	struct bpf_link *link;
	int fd, holder;

	ASSERT_NE(quota, NULL);
	/* 256 pages. */
	quota->data_params->params.populated = 1;
	quota->data_params->params.stale_percent = 100;
	quota->data_params->params.grace = 0;
	ASSERT_EQ(quota_bpf__load(quota), 0);
	link = bpf_map__attach_struct_ops(quota->maps.quota);
	ASSERT_NE(link, NULL);

	fd = vm_create_guest_memfd(self->vm, 200 * PAGE_SIZE, 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 200 * PAGE_SIZE), 0);
	holder = hold_by_path(fd);
	close(fd);
	EXPECT_EQ(populate(self->vm, 0, 57), EDQUOT);
	EXPECT_EQ(populate(self->vm, 0, 56), 0);
	EXPECT_EQ(prefault(self->vcpu, 60, 1), EDQUOT);
	close(holder);
	EXPECT_EQ(prefault(self->vcpu, 60, 1), 0);
	EXPECT_EQ(usage().populated_pages, 57);

	bpf_link__destroy(link);
	quota_bpf__destroy(quota);
}

/* They go with the last holder and not before. */
TEST_F(policy, holders_in_other_processes)
{
	int fd = new_file(self->vm, FILE_PAGES), holder = hold_by_path(fd);
	int to_child[2], from_child[2], child_holder, status;
	char path[64], c;
	pid_t forked, opener;

	forked = fork();
	if (!forked) {
		/* Its copy of fd would keep the file open. */
		close(fd);
		pause();
		_exit(1);
	}

	ASSERT_EQ(pipe(to_child), 0);
	ASSERT_EQ(pipe(from_child), 0);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	opener = fork();
	if (!opener) {
		close(fd);
		close(holder);
		child_holder = open(path, O_PATH);
		c = child_holder < 0;
		if (write(from_child[1], &c, 1) != 1 ||
		    read(to_child[0], &c, 1) != 1)
			_exit(2);
		close(child_holder);
		_exit(0);
	}
	ASSERT_EQ(read(from_child[0], &c, 1), 1);
	ASSERT_EQ(c, 0);

	close(fd);
	usleep(100000);
	EXPECT_EQ(usage().closed_pages, FILE_PAGES);
	close(holder);
	EXPECT_EQ(usage().closed_pages, FILE_PAGES);
	EXPECT_EQ(usage().freed_pages, 0);
	kill(forked, SIGKILL);
	waitpid(forked, &status, 0);
	EXPECT_EQ(usage().closed_pages, FILE_PAGES);
	EXPECT_EQ(usage().freed_pages, 0);
	ASSERT_EQ(write(to_child[1], &c, 1), 1);
	waitpid(opener, &status, 0);
	EXPECT_EQ(status, 0);
	await_populated(0);
	EXPECT_EQ(usage().closed_pages, 0);
	EXPECT_EQ(usage().freed_pages, FILE_PAGES);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
}

/* inotify holds the inode and no path to it. */
TEST_F(policy, inotify_keeps_pages)
{
	int fd = new_file(self->vm, FILE_PAGES), holder = hold_by_inotify(fd);
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link = attach(p);

	close(fd);
	EXPECT_EQ(usage().closed_pages, FILE_PAGES);
	EXPECT_EQ(usage().stale_pages, FILE_PAGES);
	EXPECT_EQ(p->bss->freed, 0);
	close(holder);
	await_populated(0);
	EXPECT_EQ(usage().closed_pages, 0);
	EXPECT_EQ(usage().freed_pages, FILE_PAGES);
	EXPECT_EQ(p->bss->freed, FILE_PAGES);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* The VM goes, and does not wait for who holds its memory. */
TEST(the_vm_is_gone)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = new_vm(&vcpu, 1);
	uint64_t before = orphaned(), i;
	int holders[3], fd;

	for (i = 0; i < 3; i++) {
		fd = new_file(vm, 10 * (i + 1));
		holders[i] = i == 1 ? hold_by_inotify(fd) : hold_by_path(fd);
		close(fd);
	}
	EXPECT_EQ(usage().closed_pages, 60);
	EXPECT_EQ(orphaned(), before);
	kvm_vm_free(vm);
	EXPECT_EQ(usage().pid, 0);
	EXPECT_EQ(orphaned(), before + 60);
	close(holders[2]);
	EXPECT_EQ(orphaned(), before + 30);
	close(holders[1]);
	await_orphaned(before + 10);
	EXPECT_EQ(orphaned(), before + 10);
	/* A VM that comes later has nothing to do with it. */
	vm = new_vm(&vcpu, 1);
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(usage().closed_pages, 0);
	close(holders[0]);
	EXPECT_EQ(orphaned(), before);
	EXPECT_EQ(usage().freed_pages, 0);
	EXPECT_EQ(usage().invalidations[GMEM_INVALIDATE_RELEASE], 0);
	kvm_vm_free(vm);
}

/* The last reference to the VM is the file's, and somebody holds its inode. */
TEST(the_vm_goes_with_its_file)
{
	struct kvm_create_guest_memfd create = { .size = FILE_SIZE };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, fd, holder, i;
	uint64_t before = orphaned();

	for (i = 0; i < 20; i++) {
		vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		ASSERT_GE(vm, 0);
		fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, FILE_SIZE), 0);
		holder = hold_by_path(fd);
		close(vm);
		EXPECT_EQ(usage().populated_pages, FILE_PAGES);
		close(fd);
		EXPECT_EQ(usage().pid, 0);
		EXPECT_EQ(orphaned(), before + FILE_PAGES);
		close(holder);
		EXPECT_EQ(orphaned(), before);
	}
	close(kvm);
}

static volatile bool stop;

static void *look(void *arg)
{
	uint64_t freed = 0, now;

	while (!stop) {
		now = usage().freed_pages;
		MUST(now >= freed, "freed_pages went back from %lu to %lu",
		     freed, now);
		freed = now;
		orphaned();
	}
	return NULL;
}

static void *open_hold_close(void *arg)
{
	struct kvm_vm *vm = arg;
	unsigned int seed = (uintptr_t)&seed;
	int i, fd, holder;

	for (i = 0; i < 500; i++) {
		fd = new_file(vm, 1 + rand_r(&seed) % FILE_PAGES);
		holder = rand_r(&seed) % 2 ? hold_by_path(fd) : hold_by_inotify(fd);
		close(fd);
		if (rand_r(&seed) % 2)
			sched_yield();
		close(holder);
	}
	return NULL;
}

/* Somebody looks while files are closed, held and go. */
TEST_F(policy, freed_pages_only_grow)
{
	pthread_t looker, threads[3];
	struct gmem_vm_sample u;
	int i;

	stop = false;
	ASSERT_EQ(pthread_create(&looker, NULL, look, NULL), 0);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, open_hold_close,
					 self->vm), 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	stop = true;
	pthread_join(looker, NULL);
	await_populated(0);
	u = usage();
	EXPECT_EQ(u.populated_pages, 0);
	EXPECT_EQ(u.stale_pages, 0);
	EXPECT_EQ(u.closed_pages, 0);
	EXPECT_GT(u.allocated_pages, 1500);
	EXPECT_EQ(u.freed_pages, u.allocated_pages);
}

/* Somebody looks at the descriptor at the moment in which it is closed. */
static void *stat_descriptors(void *arg)
{
	char path[64];
	int fd;

	while (!stop) {
		for (fd = 3; fd < 64; fd++) {
			struct stat st;

			path_of(fd, path, sizeof(path));
			stat(path, &st);
		}
	}
	return NULL;
}

TEST_F(policy, told_once_or_twice_but_of_each_page_once)
{
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	uint64_t i, pages = 0;
	pthread_t looker;

	stop = false;
	ASSERT_EQ(pthread_create(&looker, NULL, stat_descriptors, NULL), 0);
	for (i = 0; i < 2000; i++) {
		close(new_file(self->vm, 1 + i % 10));
		pages += 1 + i % 10;
	}
	stop = true;
	pthread_join(looker, NULL);
	await_populated(0);
	EXPECT_EQ(usage().freed_pages, pages);
	EXPECT_EQ(p->bss->freed, pages);
	EXPECT_GE(p->bss->invalidated[GMEM_INVALIDATE_RELEASE], 2000);
	printf("# told %llu times of 2000 files\n",
	       p->bss->invalidated[GMEM_INVALIDATE_RELEASE]);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/*
 * Of all guest_memfds of the machine the last, and nobody has a path to it: its
 * file system must not wait for itself, nor anybody for that.
 */
TEST(the_last_inode_of_all_is_held_by_inotify)
{
	struct kvm_create_guest_memfd create = { .size = FILE_SIZE };
	int kvm, vm, fd, holder, status, tries;
	pid_t pid = fork();

	if (!pid) {
		kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
		holder = hold_by_inotify(fd);
		close(fd);
		close(vm);
		close(holder);
		sync();
		_exit(0);
	}
	for (tries = 0; tries < 1000 && !waitpid(pid, &status, WNOHANG); tries++)
		usleep(10000);
	MUST(tries < 1000, "the process does not come back");
	EXPECT_EQ(status, 0);
}

/* The machine loses a page that nobody but an O_PATH descriptor keeps. */
static void break_page_of_a_closed_file(struct __test_metadata *_metadata,
					bool with_vm)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = new_vm(&vcpu, 8);
	int holder = hold_by_path(data_fd(vm));
	uint64_t pfns[8];
	char text[32];

	ASSERT_EQ(convert(vm, 0, DATA_PAGES, true), 0);
	frames_trace();
	vcpu_run(vcpu);
	ASSERT_EQ(frames_read(DATA_GPA / PAGE_SIZE, 8, pfns), 8);
	close(data_fd(vm));
	memslot2region(vm, DATA_SLOT)->region.guest_memfd = dup(0);
	if (!with_vm)
		kvm_vm_free(vm);

	snprintf(text, sizeof(text), "%lu", pfns[3]);
	write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
	if (with_vm) {
		EXPECT_EQ(usage().closed_pages, 8);
		EXPECT_EQ(usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE], 0);
		kvm_vm_free(vm);
	}
	EXPECT_EQ(orphaned(), 8);
	close(holder);
	EXPECT_EQ(orphaned(), 0);
}

TEST(a_page_of_a_closed_file_breaks)
{
	break_page_of_a_closed_file(_metadata, true);
}

TEST(a_page_without_a_vm_breaks)
{
	break_page_of_a_closed_file(_metadata, false);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
