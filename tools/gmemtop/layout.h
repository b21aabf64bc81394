/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the memory of one VM is.  Every answer is looked up when asked for.
 */
#ifndef GMEMTOP_LAYOUT_H
#define GMEMTOP_LAYOUT_H

#include "gmem_abi.h"
#include "gmem_common.h"

struct layout;

/**
 * layout_open() - get ready to ask about a VM
 * @vm_id: the VM
 *
 * Return: NULL after one line of error.
 */
struct layout *layout_open(uint64_t vm_id);

/**
 * layout_slots() - list the VM's memslots, in the order of guest memory
 * @layout: from layout_open()
 * @slots: set to them, valid until the next call
 *
 * Return: how many there are, at most GMEM_SLOTS_MAX; -ESRCH if the VM is
 * gone, another -errno after one line of error.
 */
int layout_slots(struct layout *layout, const struct gmem_slot **slots);

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
 * layout_nodes() - count populated memory by NUMA node
 * @layout: from layout_open()
 * @pages: set to GMEM_NODES_MAX counts, valid until the next call
 * @whole: set to false if there was too much to count it all
 *
 * Return: 0, or as layout_slots().
 */
int layout_nodes(struct layout *layout, const uint64_t **pages, bool *whole);

/**
 * layout_close() - stop asking
 * @layout: from layout_open(), or NULL
 */
void layout_close(struct layout *layout);

#endif /* GMEMTOP_LAYOUT_H */
