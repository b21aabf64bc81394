/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Observation and policy for guest private memory: the events that KVM and
 * guest_memfd report, the per-VM accounting, and struct kvm_gmem_ops, the BPF
 * struct_ops type through which a policy decides.  Not here: how guest_memfd
 * and the memory attributes work.
 */
#ifndef __LINUX_KVM_GMEM_H
#define __LINUX_KVM_GMEM_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cache.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>

struct kvm;
struct kvm_gmem_policy;
struct kvm_memory_slot;
struct kvm_vcpu;
struct pid;

#ifdef CONFIG_KVM_PRIVATE_MEM

void kvm_gmem_init_once(void);
void kvm_gmem_exit_once(void);

#else

static inline void kvm_gmem_init_once(void)
{
}

static inline void kvm_gmem_exit_once(void)
{
}

#endif

#define KVM_GMEM_POLICY_NAME_LEN	32
/* Policies that can be in force on one VM at the same time. */
#define KVM_GMEM_MAX_POLICIES		16
/* The gfn of memory that no memslot maps. */
#define KVM_GMEM_NO_GFN			(~0ULL)
/* The page of a conversion that was asked of the VM, and not of a guest_memfd. */
#define KVM_GMEM_NO_INDEX		(~0ULL)

enum kvm_gmem_fault_reason {
	KVM_GMEM_FAULT_VCPU,
	KVM_GMEM_FAULT_PREFAULT,
	KVM_GMEM_FAULT_POPULATE,
	KVM_GMEM_FAULT_FALLOCATE,
	/* In an array of struct kvm_gmem_usage are those above. */
	KVM_GMEM_NR_FAULT_REASONS,
	/* The architecture's own: a page that it keeps a vCPU's state in. */
	KVM_GMEM_FAULT_ARCH = KVM_GMEM_NR_FAULT_REASONS,
	/* A process of the host, which has the guest_memfd mapped. */
	KVM_GMEM_FAULT_HOST,
};

enum kvm_gmem_invalidate_reason {
	KVM_GMEM_INVALIDATE_CONVERSION,
	KVM_GMEM_INVALIDATE_PUNCH_HOLE,
	KVM_GMEM_INVALIDATE_RELEASE,
	KVM_GMEM_INVALIDATE_UNBIND,
	KVM_GMEM_INVALIDATE_MEMORY_FAILURE,
	/* In an array of struct kvm_gmem_usage are those above. */
	KVM_GMEM_NR_INVALIDATE_REASONS,
	/* The page goes to another place; the guest finds it there. */
	KVM_GMEM_INVALIDATE_MIGRATION = KVM_GMEM_NR_INVALIDATE_REASONS,
};

/* Why a page that the host wanted to move has stayed. */
enum kvm_gmem_move_refusal {
	/* Somebody has a reference to it. */
	KVM_GMEM_MOVE_HELD,
	/* A lock was taken, or who moved it could not wait for consumers. */
	KVM_GMEM_MOVE_BUSY,
	/* A consumer of the guest_memfd's pages said so. */
	KVM_GMEM_MOVE_CONSUMER,
	/* It is broken. */
	KVM_GMEM_MOVE_BROKEN,
	KVM_GMEM_NR_MOVE_REFUSALS,
};

/* Why memory of a guest_memfd with huge folios came as a single page. */
enum kvm_gmem_huge_fallback {
	KVM_GMEM_HUGE_FITS,
	/* The file or the memslot ends, or the memslot is not aligned as the file is. */
	KVM_GMEM_HUGE_ALIGNMENT,
	/* Not all of it is private, or some of it was just changing. */
	KVM_GMEM_HUGE_MIXED,
	/* Some of it was there. */
	KVM_GMEM_HUGE_PRESENT,
	/* There was no such memory. */
	KVM_GMEM_HUGE_MEMORY,
	/* A memcg's limit. */
	KVM_GMEM_HUGE_LIMIT,
	KVM_GMEM_NR_HUGE_FALLBACKS,
};

/*
 * struct kvm_gmem_fault.flags, struct kvm_gmem_convert.flags: the request has
 * been delayed for as long as one may be, or cannot be: a delay lets it pass.
 */
#define KVM_GMEM_OVERDUE	BIT(0)
/* struct kvm_gmem_convert.flags: the guest has asked for it. */
#define KVM_GMEM_ASKED		BIT(1)

/**
 * struct kvm_gmem_fault - a request for pages of a guest_memfd
 * @gfn: first guest frame, KVM_GMEM_NO_GFN if no memslot maps @index
 * @index: first page of the guest_memfd, in units of 4 KiB
 * @nr_pages: number of pages asked for
 * @reason: enum kvm_gmem_fault_reason
 * @flags: KVM_GMEM_OVERDUE or 0
 *
 * bpf_kvm_gmem_fault_present() tells whether the first page is there already.
 */
struct kvm_gmem_fault {
	u64 gfn;
	u64 index;
	u64 nr_pages;
	u32 reason;
	u32 flags;
};

/**
 * struct kvm_gmem_convert - a request to change memory attributes
 * @start: first guest frame, KVM_GMEM_NO_GFN if no memslot has the pages
 * @end: guest frame after the last, or the same
 * @attributes: the attributes to set, KVM_MEMORY_ATTRIBUTE_*
 * @flags: KVM_GMEM_OVERDUE, KVM_GMEM_ASKED
 * @index: first page of the guest_memfd, in units of 4 KiB, if it is converted in
 *	place; KVM_GMEM_NO_INDEX if not
 * @nr_pages: number of frames, or of pages if no memslot has them
 * @pending_ns: if the guest has asked for it, how long ago
 *
 * A guest asks by a hypercall, or by an access that its memory does not allow.
 * What it has not asked for, or has for a part of the range only, is the VMM's own.
 */
struct kvm_gmem_convert {
	u64 start;
	u64 end;
	u64 attributes;
	u64 flags;
	u64 index;
	u64 nr_pages;
	u64 pending_ns;
};

/**
 * struct kvm_gmem_invalidate - guest mappings or pages that go away
 * @start: first guest frame, KVM_GMEM_NO_GFN if no memslot maps the range
 * @end: guest frame after the last
 * @pages_freed: pages that the guest_memfd gives back
 * @reason: enum kvm_gmem_invalidate_reason
 */
struct kvm_gmem_invalidate {
	u64 start;
	u64 end;
	u64 pages_freed;
	u32 reason;
	u32 pad;
};

/* struct kvm_gmem_ops.flags: evaluate, count and trace, but never enforce. */
#define KVM_GMEM_OPS_AUDIT	BIT(0)
#define KVM_GMEM_OPS_FLAGS	KVM_GMEM_OPS_AUDIT

/**
 * struct kvm_gmem_ops - a policy on guest private memory
 * @vm_init: a VM comes under the policy; once per VM, before any other member.
 *	Must not sleep.
 * @vm_exit: a VM leaves the policy; once per VM, after every other member.
 *	Must not sleep.
 * @fault: asked before pages are allocated or mapped.  May sleep.
 * @convert: asked before attributes change.  May sleep.
 * @invalidate: told of mappings or pages that go away.  Must not sleep.
 * @vm_id: the VM the policy is for, 0 for every VM
 * @priority: policies run from the lowest number to the highest
 * @flags: KVM_GMEM_OPS_*
 * @name: [A-Za-z0-9_.-], not empty
 * @fault_end: a request that @fault let pass has ended: with how many pages
 *	that were not there before, and 0 or a negative errno.  Must not sleep.
 * @convert_end: a conversion that @convert let pass has ended: how many frames
 *	really changed, and 0 or a negative errno.  Must not sleep.
 *
 * @expires_ns: CLOCK_BOOTTIME from which on the policy is not asked any more; 0
 *	for never
 *
 * @fault and @convert return a verdict: 0 allows, a negative errno from
 * { EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EDQUOT } denies, a positive number
 * delays by that many nanoseconds, after which the policy is asked again.
 * Another errno counts as clamped and denies with EACCES.
 *
 * Each 0 is followed by exactly one call of @fault_end or @convert_end with the
 * same request, also if another policy refused or delayed it (the result is
 * then that errno, or -EAGAIN) or if this policy was detached meanwhile.
 */
struct kvm_gmem_ops {
	void (*vm_init)(struct kvm *kvm);
	void (*vm_exit)(struct kvm *kvm);
	s64 (*fault)(struct kvm *kvm, const struct kvm_gmem_fault *fault);
	s64 (*convert)(struct kvm *kvm, const struct kvm_gmem_convert *convert);
	void (*invalidate)(struct kvm *kvm,
			   const struct kvm_gmem_invalidate *invalidate);
	u64 vm_id;
	s32 priority;
	u32 flags;
	char name[KVM_GMEM_POLICY_NAME_LEN];
	void (*fault_end)(struct kvm *kvm, const struct kvm_gmem_fault *fault,
			  u64 allocated, s32 result);
	void (*convert_end)(struct kvm *kvm,
			    const struct kvm_gmem_convert *convert,
			    u64 changed, s32 result);
	u64 expires_ns;
};

/**
 * struct kvm_gmem_usage - what bpf_kvm_gmem_usage() reports of one VM
 * @vm_id: the VM's id: 64 bits, never 0, never used again
 * @pid: process that created the VM, in the initial PID namespace
 * @nr_vcpus: vCPUs online
 * @size_pages: sum of the sizes of the VM's open guest_memfds
 * @private_pages: guest frames with KVM_MEMORY_ATTRIBUTE_PRIVATE, of those that
 *	an open guest_memfd is behind
 *	Where memory is converted in place, private pages that no memslot has, too
 * @populated_pages: pages that the VM's guest_memfds have, those that were
 *	closed while somebody else holds them included
 * @stale_pages: populated pages that no private guest frame maps
 * @faults: successful requests for pages by enum kvm_gmem_fault_reason; a
 *	request for a range counts its pages
 * @allocated_pages: pages ever allocated
 * @freed_pages: pages ever freed
 * @conversions: attribute changes that changed something
 * @conversions_noop: attribute changes that found nothing to change
 * @pages_to_private: guest frames that became private, with memory behind them
 *	or not
 * @pages_to_shared: guest frames that became shared, likewise
 * @invalidations: ranges invalidated by enum kvm_gmem_invalidate_reason
 * @faults_denied: requests for pages that a policy denied
 * @conversions_denied: attribute changes that a policy denied
 * @faults_delayed: delays a policy imposed on requests for pages
 * @conversions_delayed: delays a policy imposed on attribute changes
 * @delayed_ns: time asked for by those delays, after the cap
 * @attribute_bytes: memory that the VM's attributes take up in the kernel
 * @closed_pages: those of @populated_pages whose guest_memfd is closed; they
 *	are stale, too
 * @arch_faults: as @faults, KVM_GMEM_FAULT_ARCH
 * @delays_expired: requests that went on although a policy wanted them delayed,
 *	since their delays had reached kvm.gmem_delay_total_max_ms
 * @ranges: ranges of private and of shared frames that the VM's memslots are
 *	cut into; at least one for each memslot that an open guest_memfd is behind
 * @host_faults: as @faults, KVM_GMEM_FAULT_HOST
 * @conversions_held: conversions in place that failed since somebody had a page
 * @conversions_asked: those of @conversions that the guest had asked for
 * @requests: times the guest asked for frames to be private or shared
 * @requests_done: requests that the VMM answered by a conversion of all of them
 * @requests_refused: requests that it answered otherwise, or that the vCPU gave up
 * @requests_pending: requests that have no answer yet, one a vCPU at most
 * @request_ns: time that those of @requests_done had to wait
 * @request_oldest_ns: when the oldest of @requests_pending was made, by
 *	CLOCK_MONOTONIC; 0 if there is none
 * @huge_pages: those of @populated_pages that are in huge folios, but for closed
 *	guest_memfds
 * @huge_splits: huge folios ever split
 * @huge_merges: huge folios ever made of small ones
 * @huge_waiting: ranges that could be merged and were not when they were last
 *	looked at, since memory was short, pages were held, or the host cannot
 *	copy them
 * @huge_fallbacks: pages of guest_memfds with huge folios that came one by one, by
 *	enum kvm_gmem_huge_fallback
 *
 * The struct grows at its end only: a member that is an array does not, and a
 * reason that comes later gets a member of its own there.
 */
struct kvm_gmem_usage {
	u64 vm_id;
	u32 pid;
	u32 nr_vcpus;
	u64 size_pages;
	u64 private_pages;
	u64 populated_pages;
	u64 stale_pages;
	u64 faults[KVM_GMEM_NR_FAULT_REASONS];
	u64 allocated_pages;
	u64 freed_pages;
	u64 conversions;
	u64 conversions_noop;
	u64 pages_to_private;
	u64 pages_to_shared;
	u64 invalidations[KVM_GMEM_NR_INVALIDATE_REASONS];
	u64 faults_denied;
	u64 conversions_denied;
	u64 faults_delayed;
	u64 conversions_delayed;
	u64 delayed_ns;
	u64 attribute_bytes;
	u64 closed_pages;
	u64 arch_faults;
	u64 delays_expired;
	u64 ranges;
	u64 host_faults;
	u64 conversions_held;
	u64 conversions_asked;
	u64 requests;
	u64 requests_done;
	u64 requests_refused;
	u64 requests_pending;
	u64 request_ns;
	u64 request_oldest_ns;
	u64 huge_pages;
	u64 huge_splits;
	u64 huge_merges;
	u64 huge_waiting;
	u64 huge_fallbacks[KVM_GMEM_NR_HUGE_FALLBACKS];
};

/**
 * struct kvm_gmem_moves - what bpf_kvm_gmem_moves() reports of one VM
 * @moved_pages: pages that the host has put in another place
 * @refused: attempts to move a folio that failed, by enum kvm_gmem_move_refusal
 * @move_ns: time that attempts took, from the first look at the page on
 * @invalidations: as struct kvm_gmem_usage.invalidations, of those attempts
 * @unmovable_pages: populated pages of open guest_memfds that cannot be moved, since
 *	hardware or who made them wants them to stay
 *
 * As struct kvm_gmem_usage it grows at its end only.
 */
struct kvm_gmem_moves {
	u64 moved_pages;
	u64 refused[KVM_GMEM_NR_MOVE_REFUSALS];
	u64 move_ns;
	u64 invalidations;
	u64 unmovable_pages;
};

#ifdef CONFIG_KVM_GMEM_BPF

/*
 * KVM stats of a VM.  They are made of the counters in struct kvm_gmem_vm when
 * they are read, so that nothing that writes to a stat changes what policies
 * go by.
 */
struct kvm_gmem_vm_stat {
	u64 populated_pages;
	u64 huge_pages;
	u64 conversions;
};

/* KVM stats of a vCPU, written by the thread that runs it alone. */
struct kvm_gmem_vcpu_stat {
	u64 faults;
};

/*
 * Entries of KVM_GENERIC_VM_STATS() and KVM_GENERIC_VCPU_STATS(), each with its
 * comma, so that they vanish without a trace when the option is off.
 */
#define KVM_GMEM_STAT(owner, kind, stat)				\
	{								\
		STATS_DESC_COMMON(KVM_STATS_TYPE_##kind,		\
				  KVM_STATS_UNIT_NONE,			\
				  KVM_STATS_BASE_POW10, 0, 1, 0),	\
		.offset = offsetof(struct owner, generic.gmem.stat),	\
		.name = "gmem_" #stat,					\
	},
#define KVM_GMEM_GAUGE(stat)						\
	KVM_GMEM_STAT(kvm_vm_stat, INSTANT, stat)
#define KVM_GMEM_COUNTER(stat)						\
	KVM_GMEM_STAT(kvm_vm_stat, CUMULATIVE, stat)
#define KVM_GMEM_VCPU_COUNTER(stat)					\
	KVM_GMEM_STAT(kvm_vcpu_stat, CUMULATIVE, stat)

/*
 * What happened to a VM, as struct kvm_gmem_usage tells it.  Conversions are the
 * invalidations that they make.
 */
struct kvm_gmem_counters {
	atomic64_t stale_pages;
	atomic64_t allocated_pages;
	atomic64_t freed_pages;		/* the most that was seen */
	atomic64_t populate_faults;
	atomic64_t fallocate_faults;
	atomic64_t arch_faults;
	atomic64_t host_faults;
	atomic64_t conversions_noop;
	atomic64_t conversions_held;
	atomic64_t conversions_asked;
	atomic64_t unbound_private;
	atomic64_t pages_to_private;
	atomic64_t pages_to_shared;
	atomic64_t invalidations[KVM_GMEM_NR_INVALIDATE_REASONS + 1];
	atomic64_t faults_denied;
	atomic64_t conversions_denied;
	atomic64_t faults_delayed;
	atomic64_t conversions_delayed;
	atomic64_t delayed_ns;
	atomic64_t delays_expired;
	atomic64_t huge_splits;
	atomic64_t huge_merges;
	atomic64_t huge_fallbacks[KVM_GMEM_NR_HUGE_FALLBACKS];
	atomic64_t moved_pages;
	atomic64_t moves_refused[KVM_GMEM_NR_MOVE_REFUSALS];
	atomic64_t move_ns;
};

struct kvm_gmem_chain;

/**
 * struct kvm_gmem_vm - what is kept of a VM, embedded in struct kvm
 * @id: 64 bits, never 0, never used again
 * @pid: process that created the VM, in the initial PID namespace
 * @owner: that process
 * @private_frames: struct kvm_gmem_usage.private_pages; under slots_lock
 * @ranges: struct kvm_gmem_usage.ranges; likewise
 * @hooks: what the policies in force want to be asked or told, by bit of
 *	enum kvm_gmem_hook
 * @plain_errnos: a denial is to look like one that any VMM knows
 * @chain: policies in force, NULL if there is none; read under RCU
 * @spares: a chain for each policy in force, so that detaching needs no memory
 * @files: its guest_memfds, struct kvm_gmem_inode; read under RCU
 * @closed_files: those that are closed while somebody holds them
 * @closed_pages: the pages of those
 * @closed_nodes: the same by NUMA node, if there can be several
 * @pauses: requests whose delay a signal interrupted, struct kvm_gmem_pause
 * @nr_pauses: how many they are
 * @pauses_lock: protects the two
 * @populate_delay_ns: what a policy wants a launch that populates delayed by
 * @populate_since_ns: when its first delay began, 0 if there was none
 * @users: who holds the VM for a moment, plus one until it is destroyed
 * @dying: no more of those; under the lock of kvm_gmem_vms
 * @counters: what happened
 * @stat_base: @counters as they were when their stats were last cleared
 */
struct kvm_gmem_vm {
	u64 id;
	u32 pid;
	u32 hooks;
	bool plain_errnos;
	struct pid *owner;
	u64 private_frames;
	u64 ranges;
	struct kvm_gmem_chain __rcu *chain;
	struct kvm_gmem_chain *spares;
	struct list_head files;
	struct list_head closed_files;
	atomic64_t closed_pages;
	atomic64_t *closed_nodes;
	struct list_head pauses;
	unsigned int nr_pauses;
	spinlock_t pauses_lock;	/* @pauses and @nr_pauses */
	u64 populate_delay_ns;
	u64 populate_since_ns;
	struct list_head requests;
	unsigned int nr_requests;
	raw_spinlock_t requests_lock;	/* @requests to @request_ns */
	u64 guest_requests;
	u64 requests_done;
	u64 requests_refused;
	u64 request_ns;
	atomic_t users;
	bool dying;
	/* Above is read at each event, below is written. */
	struct kvm_gmem_counters counters ____cacheline_aligned_in_smp;
	struct kvm_gmem_vm_stat stat_base;
};

/**
 * struct kvm_gmem_vcpu - what is kept of a vCPU, by the thread that runs it
 * @delayed: a policy wants the fault that has just been tried delayed
 * @found: a page was found for the fault under way
 * @gfn: the frame whose fault was delayed last
 * @until_ns: when that delay ends
 * @since_ns: when the first delay began of those that no fault has come out of,
 *	0 if there is none
 * @prefaults: pages of KVM_PRE_FAULT_MEMORY, struct kvm_gmem_usage.faults
 * @faults: pages of the guest's own faults, likewise
 * @requests: the guest has asked for a conversion, and waits for the VMM; this and
 *	all below changes under the VM's requests_lock
 * @request_waits: it asked by a hypercall
 * @request_private: what it wants the frames to be
 * @request_start: first guest frame
 * @request_end: guest frame after the last
 * @request_since_ns: when it asked, by CLOCK_MONOTONIC
 * @request_node: among the VM's requests, in the order they were made
 */
struct kvm_gmem_vcpu {
	bool delayed;
	bool found;
	bool requests;
	bool request_waits;
	bool request_private;
	u64 gfn;
	u64 until_ns;
	u64 since_ns;
	u64 prefaults;
	u64 faults;
	u64 request_start;
	u64 request_end;
	u64 request_since_ns;
	struct list_head request_node;
};

/* kvm_gmem_fault_pfn(): a policy wants the fault again, after a delay. */
#define KVM_GMEM_FAULT_DELAYED	1

void kvm_gmem_vm_init(struct kvm *kvm);
int kvm_gmem_vm_created(struct kvm *kvm);
void kvm_gmem_vm_destroyed(struct kvm *kvm);
int kvm_gmem_enable_cap(struct kvm *kvm, u64 flags);
void kvm_gmem_refresh_stats(struct kvm *kvm);
void kvm_gmem_stat_cleared(struct kvm *kvm, size_t offset);

int kvm_gmem_fault_pfn(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
		       u64 gfn, u64 *pfn, int *max_order, bool prefault,
		       unsigned long mmu_seq);
void kvm_gmem_fault_mapped(struct kvm_vcpu *vcpu, bool prefault);
void kvm_gmem_guest_asks(struct kvm_vcpu *vcpu, u64 start, u64 nr, bool private,
			 bool waits);
void kvm_gmem_guest_answered(struct kvm_vcpu *vcpu);
int kvm_gmem_delay_vcpu(struct kvm_vcpu *vcpu,
			bool (*takes_interrupt)(struct kvm_vcpu *vcpu));
bool kvm_gmem_resume_prefault(struct kvm_vcpu *vcpu, u64 gpa);
void kvm_gmem_delay_populate(struct kvm *kvm);

/* A delay that ended in an exit to userspace before it was slept. */
#define kvm_gmem_delay_forget(vcpu)					\
	do {								\
		struct kvm_gmem_vcpu *__gmem = &(vcpu)->gmem;		\
									\
		if (unlikely(__gmem->delayed)) {			\
			__gmem->delayed = false;			\
			__gmem->until_ns = 0;				\
		}							\
	} while (0)

#define kvm_gmem_delay_pending(vcpu)	unlikely((vcpu)->gmem.delayed)

#else /* !CONFIG_KVM_GMEM_BPF */

#define KVM_GMEM_GAUGE(...)
#define KVM_GMEM_COUNTER(...)
#define KVM_GMEM_VCPU_COUNTER(...)

#define KVM_GMEM_FAULT_DELAYED	1
#define kvm_gmem_fault_pfn(vcpu, slot, gfn, pfn, max_order, prefault, seq) \
	((void)(prefault), (void)(seq),					   \
	 kvm_gmem_get_pfn((vcpu)->kvm, slot, gfn, pfn, max_order))
#define kvm_gmem_delay_forget(vcpu)		((void)(vcpu))

static inline bool kvm_gmem_delay_pending(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline int
kvm_gmem_delay_vcpu(struct kvm_vcpu *vcpu,
		    bool (*takes_interrupt)(struct kvm_vcpu *vcpu))
{
	return 0;
}

static inline bool kvm_gmem_resume_prefault(struct kvm_vcpu *vcpu, u64 gpa)
{
	return false;
}

static inline void kvm_gmem_fault_mapped(struct kvm_vcpu *vcpu, bool prefault)
{
}

static inline void kvm_gmem_guest_asks(struct kvm_vcpu *vcpu, u64 start, u64 nr,
				       bool private, bool waits)
{
}

static inline void kvm_gmem_guest_answered(struct kvm_vcpu *vcpu)
{
}

static inline void kvm_gmem_vm_init(struct kvm *kvm)
{
}

static inline int kvm_gmem_vm_created(struct kvm *kvm)
{
	return 0;
}

static inline void kvm_gmem_vm_destroyed(struct kvm *kvm)
{
}

static inline void kvm_gmem_refresh_stats(struct kvm *kvm)
{
}

static inline void kvm_gmem_stat_cleared(struct kvm *kvm, size_t offset)
{
}

static inline int kvm_gmem_enable_cap(struct kvm *kvm, u64 flags)
{
	return -EINVAL;
}

static inline void kvm_gmem_delay_populate(struct kvm *kvm)
{
}

#endif /* CONFIG_KVM_GMEM_BPF */

#endif /* __LINUX_KVM_GMEM_H */
