// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest_memfds of a VM, as far as they are observed.  Memory lives as long as
 * its inode: beyond its file if somebody holds the inode, by an O_PATH descriptor
 * for instance, and beyond its VM.  It is counted until the inode goes: with its
 * VM while there is one, and as memory without a VM afterwards.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/rculist.h>
#include <linux/timekeeping.h>

#include <trace/events/kvm_gmem.h>

#include "gmem.h"

/* Protects the lists of inodes, and which VM an inode belongs to. */
static DEFINE_SPINLOCK(kvm_gmem_inodes_lock);
/* Pages of those whose VM is gone. */
static atomic64_t kvm_gmem_nr_orphaned;

/**
 * kvm_gmem_inode_new - nothing is observed of an inode yet
 * @gi: the guest_memfd
 */
void kvm_gmem_inode_new(struct kvm_gmem_inode *gi)
{
	unsigned int nid;

	INIT_LIST_HEAD(&gi->node);
	INIT_LIST_HEAD(&gi->closed_node);
	gi->kvm = NULL;
	gi->closed_pages = 0;
	gi->bindings = NULL;
	gi->punch_start = 0;
	gi->punch_end = 0;
	gi->closed = false;
	gi->told = false;
	gi->going = false;
	for (nid = 0; nid < nr_node_ids; nid++)
		atomic64_set(&gi->node_pages[nid], 0);
}

/* Tells of pages that outlived their file, now that they go. */
static void kvm_gmem_inode_tell(struct kvm_gmem_inode *gi)
{
	struct kvm *kvm;

	spin_lock(&kvm_gmem_inodes_lock);
	kvm = gi->kvm;
	/* One that is being destroyed has nobody left to tell. */
	if (kvm && !atomic_inc_not_zero(&kvm->gmem.users))
		kvm = NULL;
	spin_unlock(&kvm_gmem_inodes_lock);
	if (!kvm)
		return;

	kvm_gmem_invalidated(kvm, KVM_GMEM_NO_GFN, KVM_GMEM_NO_GFN,
			     gi->vfs_inode.i_mapping->nrpages,
			     KVM_GMEM_INVALIDATE_RELEASE);
	kvm_gmem_vm_put(kvm);
}

/* To or from those of its VM whose file is closed, whose pages stay as they are. */
static void kvm_gmem_move_nodes(struct kvm_gmem_inode *gi, int sign)
{
	unsigned int nid;

	lockdep_assert_held(&kvm_gmem_inodes_lock);

	if (!kvm_gmem_counts_freed())
		return;

	for (nid = 0; nid < nr_node_ids; nid++)
		atomic64_add(sign * atomic64_read(&gi->node_pages[nid]),
			     &gi->kvm->gmem.closed_nodes[nid]);
}

/**
 * kvm_gmem_inode_going - the pages of an inode are about to go with it
 * @gi: the guest_memfd
 *
 * Context: may sleep.
 */
void kvm_gmem_inode_going(struct kvm_gmem_inode *gi)
{
	if (gi->closed && !gi->told)
		kvm_gmem_inode_tell(gi);
	/* By node they are counted as long as they cannot go. */
	spin_lock(&kvm_gmem_inodes_lock);
	if (gi->closed && gi->kvm)
		kvm_gmem_move_nodes(gi, -1);
	gi->going = true;
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_inode_gone - they are gone
 * @gi: the guest_memfd
 *
 * It was counted as long as it had pages.
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_inode_gone(struct kvm_gmem_inode *gi)
{
	spin_lock(&kvm_gmem_inodes_lock);
	list_del(&gi->closed_node);
	atomic64_sub(gi->closed_pages, gi->kvm ? &gi->kvm->gmem.closed_pages :
						 &kvm_gmem_nr_orphaned);
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_inode_created - begin to observe a guest_memfd
 * @inode: its memory
 * @kvm: its VM
 * @bindings: its memslots by page index
 */
void kvm_gmem_inode_created(struct inode *inode, struct kvm *kvm,
			    struct xarray *bindings)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	gi->bindings = bindings;

	spin_lock(&kvm_gmem_inodes_lock);
	gi->kvm = kvm;
	list_add_tail_rcu(&gi->node, &kvm->gmem.files);
	spin_unlock(&kvm_gmem_inodes_lock);

	trace_kvm_gmem_create(kvm, i_size_read(inode) >> PAGE_SHIFT);
}

/**
 * kvm_gmem_inode_close - the file is closed, somebody may hold the inode
 * @gi: the guest_memfd; no page of it comes or goes before the inode does
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_inode_close(struct kvm_gmem_inode *gi)
{
	struct kvm_gmem_vm *gmem = &gi->kvm->gmem;

	gi->closed_pages = gi->vfs_inode.i_mapping->nrpages;

	spin_lock(&kvm_gmem_inodes_lock);
	atomic64_add(gi->closed_pages, &gmem->closed_pages);
	kvm_gmem_move_nodes(gi, 1);
	/* Who counts may find the pages twice, but never not at all. */
	smp_wmb();
	list_del_rcu(&gi->node);
	list_add(&gi->closed_node, &gmem->closed_files);
	gi->closed = true;
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_inode_added - count pages as allocated, and by the node that they are on
 * @gi: the guest_memfd
 * @folio: they, new in the page cache and still locked
 * @nr: how many they are
 *
 * The page remembers whose it is, for when it goes nobody else knows any more.
 *
 * Context: any.
 */
void kvm_gmem_inode_added(struct kvm_gmem_inode *gi, struct folio *folio,
			  unsigned long nr)
{
	/* Who counts it as allocated finds it populated. */
	smp_mb__before_atomic();
	atomic64_add(nr, &gi->kvm->gmem.counters.allocated_pages);
	if (!kvm_gmem_counts_freed())
		return;

	/* What a split makes of a huge folio remembers nothing. */
	if (!gi->huge)
		folio->private = gi;
	atomic64_add(nr, &gi->node_pages[folio_nid(folio)]);
}

/**
 * kvm_gmem_inode_merged - count a huge folio that has come in the place of small ones
 * @gi: the guest_memfd
 * @from: those
 * @nr: how many they were
 * @to: the huge one
 *
 * Context: any.
 */
void kvm_gmem_inode_merged(struct kvm_gmem_inode *gi, struct folio **from,
			   unsigned long nr, struct folio *to)
{
	unsigned long i;

	atomic64_inc(&gi->kvm->gmem.counters.huge_merges);
	if (!kvm_gmem_counts_freed())
		return;

	for (i = 0; i < nr; i++)
		atomic64_dec(&gi->node_pages[folio_nid(from[i])]);
	atomic64_add(nr, &gi->node_pages[folio_nid(to)]);
}

/**
 * kvm_gmem_inode_merge_ended - tell that a range was merged, or was not
 * @gi: the guest_memfd
 * @index: first page
 * @nr: how many there are
 * @result: 0 or a negative errno
 *
 * Context: any; the file is open.
 */
void kvm_gmem_inode_merge_ended(struct kvm_gmem_inode *gi, pgoff_t index,
				unsigned long nr, int result)
{
	trace_kvm_gmem_merge(gi->kvm, gi->vfs_inode.i_ino, index, nr, result);
}

/**
 * kvm_gmem_inode_split - a huge folio was split, or is held
 * @gi: the guest_memfd
 * @index: its first page
 * @nr: how many there are
 * @result: 0 or a negative errno
 *
 * Context: any; holds what keeps the file from being closed, if it is open.
 */
void kvm_gmem_inode_split(struct kvm_gmem_inode *gi, pgoff_t index,
			  unsigned long nr, int result)
{
	/* The VM of one that is closed may be gone. */
	if (gi->closed)
		return;
	if (!result)
		atomic64_inc(&gi->kvm->gmem.counters.huge_splits);
	trace_kvm_gmem_split(gi->kvm, gi->vfs_inode.i_ino, index, nr, result);
}

/* By node, in the sums of its VM too if those of a closed file are in them. */
static void kvm_gmem_inode_moved(struct kvm_gmem_inode *gi, struct folio *from,
				 struct folio *to)
{
	int from_nid = folio_nid(from), to_nid = folio_nid(to);
	long nr = folio_nr_pages(to);

	lockdep_assert_held(&kvm_gmem_inodes_lock);

	if (!kvm_gmem_counts_freed())
		return;

	from->private = NULL;
	if (!gi->huge)
		to->private = gi;
	atomic64_sub(nr, &gi->node_pages[from_nid]);
	atomic64_add(nr, &gi->node_pages[to_nid]);
	if (gi->closed && gi->kvm && !gi->going) {
		atomic64_sub(nr, &gi->kvm->gmem.closed_nodes[from_nid]);
		atomic64_add(nr, &gi->kvm->gmem.closed_nodes[to_nid]);
	}
}

/**
 * kvm_gmem_inode_move_ended - a folio was moved, or stays where it is
 * @move: both, locked
 * @result: 0 or a negative errno
 *
 * Without the invalidate lock the file may be closed, and its VM go, at any time.
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_inode_move_ended(const struct kvm_gmem_move *move, int result)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(move->inode);
	struct kvm_gmem_counters *counters;

	spin_lock(&kvm_gmem_inodes_lock);
	if (!result)
		kvm_gmem_inode_moved(gi, move->from, move->to);
	if (gi->kvm) {
		counters = &gi->kvm->gmem.counters;
		if (result)
			atomic64_inc(&counters->moves_refused[move->refusal]);
		else
			atomic64_add(move->range.end - move->range.start,
				     &counters->moved_pages);
		atomic64_add(ktime_get_ns() - move->began_ns, &counters->move_ns);
		trace_kvm_gmem_migrate(gi->kvm, move->inode->i_ino,
				       move->range.start, move->from, move->to,
				       result);
	}
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_count_unmovable - count a VM's populated pages that cannot be moved
 * @kvm: the VM
 *
 * Context: any.
 * Return: how many there are, but for closed guest_memfds.
 */
u64 kvm_gmem_count_unmovable(struct kvm *kvm)
{
	struct kvm_gmem_inode *gi;
	u64 nr_pages = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(gi, &kvm->gmem.files, node) {
		if (!gi->movable)
			nr_pages += READ_ONCE(gi->vfs_inode.i_mapping->nrpages);
	}
	rcu_read_unlock();

	return nr_pages;
}

/**
 * kvm_gmem_inode_fell_back - count a page that came by itself
 * @gi: a guest_memfd with huge folios
 * @reason: enum kvm_gmem_huge_fallback
 *
 * Context: any; the file is open.
 */
void kvm_gmem_inode_fell_back(struct kvm_gmem_inode *gi, int reason)
{
	atomic64_inc(&gi->kvm->gmem.counters.huge_fallbacks[reason]);
}

/**
 * kvm_gmem_inode_freed - a page is out of the page cache
 * @folio: the page
 *
 * Context: any but an interrupt; the inode is there.
 */
void kvm_gmem_inode_freed(struct folio *folio)
{
	struct kvm_gmem_inode *gi = folio->private;

	if (kvm_gmem_huge_used()) {
		/* It was never counted. */
		if (gi == KVM_GMEM_ADDING)
			return;
		gi = gi ?: kvm_gmem_huge_freed(folio);
	}
	/* The architecture may be told of each page though nobody counts them. */
	if (!kvm_gmem_counts_freed() || !gi)
		return;

	folio->private = NULL;
	atomic64_sub(folio_nr_pages(folio), &gi->node_pages[folio_nid(folio)]);
}

/**
 * kvm_gmem_count_node - count a VM's populated pages that are on a node
 * @kvm: the VM
 * @nid: the node; one that there is not has none
 *
 * Context: any.
 * Return: how many there are.
 */
u64 kvm_gmem_count_node(struct kvm *kvm, unsigned int nid)
{
	struct kvm_gmem_inode *gi;
	u64 nr_pages = 0;

	if (nid >= nr_node_ids)
		return 0;
	if (!kvm_gmem_counts_freed())
		return kvm_gmem_populated(kvm);

	rcu_read_lock();
	list_for_each_entry_rcu(gi, &kvm->gmem.files, node)
		nr_pages += atomic64_read(&gi->node_pages[nid]);
	rcu_read_unlock();
	/* Pairs with the barrier in kvm_gmem_inode_close(). */
	smp_rmb();

	return nr_pages + atomic64_read(&kvm->gmem.closed_nodes[nid]);
}

/**
 * kvm_gmem_inodes_orphan - a VM goes, the memory that somebody holds stays
 * @kvm: the VM; all of its guest_memfds are closed
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_inodes_orphan(struct kvm *kvm)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;
	struct kvm_gmem_inode *gi, *next;

	spin_lock(&kvm_gmem_inodes_lock);
	list_for_each_entry_safe(gi, next, &gmem->closed_files, closed_node) {
		gi->kvm = NULL;
		list_del_init(&gi->closed_node);
	}
	atomic64_add(atomic64_read(&gmem->closed_pages), &kvm_gmem_nr_orphaned);
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_orphaned_pages - count the pages of guest_memfds whose VM is gone
 *
 * Context: any.
 * Return: how many there are.
 */
u64 kvm_gmem_orphaned_pages(void)
{
	return atomic64_read(&kvm_gmem_nr_orphaned);
}
