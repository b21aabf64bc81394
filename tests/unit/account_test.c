// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/include/gmem_account.h: what is promised and settled.  Not here: the
 * policies that use it, which have tests of their own.
 */
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;

#include "gmem_account.h"
#include "kselftest_harness.h"

TEST(begins_once)
{
	struct gmem_account a = {};

	gmem_account_begin(&a, 100, 40);
	EXPECT_EQ(gmem_account_held(&a), 60);
	gmem_account_begin(&a, 1000, 0);
	EXPECT_EQ(gmem_account_held(&a), 60);
}

TEST(promises_count_until_they_are_settled)
{
	struct gmem_account a = {};

	gmem_account_begin(&a, 0, 0);
	gmem_account_promise(&a, 10);
	gmem_account_promise(&a, 5);
	EXPECT_EQ(gmem_account_held(&a), 15);
	gmem_account_settle(&a, 10, 3);
	EXPECT_EQ(gmem_account_held(&a), 8);
	gmem_account_settle(&a, 5, 0);
	EXPECT_EQ(gmem_account_held(&a), 3);
	EXPECT_EQ(a.promised, 0);
}

TEST(never_below_zero)
{
	struct gmem_account a = {};

	gmem_account_begin(&a, 5, 0);
	gmem_account_settle(&a, 10, 1);
	EXPECT_EQ(a.promised, 0);
	gmem_account_update(&a, ~0ULL, 0, 100);
	EXPECT_EQ(gmem_account_held(&a), 0);
	/* What was given back does not become less. */
	gmem_account_update(&a, ~0ULL, 0, 50);
	EXPECT_EQ(a.given, 100);
}

TEST(counters_are_right_when_nothing_was_under_way)
{
	struct gmem_account a = {};
	u64 mark;

	gmem_account_begin(&a, 10, 0);
	mark = a.moves;
	gmem_account_update(&a, mark, 7, 0);
	EXPECT_EQ(a.taken, 7);
	/* Something came and went, or is there now. */
	gmem_account_promise(&a, 1);
	gmem_account_settle(&a, 1, 1);
	gmem_account_update(&a, mark, 7, 0);
	EXPECT_EQ(a.taken, 8);
	gmem_account_promise(&a, 1);
	gmem_account_update(&a, a.moves, 5, 0);
	EXPECT_EQ(a.taken, 8);
}

TEST(what_nobody_asked_about_counts)
{
	struct gmem_account a = {};

	gmem_account_begin(&a, 10, 0);
	gmem_account_promise(&a, 4);
	/* May all be what was promised. */
	gmem_account_update(&a, a.moves, 14, 0);
	EXPECT_EQ(gmem_account_held(&a), 14);
	/* May not. */
	gmem_account_update(&a, a.moves, 20, 0);
	EXPECT_EQ(gmem_account_held(&a), 20);
	gmem_account_settle(&a, 4, 4);
	gmem_account_update(&a, a.moves, 20, 0);
	EXPECT_EQ(gmem_account_held(&a), 20);
}

TEST_HARNESS_MAIN
