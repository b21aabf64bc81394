// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy list: the policies built in, and those in force with what they
 * did.
 */
#include <errno.h>
#include <string.h>

#include "attached/attached.h"
#include "formats/table.h"
#include "gmem_sample.h"
#include "objects/object.h"
#include "objects/policies.h"
#include "verbs/verbs.h"

static bool json;

static const struct gmem_option list_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

struct available {
	const char *name;
	struct object *object;
};

static struct value available_name(const void *row)
{
	return TEXT_VALUE(((const struct available *)row)->name);
}

static struct value available_about(const void *row)
{
	const char *about =
		object_params(((const struct available *)row)->object)->about;

	return about ? TEXT_VALUE(about) : NO_VALUE;
}

static const struct column available_columns[] = {
	{ "AVAILABLE", "name", available_name },
	{ "WHAT IT DOES", "about", available_about },
	{}
};

static struct value entry_pin(const void *row)
{
	const struct entry *entry = row;

	return entry->pin ? TEXT_VALUE(entry->pin) : NO_VALUE;
}

static struct value entry_state(const void *row)
{
	return TEXT_VALUE(entry_says(row));
}

static struct value entry_link(const void *row)
{
	const struct entry *entry = row;

	return entry->link_id ? UINT_VALUE(entry->link_id) : NO_VALUE;
}

static struct value entry_left_s(const void *row)
{
	const struct entry *entry = row;

	return entry->until_ns ? UINT_VALUE(entry_left(entry->until_ns)) :
				 NO_VALUE;
}

static struct value entry_end(const void *row)
{
	static char text[ENTRY_TIME_SIZE];
	const struct entry *entry = row;

	return entry->until_ns ?
	       TEXT_VALUE(entry_ends(entry->until_ns, text)) : NO_VALUE;
}

/* The columns that only a policy has a value for. */
#define POLICY_VALUE(name, expr)					\
	static struct value entry_##name(const void *row)		\
	{								\
		const struct gmem_policy_sample *policy =		\
			((const struct entry *)row)->policy;		\
									\
		return policy ? (expr) : NO_VALUE;			\
	}

POLICY_VALUE(name, TEXT_VALUE(policy->name))
POLICY_VALUE(scope, TEXT_VALUE(policy->vm_id ? "vm" : "all"))
POLICY_VALUE(vm, policy->vm_id ? UINT_VALUE(policy->vm_id) : NO_VALUE)
POLICY_VALUE(vms, UINT_VALUE(policy->nr_vms))
POLICY_VALUE(priority, INT_VALUE(policy->priority))
POLICY_VALUE(mode, TEXT_VALUE(policy->flags & GMEM_POLICY_AUDIT ? "audit" :
								   "enforce"))
POLICY_VALUE(calls, UINT_VALUE(policy->calls))
POLICY_VALUE(allowed, UINT_VALUE(policy->allowed))
POLICY_VALUE(denied, UINT_VALUE(policy->denied))
POLICY_VALUE(delayed, UINT_VALUE(policy->delayed))
POLICY_VALUE(delayed_ms, UINT_VALUE(policy->delayed_ns / 1000000))
POLICY_VALUE(clamped, UINT_VALUE(policy->clamped))

static const struct column attached_columns[] = {
	{ "ATTACHED", "pin", entry_pin },
	{ "POLICY", "policy", entry_name },
	{ "SCOPE", "scope", entry_scope },
	{ "VM", "vm_id", entry_vm },
	{ "VMS", "vms", entry_vms },
	{ "PRIO", "priority", entry_priority },
	{ "MODE", "mode", entry_mode },
	{ "LINK", "link_id", entry_link },
	{ "CALLS", "calls", entry_calls },
	{ "ALLOWED", "allowed", entry_allowed },
	{ "DENIED", "denied", entry_denied },
	{ "DELAYED", "delayed", entry_delayed },
	{ "DELAY-MS", "delayed_ms", entry_delayed_ms },
	{ "CLAMPED", "clamped", entry_clamped },
	{ "LEFT-S", "left_s", entry_left_s },
	{ NULL, "ends", entry_end },
	{ "STATE", "state", entry_state },
	{}
};

/* Those that this kernel has somebody for who asks them. */
static int open_available(struct available *available, size_t *nr)
{
	size_t i, size;

	for (i = 0; i < nr_policies; i++) {
		struct available *row = &available[*nr];

		if (!policy_elf(&policies[i], &size))
			continue;
		row->name = policies[i].name;
		row->object = object_open(policies[i].name);
		if (!row->object)
			return -EINVAL;
		(*nr)++;
	}
	return 0;
}

static int run_list(int argc, char **argv)
{
	struct available available[nr_policies + 1];
	struct gmem_sampler *sampler;
	struct attached *attached;
	int code = GMEM_EXIT_FAIL;
	size_t i, nr = 0;

	if (argc) {
		gmem_err("list takes no argument; leave '%s' out", argv[0]);
		return GMEM_EXIT_USAGE;
	}
	sampler = gmem_sampler_open();
	if (!sampler)
		return GMEM_EXIT_FAIL;
	memset(available, 0, sizeof(available));
	/* What changes first: the objects take their time. */
	attached = attached_read(sampler);
	if (attached && !open_available(available, &nr)) {
		const struct table tables[] = {
			{
				.key = "available",
				.prose = "about",
				.columns = available_columns,
				.rows = available,
				.row_size = sizeof(*available),
				.nr_rows = nr,
			},
			{
				.key = "attached",
				/* First what is seldom not 0, or told by others. */
				.spare = "clamped allowed scope calls policy vm_id priority link_id vms delayed_ms delayed",
				.none = "No policy is attached.",
				.columns = attached_columns,
				.rows = attached->entries,
				.row_size = sizeof(*attached->entries),
				.nr_rows = attached->nr,
			},
		};

		if (!tables_print(tables, ARRAY_LEN(tables), json))
			code = GMEM_EXIT_OK;
	}
	attached_free(attached);
	for (i = 0; i < nr; i++)
		object_close(available[i].object);
	gmem_sampler_close(sampler);
	return code;
}

const struct verb list_verb = {
	.name = "list",
	.synopsis = "list [--json]",
	.about = "show the policies there are and those in force",
	.options = list_options,
	.run = run_list,
};
