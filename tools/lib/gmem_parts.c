// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the programs read_twice and read_mapped of bpf/usage.bpf.c, VM by VM.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_parts.h"
#include "usage.skel.h"

/* Of one VM at a time: 4 GiB of pages, or much more without any. */
#define CALLS_MAX	16
/* Of all VMs at a time. */
#define TIME_MAX_NS	(200 * 1000000ULL)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int by_id(const void *a, const void *b)
{
	const struct gmem_vm_sample *one = a, *other = b;

	return one->vm_id < other->vm_id ? -1 : one->vm_id > other->vm_id;
}

static uint64_t *pages_of(struct gmem_vm_sample *vm,
			  enum gmem_parts_figure figure)
{
	uint64_t *const pages[GMEM_NR_PARTS] = {
		[GMEM_PARTS_TWICE] = (uint64_t *)&vm->twice_pages,
		[GMEM_PARTS_MAPPED] = (uint64_t *)&vm->mapped_pages,
	};

	return pages[figure];
}

/* The frame that the sample has come to; 0 if it has all, or nobody asked. */
static int64_t next_of(const struct gmem_vm_sample *vm,
		       enum gmem_parts_figure figure)
{
	return figure == GMEM_PARTS_TWICE ? vm->twice_next : vm->mapped_next;
}

static const struct bpf_program *program_of(const struct usage_bpf *skel,
					    enum gmem_parts_figure figure)
{
	return figure == GMEM_PARTS_TWICE ? skel->progs.read_twice :
					    skel->progs.read_mapped;
}

static size_t count_incomplete(const struct gmem_vm_sample *vms, size_t nr_vms,
			       enum gmem_parts_figure figure)
{
	size_t i, n = 0;

	for (i = 0; i < nr_vms; i++)
		n += !!next_of(&vms[i], figure);
	return n;
}

/* Has an entry for each of these VMs, with what was known of it. */
static int keep(struct gmem_parts *parts, enum gmem_parts_figure figure,
		struct gmem_vm_sample *sample, size_t nr_vms, size_t nr)
{
	struct gmem_parts_vm *vms;
	size_t i, n = 0, j = 0;

	vms = calloc(nr, sizeof(*vms));
	if (!vms) {
		gmem_err("no memory for %zu VMs; free some", nr);
		return -ENOMEM;
	}
	for (i = 0; i < nr_vms; i++) {
		struct gmem_vm_sample *vm = &sample[i];
		int64_t next = next_of(vm, figure);

		if (!next)
			continue;
		while (j < parts->nr && parts->vms[j].vm_id < vm->vm_id)
			j++;
		if (j < parts->nr && parts->vms[j].vm_id == vm->vm_id)
			vms[n] = parts->vms[j];
		vms[n].vm_id = vm->vm_id;
		/* A pass goes on from where the sample has come to. */
		if (!vms[n].gfn && next > 0) {
			vms[n].gfn = next;
			vms[n].counted = *pages_of(vm, figure);
		}
		vms[n++].ended = false;
	}
	free(parts->vms);
	parts->vms = vms;
	parts->nr = nr;
	return 0;
}

/* Goes on with a VM until the end of its pass, or until it has had its share. */
static int look(struct gmem_parts_vm *vm, struct usage_bpf *skel,
		const struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int calls, err;

	for (calls = 0; calls < CALLS_MAX; calls++) {
		skel->bss->part_vm_id = vm->vm_id;
		skel->bss->part_gfn = vm->gfn;
		err = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
		if (err) {
			gmem_err_bpf(err, "cannot run %s",
				     bpf_program__name(program));
			return -EIO;
		}
		vm->counted += skel->bss->part_pages;
		vm->gfn = skel->bss->part_gfn;
		if (vm->gfn <= 0) {
			vm->found = vm->counted;
			vm->complete = true;
			vm->ended = true;
			vm->gfn = 0;
			vm->counted = 0;
			break;
		}
	}
	return 0;
}

static size_t first_from(const struct gmem_parts *parts, uint64_t vm_id)
{
	size_t i;

	for (i = 0; i < parts->nr && parts->vms[i].vm_id < vm_id; i++)
		;
	return i < parts->nr ? i : 0;
}

/*
 * Gives each VM its share in turn, until the time is over.  Returns whether all
 * have come to their end, or -errno.
 */
static int look_at_all(struct gmem_parts *parts, struct usage_bpf *skel,
		       const struct bpf_program *program, uint64_t end)
{
	size_t i, n, first = first_from(parts, parts->next_id);
	bool ended = true;
	int err;

	for (n = 0; n < parts->nr; n++) {
		i = (first + n) % parts->nr;
		parts->next_id = parts->vms[i].vm_id;
		if (parts->vms[i].ended)
			continue;
		/* One at least, or nothing would ever come to its end. */
		if (n && now_ns() > end)
			return false;
		err = look(&parts->vms[i], skel, program);
		if (err)
			return err;
		ended &= parts->vms[i].ended;
	}
	return ended;
}

int gmem_parts_read(struct gmem_parts *parts, enum gmem_parts_figure figure,
		    struct usage_bpf *skel, struct gmem_vm_sample *vms,
		    size_t nr_vms, uint64_t max_ns)
{
	uint64_t end = now_ns() + (max_ns ? max_ns : TIME_MAX_NS);
	size_t i, n = 0, nr = count_incomplete(vms, nr_vms, figure);
	int ended;

	if (!nr) {
		gmem_parts_free(parts);
		return 0;
	}
	qsort(vms, nr_vms, sizeof(*vms), by_id);
	ended = keep(parts, figure, vms, nr_vms, nr);
	if (ended)
		return ended;
	do {
		ended = look_at_all(parts, skel, program_of(skel, figure), end);
		if (ended < 0)
			return ended;
	} while (!ended && max_ns && now_ns() < end);

	for (i = 0; i < nr_vms; i++) {
		const struct gmem_parts_vm *vm = &parts->vms[n];

		if (!next_of(&vms[i], figure))
			continue;
		*pages_of(&vms[i], figure) = vm->complete ? vm->found :
							    vm->counted;
		n++;
	}
	return 0;
}

void gmem_parts_free(struct gmem_parts *parts)
{
	free(parts->vms);
	*parts = (struct gmem_parts) {};
}
