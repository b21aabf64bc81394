// SPDX-License-Identifier: GPL-2.0-only
/*
 * The token bucket and the queue of bpf/include/gmem_bucket.h, run on the host
 * with a clock of its own.  Not here: the bucket under BPF and in real guests,
 * which tests/cli/gmempolicy.bats covers.
 */
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;

#include "gmem_bucket.h"
#include "kselftest_harness.h"

#define NSEC		1000000000ULL
#define LONG_AGO	1000000ULL

static const u64 rates[] = {
	1, 2, 3, 7, 30, 100, 999, 1000, 4096, 33333, 1000003, 299792458,
	333333333, 500000000, 600000001, 999999999, 1000000000,
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

/* Tokens that may have been taken @ns after a full bucket was first used. */
static u64 allowance(const struct gmem_limit *limit, u64 ns)
{
	return limit->burst + (u64)((unsigned __int128)ns * limit->rate / NSEC);
}

TEST(limit_is_clamped)
{
	struct gmem_limit low = gmem_limit(0, 0);
	struct gmem_limit high = gmem_limit(~0ULL, ~0ULL);

	EXPECT_EQ(low.rate, 1);
	EXPECT_EQ(low.burst, 1);
	EXPECT_EQ(high.rate, GMEM_BUCKET_MAX);
	EXPECT_EQ(high.burst, GMEM_BUCKET_MAX);
}

TEST(zeroed_bucket_is_full)
{
	struct gmem_limit limit = gmem_limit(1, 5);
	struct gmem_bucket b = {};
	int i;

	for (i = 0; i < 5; i++)
		EXPECT_EQ(gmem_bucket_take(&b, &limit, 1, LONG_AGO), 0);
	EXPECT_EQ(gmem_bucket_take(&b, &limit, 1, LONG_AGO), NSEC);
}

TEST(clock_at_zero_does_not_refill_twice)
{
	struct gmem_limit limit = gmem_limit(1, 1);
	struct gmem_bucket b = {};

	EXPECT_EQ(gmem_bucket_take(&b, &limit, 1, 0), 0);
	EXPECT_NE(gmem_bucket_take(&b, &limit, 1, 0), 0);
}

TEST(wait_is_exact_at_every_rate)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		struct gmem_limit limit = gmem_limit(rates[i], 1);
		struct gmem_bucket b = {};
		u64 now = LONG_AGO, wait;

		ASSERT_EQ(gmem_bucket_take(&b, &limit, 1, now), 0);
		wait = gmem_bucket_take(&b, &limit, 1, now);
		ASSERT_EQ(wait, (NSEC + rates[i] - 1) / rates[i]);
		ASSERT_NE(gmem_bucket_take(&b, &limit, 1, now + wait - 1), 0);
		ASSERT_EQ(gmem_bucket_take(&b, &limit, 1, now + wait), 0);
	}
}

TEST(greedy_caller_gets_the_rate_over_ten_seconds)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		/* Asks far more often than the rate, or 1,000 times a second. */
		u64 step = rates[i] < 100000 ? NSEC / rates[i] / 7 + 1 :
					       NSEC / 1000;
		u64 burst = rates[i] / 10 ? rates[i] / 10 : 1;
		struct gmem_limit limit = gmem_limit(rates[i], burst);
		u64 tokens = rates[i] < 100000 ? 1 : rates[i] / 1000;
		struct gmem_bucket b = {};
		u64 taken = 0, t;

		for (t = 0; t <= 10 * NSEC; t += step) {
			while (!gmem_bucket_take(&b, &limit, tokens, 1 + t))
				taken += tokens;
		}
		EXPECT_LE(taken, allowance(&limit, 10 * NSEC));
		EXPECT_GE(taken + tokens + rates[i] / 100 + 1,
			  allowance(&limit, 10 * NSEC)) {
			TH_LOG("rate %ju: %ju taken", (uintmax_t)rates[i],
			       (uintmax_t)taken);
		}
	}
}

TEST(odd_steps_lose_nothing_to_rounding)
{
	/* 3 tokens/s in steps of 1 ns less than a third of a second. */
	struct gmem_limit limit = gmem_limit(3, 1000);
	struct gmem_bucket b = {};
	u64 now = 1, taken = 0;
	int i;

	while (!gmem_bucket_take(&b, &limit, 1, now))
		taken++;
	EXPECT_EQ(taken, 1000);
	for (i = 0; i < 30000; i++) {
		now += NSEC / 3;
		if (!gmem_bucket_take(&b, &limit, 1, now))
			taken++;
	}
	EXPECT_EQ(taken, allowance(&limit, now - 1));
}

TEST(any_idle_time_fills_and_never_overflows)
{
	static const u64 bursts[] = { 1, 2, 1000, 999999999, 1000000000 };
	size_t r, c, shift;

	for (r = 0; r < ARRAY_SIZE(rates); r++) {
		for (c = 0; c < ARRAY_SIZE(bursts); c++) {
			struct gmem_limit limit = gmem_limit(rates[r], bursts[c]);

			for (shift = 0; shift < 64; shift++) {
				u64 idle = 1ULL << shift;
				unsigned __int128 earned =
					(unsigned __int128)idle * limit.rate;
				s64 full = limit.burst * NSEC;
				struct gmem_bucket b = {
					.credit = -full,
					.last = 1,
				};

				gmem_bucket_refill(&b, &limit, 1 + idle);
				if (earned > 2 * (unsigned __int128)full)
					earned = 2 * (unsigned __int128)full;
				ASSERT_EQ(b.credit, (s64)earned - full);
			}
		}
	}
}

TEST(random_callers_never_overspend)
{
	int round, i;

	for (round = 0; round < 2000; round++) {
		struct gmem_limit limit =
			gmem_limit(1 + random_below(GMEM_BUCKET_MAX) %
				       (1ULL << (1 + random_below(30))),
				   1 + random_below(GMEM_BUCKET_MAX) %
				       (1ULL << (1 + random_below(30))));
		struct gmem_bucket b = {};
		u64 start = LONG_AGO, now = start, taken = 0;

		for (i = 0; i < 200; i++) {
			u64 tokens = 1 + random_below(limit.burst);
			s64 before;

			now += random_below(1ULL << random_below(40));
			gmem_bucket_refill(&b, &limit, now);
			before = b.credit;
			if (!gmem_bucket_take(&b, &limit, tokens, now))
				taken += tokens;
			else
				ASSERT_EQ(b.credit, before);
			ASSERT_LE(taken, allowance(&limit, now - start));
		}
	}
}

TEST(clock_that_steps_back_gives_nothing)
{
	struct gmem_limit limit = gmem_limit(GMEM_BUCKET_MAX, 10);
	struct gmem_bucket b = {};

	EXPECT_EQ(gmem_bucket_take(&b, &limit, 10, 1000), 0);
	EXPECT_NE(gmem_bucket_take(&b, &limit, 1, 500), 0);
	EXPECT_NE(gmem_bucket_take(&b, &limit, 1, 1000), 0);
	EXPECT_EQ(gmem_bucket_take(&b, &limit, 1, 1001), 0);
}

TEST(more_than_the_burst_is_paid_off_later)
{
	struct gmem_limit limit = gmem_limit(10, 5);
	struct gmem_bucket b = {};

	EXPECT_EQ(gmem_bucket_take(&b, &limit, 25, 1), 0);
	/* 20 in debt: 2 s until it is paid, and 0.1 s for the next one. */
	EXPECT_EQ(gmem_bucket_take(&b, &limit, 1, 1), 2100000000);
	EXPECT_EQ(gmem_bucket_take(&b, &limit, 1, 1 + 2100000000), 0);
}

TEST(huge_request_is_bounded)
{
	struct gmem_limit limit = gmem_limit(1, GMEM_BUCKET_MAX);
	struct gmem_bucket b = {};
	u64 wait;

	EXPECT_EQ(gmem_bucket_take(&b, &limit, ~0ULL, 1), 0);
	EXPECT_EQ(b.credit, 0);
	wait = gmem_bucket_wait(&b, &limit, ~0ULL - GMEM_BUCKET_MAX, ~0ULL);
	EXPECT_EQ(wait, 4 * GMEM_BUCKET_MAX * NSEC);
}

TEST(limits_change_while_in_use)
{
	struct gmem_limit wide = gmem_limit(1000, 1000);
	struct gmem_limit tight = gmem_limit(10, 2);
	struct gmem_bucket b = {};
	u64 now = 1;

	EXPECT_EQ(gmem_bucket_take(&b, &wide, 1, now), 0);
	EXPECT_EQ(gmem_bucket_take(&b, &tight, 1, now), 0);
	EXPECT_EQ(gmem_bucket_take(&b, &tight, 1, now), 0);
	EXPECT_EQ(gmem_bucket_take(&b, &tight, 1, now), NSEC / 10);
	EXPECT_EQ(gmem_bucket_take(&b, &wide, 1, now), NSEC / 1000);
	EXPECT_EQ(gmem_bucket_take(&b, &wide, 1, now + NSEC), 0);
	EXPECT_EQ(b.credit, (s64)(999 * NSEC));
}

static u64 queue_length(const struct gmem_queue *q, u64 now)
{
	struct gmem_turn turn = {};

	gmem_queue_count(q, &turn, 0, now);
	return turn.waiting;
}

TEST(queue_serves_in_order)
{
	struct gmem_limit limit = gmem_limit(10, 1);
	struct gmem_queue q = {};
	struct gmem_bucket b = {};
	u64 tick = NSEC / 10;

	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 1, 1, 1), 0);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 2, 1, 1), tick);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, 1), 2 * tick);
	/* A token is there, but it is task 2's. */
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 4, 1, 1 + tick),
		  2 * tick);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, 1 + tick), tick);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 2, 1, 1 + tick), 0);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, 1 + 2 * tick), 0);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 4, 1, 1 + 3 * tick), 0);
	EXPECT_EQ(queue_length(&q, 1 + 3 * tick), 0);
}

TEST(queue_keeps_the_place_of_one_that_asks_early)
{
	struct gmem_limit limit = gmem_limit(10, 1);
	struct gmem_queue q = {};
	struct gmem_bucket b = {};
	int i;

	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 1, 1, 1), 0);
	/* As after a signal, or when KVM caps the delay. */
	for (i = 0; i < 1000; i++) {
		EXPECT_NE(gmem_bucket_take_turn(&b, &q, &limit, 2, 1, 1 + i), 0);
		EXPECT_NE(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, 1 + i), 0);
	}
	EXPECT_EQ(queue_length(&q, 1000), 2);
	EXPECT_NE(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, NSEC / 10 + 1), 0);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 2, 1, NSEC / 10 + 1), 0);
}

TEST(queue_forgets_one_that_does_not_come_back)
{
	struct gmem_limit limit = gmem_limit(10, 1);
	struct gmem_queue q = {};
	struct gmem_bucket b = {};
	u64 tick = NSEC / 10, gone;

	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 1, 1, 1), 0);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 2, 1, 1), tick);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, 1), 2 * tick);
	gone = 1 + tick + GMEM_QUEUE_GRACE_NS;
	EXPECT_NE(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, gone), 0);
	EXPECT_EQ(gmem_bucket_take_turn(&b, &q, &limit, 3, 1, gone + 1), 0);
	EXPECT_EQ(queue_length(&q, gone + 1), 0);
}

#define MAX_CALLERS	48

/*
 * Callers that convert as fast as they may: each sleeps as long as it was
 * told and a random time more, asks again, and starts over when served.
 * Returns the tokens taken; served[] says by whom.
 */
static u64 simulate(const struct gmem_limit *limit, int callers, u64 late,
		    u64 duration, u64 *served, u64 *longest)
{
	u64 due[MAX_CALLERS], since[MAX_CALLERS], taken = 0;
	struct gmem_queue q = {};
	struct gmem_bucket b = {};
	int i, next;

	*longest = 0;
	for (i = 0; i < callers; i++) {
		served[i] = 0;
		due[i] = since[i] = 1 + i;
	}
	for (;;) {
		u64 now, wait;

		next = 0;
		for (i = 1; i < callers; i++) {
			if (due[i] < due[next])
				next = i;
		}
		now = due[next];
		if (now > duration)
			return taken;
		wait = gmem_bucket_take_turn(&b, &q, limit, 100 + next, 1, now);
		if (wait) {
			due[next] = now + wait + random_below(late + 1);
			continue;
		}
		taken++;
		served[next]++;
		if (now - since[next] > *longest)
			*longest = now - since[next];
		/* Time of the conversion itself. */
		due[next] = now + 1000 + random_below(1000);
		since[next] = due[next];
	}
}

TEST(waiting_callers_share_fairly)
{
	static const int callers[] = { 1, 2, 3, 8, 16 };
	static const u64 late[] = { 0, 50000, 2000000 };
	size_t c, l;
	int i;

	for (c = 0; c < ARRAY_SIZE(callers); c++) {
		for (l = 0; l < ARRAY_SIZE(late); l++) {
			struct gmem_limit limit = gmem_limit(500, 50);
			u64 served[MAX_CALLERS], longest, taken, share;

			taken = simulate(&limit, callers[c], late[l], 10 * NSEC,
					 served, &longest);
			EXPECT_LE(taken, allowance(&limit, 10 * NSEC));
			EXPECT_GE(taken, 500 * 10);
			share = taken / callers[c];
			for (i = 0; i < callers[c]; i++) {
				EXPECT_GE(served[i] + share / 50 + 50, share);
				EXPECT_LE(served[i], share + share / 50 + 50);
			}
			/* Nobody waits for more than two rounds. */
			EXPECT_LE(longest, 2 * callers[c] * NSEC / 500 +
					   10 * late[l]);
		}
	}
}

TEST(more_callers_than_places_all_get_served)
{
	struct gmem_limit limit = gmem_limit(500, 50);
	/* Outside the queue it is chance that shares, so there must be some. */
	static const u64 late[] = { 20000, 50000, 2000000 };
	u64 served[MAX_CALLERS], longest, taken;
	size_t l;
	int i;

	for (l = 0; l < ARRAY_SIZE(late); l++) {
		taken = simulate(&limit, MAX_CALLERS, late[l], 20 * NSEC,
				 served, &longest);
		EXPECT_LE(taken, allowance(&limit, 20 * NSEC));
		EXPECT_GE(taken, 500 * 20 - 100);
		for (i = 0; i < MAX_CALLERS; i++) {
			EXPECT_GE(served[i], taken / MAX_CALLERS / 2) {
				TH_LOG("caller %d: %ju of %ju", i,
				       (uintmax_t)served[i], (uintmax_t)taken);
			}
		}
	}
}

/* So many that the tokens for half of the queue are there when it is full. */
TEST(callers_without_a_place_get_nothing_for_nothing)
{
	static const int callers[] = { 17, 24, 32, MAX_CALLERS };
	static const u64 rate[] = { 2000, 50000, 65536 };
	struct gmem_limit limit;
	u64 served[MAX_CALLERS], longest, taken;
	size_t c, r;
	int i;

	for (c = 0; c < ARRAY_SIZE(callers); c++) {
		for (r = 0; r < ARRAY_SIZE(rate); r++) {
			limit = gmem_limit(rate[r], rate[r] / 4);
			taken = simulate(&limit, callers[c], 200000, NSEC,
					 served, &longest);
			EXPECT_LE(taken, allowance(&limit, NSEC)) {
				TH_LOG("%d callers at %ju/s: %ju taken",
				       callers[c], (uintmax_t)rate[r],
				       (uintmax_t)taken);
			}
			for (i = 0; i < callers[c]; i++)
				EXPECT_GE(served[i], taken / callers[c] / 2);
		}
	}
}

TEST(rate_of_one_with_burst_of_one_in_a_queue)
{
	struct gmem_limit limit = gmem_limit(1, 1);
	u64 served[MAX_CALLERS], longest, taken;

	taken = simulate(&limit, 4, 0, 100 * NSEC, served, &longest);
	EXPECT_LE(taken, 101);
	EXPECT_GE(taken, 99);
}

TEST_HARNESS_MAIN
