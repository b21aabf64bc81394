/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs read of a struct kvm.  Include it after vmlinux.h and
 * bpf_helpers.h.
 *
 * Where the kernel was built with gmem, a program reads the members.  KVM as a
 * module for a kernel of others has members which the kernel's own struct kvm has
 * not, and others are elsewhere: there it asks the module.  The verifier takes
 * away the one or the other.
 */
#ifndef __GMEM_VM_H
#define __GMEM_VM_H

#include <bpf/bpf_core_read.h>

#include "gmem_kfuncs.h"

/* vmlinux.h may be of either. */
struct kvm_gmem_vm___known {
	u64 id;
	u32 pid;
} __attribute__((preserve_access_index));

struct kvm___known {
	struct kvm_gmem_vm___known gmem;
	refcount_t users_count;
} __attribute__((preserve_access_index));

#define gmem_known(kvm)		((const struct kvm___known *)(const void *)(kvm))
#define gmem_kvm_is_known(kvm)	bpf_core_field_exists(gmem_known(kvm)->gmem)

/* A VM's id; the call is what it costs elsewhere. */
static __always_inline u64 gmem_vm_id(const struct kvm *kvm)
{
	return gmem_kvm_is_known(kvm) ? gmem_known(kvm)->gmem.id :
					bpf_kvm_gmem_vm_id(kvm);
}

/* In vm_exit: does the VM end, or only the policy's rule over it? */
static __always_inline bool gmem_vm_is_dying(const struct kvm *kvm)
{
	return gmem_kvm_is_known(kvm) ?
		       !gmem_known(kvm)->users_count.refs.counter :
		       bpf_kvm_gmem_vm_is_dying(kvm);
}

#endif /* __GMEM_VM_H */
