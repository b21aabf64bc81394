// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the link to its map of a struct kvm_gmem_ops, from there to the
 * programs, and from those to the maps they use.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/ops.h"
#include "attached/pins.h"
#include "attached/running.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_params.h"

struct running {
	char *who;
	uint32_t link_id;
	uint32_t ops_id;
	int link;
	int ops;
	int nr_progs;
	uint32_t progs[OPS_MAX_PROGS];
	size_t nr_maps;
	uint32_t maps[RUNNING_MAX_MAPS];
	struct btf *btf;
	struct params params;
	void *values;
	int live;
	int data;
};

static void time_is_up(const char *who)
{
	gmem_err("the policy %s has ended: its time is up; attach it anew to have it again",
		 who);
}

static int failed(const struct running *running, int err, const char *what)
{
	gmem_err_bpf(err, "cannot %s of the policy %s", what, running->who);
	return err;
}

/* ---------------------------------------------------------------- programs */

static int read_prog(struct running *running, uint32_t id, uint64_t *tags)
{
	uint32_t ids[OPS_MAX_MAPS], len, i;
	struct bpf_prog_info info = {
		.nr_map_ids = OPS_MAX_MAPS,
		.map_ids = (uintptr_t)ids,
	};
	size_t k;
	int fd, err;

	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return fd;
	len = sizeof(info);
	err = tags ? ops_add_prog(fd, tags, &info) :
		     bpf_prog_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (err)
		return err;
	for (i = 0; i < info.nr_map_ids && i < OPS_MAX_MAPS; i++) {
		for (k = 0; k < running->nr_maps && running->maps[k] != ids[i];
		     k++)
			;
		if (k == running->nr_maps && k < RUNNING_MAX_MAPS)
			running->maps[running->nr_maps++] = ids[i];
	}
	if (!running->btf && info.btf_id)
		running->btf = btf__load_from_kernel_by_id(info.btf_id);
	return 0;
}

static int read_progs(struct running *running, uint64_t *tags)
{
	int i, err;

	running->nr_progs = ops_progs(running->link, running->ops,
				      running->progs);
	if (running->nr_progs < 0)
		return failed(running, running->nr_progs, "find the programs");
	for (i = 0; i < running->nr_progs; i++) {
		err = read_prog(running, running->progs[i], tags);
		if (err)
			return failed(running, err, "read the programs");
	}
	return 0;
}

int running_tags(const struct running *running, uint64_t *tags)
{
	/* What it finds a second time it knows already. */
	*tags = 0;
	return read_progs((struct running *)running, tags);
}

/* -------------------------------------------------------------------- maps */

int running_map(const struct running *running, const char *name)
{
	struct bpf_map_info info;
	uint32_t len;
	size_t i;
	int fd;

	for (i = 0; i < running->nr_maps; i++) {
		fd = bpf_map_get_fd_by_id(running->maps[i]);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_map_get_info_by_fd(fd, &info, &len) &&
		    !strncmp(info.name, name, sizeof(info.name) - 1))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

int running_map_id(const struct running *running, size_t index, uint32_t *id)
{
	if (index >= running->nr_maps)
		return -ENOENT;
	*id = running->maps[index];
	return 0;
}

const struct btf *running_btf(const struct running *running)
{
	return running->btf;
}

/* ------------------------------------------------------------------ values */

static int read_whole(int map, uint32_t offset, void *dst, uint32_t size)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	char *whole;
	int err;

	err = bpf_map_get_info_by_fd(map, &info, &len);
	if (err)
		return err;
	if (info.key_size != sizeof(zero) || offset > info.value_size ||
	    size > info.value_size - offset)
		return -EINVAL;
	whole = malloc(info.value_size);
	if (!whole)
		return -ENOMEM;
	err = bpf_map_lookup_elem(map, &zero, whole);
	if (!err)
		memcpy(dst, whole + offset, size);
	free(whole);
	return err;
}

/* -ENOENT if none were set since it was attached. */
static int read_live(struct running *running, int live)
{
	uint32_t zero = 0, id;
	int map, err;

	err = bpf_map_lookup_elem(live, &zero, &id);
	if (err)
		return err;
	map = bpf_map_get_fd_by_id(id);
	if (map < 0)
		return map;
	err = read_whole(map, 0, running->values, running->params.size);
	close(map);
	return err;
}

int running_refresh(struct running *running)
{
	int err = -ENOENT;

	if (!running->params.size)
		return 0;
	if (running->live >= 0)
		err = read_live(running, running->live);
	if (err == -ENOENT && running->data >= 0)
		err = read_whole(running->data, running->params.offset,
				 running->values, running->params.size);
	return err ? failed(running, err, "read the parameters") : 0;
}

static int commit_live(struct running *running, int live)
{
	uint32_t zero = 0;
	int map, err;

	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "params", sizeof(zero),
			     running->params.size, 1, NULL);
	if (map < 0)
		return map;
	err = bpf_map_update_elem(map, &zero, running->values, 0);
	if (!err)
		err = bpf_map_update_elem(live, &zero, &map, 0);
	close(map);
	return err;
}

/*
 * For a policy that reads the variable without gmem_params().  Each number is
 * the old or the new one, but a program may see some of both.
 */
static int commit_data(struct running *running)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	int map = running->data, err;
	char *whole;

	err = bpf_map_get_info_by_fd(map, &info, &len);
	whole = err ? NULL : malloc(info.value_size);
	if (whole) {
		err = bpf_map_lookup_elem(map, &zero, whole);
		if (!err) {
			memcpy(whole + running->params.offset, running->values,
			       running->params.size);
			err = bpf_map_update_elem(map, &zero, whole, 0);
		}
	} else if (!err) {
		err = -ENOMEM;
	}
	free(whole);
	return err;
}

int running_commit(struct running *running)
{
	int err;

	if (running->live >= 0)
		err = commit_live(running, running->live);
	else
		err = running->data >= 0 ? commit_data(running) : -ENOENT;
	return err ? failed(running, err, "set the parameters") : 0;
}

/* -------------------------------------------------------------------- link */

/* -ENOLINK if it is attached to nothing any more. */
static int read_link(int link, uint32_t *map_id)
{
	uint32_t link_id;
	int err = ops_link(link, &link_id, map_id);

	return err ? err : *map_id ? 0 : -ENOLINK;
}

/* ------------------------------------------------------------------- flags */

int running_priority(const struct running *running, int32_t *priority)
{
	uint64_t value = 0;
	int err = ops_number(running->ops, "priority", &value);

	if (err)
		return failed(running, err, "read the priority");
	*priority = value;
	return 0;
}

uint64_t running_expires(const struct running *running)
{
	uint64_t value = 0;

	return ops_number(running->ops, "expires_ns", &value) ? 0 : value;
}

int running_flags(const struct running *running, uint32_t *flags)
{
	uint64_t value = 0;
	int err = ops_number(running->ops, "flags", &value);

	if (err)
		return failed(running, err, "read the mode");
	*flags = value;
	return 0;
}

int running_set_flags(struct running *running, uint32_t flags)
{
	const struct ops_change change = { .flags = flags };

	return running_change(running, &change);
}

int running_change(struct running *running, const struct ops_change *change)
{
	int map, err;

	err = ops_set(running->ops, change);
	if (!err)
		return 0;
	if (err != -EINVAL)
		return failed(running, err, "change the mode");
	map = ops_copy(running->ops, change);
	if (map < 0)
		return failed(running, map, "make a copy");
	err = bpf_link_update(running->link, map, NULL);
	if (err) {
		close(map);
		if (err == -ETIME) {
			time_is_up(running->who);
			return err;
		}
		return failed(running, err, "change the mode");
	}
	close(running->ops);
	running->ops = map;
	return read_link(running->link, &running->ops_id);
}

/* -------------------------------------------------------------------- open */

static int open_link(struct running *running)
{
	int err;

	running->link = bpf_link_get_fd_by_id(running->link_id);
	if (running->link < 0)
		return running->link;
	err = read_link(running->link, &running->ops_id);
	if (err)
		return err;
	running->ops = bpf_map_get_fd_by_id(running->ops_id);
	return running->ops < 0 ? running->ops : ops_check(running->ops);
}

static void has_ended(const char *who)
{
	gmem_err("the policy %s has ended and only its pin is left; remove it: gmempolicy detach %s",
		 who, who);
}

struct running *running_open(uint32_t link_id, const char *who)
{
	struct running *running = calloc(1, sizeof(*running));
	int err;

	if (!running)
		goto no_memory;
	running->link = -1;
	running->ops = -1;
	running->live = -1;
	running->data = -1;
	running->link_id = link_id;
	running->who = strdup(who);
	if (!running->who)
		goto no_memory;
	err = open_link(running);
	if (err == -ENOENT || err == -ENOLINK) {
		has_ended(who);
		goto fail;
	}
	if (err == -EINVAL) {
		gmem_err("%s is no policy; see gmempolicy list", who);
		goto fail;
	}
	if (err) {
		failed(running, err, "open the link");
		goto fail;
	}
	if (read_progs(running, NULL) ||
	    params_read(&running->params, running->btf, who))
		goto fail;
	running->values = calloc(1, running->params.size + 1);
	if (!running->values)
		goto no_memory;
	running->live = running_map(running, GMEM_PARAMS_LIVE);
	running->data = running_map(running, GMEM_PARAMS_SECTION);
	if (running_refresh(running))
		goto fail;
	return running;
no_memory:
	gmem_err("no memory to look at a policy; free some");
fail:
	running_close(running);
	return NULL;
}

int running_renew(struct running **running)
{
	struct running *old = *running, *new;
	uint32_t ops_id;
	int err;

	err = read_link(old->link, &ops_id);
	if (err == -ENOLINK) {
		gmem_err("the policy %s has ended meanwhile; see gmempolicy list for those in force",
			 old->who);
		return err;
	}
	if (err)
		return failed(old, err, "look at the link");
	if (ops_id == old->ops_id && running_has_ended(old)) {
		time_is_up(old->who);
		return -ETIME;
	}
	if (ops_id == old->ops_id)
		return running_refresh(old);
	new = running_open(old->link_id, old->who);
	if (!new)
		return -ENOENT;
	running_close(old);
	*running = new;
	return 0;
}

bool running_has_ended(const struct running *running)
{
	return ops_has_ended(running->ops);
}

/* To change one that KVM does not ask any more is a mistake. */
static struct running *open_unended(uint32_t link_id, const char *who)
{
	struct running *running = running_open(link_id, who);

	if (!running || !running_has_ended(running))
		return running;
	time_is_up(who);
	running_close(running);
	return NULL;
}

struct running *running_find(const char *what)
{
	struct pin pin;
	uint64_t id;
	int err;

	if (gmem_check_privilege())
		return NULL;
	err = pins_find(what, &pin);
	if (!err && pin.is_link)
		return open_unended(pin.link_id, what);
	if (err && err != -ENOENT)
		return NULL;
	if (err && !gmem_parse_uint(what, &id) && id && id <= UINT32_MAX &&
	    !pins_link_is_gone(id))
		return open_unended(id, what);
	gmem_err("no attached policy has the name or link id '%s'; see gmempolicy list",
		 what);
	return NULL;
}

void running_close(struct running *running)
{
	if (!running)
		return;
	if (running->live >= 0)
		close(running->live);
	if (running->data >= 0)
		close(running->data);
	if (running->ops >= 0)
		close(running->ops);
	if (running->link >= 0)
		close(running->link);
	btf__free(running->btf);
	params_free(&running->params);
	free(running->values);
	free(running->who);
	free(running);
}

int running_link(const struct running *running)
{
	return running->link;
}

const struct params *running_params(const struct running *running)
{
	return &running->params;
}

void *running_values(const struct running *running)
{
	return running->params.size ? running->values : NULL;
}
