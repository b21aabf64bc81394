// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of bpf/include/gmem_toggles.h, run on the host with a clock of its
 * own.  Not here: the table under BPF, which tests/policies covers.
 */
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;

#include "gmem_toggles.h"
#include "kselftest_harness.h"

#define NSEC	1000000000ULL
#define MSEC	1000000ULL
#define BLOCK	(1ULL << GMEM_TOGGLE_BLOCK_SHIFT)

static const struct gmem_toggle_limit limit = {
	.window = 1000 * MSEC,
	.free = 8,
	.first = MSEC,
	.most = 100 * MSEC,
};

static u64 random_state = 88172645463325252ULL;

/* The same numbers in every run: a failure must come back. */
static u64 random_below(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

/* As a policy does it: how long to wait, and if not at all, note it. */
static u64 ask(struct gmem_toggles *t, u64 gfn, u64 attr, u64 now)
{
	struct gmem_toggle *e = &t->entries[gmem_toggles_find(t, gfn)];
	u64 wait = gmem_toggle_wait(e, &limit, gfn, attr, now);

	if (!wait)
		gmem_toggle_note(e, &limit, gfn, attr, now);
	return wait;
}

/* Turns a block as fast as it may, waking @late ns too late; returns how often. */
static u64 hammer(struct gmem_toggles *t, u64 gfn, u64 *now, u64 duration,
		  u64 late)
{
	u64 end = *now + duration, attr = 0, turns = 0, wait;

	while (*now < end) {
		wait = ask(t, gfn, attr, *now);
		if (wait) {
			*now += wait + late;
			continue;
		}
		attr ^= 1;
		turns++;
		*now += 1000;
	}
	return turns;
}

/* Is this block held back, whatever it was last? */
static bool is_held(struct gmem_toggles *t, u64 gfn, u64 now)
{
	return ask(t, gfn, 0, now) | ask(t, gfn, 1, now) | ask(t, gfn, 0, now);
}

TEST(first_turns_are_free)
{
	struct gmem_toggles t = {};
	u64 i;

	for (i = 0; i <= limit.free + 1; i++)
		EXPECT_EQ(ask(&t, 0, i & 1, 1 + i), 0);
	EXPECT_NE(ask(&t, 0, i & 1, 1 + i), 0);
}

TEST(delays_double_up_to_the_longest)
{
	struct gmem_toggles t = {};
	u64 now = NSEC, i, wait, want = limit.first;

	for (i = 0; i <= limit.free + 1; i++)
		ASSERT_EQ(ask(&t, 0, i & 1, now), 0);
	for (; i < 40; i++) {
		wait = ask(&t, 0, i & 1, now);
		EXPECT_EQ(wait, want);
		now += wait;
		ASSERT_EQ(ask(&t, 0, i & 1, now), 0);
		want = want * 2 < limit.most ? want * 2 : limit.most;
	}
}

TEST(rate_of_one_that_never_rests)
{
	static const u64 late[] = { 0, 1000, 5 * MSEC, 20 * MSEC, 90 * MSEC, 700 * MSEC };
	u64 l, now, turns;

	for (l = 0; l < sizeof(late) / sizeof(*late); l++) {
		struct gmem_toggles t = {};

		now = 1;
		hammer(&t, 5, &now, 20 * NSEC, late[l]);
		turns = hammer(&t, 5, &now, 100 * NSEC, late[l]);
		EXPECT_GE(turns, 990);
		EXPECT_LE(turns, 1000 + 1 + GMEM_TOGGLE_LATE);
	}
}

TEST(rest_is_rewarded)
{
	struct gmem_toggles t = {};
	u64 now = 1, i;

	hammer(&t, 0, &now, 5 * NSEC, 0);
	EXPECT_TRUE(is_held(&t, 0, now));
	/* 8 free ones and 7 doublings to the longest: all are forgotten. */
	now += 20 * NSEC;
	for (i = 0; i < limit.free; i++)
		EXPECT_EQ(ask(&t, 0, i & 1, now + i), 0);
}

TEST(slow_turns_are_never_delayed)
{
	struct gmem_toggles t = {};
	u64 i;

	for (i = 0; i < 1000; i++)
		ASSERT_EQ(ask(&t, 0, i & 1, 1 + i * limit.window), 0);
}

TEST(boot_is_never_delayed)
{
	struct gmem_toggles t = {};
	u64 now = 1, gfn;

	/* All private, then a large area shared page by page, in no time. */
	ASSERT_EQ(ask(&t, 0, 1, now), 0);
	for (gfn = 0; gfn < 64 * BLOCK; gfn++)
		ASSERT_EQ(ask(&t, gfn, 0, now++), 0);
	/* And each block back once. */
	for (gfn = 0; gfn < 64 * BLOCK; gfn += BLOCK)
		ASSERT_EQ(ask(&t, gfn, 1, now++), 0);
}

TEST(other_pages_of_a_block_are_the_block)
{
	struct gmem_toggles t = {};
	u64 now = 1, i, waited = 0;

	for (i = 0; i < 100; i++)
		waited += ask(&t, i % BLOCK, i & 1, now++);
	EXPECT_NE(waited, 0);
}

TEST(blocks_do_not_pay_for_each_other)
{
	struct gmem_toggles t = { .seed = 12345 };
	u64 now = 1;

	hammer(&t, 0, &now, NSEC, 0);
	EXPECT_EQ(ask(&t, 100 * BLOCK, 0, now), 0);
	EXPECT_EQ(ask(&t, 100 * BLOCK, 1, now), 0);
	EXPECT_TRUE(is_held(&t, 0, now));
}

TEST(some_blocks_at_once_are_all_found)
{
	struct gmem_toggles t = { .seed = 99 };
	u64 now = NSEC, round, b;

	for (round = 0; round < 40; round++) {
		for (b = 0; b < GMEM_TOGGLE_WAYS; b++)
			ask(&t, b * 1000 * BLOCK, round & 1, now++);
	}
	for (b = 0; b < GMEM_TOGGLE_WAYS; b++)
		EXPECT_TRUE(is_held(&t, b * 1000 * BLOCK, now));
}

/* Of blocks that are converted in turn, how many are not known the next time? */
static double forgotten(u64 nr, bool neighbours)
{
	u64 blocks[64], round, i, seed, sum = 0, seeds = 300;

	for (seed = 1; seed <= seeds; seed++) {
		struct gmem_toggles t = { .seed = random_below(1ULL << 32) + 1 };
		u64 now = NSEC, base = random_below(100000);

		for (i = 0; i < nr; i++)
			blocks[i] = neighbours ? base + i :
						 (i << 20) + random_below(1 << 20);
		for (round = 0; round < 6; round++) {
			for (i = 0; i < nr; i++) {
				u64 gfn = blocks[i] * BLOCK;
				struct gmem_toggle *e =
					&t.entries[gmem_toggles_find(&t, gfn)];

				sum += round == 5 &&
				       !gmem_toggle_turns(e, gfn, round & 1);
				gmem_toggle_note(e, &limit, gfn, round & 1,
						 now += 10000);
			}
		}
	}
	return (double)sum / seeds;
}

/* The figures that bpf/policies/pingpong.bpf.c and docs/policies.md give. */
TEST(cycles_that_are_not_all_recognised)
{
	EXPECT_EQ(forgotten(4, true), 0);
	EXPECT_EQ(forgotten(4, false), 0);
	EXPECT_LE(forgotten(32, true), 0.5);
	EXPECT_LE(__builtin_fabs(forgotten(32, false) - 4), 1);
	EXPECT_LE(__builtin_fabs(forgotten(64, true) - 24), 2);
	EXPECT_LE(__builtin_fabs(forgotten(64, false) - 35), 2);
}

TEST(long_ago_or_clock_back_does_no_harm)
{
	struct gmem_toggles t = {};
	u64 now = NSEC;

	hammer(&t, 0, &now, NSEC, 0);
	EXPECT_LE(ask(&t, 0, 0, 1), limit.most + 2 * NSEC);
	EXPECT_EQ(ask(&t, 0, 0, ~0ULL >> 2), 0);
	EXPECT_EQ(ask(&t, 0, 1, ~0ULL >> 2), 0);
}

TEST_HARNESS_MAIN
