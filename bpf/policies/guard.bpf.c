// SPDX-License-Identifier: GPL-2.0-only
/*
 * guard: the policy to start with.  It is ratelimit, quota, pingpong, fragment,
 * faultrate and sharedcap in one, with limits that a guest which boots and
 * works as guests do does not reach, and that bound one which does not.
 *
 * What each part does is said in its own file; here only their most important
 * parameters can be set.  The parts are asked together: a conversion is noted
 * by none of them before all of them let it go on.  What is too often is
 * delayed, never refused.  What is refused is memory that a guest is not to
 * have: ranges beyond "ranges" (ENOSPC), shared memory beyond "shared_percent"
 * once "shared_grace" is over (EDQUOT), private memory beyond "populated", or
 * any while "stale_percent" of its memory is stale, for longer than a second
 * (EDQUOT).
 *
 * However large a VM is, it may start: making its memory private for the first
 * time costs none of "page_rate", and each vCPU may have 4 ranges beside
 * "ranges", for the pages that it shares with the host, up to 2,000 in all.
 *
 * It is fair between VMs: each has its own limits, buckets and tables.  Within
 * a VM threads that have to wait are served in the order in which they came.
 *
 * It cannot stop what its parts cannot: see their files.  Its limits are wide;
 * a guest that stays below all of them at the same time still costs the host
 * some 1,000 conversions a second.  A VM with more than 372 vCPUs whose kernel
 * shares two pages for each of them may need more than 2,000 ranges, and there
 * are no more.  VMs beyond the first 16,384 share one state, and what they cut
 * their memory into is not bounded; a VM that gets a state of its own later
 * begins then.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "faultrate.h"
#include "fragment.h"
#include "pingpong.h"
#include "quota.h"
#include "ratelimit.h"
#include "sharedcap.h"

char _license[] SEC("license") = "GPL";

struct guard_params {
	GMEM_PARAM(u64, conversion_rate, "conversions/s", 1, 1000000000,
		   "conversions that a VM gets per second");
	GMEM_PARAM(u64, conversion_burst, "conversions", 1, 1000000000,
		   "conversions that a VM may save up, as for its boot");
	GMEM_PARAM(u64, page_rate, "pages/s", 0, 1000000000,
		   "pages that a VM may convert per second; 0: no limit");
	GMEM_PARAM(u64, page_burst, "pages", 0, 1000000000,
		   "pages that a VM may save up, as for its boot");
	GMEM_PARAM(u64, turns_free, "turns", 0, 1000000,
		   "turns back and forth of the same 2 MiB, each within a second, that cost nothing");
	GMEM_PARAM(u64, turn_delay, "ms", 1, 3600000,
		   "longest delay of such a turn");
	GMEM_PARAM(u64, ranges, "ranges", 2, 2000,
		   "ranges of private and shared memory that a VM may be cut into, beside 4 for each vCPU");
	GMEM_PARAM(u64, fault_rate, "pages/s", 1, 1000000000,
		   "private pages that a VM may allocate per second, once it has had all of its memory");
	GMEM_PARAM(u64, fault_burst, "pages", 0, 1000000000,
		   "pages that a VM may save up; 0: a quarter of fault_rate");
	GMEM_PARAM(u64, populated, "MiB", 0, 1073741824,
		   "private memory that a VM may have populated; 0: no ceiling");
	GMEM_PARAM(u64, stale_percent, "percent", 0, 100,
		   "stale part of its memory at which a VM gets no more; 100: no ceiling");
	GMEM_PARAM(u64, shared_percent, "percent", 0, 100,
		   "part of its memory that a VM may share; 100: no cap");
	GMEM_PARAM(u64, shared_grace, "s", 0, 86400,
		   "time after the start of a VM in which it may share anything");
};

GMEM_PARAMS(struct guard_params,
	    "the one to start with: bounds on all that a guest can do, with safe defaults",
	    "conversions and faults beyond a rate take longer; ranges beyond the bound fail with ENOSPC, shared or private memory beyond it with EDQUOT") = {
	.conversion_rate = 1000,
	.conversion_burst = 65536,
	/* 4 GiB a second, and 256 GiB at once. */
	.page_rate = 1048576,
	.page_burst = 67108864,
	.turns_free = 64,
	.turn_delay = 100,
	.ranges = 512,
	.fault_rate = 65536,
	.stale_percent = 50,
	.shared_percent = 50,
	.shared_grace = 120,
};

/* Ranges for the pages that the kernels of guests share for each vCPU. */
#define GUARD_VCPU_RANGES	4
/*
 * Conversions of fewer pages are not looked at as memory that is private for
 * the first time: they reach the limit on conversions first.
 */
#define GUARD_LARGE_PAGES	512

/**
 * struct vm_state - what is known of a VM
 * @lock: protects the rest
 * @born: when it came under the policy, in ns, 0 before
 * @granted: pages that became private free of charge, or that were by then
 * @shared: what became shared
 */
struct vm_state {
	struct bpf_spin_lock lock;
	u64 born;
	u64 granted;
	struct gmem_account shared;
	struct quota_state quota;
	struct faultrate_state faults;
	struct ratelimit_buckets limits;
	struct gmem_toggles toggles;
	struct fragment_state fragment;
};

GMEM_VM_STATE(vms, struct vm_state);

static __always_inline void guard_begin(struct vm_state *vm, struct kvm *kvm,
					u64 now)
{
	vm->born = now;
	pingpong_init(&vm->toggles);
	/* What VMs share cannot say which memory is whose. */
	vm = gmem_vm_state_own(vms, kvm);
	if (!vm)
		return;
	quota_init(&vm->quota, &vm->lock, kvm);
	sharedcap_init(&vm->shared, &vm->lock, kvm);
	fragment_init(&vm->fragment, &vm->lock, kvm);
}

/* The state of a VM; it may be made later than in vm_init, and begins then. */
static __always_inline struct vm_state *guard_state(struct kvm *kvm, u64 now)
{
	struct vm_state *vm = gmem_vm_state(vms, kvm);

	if (vm && !vm->born)
		guard_begin(vm, kvm, now);
	return vm;
}

/*
 * Reads how much memory a VM has and how much of it was private, if this
 * conversion may be that of a VMM which makes memory private at the start.
 */
static __always_inline void
guard_look(struct kvm *kvm, const struct kvm_gmem_convert *convert, u64 *size,
	   u64 *was_private)
{
	struct kvm_gmem_usage usage;

	*size = *was_private = 0;
	if (!gmem_is_private(convert) ||
	    convert->end - convert->start < GUARD_LARGE_PAGES ||
	    bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return;
	*size = usage.size_pages;
	*was_private = usage.pages_to_private;
}

SEC("struct_ops/vm_init")
void BPF_PROG(guard_vm_init, struct kvm *kvm)
{
	guard_state(kvm, bpf_ktime_get_ns());
}

SEC("struct_ops/vm_exit")
void BPF_PROG(guard_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(guard_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct guard_params *params = gmem_params();
	struct ratelimit_params rates = {
		.rate = params->conversion_rate,
		.burst = params->conversion_burst,
		.page_rate = params->page_rate,
		.page_burst = params->page_burst,
		.action = GMEM_ACTION_DELAY,
	};
	struct sharedcap_params cap = {
		.grace = params->shared_grace,
		.percent = params->shared_percent,
		.last_gfn = SHAREDCAP_LAST_GFN,
	};
	struct gmem_toggle_limit turns = {
		.window = NSEC_PER_SEC,
		.free = params->turns_free,
		.first = NSEC_PER_MSEC,
		.most = params->turn_delay * NSEC_PER_MSEC,
	};
	struct fragment_params cut = {
		.ranges = gmem_min(params->ranges + GUARD_VCPU_RANGES *
						    (u64)kvm->created_vcpus,
				   FRAGMENT_MAX),
	};
	u64 private = gmem_is_private(convert), gfn = convert->start;
	u64 now = bpf_ktime_get_ns(), task = gmem_caller();
	struct vm_state *vm = guard_state(kvm, now);
	u64 wait, turn, size, was_private, granted;
	struct sharedcap_ask share;
	struct gmem_toggle *toggle;
	struct ratelimit_ask ask;
	u64 pieces = 0;
	bool more;

	if (!vm)
		return gmem_allow();

	/* There is no wrong place. */
	sharedcap_look(&share, &vm->shared, kvm, convert, &cap, vm->born, now);
	guard_look(kvm, convert, &size, &was_private);

	bpf_spin_lock(&vm->lock);
	if (!sharedcap_allows(&share, &vm->shared)) {
		bpf_spin_unlock(&vm->lock);
		return gmem_deny(EDQUOT);
	}
	if (vm->fragment.known)
		pieces = fragment_ask(&vm->fragment, &cut, convert, &more);
	pieces = gmem_forget(pieces, &vm->born);
	if (pieces != FRAGMENT_PASSES) {
		bpf_spin_unlock(&vm->lock);
		return fragment_verdict(pieces, convert);
	}
	ratelimit_begin(&ask, &vm->limits, &rates, convert, task, now);
	granted = gmem_max(vm->granted, was_private) + ask.pages;
	if (granted <= size)
		ask.pages = 0;
	else
		granted = vm->granted;
	/*
	 * A VMM may also make frames private that no memory is behind.  It is
	 * not to leave a debt which the guest has to work off.
	 */
	if (private)
		ask.pages = gmem_min(ask.pages, rates.page_burst ?:
						rates.page_rate / 4);
	ask.pages = gmem_forget(ask.pages, &vm->born);
	toggle = &vm->toggles.entries[gmem_toggles_find(&vm->toggles, gfn)];
	turn = gmem_toggle_wait(toggle, &turns, gfn, private, now);
	wait = ratelimit_wait(&ask, &vm->limits, &rates, now);
	if (wait) {
		wait = ratelimit_queue(&ask, &vm->limits, task, wait, now);
	} else if (!turn) {
		ratelimit_spend(&ask, &vm->limits, &rates);
		vm->granted = granted;
		gmem_toggle_note(toggle, &turns, gfn, private, now);
		sharedcap_promise(&share, &vm->shared);
		fragment_promise(&vm->fragment);
	}
	bpf_spin_unlock(&vm->lock);

	wait = gmem_max(wait, turn);
	return wait ? gmem_delay(wait) : gmem_allow();
}

SEC("struct_ops/convert_end")
void BPF_PROG(guard_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (!vm)
		return;
	bpf_spin_lock(&vm->lock);
	sharedcap_end(convert, &vm->shared, changed);
	fragment_end(&vm->fragment);
	bpf_spin_unlock(&vm->lock);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(guard_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	const struct guard_params *params = gmem_params();
	struct quota_params ceilings = {
		.populated = params->populated,
		.stale_percent = params->stale_percent,
		.grace = 1000,
		.error = EDQUOT,
	};
	struct faultrate_params rate = {
		.rate = params->fault_rate,
		.burst = params->fault_burst,
		.first_touch = 1,
		.action = GMEM_ACTION_DELAY,
	};
	u64 now = bpf_ktime_get_ns();
	struct vm_state *vm = guard_state(kvm, now);
	s64 verdict;

	if (!vm)
		return gmem_allow();

	verdict = quota_fault(kvm, fault, &ceilings, &vm->lock, &vm->quota, now);
	if (verdict)
		return verdict;

	verdict = faultrate_fault(kvm, fault, &rate, &vm->lock, &vm->faults,
				  now);
	if (verdict)
		quota_end(fault, &vm->lock, &vm->quota, 0);
	return verdict;
}

SEC("struct_ops/fault_end")
void BPF_PROG(guard_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (vm)
		quota_end(fault, &vm->lock, &vm->quota, allocated);
}

SEC("struct_ops/invalidate")
void BPF_PROG(guard_invalidate, struct kvm *kvm,
	      const struct kvm_gmem_invalidate *invalidate)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (vm)
		fragment_note(&vm->fragment, &vm->lock, kvm, invalidate);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops guard = {
	.vm_init = (void *)guard_vm_init,
	.vm_exit = (void *)guard_vm_exit,
	.fault = (void *)guard_fault,
	.fault_end = (void *)guard_fault_end,
	.convert = (void *)guard_convert,
	.convert_end = (void *)guard_convert_end,
	.invalidate = (void *)guard_invalidate,
	.name = "guard",
};
