// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of guest_memfds, as far as it is observed.  Memory belongs to an
 * inode, and lives as long as that: beyond its file if somebody holds the inode,
 * by an O_PATH descriptor for instance, and beyond its VM.  So guest_memfds
 * have inodes of a file system of their own, which nobody can mount, and are
 * counted until the inode goes: with their VM while there is one, and as memory
 * without a VM afterwards.
 *
 * The file system is there for as long as KVM, which each inode holds until it
 * is freed: an inode may be held without its file system, by inotify
 * for instance, so that the file system must not go with the last of them.
 */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include <trace/events/kvm_gmem.h>

#include "gmem.h"

/* anon_inode_make_secure_inode() is exported to KVM alone. */
MODULE_INFO(import_ns, "module:kvm");

/* As newer Linux has it. */
#define KVM_GMEM_FS_MAGIC	0x474d454d

static struct kmem_cache *kvm_gmem_inode_cache;
static struct vfsmount *kvm_gmem_mnt;

/* Protects the lists of inodes, and which VM an inode belongs to. */
static DEFINE_SPINLOCK(kvm_gmem_inodes_lock);
/* Pages of those whose VM is gone. */
static atomic64_t kvm_gmem_nr_orphaned;

static struct inode *kvm_gmem_alloc_inode(struct super_block *sb)
{
	struct kvm_gmem_inode *gi;
	unsigned int nid;

	gi = alloc_inode_sb(sb, kvm_gmem_inode_cache, GFP_KERNEL);
	if (!gi)
		return NULL;
	INIT_LIST_HEAD(&gi->node);
	INIT_LIST_HEAD(&gi->closed_node);
	gi->kvm = NULL;
	gi->closed_pages = 0;
	gi->bindings = NULL;
	gi->punch_start = 0;
	gi->punch_end = 0;
	gi->closed = false;
	gi->told = false;
	gi->module = NULL;
	for (nid = 0; nid < nr_node_ids; nid++)
		atomic64_set(&gi->node_pages[nid], 0);

	return &gi->vfs_inode;
}

/* Called by RCU, and kvm_gmem_inode_exit() waits until that has returned. */
static void kvm_gmem_free_inode(struct inode *inode)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	struct module *module = gi->module;

	kmem_cache_free(kvm_gmem_inode_cache, gi);
	module_put(module);
}

/* Tells of pages that outlived their file, now that they go. */
static void kvm_gmem_inode_tell(struct kvm_gmem_inode *gi)
{
	struct kvm *kvm;

	spin_lock(&kvm_gmem_inodes_lock);
	kvm = gi->kvm;
	/* One that is being destroyed has nobody left to tell. */
	if (kvm && !atomic_inc_not_zero(&kvm->gmem.users))
		kvm = NULL;
	spin_unlock(&kvm_gmem_inodes_lock);
	if (!kvm)
		return;

	kvm_gmem_invalidated(kvm, KVM_GMEM_NO_GFN, KVM_GMEM_NO_GFN,
			     gi->vfs_inode.i_mapping->nrpages,
			     KVM_GMEM_INVALIDATE_RELEASE);
	kvm_gmem_vm_put(kvm);
}

/* To or from those of its VM whose file is closed, whose pages stay as they are. */
static void kvm_gmem_move_nodes(struct kvm_gmem_inode *gi, int sign)
{
	unsigned int nid;

	lockdep_assert_held(&kvm_gmem_inodes_lock);

	if (!kvm_gmem_counts_freed())
		return;

	for (nid = 0; nid < nr_node_ids; nid++)
		atomic64_add(sign * atomic64_read(&gi->node_pages[nid]),
			     &gi->kvm->gmem.closed_nodes[nid]);
}

static void kvm_gmem_evict_inode(struct inode *inode)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	if (gi->closed && !gi->told)
		kvm_gmem_inode_tell(gi);
	/* By node they are counted as long as they cannot go. */
	spin_lock(&kvm_gmem_inodes_lock);
	if (gi->closed && gi->kvm)
		kvm_gmem_move_nodes(gi, -1);
	spin_unlock(&kvm_gmem_inodes_lock);
	truncate_inode_pages_final(inode->i_mapping);
	clear_inode(inode);

	/* It was counted as long as it had pages. */
	spin_lock(&kvm_gmem_inodes_lock);
	list_del(&gi->closed_node);
	atomic64_sub(gi->closed_pages, gi->kvm ? &gi->kvm->gmem.closed_pages :
						 &kvm_gmem_nr_orphaned);
	spin_unlock(&kvm_gmem_inodes_lock);
}

static const struct super_operations kvm_gmem_super_ops = {
	.alloc_inode	= kvm_gmem_alloc_inode,
	.free_inode	= kvm_gmem_free_inode,
	.evict_inode	= kvm_gmem_evict_inode,
	.statfs		= simple_statfs,
};

/* What /proc/PID/fd shows is what it is for other anonymous inodes. */
static char *kvm_gmem_dname(struct dentry *dentry, char *buffer, int buflen)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "anon_inode:%s",
			   dentry->d_name.name) + 1;

	if (len > sizeof(name) || len > buflen)
		return ERR_PTR(-ENAMETOOLONG);

	return memcpy(buffer + buflen - len, name, len);
}

static const struct dentry_operations kvm_gmem_dentry_ops = {
	.d_dname	= kvm_gmem_dname,
};

static int kvm_gmem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, KVM_GMEM_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &kvm_gmem_super_ops;
	ctx->dops = &kvm_gmem_dentry_ops;
	/* Nothing in it can be run or be a device. */
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;

	return 0;
}

static struct file_system_type kvm_gmem_fs_type = {
	.name			= "guest_memfd",
	.init_fs_context	= kvm_gmem_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static void kvm_gmem_inode_init_once(void *object)
{
	inode_init_once(&((struct kvm_gmem_inode *)object)->vfs_inode);
}

/**
 * kvm_gmem_inode_init - prepare for guest_memfds
 *
 * Context: may sleep; once.
 * Return: 0 or a negative errno.
 */
int kvm_gmem_inode_init(void)
{
	struct vfsmount *mnt;

	kvm_gmem_inode_cache =
		kmem_cache_create("kvm_gmem_inode",
				  struct_size((struct kvm_gmem_inode *)NULL,
					      node_pages, nr_node_ids),
				  0, SLAB_ACCOUNT, kvm_gmem_inode_init_once);
	if (!kvm_gmem_inode_cache)
		return -ENOMEM;

	mnt = kern_mount(&kvm_gmem_fs_type);
	if (IS_ERR(mnt)) {
		kmem_cache_destroy(kvm_gmem_inode_cache);
		return PTR_ERR(mnt);
	}
	kvm_gmem_mnt = mnt;

	return 0;
}

/**
 * kvm_gmem_inode_exit - KVM goes, which every inode holds
 *
 * Context: may sleep.
 */
void kvm_gmem_inode_exit(void)
{
	if (!kvm_gmem_mnt)
		return;

	kern_unmount(kvm_gmem_mnt);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(kvm_gmem_inode_cache);
}

/**
 * kvm_gmem_inode_getfile - make the file of a new guest_memfd
 * @name: what /proc/PID/fd is to show
 * @fops: its operations
 * @priv: its private data
 *
 * Context: may sleep.
 * Return: the file, with a new inode, or an ERR_PTR().
 */
struct file *kvm_gmem_inode_getfile(const char *name,
				    const struct file_operations *fops,
				    void *priv)
{
	struct inode *inode;
	struct file *file;

	if (!kvm_gmem_mnt)
		return ERR_PTR(-ENOMEM);
	if (fops->owner && !try_module_get(fops->owner))
		return ERR_PTR(-ENOENT);

	inode = anon_inode_make_secure_inode(kvm_gmem_mnt->mnt_sb, name, NULL);
	if (IS_ERR(inode)) {
		file = ERR_CAST(inode);
		goto err;
	}
	/* The vendor's module is told of each page that goes, and needs KVM's. */
	__module_get(fops->owner);
	to_kvm_gmem_inode(inode)->module = fops->owner;

	file = alloc_file_pseudo(inode, kvm_gmem_mnt, name, O_RDWR, fops);
	if (IS_ERR(file)) {
		iput(inode);
		goto err;
	}
	file->f_mapping = inode->i_mapping;
	file->private_data = priv;

	return file;

err:
	module_put(fops->owner);
	return file;
}

/**
 * kvm_gmem_inode_created - begin to observe a guest_memfd
 * @inode: its memory
 * @kvm: its VM
 * @bindings: its memslots by page index
 */
void kvm_gmem_inode_created(struct inode *inode, struct kvm *kvm,
			    struct xarray *bindings)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	gi->bindings = bindings;
	mapping_set_release_always(inode->i_mapping);

	spin_lock(&kvm_gmem_inodes_lock);
	gi->kvm = kvm;
	list_add_tail_rcu(&gi->node, &kvm->gmem.files);
	spin_unlock(&kvm_gmem_inodes_lock);

	trace_kvm_gmem_create(kvm, i_size_read(inode) >> PAGE_SHIFT);
}

/**
 * kvm_gmem_inode_close - the file is closed, somebody may hold the inode
 * @gi: the guest_memfd; no page of it comes or goes before the inode does
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_inode_close(struct kvm_gmem_inode *gi)
{
	struct kvm_gmem_vm *gmem = &gi->kvm->gmem;

	gi->closed_pages = gi->vfs_inode.i_mapping->nrpages;

	spin_lock(&kvm_gmem_inodes_lock);
	atomic64_add(gi->closed_pages, &gmem->closed_pages);
	kvm_gmem_move_nodes(gi, 1);
	/* Who counts may find the pages twice, but never not at all. */
	smp_wmb();
	list_del_rcu(&gi->node);
	list_add(&gi->closed_node, &gmem->closed_files);
	gi->closed = true;
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_inode_release_folio - may a page of a guest_memfd be let go?
 * @folio: the page
 * @gfp: how memory may be taken for that
 *
 * It is clean, since it is never written back, and not mapped by any process:
 * others, soft offline for one, would take it for memory that nobody needs.
 * Pages go with a hole or with the inode, and by nothing else.
 *
 * Context: any.
 * Return: false.
 */
bool kvm_gmem_inode_release_folio(struct folio *folio, gfp_t gfp)
{
	return false;
}

/**
 * kvm_gmem_inode_added - count a page by the node that it is on
 * @gi: the guest_memfd
 * @folio: the page, new in the page cache and still locked
 *
 * The page remembers whose it is, for when it goes nobody else knows any more.
 *
 * Context: any.
 */
void kvm_gmem_inode_added(struct kvm_gmem_inode *gi, struct folio *folio)
{
	if (!kvm_gmem_counts_freed())
		return;

	folio->private = gi;
	atomic64_add(folio_nr_pages(folio), &gi->node_pages[folio_nid(folio)]);
}

/**
 * kvm_gmem_inode_freed - a page is out of the page cache
 * @folio: the page
 *
 * Context: any but an interrupt; the inode is there.
 */
void kvm_gmem_inode_freed(struct folio *folio)
{
	struct kvm_gmem_inode *gi = folio->private;

	/* The architecture may be told of each page though nobody counts them. */
	if (!kvm_gmem_counts_freed())
		return;

	folio->private = NULL;
	atomic64_sub(folio_nr_pages(folio), &gi->node_pages[folio_nid(folio)]);
}

/**
 * kvm_gmem_count_node - count a VM's populated pages that are on a node
 * @kvm: the VM
 * @nid: the node; one that there is not has none
 *
 * Context: any.
 * Return: how many there are.
 */
u64 kvm_gmem_count_node(struct kvm *kvm, unsigned int nid)
{
	struct kvm_gmem_inode *gi;
	u64 nr_pages = 0;

	if (nid >= nr_node_ids)
		return 0;
	if (!kvm_gmem_counts_freed())
		return kvm_gmem_populated(kvm);

	rcu_read_lock();
	list_for_each_entry_rcu(gi, &kvm->gmem.files, node)
		nr_pages += atomic64_read(&gi->node_pages[nid]);
	rcu_read_unlock();
	/* Pairs with the barrier in kvm_gmem_inode_close(). */
	smp_rmb();

	return nr_pages + atomic64_read(&kvm->gmem.closed_nodes[nid]);
}

/**
 * kvm_gmem_inodes_orphan - a VM goes, the memory that somebody holds stays
 * @kvm: the VM; all of its guest_memfds are closed
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_inodes_orphan(struct kvm *kvm)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;
	struct kvm_gmem_inode *gi, *next;

	spin_lock(&kvm_gmem_inodes_lock);
	list_for_each_entry_safe(gi, next, &gmem->closed_files, closed_node) {
		gi->kvm = NULL;
		list_del_init(&gi->closed_node);
	}
	atomic64_add(atomic64_read(&gmem->closed_pages), &kvm_gmem_nr_orphaned);
	spin_unlock(&kvm_gmem_inodes_lock);
}

/**
 * kvm_gmem_orphaned_pages - count the pages of guest_memfds whose VM is gone
 *
 * Context: any.
 * Return: how many there are.
 */
u64 kvm_gmem_orphaned_pages(void)
{
	return atomic64_read(&kvm_gmem_nr_orphaned);
}
