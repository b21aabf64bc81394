// SPDX-License-Identifier: GPL-2.0-only
/*
 * quota: ceilings per VM on private memory: how much of it may be populated,
 * and how much may be stale, that is populated but out of the guest's reach.
 *
 * A request for private pages that would bring populated memory beyond
 * "populated" finds no room; nor does any while there is as much stale memory
 * as "stale" or "stale_percent" says.  It is delayed, and tried again every
 * 10 ms, until there is room or the VM has been without room for "grace".
 * From then on requests are refused with "error", until the VMM has punched out
 * enough.  A fault on a page that is there already always passes.
 *
 * "populated" is exact: the pages of a request that is let pass are its own
 * until it has ended, so no number of threads gets more, in whatever order they
 * come.  A ceiling that is set anew holds at once; the stale ones bite after 64
 * pages at most.
 *
 * It is fair between VMs: each has its own ceilings.  Within a VM who asks
 * first gets the page.
 *
 * It cannot make a VM give memory back.  It does not refuse conversions: memory
 * that is populated can become stale at any time, so there can be more of it
 * than the ceiling, though never more than was populated.  It cannot know of
 * requests that it was not asked about before they have allocated: those that
 * were under way when it came, or passed while policies were switched off.  No
 * request waits longer than gmem_delay_total_max_ms, 10 s, whatever "grace" is:
 * it is refused then.  A request for a range, as by fallocate, counts in full until it has
 * ended, even if some of its pages are there.  Memory that the architecture
 * takes for itself, as AMD's SEV code does, counts as well, and is refused
 * without a delay.  VMs beyond the first 16,384 are held to what the kernel
 * counts: requests of such a VM that are under way at the same moment may go
 * beyond, and one that waits may be refused since another VM has waited.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "quota.h"

char _license[] SEC("license") = "GPL";

GMEM_PARAMS(struct quota_params,
	    "ceilings on populated and on stale private memory, per VM",
	    "faults take longer, then the vCPU stops with the errno and a memory fault; fallocate and prefault fail with it") = {
	.stale_percent = 50,
	.grace = 1000,
	.error = EDQUOT,
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct quota_state quota;
};

GMEM_VM_STATE(vms, struct vm_state);

/* The state of a VM; it may be made later than in vm_init. */
static __always_inline struct vm_state *quota_state(struct kvm *kvm)
{
	struct vm_state *vm = gmem_vm_state(vms, kvm), *own;

	if (!vm || vm->quota.account.known)
		return vm;
	/* What VMs share is of none of them. */
	own = gmem_vm_state_own(vms, kvm);
	if (own)
		quota_init(&own->quota, &own->lock, kvm);
	return vm;
}

SEC("struct_ops/vm_init")
void BPF_PROG(quota_vm_init, struct kvm *kvm)
{
	quota_state(kvm);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(quota_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(quota_fault_hook, struct kvm *kvm,
	     const struct kvm_gmem_fault *fault)
{
	const struct quota_params *params = gmem_params();
	struct vm_state *vm = quota_state(kvm);

	if (!vm)
		return gmem_allow();
	return quota_fault(kvm, fault, params, &vm->lock, &vm->quota,
			   bpf_ktime_get_ns());
}

SEC("struct_ops/fault_end")
void BPF_PROG(quota_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (vm)
		quota_end(fault, &vm->lock, &vm->quota, allocated);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops quota = {
	.vm_init = (void *)quota_vm_init,
	.vm_exit = (void *)quota_vm_exit,
	.fault = (void *)quota_fault_hook,
	.fault_end = (void *)quota_fault_end,
	.name = "quota",
};
