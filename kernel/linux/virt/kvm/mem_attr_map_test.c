// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit test of the memory attributes' map: everything that the map can be
 * asked is compared with a plain array of attributes.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/kvm_mem_attr_map.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static unsigned long long seed;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "of the random operations; 0 takes one at random");

static unsigned int operations = 1000000;
module_param(operations, uint, 0444);
MODULE_PARM_DESC(operations, "how many random operations, over all tests");

#define BLOCK		512ULL
#define GIB		BIT_ULL(18)
#define TIB		BIT_ULL(28)
#define FRAMES		BIT_ULL(52)

#define ATTR		BIT(3)

/* Nodes and bitmaps, as the documentation of the map tells their sizes. */
#define NODE_BYTES	512UL
#define BLOCK_BYTES	64UL

static int set(struct kvm_mem_attr_map *map, u64 start, u64 end,
	       unsigned long attrs, u64 *changed)
{
	struct kvm_mem_attr_change change = {};
	int r;

	r = kvm_mem_attr_map_prepare(map, &change, start, end, attrs);
	if (r)
		return r;
	kvm_mem_attr_map_commit(map, &change);
	kvm_mem_attr_map_finish(&change);
	if (changed)
		*changed = change.changed;

	return 0;
}

static void must_set(struct kunit *test, struct kvm_mem_attr_map *map,
		     u64 start, u64 end, unsigned long attrs, u64 changed)
{
	u64 found = U64_MAX;

	KUNIT_ASSERT_EQ(test, set(map, start, end, attrs, &found), 0);
	KUNIT_EXPECT_EQ(test, found, changed);
}

static void must_prepare(struct kunit *test, struct kvm_mem_attr_map *map,
			 struct kvm_mem_attr_change *change, u64 start, u64 end,
			 unsigned long attrs)
{
	KUNIT_ASSERT_EQ(test, kvm_mem_attr_map_prepare(map, change, start, end,
						       attrs), 0);
}

static void do_without(struct kvm_mem_attr_map *map,
		       struct kvm_mem_attr_change *change)
{
	kvm_mem_attr_map_abort(map, change);
	kvm_mem_attr_map_finish(change);
}

/* Empties it first, for what it then counts was not counted right. */
static void must_destroy(struct kunit *test, struct kvm_mem_attr_map *map)
{
	KUNIT_ASSERT_EQ(test, set(map, 0, FRAMES, 0, NULL), 0);
	KUNIT_EXPECT_EQ(test, map->bytes, 0);
	kvm_mem_attr_map_destroy(map);
}

static void expect_run(struct kunit *test, const struct kvm_mem_attr_map *map,
		       u64 start, u64 end, unsigned long attrs)
{
	unsigned long found = ~0UL;

	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_run(map, start, FRAMES, &found),
			end);
	KUNIT_EXPECT_EQ(test, found, attrs);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_get(map, start), attrs);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_get(map, end - 1), attrs);
	KUNIT_EXPECT_TRUE(test, kvm_mem_attr_map_has(map, start, end, ATTR,
						     attrs));
}

static void empty(struct kunit *test)
{
	struct kvm_mem_attr_map map;

	kvm_mem_attr_map_init(&map, ATTR);
	expect_run(test, &map, 0, FRAMES, 0);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_count(&map, 0, FRAMES, ATTR), 0);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_runs(&map, 0, FRAMES), 1);
	must_set(test, &map, 0, FRAMES, 0, 0);
	KUNIT_EXPECT_EQ(test, map.bytes, 0);
	kvm_mem_attr_map_destroy(&map);
}

static void first_and_last_frame(struct kunit *test)
{
	struct kvm_mem_attr_map map;

	kvm_mem_attr_map_init(&map, ATTR);
	must_set(test, &map, 0, 1, ATTR, 1);
	expect_run(test, &map, 0, 1, ATTR);
	expect_run(test, &map, 1, FRAMES, 0);
	must_set(test, &map, FRAMES - 1, FRAMES, ATTR, 1);
	expect_run(test, &map, 0, 1, ATTR);
	expect_run(test, &map, 1, FRAMES - 1, 0);
	expect_run(test, &map, FRAMES - 1, FRAMES, ATTR);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_count(&map, 0, FRAMES, ATTR), 2);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_runs(&map, 0, FRAMES), 3);
	must_set(test, &map, 0, FRAMES, ATTR, FRAMES - 2);
	expect_run(test, &map, 0, FRAMES, ATTR);
	must_set(test, &map, 0, FRAMES, 0, FRAMES);
	expect_run(test, &map, 0, FRAMES, 0);
	KUNIT_EXPECT_EQ(test, map.bytes, 0);
	kvm_mem_attr_map_destroy(&map);
}

/* The first frame has none before it, and the last none after it. */
static void beside_first_and_last(struct kunit *test)
{
	struct kvm_mem_attr_change change = {};
	struct kvm_mem_attr_map map;

	kvm_mem_attr_map_init(&map, ATTR);
	must_set(test, &map, 1, FRAMES - 1, ATTR, FRAMES - 2);
	must_prepare(test, &map, &change, 0, 1, ATTR);
	KUNIT_EXPECT_EQ(test, change.changed, 1);
	KUNIT_EXPECT_EQ(test, change.before, 0);
	KUNIT_EXPECT_EQ(test, change.after, ATTR);
	do_without(&map, &change);
	must_prepare(test, &map, &change, FRAMES - 1, FRAMES, ATTR);
	KUNIT_EXPECT_EQ(test, change.changed, 1);
	KUNIT_EXPECT_EQ(test, change.before, ATTR);
	KUNIT_EXPECT_EQ(test, change.after, 0);
	do_without(&map, &change);
	kvm_mem_attr_map_destroy(&map);
}

/* Ranges with an end inside of, at, and next to every kind of boundary. */
static void across_boundaries(struct kunit *test)
{
	static const u64 boundaries[] = {
		64, BLOCK, 64 * BLOCK, 64 * 64 * BLOCK, 64 * 64 * 64 * BLOCK,
		64 * 64 * 64 * 64 * BLOCK,
	};
	struct kvm_mem_attr_map map;
	unsigned int i;
	int from, to;

	for (i = 0; i < ARRAY_SIZE(boundaries); i++) {
		for (from = -3; from <= 2; from++) {
			for (to = from + 1; to <= 3; to++) {
				u64 start = boundaries[i] + from;
				u64 end = boundaries[i] + to;

				kvm_mem_attr_map_init(&map, ATTR);
				must_set(test, &map, start, end, ATTR,
					 end - start);
				expect_run(test, &map, 0, start, 0);
				expect_run(test, &map, start, end, ATTR);
				expect_run(test, &map, end, FRAMES, 0);
				must_set(test, &map, start, end, 0, end - start);
				KUNIT_EXPECT_EQ(test, map.bytes, 0);
				kvm_mem_attr_map_destroy(&map);
			}
		}
	}
}

/* A uniform range costs next to nothing, whatever it was before. */
static void splits_and_folds(struct kunit *test)
{
	struct kvm_mem_attr_map map;
	unsigned long whole;
	u64 i;

	kvm_mem_attr_map_init(&map, ATTR);
	must_set(test, &map, 4 * GIB, 5 * GIB, ATTR, GIB);
	whole = map.bytes;
	KUNIT_EXPECT_LE(test, whole, 4 * NODE_BYTES);

	must_set(test, &map, 4 * GIB, 4 * GIB + 1, 0, 1);
	KUNIT_EXPECT_EQ(test, map.bytes, whole + NODE_BYTES + BLOCK_BYTES);
	must_set(test, &map, 4 * GIB, 4 * GIB + 1, ATTR, 1);
	KUNIT_EXPECT_EQ(test, map.bytes, whole);

	for (i = 0; i < GIB; i += 2)
		must_set(test, &map, 4 * GIB + i, 4 * GIB + i + 1, 0, 1);
	KUNIT_EXPECT_EQ(test, map.bytes, whole + 8 * NODE_BYTES +
					 GIB / BLOCK * BLOCK_BYTES);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_count(&map, 0, FRAMES, ATTR),
			GIB / 2);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_runs(&map, 4 * GIB, 5 * GIB),
			GIB);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_runs(&map, 4 * GIB - 1, 5 * GIB + 1),
			GIB + 1);
	KUNIT_EXPECT_FALSE(test, kvm_mem_attr_map_has(&map, 4 * GIB, 5 * GIB,
						      ATTR, ATTR));
	/* All but one, which a fold must not lose. */
	must_set(test, &map, 4 * GIB, 5 * GIB - 1, ATTR, GIB / 2);
	KUNIT_EXPECT_EQ(test, map.bytes, whole);
	must_set(test, &map, 4 * GIB, 5 * GIB, 0, GIB);
	KUNIT_EXPECT_EQ(test, map.bytes, 0);
	kvm_mem_attr_map_destroy(&map);
}

static void abort_changes_nothing(struct kunit *test)
{
	struct kvm_mem_attr_change change = {};
	struct kvm_mem_attr_map map;
	unsigned long bytes;

	kvm_mem_attr_map_init(&map, ATTR);
	must_set(test, &map, 7, 3 * BLOCK + 9, ATTR, 3 * BLOCK + 2);
	bytes = map.bytes;

	/* In place, all over, and with a taller tree. */
	must_prepare(test, &map, &change, 8, 20, 0);
	do_without(&map, &change);
	must_prepare(test, &map, &change, 0, TIB, 0);
	do_without(&map, &change);
	must_prepare(test, &map, &change, TIB, TIB + 5, ATTR);
	do_without(&map, &change);
	KUNIT_EXPECT_EQ(test, change.changed, 0);

	KUNIT_EXPECT_EQ(test, map.bytes, bytes);
	expect_run(test, &map, 0, 7, 0);
	expect_run(test, &map, 7, 3 * BLOCK + 9, ATTR);
	expect_run(test, &map, 3 * BLOCK + 9, FRAMES, 0);
	kvm_mem_attr_map_destroy(&map);
	KUNIT_EXPECT_EQ(test, map.bytes, 0);
}

/* A guest of a TiB as a whole, and every other 2 MiB, 4 MiB, ... of it. */
static void terabyte(struct kunit *test)
{
	struct kvm_mem_attr_map map;
	u64 step, gfn;

	kvm_mem_attr_map_init(&map, ATTR);
	for (step = BLOCK; step < TIB; step *= 8) {
		must_set(test, &map, 0, TIB, ATTR, TIB);
		KUNIT_EXPECT_LE(test, map.bytes, 4 * NODE_BYTES);
		for (gfn = 0; gfn < TIB; gfn += 2 * step)
			KUNIT_ASSERT_EQ(test, set(&map, gfn, gfn + step, 0, NULL), 0);
		KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_count(&map, 0, FRAMES, ATTR),
				TIB / 2);
		expect_run(test, &map, TIB - step, TIB, ATTR);
		must_set(test, &map, 0, TIB, 0, TIB / 2);
		KUNIT_EXPECT_EQ(test, map.bytes, 0);
	}
	kvm_mem_attr_map_destroy(&map);
}

/* What is replaced */

static unsigned int allocated;
static unsigned int freed;

static void *counting_alloc(size_t size, gfp_t gfp)
{
	allocated++;

	return kmalloc(size, GFP_KERNEL_ACCOUNT);
}

static void counting_free(const void *memory, unsigned long gp)
{
	freed++;
	kfree_rcu_mightsleep(memory);
}

/*
 * Changes a range and sees when memory comes and goes: all that is needed before
 * the commit, all that is not any more after it.
 */
static void change_and_count(struct kunit *test, struct kvm_mem_attr_map *map,
			     u64 start, u64 end, unsigned long attrs,
			     u64 changed, unsigned long bytes,
			     unsigned int retired)
{
	struct kvm_mem_attr_change change = {};
	unsigned int taken;

	allocated = 0;
	freed = 0;
	kunit_activate_static_stub(test, kvm_mem_attr_map_alloc, counting_alloc);
	kunit_activate_static_stub(test, kvm_mem_attr_map_free, counting_free);

	must_prepare(test, map, &change, start, end, attrs);
	KUNIT_EXPECT_EQ(test, change.changed, changed);
	taken = allocated;
	kvm_mem_attr_map_commit(map, &change);
	KUNIT_EXPECT_EQ(test, allocated, taken);
	KUNIT_EXPECT_EQ(test, freed, 0);
	KUNIT_EXPECT_EQ(test, map->bytes, bytes);
	KUNIT_EXPECT_TRUE(test, kvm_mem_attr_map_has(map, start, end, ATTR, attrs));
	kvm_mem_attr_map_finish(&change);
	KUNIT_EXPECT_EQ(test, freed, retired);
	KUNIT_EXPECT_EQ(test, map->bytes, bytes);

	kunit_deactivate_static_stub(test, kvm_mem_attr_map_alloc);
	kunit_deactivate_static_stub(test, kvm_mem_attr_map_free);
}

/* Nothing is freed while vCPUs may wait for the end of a change. */
static void frees_afterwards(struct kunit *test)
{
	const unsigned int nodes = GIB / (64 * BLOCK), blocks = GIB / BLOCK;
	struct kvm_mem_attr_map map;
	unsigned long few, whole;
	u64 i;

	kvm_mem_attr_map_init(&map, ATTR);
	/* From the root down, and without a root again. */
	change_and_count(test, &map, GIB, GIB + 1, ATTR, 1,
			 2 * NODE_BYTES + BLOCK_BYTES, 0);
	change_and_count(test, &map, GIB, GIB + 1, 0, 1, 0, 3);

	change_and_count(test, &map, GIB, 2 * GIB, ATTR, GIB, NODE_BYTES, 0);
	whole = map.bytes;
	/* In place: nothing comes or goes. */
	must_set(test, &map, GIB + 7, GIB + 10, 0, 3);
	few = map.bytes;
	change_and_count(test, &map, GIB + 7, GIB + 8, ATTR, 1, few, 0);
	KUNIT_EXPECT_EQ(test, allocated, 0);
	change_and_count(test, &map, GIB + 7, GIB + 8, ATTR, 0, few, 0);
	/* A fold as high as can be. */
	change_and_count(test, &map, GIB + 8, GIB + 10, ATTR, 2, whole, 2);

	/* All blocks at once, within nodes and with them. */
	for (i = 0; i < GIB; i += BLOCK)
		must_set(test, &map, GIB + i + 7, GIB + i + 8, 0, 1);
	KUNIT_EXPECT_EQ(test, map.bytes, whole + nodes * NODE_BYTES +
					 blocks * BLOCK_BYTES);
	change_and_count(test, &map, GIB + 8, GIB + 64 * BLOCK - 8, ATTR, 63,
			 map.bytes - 63 * BLOCK_BYTES, 63);
	change_and_count(test, &map, GIB, 2 * GIB - 1, ATTR, blocks - 63, whole,
			 nodes + blocks - 63);

	change_and_count(test, &map, 0, FRAMES, 0, GIB, 0, 1);
	kvm_mem_attr_map_destroy(&map);
}

/* A change that fails has nothing to free that was there before. */
static void frees_what_it_took(struct kunit *test)
{
	struct kvm_mem_attr_change change = {};
	struct kvm_mem_attr_map map;
	unsigned long bytes;

	kvm_mem_attr_map_init(&map, ATTR);
	must_set(test, &map, 7, 3 * BLOCK + 9, ATTR, 3 * BLOCK + 2);
	bytes = map.bytes;

	freed = 0;
	kunit_activate_static_stub(test, kvm_mem_attr_map_free, counting_free);
	must_prepare(test, &map, &change, TIB, TIB + 5, ATTR);
	KUNIT_EXPECT_GT(test, map.bytes, bytes);
	kvm_mem_attr_map_abort(&map, &change);
	KUNIT_EXPECT_EQ(test, freed, 0);
	KUNIT_EXPECT_EQ(test, map.bytes, bytes);
	/* The roots of 21, 27 and 33 bits. */
	kvm_mem_attr_map_finish(&change);
	KUNIT_EXPECT_EQ(test, freed, 3);
	kvm_mem_attr_map_finish(&change);
	KUNIT_EXPECT_EQ(test, freed, 3);
	kunit_deactivate_static_stub(test, kvm_mem_attr_map_free);

	kvm_mem_attr_map_destroy(&map);
}

/* Random operations */

/* An array of attributes beside the map, for frames from @base on. */
struct oracle {
	struct kvm_mem_attr_map map;
	struct rnd_state rnd;
	u64 base;
	unsigned int frames;
	u8 *attrs;
};

/* The attributes that the low bits of a small number stand for. */
static unsigned long spread(const struct oracle *o, u8 small)
{
	unsigned long attrs = 0;
	unsigned int bit, i = 0;

	for_each_set_bit(bit, &o->map.bits, BITS_PER_LONG)
		attrs |= small & BIT(i++) ? BIT(bit) : 0;

	return attrs;
}

static u8 random_attrs(struct oracle *o)
{
	return prandom_u32_state(&o->rnd) &
	       (BIT(hweight_long(o->map.bits)) - 1);
}

/* Short ranges most of the time, for they are where trees go wrong. */
static void random_range(struct oracle *o, unsigned int *start, unsigned int *end)
{
	u32 random = prandom_u32_state(&o->rnd);
	unsigned int longest;

	switch (random % 16) {
	case 0:
		longest = o->frames;
		break;
	case 1:
	case 2:
		longest = 4 * BLOCK;
		break;
	case 3:
	case 4:
	case 5:
		longest = BLOCK;
		break;
	default:
		longest = 40;
		break;
	}

	*start = prandom_u32_state(&o->rnd) % o->frames;
	/* Ends that meet boundaries are rare by chance. */
	if (random & BIT(8))
		*start = round_down(*start, random & BIT(9) ? BLOCK : 64);
	*end = *start + 1 + prandom_u32_state(&o->rnd) % longest;
	if (random & BIT(10))
		*end = round_up(*end, random & BIT(11) ? BLOCK : 64);
	*end = min(*end, o->frames);
}

static unsigned int array_run(const struct oracle *o, unsigned int start,
			      unsigned int end)
{
	unsigned int i;

	for (i = start + 1; i < end && o->attrs[i] == o->attrs[start]; i++)
		;

	return i;
}

static void random_set(struct kunit *test, struct oracle *o, unsigned int start,
		       unsigned int end)
{
	u8 small = random_attrs(o);
	unsigned int i, changed = 0;

	for (i = start; i < end; i++) {
		changed += o->attrs[i] != small;
		o->attrs[i] = small;
	}
	must_set(test, &o->map, o->base + start, o->base + end,
		 spread(o, small), changed);
}

/* A change of one frame knows its neighbours, and changes nothing when aborted. */
static void expect_beside(struct kunit *test, struct oracle *o, unsigned int i)
{
	unsigned long attrs = spread(o, o->attrs[i]) ^ (o->map.bits & -o->map.bits);
	struct kvm_mem_attr_change change = {};

	KUNIT_ASSERT_EQ(test, kvm_mem_attr_map_prepare(&o->map, &change,
						       o->base + i,
						       o->base + i + 1, attrs), 0);
	KUNIT_EXPECT_EQ(test, change.changed, 1);
	KUNIT_EXPECT_EQ(test, change.before, spread(o, o->attrs[i - 1]));
	KUNIT_EXPECT_EQ(test, change.after, spread(o, o->attrs[i + 1]));
	kvm_mem_attr_map_abort(&o->map, &change);
	kvm_mem_attr_map_finish(&change);
}

static void random_look(struct kunit *test, struct oracle *o,
			unsigned int start, unsigned int end)
{
	unsigned long attrs = spread(o, o->attrs[start]), found;
	unsigned long mask = spread(o, random_attrs(o));
	unsigned int i, count = 0, runs = 0;
	bool has = true;

	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_get(&o->map, o->base + start),
			attrs);
	if (start && start < o->frames - 1)
		expect_beside(test, o, start);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_run(&o->map, o->base + start,
						   o->base + end, &found),
			o->base + array_run(o, start, end));
	KUNIT_EXPECT_EQ(test, found, attrs);

	for (i = start; i < end; i++) {
		unsigned long here = spread(o, o->attrs[i]);

		has &= (here & mask) == (attrs & mask);
		count += (here & mask) == mask;
		runs += i == start || o->attrs[i] != o->attrs[i - 1];
	}
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_runs(&o->map, o->base + start,
						    o->base + end), runs);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_has(&o->map, o->base + start,
						   o->base + end, mask,
						   attrs & mask), has);
	KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_count(&o->map, o->base + start,
						     o->base + end, mask),
			count);
}

/* All frames, and nothing beside them. */
static void compare_all(struct kunit *test, struct oracle *o)
{
	unsigned int start, end;
	unsigned long found;

	for (start = 0; start < o->frames; start = end) {
		end = array_run(o, start, o->frames);
		KUNIT_EXPECT_EQ(test, kvm_mem_attr_map_run(&o->map, o->base + start,
							   o->base + o->frames,
							   &found),
				o->base + end);
		KUNIT_EXPECT_EQ(test, found, spread(o, o->attrs[start]));
	}
	KUNIT_EXPECT_TRUE(test, !o->base ||
			  kvm_mem_attr_map_has(&o->map, 0, o->base,
					       o->map.bits, 0));
	KUNIT_EXPECT_TRUE(test, o->base + o->frames == FRAMES ||
			  kvm_mem_attr_map_has(&o->map, o->base + o->frames,
					       FRAMES, o->map.bits, 0));
}

static void oracle_init(struct kunit *test, struct oracle *o, unsigned long bits,
			u64 base, unsigned int frames)
{
	u64 from = seed ?: get_random_u64();

	kunit_info(test, "seed=%llu\n", from);
	prandom_seed_state(&o->rnd, from);
	kvm_mem_attr_map_init(&o->map, bits);
	o->base = base;
	o->frames = frames;
	o->attrs = kunit_kzalloc(test, frames, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, o->attrs);
}

static const struct random_case {
	const char *name;
	unsigned long bits;
	u64 base;
} random_cases[] = {
	{ "from the first frame", ATTR, 0 },
	{ "where the tree grows by a level", ATTR, 64 * 64 * BLOCK - 3 * BLOCK - 5 },
	{ "up to the last frame", ATTR, FRAMES - 40 * BLOCK },
	{ "three attributes", BIT(0) | BIT(3) | BIT(62), 60 * BLOCK + 1 },
	{ "four attributes", 0xf, TIB - BLOCK },
};

static void random_case_name(const struct random_case *c, char *name)
{
	strscpy(name, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(random_case, random_cases, random_case_name);

static void like_an_array(struct kunit *test)
{
	const struct random_case *c = test->param_value;
	unsigned int i, start, end;
	struct oracle o;

	oracle_init(test, &o, c->bits, c->base, 40 * BLOCK);
	for (i = 0; i < DIV_ROUND_UP(operations, ARRAY_SIZE(random_cases)); i++) {
		random_range(&o, &start, &end);
		if (i % 2)
			random_look(test, &o, start, end);
		else
			random_set(test, &o, start, end);
		if (i % 4096)
			continue;
		compare_all(test, &o);
		cond_resched();
	}
	compare_all(test, &o);
	must_destroy(test, &o.map);
}

/* Failing memory */

static unsigned int allocations_left;

static void *failing_alloc(size_t size, gfp_t gfp)
{
	return allocations_left-- ? kmalloc(size, GFP_KERNEL_ACCOUNT) : NULL;
}

static const struct attributes_case {
	const char *name;
	unsigned long bits;
	unsigned int failures;
} attributes_cases[] = {
	/* As KVM has it: most changes need no memory, for blocks change in place. */
	{ "one attribute", ATTR, 100 },
	{ "two attributes", ATTR | BIT(0), 300 },
};

static void attributes_case_name(const struct attributes_case *c, char *name)
{
	strscpy(name, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(attributes_case, attributes_cases, attributes_case_name);

/* Each allocation of many changes fails once; nothing must change. */
static void out_of_memory(struct kunit *test)
{
	const struct attributes_case *c = test->param_value;
	unsigned int i, start, end, nth, failures = 0;
	unsigned long bytes;
	struct oracle o;
	int r;

	oracle_init(test, &o, c->bits, 63 * BLOCK, 8 * BLOCK);
	for (i = 0; i < 300; i++) {
		struct kvm_mem_attr_change change = {};
		u8 small = random_attrs(&o);
		u64 above = 0;

		random_range(&o, &start, &end);
		/* Now and then the tree has to grow, too. */
		if (i % 8 == 7)
			above = 64 * 64 * BLOCK << (i / 8 % 3 * 6);

		for (nth = 0; ; nth++) {
			bytes = o.map.bytes;
			allocations_left = nth;
			kunit_activate_static_stub(test, kvm_mem_attr_map_alloc,
						   failing_alloc);
			r = kvm_mem_attr_map_prepare(&o.map, &change,
						     o.base + start,
						     o.base + end + above,
						     spread(&o, small));
			kunit_deactivate_static_stub(test, kvm_mem_attr_map_alloc);
			if (!r)
				break;
			failures++;
			KUNIT_ASSERT_EQ(test, r, -ENOMEM);
			KUNIT_ASSERT_EQ(test, change.changed, 0);
			kvm_mem_attr_map_finish(&change);
			KUNIT_ASSERT_EQ(test, o.map.bytes, bytes);
			compare_all(test, &o);
		}
		if (above) {
			kvm_mem_attr_map_abort(&o.map, &change);
			KUNIT_EXPECT_EQ(test, o.map.bytes, bytes);
		} else {
			kvm_mem_attr_map_commit(&o.map, &change);
			memset(o.attrs + start, small, end - start);
		}
		kvm_mem_attr_map_finish(&change);
		compare_all(test, &o);
	}
	KUNIT_EXPECT_GT(test, failures, c->failures);
	must_destroy(test, &o.map);
}

/* Readers against a writer */

/* Neither starts nor ends with a block, and has all of a node's slots in it. */
#define FLIPPED_START	(62 * BLOCK + 100)
#define FLIPPED_END	(129 * BLOCK + 300)

/**
 * struct flipped - a map whose frames are changed all the time
 * @map: the map
 * @seq: changes begun and changes complete; odd while one is under way
 * @looks: how often a reader looked while nothing changed
 * @wrong: what it saw then that was not so
 * @torn: attributes that no frame has had at any time
 */
struct flipped {
	struct kvm_mem_attr_map map;
	unsigned long seq;
	unsigned long looks;
	unsigned long wrong;
	unsigned long torn;
};

static unsigned long flipped_attrs(const struct flipped *f, unsigned long seq)
{
	return seq / 2 % 2 ? f->map.bits : 0;
}

static int look_at_flipped(void *arg)
{
	struct flipped *f = arg;
	u64 gfn = FLIPPED_START;
	unsigned long attrs, seq;

	while (!kthread_should_stop()) {
		/* Pairs with the end of a change. */
		seq = smp_load_acquire(&f->seq);
		attrs = kvm_mem_attr_map_get(&f->map, gfn);
		/* Read before @seq is read again. */
		smp_rmb();
		if (!(seq & 1) && seq == READ_ONCE(f->seq)) {
			f->wrong += attrs != flipped_attrs(f, seq);
			f->looks++;
		}
		f->torn += attrs && attrs != f->map.bits;
		f->torn += kvm_mem_attr_map_run(&f->map, gfn, FLIPPED_END,
						&attrs) <= gfn;
		f->torn += attrs && attrs != f->map.bits;
		f->torn += kvm_mem_attr_map_get(&f->map, FLIPPED_START - 1) != 0;
		f->torn += kvm_mem_attr_map_get(&f->map, FLIPPED_END) != 0;
		gfn += 37;
		if (gfn >= FLIPPED_END)
			gfn -= FLIPPED_END - FLIPPED_START;
		cond_resched();
	}

	return 0;
}

/* Changes a part and then the rest, so that the tree splits and folds. */
static void flip(struct kunit *test, struct flipped *f, u64 middle)
{
	unsigned long attrs = flipped_attrs(f, f->seq + 2);

	WRITE_ONCE(f->seq, f->seq + 1);
	/* Readers know that something is under way before they can see it. */
	smp_wmb();
	must_set(test, &f->map, FLIPPED_START, middle, attrs,
		 middle - FLIPPED_START);
	must_set(test, &f->map, middle, FLIPPED_END, attrs, FLIPPED_END - middle);
	/* The change is complete for whoever sees that it is. */
	smp_store_release(&f->seq, f->seq + 1);
}

/* One map has its bitmaps changed in place, the other has them replaced. */
static void readers_against_a_writer(struct kunit *test)
{
	static const unsigned long bits[] = { ATTR, ATTR | BIT(1) };
	struct task_struct *reader[ARRAY_SIZE(bits)];
	struct rnd_state rnd;
	struct flipped *f;
	unsigned int i;

	prandom_seed_state(&rnd, seed);
	f = kunit_kcalloc(test, ARRAY_SIZE(bits), sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		kvm_mem_attr_map_init(&f[i].map, bits[i]);
		reader[i] = kthread_run(look_at_flipped, &f[i], "mem_attr_map/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, reader[i]);
	}

	for (i = 0; i < 20000; i++) {
		flip(test, &f[i % ARRAY_SIZE(bits)], FLIPPED_START + 1 +
		     prandom_u32_state(&rnd) % (FLIPPED_END - FLIPPED_START - 1));
		/* Readers want a time in which nothing changes, too. */
		if (i % 16 < ARRAY_SIZE(bits))
			usleep_range(20, 50);
		cond_resched();
	}

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		kthread_stop(reader[i]);
		KUNIT_EXPECT_GT(test, f[i].looks, 0);
		KUNIT_EXPECT_EQ(test, f[i].wrong, 0);
		KUNIT_EXPECT_EQ(test, f[i].torn, 0);
		kvm_mem_attr_map_destroy(&f[i].map);
	}
}

static struct kunit_case mem_attr_map_cases[] = {
	KUNIT_CASE(empty),
	KUNIT_CASE(first_and_last_frame),
	KUNIT_CASE(beside_first_and_last),
	KUNIT_CASE(across_boundaries),
	KUNIT_CASE(splits_and_folds),
	KUNIT_CASE(abort_changes_nothing),
	KUNIT_CASE(frees_afterwards),
	KUNIT_CASE(frees_what_it_took),
	KUNIT_CASE_SLOW(terabyte),
	KUNIT_CASE_PARAM_ATTR(like_an_array, random_case_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(out_of_memory, attributes_case_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_SLOW(readers_against_a_writer),
	{}
};

static struct kunit_suite mem_attr_map_suite = {
	.name = "kvm_mem_attr_map",
	.test_cases = mem_attr_map_cases,
};

kunit_test_suite(mem_attr_map_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit test of the map of KVM's memory attributes");
MODULE_LICENSE("GPL");
