/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which guest frames have one of two attributes, as a sorted array of the
 * places where it changes.  Exact as long as there are not too many of them.
 * Integer arithmetic on u64 only, so that the same lines run as BPF and in a
 * unit test on the host.  Not here: locks and storage; the caller holds a lock
 * around each call.
 */
#ifndef __GMEM_RANGES_H
#define __GMEM_RANGES_H

#include "gmem_bucket.h"

/* Edges that one struct gmem_ranges has room for: 2^11 - 1. */
#define GMEM_RANGES_STEPS	11
#define GMEM_RANGES_MAX		2047ULL
/* No guest frame is beyond that. */
#define GMEM_RANGES_TOP		(1ULL << 52)

/**
 * struct gmem_ranges - an attribute by guest frame; all zero: 0 everywhere
 * @outside: the attribute before the first edge, 0 or 1
 * @nr: number of edges, the frames at which the attribute changes
 * @keys: GMEM_RANGES_TOP less the edge, descending, then zeroes: so unused
 *	ones sort behind all others, and nothing needs to be filled in
 */
struct gmem_ranges {
	u64 outside;
	GMEM_STATUS(u64, nr, "edges between private and shared memory", "edges", 1);
	u64 keys[GMEM_RANGES_MAX + 1];
};

/**
 * struct gmem_ranges_change - what setting a range would do to the edges
 * @first: place of the first edge that goes, or of the first that comes
 * @drop: how many go
 * @at_start: 1 if there is one at the start of the range, else 0
 * @at_end: likewise
 * @nr: how many edges there are then
 */
struct gmem_ranges_change {
	u64 first;
	u64 drop;
	u64 at_start;
	u64 at_end;
	u64 nr;
};

/* How many edges are before @gfn.  Without a branch, as in gmem_bucket.h. */
static __always_inline u64 gmem_ranges_before(const struct gmem_ranges *r,
					      u64 gfn)
{
	u64 key = GMEM_RANGES_TOP - gmem_clamp(gfn, 0, GMEM_RANGES_TOP);
	u64 pos = 0, step;
	int i;

	for (i = GMEM_RANGES_STEPS - 1; i >= 0; i--) {
		step = 1ULL << i;
		pos |= step * gmem_before(key, r->keys[pos + step - 1]);
	}
	return pos;
}

/**
 * gmem_ranges_look() - what would setting a range do?
 * @r: the attribute by guest frame
 * @start: first frame
 * @end: frame after the last
 * @attr: what they shall have, 0 or 1
 */
static __always_inline struct gmem_ranges_change
gmem_ranges_look(const struct gmem_ranges *r, u64 start, u64 end, u64 attr)
{
	struct gmem_ranges_change c;
	u64 last;

	c.first = gmem_ranges_before(r, start);
	last = gmem_ranges_before(r, gmem_clamp(end, 0, GMEM_RANGES_TOP) + 1);
	c.drop = last - c.first;
	c.at_start = (r->outside ^ c.first ^ attr) & 1;
	c.at_end = (r->outside ^ last ^ attr) & 1;
	c.nr = r->nr - c.drop + c.at_start + c.at_end;

	return c;
}

/**
 * gmem_ranges_set() - set a range
 * @r: the attribute by guest frame
 * @start: first frame
 * @end: frame after the last
 * @attr: what they have from now on, 0 or 1
 *
 * Return: false if there is no room; nothing is changed then.
 */
static __always_inline bool gmem_ranges_set(struct gmem_ranges *r, u64 start,
					    u64 end, u64 attr)
{
	struct gmem_ranges_change c = gmem_ranges_look(r, start, end, attr);
	u64 come = c.at_start + c.at_end, nr = r->nr, by, from, to, i, k;

	if (c.nr > GMEM_RANGES_MAX)
		return false;

	/*
	 * Edges go and come in pairs, and both only come where none goes.  The
	 * masks do nothing but tell the verifier that no index is too large.
	 */
	if (come > c.drop) {
		for (k = 0; k < GMEM_RANGES_MAX; k++) {
			i = nr - k;
			/* Between the two: one branch, not two. */
			if (i - c.first - 1 >= nr - c.first)
				break;
			from = (i - 1) & GMEM_RANGES_MAX;
			to = (i + 1) & GMEM_RANGES_MAX;
			r->keys[to] = r->keys[from];
		}
	} else if (c.drop > come) {
		by = c.drop - come;
		for (k = 0; k < GMEM_RANGES_MAX; k++) {
			i = c.first + come + k;
			if (i >= nr)
				break;
			to = i & GMEM_RANGES_MAX;
			from = (i + by) & GMEM_RANGES_MAX;
			r->keys[to] = gmem_choose(gmem_before(i + by, nr),
						  r->keys[from], 0);
		}
	}

	to = c.first & GMEM_RANGES_MAX;
	if (c.at_start)
		r->keys[to] = GMEM_RANGES_TOP -
			      gmem_clamp(start, 0, GMEM_RANGES_TOP - 1);
	to = (c.first + c.at_start) & GMEM_RANGES_MAX;
	if (c.at_end)
		r->keys[to] = GMEM_RANGES_TOP -
			      gmem_clamp(end, 0, GMEM_RANGES_TOP - 1);
	r->nr = c.nr;

	return true;
}

/* Edges that are looked at with one branch: the verifier does not follow many. */
#define GMEM_RANGES_SOME	64

/**
 * gmem_ranges_count() - how many frames of a range have an attribute
 * @r: the attribute by guest frame
 * @start: first frame
 * @end: frame after the last
 * @attr: the attribute, 0 or 1
 */
static __always_inline u64 gmem_ranges_count(const struct gmem_ranges *r,
					     u64 start, u64 end, u64 attr)
{
	u64 i = gmem_ranges_before(r, start + 1), at = start, sum = 0, edge;
	u64 piece, k;

	attr ^= r->outside ^ 1;
	for (piece = 0; piece <= GMEM_RANGES_MAX / GMEM_RANGES_SOME; piece++) {
		for (k = 0; k < GMEM_RANGES_SOME; k++, i++) {
			edge = GMEM_RANGES_TOP - r->keys[i & GMEM_RANGES_MAX];
			/* Behind the last one is nothing, or the first again. */
			edge = gmem_choose(gmem_before(edge, at), end, edge);
			edge = gmem_choose(gmem_before(edge, end), edge, end);
			sum += (edge - at) * ((i ^ attr) & 1);
			at = edge;
		}
		if (at == end)
			break;
	}
	return sum + (end - at) * ((i ^ attr) & 1);
}

#endif /* __GMEM_RANGES_H */
