/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the private-memory observation and policy code share:
 * gmem_vm.c knows the VMs, gmem_owner.c whose they are, gmem_files.c their
 * guest_memfds, gmem_account.c counts pages, gmem_frames.c guest frames,
 * gmem_requests.c knows what guests ask for, gmem_policy.c asks the policies,
 * gmem_attach.c attaches them, gmem_delay.c waits, gmem_events.c is what KVM and
 * guest_memfd call, gmem_kfuncs.c, gmem_layout.c and gmem_move.c are what BPF
 * programs call.
 */
#ifndef __KVM_GMEM_INTERNAL_H
#define __KVM_GMEM_INTERNAL_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/xarray.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

enum kvm_gmem_hook {
	KVM_GMEM_HOOK_FAULT,
	KVM_GMEM_HOOK_CONVERT,
	KVM_GMEM_HOOK_INVALIDATE,
	KVM_GMEM_HOOK_FAULT_END,
	KVM_GMEM_HOOK_CONVERT_END,
};

/* The errnos a policy may deny with, in the order they are counted in. */
#define KVM_GMEM_NR_ERRNOS	6

/* Counted per CPU, so that the VMs under one policy share no cache line. */
struct kvm_gmem_policy_stat {
	u64 calls;
	u64 denied[KVM_GMEM_NR_ERRNOS];
	u64 delayed;
	u64 delayed_ns;
	u64 clamped;
};

/**
 * struct kvm_gmem_programs - the programs of a policy
 * @ops: they, with a reference
 * @policy: whose they are
 * @detached: the policy is in force no more, and goes with its programs
 * @refs: one while they are in force, one for each chain that they leave and
 *	whose last request has not ended, one for who waits for that
 * @node: among all programs that are not gone
 *
 * An update replaces them.
 */
struct kvm_gmem_programs {
	const struct kvm_gmem_ops *ops;
	struct kvm_gmem_policy *policy;
	bool detached;
	refcount_t refs;
	struct list_head node;
};

/**
 * struct kvm_gmem_policy - an attached policy
 * @node: in kvm_gmem_policies, by priority
 * @programs: what it does
 * @link: the link that holds it, and its identity; NULL when detached
 * @seq: when it came to its place, which orders equals
 * @nr_vms: VMs it is in force on
 * @stat: what it did
 */
struct kvm_gmem_policy {
	struct list_head node;
	struct kvm_gmem_programs *programs;
	struct bpf_link *link;
	u64 seq;
	unsigned int nr_vms;
	struct kvm_gmem_policy_stat __percpu *stat;
};

/*
 * What one policy said of one VM, struct kvm_gmem_vm_verdicts.  The vCPUs of the
 * VM share it, as they share the page cache and the counters of what they ask
 * for; VMs and policies do not share one with each other.
 */
struct kvm_gmem_tally {
	atomic64_t calls;
	atomic64_t denied;
	atomic64_t delayed;
	atomic64_t delayed_ns;
} ____cacheline_aligned_in_smp;

/* A policy in force on a VM. */
struct kvm_gmem_chain_entry {
	const struct kvm_gmem_ops *ops;
	struct kvm_gmem_policy *policy;
	struct kvm_gmem_tally *tally;
};

/**
 * struct kvm_gmem_chain - the policies in force on a VM, by priority
 * @refs: one while it is in force, one for each request that is asked by it, one
 *	for the chain before it
 * @nr: how many there are
 * @hooks: what they want to be asked or told, by bit of enum kvm_gmem_hook
 * @next: the chain that took its place, which must not end before it; while it
 *	is a spare, the next spare
 * @leaving: programs that are in this chain and in none after it
 * @leaving_tally: what they said of the VM, if their policy goes with them
 * @rcu: readers look at @refs
 * @entry: they
 */
struct kvm_gmem_chain {
	refcount_t refs;
	unsigned int nr;
	u32 hooks;
	struct kvm_gmem_chain *next;
	struct kvm_gmem_programs *leaving;
	struct kvm_gmem_tally *leaving_tally;
	struct rcu_head rcu;
	struct kvm_gmem_chain_entry entry[KVM_GMEM_MAX_POLICIES];
};

/**
 * struct kvm_gmem_vm_verdicts - what one policy said of one VM
 * @link_id: the BPF link that holds the policy
 * @calls: times it was asked about the VM
 * @denied: verdicts that refused, by a policy in audit mode too
 * @delayed: verdicts that delayed, likewise
 * @delayed_ns: nanoseconds those asked for, after the cap
 *
 * All since the policy came into force on the VM.
 */
struct kvm_gmem_vm_verdicts {
	u32 link_id;
	u32 pad;
	u64 calls;
	u64 denied;
	u64 delayed;
	u64 delayed_ns;
};

/* Serializes attaching, detaching and updating, and the life of VMs with that. */
extern struct mutex kvm_gmem_lock;
/* VMs by id.  Its own lock keeps those that are in it alive. */
extern struct xarray kvm_gmem_vms;
/* By priority, under kvm_gmem_lock. */
extern struct list_head kvm_gmem_policies;

/* Is there a policy on a VM that wants to know? */
static __always_inline bool kvm_gmem_policed(struct kvm *kvm,
					     enum kvm_gmem_hook hook)
{
	return static_branch_unlikely(&kvm_gmem_policy_key) &&
	       READ_ONCE(kvm->gmem.hooks) & BIT(hook);
}

/* guest_memfd is never written back, so this tag is free. */
#define KVM_GMEM_STALE	PAGECACHE_TAG_TOWRITE

/* gmem_vm.c */
struct kvm *kvm_gmem_vm_get(u64 id);
void kvm_gmem_vm_put(struct kvm *kvm);
struct kvm *kvm_gmem_find_vm(u64 id);

/* gmem_files.c */
void kvm_gmem_inode_close(struct kvm_gmem_inode *gi);
void kvm_gmem_inodes_orphan(struct kvm *kvm);
u64 kvm_gmem_orphaned_pages(void);
u64 kvm_gmem_count_node(struct kvm *kvm, unsigned int nid);
u64 kvm_gmem_count_unmovable(struct kvm *kvm);

/* gmem_account.c */
u64 kvm_gmem_populated(struct kvm *kvm);
void kvm_gmem_fill_usage(struct kvm *kvm, struct kvm_gmem_usage *usage);
pgoff_t kvm_gmem_attr_run(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  pgoff_t start, pgoff_t end, bool *stale);
void kvm_gmem_classify(struct kvm *kvm, struct inode *inode,
		       const struct kvm_memory_slot *slot, pgoff_t start,
		       pgoff_t end);
void kvm_gmem_mark(struct kvm *kvm, struct inode *inode, pgoff_t start,
		   pgoff_t end, bool stale);
void kvm_gmem_set_punch(struct inode *inode, pgoff_t start, pgoff_t end);
u64 kvm_gmem_count_populated(struct address_space *mapping, pgoff_t start,
			     pgoff_t end);

/* gmem_frames.c */
void kvm_gmem_frames_convert_one(struct kvm *kvm,
				 const struct kvm_memory_slot *slot, gfn_t gfn,
				 bool private,
				 const struct kvm_mem_attr_change *change);
void kvm_gmem_frames_bound(struct kvm *kvm, const struct kvm_memory_slot *slot);
void kvm_gmem_frames_unbound(struct kvm *kvm,
			     const struct kvm_memory_slot *slot);

/* gmem_events.c */
bool kvm_gmem_request_present(const struct kvm_gmem_request *request);
void kvm_gmem_invalidated(struct kvm *kvm, u64 start, u64 end, u64 pages_freed,
			  u32 reason);

/* gmem_delay.c */
int kvm_gmem_ask_and_wait(struct kvm *kvm, enum kvm_gmem_hook hook,
			  void *args, struct kvm_gmem_asked *asked);
bool kvm_gmem_overdue(u64 since_ns, u64 now_ns);
bool kvm_gmem_resume_fault(struct kvm_gmem_vcpu *gmem, u64 gfn, bool *overdue);
void kvm_gmem_delay_fault(struct kvm_gmem_vcpu *gmem, u64 gfn, u64 delay_ns);
void kvm_gmem_pauses_forget(struct kvm *kvm);

/* gmem_requests.c */
u64 kvm_gmem_requested(struct kvm *kvm, u64 start, u64 end, bool private);
u64 kvm_gmem_request_oldest(struct kvm *kvm);

/* When did the guest ask for a conversion?  0 if it did not. */
static __always_inline u64 kvm_gmem_request_since(struct kvm *kvm, u64 start,
						  u64 end, bool private)
{
	/* No guest asks for pages that it has no frames of. */
	if (likely(!READ_ONCE(kvm->gmem.nr_requests)) || start == KVM_GMEM_NO_GFN)
		return 0;

	return kvm_gmem_requested(kvm, start, end, private);
}

/* gmem_policy.c */
s64 kvm_gmem_ask(struct kvm *kvm, enum kvm_gmem_hook hook, void *args,
		 struct kvm_gmem_asked *asked, bool overdue);
void kvm_gmem_settle_fault(struct kvm *kvm, struct kvm_gmem_request *request,
			   int result);
void kvm_gmem_settle_convert(struct kvm *kvm,
			     const struct kvm_gmem_convert *convert,
			     struct kvm_gmem_asked *asked, u64 changed,
			     int result);
void kvm_gmem_notify(struct kvm *kvm,
		     const struct kvm_gmem_invalidate *invalidate);
struct kvm_gmem_chain *kvm_gmem_chain_get(struct kvm *kvm);
void kvm_gmem_chain_put(struct kvm *kvm, struct kvm_gmem_chain *chain);

/* gmem_attach.c */
void kvm_gmem_programs_put(struct kvm_gmem_programs *programs);
int kvm_gmem_policy_vm_created(struct kvm *kvm);
void kvm_gmem_policy_vm_destroyed(struct kvm *kvm);
unsigned int kvm_gmem_fill_verdicts(struct kvm *kvm,
				    struct kvm_gmem_vm_verdicts *verdicts,
				    unsigned int nr);
int kvm_gmem_policy_register(void);

/* gmem_kfuncs.c */
int kvm_gmem_kfuncs_register(void);

#endif /* __KVM_GMEM_INTERNAL_H */
