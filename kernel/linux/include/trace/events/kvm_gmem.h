/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_gmem

#if !defined(_TRACE_KVM_GMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_GMEM_H

#include <linux/kvm_host.h>
#include <linux/tracepoint.h>

TRACE_DEFINE_ENUM(KVM_GMEM_FAULT_VCPU);
TRACE_DEFINE_ENUM(KVM_GMEM_FAULT_PREFAULT);
TRACE_DEFINE_ENUM(KVM_GMEM_FAULT_POPULATE);
TRACE_DEFINE_ENUM(KVM_GMEM_FAULT_FALLOCATE);
TRACE_DEFINE_ENUM(KVM_GMEM_FAULT_ARCH);
TRACE_DEFINE_ENUM(KVM_GMEM_FAULT_HOST);

TRACE_DEFINE_ENUM(KVM_GMEM_INVALIDATE_CONVERSION);
TRACE_DEFINE_ENUM(KVM_GMEM_INVALIDATE_PUNCH_HOLE);
TRACE_DEFINE_ENUM(KVM_GMEM_INVALIDATE_RELEASE);
TRACE_DEFINE_ENUM(KVM_GMEM_INVALIDATE_UNBIND);
TRACE_DEFINE_ENUM(KVM_GMEM_INVALIDATE_MEMORY_FAILURE);

#define show_kvm_gmem_fault_reason(reason)				\
	__print_symbolic(reason,					\
		{ KVM_GMEM_FAULT_VCPU,			"vcpu" },	\
		{ KVM_GMEM_FAULT_PREFAULT,		"prefault" },	\
		{ KVM_GMEM_FAULT_POPULATE,		"populate" },	\
		{ KVM_GMEM_FAULT_FALLOCATE,		"fallocate" },	\
		{ KVM_GMEM_FAULT_ARCH,			"arch" },	\
		{ KVM_GMEM_FAULT_HOST,			"host" })

#define show_kvm_gmem_invalidate_reason(reason)				\
	__print_symbolic(reason,					\
		{ KVM_GMEM_INVALIDATE_CONVERSION,	"conversion" },	\
		{ KVM_GMEM_INVALIDATE_PUNCH_HOLE,	"punch_hole" },	\
		{ KVM_GMEM_INVALIDATE_RELEASE,		"release" },	\
		{ KVM_GMEM_INVALIDATE_UNBIND,		"unbind" },	\
		{ KVM_GMEM_INVALIDATE_MEMORY_FAILURE,	"memory_failure" }, \
		{ KVM_GMEM_INVALIDATE_MIGRATION,	"migration" })

#define show_kvm_gmem_attributes(attributes)				\
	((attributes) ? __print_flags(attributes, "|",			\
		{ KVM_MEMORY_ATTRIBUTE_PRIVATE, "private" }) : "shared")

TRACE_EVENT(kvm_gmem_fault,
	TP_PROTO(struct kvm *kvm, const struct kvm_gmem_fault *fault,
		 bool present, u64 pfn, u32 order, int result, u64 duration_ns),
	TP_ARGS(kvm, fault, present, pfn, order, result, duration_ns),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, gfn)
		__field(u64, index)
		__field(u64, nr_pages)
		__field(u64, pfn)
		__field(u64, duration_ns)
		__field(u32, order)
		__field(u32, reason)
		__field(s32, result)
		__field(u8, present)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->gfn		= fault->gfn;
		__entry->index		= fault->index;
		__entry->nr_pages	= fault->nr_pages;
		__entry->pfn		= pfn;
		__entry->duration_ns	= duration_ns;
		__entry->order		= order;
		__entry->reason		= fault->reason;
		__entry->result		= result;
		__entry->present	= present;
	),

	TP_printk("vm %llu gfn 0x%llx index 0x%llx pages %llu pfn 0x%llx order %u %s reason %s result %d duration %llu ns",
		  __entry->vm_id, __entry->gfn, __entry->index,
		  __entry->nr_pages, __entry->pfn, __entry->order,
		  __entry->present ? "present" : "new",
		  show_kvm_gmem_fault_reason(__entry->reason),
		  __entry->result, __entry->duration_ns)
);

TRACE_EVENT(kvm_gmem_convert,
	TP_PROTO(struct kvm *kvm, const struct kvm_gmem_convert *convert,
		 u64 changed, int result, u64 duration_ns),
	TP_ARGS(kvm, convert, changed, result, duration_ns),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, start)
		__field(u64, end)
		__field(u64, attributes)
		__field(u64, changed)
		__field(u64, duration_ns)
		__field(u64, index)
		__field(u64, pending_ns)
		__field(s32, result)
		__field(u8, asked)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->start		= convert->start;
		__entry->end		= convert->end;
		__entry->attributes	= convert->attributes;
		__entry->changed	= changed;
		__entry->duration_ns	= duration_ns;
		__entry->index		= convert->index;
		__entry->pending_ns	= convert->pending_ns;
		__entry->asked		= !!(convert->flags & KVM_GMEM_ASKED);
		__entry->result		= result;
	),

	TP_printk("vm %llu gfn 0x%llx-0x%llx to %s changed %llu result %d duration %llu ns index 0x%llx asked %u pending %llu ns",
		  __entry->vm_id, __entry->start, __entry->end,
		  show_kvm_gmem_attributes(__entry->attributes),
		  __entry->changed, __entry->result, __entry->duration_ns,
		  __entry->index, __entry->asked, __entry->pending_ns)
);

/* A conversion that was refused since somebody has a reference to a page. */
TRACE_EVENT(kvm_gmem_held,
	TP_PROTO(struct kvm *kvm, unsigned long inode, u64 index, int refs,
		 const char *holder),
	TP_ARGS(kvm, inode, index, refs, holder),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, inode)
		__field(u64, index)
		__field(s32, refs)
		__string(holder, holder)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->inode		= inode;
		__entry->index		= index;
		__entry->refs		= refs;
		__assign_str(holder);
	),

	TP_printk("vm %llu inode %llu index 0x%llx refs %d holder %s",
		  __entry->vm_id, __entry->inode, __entry->index,
		  __entry->refs, __get_str(holder))
);

/* Huge folios of a guest_memfd, or what was to become one. */
DECLARE_EVENT_CLASS(kvm_gmem_huge,
	TP_PROTO(struct kvm *kvm, unsigned long inode, u64 index, u64 nr_pages,
		 int result),
	TP_ARGS(kvm, inode, index, nr_pages, result),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, inode)
		__field(u64, index)
		__field(u64, nr_pages)
		__field(s32, result)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->inode		= inode;
		__entry->index		= index;
		__entry->nr_pages	= nr_pages;
		__entry->result		= result;
	),

	TP_printk("vm %llu inode %llu index 0x%llx pages %llu result %d",
		  __entry->vm_id, __entry->inode, __entry->index,
		  __entry->nr_pages, __entry->result)
);

DEFINE_EVENT(kvm_gmem_huge, kvm_gmem_split,
	TP_PROTO(struct kvm *kvm, unsigned long inode, u64 index, u64 nr_pages,
		 int result),
	TP_ARGS(kvm, inode, index, nr_pages, result)
);

DEFINE_EVENT(kvm_gmem_huge, kvm_gmem_merge,
	TP_PROTO(struct kvm *kvm, unsigned long inode, u64 index, u64 nr_pages,
		 int result),
	TP_ARGS(kvm, inode, index, nr_pages, result)
);

TRACE_EVENT(kvm_gmem_migrate,
	TP_PROTO(struct kvm *kvm, unsigned long inode, u64 index,
		 const struct folio *from, const struct folio *to, int result),
	TP_ARGS(kvm, inode, index, from, to, result),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, inode)
		__field(u64, index)
		__field(u64, nr_pages)
		__field(u64, from_pfn)
		__field(u64, to_pfn)
		__field(s32, from_node)
		__field(s32, to_node)
		__field(s32, result)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->inode		= inode;
		__entry->index		= index;
		__entry->nr_pages	= folio_nr_pages(from);
		__entry->from_pfn	= folio_pfn((struct folio *)from);
		__entry->to_pfn		= folio_pfn((struct folio *)to);
		__entry->from_node	= folio_nid(from);
		__entry->to_node	= folio_nid(to);
		__entry->result		= result;
	),

	TP_printk("vm %llu inode %llu index 0x%llx pages %llu pfn 0x%llx node %d to pfn 0x%llx node %d result %d",
		  __entry->vm_id, __entry->inode, __entry->index,
		  __entry->nr_pages, __entry->from_pfn, __entry->from_node,
		  __entry->to_pfn, __entry->to_node, __entry->result)
);

TRACE_EVENT(kvm_gmem_invalidate,
	TP_PROTO(struct kvm *kvm, const struct kvm_gmem_invalidate *invalidate),
	TP_ARGS(kvm, invalidate),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, start)
		__field(u64, end)
		__field(u64, pages_freed)
		__field(u32, reason)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->start		= invalidate->start;
		__entry->end		= invalidate->end;
		__entry->pages_freed	= invalidate->pages_freed;
		__entry->reason		= invalidate->reason;
	),

	TP_printk("vm %llu gfn 0x%llx-0x%llx freed %llu reason %s",
		  __entry->vm_id, __entry->start, __entry->end,
		  __entry->pages_freed,
		  show_kvm_gmem_invalidate_reason(__entry->reason))
);

TRACE_EVENT(kvm_gmem_verdict,
	TP_PROTO(struct kvm *kvm, const struct kvm_gmem_ops *ops, u32 hook,
		 s64 verdict, bool audit),
	TP_ARGS(kvm, ops, hook, verdict, audit),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(s64, verdict)
		__field(u32, hook)
		__field(u8, audit)
		__string(policy, ops->name)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->verdict	= verdict;
		__entry->hook		= hook;
		__entry->audit		= audit;
		__assign_str(policy);
	),

	TP_printk("vm %llu policy %s hook %s verdict %lld%s",
		  __entry->vm_id, __get_str(policy),
		  __print_symbolic(__entry->hook, { 0, "fault" },
				   { 1, "convert" }),
		  __entry->verdict, __entry->audit ? " audit" : "")
);

DECLARE_EVENT_CLASS(kvm_gmem_vm,
	TP_PROTO(struct kvm *kvm),
	TP_ARGS(kvm),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u32, pid)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->pid		= kvm->gmem.pid;
	),

	TP_printk("vm %llu pid %u", __entry->vm_id, __entry->pid)
);

DEFINE_EVENT(kvm_gmem_vm, kvm_gmem_vm_create,
	TP_PROTO(struct kvm *kvm),
	TP_ARGS(kvm)
);

DEFINE_EVENT(kvm_gmem_vm, kvm_gmem_vm_destroy,
	TP_PROTO(struct kvm *kvm),
	TP_ARGS(kvm)
);

TRACE_EVENT(kvm_gmem_create,
	TP_PROTO(struct kvm *kvm, u64 nr_pages),
	TP_ARGS(kvm, nr_pages),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, nr_pages)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->nr_pages	= nr_pages;
	),

	TP_printk("vm %llu pages %llu", __entry->vm_id, __entry->nr_pages)
);

DECLARE_EVENT_CLASS(kvm_gmem_binding,
	TP_PROTO(struct kvm *kvm, const struct kvm_memory_slot *slot),
	TP_ARGS(kvm, slot),

	TP_STRUCT__entry(
		__field(u64, vm_id)
		__field(u64, start)
		__field(u64, end)
		__field(u64, index)
		__field(s32, slot)
	),

	TP_fast_assign(
		__entry->vm_id		= kvm->gmem.id;
		__entry->start		= slot->base_gfn;
		__entry->end		= slot->base_gfn + slot->npages;
		__entry->index		= slot->gmem.pgoff;
		__entry->slot		= slot->id;
	),

	TP_printk("vm %llu slot %d gfn 0x%llx-0x%llx index 0x%llx",
		  __entry->vm_id, __entry->slot, __entry->start, __entry->end,
		  __entry->index)
);

DEFINE_EVENT(kvm_gmem_binding, kvm_gmem_bind,
	TP_PROTO(struct kvm *kvm, const struct kvm_memory_slot *slot),
	TP_ARGS(kvm, slot)
);

DEFINE_EVENT(kvm_gmem_binding, kvm_gmem_unbind,
	TP_PROTO(struct kvm *kvm, const struct kvm_memory_slot *slot),
	TP_ARGS(kvm, slot)
);

#endif /* _TRACE_KVM_GMEM_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
