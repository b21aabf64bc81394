// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens, fills in, loads and attaches a policy through libbpf.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_common.h"
#include "gmem_params.h"
#include "object.h"

#define OPS_TYPE	"kvm_gmem_ops"
#define PARAMS_VAR	"params"

struct object {
	const struct policy *policy;
	struct bpf_object *bpf;
	struct bpf_map *ops;
};

static struct bpf_map *find_ops(struct bpf_object *bpf)
{
	const struct btf *btf = bpf_object__btf(bpf);
	const struct btf_type *type;
	struct bpf_map *map;

	bpf_object__for_each_map(map, bpf) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
			continue;
		type = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
		if (type && !strcmp(btf__name_by_offset(btf, type->name_off),
				    OPS_TYPE))
			return map;
	}
	return NULL;
}

struct object *object_open(const struct policy *policy)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = policy->name);
	struct object *object = calloc(1, sizeof(*object));
	const void *elf;
	size_t size;

	if (!object) {
		gmem_err("no memory for the policy; free some");
		return NULL;
	}
	object->policy = policy;
	elf = policy->elf(&size);
	object->bpf = bpf_object__open_mem(elf, size, &opts);
	if (!object->bpf) {
		gmem_err_bpf(errno, "cannot open the policy %s", policy->name);
		goto fail;
	}
	object->ops = find_ops(object->bpf);
	if (!object->ops) {
		gmem_err("the policy %s has no struct " OPS_TYPE "; define one in SEC(\".struct_ops.link\")",
			 policy->name);
		goto fail;
	}
	return object;
fail:
	object_close(object);
	return NULL;
}

/* Stores an integer at the offset and with the width that BTF tells. */
static int store(const struct btf *btf, const struct btf_type *type, void *at,
		 size_t room, const char *member, uint64_t value)
{
	const struct btf_member *m = btf_members(type);
	size_t offset;
	int64_t size;
	int i;

	for (i = 0; i < btf_vlen(type); i++, m++) {
		if (strcmp(btf__name_by_offset(btf, m->name_off), member))
			continue;
		offset = btf_member_bit_offset(type, i) / 8;
		size = btf__resolve_size(btf, m->type);
		if (size < 0 || offset + size > room)
			return -EINVAL;
		switch (size) {
		case 4:
			*(uint32_t *)((char *)at + offset) = value;
			return 0;
		case 8:
			*(uint64_t *)((char *)at + offset) = value;
			return 0;
		default:
			return -EINVAL;
		}
	}
	return -ENOENT;
}

int object_set_member(struct object *object, const char *member,
		      uint64_t value)
{
	const struct btf *btf = bpf_object__btf(object->bpf);
	uint32_t id = bpf_map__btf_value_type_id(object->ops);
	size_t room;
	void *at = bpf_map__initial_value(object->ops, &room);
	int err;

	err = at ? store(btf, btf__type_by_id(btf, id), at, room, member,
			 value) : -EINVAL;
	if (err)
		gmem_err("struct " OPS_TYPE " of the policy %s has no number '%s'; build it against this kernel",
			 object->policy->name, member);
	return err;
}

/* The struct behind the variable that holds the parameters. */
static const struct btf_type *params_type(const struct btf *btf,
					  uint32_t *offset)
{
	const struct btf_var_secinfo *vsi;
	const struct btf_type *sec, *var;
	int i, id;

	id = btf__find_by_name_kind(btf, GMEM_PARAMS_SECTION, BTF_KIND_DATASEC);
	if (id < 0)
		return NULL;
	sec = btf__type_by_id(btf, id);
	vsi = btf_var_secinfos(sec);
	for (i = 0; i < btf_vlen(sec); i++, vsi++) {
		var = btf__type_by_id(btf, vsi->type);
		if (strcmp(btf__name_by_offset(btf, var->name_off), PARAMS_VAR))
			continue;
		id = btf__resolve_type(btf, var->type);
		if (id < 0 || !btf_is_struct(btf__type_by_id(btf, id)))
			return NULL;
		*offset = vsi->offset;
		return btf__type_by_id(btf, id);
	}
	return NULL;
}

int object_set_param(struct object *object, const char *param, uint64_t value)
{
	const struct btf *btf = bpf_object__btf(object->bpf);
	const struct btf_type *type;
	struct bpf_map *map;
	uint32_t offset = 0;
	size_t room = 0;
	char *at = NULL;
	int err = -ENOENT;

	type = params_type(btf, &offset);
	map = bpf_object__find_map_by_name(object->bpf, GMEM_PARAMS_SECTION);
	if (map)
		at = bpf_map__initial_value(map, &room);
	if (type && at && offset < room)
		err = store(btf, type, at + offset, room - offset, param,
			    value);
	if (err)
		gmem_err("the policy %s has no parameter '%s'; leave that option out",
			 object->policy->name, param);
	return err;
}

int object_load(struct object *object)
{
	int err = bpf_object__load(object->bpf);

	if (err)
		gmem_err_bpf(err, "cannot load the policy %s",
			     object->policy->name);
	return err;
}

int object_attach(struct object *object, int *fd)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(object->ops);

	if (!link)
		return -errno;
	/* Keep the descriptor, free what libbpf has around it. */
	*fd = bpf_link__fd(link);
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
	return 0;
}

void object_close(struct object *object)
{
	if (!object)
		return;
	bpf_object__close(object->bpf);
	free(object);
}
