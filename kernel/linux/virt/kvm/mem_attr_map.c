// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory attributes of a VM's guest frames, kept by range.
 *
 * The map is a radix tree.  A node has 64 slots, each of which stands for an
 * aligned range of frames: 512 in the lowest nodes, 64 times as many in each
 * level above.  What a slot holds is called an entry here, one word:
 *
 *  - a value, with the lowest bit set: all frames of the range have these
 *    attributes;
 *  - a node, which tells more of the range;
 *  - at the lowest level a block: for each attribute a bitmap of the 512
 *    frames that have it.
 *
 * A range of equal attributes is always a value, so the tree has no more than
 * one entry on each side of a boundary and level.  A guest that converts every
 * other frame makes the tree as large as it gets: 36 KiB a GiB.
 *
 * A change is made in place, frame by frame in no particular order: a slot is
 * replaced by one store, after what it points to is complete.  A reader sees
 * each frame as it was before or as it is afterwards.
 *
 * A change has three parts, so that little is left for the one in the middle,
 * during which vCPUs may wait.  kvm_mem_attr_map_prepare() looks at all that the
 * change concerns and takes all memory that it needs, so that it cannot fail
 * half way.  kvm_mem_attr_map_commit() does it, without a look at what is below
 * the slots that it replaces, and only remembers that.  Then
 * kvm_mem_attr_map_finish() frees it after a grace period.
 */
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/kvm_mem_attr_map.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#define BLOCK_SHIFT	9
#define BLOCK_FRAMES	BIT(BLOCK_SHIFT)
#define BLOCK_WORDS	(BLOCK_FRAMES / BITS_PER_LONG)
#define NODE_SHIFT	6
#define NODE_SLOTS	BIT(NODE_SHIFT)

/* Slots of the lowest nodes stand for blocks. */
#define MIN_ROOT_SHIFT	(BLOCK_SHIFT + NODE_SHIFT)

/**
 * struct kvm_mem_attr_node - 64 ranges side by side
 * @slot: an entry for each
 *
 * A power of two in size, so that kmalloc() aligns it to that: the root's low
 * bits have room for the number of bits that the root resolves.
 */
struct kvm_mem_attr_node {
	unsigned long slot[NODE_SLOTS];
};

#define ROOT_SHIFT_MASK	(sizeof(struct kvm_mem_attr_node) - 1)

/* The same of a block, which is the smallest thing to be retired. */
#define RETIRED_SHIFT_MASK	(BLOCK_WORDS * sizeof(unsigned long) - 1)

/* Entries */

#define NO_ATTRS	1UL

static unsigned long make_value(unsigned long attrs)
{
	return attrs << 1 | 1;
}

static bool is_value(unsigned long entry)
{
	return entry & 1;
}

static unsigned long value_attrs(unsigned long entry)
{
	return entry >> 1;
}

static struct kvm_mem_attr_node *to_node(unsigned long entry)
{
	return (struct kvm_mem_attr_node *)entry;
}

/* The bitmaps of a block, in the order of the attributes' bits. */
static unsigned long *to_block(unsigned long entry)
{
	return (unsigned long *)entry;
}

/* The root as one word, so that readers get its size along with it. */
static unsigned long read_root(const struct kvm_mem_attr_map *map,
			       unsigned int *shift)
{
	unsigned long root = READ_ONCE(map->root);

	*shift = root & ROOT_SHIFT_MASK;

	return root ? root & ~ROOT_SHIFT_MASK : NO_ATTRS;
}

static void write_slot(unsigned long *slot, unsigned long entry)
{
	/* What it points to is complete; pairs with readers' dependent loads. */
	smp_store_release(slot, entry);
}

static void write_root(struct kvm_mem_attr_map *map, unsigned long entry,
		       unsigned int shift)
{
	write_slot(&map->root, is_value(entry) ? 0 : entry | shift);
}

/* Reading */

/*
 * Returns the value or block that a frame is in, and the last frame that is in
 * it, too.
 */
static __always_inline unsigned long find(unsigned long entry,
					  unsigned int shift, u64 gfn, u64 *last)
{
	/* Frames beyond the root have no attributes. */
	if (is_value(entry) || gfn >> shift) {
		*last = U64_MAX;
		return NO_ATTRS;
	}

	do {
		shift -= NODE_SHIFT;
		entry = READ_ONCE(to_node(entry)->slot[gfn >> shift &
						       (NODE_SLOTS - 1)]);
	} while (!is_value(entry) && shift > BLOCK_SHIFT);

	*last = gfn | (BIT_ULL(shift) - 1);

	return entry;
}

/*
 * Returns the lowest node whose range has both frames, which the root's has, and
 * turns @shift from the root's into its own.
 */
static __always_inline struct kvm_mem_attr_node *
find_node(unsigned long root, unsigned int *shift, u64 first, u64 last)
{
	struct kvm_mem_attr_node *node = to_node(root);
	unsigned int child = *shift - NODE_SHIFT;
	unsigned long entry;

	while (child > BLOCK_SHIFT && !((first ^ last) >> child)) {
		entry = READ_ONCE(node->slot[first >> child & (NODE_SLOTS - 1)]);
		if (is_value(entry))
			break;
		node = to_node(entry);
		child -= NODE_SHIFT;
	}
	*shift = child + NODE_SHIFT;

	return node;
}

/* Most ranges are a page or a hugepage, and need no look at more of a node. */
static bool in_one_slot(u64 first, u64 last, unsigned int shift)
{
	return !((first ^ last) >> (shift - NODE_SHIFT));
}

static unsigned long *slot_of(struct kvm_mem_attr_node *node,
			      unsigned int shift, u64 gfn)
{
	return &node->slot[gfn >> (shift - NODE_SHIFT) & (NODE_SLOTS - 1)];
}

/* The lowest of some attributes: bitmaps are in the order of their bits. */
static unsigned long first_attr(unsigned long attrs)
{
	return attrs & -attrs;
}

static __always_inline unsigned long block_attrs(const struct kvm_mem_attr_map *map,
						 const unsigned long *block,
						 unsigned int frame)
{
	unsigned long rest, attrs = 0;

	for (rest = map->bits; rest; rest &= rest - 1) {
		if (test_bit(frame, block))
			attrs |= first_attr(rest);
		block += BLOCK_WORDS;
	}

	return attrs;
}

/* The first frame after @frame that has other attributes. */
static unsigned int block_run(const struct kvm_mem_attr_map *map,
			      const unsigned long *block, unsigned int frame)
{
	unsigned int end = BLOCK_FRAMES;
	unsigned long rest;

	for (rest = map->bits; rest; rest &= rest - 1) {
		/* Not from @frame: its bit may be changed meanwhile. */
		end = test_bit(frame, block) ?
		      find_next_zero_bit(block, end, frame + 1) :
		      find_next_bit(block, end, frame + 1);
		block += BLOCK_WORDS;
	}

	return end;
}

/* Which bits of a word of a bitmap are among @first to @last. */
static __always_inline unsigned long word_mask(unsigned int word,
					       unsigned int first,
					       unsigned int last)
{
	unsigned long mask = ~0UL;

	if (word == BIT_WORD(first))
		mask &= BITMAP_FIRST_WORD_MASK(first);
	if (word == BIT_WORD(last))
		mask &= BITMAP_LAST_WORD_MASK(last + 1);

	return mask;
}

/* The frames of one word of a block that differ from @attrs in a bit of @mask. */
static __always_inline unsigned long
block_diff(const struct kvm_mem_attr_map *map, const unsigned long *block,
	   unsigned int word, unsigned long mask, unsigned long attrs)
{
	unsigned long rest, diff = 0;

	block += word;
	for (rest = map->bits; rest; rest &= rest - 1) {
		if (mask & first_attr(rest))
			diff |= READ_ONCE(*block) ^
				(attrs & first_attr(rest) ? ~0UL : 0);
		block += BLOCK_WORDS;
	}

	return diff;
}

static unsigned int block_differs(const struct kvm_mem_attr_map *map,
				  const unsigned long *block,
				  unsigned int first, unsigned int last,
				  unsigned long mask, unsigned long attrs)
{
	unsigned int word, differs = 0;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++)
		differs += hweight_long(block_diff(map, block, word, mask, attrs) &
					word_mask(word, first, last));

	return differs;
}

static bool block_has(const struct kvm_mem_attr_map *map,
		      const unsigned long *block, unsigned int first,
		      unsigned int last, unsigned long mask, unsigned long attrs)
{
	unsigned int word;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
		if (block_diff(map, block, word, mask, attrs) &
		    word_mask(word, first, last))
			return false;
	}

	return true;
}

/**
 * kvm_mem_attr_map_get - a frame's attributes
 * @map: the map
 * @gfn: the frame
 *
 * Context: any.
 * Return: its attributes, 0 if it has none.
 */
unsigned long kvm_mem_attr_map_get(const struct kvm_mem_attr_map *map, u64 gfn)
{
	unsigned long entry;
	unsigned int shift;
	u64 last;

	guard(rcu)();

	entry = read_root(map, &shift);
	entry = find(entry, shift, gfn, &last);
	if (is_value(entry))
		return value_attrs(entry);

	return block_attrs(map, to_block(entry), gfn & (BLOCK_FRAMES - 1));
}
EXPORT_SYMBOL_GPL(kvm_mem_attr_map_get);

/*
 * Returns the attributes of a frame and the last frame for which that is sure
 * without looking elsewhere in the tree.
 */
static __always_inline unsigned long
find_attrs(const struct kvm_mem_attr_map *map, unsigned long root,
	   unsigned int shift, u64 gfn, u64 *last)
{
	unsigned long entry = find(root, shift, gfn, last);
	unsigned int frame = gfn & (BLOCK_FRAMES - 1);

	if (is_value(entry))
		return value_attrs(entry);

	*last = gfn - frame + block_run(map, to_block(entry), frame) - 1;

	return block_attrs(map, to_block(entry), frame);
}

/**
 * kvm_mem_attr_map_run - how far a frame's attributes reach
 * @map: the map
 * @gfn: the frame
 * @end: frame to stop at, greater than @gfn
 * @attrs: set to the frame's attributes
 *
 * Context: any.
 * Return: the first frame after @gfn that has other attributes, or @end.
 */
u64 kvm_mem_attr_map_run(const struct kvm_mem_attr_map *map, u64 gfn, u64 end,
			 unsigned long *attrs)
{
	unsigned long root;
	unsigned int shift;
	u64 last;

	guard(rcu)();

	root = read_root(map, &shift);
	*attrs = find_attrs(map, root, shift, gfn, &last);
	while (last < end - 1) {
		gfn = last + 1;
		if (find_attrs(map, root, shift, gfn, &last) != *attrs)
			return gfn;
	}

	return end;
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_run);

static bool value_has(unsigned long entry, unsigned long mask,
		      unsigned long attrs)
{
	return (value_attrs(entry) & mask) == attrs;
}

static bool node_has(const struct kvm_mem_attr_map *map,
		     const struct kvm_mem_attr_node *node, unsigned int shift,
		     u64 first, u64 last, unsigned long mask,
		     unsigned long attrs);

/* Do frames @first to @last of the range of a node or block have @attrs? */
static __always_inline bool part_has(const struct kvm_mem_attr_map *map,
				     unsigned long entry, unsigned int shift,
				     u64 first, u64 last, unsigned long mask,
				     unsigned long attrs)
{
	/* A range of equal attributes would be a value. */
	if (!first && last == BIT_ULL(shift) - 1 && mask == map->bits)
		return false;
	if (shift == BLOCK_SHIFT)
		return block_has(map, to_block(entry), first, last, mask, attrs);

	return node_has(map, to_node(entry), shift, first, last, mask, attrs);
}

static bool node_has(const struct kvm_mem_attr_map *map,
		     const struct kvm_mem_attr_node *node, unsigned int shift,
		     u64 first, u64 last, unsigned long mask,
		     unsigned long attrs)
{
	unsigned int child = shift - NODE_SHIFT;
	u64 i, in_child = BIT_ULL(child) - 1;
	unsigned long entry;

	for (i = first >> child; i <= last >> child; i++) {
		entry = READ_ONCE(node->slot[i]);
		if (is_value(entry) ? !value_has(entry, mask, attrs) :
		    !part_has(map, entry, child,
			      i == first >> child ? first & in_child : 0,
			      i == last >> child ? last & in_child : in_child,
			      mask, attrs))
			return false;
	}

	return true;
}

/**
 * kvm_mem_attr_map_has - do all frames of a range have these attributes?
 * @map: the map
 * @start: first frame
 * @end: frame after the last, greater than @start
 * @mask: the attributes to look at
 * @attrs: what they are to be
 *
 * Context: any; a change under way may be seen in part.
 * Return: true if they all have.
 */
bool kvm_mem_attr_map_has(const struct kvm_mem_attr_map *map, u64 start,
			  u64 end, unsigned long mask, unsigned long attrs)
{
	unsigned long root, entry;
	struct kvm_mem_attr_node *node;
	u64 last = end - 1;
	unsigned int shift;

	guard(rcu)();

	root = read_root(map, &shift);
	if (is_value(root) || last >> shift) {
		/* Frames beyond the root have no attributes. */
		if (attrs)
			return false;
		if (is_value(root) || start >> shift)
			return true;
		last = BIT_ULL(shift) - 1;
	}

	node = find_node(root, &shift, start, last);
	if (!in_one_slot(start, last, shift))
		return node_has(map, node, shift, start & (BIT_ULL(shift) - 1),
				last & (BIT_ULL(shift) - 1), mask, attrs);

	entry = READ_ONCE(*slot_of(node, shift, start));
	if (is_value(entry))
		return value_has(entry, mask, attrs);

	shift -= NODE_SHIFT;

	return part_has(map, entry, shift, start & (BIT_ULL(shift) - 1),
			last & (BIT_ULL(shift) - 1), mask, attrs);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_has);

/**
 * kvm_mem_attr_map_count - how many frames of a range have an attribute
 * @map: the map
 * @start: first frame
 * @end: frame after the last
 * @attr: the attribute; if several, frames that have all of them
 *
 * Context: any; takes a few instructions for each 512 frames that are not all
 *	alike.
 * Return: how many there are.
 */
u64 kvm_mem_attr_map_count(const struct kvm_mem_attr_map *map, u64 start,
			   u64 end, unsigned long attr)
{
	unsigned long root, entry;
	unsigned int shift, frame;
	u64 last, n, count = 0;

	guard(rcu)();

	root = read_root(map, &shift);
	for (; start < end; start = last + 1) {
		entry = find(root, shift, start, &last);
		last = min(last, end - 1);
		n = last - start + 1;
		if (is_value(entry)) {
			if ((value_attrs(entry) & attr) == attr)
				count += n;
			continue;
		}
		frame = start & (BLOCK_FRAMES - 1);
		count += n - block_differs(map, to_block(entry), frame,
					   frame + n - 1, attr, attr);
	}

	return count;
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_count);

/*
 * The frames from @first + 1 to @last of a block that have other attributes than
 * the one before.
 */
static unsigned int block_changes(const struct kvm_mem_attr_map *map,
				  const unsigned long *block,
				  unsigned int first, unsigned int last)
{
	unsigned int word, changes = 0;

	if (first++ == last)
		return 0;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
		const unsigned long *bits = block + word;
		unsigned long rest, before, diff = 0;

		for (rest = map->bits; rest; rest &= rest - 1) {
			before = word ? bits[-1] >> (BITS_PER_LONG - 1) : 0;
			diff |= *bits ^ (*bits << 1 | before);
			bits += BLOCK_WORDS;
		}
		changes += hweight_long(diff & word_mask(word, first, last));
	}

	return changes;
}

/**
 * kvm_mem_attr_map_runs - how many ranges of equal attributes a range is cut into
 * @map: the map
 * @start: first frame
 * @end: frame after the last, greater than @start
 *
 * Context: any; takes a few instructions for each 512 frames that are not all
 *	alike.
 * Return: how many there are, at least 1.
 */
u64 kvm_mem_attr_map_runs(const struct kvm_mem_attr_map *map, u64 start, u64 end)
{
	unsigned long root, entry, attrs, before = 0;
	unsigned int shift, frame, to;
	u64 last, next, runs = 0;

	guard(rcu)();

	root = read_root(map, &shift);
	for (next = start; next < end; next = last + 1) {
		entry = find(root, shift, next, &last);
		last = min(last, end - 1);
		if (is_value(entry)) {
			attrs = value_attrs(entry);
			runs += next == start || attrs != before;
			before = attrs;
			continue;
		}
		frame = next & (BLOCK_FRAMES - 1);
		to = frame + (last - next);
		attrs = block_attrs(map, to_block(entry), frame);
		runs += next == start || attrs != before;
		runs += block_changes(map, to_block(entry), frame, to);
		before = block_attrs(map, to_block(entry), to);
	}

	return runs;
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_runs);

/* Memory */

VISIBLE_IF_KUNIT void *kvm_mem_attr_map_alloc(size_t size, gfp_t gfp)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_mem_attr_map_alloc, size, gfp);

	return kmalloc(size, GFP_KERNEL_ACCOUNT | gfp);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_alloc);

static size_t block_bytes(const struct kvm_mem_attr_map *map)
{
	return hweight_long(map->bits) * BLOCK_WORDS * sizeof(unsigned long);
}

static size_t entry_bytes(const struct kvm_mem_attr_map *map, unsigned int shift)
{
	return shift == BLOCK_SHIFT ? block_bytes(map) :
				      sizeof(struct kvm_mem_attr_node);
}

static void count_bytes(struct kvm_mem_attr_map *map, long bytes)
{
	WRITE_ONCE(map->bytes, map->bytes + bytes);
}

/* Frees what readers may have found before the grace period @gp began. */
VISIBLE_IF_KUNIT void kvm_mem_attr_map_free(const void *memory, unsigned long gp)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_mem_attr_map_free, memory, gp);

	/*
	 * The latter waits for a grace period itself when memory is short.  Once
	 * it has, there is nothing to wait for any more.
	 */
	if (poll_state_synchronize_rcu(gp))
		kfree(memory);
	else
		kfree_rcu_mightsleep(memory);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_free);

/* Frees what is at and below an entry that is in the tree no more. */
static void free_tree(unsigned long entry, unsigned int shift, unsigned long gp)
{
	unsigned int i;

	if (is_value(entry))
		return;

	if (shift > BLOCK_SHIFT) {
		for (i = 0; i < NODE_SLOTS; i++)
			free_tree(to_node(entry)->slot[i], shift - NODE_SHIFT, gp);
		cond_resched();
	}
	kvm_mem_attr_map_free((void *)entry, gp);
}

/*
 * Remembers what has been taken out of the tree.  An entry leaves as many low
 * bits as a shift needs.
 */
static void retire_tree(struct kvm_mem_attr_change *change, unsigned long entry,
			unsigned int shift)
{
	unsigned long *retired = change->more ?: change->few;

	/* It would be lost, and nothing else. */
	if (WARN_ON_ONCE(change->nr_retired == change->room))
		return;

	retired[change->nr_retired++] = entry | shift;
}

/* The same of a node or block alone, for what it points to is in the tree. */
static void retire(struct kvm_mem_attr_map *map,
		   struct kvm_mem_attr_change *change, unsigned long entry,
		   unsigned int shift)
{
	count_bytes(map, -entry_bytes(map, shift));
	retire_tree(change, entry, BLOCK_SHIFT);
}

/* Memory taken in advance is chained by its first word. */

static int reserve(unsigned long *chain, unsigned int nr, size_t bytes,
		   gfp_t gfp)
{
	unsigned long *memory;

	while (nr--) {
		memory = kvm_mem_attr_map_alloc(bytes, gfp);
		if (!memory)
			return -ENOMEM;
		*memory = *chain;
		*chain = (unsigned long)memory;
	}

	return 0;
}

static void *take(unsigned long *chain)
{
	unsigned long *memory = (unsigned long *)*chain;

	*chain = *memory;

	return memory;
}

static void give_back(unsigned long *chain)
{
	while (*chain)
		kfree(take(chain));
}

static struct kvm_mem_attr_node *take_node(struct kvm_mem_attr_map *map,
					   struct kvm_mem_attr_change *change,
					   unsigned long fill)
{
	struct kvm_mem_attr_node *node = take(&change->nodes);

	memset64((u64 *)node->slot, fill, NODE_SLOTS);
	count_bytes(map, sizeof(*node));

	return node;
}

/* Writing */

/* Blocks of several bitmaps are replaced, for a frame is in each of them. */
static bool change_in_place(const struct kvm_mem_attr_map *map)
{
	return is_power_of_2(map->bits);
}

/**
 * struct needs - what a change needs memory for
 * @nodes: nodes
 * @blocks: blocks
 * @retired: entries that it may take out of the tree
 */
struct needs {
	unsigned int nodes;
	unsigned int blocks;
	unsigned int retired;
};

/* Adds up what goes away when a slot that has this entry becomes a value. */
static void count_tree(const struct kvm_mem_attr_map *map,
		       struct kvm_mem_attr_change *change, unsigned long entry,
		       unsigned int shift)
{
	unsigned int i;

	if (is_value(entry)) {
		if (value_attrs(entry) != change->attrs)
			change->changed += BIT_ULL(shift);
		return;
	}

	change->bytes += entry_bytes(map, shift);
	if (shift == BLOCK_SHIFT) {
		change->changed += block_differs(map, to_block(entry), 0,
						 BLOCK_FRAMES - 1, map->bits,
						 change->attrs);
		return;
	}

	for (i = 0; i < NODE_SLOTS; i++)
		count_tree(map, change, to_node(entry)->slot[i],
			   shift - NODE_SHIFT);
	cond_resched();
}

static void count_slot(const struct kvm_mem_attr_map *map,
		       struct kvm_mem_attr_change *change, struct needs *needs,
		       unsigned long entry, unsigned int shift, u64 first,
		       u64 last);

/*
 * Counts what it takes to change frames @first to @last of a node's range, or of
 * the range that a value is for and a node is going to be.
 */
static void count_node(const struct kvm_mem_attr_map *map,
		       struct kvm_mem_attr_change *change, struct needs *needs,
		       unsigned long entry, unsigned int shift, u64 first,
		       u64 last)
{
	unsigned int child = shift - NODE_SHIFT;
	u64 i, mask = BIT_ULL(child) - 1;

	for (i = first >> child; i <= last >> child; i++)
		count_slot(map, change, needs,
			   is_value(entry) ? entry : to_node(entry)->slot[i],
			   child, i == first >> child ? first & mask : 0,
			   i == last >> child ? last & mask : mask);
}

static void count_slot(const struct kvm_mem_attr_map *map,
		       struct kvm_mem_attr_change *change, struct needs *needs,
		       unsigned long entry, unsigned int shift, u64 first,
		       u64 last)
{
	if (entry == make_value(change->attrs))
		return;

	needs->retired += !is_value(entry);

	if (!first && last == BIT_ULL(shift) - 1) {
		count_tree(map, change, entry, shift);
	} else if (shift > BLOCK_SHIFT) {
		needs->nodes += is_value(entry);
		count_node(map, change, needs, entry, shift, first, last);
	} else if (is_value(entry)) {
		needs->blocks++;
		change->changed += last - first + 1;
	} else {
		needs->blocks += !change_in_place(map);
		change->changed += block_differs(map, to_block(entry), first,
						 last, map->bits, change->attrs);
	}
}

static void block_fill(const struct kvm_mem_attr_map *map, unsigned long *block,
		       unsigned long attrs)
{
	unsigned long rest;

	for (rest = map->bits; rest; rest &= rest - 1) {
		memset64((u64 *)block, attrs & first_attr(rest) ? ~0ULL : 0,
			 BLOCK_WORDS);
		block += BLOCK_WORDS;
	}
}

static void block_set(const struct kvm_mem_attr_map *map, unsigned long *block,
		      unsigned int first, unsigned int last, unsigned long attrs)
{
	unsigned long rest, mask;
	unsigned int word;

	for (rest = map->bits; rest; rest &= rest - 1) {
		for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
			mask = word_mask(word, first, last);
			WRITE_ONCE(block[word], attrs & first_attr(rest) ?
						block[word] | mask :
						block[word] & ~mask);
		}
		block += BLOCK_WORDS;
	}
}

/* Do all frames but @first to @last have @attrs?  Mostly the first word tells. */
static bool block_folds(const struct kvm_mem_attr_map *map,
			const unsigned long *block, unsigned int first,
			unsigned int last, unsigned long attrs)
{
	unsigned long diff;
	unsigned int word;

	for (word = 0; word < BLOCK_WORDS; word++) {
		diff = block_diff(map, block, word, map->bits, attrs);
		if (word >= BIT_WORD(first) && word <= BIT_WORD(last))
			diff &= ~word_mask(word, first, last);
		if (diff)
			return false;
	}

	return true;
}

static void change_block(struct kvm_mem_attr_map *map,
			 struct kvm_mem_attr_change *change, unsigned long *slot,
			 unsigned int first, unsigned int last)
{
	unsigned long *block, old = *slot;

	if (!is_value(old)) {
		if (block_folds(map, to_block(old), first, last, change->attrs)) {
			write_slot(slot, make_value(change->attrs));
			retire(map, change, old, BLOCK_SHIFT);
			return;
		}
		if (change_in_place(map)) {
			block_set(map, to_block(old), first, last, change->attrs);
			return;
		}
	}

	block = take(&change->blocks);
	count_bytes(map, block_bytes(map));
	if (is_value(old))
		block_fill(map, block, value_attrs(old));
	else
		memcpy(block, to_block(old), block_bytes(map));
	block_set(map, block, first, last, change->attrs);
	write_slot(slot, (unsigned long)block);
	if (!is_value(old))
		retire(map, change, old, BLOCK_SHIFT);
}

static bool node_is_uniform(const struct kvm_mem_attr_node *node,
			    unsigned long value)
{
	const unsigned long *slot;

	/* Four at a time, for the last change of a node looks at all. */
	for (slot = node->slot; slot < node->slot + NODE_SLOTS; slot += 4) {
		if (slot[0] != value || slot[1] != value ||
		    slot[2] != value || slot[3] != value)
			return false;
	}

	return true;
}

static void change_slot(struct kvm_mem_attr_map *map,
			struct kvm_mem_attr_change *change, unsigned long *slot,
			unsigned int shift, u64 first, u64 last);

static void change_node(struct kvm_mem_attr_map *map,
			struct kvm_mem_attr_change *change,
			struct kvm_mem_attr_node *node, unsigned int shift,
			u64 first, u64 last)
{
	unsigned int child = shift - NODE_SHIFT;
	u64 i, mask = BIT_ULL(child) - 1;

	for (i = first >> child; i <= last >> child; i++)
		change_slot(map, change, &node->slot[i], child,
			    i == first >> child ? first & mask : 0,
			    i == last >> child ? last & mask : mask);
}

/* Changes frames @first to @last of the 1 << @shift that a slot stands for. */
static void change_slot(struct kvm_mem_attr_map *map,
			struct kvm_mem_attr_change *change, unsigned long *slot,
			unsigned int shift, u64 first, u64 last)
{
	unsigned long value = make_value(change->attrs), old = *slot;
	struct kvm_mem_attr_node *node;

	if (old == value)
		return;

	if (!first && last == BIT_ULL(shift) - 1) {
		write_slot(slot, value);
		if (!is_value(old))
			retire_tree(change, old, shift);
		return;
	}

	if (shift == BLOCK_SHIFT) {
		change_block(map, change, slot, first, last);
		return;
	}

	if (is_value(old)) {
		node = take_node(map, change, old);
		change_node(map, change, node, shift, first, last);
		write_slot(slot, (unsigned long)node);
		return;
	}

	node = to_node(old);
	change_node(map, change, node, shift, first, last);
	if (node_is_uniform(node, value)) {
		write_slot(slot, value);
		retire(map, change, old, shift);
	}
}

/* The root */

/* Makes the tree tall enough for a frame; what is in it stays the same. */
static int grow_root(struct kvm_mem_attr_map *map, u64 gfn, gfp_t gfp)
{
	struct kvm_mem_attr_node *node;
	unsigned long root;
	unsigned int shift;

	root = read_root(map, &shift);
	if (is_value(root)) {
		for (shift = MIN_ROOT_SHIFT; gfn >> shift; )
			shift += NODE_SHIFT;
	} else {
		if (!(gfn >> shift))
			return 0;
		shift += NODE_SHIFT;
	}

	for (;; shift += NODE_SHIFT) {
		node = kvm_mem_attr_map_alloc(sizeof(*node), gfp);
		if (!node)
			return -ENOMEM;
		count_bytes(map, sizeof(*node));
		memset64((u64 *)node->slot, NO_ATTRS, NODE_SLOTS);
		node->slot[0] = root;
		root = (unsigned long)node;
		write_root(map, root, shift);
		if (!(gfn >> shift))
			return 0;
	}
}

/* Removes roots that tell nothing, or nothing but what their first slot does. */
static void trim_root(struct kvm_mem_attr_map *map,
		      struct kvm_mem_attr_change *change)
{
	unsigned long root, child;
	unsigned int i, shift;

	for (;;) {
		root = read_root(map, &shift);
		if (is_value(root))
			return;

		child = to_node(root)->slot[0];
		if (is_value(child) ? child != NO_ATTRS : shift == MIN_ROOT_SHIFT)
			return;
		for (i = 1; i < NODE_SLOTS; i++) {
			if (to_node(root)->slot[i] != NO_ATTRS)
				return;
		}
		write_root(map, child, shift - NODE_SHIFT);
		retire(map, change, root, shift);
	}
}

/*
 * Lets the nodes above those that have been changed become values, too, from the
 * lowest on.  The root has no slot to be a value in.
 */
static void fold_above(struct kvm_mem_attr_map *map,
		       struct kvm_mem_attr_change *change)
{
	unsigned long root, value = make_value(change->attrs);
	struct kvm_mem_attr_node *above, *node = change->node;
	unsigned int root_shift, above_shift, shift = change->shift;
	u64 last = change->last;

	/* Nothing has become one, most of the time. */
	if (*slot_of(node, shift, last) != value)
		return;

	root = read_root(map, &root_shift);
	for (; shift < root_shift; shift = above_shift) {
		if (!node_is_uniform(node, value))
			return;

		/* The lowest that has this range and the one beside it. */
		above_shift = root_shift;
		above = find_node(root, &above_shift, last, last ^ BIT_ULL(shift));
		write_slot(slot_of(above, above_shift, last), value);
		retire(map, change, (unsigned long)node, shift);
		node = above;
	}

	if (value == NO_ATTRS)
		trim_root(map, change);
}

/* Room for all that a change may take out of the tree. */
static int reserve_room(struct kvm_mem_attr_change *change, unsigned int nr)
{
	if (nr <= change->room)
		return 0;

	change->more = kvm_mem_attr_map_alloc(nr * sizeof(*change->more),
					      change->gfp);
	if (!change->more)
		return -ENOMEM;
	change->room = nr;

	return 0;
}

/*
 * The attributes of the frames beside the one that is changed, for which most of
 * the time nobody has to look anywhere else.
 */
static void look_beside(const struct kvm_mem_attr_map *map,
			struct kvm_mem_attr_change *change, unsigned long entry)
{
	unsigned int frame = change->first & (BLOCK_FRAMES - 1);

	if (unlikely(!frame || frame == BLOCK_FRAMES - 1)) {
		change->before = kvm_mem_attr_map_get(map, change->first - 1);
		change->after = kvm_mem_attr_map_get(map, change->first + 1);
	} else if (is_value(entry)) {
		change->before = value_attrs(entry);
		change->after = change->before;
	} else if (change_in_place(map)) {
		change->before = test_bit(frame - 1, to_block(entry)) ?
				 map->bits : 0;
		change->after = test_bit(frame + 1, to_block(entry)) ?
				map->bits : 0;
	} else {
		change->before = block_attrs(map, to_block(entry), frame - 1);
		change->after = block_attrs(map, to_block(entry), frame + 1);
	}
}

/**
 * kvm_mem_attr_map_prepare - get ready for a change
 * @map: the map
 * @change: filled in but for "gfp"; its member "changed" is the number of frames whose
 *	attributes are going to differ from what they are, and if that is all of a
 *	range of one, "before" and "after" are the attributes of its neighbours
 * @start: first frame
 * @end: frame after the last, greater than @start and at most 1 << 52
 * @attrs: the attributes to set, of those the map was made for
 *
 * The change is for kvm_mem_attr_map_commit() or kvm_mem_attr_map_abort(), which
 * it needs neither of if it does not change anything, and then for
 * kvm_mem_attr_map_finish(), whatever became of it.
 *
 * Context: may sleep; the map has no other writer until the change is
 *	committed or aborted.
 * Return: 0; -ENOMEM or -EINVAL, and nothing is to be aborted.
 */
int kvm_mem_attr_map_prepare(struct kvm_mem_attr_map *map,
			     struct kvm_mem_attr_change *change, u64 start,
			     u64 end, unsigned long attrs)
{
	struct needs needs = {};
	unsigned int root_shift, shift;
	unsigned long root;
	u64 in_range;

	change->changed = 0;
	change->first = start;
	change->last = end - 1;
	change->attrs = attrs;
	change->bytes = 0;
	change->nodes = 0;
	change->blocks = 0;
	change->more = NULL;
	change->room = ARRAY_SIZE(change->few);
	change->nr_retired = 0;

	if (WARN_ON_ONCE(start >= end || end > BIT_ULL(64 - 12) ||
			 attrs & ~map->bits))
		return -EINVAL;

	root = read_root(map, &shift);
	if (is_value(root) || change->last >> shift) {
		/* Frames beyond the root have no attributes. */
		if (!attrs && (is_value(root) || start >> shift))
			return 0;
		if (!attrs)
			change->last = BIT_ULL(shift) - 1;
		else if (grow_root(map, change->last, change->gfp))
			goto err;
		root = read_root(map, &shift);
	}

	/* Most changes are of a few frames: find where they are once. */
	root_shift = shift;
	change->node = find_node(root, &shift, start, change->last);
	change->shift = shift;

	if (in_one_slot(start, change->last, shift)) {
		in_range = BIT_ULL(shift - NODE_SHIFT) - 1;
		count_slot(map, change, &needs,
			   *slot_of(change->node, shift, start),
			   shift - NODE_SHIFT, start & in_range,
			   change->last & in_range);
	} else {
		in_range = BIT_ULL(shift) - 1;
		count_node(map, change, &needs, (unsigned long)change->node,
			   shift, start & in_range, change->last & in_range);
	}
	if (!change->changed)
		return 0;
	if (start == change->last)
		look_beside(map, change, *slot_of(change->node, shift, start));

	/* The nodes up to the root may fold, and roots be trimmed. */
	needs.retired += (root_shift - shift) / NODE_SHIFT;
	if (!attrs)
		needs.retired += (root_shift - BLOCK_SHIFT) / NODE_SHIFT;

	if (reserve_room(change, needs.retired) ||
	    reserve(&change->nodes, needs.nodes,
		    sizeof(struct kvm_mem_attr_node), change->gfp) ||
	    reserve(&change->blocks, needs.blocks, block_bytes(map),
		    change->gfp))
		goto err;

	return 0;

err:
	kvm_mem_attr_map_abort(map, change);
	return -ENOMEM;
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_prepare);

/**
 * kvm_mem_attr_map_commit - do a change
 * @map: the map
 * @change: from kvm_mem_attr_map_prepare()
 *
 * Takes a few steps a level, and one for each slot whose whole range changes,
 * whatever is below.
 *
 * Context: any.
 */
void kvm_mem_attr_map_commit(struct kvm_mem_attr_map *map,
			     struct kvm_mem_attr_change *change)
{
	u64 first = change->first, last = change->last, in_range;
	unsigned int shift = change->shift;

	if (!change->changed)
		return;

	if (in_one_slot(first, last, shift)) {
		in_range = BIT_ULL(shift - NODE_SHIFT) - 1;
		change_slot(map, change, slot_of(change->node, shift, first),
			    shift - NODE_SHIFT, first & in_range,
			    last & in_range);
	} else {
		in_range = BIT_ULL(shift) - 1;
		change_node(map, change, change->node, shift, first & in_range,
			    last & in_range);
	}
	if (change->bytes)
		count_bytes(map, -change->bytes);
	/* Blocks of several bitmaps may need none after all. */
	give_back(&change->blocks);
	fold_above(map, change);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_commit);

/**
 * kvm_mem_attr_map_abort - do without a change
 * @map: the map
 * @change: from kvm_mem_attr_map_prepare(); its member "changed" is 0 afterwards
 *
 * Context: any.
 */
void kvm_mem_attr_map_abort(struct kvm_mem_attr_map *map,
			    struct kvm_mem_attr_change *change)
{
	change->changed = 0;
	give_back(&change->nodes);
	give_back(&change->blocks);
	trim_root(map, change);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_abort);

/**
 * kvm_mem_attr_map_finish - free what a change took out of the map
 * @change: all zero, or from kvm_mem_attr_map_prepare(), committed or aborted if
 *	it had to be
 *
 * The memory is freed after a grace period.  When memory is short that is waited
 * for, but once, however much there is to free.
 *
 * Context: may sleep; needs no lock, and should not be called with one that
 *	others wait for.
 */
void kvm_mem_attr_map_finish(struct kvm_mem_attr_change *change)
{
	unsigned long gp, *retired = change->more ?: change->few;
	unsigned int i;

	/* Most changes are of bits in a block. */
	if (!change->nr_retired && !change->more)
		return;

	gp = get_state_synchronize_rcu();
	for (i = 0; i < change->nr_retired; i++)
		free_tree(retired[i] & ~RETIRED_SHIFT_MASK,
			  retired[i] & RETIRED_SHIFT_MASK, gp);
	change->nr_retired = 0;
	kfree(change->more);
	change->more = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_finish);

/**
 * kvm_mem_attr_map_init - prepare an empty map
 * @map: the map
 * @bits: the attributes that a frame can have; not the topmost bit
 */
void kvm_mem_attr_map_init(struct kvm_mem_attr_map *map, unsigned long bits)
{
	WARN_ON_ONCE(!bits || bits & BIT(BITS_PER_LONG - 1));

	map->root = 0;
	map->bits = bits;
	map->bytes = 0;
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_init);

/**
 * kvm_mem_attr_map_destroy - free a map's memory
 * @map: the map; it has no readers any more and is empty afterwards
 *
 * Context: may sleep.
 */
void kvm_mem_attr_map_destroy(struct kvm_mem_attr_map *map)
{
	unsigned long root;
	unsigned int shift;

	root = read_root(map, &shift);
	map->root = 0;
	map->bytes = 0;
	free_tree(root, shift, get_completed_synchronize_rcu());
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_destroy);
