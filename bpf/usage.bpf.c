// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the kernel's counters of all VMs, and of all attached policies, into
 * arrays that the tool maps: one system call a refresh, whatever the number
 * of VMs.  Attaches to nothing, so it costs nothing between two calls.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "gmem_abi.h"
#include "gmem_kfuncs.h"
#include "gmem_rss.h"

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
SAME_OFFSET(attribute_bytes);
SAME_OFFSET(closed_pages);
SAME_OFFSET(arch_faults);
SAME_OFFSET(delays_expired);
SAME_OFFSET(ranges);
SAME_OFFSET(host_faults);
SAME_OFFSET(conversions_held);
SAME_OFFSET(conversions_asked);
SAME_OFFSET(requests);
SAME_OFFSET(requests_done);
SAME_OFFSET(requests_refused);
SAME_OFFSET(requests_pending);
SAME_OFFSET(request_ns);
SAME_OFFSET(request_oldest_ns);
SAME_OFFSET(huge_pages);
SAME_OFFSET(huge_splits);
SAME_OFFSET(huge_merges);
SAME_OFFSET(huge_waiting);
SAME_OFFSET(huge_fallbacks);
_Static_assert(offsetof(struct gmem_vm_sample, rss_pages) ==
	       sizeof(struct kvm_gmem_usage),
	       "struct gmem_vm_sample differs from the kernel's: size");
_Static_assert((int)GMEM_NR_FAULTS == (int)KVM_GMEM_NR_FAULT_REASONS,
	       "enum gmem_fault differs from the kernel's");
_Static_assert((int)GMEM_NR_INVALIDATES == (int)KVM_GMEM_NR_INVALIDATE_REASONS,
	       "enum gmem_invalidate differs from the kernel's");
_Static_assert((int)GMEM_NR_HUGE_FALLBACKS == (int)KVM_GMEM_NR_HUGE_FALLBACKS,
	       "enum gmem_huge_fallback differs from the kernel's");
#define SAME_IN_POLICY(member)						\
	_Static_assert(offsetof(struct gmem_policy_sample, member) ==	\
		       offsetof(struct kvm_gmem_policy_info, member),	\
		       "struct gmem_policy_sample differs from the kernel's: " #member)

SAME_IN_POLICY(vm_id);
SAME_IN_POLICY(priority);
SAME_IN_POLICY(flags);
SAME_IN_POLICY(link_id);
SAME_IN_POLICY(nr_vms);
SAME_IN_POLICY(calls);
SAME_IN_POLICY(allowed);
SAME_IN_POLICY(denied);
SAME_IN_POLICY(delayed);
SAME_IN_POLICY(delayed_ns);
SAME_IN_POLICY(clamped);
SAME_IN_POLICY(denied_by_errno);
SAME_IN_POLICY(name);
SAME_IN_POLICY(expires_ns);
_Static_assert(sizeof(struct gmem_policy_sample) ==
	       sizeof(struct kvm_gmem_policy_info),
	       "struct gmem_policy_sample differs from the kernel's: size");

_Static_assert(sizeof(struct gmem_vm_verdicts) ==
	       sizeof(struct kvm_gmem_vm_verdicts) &&
	       offsetof(struct gmem_vm_verdicts, delayed_ns) ==
	       offsetof(struct kvm_gmem_vm_verdicts, delayed_ns),
	       "struct gmem_vm_verdicts differs from the kernel's");

_Static_assert(sizeof(struct gmem_vm_sample) -
	       offsetof(struct gmem_vm_sample, owner_start_ns) ==
	       sizeof(struct kvm_gmem_owner) &&
	       offsetof(struct kvm_gmem_owner, pid) == 8,
	       "struct gmem_vm_sample differs from the kernel's: owner");

#define ESRCH	3

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
/* At the time of vm_walk. */
__u64 orphaned_pages = 0;

/* Of one VM: which, how many policies or a negative errno, and theirs. */
__u64 verdicts_vm_id = 0;
__s32 nr_verdicts = 0;
struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX] = {};

/* Of one VM: which, length of the path or a negative errno, and the path. */
__u64 cgroup_vm_id = 0;
__s32 cgroup_len = 0;
char cgroup_path[GMEM_CGROUP_LEN] = {};

/*
 * Of one VM: which, the frame to begin at and then the one to go on with or 0 at
 * the end, and how many frames are backed twice, or mapped, until there.  A part of
 * it at a time: how much work it is, the VM's process decides.
 */
__u64 part_vm_id = 0;
__s64 part_gfn = 0;
__u64 part_pages = 0;

/*
 * Whose memory that is backed twice is looked for, written by the tool.  Not
 * everybody's each time: it takes a look at the page tables of the processes.
 */
__u64 twice_of = GMEM_TWICE_OF_NONE;

/* Whether memory that is mapped is looked for, likewise. */
bool find_mapped = false;

/* Time of a walk after which it leaves these to read_twice and read_mapped. */
#define PARTS_WALK_NS	(50 * 1000000ULL)

/* As the kernel told at the last VM; it is the same until the next boot. */
static __u32 nr_nodes;

static bool walk_is_long(void)
{
	return bpf_ktime_get_ns() - vm_walk.time_ns > PARTS_WALK_NS;
}

/* Of most VMs the kernel comes to the end in one call, which is all they cost. */
static void look_twice(struct kvm *kvm, __u64 id, struct gmem_vm_sample *slot)
{
	__u64 pages = 0;
	__s64 next;

	slot->twice_pages = GMEM_UNKNOWN;
	slot->twice_next = 0;
	if (twice_of != GMEM_TWICE_OF_ALL && twice_of != id)
		return;
	slot->twice_pages = 0;
	slot->twice_next = GMEM_PARTS_BEGIN;
	if (walk_is_long())
		return;
	next = bpf_kvm_gmem_backed_twice(kvm, 0, &pages);
	slot->twice_pages = pages;
	slot->twice_next = next > 0 ? next : 0;
}

/* What no process ever touched is in no page tables, and costs nothing. */
static void look_mapped(struct kvm *kvm, struct gmem_vm_sample *slot)
{
	__u64 pages = 0;
	__s64 next;

	slot->mapped_pages = find_mapped ? 0 : GMEM_UNKNOWN;
	slot->mapped_next = 0;
	if (!find_mapped || !slot->host_faults)
		return;
	slot->mapped_next = GMEM_PARTS_BEGIN;
	if (walk_is_long())
		return;
	next = bpf_kvm_gmem_host_mapped(kvm, 0, ~0ULL, &pages);
	slot->mapped_pages = pages;
	slot->mapped_next = next > 0 ? next : 0;
}

/* Made after the walk began, it has no age yet. */
static __u64 request_age_ns(const struct gmem_vm_sample *slot)
{
	__u64 oldest = slot->request_oldest_ns;

	return oldest && oldest < vm_walk.time_ns ? vm_walk.time_ns - oldest : 0;
}

/* Those that there can be, of which most machines have few. */
static void read_nodes(struct kvm *kvm, struct gmem_vm_sample *slot)
{
	__u32 nr = nr_nodes;

	if (nr == 1) {
		slot->node_pages[0] = slot->populated_pages;
		return;
	}
	if (!nr || nr > GMEM_NODES_MAX)
		nr = GMEM_NODES_MAX;
	nr_nodes = bpf_kvm_gmem_nodes(kvm, slot->node_pages,
				      nr * sizeof(slot->node_pages[0]));
}

static void walk_vms(void)
{
	struct gmem_vm_sample *slot;
	struct kvm *kvm;
	__u32 found = 0;
	__u64 *id;

	vm_walk.time_ns = bpf_ktime_get_ns();
	find_cpus();
	bpf_for_each(kvm_gmem_vm, id) {
		slot = bpf_map_lookup_elem(&vm_samples, &found);
		/* Go on counting: the tool makes room for all of them. */
		if (!slot) {
			found++;
			continue;
		}
		kvm = bpf_kvm_gmem_vm_acquire(*id);
		if (!kvm)
			continue;
		bpf_kvm_gmem_usage(kvm, (struct kvm_gmem_usage *)slot,
				   sizeof(struct kvm_gmem_usage));
		slot->rss_pages = rss_pages(kvm->mm);
		slot->request_age_ns = request_age_ns(slot);
		look_twice(kvm, *id, slot);
		look_mapped(kvm, slot);
		read_nodes(kvm, slot);
		bpf_kvm_gmem_owner(kvm, (void *)&slot->owner_start_ns,
				   sizeof(struct kvm_gmem_owner));
		bpf_kvm_gmem_vm_release(kvm);
		found++;
	}
	vm_walk.found = found;
	orphaned_pages = bpf_kvm_gmem_orphaned_pages();
}

static void walk_policies(void)
{
	struct gmem_policy_sample *slot;
	__u32 found = 0, *link_id;

	policy_walk.time_ns = bpf_ktime_get_ns();
	bpf_for_each(kvm_gmem_policy, link_id) {
		slot = bpf_map_lookup_elem(&policy_samples, &found);
		if (slot &&
		    bpf_kvm_gmem_policy_info(*link_id,
					     (struct kvm_gmem_policy_info *)slot,
					     sizeof(*slot)) < 0)
			continue;
		found++;
	}
	policy_walk.found = found;
}

SEC("syscall")
int sample_vms(void *ctx)
{
	walk_vms();
	return 0;
}

SEC("syscall")
int sample_policies(void *ctx)
{
	walk_policies();
	return 0;
}

SEC("syscall")
int sample_all(void *ctx)
{
	walk_vms();
	walk_policies();
	return 0;
}

SEC("syscall")
int sample_verdicts(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(verdicts_vm_id);

	nr_verdicts = -ESRCH;
	if (!kvm)
		return 0;
	nr_verdicts = bpf_kvm_gmem_vm_verdicts(kvm, (void *)verdicts,
					       sizeof(verdicts));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

/* The next part of a figure that takes a walk over a VM's memory. */
static __always_inline int read_part(bool mapped)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(part_vm_id);
	__u64 pages = 0;

	part_pages = 0;
	if (!kvm) {
		part_gfn = 0;
		return 0;
	}
	part_gfn = mapped ?
		   bpf_kvm_gmem_host_mapped(kvm, part_gfn, ~0ULL, &pages) :
		   bpf_kvm_gmem_backed_twice(kvm, part_gfn, &pages);
	part_pages = pages;
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("syscall")
int read_twice(void *ctx)
{
	return read_part(false);
}

SEC("syscall")
int read_mapped(void *ctx)
{
	return read_part(true);
}

SEC("syscall")
int read_cgroup(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(cgroup_vm_id);

	cgroup_len = -ESRCH;
	if (!kvm)
		return 0;
	cgroup_len = bpf_kvm_gmem_cgroup(kvm, cgroup_path, sizeof(cgroup_path));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
