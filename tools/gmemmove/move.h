/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Moving a VM's private memory to a NUMA node.  Not here: which VMs, and what is
 * said of it.
 */
#ifndef GMEMMOVE_MOVE_H
#define GMEMMOVE_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "gmem_abi.h"

struct mover;

/**
 * enum move_end - why it came to an end
 * @MOVE_DONE: all was tried
 * @MOVE_STOPPED: mover_stop()
 * @MOVE_FULL: the node has no room, and there was no end of that
 * @MOVE_GONE: the VM has ended
 */
enum move_end {
	MOVE_DONE,
	MOVE_STOPPED,
	MOVE_FULL,
	MOVE_GONE,
};

/**
 * struct moved - what became of a VM's memory
 * @pages: by enum gmem_moved, each page once
 * @end: why there is no more of it
 */
struct moved {
	uint64_t pages[GMEM_NR_MOVED];
	enum move_end end;
};

/**
 * moved_tried() - pages that something is known of
 * @moved: what became of them
 */
uint64_t moved_tried(const struct moved *moved);

/**
 * moved_stayed() - pages that are still elsewhere
 * @moved: what became of them, as far as they were tried
 */
uint64_t moved_stayed(const struct moved *moved);

/**
 * mover_open() - load the program that moves
 * @node: where to
 *
 * Return: what moves, or NULL after one line of error.
 */
struct mover *mover_open(uint32_t node);

/**
 * mover_stop() - end after what is under way, which is a moment
 *
 * For a handler of signals.
 */
void mover_stop(void);

/**
 * mover_run() - move the memory of a VM
 * @mover: from mover_open()
 * @vm_id: the VM
 * @moved: set to what became of it
 * @progress: called again and again meanwhile
 * @ctx: passed to it
 *
 * Tries a few times where somebody has a page.
 *
 * Return: 0, or -errno after one line of error.
 */
int mover_run(struct mover *mover, uint64_t vm_id, struct moved *moved,
	      void (*progress)(void *ctx, const struct moved *moved), void *ctx);

/**
 * mover_close() - unload the program
 * @mover: from mover_open(), or NULL
 */
void mover_close(struct mover *mover);

#endif /* GMEMMOVE_MOVE_H */
