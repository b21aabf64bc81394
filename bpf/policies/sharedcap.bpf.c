// SPDX-License-Identifier: GPL-2.0-only
/*
 * sharedcap: once a guest has booted, bounds how much of its memory may be
 * shared, and from where.
 *
 * For "grace" after a VM came under the policy anything may be converted.  From
 * then on a conversion to shared fails with EACCES if any of it is outside of
 * the guest frames "first_gfn" to "last_gfn", and with EDQUOT if it would bring
 * the shared part of the VM's guest_memfds beyond "shared" or beyond "percent"
 * of their size, whichever is less.  What is shared already, and frames that no
 * memory is behind, do not count.  Conversions to private always pass.
 *
 * The cap is exact: the pages of a conversion that is let pass are its own until
 * it has ended, so no number of threads gets more.
 *
 * It is fair between VMs: each has its own cap.  Within a VM who asks first may
 * share.
 *
 * It cannot take back what was shared in the grace period.  A conversion counts
 * in full until it has ended for others that come meanwhile, even if some of it
 * is shared already.  A VM that
 * lived before the policy came has its grace period from then on, and so has
 * one for which there was no room among the first 16,384, when it gets a state
 * of its own; until then it shares the grace period of the first such VM, and
 * conversions that are under way at the same moment may go beyond the cap.
 */
#define GMEM_LSM_FRAMES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "sharedcap.h"

char _license[] SEC("license") = "GPL";

GMEM_PARAMS(struct sharedcap_params,
	    "after a time to boot, bound how much of a VM is shared, and where",
	    "a conversion to shared fails: EDQUOT if it is too much, EACCES if it is in the wrong place") = {
	.grace = 60,
	.percent = 50,
	.last_gfn = SHAREDCAP_LAST_GFN,
};

struct vm_state {
	struct bpf_spin_lock lock;
	u64 born;
	struct gmem_account shared;
};

GMEM_VM_STATE(vms, struct vm_state);

/* The grace period of a VM that got its state later begins then. */
static __always_inline struct vm_state *sharedcap_state(struct kvm *kvm, u64 now)
{
	struct vm_state *vm = gmem_vm_state(vms, kvm), *own;

	if (vm && !vm->born) {
		vm->born = gmem_vm_since(kvm, now);
		/* What VMs share is of none of them. */
		own = gmem_vm_state_own(vms, kvm);
		if (own)
			sharedcap_init(&own->shared, &own->lock, kvm);
	}
	return vm;
}

SEC("struct_ops/vm_init")
void BPF_PROG(sharedcap_vm_init, struct kvm *kvm)
{
	sharedcap_state(kvm, bpf_ktime_get_ns());
}

SEC("struct_ops/vm_exit")
void BPF_PROG(sharedcap_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(sharedcap_convert_hook, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct sharedcap_params *params = gmem_params();
	u64 now = bpf_ktime_get_ns();
	struct vm_state *vm = sharedcap_state(kvm, now);
	struct sharedcap_ask ask;
	s64 verdict;
	u64 answer;

	if (!vm)
		return gmem_allow();
	verdict = sharedcap_look(&ask, &vm->shared, kvm, convert, params,
				 vm->born, now);
	if (verdict)
		return verdict;

	bpf_spin_lock(&vm->lock);
	answer = sharedcap_allows(&ask, &vm->shared);
	if (answer == SHAREDCAP_PASSES)
		sharedcap_promise(&ask, &vm->shared);
	bpf_spin_unlock(&vm->lock);

	return sharedcap_verdict(answer, convert);
}

SEC("struct_ops/convert_end")
void BPF_PROG(sharedcap_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (!vm)
		return;
	bpf_spin_lock(&vm->lock);
	sharedcap_end(convert, &vm->shared, changed);
	bpf_spin_unlock(&vm->lock);
}

GMEM_POLICY(sharedcap) = {
	.vm_init = (void *)sharedcap_vm_init,
	.vm_exit = (void *)sharedcap_vm_exit,
	.convert = (void *)sharedcap_convert_hook,
	.convert_end = (void *)sharedcap_convert_end,
	.name = "sharedcap",
};
