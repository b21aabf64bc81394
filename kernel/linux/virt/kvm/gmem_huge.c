// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios of guest_memfds: memory that comes in pieces of 2 MiB, is split where
 * a part of a piece is to be something else than the rest (gmem_huge_split.c), and is
 * merged when it is alike again (gmem_huge_merge.c).
 *
 * A huge folio is always of one kind: all of its pages are private.  Whoever is
 * about to change that for a part, or to free a part, says so (@cuts), and then
 * looks for folios to split; whoever has added a huge folio looks afterwards whether
 * somebody said so, and takes it back.  So one of the two sees the other, and
 * neither waits.
 *
 * The page cache knows how large a folio is, so nothing else here is of one size.
 */
#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/* Log2 of the sizes that there are; each needs a level of page tables. */
#define KVM_GMEM_HUGE_DEFAULT	PMD_SHIFT

DEFINE_STATIC_KEY_FALSE(kvm_gmem_huge_key);

/* Whether there are huge folios, in the words of transparent huge pages */

enum kvm_gmem_huge_mode {
	KVM_GMEM_HUGE_NEVER,
	KVM_GMEM_HUGE_ADVISE,
	KVM_GMEM_HUGE_ALWAYS,
};

static const char *const kvm_gmem_huge_modes[] = {
	[KVM_GMEM_HUGE_NEVER]	= "never",
	[KVM_GMEM_HUGE_ADVISE]	= "advise",
	[KVM_GMEM_HUGE_ALWAYS]	= "always",
};

static int kvm_gmem_huge_mode = KVM_GMEM_HUGE_ADVISE;

static int kvm_gmem_huge_mode_set(const char *value,
				  const struct kernel_param *kp)
{
	int mode = sysfs_match_string(kvm_gmem_huge_modes, value);

	if (mode < 0)
		return mode;
	WRITE_ONCE(kvm_gmem_huge_mode, mode);

	return 0;
}

static int kvm_gmem_huge_mode_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n",
			  kvm_gmem_huge_modes[READ_ONCE(kvm_gmem_huge_mode)]);
}

static const struct kernel_param_ops kvm_gmem_huge_mode_ops = {
	.set = kvm_gmem_huge_mode_set,
	.get = kvm_gmem_huge_mode_get,
};

module_param_cb(gmem_huge_pages, &kvm_gmem_huge_mode_ops, NULL, 0644);
MODULE_PARM_DESC(gmem_huge_pages,
		 "Which new guest_memfds have huge folios: never, advise (those whose creator asks), always");

/**
 * kvm_gmem_huge_flags - flags of huge folios that a VM's guest_memfd may have
 * @kvm: the VM, or NULL for any
 *
 * Shared memory has small folios, so a VM without private memory has none.
 *
 * Context: any.
 * Return: GUEST_MEMFD_FLAG_HUGE_PAGES or 0.
 */
u64 kvm_gmem_huge_flags(struct kvm *kvm)
{
	if (kvm && !kvm_arch_has_private_mem(kvm))
		return 0;

	return READ_ONCE(kvm_gmem_huge_mode) == KVM_GMEM_HUGE_NEVER ?
	       0 : GUEST_MEMFD_FLAG_HUGE_PAGES;
}

/**
 * kvm_gmem_huge_choose - find the order of folios for a new guest_memfd
 * @kvm: its VM
 * @args: what its creator wants, with flags that are supported
 *
 * Without the flag, what is behind the flags is not looked at, as ever.
 *
 * Context: any.
 * Return: the order, 0 for single pages; -EINVAL if there are none of the size, if
 *	the guest_memfd is not made of whole ones, or if what is reserved is not 0.
 */
int kvm_gmem_huge_choose(struct kvm *kvm,
			 const struct kvm_create_guest_memfd *args)
{
	unsigned int log2;

	if (args->flags & GUEST_MEMFD_FLAG_HUGE_PAGES) {
		log2 = args->huge_page_size_log2 ?: KVM_GMEM_HUGE_DEFAULT;
		if (log2 != KVM_GMEM_HUGE_DEFAULT ||
		    !IS_ALIGNED(args->size, BIT_ULL(log2)) ||
		    memchr_inv(args->pad, 0, sizeof(args->pad)) ||
		    memchr_inv(args->reserved, 0, sizeof(args->reserved)))
			return -EINVAL;
		return log2 - PAGE_SHIFT;
	}
	/* What does not fill a folio has small ones. */
	if (kvm_arch_has_private_mem(kvm) &&
	    READ_ONCE(kvm_gmem_huge_mode) == KVM_GMEM_HUGE_ALWAYS)
		return KVM_GMEM_HUGE_DEFAULT - PAGE_SHIFT;

	return 0;
}

/**
 * kvm_gmem_huge_init - prepare a new guest_memfd for huge folios
 * @inode: the guest_memfd, with its flags
 * @order: their order, 0 if it has none
 *
 * Context: may sleep; nobody else knows the inode.
 */
void kvm_gmem_huge_init(struct inode *inode, unsigned int order)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	struct kvm_gmem_huge *huge;

	if (!order)
		return;

	huge = kzalloc(sizeof(*huge), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	huge->inode = inode;
	huge->order = order;
	huge->asked = gi->flags & GUEST_MEMFD_FLAG_HUGE_PAGES;
	huge->failing = -1UL;
	INIT_DELAYED_WORK(&huge->merge, kvm_gmem_merge_work);
	mapping_set_folio_order_range(inode->i_mapping, 0, order);
	gi->huge = huge;
	if (!kvm_gmem_huge_used())
		static_branch_enable(&kvm_gmem_huge_key);
}

/**
 * kvm_gmem_huge_destroy - forget about huge folios
 * @gi: a guest_memfd, not used by anybody any more
 *
 * Context: any.
 */
void kvm_gmem_huge_destroy(struct kvm_gmem_inode *gi)
{
	kfree(gi->huge);
}

/**
 * __kvm_gmem_huge_released - the file of a guest_memfd is being closed
 * @inode: the guest_memfd
 *
 * Nobody merges its pages from now on.  One range may have to be done with.
 *
 * Context: may sleep; no locks held.
 */
void __kvm_gmem_huge_released(struct inode *inode)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;

	if (!huge)
		return;

	WRITE_ONCE(huge->closing, true);
	/* Who has slots_lock may find the file for a moment yet. */
	disable_delayed_work_sync(&huge->merge);
}

/**
 * kvm_gmem_huge_file - the file of a guest_memfd, which knows the VM
 * @huge: of the guest_memfd
 *
 * Context: the file is open.
 * Return: the file.
 */
struct kvm_gmem *kvm_gmem_huge_file(const struct kvm_gmem_huge *huge)
{
	return list_first_entry(&huge->inode->i_mapping->i_private_list,
				struct kvm_gmem, entry);
}

/* Allocation */

/* Has a memslot all of a folio, at frames that large mappings can be made of? */
static bool kvm_gmem_in_slot(const struct kvm_memory_slot *slot, pgoff_t first,
			     unsigned int order)
{
	return first >= slot->gmem.pgoff &&
	       first + (1UL << order) <= slot->gmem.pgoff + slot->npages &&
	       IS_ALIGNED(slot->base_gfn - slot->gmem.pgoff, 1UL << order);
}

/**
 * kvm_gmem_huge_unlike - what is to be said against a huge folio at a place?
 * @huge: of the guest_memfd
 * @slot: memslot of a vCPU's fault, or NULL
 * @index: a page of the place
 *
 * By the pages' attributes and by memslots.
 *
 * Context: the bindings are stable, unless there is a @slot.
 * Return: KVM_GMEM_HUGE_FITS, or the reason.
 */
int kvm_gmem_huge_unlike(const struct kvm_gmem_huge *huge,
			 const struct kvm_memory_slot *slot, pgoff_t index)
{
	const struct kvm_gmem_inode *gi = to_kvm_gmem_inode(huge->inode);
	pgoff_t nr = kvm_gmem_huge_nr(huge), first = round_down(index, nr);
	struct kvm_gmem *gmem = kvm_gmem_huge_file(huge);
	unsigned long at = first;
	gfn_t gfn;

	if (first + nr > i_size_read(huge->inode) >> PAGE_SHIFT)
		return KVM_GMEM_HUGE_ALIGNMENT;
	if (!slot)
		slot = xa_find(&gmem->bindings, &at, first + nr - 1, XA_PRESENT);
	if (slot && !kvm_gmem_in_slot(slot, first, huge->order))
		return KVM_GMEM_HUGE_ALIGNMENT;

	/* In this order: a cut ends when the attributes are changed. */
	if (kvm_gmem_is_cut(huge, first))
		return KVM_GMEM_HUGE_MIXED;
	if (gi->has_attrs)
		return kvm_mem_attr_map_has(&gi->attrs, first, first + nr,
					    KVM_MEMORY_ATTRIBUTE_PRIVATE,
					    KVM_MEMORY_ATTRIBUTE_PRIVATE) ?
		       KVM_GMEM_HUGE_FITS : KVM_GMEM_HUGE_MIXED;
	/* What no memslot has is all alike. */
	if (!slot)
		return KVM_GMEM_HUGE_FITS;

	gfn = slot->base_gfn + first - slot->gmem.pgoff;

	return kvm_mem_attr_map_has(&gmem->kvm->mem_attr_map, gfn, gfn + nr,
				    KVM_MEMORY_ATTRIBUTE_PRIVATE,
				    KVM_MEMORY_ATTRIBUTE_PRIVATE) ?
	       KVM_GMEM_HUGE_FITS : KVM_GMEM_HUGE_MIXED;
}

/* The same, also by which pages are there. */
static int kvm_gmem_huge_against(const struct kvm_gmem_huge *huge,
				 const struct kvm_memory_slot *slot,
				 pgoff_t index)
{
	pgoff_t nr = kvm_gmem_huge_nr(huge);
	unsigned long first = round_down(index, nr);
	int reason = kvm_gmem_huge_unlike(huge, slot, index);

	if (!reason && xa_find(&huge->inode->i_mapping->i_pages, &first,
			       first + nr - 1, XA_PRESENT))
		reason = KVM_GMEM_HUGE_PRESENT;

	return reason;
}

/**
 * kvm_gmem_huge_gfp - how memory may be taken for huge folios
 * @huge: of the guest_memfd
 *
 * As for transparent huge pages: memory is made free for who has asked, and not for
 * who has not.
 *
 * Context: any.
 * Return: the flags.
 */
gfp_t kvm_gmem_huge_gfp(const struct kvm_gmem_huge *huge)
{
	gfp_t gfp = mapping_gfp_mask(huge->inode->i_mapping) | __GFP_NOWARN |
		    __GFP_NORETRY | __GFP_NOMEMALLOC;

	return huge->asked ? gfp : gfp & ~__GFP_RECLAIM;
}

/* Returns the folio, locked; NULL with the reason; or ERR_PTR(-EEXIST). */
static struct folio *kvm_gmem_huge_add_folio(struct kvm_gmem_huge *huge,
					     const struct kvm_memory_slot *slot,
					     pgoff_t index, u64 *allocated,
					     int *reason)
{
	pgoff_t first = round_down(index, kvm_gmem_huge_nr(huge));
	struct address_space *mapping = huge->inode->i_mapping;
	struct folio *folio;
	int r;

	*reason = kvm_gmem_huge_against(huge, slot, index);
	if (*reason)
		return NULL;

	folio = kvm_gmem_inode_alloc_folio(huge->inode, first, huge->order,
					   kvm_gmem_huge_gfp(huge),
					   NUMA_NO_NODE);
	*reason = KVM_GMEM_HUGE_MEMORY;
	if (!folio)
		return NULL;

	*reason = KVM_GMEM_HUGE_LIMIT;
	folio->private = KVM_GMEM_ADDING;
	r = filemap_add_folio(mapping, folio, first,
			      mapping_gfp_mask(mapping) | __GFP_NOWARN |
			      __GFP_NORETRY);
	if (r) {
		folio->private = NULL;
		folio_put(folio);
		return r == -EEXIST ? ERR_PTR(r) : NULL;
	}

	/* Pairs with the barrier in kvm_gmem_cut(). */
	smp_mb();
	*reason = kvm_gmem_huge_unlike(huge, slot, index);
	if (unlikely(*reason)) {
		/* Nobody has used it: it is new, and locked. */
		generic_error_remove_folio(mapping, folio);
		folio->private = NULL;
		folio_unlock(folio);
		folio_put(folio);
		return NULL;
	}
	/* Pairs with the lock that kvm_gmem_mark() takes. */
	WRITE_ONCE(folio->private, NULL);

	atomic64_add(folio_nr_pages(folio), &huge->pages);
	kvm_gmem_inode_added(to_kvm_gmem_inode(huge->inode), folio,
			     folio_nr_pages(folio));
	if (allocated)
		*allocated += folio_nr_pages(folio);

	return folio;
}

/*
 * Hardware that keeps account of each page takes a folio as a whole, for one range
 * of frames.  One that was there before its memslot may not fit.
 */
static struct folio *kvm_gmem_huge_fit_folio(struct kvm_gmem_huge *huge,
					     const struct kvm_memory_slot *slot,
					     struct folio *folio)
{
	struct kvm *kvm = kvm_gmem_huge_file(huge)->kvm;

	if (!slot || !folio_test_large(folio) ||
	    kvm_arch_gmem_keeps_contents(kvm) ||
	    kvm_gmem_in_slot(slot, folio->index, folio_order(folio)))
		return folio;

	/* Split or not, the page is looked for again. */
	kvm_gmem_split_folio(huge, folio);
	folio_unlock(folio);
	folio_put(folio);

	return ERR_PTR(-EAGAIN);
}

/**
 * kvm_gmem_huge_grab_folio - find or allocate a page of a guest_memfd
 * @inode: the guest_memfd, which has huge folios
 * @slot: memslot that it is for, or NULL if the invalidate lock is held
 * @index: the page
 * @huge: a huge folio may be allocated, as far as the request goes
 * @allocated: increased by the pages that were not there before, or NULL
 *
 * Context: may sleep.
 * Return: the folio that has the page, locked and with a reference, or an
 *	ERR_PTR().
 */
struct folio *kvm_gmem_huge_grab_folio(struct inode *inode,
				       const struct kvm_memory_slot *slot,
				       pgoff_t index, bool huge, u64 *allocated)
{
	struct kvm_gmem_huge *h = to_kvm_gmem_inode(inode)->huge;
	unsigned int wait = KVM_GMEM_SPLIT_WAIT_US;
	struct folio *folio;
	int reason, tries = 0;

	for (;;) {
		folio = kvm_gmem_lock_folio(inode, index);
		if (folio != ERR_PTR(-ENOENT)) {
			if (!IS_ERR(folio))
				folio = kvm_gmem_huge_fit_folio(h, slot, folio);
			if (folio != ERR_PTR(-EAGAIN) ||
			    tries++ == KVM_GMEM_SPLIT_TRIES)
				return folio;
			/* Who looks at it has a reference for a moment. */
			usleep_range(wait, 2 * wait);
			wait *= 2;
			continue;
		}

		reason = KVM_GMEM_HUGE_FITS;
		folio = huge ? kvm_gmem_huge_add_folio(h, slot, index, allocated,
						       &reason) :
			       NULL;
		if (!folio) {
			if (!huge)
				reason = kvm_gmem_huge_against(h, slot, index);
			folio = kvm_gmem_inode_add_folio(inode, index, allocated);
			if (!IS_ERR(folio)) {
				if (reason)
					kvm_gmem_inode_fell_back(to_kvm_gmem_inode(inode),
								 reason);
				kvm_gmem_huge_poke(h);
			}
		}
		if (folio != ERR_PTR(-EEXIST))
			return folio;
	}
}

/**
 * __kvm_gmem_huge_max_order - how large can a folio's pages be mapped?
 * @slot: memslot that has them
 * @folio: the folio
 *
 * By the alignment of the two.  KVM knows where the memslot ends.
 *
 * Context: the folio is locked.
 * Return: the order.
 */
int __kvm_gmem_huge_max_order(const struct kvm_memory_slot *slot,
			      const struct folio *folio)
{
	u64 apart = slot->base_gfn - slot->gmem.pgoff;
	int order = folio_order(folio);

	if (folio_test_has_hwpoisoned((struct folio *)folio))
		return 0;

	return apart ? min_t(int, order, __ffs64(apart)) : order;
}

/**
 * kvm_gmem_huge_wanted - would a vCPU's fault get a huge folio?
 * @inode: the guest_memfd
 * @slot: memslot of the fault
 * @index: the page
 *
 * Context: in a read section of kvm->srcu.
 * Return: how many pages it would take, 0 if it would not.
 */
u64 kvm_gmem_huge_wanted(struct inode *inode, const struct kvm_memory_slot *slot,
			 pgoff_t index)
{
	const struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;

	return huge && !kvm_gmem_huge_against(huge, slot, index) ?
	       kvm_gmem_huge_nr(huge) : 0;
}
