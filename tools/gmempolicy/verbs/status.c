// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy status: what each policy in force has done, to which VM it did it,
 * what came of that for each VM, what the policy is set to, and what it
 * remembers of each VM.  The first three are the kernel's to tell, the others
 * are found in the policy's maps by its BTF.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/attached.h"
#include "gmem_params.h"
#include "attached/running.h"
#include "attached/scope.h"
#include "formats/table.h"
#include "verbs/verbs.h"

#define MAX_DEPTH	4
/* Of an array; more are a table, not budgets to look at. */
#define MAX_ELEMENTS	8
#define TAG		GMEM_TAG "status="

static bool json;

const struct gmem_option status_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* --------------------------------------------------------------------- rows */

/* All rows of a kind, in memory that grows. */
struct list {
	size_t nr;
	size_t size;
	char *rows;
};

static void *add_row(struct list *list)
{
	char *more = reallocarray(list->rows, list->nr + 1, list->size);

	if (!more) {
		gmem_err("no memory for the status; free some");
		return NULL;
	}
	list->rows = more;
	more += list->nr++ * list->size;
	memset(more, 0, list->size);
	return more;
}

struct policy_row {
	char who[NAME_MAX + 1];
	const struct gmem_policy_sample *policy;
};

struct verdict_row {
	char who[NAME_MAX + 1];
	const struct vm *vm;
	struct gmem_vm_verdicts verdicts;
};

struct setting_row {
	char who[NAME_MAX + 1];
	char name[64];
	char value[PARAM_TEXT_SIZE];
	char unit[64];
};

struct state_row {
	char who[NAME_MAX + 1];
	uint64_t vm;
	char name[64];
	char what[128];
	char label[64];
	char unit[32];
	double value;
};

#define TEXT_OF(type, member)						\
	static struct value type##_##member(const void *row)		\
	{								\
		const char *text = ((const struct type##_row *)row)->member; \
									\
		return *text ? TEXT_VALUE(text) : NO_VALUE;		\
	}

#define COUNT_OF(member, expr)						\
	static struct value policy_##member(const void *row)		\
	{								\
		const struct gmem_policy_sample *p =			\
			((const struct policy_row *)row)->policy;	\
									\
		return UINT_VALUE(expr);				\
	}

TEXT_OF(policy, who)
COUNT_OF(vms, p->nr_vms)
COUNT_OF(calls, p->calls)
COUNT_OF(allowed, p->allowed)
COUNT_OF(denied, p->denied)
COUNT_OF(delayed, p->delayed)
COUNT_OF(delayed_ms, p->delayed_ns / 1000000)

static struct value policy_name(const void *row)
{
	return TEXT_VALUE(((const struct policy_row *)row)->policy->name);
}

static struct value policy_mode(const void *row)
{
	return TEXT_VALUE(((const struct policy_row *)row)->policy->flags &
			  GMEM_POLICY_AUDIT ? "audit" : "enforce");
}

static const struct column policy_columns[] = {
	{ "ATTACHED", "pin", policy_who },
	{ "POLICY", "policy", policy_name },
	{ "MODE", "mode", policy_mode },
	{ "VMS", "vms", policy_vms },
	{ "CALLS", "calls", policy_calls },
	{ "ALLOWED", "allowed", policy_allowed },
	{ "DENIED", "denied", policy_denied },
	{ "DELAYED", "delayed", policy_delayed },
	{ "DELAY-MS", "delayed_ms", policy_delayed_ms },
	{}
};

#define VERDICT_VALUE(member, expr)					\
	static struct value verdict_##member(const void *row)		\
	{								\
		const struct verdict_row *r = row;			\
									\
		return expr;						\
	}

TEXT_OF(verdict, who)
VERDICT_VALUE(vm, UINT_VALUE(r->vm->id))
VERDICT_VALUE(text, TEXT_VALUE(r->vm->name))
VERDICT_VALUE(calls, UINT_VALUE(r->verdicts.calls))
VERDICT_VALUE(denied, UINT_VALUE(r->verdicts.denied))
VERDICT_VALUE(delayed, UINT_VALUE(r->verdicts.delayed))
VERDICT_VALUE(delayed_ms, UINT_VALUE(r->verdicts.delayed_ns / 1000000))

static const struct column verdict_columns[] = {
	{ "ATTACHED", "pin", verdict_who },
	{ "VM", "vm_id", verdict_vm },
	{ "NAME", "name", verdict_text },
	{ "CALLS", "calls", verdict_calls },
	{ "DENIED", "denied", verdict_denied },
	{ "DELAYED", "delayed", verdict_delayed },
	{ "DELAY-MS", "delayed_ms", verdict_delayed_ms },
	{}
};

#define VM_VALUE(member, expr)						\
	static struct value vm_##member(const void *row)		\
	{								\
		const struct vm *vm = row;				\
									\
		return expr;						\
	}

VM_VALUE(id, UINT_VALUE(vm->id))
VM_VALUE(text, TEXT_VALUE(vm->name))
VM_VALUE(denied, UINT_VALUE(vm->denied))
VM_VALUE(delayed, UINT_VALUE(vm->delayed))
VM_VALUE(delayed_ms, UINT_VALUE(vm->delayed_ns / 1000000))

static const struct column vm_columns[] = {
	{ "VM", "vm_id", vm_id },
	{ "NAME", "name", vm_text },
	{ "DENIED", "denied", vm_denied },
	{ "DELAYED", "delayed", vm_delayed },
	{ "DELAY-MS", "delayed_ms", vm_delayed_ms },
	{}
};

TEXT_OF(setting, who)
TEXT_OF(setting, name)
TEXT_OF(setting, value)
TEXT_OF(setting, unit)

static const struct column setting_columns[] = {
	{ "ATTACHED", "pin", setting_who },
	{ "PARAMETER", "name", setting_name },
	{ "VALUE", "value", setting_value },
	{ "UNIT", "unit", setting_unit },
	{}
};

TEXT_OF(state, who)
TEXT_OF(state, name)
TEXT_OF(state, what)
TEXT_OF(state, label)
TEXT_OF(state, unit)

static struct value state_vm(const void *row)
{
	return UINT_VALUE(((const struct state_row *)row)->vm);
}

static struct value state_value(const void *row)
{
	return REAL_VALUE(((const struct state_row *)row)->value);
}

static const struct column state_columns[] = {
	{ "ATTACHED", "pin", state_who },
	{ "VM", "vm_id", state_vm },
	{ "NAME", "name", state_name },
	{ "BUDGET", "member", state_what },
	{ "VALUE", "value", state_value },
	{ "UNIT", "unit", state_unit },
	{ "WHAT IT IS", "label", state_label },
	{}
};

/* ------------------------------------------------------- what a map remembers */

/* Every GMEM_STATUS() of a policy's types. */
struct tag {
	uint32_t type;
	int member;
	const char *text;
};

struct reader {
	const char *who;
	const struct btf *btf;
	struct list tags;
	struct list *states;
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
		tag = add_row(&r->tags);
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
static double split_tag(const char *text, struct state_row *row)
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

static int add_state(struct reader *r, const char *path, const char *text,
		     const struct btf_type *number, const char *at)
{
	unsigned int unused = 64 - 8 * number->size;
	struct state_row *row = add_row(r->states);
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
			err = add_state(r, name, text, t, value + offset);
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

static int read_states(struct running *running, const char *who,
		       const struct vms *vms, struct list *states)
{
	struct reader r = {
		.who = who,
		.btf = running_btf(running),
		.tags = { .size = sizeof(struct tag) },
		.states = states,
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

/* -------------------------------------------------------------------- verb */

static int read_settings(struct running *running, const char *who,
			 struct list *settings)
{
	const struct params *params = running_params(running);
	struct setting_row *row;
	size_t i;

	for (i = 0; i < params->nr; i++) {
		const struct param *param = &params->params[i];

		row = add_row(settings);
		if (!row)
			return -ENOMEM;
		snprintf(row->who, sizeof(row->who), "%s", who);
		snprintf(row->name, sizeof(row->name), "%s", param->name);
		snprintf(row->unit, sizeof(row->unit), "%s", param->unit);
		param_format(param, param_load(param, running_values(running)),
			     row->value);
	}
	return 0;
}

static const char *who_is(const struct entry *entry, char who[NAME_MAX + 1])
{
	if (entry->pin)
		snprintf(who, NAME_MAX + 1, "%s", entry->pin);
	else
		snprintf(who, NAME_MAX + 1, "link %u", entry->link_id);
	return who;
}

static int read_entry(const struct entry *entry, const struct vms *vms,
		      struct list *policies, struct list *settings,
		      struct list *states)
{
	struct policy_row *row = add_row(policies);
	struct running *running;
	int err;

	if (!row)
		return -ENOMEM;
	row->policy = entry->policy;
	who_is(entry, row->who);
	running = running_open(entry->link_id, row->who);
	/* What the kernel tells of it is there all the same. */
	if (!running)
		return -ENOLINK;
	err = read_settings(running, row->who, settings);
	if (!err)
		err = read_states(running, row->who, vms, states);
	running_close(running);
	return err;
}

/* The policies of @attached that @only means, and what each said of the VM. */
static int read_verdicts(struct gmem_sampler *sampler, const struct vm *vm,
			 const struct attached *attached, const char *only,
			 struct list *rows)
{
	struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX];
	int nr = gmem_sampler_read_verdicts(sampler, vm->id, verdicts);
	int i;

	for (i = 0; i < nr; i++) {
		struct verdict_row *row;
		size_t j;

		for (j = 0; j < attached->nr; j++) {
			const struct entry *entry = &attached->entries[j];

			if (!entry->policy ||
			    entry->link_id != verdicts[i].link_id ||
			    !entry_is(entry, only))
				continue;
			row = add_row(rows);
			if (!row)
				return -ENOMEM;
			who_is(entry, row->who);
			row->vm = vm;
			row->verdicts = verdicts[i];
			break;
		}
	}
	return nr < 0 ? nr : 0;
}

static int print_lists(const struct list *policies, const struct list *verdicts,
		       const struct vms *vms, const struct list *settings,
		       const struct list *states)
{
	const struct table tables[] = {
		{
			.key = "policies",
			.none = "No policy is attached.",
			.columns = policy_columns,
			.rows = policies->rows,
			.row_size = policies->size,
			.nr_rows = policies->nr,
		},
		{
			.key = "verdicts",
			.none = "No policy is in force on a VM.",
			.columns = verdict_columns,
			.rows = verdicts->rows,
			.row_size = verdicts->size,
			.nr_rows = verdicts->nr,
		},
		{
			.key = "vms",
			.none = "No VM runs.",
			.columns = vm_columns,
			.rows = vms->vms,
			.row_size = sizeof(*vms->vms),
			.nr_rows = vms->nr,
		},
		{
			.key = "parameters",
			.none = "No parameters.",
			.columns = setting_columns,
			.rows = settings->rows,
			.row_size = settings->size,
			.nr_rows = settings->nr,
		},
		{
			.key = "budgets",
			.none = "No budgets.",
			.columns = state_columns,
			.rows = states->rows,
			.row_size = states->size,
			.nr_rows = states->nr,
		},
	};

	return tables_print(tables, policies->nr || json ?
			    ARRAY_LEN(tables) : 1, json);
}

static int status(struct gmem_sampler *sampler, const char *only)
{
	struct list policies = { .size = sizeof(struct policy_row) };
	struct list verdicts = { .size = sizeof(struct verdict_row) };
	struct list settings = { .size = sizeof(struct setting_row) };
	struct list states = { .size = sizeof(struct state_row) };
	struct attached *attached;
	struct vms vms = {};
	int err, missing = 0;
	size_t i;

	err = attached_read_with_vms(&attached, &vms, sampler);
	if (err)
		return err;
	for (i = 0; !err && i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];

		if (!entry->policy || !entry_is(entry, only))
			continue;
		err = read_entry(entry, &vms, &policies, &settings, &states);
		if (err == -ENOLINK) {
			missing = err;
			err = 0;
		}
	}
	for (i = 0; !err && i < vms.nr; i++)
		err = read_verdicts(sampler, &vms.vms[i], attached, only,
				    &verdicts);
	if (!err && only && !policies.nr) {
		gmem_err("no attached policy has the name or link id '%s'; see gmempolicy list",
			 only);
		err = -ENOENT;
	}
	if (!err)
		err = print_lists(&policies, &verdicts, &vms, &settings, &states);
	free(policies.rows);
	free(verdicts.rows);
	free(settings.rows);
	free(states.rows);
	attached_free(attached);
	vms_free(&vms);
	return err ?: missing;
}

int run_status(int argc, char **argv)
{
	struct gmem_sampler *sampler;
	int err;

	if (argc > 1) {
		gmem_err("status takes one NAME or ID; leave '%s' out", argv[1]);
		return GMEM_EXIT_USAGE;
	}
	if (gmem_check_privilege())
		return GMEM_EXIT_FAIL;
	sampler = gmem_sampler_open();
	if (!sampler)
		return GMEM_EXIT_FAIL;
	err = status(sampler, argc ? argv[0] : NULL);
	gmem_sampler_close(sampler);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}
