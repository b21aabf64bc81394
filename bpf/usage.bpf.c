// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the kernel's counters of all VMs, and of all attached policies, into
 * arrays that the tool maps: one system call a refresh, whatever the number
 * of VMs.  Attaches to nothing, so it costs nothing between two calls.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "gmem_abi.h"
#include "gmem_kfuncs.h"

#define SAME_OFFSET(member)						\
	_Static_assert(offsetof(struct gmem_vm_sample, member) ==	\
		       offsetof(struct kvm_gmem_usage, member),		\
		       "struct gmem_vm_sample differs from the kernel's: " #member)

SAME_OFFSET(vm_id);
SAME_OFFSET(pid);
SAME_OFFSET(nr_vcpus);
SAME_OFFSET(size_pages);
SAME_OFFSET(private_pages);
SAME_OFFSET(populated_pages);
SAME_OFFSET(stale_pages);
SAME_OFFSET(faults);
SAME_OFFSET(allocated_pages);
SAME_OFFSET(freed_pages);
SAME_OFFSET(conversions);
SAME_OFFSET(conversions_noop);
SAME_OFFSET(pages_to_private);
SAME_OFFSET(pages_to_shared);
SAME_OFFSET(invalidations);
SAME_OFFSET(faults_denied);
SAME_OFFSET(conversions_denied);
SAME_OFFSET(faults_delayed);
SAME_OFFSET(conversions_delayed);
SAME_OFFSET(delayed_ns);
_Static_assert(sizeof(struct gmem_vm_sample) == sizeof(struct kvm_gmem_usage),
	       "struct gmem_vm_sample differs from the kernel's: size");
_Static_assert((int)GMEM_NR_FAULTS == (int)KVM_GMEM_NR_FAULT_REASONS,
	       "enum gmem_fault differs from the kernel's");
_Static_assert((int)GMEM_NR_INVALIDATES == (int)KVM_GMEM_NR_INVALIDATE_REASONS,
	       "enum gmem_invalidate differs from the kernel's");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GMEM_VMS_INITIAL);
	__type(key, __u32);
	__type(value, struct gmem_vm_sample);
} vm_samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GMEM_POLICIES_INITIAL);
	__type(key, __u32);
	__type(value, struct gmem_policy_sample);
} policy_samples SEC(".maps");

struct gmem_walk vm_walk = {};
struct gmem_walk policy_walk = {};

SEC("syscall")
int sample_vms(void *ctx)
{
	struct gmem_vm_sample *slot;
	struct kvm *kvm;
	__u32 found = 0;

	vm_walk.time_ns = bpf_ktime_get_ns();
	bpf_for_each(kvm_gmem_vm, kvm) {
		slot = bpf_map_lookup_elem(&vm_samples, &found);
		if (slot)
			bpf_kvm_gmem_usage(kvm, (struct kvm_gmem_usage *)slot,
					   sizeof(*slot));
		found++;
	}
	vm_walk.found = found;
	return 0;
}

SEC("syscall")
int sample_policies(void *ctx)
{
	struct kvm_gmem_policy_info *info;
	struct gmem_policy_sample *slot;
	__u32 found = 0;

	policy_walk.time_ns = bpf_ktime_get_ns();
	bpf_for_each(kvm_gmem_policy, info) {
		slot = bpf_map_lookup_elem(&policy_samples, &found);
		found++;
		/* Go on counting: the tool makes room for all of them. */
		if (!slot)
			continue;
		slot->vm_id = info->vm_id;
		slot->priority = info->priority;
		slot->flags = info->flags;
		slot->link_id = info->link_id;
		slot->nr_vms = info->nr_vms;
		slot->calls = info->calls;
		slot->allowed = info->allowed;
		slot->denied = info->denied;
		slot->delayed = info->delayed;
		slot->delayed_ns = info->delayed_ns;
		slot->clamped = info->clamped;
		bpf_probe_read_kernel_str(slot->name, sizeof(slot->name),
					  info->name);
	}
	policy_walk.found = found;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
