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
#define mpol_shared_policy_init(policies, policy)			\
	((void)((policies)->root = RB_ROOT))
#define mpol_free_shared_policy(policies)	((void)(policies))
#define mpol_shared_policy_lookup(policies, index)			\
	((void)(policies), (void)(index), (struct mempolicy *)NULL)
#define mpol_set_shared_policy(policies, vma, policy)			\
	((void)(policies), (void)(policy), -EOPNOTSUPP)
#undef folio_alloc_mpol
#define folio_alloc_mpol(gfp, order, policy, index, node)		\
	((void)(policy), (struct folio *)NULL)
#define mpol_cond_put(policy)	((void)(policy))

#endif /* __KVM_GMEM_STOCK_H */
