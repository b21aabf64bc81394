// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where guest private memory is: the memslots and guest_memfds of a VM, how
 * much of each stretch of guest memory is private, populated and stale, on which
 * NUMA nodes it is, what of it the host gives twice or has mapped, and what is in
 * huge folios.  Each call looks, takes no lock that a guest could wait for, and does
 * a bounded amount of work, so that its caller goes on from where it ended.
 */
#include <linux/bitmap.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/file.h>
#include <linux/hugetlb_inline.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/mm.h>
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

/* One folio or one node of the page cache, which has up to 64. */
typedef void (*kvm_gmem_page_fn)(struct xa_state *xas, struct folio *folio,
				 bool whole_node, void *arg);

/*
 * Where to go on after a node of the page cache that is done with: at the next
 * node that is there.  A node that is the only one of its parent has none
 * beside it.  Finding out slot by slot is most of the work where memory is
 * sparse.
 */
static __always_inline pgoff_t kvm_gmem_after_node(const struct xa_node *node,
						   pgoff_t first)
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
	pgoff_t next = end, after;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		pgoff_t first = round_down(xas.xa_index, XA_CHUNK_SIZE);
		bool whole;

		if (xas_retry(&xas, folio))
			continue;

		whole = nodes && xas.xa_node && !xas.xa_node->shift &&
			first >= start && first + XA_CHUNK_SIZE <= end;
		if (whole)
			after = kvm_gmem_after_node(xas.xa_node, first);
		fn(&xas, folio, whole, arg);
		if (whole)
			xas_set(&xas, after);

		if (!--*work) {
			next = whole ? after : kvm_gmem_huge_next(&xas);
			break;
		}
		if (need_resched()) {
			/* Not xas_pause(), which counts from a folio's first page. */
			if (!whole)
				xas_set(&xas, kvm_gmem_huge_next(&xas));
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();

	return min(next, end);
}

/* A bucket that is being filled, and the page after those that it is for. */
struct kvm_gmem_fill {
	struct kvm_gmem_bucket *bucket;
	pgoff_t end;
};

/*
 * Calls are made under RCU and nothing else: a node may be changed meanwhile,
 * and is then counted as it was before, after, or in between.
 */
static void kvm_gmem_count_page(struct xa_state *xas, struct folio *folio,
				bool whole_node, void *arg)
{
	struct kvm_gmem_fill *fill = arg;
	struct kvm_gmem_bucket *bucket = fill->bucket;
	const struct xa_node *node = xas->xa_node;
	unsigned long nr;

	if (whole_node) {
		bucket->populated += READ_ONCE(node->count);
		bucket->stale +=
			bitmap_weight(node->marks[(__force int)KVM_GMEM_STALE],
				      XA_CHUNK_SIZE);
		return;
	}

	/* Of a huge one the walk is at the first page that is in the range. */
	nr = min(kvm_gmem_huge_next(xas), fill->end) - xas->xa_index;
	bucket->populated += nr;
	bucket->stale += xas_get_mark(xas, KVM_GMEM_STALE) ? nr : 0;
}

/* Adds what one memslot has of a stretch that lies within it. */
static void kvm_gmem_fill_bucket(struct kvm *kvm, struct kvm_memory_slot *slot,
				 struct file *file, gfn_t start, gfn_t end,
				 struct kvm_gmem_bucket *bucket, int *work)
{
	u64 nr_private = kvm_mem_attr_map_count(&kvm->mem_attr_map, start, end,
						KVM_MEMORY_ATTRIBUTE_PRIVATE);
	pgoff_t index = start - slot->base_gfn + slot->gmem.pgoff;
	struct kvm_gmem_fill fill = {
		.bucket = bucket,
		.end = index + end - start,
	};
	/* A bucket is small enough to be counted to its end. */
	int whole = INT_MAX;

	bucket->private += nr_private;
	bucket->shared += end - start - nr_private;
	if (file)
		kvm_gmem_walk_pages(file->f_mapping, index,
				    index + end - start, true, &whole,
				    kvm_gmem_count_page, &fill);
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

/**
 * struct kvm_gmem_resident - which pages of a stretch a process has
 * @pages: one bit for each
 * @nr: pages of the stretch, at most those of a page table
 * @skip: if not 0, there are none among so many pages
 */
struct kvm_gmem_resident {
	DECLARE_BITMAP(pages, PTRS_PER_PTE);
	unsigned long nr;
	unsigned long skip;
};

/* The zero page belongs to nobody; a huge one has no owner to be found by. */
static bool kvm_gmem_leaf_is_memory(unsigned long pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	return page && READ_ONCE(page_folio(page)->mapping);
}

static unsigned long kvm_gmem_pages_to(unsigned long addr, unsigned long size)
{
	return (size - (addr & (size - 1))) >> PAGE_SHIFT;
}

/*
 * Reads the page table of one stretch that lies in one VMA.  The mmap lock keeps
 * the tables of a VMA, but for those that a collapse frees after a grace period
 * of RCU, which is what interrupts are off for.
 */
static void kvm_gmem_read_table(struct mm_struct *mm, unsigned long addr,
				struct kvm_gmem_resident *resident)
{
	unsigned long i, pfn, nr = kvm_gmem_pages_to(addr, PMD_SIZE);
	unsigned long flags;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pte_t *ptep;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, addr));
	if (!pgd_present(pgd)) {
		resident->skip = kvm_gmem_pages_to(addr, PGDIR_SIZE);
		goto out;
	}
	p4d = READ_ONCE(*p4d_offset(&pgd, addr));
	if (!p4d_present(p4d)) {
		resident->skip = kvm_gmem_pages_to(addr, P4D_SIZE);
		goto out;
	}
	pud = READ_ONCE(*pud_offset(&p4d, addr));
	if (!pud_present(pud)) {
		resident->skip = kvm_gmem_pages_to(addr, PUD_SIZE);
		goto out;
	}
	if (pud_leaf(pud)) {
		pfn = pud_pfn(pud);
		goto leaf;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, addr));
	if (!pmd_present(pmd)) {
		resident->skip = nr;
		goto out;
	}
	if (pmd_leaf(pmd)) {
		pfn = pmd_pfn(pmd);
		goto leaf;
	}

	/* KVM_GMEM_BPF is for 64-bit kernels, whose page tables are mapped. */
	ptep = pte_offset_kernel(&pmd, addr);
	for (i = 0; i < min(nr, resident->nr); i++) {
		pte_t pte = READ_ONCE(ptep[i]);

		/* The zero page is special, and so are devices. */
		__assign_bit(i, resident->pages,
			     pte_present(pte) && !pte_special(pte));
	}
	resident->nr = min(nr, resident->nr);
	goto out;

leaf:
	if (kvm_gmem_leaf_is_memory(pfn)) {
		resident->nr = min(nr, resident->nr);
		bitmap_fill(resident->pages, PTRS_PER_PTE);
	} else {
		resident->skip = nr;
	}
out:
	local_irq_restore(flags);
	resident->skip = min(resident->skip, resident->nr);
}

/*
 * The same of a VMA, whose page tables hugetlb may share with other processes:
 * it stops sharing them, and they may go, under a lock of the file.
 */
static void kvm_gmem_read_vma(struct vm_area_struct *vma, unsigned long addr,
			      struct kvm_gmem_resident *resident)
{
	bool shares = is_vm_hugetlb_page(vma);

	if (shares && !i_mmap_trylock_read(vma->vm_file->f_mapping))
		return;
	resident->skip = 0;
	kvm_gmem_read_table(vma->vm_mm, addr, resident);
	if (shares)
		i_mmap_unlock_read(vma->vm_file->f_mapping);
}

/*
 * Looks at what a process has from @addr on, of @nr pages at most.  Waits for
 * nobody, and is over in a moment; what another thread is changing just then is
 * not counted.
 */
static void kvm_gmem_look_resident(struct mm_struct *mm, unsigned long addr,
				   unsigned long nr,
				   struct kvm_gmem_resident *resident)
{
	struct vm_area_struct *vma;

	resident->skip = kvm_gmem_pages_to(addr, PMD_SIZE);

	if (!mmap_read_trylock(mm))
		return;
	vma = find_vma(mm, addr);
	if (!vma) {
		resident->skip = ULONG_MAX;
	} else if (vma->vm_start > addr) {
		resident->skip = (vma->vm_start - addr) >> PAGE_SHIFT;
	} else {
		resident->nr = min(nr, (vma->vm_end - addr) >> PAGE_SHIFT);
		kvm_gmem_read_vma(vma, addr, resident);
	}
	mmap_read_unlock(mm);
}

struct kvm_gmem_twice {
	const struct kvm_gmem_resident *resident;
	pgoff_t first;
	u64 pages;
};

static void kvm_gmem_count_twice(struct xa_state *xas, struct folio *folio,
				 bool whole_node, void *arg)
{
	struct kvm_gmem_twice *twice = arg;
	const struct kvm_gmem_resident *resident = twice->resident;
	pgoff_t index, end;

	end = min(twice->first + resident->nr, kvm_gmem_huge_next(xas));
	for (index = xas->xa_index; index < end; index++)
		twice->pages += test_bit(index - twice->first, resident->pages);
}

/* Returns the frame to go on with, or 0 if all of the memslot was looked at. */
static u64 kvm_gmem_slot_backed_twice(struct kvm *kvm,
				      const struct kvm_memory_slot *slot,
				      struct file *file, gfn_t gfn, u64 *pages,
				      int *work)
{
	struct kvm_gmem_resident resident;
	struct kvm_gmem_twice twice = { .resident = &resident };
	gfn_t end = slot->base_gfn + slot->npages;
	unsigned long addr;
	int whole;

	while (gfn < end && *work > 0 && READ_ONCE(file->f_mapping->nrpages)) {
		cond_resched();
		--*work;
		/* One that has ended has no page tables to look at. */
		if (!mmget_not_zero(kvm->mm))
			break;
		addr = slot->userspace_addr +
		       ((gfn - slot->base_gfn) << PAGE_SHIFT);
		kvm_gmem_look_resident(kvm->mm, addr, end - gfn, &resident);
		/* To tear it down, if nobody else has it now, is not ours to do. */
		mmput_async(kvm->mm);
		if (resident.skip) {
			gfn += min_t(u64, resident.skip, end - gfn);
			continue;
		}

		twice.first = gfn - slot->base_gfn + slot->gmem.pgoff;
		/* A page table is little enough to be counted to its end. */
		whole = INT_MAX;
		kvm_gmem_walk_pages(file->f_mapping, twice.first,
				    twice.first + resident.nr, false, &whole,
				    kvm_gmem_count_twice, &twice);
		*work -= INT_MAX - whole;
		gfn += resident.nr;
	}
	*pages += twice.pages;

	return gfn < end && *work <= 0 ? gfn : 0;
}

/* A count of pages of one kind, in the pages of a file that come before @end. */
struct kvm_gmem_count {
	pgoff_t end;
	int work;
	u64 pages;
};

/* Calls are made under RCU and nothing else, as with kvm_gmem_count_page(). */
static void kvm_gmem_count_mapped(struct xa_state *xas, struct folio *folio,
				  bool whole_node, void *arg)
{
	struct kvm_gmem_count *mapped = arg;
	const struct xa_node *node = xas->xa_node;
	unsigned int i, left;

	if (!whole_node) {
		/* A huge one is private, and so never mapped. */
		if (likely(!kvm_gmem_huge_at(xas)))
			mapped->pages += folio_mapped(folio);
		return;
	}

	left = READ_ONCE(node->count);
	/* A step for each page, of which the walk takes the last one. */
	mapped->work = max_t(int, mapped->work - left + 1, 1);
	/* @folio is the first one. */
	for (i = xas->xa_offset; left && i < XA_CHUNK_SIZE; i++) {
		folio = xa_entry(xas->xa, node, i);
		if (!folio || xa_is_internal(folio))
			continue;
		mapped->pages += folio_mapped(folio);
		left--;
	}
}

/* A step for each huge folio, and for each node of single pages, which has none. */
static void kvm_gmem_count_huge(struct xa_state *xas, struct folio *folio,
				bool whole_node, void *arg)
{
	struct kvm_gmem_count *huge = arg;

	if (!whole_node && kvm_gmem_huge_at(xas))
		huge->pages += min(kvm_gmem_huge_next(xas), huge->end) -
			       xas->xa_index;
}

enum kvm_gmem_kind {
	KVM_GMEM_MAPPED,
	KVM_GMEM_HUGE,
};

/* Returns the frame to go on with, or @end if all of the stretch was looked at. */
static gfn_t kvm_gmem_count_slot(const struct kvm_memory_slot *slot,
				 struct file *file, gfn_t start, gfn_t end,
				 enum kvm_gmem_kind kind,
				 struct kvm_gmem_count *count)
{
	pgoff_t index = start - slot->base_gfn + slot->gmem.pgoff;

	count->end = index + end - start;
	if (kind == KVM_GMEM_MAPPED)
		index = kvm_gmem_walk_pages(file->f_mapping, index, count->end,
					    true, &count->work,
					    kvm_gmem_count_mapped, count);
	else
		index = kvm_gmem_walk_pages(file->f_mapping, index, count->end,
					    true, &count->work,
					    kvm_gmem_count_huge, count);

	return index - slot->gmem.pgoff + slot->base_gfn;
}

/* Only files that have nothing beside them can be mapped. */
static bool kvm_gmem_slot_may_have(const struct kvm_memory_slot *slot,
				   enum kvm_gmem_kind kind)
{
	return kind != KVM_GMEM_MAPPED || kvm_memslot_is_gmem_only(slot);
}

/* Returns the frame to go on with, which is below @end; 0 at the end. */
static u64 kvm_gmem_count_stretch(struct kvm *kvm, u64 start, u64 end,
				  enum kvm_gmem_kind kind, u64 *pages)
{
	struct kvm_gmem_count count = { .work = KVM_GMEM_LAYOUT_WORK };
	struct kvm_memslot_iter iter;
	u64 next = 0;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start, end) {
		struct kvm_memory_slot *slot = iter.slot;
		gfn_t first = max(start, slot->base_gfn);
		gfn_t last = min(end, slot->base_gfn + slot->npages);
		struct file *file;

		/* A walk begins with the memslot of @start, wherever @end is. */
		if (first >= last || kvm_gmem_slot_is_going(slot) ||
		    !kvm_gmem_slot_may_have(slot, kind))
			continue;
		file = kvm_gmem_slot_file(slot);
		if (!file)
			continue;
		next = kvm_gmem_count_slot(slot, file, first, last, kind, &count);
		fput(file);
		/* A memslot without pages is work, too. */
		if (next < last || --count.work <= 0)
			break;
		next = 0;
		cond_resched();
	}
	srcu_read_unlock(&kvm->srcu, idx);
	*pages = count.pages;

	return next < end ? next : 0;
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

/**
 * bpf_kvm_gmem_nodes - tell on which NUMA nodes a VM's populated memory is
 * @kvm: the VM
 * @pages: filled with the populated pages of each node; zeroes beyond the last
 * @pages__sz: its size in bytes
 *
 * The sum of all nodes is the VM's populated pages, those of closed files too.
 *
 * Context: any but an interrupt.
 * Return: number of nodes that there can be, also if there is room for fewer;
 *	-EINVAL if @pages__sz is not a positive multiple of 8.
 */
__bpf_kfunc int bpf_kvm_gmem_nodes(struct kvm *kvm, u64 *pages, u32 pages__sz)
{
	u32 nr = pages__sz / sizeof(*pages), nid;

	if (!nr || pages__sz % sizeof(*pages))
		return -EINVAL;

	/* Userspace may write to the buffer: nothing is read back from it. */
	for (nid = 0; nid < nr; nid++)
		pages[nid] = kvm_gmem_count_node(kvm, nid);

	return nr_node_ids;
}

/**
 * bpf_kvm_gmem_backed_twice - count memory that the host gives a VM twice
 * @kvm: the VM
 * @start: first guest frame
 * @pages: set to how many frames have a page of the guest_memfd and another one
 *	in the memory of the VM's process
 *
 * What is swapped out is not seen, nor what is in another process's memory only,
 * nor what that process is just mapping or unmapping.  Two memslots of the same
 * addresses count twice.  Ends early when it has done much.
 *
 * Context: may sleep.
 * Return: guest frame to go on with, 0 at the end.
 */
__bpf_kfunc s64 bpf_kvm_gmem_backed_twice(struct kvm *kvm, u64 start,
					  u64 *pages)
{
	int work = KVM_GMEM_LAYOUT_WORK, idx;
	struct kvm_memslot_iter iter;
	u64 next = 0, twice = 0;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start,
					  ~0ULL) {
		struct kvm_memory_slot *slot = iter.slot;
		struct file *file;

		file = kvm_gmem_slot_is_going(slot) ||
		       kvm_memslot_is_gmem_only(slot) ? NULL :
						kvm_gmem_slot_file(slot);
		if (!file)
			continue;
		next = kvm_gmem_slot_backed_twice(kvm, slot, file,
						  max(start, slot->base_gfn),
						  &twice, &work);
		fput(file);
		if (next)
			break;
		cond_resched();
	}
	srcu_read_unlock(&kvm->srcu, idx);
	*pages = twice;

	return next;
}

/**
 * bpf_kvm_gmem_host_mapped - count memory of a VM that the host has mapped
 * @kvm: the VM
 * @start: first guest frame
 * @end: the one after the last, ~0 for all that there are
 * @pages: set to how many frames have a page of the guest_memfd that is in the
 *	page tables of any process
 *
 * Of guest_memfds that cannot be mapped, or that no memslot has, there is none.
 * Ends early when it has done much.
 *
 * Context: may sleep.
 * Return: guest frame to go on with, which is below @end; 0 at the end.
 */
__bpf_kfunc s64 bpf_kvm_gmem_host_mapped(struct kvm *kvm, u64 start, u64 end,
					 u64 *pages)
{
	return kvm_gmem_count_stretch(kvm, start, end, KVM_GMEM_MAPPED, pages);
}

/**
 * bpf_kvm_gmem_huge - count memory of a VM that is in huge folios
 * @kvm: the VM
 * @start: first guest frame
 * @end: the one after the last, ~0 for all that there are
 * @pages: set to how many frames have a page of the guest_memfd that is a part of a
 *	huge folio
 *
 * Of guest_memfds that no memslot has, there is none.  Ends early when it has done
 * much.
 *
 * Context: may sleep.
 * Return: guest frame to go on with, which is below @end; 0 at the end.
 */
__bpf_kfunc s64 bpf_kvm_gmem_huge(struct kvm *kvm, u64 start, u64 end, u64 *pages)
{
	return kvm_gmem_count_stretch(kvm, start, end, KVM_GMEM_HUGE, pages);
}

__bpf_kfunc_end_defs();
