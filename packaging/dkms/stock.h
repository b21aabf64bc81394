/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What KVM calls that our series exports, and a kernel without it does not.
 * Included before all else in those files of KVM that call it.
 */
#ifndef __KVM_GMEM_STOCK_H
#define __KVM_GMEM_STOCK_H

#include <linux/bpf.h>
#include <linux/mempolicy.h>
#include <linux/swap.h>

bool kvm_gmem_stock_get(const void *kdata);
void kvm_gmem_stock_put(const void *kdata);
void kvm_gmem_stock_drain(void);

#define bpf_struct_ops_get	kvm_gmem_stock_get
#define bpf_struct_ops_put	kvm_gmem_stock_put
#define lru_add_drain_all	kvm_gmem_stock_drain

/* Without NUMA policies of a guest_memfd's own: pages come by the task's. */
static inline void kvm_gmem_stock_policy_init(struct shared_policy *policies,
					      struct mempolicy *policy)
{
	policies->root = RB_ROOT;
}

static inline void kvm_gmem_stock_policy_free(struct shared_policy *policies)
{
}

static inline struct mempolicy *
kvm_gmem_stock_policy_get(struct shared_policy *policies, pgoff_t index)
{
	return NULL;
}

static inline void kvm_gmem_stock_policy_put(struct mempolicy *policy)
{
}

static inline int kvm_gmem_stock_policy_set(struct shared_policy *policies,
					    struct vm_area_struct *vma,
					    struct mempolicy *policy)
{
	return -EOPNOTSUPP;
}

/* Only who has a policy asks. */
static inline struct folio *
kvm_gmem_stock_policy_alloc(gfp_t gfp, unsigned int order,
			    struct mempolicy *policy, pgoff_t index, int node)
{
	return NULL;
}

#define mpol_shared_policy_init		kvm_gmem_stock_policy_init
#define mpol_free_shared_policy		kvm_gmem_stock_policy_free
#define mpol_shared_policy_lookup	kvm_gmem_stock_policy_get
#define mpol_cond_put			kvm_gmem_stock_policy_put
#define mpol_set_shared_policy		kvm_gmem_stock_policy_set
#undef folio_alloc_mpol
#define folio_alloc_mpol		kvm_gmem_stock_policy_alloc

#endif /* __KVM_GMEM_STOCK_H */
