// SPDX-License-Identifier: GPL-2.0-only
/*
 * fragment: bounds into how many ranges of private and shared memory a guest
 * may cut its memory.
 *
 * A range ends where the attribute changes, and each one costs the host memory
 * that it cannot reclaim, and time whenever it looks at the attributes.  For
 * each VM the places where the attribute changes are kept, exactly, from the
 * conversions that were done.  A conversion that would leave more than "ranges"
 * of them, and more than there are, fails with ENOSPC.  So does one that makes
 * any more while the host's memory for the VM's attributes is at "metadata".
 * One that makes fewer, or leaves as many, always passes, so a guest at its
 * limit can go on converting what is shared to private, and the same memory
 * again.  The bounds hold however many threads convert: where it matters who of
 * them comes first they wait for each other, a tenth of a millisecond at a time.
 *
 * It is fair between VMs: each has its own limit.  Within a VM who asks first
 * gets the range.
 *
 * It cannot know what was converted before it was attached, or while no memslot
 * had it.  Of a VM that has private memory by then it takes all else to be private
 * too, as VMMs make it at the start: ranges that are there already are not counted,
 * but nothing that the guest does from then on is missed.  It begins anew in that way when
 * policies were switched off for a while, and with a VM that gets a state of
 * its own later than others.  It does not know how many ranges a guest needs:
 * Linux guests with SEV-SNP share up to two pages for each vCPU, which is up to
 * 4 ranges; leave room for them.  Conversions that were under way when it came
 * may go beyond the limit, each by two, and one that finds the memory for
 * attributes below "metadata" may bring it above.  In audit mode, where nothing
 * holds a guest, it counts up to 2,047.  VMs beyond the first 16,384
 * are not bounded as long as there are so many.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "fragment.h"

char _license[] SEC("license") = "GPL";

GMEM_PARAMS(struct fragment_params,
	    "bound the ranges of private and shared memory, per VM",
	    "a conversion that would make another range fails with ENOSPC") = {
	.ranges = 512,
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct fragment_state fragment;
};

GMEM_VM_STATE(vms, struct vm_state);

SEC("struct_ops/vm_init")
void BPF_PROG(fragment_vm_init, struct kvm *kvm)
{
	struct vm_state *vm = gmem_vm_state(vms, kvm);

	if (vm)
		fragment_init(&vm->fragment, &vm->lock, kvm);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(fragment_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(fragment_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct fragment_params *params = gmem_params();
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);
	u64 answer, others;
	bool more;

	if (!vm) {
		/* There may be room now that there was none in vm_init. */
		gmem_vm_state(vms, kvm);
		vm = gmem_vm_state_own(vms, kvm);
		if (!vm)
			return gmem_allow();
	}
	fragment_init(&vm->fragment, &vm->lock, kvm);

	bpf_spin_lock(&vm->lock);
	answer = fragment_ask(&vm->fragment, params, convert, &more);
	others = vm->fragment.under_way;
	if (answer == FRAGMENT_PASSES)
		fragment_promise(&vm->fragment);
	bpf_spin_unlock(&vm->lock);
	if (answer != FRAGMENT_PASSES || !more)
		return fragment_verdict(answer, convert);

	/* Those that end meanwhile have taken their memory by then. */
	answer = fragment_affords(params, kvm, others);
	if (answer != FRAGMENT_PASSES) {
		bpf_spin_lock(&vm->lock);
		fragment_end(&vm->fragment);
		bpf_spin_unlock(&vm->lock);
	}

	return fragment_verdict(answer, convert);
}

SEC("struct_ops/convert_end")
void BPF_PROG(fragment_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (!vm)
		return;
	bpf_spin_lock(&vm->lock);
	fragment_end(&vm->fragment);
	bpf_spin_unlock(&vm->lock);
}

SEC("struct_ops/invalidate")
void BPF_PROG(fragment_invalidate, struct kvm *kvm,
	      const struct kvm_gmem_invalidate *invalidate)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (vm)
		fragment_note(&vm->fragment, &vm->lock, kvm, invalidate);
}

GMEM_POLICY(fragment) = {
	.vm_init = (void *)fragment_vm_init,
	.vm_exit = (void *)fragment_vm_exit,
	.convert = (void *)fragment_convert,
	.convert_end = (void *)fragment_convert_end,
	.invalidate = (void *)fragment_invalidate,
	.name = "fragment",
};
