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
 * each frame as it was before or as it is afterwards.  What is replaced is freed
 * after a grace period.  All memory that a change needs is taken before it
 * begins, so that it cannot fail half way.
 */
#include <linux/bitmap.h>
#include <linux/bits.h>
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

static __always_inline unsigned long block_attrs(const struct kvm_mem_attr_map *map,
						 const unsigned long *block,
						 unsigned int frame)
{
	unsigned long attrs = 0;
	unsigned int bit;

	for_each_set_bit(bit, &map->bits, BITS_PER_LONG) {
		if (test_bit(frame, block))
			attrs |= BIT(bit);
		block += BLOCK_WORDS;
	}

	return attrs;
}

/* The first frame after @frame that has other attributes. */
static unsigned int block_run(const struct kvm_mem_attr_map *map,
			      const unsigned long *block, unsigned int frame)
{
	unsigned int bit, end = BLOCK_FRAMES;

	for_each_set_bit(bit, &map->bits, BITS_PER_LONG) {
		/* Not from @frame: its bit may be changed meanwhile. */
		end = test_bit(frame, block) ?
		      find_next_zero_bit(block, end, frame + 1) :
		      find_next_bit(block, end, frame + 1);
		block += BLOCK_WORDS;
	}

	return end;
}

/*
 * The frames of one word of a block that are among @first to @last and differ
 * from @attrs in a bit of @mask.
 */
static __always_inline unsigned long
block_diff(const struct kvm_mem_attr_map *map, const unsigned long *block,
	   unsigned int word, unsigned int first, unsigned int last,
	   unsigned long mask, unsigned long attrs)
{
	unsigned long diff = 0;
	unsigned int bit;

	block += word;
	for_each_set_bit(bit, &map->bits, BITS_PER_LONG) {
		if (mask & BIT(bit))
			diff |= READ_ONCE(*block) ^
				(attrs & BIT(bit) ? ~0UL : 0);
		block += BLOCK_WORDS;
	}
	if (word == BIT_WORD(first))
		diff &= BITMAP_FIRST_WORD_MASK(first);
	if (word == BIT_WORD(last))
		diff &= BITMAP_LAST_WORD_MASK(last + 1);

	return diff;
}

static unsigned int block_differs(const struct kvm_mem_attr_map *map,
				  const unsigned long *block,
				  unsigned int first, unsigned int last,
				  unsigned long mask, unsigned long attrs)
{
	unsigned int word, differs = 0;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++)
		differs += hweight_long(block_diff(map, block, word, first,
						   last, mask, attrs));

	return differs;
}

static bool block_has(const struct kvm_mem_attr_map *map,
		      const unsigned long *block, unsigned int first,
		      unsigned int last, unsigned long mask, unsigned long attrs)
{
	unsigned int word;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
		if (block_diff(map, block, word, first, last, mask, attrs))
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

/* Do frames @first to @last of the range of a node or block have @attrs? */
static bool entry_has(const struct kvm_mem_attr_map *map, unsigned long entry,
		      unsigned int shift, u64 first, u64 last,
		      unsigned long mask, unsigned long attrs)
{
	unsigned int child = shift - NODE_SHIFT;
	u64 i, in_child = BIT_ULL(child) - 1;
	unsigned long slot;

	if (shift == BLOCK_SHIFT)
		return block_has(map, to_block(entry), first, last, mask, attrs);

	for (i = first >> child; i <= last >> child; i++) {
		slot = READ_ONCE(to_node(entry)->slot[i]);
		if (is_value(slot) ? !value_has(slot, mask, attrs) :
		    !entry_has(map, slot, child,
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
	unsigned long root;
	unsigned int shift;
	u64 last = end - 1;

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

	return entry_has(map, root, shift, start, last, mask, attrs);
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

/* Memory */

VISIBLE_IF_KUNIT void *kvm_mem_attr_map_alloc(size_t size)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_mem_attr_map_alloc, size);

	return kmalloc(size, GFP_KERNEL_ACCOUNT);
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

static void free_entry(struct kvm_mem_attr_map *map, unsigned long entry,
		       unsigned int shift, bool visible)
{
	count_bytes(map, -entry_bytes(map, shift));
	if (visible)
		kfree_rcu_mightsleep((void *)entry);
	else
		kfree((void *)entry);
}

/*
 * Frees what is at and below an entry that is in the tree no more.  Readers may
 * still be in it if it was @visible.
 */
static void free_tree(struct kvm_mem_attr_map *map, unsigned long entry,
		      unsigned int shift, bool visible)
{
	unsigned int i;

	if (is_value(entry))
		return;

	if (shift > BLOCK_SHIFT) {
		for (i = 0; i < NODE_SLOTS; i++)
			free_tree(map, to_node(entry)->slot[i],
				  shift - NODE_SHIFT, visible);
		cond_resched();
	}
	free_entry(map, entry, shift, visible);
}

/* Memory taken in advance is chained by its first word. */

static int reserve(unsigned long *chain, unsigned int nr, size_t bytes)
{
	unsigned long *memory;

	while (nr--) {
		memory = kvm_mem_attr_map_alloc(bytes);
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

/* Counts what it takes to change frames @first to @last of an entry's range. */
static void count_needs(const struct kvm_mem_attr_map *map,
			struct kvm_mem_attr_change *change, unsigned long entry,
			unsigned int shift, u64 first, u64 last,
			unsigned int *nodes, unsigned int *blocks)
{
	unsigned int child = shift - NODE_SHIFT;
	u64 mask = BIT_ULL(child) - 1;
	u64 low = first >> child, high = last >> child;

	if ((!first && last == BIT_ULL(shift) - 1) ||
	    entry == make_value(change->attrs))
		return;

	if (shift == BLOCK_SHIFT) {
		*blocks += is_value(entry) || !change_in_place(map);
		return;
	}

	*nodes += is_value(entry);
	/* Slots between the two are replaced as a whole. */
	count_needs(map, change,
		    is_value(entry) ? entry : to_node(entry)->slot[low], child,
		    first & mask, low == high ? last & mask : mask, nodes, blocks);
	if (low != high)
		count_needs(map, change,
			    is_value(entry) ? entry : to_node(entry)->slot[high],
			    child, 0, last & mask, nodes, blocks);
}

static u64 differs(const struct kvm_mem_attr_map *map, unsigned long entry,
		   unsigned int shift, unsigned long attrs)
{
	u64 sum = 0;
	unsigned int i;

	if (is_value(entry))
		return value_attrs(entry) == attrs ? 0 : BIT_ULL(shift);
	if (shift == BLOCK_SHIFT)
		return block_differs(map, to_block(entry), 0, BLOCK_FRAMES - 1,
				     map->bits, attrs);

	for (i = 0; i < NODE_SLOTS; i++)
		sum += differs(map, to_node(entry)->slot[i], shift - NODE_SHIFT,
			       attrs);
	cond_resched();

	return sum;
}

static void block_set(const struct kvm_mem_attr_map *map, unsigned long *block,
		      unsigned int first, unsigned int last, unsigned long attrs)
{
	unsigned int bit, word;
	unsigned long mask;

	for_each_set_bit(bit, &map->bits, BITS_PER_LONG) {
		for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
			mask = ~0UL;
			if (word == BIT_WORD(first))
				mask &= BITMAP_FIRST_WORD_MASK(first);
			if (word == BIT_WORD(last))
				mask &= BITMAP_LAST_WORD_MASK(last + 1);
			WRITE_ONCE(block[word], attrs & BIT(bit) ?
						block[word] | mask :
						block[word] & ~mask);
		}
		block += BLOCK_WORDS;
	}
}

/* Do all frames but @first to @last, which are not all, have @attrs? */
static bool block_folds(const struct kvm_mem_attr_map *map,
			const unsigned long *block, unsigned int first,
			unsigned int last, unsigned long attrs)
{
	return (!first || block_has(map, block, 0, first - 1, map->bits, attrs)) &&
	       (last == BLOCK_FRAMES - 1 ||
		block_has(map, block, last + 1, BLOCK_FRAMES - 1, map->bits, attrs));
}

static void change_block(struct kvm_mem_attr_map *map,
			 struct kvm_mem_attr_change *change, unsigned long *slot,
			 unsigned int first, unsigned int last)
{
	unsigned int changed = last - first + 1;
	unsigned long *block, old = *slot;

	if (!is_value(old)) {
		changed = block_differs(map, to_block(old), first, last,
					map->bits, change->attrs);
		if (!changed)
			return;
	}
	change->changed += changed;

	if (!is_value(old) && block_folds(map, to_block(old), first, last,
					  change->attrs)) {
		write_slot(slot, make_value(change->attrs));
		free_entry(map, old, BLOCK_SHIFT, true);
		return;
	}

	if (!is_value(old) && change_in_place(map)) {
		block_set(map, to_block(old), first, last, change->attrs);
		return;
	}

	block = take(&change->blocks);
	count_bytes(map, block_bytes(map));
	if (is_value(old))
		block_set(map, block, 0, BLOCK_FRAMES - 1, value_attrs(old));
	else
		memcpy(block, to_block(old), block_bytes(map));
	block_set(map, block, first, last, change->attrs);
	write_slot(slot, (unsigned long)block);
	free_tree(map, old, BLOCK_SHIFT, true);
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
		change->changed += differs(map, old, shift, change->attrs);
		write_slot(slot, value);
		free_tree(map, old, shift, true);
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
		free_entry(map, old, shift, true);
	}
}

/* The root */

/* Makes the tree tall enough for a frame; what is in it stays the same. */
static int grow_root(struct kvm_mem_attr_map *map, u64 gfn)
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
		node = kvm_mem_attr_map_alloc(sizeof(*node));
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
static void trim_root(struct kvm_mem_attr_map *map)
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
		free_entry(map, root, shift, true);
	}
}

/**
 * kvm_mem_attr_map_prepare - take the memory for a change
 * @map: the map
 * @change: filled in, for kvm_mem_attr_map_commit() or kvm_mem_attr_map_abort()
 * @start: first frame
 * @end: frame after the last, greater than @start and at most 1 << 52
 * @attrs: the attributes to set, of those the map was made for
 *
 * Context: may sleep; the map has no other writer until the change is
 *	committed or aborted.
 * Return: 0; -ENOMEM or -EINVAL, and nothing is to be aborted.
 */
int kvm_mem_attr_map_prepare(struct kvm_mem_attr_map *map,
			     struct kvm_mem_attr_change *change, u64 start,
			     u64 end, unsigned long attrs)
{
	unsigned int nodes = 0, blocks = 0, shift;
	unsigned long root;

	might_sleep();

	if (WARN_ON_ONCE(start >= end || end > BIT_ULL(64 - 12) ||
			 attrs & ~map->bits))
		return -EINVAL;

	*change = (struct kvm_mem_attr_change) {
		.first = start,
		.last = end - 1,
		.attrs = attrs,
	};

	if (grow_root(map, change->last))
		goto err;

	root = read_root(map, &shift);
	count_needs(map, change, root, shift, change->first, change->last,
		    &nodes, &blocks);
	if (reserve(&change->nodes, nodes, sizeof(struct kvm_mem_attr_node)) ||
	    reserve(&change->blocks, blocks, block_bytes(map)))
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
 * @change: from kvm_mem_attr_map_prepare(); afterwards its member "changed" is
 *	the number of frames whose attributes differ from what they were
 *
 * Context: may sleep.
 */
void kvm_mem_attr_map_commit(struct kvm_mem_attr_map *map,
			     struct kvm_mem_attr_change *change)
{
	unsigned long root;
	unsigned int shift;

	root = read_root(map, &shift);
	change_node(map, change, to_node(root), shift, change->first,
		    change->last);
	/* Blocks of several bitmaps may need none after all. */
	give_back(&change->blocks);
	if (to_node(root)->slot[change->first >> (shift - NODE_SHIFT)] == NO_ATTRS)
		trim_root(map);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_commit);

/**
 * kvm_mem_attr_map_abort - do without a change
 * @map: the map
 * @change: from kvm_mem_attr_map_prepare()
 *
 * Context: may sleep.
 */
void kvm_mem_attr_map_abort(struct kvm_mem_attr_map *map,
			    struct kvm_mem_attr_change *change)
{
	give_back(&change->nodes);
	give_back(&change->blocks);
	trim_root(map);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_abort);

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
	free_tree(map, root, shift, false);
}
EXPORT_SYMBOL_IF_KUNIT(kvm_mem_attr_map_destroy);
