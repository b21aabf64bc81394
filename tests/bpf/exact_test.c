// SPDX-License-Identifier: GPL-2.0-only
/*
 * Caps that hold however many ask at once: as many threads as it takes to ask
 * before anybody has got what he asked for.  Every time as many pass as there
 * is room for, no more and no fewer.  Not here: what else the policies do
 * (library_test.c).
 */
#include <stdlib.h>

#include "gmem_test.h"
#include "../policies/policy.h"

#define NR_THREADS	8
#define ROUNDS		100
/* The cap of all tests: 1 MiB; each thread wants half of it. */
#define CAP_PAGES	256ULL
#define HALF_PAGES	(CAP_PAGES / 2)

#define BIG_GPA		(DATA_GPA * 2)
#define BIG_SLOT	(DATA_SLOT + 1)
#define BIG_PAGES	(NR_THREADS * HALF_PAGES)
/* As convert() counts them. */
#define BIG_PAGE	((BIG_GPA - DATA_GPA) / PAGE_SIZE)

#define NR_VCPUS	4

FIXTURE(exact) {
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct kvm_vm *vm;
	struct test_policy policy;
	int fd;
};

FIXTURE_SETUP(exact)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	const uint64_t share = BIG_PAGES / NR_VCPUS;
	int i;

	self->vm = __vm_create_with_vcpus(shape, NR_VCPUS, 0, touch_pages,
					  self->vcpus);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, BIG_GPA,
				    BIG_SLOT, BIG_PAGES, KVM_MEM_GUEST_MEMFD);
	virt_map(self->vm, BIG_GPA, BIG_GPA, BIG_PAGES);
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_args_set(self->vcpus[i], 2, BIG_GPA + i * share * PAGE_SIZE,
			      share);
	ASSERT_EQ(convert(self->vm, BIG_PAGE, BIG_PAGES, true), 0);
	self->fd = memslot2region(self->vm, BIG_SLOT)->region.guest_memfd;
	self->policy = (struct test_policy){};
}

FIXTURE_TEARDOWN(exact)
{
	if (self->policy.link)
		policy_detach(&self->policy);
	kvm_vm_free(self->vm);
}

/* Returns 0 or the errno. */
static int allocate(int fd, uint64_t page, uint64_t nr)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE,
			 nr * PAGE_SIZE) ? errno : 0;
}

static int give_back(int fd, uint64_t page, uint64_t nr)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 page * PAGE_SIZE, nr * PAGE_SIZE) ? errno : 0;
}

/*
 * struct racer - one of many that do the same at the same moment
 * @act: what it does; returns 0 or an errno
 * @go: all of them begin here
 * @nr: which it is
 * @err: what @act returned
 */
struct racer {
	int (*act)(struct racer *racer);
	pthread_barrier_t *go;
	int nr;
	int err;
	int fd;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

static void *race(void *arg)
{
	struct racer *racer = arg;

	pthread_barrier_wait(racer->go);
	racer->err = racer->act(racer);
	return NULL;
}

/* Returns how many got 0; the others must get @err. */
static int run_race(FIXTURE_DATA(exact) *self, int nr, int err,
		    int (*act)(struct racer *racer))
{
	struct racer racers[NR_THREADS];
	pthread_t threads[NR_THREADS];
	pthread_barrier_t go;
	int i, passed = 0;

	pthread_barrier_init(&go, NULL, nr);
	for (i = 0; i < nr; i++) {
		racers[i] = (struct racer){
			.act = act, .go = &go, .nr = i, .fd = self->fd,
			.vm = self->vm, .vcpu = self->vcpus[i % NR_VCPUS],
		};
		MUST(!pthread_create(&threads[i], NULL, race, &racers[i]),
		     "cannot start a thread");
	}
	for (i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		MUST(!racers[i].err || racers[i].err == err, "errno %d",
		     racers[i].err);
		passed += !racers[i].err;
	}
	pthread_barrier_destroy(&go);

	return passed;
}

static int allocate_half(struct racer *racer)
{
	return allocate(racer->fd, racer->nr * HALF_PAGES, HALF_PAGES);
}

TEST_F(exact, quota_of_threads_that_fallocate)
{
	int i;

	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=0", 0);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(run_race(self, NR_THREADS, EDQUOT, allocate_half), 2);
		ASSERT_EQ(usage().populated_pages, CAP_PAGES);
		ASSERT_EQ(give_back(self->fd, 0, BIG_PAGES), 0);
	}
}

/*
 * Runs until it is refused a page, or has touched all of its share: it may begin
 * in the middle.
 */
static int run_vcpu(struct racer *racer)
{
	if (_vcpu_run(racer->vcpu) || _vcpu_run(racer->vcpu))
		return errno;
	return 0;
}

TEST_F(exact, quota_of_vcpus_that_fault)
{
	int i;

	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=0", 0);
	for (i = 0; i < ROUNDS; i++) {
		run_race(self, NR_VCPUS, EDQUOT, run_vcpu);
		ASSERT_EQ(usage().populated_pages, CAP_PAGES);
		ASSERT_EQ(give_back(self->fd, 0, BIG_PAGES), 0);
	}
}

static volatile bool done;

/* Takes and gives back, some of it again and again, and is refused or not. */
static int churn(struct racer *racer)
{
	unsigned int seed = racer->nr + 1;
	uint64_t page, nr;
	int err;

	while (!done) {
		page = rand_r(&seed) % BIG_PAGES;
		nr = rand_r(&seed) % 3 ? 1 : 1 + rand_r(&seed) % CAP_PAGES;
		if (nr > BIG_PAGES - page)
			nr = BIG_PAGES - page;
		if (racer->nr & 1) {
			err = give_back(racer->fd, page, nr);
			sched_yield();
		} else {
			err = allocate(racer->fd, page, nr);
		}
		if (err && err != EDQUOT)
			return err;
	}
	return 0;
}

static void *watch(void *arg)
{
	uint64_t *most = arg, began = time(NULL);

	while (time(NULL) - began < 5) {
		uint64_t now = usage().populated_pages;

		if (now > *most)
			*most = now;
	}
	done = true;
	return NULL;
}

TEST_F(exact, quota_while_memory_comes_and_goes)
{
	pthread_t watcher;
	uint64_t most = 0;

	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=0", 0);
	done = false;
	MUST(!pthread_create(&watcher, NULL, watch, &most), "cannot watch");
	EXPECT_EQ(run_race(self, NR_THREADS, 0, churn), NR_THREADS);
	pthread_join(watcher, NULL);
	EXPECT_LE(most, CAP_PAGES);
	/* And nothing of it is lost. */
	ASSERT_EQ(give_back(self->fd, 0, BIG_PAGES), 0);
	EXPECT_EQ(allocate(self->fd, 0, CAP_PAGES), 0);
	EXPECT_EQ(allocate(self->fd, CAP_PAGES, 1), EDQUOT);
}

TEST_F(exact, quota_knows_what_was_there_before)
{
	ASSERT_EQ(allocate(self->fd, 0, 100), 0);
	ASSERT_EQ(give_back(self->fd, 0, 50), 0);
	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=0", 0);
	EXPECT_EQ(allocate(self->fd, 100, 207), EDQUOT);
	EXPECT_EQ(allocate(self->fd, 100, 206), 0);
	EXPECT_EQ(allocate(self->fd, 500, 1), EDQUOT);

	/* Nobody asks while policies are switched off, and all of it counts. */
	write_parameter("gmem_policies", "N");
	EXPECT_EQ(allocate(self->fd, 500, 10), 0);
	write_parameter("gmem_policies", "Y");
	ASSERT_EQ(give_back(self->fd, 0, 100), 0);
	EXPECT_EQ(allocate(self->fd, 0, 41), EDQUOT);
	EXPECT_EQ(allocate(self->fd, 0, 40), 0);
	EXPECT_EQ(usage().populated_pages, CAP_PAGES);
}

/* A file that is closed while somebody holds it has its pages still. */
TEST_F(exact, quota_of_files_that_are_closed)
{
	int held[8], i, fd, nr = 0;
	char path[32];

	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=0", 0);
	for (i = 0; i < 8; i++) {
		fd = vm_create_guest_memfd(self->vm, HALF_PAGES * PAGE_SIZE, 0);
		nr += !allocate(fd, 0, HALF_PAGES);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		held[i] = open(path, O_PATH | O_CLOEXEC);
		ASSERT_GE(held[i], 0);
		close(fd);
	}
	EXPECT_EQ(nr, 2);
	EXPECT_EQ(usage().populated_pages, CAP_PAGES);
	EXPECT_EQ(usage().closed_pages, CAP_PAGES);
	EXPECT_EQ(allocate(self->fd, 0, 1), EDQUOT);
	for (i = 0; i < 8; i++)
		close(held[i]);
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(allocate(self->fd, 0, CAP_PAGES), 0);
	EXPECT_EQ(allocate(self->fd, CAP_PAGES, 1), EDQUOT);
}

static int share_half(struct racer *racer)
{
	return convert(racer->vm, BIG_PAGE + racer->nr * HALF_PAGES, HALF_PAGES,
		       false);
}

TEST_F(exact, sharedcap_of_threads_that_convert)
{
	int i;

	self->policy = policy_attach("sharedcap", "grace=0 percent=100 shared=1", 0);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(run_race(self, NR_THREADS, EDQUOT, share_half), 2);
		ASSERT_EQ(usage().private_pages, BIG_PAGES - CAP_PAGES);
		ASSERT_EQ(convert(self->vm, BIG_PAGE, BIG_PAGES, true), 0);
	}
}

/* A page by itself, which makes two ranges more. */
static int share_one(struct racer *racer)
{
	return convert(racer->vm, BIG_PAGE + 10 + 2 * racer->nr, 1, false);
}

TEST_F(exact, fragment_of_threads_that_convert)
{
	int i;

	self->policy = policy_attach("fragment", "ranges=10", 0);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(run_race(self, NR_THREADS, ENOSPC, share_one), 5);
		ASSERT_EQ(usage().private_pages, BIG_PAGES - 5);
		ASSERT_EQ(convert(self->vm, BIG_PAGE, BIG_PAGES, true), 0);
	}
}

TEST_HARNESS_MAIN
