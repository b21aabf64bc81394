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
 * It is fair between VMs: each has its own ceilings.  Within a VM who asks
 * first gets the page.
 *
 * It cannot make a VM give memory back.  It does not refuse conversions: memory
 * that is populated can become stale at any time, so there can be more of it
 * than the ceiling, though never more than was populated.  What is on its way
 * when room runs out may go beyond the ceiling: one request for each vCPU, 64
 * pages for stale memory.  A ceiling that is set anew while the policy is in
 * force bites after 64 pages at most.  A request for a range, as by fallocate,
 * counts in full, even if some of its pages are there.  The memory that AMD's
 * SEV code takes for itself is not asked for.  VMs beyond the first 16,384
 * share one state, so they may be refused or let pass by what another one has.
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

SEC("struct_ops.s/vm_init")
void BPF_PROG(quota_vm_init, struct kvm *kvm)
{
	gmem_vm_state(vms, kvm);
}

SEC("struct_ops.s/vm_exit")
void BPF_PROG(quota_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(quota_fault_hook, struct kvm *kvm,
	     const struct kvm_gmem_fault *fault)
{
	const struct quota_params *params = gmem_params();
	struct vm_state *vm = gmem_vm_state(vms, kvm);

	if (!vm)
		return gmem_allow();
	return quota_fault(kvm, fault, params, &vm->lock, &vm->quota,
			   bpf_ktime_get_ns());
}

SEC(".struct_ops.link")
struct kvm_gmem_ops quota = {
	.vm_init = (void *)quota_vm_init,
	.vm_exit = (void *)quota_vm_exit,
	.fault = (void *)quota_fault_hook,
	.name = "quota",
};
