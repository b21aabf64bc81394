// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks the kernel for its figures into memory that userspace can write to while
 * the kernel does.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "gmem_kfuncs.h"

char _license[] SEC("license") = "GPL";

#define SIZE	8192

struct buffer {
	__u8 bytes[SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct buffer);
} shared SEC(".maps");

__u64 vm_id = 0;
__u32 link_id = 0;
__u64 rounds = 0;
__s64 results[8] = {};

SEC("syscall")
int fill(void *ctx)
{
	struct buffer *buffer;
	struct kvm *kvm;
	__u32 zero = 0;
	__u64 i;

	buffer = bpf_map_lookup_elem(&shared, &zero);
	if (!buffer)
		return 0;
	kvm = bpf_kvm_gmem_vm_acquire(vm_id);
	if (!kvm)
		return 0;
	bpf_for(i, 0, 500) {
		results[0] = bpf_kvm_gmem_usage(kvm, (void *)buffer->bytes,
						sizeof(struct kvm_gmem_usage));
		results[1] = bpf_kvm_gmem_slots(kvm, 0, (void *)buffer->bytes,
						4 * sizeof(struct kvm_gmem_slot_info));
		results[2] = bpf_kvm_gmem_map(kvm, 0x10000, 64, (void *)buffer->bytes,
					      8 * sizeof(struct kvm_gmem_bucket));
		results[3] = bpf_kvm_gmem_nodes(kvm, (void *)buffer->bytes, 64);
		results[4] = bpf_kvm_gmem_vm_verdicts(kvm, (void *)buffer->bytes,
						      4 * sizeof(struct kvm_gmem_vm_verdicts));
		results[5] = bpf_kvm_gmem_policy_info(link_id, (void *)buffer->bytes,
						      sizeof(struct kvm_gmem_policy_info));
		results[6] = bpf_kvm_gmem_owner(kvm, (void *)buffer->bytes,
						sizeof(struct kvm_gmem_owner));
		results[7] = bpf_kvm_gmem_cgroup(kvm, (void *)buffer->bytes, 256);
		rounds++;
	}
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}
