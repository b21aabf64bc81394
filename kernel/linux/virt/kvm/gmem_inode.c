// SPDX-License-Identifier: GPL-2.0-only
/*
 * The inodes of guest_memfds, which the memory belongs to; a file is a VM's view
 * of it.  They are of a file system of their own, which nobody can mount.
 *
 * The file system is there for as long as KVM, which each inode holds until it
 * is freed: an inode may be held without its file system, by inotify
 * for instance, so that the file system must not go with the last of them.
 */
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "gmem_inode.h"

/* anon_inode_make_secure_inode() is exported to KVM alone. */
MODULE_INFO(import_ns, "module:kvm");

/* As newer Linux has it. */
#define KVM_GMEM_FS_MAGIC	0x474d454d

static struct kmem_cache *kvm_gmem_inode_cache;
static struct vfsmount *kvm_gmem_mnt;

static struct inode *kvm_gmem_alloc_inode(struct super_block *sb)
{
	struct kvm_gmem_inode *gi;

	gi = alloc_inode_sb(sb, kvm_gmem_inode_cache, GFP_KERNEL);
	if (!gi)
		return NULL;
	gi->flags = 0;
	gi->movable = false;
	gi->has_attrs = false;
	INIT_LIST_HEAD(&gi->notifiers);
	gi->huge = NULL;
	kvm_mem_attr_map_init(&gi->attrs, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	gi->module = NULL;
	mpol_shared_policy_init(&gi->policy, NULL);
	kvm_gmem_inode_new(gi);

	return &gi->vfs_inode;
}

/* What may sleep, or need the module that made it. */
static void kvm_gmem_destroy_inode(struct inode *inode)
{
	mpol_free_shared_policy(&to_kvm_gmem_inode(inode)->policy);
	kvm_mem_attr_map_destroy(&to_kvm_gmem_inode(inode)->attrs);
}

/* Called by RCU, and kvm_gmem_exit_once() waits until that has returned. */
static void kvm_gmem_free_inode(struct inode *inode)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);
	struct module *module = gi->module;

	if (kvm_gmem_huge_used())
		kvm_gmem_huge_destroy(gi);
	kmem_cache_free(kvm_gmem_inode_cache, gi);
	module_put(module);
}

static void kvm_gmem_evict_inode(struct inode *inode)
{
	struct kvm_gmem_inode *gi = to_kvm_gmem_inode(inode);

	kvm_gmem_inode_going(gi);
	if (kvm_gmem_huge_used())
		kvm_gmem_huge_evict(inode);
	truncate_inode_pages_final(inode->i_mapping);
	clear_inode(inode);
	kvm_gmem_inode_gone(gi);
}

static const struct super_operations kvm_gmem_super_ops = {
	.alloc_inode	= kvm_gmem_alloc_inode,
	.destroy_inode	= kvm_gmem_destroy_inode,
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

static int kvm_gmem_inode_init(void)
{
	struct vfsmount *mnt;

	kvm_gmem_inode_cache =
		kmem_cache_create("kvm_gmem_inode",
				  KVM_GMEM_INODE_SIZE,
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
 * kvm_gmem_init_once - prepare for guest_memfds, and for who observes them
 *
 * When KVM itself is initialized.  It works without policies, but guest_memfds
 * not without inodes.
 *
 * Context: may sleep.
 */
void kvm_gmem_init_once(void)
{
	int r = kvm_gmem_inode_init();

	if (r)
		pr_err("kvm: gmem: no guest_memfds: %d\n", r);

	r = kvm_gmem_bpf_init();
	if (r)
		pr_err("kvm: gmem: no BPF policies, registration failed: %d\n", r);
}

/**
 * kvm_gmem_exit_once - KVM itself goes, which every inode holds
 *
 * Context: may sleep.
 */
void kvm_gmem_exit_once(void)
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
	/* Nobody else drops its pages, nor puts others in their place. */
	mapping_set_release_always(inode->i_mapping);
	file->private_data = priv;

	return file;

err:
	module_put(fops->owner);
	return file;
}

/**
 * kvm_gmem_inode_release_folio - may a page of a guest_memfd be let go?
 * @folio: the page
 * @gfp: how memory may be taken for that
 *
 * It is clean, since it is never written back, and not mapped by any process:
 * others, soft offline for one, would take it for memory that nobody needs.
 * Pages go with a hole or with the inode, and by nothing else.  Who splits a huge
 * folio asks, too.
 *
 * Context: may sleep.
 * Return: whether it may be split; it may not go.
 */
bool kvm_gmem_inode_release_folio(struct folio *folio, gfp_t gfp)
{
	return kvm_gmem_huge_used() && folio_test_large(folio) &&
	       kvm_gmem_huge_may_split(folio, gfp);
}

/**
 * kvm_gmem_is_gmem - is it a guest_memfd?
 * @file: any file
 *
 * Context: any.
 * Return: whether it is.
 */
bool kvm_gmem_is_gmem(const struct file *file)
{
	return kvm_gmem_mnt && file->f_path.mnt == kvm_gmem_mnt;
}

/* The NUMA policy that the host has set on its mapping of a page, or NULL. */
static struct mempolicy *kvm_gmem_mempolicy(struct inode *inode, pgoff_t index)
{
	struct shared_policy *policies = &to_kvm_gmem_inode(inode)->policy;

#ifdef CONFIG_NUMA
	/* It is asked for each page, and most guest_memfds have none. */
	if (likely(RB_EMPTY_ROOT(&policies->root)))
		return NULL;
#endif
	return mpol_shared_policy_lookup(policies, index);
}

/* By the policy that the host has set for them, or by the task's. */
static __always_inline struct folio *
kvm_gmem_alloc_folio(struct inode *inode, pgoff_t index, unsigned int order,
		     gfp_t gfp)
{
	struct mempolicy *policy = kvm_gmem_mempolicy(inode, index);
	struct folio *folio;

	if (!policy)
		return filemap_alloc_folio(gfp, order);

	folio = folio_alloc_mpol(gfp, order, policy, index >> order,
				 numa_node_id());
	mpol_cond_put(policy);

	return folio;
}

/**
 * kvm_gmem_inode_has_policy - has the host said where a page is to be?
 * @inode: the guest_memfd
 * @index: the page
 *
 * Context: any.
 * Return: whether it has.
 */
bool kvm_gmem_inode_has_policy(struct inode *inode, pgoff_t index)
{
	struct mempolicy *policy = kvm_gmem_mempolicy(inode, index);

	mpol_cond_put(policy);

	return policy;
}

/**
 * kvm_gmem_inode_alloc_folio - allocate memory for pages of a guest_memfd
 * @inode: the guest_memfd
 * @index: the first page
 * @order: how many there are
 * @gfp: how
 * @nid: the node to take it from, or NUMA_NO_NODE
 *
 * By the policy that the host has set for them; else from @nid, or by the task's
 * policy.
 *
 * Context: may sleep if @gfp does.
 * Return: the folio, which belongs to nobody yet, or NULL.
 */
struct folio *kvm_gmem_inode_alloc_folio(struct inode *inode, pgoff_t index,
					 unsigned int order, gfp_t gfp, int nid)
{
	if (nid != NUMA_NO_NODE && !kvm_gmem_inode_has_policy(inode, index))
		return __folio_alloc_node(gfp | __GFP_THISNODE, order, nid);

	return kvm_gmem_alloc_folio(inode, index, order, gfp);
}

/**
 * kvm_gmem_inode_add_folio - allocate a page of a guest_memfd
 * @inode: the guest_memfd
 * @index: the page
 * @allocated: increased, or NULL
 *
 * Context: may sleep.
 * Return: the page, locked and with a reference, or an ERR_PTR(), -EEXIST if it is
 *	there.
 */
struct folio *kvm_gmem_inode_add_folio(struct inode *inode, pgoff_t index,
				       u64 *allocated)
{
	struct address_space *mapping = inode->i_mapping;
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;
	int r;

	folio = kvm_gmem_alloc_folio(inode, index, 0, gfp);
	if (!folio)
		return ERR_PTR(-ENOMEM);

	r = filemap_add_folio(mapping, folio, index, gfp);
	if (r) {
		folio_put(folio);
		return ERR_PTR(r);
	}
	kvm_gmem_inode_added(to_kvm_gmem_inode(inode), folio, 1);
	if (allocated)
		++*allocated;

	return folio;
}

/* How long to wait, in microseconds, for who has a page locked: at first, at most. */
#define KVM_GMEM_LOCK_WAIT	10
#define KVM_GMEM_LOCK_WAIT_MAX	1000

/* As for a lookup of the page cache, under RCU there is a page, whoever has it now. */
static bool kvm_gmem_is_locked(struct inode *inode, pgoff_t index)
{
	struct folio *folio;
	bool locked;

	rcu_read_lock();
	folio = xa_load(&inode->i_mapping->i_pages, index);
	locked = folio && !xa_is_value(folio) &&
		 test_bit(PG_locked, &folio->flags);
	rcu_read_unlock();

	return locked;
}

/**
 * kvm_gmem_wait_unlocked - wait for who has a page locked, without a reference to it
 * @inode: the guest_memfd
 * @index: the page
 *
 * Whoever moves a page has it locked, and gives up if others have a reference.  For a
 * page in use there is always one that waits: it must not be by a reference, nor by
 * getting one again and again.
 *
 * Context: may sleep.
 * Return: 0, and then it may be another page, or locked again; -EINTR if a signal
 *	kills the caller.
 */
int kvm_gmem_wait_unlocked(struct inode *inode, pgoff_t index)
{
	unsigned int wait = KVM_GMEM_LOCK_WAIT;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(wait, 2 * wait);
		wait = min(2 * wait, KVM_GMEM_LOCK_WAIT_MAX);
	} while (kvm_gmem_is_locked(inode, index));

	return 0;
}

/**
 * kvm_gmem_lock_folio - find a page of a guest_memfd and lock it
 * @inode: the guest_memfd
 * @index: the page
 *
 * As filemap_lock_folio(), but waits as kvm_gmem_wait_unlocked() does.
 *
 * Context: may sleep.
 * Return: the folio, locked and with a reference, or an ERR_PTR(), -ENOENT if it is
 *	not there, -EINTR if a signal kills the caller that waits for it.
 */
struct folio *kvm_gmem_lock_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio;
	int r;

	for (;;) {
		folio = __filemap_get_folio(inode->i_mapping, index,
					    FGP_LOCK | FGP_NOWAIT, 0);
		if (likely(folio != ERR_PTR(-EAGAIN)))
			return folio;
		r = kvm_gmem_wait_unlocked(inode, index);
		if (r)
			return ERR_PTR(r);
	}
}

/**
 * kvm_gmem_inode_grab_folio - find or allocate a page of a guest_memfd
 * @inode: the guest_memfd
 * @index: the page
 * @allocated: increased if the page was not there before, or NULL
 *
 * Like filemap_grab_folio(), but knows who of several callers has added a page.
 * Most pages come by it: what it calls here is inline in it.
 *
 * Context: may sleep.
 * Return: the page, locked and with a reference, or an ERR_PTR().
 */
struct folio __flatten *
kvm_gmem_inode_grab_folio(struct inode *inode, pgoff_t index, u64 *allocated)
{
	struct folio *folio;

	for (;;) {
		folio = kvm_gmem_lock_folio(inode, index);
		if (folio != ERR_PTR(-ENOENT))
			return folio;

		folio = kvm_gmem_inode_add_folio(inode, index, allocated);
		if (folio != ERR_PTR(-EEXIST))
			return folio;
	}
}
