// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the members that are marked in the BTF of a policy, and their values in
 * its maps.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/budgets.h"
#include "attached/running.h"
#include "attached/scope.h"
#include "formats/rows.h"
#include "gmem_common.h"
#include "gmem_params.h"

#define MAX_DEPTH	4
/* Of an array; more are a table, not budgets to look at. */
#define MAX_ELEMENTS	8
#define TAG		GMEM_TAG "status="

/* Every GMEM_STATUS() of a policy's types. */
struct tag {
	uint32_t type;
	int member;
	const char *text;
};

struct reader {
	const char *who;
	const struct btf *btf;
	struct rows tags;
	struct rows *budgets;
	const struct vm *vm;
};

static int find_tags(struct reader *r)
{
	uint32_t nr = btf__type_cnt(r->btf), i;

	for (i = 1; i < nr; i++) {
		const struct btf_type *type = btf__type_by_id(r->btf, i);
		const char *text;
		struct tag *tag;

		if (!btf_is_decl_tag(type))
			continue;
		text = btf__name_by_offset(r->btf, type->name_off);
		if (!text || strncmp(text, TAG, strlen(TAG)))
			continue;
		tag = rows_add(&r->tags);
		if (!tag)
			return -ENOMEM;
		tag->type = type->type;
		tag->member = btf_decl_tag(type)->component_idx;
		tag->text = text + strlen(TAG);
	}
	return 0;
}

static const char *tag_of(const struct reader *r, uint32_t type, int member)
{
	const struct tag *tags = (const struct tag *)r->tags.rows;
	size_t i;

	for (i = 0; i < r->tags.nr; i++) {
		if (tags[i].type == type && tags[i].member == member)
			return tags[i].text;
	}
	return NULL;
}

/* "label;unit=U;scale=N" */
static double split_tag(const char *text, struct budget *row)
{
	const char *unit = strstr(text, ";unit=");
	const char *scale = strstr(text, ";scale=");
	uint64_t divisor;

	snprintf(row->label, sizeof(row->label), "%.*s",
		 (int)strcspn(text, ";"), text);
	if (unit)
		snprintf(row->unit, sizeof(row->unit), "%.*s",
			 (int)strcspn(unit + 6, ";"), unit + 6);
	if (!scale || gmem_parse_uint(scale + 7, &divisor) || !divisor)
		return 1;
	return divisor;
}

static int add_budget(struct reader *r, const char *path, const char *text,
		     const struct btf_type *number, const char *at)
{
	unsigned int unused = 64 - 8 * number->size;
	struct budget *row = rows_add(r->budgets);
	uint64_t raw = 0;
	double scale;

	if (!row)
		return -ENOMEM;
	snprintf(row->who, sizeof(row->who), "%s", r->who);
	snprintf(row->what, sizeof(row->what), "%s", path);
	snprintf(row->name, sizeof(row->name), "%s", r->vm->name);
	row->vm = r->vm->id;
	scale = split_tag(text, row);
	memcpy(&raw, at, number->size);
	if (btf_is_int(number) && btf_int_encoding(number) & BTF_INT_SIGNED)
		row->value = ((int64_t)(raw << unused) >> unused) / scale;
	else
		row->value = raw / scale;
	return 0;
}

static int walk(struct reader *r, uint32_t id, const char *path,
		const char *value, size_t size, int depth);

/* Structs only: a tag is on a member, and an array is more than one number. */
static int walk_array(struct reader *r, const struct btf_type *array,
		      const char *path, const char *value, size_t size,
		      int depth)
{
	int id = btf__resolve_type(r->btf, btf_array(array)->type), err = 0;
	uint32_t nr = btf_array(array)->nelems, i;
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(r->btf, id);
	char name[128];

	if (!type || !btf_is_composite(type) || !type->size || nr > MAX_ELEMENTS)
		return 0;
	for (i = 0; i < nr && !err && (i + 1) * (size_t)type->size <= size; i++) {
		snprintf(name, sizeof(name), "%.100s[%u]", path, i);
		err = walk(r, id, name, value + i * (size_t)type->size,
			   type->size, depth);
	}
	return err;
}

static int walk(struct reader *r, uint32_t id, const char *path,
		const char *value, size_t size, int depth)
{
	const struct btf_type *type = btf__type_by_id(r->btf, id);
	const struct btf_member *member = btf_members(type);
	int i, err = 0;

	for (i = 0; i < btf_vlen(type) && !err; i++, member++) {
		int target = btf__resolve_type(r->btf, member->type);
		size_t offset = btf_member_bit_offset(type, i) / 8;
		const char *text = tag_of(r, id, i);
		const struct btf_type *t;
		char name[128];

		if (target < 0 || btf_member_bitfield_size(type, i))
			continue;
		t = btf__type_by_id(r->btf, target);
		snprintf(name, sizeof(name), "%s%s%s", path, *path ? "." : "",
			 btf__name_by_offset(r->btf, member->name_off));
		if (btf_is_array(t) && depth < MAX_DEPTH)
			err = walk_array(r, t, name, value + offset,
					 offset < size ? size - offset : 0,
					 depth + 1);
		else if (btf_is_composite(t) && depth < MAX_DEPTH &&
			 offset + t->size <= size)
			err = walk(r, target, name, value + offset,
				   size - offset, depth + 1);
		else if (text && (btf_is_int(t) || btf_is_any_enum(t)) &&
			 t->size <= 8 && offset + t->size <= size)
			err = add_budget(r, name, text, t, value + offset);
	}
	return err;
}

static int read_map(struct reader *r, int map, const struct bpf_map_info *info,
		    const struct vms *vms)
{
	int id = btf__resolve_type(r->btf, info->btf_value_type_id);
	char *value;
	int err = 0;
	size_t i;

	if (id < 0 || !btf_is_composite(btf__type_by_id(r->btf, id)))
		return 0;
	value = malloc(info->value_size);
	if (!value)
		return -ENOMEM;
	for (i = 0; i < vms->nr && !err; i++) {
		r->vm = &vms->vms[i];
		if (!bpf_map_lookup_elem(map, &r->vm->id, value))
			err = walk(r, id, "", value, info->value_size, 0);
	}
	free(value);
	return err;
}

int budgets_read(struct running *running, const char *who,
		 const struct vms *vms, struct rows *budgets)
{
	struct reader r = {
		.who = who,
		.btf = running_btf(running),
		.tags = { .size = sizeof(struct tag) },
		.budgets = budgets,
	};
	struct bpf_map_info info;
	uint32_t len, id;
	size_t i;
	int err, map;

	if (!r.btf)
		return 0;
	err = find_tags(&r);
	for (i = 0; !err && r.tags.nr; i++) {
		if (running_map_id(running, i, &id))
			break;
		map = bpf_map_get_fd_by_id(id);
		if (map < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_map_get_info_by_fd(map, &info, &len) &&
		    (info.type == BPF_MAP_TYPE_HASH ||
		     info.type == BPF_MAP_TYPE_LRU_HASH) &&
		    info.key_size == sizeof(uint64_t) &&
		    info.btf_value_type_id)
			err = read_map(&r, map, &info, vms);
		close(map);
	}
	free(r.tags.rows);
	return err;
}
