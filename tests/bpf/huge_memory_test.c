// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios when memory is short: there is none, it is in pieces, or an allocation
 * fails.  The guest's memory is right all the time, and so are the counts.
 */
#include "huge_fixture.h"

/* The host's memory in pieces */

#define UNEVICTABLE	"/proc/sys/vm/compact_unevictable_allowed"
#define HUGETLB		"/proc/sys/vm/nr_hugepages"
/* What the host keeps, and what comes free by single pages. */
#define SPARE		(384ULL << 20)
#define CRUMBS		(128ULL << 20)

static uint64_t free_memory(void)
{
	return sysconf(_SC_AVPHYS_PAGES) * PAGE_SIZE;
}

struct hog {
	char *mem;
	uint64_t size;
	int fd;
};

/* No two pages beside each other are free, and none of the others can be moved. */
static struct hog shatter_memory(void)
{
	struct hog hog = { .size = free_memory() - SPARE };
	uint64_t at;
	int tries;

	must_write(UNEVICTABLE, "0");
	hog.fd = memfd_create("hog", 0);
	MUST(hog.fd >= 0 && !ftruncate(hog.fd, hog.size), "memfd: %s",
	     strerror(errno));
	hog.mem = mmap(NULL, hog.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       hog.fd, 0);
	MUST(hog.mem != MAP_FAILED && !mlock(hog.mem, hog.size), "mlock: %s",
	     strerror(errno));
	/* All that is left in large pieces, before there are others. */
	must_write(HUGETLB, "4096");
	for (at = 0; at < 2 * CRUMBS; at += 2 * PAGE_SIZE) {
		MUST(!fallocate(hog.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				at, PAGE_SIZE), "hole: %s", strerror(errno));
	}
	/* And those that can be made of these. */
	for (tries = 0; tries < 3; tries++)
		must_write(HUGETLB, "4096");
	return hog;
}

static void give_back(struct hog *hog)
{
	munmap(hog->mem, hog->size);
	close(hog->fd);
	must_write(HUGETLB, "0");
	must_write(UNEVICTABLE, "1");
}

TEST_F(huge, memory_in_pieces)
{
	struct hog hog = shatter_memory();
	struct gmem_vm_sample u;
	uint64_t none;
	int tries;

	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 91));
	u = usage();
	EXPECT_EQ(BIG_PAGES, u.populated_pages);
	/* A page of the kernel's own that comes free can complete a piece. */
	none = NR_HUGE - u.huge_pages / PER_HUGE;
	EXPECT_LT(0, none);
	EXPECT_EQ(BIG_PAGES - none * PER_HUGE, u.huge_pages);
	/* The first page of each for that, and the others since one was there. */
	EXPECT_EQ(none, u.huge_fallbacks[GMEM_HUGE_MEMORY]);
	EXPECT_EQ(none * (PER_HUGE - 1), u.huge_fallbacks[GMEM_HUGE_PRESENT]);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 91));
	for (tries = 0; tries < 100 && usage().huge_waiting < none; tries++)
		usleep(100000);
	/* One that waits may find such a piece. */
	u = usage();
	EXPECT_EQ(none, u.huge_waiting + u.huge_merges);
	EXPECT_LT(0, u.huge_waiting);

	give_back(&hog);
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(none, usage().huge_merges);
	EXPECT_EQ(0, usage().huge_waiting);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 91));
}

/* Each allocation of an operation fails once */

#define FAIL_PAGES	"/sys/kernel/debug/fail_page_alloc/"
#define FAIL_SLAB	"/sys/kernel/debug/failslab/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define FAIL_MOST	400

static bool can_fail(void)
{
	return !access(FAIL_NTH, W_OK) && !access(FAIL_SLAB, X_OK);
}

/* User pages, too, and those that may wait. */
static void fail_everything(void)
{
	must_write(FAIL_PAGES "ignore-gfp-highmem", "N");
	must_write(FAIL_PAGES "ignore-gfp-wait", "N");
	must_write(FAIL_PAGES "min-order", "0");
	must_write(FAIL_PAGES "verbose", "0");
	must_write(FAIL_SLAB "ignore-gfp-wait", "N");
	must_write(FAIL_SLAB "verbose", "0");
}

enum operation { PREFAULT, ALLOCATE, SHARE_PART, UNSHARE_PART, SHARE_ALL, HOLE, BIND };

static int prefault_all(FIXTURE_DATA(huge) *self)
{
	struct kvm_pre_fault_memory range = {
		.gpa = BIG_GPA,
		.size = BIG_SIZE,
	};

	return __vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
}

/* Nothing but the ioctl: the library's function opens /dev/kvm first. */
static int bind_again(FIXTURE_DATA(huge) *self)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = BIG_SLOT,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = BIG_GPA,
		.memory_size = BIG_SIZE,
		.userspace_addr = (uintptr_t)self->mem,
		.guest_memfd = self->fd,
	};

	return ioctl(self->vm->fd, KVM_SET_USER_MEMORY_REGION2, &region) ? errno : 0;
}

static int operate(FIXTURE_DATA(huge) *self, enum operation what)
{
	switch (what) {
	case PREFAULT:
		return prefault_all(self);
	case ALLOCATE:
		return allocate(self, 0, BIG_PAGES);
	case SHARE_PART:
		return turn(self, PER_HUGE + 3, PER_HUGE, false);
	case UNSHARE_PART:
		return turn(self, PER_HUGE + 103, PER_HUGE / 2, true);
	case SHARE_ALL:
		return turn(self, 0, BIG_PAGES, false);
	case HOLE:
		return hole(self, 5, 2 * PER_HUGE);
	case BIND:
		return bind_again(self);
	}
	return EINVAL;
}

/* As the operation needs it: contents and attributes. */
static void prepare(FIXTURE_DATA(huge) *self, enum operation what)
{
	MUST(!turn(self, 0, BIG_PAGES, true), "to private: %s", strerror(errno));
	MUST(!hole(self, 0, BIG_PAGES), "hole: %s", strerror(errno));
	if (what != PREFAULT && what != ALLOCATE)
		MUST(!run(self, WRITE, 0, BIG_PAGES, 17), "the guest's pages");
	if (what == UNSHARE_PART)
		MUST(!operate(self, SHARE_PART), "to shared: %s", strerror(errno));
	if (what == BIND)
		unbind(self, BIG_GPA);
}

/* What the guest finds after it, whether it has succeeded or not. */
static void check(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
		  enum operation what, int r)
{
	const uint64_t first = PER_HUGE + 3, end = 2 * PER_HUGE + 3;
	struct gmem_vm_sample u;

	if (what == BIND && r)
		MUST(!bind_again(self), "memslot: %s", strerror(errno));
	MUST(!turn(self, 0, BIG_PAGES, true), "to private: %s", strerror(errno));
	switch (what) {
	case PREFAULT:
	case ALLOCATE:
		EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 0));
		break;
	case SHARE_PART:
	case UNSHARE_PART:
	case BIND:
		EXPECT_EQ(0, run(self, CHECK, 0, first, 17));
		EXPECT_EQ(0, run(self, CHECK, first, end - first, 17));
		EXPECT_EQ(0, run(self, CHECK, end, BIG_PAGES - end, 17));
		break;
	case SHARE_ALL:
		EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 17));
		break;
	case HOLE:
		EXPECT_EQ(0, run(self, CHECK, 0, 5, 17));
		EXPECT_EQ(0, run(self, CHECK, 5, 2 * PER_HUGE, r ? 17 : 0));
		EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE + 5,
				 BIG_PAGES - 2 * PER_HUGE - 5, 17));
		break;
	}
	u = usage();
	EXPECT_EQ(BIG_PAGES, u.populated_pages);
	EXPECT_EQ(BIG_PAGES, u.allocated_pages - u.freed_pages);
	EXPECT_EQ(BIG_PAGES, blocks(self));
	EXPECT_EQ(BIG_PAGES, nodes_sum(&u));
	EXPECT_EQ(0, u.stale_pages);
}

/* Returns whether as many allocations were made. */
static bool fail_at(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
		    enum operation what, int nth, int *failed)
{
	char text[16] = {};
	int fd = open(FAIL_NTH, O_RDWR), r;

	MUST(fd >= 0, FAIL_NTH);
	prepare(self, what);
	snprintf(text, sizeof(text), "%d", nth);
	MUST(pwrite(fd, text, strlen(text), 0) > 0, FAIL_NTH);
	r = operate(self, what);
	memset(text, 0, sizeof(text));
	MUST(pread(fd, text, sizeof(text) - 1, 0) > 0, FAIL_NTH);
	MUST(pwrite(fd, "0", 1, 0) == 1, FAIL_NTH);
	close(fd);

	EXPECT_TRUE(!r || r == ENOMEM || r == EAGAIN)
		TH_LOG("operation %d, allocation %d: %s", what, nth, strerror(r));
	*failed += !!r;
	check(_metadata, self, what, r);

	return !atoi(text);
}

static void fail_each(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
		      enum operation what)
{
	int nth, failed = 0;

	if (!can_fail())
		SKIP(return, "a kernel with fault injection, as the debug kernel");
	fail_everything();
	for (nth = 1; nth < FAIL_MOST; nth++) {
		if (!fail_at(_metadata, self, what, nth, &failed))
			break;
	}
	TH_LOG("%d allocations, %d of which make it fail", nth - 1, failed);
	/* What is shared already, or as a whole by the VM, has its place in the map. */
	if (what == UNSHARE_PART || (what == SHARE_ALL && !self->in_place)) {
		EXPECT_EQ(1, nth);
	} else {
		EXPECT_LT(1, nth);
	}
	EXPECT_GT(FAIL_MOST, nth);
}

TEST_F(huge, prefault_without_memory)
{
	fail_each(_metadata, self, PREFAULT);
}

TEST_F(huge, fallocate_without_memory)
{
	fail_each(_metadata, self, ALLOCATE);
}

TEST_F(huge, to_shared_without_memory)
{
	fail_each(_metadata, self, SHARE_PART);
}

TEST_F(huge, to_private_without_memory)
{
	fail_each(_metadata, self, UNSHARE_PART);
}

TEST_F(huge, all_to_shared_without_memory)
{
	fail_each(_metadata, self, SHARE_ALL);
}

TEST_F(huge, hole_without_memory)
{
	fail_each(_metadata, self, HOLE);
}

TEST_F(huge, memslot_without_memory)
{
	fail_each(_metadata, self, BIND);
}

TEST_HARNESS_MAIN
