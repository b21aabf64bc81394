// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel has no list of such policies: it is asked for all links, and those are
 * ours whose program has a map of settings.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_lsm_policies.h"

/* Of enum bpf_attach_type, bpf_link_type, which the system's headers may lack. */
#define ATTACH_LSM	27
#define LINK_TRACING	2

#define MAX_MAPS	32

/* -------------------------------------------------------------- one policy */

/* The system's headers may lack what the kernel tells of a tracing link. */
union link_info {
	struct bpf_link_info any;
	struct {
		uint32_t type;
		uint32_t id;
		uint32_t prog_id;
		uint32_t pad;
		uint32_t attach_type;
	} tracing;
};

int gmem_lsm_settings(int map, struct gmem_lsm_settings *settings)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	int err;

	err = bpf_map_get_info_by_fd(map, &info, &len);
	if (err)
		return err;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.max_entries != 1 ||
	    info.value_size != sizeof(*settings) ||
	    strcmp(info.name, GMEM_LSM_SETTINGS))
		return -EINVAL;
	err = bpf_map_lookup_elem(map, &zero, settings);
	if (err)
		return err;
	settings->name[sizeof(settings->name) - 1] = '\0';
	return settings->abi == GMEM_LSM_ABI ? 0 : -EINVAL;
}

/* Of the programs of a policy, is it the one that the policy is? */
static bool decides(const struct bpf_prog_info *info)
{
	return !strcmp(info->name, GMEM_LSM_PROG);
}

/* What the kernel says of a program, and the ids of its maps. */
static int read_prog(uint32_t prog_id, struct bpf_prog_info *info,
		     uint32_t ids[MAX_MAPS])
{
	int prog = bpf_prog_get_fd_by_id(prog_id), err;
	uint32_t len = sizeof(*info);

	if (prog < 0)
		return prog;
	memset(info, 0, sizeof(*info));
	info->nr_map_ids = MAX_MAPS;
	info->map_ids = (uintptr_t)ids;
	err = bpf_prog_get_info_by_fd(prog, info, &len);
	close(prog);
	if (info->nr_map_ids > MAX_MAPS)
		info->nr_map_ids = MAX_MAPS;
	return err;
}

/* The map of that name, and its id. */
static int find_map(const struct bpf_prog_info *prog, const char *name,
		    uint32_t *id)
{
	const uint32_t *ids = (const uint32_t *)(uintptr_t)prog->map_ids;
	struct bpf_map_info info;
	uint32_t len, i;
	int map;

	for (i = 0; i < prog->nr_map_ids; i++) {
		map = bpf_map_get_fd_by_id(ids[i]);
		if (map < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_map_get_info_by_fd(map, &info, &len) &&
		    !strcmp(info.name, name)) {
			*id = ids[i];
			return map;
		}
		close(map);
	}
	return -EINVAL;
}

int gmem_lsm_map(uint32_t prog_id, const char *name)
{
	uint32_t ids[MAX_MAPS], id;
	struct bpf_prog_info info;
	int err = read_prog(prog_id, &info, ids);

	return err ? err : find_map(&info, name, &id);
}

static int look_at(int fd, struct gmem_lsm_link *link,
		   struct gmem_lsm_settings *settings)
{
	union link_info info = {};
	uint32_t len = sizeof(info), ids[MAX_MAPS];
	struct bpf_prog_info prog;
	int map, err;

	err = bpf_link_get_info_by_fd(fd, &info.any, &len);
	if (err)
		return err;
	if (info.any.type != LINK_TRACING ||
	    info.tracing.attach_type != ATTACH_LSM)
		return -EINVAL;
	link->link_id = info.any.id;
	link->prog_id = info.any.prog_id;
	err = read_prog(link->prog_id, &prog, ids);
	if (err)
		return err;
	if (!decides(&prog))
		return -EINVAL;
	map = find_map(&prog, GMEM_LSM_SETTINGS, &link->settings_id);
	if (map < 0)
		return map;
	err = gmem_lsm_settings(map, settings);
	close(map);
	return err;
}

int gmem_lsm_link(int fd, struct gmem_lsm_link *link)
{
	struct gmem_lsm_settings settings;

	return look_at(fd, link, &settings);
}

/* ------------------------------------------------------------ all policies */

/* Calls @use with each policy in force, until it says that something is wrong. */
static int for_each(int (*use)(const struct gmem_lsm_link *link,
			       const struct gmem_lsm_settings *settings,
			       void *ctx),
		    void *ctx)
{
	struct gmem_lsm_settings settings;
	struct gmem_lsm_link link;
	uint32_t id = 0;
	int fd, err;

	while (!bpf_link_get_next_id(id, &id)) {
		fd = bpf_link_get_fd_by_id(id);
		if (fd < 0)
			continue;
		err = look_at(fd, &link, &settings);
		close(fd);
		if (err || !settings.in_force)
			continue;
		err = use(&link, &settings, ctx);
		if (err)
			return err;
	}
	if (errno == ENOENT)
		return 0;
	err = -errno;
	gmem_err_bpf(err, "cannot list the policies");
	return err;
}

static uint64_t count_keys(int map)
{
	uint64_t key, next, *at = NULL, nr = 0;

	while (nr < GMEM_VMS_MAX && !bpf_map_get_next_key(map, at, &next)) {
		key = next;
		at = &key;
		nr++;
	}
	return nr;
}

static uint64_t vms_under(const struct gmem_lsm_link *link,
			  const struct gmem_lsm_settings *settings,
			  const struct gmem_lsm_counts *counts)
{
	uint64_t nr;
	int map;

	if (settings->vm_id)
		return !counts->gone;
	map = gmem_lsm_map(link->prog_id, GMEM_LSM_VMS);
	if (map < 0)
		return 0;
	nr = count_keys(map);
	close(map);
	return nr;
}

static int read_counts(const struct gmem_lsm_link *link,
		       struct gmem_lsm_counts *counts)
{
	int map = gmem_lsm_map(link->prog_id, GMEM_LSM_COUNTS), err;
	uint32_t zero = 0;

	if (map < 0)
		return map;
	err = bpf_map_lookup_elem(map, &zero, counts);
	close(map);
	return err;
}

static int add_policy(const struct gmem_lsm_link *link,
		      const struct gmem_lsm_settings *settings, void *ctx)
{
	struct gmem_policies *policies = ctx;
	struct gmem_policy_sample *sample;
	struct gmem_lsm_counts counts;

	/* It may have ended meanwhile. */
	if (read_counts(link, &counts))
		return 0;
	if (policies->nr == policies->room) {
		sample = reallocarray(policies->policies,
				      2 * policies->room + 8, sizeof(*sample));
		if (!sample) {
			gmem_err("no memory for %zu policies; free some",
				 policies->nr);
			return -ENOMEM;
		}
		policies->policies = sample;
		policies->room = 2 * policies->room + 8;
	}
	sample = &policies->policies[policies->nr++];
	*sample = (struct gmem_policy_sample) {
		.vm_id = settings->vm_id,
		.priority = settings->priority,
		.flags = settings->flags,
		.link_id = link->link_id,
		.nr_vms = vms_under(link, settings, &counts),
		.calls = counts.calls,
		.allowed = counts.allowed,
		.denied = counts.denied,
		.clamped = counts.clamped,
		.expires_ns = settings->expires_ns,
	};
	memcpy(sample->denied_by_errno, counts.denied_by_errno,
	       sizeof(sample->denied_by_errno));
	memcpy(sample->name, settings->name, sizeof(sample->name));
	return 0;
}

int gmem_lsm_read_policies(struct gmem_policies *policies)
{
	policies->nr = 0;
	return for_each(add_policy, policies);
}

struct wanted {
	uint64_t vm_id;
	struct gmem_vm_verdicts *verdicts;
	int nr;
};

static int add_verdicts(const struct gmem_lsm_link *link,
			const struct gmem_lsm_settings *settings, void *ctx)
{
	struct wanted *wanted = ctx;
	struct gmem_lsm_vm vm;
	int map, err;

	if (wanted->nr == GMEM_VM_POLICIES_MAX)
		return 0;
	map = gmem_lsm_map(link->prog_id, GMEM_LSM_VMS);
	if (map < 0)
		return 0;
	err = bpf_map_lookup_elem(map, &wanted->vm_id, &vm);
	close(map);
	if (err)
		return 0;
	wanted->verdicts[wanted->nr++] = (struct gmem_vm_verdicts) {
		.link_id = link->link_id,
		.calls = vm.calls,
		.denied = vm.denied,
	};
	return 0;
}

int gmem_lsm_read_verdicts(uint64_t vm_id,
			   struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX])
{
	struct wanted wanted = { .vm_id = vm_id, .verdicts = verdicts };
	int err = for_each(add_verdicts, &wanted);

	return err ? err : wanted.nr;
}
