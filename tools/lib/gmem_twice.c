// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the program read_twice of bpf/usage.bpf.c, VM by VM.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_twice.h"
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

/* All of it is in the sample, or nobody asked. */
static bool is_complete(const struct gmem_vm_sample *vm)
{
	return !vm->twice_next;
}

static size_t count_incomplete(const struct gmem_vm_sample *vms, size_t nr_vms)
{
	size_t i, n = 0;

	for (i = 0; i < nr_vms; i++)
		n += !is_complete(&vms[i]);
	return n;
}

/* Has an entry for each of these VMs, with what was known of it. */
static int keep(struct gmem_twice *twice, const struct gmem_vm_sample *sample,
		size_t nr_vms, size_t nr)
{
	struct gmem_twice_vm *vms;
	size_t i, n = 0, j = 0;

	vms = calloc(nr, sizeof(*vms));
	if (!vms) {
		gmem_err("no memory for %zu VMs; free some", nr);
		return -ENOMEM;
	}
	for (i = 0; i < nr_vms; i++) {
		const struct gmem_vm_sample *vm = &sample[i];

		if (is_complete(vm))
			continue;
		while (j < twice->nr && twice->vms[j].vm_id < vm->vm_id)
			j++;
		if (j < twice->nr && twice->vms[j].vm_id == vm->vm_id)
			vms[n] = twice->vms[j];
		vms[n].vm_id = vm->vm_id;
		/* A pass goes on from where the sample has come to. */
		if (!vms[n].gfn && vm->twice_next > 0) {
			vms[n].gfn = vm->twice_next;
			vms[n].counted = vm->twice_pages;
		}
		vms[n++].ended = false;
	}
	free(twice->vms);
	twice->vms = vms;
	twice->nr = nr;
	return 0;
}

/* Goes on with a VM until the end of its pass, or until it has had its share. */
static int look(struct gmem_twice_vm *vm, struct usage_bpf *skel)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int calls, err;

	for (calls = 0; calls < CALLS_MAX; calls++) {
		skel->bss->twice_vm_id = vm->vm_id;
		skel->bss->twice_gfn = vm->gfn;
		err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_twice),
					     &opts);
		if (err) {
			gmem_err_bpf(err, "cannot run read_twice");
			return -EIO;
		}
		vm->counted += skel->bss->twice_pages;
		vm->gfn = skel->bss->twice_gfn;
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

static size_t first_from(const struct gmem_twice *twice, uint64_t vm_id)
{
	size_t i;

	for (i = 0; i < twice->nr && twice->vms[i].vm_id < vm_id; i++)
		;
	return i < twice->nr ? i : 0;
}

/*
 * Gives each VM its share in turn, until the time is over.  Returns whether all
 * have come to their end, or -errno.
 */
static int look_at_all(struct gmem_twice *twice, struct usage_bpf *skel,
		       uint64_t end)
{
	size_t i, n, first = first_from(twice, twice->next_id);
	bool ended = true;
	int err;

	for (n = 0; n < twice->nr; n++) {
		i = (first + n) % twice->nr;
		twice->next_id = twice->vms[i].vm_id;
		if (twice->vms[i].ended)
			continue;
		/* One at least, or nothing would ever come to its end. */
		if (n && now_ns() > end)
			return false;
		err = look(&twice->vms[i], skel);
		if (err)
			return err;
		ended &= twice->vms[i].ended;
	}
	return ended;
}

int gmem_twice_read(struct gmem_twice *twice, struct usage_bpf *skel,
		    struct gmem_vm_sample *vms, size_t nr_vms, uint64_t max_ns)
{
	uint64_t end = now_ns() + (max_ns ? max_ns : TIME_MAX_NS);
	size_t i, n = 0, nr = count_incomplete(vms, nr_vms);
	int ended;

	if (!nr) {
		gmem_twice_free(twice);
		return 0;
	}
	qsort(vms, nr_vms, sizeof(*vms), by_id);
	ended = keep(twice, vms, nr_vms, nr);
	if (ended)
		return ended;
	do {
		ended = look_at_all(twice, skel, end);
		if (ended < 0)
			return ended;
	} while (!ended && max_ns && now_ns() < end);

	for (i = 0; i < nr_vms; i++) {
		const struct gmem_twice_vm *vm = &twice->vms[n];

		if (is_complete(&vms[i]))
			continue;
		vms[i].twice_pages = vm->complete ? vm->found :
							    vm->counted;
		n++;
	}
	return 0;
}

void gmem_twice_free(struct gmem_twice *twice)
{
	free(twice->vms);
	*twice = (struct gmem_twice) {};
}
