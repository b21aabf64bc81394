/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What BPF programs know of VMs and guest_memfds on a kernel that has nothing of
 * gmem: which files are theirs, and a VM's id.  Linux 6.8 to 7.3.  Include it after
 * vmlinux.h and bpf_helpers.h.
 */
#ifndef __GMEM_STOCK_H
#define __GMEM_STOCK_H

#include <bpf/bpf_core_read.h>

/* Of linux/magic.h: the one file system that no user can name a file in ... */
#define GMEM_ANON_INODE_MAGIC	0x09041934
/* ... and the one that guest_memfds have from 6.18 on. */
#define GMEM_GUEST_MEMFD_MAGIC	0x474d454d

/* Of struct kvm what is needed, whichever kernel vmlinux.h is of. */
struct kvm___stock {
	struct mm_struct *mm;
	atomic_t online_vcpus;
	struct dentry *debugfs_dentry;
	pid_t userspace_pid;
} __attribute__((preserve_access_index));

/* A guest_memfd's file->private_data: up to 6.17 struct kvm_gmem, then gmem_file. */
struct kvm_gmem___stock {
	struct kvm *kvm;
} __attribute__((preserve_access_index));

struct gmem_file___stock {
	struct kvm *kvm;
} __attribute__((preserve_access_index));

struct kvm_vcpu___stock {
	struct kvm *kvm;
	int vcpu_idx;
} __attribute__((preserve_access_index));

enum gmem_stock_kind {
	GMEM_STOCK_NONE,
	GMEM_STOCK_VM,
	GMEM_STOCK_VCPU,
	GMEM_STOCK_MEMFD,
};

#define gmem_stock_vm(kvm) ((const struct kvm___stock *)(const void *)(kvm))

/*
 * What a file is that the kernel gave to a program.  Names of files mean nothing,
 * but in file systems where only the kernel makes files.
 */
static __always_inline int gmem_stock_kind(const struct file *file)
{
	unsigned long magic = file->f_inode->i_sb->s_magic;
	char name[16] = {};

	if (magic != GMEM_ANON_INODE_MAGIC && magic != GMEM_GUEST_MEMFD_MAGIC)
		return GMEM_STOCK_NONE;
	if (bpf_probe_read_kernel_str(name, sizeof(name),
				      file->f_path.dentry->d_name.name) < 0)
		return GMEM_STOCK_NONE;
	if (!__builtin_memcmp(name, "[kvm-gmem]", 11))
		return GMEM_STOCK_MEMFD;
	if (magic != GMEM_ANON_INODE_MAGIC)
		return GMEM_STOCK_NONE;
	if (!__builtin_memcmp(name, "kvm-vm", 7))
		return GMEM_STOCK_VM;
	if (!__builtin_memcmp(name, "kvm-vcpu:", 9))
		return GMEM_STOCK_VCPU;
	return GMEM_STOCK_NONE;
}

/*
 * The VM that a file of that kind belongs to; to be read with BPF_CORE_READ().  For the
 * verifier it is a number, which a pointer that the file is asked for is not everywhere.
 */
static __always_inline struct kvm *gmem_stock_kvm(const struct file *file, int kind)
{
	void *data = BPF_CORE_READ(file, private_data);

	if (kind == GMEM_STOCK_VM)
		return data;
	if (kind == GMEM_STOCK_VCPU)
		return BPF_CORE_READ((struct kvm_vcpu___stock *)data, kvm);
	if (kind != GMEM_STOCK_MEMFD)
		return NULL;
	if (bpf_core_type_exists(struct gmem_file___stock))
		return BPF_CORE_READ((struct gmem_file___stock *)data, kvm);
	return BPF_CORE_READ((struct kvm_gmem___stock *)data, kvm);
}

/*
 * A thread of the process whose memory the VM's is, by the kernel's own account of
 * it; NULL once the process is gone or runs another program.  Kernels without memory
 * cgroups keep no such account.
 */
static __always_inline struct task_struct *gmem_stock_owner(const struct kvm *kvm)
{
	struct mm_struct *mm = BPF_CORE_READ(gmem_stock_vm(kvm), mm);
	struct task_struct *owner;

	if (!bpf_core_field_exists(mm->owner))
		return NULL;
	owner = BPF_CORE_READ(mm, owner);
	return owner && BPF_CORE_READ(owner, mm) == mm ? owner : NULL;
}

/*
 * A VM's id.  KVM has none of its own, but it has a directory in debugfs for each VM,
 * whose inode has a number of 32 bits that is not given again until all others were.
 * Where there is none the id is made of where the VM is and of the number of the process
 * that made it, and has bit 51 set: a process that ends a VM and makes another may then
 * have both under one id.  Neither changes while the VM lives, which it may do for longer
 * than its process: what is kept by this id is removed by it.
 */
static __always_inline __u64 gmem_stock_id(const struct kvm *kvm)
{
	__u64 id = BPF_CORE_READ(gmem_stock_vm(kvm), debugfs_dentry, d_inode, i_ino);

	if (id)
		return id;
	if (bpf_core_field_exists(gmem_stock_vm(kvm)->userspace_pid))
		id = (__u32)BPF_CORE_READ(gmem_stock_vm(kvm), userspace_pid);
	id = ((__u64)kvm >> 6 ^ id << 40) * 0x9e3779b97f4a7c15ULL;
	return id >> 13 | 1ULL << 51;
}

#endif /* __GMEM_STOCK_H */
