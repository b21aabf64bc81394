// SPDX-License-Identifier: GPL-2.0-only
/*
 * Others in the kernel who have pages of a guest_memfd, and what they are told.
 *
 * The list of them is under the mapping's invalidate lock, which all that happens
 * to the pages holds: nobody comes or goes in the middle of an event, so each is
 * told of all of it or of nothing.  They have the inode, not the file, which is the
 * VM's to close.
 */
#include <linux/export.h>
#include <linux/file.h>
#include <linux/kvm_gmem_notifier.h>
#include <linux/pagemap.h>

#include "gmem_hooks.h"
#include "gmem_inode.h"

/**
 * kvm_gmem_notifier_register - begin to be told of a guest_memfd
 * @notifier: with "ops" and "name"; must stay until it is unregistered
 * @file: the guest_memfd, which need not stay open
 *
 * Context: may sleep, also for what happens to the pages at the moment; not in
 *	one of the notifier's functions.
 * Return: 0; -EINVAL if @file is no guest_memfd.
 */
int kvm_gmem_notifier_register(struct kvm_gmem_notifier *notifier,
			       struct file *file)
{
	struct inode *inode = file_inode(file);

	if (!kvm_gmem_is_gmem(file))
		return -EINVAL;

	ihold(inode);
	notifier->inode = inode;
	filemap_invalidate_lock(inode->i_mapping);
	list_add_tail(&notifier->node, &to_kvm_gmem_inode(inode)->notifiers);
	filemap_invalidate_unlock(inode->i_mapping);

	return 0;
}
EXPORT_SYMBOL_GPL(kvm_gmem_notifier_register);

/**
 * kvm_gmem_notifier_unregister - end to be told of a guest_memfd
 * @notifier: registered, and with no page left that it would have to be told of
 *
 * None of its functions is called any more when this returns.
 *
 * Context: as kvm_gmem_notifier_register().
 */
void kvm_gmem_notifier_unregister(struct kvm_gmem_notifier *notifier)
{
	struct inode *inode = notifier->inode;

	filemap_invalidate_lock(inode->i_mapping);
	list_del(&notifier->node);
	filemap_invalidate_unlock(inode->i_mapping);
	iput(inode);
}
EXPORT_SYMBOL_GPL(kvm_gmem_notifier_unregister);

/*
 * Hands a page over that is there and shared, under the lock that keeps it so.
 * Exclusively, since a failure is told of under the shared one.
 */
static int kvm_gmem_hand_over(struct kvm_gmem_notifier *notifier, u64 index)
{
	struct address_space *mapping = notifier->inode->i_mapping;
	struct folio *folio = ERR_PTR(-ENOENT);
	int r;

	filemap_invalidate_lock(mapping);
	if (kvm_gmem_page_is_shared(notifier->inode, index))
		folio = filemap_get_folio(mapping, index);
	r = PTR_ERR_OR_ZERO(folio);
	/* Another one, in the place of the one that was cleared. */
	if (!r && (!folio_test_uptodate(folio) || folio_test_hwpoison(folio))) {
		folio_put(folio);
		r = -ENOENT;
	}
	if (!r) {
		r = notifier->ops->got(notifier, index,
				       folio_file_page(folio, index));
		if (r)
			folio_put(folio);
	}
	filemap_invalidate_unlock(mapping);

	return r;
}

/**
 * kvm_gmem_notifier_get_page - get a page that is shared with the host
 * @notifier: registered
 * @file: the guest_memfd that it is registered for
 * @index: the page
 *
 * The page is there afterwards, as if the host had touched it.  The notifier gets
 * it by its function got, and gives it back with put_page(), at the latest when a
 * start function says that it goes.
 *
 * Context: may sleep; as kvm_gmem_notifier_register().
 * Return: 0, or what got has returned; -EINVAL if @file is another one; -EAGAIN if
 *	the page comes and goes; otherwise see kvm_gmem_get_shared().
 */
int kvm_gmem_notifier_get_page(struct kvm_gmem_notifier *notifier,
			       struct file *file, u64 index)
{
	struct folio *folio;
	int tries, r;

	if (file_inode(file) != notifier->inode)
		return -EINVAL;

	for (tries = 0; tries < 3; tries++) {
		folio = kvm_gmem_get_shared(notifier->inode, index);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		folio_unlock(folio);
		folio_put(folio);

		r = kvm_gmem_hand_over(notifier, index);
		if (r != -ENOENT)
			return r;
	}

	return -EAGAIN;
}
EXPORT_SYMBOL_GPL(kvm_gmem_notifier_get_page);

/**
 * kvm_gmem_notify_end - tell consumers how it has ended
 * @inode: the guest_memfd
 * @range: what has happened, as kvm_gmem_notify_start() had it
 * @result: 0 or a negative errno
 *
 * Context: as kvm_gmem_notify_start(), in the same section.
 */
void kvm_gmem_notify_end(struct inode *inode, const struct kvm_gmem_range *range,
			 int result)
{
	struct kvm_gmem_notifier *notifier;

	list_for_each_entry(notifier, &to_kvm_gmem_inode(inode)->notifiers, node)
		notifier->ops->end(notifier, range, result);
}

/* Of all else it is only told. */
static bool kvm_gmem_may_refuse(enum kvm_gmem_event event)
{
	return event == KVM_GMEM_EVENT_TO_PRIVATE ||
	       event == KVM_GMEM_EVENT_MIGRATION;
}

/**
 * kvm_gmem_notify_start - tell consumers of pages what is about to happen to them
 * @inode: the guest_memfd
 * @range: what, with the first page that is needed if one of them refuses
 *
 * Context: may sleep; holds the invalidate lock, exclusively but for a failure.
 * Return: NULL, or who has refused; then all others know that it has not happened.
 */
const struct kvm_gmem_notifier *
kvm_gmem_notify_start(struct inode *inode, struct kvm_gmem_range *range)
{
	struct list_head *all = &to_kvm_gmem_inode(inode)->notifiers;
	struct kvm_gmem_notifier *notifier, *told;

	list_for_each_entry(notifier, all, node) {
		range->held = range->start;
		if (!notifier->ops->start(notifier, range) ||
		    !kvm_gmem_may_refuse(range->event))
			continue;

		list_for_each_entry(told, all, node) {
			if (told == notifier)
				break;
			told->ops->end(told, range, -EAGAIN);
		}
		range->held = clamp(range->held, range->start, range->end - 1);
		return notifier;
	}

	return NULL;
}

/**
 * kvm_gmem_holder - who says that he has a page?
 * @inode: the guest_memfd
 * @index: the page
 *
 * Context: may sleep; holds the invalidate lock.
 * Return: a name, or NULL if nobody does who can be asked.
 */
const char *kvm_gmem_holder(struct inode *inode, u64 index)
{
	struct kvm_gmem_notifier *notifier;

	list_for_each_entry(notifier, &to_kvm_gmem_inode(inode)->notifiers, node) {
		if (notifier->ops->holds && notifier->ops->holds(notifier, index))
			return notifier->name;
	}

	return NULL;
}
