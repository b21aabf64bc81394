// SPDX-License-Identifier: GPL-2.0-only
/*
 * ratelimit: bounds how many conversions between private and shared memory a
 * VM gets per second.
 *
 * Each VM has a token bucket.  It holds "burst" tokens, starts full, and gains
 * "rate" tokens a second; a conversion costs one, whatever its size and its
 * direction.  When the bucket is empty, the action "deny" fails the conversion
 * with EBUSY, and "delay" makes it wait for its token.  A conversion that is
 * denied or interrupted costs nothing.
 *
 * It is fair between VMs: no VM can take or use up another one's tokens.  It
 * is fair within a VM under "delay": threads are served in the order in which
 * they came, as long as no more than 16 wait; beyond that it is chance who is
 * among the 16.  Under "deny" the thread that asks most often gets most.
 *
 * It cannot stop a guest that converts seldom but much at a time: a conversion
 * of the whole memory costs one token like that of a page.  It does not look
 * at page faults or hole punching.  VMs beyond the first 16,384 share one
 * bucket.  It cannot know what a policy that is asked after it says: if that
 * one denies or delays, the token is spent all the same.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

struct ratelimit_params {
	GMEM_PARAM(u64, rate, "conversions/s", 1, 1000000000,
		   "tokens that a VM gains per second");
	GMEM_PARAM(u64, burst, "conversions", 0, 1000000000,
		   "tokens that a VM may save up; 0: a quarter of the rate, at least 1");
	GMEM_PARAM_CHOICE(u64, action, "deny=0,delay=1",
			  "what happens when there is no token");
};

GMEM_PARAMS(struct ratelimit_params, "limit conversions per second, per VM",
	    "deny: the conversion fails with EBUSY; delay: it takes longer") = {
	.rate = 1000,
	.action = GMEM_ACTION_DENY,
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct gmem_bucket bucket;
	struct gmem_queue queue;
};

GMEM_VM_STATE(vms, struct vm_state);

SEC("struct_ops.s/vm_init")
void BPF_PROG(ratelimit_vm_init, struct kvm *kvm)
{
	gmem_vm_state(vms, kvm);
}

SEC("struct_ops.s/vm_exit")
void BPF_PROG(ratelimit_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(ratelimit_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct ratelimit_params *params = gmem_params();
	u64 rate = params->rate, burst = params->burst;
	struct gmem_limit limit = gmem_limit(rate, burst ? burst : rate / 4);
	bool delay = params->action == GMEM_ACTION_DELAY;
	struct vm_state *vm = gmem_vm_state(vms, kvm);
	u64 task = gmem_caller();
	u64 now = bpf_ktime_get_ns();
	u64 wait;

	if (!vm)
		return gmem_allow();

	bpf_spin_lock(&vm->lock);
	if (delay)
		wait = gmem_bucket_take_turn(&vm->bucket, &vm->queue, &limit,
					     task, 1, now);
	else
		wait = gmem_bucket_take(&vm->bucket, &limit, 1, now);
	bpf_spin_unlock(&vm->lock);

	if (!wait)
		return gmem_allow();
	return delay ? gmem_delay(wait) : gmem_deny(EBUSY);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops ratelimit = {
	.vm_init = (void *)ratelimit_vm_init,
	.vm_exit = (void *)ratelimit_vm_exit,
	.convert = (void *)ratelimit_convert,
	.name = "ratelimit",
};
