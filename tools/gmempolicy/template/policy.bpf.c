// SPDX-License-Identifier: GPL-2.0-only
/*
 * @NAME@: refuses conversions of too many pages at once.
 *
 * This is a whole policy, small enough to be read in one go.  Say here what it
 * does, to whom it is fair, and what it cannot stop; then make it your own.
 *
 * "make" builds it, "make check" asks the kernel whether it accepts it, and
 * "make test" attaches it and takes it away again.
 */

/* The kernel's types, from its BTF; "make" writes that file. */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Verdicts, state per VM, parameters.  Each of them is explained in there. */
#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

/*
 * What an operator can set, before and while the policy is in force:
 *	gmempolicy attach @NAME@.bpf.o --all --set max_pages=512
 *	gmempolicy set @NAME@-all max_pages=1024
 * gmempolicy finds names, units and ranges in the object file.
 */
struct policy_params {
	GMEM_PARAM(u64, max_pages, "pages", 1, 1000000000,
		   "largest conversion that passes");
};

GMEM_PARAMS(struct policy_params, "refuse conversions of too many pages at once",
	    "the conversion fails with EPERM") = {
	.max_pages = 262144,
};

/*
 * What the policy remembers of each VM.  It starts as all zeroes.  A VM may
 * have several vCPUs in here at once: use a lock, or atomic operations as below.
 */
struct vm_state {
	u64 refused;
};

GMEM_VM_STATE(vms, struct vm_state);

/* A VM comes under the policy: it is new, or the policy is. */
SEC("struct_ops/vm_init")
void BPF_PROG(@NAME@_vm_init, struct kvm *kvm)
{
	gmem_vm_state(vms, kvm);
}

/* A VM ends, or the policy does. Without this the map would fill up. */
SEC("struct_ops/vm_exit")
void BPF_PROG(@NAME@_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

/*
 * The guest wants pages from "start" up to "end" to become private or shared.
 * There is a hook like this for page faults, too, and for each of the two one
 * that tells how it ended: see struct kvm_gmem_ops.
 *
 * Return gmem_allow(), gmem_deny() with one of the errnos in gmem.bpf.h, or
 * gmem_delay() with nanoseconds; after those the policy is asked again.
 */
SEC("struct_ops.s/convert")
s64 BPF_PROG(@NAME@_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	/* Ask once for each event: that is one set of values from end to end. */
	const struct policy_params *params = gmem_params();
	u64 pages = convert->end - convert->start;
	struct vm_state *vm;

	if (pages <= params->max_pages)
		return gmem_allow();

	vm = gmem_vm_state(vms, kvm);
	if (vm)
		__sync_fetch_and_add(&vm->refused, 1);
	return gmem_deny(EPERM);
}

/* This makes it a policy.  Leave members out that it has no program for. */
SEC(".struct_ops.link")
struct kvm_gmem_ops @NAME@_policy = {
	.vm_init = (void *)@NAME@_vm_init,
	.vm_exit = (void *)@NAME@_vm_exit,
	.convert = (void *)@NAME@_convert,
	.name = "@NAME@",
};
