// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters against an oracle: vCPUs and ioctl threads do thousands of
 * random things at once.  Then everybody stops, and the counters must be those
 * of the pages: what is private is known from this test's own record, what is
 * populated from cachestat(2), page by page.
 *
 * Where memory is converted in place it begins private, none is ever stale, and a
 * page that a vCPU is just faulting in is held for a moment.
 *
 * With huge folios, all memory begins in them. Afterwards those that are there must
 * be of pages that are all private and populated, and a while later each such range
 * must be one. In the end all is made private and populated: it must be all huge again.
 *
 * GMEM_SEED repeats a run's choices, GMEM_OPS makes it longer.
 */
#include <sys/syscall.h>

#include "gmem_test.h"

#define NR_VCPUS	2
#define NR_CONVERTERS	2
#define NR_FILLERS	2
#define PER_HUGE	512
#define MAX_PAGES	(8 * PER_HUGE)

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpus[NR_VCPUS];
static uint64_t nr_pages;
static bool huge;
static bool private[MAX_PAGES];
static volatile bool stop;
static unsigned int seed;
static uint64_t nr_ops, nr_done;
static bool in_place;

struct counts {
	uint64_t conversions;
	uint64_t noops;
	uint64_t to_private;
	uint64_t to_shared;
};

/* Touches pages in an order of its own, for ever. */
static void guest_main(uint64_t first, uint64_t nr, uint64_t x)
{
	for (;;) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		*(volatile uint8_t *)(first + (x >> 33) % nr * PAGE_SIZE) = 1;
		if (!((x >> 40) % 64))
			GUEST_SYNC(0);
	}
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (!stop) {
		/*
		 * A fault on a frame whose attribute does not fit what is mapped
		 * exits; to the guest it never happened.
		 */
		if (__vcpu_run(vcpu))
			MUST(errno == EFAULT || errno == EINTR,
			     "KVM_RUN: %s", strerror(errno));
	}
	return NULL;
}

/* Some pages from a random one on; of huge folios often whole ones, too. */
static void choose(unsigned int *state, uint64_t among, uint64_t *first, uint64_t *nr)
{
	uint64_t unit = huge && rand_r(state) % 4 ? PER_HUGE : 1;

	among /= unit;
	*first = rand_r(state) % among;
	*nr = 1 + rand_r(state) % (among - *first);
	*first *= unit;
	*nr *= unit;
}

/* A page that a fault is just taking is held for a moment. */
static bool is_held(int r)
{
	return (in_place || huge) && r == EAGAIN;
}

/* Nobody has done all its work before the others begin. */
static pthread_barrier_t all_are_there;

static void *converter(void *arg)
{
	unsigned int id = (uintptr_t)arg, state = seed + id;
	struct counts *counts = calloc(1, sizeof(*counts));
	/* Frames of its own, so that its record is the truth. */
	uint64_t frames = nr_pages / NR_CONVERTERS, first, nr, i, op;

	pthread_barrier_wait(&all_are_there);
	for (op = 0; op < nr_ops; op++) {
		bool to_private = rand_r(&state) % 2;
		uint64_t changed = 0;
		int r;

		choose(&state, frames, &first, &nr);
		first += id * frames;
		do {
			r = convert(vm, first, nr, to_private);
		} while (is_held(r));
		MUST(!r, "convert: %s", strerror(r));
		for (i = first; i < first + nr; i++) {
			changed += private[i] != to_private;
			private[i] = to_private;
		}
		counts->conversions += !!changed;
		counts->noops += !changed;
		*(to_private ? &counts->to_private : &counts->to_shared) += changed;
		__atomic_add_fetch(&nr_done, 1, __ATOMIC_RELAXED);
	}
	return counts;
}

/*
 * Ends before the last conversions do: populating compares a page with its
 * attribute anew, and would cover up what a conversion got wrong.
 */
static void *filler(void *arg)
{
	unsigned int state = seed + 100 + (uintptr_t)arg;
	uint64_t first, nr;
	int r;

	pthread_barrier_wait(&all_are_there);
	while (__atomic_load_n(&nr_done, __ATOMIC_RELAXED) <
	       nr_ops * NR_CONVERTERS * 9 / 10) {
		bool frees = rand_r(&state) % 2;

		choose(&state, nr_pages, &first, &nr);
		nr = 1 + nr / 8;
		do {
			r = frees ? punch(vm, first, nr) : populate(vm, first, nr);
		} while (is_held(r));
		MUST(!r, "fallocate: %s", strerror(r));
	}
	return NULL;
}

static bool is_populated(int fd, uint64_t page)
{
	struct {
		uint64_t off, len;
	} range = { page * PAGE_SIZE, PAGE_SIZE };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} stat;

	MUST(!syscall(451 /* cachestat */, fd, &range, &stat, 0), "cachestat: %s",
	     strerror(errno));
	return stat.cache;
}

/* Pages of ranges that a huge folio can have. */
static uint64_t count_whole(const bool *populated)
{
	uint64_t i, whole = 0, like = 0;

	for (i = 0; i < nr_pages; i++) {
		like = i % PER_HUGE ? like : 0;
		like += private[i] && populated[i];
		whole += like == PER_HUGE ? PER_HUGE : 0;
	}
	return whole;
}

/* Waits for the worker, which merges one range after the other. */
static struct gmem_vm_sample wait_for_huge_pages(uint64_t nr)
{
	struct gmem_vm_sample u = usage();
	int tries;

	for (tries = 0; tries < 200 && u.huge_pages < nr; tries++) {
		usleep(100000);
		u = usage();
	}
	return u;
}

static int make_private(struct kvm_vm *vm, uint64_t first, uint64_t nr)
{
	return convert(vm, first, nr, true);
}

static int make_shared(struct kvm_vm *vm, uint64_t first, uint64_t nr)
{
	return convert(vm, first, nr, false);
}

static void patiently(int (*op)(struct kvm_vm *vm, uint64_t first, uint64_t nr),
		      uint64_t first, uint64_t nr)
{
	int r;

	do {
		r = op(vm, first, nr);
	} while (is_held(r));
	MUST(!r, "%s", strerror(r));
}

static void counters_match(struct __test_metadata *_metadata)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	uint64_t i, nr_private = 0, nr_populated = 0, nr_stale = 0;
	pthread_t runners[NR_VCPUS], converters[NR_CONVERTERS];
	pthread_t fillers[NR_FILLERS];
	bool populated[MAX_PAGES];
	struct counts total = {};
	struct gmem_vm_sample u;
	int fd;

	in_place = kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
	for (i = 0; i < nr_pages; i++)
		private[i] = in_place;
	seed = getenv("GMEM_SEED") ? atoi(getenv("GMEM_SEED")) : time(NULL);
	nr_ops = getenv("GMEM_OPS") ? atoll(getenv("GMEM_OPS")) : huge && in_place ? 2000 : 30000;
	printf("# GMEM_SEED=%u GMEM_OPS=%lu\n", seed, nr_ops);

	vm = __vm_create_with_vcpus(shape, NR_VCPUS, 0, guest_main, vcpus);
	if (huge && !(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_HUGE_PAGES)) {
		kvm_vm_free(vm);
		SKIP(return, "there are no huge folios");
	}
	fd = vm_create_guest_memfd(vm, nr_pages * PAGE_SIZE,
				   huge ? GUEST_MEMFD_FLAG_HUGE_PAGES : 0);
	vm_mem_add(vm, huge ? VM_MEM_SRC_ANONYMOUS_THP : VM_MEM_SRC_ANONYMOUS, DATA_GPA,
		   DATA_SLOT, nr_pages, KVM_MEM_GUEST_MEMFD, fd, 0);
	virt_map(vm, DATA_GPA, DATA_GPA, nr_pages);
	if (huge) {
		if (!in_place) {
			patiently(make_private, 0, nr_pages);
			total.conversions++;
			total.to_private += nr_pages;
			memset(private, true, sizeof(private));
		}
		patiently(populate, 0, nr_pages);
		EXPECT_EQ(usage().huge_pages, nr_pages);
	}

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_args_set(vcpus[i], 3, DATA_GPA, nr_pages, (uint64_t)seed + i);
		ASSERT_EQ(pthread_create(&runners[i], NULL, run_vcpu, vcpus[i]), 0);
	}
	pthread_barrier_init(&all_are_there, NULL, NR_CONVERTERS + NR_FILLERS);
	for (i = 0; i < NR_CONVERTERS; i++)
		ASSERT_EQ(pthread_create(&converters[i], NULL, converter, (void *)i), 0);
	for (i = 0; i < NR_FILLERS; i++)
		ASSERT_EQ(pthread_create(&fillers[i], NULL, filler, (void *)i), 0);

	for (i = 0; i < NR_CONVERTERS; i++) {
		struct counts *counts;

		pthread_join(converters[i], (void **)&counts);
		total.conversions += counts->conversions;
		total.noops += counts->noops;
		total.to_private += counts->to_private;
		total.to_shared += counts->to_shared;
		free(counts);
	}
	for (i = 0; i < NR_FILLERS; i++)
		pthread_join(fillers[i], NULL);
	stop = true;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(runners[i], NULL);

	u = usage();
	for (i = 0; i < nr_pages; i++) {
		populated[i] = is_populated(data_fd(vm), i);
		nr_private += private[i];
		nr_populated += populated[i];
		nr_stale += populated[i] && !private[i] && !in_place;
	}
	EXPECT_EQ(u.private_pages, nr_private);
	EXPECT_EQ(u.populated_pages, nr_populated);
	EXPECT_EQ(u.stale_pages, nr_stale);
	EXPECT_EQ(u.freed_pages, u.allocated_pages - nr_populated);
	EXPECT_EQ(u.conversions, total.conversions);
	EXPECT_EQ(u.conversions_noop, total.noops);
	EXPECT_EQ(u.pages_to_private, total.to_private +
				      (in_place ? nr_pages : 0));
	EXPECT_EQ(u.pages_to_shared, total.to_shared);
	EXPECT_EQ(u.invalidations[GMEM_INVALIDATE_CONVERSION], total.conversions);
	printf("# %llu allocated, %llu freed, %lu populated, %lu private, %lu stale, %llu faults\n",
	       u.allocated_pages, u.freed_pages, nr_populated, nr_private,
	       nr_stale, u.faults[GMEM_FAULT_VCPU]);
	/* A run in which nothing met anything would prove nothing. */
	EXPECT_GT(u.faults[GMEM_FAULT_VCPU], 0);
	EXPECT_GT(u.faults[GMEM_FAULT_FALLOCATE], 0);
	EXPECT_GT(u.freed_pages, 0);

	if (huge) {
		EXPECT_EQ(u.huge_pages % PER_HUGE, 0);
		EXPECT_LE(u.huge_pages, count_whole(populated));
		u = wait_for_huge_pages(count_whole(populated));
		EXPECT_EQ(u.huge_pages, count_whole(populated));
		EXPECT_EQ(u.populated_pages, nr_populated);
		EXPECT_EQ(u.freed_pages, u.allocated_pages - nr_populated);
		printf("# %llu in huge folios, %llu splits, %llu merges\n", u.huge_pages,
		       u.huge_splits, u.huge_merges);
		EXPECT_GT(u.huge_splits, 0);

		patiently(make_private, 0, nr_pages);
		patiently(populate, 0, nr_pages);
		/* One range at least is to be merged. */
		patiently(make_shared, 0, 1);
		patiently(make_private, 0, 1);
		patiently(populate, 0, 1);
		u = wait_for_huge_pages(nr_pages);
		EXPECT_EQ(u.huge_pages, nr_pages);
		EXPECT_GT(u.huge_merges, 0);
	}

	kvm_vm_free(vm);
}

TEST(counters_match_the_pages)
{
	nr_pages = DATA_PAGES;
	counters_match(_metadata);
}

TEST(counters_match_the_pages_of_huge_folios)
{
	huge = true;
	nr_pages = MAX_PAGES;
	counters_match(_metadata);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
