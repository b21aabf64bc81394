// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion in place: which pages of a guest_memfd are private is a matter of the
 * inode, by page, and guest and host have the same page in turn.
 *
 * The inode's map says so, under the mapping's invalidate lock: the host's faults
 * hold it shared.  What the VM's own map of attributes says of the frames that a
 * memslot has of the file is a copy of that, and all who ask for a frame find it
 * there: conversions and memslots that come and go keep it so, under slots_lock.
 *
 * A page becomes private when nobody but the page cache has a reference to it.
 * Who has it mapped can be told to let go; who holds it otherwise, as a device
 * does that reads or writes it, cannot: then the conversion fails, and nothing has
 * changed.
 */
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/rcupdate_wait.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"
#include "kvm_mm.h"

/* Pages that are counted before others may run: 1 GiB. */
#define KVM_GMEM_COUNT_BATCH	(1UL << (30 - PAGE_SHIFT))

bool kvm_gmem_in_place_conversion __ro_after_init;
module_param_named(gmem_in_place_conversion, kvm_gmem_in_place_conversion, bool,
		   0444);
MODULE_PARM_DESC(gmem_in_place_conversion,
		 "Whether memory is private by the guest_memfd, and not by the VM");

/**
 * kvm_gmem_in_place - are the pages of a VM's guest_memfds converted in place?
 * @kvm: the VM, or NULL for any
 *
 * Not of a VM whose hardware destroys what is in a page that is converted: that
 * has attributes of its own as if there were no other way.
 *
 * Context: any.
 * Return: whether they are, for as long as the VM lives.
 */
bool kvm_gmem_in_place(struct kvm *kvm)
{
	return kvm_gmem_in_place_conversion &&
	       (!kvm || kvm_arch_gmem_keeps_contents(kvm));
}

/**
 * kvm_gmem_own_attributes - which attributes a guest_memfd's pages can have
 * @kvm: the VM, or NULL for any
 *
 * See kvm_gmem_attributes_supported().
 *
 * Context: any.
 * Return: KVM_MEMORY_ATTRIBUTE_*, 0 if it has none of its own.
 */
u64 kvm_gmem_own_attributes(struct kvm *kvm)
{
	if (!kvm_gmem_in_place(kvm) || (kvm && !kvm_arch_has_private_mem(kvm)))
		return 0;

	return KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/* A change of the map that is known to be free for it, all at once. */
static int kvm_gmem_set_attrs(struct kvm_mem_attr_map *map, u64 start, u64 end,
			      unsigned long attrs, gfp_t gfp)
{
	struct kvm_mem_attr_change change = { .gfp = gfp };
	int r;

	r = kvm_mem_attr_map_prepare(map, &change, start, end, attrs);
	if (!r && change.changed)
		kvm_mem_attr_map_commit(map, &change);
	kvm_mem_attr_map_finish(&change);

	return r;
}

/**
 * kvm_gmem_init_attributes - say what the pages of a new guest_memfd begin as
 * @inode: the guest_memfd, with its flags and size
 * @kvm: its VM
 *
 * Context: may sleep; nobody else knows the inode.
 */
void kvm_gmem_init_attributes(struct inode *inode, struct kvm *kvm)
{
	/* The host's faults take it under the mmap lock, others before that. */
	static struct lock_class_key mappable_invalidate_lock;
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	if (kvm_gmem_is_mappable(inode))
		lockdep_set_class(&inode->i_mapping->invalidate_lock,
				  &mappable_invalidate_lock);
	gi->has_attrs = kvm_gmem_attributes_supported(kvm);
	/* A few nodes at most, since it is one range. */
	if (gi->has_attrs && !(gi->flags & GUEST_MEMFD_FLAG_INIT_SHARED)) {
		kvm_gmem_set_attrs(&gi->attrs, 0,
				   i_size_read(inode) >> PAGE_SHIFT,
				   KVM_MEMORY_ATTRIBUTE_PRIVATE, __GFP_NOFAIL);
		kvm_gmem_begins_private(kvm, i_size_read(inode) >> PAGE_SHIFT);
	}
}

/**
 * kvm_gmem_page_is_shared - may the host have a page of a guest_memfd?
 * @inode: the guest_memfd
 * @index: the page
 *
 * Context: any; the invalidate lock, shared or not, keeps it so.
 * Return: whether it may.
 */
bool kvm_gmem_page_is_shared(struct inode *inode, pgoff_t index)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	if (!gi->has_attrs)
		return gi->flags & GUEST_MEMFD_FLAG_INIT_SHARED;

	return !(kvm_mem_attr_map_get(&gi->attrs, index) &
		 KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

/* Memslots */

/* Private pages of a range of the file. */
static u64 kvm_gmem_count_private_pages(struct inode *inode, pgoff_t start,
					pgoff_t end)
{
	u64 private = 0;
	pgoff_t next;

	for (; start < end; start = next) {
		next = min_t(pgoff_t, end, start + KVM_GMEM_COUNT_BATCH);
		private += kvm_mem_attr_map_count(&to_kvm_gmem_inode(inode)->attrs,
						  start, next,
						  KVM_MEMORY_ATTRIBUTE_PRIVATE);
		cond_resched();
	}

	return private;
}

static u64 kvm_gmem_count_private_slot(const struct kvm_memory_slot *slot,
				       struct inode *inode)
{
	return kvm_gmem_count_private_pages(inode, slot->gmem.pgoff,
					    slot->gmem.pgoff + slot->npages);
}

static u64 kvm_gmem_gfn(const struct kvm_memory_slot *slot, pgoff_t index)
{
	return index - slot->gmem.pgoff + slot->base_gfn;
}

/**
 * kvm_gmem_unbind_attributes - forget what the frames of a memslot were
 * @kvm: the VM
 * @slot: the memslot, which nobody finds, or whose file is being closed
 * @inode: the guest_memfd that it had
 *
 * Context: may sleep; holds slots_lock.
 */
void kvm_gmem_unbind_attributes(struct kvm *kvm,
				const struct kvm_memory_slot *slot,
				struct inode *inode)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (!to_kvm_gmem_inode(inode)->has_attrs)
		return;

	/* There is no way to say that it cannot be done, and little to take. */
	kvm_gmem_set_attrs(&kvm->mem_attr_map, slot->base_gfn,
			   slot->base_gfn + slot->npages, 0, __GFP_NOFAIL);
	kvm_gmem_count_unbound(kvm, kvm_gmem_count_private_slot(slot, inode));
}

/**
 * kvm_gmem_release_attributes - the file of a guest_memfd is being closed
 * @gmem: the file
 * @inode: the guest_memfd
 *
 * Context: may sleep; holds slots_lock and the invalidate lock.
 */
void kvm_gmem_release_attributes(struct kvm_gmem *gmem, struct inode *inode)
{
	struct kvm_memory_slot *slot, *last = NULL;
	unsigned long index;

	if (!to_kvm_gmem_inode(inode)->has_attrs)
		return;

	xa_for_each(&gmem->bindings, index, slot) {
		/* One memslot may stand in several entries, side by side. */
		if (slot != last)
			kvm_gmem_unbind_attributes(gmem->kvm, slot, inode);
		last = slot;
	}
	kvm_gmem_count_unbound(gmem->kvm, -(s64)
		kvm_gmem_count_private_pages(inode, 0, i_size_read(inode) >>
						       PAGE_SHIFT));
}

/**
 * kvm_gmem_bind_attributes - let the frames of a memslot be what its pages are
 * @kvm: the VM
 * @slot: the memslot, not yet visible, with its guest_memfd
 * @inode: the guest_memfd
 *
 * Takes a step for each range of pages, as many as the VMM has made of them.
 *
 * Context: may sleep; holds slots_lock, without which no attribute changes.
 * Return: 0; -ENOMEM, or -EINTR if the task is killed, and they are what they were.
 */
int kvm_gmem_bind_attributes(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     struct inode *inode)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	pgoff_t index = slot->gmem.pgoff, end = index + slot->npages, next;
	unsigned long attrs;
	int r = 0;

	lockdep_assert_held(&kvm->slots_lock);

	if (!gi->has_attrs)
		return 0;

	for (; index < end; index = next) {
		next = kvm_mem_attr_map_run(&gi->attrs, index, end, &attrs);
		r = kvm_gmem_set_attrs(&kvm->mem_attr_map,
				       kvm_gmem_gfn(slot, index),
				       kvm_gmem_gfn(slot, next), attrs, 0);
		if (!r && fatal_signal_pending(current))
			r = -EINTR;
		if (r)
			break;
		cond_resched();
	}
	kvm_gmem_count_unbound(kvm, -(s64)kvm_gmem_count_private_slot(slot, inode));
	if (r)
		kvm_gmem_unbind_attributes(kvm, slot, inode);

	return r;
}

/* Conversion */

/**
 * struct kvm_gmem_part - what a conversion is to the guest: frames of one memslot, or
 *	pages that no memslot has
 * @node: among the other parts, by @index
 * @conv: who is to be told of it
 * @slot: the memslot, only to be compared with another one; or NULL
 * @index: first page of the guest_memfd
 * @nr: number of pages
 * @start: first guest frame, or KVM_GMEM_NO_GFN
 * @end: guest frame after the last, or KVM_GMEM_NO_GFN
 * @changed: how many pages it has really changed
 */
struct kvm_gmem_part {
	struct list_head node;
	struct kvm_gmem_conversion conv;
	const struct kvm_memory_slot *slot;
	pgoff_t index;
	u64 nr;
	u64 start;
	u64 end;
	u64 changed;
};

/* A memslot has come or gone since it was asked for. */
#define KVM_GMEM_PARTS_DIFFER	1

/* Of a name that outlives whose it is. */
#define KVM_GMEM_HOLDER_LEN	32

/**
 * struct kvm_gmem_attr_request - KVM_SET_MEMORY_ATTRIBUTES2 under way
 * @gmem: the file
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 * @attrs: what they shall be
 * @held: the first page that somebody holds
 * @refs: references to it that it should not have
 * @holder: who does, empty if nobody says so
 * @parts: struct kvm_gmem_part
 * @first: the first of them, most often the only one
 */
struct kvm_gmem_attr_request {
	struct kvm_gmem *gmem;
	struct inode *inode;
	pgoff_t start;
	pgoff_t end;
	unsigned long attrs;
	pgoff_t held;
	int refs;
	char holder[KVM_GMEM_HOLDER_LEN];
	struct list_head parts;
	struct kvm_gmem_part first;
};

/* What begins at a page of the request.  The bindings must be stable. */
static void kvm_gmem_describe_part(const struct kvm_gmem_attr_request *request,
				   pgoff_t index, struct kvm_gmem_part *part)
{
	unsigned long at = index;
	struct kvm_memory_slot *slot;
	pgoff_t end = request->end;

	slot = xa_find(&request->gmem->bindings, &at, request->end - 1,
		       XA_PRESENT);
	part->index = index;
	part->changed = 0;
	if (slot && slot->gmem.pgoff <= index) {
		end = min_t(pgoff_t, end, slot->gmem.pgoff + slot->npages);
		part->slot = slot;
		part->start = kvm_gmem_gfn(slot, index);
		part->end = kvm_gmem_gfn(slot, end);
	} else {
		/* The entry of a memslot may begin before what is asked for. */
		end = slot ? slot->gmem.pgoff : end;
		part->slot = NULL;
		part->start = KVM_GMEM_NO_GFN;
		part->end = KVM_GMEM_NO_GFN;
	}
	part->nr = end - index;
}

static int kvm_gmem_find_parts(struct kvm_gmem_attr_request *request)
{
	struct kvm_gmem_part *part;
	pgoff_t index;
	int r = 0;

	filemap_invalidate_lock_shared(request->inode->i_mapping);
	for (index = request->start; index < request->end; index += part->nr) {
		part = index == request->start ? &request->first :
		       kmalloc(sizeof(*part), GFP_KERNEL_ACCOUNT);
		if (!part) {
			r = -ENOMEM;
			break;
		}
		kvm_gmem_describe_part(request, index, part);
		list_add_tail(&part->node, &request->parts);
		cond_resched();
	}
	filemap_invalidate_unlock_shared(request->inode->i_mapping);

	return r;
}

/* Are the parts what was asked for?  Nothing is converted that was not. */
static bool kvm_gmem_parts_hold(const struct kvm_gmem_attr_request *request)
{
	const struct kvm_gmem_part *part;
	struct kvm_gmem_part now;

	list_for_each_entry(part, &request->parts, node) {
		kvm_gmem_describe_part(request, part->index, &now);
		if (now.slot != part->slot || now.nr != part->nr ||
		    now.start != part->start)
			return false;
		cond_resched();
	}

	return true;
}

/* Tells how those parts have ended that policies have let pass, until @stop. */
static void kvm_gmem_end_parts(const struct kvm_gmem_attr_request *request,
			       const struct kvm_gmem_part *stop, int result)
{
	struct kvm_gmem_part *part;

	list_for_each_entry(part, &request->parts, node) {
		if (part == stop)
			break;
		kvm_gmem_convert_end(request->gmem->kvm, &part->conv,
				     part->changed, result);
	}
}

/* Asks for all before any is done. */
static int kvm_gmem_ask_parts(const struct kvm_gmem_attr_request *request)
{
	struct kvm_gmem_part *part;
	int r;

	list_for_each_entry(part, &request->parts, node) {
		r = kvm_gmem_convert_begin(request->gmem->kvm, &part->conv,
					   part->start, part->end, part->index,
					   part->nr, request->attrs);
		if (r) {
			kvm_gmem_end_parts(request, part,
					   r == -ERESTARTNOINTR ? -EAGAIN : r);
			return r;
		}
	}

	return 0;
}

/* Looks for a page of a range that anybody but the page cache has a reference to. */
static int kvm_gmem_find_held(struct kvm_gmem_attr_request *request,
			      pgoff_t start, pgoff_t end)
{
	XA_STATE(xas, &request->inode->i_mapping->i_pages, start);
	struct folio *folio;
	int refs, r = 0;

	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		if (xas_retry(&xas, folio))
			continue;
		refs = folio_ref_count(folio) - folio_nr_pages(folio);
		if (refs) {
			request->held = max(start, folio->index);
			request->refs = refs;
			/* Broken memory is held for good. */
			r = folio_test_hwpoison(folio) ? -EHWPOISON : -EAGAIN;
			break;
		}
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();

	return r;
}

/*
 * Takes pages that are going to be private from the host.  Pages that were private
 * before have no mapping, and references for moments only, as a vCPU's fault has.
 */
static int kvm_gmem_take_pages(struct kvm_gmem_attr_request *request)
{
	const struct kvm_mem_attr_map *map =
		&to_kvm_gmem_inode(request->inode)->attrs;
	pgoff_t index, next;
	unsigned long attrs;
	int r = 0;

	unmap_mapping_pages(request->inode->i_mapping, request->start,
			    request->end - request->start, false);

	for (index = request->start; index < request->end && !r; index = next) {
		next = kvm_mem_attr_map_run(map, index, request->end, &attrs);
		if (!(attrs & KVM_MEMORY_ATTRIBUTE_PRIVATE))
			r = kvm_gmem_find_held(request, index, next);
		/* The VMM chooses how many there are. */
		if (fatal_signal_pending(current))
			r = -EINTR;
		cond_resched();
	}

	return r;
}

/* Pages that no memslot has: it is the inode's matter alone. */
static void kvm_gmem_convert_unbound(struct kvm_gmem_attr_request *request,
				     struct kvm_gmem_part *part)
{
	u64 private;

	private = kvm_gmem_count_private_pages(request->inode, part->index,
					       part->index + part->nr);
	part->changed = request->attrs ? part->nr - private : private;
	if (part->changed)
		kvm_gmem_converted_unbound(request->gmem->kvm, request->attrs,
					   part->changed);
}

/* The frames of a memslot become what its pages do. */
static int kvm_gmem_convert_part(struct kvm_gmem_attr_request *request,
				 struct kvm_gmem_part *part, gfp_t gfp)
{
	struct kvm *kvm = request->gmem->kvm;
	struct kvm_mem_attr_change change = { .gfp = gfp };
	int r;

	r = kvm_mem_attr_map_prepare(&kvm->mem_attr_map, &change, part->start,
				     part->end, request->attrs);
	if (!r && change.changed) {
		kvm_gmem_convert_frames(kvm, part->start, part->end,
					request->attrs, change.changed);
		kvm_change_mem_attributes(kvm, part->start, part->end,
					  request->attrs, &change);
	}
	kvm_gmem_convert_done(kvm, part->start, part->end, request->attrs,
			      &change, r);
	part->changed = r ? 0 : change.changed;
	kvm_mem_attr_map_finish(&change);

	return r;
}

/*
 * Once the first part is converted there is no way back: the others have little
 * memory to take, and take it.
 */
static int kvm_gmem_convert_parts(struct kvm_gmem_attr_request *request)
{
	struct kvm_gmem_part *part;
	gfp_t gfp = 0;
	int r;

	list_for_each_entry(part, &request->parts, node) {
		if (!part->slot)
			continue;
		r = kvm_gmem_convert_part(request, part, gfp);
		if (r)
			return r;
		gfp = __GFP_NOFAIL;
		cond_resched();
	}
	/* Nothing can fail any more. */
	list_for_each_entry(part, &request->parts, node) {
		if (!part->slot)
			kvm_gmem_convert_unbound(request, part);
	}

	return 0;
}

/* Other consumers come first: they may have pages that they can let go. */
static int kvm_gmem_convert_told(struct kvm_gmem_attr_request *request)
{
	struct kvm_gmem_range range = {
		.start = request->start,
		.end = request->end,
		.event = request->attrs ? KVM_GMEM_EVENT_TO_PRIVATE :
					  KVM_GMEM_EVENT_TO_SHARED,
	};
	const struct kvm_gmem_notifier *refuses;
	struct kvm_gmem_held held = {};
	int r = 0;

	refuses = kvm_gmem_notify_start(request->inode, &range);
	if (refuses) {
		request->held = range.held;
		request->refs = 0;
		strscpy(request->holder, refuses->name);
		return -EAGAIN;
	}

	if (request->attrs) {
		r = kvm_gmem_take_pages(request);
	} else if (kvm_gmem_huge_order(request->inode)) {
		r = kvm_gmem_huge_convert_begin(request->inode, request->start,
						request->end, &held);
		request->held = held.index;
		request->refs = held.refs;
	}
	if (r == -EAGAIN)
		strscpy(request->holder,
			kvm_gmem_holder(request->inode, request->held) ?: "");
	r = r ?: kvm_gmem_convert_parts(request);
	kvm_gmem_notify_end(request->inode, &range, r);

	return r;
}

static int kvm_gmem_convert_locked(struct kvm_gmem_attr_request *request,
				   struct kvm_mem_attr_change *change)
{
	struct kvm_mem_attr_map *map = &to_kvm_gmem_inode(request->inode)->attrs;
	int r;

	if (!kvm_gmem_parts_hold(request))
		return KVM_GMEM_PARTS_DIFFER;

	r = kvm_mem_attr_map_prepare(map, change, request->start, request->end,
				     request->attrs);
	if (r)
		return r;
	/* Nothing changes for the frames of pages that stay what they are. */
	if (!change->changed)
		return kvm_gmem_convert_parts(request);

	r = kvm_gmem_convert_told(request);
	if (r)
		kvm_mem_attr_map_abort(map, change);
	else
		kvm_mem_attr_map_commit(map, change);
	if (kvm_gmem_huge_order(request->inode)) {
		kvm_gmem_huge_convert_end(request->inode);
		kvm_gmem_huge_became_private(request->inode);
	}

	return r;
}

static int kvm_gmem_convert_once(struct kvm_gmem_attr_request *request)
{
	struct kvm_mem_attr_change change = {};
	struct kvm *kvm = request->gmem->kvm;
	int r;

	mutex_lock(&kvm->slots_lock);
	filemap_invalidate_lock(request->inode->i_mapping);
	r = kvm_gmem_convert_locked(request, &change);
	filemap_invalidate_unlock(request->inode->i_mapping);
	mutex_unlock(&kvm->slots_lock);
	kvm_mem_attr_map_finish(&change);

	return r;
}

/* Asks for a conversion and does it; returns KVM_GMEM_PARTS_DIFFER to do so anew. */
static int kvm_gmem_convert_asked(struct kvm_gmem_attr_request *request)
{
	struct kvm_gmem_part *part, *next;
	int r;

	r = kvm_gmem_find_parts(request) ?: kvm_gmem_ask_parts(request);
	if (r)
		goto free;

	if (!request->attrs && kvm_gmem_huge_order(request->inode))
		r = kvm_gmem_huge_presplit(request->inode, request->start,
					   request->end);
	r = r ?: kvm_gmem_convert_once(request);
	if (r == -EAGAIN) {
		/* A page that is new is held by the CPU that is to list it. */
		lru_add_drain_all();
		r = kvm_gmem_convert_once(request);
	}
	if (r == -EAGAIN)
		kvm_gmem_conversion_held(request->gmem->kvm, request->inode,
					 request->held, request->refs,
					 request->holder);
	kvm_gmem_end_parts(request, NULL,
			   r == KVM_GMEM_PARTS_DIFFER ? -EAGAIN : r);

free:
	list_for_each_entry_safe(part, next, &request->parts, node) {
		if (part != &request->first)
			kfree(part);
	}
	INIT_LIST_HEAD(&request->parts);

	return r;
}

static int kvm_gmem_convert(struct kvm_gmem_attr_request *request)
{
	int r;

	do {
		r = fatal_signal_pending(current) ? -EINTR :
						    kvm_gmem_convert_asked(request);
	} while (r == KVM_GMEM_PARTS_DIFFER);

	return r;
}

static int kvm_gmem_set_attributes(struct file *file,
				   struct kvm_memory_attributes2 *args)
{
	struct kvm_gmem_attr_request request = {
		.gmem = file->private_data,
		.inode = file_inode(file),
		.attrs = args->attributes,
		.parts = LIST_HEAD_INIT(request.parts),
	};
	u64 size = i_size_read(request.inode);
	unsigned int i;
	int r;

	if (!kvm_gmem_in_place(request.gmem->kvm))
		return -ENOTTY;

	for (i = 0; i < ARRAY_SIZE(args->reserved); i++) {
		if (args->reserved[i])
			return -EINVAL;
	}
	if (args->flags)
		return -EINVAL;
	if (args->attributes & ~kvm_gmem_attributes_supported(request.gmem->kvm))
		return -EINVAL;
	if (!args->size || !PAGE_ALIGNED(args->offset) ||
	    !PAGE_ALIGNED(args->size) || args->offset >= size ||
	    args->size > size - args->offset)
		return -EINVAL;
	/* A VM without private memory has no attributes to set. */
	if (!to_kvm_gmem_inode(request.inode)->has_attrs)
		return 0;

	request.start = args->offset >> PAGE_SHIFT;
	request.end = request.start + (args->size >> PAGE_SHIFT);
	r = kvm_gmem_convert(&request);
	if (r == -EAGAIN)
		args->error_offset = (u64)request.held << PAGE_SHIFT;

	return r;
}

/**
 * kvm_gmem_ioctl - the ioctls of a guest_memfd
 * @file: the guest_memfd
 * @ioctl: KVM_SET_MEMORY_ATTRIBUTES2
 * @arg: struct kvm_memory_attributes2 of the caller's
 *
 * Context: may sleep, for as long as a policy says.
 * Return: 0; -EAGAIN if somebody holds the page at error_offset, -EHWPOISON if one
 *	is broken, -ENOMEM, or the errno of the policy that denied, and nothing has
 *	changed; -EINVAL, -EFAULT, -ENOTTY.
 */
long kvm_gmem_ioctl(struct file *file, unsigned int ioctl, unsigned long arg)
{
	struct kvm_memory_attributes2 __user *argp = (void __user *)arg;
	struct kvm_memory_attributes2 args;
	int r;

	if (ioctl != KVM_SET_MEMORY_ATTRIBUTES2)
		return -ENOTTY;
	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	r = kvm_gmem_set_attributes(file, &args);
	if (r == -EAGAIN && put_user(args.error_offset, &argp->error_offset))
		return -EFAULT;

	return r;
}
