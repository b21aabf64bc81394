/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kfuncs that KVM offers to BPF programs, for policies and for programs
 * that only look.  Include it after vmlinux.h and bpf_helpers.h.  Not here:
 * the types, which come from the kernel's BTF through vmlinux.h.
 */
#ifndef __GMEM_KFUNCS_H
#define __GMEM_KFUNCS_H

/* The VM's id: never 0, never used for another VM. */
extern u64 bpf_kvm_gmem_vm_id(const struct kvm *kvm) __ksym;

/* Does the VM end?  Weak, as who reads struct kvm itself does not need it. */
extern bool bpf_kvm_gmem_vm_is_dying(const struct kvm *kvm) __ksym __weak;

/*
 * Fills as much of *usage as the kernel knows, zeroes the rest.  Returns the
 * bytes filled, or -EINVAL if usage__sz is too small to be useful.
 */
extern int bpf_kvm_gmem_usage(struct kvm *kvm, struct kvm_gmem_usage *usage,
			      u32 usage__sz) __ksym;

/*
 * The same for what became of the VM's pages that the host wanted to move.  Weak, as
 * there are kernels that move none.
 */
extern int bpf_kvm_gmem_moves(struct kvm *kvm, struct kvm_gmem_moves *moves,
			      u32 moves__sz) __ksym __weak;

/* In a policy's fault hook: is the first page there already? */
extern bool
bpf_kvm_gmem_fault_present(const struct kvm_gmem_fault *fault) __ksym;

/*
 * In a policy's convert hook, which must be sleepable: how many frames that
 * memory is behind would it change?
 */
extern u64
bpf_kvm_gmem_convert_changes(struct kvm *kvm,
			     const struct kvm_gmem_convert *convert) __ksym;

/*
 * The rest is for syscall programs, and only for those that are loaded by a task
 * with CAP_SYS_ADMIN in the initial user namespace.
 */

/* NULL if no VM has that id, or it is dying; it stays until the release. */
extern struct kvm *bpf_kvm_gmem_vm_acquire(u64 vm_id) __ksym;
extern void bpf_kvm_gmem_vm_release(struct kvm *kvm) __ksym;

/* bpf_for_each(kvm_gmem_vm, id): the id of each VM, the lowest first. */
extern int bpf_iter_kvm_gmem_vm_new(struct bpf_iter_kvm_gmem_vm *it) __ksym;
extern u64 *bpf_iter_kvm_gmem_vm_next(struct bpf_iter_kvm_gmem_vm *it) __ksym;
extern void
bpf_iter_kvm_gmem_vm_destroy(struct bpf_iter_kvm_gmem_vm *it) __ksym;

/*
 * bpf_for_each(kvm_gmem_policy, link_id): the BPF link of each policy in force,
 * in the order they run.
 */
extern int
bpf_iter_kvm_gmem_policy_new(struct bpf_iter_kvm_gmem_policy *it) __ksym;
extern u32 *
bpf_iter_kvm_gmem_policy_next(struct bpf_iter_kvm_gmem_policy *it) __ksym;
extern void
bpf_iter_kvm_gmem_policy_destroy(struct bpf_iter_kvm_gmem_policy *it) __ksym;

/*
 * Fills as much of *info as the kernel knows, zeroes the rest.  Returns the
 * bytes filled, -ENOENT if no policy has that link (any more), or -EINVAL if
 * info__sz is too small to be useful.
 */
extern int bpf_kvm_gmem_policy_info(u32 link_id,
				    struct kvm_gmem_policy_info *info,
				    u32 info__sz) __ksym;

/* Pages of guest_memfds that somebody holds though their VM is gone. */
extern u64 bpf_kvm_gmem_orphaned_pages(void) __ksym;

/*
 * What each policy in force on a VM said of it, in the order they run.  Returns
 * how many there are, also if not all fit.
 */
extern int bpf_kvm_gmem_vm_verdicts(struct kvm *kvm,
				    struct kvm_gmem_vm_verdicts *verdicts,
				    u32 verdicts__sz) __ksym;

/*
 * Where a VM's memory is.  The kernel's documentation (gmem-bpf.rst) says what
 * they return.
 */
extern int bpf_kvm_gmem_slots(struct kvm *kvm, u64 start,
			      struct kvm_gmem_slot_info *slots,
			      u32 slots__sz) __ksym;
extern int bpf_kvm_gmem_map(struct kvm *kvm, u64 start, u64 pages,
			    struct kvm_gmem_bucket *buckets,
			    u32 buckets__sz) __ksym;
extern int bpf_kvm_gmem_nodes(struct kvm *kvm, u64 *pages,
			      u32 pages__sz) __ksym;
extern s64 bpf_kvm_gmem_backed_twice(struct kvm *kvm, u64 start,
				     u64 *pages) __ksym;
extern s64 bpf_kvm_gmem_host_mapped(struct kvm *kvm, u64 start, u64 end,
				    u64 *pages) __ksym;
extern s64 bpf_kvm_gmem_huge(struct kvm *kvm, u64 start, u64 end,
			     u64 *pages) __ksym;

/*
 * Moves memory of a VM to a NUMA node, a bounded part at a time: 1 if there is more
 * to do, 0 if not, or a negative errno.  Weak, as above.
 */
extern int bpf_kvm_gmem_move(struct kvm *kvm,
			     struct kvm_gmem_move_request *request,
			     u32 request__sz) __ksym __weak;

/* Whose it is: -ESRCH if that process is gone or runs another program. */
extern int bpf_kvm_gmem_owner(struct kvm *kvm, struct kvm_gmem_owner *owner,
			      u32 owner__sz) __ksym;
extern int bpf_kvm_gmem_cgroup(struct kvm *kvm, char *path,
			       u32 path__sz) __ksym;

#endif /* __GMEM_KFUNCS_H */
