/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the private-memory observation and policy code share:
 * gmem_account.c counts, gmem_policy.c decides, gmem_events.c is what KVM and
 * guest_memfd call, gmem_kfuncs.c and gmem_layout.c are what BPF programs call.
 */
#ifndef __KVM_GMEM_INTERNAL_H
#define __KVM_GMEM_INTERNAL_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/srcu.h>

#include "gmem_hooks.h"

enum kvm_gmem_hook {
	KVM_GMEM_HOOK_FAULT,
	KVM_GMEM_HOOK_CONVERT,
	KVM_GMEM_HOOK_INVALIDATE,
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
 * struct kvm_gmem_policy - an attached policy
 * @node: in kvm_gmem_policies, by priority
 * @ops: what it does; replaced by a link update
 * @link: the link that holds it, and its identity
 * @nr_vms: VMs it is in force on
 * @stat: what it did
 */
struct kvm_gmem_policy {
	struct list_head node;
	struct kvm_gmem_ops *ops;
	struct bpf_link *link;
	unsigned int nr_vms;
	struct kvm_gmem_policy_stat __percpu *stat;
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

extern struct mutex kvm_gmem_lock;
extern struct srcu_struct kvm_gmem_srcu;
extern struct list_head kvm_gmem_vms;
extern struct list_head kvm_gmem_policies;

/* Is there a policy on a VM that wants to know? */
static __always_inline bool kvm_gmem_policed(struct kvm *kvm,
					     enum kvm_gmem_hook hook)
{
	return static_branch_unlikely(&kvm_gmem_policy_key) &&
	       READ_ONCE(kvm->gmem.hooks) & BIT(hook);
}

/* gmem_events.c */
bool kvm_gmem_request_present(const struct kvm_gmem_request *request);

/* guest_memfd is never written back, so this tag is free. */
#define KVM_GMEM_STALE	PAGECACHE_TAG_TOWRITE

/* gmem_account.c */
struct kvm *kvm_gmem_find_vm(u64 id);
void kvm_gmem_fill_usage(struct kvm *kvm, struct kvm_gmem_usage *usage);
void kvm_gmem_classify(struct kvm *kvm, struct address_space *mapping,
		       struct kvm_memory_slot *slot, pgoff_t index);
void kvm_gmem_mark_stale(struct kvm *kvm, struct address_space *mapping,
			 pgoff_t start, pgoff_t end, bool stale);
u64 kvm_gmem_count_populated(struct address_space *mapping, pgoff_t start,
			     pgoff_t end);

/* gmem_policy.c */
s64 kvm_gmem_evaluate_fault(struct kvm *kvm,
			    const struct kvm_gmem_fault *fault);
s64 kvm_gmem_evaluate_convert(struct kvm *kvm,
			      const struct kvm_gmem_convert *convert);
void kvm_gmem_notify(struct kvm *kvm,
		     const struct kvm_gmem_invalidate *invalidate);
void kvm_gmem_policy_vm_created(struct kvm *kvm);
void kvm_gmem_policy_vm_destroyed(struct kvm *kvm);
unsigned int kvm_gmem_fill_verdicts(struct kvm *kvm,
				    struct kvm_gmem_vm_verdicts *verdicts,
				    unsigned int nr);
int kvm_gmem_policy_register(void);

/* gmem_kfuncs.c */
int kvm_gmem_kfuncs_register(void);

#endif /* __KVM_GMEM_INTERNAL_H */
