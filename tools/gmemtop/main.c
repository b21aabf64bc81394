// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop: guest private memory, a row a VM.  Reads the command line, opens
 * the sampler and hands over to the live view or to batch mode.
 */
#include <unistd.h>

#include "gmemtop.h"

/* gmemtop's options; the columns' keys are only known at run time. */
struct arguments {
	struct settings settings;
	int sort;
	bool batch;
	bool debug;
	bool help;
	bool version;
};

static int parse(struct arguments *args, int argc, char **argv)
{
	const struct gmem_option options[] = {
		{ .name = "batch", .short_name = 'b', .type = GMEM_OPT_FLAG,
		  .help = "print frames of plain text instead of the live view",
		  .target = &args->batch },
		{ .name = "json", .type = GMEM_OPT_FLAG,
		  .help = "print a line of JSON a frame; implies -b",
		  .target = &args->settings.json },
		{ .name = "frames", .short_name = 'n', .type = GMEM_OPT_UINT,
		  .arg = "N", .help = "end after N frames",
		  .target = &args->settings.frames,
		  .min = 1, .max = FRAMES_MAX },
		{ .name = "delay", .short_name = 'd', .type = GMEM_OPT_SECONDS,
		  .arg = "SECS",
		  .help = "seconds between frames, " INTERVAL_RANGE " (1)",
		  .target = &args->settings.interval_ns,
		  .min = INTERVAL_MIN_NS, .max = INTERVAL_MAX_NS },
		{ .name = "sort", .type = GMEM_OPT_CHOICE, .arg = "COLUMN",
		  .help = "order of the VMs (conversions); one of",
		  .target = &args->sort, .choices = column_keys() },
		{ .name = "debug", .type = GMEM_OPT_FLAG,
		  .help = "show libbpf's messages",
		  .target = &args->debug },
		GMEM_OPTION_HELP(&args->help),
		GMEM_OPTION_VERSION(&args->version),
		{ .type = GMEM_OPT_END },
	};
	int words = gmem_parse_options(options, argc - 1, argv + 1);

	if (words < 0)
		return -1;
	if (args->help) {
		gmem_usage(stdout, "[OPTIONS]",
			   "Shows the private memory of all KVM guests, a row a VM.",
			   options);
		return 0;
	}
	if (words > 0) {
		gmem_err("unexpected argument '%s'; see gmemtop --help",
			 argv[1]);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments args = {
		.settings.interval_ns = 1000000000,
		.sort = COLUMN_CONVERSIONS,
	};
	struct view view = {};
	int status;

	if (parse(&args, argc, argv))
		return GMEM_EXIT_USAGE;
	if (args.help || args.version) {
		if (args.version && !args.help)
			gmem_print_version();
		return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	}
	if (args.settings.json)
		args.batch = true;
	if (!args.batch && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))) {
		gmem_err("%s is not a terminal; use -b for plain text or --json",
			 isatty(STDOUT_FILENO) ? "stdin" : "stdout");
		return GMEM_EXIT_USAGE;
	}

	gmem_libbpf_quiet(args.debug);
	view.sampler = gmem_sampler_open();
	if (!view.sampler)
		return GMEM_EXIT_FAIL;
	view.sort = args.sort;
	status = args.batch ? batch_run(&view, &args.settings) :
			      live_run(&view, &args.settings);
	view_free(&view);
	gmem_sampler_close(view.sampler);
	return status;
}
