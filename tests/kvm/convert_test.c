// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place: one page of a guest_memfd, shared with the host and private
 * in turn.  The kernel needs kvm.gmem_in_place_conversion=1; without it the tests
 * of the other mode run, and no more.
 */
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "kselftest_harness.h"

#include "hold.h"
#include "in_place.h"

static void bind(struct kvm_vm *vm, int slot, uint64_t gpa, uint64_t nr,
		 void *hva, int fd, uint64_t page)
{
	vm_set_user_memory_region2(vm, slot, KVM_MEM_GUEST_MEMFD, gpa,
				   nr * PAGE_SIZE, hva, fd, page * PAGE_SIZE);
}

/* The guest reads a word of the page it is told, and makes it one more. */
static uint64_t asked_page;

static void add_one(void)
{
	for (;;) {
		volatile uint64_t *word =
			(void *)(DATA_GPA +
				 *(volatile uint64_t *)&asked_page * PAGE_SIZE);
		uint64_t was = *word;

		*word = was + 1;
		GUEST_SYNC(was);
	}
}

FIXTURE(convert) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int fd;
	char *mem;
};

FIXTURE_VARIANT(convert) {
	bool shared;
};

FIXTURE_VARIANT_ADD(convert, starts_private) {};
FIXTURE_VARIANT_ADD(convert, starts_shared) { .shared = true };

static const struct vm_shape protected = {
	.mode = VM_MODE_DEFAULT,
	.type = KVM_X86_SW_PROTECTED_VM,
};

FIXTURE_SETUP(convert)
{
	struct sigaction act = { .sa_handler = on_sigbus };

	if (!in_place())
		SKIP(return, "kvm.gmem_in_place_conversion is off");
	sigaction(SIGBUS, &act, NULL);
	self->vm = vm_create_shape_with_one_vcpu(protected, &self->vcpu, add_one);
	self->fd = create(self->vm, variant->shared ? BOTH : MMAP_FLAG);
	ASSERT_LE(0, self->fd);
	self->mem = map(self->fd);
	ASSERT_NE(MAP_FAILED, (void *)self->mem);
	bind(self->vm, DATA_SLOT, DATA_GPA, NR_PAGES, self->mem, self->fd, 0);
	virt_map(self->vm, DATA_GPA, DATA_GPA, NR_PAGES);
}

FIXTURE_TEARDOWN(convert)
{
	if (!self->vm)
		return;
	munmap(self->mem, SIZE);
	close(self->fd);
	kvm_vm_free(self->vm);
}

/* What the guest found; the page is one more afterwards. */
static uint64_t guest(FIXTURE_DATA(convert) *self, uint64_t page)
{
	struct ucall uc;

	asked_page = page;
	sync_global_to_guest(self->vm, asked_page);
	vcpu_run(self->vcpu);
	if (get_ucall(self->vcpu, &uc) != UCALL_SYNC)
		return ~0ULL;
	return uc.args[1];
}

static volatile uint64_t *word(FIXTURE_DATA(convert) *self, uint64_t page)
{
	return (volatile uint64_t *)(self->mem + page * PAGE_SIZE);
}

static bool host_reaches(FIXTURE_DATA(convert) *self, uint64_t page)
{
	return reaches((volatile char *)word(self, page));
}

/* The other mode */

TEST(old_ioctl_or_the_new_one)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	struct kvm_memory_attributes old = { .size = PAGE_SIZE,
					     .attributes = PRIVATE };
	int fd = create(vm, 0);

	ASSERT_LE(0, fd);
	if (in_place()) {
		EXPECT_EQ(PRIVATE, vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES));
		EXPECT_EQ(0, vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES));
		EXPECT_EQ(BOTH | GUEST_MEMFD_FLAG_HUGE_PAGES | GUEST_MEMFD_FLAG_UNMOVABLE,
			  vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS));
		EXPECT_EQ(-1, ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &old));
		EXPECT_EQ(ENOTTY, errno);
		EXPECT_EQ(0, convert(fd, 0, 1, false));
	} else {
		EXPECT_EQ(0, vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES));
		EXPECT_EQ(PRIVATE, vm_check_cap(vm, KVM_CAP_MEMORY_ATTRIBUTES));
		EXPECT_EQ(GUEST_MEMFD_FLAG_HUGE_PAGES | GUEST_MEMFD_FLAG_UNMOVABLE,
			  vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS));
		EXPECT_EQ(0, ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &old));
		EXPECT_EQ(ENOTTY, convert(fd, 0, 1, false));
		EXPECT_EQ(-EINVAL, create(vm, MMAP_FLAG));
	}
	close(fd);
	kvm_vm_free(vm);
}

TEST(no_attributes_without_private_memory)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = create(vm, BOTH);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES));
	EXPECT_EQ(in_place() ? EINVAL : ENOTTY, convert(fd, 0, 1, true));
	EXPECT_EQ(in_place() ? 0 : ENOTTY, convert(fd, 0, 1, false));
	close(fd);
	kvm_vm_free(vm);
}

/* In place */

TEST_F(convert, what_is_wrong_is_refused)
{
	struct kvm_memory_attributes2 a = { .size = PAGE_SIZE };
	int i;

	EXPECT_EQ(EINVAL, set_attributes(self->fd, 0, 0, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, 1, PAGE_SIZE, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, 0, PAGE_SIZE - 1, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, SIZE, PAGE_SIZE, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, 0, SIZE + PAGE_SIZE, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, PAGE_SIZE,
					 -(uint64_t)PAGE_SIZE, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, -(uint64_t)PAGE_SIZE,
					 2 * PAGE_SIZE, 0));
	EXPECT_EQ(EINVAL, set_attributes(self->fd, 0, PAGE_SIZE, PRIVATE | 1));
	a.flags = 1;
	EXPECT_EQ(-1, ioctl(self->fd, KVM_SET_MEMORY_ATTRIBUTES2, &a));
	EXPECT_EQ(EINVAL, errno);
	a.flags = 0;
	for (i = 0; i < 11; i++) {
		a.reserved[i] = 1;
		EXPECT_EQ(-1, ioctl(self->fd, KVM_SET_MEMORY_ATTRIBUTES2, &a));
		EXPECT_EQ(EINVAL, errno);
		a.reserved[i] = 0;
	}
	EXPECT_EQ(-1, ioctl(self->fd, KVM_SET_MEMORY_ATTRIBUTES2, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->fd, KVM_CREATE_VM, 0));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(variant->shared, host_reaches(self, 0));
}

TEST_F(convert, begins_as_it_was_made)
{
	uint64_t i;

	for (i = 0; i < NR_PAGES; i++)
		EXPECT_EQ(variant->shared, host_reaches(self, i));
	EXPECT_EQ(0, guest(self, 3));
	if (variant->shared) {
		EXPECT_EQ(1, *word(self, 3));
	} else {
		EXPECT_FALSE(host_reaches(self, 3));
	}
}

TEST_F(convert, contents_stay_both_ways)
{
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	*word(self, 5) = 41;
	EXPECT_EQ(0, convert(self->fd, 5, 1, true));
	EXPECT_FALSE(host_reaches(self, 5));
	EXPECT_EQ(41, guest(self, 5));
	EXPECT_EQ(42, guest(self, 5));
	EXPECT_EQ(0, convert(self->fd, 5, 1, false));
	EXPECT_EQ(43, *word(self, 5));
	EXPECT_EQ(43, guest(self, 5));
	EXPECT_EQ(44, *word(self, 5));
}

/* Each page is what it was told, and has its own pattern. */
TEST_F(convert, the_page_that_was_meant)
{
	uint64_t i, k;

	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	for (i = 0; i < NR_PAGES; i++)
		*word(self, i) = 1000 * i;
	for (i = 0; i < NR_PAGES; i++) {
		ASSERT_EQ(0, convert(self->fd, i, 1, true));
		for (k = 0; k < NR_PAGES; k++)
			ASSERT_EQ(k != i, host_reaches(self, k));
		ASSERT_EQ(1000 * i, guest(self, i));
		ASSERT_EQ(0, convert(self->fd, i, 1, false));
		ASSERT_EQ(1000 * i + 1, *word(self, i));
	}
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, true));
	for (i = 0; i < NR_PAGES; i++)
		ASSERT_EQ(1000 * i + 1, guest(self, i));
}

TEST_F(convert, before_there_is_a_page)
{
	EXPECT_EQ(0, convert(self->fd, 0, 8, false));
	EXPECT_EQ(0, convert(self->fd, 8, 8, true));
	EXPECT_EQ(0, *word(self, 0));
	EXPECT_FALSE(host_reaches(self, 8));
	EXPECT_EQ(0, guest(self, 8));
	EXPECT_EQ(0, convert(self->fd, 8, 8, false));
	EXPECT_EQ(1, *word(self, 8));
	EXPECT_EQ(0, *word(self, 9));
	EXPECT_EQ(0, convert(self->fd, 0, 8, true));
	EXPECT_EQ(0, guest(self, 7));
}

TEST_F(convert, a_hole_stays_what_it_was)
{
	EXPECT_EQ(0, convert(self->fd, 0, 8, false));
	EXPECT_EQ(0, convert(self->fd, 8, 8, true));
	*word(self, 0) = 5;
	EXPECT_EQ(0, guest(self, 8));
	punch(self->fd, 0, 16);
	EXPECT_EQ(0, *word(self, 0));
	EXPECT_FALSE(host_reaches(self, 8));
	EXPECT_EQ(0, guest(self, 8));
	EXPECT_EQ(0, guest(self, 0));
	EXPECT_EQ(1, *word(self, 0));
}

TEST_F(convert, a_child_loses_it_too)
{
	int to[2], from[2], status;
	char c = 0;
	pid_t pid;

	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	*word(self, 0) = 7;
	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int ok = *word(self, 0) == 7;

		if (write(from[1], &c, 1) != 1 || read(to[0], &c, 1) != 1)
			_exit(3);
		_exit(!ok ? 1 : host_reaches(self, 0) ? 2 : 0);
	}
	ASSERT_EQ(1, read(from[0], &c, 1));
	EXPECT_EQ(0, convert(self->fd, 0, 1, true));
	ASSERT_EQ(1, write(to[1], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(7, guest(self, 0));
}

/* A page that is held cannot be private. */
TEST_F(convert, a_page_that_is_held_is_refused)
{
	struct hold held;
	uint64_t at, k;
	size_t i;

	for (i = 0; i < NR_HOLD_WAYS; i++) {
		if (hold_ways[i].needs && access(hold_ways[i].needs, F_OK))
			continue;
		TH_LOG("held by %s", hold_ways[i].name);
		ASSERT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
		for (k = 0; k < NR_PAGES; k++)
			*word(self, k) = k;
		ASSERT_EQ(0, hold_ways[i].take(&held, (void *)word(self, 17)));
		at = 0;
		EXPECT_EQ(EAGAIN, set_attributes_at(self->fd, 4 * PAGE_SIZE,
						    40 * PAGE_SIZE, PRIVATE,
						    &at));
		EXPECT_EQ(17 * PAGE_SIZE, at);
		/* Nothing has changed. */
		for (k = 0; k < NR_PAGES; k++)
			EXPECT_TRUE(host_reaches(self, k));
		/* Others are not concerned. */
		EXPECT_EQ(0, convert(self->fd, 0, 17, true));
		EXPECT_EQ(0, convert(self->fd, 18, 10, true));
		EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
		hold_ways[i].drop(&held);
		EXPECT_EQ(0, convert(self->fd, 4, 40, true));
		EXPECT_FALSE(host_reaches(self, 17));
		EXPECT_EQ(17, guest(self, 17));
	}
}

TEST_F(convert, what_is_private_cannot_be_held)
{
	struct hold held;
	size_t i;

	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, true));
	for (i = 0; i < NR_HOLD_WAYS; i++) {
		if (hold_ways[i].needs && access(hold_ways[i].needs, F_OK))
			continue;
		TH_LOG("not held by %s", hold_ways[i].name);
		EXPECT_NE(0, hold_ways[i].take(&held, (void *)word(self, 17)));
		EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
		EXPECT_EQ(ECHILD, errno);
	}
	EXPECT_EQ(0, guest(self, 17));
}

/* A read that is under way goes on, whatever becomes of the reader. */
TEST_F(convert, a_reader_that_is_killed_still_holds)
{
	struct hold held;

	if (access(FUSE_DEV, F_OK))
		SKIP(return, "no " FUSE_DEV);
	ASSERT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	ASSERT_EQ(0, hold_by_o_direct(&held, (void *)word(self, 1)));
	kill(held.pid, SIGKILL);
	usleep(10000);
	EXPECT_EQ(0, waitpid(held.pid, NULL, WNOHANG));
	EXPECT_EQ(EAGAIN, convert(self->fd, 1, 1, true));
	drop_o_direct(&held);
	EXPECT_EQ(0, convert(self->fd, 1, 1, true));
}

/* What is private already need not be taken from anybody. */
TEST_F(convert, shared_again_while_it_is_held)
{
	struct hold held;

	ASSERT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	*word(self, 1) = 1;
	ASSERT_EQ(0, hold_by_vmsplice(&held, (void *)word(self, 1)));
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	EXPECT_EQ(EAGAIN, convert(self->fd, 1, 1, true));
	drop_pipe(&held);
	EXPECT_EQ(0, convert(self->fd, 1, 1, true));
}

/* Memslots */

TEST_F(convert, a_memslot_finds_what_was_converted)
{
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	bind(self->vm, DATA_SLOT, DATA_GPA, 0, self->mem, self->fd, 0);
	EXPECT_EQ(0, convert(self->fd, 10, 5, true));
	*word(self, 9) = 90;
	/* Another place: frame 0 has page 8 now. */
	bind(self->vm, DATA_SLOT, DATA_GPA, 8, self->mem + 8 * PAGE_SIZE,
	     self->fd, 8);
	EXPECT_EQ(90, guest(self, 1));
	EXPECT_EQ(0, guest(self, 2));
	EXPECT_FALSE(host_reaches(self, 10));
	EXPECT_EQ(0, convert(self->fd, 10, 1, false));
	EXPECT_EQ(1, *word(self, 10));
	EXPECT_EQ(91, *word(self, 9));
}

TEST_F(convert, in_several_memslots_at_once)
{
	uint64_t i;

	bind(self->vm, DATA_SLOT, DATA_GPA, 0, self->mem, self->fd, 0);
	/* The second half of the file comes first in the guest. */
	bind(self->vm, DATA_SLOT, DATA_GPA, NR_PAGES / 2,
	     self->mem + SIZE / 2, self->fd, NR_PAGES / 2);
	bind(self->vm, DATA_SLOT + 1, DATA_GPA + SIZE / 2, NR_PAGES / 2,
	     self->mem, self->fd, 0);
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	for (i = 0; i < NR_PAGES; i++)
		*word(self, i) = i;
	EXPECT_EQ(0, convert(self->fd, NR_PAGES / 2 - 4, 8, true));
	for (i = 0; i < NR_PAGES; i++)
		EXPECT_EQ(i < NR_PAGES / 2 - 4 || i >= NR_PAGES / 2 + 4,
			  host_reaches(self, i));
	EXPECT_EQ(NR_PAGES / 2, guest(self, 0));
	EXPECT_EQ(NR_PAGES / 2 - 1, guest(self, NR_PAGES - 1));
	EXPECT_EQ(0, guest(self, NR_PAGES / 2));
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	EXPECT_EQ(NR_PAGES / 2 + 1, *word(self, NR_PAGES / 2));
}

TEST_F(convert, a_memslot_that_is_gone_leaves_nothing)
{
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, true));
	bind(self->vm, DATA_SLOT, DATA_GPA, 0, self->mem, self->fd, 0);
	/* A memslot of ordinary memory there is not private. */
	vm_set_user_memory_region(self->vm, DATA_SLOT, 0, DATA_GPA, SIZE,
				  mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(0, guest(self, 2));
	EXPECT_EQ(1, guest(self, 2));
}

/* Without the flag, too: what the guest shares is the same page. */
TEST_F(convert, where_the_host_cannot_map)
{
	int fd = create(self->vm, variant->shared ?
			GUEST_MEMFD_FLAG_INIT_SHARED : 0);

	ASSERT_LE(0, fd);
	bind(self->vm, DATA_SLOT, DATA_GPA, 0, self->mem, self->fd, 0);
	bind(self->vm, DATA_SLOT, DATA_GPA, NR_PAGES, self->mem, fd, 0);
	EXPECT_EQ(0, convert(fd, 0, NR_PAGES, true));
	EXPECT_EQ(0, guest(self, 0));
	EXPECT_EQ(0, convert(fd, 0, NR_PAGES, false));
	EXPECT_EQ(1, guest(self, 0));
	EXPECT_EQ(0, convert(fd, 0, NR_PAGES, true));
	EXPECT_EQ(2, guest(self, 0));
	close(fd);
}

/* One that looks all the time at a page which is private now and then */

struct looker {
	char *page;
	atomic_bool over;
	atomic_ulong even, odd, sigbus;
};

static void *look(void *arg)
{
	struct looker *l = arg;

	while (!atomic_load(&l->over)) {
		uint64_t found;

		if (sigsetjmp(fault, 1)) {
			atomic_fetch_add(&l->sigbus, 1);
			continue;
		}
		found = *(volatile uint64_t *)l->page;
		atomic_fetch_add(found & 1 ? &l->odd : &l->even, 1);
	}
	return NULL;
}

/* The page is odd only while it is private. */
TEST_F_TIMEOUT(convert, the_host_never_sees_what_is_private, 300)
{
	struct looker l = { .page = (char *)word(self, 6) };
	unsigned long before;
	pthread_t thread;
	int i, tries;

	ASSERT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	ASSERT_EQ(0, pthread_create(&thread, NULL, look, &l));
	for (i = 0; i < 200; i++) {
		/* It may be just mapping the page. */
		for (tries = 0; convert(self->fd, 6, 1, true); tries++) {
			ASSERT_EQ(EAGAIN, errno);
			ASSERT_LT(tries, 1000);
		}
		ASSERT_EQ(2 * i, guest(self, 6));
		before = atomic_load(&l.sigbus);
		while (atomic_load(&l.sigbus) < before + 2)
			sched_yield();
		ASSERT_EQ(2 * i + 1, guest(self, 6));
		before = atomic_load(&l.even);
		ASSERT_EQ(0, convert(self->fd, 6, 1, false));
		while (atomic_load(&l.even) < before + 2)
			sched_yield();
	}
	atomic_store(&l.over, true);
	pthread_join(thread, NULL);
	printf("# %lu looks, %lu SIGBUS\n", l.even, l.sigbus);
	EXPECT_EQ(0, l.odd);
}

/* All at once */

static atomic_bool storm_over;

struct storm {
	int fd;
	char *mem;
	struct kvm_vm *vm;
	atomic_ulong refused, done, seen, sigbus;
};

/* Every page's first word is its number, or 0 where a hole was punched. */
static void *storm_convert(void *arg)
{
	struct storm *s = arg;
	unsigned int seed = (uintptr_t)&seed;
	int r;

	while (!atomic_load(&storm_over)) {
		uint64_t page = rand_r(&seed) % NR_PAGES;
		uint64_t nr = 1 + rand_r(&seed) % (NR_PAGES - page);

		r = convert(s->fd, page, nr, rand_r(&seed) & 1);
		TEST_ASSERT(!r || r == EAGAIN, "convert: %d", r);
		atomic_fetch_add(r ? &s->refused : &s->done, 1);
	}
	return NULL;
}

static void *storm_look(void *arg)
{
	struct storm *s = arg;
	unsigned int seed = (uintptr_t)&seed;

	while (!atomic_load(&storm_over)) {
		/* The guest has the first half. */
		uint64_t page = (rand_r(&seed) | NR_PAGES / 2) % NR_PAGES;
		volatile uint64_t *word = (void *)(s->mem + page * PAGE_SIZE);
		uint64_t found;

		if (sigsetjmp(fault, 1)) {
			atomic_fetch_add(&s->sigbus, 1);
			continue;
		}
		found = *word;
		TEST_ASSERT(!found || found == page + 1,
			    "page %lu has %lu", page, found);
		*word = page + 1;
		atomic_fetch_add(&s->seen, 1);
	}
	return NULL;
}

static void *storm_punch(void *arg)
{
	struct storm *s = arg;
	unsigned int seed = (uintptr_t)&seed;

	while (!atomic_load(&storm_over)) {
		punch(s->fd, rand_r(&seed) % NR_PAGES, 1);
		sched_yield();
	}
	return NULL;
}

static void *storm_bind(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&storm_over)) {
		bind(s->vm, DATA_SLOT + 2, DATA_GPA + 2 * SIZE, NR_PAGES / 2,
		     s->mem, s->fd, NR_PAGES / 2);
		bind(s->vm, DATA_SLOT + 2, DATA_GPA + 2 * SIZE, 0,
		     s->mem, s->fd, NR_PAGES / 2);
	}
	return NULL;
}

static void *storm_map(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&storm_over)) {
		char *mem = map(s->fd);
		pid_t pid;

		if (!sigsetjmp(fault, 1))
			(void)*(volatile char *)mem;
		pid = fork();
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		munmap(mem, SIZE);
	}
	return NULL;
}

/*
 * KVM takes what is private from the attribute, twice, and exits if that has changed
 * in between.  Who has changed it runs the guest again.
 */
static void storm_guest(FIXTURE_DATA(convert) *self, uint64_t page)
{
	asked_page = page;
	sync_global_to_guest(self->vm, asked_page);
	while (__vcpu_run(self->vcpu))
		TEST_ASSERT((errno == EFAULT &&
			     self->vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT) ||
			    errno == EINTR, "KVM_RUN: %s", strerror(errno));
}

TEST_F_TIMEOUT(convert, storm, 300)
{
	void *(*const body[])(void *) = {
		storm_convert, storm_convert, storm_look, storm_look,
		storm_punch, storm_bind, storm_map,
	};
	struct storm s = { .fd = self->fd, .mem = self->mem, .vm = self->vm };
	pthread_t threads[ARRAY_SIZE(body)];
	uint64_t i, was;
	size_t t;
	int n;

	bind(self->vm, DATA_SLOT, DATA_GPA, 0, self->mem, self->fd, 0);
	bind(self->vm, DATA_SLOT, DATA_GPA, NR_PAGES / 2, self->mem, self->fd, 0);
	atomic_store(&storm_over, false);
	for (t = 0; t < ARRAY_SIZE(body); t++)
		ASSERT_EQ(0, pthread_create(&threads[t], NULL, body[t], &s));
	/* The guest, meanwhile. */
	for (n = 0; n < 300; n++)
		storm_guest(self, n % (NR_PAGES / 2));
	usleep(2000000);
	atomic_store(&storm_over, true);
	for (t = 0; t < ARRAY_SIZE(body); t++)
		pthread_join(threads[t], NULL);
	printf("# %lu conversions, %lu refused; %lu looks, %lu SIGBUS\n",
	       s.done, s.refused, s.seen, s.sigbus);
	EXPECT_GT(s.done, 100);
	EXPECT_GT(s.sigbus, 0);
	EXPECT_GT(s.seen, 0);

	/* What one has, the other has. */
	ASSERT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	for (i = 0; i < NR_PAGES / 2; i++) {
		*word(self, i) = 100 + i;
		ASSERT_EQ(0, convert(self->fd, i, 1, true));
		was = guest(self, i);
		ASSERT_EQ(100 + i, was);
	}
}

TEST_HARNESS_MAIN
