// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy status: what each policy in force has done, to which VM it did it,
 * what came of that for each VM, what the policy is set to, and what it
 * remembers of each VM.  The first three are the kernel's to tell, the others
 * are found in the policy's maps (budgets.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attached/attached.h"
#include "attached/budgets.h"
#include "attached/running.h"
#include "attached/scope.h"
#include "formats/rows.h"
#include "formats/table.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "verbs/verbs.h"

static bool json;

static const struct gmem_option status_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* --------------------------------------------------------------------- rows */

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

#define TEXT_OF(type, member)						\
	static struct value type##_##member(const void *row)		\
	{								\
		const char *text = ((const struct type *)row)->member;	\
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

TEXT_OF(policy_row, who)
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
	{ "ATTACHED", "pin", policy_row_who },
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

TEXT_OF(verdict_row, who)
VERDICT_VALUE(vm, UINT_VALUE(r->vm->id))
VERDICT_VALUE(text, TEXT_VALUE(r->vm->name))
VERDICT_VALUE(calls, UINT_VALUE(r->verdicts.calls))
VERDICT_VALUE(denied, UINT_VALUE(r->verdicts.denied))
VERDICT_VALUE(delayed, UINT_VALUE(r->verdicts.delayed))
VERDICT_VALUE(delayed_ms, UINT_VALUE(r->verdicts.delayed_ns / 1000000))

static const struct column verdict_columns[] = {
	{ "ATTACHED", "pin", verdict_row_who },
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

TEXT_OF(setting_row, who)
TEXT_OF(setting_row, name)
TEXT_OF(setting_row, value)
TEXT_OF(setting_row, unit)

static const struct column setting_columns[] = {
	{ "ATTACHED", "pin", setting_row_who },
	{ "PARAMETER", "name", setting_row_name },
	{ "VALUE", "value", setting_row_value },
	{ "UNIT", "unit", setting_row_unit },
	{}
};

TEXT_OF(budget, who)
TEXT_OF(budget, name)
TEXT_OF(budget, what)
TEXT_OF(budget, label)
TEXT_OF(budget, unit)

static struct value budget_vm(const void *row)
{
	return UINT_VALUE(((const struct budget *)row)->vm);
}

static struct value budget_value(const void *row)
{
	return REAL_VALUE(((const struct budget *)row)->value);
}

static const struct column budget_columns[] = {
	{ "ATTACHED", "pin", budget_who },
	{ "VM", "vm_id", budget_vm },
	{ "NAME", "name", budget_name },
	{ "BUDGET", "member", budget_what },
	{ "VALUE", "value", budget_value },
	{ "UNIT", "unit", budget_unit },
	{ "WHAT IT IS", "label", budget_label },
	{}
};

/* -------------------------------------------------------------------- verb */

static int read_settings(struct running *running, const char *who,
			 struct rows *settings)
{
	const struct params *params = running_params(running);
	struct setting_row *row;
	size_t i;

	for (i = 0; i < params->nr; i++) {
		const struct param *param = &params->params[i];

		row = rows_add(settings);
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
		      struct rows *policies, struct rows *settings,
		      struct rows *budgets)
{
	struct policy_row *row = rows_add(policies);
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
		err = budgets_read(running, row->who, vms, budgets);
	running_close(running);
	return err;
}

/* The policies of @attached that @only means, and what each said of the VM. */
static int read_verdicts(struct gmem_sampler *sampler, const struct vm *vm,
			 const struct attached *attached, const char *only,
			 struct rows *rows)
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
			row = rows_add(rows);
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

static int print_lists(const struct rows *policies, const struct rows *verdicts,
		       const struct vms *vms, const struct rows *settings,
		       const struct rows *budgets)
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
			.columns = budget_columns,
			.rows = budgets->rows,
			.row_size = budgets->size,
			.nr_rows = budgets->nr,
		},
	};

	return tables_print(tables, policies->nr || json ?
			    ARRAY_LEN(tables) : 1, json);
}

static int status(struct gmem_sampler *sampler, const char *only)
{
	struct rows policies = { .size = sizeof(struct policy_row) };
	struct rows verdicts = { .size = sizeof(struct verdict_row) };
	struct rows settings = { .size = sizeof(struct setting_row) };
	struct rows budgets = { .size = sizeof(struct budget) };
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
		err = read_entry(entry, &vms, &policies, &settings,
				  &budgets);
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
		err = print_lists(&policies, &verdicts, &vms, &settings,
				  &budgets);
	free(policies.rows);
	free(verdicts.rows);
	free(settings.rows);
	free(budgets.rows);
	attached_free(attached);
	vms_free(&vms);
	return err ?: missing;
}

static int run_status(int argc, char **argv)
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

const struct verb status_verb = {
	.name = "status",
	.synopsis = "status [NAME | ID] [--json]",
	.about = "show what policies did, are set to and remember",
	.options = status_options,
	.run = run_status,
};
