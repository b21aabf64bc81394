// SPDX-License-Identifier: GPL-2.0-only
/*
 * Splits huge folios of guest_memfds: for conversions, for holes, and where memory
 * broke.
 *
 * A folio is split in place, by the kernel's own code for that.  It needs the page
 * lock and that nobody else has a reference: then no vCPU is about to map it as a
 * whole, either, since a fault holds its folio until it is done.
 */
#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/*
 * VMMs take it as final if a conversion by the VM fails.  How long it waits for who
 * has a folio, without a lock, and when it looks again.
 */
#define KVM_GMEM_CUT_WAIT	HZ
#define KVM_GMEM_CUT_PAUSE	(HZ / 50 ?: 1)

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

/**
 * kvm_gmem_is_cut - is somebody about to cut a folio?
 * @huge: of the guest_memfd
 * @first: its first page
 *
 * Context: any.
 * Return: whether somebody is.
 */
bool kvm_gmem_is_cut(const struct kvm_gmem_huge *huge, pgoff_t first)
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

/**
 * kvm_gmem_split_folio - split a folio to single pages
 * @huge: of the guest_memfd
 * @folio: the folio, large and locked; the caller has the only reference beside
 *	the page cache's
 *
 * Context: may sleep.
 * Return: 0; -EAGAIN if somebody else has it, -ENOMEM.
 */
int kvm_gmem_split_folio(struct kvm_gmem_huge *huge, struct folio *folio)
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

/**
 * kvm_gmem_huge_isolate - do what memory_failure() could not
 * @huge: of the guest_memfd
 * @first: first page of a folio that may be broken
 *
 * It gives up if somebody has a folio that it wants to split, and tells nobody.  Then
 * guests get its pages one by one, without the broken ones, and once it is split all
 * is as if memory_failure() had done it.
 *
 * Context: may sleep; the file is open.
 * Return: 0 if there is nothing left to do, -EAGAIN or -ENOMEM.
 */
int kvm_gmem_huge_isolate(struct kvm_gmem_huge *huge, pgoff_t first)
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
