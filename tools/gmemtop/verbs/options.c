// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of gmemtop and of its replay, which shows the same.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gmem_cgroup.h"
#include "gmem_common.h"
#include "verbs/options.h"

static int parse_fields(const char *name, const char *value, void *target)
{
	const char *bad;

	switch (fields_parse(target, value, &bad)) {
	case 0:
		return 0;
	case -ENOENT:
		gmem_err("%s: no column is called '%.*s'; gmemtop --help lists them",
			 name, (int)strcspn(bad, ","), bad);
		break;
	case -EEXIST:
		gmem_err("%s: column '%.*s' is there twice; name it once", name,
			 (int)strcspn(bad, ","), bad);
		break;
	default:
		gmem_err("%s takes columns with commas between them, or all; not '%s'",
			 name, value);
	}
	return -1;
}

static int check(const struct arguments *args)
{
	if (args->json && args->csv) {
		gmem_err("--json and --csv exclude each other; give one");
		return -1;
	}
	if (args->settings.once && args->settings.frames) {
		gmem_err("--once and -n exclude each other; give one");
		return -1;
	}
	if (args->filter.vm && strlen(args->filter.vm) > PROCESS_NAME_MAX) {
		gmem_err("--vm takes an id or a name of up to %u bytes; this one has %zu",
			 PROCESS_NAME_MAX, strlen(args->filter.vm));
		return -1;
	}
	return 0;
}

/* As paths are kept, so that they can be compared. */
static int use_cgroup(struct arguments *args)
{
	char path[GMEM_CGROUP_LEN];
	const char *why;

	if (!args->cgroup)
		return 0;
	why = gmem_cgroup_path(path, sizeof(path), args->cgroup);
	if (why) {
		gmem_err("--cgroup takes a path below the root of the hierarchy, such as /machine.slice, not '%s': %s",
			 args->cgroup, why);
		return -1;
	}
	gmem_clean(args->filter.cgroup, sizeof(args->filter.cgroup), path);
	return 0;
}

static void settle(struct arguments *args)
{
	struct settings *settings = &args->settings;

	settings->header = !args->no_header;
	if (args->json)
		settings->format = FORMAT_JSON;
	if (args->csv)
		settings->format = FORMAT_CSV;
	if (args->json || args->csv || settings->once)
		args->batch = true;
	if (args->filter.vm)
		gmem_clean(args->filter.vm_name, sizeof(args->filter.vm_name),
			   args->filter.vm);
	if (!args->fields_seen)
		fields_first(&args->fields, args->batch && !args->csv ?
			     NR_COLUMNS_BATCH : NR_COLUMNS_LIVE);
}

int arguments_parse(struct arguments *args, enum arguments_for what, int argc,
		    char **argv)
{
	const bool replay = what == ARGUMENTS_REPLAY;
	const struct gmem_option at = {
		.name = "at", .type = GMEM_OPT_STRING, .arg = "TIME",
		.help = "begin at 12:30, 2026-01-31T12:30:05 or +SECS",
		.target = &args->at,
	};
	const struct gmem_option debug = {
		.name = "debug", .type = GMEM_OPT_FLAG,
		.help = "show libbpf's messages", .target = &args->debug,
	};
	const struct gmem_option options[] = {
		{ .name = "batch", .short_name = 'b', .type = GMEM_OPT_FLAG,
		  .help = "print frames of plain text instead of the live view",
		  .target = &args->batch },
		{ .name = "json", .type = GMEM_OPT_FLAG,
		  .help = "print a line of JSON a frame; implies -b",
		  .target = &args->json },
		{ .name = "csv", .type = GMEM_OPT_FLAG,
		  .help = "print comma-separated values; implies -b",
		  .target = &args->csv },
		{ .name = "once", .type = GMEM_OPT_FLAG,
		  .help = "print what is now, at once and without rates",
		  .target = &args->settings.once },
		{ .name = "frames", .short_name = 'n', .type = GMEM_OPT_UINT,
		  .arg = "N", .help = "end after N frames",
		  .target = &args->settings.frames,
		  .min = 1, .max = FRAMES_MAX },
		{ .name = "delay", .short_name = 'd', .type = GMEM_OPT_SECONDS,
		  .arg = "SECS",
		  .help = "seconds between frames, " INTERVAL_RANGE " (1)",
		  .target = &args->settings.interval_ns,
		  .seen = &args->delay_seen,
		  .min = INTERVAL_MIN_NS, .max = INTERVAL_MAX_NS },
		{ .name = "vm", .type = GMEM_OPT_STRING, .arg = "VM",
		  .help = "show only the VM of this id or name",
		  .target = &args->filter.vm },
		{ .name = "cgroup", .type = GMEM_OPT_STRING, .arg = "PATH",
		  .help = "show only VMs in this control group or below",
		  .target = &args->cgroup },
		{ .name = "fields", .type = GMEM_OPT_CUSTOM, .arg = "COLUMNS",
		  .help = "columns to show, with commas between them, or all",
		  .target = &args->fields, .parse = parse_fields,
		  .seen = &args->fields_seen },
		{ .name = "sort", .type = GMEM_OPT_CHOICE, .arg = "COLUMN",
		  .help = "order of the VMs (conversions); one of",
		  .target = &args->sort, .seen = &args->sort_seen,
		  .choices = column_keys() },
		{ .name = "no-header", .type = GMEM_OPT_FLAG,
		  .help = "print rows only",
		  .target = &args->no_header },
		replay ? at : debug,
		GMEM_OPTION_HELP(&args->help),
		GMEM_OPTION_VERSION(&args->version),
		{ .type = GMEM_OPT_END },
	};
	int words = gmem_parse_options(options, argc - 1, argv + 1);

	if (words < 0)
		return -1;
	if (args->help) {
		gmem_usage(stdout, replay ? "replay FILE [OPTIONS]" :
			   "[OPTIONS] | export | record FILE | replay FILE",
			   replay ? "Shows a recording as if it happened now." :
			   "Shows the private memory of all KVM guests, a row a VM.",
			   options);
		return words;
	}
	if (words > 0 && !replay) {
		gmem_err("unexpected argument '%s'; see gmemtop --help",
			 argv[1]);
		return -1;
	}
	if (check(args) || use_cgroup(args))
		return -1;
	settle(args);
	return words;
}

int arguments_check_terminal(const struct arguments *args)
{
	if (args->batch || (isatty(STDOUT_FILENO) && isatty(STDIN_FILENO)))
		return 0;
	gmem_err("%s is not a terminal; use -b for plain text or --json",
		 isatty(STDOUT_FILENO) ? "stdin" : "stdout");
	return -1;
}

void arguments_use(const struct arguments *args, struct view *view)
{
	view->sort = args->sort;
	view->fields = args->fields;
	view->filter = args->filter;
	view->all_figures = args->json;
}

void arguments_use_conf(struct arguments *args, struct view *view,
			const struct conf *conf)
{
	if (conf->fields.nr && !args->fields_seen)
		view->fields = conf->fields;
	if (conf->sort >= 0 && !args->sort_seen) {
		view->sort = conf->sort;
		view->inverted = conf->inverted;
	}
	if (conf->interval_ns && !args->delay_seen)
		args->settings.interval_ns = conf->interval_ns;
}
