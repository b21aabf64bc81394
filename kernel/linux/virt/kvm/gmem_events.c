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

/* Returns false if a signal came before the time was up. */
static bool kvm_gmem_sleep(u64 ns)
{
	ktime_t timeout = ns_to_ktime(ns);

	set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
	/* A policy's delays need not be exact; share wakeups where they can. */
	schedule_hrtimeout_range(&timeout, ns / 16, HRTIMER_MODE_REL);

	return !signal_pending(current);
}

static noinline s64 kvm_gmem_count_verdict(struct kvm *kvm,
					   enum kvm_gmem_hook hook, s64 verdict)
{
	struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem;

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

static __always_inline s64 kvm_gmem_ask(struct kvm *kvm, enum kvm_gmem_hook hook,
					const void *args)
{
	s64 verdict = hook == KVM_GMEM_HOOK_FAULT ?
		      kvm_gmem_evaluate_fault(kvm, args) :
		      kvm_gmem_evaluate_convert(kvm, args);

	return likely(!verdict) ? 0 : kvm_gmem_count_verdict(kvm, hook, verdict);
}

static __always_inline int kvm_gmem_ask_and_wait(struct kvm *kvm,
						 enum kvm_gmem_hook hook,
						 const void *args)
{
	s64 verdict;

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

/**
 * kvm_gmem_request_present - is the first page of a request there already?
 * @request: the request
 *
 * Context: in a read section of kvm->srcu if the request is a vCPU's.
 * Return: what is so at the moment; nothing keeps it so.
 */
bool kvm_gmem_request_present(const struct kvm_gmem_request *request)
{
	struct address_space *mapping;
	struct file *file;
	bool present;

	if (!request->slot)
		return xa_load(&request->mapping->i_pages, request->fault.index);

	mapping = kvm_gmem_slot_mapping(request->slot, &file);
	if (!mapping)
		return false;

	present = xa_load(&mapping->i_pages, request->fault.index);
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

static void kvm_gmem_trace_fault(struct kvm *kvm,
				 const struct kvm_gmem_request *request, u64 pfn,
				 u32 order, int result)
{
	trace_kvm_gmem_fault(kvm, &request->fault, request->present, pfn, order,
			     result, request->began_ns ?
			     ktime_get_ns() - request->began_ns : 0);
}

/* Returns 0, an errno to fail with, or KVM_GMEM_FAULT_DELAYED. */
static __always_inline int kvm_gmem_fault_verdict(struct kvm_vcpu *vcpu,
						  struct kvm_gmem_request *request)
{
	s64 verdict = kvm_gmem_ask(vcpu->kvm, KVM_GMEM_HOOK_FAULT,
				   &request->fault);

	/* A delay that nobody slept is not for a fault that may go on. */
	vcpu->gmem_delay_ns = max(verdict, 0);

	return likely(verdict <= 0) ? verdict : KVM_GMEM_FAULT_DELAYED;
}

static __always_inline void kvm_gmem_fault_describe(struct kvm_gmem_request *request,
						    struct kvm_memory_slot *slot,
						    u64 gfn, bool prefault)
{
	request->fault.gfn = gfn;
	request->fault.index = gfn - slot->base_gfn + slot->gmem.pgoff;
	request->fault.nr_pages = 1;
	request->fault.reason = prefault ? KVM_GMEM_FAULT_PREFAULT :
					   KVM_GMEM_FAULT_VCPU;
	request->fault.pad = 0;
	request->slot = slot;
}

static __always_inline int kvm_gmem_fault_ask(struct kvm_vcpu *vcpu,
					      struct kvm_memory_slot *slot,
					      u64 gfn, bool prefault)
{
	struct kvm_gmem_request request;

	kvm_gmem_fault_describe(&request, slot, gfn, prefault);

	return kvm_gmem_fault_verdict(vcpu, &request);
}

static noinline int kvm_gmem_fault_traced(struct kvm_vcpu *vcpu,
					  struct kvm_memory_slot *slot,
					  u64 gfn, u64 *pfn, int *max_order,
					  bool prefault)
{
	struct kvm_gmem_request request;
	int r = 0;

	kvm_gmem_fault_describe(&request, slot, gfn, prefault);
	request.began_ns = ktime_get_ns();
	request.present = kvm_gmem_request_present(&request);

	if (kvm_gmem_policed(vcpu->kvm, KVM_GMEM_HOOK_FAULT))
		r = kvm_gmem_fault_verdict(vcpu, &request);
	if (r == KVM_GMEM_FAULT_DELAYED)
		return r;

	r = r ?: kvm_gmem_get_pfn(vcpu->kvm, slot, gfn, pfn, max_order);
	kvm_gmem_trace_fault(vcpu->kvm, &request, r ? 0 : *pfn,
			     r ? 0 : *max_order, r);

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

	if (trace_kvm_gmem_fault_enabled()) {
		r = kvm_gmem_fault_traced(vcpu, slot, gfn, pfn, max_order,
					  prefault);
	} else {
		if (kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT)) {
			r = kvm_gmem_fault_ask(vcpu, slot, gfn, prefault);
			if (unlikely(r))
				return r;
		}
		r = kvm_gmem_get_pfn(kvm, slot, gfn, pfn, max_order);
	}
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

/* Conversions */

/**
 * kvm_gmem_convert_ask - put a conversion to the policies
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they shall be
 * @began_ns: when it began, 0 if nobody asked for the duration
 *
 * See kvm_gmem_convert_begin().
 */
int kvm_gmem_convert_ask(struct kvm *kvm, u64 start, u64 end,
			 unsigned long attributes, u64 began_ns)
{
	struct kvm_gmem_convert request = {
		.start = start,
		.end = end,
		.attributes = attributes,
	};
	int r;

	if (!kvm_gmem_policed(kvm, KVM_GMEM_HOOK_CONVERT))
		return 0;

	r = kvm_gmem_ask_and_wait(kvm, KVM_GMEM_HOOK_CONVERT, &request);
	if (unlikely(r))
		trace_kvm_gmem_convert(kvm, &request, 0, r, began_ns ?
				       ktime_get_ns() - began_ns : 0);

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
	if (kvm_gmem_policed(kvm, KVM_GMEM_HOOK_INVALIDATE))
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
 * kvm_gmem_convert_done - count and report a conversion
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they are now
 * @changed: how many of them really changed
 * @began_ns: when it began, 0 if nobody asked for the duration
 * @result: 0 or a negative errno
 *
 * See kvm_gmem_convert_end().
 */
void kvm_gmem_convert_done(struct kvm *kvm, u64 start, u64 end,
			   unsigned long attributes, u64 changed, u64 began_ns,
			   int result)
{
	struct kvm_gmem_vm_stat *stat = &kvm->stat.generic.gmem;
	struct kvm_gmem_convert request = {
		.start = start,
		.end = end,
		.attributes = attributes,
	};

	lockdep_assert_held(&kvm->slots_lock);

	if (changed) {
		/* PRIVATE is the only attribute there is to change. */
		if (attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE) {
			atomic64_add(changed, &stat->private_pages);
			atomic64_add(changed, &stat->pages_to_private);
		} else {
			atomic64_sub(changed, &stat->private_pages);
			atomic64_add(changed, &stat->pages_to_shared);
		}
		atomic64_inc(&stat->conversions);
		kvm_gmem_convert_pages(kvm, &request);
		kvm_gmem_invalidated(kvm, start, end, 0,
				     KVM_GMEM_INVALIDATE_CONVERSION);
	} else if (!result) {
		atomic64_inc(&stat->conversions_noop);
	}

	if (trace_kvm_gmem_convert_enabled())
		trace_kvm_gmem_convert(kvm, &request, changed, result, began_ns ?
				       ktime_get_ns() - began_ns : 0);
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
				      u32 reason, u64 *nr_pages, u64 *pages_freed)
{
	u64 first = max_t(u64, start, slot->gmem.pgoff);
	u64 last = min_t(u64, end, slot->gmem.pgoff + slot->npages);
	u64 nr_freed = freed ? kvm_gmem_count_populated(file->mapping, first,
							last) : 0;

	kvm_gmem_invalidated(file->kvm, first - slot->gmem.pgoff + slot->base_gfn,
			     last - slot->gmem.pgoff + slot->base_gfn, nr_freed,
			     reason);

	*nr_pages -= last - first;
	*pages_freed -= nr_freed;
}

/*
 * Report an invalidation once for each memslot it touches, and once without
 * guest frames if a part of the range, or all of it, is in no memslot.
 */
static void kvm_gmem_file_invalidated(struct kvm_gmem_file *file, pgoff_t start,
				      pgoff_t end, bool freed, u32 reason)
{
	struct kvm_memory_slot *slot, *last = NULL;
	u64 nr_pages = end - start, pages_freed = 0;
	unsigned long index;

	/* The count is for those who look; counting costs as much as freeing. */
	freed &= trace_kvm_gmem_invalidate_enabled() ||
		 kvm_gmem_policed(file->kvm, KVM_GMEM_HOOK_INVALIDATE);
	if (freed)
		pages_freed = kvm_gmem_count_populated(file->mapping, start, end);

	xa_for_each_range(file->bindings, index, slot, start, end - 1) {
		/* One memslot may stand in several entries, side by side. */
		if (slot == last)
			continue;
		last = slot;
		kvm_gmem_slot_invalidated(file, slot, start, end, freed, reason,
					  &nr_pages, &pages_freed);
	}

	if (nr_pages)
		kvm_gmem_invalidated(file->kvm, KVM_GMEM_NO_GFN,
				     KVM_GMEM_NO_GFN, pages_freed, reason);
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

/* The bindings are stable: slots_lock or the invalidate lock is held. */
static void kvm_gmem_file_describe(struct kvm_gmem_file *file,
				   struct kvm_gmem_request *request, pgoff_t end)
{
	struct kvm_gmem_fault *fault = &request->fault;
	struct kvm_memory_slot *slot = xa_load(file->bindings, fault->index);

	fault->gfn = slot ? fault->index - slot->gmem.pgoff + slot->base_gfn :
			    KVM_GMEM_NO_GFN;
	fault->nr_pages = end - fault->index;
	request->present = kvm_gmem_request_present(request);
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
	bool policed = kvm_gmem_policed(file->kvm, KVM_GMEM_HOOK_FAULT);
	struct kvm *kvm = file->kvm;
	s64 verdict;
	int r = 0;

	*request = (struct kvm_gmem_request) {
		.fault.index = start,
		.fault.reason = reason,
		.mapping = file->mapping,
	};
	if (!policed && !trace_kvm_gmem_fault_enabled())
		return 0;

	if (trace_kvm_gmem_fault_enabled())
		request->began_ns = ktime_get_ns();
	if (reason == KVM_GMEM_FAULT_POPULATE) {
		lockdep_assert_held(&kvm->slots_lock);
		kvm_gmem_file_describe(file, request, end);
		if (policed) {
			verdict = kvm_gmem_ask(kvm, KVM_GMEM_HOOK_FAULT,
					       &request->fault);
			r = verdict > 0 ? -EAGAIN : verdict;
		}
	} else {
		/* The lock keeps the memslot in place while its gfn is read. */
		filemap_invalidate_lock_shared(file->mapping);
		kvm_gmem_file_describe(file, request, end);
		filemap_invalidate_unlock_shared(file->mapping);
		if (policed)
			r = kvm_gmem_ask_and_wait(kvm, KVM_GMEM_HOOK_FAULT,
						  &request->fault);
	}

	if (r)
		kvm_gmem_trace_fault(kvm, request, 0, 0, r);

	return r;
}

/*
 * Pages come without a mark, so those that private frames map are left alone.
 * If their frames are converted after this look, the conversion finds them.
 */
static void kvm_gmem_file_classify(struct kvm_gmem_file *file, pgoff_t start,
				   pgoff_t end)
{
	struct kvm *kvm = file->kvm;
	pgoff_t index = start, next;
	struct kvm_memory_slot *slot;
	unsigned long attrs;
	u64 gfn, last;

	while (index < end) {
		slot = xa_load(file->bindings, index);
		next = index + 1;
		attrs = 0;
		if (slot) {
			gfn = index - slot->gmem.pgoff + slot->base_gfn;
			last = min_t(u64, gfn + end - index,
				     slot->base_gfn + slot->npages);
			next = index + kvm_mem_attr_map_run(&kvm->mem_attr_map,
							    gfn, last, &attrs) -
			       gfn;
		}
		if (attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE)
			index = next;
		for (; index < next; index++) {
			kvm_gmem_classify(kvm, file->mapping, slot, index);
			cond_resched();
		}
	}
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

	/* Populate leaves the page behind that it failed at. */
	kvm_gmem_file_classify(file, index, end + !!result);

	/* What began before the tracer came is not described. */
	if (request->began_ns)
		kvm_gmem_trace_fault(file->kvm, request, 0, 0, result);
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
 * @kvm: the VM
 * @slot: the memslot, not yet visible
 *
 * Context: may sleep; holds slots_lock.
 */
void kvm_gmem_slot_bound(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	XA_STATE(xas, NULL, slot->gmem.pgoff);
	pgoff_t end = slot->gmem.pgoff + slot->npages;
	struct address_space *mapping;
	struct folio *folio;
	struct file *file;

	mapping = kvm_gmem_slot_mapping(slot, &file);
	if (!mapping)
		return;

	/* Pages that nobody mapped were stale; some are private now. */
	xas.xa = &mapping->i_pages;
	filemap_invalidate_lock_shared(mapping);
	rcu_read_lock();
	xas_for_each_marked(&xas, folio, end - 1, KVM_GMEM_STALE) {
		if (xas_retry(&xas, folio))
			continue;
		kvm_gmem_classify(kvm, mapping, slot, xas.xa_index);
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	filemap_invalidate_unlock_shared(mapping);

	trace_kvm_gmem_bind(kvm, slot);
	fput(file);
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
