// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy show: what an object says of itself.  Asks nothing of the kernel,
 * so it works anywhere and without privilege.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/table.h"
#include "objects/object.h"
#include "verbs/verbs.h"

static bool json;

static const struct gmem_option show_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* A parameter, and texts that have to live as long as the row. */
struct row {
	const struct param *param;
	char value[PARAM_TEXT_SIZE];
	char range[256];
};

static struct value row_name(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->param->name);
}

static struct value row_default(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->value);
}

static struct value row_range(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->range);
}

static struct value row_unit(const void *row)
{
	const char *unit = ((const struct row *)row)->param->unit;

	return *unit ? TEXT_VALUE(unit) : NO_VALUE;
}

static struct value row_help(const void *row)
{
	const char *help = ((const struct row *)row)->param->help;

	return *help ? TEXT_VALUE(help) : NO_VALUE;
}

static const struct column row_columns[] = {
	{ "PARAMETER", "name", row_name },
	{ "DEFAULT", "default", row_default },
	{ "RANGE", "range", row_range },
	{ "UNIT", "unit", row_unit },
	{ "WHAT IT DOES", "help", row_help },
	{}
};

static const char *list_hooks(const struct object *object, char *dst,
			      size_t size)
{
	size_t i, len = 0;

	dst[0] = '\0';
	for (i = 0; i < OBJECT_HOOKS && len < size; i++) {
		if (object_hook(object, object_hooks[i]))
			len += snprintf(dst + len, size - len, "%s%s",
					len ? ", " : "", object_hooks[i]);
	}
	return dst;
}

static struct value text_or_none(const char *text)
{
	return text ? TEXT_VALUE(text) : NO_VALUE;
}

static int show(const struct object *object)
{
	const struct params *params = object_params(object);
	struct row *rows = calloc(params->nr + 1, sizeof(*rows));
	char text[128];
	const struct fact facts[] = {
		{ "name", TEXT_VALUE(object_name(object)) },
		{ "about", text_or_none(params->about) },
		{ "guest sees", text_or_none(params->sees) },
		{ "hooks", TEXT_VALUE(list_hooks(object, text, sizeof(text))) },
		{ "not here", text_or_none(object_not_enforced(object)) },
	};
	struct table tables[] = {
		FACTS_TABLE("policy", facts),
		{
			.key = "parameters",
			.prose = "help range",
			.none = "It has no parameters.",
			.columns = row_columns,
			.rows = rows,
			.row_size = sizeof(*rows),
			.nr_rows = params->nr,
		},
	};
	size_t i;
	int err;

	if (!rows) {
		gmem_err("no memory for %zu parameters; free some", params->nr);
		return -ENOMEM;
	}
	for (i = 0; i < params->nr; i++) {
		const struct param *param = &params->params[i];

		rows[i].param = param;
		param_format(param, param_load(param, object_values(object)),
			     rows[i].value);
		param_range(param, rows[i].range, sizeof(rows[i].range));
	}
	/* The last one is for a kernel where something is not. */
	tables[0].nr_rows -= !object_not_enforced(object);
	err = tables_print(tables, ARRAY_LEN(tables), json);
	free(rows);
	return err;
}

static int run_show(int argc, char **argv)
{
	struct object *object;
	int err;

	if (argc != 1) {
		if (argc)
			gmem_err("show takes one policy; leave '%s' out",
				 argv[1]);
		else
			gmem_err("no policy given; see gmempolicy list for those there are");
		return GMEM_EXIT_USAGE;
	}
	object = object_open_to_show(argv[0]);
	if (!object)
		return GMEM_EXIT_USAGE;
	err = show(object);
	object_close(object);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

const struct verb show_verb = {
	.name = "show",
	.synopsis = "show (POLICY | FILE.bpf.o) [--json]",
	.about = "explain a policy and its parameters",
	.options = show_options,
	.run = run_show,
};
