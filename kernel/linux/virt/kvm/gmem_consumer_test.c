// SPDX-License-Identifier: GPL-2.0-only
/*
 * A consumer of a guest_memfd's pages, for tests: it pins and maps them as VFIO
 * does for a device, and lets them go or not.
 *
 * /dev/kvm-gmem-consumer is one for each time that it is opened.  It takes one
 * command a write:
 *
 *	attach FD	be told of this guest_memfd
 *	detach		and no more
 *	revoke 0|1	let pages go when they become private, move or vanish (1), or
 *			keep them (0, as it begins)
 *	refuse 0|1	refuse that pages that it has become private, or are moved
 *	pin INDEX	have a page
 *	unpin INDEX	let it go
 *	store INDEX N	write a number into a page that it has
 *	forget		let the file go, and be told of its release
 *	hold INDEX	have a reference to the folio of any page, as who looks at
 *			the kernel's memory may, and tell nobody
 *	lock		have its lock, too, as who moves it
 *	drop		let that go
 *
 * A read gives what it was told of, and how it is, as one line of NAME=NUMBER.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kvm_gmem_notifier.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

/**
 * struct consumer - one that has the device open
 * @notifier: registered while @file is there
 * @file: the guest_memfd, as long as it is attached
 * @lock: of commands
 * @held: a folio that it only holds
 * @locked: and has locked
 * @pages: what it has, by page index; under the guest_memfd's invalidate lock, and
 *	its own
 * @revoke: lets pages go
 * @refuse: refuses what may be refused
 * @started: events that began, by kind
 * @ended: events that ended well, by kind
 * @undone: events that ended otherwise
 * @open_events: that have begun and not ended
 */
struct consumer {
	struct kvm_gmem_notifier notifier;
	struct file *file;
	struct mutex lock;	/* of commands */
	struct folio *held;
	struct xarray pages;
	bool locked;
	bool revoke;
	bool refuse;
	atomic_t started[KVM_GMEM_EVENT_MIGRATION + 1];
	atomic_t ended[KVM_GMEM_EVENT_MIGRATION + 1];
	atomic_t undone;
	atomic_t open_events;
};

static struct consumer *to_consumer(struct kvm_gmem_notifier *notifier)
{
	return container_of(notifier, struct consumer, notifier);
}

static void consumer_unpin(struct consumer *c, u64 index)
{
	struct page *page = xa_erase(&c->pages, index);

	if (page)
		put_page(page);
}

static int consumer_start(struct kvm_gmem_notifier *notifier,
			  struct kvm_gmem_range *range)
{
	struct consumer *c = to_consumer(notifier);
	unsigned long index;
	struct page *page;

	index = range->start;
	page = xa_find(&c->pages, &index, range->end - 1, XA_PRESENT);
	if (page && READ_ONCE(c->refuse) &&
	    (range->event == KVM_GMEM_EVENT_TO_PRIVATE ||
	     range->event == KVM_GMEM_EVENT_MIGRATION)) {
		range->held = index;
		return -EAGAIN;
	}
	if (READ_ONCE(c->revoke) && range->event != KVM_GMEM_EVENT_TO_SHARED) {
		xa_for_each_range(&c->pages, index, page, range->start,
				  range->end - 1)
			consumer_unpin(c, index);
	}
	atomic_inc(&c->started[range->event]);
	atomic_inc(&c->open_events);

	return 0;
}

static void consumer_end(struct kvm_gmem_notifier *notifier,
			 const struct kvm_gmem_range *range, int result)
{
	struct consumer *c = to_consumer(notifier);

	atomic_inc(result ? &c->undone : &c->ended[range->event]);
	atomic_dec(&c->open_events);
}

static int consumer_got(struct kvm_gmem_notifier *notifier, u64 index,
			struct page *page)
{
	return xa_insert(&to_consumer(notifier)->pages, index, page, GFP_KERNEL);
}

static bool consumer_holds(struct kvm_gmem_notifier *notifier, u64 index)
{
	return xa_load(&to_consumer(notifier)->pages, index);
}

static const struct kvm_gmem_notifier_ops consumer_ops = {
	.start	= consumer_start,
	.end	= consumer_end,
	.got	= consumer_got,
	.holds	= consumer_holds,
};

static int consumer_attach(struct consumer *c, int fd)
{
	struct file *file;
	int r;

	if (c->notifier.inode)
		return -EBUSY;
	file = fget(fd);
	if (!file)
		return -EBADF;

	c->notifier.ops = &consumer_ops;
	c->notifier.name = "gmem-consumer-test";
	r = kvm_gmem_notifier_register(&c->notifier, file);
	if (r) {
		c->notifier.inode = NULL;
		fput(file);
		return r;
	}
	c->file = file;

	return 0;
}

static void consumer_forget(struct consumer *c)
{
	if (c->file)
		fput(c->file);
	c->file = NULL;
}

static int consumer_hold(struct consumer *c, u64 index)
{
	struct folio *folio;

	if (!c->file || c->held)
		return -EINVAL;
	folio = filemap_get_folio(c->file->f_mapping, index);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	c->held = folio;

	return 0;
}

static int consumer_lock(struct consumer *c)
{
	if (!c->held || c->locked)
		return -EINVAL;
	folio_lock(c->held);
	c->locked = true;

	return 0;
}

static void consumer_drop(struct consumer *c)
{
	if (c->locked)
		folio_unlock(c->held);
	c->locked = false;
	if (c->held)
		folio_put(c->held);
	c->held = NULL;
}

static int consumer_detach(struct consumer *c)
{
	unsigned long index;
	struct page *page;

	if (!c->notifier.inode)
		return -EINVAL;

	consumer_drop(c);

	xa_for_each(&c->pages, index, page)
		consumer_unpin(c, index);
	kvm_gmem_notifier_unregister(&c->notifier);
	c->notifier.inode = NULL;
	consumer_forget(c);

	return 0;
}

static int consumer_pin(struct consumer *c, u64 index)
{
	return c->file ? kvm_gmem_notifier_get_page(&c->notifier, c->file, index) :
			 -EINVAL;
}

static int consumer_store(struct consumer *c, u64 index, u64 number)
{
	struct page *page;
	u64 *memory;

	/* Who takes the page away takes this lock before that. */
	xa_lock(&c->pages);
	page = xa_load(&c->pages, index);
	if (page) {
		memory = kmap_local_page(page);
		*memory = number;
		kunmap_local(memory);
	}
	xa_unlock(&c->pages);

	return page ? 0 : -ENOENT;
}

static int consumer_command(struct consumer *c, char *line)
{
	u64 index, number;
	int value;

	if (sscanf(line, "attach %d", &value) == 1)
		return consumer_attach(c, value);
	if (sysfs_streq(line, "detach"))
		return consumer_detach(c);
	if (sysfs_streq(line, "lock"))
		return consumer_lock(c);
	if (sysfs_streq(line, "drop")) {
		consumer_drop(c);
		return 0;
	}
	if (sscanf(line, "hold %llu", &index) == 1)
		return consumer_hold(c, index);
	if (sysfs_streq(line, "forget")) {
		consumer_forget(c);
		return 0;
	}
	if (sscanf(line, "revoke %d", &value) == 1) {
		WRITE_ONCE(c->revoke, value);
		return 0;
	}
	if (sscanf(line, "refuse %d", &value) == 1) {
		WRITE_ONCE(c->refuse, value);
		return 0;
	}
	if (sscanf(line, "pin %llu", &index) == 1)
		return consumer_pin(c, index);
	if (sscanf(line, "unpin %llu", &index) == 1) {
		consumer_unpin(c, index);
		return 0;
	}
	if (sscanf(line, "store %llu %llu", &index, &number) == 2)
		return consumer_store(c, index, number);

	return -EINVAL;
}

static ssize_t consumer_write(struct file *file, const char __user *buffer,
			      size_t size, loff_t *offset)
{
	struct consumer *c = file->private_data;
	char *line;
	int r;

	if (size > 64)
		return -EINVAL;
	line = memdup_user_nul(buffer, size);
	if (IS_ERR(line))
		return PTR_ERR(line);

	mutex_lock(&c->lock);
	r = consumer_command(c, line);
	mutex_unlock(&c->lock);
	kfree(line);

	return r ?: size;
}

static ssize_t consumer_read(struct file *file, char __user *buffer, size_t size,
			     loff_t *offset)
{
	static const char *const names[] = {
		"private", "shared", "hole", "release", "failure",
		"migration",
	};
	struct consumer *c = file->private_data;
	unsigned long index, pages = 0;
	struct page *page;
	char text[320];
	int len = 0;
	size_t i;

	xa_for_each(&c->pages, index, page)
		pages++;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		len += scnprintf(text + len, sizeof(text) - len,
				 "%s=%d ended_%s=%d ", names[i],
				 atomic_read(&c->started[i]), names[i],
				 atomic_read(&c->ended[i]));
	len += scnprintf(text + len, sizeof(text) - len,
			 "undone=%d open=%d pages=%lu\n",
			 atomic_read(&c->undone), atomic_read(&c->open_events),
			 pages);

	/* Each read is of now. */
	*offset = 0;

	return simple_read_from_buffer(buffer, size, offset, text, len);
}

static int consumer_open(struct inode *inode, struct file *file)
{
	struct consumer *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	mutex_init(&c->lock);
	xa_init(&c->pages);
	file->private_data = c;

	return 0;
}

static int consumer_release(struct inode *inode, struct file *file)
{
	struct consumer *c = file->private_data;

	consumer_detach(c);
	kfree(c);

	return 0;
}

static const struct file_operations consumer_fops = {
	.owner		= THIS_MODULE,
	.open		= consumer_open,
	.read		= consumer_read,
	.write		= consumer_write,
	.release	= consumer_release,
};

static struct miscdevice consumer_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "kvm-gmem-consumer",
	.fops	= &consumer_fops,
	.mode	= 0600,
};

module_misc_device(consumer_device);

MODULE_DESCRIPTION("A consumer of guest_memfd pages, for tests");
MODULE_LICENSE("GPL");
