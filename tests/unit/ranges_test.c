// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ranges of bpf/include/gmem_ranges.h against a plain array with one entry
 * a frame.  Not here: the ranges under BPF, which tests/policies covers.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t u64;
typedef int64_t s64;

#include "gmem_ranges.h"
#include "kselftest_harness.h"

#define FRAMES	4096

static u64 random_state = 88172645463325252ULL;

/* The same numbers in every run: a failure must come back. */
static u64 random_below(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

struct oracle {
	unsigned char outside;
	unsigned char attr[FRAMES];
};

static void oracle_set(struct oracle *o, u64 start, u64 end, u64 attr)
{
	memset(o->attr + start, attr, end - start);
}

/* Places where it changes, from before the first frame to after the last. */
static u64 oracle_edges(const struct oracle *o)
{
	unsigned char last = o->outside;
	u64 i, nr = 0;

	for (i = 0; i < FRAMES; i++) {
		nr += o->attr[i] != last;
		last = o->attr[i];
	}
	return nr + (last != o->outside);
}

static u64 oracle_count(const struct oracle *o, u64 start, u64 end, u64 attr)
{
	u64 i, nr = 0;

	for (i = start; i < end; i++)
		nr += o->attr[i] == attr;
	return nr;
}

static u64 attr_at(const struct gmem_ranges *r, u64 gfn)
{
	return (r->outside ^ gmem_ranges_before(r, gfn + 1)) & 1;
}

/* Every edge is in order, and what is not used is zero. */
static bool is_sound(const struct gmem_ranges *r)
{
	u64 i;

	for (i = 0; i < GMEM_RANGES_MAX; i++) {
		if (i < r->nr ? r->keys[i] <= r->keys[i + 1] : r->keys[i])
			return false;
	}
	return true;
}

TEST(all_zero_is_one_range)
{
	struct gmem_ranges r = {};

	EXPECT_EQ(attr_at(&r, 0), 0);
	EXPECT_EQ(attr_at(&r, GMEM_RANGES_TOP - 1), 0);
	EXPECT_EQ(gmem_ranges_look(&r, 0, 10, 0).nr, 0);
	EXPECT_EQ(gmem_ranges_look(&r, 5, 10, 1).nr, 2);
	EXPECT_EQ(gmem_ranges_count(&r, 5, 10, 0), 5);
	EXPECT_EQ(gmem_ranges_count(&r, 0, GMEM_RANGES_TOP, 1), 0);
}

TEST(page_by_page_is_one_range)
{
	struct gmem_ranges r = { .outside = 1 };
	u64 i;

	for (i = 0; i < 100000; i++)
		ASSERT_TRUE(gmem_ranges_set(&r, 1000 + i, 1001 + i, 0));
	EXPECT_EQ(r.nr, 2);
	EXPECT_EQ(attr_at(&r, 999), 1);
	EXPECT_EQ(attr_at(&r, 1000), 0);
	EXPECT_EQ(attr_at(&r, 100999), 0);
	EXPECT_EQ(attr_at(&r, 101000), 1);
}

TEST(there_and_back_leaves_nothing)
{
	struct gmem_ranges r = {};
	u64 i;

	for (i = 0; i < 1000; i++) {
		ASSERT_TRUE(gmem_ranges_set(&r, i * 7, i * 7 + 3, 1));
		ASSERT_EQ(r.nr, 2);
		ASSERT_TRUE(gmem_ranges_set(&r, i * 7, i * 7 + 3, 0));
		ASSERT_EQ(r.nr, 0);
		ASSERT_TRUE(is_sound(&r));
	}
}

TEST(same_as_the_oracle)
{
	static const u64 lengths[] = { 2, 3, 16, 64, 1000, FRAMES };
	static struct gmem_ranges r;
	static struct oracle o;
	size_t l;
	int round, i;

	for (l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
		for (round = 0; round < 6; round++) {
			memset(&r, 0, sizeof(r));
			memset(&o, 0, sizeof(o));
			r.outside = o.outside = round & 1;
			memset(o.attr, o.outside, FRAMES);
			for (i = 0; i < 3000; i++) {
				u64 start = random_below(FRAMES), attr;
				u64 end = start + 1 + random_below(lengths[l]);
				struct gmem_ranges_change change;
				u64 had = oracle_edges(&o);

				if (end > FRAMES)
					end = FRAMES;
				attr = random_below(2);
				change = gmem_ranges_look(&r, start, end, attr);
				ASSERT_EQ(gmem_ranges_count(&r, start, end, attr),
					  oracle_count(&o, start, end, attr));
				if (change.nr > GMEM_RANGES_MAX) {
					ASSERT_FALSE(gmem_ranges_set(&r, start,
								     end, attr));
					ASSERT_EQ(r.nr, had);
					continue;
				}
				ASSERT_TRUE(gmem_ranges_set(&r, start, end,
							    attr));
				oracle_set(&o, start, end, attr);
				ASSERT_EQ(r.nr, change.nr);
				ASSERT_EQ(r.nr, oracle_edges(&o));
				ASSERT_TRUE(is_sound(&r));
			}
			for (i = 0; i < FRAMES; i++)
				ASSERT_EQ(attr_at(&r, i), o.attr[i]);
		}
	}
}

TEST(full_refuses_and_can_be_emptied)
{
	static struct gmem_ranges r;
	u64 i;

	for (i = 0; i < GMEM_RANGES_MAX / 2; i++)
		ASSERT_TRUE(gmem_ranges_set(&r, 2 * i, 2 * i + 1, 1));
	EXPECT_EQ(r.nr, GMEM_RANGES_MAX - 1);
	EXPECT_FALSE(gmem_ranges_set(&r, 5000, 5001, 1));
	EXPECT_TRUE(is_sound(&r));
	/* One edge moves. */
	EXPECT_TRUE(gmem_ranges_set(&r, 2 * i - 1, 2 * i, 1));
	EXPECT_EQ(r.nr, GMEM_RANGES_MAX - 1);
	EXPECT_TRUE(gmem_ranges_set(&r, 0, 10000, 0));
	EXPECT_EQ(r.nr, 0);
	EXPECT_TRUE(is_sound(&r));
}

TEST(the_ends_of_what_can_be_addressed)
{
	struct gmem_ranges r = {};

	EXPECT_TRUE(gmem_ranges_set(&r, 0, GMEM_RANGES_TOP, 1));
	EXPECT_EQ(attr_at(&r, 0), 1);
	EXPECT_TRUE(gmem_ranges_set(&r, 0, ~0ULL, 0));
	EXPECT_EQ(r.nr, 0);
	EXPECT_TRUE(is_sound(&r));
}

TEST_HARNESS_MAIN
