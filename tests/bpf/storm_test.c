// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages are stale is a mark in the page cache, kept without a lock that
 * others wait for (see the head of virt/kvm/gmem_account.c).  Here everybody
 * who sets or clears one does so at once and on the same pages; then, at rest,
 * the marks, the counters and the attributes must be those that a walk page by
 * page finds.  The files are of all sizes that the nodes of a page cache, of 64
 * pages each, make different.
 *
 * GMEM_SEED repeats a run's choices, GMEM_SECONDS makes it longer.
 */
#include <sys/syscall.h>

#include "gmem_test.h"
#include "layout.skel.h"

/* It lasts as long as GMEM_SECONDS says; who hangs meets the suite's limit. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	7200

#define STORM_GPA	0x20000000ULL
#define STORM_GFN	(STORM_GPA / PAGE_SIZE)
#define SLOT_A		20
#define SLOT_B		21
/* A hole of so many takes long enough to do much meanwhile. */
#define PAGES_MAX	150000
/* What the guest's own page tables have room for. */
#define TOUCHED_MAX	512UL

/* One guest_memfd; slot A maps what is before @split, and B the rest. */
static struct {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct layout_bpf *layout;
	char *shared;
	int fd;
	uint64_t pages;
	uint64_t split;
	bool bound_b;
	/* The attributes; changed under the lock, so that it has their order. */
	pthread_mutex_t lock;
	bool private[PAGES_MAX];
} storm = { .lock = PTHREAD_MUTEX_INITIALIZER };

static volatile bool stop, stop_filling;
static unsigned int seed;

static void guest_main(uint64_t first, uint64_t nr, uint64_t x)
{
	for (;;) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		*(volatile uint8_t *)(first + (x >> 33) % nr * PAGE_SIZE) = 1;
		if (!((x >> 40) % 64))
			GUEST_SYNC(0);
	}
}

static void set_slot(unsigned int slot, uint64_t first, uint64_t nr, bool there)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = STORM_GPA + first * PAGE_SIZE,
		.memory_size = there ? nr * PAGE_SIZE : 0,
		.userspace_addr = (uintptr_t)storm.shared + first * PAGE_SIZE,
		.guest_memfd = storm.fd,
		.guest_memfd_offset = first * PAGE_SIZE,
	};

	MUST(!__vm_ioctl(storm.vm, KVM_SET_USER_MEMORY_REGION2, &region),
	     "KVM_SET_USER_MEMORY_REGION2: %s", strerror(errno));
}

static void bind_b(bool there)
{
	if (storm.split == storm.pages || there == storm.bound_b)
		return;
	set_slot(SLOT_B, storm.split, storm.pages - storm.split, there);
	storm.bound_b = there;
}

static void storm_begin(uint64_t pages)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	uint64_t touched = min(pages, TOUCHED_MAX);

	memset(storm.private, 0, sizeof(storm.private));
	storm.pages = pages;
	storm.split = pages > 1 ? pages * 2 / 3 : pages;
	storm.bound_b = false;
	storm.vm = __vm_create_with_vcpus(shape, 2, 0, guest_main, storm.vcpus);
	storm.shared = mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(storm.shared != MAP_FAILED, "mmap: %s", strerror(errno));
	storm.fd = vm_create_guest_memfd(storm.vm, pages * PAGE_SIZE, 0);
	set_slot(SLOT_A, 0, storm.split, true);
	bind_b(true);
	virt_map(storm.vm, STORM_GPA, STORM_GPA, touched);
	vcpu_args_set(storm.vcpus[0], 3, STORM_GPA, touched, (uint64_t)seed);
	storm.layout = layout_bpf__open_and_load();
	MUST(storm.layout, "cannot load the programs that read the layout");
	storm.layout->bss->vm_id = usage().vm_id;
}

static void storm_end(void)
{
	layout_bpf__destroy(storm.layout);
	close(storm.fd);
	kvm_vm_free(storm.vm);
	munmap(storm.shared, storm.pages * PAGE_SIZE);
}

static void storm_convert(uint64_t first, uint64_t nr, bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = STORM_GPA + first * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};

	pthread_mutex_lock(&storm.lock);
	MUST(!__vm_ioctl(storm.vm, KVM_SET_MEMORY_ATTRIBUTES, &attr),
	     "convert: %s", strerror(errno));
	memset(storm.private + first, private, nr);
	pthread_mutex_unlock(&storm.lock);
}

static void storm_fallocate(uint64_t first, uint64_t nr, bool hole)
{
	MUST(!fallocate(storm.fd, FALLOC_FL_KEEP_SIZE |
			(hole ? FALLOC_FL_PUNCH_HOLE : 0), first * PAGE_SIZE,
			nr * PAGE_SIZE), "fallocate: %s", strerror(errno));
}

static void storm_prefault(struct kvm_vcpu *vcpu, uint64_t first, uint64_t nr)
{
	struct kvm_pre_fault_memory range = {
		.gpa = STORM_GPA + first * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};

	/* What is shared, or has no memslot, fails. */
	while (range.size && !__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range))
		;
}

/* A range of any kind: pages, whole nodes, to the end, everything. */
static uint64_t pick(unsigned int *state, uint64_t *nr)
{
	uint64_t first = rand_r(state) % storm.pages, last;

	switch (rand_r(state) % 8) {
	case 0:
		*nr = storm.pages;
		return 0;
	case 1:
		*nr = storm.pages - first;
		return first;
	case 2:
	case 3:
		first &= ~63ULL;
		last = min(first + 64 * (1 + rand_r(state) % 4), storm.pages);
		break;
	case 4:
		last = min(first + 1 + rand_r(state) % 200, storm.pages);
		break;
	default:
		/* Where the guest is, too. */
		first %= 130;
		last = min(first + 1 + rand_r(state) % 4, storm.pages);
	}
	*nr = last - first;
	return first;
}

static void *converter(void *arg)
{
	unsigned int state = seed + (uintptr_t)arg;
	uint64_t first, nr;

	while (!stop) {
		first = pick(&state, &nr);
		storm_convert(first, nr, rand_r(&state) % 2);
	}
	return NULL;
}

static void *puncher(void *arg)
{
	unsigned int state = seed + (uintptr_t)arg;
	uint64_t first, nr;

	while (!stop) {
		first = pick(&state, &nr);
		storm_fallocate(first, nr, true);
	}
	return NULL;
}

/*
 * Ends earlier than the others: it compares pages with their attributes anew,
 * and would cover up what they got wrong.
 */
static void *filler(void *arg)
{
	unsigned int state = seed + (uintptr_t)arg;
	uint64_t first, nr;

	while (!stop_filling) {
		first = pick(&state, &nr);
		storm_fallocate(first, nr, false);
	}
	return NULL;
}

/*
 * Not in B: Linux 6.12 without the patches hangs, too, when a memslot is deleted
 * that is just being prefaulted (fixed by 3ccbf6f47098, "KVM: x86/mmu: Return
 * -EAGAIN if userspace deletes/moves memslot during prefault").
 */
static void *prefaulter(void *arg)
{
	unsigned int state = seed + (uintptr_t)arg;
	uint64_t first, nr;

	while (!stop) {
		first = pick(&state, &nr);
		if (first < storm.split)
			storm_prefault(storm.vcpus[1], first,
				       min(min(nr, storm.split - first), 100UL));
	}
	return NULL;
}

static void *runner(void *arg)
{
	while (!stop) {
		if (__vcpu_run(storm.vcpus[0]))
			MUST(errno == EFAULT || errno == EINTR, "KVM_RUN: %s",
			     strerror(errno));
	}
	return NULL;
}

static void *binder(void *arg)
{
	unsigned int state = seed + (uintptr_t)arg;

	while (!stop) {
		bind_b(rand_r(&state) % 2);
		usleep(rand_r(&state) % 3000);
	}
	return NULL;
}

static bool is_populated(uint64_t page)
{
	struct {
		uint64_t off, len;
	} range = { page * PAGE_SIZE, PAGE_SIZE };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} stat;

	MUST(!syscall(451 /* cachestat */, storm.fd, &range, &stat, 0),
	     "cachestat: %s", strerror(errno));
	return stat.cache;
}

/* The kernel's view of a page; read by pages, so that it looks at each mark. */
static const struct gmem_bucket *bucket_of(uint64_t page)
{
	struct layout_bpf *skel = storm.layout;
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (!(page % GMEM_BUCKETS_MAX)) {
		skel->bss->start = STORM_GFN + page;
		skel->bss->bucket_pages = 1;
		skel->bss->nr_buckets = min((uint64_t)GMEM_BUCKETS_MAX,
					    storm.pages - page);
		MUST(!bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_map),
					     &opts) &&
		     skel->bss->result == (int64_t)skel->bss->nr_buckets,
		     "cannot read the map");
	}
	return &skel->bss->buckets[page % GMEM_BUCKETS_MAX];
}

/* Nobody does anything: compares all there is with a walk page by page. */
static void storm_check(const char *when)
{
	uint64_t nr_private = 0, nr_populated = 0, nr_stale = 0, page;
	struct gmem_vm_sample u = usage();

	for (page = 0; page < storm.pages; page++) {
		bool bound = page < storm.split || storm.bound_b;
		bool there = is_populated(page), private = storm.private[page];
		const struct gmem_bucket *bucket = bucket_of(page);

		nr_private += bound && private;
		nr_populated += there;
		nr_stale += there && !(bound && private);
		if (!bound)
			continue;
		MUST(bucket->private_pages == private &&
		     bucket->populated_pages == there &&
		     bucket->stale_pages == (there && !private),
		     "%s: page %lu of %lu, private %d, populated %d: the kernel has private %u, populated %u, stale %u",
		     when, page, storm.pages, private, there,
		     bucket->private_pages, bucket->populated_pages,
		     bucket->stale_pages);
	}
	MUST(u.private_pages == nr_private && u.populated_pages == nr_populated &&
	     u.stale_pages == nr_stale && u.closed_pages == 0 &&
	     u.freed_pages == u.allocated_pages - nr_populated,
	     "%s: %lu pages, B %sbound, private %llu not %lu, populated %llu not %lu, stale %llu not %lu, allocated %llu, freed %llu",
	     when, storm.pages, storm.bound_b ? "" : "not ", u.private_pages,
	     nr_private, u.populated_pages, nr_populated, u.stale_pages,
	     nr_stale, u.allocated_pages, u.freed_pages);
}

static void one_storm(uint64_t pages, unsigned int ms)
{
	void *(*const threads[])(void *) = {
		converter, converter, puncher, filler, prefaulter, runner,
		binder, puncher,
	};
	pthread_t ids[ARRAY_SIZE(threads)];
	uintptr_t i;

	storm_begin(pages);
	stop = stop_filling = false;
	storm_convert(0, pages, true);
	storm_fallocate(0, pages, false);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		MUST(!pthread_create(&ids[i], NULL, threads[i], (void *)(i * 1000)),
		     "cannot start a thread");
	usleep(ms * 800);
	stop_filling = true;
	usleep(ms * 200);
	stop = true;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(ids[i], NULL);

	storm_check("after the storm");
	/* What is left over shows here at the latest. */
	storm_convert(0, pages, true);
	storm_check("all private");
	bind_b(!storm.bound_b);
	storm_check("slot B has changed");
	storm_convert(0, pages, false);
	storm_check("all shared");
	storm_fallocate(0, pages, true);
	storm_check("all freed");
	storm_end();
}

TEST(all_at_once)
{
	static const uint64_t sizes[] = {
		1, 2, 63, 64, 65, 100, 128, 357, 4096, 4097 + 63, 20000,
	};
	int seconds = getenv("GMEM_SECONDS") ? atoi(getenv("GMEM_SECONDS")) : 20;
	time_t end = time(NULL) + seconds;
	unsigned int round = 0;

	seed = getenv("GMEM_SEED") ? atoi(getenv("GMEM_SEED")) : time(NULL);
	printf("# GMEM_SEED=%u\n", seed);
	while (time(NULL) < end || round < ARRAY_SIZE(sizes)) {
		one_storm(sizes[round % ARRAY_SIZE(sizes)], 500);
		round++;
		seed++;
	}
	printf("# %u rounds\n", round);
}

/* One after the other, so that the very operation that is wrong is named. */
TEST(one_by_one)
{
	static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 128, 191, 200, 4200 };
	char when[100];
	size_t i;
	int op;

	seed = getenv("GMEM_SEED") ? atoi(getenv("GMEM_SEED")) : time(NULL);
	printf("# GMEM_SEED=%u\n", seed);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int state = seed + i;

		storm_begin(sizes[i]);
		for (op = 0; op < (sizes[i] > 1000 ? 40 : 200); op++) {
			uint64_t nr, first = pick(&state, &nr);
			unsigned int what = rand_r(&state) % 8;

			if (what < 2)
				storm_convert(first, nr, what);
			else if (what < 5)
				storm_fallocate(first, nr, what == 2);
			else if (what == 5)
				storm_prefault(storm.vcpus[1], first, nr);
			else if (what == 6)
				bind_b(!storm.bound_b);
			else
				for (; nr; nr -= min(nr, 2UL), first += 2)
					storm_fallocate(min(first, storm.pages - 1),
							1, rand_r(&state) % 4 == 0);
			snprintf(when, sizeof(when), "operation %d, %u on %lu+%lu",
				 op, what, first, nr);
			storm_check(when);
		}
		storm_end();
	}
}

/* A memslot comes over pages whose frames are private, or half of them. */
TEST(a_memslot_comes_over_pages)
{
	static const uint64_t sizes[] = { 2, 65, 128, 200, 5000 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t n = sizes[i], page;

		storm_begin(n);
		bind_b(false);
		storm_fallocate(0, n, false);
		storm_check("unbound");
		storm_convert(0, n, true);
		storm_check("private, but unbound");
		bind_b(true);
		storm_check("private and bound");
		EXPECT_EQ(usage().stale_pages, 0);
		bind_b(false);
		EXPECT_EQ(usage().stale_pages, n - storm.split);
		for (page = 0; page < n; page += 3)
			storm_convert(page, 1, false);
		bind_b(true);
		storm_check("every third is shared");
		storm_end();
	}
}

static volatile bool began, punching;

static void *punch_all(void *arg)
{
	punching = true;
	began = true;
	storm_fallocate(0, storm.pages, true);
	punching = false;
	return NULL;
}

static pthread_t begin_to_punch(void)
{
	pthread_t thread;

	began = false;
	MUST(!pthread_create(&thread, NULL, punch_all, NULL),
	     "cannot start a thread");
	while (!began)
		sched_yield();
	return thread;
}

struct held_fault {
	uint64_t page;
	int result;
	volatile bool done;
};

static void *held_prefault(void *arg)
{
	struct held_fault *fault = arg;
	struct kvm_pre_fault_memory range = {
		.gpa = STORM_GPA + fault->page * PAGE_SIZE,
		.size = PAGE_SIZE,
	};

	fault->result = __vcpu_ioctl(storm.vcpus[1], KVM_PRE_FAULT_MEMORY,
				     &range) ? errno : 0;
	fault->done = true;
	return NULL;
}

/*
 * A fault that began before a hole allocates its page in the middle of it, while
 * its frame becomes shared, or does not.  The hole takes the page along, for it
 * looks for more from its beginning until there is none; a fault that comes
 * later than that is left to chance, and to all_at_once.
 */
TEST(a_page_comes_while_its_range_is_punched)
{
	struct puppet_bpf *p;
	struct bpf_link *link;
	int round, met = 0, behind = 0;

	storm_begin(PAGES_MAX);
	p = new_puppet("holds", 0, 0, 0);
	link = attach(p);
	for (round = 0; round < 12; round++) {
		struct held_fault fault = {
			.page = round % 4 == 3 ? storm.pages - 1 : round,
		};
		pthread_t puncher, faulter;

		storm_convert(0, storm.pages, true);
		storm_fallocate(0, storm.pages, false);
		p->bss->faults = 0;
		p->bss->fault_hold = 1;
		ASSERT_EQ(pthread_create(&faulter, NULL, held_prefault, &fault), 0);
		while (!*(volatile __u64 *)&p->bss->faults)
			usleep(100);
		puncher = begin_to_punch();
		/* The first pages have gone. */
		while (punching && is_populated(12))
			;
		if (round % 3)
			storm_convert(0, storm.pages, false);
		p->bss->fault_hold = 0;
		/* One whose frame is private waits until the hole is done. */
		while (round % 3 && !fault.done)
			sched_yield();
		met += punching;
		pthread_join(puncher, NULL);
		pthread_join(faulter, NULL);
		EXPECT_EQ(fault.result, round % 3 ? EFAULT : 0);
		behind += is_populated(fault.page);
		storm_check("after the hole");
	}
	printf("# %d times meanwhile, %d pages stayed\n", met, behind);
	EXPECT_GT(met, 0);
	EXPECT_GT(behind, 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	storm_end();
}

/* A range becomes shared, and private again, while all of it is punched. */
TEST(what_is_punched_is_converted)
{
	int round, met = 0;

	storm_begin(PAGES_MAX);
	for (round = 0; round < 8; round++) {
		pthread_t puncher;

		storm_convert(0, storm.pages, round % 2);
		storm_fallocate(0, storm.pages, false);
		puncher = begin_to_punch();
		do {
			storm_convert(0, storm.pages, !(round % 2));
			storm_convert(100, storm.pages - 200, round % 2);
			met += punching;
		} while (punching);
		pthread_join(puncher, NULL);
		storm_check("after the hole");
		EXPECT_EQ(usage().stale_pages, 0);
	}
	printf("# %d times meanwhile\n", met);
	EXPECT_GT(met, 0);
	storm_end();
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
