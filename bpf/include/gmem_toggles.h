/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds memory that is converted back and forth, and says how long the next
 * conversion of it has to wait.  A table of fixed size remembers the blocks of
 * memory that were converted last, in sets: of more than GMEM_TOGGLE_WAYS blocks
 * of one set it forgets some.  Integer arithmetic on u64 only, so that the same
 * lines run as BPF and in a unit test on the host.  Not here: clock, locks and
 * storage; the caller reads the clock first and holds a lock around each call.
 */
#ifndef __GMEM_TOGGLES_H
#define __GMEM_TOGGLES_H

#include "gmem_bucket.h"

/* A block is 2 MiB: what toggles in it breaks the same huge page again. */
#define GMEM_TOGGLE_BLOCK_SHIFT	9

#define GMEM_TOGGLE_WAYS	4
#define GMEM_TOGGLE_SETS_SHIFT	4
#define GMEM_TOGGLES		(GMEM_TOGGLE_WAYS << GMEM_TOGGLE_SETS_SHIFT)

/* Who is woken late may catch up with so many delays. */
#define GMEM_TOGGLE_LATE	8

/* Doublings of the delay at most. */
#define GMEM_TOGGLE_DOUBLINGS	30

/**
 * struct gmem_toggle - one block of memory
 * @block: its number plus 1, 0 if this entry is free
 * @attr: what it was last converted to, 0 or 1
 * @last: when, in ns
 * @level: how many turns are held against it
 * @not_before: when it may turn again, in ns
 */
struct gmem_toggle {
	u64 block;
	u64 attr;
	u64 last;
	u64 level;
	u64 not_before;
};

/**
 * struct gmem_toggles - the blocks that were converted last
 * @seed: makes it hard for a guest to find blocks that push each other out
 * @entries: in sets of GMEM_TOGGLE_WAYS
 */
struct gmem_toggles {
	u64 seed;
	struct gmem_toggle entries[GMEM_TOGGLES];
};

/**
 * struct gmem_toggle_limit - how much turning back and forth is too much
 * @window: a turn counts if it comes within so many ns, and so much time
 *	without one lets a turn be forgotten; at least 1
 * @free: turns that cost nothing
 * @first: delay of the first that does, in ns; at least 1
 * @most: longest delay, in ns
 */
struct gmem_toggle_limit {
	u64 window;
	u64 free;
	u64 first;
	u64 most;
};

/**
 * gmem_toggles_find() - the entry of a block, or the one it would get
 * @t: the table
 * @gfn: any frame of the block
 *
 * Return: index of the entry; of those it could get, the one that was
 * converted longest ago.
 */
static __always_inline u64 gmem_toggles_find(const struct gmem_toggles *t,
					     u64 gfn)
{
	u64 block = (gfn >> GMEM_TOGGLE_BLOCK_SHIFT) + 1;
	u64 set = ((block ^ t->seed) * 0x9e3779b97f4a7c15ULL) >>
		  (64 - GMEM_TOGGLE_SETS_SHIFT);
	u64 way = 0, oldest = ~0ULL >> 1, i;

	for (i = 0; i < GMEM_TOGGLE_WAYS; i++) {
		const struct gmem_toggle *e =
			&t->entries[set * GMEM_TOGGLE_WAYS + i];
		/* As if the block's own were older than any other. */
		u64 age = gmem_choose(gmem_same(e->block, block), 0,
				      e->last + 1);
		u64 older = gmem_before(age, oldest);

		way = gmem_choose(older, i, way);
		oldest = gmem_choose(older, age, oldest);
	}
	return (set * GMEM_TOGGLE_WAYS + way) & (GMEM_TOGGLES - 1);
}

/* The turns that are still held against a block. */
static __always_inline u64 gmem_toggle_level(const struct gmem_toggle *e,
					     const struct gmem_toggle_limit *limit,
					     u64 now)
{
	u64 forgotten;

	if (now <= e->last)
		return e->level;
	forgotten = (now - e->last) / (limit->window ? limit->window : 1);

	return e->level > forgotten ? e->level - forgotten : 0;
}

/* Is this block known, and was it something else before? */
static __always_inline bool gmem_toggle_turns(const struct gmem_toggle *e,
					      u64 gfn, u64 attr)
{
	return e->block == (gfn >> GMEM_TOGGLE_BLOCK_SHIFT) + 1 &&
	       e->attr != attr;
}

/**
 * gmem_toggle_wait() - how long does a conversion have to wait?
 * @e: entry of the block in which it begins
 * @limit: what is too much
 * @gfn: its first frame
 * @attr: what it converts to, 0 or 1
 * @now: clock in ns
 *
 * Return: 0 if it may go on, else ns.
 */
static __always_inline u64 gmem_toggle_wait(const struct gmem_toggle *e,
					    const struct gmem_toggle_limit *limit,
					    u64 gfn, u64 attr, u64 now)
{
	if (!gmem_toggle_turns(e, gfn, attr) || now >= e->not_before ||
	    gmem_toggle_level(e, limit, now) <= limit->free)
		return 0;
	return e->not_before - now;
}

/**
 * gmem_toggle_note() - remember a conversion that goes on
 * @e: entry of the block in which it begins
 * @limit: what is too much
 * @gfn: its first frame
 * @attr: what it converts to, 0 or 1
 * @now: clock in ns
 */
static __always_inline void gmem_toggle_note(struct gmem_toggle *e,
					     const struct gmem_toggle_limit *limit,
					     u64 gfn, u64 attr, u64 now)
{
	u64 block = (gfn >> GMEM_TOGGLE_BLOCK_SHIFT) + 1;
	u64 level, over, delay;

	if (e->block != block) {
		e->block = block;
		e->attr = attr;
		e->last = now;
		e->level = 0;
		e->not_before = 0;
		return;
	}
	/* The same way once more is not back and forth. */
	if (e->attr == attr)
		return;

	level = gmem_toggle_level(e, limit, now);
	over = gmem_clamp(level, limit->free, limit->free + GMEM_TOGGLE_DOUBLINGS) -
	       limit->free;
	delay = limit->first << over;
	/* At the longest delay there is nothing more to learn. */
	if (now - e->last < limit->window &&
	    (level <= limit->free || delay < limit->most))
		level++;
	e->attr = attr;
	e->last = now;
	e->level = level;
	if (level <= limit->free)
		return;

	/*
	 * Whoever was woken late does not pay for it; else the sum of it would
	 * be a rate that nobody asked for.
	 */
	delay = gmem_clamp(delay, 0, limit->most);
	if (now < e->not_before ||
	    now - e->not_before > delay * GMEM_TOGGLE_LATE)
		e->not_before = now;
	e->not_before += delay;
}

#endif /* __GMEM_TOGGLES_H */
