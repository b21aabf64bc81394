// SPDX-License-Identifier: GPL-2.0-only
/*
 * What BPF programs may ask of guest private memory: which VMs and policies
 * there are, and what they use and did.  Nothing here changes anything, but for
 * what moves memory, which its guest does not notice.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/capability.h>

#include "gmem.h"

/* The part of struct kvm_gmem_usage without which it says nothing. */
#define KVM_GMEM_USAGE_MIN	offsetof(struct kvm_gmem_usage, size_pages)

/**
 * struct kvm_gmem_policy_info - what the iterator tells of a policy
 * @vm_id: the VM it is for, 0 for every VM
 * @priority: struct kvm_gmem_ops.priority
 * @flags: struct kvm_gmem_ops.flags
 * @link_id: the BPF link that holds it
 * @nr_vms: VMs it is in force on
 * @calls: times it was asked
 * @allowed: verdicts that let the event pass
 * @denied: verdicts that refused, by audit mode's policies too
 * @delayed: verdicts that delayed, likewise
 * @delayed_ns: nanoseconds those asked for, after the cap
 * @clamped: verdicts that were outside of what a policy may say
 * @denied_by_errno: @denied by EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EDQUOT
 * @name: struct kvm_gmem_ops.name
 * @expires_ns: struct kvm_gmem_ops.expires_ns
 */
struct kvm_gmem_policy_info {
	u64 vm_id;
	s32 priority;
	u32 flags;
	u32 link_id;
	u32 nr_vms;
	u64 calls;
	u64 allowed;
	u64 denied;
	u64 delayed;
	u64 delayed_ns;
	u64 clamped;
	u64 denied_by_errno[KVM_GMEM_NR_ERRNOS];
	char name[KVM_GMEM_POLICY_NAME_LEN];
	u64 expires_ns;
};

/*
 * A walk keeps nothing but where it is: what it gives is a copy in the iterator,
 * which is the program's own.
 */
struct bpf_iter_kvm_gmem_vm {
	u64 __opaque[8];
} __aligned(8);

/* Several are looked up at a time, which costs hardly more than one. */
struct bpf_iter_kvm_gmem_vm_kern {
	u64 vm_ids[7];
	u32 at;
	u32 nr;
} __aligned(8);

struct bpf_iter_kvm_gmem_policy {
	u64 __opaque[2];
} __aligned(8);

struct bpf_iter_kvm_gmem_policy_kern {
	u64 seq;
	s32 priority;
	u32 link_id;
} __aligned(8);

/* What a program gets in its own buffer, whose contents nobody else may choose. */
static int kvm_gmem_copy_out(void *to, u32 to_size, const void *from,
			     u32 from_size)
{
	u32 size = min(to_size, from_size);

	memcpy(to, from, size);
	if (to_size > size)
		memset(to + size, 0, to_size - size);

	return size;
}

/* For programs that know another struct than the kernel. */
static noinline int kvm_gmem_copy_usage(struct kvm *kvm,
					struct kvm_gmem_usage *usage, u32 size)
{
	struct kvm_gmem_usage whole;

	kvm_gmem_fill_usage(kvm, &whole);

	return kvm_gmem_copy_out(usage, size, &whole, sizeof(whole));
}

__bpf_kfunc_start_defs();

/**
 * bpf_kvm_gmem_vm_id - a VM's id
 * @kvm: the VM
 *
 * Context: any.
 * Return: the id, never 0.
 */
__bpf_kfunc u64 bpf_kvm_gmem_vm_id(const struct kvm *kvm)
{
	return kvm->gmem.id;
}

/**
 * bpf_kvm_gmem_vm_is_dying - does a VM end?
 * @kvm: the VM
 *
 * For vm_exit, which is called as well when only the policy's rule over it ends.
 *
 * Context: any.
 * Return: whether it does.
 */
__bpf_kfunc bool bpf_kvm_gmem_vm_is_dying(const struct kvm *kvm)
{
	return !refcount_read(&kvm->users_count);
}

/**
 * bpf_kvm_gmem_usage - what a VM uses and did
 * @kvm: the VM
 * @usage: filled in as far as it reaches
 * @usage__sz: its size in bytes; a program that knows a longer struct than the
 *	kernel finds the rest zeroed, one that knows a shorter gets its part
 *
 * Context: any but NMI.
 * Return: bytes filled in, or -EINVAL if @usage__sz is too small for vm_id,
 *	pid and nr_vcpus.
 */
__bpf_kfunc int bpf_kvm_gmem_usage(struct kvm *kvm,
				   struct kvm_gmem_usage *usage, u32 usage__sz)
{
	if (usage__sz < KVM_GMEM_USAGE_MIN)
		return -EINVAL;
	if (unlikely(usage__sz != sizeof(*usage)))
		return kvm_gmem_copy_usage(kvm, usage, usage__sz);

	kvm_gmem_fill_usage(kvm, usage);

	return sizeof(*usage);
}

/**
 * bpf_kvm_gmem_fault_present - is the first page of a fault there already?
 * @fault: the fault that a policy is asked about
 *
 * A policy that bounds populated memory lets a fault pass that allocates
 * nothing.  Not a member of @fault, since finding out costs as much as the rest
 * of the hook.
 *
 * Context: in the fault hooks of a policy.
 * Return: true if it is populated at the moment.
 */
__bpf_kfunc bool
bpf_kvm_gmem_fault_present(const struct kvm_gmem_fault *fault)
{
	return kvm_gmem_request_present(container_of(fault,
						     struct kvm_gmem_request,
						     fault));
}

/**
 * bpf_kvm_gmem_vm_verdicts - what the policies in force on a VM said of it
 * @kvm: the VM
 * @verdicts: filled with one for each policy, in the order they run
 * @verdicts__sz: its size in bytes, at least one
 *
 * Context: may sleep.
 * Return: number of policies in force on the VM, at most KVM_GMEM_MAX_POLICIES,
 *	also if there is room for fewer; -EINVAL if there is room for none.
 */
__bpf_kfunc int bpf_kvm_gmem_vm_verdicts(struct kvm *kvm,
					 struct kvm_gmem_vm_verdicts *verdicts,
					 u32 verdicts__sz)
{
	if (verdicts__sz < sizeof(*verdicts))
		return -EINVAL;

	return kvm_gmem_fill_verdicts(kvm, verdicts,
				      verdicts__sz / sizeof(*verdicts));
}

/**
 * bpf_kvm_gmem_vm_acquire - find a VM and keep it
 * @vm_id: its id
 *
 * The VM's destruction waits for the release, and nothing else does.
 *
 * Context: may sleep.
 * Return: the VM, for bpf_kvm_gmem_vm_release(); NULL if there is none.
 */
__bpf_kfunc struct kvm *bpf_kvm_gmem_vm_acquire(u64 vm_id)
{
	return kvm_gmem_vm_get(vm_id);
}

/**
 * bpf_kvm_gmem_vm_release - let go of a VM
 * @kvm: from bpf_kvm_gmem_vm_acquire()
 *
 * Context: may sleep.
 */
__bpf_kfunc void bpf_kvm_gmem_vm_release(struct kvm *kvm)
{
	kvm_gmem_vm_put(kvm);
}

/**
 * bpf_kvm_gmem_orphaned_pages - pages of guest_memfds whose VM is gone
 *
 * They are there as long as somebody holds the guest_memfd's inode.
 *
 * Context: any but an interrupt.
 * Return: how many there are.
 */
__bpf_kfunc u64 bpf_kvm_gmem_orphaned_pages(void)
{
	return kvm_gmem_orphaned_pages();
}

/**
 * bpf_iter_kvm_gmem_vm_new - begin to walk all VMs
 * @it: the iterator
 *
 * Context: may sleep.
 * Return: 0.
 */
__bpf_kfunc int bpf_iter_kvm_gmem_vm_new(struct bpf_iter_kvm_gmem_vm *it)
{
	struct bpf_iter_kvm_gmem_vm_kern *kit = (void *)it;

	BUILD_BUG_ON(sizeof(*kit) > sizeof(*it));
	BUILD_BUG_ON(__alignof__(*kit) != __alignof__(*it));

	/* The one before the first. */
	kit->vm_ids[0] = 0;
	kit->at = 0;
	kit->nr = 1;

	return 0;
}

/* The VMs after those that the walk has, maybe none. */
static void kvm_gmem_walk_on(struct bpf_iter_kvm_gmem_vm_kern *kit)
{
	XA_STATE(xas, &kvm_gmem_vms, kit->vm_ids[kit->nr - 1] + 1);
	struct kvm *kvm;

	kit->at = 0;
	kit->nr = 0;
	rcu_read_lock();
	xas_for_each(&xas, kvm, ULONG_MAX) {
		if (xas_retry(&xas, kvm))
			continue;
		kit->vm_ids[kit->nr] = xas.xa_index;
		if (++kit->nr == ARRAY_SIZE(kit->vm_ids))
			break;
	}
	rcu_read_unlock();
}

/**
 * bpf_iter_kvm_gmem_vm_next - go to the next VM
 * @it: the iterator
 *
 * In the order of the ids, which is that of the VMs' age.  The walk holds
 * nothing: a VM may be gone by the time it is acquired, and one that comes
 * meanwhile may be left out.
 *
 * Context: any but an interrupt.
 * Return: the VM's id, or NULL after the last.
 */
__bpf_kfunc u64 *bpf_iter_kvm_gmem_vm_next(struct bpf_iter_kvm_gmem_vm *it)
{
	struct bpf_iter_kvm_gmem_vm_kern *kit = (void *)it;

	if (!kit->nr)
		return NULL;
	if (++kit->at >= kit->nr)
		kvm_gmem_walk_on(kit);

	return kit->nr ? &kit->vm_ids[kit->at] : NULL;
}

/**
 * bpf_iter_kvm_gmem_vm_destroy - end the walk
 * @it: the iterator
 */
__bpf_kfunc void bpf_iter_kvm_gmem_vm_destroy(struct bpf_iter_kvm_gmem_vm *it)
{
}

/**
 * bpf_iter_kvm_gmem_policy_new - begin to walk the attached policies
 * @it: the iterator
 *
 * Context: may sleep.
 * Return: 0.
 */
__bpf_kfunc int
bpf_iter_kvm_gmem_policy_new(struct bpf_iter_kvm_gmem_policy *it)
{
	struct bpf_iter_kvm_gmem_policy_kern *kit = (void *)it;

	BUILD_BUG_ON(sizeof(*kit) > sizeof(*it));
	BUILD_BUG_ON(__alignof__(*kit) != __alignof__(*it));

	kit->priority = S32_MIN;
	kit->seq = 0;
	kit->link_id = 0;

	return 0;
}

/**
 * bpf_iter_kvm_gmem_policy_next - go to the next policy, in the order they run
 * @it: the iterator
 *
 * The walk holds nothing: a policy may be gone by the time it is asked for.
 *
 * Context: may sleep.
 * Return: the id of the BPF link that holds it, or NULL after the last.
 */
__bpf_kfunc u32 *
bpf_iter_kvm_gmem_policy_next(struct bpf_iter_kvm_gmem_policy *it)
{
	struct bpf_iter_kvm_gmem_policy_kern *kit = (void *)it;
	struct kvm_gmem_policy *policy;
	u32 *found = NULL;

	mutex_lock(&kvm_gmem_lock);
	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		s32 priority = policy->programs->ops->priority;

		if (priority < kit->priority ||
		    (priority == kit->priority && policy->seq <= kit->seq))
			continue;
		/* A link that is still being made has no id yet. */
		kit->link_id = READ_ONCE(policy->link->id);
		if (!kit->link_id)
			continue;
		kit->priority = priority;
		kit->seq = policy->seq;
		found = &kit->link_id;
		break;
	}
	mutex_unlock(&kvm_gmem_lock);

	return found;
}

/**
 * bpf_iter_kvm_gmem_policy_destroy - end the walk
 * @it: the iterator
 */
__bpf_kfunc void
bpf_iter_kvm_gmem_policy_destroy(struct bpf_iter_kvm_gmem_policy *it)
{
}

static void kvm_gmem_fill_policy_info(const struct kvm_gmem_policy *policy,
				      struct kvm_gmem_policy_info *info)
{
	const struct kvm_gmem_ops *ops = policy->programs->ops;
	int cpu, i;

	memset(info, 0, sizeof(*info));
	info->vm_id = ops->vm_id;
	info->priority = ops->priority;
	info->flags = ops->flags;
	info->link_id = READ_ONCE(policy->link->id);
	info->nr_vms = policy->nr_vms;
	info->expires_ns = ops->expires_ns;
	memcpy(info->name, ops->name, sizeof(info->name));

	for_each_possible_cpu(cpu) {
		struct kvm_gmem_policy_stat *stat = per_cpu_ptr(policy->stat, cpu);

		info->calls += READ_ONCE(stat->calls);
		info->delayed += READ_ONCE(stat->delayed);
		info->delayed_ns += READ_ONCE(stat->delayed_ns);
		info->clamped += READ_ONCE(stat->clamped);
		for (i = 0; i < KVM_GMEM_NR_ERRNOS; i++) {
			info->denied_by_errno[i] += READ_ONCE(stat->denied[i]);
			info->denied += READ_ONCE(stat->denied[i]);
		}
	}
	info->allowed = info->calls -
			min(info->calls, info->denied + info->delayed);
}

/**
 * bpf_kvm_gmem_policy_info - what there is to tell of an attached policy
 * @link_id: the BPF link that holds it
 * @info: filled in as far as it reaches
 * @info__sz: its size in bytes, see bpf_kvm_gmem_usage()
 *
 * Context: may sleep.
 * Return: bytes filled in; -ENOENT if there is no such policy; -EINVAL if
 *	@info__sz is too small for what it is and whose.
 */
__bpf_kfunc int bpf_kvm_gmem_policy_info(u32 link_id,
					 struct kvm_gmem_policy_info *info,
					 u32 info__sz)
{
	struct kvm_gmem_policy_info whole;
	struct kvm_gmem_policy *policy;
	int r = -ENOENT;

	if (info__sz < offsetof(struct kvm_gmem_policy_info, calls))
		return -EINVAL;

	mutex_lock(&kvm_gmem_lock);
	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		if (!link_id || READ_ONCE(policy->link->id) != link_id)
			continue;
		kvm_gmem_fill_policy_info(policy, &whole);
		r = 0;
		break;
	}
	mutex_unlock(&kvm_gmem_lock);

	return r ?: kvm_gmem_copy_out(info, info__sz, &whole, sizeof(whole));
}

__bpf_kfunc_end_defs();

/* A module may register one set for a kind of program, hence the repetition. */
BTF_KFUNCS_START(kvm_gmem_any_ids)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_id, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_is_dying, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_usage, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_moves, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(kvm_gmem_any_ids)

/* The fault of a policy's hook is part of a request that is under way. */
BTF_KFUNCS_START(kvm_gmem_policy_ids)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_id, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_is_dying, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_usage, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_moves, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_fault_present, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_convert_changes, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_KFUNCS_END(kvm_gmem_policy_ids)

BTF_KFUNCS_START(kvm_gmem_sleepable_ids)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_id, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_is_dying, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_usage, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_moves, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_move, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_acquire, KF_ACQUIRE | KF_RET_NULL | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_release, KF_RELEASE | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_kvm_gmem_vm_new, KF_ITER_NEW | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_kvm_gmem_vm_next, KF_ITER_NEXT | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_iter_kvm_gmem_vm_destroy, KF_ITER_DESTROY)
BTF_ID_FLAGS(func, bpf_iter_kvm_gmem_policy_new, KF_ITER_NEW | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_kvm_gmem_policy_next,
	     KF_ITER_NEXT | KF_RET_NULL | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_kvm_gmem_policy_destroy, KF_ITER_DESTROY)
BTF_ID_FLAGS(func, bpf_kvm_gmem_policy_info, KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_orphaned_pages)
BTF_ID_FLAGS(func, bpf_kvm_gmem_vm_verdicts, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_slots, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_map, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_nodes, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_backed_twice, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_host_mapped, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_huge, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_kvm_gmem_owner, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_kvm_gmem_cgroup, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(kvm_gmem_sleepable_ids)

static const struct btf_kfunc_id_set kvm_gmem_any_set = {
	.owner = THIS_MODULE,
	.set = &kvm_gmem_any_ids,
};

static const struct btf_kfunc_id_set kvm_gmem_policy_set = {
	.owner = THIS_MODULE,
	.set = &kvm_gmem_policy_ids,
};

/*
 * Tenants must not learn of each other, and what CAP_BPF or a BPF token allows
 * may be meant for one of them.  Asked when the program is loaded: who may run
 * it afterwards is up to who loaded it.  The first set is for everybody.
 */
static int kvm_gmem_sleepable_filter(const struct bpf_prog *prog, u32 kfunc_id)
{
	if (!btf_id_set8_contains(&kvm_gmem_sleepable_ids, kfunc_id) ||
	    btf_id_set8_contains(&kvm_gmem_any_ids, kfunc_id))
		return 0;

	return capable(CAP_SYS_ADMIN) ? 0 : -EACCES;
}

static const struct btf_kfunc_id_set kvm_gmem_sleepable_set = {
	.owner = THIS_MODULE,
	.set = &kvm_gmem_sleepable_ids,
	.filter = kvm_gmem_sleepable_filter,
};

/**
 * kvm_gmem_kfuncs_register - make the kfuncs known to BPF
 *
 * Policies and tracing programs may ask about the VM they are given.  Finding
 * other VMs and policies is for programs that userspace runs.
 *
 * Return: 0 or a negative errno.
 */
int kvm_gmem_kfuncs_register(void)
{
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS,
					 &kvm_gmem_policy_set) ?:
	       register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING,
					 &kvm_gmem_any_set) ?:
	       register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL,
					 &kvm_gmem_sleepable_set);
}
