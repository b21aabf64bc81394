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

/* Has an entry for each VM, with what was known of it. */
static int keep(struct gmem_twice *twice, const struct gmem_sample *sample)
{
	struct gmem_twice_vm *vms;
	size_t i, j = 0;

	vms = calloc(sample->nr_vms + 1, sizeof(*vms));
	if (!vms) {
		gmem_err("no memory for %zu VMs; free some", sample->nr_vms);
		return -ENOMEM;
	}
	for (i = 0; i < sample->nr_vms; i++) {
		uint64_t id = sample->vms[i].vm_id;

		while (j < twice->nr && twice->vms[j].vm_id < id)
			j++;
		if (j < twice->nr && twice->vms[j].vm_id == id)
			vms[i] = twice->vms[j];
		vms[i].vm_id = id;
	}
	free(twice->vms);
	twice->vms = vms;
	twice->nr = sample->nr_vms;
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
			vm->gfn = 0;
			vm->counted = 0;
			break;
		}
	}
	return 0;
}

/* Without memory on both sides there is none twice. */
static bool has_none(const struct gmem_vm_sample *vm)
{
	return !vm->populated_pages || !vm->rss_pages;
}

static size_t first_from(const struct gmem_twice *twice, uint64_t vm_id)
{
	size_t i;

	for (i = 0; i < twice->nr && twice->vms[i].vm_id < vm_id; i++)
		;
	return i < twice->nr ? i : 0;
}

int gmem_twice_read(struct gmem_twice *twice, struct usage_bpf *skel,
		    struct gmem_sample *sample)
{
	uint64_t end = now_ns() + TIME_MAX_NS;
	size_t i, n, first;
	int err;

	if (sample->nr_vms)
		qsort(sample->vms, sample->nr_vms, sizeof(*sample->vms), by_id);
	err = keep(twice, sample);
	if (err)
		return err;

	first = first_from(twice, twice->next_id);
	for (n = 0; n < twice->nr; n++) {
		i = (first + n) % twice->nr;
		twice->next_id = twice->vms[i].vm_id;
		if (has_none(&sample->vms[i])) {
			twice->vms[i] = (struct gmem_twice_vm) {
				.vm_id = twice->vms[i].vm_id,
				.complete = true,
			};
			continue;
		}
		/* One at least, or nothing would ever come to its end. */
		if (n && now_ns() > end)
			break;
		err = look(&twice->vms[i], skel);
		if (err)
			return err;
	}
	for (i = 0; i < twice->nr; i++)
		sample->vms[i].twice_pages = twice->vms[i].complete ?
						     twice->vms[i].found :
						     twice->vms[i].counted;
	return 0;
}

void gmem_twice_free(struct gmem_twice *twice)
{
	free(twice->vms);
	*twice = (struct gmem_twice) {};
}
