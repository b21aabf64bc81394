// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy that keeps books: it reserves what it lets pass, and gives it back
 * when it is told of the end.  It knows each request under way by where its
 * arguments are, and so whether it is told of one twice, of one that it was not
 * asked about, or of another than it was asked about.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem_kfuncs.h"

char _license[] SEC("license") = "GPL";

#define EBUSY	16

/* Each so manieth question is refused, or delayed for a microsecond; 0: none. */
__u64 refuse_nth = 0;
__u64 delay_nth = 0;

/* Questions, and those of them that passed. */
__u64 asked = 0;
__u64 passed = 0;

/* What was told: how often, and how it ended. */
__u64 ended = 0;
__u64 ended_well = 0;
__u64 ended_again = 0;
__u64 ended_badly = 0;
__s32 last_result = 0;
__u64 last_done = 0;

/* Pages that are reserved by faults and by conversions, and what was done. */
__s64 faults_reserved = 0;
__s64 converts_reserved = 0;
__u64 allocated = 0;
__u64 converted = 0;

/* What must not be. */
__u64 asked_twice = 0;
__u64 not_asked = 0;
__u64 another = 0;
__u64 too_much = 0;
__u64 negative = 0;
__u64 not_a_vm = 0;

struct under_way {
	__u64 vm;
	__u64 first;
	__u64 nr;
	__u64 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct under_way);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} vms SEC(".maps");

static __s64 begin(struct kvm *kvm, __u64 where, __u64 first, __u64 nr,
		   __u64 kind, __s64 *reserved)
{
	struct under_way request = {
		.vm = bpf_kvm_gmem_vm_id(kvm),
		.first = first,
		.nr = nr,
		.kind = kind,
	};
	__u64 n = __sync_fetch_and_add(&asked, 1) + 1;

	if (!bpf_map_lookup_elem(&vms, &request.vm))
		__sync_fetch_and_add(&not_a_vm, 1);
	if (refuse_nth && !(n % refuse_nth))
		return -EBUSY;
	if (delay_nth && !(n % delay_nth))
		return 1000;
	if (bpf_map_update_elem(&requests, &where, &request, BPF_NOEXIST))
		__sync_fetch_and_add(&asked_twice, 1);
	__sync_fetch_and_add(reserved, nr);
	__sync_fetch_and_add(&passed, 1);
	return 0;
}

static void end(struct kvm *kvm, __u64 where, __u64 first, __u64 nr,
		__u64 kind, __s64 *reserved, __u64 done, __s32 result)
{
	struct under_way *request = bpf_map_lookup_elem(&requests, &where);
	__u64 vm = bpf_kvm_gmem_vm_id(kvm);

	if (!bpf_map_lookup_elem(&vms, &vm))
		__sync_fetch_and_add(&not_a_vm, 1);
	if (!request) {
		__sync_fetch_and_add(&not_asked, 1);
		return;
	}
	if (request->vm != vm || request->first != first ||
	    request->nr != nr || request->kind != kind)
		__sync_fetch_and_add(&another, 1);
	if (bpf_map_delete_elem(&requests, &where))
		__sync_fetch_and_add(&not_asked, 1);
	if (done > nr)
		__sync_fetch_and_add(&too_much, 1);
	if (__sync_fetch_and_sub(reserved, nr) < (__s64)nr)
		__sync_fetch_and_add(&negative, 1);
	last_result = result;
	last_done = done;
	if (!result)
		__sync_fetch_and_add(&ended_well, 1);
	else if (result == -11)
		__sync_fetch_and_add(&ended_again, 1);
	else
		__sync_fetch_and_add(&ended_badly, 1);
	__sync_fetch_and_add(&ended, 1);
}

SEC("struct_ops/vm_init")
void BPF_PROG(settle_vm_init, struct kvm *kvm)
{
	__u64 id = bpf_kvm_gmem_vm_id(kvm);

	bpf_map_update_elem(&vms, &id, &id, BPF_ANY);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(settle_vm_exit, struct kvm *kvm)
{
	__u64 id = bpf_kvm_gmem_vm_id(kvm);

	bpf_map_delete_elem(&vms, &id);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(settle_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	return begin(kvm, (__u64)fault, fault->index, fault->nr_pages,
		     fault->reason, &faults_reserved);
}

SEC("struct_ops/fault_end")
void BPF_PROG(settle_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 nr, s32 result)
{
	__sync_fetch_and_add(&allocated, nr);
	end(kvm, (__u64)fault, fault->index, fault->nr_pages, fault->reason,
	    &faults_reserved, nr, result);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(settle_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	return begin(kvm, (__u64)convert, convert->start,
		     convert->end - convert->start, 1000 + convert->attributes,
		     &converts_reserved);
}

SEC("struct_ops/convert_end")
void BPF_PROG(settle_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	__sync_fetch_and_add(&converted, changed);
	end(kvm, (__u64)convert, convert->start, convert->end - convert->start,
	    1000 + convert->attributes, &converts_reserved, changed, result);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops settle = {
	.vm_init = (void *)settle_vm_init,
	.vm_exit = (void *)settle_vm_exit,
	.fault = (void *)settle_fault,
	.convert = (void *)settle_convert,
	.fault_end = (void *)settle_fault_end,
	.convert_end = (void *)settle_convert_end,
	.name = "settle",
};
