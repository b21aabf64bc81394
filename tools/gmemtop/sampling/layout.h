/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the memory of one VM is.  Every answer is looked up when asked for.
 */
#ifndef GMEMTOP_LAYOUT_H
#define GMEMTOP_LAYOUT_H

#include "gmem_abi.h"

struct layout;

/**
 * layout_open() - get ready to ask about a VM
 * @vm_id: the VM
 *
 * Return: NULL after one line of error, -errno is in @errno; -EAGAIN is told
 * by nobody, and worth another try.
 */
struct layout *layout_open(uint64_t vm_id);

/**
 * struct layout_slots - the memslots of a VM, in the order of guest memory
 * @nr: how many
 * @room: how many there is memory for
 * @slot: they
 *
 * Starts as all zeroes.
 */
struct layout_slots {
	int nr;
	int room;
	struct gmem_slot *slot;
};

/**
 * layout_slots() - list the VM's memslots
 * @layout: from layout_open()
 * @slots: filled in
 *
 * Return: 0; -ESRCH if the VM is gone, -EAGAIN if the kernel asks to try again
 * later, another -errno after one line of error.
 */
int layout_slots(struct layout *layout, struct layout_slots *slots);

/**
 * layout_map() - tell what stretches of guest memory are
 * @layout: from layout_open()
 * @start: first guest frame
 * @pages: guest frames of each stretch, at most GMEM_BUCKET_PAGES_MAX
 * @nr: number of stretches
 * @buckets: filled in
 *
 * Return: 0, or as layout_slots().
 */
int layout_map(struct layout *layout, uint64_t start, uint64_t pages, size_t nr,
	       struct gmem_bucket *buckets);

/**
 * struct layout_look - how far a look for pages of a kind came
 * @pages: guest frames from the first stretch on that were looked at
 * @found: pages of the kind in the stretch that it ended in, until there
 *
 * Starts as all zeroes, and is that again when all stretches were looked at.
 */
struct layout_look {
	uint64_t pages;
	uint64_t found;
};

/**
 * enum layout_kind - what pages layout_find() looks for
 * @LAYOUT_MAPPED: those that processes of the host have mapped: a step for each
 *	populated page of stretches that have shared memory
 * @LAYOUT_HUGE: those in huge folios: a step for each, and for 64 single pages
 */
enum layout_kind {
	LAYOUT_MAPPED,
	LAYOUT_HUGE,
};

/**
 * layout_find() - tell how many pages of stretches are of a kind
 * @layout: from layout_open()
 * @kind: which
 * @start: first guest frame
 * @pages: guest frames of each stretch, however many
 * @nr: number of stretches
 * @buckets: what layout_map() said of them
 * @look: where it goes on, and then where it came to
 * @found: filled in, in pages, for the stretches that it came to the end of
 *
 * Takes a limited time; the next call goes on.
 *
 * Return: 0, or as layout_slots().
 */
int layout_find(struct layout *layout, enum layout_kind kind, uint64_t start,
		uint64_t pages, size_t nr, const struct gmem_bucket *buckets,
		struct layout_look *look, uint64_t *found);

/**
 * layout_close() - stop asking
 * @layout: from layout_open(), or NULL
 */
void layout_close(struct layout *layout);

#endif /* GMEMTOP_LAYOUT_H */
