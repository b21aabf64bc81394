// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches one VM closely: how long its faults and conversions take, and its
 * last conversions and verdicts.  Attached only while somebody looks, since it
 * runs at each of them.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gmem_abi.h"
#include "gmem_trace.h"
#include "gmem_vm.h"

/* KVM_GMEM_ASKED; BTF has no macros. */
#define CONVERT_ASKED	2

/* The VM, set before the program is loaded. */
const volatile __u64 vm_id = 0;

__u64 fault_hist[GMEM_HIST_LEN] = {};
__u64 convert_hist[GMEM_HIST_LEN] = {};

/* The last ones: number n is at n modulo the size. */
__u64 nr_events = 0;
struct gmem_event events[GMEM_EVENTS_MAX] = {};

static __always_inline __u64 log2_of(__u64 v)
{
	__u64 log2 = 0;
	int shift;

#pragma unroll
	for (shift = 32; shift; shift /= 2) {
		if (v >> shift) {
			v >>= shift;
			log2 += shift;
		}
	}
	return log2;
}

static __always_inline void count(__u64 *hist, __u64 ns)
{
	__u64 log2, bucket = ns;

	/* It began before anybody looked, and nobody knows how long it took. */
	if (!ns)
		return;
	if (ns >= GMEM_HIST_SUB) {
		log2 = log2_of(ns);
		bucket = (log2 - 2) * GMEM_HIST_SUB +
			 ((ns >> (log2 - 3)) & (GMEM_HIST_SUB - 1));
	}
	if (bucket < GMEM_HIST_LEN)
		__sync_fetch_and_add(&hist[bucket], 1);
}

/* The place of the next event, which becomes valid with its number. */
static __always_inline struct gmem_event *next_event(__u64 *nr)
{
	struct gmem_event *event;

	*nr = __sync_fetch_and_add(&nr_events, 1) + 1;
	event = &events[*nr & (GMEM_EVENTS_MAX - 1)];
	event->nr = 0;
	event->time_ns = bpf_ktime_get_ns();
	return event;
}

/*
 * The verifier takes every pointer that a module's tracepoint gives for one
 * that may be NULL.  None is.
 */

SEC("tp_btf/kvm_gmem_fault")
int BPF_PROG(on_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault,
	     bool present, u64 pfn, u32 order, int result, u64 duration_ns)
{
	if (kvm && gmem_vm_id(kvm) == vm_id)
		count(fault_hist, duration_ns);
	return 0;
}

SEC("tp_btf/kvm_gmem_convert")
int BPF_PROG(on_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert, u64 changed, int result,
	     u64 duration_ns)
{
	struct gmem_event *event;
	__u64 nr;

	if (!kvm || !convert || gmem_vm_id(kvm) != vm_id)
		return 0;
	count(convert_hist, duration_ns);
	event = next_event(&nr);
	event->kind = GMEM_EVENT_CONVERT;
	event->start = convert->start;
	event->end = convert->end;
	event->to_private = convert->attributes != 0;
	event->asked = !!(convert->flags & CONVERT_ASKED);
	event->pending_ns = convert->pending_ns;
	event->changed = changed;
	event->result = result;
	event->duration_ns = duration_ns;
	event->nr = nr;
	return 0;
}

SEC("tp_btf/kvm_gmem_verdict")
int BPF_PROG(on_verdict, struct kvm *kvm, const struct kvm_gmem_ops *ops,
	     u32 hook, s64 verdict, bool audit)
{
	struct gmem_event *event;
	__u64 nr;

	if (!kvm || !ops || gmem_vm_id(kvm) != vm_id)
		return 0;
	event = next_event(&nr);
	event->kind = GMEM_EVENT_VERDICT;
	event->hook = hook;
	event->verdict = verdict;
	event->audit = audit;
	gmem_copy_policy_name(event->policy, ops);
	event->nr = nr;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
