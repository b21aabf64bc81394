// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads bpf/stock.bpf.c and bpf/stock_events.bpf.c, reads the files of VMs that the
 * former finds, and makes VMs of them: a VM has many files, and a file may be open in
 * many processes.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_kernel.h"
#include "gmem_stock_sample.h"
#include "stock.skel.h"
#include "stock_events.skel.h"

/* What the kernel gives at a time, at most. */
#define READ_LEN	32768

struct gmem_stock {
	struct stock_bpf *skel;
	struct bpf_link *link;
	struct stock_events_bpf *events;
	struct gmem_stock_file *files;
	size_t nr_files;
	size_t room;
};

struct gmem_stock *gmem_stock_open(void)
{
	struct gmem_stock *stock = calloc(1, sizeof(*stock));
	int err;

	if (!stock) {
		gmem_err("no memory for the sampler; free some");
		return NULL;
	}
	stock->skel = stock_bpf__open();
	err = stock->skel ? libbpf_num_possible_cpus() : -errno;
	if (err > 0) {
		stock->skel->rodata->nr_cpus = err;
		err = stock_bpf__load(stock->skel);
	}
	if (!err) {
		stock->link = bpf_program__attach_iter(stock->skel->progs.walk_files,
						       NULL);
		err = stock->link ? 0 : -errno;
	}
	if (!err)
		return stock;
	gmem_err_bpf(err, "cannot load the program that looks for VMs");
	gmem_stock_close(stock);
	return NULL;
}

void gmem_stock_close(struct gmem_stock *stock)
{
	if (!stock)
		return;
	stock_events_bpf__destroy(stock->events);
	bpf_link__destroy(stock->link);
	stock_bpf__destroy(stock->skel);
	free(stock->files);
	free(stock);
}

/* ------------------------------------------------------------------ events */

/* The function that a program is for stands after the last slash of its section. */
static bool has_function(const struct btf *btf, const struct bpf_program *prog)
{
	const char *name = strrchr(bpf_program__section_name(prog), '/') + 1;

	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

/* KVM's own BTF if it is a module, else the kernel's. */
static struct btf *kvm_btf(struct btf *vmlinux)
{
	struct btf *module = btf__load_module_btf("kvm", vmlinux);

	return module ? module : vmlinux;
}

/* Programs for functions that this kernel does not have are left out. */
static int choose_events(struct stock_events_bpf *events)
{
	struct btf *vmlinux = btf__load_vmlinux_btf(), *kvm;
	struct bpf_program *prog;

	if (!vmlinux)
		return -errno;
	kvm = kvm_btf(vmlinux);
	bpf_object__for_each_program(prog, events->obj)
		bpf_program__set_autoload(prog, has_function(kvm, prog));
	if (kvm != vmlinux)
		btf__free(kvm);
	btf__free(vmlinux);
	/* Or the next VM in its place would have what one did that is gone. */
	return bpf_program__autoload(events->progs.on_destroy) ? 0 : -ENOENT;
}

int gmem_stock_count(struct gmem_stock *stock)
{
	struct stock_events_bpf *events;
	int err;

	if (stock->events)
		return 0;
	events = stock_events_bpf__open();
	err = events ? choose_events(events) : -errno;
	if (!err)
		err = bpf_map__reuse_fd(events->maps.counts,
					bpf_map__fd(stock->skel->maps.counts));
	if (!err)
		err = stock_events_bpf__load(events);
	if (!err)
		err = stock_events_bpf__attach(events);
	if (!err) {
		stock->events = events;
		return 0;
	}
	gmem_err_bpf(err, "cannot load the programs that count what VMs do");
	stock_events_bpf__destroy(events);
	return err;
}

/* ------------------------------------------------------------------- files */

static int make_room(struct gmem_stock *stock)
{
	size_t room = stock->room ? 2 * stock->room : 256;
	struct gmem_stock_file *files;

	/* Each VM has a few, and each process that it was given to has them again. */
	if (room > 64UL * GMEM_VMS_MAX) {
		gmem_err("there are more files of VMs than the %lu that can be looked at; stop some VMs",
			 64UL * GMEM_VMS_MAX);
		return -E2BIG;
	}
	files = reallocarray(stock->files, room, sizeof(*files));
	if (!files) {
		gmem_err("no memory for %zu files; free some", room);
		return -ENOMEM;
	}
	stock->files = files;
	stock->room = room;
	return 0;
}

/* As many as are whole in @text; the kernel cuts none. */
static int add_files(struct gmem_stock *stock, const char *text, size_t len)
{
	const size_t size = sizeof(*stock->files);
	int err = 0;

	for (; len >= size && !err; text += size, len -= size) {
		if (stock->nr_files == stock->room)
			err = make_room(stock);
		if (!err)
			memcpy(&stock->files[stock->nr_files++], text, size);
	}
	return err;
}

static int read_files(struct gmem_stock *stock)
{
	/* Whole records only, so that none is cut at the end of it. */
	static char text[READ_LEN - READ_LEN % sizeof(struct gmem_stock_file)];
	int fd = bpf_iter_create(bpf_link__fd(stock->link)), err = 0;
	ssize_t len;

	if (fd < 0) {
		gmem_err_bpf(fd, "cannot look for VMs");
		return fd;
	}
	stock->nr_files = 0;
	do {
		len = read(fd, text, sizeof(text));
		/* So many files of others that the kernel wanted to be asked again. */
		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (len < 0)
			err = -errno;
		else
			err = add_files(stock, text, len);
	} while (len && !err);
	if (len < 0)
		gmem_err_bpf(err, "cannot look for VMs");
	close(fd);
	return err;
}

/* ------------------------------------------------------------------- VMs */

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

#define COUNTER(member, prog)						\
	{ offsetof(struct gmem_vm_sample, member),			\
	  offsetof(struct gmem_stock_counts, member),			\
	  offsetof(struct stock_events_bpf, progs.prog) }

/*
 * Where counters stand in a sample and in what programs count, and the program
 * without which they are not known.  A kernel that lacks a function of those that are
 * not named here cannot do what it is counted for.
 */
static const struct {
	size_t to;
	size_t from;
	size_t prog;
} counters[] = {
	COUNTER(faults[GMEM_FAULT_VCPU], on_get_pfn),
	COUNTER(faults[GMEM_FAULT_PREFAULT], on_get_pfn),
	COUNTER(faults[GMEM_FAULT_POPULATE], on_get_pfn),
	COUNTER(faults[GMEM_FAULT_FALLOCATE], on_fallocate),
	COUNTER(host_faults, on_get_pfn),
	COUNTER(conversions, on_changed),
	COUNTER(conversions_noop, on_changed),
	COUNTER(pages_to_private, on_changed),
	COUNTER(pages_to_shared, on_changed),
	COUNTER(invalidations[GMEM_INVALIDATE_CONVERSION], on_changed),
	COUNTER(invalidations[GMEM_INVALIDATE_PUNCH_HOLE], on_fallocate),
	COUNTER(invalidations[GMEM_INVALIDATE_RELEASE], on_release),
	COUNTER(invalidations[GMEM_INVALIDATE_UNBIND], on_unbind),
};

static void set_counters(struct gmem_vm_sample *vm,
			 const struct gmem_stock_counts *counts,
			 const struct stock_events_bpf *events)
{
	const struct bpf_program *prog;
	size_t i;

	for (i = 0; i < ARRAY_LEN(counters); i++) {
		prog = *(struct bpf_program **)((const char *)events +
						counters[i].prog);
		if (bpf_program__autoload(prog))
			memcpy((char *)vm + counters[i].to,
			       (const char *)counts + counters[i].from,
			       sizeof(uint64_t));
	}
}

/* What any of a VM's files tells of it. */
static void begin_vm(struct gmem_vm_sample *vm, const struct gmem_stock_file *file,
		     const struct stock_events_bpf *events)
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
	if (events)
		set_counters(vm, &file->counts, events);
}

static void add_file(struct gmem_vm_sample *vm, const struct gmem_stock_file *file,
		     bool again)
{
	if (file->owner_start_ns) {
		vm->owner_start_ns = file->owner_start_ns;
		vm->owner_pid = file->owner_pid;
		vm->pid = file->pid;
	}
	if (file->rss_pages != GMEM_UNKNOWN)
		vm->rss_pages = file->rss_pages;
	if (again)
		return;
	vm->size_pages += file->size_pages;
	vm->populated_pages += file->populated_pages;
	vm->node_pages[0] = vm->populated_pages;
	if (file->mapped_pages == GMEM_UNKNOWN)
		vm->mapped_pages = GMEM_UNKNOWN;
	else if (vm->mapped_pages != GMEM_UNKNOWN)
		vm->mapped_pages += file->mapped_pages;
}

static bool is_same_vm(const struct gmem_stock_file *a, const struct gmem_stock_file *b)
{
	return a->vm_id == b->vm_id && a->vm == b->vm;
}

static size_t count_vms(const struct gmem_stock *stock)
{
	size_t i, nr = 0;

	for (i = 0; i < stock->nr_files; i++)
		nr += !i || !is_same_vm(&stock->files[i - 1], &stock->files[i]);
	return nr;
}

static int make_vms_room(struct gmem_sample *sample, size_t nr)
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

static void make_vms(const struct gmem_stock *stock, struct gmem_sample *sample)
{
	const struct gmem_stock_file *file, *before = NULL;
	struct gmem_vm_sample *vm = NULL;
	size_t i;

	sample->nr_vms = 0;
	for (i = 0; i < stock->nr_files; i++, before = file) {
		file = &stock->files[i];
		if (!before || !is_same_vm(before, file)) {
			vm = &sample->vms[sample->nr_vms++];
			begin_vm(vm, file, stock->events);
			before = NULL;
		}
		add_file(vm, file, before && before->inode == file->inode);
	}
}

/* Is there a guest_memfd of which not all was looked at? */
static bool is_incomplete(const struct gmem_stock *stock)
{
	size_t i;

	for (i = 0; i < stock->nr_files; i++)
		if (stock->files[i].mapped_pages == GMEM_UNKNOWN)
			return true;
	return false;
}

int gmem_stock_read(struct gmem_stock *stock, struct gmem_sample *sample,
		    uint64_t max_ns)
{
	uint64_t now = gmem_now_ns();
	int err;

	do {
		err = read_files(stock);
	} while (!err && is_incomplete(stock) && gmem_now_ns() - now < max_ns);

	sample->nr_vms = 0;
	sample->time_ns = 0;
	sample->by_node = false;
	sample->orphaned_pages = GMEM_UNKNOWN;
	if (!err && stock->nr_files)
		qsort(stock->files, stock->nr_files, sizeof(*stock->files),
		      compare_files);
	if (!err)
		err = make_vms_room(sample, count_vms(stock));
	if (err)
		return err;
	make_vms(stock, sample);
	sample->time_ns = now;
	return 0;
}
