// SPDX-License-Identifier: GPL-2.0-only
/*
 * faultrate: bounds how many private pages a VM asks for per second, by page
 * faults, prefault, populate and fallocate.
 *
 * Each VM has a token bucket that holds "burst" tokens, starts full, and gains
 * "rate" tokens a second.  A page that is asked for costs one.  When they are
 * not there, the action "delay" makes the request wait, and "deny" fails it
 * with EBUSY.  With "first_touch=free" a VM gets as many pages free of charge
 * as it has memory that was never populated: it may start and touch all of its
 * memory once, as fast as it can.  With "present=free" a fault that finds its
 * page there, because only its mapping went away, costs nothing.
 *
 * It is fair between VMs: no VM can take or use up another one's tokens.  It
 * is fair within a VM under "delay": vCPUs are served in the order in which
 * they came, as long as no more than 16 wait.
 *
 * It cannot stop a hole from being punched; it bounds how fast the hole is
 * filled again.  A request for a range costs all of its pages, even those that
 * are there, and so does a fault that is to take a huge folio, even if it gets a
 * page.  "first_touch=free" counts pages, not which ones: pages that are punched
 * out and asked for again before all memory was touched use it up, and are paid
 * for later.  VMs beyond the first 16,384 share one bucket.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "faultrate.h"

char _license[] SEC("license") = "GPL";

GMEM_PARAMS(struct faultrate_params,
	    "limit private pages asked for per second, per VM",
	    "delay: touching memory takes longer; deny: the vCPU stops with EBUSY and a memory fault, fallocate and prefault fail with EBUSY") = {
	.rate = 50000,
	.first_touch = 1,
	.present = 1,
	.action = GMEM_ACTION_DELAY,
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct faultrate_state faults;
};

GMEM_VM_STATE(vms, struct vm_state);

SEC("struct_ops/vm_init")
void BPF_PROG(faultrate_vm_init, struct kvm *kvm)
{
	gmem_vm_state(vms, kvm);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(faultrate_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(faultrate_fault_hook, struct kvm *kvm,
	     const struct kvm_gmem_fault *fault)
{
	const struct faultrate_params *params = gmem_params();
	struct vm_state *vm = gmem_vm_state(vms, kvm);

	if (!vm)
		return gmem_allow();
	return faultrate_fault(kvm, fault, params, &vm->lock, &vm->faults,
			       bpf_ktime_get_ns());
}

SEC(".struct_ops.link")
struct kvm_gmem_ops faultrate = {
	.vm_init = (void *)faultrate_vm_init,
	.vm_exit = (void *)faultrate_vm_exit,
	.fault = (void *)faultrate_fault_hook,
	.name = "faultrate",
};
