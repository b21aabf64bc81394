// SPDX-License-Identifier: GPL-2.0-only
/*
 * ratelimit: bounds how many conversions between private and shared memory a
 * VM gets per second, and how many pages they may convert.
 *
 * Each VM has token buckets.  One holds "burst" tokens, starts full, and gains
 * "rate" tokens a second; a conversion costs one.  The others are there if
 * their rate is not 0: for the pages of all conversions, and for the
 * conversions and the pages of each direction.  A conversion needs its tokens
 * of all of them.  When they are not there, the action "deny" fails it with
 * EBUSY, and "delay" makes it wait.  A conversion that is denied or interrupted
 * costs nothing.
 *
 * A conversion of more pages than a bucket holds waits until the bucket is
 * full, and leaves a debt that is earned back before the next one goes on. So
 * no conversion is too large, and the rate holds all the same.
 *
 * It is fair between VMs: no VM can take or use up another one's tokens.  It
 * is fair within a VM under "delay": threads are served in the order in which
 * they came, as long as no more than 16 wait; beyond that it is chance who is
 * among the 16.  Under "deny" the thread that asks most often gets most.
 *
 * A VMM makes all memory private when a guest starts; what that is beyond the
 * burst of pages is a debt, and the guest's first conversions wait for it, or are
 * refused, unless "whose" is "guest".  Then only what the guest asked for costs
 * tokens; with "vmm" only the rest does.
 *
 * It cannot stop a guest that converts seldom but much at a time, unless page_rate
 * is set.  Nor does it know of a request that a VMM answers with more around it:
 * that is the VMM's own.  It does not look at page faults or hole punching.  VMs
 * beyond the first 16,384 share one set of buckets.  It cannot know what a policy
 * that is asked after it says: if that one denies or delays, the token is spent
 * all the same.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "ratelimit.h"

char _license[] SEC("license") = "GPL";

GMEM_PARAMS(struct ratelimit_params,
	    "limit conversions and converted pages per second, per VM",
	    gmem_by_source("deny: the conversion fails with EBUSY; delay: it takes longer",
			   "the conversion fails with EBUSY")) = {
	.rate = 1000,
	.action = GMEM_ACTION_DENY,
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct ratelimit_buckets limits;
};

GMEM_VM_STATE(vms, struct vm_state);

SEC("struct_ops/vm_init")
void BPF_PROG(ratelimit_vm_init, struct kvm *kvm)
{
	gmem_vm_state(vms, kvm);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(ratelimit_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

/* With more limits than one, or with a queue. */
static __noinline s64 ratelimit_all_limits(struct vm_state *vm,
					   const struct ratelimit_params *params,
					   const struct kvm_gmem_convert *convert,
					   u64 now)
{
	bool delay = params->action == GMEM_ACTION_DELAY;
	u64 task = delay ? gmem_caller() : 0;
	struct ratelimit_ask ask;
	u64 wait;

	bpf_spin_lock(&vm->lock);
	ratelimit_begin(&ask, &vm->limits, params, convert, task, now);
	wait = ratelimit_wait(&ask, &vm->limits, params, now);
	if (!wait)
		ratelimit_spend(&ask, &vm->limits, params);
	else if (delay)
		wait = ratelimit_queue(&ask, &vm->limits, task, wait, now);
	bpf_spin_unlock(&vm->lock);

	if (!wait)
		return gmem_allow();
	return delay ? gmem_delay(wait) : gmem_deny(EBUSY);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(ratelimit_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct ratelimit_params *params = gmem_params();
	struct vm_state *vm = gmem_vm_state(vms, kvm);
	u64 now = bpf_ktime_get_ns();
	u64 wait;

	if (!vm || !gmem_is_whose(convert, params->whose))
		return gmem_allow();
	if (params->action == GMEM_ACTION_DELAY || ratelimit_has_more(params))
		return ratelimit_all_limits(vm, params, convert, now);

	/* The common case, which is to cost as little as it can. */
	bpf_spin_lock(&vm->lock);
	wait = ratelimit_take(&vm->limits, params, now);
	bpf_spin_unlock(&vm->lock);

	return wait ? gmem_deny(EBUSY) : gmem_allow();
}

GMEM_POLICY(ratelimit) = {
	.vm_init = (void *)ratelimit_vm_init,
	.vm_exit = (void *)ratelimit_vm_exit,
	.convert = (void *)ratelimit_convert,
	.name = "ratelimit",
};
