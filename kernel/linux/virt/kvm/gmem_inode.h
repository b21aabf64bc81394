/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inode of a guest_memfd: what belongs to the memory, and not to a VM's view
 * of it.
 */
#ifndef __KVM_GMEM_INODE_H
#define __KVM_GMEM_INODE_H

#include <linux/fs.h>
#include <linux/kvm_gmem_notifier.h>
#include <linux/kvm_host.h>
#include <linux/mempolicy.h>
#include <linux/migrate_mode.h>
#include <linux/pagemap.h>

#include "gmem_huge.h"

/**
 * struct kvm_gmem - a guest_memfd's file: one VM's view of the memory
 * @kvm: the VM, which it holds
 * @bindings: memslots by page index, stable under the mapping's invalidate lock
 * @entry: among the files of the inode
 */
struct kvm_gmem {
	struct kvm *kvm;
	struct xarray bindings;
	struct list_head entry;
};

/**
 * struct kvm_gmem_inode - a guest_memfd: the memory, not the file
 * @vfs_inode: it
 * @flags: GUEST_MEMFD_FLAG_* that it was made with
 * @movable: the host can move its pages to other places
 * @has_attrs: its pages are converted in place
 * @attrs: which of them are private then, by index; changes under the mapping's
 *	invalidate lock, held exclusively
 * @module: the module that must not go before it
 * @policy: NUMA policy by page index
 * @notifiers: who else has pages of it, under the invalidate lock
 * @huge: NULL if it has small folios only
 * @node: in its VM's list while the file is open
 * @closed_node: in its VM's other list while it is not
 * @kvm: its VM, NULL once that is gone
 * @closed_pages: its pages, which do not change any more, when the file is closed
 * @bindings: memslots by page index, stable under the mapping's invalidate
 *	lock; NULL once the file is closed
 * @punch_start: first page of a hole that is being punched
 * @punch_end: page after the last; both under the page cache's lock
 * @closed: the file is closed, somebody else holds the inode
 * @told: the pages were told of as freed when the file was closed
 * @going: they are not counted with those of a VM's closed files any more
 * @node_pages: its pages by NUMA node
 *
 * From @node on it is what is observed, see gmem_files.c.
 */
struct kvm_gmem_inode {
	struct inode vfs_inode;
	u64 flags;
	bool movable;
	bool has_attrs;
	struct kvm_mem_attr_map attrs;
	struct module *module;
	struct shared_policy policy;
	struct list_head notifiers;
	struct kvm_gmem_huge *huge;
#ifdef CONFIG_KVM_GMEM_BPF
	struct list_head node;
	struct list_head closed_node;
	struct kvm *kvm;
	u64 closed_pages;
	struct xarray *bindings;
	pgoff_t punch_start;
	pgoff_t punch_end;
	bool closed;
	bool told;
	bool going;
	atomic64_t node_pages[];
#endif
};

static inline struct kvm_gmem_inode *to_kvm_gmem_inode(struct inode *inode)
{
	return container_of(inode, struct kvm_gmem_inode, vfs_inode);
}

/**
 * struct kvm_gmem_move - a folio that is being put in another place
 * @inode: the guest_memfd
 * @range: its pages, for consumers
 * @from: the folio that has them
 * @to: the one that is going to
 * @began_ns: when that began
 * @exclusive: the invalidate lock is held exclusively
 * @refusal: enum kvm_gmem_move_refusal, if it fails now
 */
struct kvm_gmem_move {
	struct inode *inode;
	struct kvm_gmem_range range;
	struct folio *from;
	struct folio *to;
	u64 began_ns;
	bool exclusive;
	int refusal;
};

struct file *kvm_gmem_inode_getfile(const char *name,
				    const struct file_operations *fops,
				    void *priv);
bool kvm_gmem_inode_has_policy(struct inode *inode, pgoff_t index);
struct folio *kvm_gmem_inode_alloc_folio(struct inode *inode, pgoff_t index,
					 unsigned int order, gfp_t gfp, int nid);
struct folio *kvm_gmem_inode_add_folio(struct inode *inode, pgoff_t index,
				       u64 *allocated);
int kvm_gmem_wait_unlocked(struct inode *inode, pgoff_t index);
struct folio *kvm_gmem_lock_folio(struct inode *inode, pgoff_t index);
struct folio *kvm_gmem_inode_grab_folio(struct inode *inode, pgoff_t index,
					u64 *allocated);

bool kvm_gmem_inode_release_folio(struct folio *folio, gfp_t gfp);
bool kvm_gmem_is_gmem(const struct file *file);

/* guest_memfd.c */
void kvm_gmem_invalidate_begin(struct kvm_gmem *gmem, pgoff_t start, pgoff_t end);
void kvm_gmem_invalidate_end(struct kvm_gmem *gmem, pgoff_t start, pgoff_t end);

/* gmem_mmap.c */
int kvm_gmem_mmap(struct file *file, struct vm_area_struct *vma);
struct folio *kvm_gmem_get_shared(struct inode *inode, pgoff_t index);

/* gmem_migrate.c */
#ifdef CONFIG_KVM_GMEM_MIGRATE
void kvm_gmem_migrate_init(struct inode *inode, struct kvm *kvm);
int kvm_gmem_migrate_folio(struct address_space *mapping, struct folio *dst,
			   struct folio *src, enum migrate_mode mode);
#else
static inline void kvm_gmem_migrate_init(struct inode *inode, struct kvm *kvm)
{
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_inaccessible(inode->i_mapping);
}
#endif
int kvm_gmem_move_folio(struct inode *inode, struct folio *from, int nid);

/* gmem_notifier.c */
const struct kvm_gmem_notifier *
kvm_gmem_notify_start(struct inode *inode, struct kvm_gmem_range *range);
void kvm_gmem_notify_end(struct inode *inode, const struct kvm_gmem_range *range,
			 int result);
const char *kvm_gmem_holder(struct inode *inode, u64 index);

/* gmem_convert.c */
bool kvm_gmem_in_place(struct kvm *kvm);
void kvm_gmem_init_attributes(struct inode *inode, struct kvm *kvm);
bool kvm_gmem_page_is_shared(struct inode *inode, pgoff_t index);
int kvm_gmem_bind_attributes(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     struct inode *inode);
void kvm_gmem_release_attributes(struct kvm_gmem *gmem, struct inode *inode);
long kvm_gmem_ioctl(struct file *file, unsigned int ioctl, unsigned long arg);

/* Has a guest all that it has of it, shared or not, at the same frames? */
static inline bool kvm_gmem_is_only(struct inode *inode)
{
	return to_kvm_gmem_inode(inode)->has_attrs ||
	       to_kvm_gmem_inode(inode)->flags & GUEST_MEMFD_FLAG_MMAP;
}

/* May the host map it at all? */
static inline bool kvm_gmem_is_mappable(struct inode *inode)
{
	return to_kvm_gmem_inode(inode)->flags & GUEST_MEMFD_FLAG_MMAP;
}

/* The order of its huge folios, 0 if it has none. */
static __always_inline unsigned int kvm_gmem_huge_order(struct inode *inode)
{
	return kvm_gmem_huge_used() && to_kvm_gmem_inode(inode)->huge ?
	       to_kvm_gmem_inode(inode)->huge->order : 0;
}

/* Does a huge folio fit between a page and the end of a request? */
static __always_inline bool kvm_gmem_huge_fits(struct inode *inode, pgoff_t index,
					       pgoff_t end)
{
	unsigned long nr = 1UL << kvm_gmem_huge_order(inode);

	return nr > 1 && IS_ALIGNED(index, nr) && end - index >= nr;
}

#ifdef CONFIG_KVM_GMEM_BPF

#define KVM_GMEM_INODE_SIZE						\
	struct_size((struct kvm_gmem_inode *)NULL, node_pages, nr_node_ids)

int kvm_gmem_bpf_init(void);
void kvm_gmem_inode_new(struct kvm_gmem_inode *gi);
void kvm_gmem_inode_going(struct kvm_gmem_inode *gi);
void kvm_gmem_inode_gone(struct kvm_gmem_inode *gi);
void kvm_gmem_inode_added(struct kvm_gmem_inode *gi, struct folio *folio,
			  unsigned long nr);
void kvm_gmem_inode_merged(struct kvm_gmem_inode *gi, struct folio **from,
			   unsigned long nr, struct folio *to);
void kvm_gmem_inode_merge_ended(struct kvm_gmem_inode *gi, pgoff_t index,
				unsigned long nr, int result);
void kvm_gmem_inode_split(struct kvm_gmem_inode *gi, pgoff_t index,
			  unsigned long nr, int result);
void kvm_gmem_inode_fell_back(struct kvm_gmem_inode *gi, int reason);
void kvm_gmem_inode_migrates(struct inode *inode,
			     const struct kvm_gmem_range *range);
void kvm_gmem_inode_move_ended(const struct kvm_gmem_move *move, int result);

#else /* !CONFIG_KVM_GMEM_BPF */

#define KVM_GMEM_INODE_SIZE	sizeof(struct kvm_gmem_inode)

static inline int kvm_gmem_bpf_init(void)
{
	return 0;
}

static inline void kvm_gmem_inode_new(struct kvm_gmem_inode *gi)
{
}

static inline void kvm_gmem_inode_going(struct kvm_gmem_inode *gi)
{
}

static inline void kvm_gmem_inode_gone(struct kvm_gmem_inode *gi)
{
}

static inline void kvm_gmem_inode_added(struct kvm_gmem_inode *gi,
					struct folio *folio, unsigned long nr)
{
}

static inline void kvm_gmem_inode_merged(struct kvm_gmem_inode *gi,
					 struct folio **from, unsigned long nr,
					 struct folio *to)
{
}

static inline void kvm_gmem_inode_merge_ended(struct kvm_gmem_inode *gi,
					      pgoff_t index, unsigned long nr,
					      int result)
{
}

static inline void kvm_gmem_inode_split(struct kvm_gmem_inode *gi, pgoff_t index,
					unsigned long nr, int result)
{
}

static inline void kvm_gmem_inode_fell_back(struct kvm_gmem_inode *gi, int reason)
{
}

static inline void kvm_gmem_inode_migrates(struct inode *inode,
					   const struct kvm_gmem_range *range)
{
}

static inline void
kvm_gmem_inode_move_ended(const struct kvm_gmem_move *move, int result)
{
}

#endif /* CONFIG_KVM_GMEM_BPF */

#endif /* __KVM_GMEM_INODE_H */
