/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Huge folios of guest_memfds, see gmem_huge.c.  What is inline costs nothing
 * until the first guest_memfd is made that wants them.
 */
#ifndef __KVM_GMEM_HUGE_H
#define __KVM_GMEM_HUGE_H

#include <linux/atomic.h>
#include <linux/jump_label.h>
#include <linux/kvm_gmem.h>
#include <linux/kvm_host.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

/* Who may be cutting pages of a guest_memfd at the same time. */
enum kvm_gmem_cutter {
	KVM_GMEM_CUT_FILE,	/* a hole or a conversion in place: invalidate lock */
	KVM_GMEM_CUT_VM,	/* a conversion by the VM: slots_lock */
	KVM_GMEM_NR_CUTTERS,
};

/**
 * struct kvm_gmem_cut - pages that no new huge folio may have at the moment
 * @start: first page
 * @end: page after the last, 0 if there are none
 */
struct kvm_gmem_cut {
	pgoff_t start;
	pgoff_t end;
};

/**
 * struct kvm_gmem_held - what keeps a folio from being split
 * @index: the page of a request that it has first
 * @refs: references to it that should not be
 */
struct kvm_gmem_held {
	pgoff_t index;
	int refs;
};

/**
 * struct kvm_gmem_huge - what a guest_memfd with huge folios knows beyond others
 * @inode: the guest_memfd
 * @order: of its huge folios
 * @asked: its creator asked for them
 * @cuts: who cuts them at the moment
 * @failing: first page of the folio that memory_failure() may be splitting, or -1
 * @broken: there may be a broken folio that memory_failure() could not split
 * @isolates: the pass under way looks for such
 * @failed: there ever was one
 * @closing: nobody is to wait for @merge
 * @remover: who takes pages away at the moment, and is told of each
 * @remover_node: among all of those
 * @pages: its pages that are in huge folios
 * @merge: merges small folios
 * @again: pages have come or changed since the pass under way began
 * @backs_off: @merge waits longer than for the next few ranges
 * @backoff: how long it waited last for what could not be merged
 * @full: nodes that had no memory in the pass under way
 * @next: the page that @merge goes on with
 * @seen: ranges that could be merged and were not, of the pass under way
 * @waiting: the same of the pass before
 */
struct kvm_gmem_huge {
	struct inode *inode;
	unsigned int order;
	bool asked;
	struct kvm_gmem_cut cuts[KVM_GMEM_NR_CUTTERS];
	pgoff_t failing;
	bool broken;
	bool isolates;
	bool failed;
	bool closing;
	const struct task_struct *remover;
	struct hlist_node remover_node;
	atomic64_t pages;
	struct delayed_work merge;
	bool again;
	bool backs_off;
	unsigned long backoff;
	nodemask_t full;
	pgoff_t next;
	u64 seen;
	u64 waiting;
};

/* What a huge folio remembers while its owner splits it. */
#define KVM_GMEM_SPLITTING	((void *)1UL)
/* And while it is in the page cache, and may not stay. */
#define KVM_GMEM_ADDING		((void *)2UL)

DECLARE_STATIC_KEY_FALSE(kvm_gmem_huge_key);

/* Without CONFIG_KVM_GMEM_HUGE the compiler drops whatever asks this first. */
static __always_inline bool kvm_gmem_huge_used(void)
{
	return IS_ENABLED(CONFIG_KVM_GMEM_HUGE) &&
	       static_branch_unlikely(&kvm_gmem_huge_key);
}

struct kvm_gmem;
struct kvm_gmem_inode;

#ifdef CONFIG_KVM_GMEM_HUGE

u64 kvm_gmem_huge_flags(struct kvm *kvm);
int kvm_gmem_huge_choose(struct kvm *kvm,
			 const struct kvm_create_guest_memfd *args);
void kvm_gmem_huge_init(struct inode *inode, unsigned int order);
int kvm_gmem_huge_charge(struct folio *to, struct folio *from, gfp_t gfp);
int kvm_gmem_huge_replace(struct inode *inode, struct folio *from,
			  struct folio *to);

#else

static inline u64 kvm_gmem_huge_flags(struct kvm *kvm)
{
	pr_info_once("kvm: gmem: no huge folios without CONFIG_KVM_GMEM_HUGE\n");

	return 0;
}

static inline int
kvm_gmem_huge_choose(struct kvm *kvm, const struct kvm_create_guest_memfd *args)
{
	return 0;
}

static inline void kvm_gmem_huge_init(struct inode *inode, unsigned int order)
{
}

/* Who replaces a single page charges it. */
static inline int kvm_gmem_huge_charge(struct folio *to, struct folio *from,
				       gfp_t gfp)
{
	return 0;
}

static inline int kvm_gmem_huge_replace(struct inode *inode, struct folio *from,
					struct folio *to)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_KVM_GMEM_HUGE */

void kvm_gmem_huge_evict(struct inode *inode);
void kvm_gmem_huge_destroy(struct kvm_gmem_inode *gi);
void __kvm_gmem_huge_released(struct inode *inode);

struct folio *kvm_gmem_huge_grab_folio(struct inode *inode,
				       const struct kvm_memory_slot *slot,
				       pgoff_t index, bool huge, u64 *allocated);
int __kvm_gmem_huge_max_order(const struct kvm_memory_slot *slot,
			      const struct folio *folio);
bool kvm_gmem_huge_may_split(struct folio *folio, gfp_t gfp);
int kvm_gmem_huge_cut_folio(struct inode *inode, pgoff_t index, pgoff_t nr);

int kvm_gmem_huge_presplit(struct inode *inode, pgoff_t start, pgoff_t end);
int kvm_gmem_huge_convert_begin(struct inode *inode, pgoff_t start, pgoff_t end,
				struct kvm_gmem_held *held);
void kvm_gmem_huge_convert_end(struct inode *inode);
void kvm_gmem_huge_became_private(struct inode *inode);
int __kvm_gmem_huge_punch_begin(struct inode *inode, pgoff_t start, pgoff_t end);
void __kvm_gmem_huge_punch_end(struct inode *inode, pgoff_t start, pgoff_t end);
void __kvm_gmem_huge_failed(struct inode *inode, pgoff_t start, pgoff_t end);
void kvm_gmem_huge_bound(struct inode *inode, const struct kvm_memory_slot *slot);
void kvm_gmem_huge_split_at(struct inode *inode, pgoff_t index);
u64 kvm_gmem_huge_wanted(struct inode *inode, const struct kvm_memory_slot *slot,
			 pgoff_t index);
struct kvm_gmem_inode *kvm_gmem_huge_freed(const struct folio *folio);

/* The largest order that a page of a folio can be mapped with in a memslot. */
static __always_inline int
kvm_gmem_huge_max_order(const struct kvm_memory_slot *slot,
			const struct folio *folio)
{
	return kvm_gmem_huge_used() && folio_test_large(folio) ?
	       __kvm_gmem_huge_max_order(slot, folio) : 0;
}

/*
 * Is what the walk of a page cache is at a huge folio?  Without a reference only the
 * page cache can say: the folio may be another one's, or a part of one, meanwhile.
 */
static __always_inline bool kvm_gmem_huge_at(const struct xa_state *xas)
{
	/* Single pages are in lowest nodes. */
	return kvm_gmem_huge_used() && xas->xa_node && xas->xa_node->shift;
}

/* The page after those of the folio, of which the walk may be at any. */
static __always_inline pgoff_t kvm_gmem_huge_next(struct xa_state *xas)
{
	if (likely(!kvm_gmem_huge_at(xas)))
		return xas->xa_index + 1;

	return (xas->xa_index | (BIT(xas_get_order(xas)) - 1)) + 1;
}

/* May the huge folio that the walk is at go again?  The page cache is locked. */
static __always_inline bool kvm_gmem_huge_is_new(struct xa_state *xas)
{
	const struct folio *folio = xas_reload(xas);

	return READ_ONCE(folio->private) == KVM_GMEM_ADDING;
}

/* Is a page broken?  A huge folio has the mark of its first page for its own. */
static __always_inline bool kvm_gmem_page_broken(struct folio *folio, pgoff_t index)
{
	return kvm_gmem_huge_used() && folio_test_large(folio) ?
	       PageHWPoison(folio_file_page(folio, index)) :
	       folio_test_hwpoison(folio);
}

/* Populating takes whole folios: one that goes on elsewhere is split. */
static __always_inline struct folio *
kvm_gmem_huge_cut(struct inode *inode, pgoff_t index, pgoff_t nr)
{
	return kvm_gmem_huge_used() ?
	       ERR_PTR(kvm_gmem_huge_cut_folio(inode, index, nr)) : NULL;
}

static __always_inline void kvm_gmem_huge_released(struct inode *inode)
{
	if (kvm_gmem_huge_used())
		__kvm_gmem_huge_released(inode);
}

/* -EAGAIN if a folio is held that a hole would cut. */
static __always_inline int kvm_gmem_huge_punch_begin(struct inode *inode,
						     pgoff_t start, pgoff_t end)
{
	return kvm_gmem_huge_used() ?
	       __kvm_gmem_huge_punch_begin(inode, start, end) : 0;
}

static __always_inline void kvm_gmem_huge_punch_end(struct inode *inode,
						    pgoff_t start, pgoff_t end)
{
	if (kvm_gmem_huge_used())
		__kvm_gmem_huge_punch_end(inode, start, end);
}

static __always_inline void kvm_gmem_huge_failed(struct inode *inode,
						 pgoff_t start, pgoff_t end)
{
	if (kvm_gmem_huge_used())
		__kvm_gmem_huge_failed(inode, start, end);
}

/* Among gmem_huge.c, gmem_huge_split.c and gmem_huge_merge.c */

/*
 * A vCPU's fault holds its folio for a moment: how often to wait for it, and how long
 * at first.  Each time it is twice as long.
 */
#define KVM_GMEM_SPLIT_TRIES	8
#define KVM_GMEM_SPLIT_WAIT_US	50

/* Pages of a huge folio. */
static inline pgoff_t kvm_gmem_huge_nr(const struct kvm_gmem_huge *huge)
{
	return 1UL << huge->order;
}

struct kvm_gmem *kvm_gmem_huge_file(const struct kvm_gmem_huge *huge);
int kvm_gmem_huge_unlike(const struct kvm_gmem_huge *huge,
			 const struct kvm_memory_slot *slot, pgoff_t index);
gfp_t kvm_gmem_huge_gfp(const struct kvm_gmem_huge *huge);
bool kvm_gmem_is_cut(const struct kvm_gmem_huge *huge, pgoff_t first);
int kvm_gmem_split_folio(struct kvm_gmem_huge *huge, struct folio *folio);
int kvm_gmem_huge_isolate(struct kvm_gmem_huge *huge, pgoff_t first);
void kvm_gmem_huge_poke(struct kvm_gmem_huge *huge);
void kvm_gmem_merge_work(struct work_struct *work);

#endif /* __KVM_GMEM_HUGE_H */
