/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Types that gmem's BPF programs and its tools share.  A BPF program includes
 * vmlinux.h first.  Not here: what a policy author needs (gmem.bpf.h).
 */
#ifndef GMEM_ABI_H
#define GMEM_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "gmem_verdict.h"

/* VMs and policies that the first load has room for; see gmem_sampler_open(). */
#define GMEM_VMS_INITIAL	64
#define GMEM_POLICIES_INITIAL	16
/* Beyond this a tool reports an error. */
#define GMEM_VMS_MAX		65536
#define GMEM_POLICIES_MAX	65536
/* CPUs whose share of the resident pages is counted. */
#define GMEM_CPUS_MAX		2048

/* A figure of a sample that nobody looked for. */
#define GMEM_UNKNOWN		(~0ULL)

/* Whose memory that is backed twice is looked for: a VM's id, or one of these. */
#define GMEM_TWICE_OF_NONE	0ULL
#define GMEM_TWICE_OF_ALL	(~0ULL)

/* gmem_vm_sample.twice_next, mapped_next: nothing was looked at yet */
#define GMEM_PARTS_BEGIN	(-1)

/* NUMA nodes that memory is told of. */
#define GMEM_NODES_MAX		64
/* Room for the path of a cgroup: PATH_MAX. */
#define GMEM_CGROUP_LEN		4096

/* Indices of gmem_vm_sample.faults: enum kvm_gmem_fault_reason. */
enum gmem_fault {
	GMEM_FAULT_VCPU,
	GMEM_FAULT_PREFAULT,
	GMEM_FAULT_POPULATE,
	GMEM_FAULT_FALLOCATE,
	GMEM_NR_FAULTS,
};

/* Indices of gmem_vm_sample.invalidations: enum kvm_gmem_invalidate_reason. */
enum gmem_invalidate {
	GMEM_INVALIDATE_CONVERSION,
	GMEM_INVALIDATE_PUNCH_HOLE,
	GMEM_INVALIDATE_RELEASE,
	GMEM_INVALIDATE_UNBIND,
	GMEM_INVALIDATE_MEMORY_FAILURE,
	GMEM_NR_INVALIDATES,
};

/* Indices of gmem_vm_sample.moves_refused: enum kvm_gmem_move_refusal. */
enum gmem_move_refusal {
	GMEM_MOVE_HELD,
	GMEM_MOVE_BUSY,
	GMEM_MOVE_CONSUMER,
	GMEM_MOVE_BROKEN,
	GMEM_NR_MOVE_REFUSALS,
};

/* Indices of gmem_vm_sample.huge_fallbacks: enum kvm_gmem_huge_fallback. */
enum gmem_huge_fallback {
	GMEM_HUGE_FITS,
	GMEM_HUGE_ALIGNMENT,
	GMEM_HUGE_MIXED,
	GMEM_HUGE_PRESENT,
	GMEM_HUGE_MEMORY,
	GMEM_HUGE_LIMIT,
	GMEM_NR_HUGE_FALLBACKS,
};

/**
 * struct gmem_vm_sample - the counters of one VM
 *
 * Begins with the layout of struct kvm_gmem_usage, which documents the members:
 * the kernel fills a sample without a copy in between.  An older kernel leaves
 * the members that it does not know 0.  The last ones are filled by the program,
 * the first of these as struct kvm_gmem_moves:
 *
 * @moved_pages: pages that the host has put in another place; GMEM_UNKNOWN, as the
 *	next ones to @unmovable_pages, if the kernel does not move any
 * @moves_refused: attempts to move a folio that failed
 * @move_ns: time that attempts took
 * @invalidations_migration: ranges of guest mappings that they took away
 * @unmovable_pages: populated pages that cannot be moved
 * @rss_pages: resident pages of the process that created the VM: what VmRSS and
 *	HugetlbPages of /proc/PID/status add up to, in pages of 4 KiB.  Those of
 *	guest_memfds that it has mapped are among them.  0 once the process is gone.
 * @twice_pages: guest frames that have a page of a guest_memfd and another one
 *	in the process's memory; GMEM_UNKNOWN unless it was asked for
 * @twice_next: guest frame that they are counted to, GMEM_PARTS_BEGIN, or 0 if
 *	all are or it was not asked for; of use to who goes on with it
 * @mapped_pages: pages of the VM's guest_memfds that any process has in its page
 *	tables; GMEM_UNKNOWN unless it was asked for
 * @mapped_next: as @twice_next
 * @request_age_ns: for how long the oldest of @requests_pending has been waiting
 * @node_pages: @populated_pages by NUMA node
 * @owner_start_ns: when that process began, as the reader's time namespace has it
 * @owner_pid: its pid in the reader's PID namespace; 0 if it has none there, if it
 *	is gone, or if it runs another program: then nothing in /proc is the VM's
 * @owner_pad: 0
 */
struct gmem_vm_sample {
	__u64 vm_id;
	__u32 pid;
	__u32 nr_vcpus;
	__u64 size_pages;
	__u64 private_pages;
	__u64 populated_pages;
	__u64 stale_pages;
	__u64 faults[GMEM_NR_FAULTS];
	__u64 allocated_pages;
	__u64 freed_pages;
	__u64 conversions;
	__u64 conversions_noop;
	__u64 pages_to_private;
	__u64 pages_to_shared;
	__u64 invalidations[GMEM_NR_INVALIDATES];
	__u64 faults_denied;
	__u64 conversions_denied;
	__u64 faults_delayed;
	__u64 conversions_delayed;
	__u64 delayed_ns;
	__u64 attribute_bytes;
	__u64 closed_pages;
	__u64 arch_faults;
	__u64 delays_expired;
	__u64 ranges;
	__u64 host_faults;
	__u64 conversions_held;
	__u64 conversions_asked;
	__u64 requests;
	__u64 requests_done;
	__u64 requests_refused;
	__u64 requests_pending;
	__u64 request_ns;
	__u64 request_oldest_ns;
	__u64 huge_pages;
	__u64 huge_splits;
	__u64 huge_merges;
	__u64 huge_waiting;
	__u64 huge_fallbacks[GMEM_NR_HUGE_FALLBACKS];
	__u64 moved_pages;
	__u64 moves_refused[GMEM_NR_MOVE_REFUSALS];
	__u64 move_ns;
	__u64 invalidations_migration;
	__u64 unmovable_pages;
	__u64 rss_pages;
	__u64 twice_pages;
	__s64 twice_next;
	__u64 mapped_pages;
	__s64 mapped_next;
	__u64 request_age_ns;
	__u64 node_pages[GMEM_NODES_MAX];
	__u64 owner_start_ns;
	__u32 owner_pid;
	__u32 owner_pad;
};

/**
 * struct gmem_stock_counts - what a VM did since somebody began to count, on a
 *	kernel that does not
 *
 * The members are those of struct gmem_vm_sample.
 */
struct gmem_stock_counts {
	__u64 faults[GMEM_NR_FAULTS];
	__u64 host_faults;
	__u64 conversions;
	__u64 conversions_noop;
	__u64 conversions_denied;
	__u64 pages_to_private;
	__u64 pages_to_shared;
	__u64 invalidations[GMEM_NR_INVALIDATES];
};

/* gmem_stock_file.flags */
#define GMEM_STOCK_PRIVATE	(1U << 0)	/* the VM can have private memory */

/**
 * struct gmem_stock_file - a file of a VM that a process has open, on a kernel that
 *	keeps no list of VMs for BPF
 * @vm: where the VM is: tells VMs apart within one walk
 * @inode: where the inode of a guest_memfd is, likewise; 0 for other files
 * @vm_id: gmem_stock_id()
 * @owner_start_ns: as struct gmem_vm_sample has it
 * @owner_pid: likewise
 * @pid: of the same process, in the initial PID namespace; 0 if it is gone
 * @nr_vcpus: of the VM
 * @flags: GMEM_STOCK_*
 * @rss_pages: resident memory of that process
 * @size_pages: size of a guest_memfd
 * @populated_pages: pages that it has
 * @mapped_pages: those of them that a process has in its page tables; GMEM_UNKNOWN
 *	until as many walks were made as it takes to look at all
 * @counts: of the VM
 */
struct gmem_stock_file {
	__u64 vm;
	__u64 inode;
	__u64 vm_id;
	__u64 owner_start_ns;
	__u32 owner_pid;
	__u32 pid;
	__u32 nr_vcpus;
	__u32 flags;
	__u64 rss_pages;
	__u64 size_pages;
	__u64 populated_pages;
	__u64 mapped_pages;
	struct gmem_stock_counts counts;
};

/**
 * struct gmem_policy_sample - one attached policy
 *
 * Has the layout of struct kvm_gmem_policy_info.
 *
 * @vm_id: the VM it is for, 0 for every VM
 * @priority: policies run from the lowest number to the highest
 * @flags: GMEM_POLICY_*
 * @link_id: id of the BPF link that holds it
 * @nr_vms: VMs under it now
 * @calls: times that it was asked for a verdict
 * @allowed: verdicts that allowed
 * @denied: verdicts that denied
 * @delayed: verdicts that delayed
 * @delayed_ns: time asked for by those delays, after the cap
 * @clamped: verdicts outside the documented list
 * @denied_by_errno: @denied by what they said, see enum gmem_denial
 * @name: name that its author or loader gave it
 * @expires_ns: CLOCK_BOOTTIME at which it ends, 0 if it does not by itself
 */
struct gmem_policy_sample {
	__u64 vm_id;
	__s32 priority;
	__u32 flags;
	__u32 link_id;
	__u32 nr_vms;
	__u64 calls;
	__u64 allowed;
	__u64 denied;
	__u64 delayed;
	__u64 delayed_ns;
	__u64 clamped;
	__u64 denied_by_errno[GMEM_NR_DENIALS];
	char name[GMEM_POLICY_NAME_LEN];
	__u64 expires_ns;
};

/* Policies that can be in force on one VM: KVM_GMEM_MAX_POLICIES. */
#define GMEM_VM_POLICIES_MAX	16

/**
 * struct gmem_vm_verdicts - what one policy said of one VM
 * @link_id: id of the BPF link that holds the policy
 * @pad: 0
 * @calls: times that it was asked about the VM
 * @denied: verdicts that denied
 * @delayed: verdicts that delayed
 * @delayed_ns: time asked for by those delays, after the cap
 *
 * As struct kvm_gmem_vm_verdicts: all since the policy came into force there.
 */
struct gmem_vm_verdicts {
	__u32 link_id;
	__u32 pad;
	__u64 calls;
	__u64 denied;
	__u64 delayed;
	__u64 delayed_ns;
};

/**
 * struct gmem_walk - what a program of usage.bpf.c says of its walk
 * @found: number of things found, more than the array has room for if some
 *	did not fit
 * @time_ns: CLOCK_MONOTONIC at the start of the walk
 */
struct gmem_walk {
	__u64 found;
	__u64 time_ns;
};

/* Indices of gmem_move.pages: enum kvm_gmem_moved. */
enum gmem_moved {
	GMEM_MOVED_THERE,
	GMEM_MOVED_NOW,
	GMEM_MOVED_HELD,
	GMEM_MOVED_REFUSED,
	GMEM_MOVED_NO_MEMORY,
	GMEM_MOVED_UNMOVABLE,
	GMEM_NR_MOVED,
};

/* struct gmem_move - as struct kvm_gmem_move_request, which documents it */
struct gmem_move {
	__u64 start;
	__u64 end;
	__u32 node;
	__u32 drain;
	__u64 pages[GMEM_NR_MOVED];
};

/* Memslots and stretches of memory that a program of layout.bpf.c returns. */
#define GMEM_SLOTS_MAX		64
#define GMEM_BUCKETS_MAX	4096
/* Pages of a stretch: 1 GiB. */
#define GMEM_BUCKET_PAGES_MAX	(1U << 18)

/* struct gmem_slot, gmem_bucket - as struct kvm_gmem_slot_info and _bucket */
struct gmem_slot {
	__u64 base_gfn;
	__u64 nr_pages;
	__u64 index;
	__u64 inode;
	__u64 file_pages;
	__u64 populated_pages;
	__u32 id;
	__u32 flags;
};

struct gmem_bucket {
	__u32 private_pages;
	__u32 shared_pages;
	__u32 populated_pages;
	__u32 stale_pages;
};

/* A histogram of times: 8 buckets for each power of two of nanoseconds. */
#define GMEM_HIST_SUB		8
#define GMEM_HIST_LEN		(64 * GMEM_HIST_SUB)

/* Events that observe.bpf.c keeps, a power of two. */
#define GMEM_EVENTS_MAX		256

enum gmem_event_kind {
	GMEM_EVENT_CONVERT,
	GMEM_EVENT_VERDICT,
};

/* gmem_event.hook: enum kvm_gmem_hook */
enum gmem_event_hook {
	GMEM_EVENT_HOOK_FAULT,
	GMEM_EVENT_HOOK_CONVERT,
};

/**
 * struct gmem_event - a conversion, or a verdict that did not simply allow
 * @nr: its number, counted from 1; written last
 * @time_ns: CLOCK_MONOTONIC
 * @start: of a conversion: first guest frame
 * @end: guest frame after the last
 * @changed: guest frames whose attributes changed
 * @duration_ns: how long it took; 0 if it began before anybody looked
 * @verdict: of a verdict: below 0 the errno, above 0 the delay in ns
 * @kind: enum gmem_event_kind
 * @to_private: of a conversion: to private rather than to shared
 * @result: 0 or a negative errno
 * @hook: of a verdict: enum gmem_event_hook
 * @audit: it was not enforced
 * @asked: of a conversion: the guest had asked for it
 * @pending_ns: how long before
 * @policy: whose it is
 */
struct gmem_event {
	__u64 nr;
	__u64 time_ns;
	__u64 start;
	__u64 end;
	__u64 changed;
	__u64 duration_ns;
	__s64 verdict;
	__u32 kind;
	__u32 to_private;
	__s32 result;
	__u32 hook;
	__u32 audit;
	__u32 asked;
	__u64 pending_ns;
	char policy[GMEM_POLICY_NAME_LEN];
};

#endif /* GMEM_ABI_H */
