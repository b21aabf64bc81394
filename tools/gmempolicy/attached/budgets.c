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
#include "attached/limits.h"
#include "attached/running.h"
#include "formats/rows.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_params.h"
#include "gmem_scope.h"

#define MAX_DEPTH	4
/* Of an array; more are a table, not budgets to look at. */
#define MAX_ELEMENTS	8
#define STATUS_TAG	GMEM_TAG "status="
#define BUDGET_TAG	GMEM_TAG "budget="
#define BUCKET		"gmem_bucket"

/* Every GMEM_STATUS() and GMEM_BUDGET() of a policy's types. */
struct tag {
	uint32_t type;
	int member;
	bool is_budget;
	const char *text;
};

struct reader {
	const char *who;
	const struct btf *btf;
	struct rows tags;
	struct rows *budgets;
	struct rows *limits;
	const struct vm *vm;
	uint64_t now;
};

/**
 * struct place - where a number is
 * @path: the members to it, as in C
 * @label: what its bucket is a budget of, NULL if that is not said
 * @nr: index in the innermost array
 * @value: the bytes there
 * @size: how many
 * @depth: structs around it
 */
struct place {
	char path[512];
	const char *label;
	uint32_t nr;
	const char *value;
	size_t size;
	int depth;
};

static int find_tags(struct reader *r)
{
	uint32_t nr = btf__type_cnt(r->btf), i;

	for (i = 1; i < nr; i++) {
		const struct btf_type *type = btf__type_by_id(r->btf, i);
		const char *text;
		struct tag *tag;
		bool is_budget;

		if (!btf_is_decl_tag(type))
			continue;
		text = btf__name_by_offset(r->btf, type->name_off);
		is_budget = text && !strncmp(text, BUDGET_TAG,
					     strlen(BUDGET_TAG));
		if (!is_budget &&
		    (!text || strncmp(text, STATUS_TAG, strlen(STATUS_TAG))))
			continue;
		tag = rows_add(&r->tags);
		if (!tag)
			return -ENOMEM;
		tag->type = type->type;
		tag->member = btf_decl_tag(type)->component_idx;
		tag->is_budget = is_budget;
		tag->text = strchr(text, '=') + 1;
	}
	return 0;
}

static const char *tag_of(const struct reader *r, uint32_t type, int member,
			  bool is_budget)
{
	const struct tag *tags = (const struct tag *)r->tags.rows;
	size_t i;

	for (i = 0; i < r->tags.nr; i++) {
		if (tags[i].type == type && tags[i].member == member &&
		    tags[i].is_budget == is_budget)
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
	snprintf(row->what, sizeof(row->what), "%.127s", path);
	row->name = vm_name(r->vm);
	row->vm = r->vm->id;
	scale = split_tag(text, row);
	memcpy(&raw, at, number->size);
	row->kind = BUDGET_UINT;
	if (btf_is_int(number) && btf_int_encoding(number) & BTF_INT_SIGNED) {
		raw = (int64_t)(raw << unused) >> unused;
		row->kind = BUDGET_INT;
		row->value = (int64_t)raw / scale;
	} else {
		row->value = raw / scale;
	}
	row->exact = raw;
	if (scale != 1)
		row->kind = BUDGET_REAL;
	return 0;
}

/* The @nr-th of "one,other"; the last if there are not as many. */
static void copy_label(char *dst, size_t size, const char *text, uint32_t nr)
{
	const char *comma;

	while (nr-- && (comma = strchr(text, ',')))
		text = comma + 1;
	snprintf(dst, size, "%.*s", (int)strcspn(text, ","), text);
}

/* "conversions.bucket": what is said twice is left out. */
static void copy_path(char *dst, size_t size, const char *path)
{
	static const char last[] = ".bucket";
	size_t len = strlen(path);

	if (len > strlen(last) && !strcmp(path + len - strlen(last), last))
		len -= strlen(last);
	snprintf(dst, size, "%.*s", (int)len, path);
}

static bool read_u64(const struct reader *r, const struct btf_type *type,
		     const char *name, const struct place *at, uint64_t *number)
{
	const struct btf_member *member = btf_members(type);
	size_t offset;
	int i;

	for (i = 0; i < btf_vlen(type); i++, member++) {
		if (strcmp(btf__name_by_offset(r->btf, member->name_off), name))
			continue;
		offset = btf_member_bit_offset(type, i) / 8;
		if (btf_member_bitfield_size(type, i) ||
		    btf__resolve_size(r->btf, member->type) != sizeof(*number) ||
		    offset + sizeof(*number) > at->size)
			return false;
		memcpy(number, at->value + offset, sizeof(*number));
		return true;
	}
	return false;
}

/* A struct that is called so, whoever made it: it may have other members. */
static int add_bucket(struct reader *r, const struct btf_type *type,
		      const struct place *at)
{
	const struct btf_member *member = btf_members(type);
	uint64_t credit, last, rate = 0, burst = 0;
	const struct btf_type *t;
	struct limit *row;
	int i, id;

	if (!read_u64(r, type, "credit", at, &credit) ||
	    !read_u64(r, type, "last", at, &last))
		return 0;
	for (i = 0; i < btf_vlen(type); i++, member++) {
		struct place inner = *at;

		id = btf__resolve_type(r->btf, member->type);
		t = id < 0 ? NULL : btf__type_by_id(r->btf, id);
		if (!t || !btf_is_struct(t) ||
		    strcmp(btf__name_by_offset(r->btf, member->name_off),
			   "limit"))
			continue;
		inner.value += btf_member_bit_offset(type, i) / 8;
		inner.size -= btf_member_bit_offset(type, i) / 8;
		if (!read_u64(r, t, "rate", &inner, &rate) ||
		    !read_u64(r, t, "burst", &inner, &burst))
			return 0;
	}
	/* One that was never asked has no limit yet. */
	if (!burst)
		return 0;
	row = rows_add(r->limits);
	if (!row)
		return -ENOMEM;
	snprintf(row->who, sizeof(row->who), "%s", r->who);
	row->vm = r->vm->id;
	row->name = r->vm->name;
	snprintf(row->unit, sizeof(row->unit), "tokens");
	if (at->label)
		copy_label(row->what, sizeof(row->what), at->label, at->nr);
	else
		copy_path(row->what, sizeof(row->what), at->path);
	limit_of_bucket(row, credit, last, rate, burst, r->now);
	return 0;
}

static int walk(struct reader *r, uint32_t id, const struct place *at);

/* Structs only: a tag is on a member, and an array is more than one number. */
static int walk_array(struct reader *r, const struct btf_type *array,
		      const struct place *at)
{
	int id = btf__resolve_type(r->btf, btf_array(array)->type), err = 0;
	uint32_t nr = btf_array(array)->nelems, i;
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(r->btf, id);
	struct place element;

	if (!type || !btf_is_composite(type) || !type->size || nr > MAX_ELEMENTS)
		return 0;
	for (i = 0; i < nr && !err &&
		    (i + 1) * (size_t)type->size <= at->size; i++) {
		element = *at;
		snprintf(element.path, sizeof(element.path), "%.490s[%u]",
			 at->path, i);
		element.nr = i;
		element.value += i * (size_t)type->size;
		element.size = type->size;
		err = walk(r, id, &element);
	}
	return err;
}

static int walk_member(struct reader *r, uint32_t target, const char *text,
		       const struct place *at)
{
	const struct btf_type *t = btf__type_by_id(r->btf, target);

	if (btf_is_array(t) && at->depth < MAX_DEPTH)
		return walk_array(r, t, at);
	if (btf_is_composite(t) && at->depth < MAX_DEPTH &&
	    t->size <= at->size)
		return walk(r, target, at);
	if (text && (btf_is_int(t) || btf_is_any_enum(t)) && t->size <= 8 &&
	    t->size <= at->size)
		return add_budget(r, at->path, text, t, at->value);
	return 0;
}

static int walk(struct reader *r, uint32_t id, const struct place *at)
{
	const struct btf_type *type = btf__type_by_id(r->btf, id);
	const struct btf_member *member = btf_members(type);
	const char *name = btf__name_by_offset(r->btf, type->name_off);
	int i, err = 0;

	if (r->limits && btf_is_struct(type) && !strcmp(name, BUCKET))
		err = add_bucket(r, type, at);
	for (i = 0; i < btf_vlen(type) && !err; i++, member++) {
		int target = btf__resolve_type(r->btf, member->type);
		size_t offset = btf_member_bit_offset(type, i) / 8;
		struct place inner = {
			.label = tag_of(r, id, i, true),
			.depth = at->depth + 1,
		};

		if (target < 0 || btf_member_bitfield_size(type, i) ||
		    offset > at->size)
			continue;
		inner.value = at->value + offset;
		inner.size = at->size - offset;
		snprintf(inner.path, sizeof(inner.path), "%.380s%s%.120s", at->path,
			 *at->path ? "." : "",
			 btf__name_by_offset(r->btf, member->name_off));
		err = walk_member(r, target, tag_of(r, id, i, false), &inner);
	}
	return err;
}

static int read_map(struct reader *r, int map, const struct bpf_map_info *info,
		    const struct vms *vms)
{
	int id = btf__resolve_type(r->btf, info->btf_value_type_id);
	struct place whole = {};
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
		r->now = gmem_now_ns();
		whole.value = value;
		whole.size = info->value_size;
		if (!bpf_map_lookup_elem(map, &r->vm->id, value))
			err = walk(r, id, &whole);
	}
	free(value);
	return err;
}

int budgets_read(struct running *running, const char *who,
		 const struct vms *vms, struct rows *budgets,
		 struct rows *limits)
{
	struct reader r = {
		.who = who,
		.btf = running_btf(running),
		.tags = { .size = sizeof(struct tag) },
		.budgets = budgets,
		.limits = limits,
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
