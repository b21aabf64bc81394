// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a VM is, as far as the kernel can tell for sure: the process whose
 * memory the VM's shared half is, and the cgroup that it is in.  A pid is only a
 * number, which another process may have by now, or in another PID namespace.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/cgroup.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/time_namespace.h>

#include "gmem.h"

/**
 * struct kvm_gmem_owner - the process that a VM belongs to
 * @start_ns: when it began, in nanoseconds since boot, as the caller's time
 *	namespace has it; /proc/PID/stat has the same in clock ticks
 * @pid: its pid in the caller's PID namespace, 0 if it has none there
 * @pad: 0
 */
struct kvm_gmem_owner {
	u64 start_ns;
	u32 pid;
	u32 pad;
};

/*
 * A thread of the process that made the VM, if it still has the memory that it
 * had then: not after exec().  Its first thread may have ended before the others.
 */
static struct task_struct *kvm_gmem_owner_task(struct kvm *kvm)
{
	struct task_struct *leader, *task;

	leader = pid_task(kvm->gmem.owner, PIDTYPE_TGID);
	if (!leader)
		return NULL;

	for_each_thread(leader, task) {
		if (READ_ONCE(task->mm) == kvm->mm)
			return task;
	}

	return NULL;
}

__bpf_kfunc_start_defs();

/**
 * bpf_kvm_gmem_owner - the process that a VM belongs to
 * @kvm: the VM
 * @owner: filled in
 * @owner__sz: its size in bytes
 *
 * Context: in the task that wants to know.
 * Return: 0; -ESRCH if that process is gone or runs another program; -EINVAL if
 *	@owner__sz is not the struct's size.
 */
__bpf_kfunc int bpf_kvm_gmem_owner(struct kvm *kvm, struct kvm_gmem_owner *owner,
				   u32 owner__sz)
{
	struct kvm_gmem_owner whole = {};
	struct task_struct *task;

	if (owner__sz != sizeof(*owner))
		return -EINVAL;

	rcu_read_lock();
	task = kvm_gmem_owner_task(kvm);
	if (task) {
		u64 start_ns = task->group_leader->start_boottime;

		whole.start_ns = timens_add_boottime_ns(start_ns);
		whole.pid = pid_nr_ns(kvm->gmem.owner,
				      task_active_pid_ns(current));
	}
	rcu_read_unlock();
	/* Userspace may write to the buffer: nothing is read back from it. */
	*owner = whole;

	return task ? 0 : -ESRCH;
}

/**
 * bpf_kvm_gmem_cgroup - the cgroup of the process that a VM belongs to
 * @kvm: the VM
 * @path: set to the path from the root of the hierarchy of cgroup v2, in
 *	whatever cgroup namespace the caller is, with a NUL at its end
 * @path__sz: its size in bytes
 *
 * Context: any but an interrupt.
 * Return: length of the path; -ENAMETOOLONG if it does not fit with a byte to
 *	spare; -EINVAL if @path__sz is 0; -ESRCH if the
 *	process is gone or runs another program; -EOPNOTSUPP without cgroups.
 */
__bpf_kfunc int bpf_kvm_gmem_cgroup(struct kvm *kvm, char *path, u32 path__sz)
{
#ifdef CONFIG_CGROUPS
	struct task_struct *task;
	int r = -ESRCH;

	if (!path__sz)
		return -EINVAL;

	rcu_read_lock();
	task = kvm_gmem_owner_task(kvm);
	if (task)
		r = cgroup_path(task_dfl_cgroup(task), path, path__sz);
	rcu_read_unlock();

	/* One that is cut has no other sign. */
	return r == -E2BIG || r + 1 >= (int)path__sz ? -ENAMETOOLONG : r;
#else
	return -EOPNOTSUPP;
#endif
}

__bpf_kfunc_end_defs();
