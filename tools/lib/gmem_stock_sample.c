// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads bpf/stock.bpf.c and bpf/stock_events.bpf.c, and reads the files of VMs that the
 * former finds.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_stock_sample.h"
#include "gmem_stock_vms.h"
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
	unsigned int counted;
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

/*
 * A kernel that lacks another of the functions cannot do what is counted there, and 0
 * is the number of times that it did.
 */
static unsigned int what_is_counted(const struct stock_events_bpf *events)
{
	const struct {
		const struct bpf_program *prog;
		unsigned int what;
	} rows[] = {
		{ events->progs.on_get_pfn, GMEM_STOCK_FAULTS },
		{ events->progs.on_fallocate, GMEM_STOCK_FALLOCATE },
		{ events->progs.on_changed, GMEM_STOCK_CONVERSIONS },
		{ events->progs.on_release, GMEM_STOCK_RELEASES },
		{ events->progs.on_unbind, GMEM_STOCK_UNBINDS },
	};
	unsigned int counted = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (bpf_program__autoload(rows[i].prog))
			counted |= rows[i].what;
	return counted;
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
		stock->counted = what_is_counted(events);
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

	/* A process that a VM was given to has its files again. */
	stock->nr_files = gmem_stock_merge(stock->files, stock->nr_files);
	if (stock->nr_files < stock->room / 2)
		return 0;
	/* Each VM has a few. */
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
	sample->time_ns = err ? 0 : now;
	sample->by_node = false;
	sample->orphaned_pages = GMEM_UNKNOWN;
	return err ? err : gmem_stock_vms(stock->files, stock->nr_files,
					  stock->counted, sample);
}
