// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads bpf/layout.bpf.c and runs it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "sampling/layout.h"

#include "layout.skel.h"

/* Of one look for pages of a kind, which keys wait for: 10 GiB or so if each counts. */
#define LOOK_NS		50000000ULL

struct layout {
	struct layout_bpf *skel;
};

struct layout *layout_open(uint64_t vm_id)
{
	struct layout *layout;
	int err;

	if (gmem_check_kernel()) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	layout = calloc(1, sizeof(*layout));
	if (!layout) {
		gmem_err("no memory for the map; free some");
		return NULL;
	}
	layout->skel = layout_bpf__open_and_load();
	if (!layout->skel) {
		err = errno;
		if (err != EAGAIN)
			gmem_err_bpf(-err, "cannot load the programs that map memory");
		free(layout);
		errno = err;
		return NULL;
	}
	layout->skel->bss->vm_id = vm_id;
	return layout;
}

static int64_t run(struct layout *layout, const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int64_t result;
	int err;

	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (err == -EAGAIN)
		return err;
	if (err) {
		gmem_err_bpf(err, "cannot run %s", bpf_program__name(prog));
		return -EIO;
	}
	result = layout->skel->bss->result;
	if (result < 0 && result != -ESRCH && result != -EAGAIN)
		gmem_err_bpf(result, "%s failed", bpf_program__name(prog));
	return result;
}

static bool grow(struct layout_slots *slots, int nr)
{
	struct gmem_slot *p;

	if (nr <= slots->room)
		return true;
	p = reallocarray(slots->slot, nr, sizeof(*p));
	if (!p) {
		gmem_err("no memory for %d memslots; free some", nr);
		return false;
	}
	slots->slot = p;
	slots->room = nr;
	return true;
}

/* The kernel tells of some at a time, from guest frame @start on. */
int layout_slots(struct layout *layout, struct layout_slots *slots)
{
	struct layout_bpf__bss *bss = layout->skel->bss;
	const struct gmem_slot *last;
	int64_t found;
	int nr = 0;

	bss->start = 0;
	do {
		found = run(layout, layout->skel->progs.read_slots);
		if (found < 0)
			return found;
		if (!grow(slots, nr + found))
			return -ENOMEM;
		memcpy(slots->slot + nr, bss->slots,
		       found * sizeof(*slots->slot));
		nr += found;
		if (found) {
			last = &bss->slots[found - 1];
			bss->start = last->base_gfn + last->nr_pages;
		}
	} while (found == GMEM_SLOTS_MAX);
	slots->nr = nr;
	return 0;
}

int layout_map(struct layout *layout, uint64_t start, uint64_t pages, size_t nr,
	       struct gmem_bucket *buckets)
{
	struct layout_bpf__bss *bss = layout->skel->bss;
	int64_t filled;

	while (nr) {
		bss->start = start;
		bss->bucket_pages = pages;
		bss->nr_buckets = nr < GMEM_BUCKETS_MAX ? nr : GMEM_BUCKETS_MAX;
		filled = run(layout, layout->skel->progs.read_map);
		if (filled < 0)
			return filled;
		memcpy(buckets, bss->buckets, filled * sizeof(*buckets));
		buckets += filled;
		start += filled * pages;
		nr -= filled;
	}
	return 0;
}

int layout_find(struct layout *layout, enum layout_kind kind, uint64_t start,
		uint64_t pages, size_t nr, const struct gmem_bucket *buckets,
		struct layout_look *look, uint64_t *found)
{
	const struct bpf_program *const programs[] = {
		[LAYOUT_MAPPED] = layout->skel->progs.read_mapped,
		[LAYOUT_HUGE] = layout->skel->progs.read_huge,
	};
	struct layout_bpf__bss *bss = layout->skel->bss;
	size_t done = look->pages / pages;
	int64_t complete;

	bss->look_until_ns = gmem_now_ns() + LOOK_NS;
	bss->looked_at = look->pages % pages;
	bss->found_so_far = look->found;
	bss->bucket_pages = pages;
	while (done < nr) {
		bss->start = start + done * pages;
		bss->nr_buckets = nr - done < GMEM_BUCKETS_MAX ?
				  nr - done : GMEM_BUCKETS_MAX;
		memcpy(bss->buckets, buckets + done,
		       bss->nr_buckets * sizeof(*buckets));
		complete = run(layout, programs[kind]);
		if (complete < 0)
			return complete;
		memcpy(found + done, bss->found, complete * sizeof(*found));
		look->pages = done * pages + bss->looked_at;
		look->found = bss->found_so_far;
		done += complete;
		bss->looked_at -= complete * pages;
		if (gmem_now_ns() >= bss->look_until_ns)
			break;
	}
	if (done >= nr)
		*look = (struct layout_look) {};
	return 0;
}

void layout_close(struct layout *layout)
{
	if (!layout)
		return;
	layout_bpf__destroy(layout->skel);
	free(layout);
}
