// SPDX-License-Identifier: GPL-2.0-only
/*
 * audit: allows everything, and records what is above a threshold.
 *
 * A conversion is recorded if it is of at least "pages" pages, or if the VM has
 * converted more than "rate" times in the second that began with its first
 * conversion after the last such second.  Likewise requests for private pages,
 * by "fault_pages" and "fault_rate", which counts pages.
 *
 * The map "audit_log" is a ring: it holds the last 4,096 records, oldest
 * overwritten first; record N, counting from 0, is at N % 4096 and carries N in
 * "number".  "audit_head" in the map ".bss" is how many there were.  The map
 * "audit_vms" holds for each VM what it did and its worst second.  All can be
 * read at any time, without taking anything away:
 *
 *	bpftool map dump name audit_log
 *	bpftool map dump name audit_vms
 *
 * It is fair to everyone.  It cannot record what policies that are asked before
 * it deny, nor tell whether one after it does; a conversion that is delayed by
 * another policy is recorded each time it is asked for.  A record that is read
 * while it is written may be half old.  VMs beyond the first 16,384 are counted
 * together.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

struct audit_params {
	GMEM_PARAM(u64, pages, "pages", 0, 1000000000,
		   "record conversions of at least so many pages; 0: none for their size");
	GMEM_PARAM(u64, rate, "conversions/s", 0, 1000000000,
		   "record conversions beyond so many in a second; 0: none for their number");
	GMEM_PARAM(u64, fault_pages, "pages", 0, 1000000000,
		   "record requests for at least so many pages; 0: none for their size");
	GMEM_PARAM(u64, fault_rate, "pages/s", 0, 1000000000,
		   "record requests for pages beyond so many in a second; 0: none for their number");
};

GMEM_PARAMS(struct audit_params,
	    "allow everything, record what is above a threshold",
	    "nothing") = {
	.pages = 512,
	.rate = 100,
	.fault_pages = 512,
	.fault_rate = 50000,
};

#define AUDIT_RECORDS	4096

enum audit_event {
	AUDIT_TO_SHARED,
	AUDIT_TO_PRIVATE,
	AUDIT_FAULT,
};

enum audit_cause {
	AUDIT_SIZE = 1,
	AUDIT_RATE = 2,
	AUDIT_SIZE_AND_RATE = 3,
};

/**
 * struct audit_record - something above a threshold
 * @number: of the record, from 0
 * @time_ns: CLOCK_MONOTONIC
 * @vm_id: the VM
 * @pid: the process that asked
 * @tid: its thread
 * @event: what it was
 * @cause: which threshold it was above
 * @reason: of a fault, why its pages were asked for
 * @start: first guest frame; ~0 if a fault is for memory that no memslot maps
 * @pages: how many
 * @in_second: conversions, or pages asked for, of the VM in this second so far
 */
struct audit_record {
	u64 number;
	u64 time_ns;
	u64 vm_id;
	u32 pid;
	u32 tid;
	enum audit_event event;
	enum audit_cause cause;
	enum kvm_gmem_fault_reason reason;
	u32 pad;
	u64 start;
	u64 pages;
	u64 in_second;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AUDIT_RECORDS);
	__type(key, u32);
	__type(value, struct audit_record);
} audit_log SEC(".maps");

u64 audit_head;

/**
 * struct audit_count - one kind of event of a VM
 * @events: how many there were
 * @recorded: how many were recorded
 * @second: when the second began that is being counted, in ns
 * @in_second: what was counted in it
 * @worst_second: the most that was
 */
struct audit_count {
	u64 events;
	u64 recorded;
	u64 second;
	u64 in_second;
	u64 worst_second;
};

struct vm_state {
	struct bpf_spin_lock lock;
	struct audit_count conversions;
	struct audit_count faults;
};

/* Of a name of its own, by which bpftool finds it among those of others. */
GMEM_VM_STATE(audit_vms, struct vm_state);

/* Counts an event, which is worth @weight.  Returns enum audit_cause or 0. */
static __always_inline u32 audit_count(struct audit_count *c, u64 weight,
				       u64 pages, u64 size_limit,
				       u64 rate_limit, u64 now, u64 *in_second)
{
	u32 cause = 0;

	if (!c->second || now - c->second >= NSEC_PER_SEC) {
		c->second = now;
		c->in_second = 0;
	}
	c->events++;
	c->in_second += weight;
	c->worst_second = gmem_max(c->worst_second, c->in_second);

	if (size_limit && pages >= size_limit)
		cause |= AUDIT_SIZE;
	if (rate_limit && c->in_second > rate_limit)
		cause |= AUDIT_RATE;
	if (cause)
		c->recorded++;
	*in_second = c->in_second;

	return cause;
}

static __always_inline void audit_write(struct kvm *kvm, struct audit_record *r)
{
	u64 task = gmem_caller();
	struct audit_record *slot;
	u32 index;

	r->number = __sync_fetch_and_add(&audit_head, 1);
	r->vm_id = bpf_kvm_gmem_vm_id(kvm);
	r->pid = task >> 32;
	r->tid = task;
	index = r->number % AUDIT_RECORDS;
	slot = bpf_map_lookup_elem(&audit_log, &index);
	if (slot)
		*slot = *r;
}

SEC("struct_ops/vm_init")
void BPF_PROG(audit_vm_init, struct kvm *kvm)
{
	gmem_vm_state(audit_vms, kvm);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(audit_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(audit_vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(audit_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct audit_params *params = gmem_params();
	u64 limit = params->pages, rate = params->rate;
	struct vm_state *vm = gmem_vm_state(audit_vms, kvm);
	struct audit_record r = {
		.time_ns = bpf_ktime_get_ns(),
		.event = gmem_is_private(convert) ? AUDIT_TO_PRIVATE :
						    AUDIT_TO_SHARED,
		.start = convert->start,
		.pages = convert->nr_pages,
	};

	if (!vm)
		return gmem_allow();

	bpf_spin_lock(&vm->lock);
	r.cause = audit_count(&vm->conversions, 1, r.pages, limit, rate,
			      r.time_ns, &r.in_second);
	bpf_spin_unlock(&vm->lock);
	if (r.cause)
		audit_write(kvm, &r);

	return gmem_allow();
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(audit_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	const struct audit_params *params = gmem_params();
	u64 limit = params->fault_pages, rate = params->fault_rate;
	struct vm_state *vm = gmem_vm_state(audit_vms, kvm);
	struct audit_record r = {
		.time_ns = bpf_ktime_get_ns(),
		.event = AUDIT_FAULT,
		.reason = fault->reason,
		.start = fault->gfn,
		.pages = fault->nr_pages,
	};

	if (!vm)
		return gmem_allow();

	bpf_spin_lock(&vm->lock);
	r.cause = audit_count(&vm->faults, r.pages, r.pages, limit, rate,
			      r.time_ns, &r.in_second);
	bpf_spin_unlock(&vm->lock);
	if (r.cause)
		audit_write(kvm, &r);

	return gmem_allow();
}

GMEM_POLICY(audit) = {
	.vm_init = (void *)audit_vm_init,
	.vm_exit = (void *)audit_vm_exit,
	.fault = (void *)audit_fault,
	.convert = (void *)audit_convert,
	.name = "audit",
};
