// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that somebody in the kernel has: a consumer that lets go is asked first, one
 * that refuses keeps them, and who only has a reference is in the way.  See
 * tests/kvm/consumer for the module that has them.
 */
#include "migrate_fixture.h"

#define DEVICE	"/dev/kvm-gmem-consumer"

FIXTURE(held) {
	struct guest guest;
	int device;
};

FIXTURE_VARIANT(held) {
	enum kind kind;
	uint64_t pages;
	uint64_t unit;	/* pages of a folio */
};

FIXTURE_VARIANT_ADD(held, shared) {
	.kind = SHARED,
	.pages = SMALL_PAGES,
	.unit = 1,
};

FIXTURE_VARIANT_ADD(held, private) {
	.kind = PRIVATE,
	.pages = SMALL_PAGES,
	.unit = 1,
};

FIXTURE_VARIANT_ADD(held, huge) {
	.kind = IN_HUGE_FOLIOS,
	.pages = HUGE_PAGES,
	.unit = PER_HUGE,
};

static int command(int device, const char *format, int number)
{
	char line[64];
	int len = snprintf(line, sizeof(line), format, number);

	return write(device, line, len) == len ? 0 : errno;
}

/* What the consumer has counted by that name. */
static long told(int device, const char *name)
{
	char text[512] = "", *at;

	MUST(read(device, text, sizeof(text) - 1) > 0, "cannot read the consumer");
	for (at = text; (at = strstr(at, name)); at++) {
		if ((at == text || at[-1] == ' ') && at[strlen(name)] == '=')
			return atol(at + strlen(name) + 1);
	}
	MUST(false, "the consumer knows no %s", name);
	return -1;
}

FIXTURE_SETUP(held)
{
	struct guest *g = &self->guest;

	self->device = open(DEVICE, O_RDWR);
	if (self->device < 0)
		SKIP(return, "see tests/kvm/consumer");
	guest_begin(g, variant->kind, variant->pages, 0);
	MUST(!allocate(g, 0, g->pages), "cannot allocate its memory");
	move_all(g, 0);
	guest_start(g);
	EXPECT_TRUE(guest_is_fine(g));
	MUST(!command(self->device, "attach %d", g->fd), "attach: %s", strerror(errno));
}

FIXTURE_TEARDOWN(held)
{
	struct guest *g = &self->guest;

	if (!g->vm)
		return;
	/* Each beginning has had its end. */
	EXPECT_EQ(0, told(self->device, "open"));
	close(self->device);
	EXPECT_TRUE(guest_is_fine(g));
	EXPECT_EQ(0, guest_stop(g));
	guest_end(g);
}

/* Once, of the folio that page 5 is in. */
static struct move_request move_it(struct guest *g, uint64_t unit)
{
	struct move_request request;
	int r;

	request = move_once(g->vm_id, 5 / unit * unit, unit, 1, &r);
	MUST(!r, "cannot move: %s", strerror(-r));
	return request;
}

/* Until the guest has it no more, which it may have for a moment. */
static struct move_request move_it_patiently(struct guest *g, uint64_t unit)
{
	struct move_request request;
	int tries = 0;

	do {
		request = move_it(g, unit);
	} while (request.pages[MOVED_HELD] && tries++ < 1000);
	return request;
}

TEST_F(held, a_reference_is_in_the_way)
{
	struct guest *g = &self->guest;
	struct moves before, after;

	ASSERT_EQ(0, command(self->device, "hold %d", 5));
	before = moves_of(g->vm_id);
	EXPECT_EQ(variant->unit, move_it(g, variant->unit).pages[MOVED_HELD]);
	after = moves_of(g->vm_id);
	EXPECT_EQ(before.refused[REFUSED_HELD] + 1, after.refused[REFUSED_HELD]);
	EXPECT_EQ(all_refused(&before) + 1, all_refused(&after));
	EXPECT_EQ(before.moved_pages, after.moved_pages);
	/* The guest has not lost it. */
	EXPECT_EQ(before.invalidations, after.invalidations);
	EXPECT_EQ(g->pages, usage().node_pages[0]);
	/* The consumer was told that it begins, and that it came to nothing. */
	EXPECT_EQ(1, told(self->device, "migration"));
	EXPECT_EQ(0, told(self->device, "ended_migration"));
	EXPECT_EQ(1, told(self->device, "undone"));

	ASSERT_EQ(0, command(self->device, "drop", 0));
	EXPECT_EQ(variant->unit, move_it_patiently(g, variant->unit).pages[MOVED_NOW]);
	EXPECT_EQ(variant->unit, usage().node_pages[1]);
	EXPECT_EQ(1, told(self->device, "ended_migration"));
}

/* And needs no reference, or the page could not be moved. */
TEST_F(held, who_waits_for_a_locked_page_can_be_killed)
{
	struct guest *g = &self->guest;
	int status = 0, tries, r = 0;
	pid_t pid;

	ASSERT_EQ(0, command(self->device, "hold %d", 5));
	ASSERT_EQ(0, command(self->device, "lock", 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		allocate(g, 5, 1);
		_exit(0);
	}
	usleep(300000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	for (tries = 0; tries < 200 && !r; tries++) {
		r = waitpid(pid, &status, WNOHANG);
		usleep(50000);
	}
	EXPECT_EQ(pid, r) TH_LOG("it waits for the lock");
	EXPECT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, command(self->device, "drop", 0));
	EXPECT_EQ(0, allocate(g, 5, 1));
	waitpid(pid, &status, 0);
}

/* Only what is shared can a consumer have. */
#define HAS_PAGE_5(self, variant) do {					\
	if ((variant)->kind != SHARED)					\
		SKIP(return, "a consumer has no private pages");	\
	ASSERT_EQ(0, command((self)->device, "pin %d", 5));		\
	ASSERT_EQ(1, told((self)->device, "pages"));			\
} while (0)

TEST_F(held, a_consumer_refuses)
{
	struct guest *g = &self->guest;
	struct moves before, after;
	int tries;

	HAS_PAGE_5(self, variant);
	ASSERT_EQ(0, command(self->device, "refuse %d", 1));
	/* Even one that would let go. */
	ASSERT_EQ(0, command(self->device, "revoke %d", 1));
	before = moves_of(g->vm_id);
	for (tries = 0; tries < 3; tries++)
		EXPECT_EQ(1, move_it(g, 1).pages[MOVED_REFUSED]);
	after = moves_of(g->vm_id);
	EXPECT_EQ(before.refused[REFUSED_CONSUMER] + 3, after.refused[REFUSED_CONSUMER]);
	EXPECT_EQ(all_refused(&before) + 3, all_refused(&after));
	EXPECT_EQ(before.invalidations, after.invalidations);
	EXPECT_EQ(g->pages, usage().node_pages[0]);
	EXPECT_EQ(1, told(self->device, "pages"));
	/* The other pages go. */
	for (tries = 0; tries < 1000 && usage().node_pages[1] < g->pages - 1; tries++)
		move_once(g->vm_id, 0, g->pages, 1, &(int){0});
	EXPECT_EQ(g->pages - 1, usage().node_pages[1]);
	EXPECT_EQ(1, usage().node_pages[0]);
	/* When it has no page it has nothing to refuse. */
	ASSERT_EQ(0, command(self->device, "unpin %d", 5));
	EXPECT_EQ(1, move_it_patiently(g, 1).pages[MOVED_NOW]);
	EXPECT_EQ(g->pages, usage().node_pages[1]);
}

TEST_F(held, a_consumer_lets_go)
{
	struct guest *g = &self->guest;
	struct move_request request;

	HAS_PAGE_5(self, variant);
	ASSERT_EQ(0, command(self->device, "revoke %d", 1));
	request = move_it_patiently(g, 1);
	EXPECT_EQ(1, request.pages[MOVED_NOW]);
	EXPECT_EQ(1, usage().node_pages[1]);
	EXPECT_EQ(0, told(self->device, "pages"));
	EXPECT_EQ(1, told(self->device, "ended_migration"));
	EXPECT_EQ(0, moves_of(g->vm_id).refused[REFUSED_CONSUMER]);
	/* It finds the new one. */
	ASSERT_EQ(0, command(self->device, "pin %d", 5));
	EXPECT_TRUE(guest_is_fine(g));
}

/* It neither lets go nor refuses: a reference as any other. */
TEST_F(held, a_consumer_keeps_it)
{
	struct guest *g = &self->guest;
	struct moves before, after;

	HAS_PAGE_5(self, variant);
	before = moves_of(g->vm_id);
	EXPECT_EQ(1, move_it(g, 1).pages[MOVED_HELD]);
	after = moves_of(g->vm_id);
	EXPECT_EQ(before.refused[REFUSED_HELD] + 1, after.refused[REFUSED_HELD]);
	EXPECT_EQ(g->pages, usage().node_pages[0]);
	EXPECT_EQ(1, told(self->device, "undone"));
	EXPECT_EQ(1, told(self->device, "pages"));
	EXPECT_TRUE(guest_is_fine(g));
}

/* Of all who have the file, each is asked, and those that were told are told the end. */
TEST_F(held, another_consumer_refuses)
{
	struct guest *g = &self->guest;
	int other = open(DEVICE, O_RDWR);

	HAS_PAGE_5(self, variant);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, command(other, "attach %d", g->fd));
	ASSERT_EQ(0, command(self->device, "refuse %d", 1));
	EXPECT_EQ(1, move_it(g, 1).pages[MOVED_REFUSED]);
	EXPECT_EQ(told(other, "migration"), told(other, "undone"));
	EXPECT_EQ(0, told(other, "open"));
	EXPECT_EQ(0, told(other, "ended_migration"));
	close(other);
}

/* mm asks in the same way, if it has the time. */
TEST_F(held, the_host_moves_what_a_consumer_has)
{
	struct guest *g = &self->guest;
	char *at = g->mem + 5 * PAGE_SIZE;
	int node = 1, status = -1, tries;
	struct moves before;
	long r = 1;

	HAS_PAGE_5(self, variant);
	(void)*(volatile char *)at;
	ASSERT_EQ(0, command(self->device, "refuse %d", 1));
	before = moves_of(g->vm_id);
	EXPECT_NE(0, syscall(__NR_move_pages, 0, 1, &at, &node, &status, MPOL_MF_MOVE));
	EXPECT_EQ(g->pages, usage().node_pages[0]);
	ASSERT_EQ(0, command(self->device, "refuse %d", 0));
	ASSERT_EQ(0, command(self->device, "revoke %d", 1));
	/*
	 * mm sees that somebody has it before it asks: who only lets go when it is asked
	 * may keep a page from it.
	 */
	for (tries = 0; tries < 100 && r; tries++)
		r = syscall(__NR_move_pages, 0, 1, &at, &node, &status, MPOL_MF_MOVE);
	EXPECT_EQ(0, r);
	EXPECT_EQ(1, status);
	EXPECT_EQ(1, usage().node_pages[1]);
	EXPECT_EQ(before.moved_pages + 1, moves_of(g->vm_id).moved_pages);
	EXPECT_EQ(0, told(self->device, "pages"));
}

int main(int argc, char **argv)
{
	return run_migrate_tests(argc, argv);
}
