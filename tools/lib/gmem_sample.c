// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads bpf/usage.bpf.c and runs it.  Its arrays have a fixed size, so when a
 * program finds more than fits, it is loaded anew with more room.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem_sample.h"
#include "usage.skel.h"

/* VMs may be born while room for them is made; do not chase them forever. */
#define READ_TRIES	8

/* An array of a program, mapped. */
struct table {
	const char *what;
	size_t item_size;
	size_t room;
	size_t max;
	const void *items;
};

struct gmem_sampler {
	struct usage_bpf *skel;
	struct table vms;
	struct table policies;
};

static void unmap_table(struct table *table)
{
	if (table->items)
		munmap((void *)table->items, table->room * table->item_size);
	table->items = NULL;
}

static int map_table(struct table *table, const struct bpf_map *map)
{
	void *items;

	items = mmap(NULL, table->room * table->item_size, PROT_READ,
		     MAP_SHARED, bpf_map__fd(map), 0);
	if (items == MAP_FAILED)
		return -errno;
	table->items = items;
	return 0;
}

static void unload(struct gmem_sampler *sampler)
{
	unmap_table(&sampler->vms);
	unmap_table(&sampler->policies);
	usage_bpf__destroy(sampler->skel);
	sampler->skel = NULL;
}

static int load(struct gmem_sampler *sampler)
{
	struct usage_bpf *skel;
	int err;

	skel = usage_bpf__open();
	if (!skel) {
		err = -errno;
		goto fail;
	}
	sampler->skel = skel;
	err = bpf_map__set_max_entries(skel->maps.vm_samples,
				       sampler->vms.room);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.policy_samples,
					       sampler->policies.room);
	if (!err)
		err = usage_bpf__load(skel);
	if (!err)
		err = map_table(&sampler->vms, skel->maps.vm_samples);
	if (!err)
		err = map_table(&sampler->policies, skel->maps.policy_samples);
	if (!err)
		return 0;
fail:
	gmem_err_bpf(err, "cannot load the programs that sample");
	unload(sampler);
	return err;
}

struct gmem_sampler *gmem_sampler_open(void)
{
	struct gmem_sampler *sampler;

	if (gmem_check_kernel() || gmem_check_privilege())
		return NULL;
	sampler = malloc(sizeof(*sampler));
	if (!sampler) {
		gmem_err("no memory for the sampler; free some");
		return NULL;
	}
	*sampler = (struct gmem_sampler) {
		.vms = {
			.what = "VMs",
			.item_size = sizeof(struct gmem_vm_sample),
			.room = GMEM_VMS_INITIAL,
			.max = GMEM_VMS_MAX,
		},
		.policies = {
			.what = "policies",
			.item_size = sizeof(struct gmem_policy_sample),
			.room = GMEM_POLICIES_INITIAL,
			.max = GMEM_POLICIES_MAX,
		},
	};
	if (load(sampler)) {
		free(sampler);
		return NULL;
	}
	return sampler;
}

void gmem_sampler_close(struct gmem_sampler *sampler)
{
	if (!sampler)
		return;
	unload(sampler);
	free(sampler);
}

static int run(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err;

	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (!err)
		err = (int)opts.retval;
	if (err)
		gmem_err_bpf(err, "cannot run %s", bpf_program__name(prog));
	return err;
}

static int make_room(struct gmem_sampler *sampler, struct table *table,
		     uint64_t found)
{
	if (found > table->max) {
		gmem_err("%ju %s are more than the %zu that can be shown; stop some",
			 (uintmax_t)found, table->what, table->max);
		return -E2BIG;
	}
	/* The mappings are undone by their present size. */
	unload(sampler);
	while (table->room < found)
		table->room *= 2;
	return load(sampler);
}

/* Copies @nr items out, into memory that grows as needed. */
static int copy_out(const struct table *table, size_t nr, void **items,
		    size_t *room)
{
	void *p;

	if (nr > *room) {
		p = reallocarray(*items, nr, table->item_size);
		if (!p) {
			gmem_err("no memory for %zu %s; free some", nr,
				 table->what);
			return -ENOMEM;
		}
		*items = p;
		*room = nr;
	}
	if (nr)
		memcpy(*items, table->items, nr * table->item_size);
	return 0;
}

/* The walk's program and result change place when more room is made. */
static const struct gmem_walk *walk(struct gmem_sampler *sampler,
				    const struct table *table)
{
	struct usage_bpf *skel = sampler->skel;
	bool vms = table == &sampler->vms;

	if (run(vms ? skel->progs.sample_vms : skel->progs.sample_policies))
		return NULL;
	return vms ? &skel->bss->vm_walk : &skel->bss->policy_walk;
}

static int read_table(struct gmem_sampler *sampler, struct table *table,
		      void **items, size_t *room, struct gmem_walk *result)
{
	const struct gmem_walk *seen;
	int err, tries;

	for (tries = 0; tries < READ_TRIES; tries++) {
		seen = walk(sampler, table);
		if (!seen)
			return -EIO;
		*result = *seen;
		if (result->found <= table->room)
			return copy_out(table, result->found, items, room);
		err = make_room(sampler, table, result->found);
		if (err)
			return err;
	}
	gmem_err("%s appear faster than they can be counted; try again",
		 table->what);
	return -EAGAIN;
}

int gmem_sampler_read(struct gmem_sampler *sampler, struct gmem_sample *sample)
{
	void *items = sample->vms;
	struct gmem_walk result;
	int err;

	err = read_table(sampler, &sampler->vms, &items, &sample->room,
			 &result);
	sample->vms = items;
	sample->nr_vms = err ? 0 : result.found;
	sample->time_ns = err ? 0 : result.time_ns;
	return err;
}

int gmem_sampler_read_policies(struct gmem_sampler *sampler,
			       struct gmem_policies *policies)
{
	void *items = policies->policies;
	struct gmem_walk result;
	int err;

	err = read_table(sampler, &sampler->policies, &items, &policies->room,
			 &result);
	policies->policies = items;
	policies->nr = err ? 0 : result.found;
	return err;
}

void gmem_sample_free(struct gmem_sample *sample)
{
	free(sample->vms);
	*sample = (struct gmem_sample) {};
}

void gmem_policies_free(struct gmem_policies *policies)
{
	free(policies->policies);
	*policies = (struct gmem_policies) {};
}
