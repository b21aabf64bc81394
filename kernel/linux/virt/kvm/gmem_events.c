// SPDX-License-Identifier: GPL-2.0-only
/*
 * The events of guest private memory, as KVM and guest_memfd report them:
 * each is put to the policies, counted and traced here.
 *
 * Beside the locks that KVM and guest_memfd take anyway, this takes the page
 * cache's own spinlock; see gmem_account.c for why that is enough.
 */
#include <linux/file.h>
#include <linux/pagemap.h>

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_gmem.h>

#include "gmem.h"

/* Faults */

/* The guest_memfd of a memslot, to be given back; NULL if it is closed. */
static struct file *kvm_gmem_slot_file(struct kvm_memory_slot *slot)
{
	return get_file_active(&slot->gmem.file);
}

/*
 * The same under slots_lock, without a reference: a file that is being closed
 * waits for that lock before it lets go of its memslots.
 */
static struct inode *kvm_gmem_slot_inode(struct kvm *kvm,
					 const struct kvm_memory_slot *slot)
{
	struct file *file = READ_ONCE(slot->gmem.file);

	lockdep_assert_held(&kvm->slots_lock);

	return file ? file_inode(file) : NULL;
}

static pgoff_t kvm_gmem_slot_index(const struct kvm_memory_slot *slot, u64 gfn)
{
	return gfn - slot->base_gfn + slot->gmem.pgoff;
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
	struct file *file;
	bool present;

	if (!request->slot)
		return xa_load(&request->inode->i_mapping->i_pages,
			       request->fault.index);

	file = kvm_gmem_slot_file(request->slot);
	if (!file)
		return false;

	present = xa_load(&file->f_mapping->i_pages, request->fault.index);
	fput(file);

	return present;
}

/* Compares a page, if it is there, with what its frame is now. */
static noinline void kvm_gmem_recheck(struct kvm *kvm,
				      struct kvm_memory_slot *slot, u64 gfn)
{
	pgoff_t index = kvm_gmem_slot_index(slot, gfn);
	struct file *file = kvm_gmem_slot_file(slot);

	if (!file)
		return;

	kvm_gmem_classify(kvm, file_inode(file), slot, index, index + 1);
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
static __always_inline int kvm_gmem_fault_verdict(struct kvm_vcpu *vcpu, u64 gfn,
						  struct kvm_gmem_request *request)
{
	struct kvm_gmem_vcpu *gmem = &vcpu->gmem;
	bool overdue = kvm_gmem_overdue(0, 0);
	s64 verdict;

	/* A delay that nobody slept is not for a fault that may go on. */
	gmem->delayed = false;
	if (unlikely(gmem->since_ns) &&
	    kvm_gmem_resume_fault(gmem, gfn, &overdue))
		return KVM_GMEM_FAULT_DELAYED;

	verdict = kvm_gmem_ask(vcpu->kvm, KVM_GMEM_HOOK_FAULT, &request->fault,
			       &request->asked, overdue);
	if (likely(verdict <= 0)) {
		if (overdue || gmem->gfn == gfn)
			gmem->since_ns = 0;
		return verdict;
	}
	kvm_gmem_delay_fault(gmem, gfn, verdict);

	return KVM_GMEM_FAULT_DELAYED;
}

static void kvm_gmem_fault_describe(struct kvm_gmem_request *request,
				    struct kvm_memory_slot *slot, u64 gfn,
				    u32 reason)
{
	request->fault.gfn = gfn;
	request->fault.index = kvm_gmem_slot_index(slot, gfn);
	request->fault.nr_pages = 1;
	request->fault.reason = reason;
	request->fault.flags = 0;
	request->slot = slot;
	request->inode = NULL;
	request->asked.chain = NULL;
	request->allocated = 0;
	request->began_ns = 0;
}

/* Says how many pages a fault would really take. */
static void kvm_gmem_fault_huge(struct kvm_gmem_request *request)
{
	struct kvm_gmem_fault *fault = &request->fault;
	struct file *file = kvm_gmem_slot_file(request->slot);
	u64 nr, beyond;

	if (!file)
		return;

	nr = kvm_gmem_huge_wanted(file_inode(file), request->slot, fault->index);
	fput(file);
	if (!nr)
		return;

	beyond = fault->index & (nr - 1);
	fault->index -= beyond;
	fault->gfn -= beyond;
	fault->nr_pages = nr;
}

/* A fault that somebody looks at. */
static noinline int kvm_gmem_fault_reported(struct kvm_vcpu *vcpu,
					    struct kvm_memory_slot *slot,
					    u64 gfn, u64 *pfn, int *max_order,
					    u32 reason)
{
	struct kvm_gmem_request request;
	int r = 0;

	kvm_gmem_fault_describe(&request, slot, gfn, reason);
	if (kvm_gmem_huge_used())
		kvm_gmem_fault_huge(&request);
	if (trace_kvm_gmem_fault_enabled()) {
		request.began_ns = ktime_get_ns();
		request.present = kvm_gmem_request_present(&request);
	}

	if (kvm_gmem_policed(vcpu->kvm, KVM_GMEM_HOOK_FAULT))
		r = kvm_gmem_fault_verdict(vcpu, gfn, &request);
	if (unlikely(r == KVM_GMEM_FAULT_DELAYED))
		return r;

	/* Nothing comes that was not asked for. */
	r = r ?: kvm_gmem_get_page(vcpu->kvm, slot, gfn, pfn, max_order,
				   request.fault.nr_pages > 1,
				   &request.allocated);
	if (request.asked.chain)
		kvm_gmem_settle_fault(vcpu->kvm, &request, r);
	if (request.began_ns)
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
 *	policy that denied or of guest_memfd.
 */
int kvm_gmem_fault_pfn(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
		       u64 gfn, u64 *pfn, int *max_order, bool prefault,
		       unsigned long mmu_seq)
{
	struct kvm *kvm = vcpu->kvm;
	int r;

	if (trace_kvm_gmem_fault_enabled() ||
	    kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT)) {
		r = kvm_gmem_fault_reported(vcpu, slot, gfn, pfn, max_order,
					    prefault ? KVM_GMEM_FAULT_PREFAULT :
						       KVM_GMEM_FAULT_VCPU);
	} else {
		/* Whoever wanted it delayed is gone. */
		vcpu->gmem.since_ns = 0;
		r = kvm_gmem_get_page(kvm, slot, gfn, pfn, max_order, true, NULL);
	}
	if (unlikely(r == KVM_GMEM_FAULT_DELAYED))
		return r;

	/*
	 * A conversion may have come between the look at the attribute that
	 * made this a private fault and the arrival of the page, which stays
	 * even if it could not be prepared.  Pairs with the barrier in
	 * kvm_gmem_mark().
	 */
	smp_mb();
	if (unlikely(READ_ONCE(kvm->mmu_invalidate_in_progress) ||
		     READ_ONCE(kvm->mmu_invalidate_seq) != mmu_seq))
		kvm_gmem_recheck(kvm, slot, gfn);

	vcpu->gmem.found = !r;

	return r;
}

/**
 * kvm_gmem_fault_mapped - a private fault has ended with its page mapped
 * @vcpu: the vCPU, loaded by the calling thread
 * @prefault: see kvm_gmem_fault_pfn()
 *
 * A fault that is tried several times is counted once.
 */
void kvm_gmem_fault_mapped(struct kvm_vcpu *vcpu, bool prefault)
{
	if (!vcpu->gmem.found)
		return;

	vcpu->gmem.found = false;
	if (prefault) {
		vcpu->gmem.prefaults++;
	} else {
		vcpu->gmem.faults++;
		vcpu->stat.generic.gmem.faults++;
	}
}

/**
 * kvm_gmem_arch_begin - ask for a page that the architecture wants for itself
 * @kvm: the VM
 * @request: filled in, for kvm_gmem_arch_end()
 * @slot: memslot that contains @gfn
 * @gfn: the guest frame, which the guest chooses
 *
 * A delay has no place to be slept in, and lets the request pass.
 *
 * Context: may sleep, for as long as a program does; in a read section of
 *	kvm->srcu.
 * Return: 0 or the errno of the policy that denied.
 */
int kvm_gmem_arch_begin(struct kvm *kvm, struct kvm_gmem_request *request,
			struct kvm_memory_slot *slot, gfn_t gfn)
{
	int r = 0;

	kvm_gmem_fault_describe(request, slot, gfn, KVM_GMEM_FAULT_ARCH);
	if (!kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT) &&
	    !trace_kvm_gmem_fault_enabled())
		return 0;

	if (trace_kvm_gmem_fault_enabled())
		request->began_ns = ktime_get_ns();
	request->present = kvm_gmem_request_present(request);
	if (!request->present && kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT))
		r = kvm_gmem_ask(kvm, KVM_GMEM_HOOK_FAULT, &request->fault,
				 &request->asked, true);
	if (r && request->began_ns)
		kvm_gmem_trace_fault(kvm, request, 0, 0, r);

	return r;
}

/**
 * kvm_gmem_arch_end - count a page that the architecture asked for
 * @kvm: the VM
 * @request: from kvm_gmem_arch_begin()
 * @result: 0 or a negative errno
 *
 * Nobody looked whether the frame is private, so this does.
 *
 * Context: in a read section of kvm->srcu.
 */
void kvm_gmem_arch_end(struct kvm *kvm, struct kvm_gmem_request *request,
		       int result)
{
	kvm_gmem_recheck(kvm, request->slot, request->fault.gfn);
	if (!result)
		atomic64_inc(&kvm->gmem.counters.arch_faults);
	if (request->asked.chain)
		kvm_gmem_settle_fault(kvm, request, result);
	if (request->began_ns)
		kvm_gmem_trace_fault(kvm, request, 0, 0, result);
}

/* Conversions */

static void kvm_gmem_convert_pending(struct kvm_gmem_conversion *conv)
{
	if (conv->since_ns) {
		conv->request.flags = KVM_GMEM_ASKED;
		conv->request.pending_ns = ktime_get_ns() - conv->since_ns;
	}
}

static u64 kvm_gmem_convert_lasted(const struct kvm_gmem_conversion *conv)
{
	return conv->began_ns ? ktime_get_ns() - conv->began_ns : 0;
}

/**
 * kvm_gmem_convert_ask - put a conversion to the policies
 * @kvm: the VM
 * @conv: the conversion, and what was asked for
 *
 * See kvm_gmem_convert_begin().
 */
int kvm_gmem_convert_ask(struct kvm *kvm, struct kvm_gmem_conversion *conv)
{
	struct kvm_gmem_convert *request = &conv->request;
	int r;

	conv->began_ns = trace_kvm_gmem_convert_enabled() ? ktime_get_ns() : 0;
	conv->since_ns =
		kvm_gmem_request_since(kvm, request->start, request->end,
				       request->attributes &
				       KVM_MEMORY_ATTRIBUTE_PRIVATE);
	kvm_gmem_convert_pending(conv);
	if (!kvm_gmem_policed(kvm, KVM_GMEM_HOOK_CONVERT))
		return 0;

	r = kvm_gmem_ask_and_wait(kvm, KVM_GMEM_HOOK_CONVERT, request,
				  &conv->asked);
	/* A request that is made again is reported when it has ended. */
	if (unlikely(r && r != -ERESTARTNOINTR))
		trace_kvm_gmem_convert(kvm, request, 0, r,
				       kvm_gmem_convert_lasted(conv));

	return r;
}

/**
 * kvm_gmem_invalidated - count and report that something went away
 * @kvm: the VM
 * @start: first guest frame, KVM_GMEM_NO_GFN if no memslot maps it
 * @end: guest frame after the last
 * @pages_freed: pages that the guest_memfd gives back
 * @reason: enum kvm_gmem_invalidate_reason
 *
 * Context: any that may take a spinlock.
 */
void kvm_gmem_invalidated(struct kvm *kvm, u64 start, u64 end, u64 pages_freed,
			  u32 reason)
{
	struct kvm_gmem_invalidate invalidate;

	atomic64_inc(&kvm->gmem.counters.invalidations[reason]);
	if (!trace_kvm_gmem_invalidate_enabled() &&
	    !kvm_gmem_policed(kvm, KVM_GMEM_HOOK_INVALIDATE))
		return;

	invalidate = (struct kvm_gmem_invalidate) {
		.start = start,
		.end = end,
		.pages_freed = pages_freed,
		.reason = reason,
	};
	trace_kvm_gmem_invalidate(kvm, &invalidate);
	if (kvm_gmem_policed(kvm, KVM_GMEM_HOOK_INVALIDATE))
		kvm_gmem_notify(kvm, &invalidate);
}

static void kvm_gmem_convert_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
				  u64 first, u64 last, bool stale,
				  const struct kvm_mem_attr_change *change)
{
	struct inode *inode;
	u64 start, end;

	if (!kvm_slot_can_be_private(slot))
		return;
	inode = kvm_gmem_slot_inode(kvm, slot);
	if (!inode)
		return;

	/* One that is several frames was counted before it was done. */
	if (last - first == 1)
		kvm_gmem_frames_convert_one(kvm, slot, first, !stale, change);
	start = max(first, slot->base_gfn);
	end = min(last, slot->base_gfn + slot->npages);
	kvm_gmem_mark(kvm, inode, kvm_gmem_slot_index(slot, start),
		      kvm_gmem_slot_index(slot, end), stale);
}

/* The pages behind a range that has just been converted. */
static void kvm_gmem_convert_pages(struct kvm *kvm, u64 first, u64 last,
				   bool stale,
				   const struct kvm_mem_attr_change *change)
{
	struct kvm_memory_slot *slot;
	struct kvm_memslot_iter iter;
	int i;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		/* Most conversions are of one memslot, the same as the last. */
		slot = __gfn_to_memslot(__kvm_memslots(kvm, i), first);
		if (likely(slot && last <= slot->base_gfn + slot->npages)) {
			kvm_gmem_convert_slot(kvm, slot, first, last, stale,
					      change);
			continue;
		}
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i),
						  first, last)
			kvm_gmem_convert_slot(kvm, iter.slot, first, last,
					      stale, change);
	}
}

/**
 * kvm_gmem_convert_changed - count a conversion that changed something
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they are now
 * @change: how many of them really changed, not 0, and what is beside one
 *
 * See kvm_gmem_convert_done().
 */
void kvm_gmem_convert_changed(struct kvm *kvm, u64 start, u64 end,
			      unsigned long attributes,
			      const struct kvm_mem_attr_change *change)
{
	struct kvm_gmem_counters *counters = &kvm->gmem.counters;
	bool private = attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;

	lockdep_assert_held(&kvm->slots_lock);

	/* PRIVATE is the only attribute there is to change. */
	atomic64_add(change->changed, private ? &counters->pages_to_private :
						&counters->pages_to_shared);
	kvm_gmem_convert_pages(kvm, start, end, !private, change);
	kvm_gmem_invalidated(kvm, start, end, 0, KVM_GMEM_INVALIDATE_CONVERSION);
}

/**
 * kvm_gmem_convert_settle - tell who let a conversion pass how it ended
 * @kvm: the VM
 * @conv: the conversion
 * @changed: how many frames or pages really changed
 * @result: 0 or a negative errno
 *
 * See kvm_gmem_convert_end().
 */
void kvm_gmem_convert_settle(struct kvm *kvm, struct kvm_gmem_conversion *conv,
			     u64 changed, int result)
{
	kvm_gmem_settle_convert(kvm, &conv->request, &conv->asked, changed,
				result);
}

/**
 * kvm_gmem_convert_trace - report a conversion to who traces
 * @kvm: the VM
 * @conv: the conversion
 * @changed: how many frames or pages really changed
 * @result: 0 or a negative errno
 *
 * See kvm_gmem_convert_end().
 */
void kvm_gmem_convert_trace(struct kvm *kvm, struct kvm_gmem_conversion *conv,
			    u64 changed, int result)
{
	kvm_gmem_convert_pending(conv);
	trace_kvm_gmem_convert(kvm, &conv->request, changed, result,
			       kvm_gmem_convert_lasted(conv));
}

/**
 * kvm_gmem_converted_unbound - count a conversion of pages that no memslot has
 * @kvm: the VM
 * @private: what they are now
 * @changed: how many of them were not, and not 0
 *
 * Context: holds slots_lock.
 */
void kvm_gmem_converted_unbound(struct kvm *kvm, bool private, u64 changed)
{
	struct kvm_gmem_counters *counters = &kvm->gmem.counters;

	atomic64_add(changed, private ? &counters->pages_to_private :
					&counters->pages_to_shared);
	kvm_gmem_count_unbound(kvm, private ? changed : -(s64)changed);
	kvm_gmem_invalidated(kvm, KVM_GMEM_NO_GFN, KVM_GMEM_NO_GFN, 0,
			     KVM_GMEM_INVALIDATE_CONVERSION);
}

/**
 * kvm_gmem_begins_private - count pages of a guest_memfd that begin private
 * @kvm: the VM
 * @nr_pages: how many
 *
 * They became it as if somebody had converted them.
 *
 * Context: any.
 */
void kvm_gmem_begins_private(struct kvm *kvm, u64 nr_pages)
{
	atomic64_add(nr_pages, &kvm->gmem.counters.pages_to_private);
	kvm_gmem_count_unbound(kvm, nr_pages);
}

/**
 * kvm_gmem_conversion_held - a conversion failed since somebody holds a page
 * @kvm: the VM
 * @inode: the guest_memfd
 * @index: the first such page
 * @refs: references to it beside the page cache's, when it was looked at
 * @holder: who has it, empty if nobody said so
 *
 * Context: may sleep.
 */
void kvm_gmem_conversion_held(struct kvm *kvm, struct inode *inode,
			      pgoff_t index, int refs, const char *holder)
{
	atomic64_inc(&kvm->gmem.counters.conversions_held);
	trace_kvm_gmem_held(kvm, inode->i_ino, index, refs, holder);
}

/* guest_memfds */

static void kvm_gmem_slot_invalidated(struct kvm_gmem_inode *gi,
				      struct kvm_memory_slot *slot,
				      pgoff_t start, pgoff_t end, bool freed,
				      u32 reason, u64 *nr_pages, u64 *pages_freed)
{
	u64 first = max_t(u64, start, slot->gmem.pgoff);
	u64 last = min_t(u64, end, slot->gmem.pgoff + slot->npages);
	u64 nr_freed = 0;

	if (freed)
		nr_freed = kvm_gmem_count_populated(gi->vfs_inode.i_mapping,
						    first, last);
	kvm_gmem_invalidated(gi->kvm, first - slot->gmem.pgoff + slot->base_gfn,
			     last - slot->gmem.pgoff + slot->base_gfn, nr_freed,
			     reason);

	*nr_pages -= last - first;
	*pages_freed -= min(nr_freed, *pages_freed);
}

/*
 * Report an invalidation once for each memslot it touches, and once without
 * guest frames if a part of the range, or all of it, is in no memslot.
 */
static void kvm_gmem_inode_invalidated(struct kvm_gmem_inode *gi, pgoff_t start,
				       pgoff_t end, bool freed, u32 reason)
{
	struct kvm_memory_slot *slot, *last = NULL;
	u64 nr_pages = end - start, pages_freed = 0;
	unsigned long index;

	/* The count is for those who look; counting costs as much as freeing. */
	freed &= trace_kvm_gmem_invalidate_enabled() ||
		 kvm_gmem_policed(gi->kvm, KVM_GMEM_HOOK_INVALIDATE);
	if (freed)
		pages_freed = kvm_gmem_count_populated(gi->vfs_inode.i_mapping,
						       start, end);

	xa_for_each_range(gi->bindings, index, slot, start, end - 1) {
		/* One memslot may stand in several entries, side by side. */
		if (slot == last)
			continue;
		last = slot;
		kvm_gmem_slot_invalidated(gi, slot, start, end, freed, reason,
					  &nr_pages, &pages_freed);
	}

	if (nr_pages)
		kvm_gmem_invalidated(gi->kvm, KVM_GMEM_NO_GFN, KVM_GMEM_NO_GFN,
				     pages_freed, reason);
}

static pgoff_t kvm_gmem_inode_end(const struct inode *inode)
{
	return i_size_read(inode) >> PAGE_SHIFT;
}

/* Is it only the file that is being closed which holds the inode? */
static bool kvm_gmem_inode_goes(struct inode *inode)
{
	struct dentry *dentry;
	bool goes = false;

	if (atomic_read(&inode->i_count) != 1)
		return false;
	dentry = d_find_any_alias(inode);
	if (dentry) {
		goes = d_count(dentry) == 2;
		dput(dentry);
	}

	return goes;
}

/**
 * kvm_gmem_inode_released - the file of a guest_memfd is closed
 * @inode: the guest_memfd
 *
 * Its memory goes with the inode, which somebody else may hold.
 *
 * Context: holds slots_lock and the invalidate lock exclusively; nobody else
 *	can reach the file any more.
 */
void kvm_gmem_inode_released(struct inode *inode)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	struct kvm_memory_slot *slot, *last = NULL;
	unsigned long index;

	xa_for_each(gi->bindings, index, slot) {
		/* One memslot may stand in several entries, side by side. */
		if (slot != last)
			kvm_gmem_frames_unbound(gi->kvm, slot);
		last = slot;
	}
	gi->told = kvm_gmem_inode_goes(inode);
	kvm_gmem_inode_invalidated(gi, 0, kvm_gmem_inode_end(inode), gi->told,
				   KVM_GMEM_INVALIDATE_RELEASE);
	kvm_gmem_mark(gi->kvm, inode, 0, kvm_gmem_inode_end(inode), false);
	gi->bindings = NULL;
	/* From here on all of its pages count as stale. */
	kvm_gmem_inode_close(gi);
}

/**
 * kvm_gmem_host_begin - ask for a page that a process of the host wants
 * @inode: the guest_memfd, which the process has mapped
 * @request: filled in, for kvm_gmem_host_end()
 * @index: the page
 *
 * The mmap lock is no place to sleep in, so a delay lets the request pass.  Nor is
 * it one to fault in: a program finds user memory only as far as it is there.
 *
 * Context: may sleep, for as long as a program does; in a page fault.
 * Return: 0 or the errno of the policy that denied.
 */
int kvm_gmem_host_begin(struct inode *inode, struct kvm_gmem_request *request,
			pgoff_t index)
{
	struct kvm *kvm = to_kvm_gmem_inode(inode)->kvm;
	int r = 0;

	request->inode = inode;
	if (!kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT) &&
	    !trace_kvm_gmem_fault_enabled())
		return 0;

	request->fault.gfn = KVM_GMEM_NO_GFN;
	request->fault.index = index;
	request->fault.nr_pages = 1;
	request->fault.reason = KVM_GMEM_FAULT_HOST;
	if (trace_kvm_gmem_fault_enabled())
		request->began_ns = ktime_get_ns();
	request->present = kvm_gmem_request_present(request);
	if (!request->present && kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT)) {
		pagefault_disable();
		r = kvm_gmem_ask(kvm, KVM_GMEM_HOOK_FAULT, &request->fault,
				 &request->asked, true);
		pagefault_enable();
	}
	if (r && request->began_ns)
		kvm_gmem_trace_fault(kvm, request, 0, 0, r);

	return r;
}

/**
 * kvm_gmem_host_end - count a page that a process of the host asked for
 * @request: from kvm_gmem_host_begin()
 * @result: 0 or a negative errno
 *
 * Context: in a page fault.
 */
void kvm_gmem_host_end(struct kvm_gmem_request *request, int result)
{
	struct kvm *kvm = to_kvm_gmem_inode(request->inode)->kvm;

	if (!result)
		atomic64_inc(&kvm->gmem.counters.host_faults);
	if (request->asked.chain) {
		pagefault_disable();
		kvm_gmem_settle_fault(kvm, request, result);
		pagefault_enable();
	}
	if (request->began_ns)
		kvm_gmem_trace_fault(kvm, request, 0, 0, result);
}

/* The bindings are stable: slots_lock or the invalidate lock is held. */
static void kvm_gmem_range_describe(struct kvm_gmem_inode *gi,
				    struct kvm_gmem_request *request, pgoff_t end)
{
	struct kvm_gmem_fault *fault = &request->fault;
	struct kvm_memory_slot *slot = xa_load(gi->bindings, fault->index);

	fault->gfn = slot ? fault->index - slot->gmem.pgoff + slot->base_gfn :
			    KVM_GMEM_NO_GFN;
	fault->nr_pages = end - fault->index;
	request->present = kvm_gmem_request_present(request);
}

/* A launch cannot be delayed under its locks; it is told to try again. */
static int kvm_gmem_populate_ask(struct kvm *kvm,
				 struct kvm_gmem_request *request)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;
	bool overdue = kvm_gmem_overdue(gmem->populate_since_ns,
					gmem->populate_since_ns ?
					ktime_get_ns() : 0);
	s64 verdict = kvm_gmem_ask(kvm, KVM_GMEM_HOOK_FAULT, &request->fault,
				   &request->asked, overdue);

	lockdep_assert_held(&kvm->slots_lock);

	if (verdict <= 0) {
		gmem->populate_since_ns = 0;
		return verdict;
	}
	if (!gmem->populate_since_ns)
		gmem->populate_since_ns = ktime_get_ns();
	WRITE_ONCE(gmem->populate_delay_ns, verdict);

	return -EAGAIN;
}

/**
 * kvm_gmem_range_begin - ask whether a range of a guest_memfd may be populated
 * @inode: the guest_memfd
 * @request: filled in, for kvm_gmem_range_end()
 * @start: first page
 * @end: page after the last
 * @reason: KVM_GMEM_FAULT_FALLOCATE, or KVM_GMEM_FAULT_POPULATE
 *
 * Context: may sleep.  For fallocate no lock may be held, since delays are
 *	slept here.  Populate holds slots_lock.
 * Return: 0; the errno of the policy that denied; -ERESTARTNOINTR if a signal
 *	interrupted a delay, or -EINTR if it was fatal; -EAGAIN if populate is
 *	to be tried again after kvm_gmem_delay_populate().
 */
int kvm_gmem_range_begin(struct inode *inode, struct kvm_gmem_request *request,
			 pgoff_t start, pgoff_t end, u32 reason)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	struct kvm *kvm = gi->kvm;
	bool policed = kvm_gmem_policed(kvm, KVM_GMEM_HOOK_FAULT);
	int r = 0;

	*request = (struct kvm_gmem_request) {
		.fault.index = start,
		.fault.reason = reason,
		.inode = inode,
	};
	if (!policed && !trace_kvm_gmem_fault_enabled())
		return 0;

	if (trace_kvm_gmem_fault_enabled())
		request->began_ns = ktime_get_ns();
	if (reason == KVM_GMEM_FAULT_POPULATE) {
		kvm_gmem_range_describe(gi, request, end);
		if (policed)
			r = kvm_gmem_populate_ask(kvm, request);
	} else {
		/* The lock keeps the memslot in place while its gfn is read. */
		filemap_invalidate_lock_shared(inode->i_mapping);
		kvm_gmem_range_describe(gi, request, end);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		if (policed)
			r = kvm_gmem_ask_and_wait(kvm, KVM_GMEM_HOOK_FAULT,
						  &request->fault,
						  &request->asked);
	}

	if (r && r != -ERESTARTNOINTR)
		kvm_gmem_trace_fault(kvm, request, 0, 0, r);

	return r;
}

/**
 * kvm_gmem_range_end - count pages that were asked for by range
 * @request: from kvm_gmem_range_begin()
 * @end: page after the last that was allocated or found
 * @result: 0 or a negative errno
 *
 * Context: may sleep; holds the invalidate lock at least shared.
 */
void kvm_gmem_range_end(struct kvm_gmem_request *request, pgoff_t end,
			int result)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(request->inode);
	struct kvm_gmem_counters *counters = &gi->kvm->gmem.counters;
	pgoff_t index = request->fault.index, next;
	/* Populate leaves the page behind that it failed at. */
	pgoff_t stop = end + !!result;

	atomic64_add(end - index,
		     request->fault.reason == KVM_GMEM_FAULT_POPULATE ?
		     &counters->populate_faults : &counters->fallocate_faults);

	for (; index < stop; index = next) {
		unsigned long at = index;
		struct kvm_memory_slot *slot;

		slot = xa_find(gi->bindings, &at, stop - 1, XA_PRESENT);
		if (slot && at == index)
			next = min_t(pgoff_t, stop,
				     slot->gmem.pgoff + slot->npages);
		else
			next = slot ? at : stop;
		kvm_gmem_classify(gi->kvm, request->inode,
				  slot && at == index ? slot : NULL, index, next);
	}

	if (request->asked.chain)
		kvm_gmem_settle_fault(gi->kvm, request, result);
	/* What began before the tracer came is not described. */
	if (request->began_ns)
		kvm_gmem_trace_fault(gi->kvm, request, 0, 0, result);
}

/**
 * kvm_gmem_punch_begin - a hole is about to be punched
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last; may be beyond the end of the file
 *
 * Context: may sleep; holds the invalidate lock exclusively; vCPUs do not wait
 *	yet.
 */
void kvm_gmem_punch_begin(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	end = min(end, kvm_gmem_inode_end(inode));
	if (start >= end)
		return;

	kvm_gmem_inode_invalidated(gi, start, end, true,
				   KVM_GMEM_INVALIDATE_PUNCH_HOLE);
	kvm_gmem_set_punch(inode, start, end);
	kvm_gmem_mark(gi->kvm, inode, start, end, false);
}

/* What came while the hole was punched, and stayed. */
static void kvm_gmem_classify_bound(struct kvm_gmem_inode *gi, pgoff_t start,
				    pgoff_t end)
{
	struct kvm_memory_slot *slot;
	pgoff_t index = start;
	unsigned long at;

	while (index < end &&
	       filemap_range_has_page(gi->vfs_inode.i_mapping,
				      (loff_t)index << PAGE_SHIFT,
				      ((loff_t)end << PAGE_SHIFT) - 1)) {
		at = index;
		slot = xa_find(gi->bindings, &at, end - 1, XA_PRESENT);
		/* Pages come by faults, and those by memslots. */
		if (!slot)
			break;
		index = min_t(pgoff_t, end, slot->gmem.pgoff + slot->npages);
		kvm_gmem_classify(gi->kvm, &gi->vfs_inode, slot, at, index);
	}
}

/**
 * kvm_gmem_punch_end - a hole was punched
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last; may be beyond the end of the file
 *
 * Context: may sleep; holds the invalidate lock exclusively; vCPUs do not wait
 *	any more.
 */
void kvm_gmem_punch_end(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	end = min(end, kvm_gmem_inode_end(inode));
	if (start >= end)
		return;

	kvm_gmem_set_punch(inode, 0, 0);
	kvm_gmem_classify_bound(gi, start, end);
}

/**
 * kvm_gmem_memory_failed - memory behind a guest_memfd broke
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * Context: may sleep; holds the invalidate lock at least shared.
 */
void kvm_gmem_memory_failed(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	/* No guest has pages of a closed file, and its VM may be gone. */
	if (!gi->closed)
		kvm_gmem_inode_invalidated(gi, start, end, false,
					   KVM_GMEM_INVALIDATE_MEMORY_FAILURE);
}

/**
 * kvm_gmem_inode_migrates - guests have lost pages that are going to be elsewhere
 * @inode: the guest_memfd
 * @range: the pages
 *
 * Context: any that may take a spinlock; holds the invalidate lock at least shared.
 */
void kvm_gmem_inode_migrates(struct inode *inode,
			     const struct kvm_gmem_range *range)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	/* As for a failure. */
	if (!gi->closed)
		kvm_gmem_inode_invalidated(gi, range->start, range->end, false,
					   KVM_GMEM_INVALIDATE_MIGRATION);
}

/**
 * kvm_gmem_slot_bound - a memslot has come to map a guest_memfd
 * @kvm: the VM
 * @slot: the memslot, not yet visible
 *
 * Pages that nobody mapped were all stale; some are private now.
 *
 * Context: may sleep; holds slots_lock, which keeps the attributes as they are.
 */
void kvm_gmem_slot_bound(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct inode *inode = kvm_gmem_slot_inode(kvm, slot);
	pgoff_t index = slot->gmem.pgoff, next, end;
	bool stale;

	if (!inode)
		return;

	kvm_gmem_frames_bound(kvm, slot);
	if (kvm_gmem_huge_used())
		kvm_gmem_huge_bound(inode, slot);
	end = mapping_tagged(inode->i_mapping, KVM_GMEM_STALE) ?
	      index + slot->npages : index;
	for (; index < end; index = next) {
		next = kvm_gmem_attr_run(kvm, slot, index, end, &stale);
		if (kvm_gmem_huge_used())
			kvm_gmem_huge_split_at(inode, next);
		if (!stale)
			kvm_gmem_mark(kvm, inode, index, next, false);
		cond_resched();
	}
	trace_kvm_gmem_bind(kvm, slot);
}

/**
 * kvm_gmem_slot_unbound - a memslot no longer maps a guest_memfd
 * @kvm: the VM
 * @slot: the memslot
 *
 * Context: may sleep; holds slots_lock, and the invalidate lock exclusively
 *	unless the file is being closed.
 */
void kvm_gmem_slot_unbound(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct inode *inode = kvm_gmem_slot_inode(kvm, slot);

	kvm_gmem_frames_unbound(kvm, slot);
	kvm_gmem_mark(kvm, inode, slot->gmem.pgoff,
		      slot->gmem.pgoff + slot->npages, true);
	kvm_gmem_invalidated(kvm, slot->base_gfn, slot->base_gfn + slot->npages,
			     0, KVM_GMEM_INVALIDATE_UNBIND);
	trace_kvm_gmem_unbind(kvm, slot);
}

/**
 * kvm_gmem_bpf_init - make the interface known to BPF
 *
 * Before any of KVM's vendor modules: BPF's tables must not move when somebody
 * uses them.
 *
 * Context: may sleep; once.
 * Return: 0 or a negative errno.
 */
int kvm_gmem_bpf_init(void)
{
	return kvm_gmem_kfuncs_register() ?: kvm_gmem_policy_register();
}
