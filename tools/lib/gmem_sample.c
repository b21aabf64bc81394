// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads bpf/usage.bpf.c and runs it, or leaves it to gmem_stock_sample.c where the kernel has
 * nothing of gmem.  The arrays have a fixed size, so when a program finds more than
 * fits, it is loaded anew with more room.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem_kernel.h"
#include "gmem_lsm_policies.h"
#include "gmem_parts.h"
#include "gmem_sample.h"
#include "gmem_source.h"
#include "gmem_stock_sample.h"
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
	struct gmem_stock *stock;
	struct usage_bpf *skel;
	struct table vms;
	struct table policies;
	struct gmem_parts parts[GMEM_NR_PARTS];
	uint64_t twice_of;
	uint64_t parts_max_ns;
	bool find_mapped;
	bool fixed;
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
	err = libbpf_num_possible_cpus();
	if (err < 0)
		goto fail;
	skel->rodata->nr_cpus = err;
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

static int load_any(struct gmem_sampler *sampler, const struct gmem_source *source)
{
	if (source->kind == GMEM_SOURCE_NATIVE)
		return load(sampler);
	sampler->stock = gmem_stock_open();
	return sampler->stock ? 0 : -EIO;
}

struct gmem_sampler *gmem_sampler_open(void)
{
	const struct gmem_source *source = gmem_source();
	struct gmem_sampler *sampler;

	if (!source || gmem_check_privilege())
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
	if (load_any(sampler, source)) {
		free(sampler);
		return NULL;
	}
	return sampler;
}

int gmem_sampler_count(struct gmem_sampler *sampler)
{
	return sampler->stock ? gmem_stock_count(sampler->stock) : 0;
}

void gmem_sampler_close(struct gmem_sampler *sampler)
{
	size_t i;

	if (!sampler)
		return;
	unload(sampler);
	gmem_stock_close(sampler->stock);
	for (i = 0; i < ARRAY_LEN(sampler->parts); i++)
		gmem_parts_free(&sampler->parts[i]);
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

static int no_room(const struct table *table, uint64_t found)
{
	gmem_err("%ju %s are more than the %zu that room was made for at the start; start it again with more",
		 (uintmax_t)found, table->what, table->room);
	return -E2BIG;
}

static int make_room(struct gmem_sampler *sampler, struct table *table,
		     uint64_t found)
{
	if (found > table->max) {
		gmem_err("%ju %s are more than the %zu that can be shown; stop some",
			 (uintmax_t)found, table->what, table->max);
		return -E2BIG;
	}
	if (sampler->fixed)
		return no_room(table, found);
	/* The mappings are undone by their present size. */
	unload(sampler);
	while (table->room < found)
		table->room *= 2;
	return load(sampler);
}

void gmem_sampler_twice_of(struct gmem_sampler *sampler, uint64_t vm_id,
			   uint64_t max_ns)
{
	sampler->twice_of = vm_id;
	sampler->parts_max_ns = max_ns;
}

void gmem_sampler_find_mapped(struct gmem_sampler *sampler)
{
	sampler->find_mapped = true;
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

/* What a program filled: a table, the walk it came from, and where it goes. */
struct target {
	struct table *table;
	void **items;
	size_t *room;
	struct gmem_walk walk;
};

/*
 * Runs one program until what it found fits, and copies that out.  @second is
 * NULL for a program that fills one table.
 */
static int read_tables(struct gmem_sampler *sampler,
		       const struct bpf_program *(*prog)(struct usage_bpf *skel),
		       struct target *first, struct target *second)
{
	struct target *targets[] = { first, second };
	struct target *tight;
	int err, tries;
	size_t i;

	for (tries = 0; tries < READ_TRIES; tries++) {
		/* Loaded anew, the skeleton and all in it are others. */
		sampler->skel->bss->twice_of = sampler->twice_of;
		sampler->skel->bss->find_mapped = sampler->find_mapped;
		err = run(prog(sampler->skel));
		if (err)
			return -EIO;
		tight = NULL;
		for (i = 0; i < ARRAY_LEN(targets) && targets[i]; i++) {
			struct target *target = targets[i];

			target->walk = target->table == &sampler->vms ?
					sampler->skel->bss->vm_walk :
					sampler->skel->bss->policy_walk;
			if (target->walk.found > target->table->room)
				tight = target;
		}
		if (!tight)
			break;
		err = make_room(sampler, tight->table, tight->walk.found);
		if (err)
			return err;
	}
	if (tries == READ_TRIES) {
		gmem_err("%s appear faster than they can be counted; try again",
			 tight->table->what);
		return -EAGAIN;
	}
	for (i = 0; i < ARRAY_LEN(targets) && targets[i]; i++) {
		err = copy_out(targets[i]->table, targets[i]->walk.found,
			       targets[i]->items, targets[i]->room);
		if (err)
			return err;
	}
	return 0;
}

static const struct bpf_program *vms_program(struct usage_bpf *skel)
{
	return skel->progs.sample_vms;
}

static const struct bpf_program *policies_program(struct usage_bpf *skel)
{
	return skel->progs.sample_policies;
}

static const struct bpf_program *all_program(struct usage_bpf *skel)
{
	return skel->progs.sample_all;
}

static struct target vms_target(struct gmem_sampler *sampler,
				struct gmem_sample *sample)
{
	return (struct target) {
		.table = &sampler->vms,
		.items = (void **)&sample->vms,
		.room = &sample->room,
	};
}

static struct target policies_target(struct gmem_sampler *sampler,
				     struct gmem_policies *policies)
{
	return (struct target) {
		.table = &sampler->policies,
		.items = (void **)&policies->policies,
		.room = &policies->room,
	};
}

static int read_parts(struct gmem_sampler *sampler,
		      enum gmem_parts_figure figure, struct gmem_sample *sample)
{
	return gmem_parts_read(&sampler->parts[figure], figure, sampler->skel,
			       sample->vms, sample->nr_vms,
			       sampler->parts_max_ns);
}

/* What is known of the VMs beside what stands in their table. */
static int describe_vms(struct gmem_sampler *sampler, struct gmem_sample *sample,
			const struct gmem_walk *walk, int err)
{
	sample->nr_vms = err ? 0 : walk->found;
	sample->time_ns = err ? 0 : walk->time_ns;
	sample->by_node = true;
	sample->orphaned_pages = err ? 0 : sampler->skel->bss->orphaned_pages;
	if (!err && sampler->twice_of != GMEM_TWICE_OF_LATER)
		err = read_parts(sampler, GMEM_PARTS_TWICE, sample);
	if (!err)
		err = read_parts(sampler, GMEM_PARTS_MAPPED, sample);
	if (err)
		sample->nr_vms = 0;
	return err;
}

/* It takes a capability each time, which who asked for room once may not have. */
static int read_stock_policies(struct gmem_sampler *sampler,
			       struct gmem_policies *policies)
{
	policies->hidden = sampler->fixed;
	return sampler->fixed ? 0 : gmem_lsm_read_policies(policies);
}

static int read_stock(struct gmem_sampler *sampler, struct gmem_sample *sample)
{
	int err = gmem_stock_read(sampler->stock, sample,
				  sampler->parts_max_ns);

	if (err || !sampler->fixed || sample->nr_vms <= sampler->vms.room)
		return err;
	err = no_room(&sampler->vms, sample->nr_vms);
	sample->nr_vms = 0;
	return err;
}

int gmem_sampler_read(struct gmem_sampler *sampler, struct gmem_sample *sample)
{
	struct target vms = vms_target(sampler, sample);
	int err;

	if (sampler->stock)
		return read_stock(sampler, sample);
	err = read_tables(sampler, vms_program, &vms, NULL);
	return describe_vms(sampler, sample, &vms.walk, err);
}

int gmem_sampler_read_policies(struct gmem_sampler *sampler,
			       struct gmem_policies *policies)
{
	struct target target = policies_target(sampler, policies);
	int err;

	policies->nr = 0;
	if (sampler->stock)
		return read_stock_policies(sampler, policies);
	err = read_tables(sampler, policies_program, &target, NULL);
	policies->nr = err ? 0 : target.walk.found;
	return err;
}

int gmem_sampler_read_all(struct gmem_sampler *sampler,
			  struct gmem_sample *sample,
			  struct gmem_policies *policies)
{
	struct target vms = vms_target(sampler, sample);
	struct target target = policies_target(sampler, policies);
	int err;

	policies->nr = 0;
	if (sampler->stock)
		return read_stock(sampler, sample) ?:
		       read_stock_policies(sampler, policies);
	err = read_tables(sampler, all_program, &vms, &target);
	err = describe_vms(sampler, sample, &vms.walk, err);
	policies->nr = err ? 0 : target.walk.found;
	return err;
}

int gmem_sampler_read_verdicts(struct gmem_sampler *sampler, uint64_t vm_id,
			       struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX])
{
	struct usage_bpf__bss *bss;
	int nr;

	if (sampler->stock)
		return gmem_lsm_read_verdicts(vm_id, verdicts);
	bss = sampler->skel->bss;
	bss->verdicts_vm_id = vm_id;
	if (run(sampler->skel->progs.sample_verdicts))
		return -EIO;
	nr = bss->nr_verdicts;
	if (nr == -ESRCH)
		return 0;
	if (nr < 0 || nr > GMEM_VM_POLICIES_MAX) {
		gmem_err("the kernel counts %d policies on VM %ju, where %d can be; use the tools that came with it",
			 nr, (uintmax_t)vm_id, GMEM_VM_POLICIES_MAX);
		return -EPROTO;
	}
	memcpy(verdicts, bss->verdicts, nr * sizeof(verdicts[0]));
	return nr;
}

int gmem_sampler_cgroup(struct gmem_sampler *sampler, uint64_t vm_id,
			char path[GMEM_CGROUP_LEN])
{
	struct usage_bpf__bss *bss;

	if (sampler->stock)
		return -EXDEV;
	bss = sampler->skel->bss;
	bss->cgroup_vm_id = vm_id;
	if (run(sampler->skel->progs.read_cgroup))
		return -EIO;
	if (bss->cgroup_len < 0)
		return bss->cgroup_len;
	memcpy(path, bss->cgroup_path, GMEM_CGROUP_LEN);
	path[GMEM_CGROUP_LEN - 1] = '\0';
	return 0;
}

int gmem_sampler_fix(struct gmem_sampler *sampler, size_t vms, size_t policies)
{
	int err;

	if (sampler->stock) {
		sampler->vms.room = vms;
		sampler->fixed = true;
		return 0;
	}
	if (vms > sampler->vms.room || policies > sampler->policies.room) {
		unload(sampler);
		if (vms > sampler->vms.room)
			sampler->vms.room = vms;
		if (policies > sampler->policies.room)
			sampler->policies.room = policies;
		err = load(sampler);
		if (err)
			return err;
	}
	sampler->fixed = true;
	return 0;
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
