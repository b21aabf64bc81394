// SPDX-License-Identifier: GPL-2.0-only
/*
 * pingpong: slows a guest that converts the same memory back and forth.
 *
 * A block is 2 MiB.  A conversion that begins in a block which was last
 * converted the other way is a turn of that block.  Turns that come within
 * "window" of each other add up; for each "window" without one, one is
 * forgotten.  The first "free" cost nothing.  The next one is delayed by
 * "first_delay", each one after it twice as long as the one before, up to
 * "most_delay": so a block that never rests turns once every "most_delay".
 *
 * Nothing else is slowed: converting a block for the first time, or the same
 * way again, as firmware and kernels do when a guest boots, is free, however
 * often it happens.
 *
 * With "whose" it looks at what the guest asked for, or at the rest, as if there
 * was nothing else: a block that the VMM alone turns back turns once.
 *
 * It is fair between VMs: each has a table of its own.  Within a VM it is fair
 * to all but the threads that convert the same block; they wait for each
 * other's delays.
 *
 * It cannot stop a guest that spreads its turns.  The table has 16 sets of 4
 * entries.  A block belongs to one of the sets, by a hash that is secret to the
 * guest, and a set knows the 4 of its blocks that were converted last.  Of
 * blocks that are converted in turn, all those of a set with more than 4 are
 * not recognised: of up to 4 blocks none, of 32 at random places 4 on the
 * average, of 64 in one piece 24, and of 64 at random places 35.  It looks at
 * where a conversion begins, so one that begins in another block each time is
 * not recognised either.  It does not bound how much is converted; that is what
 * ratelimit is for.  VMs beyond the first 16,384 share one table.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "pingpong.h"

char _license[] SEC("license") = "GPL";

GMEM_PARAMS(struct pingpong_params,
	    "slow the conversion of the same memory back and forth",
	    gmem_by_source("conversions take longer and longer, up to most_delay each",
			   "conversions fail with EBUSY for longer and longer, up to most_delay each")) = {
	.window = 1000,
	.free = 32,
	.first_delay = 1000,
	.most_delay = 100,
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct gmem_toggles toggles;
};

GMEM_VM_STATE(vms, struct vm_state);

SEC("struct_ops/vm_init")
void BPF_PROG(pingpong_vm_init, struct kvm *kvm)
{
	struct vm_state *vm = gmem_vm_state(vms, kvm);

	if (vm)
		pingpong_init(&vm->toggles);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(pingpong_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(pingpong_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct pingpong_params *params = gmem_params();
	struct gmem_toggle_limit limit = pingpong_limit(params);
	u64 private = gmem_is_private(convert), gfn = convert->start;
	struct vm_state *vm = gmem_vm_state(vms, kvm);
	u64 now = bpf_ktime_get_ns();
	struct gmem_toggle *toggle;
	u64 wait;

	if (!vm || !gmem_is_whose(convert, params->whose))
		return gmem_allow();
	pingpong_init(&vm->toggles);

	bpf_spin_lock(&vm->lock);
	toggle = &vm->toggles.entries[gmem_toggles_find(&vm->toggles, gfn)];
	wait = gmem_toggle_wait(toggle, &limit, gfn, private, now);
	if (!wait)
		gmem_toggle_note(toggle, &limit, gfn, private, now);
	bpf_spin_unlock(&vm->lock);

	return wait ? gmem_delay(wait) : gmem_allow();
}

GMEM_POLICY(pingpong) = {
	.vm_init = (void *)pingpong_vm_init,
	.vm_exit = (void *)pingpong_vm_exit,
	.convert = (void *)pingpong_convert,
	.name = "pingpong",
};
