// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios of guest_memfds: memory that comes in pieces of 2 MiB, is split where
 * a part of a piece is to be something else than the rest, and is merged when it is
 * alike again.
 *
 * A huge folio is always of one kind: all of its pages are private.  Whoever is
 * about to change that for a part, or to free a part, says so (@cuts), and then
 * looks for folios to split; whoever has added a huge folio looks afterwards whether
 * somebody said so, and takes it back.  So one of the two sees the other, and
 * neither waits.
 *
 * A folio is split in place, by the kernel's own code for that.  It needs the page
 * lock and that nobody else has a reference: then no vCPU is about to map it as a
 * whole, either, since a fault holds its folio until it is done.
 *
 * The page cache knows how large a folio is, so nothing else here is of one size.
 */
#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/kvm_host.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/* Log2 of the sizes that there are; each needs a level of page tables. */
#define KVM_GMEM_HUGE_DEFAULT	PMD_SHIFT

/*
 * A vCPU's fault holds its folio for a moment: how often to wait for it, and how long
 * at first.  Each time it is twice as long.
 */
#define KVM_GMEM_SPLIT_TRIES	8
#define KVM_GMEM_SPLIT_WAIT_US	50
/*
 * VMMs take it as final if a conversion by the VM fails.  How long it waits for who
 * has a folio, without a lock, and when it looks again.
 */
#define KVM_GMEM_CUT_WAIT	HZ
#define KVM_GMEM_CUT_PAUSE	(HZ / 50 ?: 1)

/* Ranges that are merged, and looked at, before others may run for a while. */
#define KVM_GMEM_MERGE_BATCH	8
#define KVM_GMEM_MERGE_LOOK	512
#define KVM_GMEM_MERGE_PAUSE	(HZ / 10)
/* When memory may have come, or a page been let go: twice as long each time. */
#define KVM_GMEM_MERGE_RETRY	(2 * HZ)
#define KVM_GMEM_MERGE_RETRY_MAX	(60 * HZ)
/* New pages are taken from the CPUs' lists at most so often, on the whole host. */
#define KVM_GMEM_DRAIN_PAUSE	HZ

DEFINE_STATIC_KEY_FALSE(kvm_gmem_huge_key);

/* Those who take pages away from guest_memfds with huge folios, by task. */
#define KVM_GMEM_REMOVERS_BITS	6
static struct kvm_gmem_removers {
	spinlock_t lock;	/* of @files; never held for long */
	struct hlist_head files;
} kvm_gmem_removers[1 << KVM_GMEM_REMOVERS_BITS] = {
	[0 ... (1 << KVM_GMEM_REMOVERS_BITS) - 1] = {
		.lock = __SPIN_LOCK_UNLOCKED(kvm_gmem_removers.lock),
	},
};

/* One file at a time is merged: many of them do not take many CPUs. */
static DEFINE_MUTEX(kvm_gmem_merge_lock);
/* Under it: when the CPUs' lists were emptied last. */
static unsigned long kvm_gmem_drained = INITIAL_JIFFIES - KVM_GMEM_DRAIN_PAUSE;

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

static void kvm_gmem_merge_work(struct work_struct *work);

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

static pgoff_t kvm_gmem_huge_nr(const struct kvm_gmem_huge *huge)
{
	return 1UL << huge->order;
}

/* The VM, as long as the file is open. */
static struct kvm_gmem *kvm_gmem_huge_file(const struct kvm_gmem_huge *huge)
{
	return list_first_entry(&huge->inode->i_mapping->i_private_list,
				struct kvm_gmem, entry);
}

static void kvm_gmem_huge_poke(struct kvm_gmem_huge *huge)
{
	/* A pass that is beyond the pages in question is followed by another. */
	WRITE_ONCE(huge->again, true);
	/* Pairs with the barrier in kvm_gmem_merge_pause(). */
	smp_mb();
	if (unlikely(READ_ONCE(huge->backs_off))) {
		WRITE_ONCE(huge->backs_off, false);
		mod_delayed_work(system_unbound_wq, &huge->merge,
				 KVM_GMEM_MERGE_RETRY);
	} else {
		queue_delayed_work(system_unbound_wq, &huge->merge,
				   2 * KVM_GMEM_MERGE_PAUSE);
	}
}

/* Cuts */

static void kvm_gmem_cut(struct kvm_gmem_huge *huge, enum kvm_gmem_cutter who,
			 pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_cut *cut = &huge->cuts[who];

	if (cut->end) {
		start = min(start, cut->start);
		end = max(end, cut->end);
	}
	WRITE_ONCE(cut->start, start);
	/* Pairs with the acquire in kvm_gmem_is_cut(): not one without the other. */
	smp_store_release(&cut->end, end);
	/* Who looks for folios now finds those that did not see this. */
	smp_mb();
}

static void kvm_gmem_uncut(struct kvm_gmem_huge *huge, enum kvm_gmem_cutter who)
{
	/* Who does not see it any more sees what was done. */
	smp_store_release(&huge->cuts[who].end, 0);
}

static bool kvm_gmem_is_cut(const struct kvm_gmem_huge *huge, pgoff_t first)
{
	const struct kvm_gmem_cut *cut;
	pgoff_t end;
	int i;

	for (i = 0; i < KVM_GMEM_NR_CUTTERS; i++) {
		cut = &huge->cuts[i];
		/* Pairs with the release in kvm_gmem_uncut(), too. */
		end = smp_load_acquire(&cut->end);
		if (first < end &&
		    READ_ONCE(cut->start) < first + kvm_gmem_huge_nr(huge))
			return true;
	}

	return false;
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

/*
 * What is to be said against a huge folio at a place, by the pages' attributes and
 * by memslots?  The bindings are stable, or @slot is the memslot of a vCPU's fault.
 */
static int kvm_gmem_huge_unlike(const struct kvm_gmem_huge *huge,
				const struct kvm_memory_slot *slot,
				pgoff_t index)
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

/*
 * As for transparent huge pages: memory is made free for who has asked, and not for
 * who has not.
 */
static gfp_t kvm_gmem_huge_gfp(const struct kvm_gmem_huge *huge)
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

static int kvm_gmem_split_folio(struct kvm_gmem_huge *huge, struct folio *folio);

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

/* Splitting */

/**
 * kvm_gmem_huge_may_split - may the kernel split a folio of a guest_memfd?
 * @folio: the folio, large and locked
 * @gfp: how memory may be taken for that; 0 by who would drop it instead
 *
 * For us, and for memory_failure(), of which nobody hears if it does it: it tells
 * of the broken page next.
 *
 * Context: may sleep.
 * Return: whether it may.
 */
bool kvm_gmem_huge_may_split(struct folio *folio, gfp_t gfp)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(folio->mapping->host)->huge;

	if (folio->private == KVM_GMEM_SPLITTING)
		return true;
	if (!huge || !gfp || !folio_test_has_hwpoisoned(folio))
		return false;
	WRITE_ONCE(huge->failing, folio->index);
	/* It gives up if somebody has the folio. */
	WRITE_ONCE(huge->failed, true);
	WRITE_ONCE(huge->broken, true);
	kvm_gmem_huge_poke(huge);

	return true;
}

/* Of a folio that is locked; the caller has the only other reference. */
static int kvm_gmem_split_folio(struct kvm_gmem_huge *huge, struct folio *folio)
{
	unsigned long nr = folio_nr_pages(folio);
	int r;

	folio->private = KVM_GMEM_SPLITTING;
	r = split_huge_page_to_list_to_order(&folio->page, NULL, 0);
	folio->private = NULL;
	if (r) {
		r = r == -ENOMEM ? r : -EAGAIN;
	} else {
		cmpxchg(&huge->failing, folio->index, -1UL);
		atomic64_sub(nr, &huge->pages);
	}
	kvm_gmem_inode_split(to_kvm_gmem_inode(huge->inode), folio->index, nr, r);

	return r;
}

/*
 * Splits the folio that has a page, if it is there and a large one.  Says with -EAGAIN
 * how many references to it there are that should not be, unless @refs is NULL.
 */
static int kvm_gmem_split(struct kvm_gmem_huge *huge, pgoff_t index, int *refs)
{
	struct address_space *mapping = huge->inode->i_mapping;
	struct folio *folio;
	unsigned int wait = KVM_GMEM_SPLIT_WAIT_US;
	int tries = 0, r;

	for (;;) {
		folio = filemap_get_folio(mapping, index);
		if (IS_ERR(folio))
			return 0;
		if (!folio_test_large(folio)) {
			folio_put(folio);
			return 0;
		}
		/* Others wait for locks that the caller has: not long for this one. */
		r = -EAGAIN;
		if (folio_trylock(folio)) {
			if (folio->mapping == mapping && folio_test_large(folio))
				r = kvm_gmem_split_folio(huge, folio);
			folio_unlock(folio);
		}
		/* Who has it locked has a reference, too. */
		if (r && refs)
			*refs = folio_ref_count(folio) - folio_nr_pages(folio) - 1;
		folio_put(folio);
		if (r != -EAGAIN || ++tries == KVM_GMEM_SPLIT_TRIES)
			return r;
		usleep_range(wait, 2 * wait);
		wait *= 2;
	}
}

/* Splits the folios that go on beyond one end of a range. */
static int kvm_gmem_split_ends(struct kvm_gmem_huge *huge, pgoff_t start,
			       pgoff_t end, struct kvm_gmem_held *held)
{
	pgoff_t nr = kvm_gmem_huge_nr(huge);
	int r = 0;

	held->index = start;
	if (!IS_ALIGNED(start, nr))
		r = kvm_gmem_split(huge, start, &held->refs);
	if (r || IS_ALIGNED(end, nr))
		return r;
	held->index = max(start, round_down(end, nr));

	return kvm_gmem_split(huge, end - 1, &held->refs);
}

/* Splits all folios that have a page of a range. */
static int kvm_gmem_split_all(struct kvm_gmem_huge *huge, pgoff_t start,
			      pgoff_t end, struct kvm_gmem_held *held)
{
	pgoff_t nr = kvm_gmem_huge_nr(huge);
	int r;

	for (; start < end; start = round_down(start, nr) + nr) {
		if (fatal_signal_pending(current))
			return -EINTR;
		held->index = start;
		r = kvm_gmem_split(huge, start, &held->refs);
		if (r)
			return r;
		cond_resched();
	}

	return 0;
}

static bool kvm_gmem_huge_is_broken(const struct kvm_gmem_huge *huge, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(huge->inode->i_mapping, index);
	bool broken;

	if (IS_ERR(folio))
		return false;
	broken = folio_test_large(folio) && folio_test_has_hwpoisoned(folio);
	folio_put(folio);

	return broken;
}

/*
 * Memory goes back to where it came from in the pieces that it is in, and a broken
 * page only stays away if it is one.
 */
static int kvm_gmem_split_broken(struct kvm_gmem_huge *huge, pgoff_t start,
				 pgoff_t end)
{
	pgoff_t nr = kvm_gmem_huge_nr(huge), size;
	int r;

	if (likely(!READ_ONCE(huge->failed)))
		return 0;

	size = i_size_read(huge->inode) >> PAGE_SHIFT;
	for (; start < min(end, size); start = round_down(start, nr) + nr) {
		r = kvm_gmem_huge_is_broken(huge, start) ?
		    kvm_gmem_split(huge, start, NULL) : 0;
		if (r)
			return r;
		cond_resched();
	}

	return 0;
}

/**
 * kvm_gmem_huge_evict - all pages of a guest_memfd are about to go
 * @inode: the guest_memfd, not used by anybody any more
 *
 * Context: may sleep.
 */
void kvm_gmem_huge_evict(struct inode *inode)
{
	const struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;
	pgoff_t index, size = i_size_read(inode) >> PAGE_SHIFT;
	struct folio *folio;
	int r;

	if (!huge || likely(!huge->failed))
		return;

	for (index = 0; index < size; index += kvm_gmem_huge_nr(huge)) {
		if (!kvm_gmem_huge_is_broken(huge, index))
			continue;
		folio = filemap_lock_folio(inode->i_mapping, index);
		if (IS_ERR(folio))
			continue;
		/* There is no VM any more that could count it. */
		folio->private = KVM_GMEM_SPLITTING;
		r = split_huge_page_to_list_to_order(&folio->page, NULL, 0);
		folio->private = NULL;
		folio_unlock(folio);
		/* With a reference it stays for ever: nobody else is to get it. */
		if (!r)
			folio_put(folio);
	}
}

/**
 * kvm_gmem_huge_split_at - try to let a folio end at a page
 * @inode: the guest_memfd
 * @index: the page, which a folio may begin with
 *
 * Context: may sleep.
 */
void kvm_gmem_huge_split_at(struct inode *inode, pgoff_t index)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;

	if (huge && !IS_ALIGNED(index, kvm_gmem_huge_nr(huge)))
		kvm_gmem_split(huge, index, NULL);
}

/**
 * kvm_gmem_huge_cut_folio - let pages that are populated have folios of their own
 * @inode: the guest_memfd
 * @index: the first page
 * @nr: how many there are
 *
 * Context: may sleep; holds the invalidate lock.
 * Return: 0; -EAGAIN if the folio at @index has others, too, and is held.
 */
int kvm_gmem_huge_cut_folio(struct inode *inode, pgoff_t index, pgoff_t nr)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;
	pgoff_t end;

	if (!huge)
		return 0;
	end = round_down(index, kvm_gmem_huge_nr(huge)) + kvm_gmem_huge_nr(huge);
	if (IS_ALIGNED(index, kvm_gmem_huge_nr(huge)) && end - index <= nr)
		return 0;

	return kvm_gmem_split(huge, index, NULL);
}

/* Conversions */

/**
 * kvm_gmem_huge_presplit - split what a conversion will have to be split for
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * It takes long, and so most of it is done before others have to wait.  What is held
 * stays as it is, to be found again.
 *
 * Context: may sleep; no locks held.
 * Return: 0, or -EINTR if the task is killed.
 */
int kvm_gmem_huge_presplit(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_held held;
	int r;

	r = kvm_gmem_split_all(to_kvm_gmem_inode(inode)->huge, start, end, &held);

	return r == -EINTR ? r : 0;
}

/**
 * kvm_gmem_huge_convert_begin - pages are about to be shared, in place
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 * @held: set to what somebody holds
 *
 * The host may map them then, one by one.
 *
 * Context: may sleep; holds the invalidate lock exclusively.
 * Return: 0, and kvm_gmem_huge_convert_end() is to be called in any case; -EAGAIN
 *	if a folio is held, -EINTR if the task is killed.
 */
int kvm_gmem_huge_convert_begin(struct inode *inode, pgoff_t start, pgoff_t end,
				struct kvm_gmem_held *held)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;

	kvm_gmem_cut(huge, KVM_GMEM_CUT_FILE, start, end);

	return kvm_gmem_split_all(huge, start, end, held);
}

/**
 * kvm_gmem_huge_convert_end - they are shared, or stay what they were
 * @inode: the guest_memfd
 *
 * Context: as kvm_gmem_huge_convert_begin(), in the same section.
 */
void kvm_gmem_huge_convert_end(struct inode *inode)
{
	kvm_gmem_uncut(to_kvm_gmem_inode(inode)->huge, KVM_GMEM_CUT_FILE);
}

/**
 * kvm_gmem_huge_became_private - there may be something to merge
 * @inode: the guest_memfd
 *
 * Context: any; the file is open.
 */
void kvm_gmem_huge_became_private(struct inode *inode)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;

	if (huge)
		kvm_gmem_huge_poke(huge);
}

/* A part of the frames of a memslot. */
struct kvm_gmem_frames {
	struct kvm_gmem_huge *huge;
	pgoff_t start;
	pgoff_t end;
};

/* A file that is being closed waits for slots_lock before it lets go of them. */
static bool kvm_gmem_huge_frames(const struct kvm_memory_slot *slot, gfn_t start,
				 gfn_t end, struct kvm_gmem_frames *frames)
{
	struct file *file = kvm_slot_can_be_private(slot) ?
			    READ_ONCE(slot->gmem.file) : NULL;

	frames->huge = file ? to_kvm_gmem_inode(file_inode(file))->huge : NULL;
	if (!frames->huge)
		return false;

	start = max(start, slot->base_gfn);
	end = min(end, slot->base_gfn + slot->npages);
	frames->start = start - slot->base_gfn + slot->gmem.pgoff;
	frames->end = end - slot->base_gfn + slot->gmem.pgoff;

	return true;
}

/* Counts and traces it, with the name of the holder if nobody need be waited for. */
static void kvm_gmem_cut_held(struct kvm *kvm, struct inode *inode,
			      const struct kvm_gmem_held *held)
{
	const char *holder = NULL;
	bool locked = filemap_invalidate_trylock_shared(inode->i_mapping);

	if (locked)
		holder = kvm_gmem_holder(inode, held->index);
	kvm_gmem_conversion_held(kvm, inode, held->index, held->refs, holder ?: "");
	if (locked)
		filemap_invalidate_unlock_shared(inode->i_mapping);
}

/* Once; the last of the tries tells who is in the way. */
static int kvm_gmem_cut_frames(struct kvm *kvm, gfn_t start, gfn_t end, bool last)
{
	struct kvm_gmem_frames frames;
	struct kvm_gmem_held held;
	struct kvm_memslot_iter iter;
	int i, r;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i),
						  start, end) {
			if (!kvm_gmem_huge_frames(iter.slot, start, end, &frames))
				continue;
			kvm_gmem_cut(frames.huge, KVM_GMEM_CUT_VM, frames.start,
				     frames.end);
			r = kvm_gmem_split_ends(frames.huge, frames.start,
						frames.end, &held);
			if (r == -EAGAIN && last)
				kvm_gmem_cut_held(kvm, frames.huge->inode, &held);
			if (r)
				return r;
		}
	}

	return 0;
}

/**
 * __kvm_gmem_cut_begin - the attributes of frames are about to change
 * @kvm: the VM, whose memory is not converted in place
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they shall be
 * @change: the change of the VM's map for that, not 0; prepared anew if others
 *	have changed it meanwhile
 *
 * Only folios of which a part changes are split: others are stale as a whole, or
 * are not.
 *
 * Context: may sleep; holds slots_lock, and may let go of it for a while, but not
 *	after the return; vCPUs do not wait yet.
 * Return: 0, and __kvm_gmem_cut_end() is to be called.  Otherwise there is no change
 *	any more: KVM_GMEM_CUT_NONE if others have done it, -EAGAIN if somebody has
 *	had a folio all the time, -EINTR if the task is killed, -ENOMEM.
 */
int __kvm_gmem_cut_begin(struct kvm *kvm, gfn_t start, gfn_t end,
			 unsigned long attributes,
			 struct kvm_mem_attr_change *change)
{
	unsigned long until = jiffies + KVM_GMEM_CUT_WAIT;
	bool last;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	for (;;) {
		last = time_after_eq(jiffies, until);
		r = kvm_gmem_cut_frames(kvm, start, end, last);
		if (!r)
			return 0;
		__kvm_gmem_cut_end(kvm, start, end, 0);
		kvm_mem_attr_map_abort(&kvm->mem_attr_map, change);
		if (r != -EAGAIN || last)
			return r;

		mutex_unlock(&kvm->slots_lock);
		kvm_mem_attr_map_finish(change);
		schedule_timeout_killable(KVM_GMEM_CUT_PAUSE);
		mutex_lock(&kvm->slots_lock);
		*change = (struct kvm_mem_attr_change) {};
		if (fatal_signal_pending(current))
			return -EINTR;
		r = kvm_mem_attr_map_prepare(&kvm->mem_attr_map, change, start,
					     end, attributes);
		if (r)
			return r;
		if (!change->changed)
			return KVM_GMEM_CUT_NONE;
	}
}

/**
 * __kvm_gmem_cut_end - they have changed, or stay what they were
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @attributes: what they are now; 0 if nothing has changed
 *
 * Context: as __kvm_gmem_cut_begin(), in the same section.
 */
void __kvm_gmem_cut_end(struct kvm *kvm, gfn_t start, gfn_t end,
			unsigned long attributes)
{
	struct kvm_gmem_frames frames;
	struct kvm_memslot_iter iter;
	int i;

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, i),
						  start, end) {
			if (!kvm_gmem_huge_frames(iter.slot, start, end, &frames))
				continue;
			kvm_gmem_uncut(frames.huge, KVM_GMEM_CUT_VM);
			if (attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE)
				kvm_gmem_huge_poke(frames.huge);
		}
	}
}

/**
 * kvm_gmem_huge_bound - a memslot has come to map a guest_memfd
 * @inode: the guest_memfd
 * @slot: the memslot, not yet visible
 *
 * What it does not have of a folio is stale, and so not like what it has.
 *
 * Context: may sleep; holds slots_lock.
 */
void kvm_gmem_huge_bound(struct inode *inode, const struct kvm_memory_slot *slot)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;
	pgoff_t start = slot->gmem.pgoff, end = start + slot->npages;
	struct kvm_gmem_held held;

	if (!huge)
		return;

	if (!kvm_gmem_is_only(inode))
		kvm_gmem_split_ends(huge, start, end, &held);
	kvm_gmem_huge_poke(huge);
}

/* Holes */

static struct kvm_gmem_removers *kvm_gmem_my_removers(void)
{
	return &kvm_gmem_removers[hash_ptr(current, KVM_GMEM_REMOVERS_BITS)];
}

/**
 * __kvm_gmem_huge_punch_begin - a hole is about to be punched
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last; may be beyond the end of the file
 *
 * Folios that lie in it go as they are, but for those with a broken page.
 *
 * Context: may sleep; holds the invalidate lock exclusively.
 * Return: 0, and __kvm_gmem_huge_punch_end() is to be called; -EAGAIN if somebody
 *	holds a folio that has a broken page or pages beyond an end of the hole,
 *	-ENOMEM.
 */
int __kvm_gmem_huge_punch_begin(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;
	struct kvm_gmem_removers *removers;
	struct kvm_gmem_held held;
	int r;

	if (!huge)
		return 0;

	kvm_gmem_cut(huge, KVM_GMEM_CUT_FILE, start, end);
	r = kvm_gmem_split_ends(huge, start, end, &held) ?:
	    kvm_gmem_split_broken(huge, start, end);
	if (r) {
		kvm_gmem_uncut(huge, KVM_GMEM_CUT_FILE);
		return r;
	}

	removers = kvm_gmem_my_removers();
	huge->remover = current;
	spin_lock(&removers->lock);
	hlist_add_head(&huge->remover_node, &removers->files);
	spin_unlock(&removers->lock);

	return 0;
}

/* Counts a split that memory_failure() did. */
static void kvm_gmem_huge_count_failed(struct kvm_gmem_huge *huge, pgoff_t first)
{
	if (cmpxchg(&huge->failing, first, -1UL) != first)
		return;

	atomic64_sub(kvm_gmem_huge_nr(huge), &huge->pages);
	kvm_gmem_inode_split(to_kvm_gmem_inode(huge->inode), first,
			     kvm_gmem_huge_nr(huge), 0);
}

/**
 * __kvm_gmem_huge_punch_end - a hole was punched
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * Context: as __kvm_gmem_huge_punch_begin(), in the same section.
 */
void __kvm_gmem_huge_punch_end(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_removers *removers = kvm_gmem_my_removers();
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;
	pgoff_t failing;

	if (!huge)
		return;

	spin_lock(&removers->lock);
	hlist_del(&huge->remover_node);
	spin_unlock(&removers->lock);

	/*
	 * One that was there as a whole was counted when it went, and the hole may have
	 * only a part of one that was not.
	 */
	failing = READ_ONCE(huge->failing);
	if (failing != -1UL && failing < end &&
	    failing + kvm_gmem_huge_nr(huge) > start)
		kvm_gmem_huge_count_failed(huge, failing);
	kvm_gmem_uncut(huge, KVM_GMEM_CUT_FILE);
}

/**
 * kvm_gmem_huge_freed - whose page is it that a hole takes away?
 * @folio: what is out of the page cache
 *
 * A page that came by a split does not remember.
 *
 * Context: any but an interrupt.
 * Return: the guest_memfd; NULL if it has no huge folios, or was not used.
 */
struct kvm_gmem_inode *kvm_gmem_huge_freed(const struct folio *folio)
{
	struct kvm_gmem_removers *removers = kvm_gmem_my_removers();
	struct kvm_gmem_huge *huge, *found = NULL;

	/* Who is there sees itself, without a lock that others have. */
	if (hlist_empty(&removers->files))
		return NULL;
	spin_lock(&removers->lock);
	hlist_for_each_entry(huge, &removers->files, remover_node) {
		if (huge->remover == current) {
			found = huge;
			break;
		}
	}
	spin_unlock(&removers->lock);
	if (!found)
		return NULL;

	if (folio_test_large(folio)) {
		cmpxchg(&found->failing, folio->index, -1UL);
		atomic64_sub(folio_nr_pages(folio), &found->pages);
	}

	return to_kvm_gmem_inode(found->inode);
}

/* Memory failure */

/**
 * __kvm_gmem_huge_failed - memory behind a guest_memfd broke
 * @inode: the guest_memfd
 * @start: first page
 * @end: page after the last
 *
 * Context: holds the invalidate lock, and the page's.
 */
void __kvm_gmem_huge_failed(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct kvm_gmem_huge *huge = to_kvm_gmem_inode(inode)->huge;

	if (huge && end - start < kvm_gmem_huge_nr(huge))
		kvm_gmem_huge_count_failed(huge,
					   round_down(start,
						      kvm_gmem_huge_nr(huge)));
}

/*
 * Guests that have a page of it find another mapping.  The invalidate lock keeps the
 * memslots that there are, and slots_lock keeps away one that is being made, which
 * cannot lose mappings yet.
 */
static int kvm_gmem_huge_unmap(struct kvm_gmem_huge *huge, pgoff_t start,
			       pgoff_t end)
{
	struct address_space *mapping = huge->inode->i_mapping;
	struct kvm_gmem *gmem = kvm_gmem_huge_file(huge);
	int r = -EAGAIN;

	if (!filemap_invalidate_trylock_shared(mapping))
		return r;
	if (mutex_trylock(&gmem->kvm->slots_lock)) {
		kvm_gmem_invalidate_begin(gmem, start, end);
		kvm_gmem_invalidate_end(gmem, start, end);
		mutex_unlock(&gmem->kvm->slots_lock);
		r = 0;
	}
	filemap_invalidate_unlock_shared(mapping);

	return r;
}

/*
 * memory_failure() gives up if somebody has a folio that it wants to split, and tells
 * nobody.  Then guests get its pages one by one, without the broken ones, and
 * once it is split all is as if memory_failure() had done it.  Returns 0 if there is
 * nothing left to do.
 */
static int kvm_gmem_huge_isolate(struct kvm_gmem_huge *huge, pgoff_t first)
{
	struct address_space *mapping = huge->inode->i_mapping;
	pgoff_t index, end = first + kvm_gmem_huge_nr(huge);
	struct folio *folio;
	int r;

	if (!kvm_gmem_huge_is_broken(huge, first))
		return 0;

	r = kvm_gmem_huge_unmap(huge, first, end) ?:
	    kvm_gmem_split(huge, first, NULL);
	if (r)
		return r;

	for (index = first; index < end; index++) {
		folio = filemap_get_folio(mapping, index);
		if (IS_ERR(folio))
			continue;
		/* Unlocked: it waits for the invalidate lock, and who has that for us. */
		if (folio_test_hwpoison(folio))
			mapping->a_ops->error_remove_folio(mapping, folio);
		folio_put(folio);
	}

	return 0;
}

/* Merging */

/**
 * struct kvm_gmem_merge - a range of small folios that is to be one
 * @huge: of the guest_memfd
 * @gmem: its file
 * @first: first page
 * @nr: how many pages there are
 * @nid: NUMA node of the first one
 * @to: the folio, not yet in the page cache
 * @from: those that are, each with a reference
 * @nr_from: how many they are
 */
struct kvm_gmem_merge {
	struct kvm_gmem_huge *huge;
	struct kvm_gmem *gmem;
	pgoff_t first;
	unsigned long nr;
	int nid;
	struct folio *to;
	struct folio **from;
	unsigned long nr_from;
};

/*
 * Can its pages be merged, at this moment?  Of a page that goes meanwhile something
 * wrong may be read, and then it is found out later.
 *
 * Returns -ENOENT if it is not full of small folios, -EHWPOISON if one is broken,
 * -EXDEV if they are on several nodes and nobody says where they are to be, -EAGAIN
 * if somebody holds one.
 */
static int kvm_gmem_merge_look_pages(struct kvm_gmem_merge *merge)
{
	struct inode *inode = merge->huge->inode;
	XA_STATE(xas, &inode->i_mapping->i_pages, merge->first);
	bool broken = false, apart = false, held = false;
	unsigned long found = 0;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, merge->first + merge->nr - 1) {
		if (xas_retry(&xas, folio))
			continue;
		if (kvm_gmem_huge_at(&xas) ||
		    xas.xa_index != merge->first + found)
			break;
		if (!found++)
			merge->nid = folio_nid(folio);
		broken |= PageHWPoison(&folio->page);
		apart |= folio_nid(folio) != merge->nid;
		/* The page cache's reference is one. */
		held |= folio_ref_count(folio) > 1;
	}
	rcu_read_unlock();

	if (found < merge->nr)
		return -ENOENT;
	if (broken)
		return -EHWPOISON;
	if (apart && !kvm_gmem_inode_has_policy(inode, merge->first))
		return -EXDEV;

	return held ? -EAGAIN : 0;
}

/* Charged to whom another one is charged to, which stays so as long as it is held. */
static int kvm_gmem_charge_as(struct folio *to, struct folio *from, gfp_t gfp)
{
	struct mem_cgroup *memcg = set_active_memcg(folio_memcg(from));
	int r = mem_cgroup_charge(to, NULL, gfp);

	set_active_memcg(memcg);

	return r;
}

/* As the first page is. */
static int kvm_gmem_merge_charge(struct kvm_gmem_merge *merge)
{
	struct folio *folio;
	int r;

	folio = filemap_get_folio(merge->huge->inode->i_mapping, merge->first);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	r = kvm_gmem_charge_as(merge->to, folio,
			       kvm_gmem_huge_gfp(merge->huge) & ~__GFP_NOMEMALLOC);
	folio_put(folio);

	return r;
}

static void kvm_gmem_merge_put(struct kvm_gmem_merge *merge)
{
	while (merge->nr_from)
		folio_put(merge->from[--merge->nr_from]);
}

/* No guest writes meanwhile, and nobody else has ever mapped them. */
static int kvm_gmem_merge_copy(struct kvm_gmem_merge *merge)
{
	struct address_space *mapping = merge->huge->inode->i_mapping;
	struct folio *folio;
	unsigned long i;

	for (i = 0; i < merge->nr; i++) {
		folio = filemap_get_folio(mapping, merge->first + i);
		if (IS_ERR(folio))
			return -EAGAIN;
		merge->from[merge->nr_from++] = folio;
		if (folio_test_large(folio) || folio_test_hwpoison(folio))
			return -EAGAIN;
		/* One that nobody has used yet has nothing in it. */
		if (!folio_test_uptodate(folio))
			clear_highpage(folio_page(merge->to, i));
		else if (copy_mc_highpage(folio_page(merge->to, i),
					  folio_page(folio, 0)))
			return -EHWPOISON;
		cond_resched();
	}

	return 0;
}

static void kvm_gmem_merge_unlock(struct kvm_gmem_merge *merge, unsigned long nr)
{
	while (nr)
		folio_unlock(merge->from[--nr]);
}

static void kvm_gmem_count_in_cache(struct folio *folio, long nr)
{
	__lruvec_stat_mod_folio(folio, NR_FILE_PAGES, nr);
	if (folio_test_pmd_mappable(folio))
		__lruvec_stat_mod_folio(folio, NR_FILE_THPS, nr);
}

/*
 * All of @from at once are out of the page cache, and the huge one is in their place.
 * Somebody who has one of them would have the wrong memory afterwards.
 */
static int kvm_gmem_store(struct address_space *mapping, struct folio **from,
			  unsigned long nr_from, struct folio *to)
{
	XA_STATE_ORDER(xas, &mapping->i_pages, to->index, folio_order(to));
	/* They are of one size. */
	long nr = folio_nr_pages(from[0]);
	bool stored = false;
	unsigned long i;

	xas_lock_irq(&xas);
	for (i = 0; i < nr_from; i++) {
		/* The page cache's references and ours. */
		if (!folio_ref_freeze(from[i], nr + 1))
			break;
	}
	if (i == nr_from) {
		xas_store(&xas, to);
		/* The nodes are there: no memory is needed. */
		stored = !WARN_ON_ONCE(xas_error(&xas));
	}
	if (!stored) {
		while (i)
			folio_ref_unfreeze(from[--i], nr + 1);
		xas_unlock_irq(&xas);
		return -EAGAIN;
	}

	for (i = 0; i < nr_from; i++) {
		kvm_gmem_count_in_cache(from[i], -nr);
		from[i]->mapping = NULL;
		folio_ref_unfreeze(from[i], 1);
	}
	kvm_gmem_count_in_cache(to, folio_nr_pages(to));
	xas_unlock_irq(&xas);

	return 0;
}

/* The same for @to, which is locked, belongs to nobody yet, and has its contents. */
static int kvm_gmem_put_in_place(struct address_space *mapping, pgoff_t first,
				 struct folio **from, unsigned long nr_from,
				 struct folio *to)
{
	int r;

	folio_ref_add(to, folio_nr_pages(to));
	to->mapping = mapping;
	to->index = first;
	r = kvm_gmem_store(mapping, from, nr_from, to);
	if (r) {
		to->mapping = NULL;
		folio_ref_sub(to, folio_nr_pages(to));
	}

	return r;
}

/**
 * kvm_gmem_huge_charge - charge a folio that is to take another one's place
 * @to: new, and of the same size
 * @from: that one, with a reference
 * @gfp: how memory may be taken for that
 *
 * A single page is charged when it does.
 *
 * Context: may sleep if @gfp does.
 * Return: 0 or -ENOMEM.
 */
int kvm_gmem_huge_charge(struct folio *to, struct folio *from, gfp_t gfp)
{
	return folio_test_large(to) ? kvm_gmem_charge_as(to, from, gfp) : 0;
}

/**
 * kvm_gmem_huge_replace - put a huge folio in the place of another
 * @inode: the guest_memfd
 * @from: the one that is there, locked, with a reference
 * @to: the other, locked, charged, with all that is in @from
 *
 * Context: guests have lost it; who cuts folios finds the one or the other.
 * Return: 0, or -EAGAIN if somebody has @from.
 */
int kvm_gmem_huge_replace(struct inode *inode, struct folio *from,
			  struct folio *to)
{
	int r = kvm_gmem_put_in_place(inode->i_mapping, from->index, &from, 1, to);

	if (!r)
		folio_add_lru(to);

	return r;
}

/* The attributes do not change: conversions hold slots_lock, too. */
static int kvm_gmem_merge_swap(struct kvm_gmem_merge *merge)
{
	struct kvm_gmem_huge *huge = merge->huge;
	struct folio *to = merge->to;
	unsigned long i;
	int r = -EAGAIN;

	if (kvm_gmem_huge_unlike(huge, NULL, merge->first))
		return -EAGAIN;

	for (i = 0; i < merge->nr; i++) {
		if (!folio_trylock(merge->from[i]))
			goto unlock;
	}

	__folio_set_locked(to);
	__folio_mark_uptodate(to);
	r = kvm_gmem_put_in_place(huge->inode->i_mapping, merge->first,
				  merge->from, merge->nr, to);
	if (r) {
		__folio_clear_locked(to);
		goto unlock;
	}

	kvm_gmem_inode_merged(to_kvm_gmem_inode(huge->inode), merge->from,
			      merge->nr, to);
	atomic64_add(merge->nr, &huge->pages);
	folio_add_lru(to);
	folio_unlock(to);
unlock:
	kvm_gmem_merge_unlock(merge, i);

	return r;
}

/*
 * With the invalidate lock, which keeps holes, memslots and the host away.  A vCPU
 * that faults tries again until this is over, without waiting for a lock; a
 * conversion goes first.
 */
static int kvm_gmem_merge_locked(struct kvm_gmem_merge *merge)
{
	struct kvm *kvm = merge->gmem->kvm;
	pgoff_t end = merge->first + merge->nr;
	int r;

	if (kvm_gmem_huge_unlike(merge->huge, NULL, merge->first))
		return -EAGAIN;
	/* Guests are not disturbed for what would fail. */
	r = kvm_gmem_merge_look_pages(merge);
	if (r)
		return r;

	/* A memslot that is being made cannot lose mappings yet. */
	if (!mutex_trylock(&kvm->slots_lock))
		return -EAGAIN;
	kvm_gmem_invalidate_begin(merge->gmem, merge->first, end);
	mutex_unlock(&kvm->slots_lock);
	r = kvm_gmem_merge_copy(merge);
	if (!r) {
		r = -EAGAIN;
		if (mutex_trylock(&kvm->slots_lock)) {
			r = kvm_gmem_merge_swap(merge);
			mutex_unlock(&kvm->slots_lock);
		}
	}
	kvm_gmem_invalidate_end(merge->gmem, merge->first, end);

	return r;
}

/* Makes a huge folio of a range of small ones, or leaves them as they are. */
static int kvm_gmem_merge_range(struct kvm_gmem_merge *merge)
{
	struct inode *inode = merge->huge->inode;
	int r;

	merge->to = kvm_gmem_inode_alloc_folio(inode, merge->first,
					       merge->huge->order,
					       kvm_gmem_huge_gfp(merge->huge),
					       merge->nid);
	if (!merge->to) {
		if (kvm_gmem_inode_has_policy(inode, merge->first))
			nodes_setall(merge->huge->full);
		else
			node_set(merge->nid, merge->huge->full);
		return -ENOMEM;
	}

	r = kvm_gmem_merge_charge(merge);
	if (r == -ENOMEM)
		nodes_setall(merge->huge->full);
	if (!r) {
		r = -EAGAIN;
		if (down_write_trylock(&inode->i_mapping->invalidate_lock)) {
			r = kvm_gmem_merge_locked(merge);
			filemap_invalidate_unlock(inode->i_mapping);
		}
	}
	kvm_gmem_merge_put(merge);
	folio_put(merge->to);
	kvm_gmem_inode_merge_ended(to_kvm_gmem_inode(inode), merge->first,
				   merge->nr, r);

	return r;
}

/*
 * Could it be merged, as far as that can be seen without waiting for a lock?  Returns
 * -EBUSY if that cannot be seen, or as kvm_gmem_merge_look_pages().
 */
static int kvm_gmem_merge_look(struct kvm_gmem_merge *merge)
{
	struct inode *inode = merge->huge->inode;
	int r = kvm_gmem_merge_look_pages(merge);

	if (r && r != -EAGAIN)
		return r;
	/* Whoever has the lock may be about to change that. */
	if (!filemap_invalidate_trylock_shared(inode->i_mapping))
		return -EBUSY;
	if (kvm_gmem_huge_unlike(merge->huge, NULL, merge->first))
		r = -ENOENT;
	filemap_invalidate_unlock_shared(inode->i_mapping);

	return r;
}

/* A page that is new is held by the CPU that is to list it. */
static bool kvm_gmem_merge_drain(void)
{
	lockdep_assert_held(&kvm_gmem_merge_lock);

	if (time_before(jiffies, kvm_gmem_drained + KVM_GMEM_DRAIN_PAUSE))
		return false;
	lru_add_drain_all();
	kvm_gmem_drained = jiffies;

	return true;
}

/* Merges a range if that may succeed; counts those that it tried for. */
static int kvm_gmem_merge_try(struct kvm_gmem_merge *merge, unsigned int *tried)
{
	struct kvm_gmem_huge *huge = merge->huge;
	int r = kvm_gmem_merge_look(merge);

	if (r == -EAGAIN && !READ_ONCE(huge->closing) && kvm_gmem_merge_drain())
		r = kvm_gmem_merge_look(merge);
	if (r)
		return r;
	/* There was none a moment ago: the rest of the pass only counts. */
	if (node_isset(merge->nid, huge->full))
		return -ENOMEM;

	++*tried;
	r = kvm_gmem_merge_range(merge);
	if (!r)
		huge->backoff = 0;

	return r;
}

/* Is a range that was not merged to be tried again? */
static bool kvm_gmem_merge_waits(int r)
{
	return r && r != -ENOENT && r != -EHWPOISON && r != -EXDEV;
}

/* When is the pass after the one that has ended?  0 if there is no reason for one. */
static unsigned long kvm_gmem_merge_pause(struct kvm_gmem_huge *huge, bool waits)
{
	if (!waits) {
		huge->backoff = 0;
		return READ_ONCE(huge->again) ? 2 * KVM_GMEM_MERGE_PAUSE : 0;
	}

	huge->backoff = clamp_t(unsigned long, 2 * huge->backoff,
				KVM_GMEM_MERGE_RETRY, KVM_GMEM_MERGE_RETRY_MAX);
	WRITE_ONCE(huge->backs_off, true);
	/* Who is not seen here sees that, and shortens it. */
	smp_mb();

	return READ_ONCE(huge->again) ? KVM_GMEM_MERGE_RETRY : huge->backoff;
}

/* Merges a few ranges, and returns when to go on: 0 if there is nothing to do. */
static unsigned long kvm_gmem_merge_some(struct kvm_gmem_merge *merge)
{
	struct kvm_gmem_huge *huge = merge->huge;
	pgoff_t size = i_size_read(huge->inode) >> PAGE_SHIFT;
	bool copies = kvm_arch_gmem_keeps_contents(merge->gmem->kvm);
	unsigned int tried = 0, looked = 0;
	int r;

	if (!huge->next) {
		/* Before the first look; what was waited for is another matter now. */
		if (xchg(&huge->again, false))
			huge->backoff = 0;
		nodes_clear(huge->full);
		huge->seen = 0;
		huge->isolates = xchg(&huge->broken, false);
	}

	for (; huge->next + merge->nr <= size; huge->next += merge->nr) {
		if (READ_ONCE(huge->closing))
			return 0;
		if (tried == KVM_GMEM_MERGE_BATCH ||
		    ++looked > KVM_GMEM_MERGE_LOOK)
			return KVM_GMEM_MERGE_PAUSE;
		merge->first = huge->next;
		if (huge->isolates && kvm_gmem_huge_isolate(huge, merge->first))
			WRITE_ONCE(huge->broken, true);
		if (copies) {
			r = kvm_gmem_merge_try(merge, &tried);
		} else {
			r = kvm_gmem_merge_look(merge);
			r = r ?: -EOPNOTSUPP;
		}
		huge->seen += kvm_gmem_merge_waits(r);
		cond_resched();
	}

	WRITE_ONCE(huge->waiting, huge->seen);
	huge->next = 0;

	return kvm_gmem_merge_pause(huge, (copies && huge->seen) ||
				    READ_ONCE(huge->broken));
}

static void kvm_gmem_merge_work(struct work_struct *work)
{
	struct kvm_gmem_huge *huge = container_of(to_delayed_work(work),
						  struct kvm_gmem_huge, merge);
	struct kvm_gmem_merge merge = {
		.huge = huge,
		.gmem = kvm_gmem_huge_file(huge),
		.nr = kvm_gmem_huge_nr(huge),
	};
	unsigned long pause = KVM_GMEM_MERGE_RETRY;

	WRITE_ONCE(huge->backs_off, false);
	if (mutex_trylock(&kvm_gmem_merge_lock)) {
		merge.from = kvmalloc_array(merge.nr, sizeof(*merge.from),
					    GFP_KERNEL);
		if (merge.from)
			pause = kvm_gmem_merge_some(&merge);
		kvfree(merge.from);
		mutex_unlock(&kvm_gmem_merge_lock);
	} else {
		pause = KVM_GMEM_MERGE_PAUSE;
	}
	if (pause)
		queue_delayed_work(system_unbound_wq, &huge->merge, pause);
}
