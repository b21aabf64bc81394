// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that the host has mapped, too, and that it moves by its own mapping, as any
 * other memory of a process; and who else looks for memory to move or to take, and
 * leaves it alone.  Guest and host both look at it and write to it all the time.
 */
#include <sched.h>

#include "migrate_fixture.h"
#include "../kvm/hold.h"

FIXTURE(mapped) {
	struct guest guest;
	uint64_t pages;	/* that are shared */
	pthread_t thread;
	bool stop;
	uint64_t passes, wrong;
};

FIXTURE_VARIANT(mapped) {
	enum kind kind;
};

FIXTURE_VARIANT_ADD(mapped, shared) {
	.kind = SHARED,
};

/* Half of it is private. */
FIXTURE_VARIANT_ADD(mapped, in_place) {
	.kind = PRIVATE,
};

/* The host's word in a page is not the guest's. */
static volatile uint64_t *host_word(FIXTURE_DATA(mapped) *self, uint64_t page)
{
	return (uint64_t *)(self->guest.mem + page * PAGE_SIZE) + (page + 256) % 512;
}

/* As the guest does. */
static void *host_looks(void *arg)
{
	FIXTURE_DATA(mapped) *self = arg;
	uint64_t page, i;

	for (i = 0; !*(volatile bool *)&self->stop; i++) {
		for (page = 0; page < self->pages; page++) {
			uint64_t expected = i ? i << 32 | (page + 1) : 0;

			if (*host_word(self, page) != expected && !self->wrong++)
				printf("# the host finds %#lx in page %lu, not %#lx\n",
				       *host_word(self, page), page, expected);
			*host_word(self, page) = (i + 1) << 32 | (page + 1);
		}
		__atomic_store_n(&self->passes, i + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static bool host_is_fine(FIXTURE_DATA(mapped) *self)
{
	uint64_t until = __atomic_load_n(&self->passes, __ATOMIC_ACQUIRE) + 2;

	while (__atomic_load_n(&self->passes, __ATOMIC_ACQUIRE) < until)
		usleep(1000);
	return !self->wrong;
}

FIXTURE_SETUP(mapped)
{
	struct guest *g = &self->guest;

	if (variant->kind == PRIVATE &&
	    !kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES))
		SKIP(return, "kvm.gmem_in_place_conversion is off");
	guest_begin(g, variant->kind, SMALL_PAGES, 0);
	self->pages = variant->kind == PRIVATE ? g->pages / 2 : g->pages;
	if (variant->kind == PRIVATE)
		MUST(!turn(g, 0, self->pages, false), "cannot share half of it");
	MUST(!allocate(g, 0, g->pages), "cannot allocate its memory");
	move_all(g, 0);
	guest_start(g);
	MUST(!pthread_create(&self->thread, NULL, host_looks, self),
	     "cannot start a thread");
	EXPECT_TRUE(host_is_fine(self));
}

FIXTURE_TEARDOWN(mapped)
{
	struct guest *g = &self->guest;

	if (!g->vm)
		return;
	EXPECT_TRUE(guest_is_fine(g));
	EXPECT_TRUE(host_is_fine(self));
	self->stop = true;
	pthread_join(self->thread, NULL);
	EXPECT_EQ(0, guest_stop(g));
	guest_end(g);
}

/* The node that a page is on as the host sees it, or a negative errno. */
static int node_of(const void *addr)
{
	int status = -EDOM;

	MUST(!syscall(__NR_move_pages, 0, 1, &addr, NULL, &status, 0),
	     "move_pages: %s", strerror(errno));
	return status;
}

/* Returns 0, how many pages have not been moved, or the negative errno. */
static int move_page(const void *addr, int node)
{
	int status = -EDOM;
	long r = syscall(__NR_move_pages, 0, 1, &addr, &node, &status, MPOL_MF_MOVE);

	if (r)
		return r < 0 ? -errno : r;
	return status == node ? 0 : status;
}

/* The guest, or the kernel, may have it for a moment. */
static int move_page_patiently(const void *addr, int node)
{
	int tries, r = 1;

	for (tries = 0; tries < 1000 && r > 0; tries++) {
		r = move_page(addr, node);
		if (r > 0)
			usleep(1000);
	}
	return r;
}

TEST_F(mapped, page_by_page)
{
	struct moves before = moves_of(self->guest.vm_id);
	uint64_t page;
	int round;

	for (round = 0; round < 6; round++) {
		int node = !(round % 2);

		for (page = 0; page < self->pages; page++) {
			char *at = self->guest.mem + page * PAGE_SIZE;

			ASSERT_EQ(0, move_page_patiently(at, node));
			if (!round)
				EXPECT_EQ(page + 1, usage().node_pages[1]);
		}
		EXPECT_EQ(node, node_of(self->guest.mem));
		EXPECT_EQ(self->pages, usage().node_pages[1] * !!node +
			  (usage().node_pages[0] - (self->guest.pages - self->pages)) *
			  !node);
		EXPECT_TRUE(guest_is_fine(&self->guest));
		EXPECT_TRUE(host_is_fine(self));
	}
	EXPECT_EQ(6 * self->pages, moves_of(self->guest.vm_id).moved_pages -
		  before.moved_pages);
}

/* All at once, and later pages follow the policy. */
TEST_F(mapped, mbind)
{
	unsigned long mask = 1 << 1;
	int tries, r = -1;

	for (tries = 0; tries < 1000 && r; tries++) {
		r = syscall(__NR_mbind, self->guest.mem, self->pages * PAGE_SIZE,
			    MPOL_BIND, &mask, 64, MPOL_MF_MOVE | MPOL_MF_STRICT);
		if (r)
			ASSERT_EQ(EIO, errno);
	}
	ASSERT_EQ(0, r);
	EXPECT_EQ(self->pages, usage().node_pages[1]);
	EXPECT_EQ(self->guest.pages - self->pages, usage().node_pages[0]);
}

/* As VMMs have it that want no memory of theirs to be swapped. */
TEST_F(mapped, locked_memory_moves)
{
	ASSERT_EQ(0, mlock2(self->guest.mem, self->guest.pages * PAGE_SIZE,
			    MLOCK_ONFAULT));
	move_all(&self->guest, 1);
	EXPECT_ON_NODE(1, self->guest.pages);
	ASSERT_EQ(0, munlock(self->guest.mem, self->guest.pages * PAGE_SIZE));
	move_all(&self->guest, 0);
	EXPECT_ON_NODE(0, self->guest.pages);
}

/* What migratepages(8) does. */
TEST_F(mapped, migrate_pages)
{
	unsigned long from = 1, to = 2;
	int tries;

	for (tries = 0; tries < 1000 && usage().node_pages[1] < self->pages; tries++)
		ASSERT_LE(0, syscall(__NR_migrate_pages, 0, 64, &from, &to));
	EXPECT_EQ(self->pages, usage().node_pages[1]);
	EXPECT_EQ(self->guest.pages - self->pages, usage().node_pages[0]);
}

/* The host has no way to it by its mapping. */
TEST_F(mapped, what_is_private_is_not_there)
{
	struct moves before = moves_of(self->guest.vm_id);
	uint64_t page;

	for (page = self->pages; page < self->guest.pages; page++) {
		char *at = self->guest.mem + page * PAGE_SIZE;

		EXPECT_EQ(-ENOENT, node_of(at));
		EXPECT_EQ(-ENOENT, move_page(at, 1));
	}
	EXPECT_EQ(self->guest.pages, usage().node_pages[0]);
	EXPECT_EQ(before.moved_pages, moves_of(self->guest.vm_id).moved_pages);
}

/* By each way that a device or another program may have it. */
TEST_F(mapped, what_is_held_stays)
{
	uint64_t id = self->guest.vm_id;
	char *at = self->guest.mem + 5 * PAGE_SIZE;
	size_t way;

	for (way = 0; way < NR_HOLD_WAYS; way++) {
		const struct hold_way *w = &hold_ways[way];
		struct moves before, after;
		struct move_request request;
		struct hold hold;
		int r;

		/* A pin for long takes it from where all can be moved, maybe. */
		ASSERT_EQ(0, w->take(&hold, at)) TH_LOG("%s", w->name);
		ASSERT_EQ(0, node_of(at)) TH_LOG("%s", w->name);
		before = moves_of(id);
		EXPECT_NE(0, move_page(at, 1)) TH_LOG("%s", w->name);
		EXPECT_EQ(0, node_of(at));
		after = moves_of(id);
		EXPECT_EQ(before.moved_pages, after.moved_pages);
		/* mm may have looked itself. */
		EXPECT_EQ(all_refused(&after) - all_refused(&before),
			  after.refused[REFUSED_HELD] - before.refused[REFUSED_HELD]);

		before = after;
		request = move_once(id, 5, 1, 1, &r);
		EXPECT_EQ(0, r);
		EXPECT_EQ(1, request.pages[MOVED_HELD]) TH_LOG("%s", w->name);
		after = moves_of(id);
		EXPECT_EQ(before.refused[REFUSED_HELD] + 1, after.refused[REFUSED_HELD]);
		EXPECT_EQ(before.invalidations, after.invalidations);

		w->drop(&hold);
		ASSERT_EQ(0, move_page_patiently(at, 1)) TH_LOG("%s", w->name);
		ASSERT_EQ(0, move_page_patiently(at, 0));
	}
}

/* mm's errno, and no attempt of ours. */
TEST(unmovable)
{
	unsigned long mask = 1 << 1;
	struct guest g;
	uint64_t page;

	guest_begin(&g, SHARED, SMALL_PAGES, GUEST_MEMFD_FLAG_UNMOVABLE);
	guest_start(&g);
	for (page = 0; page < g.pages; page++)
		(void)*(volatile char *)(g.mem + page * PAGE_SIZE);
	EXPECT_TRUE(guest_is_fine(&g));
	for (page = 0; page < g.pages; page++) {
		int node = node_of(g.mem + page * PAGE_SIZE);

		ASSERT_LE(0, node);
		EXPECT_EQ(1, move_page(g.mem + page * PAGE_SIZE, !node));
		EXPECT_EQ(node, node_of(g.mem + page * PAGE_SIZE));
	}
	mask = 1 << !node_of(g.mem);
	EXPECT_EQ(-1, syscall(__NR_mbind, g.mem, g.pages * PAGE_SIZE, MPOL_BIND, &mask,
			      64, MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, moves_of(g.vm_id).moved_pages);
	EXPECT_EQ(0, moves_of(g.vm_id).invalidations);
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
}

/* Those that are not to move it */

/* All its memory is where it was, and nobody has tried. */
#define EXPECT_LEFT_ALONE(self, before) do {				\
	struct moves __after = moves_of((self)->guest.vm_id);		\
									\
	EXPECT_ON_NODE(0, (self)->guest.pages);				\
	EXPECT_EQ((before).moved_pages, __after.moved_pages);		\
	EXPECT_EQ(all_refused(&(before)), all_refused(&__after));	\
	EXPECT_EQ((before).invalidations, __after.invalidations);	\
} while (0)

/* Other memory of the process, of the same size and as often touched. */
static char *other_memory(uint64_t size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(mem != MAP_FAILED, "map memory");
	madvise(mem, size, MADV_NOHUGEPAGE);
	return mem;
}

/*
 * All that the host touches is on the other node than who touches it.  The test's
 * own memory is brought there, the guest's is not.
 */
TEST_F(mapped, numa_balancing_leaves_it)
{
	const uint64_t size = 64 * PAGE_SIZE;
	char *other = other_memory(size);
	struct moves before;
	uint64_t page, round;
	time_t end;

	memset(other, 1, size);
	for (page = 0; page < size / PAGE_SIZE; page++)
		ASSERT_EQ(0, move_page_patiently(other + page * PAGE_SIZE, 0));
	before = moves_of(self->guest.vm_id);
	must_write("/proc/sys/kernel/numa_balancing", "1");
	write_file("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "10");
	write_file("/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", "20");
	kvm_pin_this_task_to_pcpu(1);
	end = time(NULL) + 60;
	for (round = 0; node_of(other) != 1 && time(NULL) < end; round++) {
		for (page = 0; page < size / PAGE_SIZE; page++) {
			((volatile char *)other)[page * PAGE_SIZE]++;
			if (page < self->pages)
				(void)*host_word(self, page);
		}
	}
	/* It gets its turn after the other is there, at the latest. */
	end = time(NULL) + 2;
	while (time(NULL) < end) {
		for (page = 0; page < self->pages; page++)
			(void)*host_word(self, page);
	}
	must_write("/proc/sys/kernel/numa_balancing", "0");
	EXPECT_EQ(1, node_of(other)) TH_LOG("memory of the process is not balanced");
	EXPECT_LEFT_ALONE(self, before);
	munmap(other, size);
}

static long ksm(const char *name)
{
	char path[64];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	f = fopen(path, "r");
	MUST(f && fscanf(f, "%ld", &value) == 1 && !fclose(f), "cannot read %s", path);
	return value;
}

/* Pages of the process that are alike become one, those of the guest do not. */
TEST_F(mapped, ksm_leaves_it)
{
	const uint64_t size = 64 * PAGE_SIZE;
	char *other = other_memory(size);
	struct moves before = moves_of(self->guest.vm_id);
	long scans;
	time_t end;

	memset(other, 0x77, size);
	ASSERT_EQ(0, madvise(other, size, MADV_MERGEABLE));
	/* It says yes, and does nothing. */
	EXPECT_EQ(0, madvise(self->guest.mem, self->guest.pages * PAGE_SIZE,
			     MADV_MERGEABLE));
	must_write("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	must_write("/sys/kernel/mm/ksm/sleep_millisecs", "20");
	must_write("/sys/kernel/mm/ksm/run", "1");
	end = time(NULL) + 60;
	while (ksm("pages_sharing") < 60 && time(NULL) < end)
		usleep(10000);
	scans = ksm("full_scans");
	while (ksm("full_scans") < scans + 3 && time(NULL) < end)
		usleep(10000);
	EXPECT_LE(60, ksm("pages_sharing"));
	EXPECT_GE(64, ksm("pages_sharing") + ksm("pages_shared"));
	must_write("/sys/kernel/mm/ksm/run", "2");
	EXPECT_LEFT_ALONE(self, before);
	munmap(other, size);
}

/* Nothing can be written anywhere, and nothing is dropped. */
TEST_F(mapped, reclaim_leaves_it)
{
	struct guest *g = &self->guest;
	struct moves before;
	uint64_t populated;
	int i;

	enter_cgroup();
	/* New pages, of this group. */
	ASSERT_EQ(0, guest_stop(g));
	work.stop = work.passes = 0;
	self->stop = true;
	pthread_join(self->thread, NULL);
	self->stop = false;
	ASSERT_EQ(0, hole(g, 0, g->pages));
	ASSERT_EQ(0, allocate(g, 0, g->pages));
	move_all(g, 0);
	sync_global_to_guest(g->vm, work);
	self->passes = 0;
	guest_start(g);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, host_looks, self));
	EXPECT_TRUE(guest_is_fine(g));

	before = moves_of(g->vm_id);
	populated = usage().populated_pages;
	for (i = 0; i < 3; i++) {
		must_write("/proc/sys/vm/drop_caches", "3");
		/* There may be less than that: EAGAIN. */
		write_file(CGROUP "/memory.reclaim", "64M");
		EXPECT_TRUE(guest_is_fine(g));
		EXPECT_EQ(populated, usage().populated_pages);
	}
	EXPECT_EQ(0, usage().freed_pages - g->pages);
	EXPECT_LEFT_ALONE(self, before);
	/* Nor does the process lose it by what it may say itself. */
	madvise(g->mem, self->pages * PAGE_SIZE, MADV_PAGEOUT);
	madvise(g->mem, self->pages * PAGE_SIZE, MADV_COLD);
	EXPECT_EQ(populated, usage().populated_pages);
	EXPECT_EQ(before.moved_pages, moves_of(g->vm_id).moved_pages);
	must_write(CGROUPS "/cgroup.procs", "0");
	EXPECT_TRUE(guest_is_fine(g));
	leave_cgroup();
}

int main(int argc, char **argv)
{
	return run_migrate_tests(argc, argv);
}
