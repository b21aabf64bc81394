// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merges small folios of a guest_memfd to a huge one: in the background, a few ranges at
 * a time, whenever pages have come or changed.  A page is copied, and so guests lose the
 * range for that long.
 */
#include <linux/highmem.h>
#include <linux/kvm_host.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/* Ranges that are merged, and looked at, before others may run for a while. */
#define KVM_GMEM_MERGE_BATCH	8
#define KVM_GMEM_MERGE_LOOK	512
#define KVM_GMEM_MERGE_PAUSE	(HZ / 10)
/* When memory may have come, or a page been let go: twice as long each time. */
#define KVM_GMEM_MERGE_RETRY	(2 * HZ)
#define KVM_GMEM_MERGE_RETRY_MAX	(60 * HZ)
/* New pages are taken from the CPUs' lists at most so often, on the whole host. */
#define KVM_GMEM_DRAIN_PAUSE	HZ

/* One file at a time is merged: many of them do not take many CPUs. */
static DEFINE_MUTEX(kvm_gmem_merge_lock);
/* Under it: when the CPUs' lists were emptied last. */
static unsigned long kvm_gmem_drained = INITIAL_JIFFIES - KVM_GMEM_DRAIN_PAUSE;

/**
 * kvm_gmem_huge_poke - there may be something to merge, or to isolate
 * @huge: of the guest_memfd
 *
 * Context: any; the file is open.
 */
void kvm_gmem_huge_poke(struct kvm_gmem_huge *huge)
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

/**
 * kvm_gmem_merge_work - merge what can be merged of a guest_memfd, bit by bit
 * @work: of its struct kvm_gmem_huge
 *
 * Context: may sleep.
 */
void kvm_gmem_merge_work(struct work_struct *work)
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
