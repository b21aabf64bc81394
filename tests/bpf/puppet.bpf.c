// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy on strings: it answers what the test wrote into its globals and
 * records what it was told.  A test may load it several times; each copy has
 * its own globals.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem_kfuncs.h"
#include "gmem_vm.h"

char _license[] SEC("license") = "GPL";

/* Answers; a verdict with "times" >= 0 is given so often, then 0. */
__s64 fault_verdict = 0;
__s64 fault_times = -1;
__s64 convert_verdict = 0;
__s64 convert_times = -1;

/* While set, a fault stays in the hook, for as long as a program may loop. */
__u64 fault_hold = 0;

/* Records. */
__u64 asked_ns = 0;		/* when it was asked last */
__u64 asked_gap_ns = 0;		/* and how long after the time before */
__u64 vcpus_waited = 0;		/* invalidations told while vCPUs wait */
__u64 inits = 0;
__u64 exits = 0;
__u64 faults = 0;
__u64 converts = 0;
__u64 invalidates = 0;
__u64 out_of_order = 0;
__u64 fault_gfn = 0;
__u64 fault_index = 0;
__u64 fault_pages = 0;
__u32 fault_reason = 0;
__u32 fault_present = 0;
__u64 convert_start = 0;
__u64 convert_end = 0;
__u64 convert_attributes = 0;
__u64 convert_flags = 0;
__u64 convert_pending_ns = 0;
__u64 invalidated[5] = {};
__u64 freed = 0;
__u64 last_vm = 0;

/*
 * Of what was let pass: how often the end was told, of how many pages at the
 * question and at the end (both wrap around), and what the last one was.
 */
__u64 faults_passed = 0;
__u64 faults_ended = 0;
__u64 fault_pages_passed = 0;
__u64 fault_pages_ended = 0;
__u64 fault_allocated = 0;
__u64 fault_end_gfn = 0;
__u64 fault_end_index = 0;
__u64 fault_end_pages = 0;
__u64 fault_end_allocated = 0;
__s32 fault_end_result = 0;
__u32 fault_end_reason = 0;
__u64 converts_passed = 0;
__u64 converts_ended = 0;
__u64 convert_sum_passed = 0;
__u64 convert_sum_ended = 0;
__u64 converted = 0;
__u64 convert_end_start = 0;
__u64 convert_end_end = 0;
__u64 convert_end_attributes = 0;
__u64 convert_end_changed = 0;
__s32 convert_end_result = 0;

/* The first invalidations, whole, in the order in which they were told. */
__u64 told_start[10] = {};
__u64 told_end[10] = {};
__u64 told_freed[10] = {};
__u64 told_reason[10] = {};

/* The VMs between their vm_init and their vm_exit. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} vms SEC(".maps");

static void check_known(struct kvm *kvm)
{
	__u64 id = bpf_kvm_gmem_vm_id(kvm);

	last_vm = id;
	if (!bpf_map_lookup_elem(&vms, &id))
		__sync_fetch_and_add(&out_of_order, 1);
}

SEC("struct_ops/vm_init")
void BPF_PROG(puppet_vm_init, struct kvm *kvm)
{
	__u64 id = bpf_kvm_gmem_vm_id(kvm);

	if (bpf_map_update_elem(&vms, &id, &id, BPF_NOEXIST))
		__sync_fetch_and_add(&out_of_order, 1);
	__sync_fetch_and_add(&inits, 1);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(puppet_vm_exit, struct kvm *kvm)
{
	__u64 id = bpf_kvm_gmem_vm_id(kvm);

	if (bpf_map_delete_elem(&vms, &id))
		__sync_fetch_and_add(&out_of_order, 1);
	__sync_fetch_and_add(&exits, 1);
}

static void note_time(void)
{
	__u64 now = bpf_ktime_get_ns();

	asked_gap_ns = now - asked_ns;
	asked_ns = now;
}

static s64 answer(__s64 verdict, __s64 *times)
{
	if (*times < 0)
		return verdict;
	if (!*times)
		return 0;
	__sync_fetch_and_add(times, -1);
	return verdict;
}

static long still_held(__u64 i, void *ctx)
{
	return !*(volatile __u64 *)&fault_hold;
}

/* One loop is over in a tenth of a second. */
static long hold(__u64 i, void *ctx)
{
	bpf_loop(1 << 23, still_held, NULL, 0);
	return !*(volatile __u64 *)&fault_hold;
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(puppet_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	s64 verdict;

	check_known(kvm);
	fault_gfn = fault->gfn;
	fault_index = fault->index;
	fault_pages = fault->nr_pages;
	fault_reason = fault->reason;
	fault_present = bpf_kvm_gmem_fault_present(fault);
	note_time();
	__sync_fetch_and_add(&faults, 1);
	bpf_loop(100, hold, NULL, 0);
	verdict = answer(fault_verdict, &fault_times);
	if (!verdict) {
		__sync_fetch_and_add(&faults_passed, 1);
		__sync_fetch_and_add(&fault_pages_passed, fault->nr_pages);
	}
	return verdict;
}

SEC("struct_ops/fault_end")
void BPF_PROG(puppet_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
	check_known(kvm);
	fault_end_gfn = fault->gfn;
	fault_end_index = fault->index;
	fault_end_pages = fault->nr_pages;
	fault_end_reason = fault->reason;
	fault_end_allocated = allocated;
	fault_end_result = result;
	__sync_fetch_and_add(&fault_pages_ended, fault->nr_pages);
	__sync_fetch_and_add(&fault_allocated, allocated);
	__sync_fetch_and_add(&faults_ended, 1);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(puppet_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	s64 verdict;

	check_known(kvm);
	convert_start = convert->start;
	convert_end = convert->end;
	convert_attributes = convert->attributes;
	convert_flags = convert->flags;
	convert_pending_ns = convert->pending_ns;
	note_time();
	__sync_fetch_and_add(&converts, 1);
	verdict = answer(convert_verdict, &convert_times);
	if (!verdict) {
		__sync_fetch_and_add(&converts_passed, 1);
		__sync_fetch_and_add(&convert_sum_passed,
				     convert->start + convert->end);
	}
	return verdict;
}

SEC("struct_ops/convert_end")
void BPF_PROG(puppet_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	check_known(kvm);
	convert_end_start = convert->start;
	convert_end_end = convert->end;
	convert_end_attributes = convert->attributes;
	convert_end_changed = changed;
	convert_end_result = result;
	__sync_fetch_and_add(&convert_sum_ended, convert->start + convert->end);
	__sync_fetch_and_add(&converted, changed);
	__sync_fetch_and_add(&converts_ended, 1);
}

SEC("struct_ops/invalidate")
void BPF_PROG(puppet_invalidate, struct kvm *kvm,
	      const struct kvm_gmem_invalidate *invalidate)
{
	__u32 reason = invalidate->reason;
	__u64 nr;

	check_known(kvm);
	/* Keep the compiler from reading it anew after the check. */
	barrier_var(reason);
	if (reason < 5)
		__sync_fetch_and_add(&invalidated[reason], 1);
	__sync_fetch_and_add(&freed, invalidate->pages_freed);
	if (gmem_kvm_is_known(kvm) && kvm->mmu_invalidate_in_progress)
		__sync_fetch_and_add(&vcpus_waited, 1);
	nr = __sync_fetch_and_add(&invalidates, 1);
	barrier_var(nr);
	if (nr < 10) {
		told_start[nr] = invalidate->start;
		told_end[nr] = invalidate->end;
		told_freed[nr] = invalidate->pages_freed;
		told_reason[nr] = reason;
	}
}

SEC(".struct_ops.link")
struct kvm_gmem_ops puppet = {
	.vm_init = (void *)puppet_vm_init,
	.vm_exit = (void *)puppet_vm_exit,
	.fault = (void *)puppet_fault,
	.convert = (void *)puppet_convert,
	.invalidate = (void *)puppet_invalidate,
	.fault_end = (void *)puppet_fault_end,
	.convert_end = (void *)puppet_convert_end,
	.name = "puppet",
};

/* The same without the flag that asks for a link. */
SEC(".struct_ops")
struct kvm_gmem_ops puppet_linkless = {
	.convert = (void *)puppet_convert,
	.name = "linkless",
};
