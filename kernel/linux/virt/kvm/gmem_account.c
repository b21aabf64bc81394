// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accounting of guest private memory: which VMs there are, and how many of
 * their pages are private, populated and stale.  No policy and no tracing.
 *
 * Populated pages are not counted at all but read from the page cache, which
 * knows.  A populated page is stale when no private guest frame maps it, so
 * that only the host pays for it.  Staleness is a mark in the page cache, for
 * the mark goes away with the page:
 *
 *  - a conversion first changes the attribute, then marks or unmarks the pages
 *    that are there, under the page cache's lock;
 *  - whoever adds a page compares it with the attribute afterwards, under the
 *    same lock, so that one of the two sees the other;
 *  - whoever removes pages unmarks them first and holds the invalidate lock
 *    exclusively; whoever marks holds it at least shared, so that no mark
 *    disappears uncounted.
 */
#include <linux/pagemap.h>
#include <linux/rculist.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "gmem.h"

/* Protects the lists of VMs and of policies against writers. */
DEFINE_MUTEX(kvm_gmem_lock);
/* Readers of those lists and of kvm->gmem.chain. */
DEFINE_SRCU(kvm_gmem_srcu);
LIST_HEAD(kvm_gmem_vms);

/**
 * kvm_gmem_find_vm - find a VM by its id
 * @id: the id
 *
 * Context: under kvm_gmem_lock, or in a read section of kvm_gmem_srcu, which
 *	keeps the VM's memory but not the VM alive.
 * Return: the VM, or NULL if it is gone or never was.
 */
struct kvm *kvm_gmem_find_vm(u64 id)
{
	struct kvm *kvm;

	list_for_each_entry_srcu(kvm, &kvm_gmem_vms, gmem.node,
				 lockdep_is_held(&kvm_gmem_lock) ||
				 srcu_read_lock_held(&kvm_gmem_srcu)) {
		if (kvm->gmem.id == id)
			return kvm;
	}

	return NULL;
}

static void kvm_gmem_add_stale(struct kvm *kvm, s64 nr_pages)
{
	if (nr_pages)
		atomic64_add(nr_pages, &kvm->stat.generic.gmem.stale_pages);
}

/**
 * kvm_gmem_classify - count one page as stale or not, if it is there
 * @kvm: the VM
 * @mapping: page cache of the guest_memfd
 * @slot: memslot that maps the page, or NULL
 * @index: the page
 *
 * Context: holds @mapping's invalidate lock at least shared.
 */
void kvm_gmem_classify(struct kvm *kvm, struct address_space *mapping,
		       struct kvm_memory_slot *slot, pgoff_t index)
{
	XA_STATE(xas, &mapping->i_pages, index);
	bool stale = true;
	s64 delta = 0;

	rwsem_assert_held(&mapping->invalidate_lock);

	xas_lock_irq(&xas);
	if (xas_load(&xas)) {
		/* Under the lock: a conversion marks after it has changed it. */
		if (slot)
			stale = !kvm_mem_is_private(kvm, slot->base_gfn + index -
						    slot->gmem.pgoff);
		delta = stale - xas_get_mark(&xas, KVM_GMEM_STALE);
		if (stale)
			xas_set_mark(&xas, KVM_GMEM_STALE);
		else
			xas_clear_mark(&xas, KVM_GMEM_STALE);
	}
	xas_unlock_irq(&xas);

	kvm_gmem_add_stale(kvm, delta);
}

/**
 * kvm_gmem_mark_stale - mark the populated pages of a range as stale or not
 * @kvm: the VM
 * @mapping: page cache of the guest_memfd
 * @start: first page
 * @end: page after the last
 * @stale: what they are from now on
 *
 * Context: may sleep; holds @mapping's invalidate lock at least shared, or
 *	nobody else can reach @mapping.
 */
void kvm_gmem_mark_stale(struct kvm *kvm, struct address_space *mapping,
			 pgoff_t start, pgoff_t end, bool stale)
{
	XA_STATE(xas, &mapping->i_pages, start);
	unsigned int scanned = 0;
	struct folio *folio;
	s64 delta = 0;

	/*
	 * The lock is taken even if no page is marked: kvm_gmem_classify() may
	 * be about to mark one by what it found before a conversion.
	 */
	xas_lock_irq(&xas);
	for (folio = stale ? xas_find(&xas, end - 1) :
			     xas_find_marked(&xas, end - 1, KVM_GMEM_STALE);
	     folio;
	     folio = stale ? xas_next_entry(&xas, end - 1) :
			     xas_next_marked(&xas, end - 1, KVM_GMEM_STALE)) {
		if (stale && !xas_get_mark(&xas, KVM_GMEM_STALE)) {
			xas_set_mark(&xas, KVM_GMEM_STALE);
			delta += folio_nr_pages(folio);
		} else if (!stale) {
			xas_clear_mark(&xas, KVM_GMEM_STALE);
			delta -= folio_nr_pages(folio);
		}

		if (++scanned % XA_CHECK_SCHED)
			continue;

		xas_pause(&xas);
		xas_unlock_irq(&xas);
		cond_resched();
		xas_lock_irq(&xas);
	}
	xas_unlock_irq(&xas);

	kvm_gmem_add_stale(kvm, delta);
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

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (xas_retry(&xas, folio))
			continue;
		nr_pages += folio_nr_pages(folio);
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();

	return nr_pages;
}

/*
 * The VM's guest_memfds and their pages.  A file leaves the list when it is
 * closed; its pages are freed by then or about to be.
 */
static u64 kvm_gmem_populated(struct kvm *kvm, u64 *size_pages)
{
	struct kvm_gmem_file *file;
	u64 populated = 0;

	*size_pages = 0;
	rcu_read_lock();
	list_for_each_entry_rcu(file, &kvm->gmem.files, node) {
		populated += READ_ONCE(file->mapping->nrpages);
		*size_pages += i_size_read(file->mapping->host) >> PAGE_SHIFT;
	}
	rcu_read_unlock();

	return populated;
}

/*
 * Pages ever freed, which nobody counts.  With the allocations read first, what
 * comes meanwhile makes this less than it is, never more, so the largest figure
 * so far is the best one, and the counter never goes back.
 */
static u64 kvm_gmem_freed(struct kvm *kvm, u64 *populated, u64 *allocated,
			  u64 *size_pages)
{
	atomic64_t *freed_pages = &kvm->stat.generic.gmem.freed_pages;
	s64 freed, seen;

	*allocated = atomic64_read(&kvm->gmem.allocated_pages);
	/* Pairs with the barrier in kvm_gmem_file_grab_folio(). */
	smp_rmb();
	*populated = kvm_gmem_populated(kvm, size_pages);

	freed = *allocated - *populated;
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
 * @usage: filled in; exact if nothing happens meanwhile
 *
 * Context: any but NMI.
 */
void kvm_gmem_fill_usage(struct kvm *kvm, struct kvm_gmem_usage *usage)
{
	const struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem;
	u64 faults = 0, prefaults = 0;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		faults += READ_ONCE(vcpu->stat.generic.gmem.faults);
		prefaults += READ_ONCE(vcpu->stat.generic.gmem.prefaults);
	}

	usage->vm_id = kvm->gmem.id;
	usage->pid = kvm->gmem.pid;
	usage->nr_vcpus = atomic_read(&kvm->online_vcpus);
	usage->freed_pages = kvm_gmem_freed(kvm, &usage->populated_pages,
					    &usage->allocated_pages,
					    &usage->size_pages);
	usage->private_pages = atomic64_read(&stat->private_pages);
	usage->stale_pages = atomic64_read(&stat->stale_pages);
	usage->faults[KVM_GMEM_FAULT_VCPU] = faults;
	usage->faults[KVM_GMEM_FAULT_PREFAULT] = prefaults;
	usage->faults[KVM_GMEM_FAULT_POPULATE] =
		atomic64_read(&stat->populate_faults);
	usage->faults[KVM_GMEM_FAULT_FALLOCATE] =
		atomic64_read(&stat->fallocate_faults);
	usage->conversions = atomic64_read(&stat->conversions);
	usage->conversions_noop = atomic64_read(&stat->conversions_noop);
	usage->pages_to_private = atomic64_read(&stat->pages_to_private);
	usage->pages_to_shared = atomic64_read(&stat->pages_to_shared);
	for (i = 0; i < KVM_GMEM_NR_INVALIDATE_REASONS; i++)
		usage->invalidations[i] = atomic64_read(&stat->invalidations[i]);
	usage->faults_denied = atomic64_read(&stat->faults_denied);
	usage->conversions_denied = atomic64_read(&stat->conversions_denied);
	usage->faults_delayed = atomic64_read(&stat->faults_delayed);
	usage->conversions_delayed = atomic64_read(&stat->conversions_delayed);
	usage->delayed_ns = atomic64_read(&stat->delayed_ns);
	usage->attribute_bytes = READ_ONCE(kvm->mem_attr_map.bytes);
}

/**
 * kvm_gmem_refresh_stats - bring those KVM stats up to date that are computed
 * @kvm: the VM
 */
void kvm_gmem_refresh_stats(struct kvm *kvm)
{
	struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem;
	u64 populated, allocated, size_pages;

	kvm_gmem_freed(kvm, &populated, &allocated, &size_pages);
	atomic64_set(&stat->populated_pages, populated);
	atomic64_set(&stat->attribute_bytes,
		     READ_ONCE(kvm->mem_attr_map.bytes));
}

/**
 * kvm_gmem_file_grab_folio - find or allocate a page of a guest_memfd
 * @file: the guest_memfd
 * @mapping: its page cache
 * @index: the page
 *
 * Unlike filemap_grab_folio(), knows who allocated a page when several vCPUs
 * ask for it at once, so that allocations are counted exactly.
 *
 * Context: may sleep.
 * Return: the folio, locked and with a reference, or an ERR_PTR().
 */
struct folio *kvm_gmem_file_grab_folio(struct kvm_gmem_file *file,
				       struct address_space *mapping,
				       pgoff_t index)
{
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;
	int r;

	for (;;) {
		folio = filemap_lock_folio(mapping, index);
		if (folio != ERR_PTR(-ENOENT))
			return folio;

		folio = filemap_alloc_folio(gfp, 0);
		if (!folio)
			return ERR_PTR(-ENOMEM);

		r = filemap_add_folio(mapping, folio, index, gfp);
		if (!r) {
			/* Who counts it as allocated finds it populated. */
			smp_mb__before_atomic();
			atomic64_inc(&file->kvm->gmem.allocated_pages);
			return folio;
		}

		folio_put(folio);
		if (r != -EEXIST)
			return ERR_PTR(r);
	}
}
