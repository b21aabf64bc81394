// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy check: does the kernel accept this object?  It is loaded and
 * verified, and gone when the tool ends; nothing is attached.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "formats/table.h"
#include "gmem_kernel.h"
#include "gmem_source.h"
#include "objects/explain.h"
#include "objects/object.h"
#include "verbs/verbs.h"

#define TEXT_SIZE	256
#define SLEEPABLE	".s/"

static bool json, show_log;

static const struct gmem_option check_options[] = {
	{ .name = "log", .type = GMEM_OPT_FLAG,
	  .help = "print all that the verifier says when it refuses",
	  .target = &show_log },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* ------------------------------------------------------------------- tables */

struct prog {
	const char *hook;
	const char *name;
	bool sleeps;
	uint64_t steps;
	uint64_t bytes;
};

static struct value prog_hook(const void *row)
{
	return TEXT_VALUE(((const struct prog *)row)->hook);
}

static struct value prog_name(const void *row)
{
	return TEXT_VALUE(((const struct prog *)row)->name);
}

static struct value prog_sleeps(const void *row)
{
	return TEXT_VALUE(((const struct prog *)row)->sleeps ? "yes" : "no");
}

static struct value prog_steps(const void *row)
{
	return UINT_VALUE(((const struct prog *)row)->steps);
}

static struct value prog_bytes(const void *row)
{
	return UINT_VALUE(((const struct prog *)row)->bytes);
}

static const struct column prog_columns[] = {
	{ "HOOK", "hook", prog_hook },
	{ "PROGRAM", "program", prog_name },
	{ "MAY SLEEP", "sleepable", prog_sleeps },
	{ "STEPS VERIFIED", "verified_steps", prog_steps },
	{ "CODE BYTES", "code_bytes", prog_bytes },
	{}
};

/* ----------------------------------------------------------------- accepted */

static size_t read_progs(const struct object *object, struct prog *progs)
{
	struct bpf_prog_info info;
	uint32_t len;
	size_t i, nr = 0;

	for (i = 0; i < OBJECT_HOOKS; i++) {
		const struct bpf_program *prog =
			object_hook(object, object_hooks[i]);

		if (!prog)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			memset(&info, 0, sizeof(info));
		progs[nr++] = (struct prog){
			.hook = object_hooks[i],
			.name = bpf_program__name(prog),
			.sleeps = strstr(bpf_program__section_name(prog), SLEEPABLE),
			.steps = info.verified_insns,
			.bytes = info.jited_prog_len,
		};
	}
	return nr;
}

static int print_accepted(const char *file, const struct object *object)
{
	struct prog progs[OBJECT_HOOKS];
	const struct fact facts[] = {
		{ "file", TEXT_VALUE(file) },
		{ "policy", TEXT_VALUE(object_name(object)) },
		{ "result", TEXT_VALUE("accepted") },
		{ "parameters", UINT_VALUE(object_params(object)->nr) },
	};
	const struct table tables[] = {
		FACTS_TABLE("check", facts),
		{
			.key = "programs",
			.none = "It has no programs: it allows everything.",
			.columns = prog_columns,
			.rows = progs,
			.row_size = sizeof(*progs),
			.nr_rows = read_progs(object, progs),
		},
	};

	return tables_print(tables, ARRAY_LEN(tables), json);
}

/* ------------------------------------------------------------------ refused */

static struct value text_or_none(const char *text)
{
	return text && *text ? TEXT_VALUE(text) : NO_VALUE;
}

static void print_refused(const char *file, const struct object *object,
			  int err)
{
	char complaint[TEXT_SIZE], source[TEXT_SIZE];
	const char *meaning;

	meaning = explain_complaint(object_log(object), complaint, source,
				    TEXT_SIZE);
	if (!meaning)
		meaning = explain_libbpf();
	const struct fact facts[] = {
		{ "file", TEXT_VALUE(file) },
		{ "policy", TEXT_VALUE(object_name(object)) },
		{ "result", TEXT_VALUE("refused") },
		{ "source", text_or_none(source) },
		{ "complaint", text_or_none(*complaint ? complaint :
					    gmem_libbpf_warning()) },
		{ "meaning", text_or_none(meaning) },
		{ "log", text_or_none(object_log(object)) },
	};
	struct table table = FACTS_TABLE("check", facts);

	/* The last one is long. */
	table.nr_rows -= !show_log;
	if (show_log && !json)
		fputs(object_log(object), stdout);
	if (json)
		tables_print(&table, 1, json);
	else
		gmem_flush(stdout);
	explain_load(err, file, object_log(object));
}

static int run_check(int argc, char **argv)
{
	struct object *object;
	int err;

	if (argc != 1) {
		if (argc)
			gmem_err("check takes one file; leave '%s' out",
				 argv[1]);
		else
			gmem_err("no file given; give a FILE.bpf.o or the name of a policy");
		return GMEM_EXIT_USAGE;
	}
	if (!gmem_source() || gmem_check_load())
		return GMEM_EXIT_FAIL;
	object = object_open(argv[0]);
	if (!object)
		return GMEM_EXIT_USAGE;
	err = object_try_load(object);
	if (err)
		print_refused(argv[0], object, err);
	else
		err = print_accepted(argv[0], object);
	object_close(object);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

const struct verb check_verb = {
	.name = "check",
	.synopsis = "check (FILE.bpf.o | POLICY) [--log] [--json]",
	.about = "ask the kernel whether it accepts a policy",
	.options = check_options,
	.run = run_check,
};
