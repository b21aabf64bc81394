// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest_memfd in the host's page tables: as an ordinary shared mapping of a
 * file, of which the host gets those pages that are shared with it, and a SIGBUS
 * for others.
 */
#include <linux/mm.h>
#include <linux/mempolicy.h>
#include <linux/pagemap.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/*
 * A conversion to private comes before this, or finds the page with one reference
 * more than the page cache's: the caller's, then the mapping's.
 */
static struct folio *kvm_gmem_grab_shared(struct inode *inode, pgoff_t index,
					  u64 *allocated)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio;
	bool found;
	int r;

	for (;;) {
		folio = ERR_PTR(-EACCES);
		filemap_invalidate_lock_shared(mapping);
		if (kvm_gmem_page_is_shared(inode, index))
			folio = filemap_get_folio(mapping, index);
		found = !IS_ERR(folio);
		if (folio == ERR_PTR(-ENOENT))
			folio = kvm_gmem_inode_add_folio(inode, index, allocated);
		filemap_invalidate_unlock_shared(mapping);
		if (folio == ERR_PTR(-EEXIST))
			continue;
		if (!found)
			return folio;

		/* Not under the lock, which who has broken memory takes in turn. */
		if (!folio_trylock(folio)) {
			folio_put(folio);
			r = kvm_gmem_wait_unlocked(inode, index);
			if (r)
				return ERR_PTR(r);
			continue;
		}
		/* Shared memory has small folios. */
		if (folio->mapping == mapping && !folio_test_large(folio))
			return folio;
		folio_unlock(folio);
		folio_put(folio);
	}
}

/**
 * kvm_gmem_get_shared - find or allocate a page that the host may have
 * @inode: the guest_memfd, whose file is open
 * @index: the page
 *
 * Guests find zeroes in a page that is new, and so does the host: whoever of the
 * two comes first clears it, under the page's lock.
 *
 * Context: may sleep, for as long as a policy's program does.
 * Return: the page, locked and with a reference; -EACCES if it is private, -EINVAL
 *	if it is beyond the end, -EPERM if a policy denies it, -EHWPOISON, -ENOMEM.
 */
struct folio *kvm_gmem_get_shared(struct inode *inode, pgoff_t index)
{
	struct kvm_gmem_request request = {};
	struct folio *folio;

	if (index >= i_size_read(inode) >> PAGE_SHIFT)
		return ERR_PTR(-EINVAL);
	if (!kvm_gmem_page_is_shared(inode, index))
		return ERR_PTR(-EACCES);
	/* Whatever the errno is, there is nothing that the kernel could mend. */
	if (kvm_gmem_host_begin(inode, &request, index))
		return ERR_PTR(-EPERM);

	folio = kvm_gmem_grab_shared(inode, index, &request.allocated);
	kvm_gmem_host_end(&request, PTR_ERR_OR_ZERO(folio));
	if (IS_ERR(folio))
		return folio;

	if (folio_test_hwpoison(folio)) {
		folio_unlock(folio);
		folio_put(folio);
		return ERR_PTR(-EHWPOISON);
	}
	if (!folio_test_uptodate(folio)) {
		clear_highpage(folio_page(folio, 0));
		folio_mark_uptodate(folio);
	}

	return folio;
}

static vm_fault_t kvm_gmem_host_fault(struct vm_fault *vmf)
{
	struct folio *folio;

	folio = kvm_gmem_get_shared(file_inode(vmf->vma->vm_file), vmf->pgoff);
	if (IS_ERR(folio))
		return vmf_error(PTR_ERR(folio));
	vmf->page = folio_page(folio, 0);

	return VM_FAULT_LOCKED;
}

#ifdef CONFIG_NUMA
static int kvm_gmem_set_policy(struct vm_area_struct *vma,
			       struct mempolicy *policy)
{
	struct inode *inode = file_inode(vma->vm_file);

	return mpol_set_shared_policy(&to_kvm_gmem_inode(inode)->policy, vma,
				      policy);
}

static struct mempolicy *kvm_gmem_get_policy(struct vm_area_struct *vma,
					     unsigned long addr, pgoff_t *ilx)
{
	struct inode *inode = file_inode(vma->vm_file);

	*ilx = 0;

	return mpol_shared_policy_lookup(&to_kvm_gmem_inode(inode)->policy,
					 linear_page_index(vma, addr));
}
#endif

static const struct vm_operations_struct kvm_gmem_vm_ops = {
	.fault		= kvm_gmem_host_fault,
#ifdef CONFIG_NUMA
	.set_policy	= kvm_gmem_set_policy,
	.get_policy	= kvm_gmem_get_policy,
#endif
};

/**
 * kvm_gmem_mmap - map a guest_memfd into a process of the host
 * @file: the guest_memfd
 * @vma: where to
 *
 * Context: holds the process's mmap lock exclusively.
 * Return: 0; -ENODEV if it was not made for that; -EINVAL for a private mapping,
 *	whose copies no guest would see.
 */
int kvm_gmem_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!kvm_gmem_is_mappable(file_inode(file)))
		return -ENODEV;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYSHARE)) !=
	    (VM_SHARED | VM_MAYSHARE))
		return -EINVAL;

	vma->vm_ops = &kvm_gmem_vm_ops;

	return 0;
}
