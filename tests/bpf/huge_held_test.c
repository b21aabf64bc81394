// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios that somebody has: nothing is done by half, and what breaks is gone for
 * the guest.  See tests/kvm/huge for the module that holds them.
 */
#include "huge_fixture.h"
#include "../kvm/frames.h"

/* References */

#define DEVICE	"/dev/kvm-gmem-consumer"

static int command(int device, const char *format, int number)
{
	char line[64];
	int len = snprintf(line, sizeof(line), format, number);

	return write(device, line, len) == len ? 0 : errno;
}

/* Nothing is done by half while somebody holds a piece. */
TEST_F(huge, somebody_holds_a_piece)
{
	int device = open(DEVICE, O_RDWR);
	struct gmem_vm_sample before;
	uint64_t at;

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 71));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", PER_HUGE + 9));
	before = usage();

	EXPECT_EQ(EAGAIN, hole(self, PER_HUGE + 1, 3));
	EXPECT_EQ(EAGAIN, hole(self, 0, PER_HUGE + 1));
	EXPECT_EQ(EAGAIN, hole(self, PER_HUGE + 100, PER_HUGE));
	EXPECT_EQ(EAGAIN, turn(self, PER_HUGE + 1, 3, false));
	EXPECT_EQ(EAGAIN, turn(self, 0, PER_HUGE + 1, false));
	if (self->in_place) {
		EXPECT_EQ(EAGAIN, set_attributes_at(self->fd,
						    (PER_HUGE + 7) * PAGE_SIZE,
						    PAGE_SIZE, 0, &at));
		EXPECT_EQ((PER_HUGE + 7) * PAGE_SIZE, at);
	}
	EXPECT_EQ(before.conversions_held + (self->in_place ? 3 : 2),
		  usage().conversions_held);
	/* What would change nothing needs no split. */
	EXPECT_EQ(0, turn(self, PER_HUGE + 1, 3, true));
	EXPECT_EQ(before.private_pages, usage().private_pages);
	EXPECT_EQ(before.conversions, usage().conversions);
	/* In place all of a range is split, from its start on, until one is held. */
	EXPECT_EQ(before.huge_splits + self->in_place, usage().huge_splits);
	EXPECT_EQ(before.pages_to_shared, usage().pages_to_shared);
	EXPECT_EQ(before.populated_pages, usage().populated_pages);
	EXPECT_EQ(0, usage().stale_pages);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 71));
	/* One that goes as a whole need not be split. */
	EXPECT_EQ(0, hole(self, PER_HUGE, PER_HUGE));
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 71));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE, PER_HUGE, 0));

	ASSERT_EQ(0, command(device, "drop", 0));
	EXPECT_EQ(0, run(self, WRITE, PER_HUGE, PER_HUGE, 71));
	EXPECT_EQ(0, hole(self, PER_HUGE + 1, 3));
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE + 1, 71));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 1, 3, 0));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 4, PER_HUGE, 71));
	close(device);
}

static void *drop_soon(void *arg)
{
	usleep(300000);
	MUST(!command(*(int *)arg, "drop", 0), "drop: %s", strerror(errno));
	return NULL;
}

/* VMMs take it as final if the VM's ioctl fails. */
TEST_F(huge, somebody_holds_a_piece_for_a_moment)
{
	int device = open(DEVICE, O_RDWR);
	pthread_t thread;

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	if (self->in_place)
		SKIP(return, "the guest_memfd's ioctl says who is in the way");
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 72));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", PER_HUGE + 9));
	ASSERT_EQ(0, pthread_create(&thread, NULL, drop_soon, &device));
	EXPECT_EQ(0, turn(self, PER_HUGE + 1, 3, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, usage().conversions_held);
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_EQ(3, usage().stale_pages);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE + 1, 72));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 4, PER_HUGE, 72));
	close(device);
}

/* A small page that is held is not merged, and waits. */
TEST_F(huge, a_page_that_is_held_is_not_merged)
{
	int device = open(DEVICE, O_RDWR);

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	ASSERT_EQ(0, allocate(self, 1, PER_HUGE - 1));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", 9));
	EXPECT_EQ(0, run(self, WRITE, 0, PER_HUGE, 81));
	sleep(1);
	EXPECT_EQ(0, usage().huge_pages);
	EXPECT_EQ(0, usage().huge_merges);
	EXPECT_EQ(1, usage().huge_waiting);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 81));
	ASSERT_EQ(0, command(device, "drop", 0));
	await_huge(PER_HUGE);
	EXPECT_EQ(1, usage().huge_merges);
	EXPECT_EQ(0, usage().huge_waiting);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 81));
	close(device);
}

/* Merging while the guest writes and the VMM converts, all the time. */
static void *toggle(void *arg)
{
	FIXTURE_DATA(huge) *self = arg;
	int i, r;

	for (i = 0; i < 60; i++) {
		r = turn(self, i % NR_HUGE * PER_HUGE + 5, 1, false);
		MUST(!r || r == EAGAIN, "to shared: %s", strerror(r));
		do {
			r = turn(self, i % NR_HUGE * PER_HUGE + 5, 1, true);
		} while (r == EAGAIN);
		MUST(!r, "to private: %s", strerror(r));
		usleep(50000);
	}
	return NULL;
}

TEST_F(huge, the_guest_never_sees_anything_else)
{
	pthread_t thread;
	int i;

	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, toggle, self));
	/* Without the pages that may be shared just then. */
	for (i = 0; i < 40; i++) {
		uint64_t first = i % NR_HUGE * PER_HUGE + 6;

		EXPECT_EQ(0, run(self, CHECK, first, PER_HUGE - 6, i / NR_HUGE + 1));
		EXPECT_EQ(0, run(self, WRITE, first, PER_HUGE - 6,
				 i / NR_HUGE + 2));
		usleep(30000);
	}
	pthread_join(thread, NULL);
	for (i = 0; i < NR_HUGE; i++)
		EXPECT_EQ(0, run(self, CHECK, i * PER_HUGE + 6, PER_HUGE - 6,
				 40 / NR_HUGE + 1));
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_LT(0, usage().huge_merges);
	EXPECT_EQ(usage().huge_merges, usage().huge_splits);
}

/* Memory failure */

static uint64_t broken_pfn;

/* Breaks a page of the first piece; the errno. */
static int break_page(FIXTURE_DATA(huge) *self, uint64_t page)
{
	uint64_t pfns[4] = {};
	char text[32];

	frames_trace();
	MUST(!run(self, WRITE, 0, BIG_PAGES, 61), "the guest reads something else");
	MUST(frames_read(BIG_GPA / PAGE_SIZE, 1, pfns) >= 1 && pfns[0],
	     "no frame is traced");
	broken_pfn = pfns[0] + page;
	snprintf(text, sizeof(text), "%lu", broken_pfn);
	return write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
}

/* All but one page are as they were; that one the guest cannot have. */
#define EXPECT_BROKEN(self, broken) do {				\
	EXPECT_EQ(0, run(self, CHECK, 0, broken, 61));			\
	EXPECT_EQ(0, run(self, CHECK, (broken) + 1, BIG_PAGES - (broken) - 1, 61)); \
	job.page = broken;						\
	job.nr = 1;							\
	sync_global_to_guest((self)->vm, job);				\
	EXPECT_EQ(-1, _vcpu_run((self)->vcpu));				\
	EXPECT_EQ(EHWPOISON, errno);					\
} while (0)

TEST_F(huge, a_page_breaks)
{
	int r = break_page(self, 5);

	ASSERT_TRUE(!r || r == EBUSY) TH_LOG("%s", strerror(r));
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES - PER_HUGE, 0);
	EXPECT_BROKEN(self, 5);
}

/* Breaks a page of the first piece, which a consumer has; -1, or the consumer. */
static int break_held_page(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
			   uint64_t page)
{
	int device = open(DEVICE, O_RDWR);

	if (device < 0)
		SKIP(return -1, "see tests/kvm/huge");
	EXPECT_EQ(0, allocate(self, 0, PER_HUGE));
	EXPECT_EQ(0, command(device, "attach %d", self->fd));
	EXPECT_EQ(0, command(device, "hold %d", 40));
	EXPECT_EQ(EHWPOISON, break_page(self, page));
	return device;
}

/* The kernel gives up if somebody has a piece; it is split later. */
static void break_held(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
		       uint64_t page)
{
	int device = break_held_page(_metadata, self, page), i;

	if (device < 0)
		return;
	sleep(1);
	EXPECT_EQ(0, usage().huge_splits);
	EXPECT_BROKEN(self, page);
	EXPECT_EQ(0, usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]);
	/* It would go as a whole, with the broken page in it. */
	EXPECT_EQ(EAGAIN, hole(self, 0, PER_HUGE));

	ASSERT_EQ(0, command(device, "drop", 0));
	for (i = 0; i < 100 && !usage().huge_splits; i++)
		usleep(100000);
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES - PER_HUGE, 0);
	EXPECT_EQ(1, usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]);
	close(device);
}

TEST_F(huge, a_page_breaks_that_somebody_holds)
{
	break_held(_metadata, self, 5);
}

/* Its mark is the folio's, too. */
TEST_F(huge, the_first_page_breaks_that_somebody_holds)
{
	break_held(_metadata, self, 0);
}

/*
 * What was let go last is what the next one gets, on the same CPU: the guest's new
 * pieces would be the old ones.
 */
static void expect_not_again(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self)
{
	uint64_t pfns[BIG_PAGES], i;

	frames_trace();
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 63));
	EXPECT_LE(1, frames_read(BIG_GPA / PAGE_SIZE, BIG_PAGES, pfns));
	for (i = 0; i < BIG_PAGES; i++)
		EXPECT_TRUE(!pfns[i] || broken_pfn - (pfns[i] & ~(PER_HUGE - 1)) >= PER_HUGE);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 63));
}

TEST_F(huge, a_hole_for_what_has_a_broken_page)
{
	int device = break_held_page(_metadata, self, 5);

	if (device < 0)
		return;
	ASSERT_EQ(0, command(device, "drop", 0));
	EXPECT_EQ(0, hole(self, 0, PER_HUGE));
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES - PER_HUGE, BIG_PAGES - PER_HUGE, 0);
	expect_not_again(_metadata, self);
	close(device);
}

TEST_F(huge, a_file_goes_that_has_a_broken_page)
{
	int device = break_held_page(_metadata, self, 5);

	if (device < 0)
		return;
	unbind(self, BIG_GPA);
	munmap(self->mem, BIG_SIZE);
	ASSERT_EQ(0, command(device, "drop", 0));
	close(device);
	close(self->fd);
	self->fd = create_sized(self->vm, BIG_SIZE, GUEST_MEMFD_FLAG_HUGE_PAGES |
				(self->in_place ? GUEST_MEMFD_FLAG_MMAP : 0), 0);
	ASSERT_LE(0, self->fd);
	self->mem = reserve(self->fd, self->in_place);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	expect_not_again(_metadata, self);
}

TEST_HARNESS_MAIN
