// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accounting of guest private memory: how many of a VM's pages are private,
 * populated and stale.  No policy and no tracing.
 *
 * Populated pages are not counted at all but read from the page cache, which
 * knows.  A populated page is stale when no private guest frame maps it, so
 * that only the host pays for it.  Staleness is a mark in the page cache, for
 * the mark goes away with the page.  It is exact without a lock that others
 * wait for:
 *
 *  - marks change under the page cache's own lock, and who changes them looks
 *    at the attribute under it;
 *  - a conversion first changes the attribute, then the marks; whoever adds a
 *    page compares it with the attribute afterwards, so that one of the two sees
 *    the other;
 *  - whoever punches a hole says so under that lock and unmarks the hole's pages
 *    first; from then on nobody marks a page there, so that no mark disappears
 *    uncounted.  Pages that came meanwhile and stayed are looked at when the
 *    hole is done;
 *  - a file that is closed has no marks, and no page of it can get one: all of
 *    its pages are stale.
 *
 * A lowest node of the page cache has 64 pages and their marks in one word.  So
 * a range costs a step for each of its nodes, not for each of its pages.
 */
#include <linux/pagemap.h>
#include <linux/rculist.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "gmem.h"

/* Nodes or pages after which the page cache's lock is let go for a moment. */
#define KVM_GMEM_MARK_BATCH	512

static void kvm_gmem_add_stale(struct kvm *kvm, s64 nr_pages)
{
	if (nr_pages)
		atomic64_add(nr_pages, &kvm->gmem.counters.stale_pages);
}

/* Marks the entry that @xas is at, or unmarks it; returns by how much. */
static __always_inline s64 kvm_gmem_mark_page(struct xa_state *xas, bool stale)
{
	if (xas_get_mark(xas, KVM_GMEM_STALE) == stale)
		return 0;
	if (!stale) {
		xas_clear_mark(xas, KVM_GMEM_STALE);
		return -1;
	}
	xas_set_mark(xas, KVM_GMEM_STALE);

	return 1;
}

/*
 * The same in pages.  All of a huge folio are alike: before some change it is split.
 * The page cache's lock keeps it.
 */
static __always_inline s64 kvm_gmem_mark_folio(struct xa_state *xas, bool stale)
{
	if (likely(!kvm_gmem_huge_at(xas)))
		return kvm_gmem_mark_page(xas, stale);
	/* Who adds one that stays compares it with its frames afterwards. */
	if (stale && kvm_gmem_huge_is_new(xas))
		return 0;

	return kvm_gmem_mark_page(xas, stale) * (s64)BIT(xas_get_order(xas));
}

/*
 * The same for all pages of the lowest node that @xas is in, which must have 64
 * of them if they are to be marked.  One page is left to the xarray's own code,
 * which knows what a node's first or last mark means to the nodes above.
 */
static s64 kvm_gmem_mark_node(struct xa_state *xas, bool stale)
{
	unsigned long *marks =
		xas->xa_node->marks[(__force unsigned int)KVM_GMEM_STALE];
	unsigned long before = *marks;
	s64 delta = 0;

	BUILD_BUG_ON(XA_CHUNK_SIZE != BITS_PER_LONG);

	if (before == (stale ? ~0UL : 0))
		return 0;
	if (stale) {
		delta = kvm_gmem_mark_page(xas, true);
		delta += hweight_long(~*marks);
		WRITE_ONCE(*marks, ~0UL);
	} else {
		xas->xa_offset = __ffs(before);
		delta = 1 - (s64)hweight_long(before);
		WRITE_ONCE(*marks, BIT(xas->xa_offset));
		delta += kvm_gmem_mark_page(xas, false);
	}

	return delta;
}

/*
 * Marks pages from @start on, under the page cache's lock, until @end or until
 * @budget is used up.  Returns the page to go on with.
 */
static pgoff_t kvm_gmem_mark_locked(struct address_space *mapping,
				    pgoff_t start, pgoff_t end, bool stale,
				    unsigned int *budget, s64 *delta)
{
	XA_STATE(xas, &mapping->i_pages, start);

	while (stale ? xas_find(&xas, end - 1) :
		       xas_find_marked(&xas, end - 1, KVM_GMEM_STALE)) {
		const struct xa_node *node = xas.xa_node;
		pgoff_t first = round_down(xas.xa_index, XA_CHUNK_SIZE);

		if (node && !node->shift && first >= start &&
		    end - first >= XA_CHUNK_SIZE &&
		    (!stale || node->count == XA_CHUNK_SIZE)) {
			*delta += kvm_gmem_mark_node(&xas, stale);
			xas.xa_index = first + XA_CHUNK_SIZE - 1;
			xas.xa_offset = XA_CHUNK_SIZE - 1;
		} else {
			*delta += kvm_gmem_mark_folio(&xas, stale);
		}
		if (!--*budget)
			return kvm_gmem_huge_next(&xas);
	}

	return end;
}

/* Leaves a hole that is being punched out of what is to be marked. */
static pgoff_t kvm_gmem_mark_outside(const struct kvm_gmem_inode *gi,
				     pgoff_t start, pgoff_t end,
				     unsigned int *budget, s64 *delta)
{
	if (start < gi->punch_end && end > gi->punch_start) {
		if (start >= gi->punch_start)
			return min(end, gi->punch_end);
		end = gi->punch_start;
	}

	return kvm_gmem_mark_locked(gi->vfs_inode.i_mapping, start, end, true,
				    budget, delta);
}

/* Most conversions that a guest makes are of one page. */
static s64 kvm_gmem_mark_one(struct inode *inode, pgoff_t index, bool stale)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	XA_STATE(xas, &inode->i_mapping->i_pages, index);
	s64 delta = 0;

	xas_lock_irq(&xas);
	if (!(stale && index >= gi->punch_start && index < gi->punch_end) &&
	    xas_load(&xas))
		delta = kvm_gmem_mark_folio(&xas, stale);
	xas_unlock_irq(&xas);

	return delta;
}

/**
 * kvm_gmem_mark - mark the populated pages of a range as stale or not
 * @kvm: the VM
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 * @stale: what they are from now on
 *
 * Context: may sleep; nobody else changes what they are.
 */
void kvm_gmem_mark(struct kvm *kvm, struct inode *inode, pgoff_t start,
		   pgoff_t end, bool stale)
{
	struct address_space *mapping = inode->i_mapping;
	s64 delta = 0;

	/*
	 * The lock is taken even if no page is marked: kvm_gmem_classify() may
	 * be about to mark one by what it found before a conversion.  Of a file
	 * without pages none is: who adds one looks at the attribute later.
	 * Pairs with the barriers in kvm_gmem_fault_pfn() and
	 * kvm_gmem_classify().
	 */
	smp_mb();
	if (!READ_ONCE(mapping->nrpages) || kvm_gmem_is_only(inode))
		return;
	if (end - start == 1) {
		kvm_gmem_add_stale(kvm, kvm_gmem_mark_one(inode, start, stale));
		return;
	}

	while (start < end) {
		unsigned int budget = KVM_GMEM_MARK_BATCH;

		xa_lock_irq(&mapping->i_pages);
		while (start < end && budget)
			start = stale ?
				kvm_gmem_mark_outside(to_kvm_gmem_inode(inode),
						      start, end, &budget,
						      &delta) :
				kvm_gmem_mark_locked(mapping, start, end, false,
						     &budget, &delta);
		xa_unlock_irq(&mapping->i_pages);
		if (start < end)
			cond_resched();
	}

	kvm_gmem_add_stale(kvm, delta);
}

/**
 * kvm_gmem_attr_run - what a page and those after it are, by their frames
 * @kvm: the VM
 * @slot: memslot that maps them, or NULL
 * @start: first page
 * @end: page to stop at
 * @stale: set to whether they are stale
 *
 * Context: any.
 * Return: the first page after @start that is something else, or @end.
 */
pgoff_t kvm_gmem_attr_run(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  pgoff_t start, pgoff_t end, bool *stale)
{
	unsigned long attrs;
	u64 gfn, last;

	*stale = true;
	if (!slot)
		return end;

	gfn = start - slot->gmem.pgoff + slot->base_gfn;
	last = kvm_mem_attr_map_run(&kvm->mem_attr_map, gfn, gfn + end - start,
				    &attrs);
	*stale = !(attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE);

	return start + (last - gfn);
}

/**
 * kvm_gmem_classify - mark the populated pages of a range by their frames
 * @kvm: the VM
 * @inode: the guest_memfd
 * @slot: memslot that maps all of the range, or NULL if none does
 * @start: first page
 * @end: page after the last
 *
 * Context: may sleep; attributes may change meanwhile.
 */
void kvm_gmem_classify(struct kvm *kvm, struct inode *inode,
		       const struct kvm_memory_slot *slot, pgoff_t start,
		       pgoff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	pgoff_t stop;
	s64 delta = 0;
	bool stale;

	if (kvm_gmem_is_only(inode))
		return;

	/* Pages that were added come before the look at the attributes. */
	smp_mb();
	while (start < end) {
		unsigned int budget = KVM_GMEM_MARK_BATCH;

		xa_lock_irq(&mapping->i_pages);
		while (start < end && budget) {
			/* Under the lock: a conversion marks after it changed it. */
			stop = kvm_gmem_attr_run(kvm, slot, start, end, &stale);
			start = stale ?
				kvm_gmem_mark_outside(to_kvm_gmem_inode(inode),
						      start, stop, &budget,
						      &delta) :
				kvm_gmem_mark_locked(mapping, start, stop,
						     false, &budget, &delta);
			if (budget)
				budget--;
		}
		xa_unlock_irq(&mapping->i_pages);
		if (start < end)
			cond_resched();
	}

	kvm_gmem_add_stale(kvm, delta);
}

/**
 * kvm_gmem_set_punch - say which hole is being punched
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last; not greater than @start if none is any more
 *
 * Context: holds the invalidate lock exclusively, so there is one at a time.
 */
void kvm_gmem_set_punch(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	xa_lock_irq(&inode->i_mapping->i_pages);
	gi->punch_start = start;
	gi->punch_end = end;
	xa_unlock_irq(&inode->i_mapping->i_pages);
}

/**
 * kvm_gmem_count_populated - count the populated pages of a range
 * @mapping: page cache of the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * Context: may sleep.
 * Return: how many there are.
 */
u64 kvm_gmem_count_populated(struct address_space *mapping, pgoff_t start,
			     pgoff_t end)
{
	XA_STATE(xas, &mapping->i_pages, start);
	struct folio *folio;
	u64 nr_pages = 0;
	pgoff_t next;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (xas_retry(&xas, folio))
			continue;
		/* A huge one may begin before the range, and go on beyond it. */
		next = kvm_gmem_huge_next(&xas);
		nr_pages += min(next, end) - xas.xa_index;
		if (need_resched()) {
			/* Not xas_pause(), which counts from a folio's first page. */
			xas_set(&xas, next);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();

	return nr_pages;
}

/**
 * struct kvm_gmem_pages - the pages of a VM's guest_memfds
 * @size: sum of the sizes of those that are open
 * @populated: pages that they have
 * @closed: those of @populated whose file is closed
 * @attr_bytes: memory that the attributes of those that are open take
 * @huge: those of @populated that are in huge folios of open ones
 * @waiting: ranges of those that could be merged
 */
struct kvm_gmem_pages {
	u64 size;
	u64 populated;
	u64 closed;
	u64 attr_bytes;
	u64 huge;
	u64 waiting;
};

static void kvm_gmem_count_pages(struct kvm *kvm, struct kvm_gmem_pages *pages)
{
	struct kvm_gmem_inode *gi;

	*pages = (struct kvm_gmem_pages) {};
	rcu_read_lock();
	list_for_each_entry_rcu(gi, &kvm->gmem.files, node) {
		pages->populated += READ_ONCE(gi->vfs_inode.i_mapping->nrpages);
		pages->size += i_size_read(&gi->vfs_inode) >> PAGE_SHIFT;
		pages->attr_bytes += READ_ONCE(gi->attrs.bytes);
		if (gi->huge) {
			pages->huge += atomic64_read(&gi->huge->pages);
			pages->waiting += READ_ONCE(gi->huge->waiting);
		}
	}
	rcu_read_unlock();
	/* Pairs with the barrier in kvm_gmem_inode_close(). */
	smp_rmb();
	pages->closed = atomic64_read(&kvm->gmem.closed_pages);
	pages->populated += pages->closed;
}

/**
 * kvm_gmem_populated - count a VM's populated pages
 * @kvm: the VM
 *
 * Context: any but NMI.
 * Return: how many there are, those of closed files included.
 */
u64 kvm_gmem_populated(struct kvm *kvm)
{
	struct kvm_gmem_pages pages;

	kvm_gmem_count_pages(kvm, &pages);

	return pages.populated;
}

/*
 * Pages ever freed, which nobody counts.  With the allocations read first, what
 * comes meanwhile makes this less than it is, never more, so the largest figure
 * so far is the best one, and the counter never goes back.
 */
static u64 kvm_gmem_freed(struct kvm *kvm, struct kvm_gmem_pages *pages,
			  u64 *allocated)
{
	atomic64_t *freed_pages = &kvm->gmem.counters.freed_pages;
	s64 freed, seen;

	*allocated = atomic64_read(&kvm->gmem.counters.allocated_pages);
	/* Pairs with the barrier in kvm_gmem_inode_added(). */
	smp_rmb();
	kvm_gmem_count_pages(kvm, pages);

	freed = *allocated - pages->populated;
	seen = atomic64_read(freed_pages);
	while (seen < freed) {
		if (atomic64_try_cmpxchg(freed_pages, &seen, freed))
			return freed;
	}

	return seen;
}

/**
 * kvm_gmem_fill_usage - report what a VM uses and did
 * @kvm: the VM
 * @usage: filled in; exact if nothing happens meanwhile.  Written to and never
 *	read: userspace may be writing to it, too
 *
 * Context: any but NMI.
 */
void kvm_gmem_fill_usage(struct kvm *kvm, struct kvm_gmem_usage *usage)
{
	const struct kvm_gmem_counters *counters = &kvm->gmem.counters;
	u64 faults = 0, prefaults = 0, allocated, freed;
	int nr = atomic_read(&kvm->online_vcpus), i;
	struct kvm_gmem_pages pages;
	struct kvm_vcpu *vcpu;

	/* A vCPU by its index is found in half the time that "the next" is. */
	for (i = 0; i < nr && (vcpu = kvm_get_vcpu(kvm, i)); i++) {
		faults += READ_ONCE(vcpu->gmem.faults);
		prefaults += READ_ONCE(vcpu->gmem.prefaults);
	}

	usage->vm_id = kvm->gmem.id;
	usage->pid = kvm->gmem.pid;
	usage->nr_vcpus = atomic_read(&kvm->online_vcpus);
	freed = kvm_gmem_freed(kvm, &pages, &allocated);
	usage->allocated_pages = allocated;
	usage->freed_pages = freed;
	usage->size_pages = pages.size;
	usage->populated_pages = pages.populated;
	usage->closed_pages = pages.closed;
	usage->stale_pages = atomic64_read(&counters->stale_pages) +
			     pages.closed;
	usage->faults[KVM_GMEM_FAULT_VCPU] = faults;
	usage->faults[KVM_GMEM_FAULT_PREFAULT] = prefaults;
	usage->faults[KVM_GMEM_FAULT_POPULATE] =
		atomic64_read(&counters->populate_faults);
	usage->faults[KVM_GMEM_FAULT_FALLOCATE] =
		atomic64_read(&counters->fallocate_faults);
	usage->arch_faults = atomic64_read(&counters->arch_faults);
	usage->host_faults = atomic64_read(&counters->host_faults);
	usage->conversions_noop = atomic64_read(&counters->conversions_noop);
	usage->pages_to_shared = atomic64_read(&counters->pages_to_shared);
	/* Memory is private before it is shared. */
	smp_rmb();
	usage->pages_to_private = atomic64_read(&counters->pages_to_private);
	usage->private_pages = READ_ONCE(kvm->gmem.private_frames) +
			       atomic64_read(&counters->unbound_private);
	usage->ranges = READ_ONCE(kvm->gmem.ranges);
	for (i = 0; i < KVM_GMEM_NR_INVALIDATE_REASONS; i++)
		usage->invalidations[i] =
			atomic64_read(&counters->invalidations[i]);
	usage->conversions =
		atomic64_read(&counters->invalidations[KVM_GMEM_INVALIDATE_CONVERSION]);
	usage->faults_denied = atomic64_read(&counters->faults_denied);
	usage->conversions_denied = atomic64_read(&counters->conversions_denied);
	usage->faults_delayed = atomic64_read(&counters->faults_delayed);
	usage->conversions_delayed =
		atomic64_read(&counters->conversions_delayed);
	usage->delayed_ns = atomic64_read(&counters->delayed_ns);
	usage->delays_expired = atomic64_read(&counters->delays_expired);
	usage->attribute_bytes = READ_ONCE(kvm->mem_attr_map.bytes) +
				 pages.attr_bytes;
	usage->conversions_held = atomic64_read(&counters->conversions_held);
	usage->conversions_asked = atomic64_read(&counters->conversions_asked);
	usage->requests = READ_ONCE(kvm->gmem.guest_requests);
	usage->requests_done = READ_ONCE(kvm->gmem.requests_done);
	usage->requests_refused = READ_ONCE(kvm->gmem.requests_refused);
	usage->requests_pending = READ_ONCE(kvm->gmem.nr_requests);
	usage->request_ns = READ_ONCE(kvm->gmem.request_ns);
	usage->request_oldest_ns = kvm_gmem_request_oldest(kvm);
	usage->huge_pages = pages.huge;
	usage->huge_splits = atomic64_read(&counters->huge_splits);
	usage->huge_merges = atomic64_read(&counters->huge_merges);
	usage->huge_waiting = pages.waiting;
	for (i = 0; i < KVM_GMEM_NR_HUGE_FALLBACKS; i++)
		usage->huge_fallbacks[i] =
			atomic64_read(&counters->huge_fallbacks[i]);
}

/* The KVM stats as they would be if nobody ever cleared one. */
static void kvm_gmem_fill_stats(struct kvm *kvm, struct kvm_gmem_vm_stat *stat)
{
	const struct kvm_gmem_counters *counters = &kvm->gmem.counters;
	const atomic64_t *conversions =
		&counters->invalidations[KVM_GMEM_INVALIDATE_CONVERSION];
	struct kvm_gmem_pages pages;

	kvm_gmem_count_pages(kvm, &pages);
	*stat = (struct kvm_gmem_vm_stat) {
		.populated_pages = pages.populated,
		.huge_pages = pages.huge,
		.conversions = atomic64_read(conversions),
	};
}

/**
 * kvm_gmem_refresh_stats - bring a VM's KVM stats up to date
 * @kvm: the VM
 *
 * Context: any but NMI.
 */
void kvm_gmem_refresh_stats(struct kvm *kvm)
{
	struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem, now;
	struct kvm_gmem_vm_stat base = kvm->gmem.stat_base;

	/* What is cleared meanwhile must not make a negative figure. */
	smp_rmb();
	kvm_gmem_fill_stats(kvm, &now);
	WRITE_ONCE(stat->populated_pages, now.populated_pages);
	WRITE_ONCE(stat->huge_pages, now.huge_pages);
	WRITE_ONCE(stat->conversions,
		   now.conversions - base.conversions);
}

/**
 * kvm_gmem_stat_cleared - somebody cleared a KVM stat in debugfs
 * @kvm: the VM
 * @offset: where in struct kvm_vm_stat it is
 *
 * It counts from here on.  What policies and gmem's own readers go by does not.
 *
 * Context: any but NMI.
 */
void kvm_gmem_stat_cleared(struct kvm *kvm, size_t offset)
{
	size_t first = offsetof(struct kvm_vm_stat, generic.gmem);
	struct kvm_gmem_vm_stat now;

	if (offset < first || offset - first >= sizeof(now))
		return;

	offset -= first;
	kvm_gmem_fill_stats(kvm, &now);
	WRITE_ONCE(*(u64 *)((void *)&kvm->gmem.stat_base + offset),
		   *(u64 *)((void *)&now + offset));
}
