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
_Static_assert(offsetof(struct gmem_vm_sample, moved_pages) ==
	       sizeof(struct kvm_gmem_usage),
	       "struct gmem_vm_sample differs from the kernel's: size");

#define SAME_IN_MOVES(member, theirs)					\
	_Static_assert(offsetof(struct gmem_vm_sample, member) ==	\
		       offsetof(struct gmem_vm_sample, moved_pages) +	\
		       offsetof(struct kvm_gmem_moves, theirs),		\
		       "struct gmem_vm_sample differs from the kernel's: " #member)

SAME_IN_MOVES(moves_refused, refused);
SAME_IN_MOVES(move_ns, move_ns);
SAME_IN_MOVES(invalidations_migration, invalidations);
SAME_IN_MOVES(unmovable_pages, unmovable_pages);
_Static_assert(offsetof(struct gmem_vm_sample, rss_pages) -
	       offsetof(struct gmem_vm_sample, moved_pages) ==
	       sizeof(struct kvm_gmem_moves),
	       "struct gmem_vm_sample differs from the kernel's: moves");
_Static_assert((int)GMEM_NR_MOVE_REFUSALS == (int)KVM_GMEM_NR_MOVE_REFUSALS,
	       "enum gmem_move_refusal differs from the kernel's");
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

/*
 * The kernel counts resident pages for each CPU, so that only the sum over all
 * CPUs is right.  Their counters are found as the kernel's own code finds them,
 * by adding the CPU's offset.
 */
extern const unsigned long this_cpu_off __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

/* Set before the program is loaded. */
const volatile __u32 nr_cpus = 1;

static __u64 cpu_offset[GMEM_CPUS_MAX];

/* As the kernel told at the last VM; it is the same until the next boot. */
static __u32 nr_nodes;

static void find_cpus(void)
{
	__u32 cpu;

	for (cpu = 0; cpu < nr_cpus && cpu < GMEM_CPUS_MAX; cpu++) {
		const unsigned long *offset = bpf_per_cpu_ptr(&this_cpu_off, cpu);

		cpu_offset[cpu] = offset ? *offset : 0;
	}
}

/* The 4 bytes at an address of the kernel; struct kref begins with an int. */
static __s32 int_at(__u64 address)
{
	const struct kref *at;

	at = bpf_rdonly_cast((const void *)address,
			     bpf_core_type_id_kernel(struct kref));
	return at->refcount.refs.counter;
}

static __u64 at_least_0(__s64 sum)
{
	return sum < 0 ? 0 : sum;
}

/*
 * What /proc/PID/status shows, without opening a file for each VM and whether
 * or not the process is still there.
 */
static __u64 rss_pages(const struct kvm *kvm)
{
	const struct mm_struct *mm = kvm->mm;
	const struct percpu_counter *file = &mm->rss_stat[MM_FILEPAGES];
	const struct percpu_counter *anon = &mm->rss_stat[MM_ANONPAGES];
	const struct percpu_counter *shmem = &mm->rss_stat[MM_SHMEMPAGES];
	__u64 files = (__u64)file->counters, anons = (__u64)anon->counters;
	__u64 shmems = (__u64)shmem->counters, offset, pages;
	__s64 nr_file = file->count, nr_anon = anon->count;
	__s64 nr_shmem = shmem->count;
	__u32 cpu;

	/* Freed with the last reference to the mm, of which the VM has one. */
	for (cpu = 0; cpu < nr_cpus && cpu < GMEM_CPUS_MAX; cpu++) {
		offset = cpu_offset[cpu];
		nr_file += int_at(files + offset);
		nr_anon += int_at(anons + offset);
		nr_shmem += int_at(shmems + offset);
	}
	pages = at_least_0(nr_file) + at_least_0(nr_anon) +
		at_least_0(nr_shmem);
	if (bpf_core_field_exists(mm->hugetlb_usage))
		pages += mm->hugetlb_usage.counter;
	return pages;
}

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

/* A kernel that does not move any has no such function. */
static void read_moves(struct kvm *kvm, struct gmem_vm_sample *slot)
{
	int i;

	if (bpf_ksym_exists(bpf_kvm_gmem_moves)) {
		bpf_kvm_gmem_moves(kvm, (void *)&slot->moved_pages,
				   sizeof(struct kvm_gmem_moves));
		return;
	}
	slot->moved_pages = GMEM_UNKNOWN;
	for (i = 0; i < GMEM_NR_MOVE_REFUSALS; i++)
		slot->moves_refused[i] = GMEM_UNKNOWN;
	slot->move_ns = GMEM_UNKNOWN;
	slot->invalidations_migration = GMEM_UNKNOWN;
	slot->unmovable_pages = GMEM_UNKNOWN;
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
		read_moves(kvm, slot);
		slot->rss_pages = rss_pages(kvm);
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
