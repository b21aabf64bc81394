// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's counters of a VM, each compared with what the test itself did,
 * and with the stats that KVM reports through its own interfaces.
 */
#include <dirent.h>
#include <sys/resource.h>

#include "gmem_test.h"
#include "layout.skel.h"
#include "lengths.skel.h"
#include "../kvm/frames.h"

/* struct kvm_gmem_usage; what follows in our struct is our own. */
#define USAGE_SIZE	offsetof(struct gmem_vm_sample, moved_pages)
/* The part of it that a program must have room for. */
#define USAGE_MIN	offsetof(struct gmem_vm_sample, size_pages)

FIXTURE(account) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

FIXTURE_SETUP(account)
{
	self->vm = new_vm(&self->vcpu, 8);
}

FIXTURE_TEARDOWN(account)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

TEST_F(account, names_the_vm)
{
	struct gmem_vm_sample first = usage(), second;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	EXPECT_NE(first.vm_id, 0);
	EXPECT_EQ(first.pid, getpid());
	EXPECT_EQ(first.nr_vcpus, 1);
	EXPECT_EQ(first.size_pages, DATA_PAGES);

	vm = new_vm(&vcpu, 1);
	second = usage();
	EXPECT_GT(second.vm_id, first.vm_id);
	kvm_vm_free(vm);

	/* An id is not used again. */
	vm = new_vm(&vcpu, 1);
	EXPECT_GT(usage().vm_id, second.vm_id);
	kvm_vm_free(vm);
}

/*
 * A program that knows fewer counters than the kernel, or more: whatever there
 * is of both, zeroes for the rest, and nothing beyond its end.
 */
TEST_F(account, struct_of_another_length)
{
	static const size_t lengths[] = {
		USAGE_MIN, USAGE_MIN + 1, USAGE_MIN + sizeof(__u64),
		USAGE_SIZE - sizeof(__u64), USAGE_SIZE - 1, USAGE_SIZE,
		USAGE_SIZE + 1, USAGE_SIZE + sizeof(__u64), USAGE_SIZE + 99,
	};
	static const size_t too_short[] = { 0, 1, sizeof(__u64), USAGE_MIN - 1 };
	struct lengths_bpf *skel = lengths_bpf__open_and_load();
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct gmem_vm_sample u;
	size_t i, j, common;
	char *answer;
	int prog;

	ASSERT_NE(skel, NULL);
	ASSERT_LT(USAGE_SIZE + 99, sizeof(skel->bss->answer));
	answer = skel->bss->answer;
	prog = bpf_program__fd(skel->progs.read_usage);
	/* Something in the first and the last of the counters. */
	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	ASSERT_EQ(convert(self->vm, 3, 1, false), 0);
	u = usage();
	ASSERT_NE(u.attribute_bytes, 0);
	skel->bss->vm_id = u.vm_id;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(answer, 0xa5, sizeof(skel->bss->answer));
		skel->bss->length = lengths[i];
		ASSERT_EQ(bpf_prog_test_run_opts(prog, &opts), 0);
		common = min(lengths[i], USAGE_SIZE);
		EXPECT_EQ(skel->bss->result, common);
		EXPECT_EQ(memcmp(answer, &u, common), 0)
			TH_LOG("%lu bytes", lengths[i]);
		for (j = common; j < sizeof(skel->bss->answer); j++)
			MUST(answer[j] == (char)(j < lengths[i] ? 0 : 0xa5),
			     "%lu bytes: byte %lu is %#x", lengths[i], j,
			     answer[j]);
	}

	for (i = 0; i < ARRAY_SIZE(too_short); i++) {
		memset(answer, 0xa5, sizeof(skel->bss->answer));
		skel->bss->length = too_short[i];
		ASSERT_EQ(bpf_prog_test_run_opts(prog, &opts), 0);
		EXPECT_EQ(skel->bss->result, -EINVAL);
		for (j = 0; j < sizeof(skel->bss->answer); j++)
			MUST(answer[j] == (char)0xa5, "%lu bytes: byte %lu is %#x",
			     too_short[i], j, answer[j]);
	}
	lengths_bpf__destroy(skel);
}

TEST_F(account, conversions)
{
	struct kvm_memory_attributes unaligned = {
		.address = 1,
		.size = PAGE_SIZE,
	};
	struct gmem_vm_sample u;

	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	ASSERT_EQ(convert(self->vm, 10, 20, false), 0);
	/* Of these 16 pages 5 are shared already. */
	ASSERT_EQ(convert(self->vm, 25, 16, false), 0);
	ASSERT_EQ(convert(self->vm, 10, 1, true), 0);

	u = usage();
	EXPECT_EQ(u.conversions, 4);
	EXPECT_EQ(u.conversions_noop, 1);
	EXPECT_EQ(u.pages_to_private, 65);
	EXPECT_EQ(u.pages_to_shared, 31);
	EXPECT_EQ(u.private_pages, 34);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_CONVERSION], 4);

	/* What fails changes nothing. */
	EXPECT_EQ(__vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &unaligned), -1);
	EXPECT_EQ(usage().conversions + usage().conversions_noop, 5);
}

TEST_F(account, populated_and_stale)
{
	struct gmem_vm_sample u;

	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	ASSERT_EQ(prefault(self->vcpu, 0, 32), 0);
	u = usage();
	EXPECT_EQ(u.faults[GMEM_FAULT_PREFAULT], 32);
	EXPECT_EQ(u.populated_pages, 32);
	EXPECT_EQ(u.allocated_pages, 32);
	EXPECT_EQ(u.stale_pages, 0);

	/* Pages 16 to 47 become shared; 16 to 31 of them are there. */
	ASSERT_EQ(convert(self->vm, 16, 32, false), 0);
	EXPECT_EQ(usage().stale_pages, 16);
	EXPECT_EQ(usage().populated_pages, 32);

	/* Page 20 becomes private again, 21 is freed. */
	ASSERT_EQ(convert(self->vm, 20, 1, true), 0);
	EXPECT_EQ(usage().stale_pages, 15);
	ASSERT_EQ(punch(self->vm, 21, 1), 0);
	u = usage();
	EXPECT_EQ(u.stale_pages, 14);
	EXPECT_EQ(u.populated_pages, 31);
	EXPECT_EQ(u.freed_pages, 1);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_PUNCH_HOLE], 1);

	/* Populating what is shared makes it stale at once. */
	ASSERT_EQ(populate(self->vm, 40, 4), 0);
	u = usage();
	EXPECT_EQ(u.faults[GMEM_FAULT_FALLOCATE], 4);
	EXPECT_EQ(u.stale_pages, 18);
	EXPECT_EQ(u.populated_pages, 35);

	/* A hole that reaches beyond the end of the file. */
	ASSERT_EQ(punch(self->vm, 0, DATA_PAGES * 4), 0);
	u = usage();
	EXPECT_EQ(u.stale_pages, 0);
	EXPECT_EQ(u.populated_pages, 0);
	EXPECT_EQ(u.freed_pages, 36);
	EXPECT_EQ(u.allocated_pages, 36);
}

TEST_F(account, guest_faults)
{
	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	vcpu_run(self->vcpu);
	EXPECT_EQ(usage().faults[GMEM_FAULT_VCPU], 8);
	EXPECT_EQ(usage().populated_pages, 8);

	/* Mapped already: no fault. */
	vcpu_run(self->vcpu);
	EXPECT_EQ(usage().faults[GMEM_FAULT_VCPU], 8);

	ASSERT_EQ(punch(self->vm, 2, 3), 0);
	vcpu_run(self->vcpu);
	EXPECT_EQ(usage().faults[GMEM_FAULT_VCPU], 11);
	EXPECT_EQ(usage().allocated_pages, 11);
	EXPECT_EQ(usage().freed_pages, 3);
}

static void *prefault_first(void *arg)
{
	return (void *)(uintptr_t)prefault(arg, 0, 1);
}

/*
 * The page arrives after the conversion that made its frame shared has looked
 * for pages: the fault was found to be private before and goes on.
 */
TEST_F(account, conversion_during_a_fault)
{
	struct puppet_bpf *p = new_puppet("hold", 0, 0, 0);
	struct bpf_link *link = attach(p);
	pthread_t thread;
	void *result;

	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	p->bss->fault_hold = 1;
	ASSERT_EQ(pthread_create(&thread, NULL, prefault_first, self->vcpu), 0);
	while (!*(volatile __u64 *)&p->bss->faults)
		usleep(100);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(usage().populated_pages, 0);
	p->bss->fault_hold = 0;
	pthread_join(thread, &result);

	/* KVM found out before it mapped the page. */
	EXPECT_EQ((uintptr_t)result, EFAULT);
	EXPECT_EQ(usage().populated_pages, 1);
	EXPECT_EQ(usage().stale_pages, 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(account, memory_without_a_memslot)
{
	int fd = vm_create_guest_memfd(self->vm, DATA_SIZE, 0);
	struct kvm_userspace_memory_region2 region = {
		.slot = DATA_SLOT + 1,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = DATA_GPA * 2,
		.memory_size = DATA_SIZE / 2,
		.userspace_addr = (uintptr_t)addr_gpa2hva(self->vm, DATA_GPA),
		.guest_memfd = fd,
		.guest_memfd_offset = DATA_SIZE / 4,
	};
	struct kvm_memory_attributes attr = {
		.address = DATA_GPA * 2,
		.size = 8 * PAGE_SIZE,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};

	EXPECT_EQ(usage().size_pages, 2 * DATA_PAGES);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, DATA_SIZE), 0);
	/* No guest can use it. */
	EXPECT_EQ(usage().stale_pages, DATA_PAGES);

	ASSERT_EQ(__vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr), 0);
	EXPECT_EQ(usage().stale_pages, DATA_PAGES);

	/* The memslot makes 8 private frames of it. */
	ASSERT_EQ(__vm_ioctl(self->vm, KVM_SET_USER_MEMORY_REGION2, &region), 0);
	EXPECT_EQ(usage().stale_pages, DATA_PAGES - 8);

	region.memory_size = 0;
	ASSERT_EQ(__vm_ioctl(self->vm, KVM_SET_USER_MEMORY_REGION2, &region), 0);
	EXPECT_EQ(usage().stale_pages, DATA_PAGES);
	EXPECT_EQ(usage().invalidations[GMEM_INVALIDATE_UNBIND], 1);

	close(fd);
	EXPECT_EQ(usage().stale_pages, 0);
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(usage().freed_pages, DATA_PAGES);
	EXPECT_EQ(usage().size_pages, DATA_PAGES);
	EXPECT_EQ(usage().invalidations[GMEM_INVALIDATE_RELEASE], 1);
}

/* Pages are charged to the control group of who populates them. */
TEST_F(account, pages_are_charged)
{
	const size_t size = 16 << 20;
	long before;
	int fd;

	enter_cgroup();
	fd = vm_create_guest_memfd(self->vm, size, 0);
	before = charged();
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size), 0);
	EXPECT_EQ(usage().populated_pages, size / PAGE_SIZE);
	EXPECT_GE(charged() - before, (long)size - CHARGE_SLACK);
	EXPECT_LE(charged() - before, (long)size + CHARGE_SLACK);

	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0,
			    size), 0);
	EXPECT_LE(charged() - before, CHARGE_SLACK);
	close(fd);
	leave_cgroup();
}

TEST_F(account, file_closed_under_a_memslot)
{
	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	ASSERT_EQ(populate(self->vm, 0, 64), 0);
	ASSERT_EQ(convert(self->vm, 0, 10, false), 0);
	EXPECT_EQ(usage().stale_pages, 10);

	close(data_fd(self->vm));
	EXPECT_EQ(usage().stale_pages, 0);
	EXPECT_EQ(usage().populated_pages, 0);
	/* The library closes the file once more. */
	memslot2region(self->vm, DATA_SLOT)->region.guest_memfd = dup(0);
}

/* The VM's directory in debugfs; this process has one VM. */
static DIR *debugfs_dir(char *path, size_t size)
{
	struct dirent *entry;
	char prefix[32];
	DIR *dir;

	snprintf(prefix, sizeof(prefix), "%d-", getpid());
	dir = opendir("/sys/kernel/debug/kvm");
	MUST(dir, "no /sys/kernel/debug/kvm");
	while ((entry = readdir(dir)) &&
	       strncmp(entry->d_name, prefix, strlen(prefix)))
		;
	MUST(entry, "the VM is not in debugfs");
	snprintf(path, size, "/sys/kernel/debug/kvm/%s", entry->d_name);
	closedir(dir);

	dir = opendir(path);
	MUST(dir, "cannot open %s", path);
	return dir;
}

/* The value of a stat in debugfs, ~0 if there is none. */
static uint64_t debugfs_stat(const char *name)
{
	unsigned long long value = ~0ULL;
	char dir[300], path[512];
	FILE *f;

	closedir(debugfs_dir(dir, sizeof(dir)));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%llu", &value) != 1)
		value = ~0ULL;
	if (f)
		fclose(f);

	return value;
}

/* The value of a stat in a VM's or a vCPU's stats file, ~0 if there is none. */
static uint64_t stats_fd_stat(int fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs, *desc;
	uint64_t value = ~0ULL;
	unsigned int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &value, 1);
	}
	free(descs);

	return value;
}

/* Each stat of gmem, and what it is the sum of in struct kvm_gmem_usage. */
#define OF(member)	offsetof(struct gmem_vm_sample, member)
static const struct {
	const char *name;
	bool vcpu;
	int nr;
	size_t offsets[GMEM_NR_INVALIDATES];
} stats[] = {
	{ "gmem_populated_pages", false, 1, { OF(populated_pages) } },
	{ "gmem_huge_pages", false, 1, { OF(huge_pages) } },
	{ "gmem_conversions", false, 1, { OF(conversions) } },
	{ "gmem_faults", true, 1, { OF(faults[GMEM_FAULT_VCPU]) } },
};

/* Breaks the page that the guest touched at @page, as failing memory would. */
static void break_page(struct kvm_vm *vm, uint64_t pfn)
{
	char text[32];
	int r;

	MUST(pfn, "the trace has not the page's frame");
	snprintf(text, sizeof(text), "%lu", pfn);
	r = write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
	/* It cannot be taken from the guest's file: busy, then. */
	MUST(!r || r == EBUSY, "cannot break a page: %s", strerror(r));
}

/*
 * Everything that is counted has happened, a different number of times where
 * that can be arranged, and each interface has the same number.
 */
TEST_F(account, kvm_stats_agree)
{
	struct puppet_bpf *p = new_puppet("stats", 0, 0, 0);
	int vm_stats = vm_get_stats_fd(self->vm);
	int vcpu_stats = vcpu_get_stats_fd(self->vcpu);
	char path[300];
	struct dirent *entry;
	struct bpf_link *link;
	struct gmem_vm_sample u;
	uint64_t huge;
	uint64_t pfns[8];
	size_t i, nr = 0;
	DIR *dir;
	int fd;

	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	frames_trace();
	vcpu_run(self->vcpu);
	ASSERT_EQ(frames_read(DATA_GPA / PAGE_SIZE, 8, pfns), 8);
	break_page(self->vm, pfns[7]);
	ASSERT_EQ(prefault(self->vcpu, 30, 10), 0);
	ASSERT_EQ(populate(self->vm, 50, 3), 0);
	ASSERT_EQ(convert(self->vm, 4, 32, false), 0);
	for (i = 0; i < 6; i++)
		ASSERT_EQ(convert(self->vm, 4, 32, false), 0);
	ASSERT_EQ(punch(self->vm, 38, 1), 0);
	ASSERT_EQ(punch(self->vm, 39, 1), 0);
	fd = vm_create_guest_memfd(self->vm, DATA_SIZE, 0);
	vm_mem_add(self->vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA * 2, DATA_SLOT + 1,
		   DATA_PAGES, KVM_MEM_GUEST_MEMFD, fd, 0);
	vm_mem_region_delete(self->vm, DATA_SLOT + 1);
	close(fd);

	link = attach(p);
	p->bss->convert_verdict = -EBUSY;
	for (i = 0; i < 4; i++)
		ASSERT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	p->bss->convert_verdict = 1000;
	p->data->convert_times = 5;
	ASSERT_EQ(convert(self->vm, 60, 4, false), 0);
	p->bss->fault_verdict = -EDQUOT;
	for (i = 0; i < 9; i++)
		ASSERT_EQ(populate(self->vm, 0, 1), EDQUOT);
	p->bss->fault_verdict = 1000;
	p->data->fault_times = 6;
	ASSERT_EQ(populate(self->vm, 50, 1), 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	/* No memslot has them. */
	huge = vm_check_cap(self->vm, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_HUGE_PAGES;
	fd = vm_create_guest_memfd(self->vm, 2 << 20, huge);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 << 20), 0);

	u = usage();
	EXPECT_EQ(u.private_pages, 64 - 32 - 4);
	EXPECT_EQ(u.populated_pages, 8 + 10 + 3 - 2 + 512);
	EXPECT_EQ(u.huge_pages, huge ? 512 : 0);
	EXPECT_EQ(u.stale_pages, 4 + 6 + 512);
	EXPECT_EQ(u.conversions_noop, 6);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_RELEASE], 1);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_UNBIND], 1);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_MEMORY_FAILURE], 1);
	EXPECT_EQ(u.conversions_denied, 4);
	EXPECT_EQ(u.conversions_delayed, 5);
	EXPECT_EQ(u.faults_denied, 9);
	EXPECT_EQ(u.faults_delayed, 6);
	EXPECT_EQ(u.delayed_ns, 11000);

	for (i = 0; i < ARRAY_SIZE(stats); i++) {
		int stats_fd = stats[i].vcpu ? vcpu_stats : vm_stats, j;
		uint64_t value = 0;

		for (j = 0; j < stats[i].nr; j++)
			value += *(uint64_t *)((char *)&u + stats[i].offsets[j]);

		/* debugfs adds a VM's vCPUs up; this VM has one. */
		EXPECT_EQ(debugfs_stat(stats[i].name), value)
			TH_LOG("%s in debugfs", stats[i].name);
		EXPECT_EQ(stats_fd_stat(stats_fd, stats[i].name), value)
			TH_LOG("%s in the stats file", stats[i].name);
		if (huge || strcmp(stats[i].name, "gmem_huge_pages"))
			EXPECT_NE(value, 0) TH_LOG("%s", stats[i].name);
	}

	/* None is forgotten here; each is a file for each VM, so they are few. */
	dir = debugfs_dir(path, sizeof(path));
	while ((entry = readdir(dir)))
		nr += !strncmp(entry->d_name, "gmem_", 5);
	closedir(dir);
	EXPECT_EQ(nr, ARRAY_SIZE(stats));
	EXPECT_EQ(debugfs_stat("gmem_no_such_stat"), ~0ULL);
	EXPECT_EQ(stats_fd_stat(vm_stats, "gmem_no_such_stat"), ~0ULL);
	close(fd);
	close(vm_stats);
	close(vcpu_stats);
}

/* Writes 0 to a stat in debugfs; returns 0 or the errno. */
static int debugfs_clear(const char *name)
{
	char dir[300], path[512];

	closedir(debugfs_dir(dir, sizeof(dir)));
	snprintf(path, sizeof(path), "%s/%s", dir, name);

	return write_file(path, "0");
}

/*
 * Who clears a stat begins to count anew, and changes nothing that policies go
 * by.  What is there now is no count, and stays.
 */
TEST_F(account, a_stat_is_cleared)
{
	struct gmem_vm_sample before, after;
	size_t i;

	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	ASSERT_EQ(populate(self->vm, 0, 20), 0);
	ASSERT_EQ(convert(self->vm, 0, 10, false), 0);
	ASSERT_EQ(punch(self->vm, 0, 3), 0);
	before = usage();
	for (i = 0; i < ARRAY_SIZE(stats); i++)
		debugfs_clear(stats[i].name);
	after = usage();
	EXPECT_EQ(memcmp(&before, &after, USAGE_SIZE), 0);
	EXPECT_EQ(debugfs_stat("gmem_populated_pages"), 17);
	EXPECT_EQ(debugfs_stat("gmem_conversions"), 0);

	ASSERT_EQ(convert(self->vm, 0, 10, true), 0);
	EXPECT_EQ(debugfs_stat("gmem_conversions"), 1);
	EXPECT_EQ(usage().conversions, before.conversions + 1);
	EXPECT_EQ(usage().freed_pages, 3);
	/* All VMs' at once, as kvm_stat does. */
	EXPECT_EQ(write_file("/sys/kernel/debug/kvm/gmem_conversions", "0"), 0);
	EXPECT_EQ(debugfs_stat("gmem_conversions"), 0);
	EXPECT_EQ(usage().conversions, before.conversions + 1);
}

/* A page that the machine lost: told, counted once, and gone for the guest. */
TEST_F(account, memory_failure)
{
	struct puppet_bpf *p = new_puppet("broken", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_vm_sample u;
	uint64_t pfns[8];

	ASSERT_EQ(convert(self->vm, 0, 64, true), 0);
	frames_trace();
	vcpu_run(self->vcpu);
	ASSERT_EQ(frames_read(DATA_GPA / PAGE_SIZE, 8, pfns), 8);

	break_page(self->vm, pfns[3]);
	u = usage();
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_MEMORY_FAILURE], 1);
	EXPECT_EQ(p->bss->invalidated[GMEM_INVALIDATE_MEMORY_FAILURE], 1);
	EXPECT_EQ(u.populated_pages, 8);
	EXPECT_EQ(u.freed_pages, 0);
	EXPECT_EQ(u.private_pages, 64);

	EXPECT_EQ(__vcpu_run(self->vcpu), -1);
	EXPECT_EQ(errno, EHWPOISON);
	EXPECT_EQ(usage().populated_pages, 8);

	/* A new page does it. */
	ASSERT_EQ(punch(self->vm, 3, 1), 0);
	EXPECT_EQ(usage().freed_pages, 1);
	vcpu_run(self->vcpu);
	EXPECT_EQ(usage().populated_pages, 8);
	EXPECT_EQ(usage().allocated_pages, 9);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

static volatile bool stop;

/*
 * What the frames are by the test's own record.  Its conversions come one at a
 * time, as they do in the kernel, so that the record has their order.
 */
static struct {
	pthread_mutex_t lock;
	bool private[DATA_PAGES];
	uint64_t to_private;
	uint64_t to_shared;
} record = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void convert_and_record(struct kvm_vm *vm, uint64_t page, uint64_t nr,
			       bool private)
{
	uint64_t i;

	pthread_mutex_lock(&record.lock);
	MUST(!convert(vm, page, nr, private), "cannot convert");
	for (i = page; i < page + nr; i++) {
		if (record.private[i] == private)
			continue;
		record.private[i] = private;
		if (private)
			record.to_private++;
		else
			record.to_shared++;
	}
	pthread_mutex_unlock(&record.lock);
}

/* Converts and frees at random beside a running vCPU. */
static void *punisher(void *arg)
{
	unsigned int seed = 1;
	struct kvm_vm *vm = arg;

	while (!stop) {
		uint64_t page = rand_r(&seed) % 8;

		switch (rand_r(&seed) % 4) {
		case 0:
			punch(vm, page, 1);
			break;
		case 1:
			populate(vm, page, 1);
			break;
		default:
			convert_and_record(vm, page, 1 + rand_r(&seed) % 4,
					   rand_r(&seed) % 2);
		}
	}
	return NULL;
}

/* The pages of the guest one by one, as the kernel's map of them has it. */
static struct layout_bpf *read_layout(void)
{
	struct layout_bpf *skel = layout_bpf__open_and_load();
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	MUST(skel, "cannot load the programs that read the layout");
	skel->bss->vm_id = usage().vm_id;
	skel->bss->start = DATA_GPA / PAGE_SIZE;
	skel->bss->bucket_pages = 1;
	skel->bss->nr_buckets = DATA_PAGES;
	MUST(!bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_map),
				     &opts) &&
	     skel->bss->result == DATA_PAGES, "cannot read the layout");

	return skel;
}

/*
 * Whatever the order in which faults, conversions and holes met, at rest the
 * counters are those of the pages: the test has recorded which are private, and
 * the kernel's map, which counts nothing in advance, knows which are there.
 */
TEST_F(account, exact_after_a_race)
{
	uint64_t i, private = 0, stale = 0, populated = 0;
	struct layout_bpf *layout;
	pthread_t threads[2];
	struct gmem_vm_sample u;
	int rounds;

	convert_and_record(self->vm, 0, 64, true);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, punisher, self->vm), 0);
	for (rounds = 0; rounds < 2000; rounds++) {
		if (__vcpu_run(self->vcpu) && errno == EFAULT)
			/* The page is shared just now: make it private again. */
			convert_and_record(self->vm,
					   (self->vcpu->run->memory_fault.gpa -
					    DATA_GPA) / PAGE_SIZE, 1, true);
	}
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);

	u = usage();
	layout = read_layout();
	for (i = 0; i < DATA_PAGES; i++) {
		const struct gmem_bucket *page = &layout->bss->buckets[i];

		EXPECT_EQ(page->private_pages, record.private[i]);
		EXPECT_EQ(page->stale_pages,
			  page->populated_pages && !record.private[i]);
		private += record.private[i];
		populated += page->populated_pages;
		stale += page->populated_pages && !record.private[i];
	}
	layout_bpf__destroy(layout);
	EXPECT_EQ(u.private_pages, private);
	EXPECT_EQ(u.pages_to_private, record.to_private);
	EXPECT_EQ(u.pages_to_shared, record.to_shared);
	EXPECT_EQ(u.populated_pages, populated);
	EXPECT_EQ(u.stale_pages, stale);
	EXPECT_EQ(u.allocated_pages - u.freed_pages, populated);

	/* Each page is freed once, and what is shared is stale. */
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, false), 0);
	EXPECT_EQ(usage().private_pages, 0);
	EXPECT_EQ(usage().stale_pages, populated);
	ASSERT_EQ(punch(self->vm, 0, DATA_PAGES), 0);
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(usage().stale_pages, 0);
	EXPECT_EQ(usage().freed_pages, u.freed_pages + populated);
	printf("# %llu conversions, %llu pages allocated\n", u.conversions,
	       u.allocated_pages);
}

static void *stat_reader(void *arg)
{
	char buffer[32];
	FILE *f;

	while (!stop) {
		f = fopen("/sys/kernel/debug/kvm/gmem_populated_pages", "r");
		MUST(f && fgets(buffer, sizeof(buffer), f), "no global stat");
		fclose(f);
	}
	return NULL;
}

/* The global stats add up VMs that are only just being made or destroyed. */
TEST_F(account, stats_while_vms_come_and_go)
{
	int kvm = open_kvm_dev_path_or_exit();
	pthread_t thread;
	int i;

	ASSERT_EQ(pthread_create(&thread, NULL, stat_reader, NULL), 0);
	for (i = 0; i < 200; i++) {
		int fd = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);

		ASSERT_GE(fd, 0);
		close(fd);
	}
	stop = true;
	pthread_join(thread, NULL);
	close(kvm);
}

TEST_F(account, dead_vms_are_gone)
{
	EXPECT_EQ(usage().pid, getpid());
	kvm_vm_free(self->vm);
	self->vm = NULL;
	EXPECT_EQ(usage().pid, 0);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
