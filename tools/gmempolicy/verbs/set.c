// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy set: tunes a policy that is in force.  All assignments of one call,
 * or of one line of input, come into force at once; running.h says how.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/pins.h"
#include "attached/running.h"
#include "formats/table.h"
#include "verbs/verbs.h"

static bool json;

static const struct gmem_option set_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

struct row {
	const struct param *param;
	char value[PARAM_TEXT_SIZE];
};

static struct value row_name(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->param->name);
}

static struct value row_value(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->value);
}

static const struct column columns[] = {
	{ "PARAMETER", "name", row_name },
	{ "VALUE", "value", row_value },
	{}
};

static int print_values(const struct running *running)
{
	const struct params *params = running_params(running);
	struct row *rows = calloc(params->nr + 1, sizeof(*rows));
	const struct table table = {
		.key = "parameters",
		.none = "It has no parameters.",
		.columns = columns,
		.rows = rows,
		.row_size = sizeof(*rows),
		.nr_rows = params->nr,
	};
	size_t i;
	int err;

	if (!rows) {
		gmem_err("no memory for %zu parameters; free some", params->nr);
		return -ENOMEM;
	}
	for (i = 0; i < params->nr; i++) {
		rows[i].param = &params->params[i];
		param_format(rows[i].param,
			     param_load(rows[i].param, running_values(running)),
			     rows[i].value);
	}
	err = tables_print(&table, 1, json);
	free(rows);
	return err;
}

/* Another instance of the tool may have set, replaced or ended it since. */
static int set_all(struct running **running, const char *who, int argc,
		   char **argv)
{
	int i, err, lock;

	lock = pins_lock();
	if (lock < 0)
		return GMEM_EXIT_FAIL;
	err = running_renew(running) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	for (i = 0; i < argc && !err; i++) {
		if (params_assign(running_params(*running),
				  running_values(*running), argv[i], who))
			err = GMEM_EXIT_USAGE;
	}
	if (!err && argc && running_commit(*running))
		err = GMEM_EXIT_FAIL;
	close(lock);
	return err;
}

/* Each line is a set of its own, so that a program can steer a policy. */
static int set_from_input(struct running **running, const char *who)
{
	char *line = NULL, *words[64], *word, *save;
	unsigned long nr = 0;
	size_t room = 0;
	int err = GMEM_EXIT_OK, n;

	while (!err && getline(&line, &room, stdin) >= 0) {
		nr++;
		n = 0;
		for (word = strtok_r(line, " \t\n", &save);
		     word && n < (int)ARRAY_LEN(words);
		     word = strtok_r(NULL, " \t\n", &save))
			words[n++] = word;
		if (n)
			err = set_all(running, who, n, words);
	}
	if (err)
		gmem_err("stopped at line %lu of the input", nr);
	free(line);
	return err;
}

/* Once a call, not once a line: programs send many. */
static int remove_ended(void)
{
	int lock = pins_lock(), err;

	if (lock < 0)
		return lock;
	err = pins_remove_ended();
	close(lock);
	return err;
}

static int run_set(int argc, char **argv)
{
	struct running *running;
	bool input;
	int code;

	if (!argc) {
		gmem_err("no policy given; give a NAME or ID that gmempolicy list shows");
		return GMEM_EXIT_USAGE;
	}
	if (argc == 1) {
		gmem_err("nothing to set; write NAME=VALUE, or - to read lines of that");
		return GMEM_EXIT_USAGE;
	}
	input = !strcmp(argv[1], "-");
	if (input && argc > 2) {
		gmem_err("set takes assignments or - alone; leave '%s' out",
			 argv[2]);
		return GMEM_EXIT_USAGE;
	}
	running = running_find(argv[0]);
	if (!running || remove_ended()) {
		running_close(running);
		return GMEM_EXIT_FAIL;
	}
	code = input ? set_from_input(&running, argv[0]) :
		       set_all(&running, argv[0], argc - 1, argv + 1);
	if (!code && print_values(running))
		code = GMEM_EXIT_FAIL;
	running_close(running);
	return code;
}

const struct verb set_verb = {
	.name = "set",
	.synopsis = "set (NAME | ID) (NAME=VALUE... | -) [--json]",
	.about = "change parameters of a policy in force, all at once",
	.options = set_options,
	.run = run_set,
};
