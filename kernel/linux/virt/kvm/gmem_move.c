// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the host has put pages of guests, and how BPF programs put them on another
 * NUMA node: a bounded number of pages a call.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include <linux/swap.h>

#include "gmem.h"

/* Pages that a call moves, and looks at, at most: a huge folio, and 128 MiB. */
#define KVM_GMEM_MOVE_BATCH	512
#define KVM_GMEM_MOVE_LOOK	(128UL << (20 - PAGE_SHIFT))

/* bpf_kvm_gmem_move(): pages of a VM by what became of them. */
enum kvm_gmem_moved {
	/* They were on the node, or are now. */
	KVM_GMEM_MOVED_THERE,
	KVM_GMEM_MOVED_NOW,
	/* Somebody has them, or a lock: to be tried again. */
	KVM_GMEM_MOVED_HELD,
	/* A consumer keeps them, or they are broken. */
	KVM_GMEM_MOVED_REFUSED,
	/* There is no memory on the node. */
	KVM_GMEM_MOVED_NO_MEMORY,
	/* They cannot be moved at all. */
	KVM_GMEM_MOVED_UNMOVABLE,
	KVM_GMEM_NR_MOVED,
};

/**
 * struct kvm_gmem_move_request - what bpf_kvm_gmem_move() is to do, and did
 * @start: first guest frame; set to the one to go on with
 * @end: guest frame after the last
 * @node: where to
 * @drain: take new pages from the CPUs' lists first, which have a reference to them
 * @pages: by enum kvm_gmem_moved, increased; nothing is done once there was no memory
 */
struct kvm_gmem_move_request {
	u64 start;
	u64 end;
	u32 node;
	u32 drain;
	u64 pages[KVM_GMEM_NR_MOVED];
};

/* A stretch of pages that one memslot has; the file is held. */
struct kvm_gmem_stretch {
	struct file *file;
	pgoff_t index;
	u64 nr;
};

/*
 * The first stretch from @start on, before @end, that has a guest_memfd.  Nothing
 * is moved under SRCU, which memslots that change wait for.
 */
static u64 kvm_gmem_find_stretch(struct kvm *kvm, u64 start, u64 end,
				 struct kvm_gmem_stretch *stretch)
{
	struct kvm_memslot_iter iter;
	u64 first = end;
	int idx;

	stretch->file = NULL;
	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start, end) {
		struct kvm_memory_slot *slot = iter.slot;
		u64 last = min(end, slot->base_gfn + slot->npages);

		first = max(start, slot->base_gfn);
		/* A walk begins with the memslot of @start, wherever @end is. */
		if (first < last && kvm_slot_can_be_private(slot))
			stretch->file = get_file_active(&slot->gmem.file);
		if (!stretch->file) {
			first = end;
			continue;
		}
		stretch->index = first - slot->base_gfn + slot->gmem.pgoff;
		stretch->nr = last - first;
		break;
	}
	srcu_read_unlock(&kvm->srcu, idx);

	return first;
}

static enum kvm_gmem_moved kvm_gmem_moved_by(int result)
{
	switch (result) {
	case 0:
		return KVM_GMEM_MOVED_NOW;
	case -ENOMEM:
		return KVM_GMEM_MOVED_NO_MEMORY;
	case -EOPNOTSUPP:
		return KVM_GMEM_MOVED_UNMOVABLE;
	case -EBUSY:
	case -EHWPOISON:
		return KVM_GMEM_MOVED_REFUSED;
	default:
		return KVM_GMEM_MOVED_HELD;
	}
}

/* Returns how many pages are done with, of the folio from @index on. */
static u64 kvm_gmem_move_one(struct kvm_gmem_stretch *stretch, pgoff_t index,
			     struct kvm_gmem_move_request *request, u64 *moved)
{
	struct inode *inode = file_inode(stretch->file);
	struct folio *folio = filemap_get_folio(inode->i_mapping, index);
	enum kvm_gmem_moved what = KVM_GMEM_MOVED_THERE;
	u64 nr;
	int r = 0;

	if (IS_ERR(folio))
		return 1;

	nr = min_t(u64, folio_next_index(folio) - index,
		   stretch->index + stretch->nr - index);
	if (folio_nid(folio) != request->node) {
		r = IS_ENABLED(CONFIG_KVM_GMEM_MIGRATE) ?
		    kvm_gmem_move_folio(inode, folio, request->node) :
		    -EOPNOTSUPP;
		what = kvm_gmem_moved_by(r);
		*moved += folio_nr_pages(folio);
	}
	/* One that is gone is no page of the guest's any more. */
	if (r != -ENOENT)
		request->pages[what] += nr;
	folio_put(folio);

	return nr;
}

/* Returns how many frames are done with. */
static u64 kvm_gmem_move_stretch(struct kvm_gmem_stretch *stretch,
				 struct kvm_gmem_move_request *request)
{
	struct address_space *mapping = stretch->file->f_mapping;
	unsigned long index = stretch->index;
	pgoff_t end = stretch->index + stretch->nr;
	u64 moved = 0, looked = 0;

	/* When a node is full, one page is enough to know that. */
	while (index < end && moved < KVM_GMEM_MOVE_BATCH &&
	       looked++ < KVM_GMEM_MOVE_LOOK &&
	       !request->pages[KVM_GMEM_MOVED_NO_MEMORY] &&
	       !fatal_signal_pending(current)) {
		/* What is not there is no work. */
		if (!xa_find(&mapping->i_pages, &index, end - 1, XA_PRESENT))
			return stretch->nr;
		index = max(index, stretch->index);
		index += kvm_gmem_move_one(stretch, index, request, &moved);
		cond_resched();
	}

	return index - stretch->index;
}

__bpf_kfunc_start_defs();

/**
 * bpf_kvm_gmem_moves - what became of a VM's pages that the host wanted to move
 * @kvm: the VM
 * @moves: filled in as far as it reaches
 * @moves__sz: its size in bytes, see bpf_kvm_gmem_usage()
 *
 * Context: any but NMI.
 * Return: bytes filled in.
 */
__bpf_kfunc int bpf_kvm_gmem_moves(struct kvm *kvm, struct kvm_gmem_moves *moves,
				   u32 moves__sz)
{
	const struct kvm_gmem_counters *counters = &kvm->gmem.counters;
	const atomic64_t *invalidations = counters->invalidations;
	struct kvm_gmem_moves whole = {
		.moved_pages = atomic64_read(&counters->moved_pages),
		.move_ns = atomic64_read(&counters->move_ns),
		.invalidations =
			atomic64_read(&invalidations[KVM_GMEM_INVALIDATE_MIGRATION]),
		.unmovable_pages = kvm_gmem_count_unmovable(kvm),
	};
	u32 size = min_t(u32, moves__sz, sizeof(whole));
	int i;

	for (i = 0; i < KVM_GMEM_NR_MOVE_REFUSALS; i++)
		whole.refused[i] = atomic64_read(&counters->moves_refused[i]);
	memcpy(moves, &whole, size);
	if (moves__sz > size)
		memset((void *)moves + size, 0, moves__sz - size);

	return size;
}

/**
 * bpf_kvm_gmem_move - move memory of a VM to a NUMA node
 * @kvm: the VM
 * @request: which, and where to; says what became of it
 * @request__sz: its size in bytes
 *
 * Pages of guest_memfds that no memslot has stay where they are.  What the host has
 * set by mbind() for later pages is not asked: this one is here on request.  Ends
 * early when it has done much, when the node has no memory, or if the task is killed.
 *
 * Context: may sleep.
 * Return: 1 if there is more to do from @request->start on, 0 if not; -EINVAL if
 *	there is no such node with memory, or if @request__sz is another size.
 */
__bpf_kfunc int bpf_kvm_gmem_move(struct kvm *kvm,
				  struct kvm_gmem_move_request *request,
				  u32 request__sz)
{
	struct kvm_gmem_move_request mine;
	struct kvm_gmem_stretch stretch;

	if (request__sz != sizeof(mine))
		return -EINVAL;
	/* Userspace may be writing to it. */
	memcpy(&mine, request, sizeof(mine));
	if (mine.node >= MAX_NUMNODES || !node_state(mine.node, N_MEMORY))
		return -EINVAL;

	if (mine.drain)
		lru_add_drain_all();
	mine.start = kvm_gmem_find_stretch(kvm, mine.start, mine.end, &stretch);
	if (stretch.file) {
		mine.start += kvm_gmem_move_stretch(&stretch, &mine);
		fput(stretch.file);
	}
	memcpy(request, &mine, sizeof(mine));

	return mine.start < mine.end;
}

__bpf_kfunc_end_defs();
