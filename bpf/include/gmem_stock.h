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

/* Struct kvm as far as it is needed, whichever kernel vmlinux.h is of. */
struct kvm___stock {
	struct mm_struct *mm;
	struct dentry *debugfs_dentry;
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
} __attribute__((preserve_access_index));

enum gmem_stock_kind {
	GMEM_STOCK_NONE,
	GMEM_STOCK_VM,
	GMEM_STOCK_VCPU,
	GMEM_STOCK_MEMFD,
};

/*
 * What a file is, that a program was given by the kernel.  Names of files mean
 * nothing, but in file systems where only the kernel makes files.
 */
static __always_inline int gmem_stock_kind(const struct file *file)
{
	unsigned long magic = file->f_inode->i_sb->s_magic;
	const unsigned char *at;
	char name[16] = {};

	if (magic != GMEM_ANON_INODE_MAGIC && magic != GMEM_GUEST_MEMFD_MAGIC)
		return GMEM_STOCK_NONE;
	at = file->f_path.dentry->d_name.name;
	if (bpf_probe_read_kernel_str(name, sizeof(name), at) < 0)
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

/* The VM that a file of that kind belongs to. */
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
 * A VM's id.  KVM has none of its own, but a directory in debugfs for each VM, whose
 * inode has a number that none has again (of 32 bits).  Where there is no such
 * directory the id is made of where the VM is and when its process began: a process
 * that makes a VM, ends it and makes another one may then have both under one id.
 * Those ids have bit 51 set, and fit a double.
 */
static __always_inline __u64 gmem_stock_id(const struct kvm *kvm, __u64 start_ns)
{
	const struct kvm___stock *vm = (const struct kvm___stock *)(const void *)kvm;
	__u64 id = BPF_CORE_READ(vm, debugfs_dentry, d_inode, i_ino);

	if (id)
		return id;
	id = ((__u64)kvm >> 6 ^ start_ns << 20 ^ start_ns >> 12) *
	     0x9e3779b97f4a7c15ULL;
	return id >> 13 | 1ULL << 51;
}

#endif /* __GMEM_STOCK_H */
