// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guests ask their VMMs for: frames to be private or shared.  A guest asks by
 * a hypercall, or by an access that its memory does not allow; the VMM answers by
 * a conversion, or not.
 *
 * A vCPU has one request at most, since it waits for the answer.  A conversion
 * that is all of a request, or takes away from one of its ends, answers it as far
 * as that.  One that comes in other parts is answered if all of it is what the
 * guest wanted when the VMM lets the vCPU go on.
 */
#include <linux/export.h>
#include <linux/list.h>
#include <linux/timekeeping.h>

#include "gmem.h"

/* Under the VM's requests_lock. */
static void kvm_gmem_request_remove(struct kvm *kvm, struct kvm_gmem_vcpu *gmem)
{
	list_del(&gmem->request_node);
	gmem->requests = false;
	WRITE_ONCE(kvm->gmem.nr_requests, kvm->gmem.nr_requests - 1);
}

static void kvm_gmem_request_refused(struct kvm *kvm, struct kvm_gmem_vcpu *gmem)
{
	kvm_gmem_request_remove(kvm, gmem);
	WRITE_ONCE(kvm->gmem.requests_refused, kvm->gmem.requests_refused + 1);
}

static void kvm_gmem_request_done(struct kvm *kvm, struct kvm_gmem_vcpu *gmem,
				  u64 now)
{
	kvm_gmem_request_remove(kvm, gmem);
	WRITE_ONCE(kvm->gmem.requests_done, kvm->gmem.requests_done + 1);
	WRITE_ONCE(kvm->gmem.request_ns,
		   kvm->gmem.request_ns + now - gmem->request_since_ns);
}

/**
 * kvm_gmem_guest_asks - a guest wants frames to be private or shared
 * @vcpu: the vCPU that asks, loaded by the calling thread
 * @start: first guest frame
 * @nr: number of frames, which the guest chooses
 * @private: what they are to be
 * @waits: the vCPU goes on when the VMM has answered, whatever that is; if not, it
 *	tries again what it did
 *
 * Context: may not be an interrupt.
 */
void kvm_gmem_guest_asks(struct kvm_vcpu *vcpu, u64 start, u64 nr, bool private,
			 bool waits)
{
	struct kvm_gmem_vcpu *gmem = &vcpu->gmem;
	struct kvm *kvm = vcpu->kvm;
	u64 now = ktime_get_ns();

	raw_spin_lock(&kvm->gmem.requests_lock);
	if (gmem->requests && !waits && gmem->request_start == start &&
	    gmem->request_end == start + nr && gmem->request_private == private) {
		/* It tries what it tried before. */
		raw_spin_unlock(&kvm->gmem.requests_lock);
		return;
	}
	if (gmem->requests)
		kvm_gmem_request_refused(kvm, gmem);
	gmem->requests = true;
	gmem->request_waits = waits;
	gmem->request_private = private;
	gmem->request_start = start;
	gmem->request_end = start + nr;
	gmem->request_since_ns = now;
	list_add_tail(&gmem->request_node, &kvm->gmem.requests);
	WRITE_ONCE(kvm->gmem.nr_requests, kvm->gmem.nr_requests + 1);
	WRITE_ONCE(kvm->gmem.guest_requests, kvm->gmem.guest_requests + 1);
	raw_spin_unlock(&kvm->gmem.requests_lock);
}
EXPORT_SYMBOL_GPL(kvm_gmem_guest_asks);

/**
 * kvm_gmem_guest_answered - the VMM lets a vCPU go on that may have asked
 * @vcpu: the vCPU, loaded by the calling thread
 *
 * What it asked for by a hypercall and did not get is refused.
 *
 * Context: may not be an interrupt.
 */
void kvm_gmem_guest_answered(struct kvm_vcpu *vcpu)
{
	struct kvm_gmem_vcpu *gmem = &vcpu->gmem;
	struct kvm *kvm = vcpu->kvm;
	bool met = false;
	u64 start, end;

	if (!READ_ONCE(gmem->requests) || !gmem->request_waits)
		return;

	/* The lock is for those that a conversion takes away meanwhile. */
	raw_spin_lock(&kvm->gmem.requests_lock);
	start = gmem->request_start;
	end = gmem->request_end;
	raw_spin_unlock(&kvm->gmem.requests_lock);

	/* What has no private memory gets none of it, and shares nothing. */
	if (start < end && kvm_arch_has_private_mem(kvm))
		met = kvm_range_has_memory_attributes(kvm, start, end,
						      KVM_MEMORY_ATTRIBUTE_PRIVATE,
						      gmem->request_private ?
						      KVM_MEMORY_ATTRIBUTE_PRIVATE :
						      0);

	raw_spin_lock(&kvm->gmem.requests_lock);
	if (gmem->requests && met)
		kvm_gmem_request_done(kvm, gmem, ktime_get_ns());
	else if (gmem->requests)
		kvm_gmem_request_refused(kvm, gmem);
	raw_spin_unlock(&kvm->gmem.requests_lock);
}

/**
 * kvm_gmem_requested - has the guest asked for a conversion?
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @private: what they are to be
 *
 * Context: may not be an interrupt.
 * Return: when it asked for all of them, by CLOCK_MONOTONIC; 0 if it did not.
 */
u64 kvm_gmem_requested(struct kvm *kvm, u64 start, u64 end, bool private)
{
	struct kvm_gmem_vcpu *gmem;
	u64 since = 0;

	raw_spin_lock(&kvm->gmem.requests_lock);
	list_for_each_entry(gmem, &kvm->gmem.requests, request_node) {
		if (gmem->request_private == private &&
		    gmem->request_start <= start && end <= gmem->request_end) {
			since = gmem->request_since_ns;
			break;
		}
	}
	raw_spin_unlock(&kvm->gmem.requests_lock);

	return since;
}

/**
 * kvm_gmem_requests_converted - a conversion may be what a guest has asked for
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @private: what they are now
 * @changed: any of them was something else
 *
 * Context: may not be an interrupt.
 */
void kvm_gmem_requests_converted(struct kvm *kvm, u64 start, u64 end,
				 bool private, bool changed)
{
	struct kvm_gmem_vm *vm = &kvm->gmem;
	struct kvm_gmem_vcpu *gmem, *next;
	u64 now = ktime_get_ns();
	bool asked = false;

	raw_spin_lock(&vm->requests_lock);
	list_for_each_entry_safe(gmem, next, &vm->requests, request_node) {
		if (gmem->request_private != private)
			continue;
		asked |= gmem->request_start <= start &&
			 end <= gmem->request_end;
		if (start <= gmem->request_start && end > gmem->request_start)
			gmem->request_start = end;
		else if (end >= gmem->request_end && start < gmem->request_end)
			gmem->request_end = start;
		if (gmem->request_start < gmem->request_end)
			continue;

		kvm_gmem_request_done(kvm, gmem, now);
	}
	raw_spin_unlock(&vm->requests_lock);

	if (asked && changed)
		atomic64_inc(&vm->counters.conversions_asked);
}

/**
 * kvm_gmem_request_oldest - since when has a guest been waiting for an answer?
 * @kvm: the VM
 *
 * Context: may not be an interrupt.
 * Return: when the oldest of its requests was made, by CLOCK_MONOTONIC; 0 if there
 *	is none.
 */
u64 kvm_gmem_request_oldest(struct kvm *kvm)
{
	struct kvm_gmem_vcpu *gmem;
	u64 since = 0;

	if (!READ_ONCE(kvm->gmem.nr_requests))
		return 0;

	raw_spin_lock(&kvm->gmem.requests_lock);
	gmem = list_first_entry_or_null(&kvm->gmem.requests,
					struct kvm_gmem_vcpu, request_node);
	if (gmem)
		since = gmem->request_since_ns;
	raw_spin_unlock(&kvm->gmem.requests_lock);

	return since;
}
