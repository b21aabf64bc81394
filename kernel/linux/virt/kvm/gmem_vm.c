// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VMs there are, for those who look from outside: BPF programs that walk
 * them, and policies that are attached to them.  A VM is found by its id, and
 * used between a get and a put.  No walk holds anything between two steps.
 */
#include <linux/nodemask.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include <trace/events/kvm_gmem.h>

#include "gmem.h"

/* Policies, and which VMs they are in force on; see gmem_attach.c. */
DEFINE_MUTEX(kvm_gmem_lock);
DEFINE_XARRAY(kvm_gmem_vms);

/**
 * kvm_gmem_vm_get - find a VM by its id and keep it
 * @id: the id
 *
 * Only the destruction of this VM waits for kvm_gmem_vm_put().
 *
 * Context: any but an interrupt.
 * Return: the VM, or NULL if it is gone or never was.
 */
struct kvm *kvm_gmem_vm_get(u64 id)
{
	struct kvm *kvm;

	/* A VM is freed after it was said to be dying, under the lock. */
	xa_lock(&kvm_gmem_vms);
	kvm = xa_load(&kvm_gmem_vms, id);
	if (kvm && kvm->gmem.dying)
		kvm = NULL;
	if (kvm)
		atomic_inc(&kvm->gmem.users);
	xa_unlock(&kvm_gmem_vms);

	return kvm;
}

/**
 * kvm_gmem_vm_put - let go of a VM
 * @kvm: from kvm_gmem_vm_get()
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_vm_put(struct kvm *kvm)
{
	/* Whoever destroys the VM may free it as soon as the count is zero. */
	atomic_t *users = &kvm->gmem.users;

	if (atomic_dec_and_test(users))
		wake_up_var(users);
}

/**
 * kvm_gmem_find_vm - find a VM by its id
 * @id: the id
 *
 * Context: under kvm_gmem_lock, which keeps it.
 * Return: the VM, or NULL if it is gone or never was.
 */
struct kvm *kvm_gmem_find_vm(u64 id)
{
	lockdep_assert_held(&kvm_gmem_lock);

	return xa_load(&kvm_gmem_vms, id);
}

/**
 * kvm_gmem_vm_init - prepare what is kept of a VM
 * @kvm: the VM, not yet known to anybody, its stats' readers included
 *
 * There is nothing to undo if the VM's creation fails later.
 */
void kvm_gmem_vm_init(struct kvm *kvm)
{
	static atomic64_t last_id;
	struct kvm_gmem_vm *gmem = &kvm->gmem;

	gmem->id = atomic64_inc_return(&last_id);
	gmem->pid = task_tgid_nr(current);
	INIT_LIST_HEAD(&gmem->files);
	INIT_LIST_HEAD(&gmem->closed_files);
	INIT_LIST_HEAD(&gmem->pauses);
	spin_lock_init(&gmem->pauses_lock);
	INIT_LIST_HEAD(&gmem->requests);
	raw_spin_lock_init(&gmem->requests_lock);
	atomic_set(&gmem->users, 1);
}

/**
 * kvm_gmem_vm_created - begin to observe a VM
 * @kvm: the VM, complete but not yet known to userspace
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM if there is no memory for its policies; then there is
 *	nothing to undo.
 */
int kvm_gmem_vm_created(struct kvm *kvm)
{
	int r;

	if (kvm_gmem_counts_freed()) {
		kvm->gmem.closed_nodes = kcalloc(nr_node_ids,
						 sizeof(*kvm->gmem.closed_nodes),
						 GFP_KERNEL_ACCOUNT);
		if (!kvm->gmem.closed_nodes)
			return -ENOMEM;
	}
	kvm->gmem.owner = get_task_pid(current, PIDTYPE_TGID);
	r = kvm_gmem_policy_vm_created(kvm);
	if (r) {
		put_pid(kvm->gmem.owner);
		kfree(kvm->gmem.closed_nodes);
		return r;
	}
	trace_kvm_gmem_vm_create(kvm);

	return 0;
}

/**
 * kvm_gmem_vm_destroyed - end the observation of a VM
 * @kvm: the VM, without users but otherwise intact
 *
 * Returns when no BPF program uses @kvm any more.  Waits for those that hold it,
 * and for nobody else.
 *
 * Context: may sleep.
 */
void kvm_gmem_vm_destroyed(struct kvm *kvm)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;

	/* From here on nobody finds it who does not have it. */
	xa_lock(&kvm_gmem_vms);
	gmem->dying = true;
	xa_unlock(&kvm_gmem_vms);
	if (!atomic_dec_and_test(&gmem->users))
		wait_var_event(&gmem->users, !atomic_read(&gmem->users));
	kvm_gmem_inodes_orphan(kvm);

	mutex_lock(&kvm_gmem_lock);
	xa_erase(&kvm_gmem_vms, gmem->id);
	kvm_gmem_policy_vm_destroyed(kvm);
	mutex_unlock(&kvm_gmem_lock);
	kvm_gmem_pauses_forget(kvm);
	put_pid(gmem->owner);
	kfree(gmem->closed_nodes);

	trace_kvm_gmem_vm_destroy(kvm);
}

/**
 * kvm_gmem_enable_cap - KVM_ENABLE_CAP of KVM_CAP_GUEST_MEMFD_POLICY
 * @kvm: the VM
 * @flags: KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS or 0
 *
 * Return: 0 or -EINVAL.
 */
int kvm_gmem_enable_cap(struct kvm *kvm, u64 flags)
{
	if (flags & ~KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS)
		return -EINVAL;

	WRITE_ONCE(kvm->gmem.plain_errnos, !!flags);

	return 0;
}
