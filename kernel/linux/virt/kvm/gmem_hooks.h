/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What common code reports: kvm_main.c its conversions, guest_memfd.c its
 * files.  Here is only what must be inline to cost nothing when nobody looks;
 * see gmem_events.c and gmem_inode.c for the rest.
 */
#ifndef __KVM_GMEM_HOOKS_H
#define __KVM_GMEM_HOOKS_H

#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/jump_label.h>
#include <linux/kvm_host.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint-defs.h>

/*
 * Is a request for pages to end?  A worker of io_uring, which has no system call
 * to restart, is woken by a stop or a freeze without a signal to be handled; who
 * cancels what it does notifies it.
 */
static inline bool kvm_gmem_interrupted(void)
{
	if (current->flags & PF_IO_WORKER)
		return fatal_signal_pending(current) ||
		       test_thread_flag(TIF_NOTIFY_SIGNAL);

	return signal_pending(current);
}

/* kvm_gmem_cut_begin(): there is nothing left to change. */
#define KVM_GMEM_CUT_NONE	1

#ifdef CONFIG_KVM_PRIVATE_MEM

u64 kvm_gmem_supported_flags(struct kvm *kvm);

/* gmem_convert.c */
extern bool kvm_gmem_in_place_conversion;
u64 kvm_gmem_own_attributes(struct kvm *kvm);
void kvm_gmem_unbind_attributes(struct kvm *kvm,
				const struct kvm_memory_slot *slot,
				struct inode *inode);

/* gmem_huge.c, gmem_huge_split.c */
DECLARE_STATIC_KEY_FALSE(kvm_gmem_huge_key);
int __kvm_gmem_cut_begin(struct kvm *kvm, gfn_t start, gfn_t end,
			 unsigned long attributes,
			 struct kvm_mem_attr_change *change);
void __kvm_gmem_cut_end(struct kvm *kvm, gfn_t start, gfn_t end,
			unsigned long attributes);

/* A part of a huge folio is going to be something else than the rest. */
static __always_inline int
kvm_gmem_cut_begin(struct kvm *kvm, gfn_t start, gfn_t end,
		   unsigned long attributes, struct kvm_mem_attr_change *change)
{
	return IS_ENABLED(CONFIG_KVM_GMEM_HUGE) &&
	       static_branch_unlikely(&kvm_gmem_huge_key) ?
	       __kvm_gmem_cut_begin(kvm, start, end, attributes, change) : 0;
}

static __always_inline void kvm_gmem_cut_end(struct kvm *kvm, gfn_t start,
					     gfn_t end, unsigned long attributes)
{
	if (IS_ENABLED(CONFIG_KVM_GMEM_HUGE) &&
	    static_branch_unlikely(&kvm_gmem_huge_key))
		__kvm_gmem_cut_end(kvm, start, end, attributes);
}

/* KVM_MEMORY_ATTRIBUTE_* that a guest_memfd's pages have, and not the VM. */
static inline u64 kvm_gmem_attributes_supported(struct kvm *kvm)
{
	return kvm_gmem_in_place_conversion ? kvm_gmem_own_attributes(kvm) : 0;
}

#else /* !CONFIG_KVM_PRIVATE_MEM */

static inline u64 kvm_gmem_attributes_supported(struct kvm *kvm)
{
	return 0;
}

static inline int kvm_gmem_cut_begin(struct kvm *kvm, gfn_t start, gfn_t end,
				     unsigned long attributes,
				     struct kvm_mem_attr_change *change)
{
	return 0;
}

static inline void kvm_gmem_cut_end(struct kvm *kvm, gfn_t start, gfn_t end,
				    unsigned long attributes)
{
}

#endif /* CONFIG_KVM_PRIVATE_MEM */

#ifdef CONFIG_KVM_GMEM_BPF

/* Functions of guest_memfd.c that are called from here, or by it alone. */
#define KVM_GMEM_SHARED

/* guest_memfd.c: kvm_gmem_get_pfn() without asking; counts pages that are new. */
int kvm_gmem_get_page(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		      kvm_pfn_t *pfn, int *max_order, bool huge, u64 *allocated);

/* What the architecture wants for itself is a page. */
static inline bool kvm_gmem_arch_takes_huge(void)
{
	return false;
}

struct kvm_gmem_chain;

DECLARE_STATIC_KEY_FALSE(kvm_gmem_policy_key);
DECLARE_TRACEPOINT(kvm_gmem_convert);

/**
 * struct kvm_gmem_asked - who is to be told how a request ends
 * @chain: the policies that were asked, with a reference; NULL if nobody wants
 *	to be told
 * @allowed: those of them that let it pass, a bit each
 */
struct kvm_gmem_asked {
	struct kvm_gmem_chain *chain;
	u32 allowed;
};

/**
 * struct kvm_gmem_conversion - an attribute change under way
 * @watched: somebody wants to know of it; if not, nothing below is filled in
 * @request: what was asked for
 * @asked: who is to be told how it ends
 * @since_ns: when the guest asked for it, by CLOCK_MONOTONIC; 0 if it did not
 * @began_ns: when it began, 0 if nobody wants to know for how long
 */
struct kvm_gmem_conversion {
	bool watched;
	struct kvm_gmem_convert request;
	struct kvm_gmem_asked asked;
	u64 since_ns;
	u64 began_ns;
};

void kvm_gmem_requests_converted(struct kvm *kvm, u64 start, u64 end,
				 bool private, bool changed);

void kvm_gmem_frames_convert(struct kvm *kvm, u64 start, u64 end, bool private,
			     u64 changed);
int kvm_gmem_convert_ask(struct kvm *kvm, struct kvm_gmem_conversion *conv);
void kvm_gmem_convert_changed(struct kvm *kvm, u64 start, u64 end,
			      unsigned long attributes,
			      const struct kvm_mem_attr_change *change);
void kvm_gmem_converted_unbound(struct kvm *kvm, bool private, u64 changed);
void kvm_gmem_begins_private(struct kvm *kvm, u64 nr_pages);

/* Private pages, converted in place, that no memslot has have become more. */
static inline void kvm_gmem_count_unbound(struct kvm *kvm, s64 nr_pages)
{
	atomic64_add(nr_pages, &kvm->gmem.counters.unbound_private);
}

void kvm_gmem_conversion_held(struct kvm *kvm, struct inode *inode,
			      pgoff_t index, int refs, const char *holder);
void kvm_gmem_convert_settle(struct kvm *kvm, struct kvm_gmem_conversion *conv,
			     u64 changed, int result);
void kvm_gmem_convert_trace(struct kvm *kvm, struct kvm_gmem_conversion *conv,
			    u64 changed, int result);

/**
 * kvm_gmem_convert_begin - ask whether a range may change its attributes
 * @kvm: the VM
 * @conv: for kvm_gmem_convert_done() and kvm_gmem_convert_end()
 * @start: first guest frame
 * @end: guest frame after the last
 * @index: first page of the guest_memfd if it was asked of that, or
 *	KVM_GMEM_NO_INDEX
 * @nr: number of frames, or of pages if no memslot has them
 * @attributes: what they shall be
 *
 * Context: may sleep, for as long as a policy says; no locks held.
 * Return: 0; the errno of the policy that denied; -ERESTARTNOINTR if a signal
 *	interrupted a delay, or -EINTR if it was fatal.
 */
static __always_inline int
kvm_gmem_convert_begin(struct kvm *kvm, struct kvm_gmem_conversion *conv,
		       u64 start, u64 end, u64 index, u64 nr,
		       unsigned long attributes)
{
	conv->watched = false;
	if (!static_branch_unlikely(&kvm_gmem_policy_key) &&
	    !tracepoint_enabled(kvm_gmem_convert))
		return 0;

	/* All of it, without a loop that clears what is set at once. */
	conv->watched = true;
	conv->request.start = start;
	conv->request.end = end;
	conv->request.attributes = attributes;
	conv->request.flags = 0;
	conv->request.index = index;
	conv->request.nr_pages = nr;
	conv->request.pending_ns = 0;
	conv->asked.chain = NULL;

	return kvm_gmem_convert_ask(kvm, conv);
}

/**
 * kvm_gmem_convert_frames - a conversion is about to be done
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they are going to be
 * @changed: how many of them are something else now
 *
 * Context: holds slots_lock; vCPUs do not wait yet.
 */
static __always_inline void
kvm_gmem_convert_frames(struct kvm *kvm, u64 start, u64 end,
			unsigned long attributes, u64 changed)
{
	/* Most conversions that a guest makes are of one page. */
	if (end - start > 1)
		kvm_gmem_frames_convert(kvm, start, end,
					attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE,
					changed);
}

/**
 * kvm_gmem_convert_done - count a conversion
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they are now
 * @change: how many of them have really changed, and what is beside one
 * @result: 0 or a negative errno
 *
 * Context: holds slots_lock, so that conversions are counted in their order.
 */
static __always_inline void
kvm_gmem_convert_done(struct kvm *kvm, u64 start, u64 end,
		      unsigned long attributes,
		      const struct kvm_mem_attr_change *change, int result)
{
	if (change->changed)
		kvm_gmem_convert_changed(kvm, start, end, attributes, change);
	else if (!result)
		atomic64_inc(&kvm->gmem.counters.conversions_noop);
	if (!result && unlikely(READ_ONCE(kvm->gmem.nr_requests)))
		kvm_gmem_requests_converted(kvm, start, end, attributes &
					    KVM_MEMORY_ATTRIBUTE_PRIVATE,
					    change->changed);
}

/**
 * kvm_gmem_convert_end - report a conversion that was begun
 * @kvm: the VM
 * @conv: from kvm_gmem_convert_begin()
 * @changed: how many frames or pages have really changed
 * @result: 0 or a negative errno
 *
 * Context: no locks held.
 */
static __always_inline void
kvm_gmem_convert_end(struct kvm *kvm, struct kvm_gmem_conversion *conv,
		     u64 changed, int result)
{
	if (likely(!conv->watched))
		return;
	if (conv->asked.chain)
		kvm_gmem_convert_settle(kvm, conv, changed, result);
	if (tracepoint_enabled(kvm_gmem_convert))
		kvm_gmem_convert_trace(kvm, conv, changed, result);
}

/**
 * struct kvm_gmem_request - a request for pages under way
 * @fault: what was asked for; where BPF programs see it, it is part of this
 * @slot: memslot of a vCPU's fault, or NULL
 * @inode: guest_memfd of a request for a range, or NULL
 * @asked: who is to be told how it ends
 * @allocated: pages that were not there before
 * @began_ns: when it began, 0 if nobody asked for the duration
 * @present: whether the first page was there then, if somebody asked
 */
struct kvm_gmem_request {
	struct kvm_gmem_fault fault;
	struct kvm_memory_slot *slot;
	struct inode *inode;
	struct kvm_gmem_asked asked;
	u64 allocated;
	u64 began_ns;
	bool present;
};

void kvm_gmem_inode_created(struct inode *inode, struct kvm *kvm,
			    struct xarray *bindings);
void kvm_gmem_inode_released(struct inode *inode);
void kvm_gmem_inode_freed(struct folio *folio);

/* Are pages counted by NUMA node?  With one node it has all of them. */
static inline bool kvm_gmem_counts_freed(void)
{
	return nr_node_ids > 1;
}

int kvm_gmem_range_begin(struct inode *inode, struct kvm_gmem_request *request,
			 pgoff_t start, pgoff_t end, u32 reason);
void kvm_gmem_range_end(struct kvm_gmem_request *request, pgoff_t end,
			int result);
int kvm_gmem_arch_begin(struct kvm *kvm, struct kvm_gmem_request *request,
			struct kvm_memory_slot *slot, gfn_t gfn);
int kvm_gmem_host_begin(struct inode *inode, struct kvm_gmem_request *request,
			pgoff_t index);
void kvm_gmem_host_end(struct kvm_gmem_request *request, int result);
void kvm_gmem_arch_end(struct kvm *kvm, struct kvm_gmem_request *request,
		       int result);
void kvm_gmem_punch_begin(struct inode *inode, pgoff_t start, pgoff_t end);
void kvm_gmem_punch_end(struct inode *inode, pgoff_t start, pgoff_t end);
void kvm_gmem_memory_failed(struct inode *inode, pgoff_t start, pgoff_t end);
void kvm_gmem_slot_bound(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_gmem_slot_unbound(struct kvm *kvm, struct kvm_memory_slot *slot);

#else /* !CONFIG_KVM_GMEM_BPF */

/* Functions of guest_memfd.c that are called from here, or by it alone. */
#define KVM_GMEM_SHARED	static

/* Faults of vCPUs come the same way. */
static inline bool kvm_gmem_arch_takes_huge(void)
{
	return true;
}

struct kvm_gmem_conversion {
};

struct kvm_gmem_request {
	u64 allocated;
};

static inline int kvm_gmem_convert_begin(struct kvm *kvm,
					 struct kvm_gmem_conversion *conv,
					 u64 start, u64 end, u64 index, u64 nr,
					 unsigned long attributes)
{
	return 0;
}

static inline void kvm_gmem_convert_frames(struct kvm *kvm, u64 start, u64 end,
					   unsigned long attributes,
					   u64 changed)
{
}

static inline void
kvm_gmem_convert_done(struct kvm *kvm, u64 start, u64 end,
		      unsigned long attributes,
		      const struct kvm_mem_attr_change *change, int result)
{
}

static inline void kvm_gmem_convert_end(struct kvm *kvm,
					struct kvm_gmem_conversion *conv,
					u64 changed, int result)
{
}

static inline void kvm_gmem_converted_unbound(struct kvm *kvm, bool private,
					      u64 changed)
{
}

static inline void kvm_gmem_begins_private(struct kvm *kvm, u64 nr_pages)
{
}

static inline void kvm_gmem_count_unbound(struct kvm *kvm, s64 nr_pages)
{
}

static inline void kvm_gmem_conversion_held(struct kvm *kvm,
					    struct inode *inode, pgoff_t index,
					    int refs, const char *holder)
{
}

static inline void kvm_gmem_inode_freed(struct folio *folio)
{
}

static inline void kvm_gmem_inode_created(struct inode *inode, struct kvm *kvm,
					  struct xarray *bindings)
{
}

static inline void kvm_gmem_inode_released(struct inode *inode)
{
}

static inline int kvm_gmem_range_begin(struct inode *inode,
				       struct kvm_gmem_request *request,
				       pgoff_t start, pgoff_t end, u32 reason)
{
	return 0;
}

static inline void kvm_gmem_range_end(struct kvm_gmem_request *request,
				      pgoff_t end, int result)
{
}

static inline int kvm_gmem_arch_begin(struct kvm *kvm,
				      struct kvm_gmem_request *request,
				      struct kvm_memory_slot *slot, gfn_t gfn)
{
	return 0;
}

static inline void kvm_gmem_arch_end(struct kvm *kvm,
				     struct kvm_gmem_request *request,
				     int result)
{
}

static inline int kvm_gmem_host_begin(struct inode *inode,
				      struct kvm_gmem_request *request,
				      pgoff_t index)
{
	return 0;
}

static inline void kvm_gmem_host_end(struct kvm_gmem_request *request,
				     int result)
{
}

static inline void kvm_gmem_punch_begin(struct inode *inode, pgoff_t start,
					pgoff_t end)
{
}

static inline void kvm_gmem_punch_end(struct inode *inode, pgoff_t start,
				      pgoff_t end)
{
}

static inline void kvm_gmem_memory_failed(struct inode *inode, pgoff_t start,
					  pgoff_t end)
{
}

static inline void kvm_gmem_slot_bound(struct kvm *kvm,
				       struct kvm_memory_slot *slot)
{
}

static inline void kvm_gmem_slot_unbound(struct kvm *kvm,
					 struct kvm_memory_slot *slot)
{
}

#endif /* CONFIG_KVM_GMEM_BPF */

#endif /* __KVM_GMEM_HOOKS_H */
