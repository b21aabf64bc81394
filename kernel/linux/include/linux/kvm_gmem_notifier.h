/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For those in the kernel who have pages of a guest_memfd beside KVM and the
 * host's page tables, as drivers do that let devices get at guest memory: see
 * Documentation/virt/kvm/gmem-bpf.rst.
 */
#ifndef __LINUX_KVM_GMEM_NOTIFIER_H
#define __LINUX_KVM_GMEM_NOTIFIER_H

#include <linux/list.h>
#include <linux/types.h>

struct file;
struct inode;
struct page;
struct kvm_gmem_notifier;

enum kvm_gmem_event {
	KVM_GMEM_EVENT_TO_PRIVATE,
	KVM_GMEM_EVENT_TO_SHARED,
	KVM_GMEM_EVENT_HOLE,
	KVM_GMEM_EVENT_RELEASE,
	KVM_GMEM_EVENT_FAILURE,
	KVM_GMEM_EVENT_MIGRATION,
};

/**
 * struct kvm_gmem_range - pages of a guest_memfd that something happens to
 * @start: first page
 * @end: page after the last
 * @event: what happens
 * @held: set by who refuses to the first page that it needs; in the range
 */
struct kvm_gmem_range {
	u64 start;
	u64 end;
	enum kvm_gmem_event event;
	u64 held;
};

/**
 * struct kvm_gmem_notifier_ops - what a consumer of pages wants to be told
 * @start: something is about to happen.  To have pages must end here, if it can:
 *	what is freed is freed in any case, and a conversion to private, or moving
 *	a page to another place, fails if somebody has a reference to it.  These
 *	two may be refused by -EAGAIN; of others the result is of no importance.
 * @end: it has happened, or not: 0 or a negative errno.  Once after each @start
 *	that could not refuse or did not, before the next one.
 * @got: kvm_gmem_notifier_get_page() has a page, with a reference for who asked;
 *	to be noted now, so that the next @start knows of it.  A negative errno
 *	gives it back.
 * @holds: does it have this page?  Asked for the tracepoint kvm_gmem_held.  May
 *	be NULL.
 *
 * All are called with the guest_memfd's invalidate lock held, so that nothing else
 * happens to its pages; they may sleep, but vCPUs' faults go on.  None may call
 * a function of this file, nor take user pages or a process's mmap lock.  At a
 * failure, and when it is moved, the page is locked: it is given back by put_page(),
 * and by nothing that would lock it.  Pages of others may be locked, too, by who
 * moves them: who is told of that, takes no lock that is held while memory is
 * allocated from one place, as alloc_contig_range() does.
 */
struct kvm_gmem_notifier_ops {
	int (*start)(struct kvm_gmem_notifier *notifier,
		     struct kvm_gmem_range *range);
	void (*end)(struct kvm_gmem_notifier *notifier,
		    const struct kvm_gmem_range *range, int result);
	int (*got)(struct kvm_gmem_notifier *notifier, u64 index,
		   struct page *page);
	bool (*holds)(struct kvm_gmem_notifier *notifier, u64 index);
};

/**
 * struct kvm_gmem_notifier - a consumer of a guest_memfd's pages
 * @ops: what it wants to be told
 * @name: whose it is, for tracepoints
 * @inode: the guest_memfd, held while it is registered
 * @node: among the others
 */
struct kvm_gmem_notifier {
	const struct kvm_gmem_notifier_ops *ops;
	const char *name;
	struct inode *inode;
	struct list_head node;
};

int kvm_gmem_notifier_register(struct kvm_gmem_notifier *notifier,
			       struct file *file);
void kvm_gmem_notifier_unregister(struct kvm_gmem_notifier *notifier);
int kvm_gmem_notifier_get_page(struct kvm_gmem_notifier *notifier,
			       struct file *file, u64 index);

#endif /* __LINUX_KVM_GMEM_NOTIFIER_H */
