/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What common code reports: kvm_main.c its conversions, guest_memfd.c its
 * files.  Here is only what must be inline to cost nothing when nobody looks;
 * see gmem_events.c for the rest.
 */
#ifndef __KVM_GMEM_HOOKS_H
#define __KVM_GMEM_HOOKS_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/pagemap.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint-defs.h>

#ifdef CONFIG_KVM_GMEM_BPF

DECLARE_STATIC_KEY_FALSE(kvm_gmem_policy_key);
DECLARE_TRACEPOINT(kvm_gmem_convert);

/**
 * struct kvm_gmem_conversion - an attribute change under way
 * @began_ns: when it began, 0 if nobody asked for the duration
 */
struct kvm_gmem_conversion {
	u64 began_ns;
};

int kvm_gmem_convert_ask(struct kvm *kvm, u64 start, u64 end,
			 unsigned long attributes, u64 began_ns);
void kvm_gmem_convert_done(struct kvm *kvm, u64 start, u64 end,
			   unsigned long attributes, u64 changed, u64 began_ns,
			   int result);

/**
 * kvm_gmem_convert_begin - ask whether a range may change its attributes
 * @kvm: the VM
 * @conv: for kvm_gmem_convert_end()
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they shall be
 *
 * Context: may sleep, for as long as a policy says; no locks held.
 * Return: 0, the errno of the policy that denied, or -EINTR if a signal ended
 *	a delay.
 */
static __always_inline int
kvm_gmem_convert_begin(struct kvm *kvm, struct kvm_gmem_conversion *conv,
		       u64 start, u64 end, unsigned long attributes)
{
	conv->began_ns = tracepoint_enabled(kvm_gmem_convert) ?
			 ktime_get_ns() : 0;
	if (!static_branch_unlikely(&kvm_gmem_policy_key))
		return 0;

	return kvm_gmem_convert_ask(kvm, start, end, attributes,
				    conv->began_ns);
}

/**
 * kvm_gmem_convert_end - count and report a conversion that was begun
 * @kvm: the VM
 * @conv: from kvm_gmem_convert_begin()
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they are now
 * @changed: how many of them have really changed
 * @result: 0 or a negative errno
 *
 * Context: holds slots_lock, so that conversions are counted in their order.
 */
static __always_inline void
kvm_gmem_convert_end(struct kvm *kvm, struct kvm_gmem_conversion *conv,
		     u64 start, u64 end, unsigned long attributes, u64 changed,
		     int result)
{
	if (!changed && !result && !tracepoint_enabled(kvm_gmem_convert))
		atomic64_inc(&kvm->stat.generic.gmem.conversions_noop);
	else
		kvm_gmem_convert_done(kvm, start, end, attributes,
				      changed, conv->began_ns, result);
}

/**
 * struct kvm_gmem_file - what is kept of a guest_memfd
 * @node: in the list of its VM's files
 * @kvm: its VM
 * @mapping: its page cache
 * @bindings: memslots by page index, stable under @mapping's invalidate lock
 */
struct kvm_gmem_file {
	struct list_head node;
	struct kvm *kvm;
	struct address_space *mapping;
	struct xarray *bindings;
};

/**
 * struct kvm_gmem_request - a request for pages under way
 * @fault: what was asked for; where BPF programs see it, it is part of this
 * @slot: memslot of a vCPU's fault, or NULL
 * @mapping: page cache of a request for a range, or NULL
 * @began_ns: when it began, 0 if nobody asked for the duration
 * @present: whether the first page was there then, if somebody asked
 */
struct kvm_gmem_request {
	struct kvm_gmem_fault fault;
	struct kvm_memory_slot *slot;
	struct address_space *mapping;
	u64 began_ns;
	bool present;
};

void kvm_gmem_file_created(struct kvm_gmem_file *file, struct kvm *kvm,
			   struct address_space *mapping,
			   struct xarray *bindings);
void kvm_gmem_file_released(struct kvm_gmem_file *file);
struct folio *kvm_gmem_file_grab_folio(struct kvm_gmem_file *file,
				       struct address_space *mapping,
				       pgoff_t index);
int kvm_gmem_file_begin(struct kvm_gmem_file *file,
			struct kvm_gmem_request *request, pgoff_t start,
			pgoff_t end, u32 reason);
void kvm_gmem_file_end(struct kvm_gmem_file *file,
		       struct kvm_gmem_request *request, pgoff_t end,
		       int result);
void kvm_gmem_file_punched(struct kvm_gmem_file *file, pgoff_t start,
			   pgoff_t end);
void kvm_gmem_file_failed(struct kvm_gmem_file *file, pgoff_t start,
			  pgoff_t end);
void kvm_gmem_slot_bound(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_gmem_slot_unbound(struct kvm_gmem_file *file,
			   struct kvm_memory_slot *slot);

#else /* !CONFIG_KVM_GMEM_BPF */

struct kvm_gmem_conversion {
};

struct kvm_gmem_file {
};

struct kvm_gmem_request {
};

static inline int kvm_gmem_convert_begin(struct kvm *kvm,
					 struct kvm_gmem_conversion *conv,
					 u64 start, u64 end,
					 unsigned long attributes)
{
	return 0;
}

static inline void kvm_gmem_convert_end(struct kvm *kvm,
					struct kvm_gmem_conversion *conv,
					u64 start, u64 end,
					unsigned long attributes, u64 changed,
					int result)
{
}

static inline struct folio *
kvm_gmem_file_grab_folio(struct kvm_gmem_file *file,
			 struct address_space *mapping, pgoff_t index)
{
	return filemap_grab_folio(mapping, index);
}

static inline void kvm_gmem_file_created(struct kvm_gmem_file *file,
					 struct kvm *kvm,
					 struct address_space *mapping,
					 struct xarray *bindings)
{
}

static inline void kvm_gmem_file_released(struct kvm_gmem_file *file)
{
}

static inline int kvm_gmem_file_begin(struct kvm_gmem_file *file,
				      struct kvm_gmem_request *request,
				      pgoff_t start, pgoff_t end, u32 reason)
{
	return 0;
}

static inline void kvm_gmem_file_end(struct kvm_gmem_file *file,
				     struct kvm_gmem_request *request,
				     pgoff_t end, int result)
{
}

static inline void kvm_gmem_file_punched(struct kvm_gmem_file *file,
					 pgoff_t start, pgoff_t end)
{
}

static inline void kvm_gmem_file_failed(struct kvm_gmem_file *file,
					pgoff_t start, pgoff_t end)
{
}

static inline void kvm_gmem_slot_bound(struct kvm *kvm,
				       struct kvm_memory_slot *slot)
{
}

static inline void kvm_gmem_slot_unbound(struct kvm_gmem_file *file,
					 struct kvm_memory_slot *slot)
{
}

#endif /* CONFIG_KVM_GMEM_BPF */

#endif /* __KVM_GMEM_HOOKS_H */
