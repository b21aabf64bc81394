// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where guest private memory is: the memslots and guest_memfds of a VM, how
 * much of each stretch of guest memory is private, populated and stale, and on
 * which NUMA nodes it is.  Nothing is kept for this: each call looks, takes no
 * lock that a guest could wait for, and does a bounded amount of work, so that
 * its caller goes on from where it ended.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "gmem.h"

/* Pages of a bucket: 1 GiB, which bounds the work on one. */
#define KVM_GMEM_BUCKET_MAX	(1UL << (30 - PAGE_SHIFT))
/* Lookups after which a call ends, once it has something to return. */
#define KVM_GMEM_LAYOUT_WORK	65536

/**
 * struct kvm_gmem_slot_info - a memslot
 * @base_gfn: its first guest frame
 * @nr_pages: its size
 * @index: the page of the guest_memfd that @base_gfn is
 * @inode: inode number of the guest_memfd, 0 if it has none
 * @file_pages: size of the guest_memfd
 * @populated_pages: pages that the guest_memfd has, in all memslots
 * @id: its number
 * @flags: KVM_MEM_*
 */
struct kvm_gmem_slot_info {
	u64 base_gfn;
	u64 nr_pages;
	u64 index;
	u64 inode;
	u64 file_pages;
	u64 populated_pages;
	u32 id;
	u32 flags;
};

/**
 * struct kvm_gmem_bucket - a stretch of guest memory, in pages
 * @private: guest frames in a memslot that are private
 * @shared: guest frames in a memslot that are not
 * @populated: pages that a guest_memfd has for them
 * @stale: those of @populated that no private frame maps
 *
 * Frames without a memslot are none of these.
 */
struct kvm_gmem_bucket {
	u32 private;
	u32 shared;
	u32 populated;
	u32 stale;
};

/* One page or one node of the page cache, which has up to 64. */
typedef void (*kvm_gmem_page_fn)(struct xa_state *xas, struct folio *folio,
				 bool whole_node, void *arg);

/*
 * Where to go on after a node of the page cache that is done with: at the next
 * node that is there.  A node that is the only one of its parent has none
 * beside it.  Finding out slot by slot is most of the work where memory is
 * sparse.
 */
static pgoff_t kvm_gmem_after_node(const struct xa_node *node, pgoff_t first)
{
	pgoff_t next = first + XA_CHUNK_SIZE;
	const struct xa_node *parent;

	while ((parent = rcu_dereference(node->parent))) {
		unsigned long slot = node->offset + 1;

		if (READ_ONCE(parent->count) == 1)
			slot = XA_CHUNK_SIZE;
		while (slot < XA_CHUNK_SIZE &&
		       !rcu_access_pointer(parent->slots[slot]))
			slot++;
		next = round_down(first, XA_CHUNK_SIZE << parent->shift) +
		       (slot << parent->shift);
		if (slot < XA_CHUNK_SIZE)
			break;
		node = parent;
	}

	return next;
}

/*
 * Calls @fn for the populated pages of a range.  With @nodes, pages that fill
 * a node of the page cache come together.  Ends early when @work is used up;
 * returns the page to go on with.  Inline, so that @fn is no indirect call.
 */
static __always_inline pgoff_t
kvm_gmem_walk_pages(struct address_space *mapping, pgoff_t start, pgoff_t end,
		    bool nodes, int *work, kvm_gmem_page_fn fn, void *arg)
{
	XA_STATE(xas, &mapping->i_pages, start);
	pgoff_t next = end;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		pgoff_t first = round_down(xas.xa_index, XA_CHUNK_SIZE);
		bool whole;

		if (xas_retry(&xas, folio))
			continue;

		whole = nodes && xas.xa_node && !xas.xa_node->shift &&
			first >= start && first + XA_CHUNK_SIZE <= end;
		fn(&xas, folio, whole, arg);
		if (whole)
			xas_set(&xas, kvm_gmem_after_node(xas.xa_node, first));

		if (!--*work) {
			next = whole ? xas.xa_index : xas.xa_index + 1;
			break;
		}
		if (need_resched()) {
			if (!whole)
				xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();

	return min(next, end);
}

/*
 * Calls are made under RCU and nothing else: a node may be changed meanwhile,
 * and is then counted as it was before, after, or in between.
 */
static void kvm_gmem_count_page(struct xa_state *xas, struct folio *folio,
				bool whole_node, void *arg)
{
	struct kvm_gmem_bucket *bucket = arg;
	const struct xa_node *node = xas->xa_node;

	if (whole_node) {
		bucket->populated += READ_ONCE(node->count);
		bucket->stale +=
			bitmap_weight(node->marks[(__force int)KVM_GMEM_STALE],
				      XA_CHUNK_SIZE);
		return;
	}

	bucket->populated++;
	bucket->stale += xas_get_mark(xas, KVM_GMEM_STALE);
}

/* Adds what one memslot has of a stretch that lies within it. */
static void kvm_gmem_fill_bucket(struct kvm *kvm, struct kvm_memory_slot *slot,
				 struct file *file, gfn_t start, gfn_t end,
				 struct kvm_gmem_bucket *bucket, int *work)
{
	u64 nr_private = kvm_mem_attr_map_count(&kvm->mem_attr_map, start, end,
						KVM_MEMORY_ATTRIBUTE_PRIVATE);
	pgoff_t index = start - slot->base_gfn + slot->gmem.pgoff;
	/* A bucket is small enough to be counted to its end. */
	int whole = INT_MAX;

	bucket->private += nr_private;
	bucket->shared += end - start - nr_private;
	if (file)
		kvm_gmem_walk_pages(file->f_mapping, index,
				    index + end - start, true, &whole,
				    kvm_gmem_count_page, bucket);
	*work -= INT_MAX - whole + 1;
}

/* The guest_memfd of a memslot, to be given back; NULL if there is none. */
static struct file *kvm_gmem_slot_file(struct kvm_memory_slot *slot)
{
	if (!kvm_slot_can_be_private(slot))
		return NULL;

	return get_file_active(&slot->gmem.file);
}

static void kvm_gmem_put_file(struct file *file)
{
	if (file)
		fput(file);
}

/* A memslot that is being deleted or moved is the shadow of itself. */
static bool kvm_gmem_slot_is_going(const struct kvm_memory_slot *slot)
{
	return slot->flags & KVM_MEMSLOT_INVALID;
}

/* Adds up what all memslots have of a stretch. */
static void kvm_gmem_fill_stretch(struct kvm *kvm, gfn_t start, gfn_t end,
				  struct kvm_gmem_bucket *bucket, int *work)
{
	struct kvm_memslot_iter iter;

	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start, end) {
		struct kvm_memory_slot *slot = iter.slot;
		struct file *file;

		if (kvm_gmem_slot_is_going(slot))
			continue;
		file = kvm_gmem_slot_file(slot);
		kvm_gmem_fill_bucket(kvm, slot, file, max(start, slot->base_gfn),
				     min(end, slot->base_gfn + slot->npages),
				     bucket, work);
		kvm_gmem_put_file(file);
		cond_resched();
	}
}

__bpf_kfunc_start_defs();

/**
 * bpf_kvm_gmem_slots - list the memslots of a VM
 * @kvm: the VM
 * @start: first guest frame of interest
 * @slots: filled in, in the order of their guest frames
 * @slots__sz: its size in bytes
 *
 * Of the first address space only, which is the one that is not SMM's.  If
 * @slots is full, there may be more from the end of the last one on.
 *
 * Context: may sleep.
 * Return: number of memslots filled in, or -EINVAL if @slots__sz is not a
 *	positive multiple of the struct's size.
 */
__bpf_kfunc int bpf_kvm_gmem_slots(struct kvm *kvm, u64 start,
				   struct kvm_gmem_slot_info *slots,
				   u32 slots__sz)
{
	u32 room = slots__sz / sizeof(*slots), nr = 0;
	struct kvm_memslot_iter iter;
	int idx;

	if (!room || slots__sz % sizeof(*slots))
		return -EINVAL;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start,
					  ~0ULL) {
		struct kvm_memory_slot *slot = iter.slot;
		struct file *file;

		if (nr == room)
			break;
		if (kvm_gmem_slot_is_going(slot))
			continue;
		file = kvm_gmem_slot_file(slot);
		slots[nr++] = (struct kvm_gmem_slot_info) {
			.base_gfn = slot->base_gfn,
			.nr_pages = slot->npages,
			.index = file ? slot->gmem.pgoff : 0,
			.inode = file ? file_inode(file)->i_ino : 0,
			.file_pages = file ? i_size_read(file_inode(file)) >>
					     PAGE_SHIFT : 0,
			.populated_pages = file ?
				READ_ONCE(file->f_mapping->nrpages) : 0,
			.id = slot->id,
			.flags = slot->flags,
		};
		kvm_gmem_put_file(file);
	}
	srcu_read_unlock(&kvm->srcu, idx);

	return nr;
}

/**
 * bpf_kvm_gmem_map - tell what stretches of guest memory are
 * @kvm: the VM
 * @start: first guest frame
 * @pages: guest frames of each stretch, at most 1 GiB
 * @buckets: filled in, one for each stretch
 * @buckets__sz: its size in bytes
 *
 * Exact where nothing happens at the moment.  Ends early when it has done
 * much, but not before the first bucket is filled in.
 *
 * Context: may sleep.
 * Return: number of buckets filled in; -EINVAL if @pages is 0 or too many, if
 *	@buckets__sz is not a positive multiple of the struct's size, or if the
 *	range ends beyond the last guest frame.
 */
__bpf_kfunc int bpf_kvm_gmem_map(struct kvm *kvm, u64 start, u64 pages,
				 struct kvm_gmem_bucket *buckets,
				 u32 buckets__sz)
{
	u64 nr = buckets__sz / sizeof(*buckets), end, i;
	int work = KVM_GMEM_LAYOUT_WORK, idx;

	if (!pages || pages > KVM_GMEM_BUCKET_MAX || !nr ||
	    buckets__sz % sizeof(*buckets))
		return -EINVAL;
	/* A bucket is at most 2^18 pages and there are fewer than 2^28. */
	if (check_add_overflow(start, nr * pages, &end))
		return -EINVAL;

	idx = srcu_read_lock(&kvm->srcu);
	for (i = 0; i < nr && work > 0; i++) {
		struct kvm_gmem_bucket bucket = {};

		kvm_gmem_fill_stretch(kvm, start, start + pages, &bucket, &work);
		buckets[i] = bucket;
		start += pages;
	}
	srcu_read_unlock(&kvm->srcu, idx);

	return i;
}

struct kvm_gmem_node_count {
	u64 pages[MAX_NUMNODES];
};

static void kvm_gmem_count_node(struct xa_state *xas, struct folio *folio,
				bool whole_node, void *arg)
{
	struct kvm_gmem_node_count *count = arg;

	count->pages[folio_nid(folio)]++;
}

/**
 * bpf_kvm_gmem_nodes - count populated memory by NUMA node
 * @kvm: the VM
 * @start: first guest frame
 * @pages: added to, one for each node; those of other nodes are left out
 * @pages__sz: its size in bytes
 *
 * Counts pages that a memslot maps.  Ends early when it has done much.
 *
 * Context: may sleep.
 * Return: guest frame to go on with, 0 at the end, -EINVAL if @pages__sz is not
 *	a positive multiple of 8, or -ENOMEM.
 */
__bpf_kfunc s64 bpf_kvm_gmem_nodes(struct kvm *kvm, u64 start, u64 *pages,
				   u32 pages__sz)
{
	u32 nr = pages__sz / sizeof(*pages), i;
	int work = KVM_GMEM_LAYOUT_WORK, idx;
	struct kvm_gmem_node_count *count;
	struct kvm_memslot_iter iter;
	u64 next = 0;

	if (!nr || pages__sz % sizeof(*pages))
		return -EINVAL;
	count = kzalloc(sizeof(*count), GFP_KERNEL);
	if (!count)
		return -ENOMEM;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start,
					  ~0ULL) {
		struct kvm_memory_slot *slot = iter.slot;
		u64 offset = max(start, slot->base_gfn) - slot->base_gfn;
		struct file *file;
		pgoff_t index;

		file = kvm_gmem_slot_is_going(slot) ? NULL :
						      kvm_gmem_slot_file(slot);
		if (!file)
			continue;
		index = kvm_gmem_walk_pages(file->f_mapping,
					    slot->gmem.pgoff + offset,
					    slot->gmem.pgoff + slot->npages,
					    false, &work, kvm_gmem_count_node,
					    count);
		fput(file);
		if (!work) {
			next = slot->base_gfn + index - slot->gmem.pgoff;
			break;
		}
		cond_resched();
	}
	srcu_read_unlock(&kvm->srcu, idx);

	for (i = 0; i < min_t(u32, nr, MAX_NUMNODES); i++)
		pages[i] += count->pages[i];
	kfree(count);

	return next;
}

__bpf_kfunc_end_defs();
