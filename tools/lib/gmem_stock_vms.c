// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM has the memory of all its guest_memfds, each once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_common.h"
#include "gmem_stock_vms.h"

/* By VM, and then by guest_memfd; of two that are one the first is as good. */
static int compare_files(const void *a, const void *b)
{
	const struct gmem_stock_file *fa = a, *fb = b;

	if (fa->vm_id != fb->vm_id)
		return (fa->vm_id > fb->vm_id) - (fa->vm_id < fb->vm_id);
	if (fa->vm != fb->vm)
		return (fa->vm > fb->vm) - (fa->vm < fb->vm);
	return (fa->inode > fb->inode) - (fa->inode < fb->inode);
}

static bool is_same_vm(const struct gmem_stock_file *a, const struct gmem_stock_file *b)
{
	return a->vm_id == b->vm_id && a->vm == b->vm;
}

/* What was found of the same file in another process. */
static void merge_file(struct gmem_stock_file *to, const struct gmem_stock_file *from)
{
	if (from->owner_start_ns) {
		to->owner_start_ns = from->owner_start_ns;
		to->owner_pid = from->owner_pid;
		to->pid = from->pid;
	}
	if (from->rss_pages != GMEM_UNKNOWN)
		to->rss_pages = from->rss_pages;
}

size_t gmem_stock_merge(struct gmem_stock_file *files, size_t nr_files)
{
	struct gmem_stock_file *last = files;
	size_t i;

	if (!nr_files)
		return 0;
	qsort(files, nr_files, sizeof(*files), compare_files);
	for (i = 1; i < nr_files; i++) {
		if (compare_files(last, &files[i]))
			*++last = files[i];
		else
			merge_file(last, &files[i]);
	}
	return last - files + 1;
}

#define COUNTER(member, what)						\
	{ offsetof(struct gmem_vm_sample, member),			\
	  offsetof(struct gmem_stock_counts, member), what }

/* Where counters stand in a sample and in what is counted, and if it is. */
static const struct {
	size_t to;
	size_t from;
	unsigned int what;
} counters[] = {
	COUNTER(faults[GMEM_FAULT_VCPU], GMEM_STOCK_FAULTS),
	COUNTER(faults[GMEM_FAULT_PREFAULT], GMEM_STOCK_FAULTS),
	COUNTER(faults[GMEM_FAULT_POPULATE], GMEM_STOCK_FAULTS),
	COUNTER(faults[GMEM_FAULT_FALLOCATE], GMEM_STOCK_FALLOCATE),
	COUNTER(host_faults, GMEM_STOCK_FAULTS),
	COUNTER(conversions, GMEM_STOCK_CONVERSIONS),
	COUNTER(conversions_noop, GMEM_STOCK_CONVERSIONS),
	COUNTER(conversions_denied, GMEM_STOCK_CONVERSIONS),
	COUNTER(pages_to_private, GMEM_STOCK_CONVERSIONS),
	COUNTER(pages_to_shared, GMEM_STOCK_CONVERSIONS),
	COUNTER(invalidations[GMEM_INVALIDATE_CONVERSION], GMEM_STOCK_CONVERSIONS),
	COUNTER(invalidations[GMEM_INVALIDATE_PUNCH_HOLE], GMEM_STOCK_FALLOCATE),
	COUNTER(invalidations[GMEM_INVALIDATE_RELEASE], GMEM_STOCK_RELEASES),
	COUNTER(invalidations[GMEM_INVALIDATE_UNBIND], GMEM_STOCK_UNBINDS),
};

static void set_counters(struct gmem_vm_sample *vm,
			 const struct gmem_stock_counts *counts,
			 unsigned int counted)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(counters); i++)
		if (counted & counters[i].what)
			memcpy((char *)vm + counters[i].to,
			       (const char *)counts + counters[i].from,
			       sizeof(uint64_t));
}

/* What any of a VM's files tells of it. */
static void begin_vm(struct gmem_vm_sample *vm, const struct gmem_stock_file *file,
		     unsigned int counted)
{
	/* GMEM_UNKNOWN in all counters. */
	memset(vm, 0xff, sizeof(*vm));
	vm->vm_id = file->vm_id;
	vm->nr_vcpus = file->nr_vcpus;
	vm->size_pages = 0;
	vm->populated_pages = 0;
	vm->mapped_pages = 0;
	vm->twice_next = 0;
	vm->mapped_next = 0;
	vm->pid = 0;
	vm->owner_start_ns = 0;
	vm->owner_pid = 0;
	vm->owner_pad = 0;
	if (!(file->flags & GMEM_STOCK_PRIVATE)) {
		vm->private_pages = 0;
		vm->stale_pages = 0;
	}
	set_counters(vm, &file->counts, counted);
}

static void add_file(struct gmem_vm_sample *vm, const struct gmem_stock_file *file)
{
	if (file->owner_start_ns) {
		vm->owner_start_ns = file->owner_start_ns;
		vm->owner_pid = file->owner_pid;
		vm->pid = file->pid;
	}
	if (file->rss_pages != GMEM_UNKNOWN)
		vm->rss_pages = file->rss_pages;
	vm->size_pages += file->size_pages;
	vm->populated_pages += file->populated_pages;
	vm->node_pages[0] = vm->populated_pages;
	if (file->mapped_pages == GMEM_UNKNOWN)
		vm->mapped_pages = GMEM_UNKNOWN;
	else if (vm->mapped_pages != GMEM_UNKNOWN)
		vm->mapped_pages += file->mapped_pages;
}

static size_t count_vms(const struct gmem_stock_file *files, size_t nr_files)
{
	size_t i, nr = 0;

	for (i = 0; i < nr_files; i++)
		nr += !i || !is_same_vm(&files[i - 1], &files[i]);
	return nr;
}

static int make_room(struct gmem_sample *sample, size_t nr)
{
	struct gmem_vm_sample *vms;

	if (nr > GMEM_VMS_MAX) {
		gmem_err("%zu VMs are more than the %d that can be shown; stop some",
			 nr, GMEM_VMS_MAX);
		return -E2BIG;
	}
	if (nr <= sample->room)
		return 0;
	vms = reallocarray(sample->vms, nr, sizeof(*vms));
	if (!vms) {
		gmem_err("no memory for %zu VMs; free some", nr);
		return -ENOMEM;
	}
	sample->vms = vms;
	sample->room = nr;
	return 0;
}

int gmem_stock_vms(struct gmem_stock_file *files, size_t nr_files,
		   unsigned int counted, struct gmem_sample *sample)
{
	struct gmem_vm_sample *vm = sample->vms;
	size_t i;
	int err;

	sample->nr_vms = 0;
	nr_files = gmem_stock_merge(files, nr_files);
	err = make_room(sample, count_vms(files, nr_files));
	for (i = 0; i < nr_files && !err; i++) {
		if (!i || !is_same_vm(&files[i - 1], &files[i])) {
			vm = &sample->vms[sample->nr_vms++];
			begin_vm(vm, &files[i], counted);
		}
		add_file(vm, &files[i]);
	}
	return err;
}
