// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of guest_memfds that the host moves to other pages: mm does for
 * compaction, memory that is to be taken away and the like, and who asks for
 * another NUMA node does by bpf_kvm_gmem_move().
 *
 * What nobody may move is what hardware knows by its place, and what its owner
 * wants to stay: its mapping is inaccessible, and mm does not even try.
 *
 * Whoever moves a page has it locked, and others lock pages under all locks that
 * are needed here.  So these are tried for, and who cannot have one gives up for
 * the moment.  Guests lose the page first.  A fault that has not come to its end
 * by then has a reference to the page, or finds out that it must begin anew.
 */
#include <linux/gfp.h>
#include <linux/kvm_host.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/mm.h>
#include <linux/swap.h>
#include <linux/timekeeping.h>
#include <linux/vmstat.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/**
 * kvm_gmem_migrate_init - decide whether the pages of a guest_memfd can be moved
 * @inode: a new guest_memfd, with its flags
 * @kvm: its VM
 *
 * Pages that can are taken from where the host wants to be able to move all.
 *
 * Context: nobody else knows the inode.
 */
void kvm_gmem_migrate_init(struct inode *inode, struct kvm *kvm)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	struct address_space *mapping = inode->i_mapping;

	gi->movable = kvm_arch_gmem_can_move(kvm) &&
		      !(gi->flags & GUEST_MEMFD_FLAG_UNMOVABLE);
	if (gi->movable) {
		mapping_set_gfp_mask(mapping, GFP_HIGHUSER_MOVABLE);
		mapping_set_unevictable(mapping);
	} else {
		mapping_set_gfp_mask(mapping, GFP_HIGHUSER);
		mapping_set_inaccessible(mapping);
	}
}

/*
 * Consumers know of one event at a time, and what they do may take time and
 * memory: not for who makes memory free for somebody that waits.
 */
static bool kvm_gmem_move_lock(struct kvm_gmem_move *move, bool patient)
{
	struct address_space *mapping = move->inode->i_mapping;
	struct list_head *consumers = &to_kvm_gmem_inode(move->inode)->notifiers;

	move->exclusive = !list_empty(consumers);
	if (move->exclusive)
		return patient && down_write_trylock(&mapping->invalidate_lock);
	if (!filemap_invalidate_trylock_shared(mapping))
		return false;
	if (list_empty(consumers))
		return true;
	filemap_invalidate_unlock_shared(mapping);

	return false;
}

static void kvm_gmem_move_unlock(struct kvm_gmem_move *move)
{
	if (move->exclusive)
		filemap_invalidate_unlock(move->inode->i_mapping);
	else
		filemap_invalidate_unlock_shared(move->inode->i_mapping);
}

static void kvm_gmem_move_invalidate_end(struct kvm_gmem_move *move)
{
	struct kvm_gmem *gmem;

	list_for_each_entry(gmem, &move->inode->i_mapping->i_private_list, entry)
		kvm_gmem_invalidate_end(gmem, move->range.start, move->range.end);
}

/*
 * A memslot that is being made cannot lose mappings yet: its maker has slots_lock.
 * One that comes later waits for the invalidate lock first.
 */
static bool kvm_gmem_move_invalidate_begin(struct kvm_gmem_move *move)
{
	struct list_head *files = &move->inode->i_mapping->i_private_list;
	struct kvm_gmem *gmem;

	list_for_each_entry(gmem, files, entry) {
		/* Since the file was made its VM may have got memory that cannot. */
		if (!kvm_arch_gmem_can_move(gmem->kvm) ||
		    !mutex_trylock(&gmem->kvm->slots_lock)) {
			list_for_each_entry_continue_reverse(gmem, files, entry)
				kvm_gmem_invalidate_end(gmem, move->range.start,
							move->range.end);
			return false;
		}
		kvm_gmem_invalidate_begin(gmem, move->range.start,
					  move->range.end);
		mutex_unlock(&gmem->kvm->slots_lock);
	}

	return true;
}

/* The page cache has a reference for each page, and who moves it has one. */
static bool kvm_gmem_move_is_held(const struct folio *folio)
{
	return folio_ref_count(folio) - folio_mapcount(folio) >
	       folio_nr_pages(folio) + 1;
}

/*
 * To where a broken page is copied nobody would know of it, and where it was it
 * would be given to others.
 */
static bool kvm_gmem_move_is_broken(struct folio *folio)
{
	return folio_test_hwpoison(folio) ||
	       (folio_test_large(folio) && folio_test_has_hwpoisoned(folio));
}

/* With the locks: consumers let go of it, and guests lose it. */
static int kvm_gmem_move_begin_locked(struct kvm_gmem_move *move)
{
	const struct kvm_gmem_notifier *refuses;
	unsigned int nofs;

	/*
	 * To make memory free for a consumer, inodes may go, and wait for pages of
	 * theirs that whoever moves this one has locked, too.
	 */
	nofs = memalloc_nofs_save();
	refuses = kvm_gmem_notify_start(move->inode, &move->range);
	memalloc_nofs_restore(nofs);
	move->refusal = KVM_GMEM_MOVE_CONSUMER;
	if (refuses)
		return -EBUSY;

	/* Guests are not disturbed for what would fail. */
	move->refusal = KVM_GMEM_MOVE_HELD;
	if (!kvm_gmem_move_is_held(move->from)) {
		move->refusal = KVM_GMEM_MOVE_BUSY;
		if (kvm_gmem_move_invalidate_begin(move)) {
			move->refusal = KVM_GMEM_MOVE_HELD;
			kvm_gmem_inode_migrates(move->inode, &move->range);
			return 0;
		}
	}
	kvm_gmem_notify_end(move->inode, &move->range, -EAGAIN);

	return -EAGAIN;
}

/* Returns 0, and then kvm_gmem_move_end() is to be called, or a negative errno. */
static int kvm_gmem_move_begin(struct kvm_gmem_move *move, bool patient)
{
	struct folio *from = move->from;
	int r = -EBUSY;

	move->inode = from->mapping->host;
	move->began_ns = ktime_get_ns();
	move->range = (struct kvm_gmem_range) {
		.start = from->index,
		.end = folio_next_index(from),
		.event = KVM_GMEM_EVENT_MIGRATION,
	};

	move->refusal = KVM_GMEM_MOVE_BROKEN;
	if (kvm_gmem_move_is_broken(from))
		goto err;
	move->refusal = KVM_GMEM_MOVE_BUSY;
	r = -EAGAIN;
	if (!kvm_gmem_move_lock(move, patient))
		goto err;
	r = kvm_gmem_move_begin_locked(move);
	if (!r)
		return 0;
	kvm_gmem_move_unlock(move);
err:
	kvm_gmem_inode_move_ended(move, r);

	return r;
}

static void kvm_gmem_move_end(struct kvm_gmem_move *move, int result)
{
	if (result == -EHWPOISON)
		move->refusal = KVM_GMEM_MOVE_BROKEN;
	kvm_gmem_inode_move_ended(move, result);
	kvm_gmem_move_invalidate_end(move);
	kvm_gmem_notify_end(move->inode, &move->range, result);
	kvm_gmem_move_unlock(move);
}

/* mm forgets that it counts them by node. */
static void kvm_gmem_move_count_huge(struct folio *folio, long sign)
{
	if (folio_test_pmd_mappable(folio))
		lruvec_stat_mod_folio(folio, NR_FILE_THPS,
				      sign * folio_nr_pages(folio));
}

/**
 * kvm_gmem_migrate_folio - put a page of a guest_memfd in another place
 * @mapping: the guest_memfd's
 * @dst: where to, new and locked
 * @src: the folio, locked and isolated; no process has it mapped
 * @mode: how patient who asks is
 *
 * Its attributes, whether it is stale, and what else is known by its index stay.
 *
 * Context: may sleep, but waits for nobody else's lock.
 * Return: 0; -EAGAIN if somebody has the page, or a lock that is needed; -EBUSY if
 *	a consumer keeps it, or if it is broken; -EHWPOISON if it breaks now.
 */
int kvm_gmem_migrate_folio(struct address_space *mapping, struct folio *dst,
			   struct folio *src, enum migrate_mode mode)
{
	struct kvm_gmem_move move = { .from = src, .to = dst };
	bool patient = mode != MIGRATE_ASYNC && !(current->flags & PF_MEMALLOC);
	int r;

	r = kvm_gmem_move_begin(&move, patient);
	if (r)
		return r;

	kvm_gmem_move_count_huge(src, -1);
	r = migrate_folio(mapping, dst, src, mode);
	kvm_gmem_move_count_huge(r ? src : dst, 1);
	kvm_gmem_move_end(&move, r);

	return r;
}

/* What a process has locked, its CPU has a reference to for a while. */
static void kvm_gmem_move_drain(void)
{
	struct folio_batch batch;

	/* That of an empty one drains all lists of this CPU. */
	folio_batch_init(&batch);
	__folio_batch_release(&batch);
}

/* As mm does, for a page that is where it belongs in mm's lists. */
static int kvm_gmem_move_copy(struct kvm_gmem_move *move)
{
	struct folio *from = move->from, *to = move->to;
	int r;

	/* Who has the page mapped finds the new one. */
	if (folio_mapped(from)) {
		unmap_mapping_pages(from->mapping, from->index,
				    folio_nr_pages(from), false);
		if (kvm_gmem_move_is_held(from))
			kvm_gmem_move_drain();
	}
	if (folio_mapped(from) || kvm_gmem_move_is_held(from))
		return -EAGAIN;
	r = folio_mc_copy(to, from);
	if (r)
		return r;
	/*
	 * Who gets a reference from here on waits for the lock, and then finds that it
	 * is another page.
	 */
	if (kvm_gmem_move_is_held(from))
		return -EAGAIN;
	if (folio_test_uptodate(from))
		__folio_mark_uptodate(to);
	if (folio_test_large(from))
		return kvm_gmem_huge_replace(move->inode, from, to);

	from->private = NULL;
	replace_page_cache_folio(from, to);
	folio_add_lru(to);

	return 0;
}

/* Whoever waits for the page waits for no memory: this comes before it is locked. */
static int kvm_gmem_move_alloc(struct kvm_gmem_move *move, struct inode *inode,
			       int nid)
{
	gfp_t gfp = mapping_gfp_mask(inode->i_mapping) | __GFP_NOWARN |
		    __GFP_NORETRY;

	/* As mm does who moves huge ones. */
	if (folio_test_large(move->from))
		gfp &= ~__GFP_RECLAIM;
	move->to = __folio_alloc_node(gfp | __GFP_THISNODE,
				      folio_order(move->from), nid);
	if (!move->to)
		return -ENOMEM;
	if (kvm_gmem_huge_charge(move->to, move->from, gfp)) {
		folio_put(move->to);
		return -ENOMEM;
	}
	__folio_set_locked(move->to);

	return 0;
}

static int kvm_gmem_move_locked(struct kvm_gmem_move *move, struct inode *inode)
{
	int r;

	/* It may have been split, or be gone, since it was found. */
	if (move->from->mapping != inode->i_mapping ||
	    folio_order(move->from) != folio_order(move->to))
		return -ENOENT;

	r = kvm_gmem_move_begin(move, true);
	if (r)
		return r;
	r = kvm_gmem_move_copy(move);
	kvm_gmem_move_end(move, r);

	return r;
}

/**
 * kvm_gmem_move_folio - move a page of a guest_memfd to another node
 * @inode: the guest_memfd, whose file is held
 * @from: the folio, with a reference
 * @nid: the node
 *
 * Context: may sleep.
 * Return: 0, also if it is there; -EOPNOTSUPP if the guest_memfd's pages cannot be
 *	moved; -ENOENT if it is no page of it any more, or was split; -ENOMEM if the
 *	node, or the memcg, has no memory; as kvm_gmem_migrate_folio() otherwise.
 */
int kvm_gmem_move_folio(struct inode *inode, struct folio *from, int nid)
{
	struct kvm_gmem_move move = { .from = from };
	int r;

	if (!to_kvm_gmem_inode(inode)->movable)
		return -EOPNOTSUPP;
	if (folio_nid(from) == nid)
		return 0;
	r = kvm_gmem_move_alloc(&move, inode, nid);
	if (r)
		return r;

	r = -EAGAIN;
	if (folio_trylock(from)) {
		r = kvm_gmem_move_locked(&move, inode);
		folio_unlock(from);
	}
	folio_unlock(move.to);
	folio_put(move.to);

	return r;
}
