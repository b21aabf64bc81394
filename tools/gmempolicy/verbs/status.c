// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy status: first, on one screen, which VMs are held back by what, and
 * how near each is to a limit.  On request what that is made from, too: what each
 * policy in force has done, to which VM it did it, what came of that for each VM,
 * what the policy is set to, and what it remembers of each VM.  Verdicts are the
 * kernel's to tell, the others are found in the policy's maps (budgets.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attached/attached.h"
#include "attached/budgets.h"
#include "attached/held.h"
#include "attached/limits.h"
#include "attached/running.h"
#include "formats/rows.h"
#include "formats/table.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_scope.h"
#include "verbs/verbs.h"

/* What is fitted when the output is no terminal. */
#define SCREEN_COLUMNS	80
#define SCREEN_ROWS	24
/* Lines beside those of VMs and policies: counts, blanks, titles, rests, prompt. */
#define SCREEN_OTHERS	8
/* Policies shown however many VMs there are, and the other way round. */
#define LEAST_POLICIES	5
#define LEAST_VMS	3
/* Words of KVM on what it does not do. */
#define WITHOUT_MAX	16

static bool json, state;

static const struct gmem_option status_options[] = {
	{ .name = "state", .type = GMEM_OPT_FLAG,
	  .help = "show parameters, and what policies remember of each VM, too",
	  .target = &state },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* --------------------------------------------------------------------- rows */

struct policy_row {
	char who[NAME_MAX + 1];
	const struct entry *entry;
	const struct gmem_policy_sample *policy;
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

static struct value policy_state(const void *row)
{
	return TEXT_VALUE(entry_says(((const struct policy_row *)row)->entry));
}

static struct value policy_left(const void *row)
{
	uint64_t until_ns = ((const struct policy_row *)row)->entry->until_ns;

	return until_ns ? UINT_VALUE(entry_left(until_ns)) : NO_VALUE;
}

static struct value policy_ends(const void *row)
{
	uint64_t until_ns = ((const struct policy_row *)row)->entry->until_ns;
	static char text[ENTRY_TIME_SIZE];

	return until_ns ? TEXT_VALUE(entry_ends(until_ns, text)) : NO_VALUE;
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
	{ "LEFT-S", "left_s", policy_left },
	{ NULL, "ends", policy_ends },
	{ "STATE", "state", policy_state },
	{}
};

#define HELD_VALUE(member, expr)					\
	static struct value held_##member(const void *row)		\
	{								\
		const struct held *h = row;				\
									\
		return expr;						\
	}

HELD_VALUE(vm, UINT_VALUE(h->vm->id))
HELD_VALUE(name, TEXT_VALUE(h->vm->name))
HELD_VALUE(denied, UINT_VALUE(h->denied))
HELD_VALUE(delayed, UINT_VALUE(h->delayed))
HELD_VALUE(delayed_ms, UINT_VALUE(h->delayed_ns / 1000000))
HELD_VALUE(by, h->by ? TEXT_VALUE(h->by) : NO_VALUE)
HELD_VALUE(percent, h->nearest ?
	   UINT_VALUE((uint64_t)limit_percent(h->nearest)) : NO_VALUE)
HELD_VALUE(limit, h->nearest ? TEXT_VALUE(h->nearest->what) : NO_VALUE)
HELD_VALUE(limit_pin, h->nearest ? TEXT_VALUE(h->nearest->who) : NO_VALUE)

static const struct column held_columns[] = {
	{ "VM", "vm_id", held_vm },
	{ "NAME", "name", held_name },
	{ "DENIED", "denied", held_denied },
	{ "DELAYED", "delayed", held_delayed },
	{ "DELAY-MS", "delayed_ms", held_delayed_ms },
	{ "HELD BY", "held_by", held_by },
	{ "USED-%", "nearest_percent", held_percent },
	{ "OF LIMIT", "nearest_limit", held_limit },
	{ NULL, "nearest_pin", held_limit_pin },
	{}
};

#define LIMIT_VALUE(member, expr)					\
	static struct value limit_##member(const void *row)		\
	{								\
		const struct limit *l = row;				\
									\
		return expr;						\
	}

TEXT_OF(limit, who)
TEXT_OF(limit, what)
TEXT_OF(limit, unit)
LIMIT_VALUE(vm, UINT_VALUE(l->vm))
LIMIT_VALUE(name, TEXT_VALUE(l->name))
LIMIT_VALUE(used, REAL_VALUE(l->used))
LIMIT_VALUE(most, REAL_VALUE(l->most))
LIMIT_VALUE(of, REAL_VALUE(limit_percent(l)))

static const struct column limit_columns[] = {
	{ "ATTACHED", "pin", limit_who },
	{ "VM", "vm_id", limit_vm },
	{ "NAME", "name", limit_name },
	{ "LIMIT", "limit", limit_what },
	{ "USED", "used", limit_used },
	{ "MOST", "most", limit_most },
	{ "USED-%", "percent", limit_of },
	{ "UNIT", "unit", limit_unit },
	{}
};

#define VERDICT_VALUE(member, expr)					\
	static struct value verdict_##member(const void *row)		\
	{								\
		const struct verdict *r = row;			\
									\
		return expr;						\
	}

TEXT_OF(verdict, who)
VERDICT_VALUE(vm, UINT_VALUE(r->vm->id))
VERDICT_VALUE(text, TEXT_VALUE(vm_name(r->vm)))
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
VM_VALUE(text, TEXT_VALUE(vm_name(vm)))
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
	const struct budget *b = row;

	switch (b->kind) {
	case BUDGET_UINT:
		return UINT_VALUE(b->exact);
	case BUDGET_INT:
		return INT_VALUE((int64_t)b->exact);
	case BUDGET_REAL:
		break;
	}
	return REAL_VALUE(b->value);
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

/* All that there is to tell. */
struct findings {
	struct vms vms;
	struct rows policies;
	struct rows verdicts;
	struct rows settings;
	struct rows limits;
	struct rows budgets;
	struct held *held;
	size_t nr_held;
	char huge_mode[GMEM_HUGE_MODE_LEN];
	const char *huge_off;
};

static int read_running(struct running *running, const struct entry *entry,
			const char *who, struct findings *f)
{
	int err;

	err = read_settings(running, who, &f->settings);
	/* What is not asked any more limits nothing. */
	if (!err && entry->state == ENTRY_ACTIVE)
		err = limits_of_params(running_params(running),
				       running_values(running), who,
				       entry->policy->vm_id, &f->vms,
				       &f->limits);
	if (!err)
		err = budgets_read(running, who, &f->vms, &f->budgets,
				   entry->state == ENTRY_ACTIVE ? &f->limits :
								  NULL);
	return err;
}

static int read_entry(const struct entry *entry, struct findings *f)
{
	struct policy_row *row = rows_add(&f->policies);
	struct running *running;
	char who[NAME_MAX + 1];
	int err;

	if (!row)
		return -ENOMEM;
	row->entry = entry;
	row->policy = entry->policy;
	snprintf(row->who, sizeof(row->who), "%s", who_is(entry, who));
	running = running_open(entry->link_id, who);
	/* What the kernel tells of it is there all the same. */
	if (!running)
		return -ENOLINK;
	err = read_running(running, entry, who, f);
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
		struct verdict *row;
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
			row->counts = entry->state == ENTRY_ACTIVE &&
				      !(entry->policy->flags &
					GMEM_POLICY_AUDIT);
			break;
		}
	}
	return nr < 0 ? nr : 0;
}

static int find(struct gmem_sampler *sampler, const struct attached *attached,
		const char *only, struct findings *f)
{
	int err = 0, missing = 0;
	size_t i;

	for (i = 0; i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];

		if (!entry->policy || !entry_is(entry, only))
			continue;
		err = read_entry(entry, f);
		if (err == -ENOLINK)
			missing = err;
		else if (err)
			return err;
	}
	for (i = 0; i < f->vms.nr; i++) {
		err = read_verdicts(sampler, &f->vms.vms[i], attached, only,
				    &f->verdicts);
		if (err)
			return err;
	}
	if (only && !f->policies.nr) {
		gmem_err("no attached policy has the name or link id '%s'; see gmempolicy list",
			 only);
		return -ENOENT;
	}
	f->held = calloc(f->vms.nr + 1, sizeof(*f->held));
	if (!f->held) {
		gmem_err("no memory for the status; free some");
		return -ENOMEM;
	}
	f->nr_held = held_find(f->held, &f->vms, &f->verdicts, &f->limits);
	return missing;
}

/* ------------------------------------------------------------------- output */

struct summary {
	char vms[128];
	char policies[128];
	size_t nr_vms;
	size_t nr_policies;
};

static size_t count_ended(const struct findings *f)
{
	const struct policy_row *row =
		(const struct policy_row *)f->policies.rows;
	size_t i, nr = 0;

	for (i = 0; i < f->policies.nr; i++)
		nr += row[i].entry->state != ENTRY_ACTIVE;
	return nr;
}

/* How many rows of each fit, and what to say of the others. */
static void summarize(const struct findings *f, const struct screen *screen,
		      struct summary *s)
{
	size_t others = SCREEN_OTHERS + !!f->huge_off, more, held;
	size_t room = screen->rows > others ? screen->rows - others : 0;

	s->nr_vms = f->vms.nr;
	s->nr_policies = f->policies.nr;
	if (!screen->rows || s->nr_vms + s->nr_policies <= room)
		return;
	if (s->nr_policies > LEAST_POLICIES)
		s->nr_policies = s->nr_vms + LEAST_POLICIES < room ?
				 room - s->nr_vms : LEAST_POLICIES;
	room = room > s->nr_policies ? room - s->nr_policies : 0;
	if (s->nr_vms > room)
		s->nr_vms = room > LEAST_VMS ? room :
			    s->nr_vms < LEAST_VMS ? s->nr_vms : LEAST_VMS;
	more = f->vms.nr - s->nr_vms;
	held = f->nr_held > s->nr_vms ? f->nr_held - s->nr_vms : 0;
	if (more)
		snprintf(s->vms, sizeof(s->vms),
			 "and %zu more VMs, %zu of them held back; --wide shows all",
			 more, held);
	more = f->policies.nr - s->nr_policies;
	if (more)
		snprintf(s->policies, sizeof(s->policies),
			 "and %zu more policies; --wide shows all", more);
}

static void print_head(const struct findings *f)
{
	size_t ended = count_ended(f);

	printf("%zu VM%s, %zu held back; %zu polic%s", f->vms.nr,
	       f->vms.nr == 1 ? "" : "s", f->nr_held, f->policies.nr,
	       f->policies.nr == 1 ? "y" : "ies");
	if (ended)
		printf(", %zu of them not in force any more", ended);
	if (!gmem_policies_enabled())
		printf("; switched off, see gmempolicy on");
	printf("\n\n");
}

/* What a KVM that was built for another kernel does not do, in its own words. */
static const struct without {
	const char *name;
	const char *means;
} without_known[] = {
	{ "kcore", "/proc/kcore shows the memory of guests that is not encrypted" },
	{ "mbind", "a guest_memfd has no NUMA policy: mbind(2) of its mapping fails" },
};

#define WITHOUT	"/sys/module/kvm/parameters/gmem_without"

static size_t read_without(struct without *found)
{
	static char words[256];
	FILE *file = fopen(WITHOUT, "re");
	char *word, *rest = words;
	size_t i, nr = 0;

	if (!file)
		return 0;
	if (!fgets(words, sizeof(words), file))
		words[0] = '\0';
	fclose(file);
	words[strcspn(words, "\n")] = '\0';
	while (nr < WITHOUT_MAX && (word = strsep(&rest, ","))) {
		if (!*word)
			continue;
		found[nr].name = word;
		found[nr].means = "nothing that this gmempolicy knows";
		for (i = 0; i < ARRAY_LEN(without_known); i++)
			if (!strcmp(word, without_known[i].name))
				found[nr].means = without_known[i].means;
		nr++;
	}
	return nr;
}

static struct value without_name(const void *row)
{
	return TEXT_VALUE(((const struct without *)row)->name);
}

static struct value without_means(const void *row)
{
	return TEXT_VALUE(((const struct without *)row)->means);
}

static const struct column without_columns[] = {
	{ "NOT HERE", "name", without_name },
	{ "WHAT THAT MEANS", "means", without_means },
	{}
};

/* Somebody who looks for them looks here, too. */
static void print_huge(const struct findings *f)
{
	if (f->huge_off)
		printf("No huge folios: %s.\n", f->huge_off);
}

static int print_findings(const struct findings *f)
{
	struct screen screen = {};
	struct summary s = {};
	struct without without[WITHOUT_MAX];
	size_t nr_without = read_without(without);
	bool all = json || state;

	if (!verb_wide && !all) {
		screen = screen_of_stdout();
		if (!screen.columns)
			screen.columns = SCREEN_COLUMNS;
		if (!screen.rows)
			screen.rows = SCREEN_ROWS;
		tables_fit(&screen);
	}
	summarize(f, &screen, &s);

	const struct fact huge[] = {
		{ "mode", *f->huge_mode ? TEXT_VALUE(f->huge_mode) : NO_VALUE },
		{ "off_since", f->huge_off ? TEXT_VALUE(f->huge_off) : NO_VALUE },
	};
	const struct table tables[] = {
		{
			.key = "held",
			.spare = "delayed_ms delayed",
			.texts_first = true,
			.none = "No VM runs.",
			.columns = held_columns,
			.rows = f->held,
			.row_size = sizeof(*f->held),
			.nr_rows = s.nr_vms,
			.rest = *s.vms ? s.vms : NULL,
		},
		{
			.key = "policies",
			.spare = "allowed calls policy vms delayed_ms",
			.none = "No policy is attached.",
			.columns = policy_columns,
			.rows = f->policies.rows,
			.row_size = f->policies.size,
			.nr_rows = s.nr_policies,
			.rest = *s.policies ? s.policies : NULL,
		},
		{
			.key = "without",
			.none = "Nothing is missing.",
			.columns = without_columns,
			.rows = without,
			.row_size = sizeof(*without),
			.nr_rows = nr_without,
			.is_json_only = !nr_without,
		},
		{
			.key = "verdicts",
			.none = "No policy is in force on a VM.",
			.columns = verdict_columns,
			.rows = f->verdicts.rows,
			.row_size = f->verdicts.size,
			.nr_rows = f->verdicts.nr,
			.is_json_only = !state,
		},
		{
			.key = "vms",
			.none = "No VM runs.",
			.columns = vm_columns,
			.rows = f->vms.vms,
			.row_size = sizeof(*f->vms.vms),
			.nr_rows = f->vms.nr,
			.is_json_only = !state,
		},
		{
			.key = "parameters",
			.none = "No parameters.",
			.columns = setting_columns,
			.rows = f->settings.rows,
			.row_size = f->settings.size,
			.nr_rows = f->settings.nr,
			.is_json_only = !state,
		},
		{
			.key = "limits",
			.none = "No limits.",
			.columns = limit_columns,
			.rows = f->limits.rows,
			.row_size = f->limits.size,
			.nr_rows = f->limits.nr,
			.is_json_only = !state,
		},
		{
			.key = "budgets",
			.prose = "label",
			.none = "No budgets.",
			.columns = budget_columns,
			.rows = f->budgets.rows,
			.row_size = f->budgets.size,
			.nr_rows = f->budgets.nr,
			.is_json_only = !state,
		},
		{
			.key = "huge_folios",
			.columns = fact_columns,
			.rows = huge,
			.row_size = sizeof(huge[0]),
			.nr_rows = ARRAY_LEN(huge),
			.is_object = true,
			.is_json_only = true,
		},
	};
	int err;

	if (json)
		return tables_print(tables, ARRAY_LEN(tables), true);
	if (f->policies.nr) {
		print_head(f);
		err = tables_print(tables, ARRAY_LEN(tables), false);
	} else {
		err = tables_print(&tables[1], nr_without ? 2 : 1, false);
	}
	if (!err)
		print_huge(f);
	return err;
}

static int status(struct gmem_sampler *sampler, const char *only)
{
	struct findings f = {
		.policies = { .size = sizeof(struct policy_row) },
		.verdicts = { .size = sizeof(struct verdict) },
		.settings = { .size = sizeof(struct setting_row) },
		.limits = { .size = sizeof(struct limit) },
		.budgets = { .size = sizeof(struct budget) },
	};
	struct attached *attached;
	int err, missing = 0;

	err = attached_read_with_vms(&attached, &f.vms, sampler);
	if (err)
		return err;
	f.huge_off = gmem_huge_off(f.huge_mode);
	err = find(sampler, attached, only, &f);
	if (err == -ENOLINK) {
		missing = err;
		err = 0;
	}
	if (!err)
		err = print_findings(&f);
	free(f.policies.rows);
	free(f.verdicts.rows);
	free(f.settings.rows);
	free(f.limits.rows);
	free(f.budgets.rows);
	free(f.held);
	attached_free(attached);
	vms_free(&f.vms);
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
	.synopsis = "status [NAME | ID] [--state] [--json]",
	.about = "show who is held back by what, and how near to a limit",
	.options = status_options,
	.run = run_status,
};
