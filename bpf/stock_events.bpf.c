// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts what VMs do, on a kernel that does not: requests for pages of guest_memfds,
 * conversions, and ranges of guest mappings that are taken away.  Attached to what
 * KVM's files offer to others only while somebody looks, since it runs at each of
 * them, and, for what is refused, at each ioctl of the host.  What it counts begins at 0
 * when it is attached.
 *
 * Programs are attached in the order in which they are here.  Of two that note and take
 * back what a task is about, the one that takes it back comes first: a call that is under
 * way when they come is not noted, rather than for ever.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gmem_abi.h"
#include "gmem_counts.h"
#include "gmem_stock.h"

#define KVM_SET_MEMORY_ATTRIBUTES	0x4020aed2U
#define KVM_SET_MEMORY_ATTRIBUTES2	0xc080aed2U
#define ATTRIBUTE_PRIVATE		(1UL << 3)
#define PUNCH_HOLE			0x02
#define EFAULT				14
/* Of enum vm_fault_reason: OOM, SIGBUS, HWPOISON, HWPOISON_LARGE, SIGSEGV. */
#define FAULT_ERROR			(0x01 | 0x02 | 0x10 | 0x20 | 0x40)

/* What a task is just about. */
struct doing {
	bool changed;
	bool prefault;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct doing);
} doings SEC(".maps");

struct kvm_memory_slot___stock {
	struct {
		struct file *file;
	} gmem;
} __attribute__((preserve_access_index));

static __always_inline struct doing *doing(__u64 flags)
{
	return bpf_task_storage_get(&doings, bpf_get_current_task_btf(), NULL,
				    flags);
}

static __always_inline struct gmem_stock_counts *counts_of(const struct kvm *kvm)
{
	static const struct gmem_stock_counts none;
	struct gmem_stock_counts *of;
	__u64 key = (__u64)kvm;

	of = bpf_map_lookup_elem(&counts, &key);
	if (of || !key)
		return of;
	/* Of two that come first, one makes it. */
	bpf_map_update_elem(&counts, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts, &key);
}

#define COUNT(kvm, member, nr) do {					\
	struct gmem_stock_counts *of__ = counts_of(kvm);		\
									\
	if (of__)							\
		__sync_fetch_and_add(&of__->member, nr);		\
} while (0)

/* The next VM may be where this one was. */
SEC("fentry/kvm_arch_destroy_vm")
int BPF_PROG(on_destroy, struct kvm *kvm)
{
	__u64 key = (__u64)kvm;

	bpf_map_delete_elem(&counts, &key);
	return 0;
}

/* Its later arguments are not the same in all kernels. */
SEC("fexit/kvm_gmem_get_pfn")
int BPF_PROG(on_get_pfn, struct kvm *kvm)
{
	struct doing *now = doing(0);
	__u64 result = -1;

	if (bpf_get_func_ret(ctx, &result) || (int)result)
		return 0;
	if (now && now->prefault)
		COUNT(kvm, faults[GMEM_FAULT_PREFAULT], 1);
	else
		COUNT(kvm, faults[GMEM_FAULT_VCPU], 1);
	return 0;
}

SEC("fexit/kvm_arch_vcpu_pre_fault_memory")
int BPF_PROG(on_prefaulted)
{
	struct doing *now = doing(0);

	if (now)
		now->prefault = false;
	return 0;
}

SEC("fentry/kvm_arch_vcpu_pre_fault_memory")
int BPF_PROG(on_prefault)
{
	struct doing *now = doing(BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (now)
		now->prefault = true;
	return 0;
}

SEC("fexit/kvm_gmem_populate")
int BPF_PROG(on_populate, struct kvm *kvm)
{
	__u64 pages = 0;

	if (!bpf_get_func_ret(ctx, &pages) && (__s64)pages > 0)
		COUNT(kvm, faults[GMEM_FAULT_POPULATE], pages);
	return 0;
}

SEC("fexit/kvm_gmem_fallocate")
int BPF_PROG(on_fallocate, struct file *file, int mode, loff_t offset, loff_t len,
	     long result)
{
	struct kvm *kvm;

	if (result)
		return 0;
	kvm = gmem_stock_kvm(file, GMEM_STOCK_MEMFD);
	if (mode & PUNCH_HOLE)
		COUNT(kvm, invalidations[GMEM_INVALIDATE_PUNCH_HOLE], 1);
	else
		COUNT(kvm, faults[GMEM_FAULT_FALLOCATE], (__u64)len / 4096);
	return 0;
}

SEC("fexit/kvm_gmem_fault_user_mapping")
int BPF_PROG(on_host_fault, struct vm_fault *vmf, vm_fault_t result)
{
	if (!(result & FAULT_ERROR))
		COUNT(gmem_stock_kvm(vmf->vma->vm_file, GMEM_STOCK_MEMFD),
		      host_faults, 1);
	return 0;
}

/* The VM itself may go with its last file. */
SEC("fentry/kvm_gmem_release")
int BPF_PROG(on_release, struct inode *inode, struct file *file)
{
	COUNT(gmem_stock_kvm(file, GMEM_STOCK_MEMFD),
	      invalidations[GMEM_INVALIDATE_RELEASE], 1);
	return 0;
}

SEC("fentry/kvm_gmem_unbind")
int BPF_PROG(on_unbind, struct kvm_memory_slot *slot)
{
	struct kvm_memory_slot___stock *of = (void *)slot;
	struct file *file = BPF_CORE_READ(of, gmem.file);

	if (file)
		COUNT(gmem_stock_kvm(bpf_core_cast(file, struct file),
				     GMEM_STOCK_MEMFD),
		      invalidations[GMEM_INVALIDATE_UNBIND], 1);
	return 0;
}

SEC("fexit/kvm_vm_ioctl")
int BPF_PROG(on_ioctl, struct file *file, unsigned int ioctl, unsigned long arg,
	     long result)
{
	struct doing *now;

	if (ioctl != KVM_SET_MEMORY_ATTRIBUTES)
		return 0;
	now = doing(0);
	if (now && now->changed)
		COUNT(gmem_stock_kvm(file, GMEM_STOCK_VM), conversions, 1);
	else if (!result)
		COUNT(gmem_stock_kvm(file, GMEM_STOCK_VM), conversions_noop, 1);
	if (now)
		now->changed = false;
	return 0;
}

/* Called for each memslot of a range that changes, and not if nothing does. */
SEC("fentry/kvm_arch_post_set_memory_attributes")
int BPF_PROG(on_changed, struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct doing *now = doing(BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 pages = range->end - range->start;

	if (now)
		now->changed = true;
	COUNT(kvm, invalidations[GMEM_INVALIDATE_CONVERSION], 1);
	if (range->arg.attributes & ATTRIBUTE_PRIVATE)
		COUNT(kvm, pages_to_private, pages);
	else
		COUNT(kvm, pages_to_shared, pages);
	return 0;
}

/*
 * What a security module refuses does not come to KVM.  An argument that cannot be read
 * is no denial: KVM would say the same of it.
 */
static __always_inline void count_denied(const struct file *file, unsigned int cmd,
					 int result)
{
	int kind = gmem_stock_kind(file);

	if (result != -EFAULT && kind == (cmd == KVM_SET_MEMORY_ATTRIBUTES ? GMEM_STOCK_VM :
							GMEM_STOCK_MEMFD))
		COUNT(gmem_stock_kvm(file, kind), conversions_denied, 1);
}

static __always_inline bool converts(unsigned int cmd)
{
	return cmd == KVM_SET_MEMORY_ATTRIBUTES ||
	       cmd == KVM_SET_MEMORY_ATTRIBUTES2;
}

SEC("fexit/security_file_ioctl")
int BPF_PROG(on_asked, struct file *file, unsigned int cmd, unsigned long arg,
	     int result)
{
	if (result && converts(cmd))
		count_denied(file, cmd, result);
	return 0;
}

SEC("fexit/security_file_ioctl_compat")
int BPF_PROG(on_asked_compat, struct file *file, unsigned int cmd,
	     unsigned long arg, int result)
{
	if (result && converts(cmd))
		count_denied(file, cmd, result);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
