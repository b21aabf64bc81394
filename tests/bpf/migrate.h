/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of moved pages ask the kernel, and what it answers: the types that
 * migrate.bpf.c and they share.
 */
#ifndef MIGRATE_H
#define MIGRATE_H

/* Indices of moves.refused: enum kvm_gmem_move_refusal. */
enum {
	REFUSED_HELD,
	REFUSED_BUSY,
	REFUSED_CONSUMER,
	REFUSED_BROKEN,
	NR_REFUSED,
};

/* struct kvm_gmem_moves */
struct moves {
	__u64 moved_pages;
	__u64 refused[NR_REFUSED];
	__u64 move_ns;
	__u64 invalidations;
	__u64 unmovable_pages;
};

/* Indices of move_request.pages: enum kvm_gmem_moved. */
enum {
	MOVED_THERE,
	MOVED_NOW,
	MOVED_HELD,
	MOVED_REFUSED,
	MOVED_NO_MEMORY,
	MOVED_UNMOVABLE,
	NR_MOVED,
};

/* struct kvm_gmem_move_request */
struct move_request {
	__u64 start;
	__u64 end;
	__u32 node;
	__u32 drain;
	__u64 pages[NR_MOVED];
};

#endif /* MIGRATE_H */
