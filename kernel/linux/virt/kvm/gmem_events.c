// SPDX-License-Identifier: GPL-2.0-only
/*
 * The events of guest private memory, as KVM and guest_memfd report them:
 * each is put to the policies, counted and traced here.
 *
 * A delay is slept only where no lock is held and no SRCU read section is
 * open.  Where that is not so the delay is handed to the caller: a vCPU fault
 * notes it in the vCPU and is replayed from the start, for the memslot may
 * have gone meanwhile; populate, under slots_lock, fails with -EAGAIN.
 */
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/pagemap.h>
#include <linux/rculist.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/signal.h>
#include <linux/wait_bit.h>

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_gmem.h>

#include "gmem.h"
#include "gmem_file.h"

static bool kvm_gmem_policed(struct kvm *kvm)
{
	return static_branch_unlikely(&kvm_gmem_policy_key) &&
	       rcu_access_pointer(kvm->gmem.chain);
}

/* Returns false if a signal came before the time was up. */
static bool kvm_gmem_sleep(u64 ns)
{
	ktime_t timeout = ns_to_ktime(ns);

	set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
	/* A policy's delays need not be exact; share wakeups where they can. */
	schedule_hrtimeout_range(&timeout, ns / 16, HRTIMER_MODE_REL);

	return !signal_pending(current);
}

static s64 kvm_gmem_ask(struct kvm *kvm, enum kvm_gmem_hook hook,
			const void *args)
{
	struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem;
	s64 verdict = kvm_gmem_evaluate(kvm, hook, args);

	if (likely(!verdict))
		return 0;

	if (verdict > 0)
		atomic64_add(verdict, &stat->delayed_ns);

	if (hook == KVM_GMEM_HOOK_FAULT)
		atomic64_inc(verdict < 0 ? &stat->faults_denied :
					   &stat->faults_delayed);
	else
		atomic64_inc(verdict < 0 ? &stat->conversions_denied :
					   &stat->conversions_delayed);

	return verdict;
}

static int kvm_gmem_ask_and_wait(struct kvm *kvm, enum kvm_gmem_hook hook,
				 const void *args)
{
	s64 verdict;

	might_sleep();

	while ((verdict = kvm_gmem_ask(kvm, hook, args)) > 0) {
		if (!kvm_gmem_sleep(verdict))
			return -EINTR;
	}

	return verdict;
}

/* VMs */

/**
 * kvm_gmem_vm_init - prepare what is kept of a VM
 * @kvm: the VM, not yet known to anybody, its stats' readers included
 *
 * There is nothing to undo if the VM's creation fails later.
 */
void kvm_gmem_vm_init(struct kvm *kvm)
{
	static atomic64_t last_id;
	struct kvm_gmem_vm *gmem = &kvm->gmem;

	gmem->id = atomic64_inc_return(&last_id);
	gmem->pid = task_tgid_nr(current);
	INIT_LIST_HEAD(&gmem->files);
	spin_lock_init(&gmem->files_lock);
	atomic_set(&gmem->users, 1);
}

/**
 * kvm_gmem_vm_created - begin to observe a VM
 * @kvm: the VM, complete but not yet known to userspace
 *
 * Context: may sleep.
 */
void kvm_gmem_vm_created(struct kvm *kvm)
{
	trace_kvm_gmem_vm_create(kvm);

	mutex_lock(&kvm_gmem_lock);
	kvm_gmem_policy_vm_created(kvm);
	list_add_tail_rcu(&kvm->gmem.node, &kvm_gmem_vms);
	mutex_unlock(&kvm_gmem_lock);
}

/**
 * kvm_gmem_vm_destroyed - end the observation of a VM
 * @kvm: the VM, without users but otherwise intact
 *
 * Returns when no BPF program uses @kvm any more.
 *
 * Context: may sleep.
 */
void kvm_gmem_vm_destroyed(struct kvm *kvm)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;

	mutex_lock(&kvm_gmem_lock);
	list_del_rcu(&gmem->node);
	kvm_gmem_policy_vm_destroyed(kvm);
	mutex_unlock(&kvm_gmem_lock);

	/* First those that walk the list, then those that took a reference. */
	synchronize_srcu_expedited(&kvm_gmem_srcu);
	if (!atomic_dec_and_test(&gmem->users))
		wait_var_event(&gmem->users, !atomic_read(&gmem->users));

	trace_kvm_gmem_vm_destroy(kvm);
}

/* Faults */

static struct address_space *kvm_gmem_slot_mapping(struct kvm_memory_slot *slot,
						   struct file **file)
{
	*file = get_file_active(&slot->gmem.file);

	return *file ? (*file)->f_mapping : NULL;
}

static bool kvm_gmem_slot_present(struct kvm_memory_slot *slot, pgoff_t index)
{
	struct address_space *mapping;
	struct file *file;
	bool present;

	mapping = kvm_gmem_slot_mapping(slot, &file);
	if (!mapping)
		return false;

	present = xa_load(&mapping->i_pages, index);
	fput(file);

	return present;
}

/*
 * A conversion may have come between the look at the attribute that made this
 * a private fault and the arrival of the page.
 */
static noinline void kvm_gmem_fault_recheck(struct kvm *kvm,
					    struct kvm_memory_slot *slot,
					    u64 gfn)
{
	struct address_space *mapping;
	struct file *file;

	mapping = kvm_gmem_slot_mapping(slot, &file);
	if (!mapping)
		return;

	filemap_invalidate_lock_shared(mapping);
	kvm_gmem_classify(kvm, mapping, slot,
			  gfn - slot->base_gfn + slot->gmem.pgoff);
	filemap_invalidate_unlock_shared(mapping);
	fput(file);
}

/* What a fault costs more when a policy or a tracer wants to know of it. */
static noinline int kvm_gmem_fault_watched(struct kvm_vcpu *vcpu,
					   struct kvm_memory_slot *slot,
					   u64 gfn, u64 *pfn, int *max_order,
					   bool prefault)
{
	u64 index = gfn - slot->base_gfn + slot->gmem.pgoff;
	struct kvm_gmem_fault fault = {
		.gfn = gfn,
		.index = index,
		.nr_pages = 1,
		.reason = prefault ? KVM_GMEM_FAULT_PREFAULT :
				     KVM_GMEM_FAULT_VCPU,
		.present = kvm_gmem_slot_present(slot, index),
	};
	u64 began_ns = 0;
	s64 verdict = 0;
	int r;

	if (trace_kvm_gmem_fault_enabled())
		began_ns = ktime_get_ns();

	if (kvm_gmem_policed(vcpu->kvm))
		verdict = kvm_gmem_ask(vcpu->kvm, KVM_GMEM_HOOK_FAULT, &fault);

	if (verdict > 0) {
		vcpu->gmem_delay_ns = verdict;
		return KVM_GMEM_FAULT_DELAYED;
	}

	r = verdict ?: kvm_gmem_get_pfn(vcpu->kvm, slot, gfn, pfn, max_order);

	if (trace_kvm_gmem_fault_enabled())
		trace_kvm_gmem_fault(vcpu->kvm, &fault, r ? 0 : *pfn,
				     r ? 0 : *max_order, r,
				     began_ns ? ktime_get_ns() - began_ns : 0);

	return r;
}

/**
 * kvm_gmem_fault_pfn - find or allocate the page for a vCPU's private fault
 * @vcpu: the vCPU, loaded by the calling thread
 * @slot: memslot that contains @gfn and can be private
 * @gfn: the guest frame
 * @pfn: set to the page's frame number, with a reference
 * @max_order: set to the largest order the page can be mapped with
 * @prefault: asked for by KVM_PRE_FAULT_MEMORY, not by the guest
 * @mmu_seq: kvm->mmu_invalidate_seq from before @gfn was found to be private
 *
 * Context: may sleep; in a read section of kvm->srcu.
 * Return: 0; KVM_GMEM_FAULT_DELAYED if kvm_gmem_delay_vcpu() must be called
 *	outside of that section before the fault is tried again; -errno of the
 *	policy that denied or of kvm_gmem_get_pfn().
 */
int kvm_gmem_fault_pfn(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
		       u64 gfn, u64 *pfn, int *max_order, bool prefault,
		       unsigned long mmu_seq)
{
	struct kvm *kvm = vcpu->kvm;
	int r;

	if (trace_kvm_gmem_fault_enabled() || kvm_gmem_policed(kvm))
		r = kvm_gmem_fault_watched(vcpu, slot, gfn, pfn, max_order,
					   prefault);
	else
		r = kvm_gmem_get_pfn(kvm, slot, gfn, pfn, max_order);
	if (unlikely(r))
		return r;

	if (prefault)
		vcpu->stat.generic.gmem.prefaults++;
	else
		vcpu->stat.generic.gmem.faults++;

	/* Pairs with the page cache's lock, which the conversion takes too. */
	if (unlikely(READ_ONCE(kvm->mmu_invalidate_in_progress) ||
		     READ_ONCE(kvm->mmu_invalidate_seq) != mmu_seq))
		kvm_gmem_fault_recheck(kvm, slot, gfn);

	return 0;
}
EXPORT_SYMBOL_GPL(kvm_gmem_fault_pfn);

/**
 * kvm_gmem_delay_vcpu - sleep as long as a policy wants a vCPU's fault delayed
 * @vcpu: the vCPU, loaded by the calling thread
 *
 * A signal ends the delay; the caller finds it pending.
 *
 * Context: sleeps; outside of any read section of kvm->srcu.
 */
void kvm_gmem_delay_vcpu(struct kvm_vcpu *vcpu)
{
	u64 ns = vcpu->gmem_delay_ns;

	vcpu->gmem_delay_ns = 0;
	kvm_gmem_sleep(ns);
}
EXPORT_SYMBOL_GPL(kvm_gmem_delay_vcpu);

/* Conversions */

/**
 * kvm_gmem_convert_begin - ask whether a range may change its attributes
 * @kvm: the VM
 * @conv: filled in, for kvm_gmem_convert_end()
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they shall be
 *
 * Context: may sleep, for as long as a policy says; no locks held.
 * Return: 0, the errno of the policy that denied, or -EINTR if a signal ended
 *	a delay.
 */
int kvm_gmem_convert_begin(struct kvm *kvm, struct kvm_gmem_conversion *conv,
			   u64 start, u64 end, unsigned long attributes)
{
	int r;

	conv->request.start = start;
	conv->request.end = end;
	conv->request.attributes = attributes;
	conv->changed = 0;
	conv->began_ns = trace_kvm_gmem_convert_enabled() ? ktime_get_ns() : 0;

	if (!kvm_gmem_policed(kvm))
		return 0;

	r = kvm_gmem_ask_and_wait(kvm, KVM_GMEM_HOOK_CONVERT, &conv->request);
	if (r)
		trace_kvm_gmem_convert(kvm, &conv->request, 0, r,
				       conv->began_ns ?
				       ktime_get_ns() - conv->began_ns : 0);

	return r;
}

static void kvm_gmem_invalidated(struct kvm *kvm, u64 start, u64 end,
				 u64 pages_freed, u32 reason)
{
	struct kvm_gmem_invalidate invalidate = {
		.start = start,
		.end = end,
		.pages_freed = pages_freed,
		.reason = reason,
	};

	atomic64_inc(&kvm->stat.generic.gmem.invalidations[reason]);
	trace_kvm_gmem_invalidate(kvm, &invalidate);
	if (kvm_gmem_policed(kvm))
		kvm_gmem_notify(kvm, &invalidate);
}

/* The pages behind a range that has just been converted. */
static void kvm_gmem_convert_pages(struct kvm *kvm,
				   const struct kvm_gmem_convert *request)
{
	bool stale = !(request->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE);
	struct kvm_memslot_iter iter;
	int i;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i),
						  request->start, request->end) {
			struct kvm_memory_slot *slot = iter.slot;
			struct address_space *mapping;
			struct file *file;
			u64 start, end;

			if (!kvm_slot_can_be_private(slot))
				continue;

			mapping = kvm_gmem_slot_mapping(slot, &file);
			if (!mapping)
				continue;

			start = max(request->start, slot->base_gfn);
			end = min(request->end, slot->base_gfn + slot->npages);
			filemap_invalidate_lock_shared(mapping);
			kvm_gmem_mark_stale(kvm, mapping,
					    start - slot->base_gfn +
					    slot->gmem.pgoff,
					    end - slot->base_gfn +
					    slot->gmem.pgoff, stale);
			filemap_invalidate_unlock_shared(mapping);
			fput(file);
		}
	}
}

/**
 * kvm_gmem_convert_end - count and report a conversion that was begun
 * @kvm: the VM
 * @conv: from kvm_gmem_convert_begin(), with @changed counted
 * @result: 0 or a negative errno
 *
 * Context: holds slots_lock, so that conversions are counted in their order.
 */
void kvm_gmem_convert_end(struct kvm *kvm, struct kvm_gmem_conversion *conv,
			  int result)
{
	struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem;

	lockdep_assert_held(&kvm->slots_lock);

	if (conv->changed) {
		/* PRIVATE is the only attribute there is to change. */
		if (conv->request.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE) {
			atomic64_add(conv->changed, &stat->private_pages);
			atomic64_add(conv->changed, &stat->pages_to_private);
		} else {
			atomic64_sub(conv->changed, &stat->private_pages);
			atomic64_add(conv->changed, &stat->pages_to_shared);
		}
		atomic64_inc(&stat->conversions);
		kvm_gmem_convert_pages(kvm, &conv->request);
		kvm_gmem_invalidated(kvm, conv->request.start,
				     conv->request.end, 0,
				     KVM_GMEM_INVALIDATE_CONVERSION);
	} else if (!result) {
		atomic64_inc(&stat->conversions_noop);
	}

	if (trace_kvm_gmem_convert_enabled())
		trace_kvm_gmem_convert(kvm, &conv->request, conv->changed,
				       result, conv->began_ns ?
				       ktime_get_ns() - conv->began_ns : 0);
}

/* guest_memfds */

/**
 * kvm_gmem_file_created - begin to observe a guest_memfd
 * @file: what is kept of it
 * @kvm: its VM
 * @mapping: its page cache
 * @bindings: its memslots by page index
 */
void kvm_gmem_file_created(struct kvm_gmem_file *file, struct kvm *kvm,
			   struct address_space *mapping,
			   struct xarray *bindings)
{
	file->kvm = kvm;
	file->mapping = mapping;
	file->bindings = bindings;

	spin_lock(&kvm->gmem.files_lock);
	list_add_tail_rcu(&file->node, &kvm->gmem.files);
	spin_unlock(&kvm->gmem.files_lock);

	trace_kvm_gmem_create(kvm, i_size_read(mapping->host) >> PAGE_SHIFT);
}

static void kvm_gmem_slot_invalidated(struct kvm_gmem_file *file,
				      struct kvm_memory_slot *slot,
				      pgoff_t start, pgoff_t end, bool freed,
				      u32 reason)
{
	u64 first = max_t(u64, start, slot->gmem.pgoff);
	u64 last = min_t(u64, end, slot->gmem.pgoff + slot->npages);
	u64 pages_freed = 0;

	/* The count is for those who look; counting costs as much as freeing. */
	if (freed && (trace_kvm_gmem_invalidate_enabled() ||
		      kvm_gmem_policed(file->kvm)))
		pages_freed = kvm_gmem_count_populated(file->mapping, first, last);

	kvm_gmem_invalidated(file->kvm, first - slot->gmem.pgoff + slot->base_gfn,
			     last - slot->gmem.pgoff + slot->base_gfn,
			     pages_freed, reason);
}

/*
 * Report an invalidation once for each memslot it touches, or once without
 * guest frames if there is none.
 */
static void kvm_gmem_file_invalidated(struct kvm_gmem_file *file, pgoff_t start,
				      pgoff_t end, bool freed, u32 reason)
{
	struct kvm_memory_slot *slot, *last = NULL;
	unsigned long index;

	xa_for_each_range(file->bindings, index, slot, start, end - 1) {
		/* One memslot may stand in several entries, side by side. */
		if (slot == last)
			continue;
		last = slot;
		kvm_gmem_slot_invalidated(file, slot, start, end, freed, reason);
	}

	if (!last)
		kvm_gmem_invalidated(file->kvm, KVM_GMEM_NO_GFN,
				     KVM_GMEM_NO_GFN, freed ?
				     kvm_gmem_count_populated(file->mapping,
							      start, end) : 0,
				     reason);
}

/**
 * kvm_gmem_file_released - end the observation of a guest_memfd
 * @file: what is kept of it; readers may use it for one more RCU grace period
 *
 * Context: holds slots_lock and the invalidate lock exclusively; nobody else
 *	can reach the file any more.
 */
void kvm_gmem_file_released(struct kvm_gmem_file *file)
{
	pgoff_t end = i_size_read(file->mapping->host) >> PAGE_SHIFT;

	kvm_gmem_file_invalidated(file, 0, end, true,
				  KVM_GMEM_INVALIDATE_RELEASE);
	kvm_gmem_mark_stale(file->kvm, file->mapping, 0, end, false);

	spin_lock(&file->kvm->gmem.files_lock);
	list_del_rcu(&file->node);
	spin_unlock(&file->kvm->gmem.files_lock);
}

static struct kvm_gmem_fault kvm_gmem_file_fault(struct kvm_gmem_file *file,
						 pgoff_t start, pgoff_t end,
						 u32 reason)
{
	struct kvm_memory_slot *slot = xa_load(file->bindings, start);

	return (struct kvm_gmem_fault) {
		.gfn = slot ? start - slot->gmem.pgoff + slot->base_gfn :
			      KVM_GMEM_NO_GFN,
		.index = start,
		.nr_pages = end - start,
		.reason = reason,
		.present = xa_load(&file->mapping->i_pages, start) ? 1 : 0,
	};
}

/**
 * kvm_gmem_file_begin - ask whether a range of a guest_memfd may be populated
 * @file: the guest_memfd
 * @request: filled in, for kvm_gmem_file_end()
 * @start: first page
 * @end: page after the last
 * @reason: KVM_GMEM_FAULT_FALLOCATE, or KVM_GMEM_FAULT_POPULATE
 *
 * Context: may sleep.  For fallocate no lock may be held, since delays are
 *	slept here.  Populate holds slots_lock.
 * Return: 0; the errno of the policy that denied; -EINTR if a signal ended a
 *	delay; -EAGAIN if populate was delayed.
 */
int kvm_gmem_file_begin(struct kvm_gmem_file *file,
			struct kvm_gmem_request *request, pgoff_t start,
			pgoff_t end, u32 reason)
{
	bool policed = kvm_gmem_policed(file->kvm);
	s64 verdict;
	int r = 0;

	request->fault.index = start;
	request->fault.reason = reason;
	request->began_ns = 0;
	if (!policed && !trace_kvm_gmem_fault_enabled())
		return 0;

	request->began_ns = ktime_get_ns();
	if (reason == KVM_GMEM_FAULT_POPULATE) {
		lockdep_assert_held(&file->kvm->slots_lock);
		request->fault = kvm_gmem_file_fault(file, start, end, reason);
		if (policed) {
			verdict = kvm_gmem_ask(file->kvm, KVM_GMEM_HOOK_FAULT,
					       &request->fault);
			r = verdict > 0 ? -EAGAIN : verdict;
		}
	} else {
		/* The lock keeps the memslot in place while its gfn is read. */
		filemap_invalidate_lock_shared(file->mapping);
		request->fault = kvm_gmem_file_fault(file, start, end, reason);
		filemap_invalidate_unlock_shared(file->mapping);
		if (policed)
			r = kvm_gmem_ask_and_wait(file->kvm, KVM_GMEM_HOOK_FAULT,
						  &request->fault);
	}

	if (r)
		trace_kvm_gmem_fault(file->kvm, &request->fault, 0, 0, r,
				     ktime_get_ns() - request->began_ns);

	return r;
}

/**
 * kvm_gmem_file_end - count pages that were asked for by range
 * @file: the guest_memfd
 * @request: from kvm_gmem_file_begin()
 * @end: page after the last that was allocated or found
 * @result: 0 or a negative errno
 *
 * Context: may sleep; holds the invalidate lock at least shared.
 */
void kvm_gmem_file_end(struct kvm_gmem_file *file,
		       struct kvm_gmem_request *request, pgoff_t end,
		       int result)
{
	struct kvm_gmem_vm_stat *stat = &file->kvm->stat.generic.gmem;
	pgoff_t index = request->fault.index;

	atomic64_add(end - index,
		     request->fault.reason == KVM_GMEM_FAULT_POPULATE ?
		     &stat->populate_faults : &stat->fallocate_faults);

	for (; index < end; index++) {
		kvm_gmem_classify(file->kvm, file->mapping,
				  xa_load(file->bindings, index), index);
		cond_resched();
	}

	/* What began before the tracer came is not described. */
	if (request->began_ns)
		trace_kvm_gmem_fault(file->kvm, &request->fault, 0, 0, result,
				     ktime_get_ns() - request->began_ns);
}

/**
 * kvm_gmem_file_punched - a hole is about to be punched
 * @file: the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * The guest's mappings are gone, the pages are not yet.
 *
 * Context: may sleep; holds the invalidate lock exclusively.
 */
void kvm_gmem_file_punched(struct kvm_gmem_file *file, pgoff_t start,
			   pgoff_t end)
{
	/* A hole may reach beyond the end of the file. */
	end = min_t(u64, end, i_size_read(file->mapping->host) >> PAGE_SHIFT);
	if (start >= end)
		return;

	kvm_gmem_mark_stale(file->kvm, file->mapping, start, end, false);
	kvm_gmem_file_invalidated(file, start, end, true,
				  KVM_GMEM_INVALIDATE_PUNCH_HOLE);
}

/**
 * kvm_gmem_file_failed - memory behind a guest_memfd broke
 * @file: the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * Context: may sleep; holds the invalidate lock at least shared.
 */
void kvm_gmem_file_failed(struct kvm_gmem_file *file, pgoff_t start,
			  pgoff_t end)
{
	kvm_gmem_file_invalidated(file, start, end, false,
				  KVM_GMEM_INVALIDATE_MEMORY_FAILURE);
}

/**
 * kvm_gmem_slot_bound - a memslot has come to map a guest_memfd
 * @file: the guest_memfd
 * @slot: the memslot
 *
 * Context: may sleep; holds slots_lock and the invalidate lock exclusively.
 */
void kvm_gmem_slot_bound(struct kvm_gmem_file *file,
			 struct kvm_memory_slot *slot)
{
	pgoff_t end = slot->gmem.pgoff + slot->npages;
	XA_STATE(xas, &file->mapping->i_pages, slot->gmem.pgoff);
	struct folio *folio;

	/* Pages that nobody mapped were stale; some are private now. */
	rcu_read_lock();
	xas_for_each_marked(&xas, folio, end - 1, PAGECACHE_TAG_TOWRITE) {
		if (xas_retry(&xas, folio))
			continue;
		kvm_gmem_classify(file->kvm, file->mapping, slot, xas.xa_index);
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();

	trace_kvm_gmem_bind(file->kvm, slot);
}

/**
 * kvm_gmem_slot_unbound - a memslot no longer maps a guest_memfd
 * @file: the guest_memfd
 * @slot: the memslot
 *
 * Context: may sleep; holds slots_lock, and the invalidate lock exclusively
 *	unless the file is being closed.
 */
void kvm_gmem_slot_unbound(struct kvm_gmem_file *file,
			   struct kvm_memory_slot *slot)
{
	kvm_gmem_mark_stale(file->kvm, file->mapping, slot->gmem.pgoff,
			    slot->gmem.pgoff + slot->npages, true);
	kvm_gmem_invalidated(file->kvm, slot->base_gfn,
			     slot->base_gfn + slot->npages, 0,
			     KVM_GMEM_INVALIDATE_UNBIND);
	trace_kvm_gmem_unbind(file->kvm, slot);
}

/**
 * kvm_gmem_bpf_init - make the interface known to BPF
 *
 * Called whenever a vendor module initializes KVM.  KVM works without it.
 */
void kvm_gmem_bpf_init(void)
{
	static bool registered;
	int r;

	if (registered)
		return;

	r = kvm_gmem_kfuncs_register() ?: kvm_gmem_policy_register();
	if (r)
		pr_err("kvm: gmem: no BPF policies, registration failed: %d\n", r);
	registered = true;
}
