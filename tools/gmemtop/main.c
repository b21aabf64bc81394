// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop: guest private memory, a row a VM.  Reads the command line, opens
 * the sampler and hands over to the live view or to batch mode.
 */
#include <string.h>

#include "gmem_common.h"
#include "gmem_daemon.h"
#include "gmem_kernel.h"
#include "gmem_source.h"
#include "print/batch.h"
#include "sampling/host.h"
#include "sampling/privilege.h"
#include "terminal/live.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "export", export_main },
	{ "record", record_main },
	{ "replay", replay_main },
};

static int show(struct arguments *args, struct view *view)
{
	struct conf conf;

	if (!args->settings.once)
		host_count(view->source);
	if (args->batch)
		return batch_run(view, &args->settings);
	conf_load(&conf);
	arguments_use_conf(args, view, &conf);
	return live_run(view, &args->settings, &conf);
}

int main(int argc, char **argv)
{
	struct arguments args = ARGUMENTS_INIT;
	int status = GMEM_EXIT_FAIL;
	struct view view = {};
	size_t i;

	gmem_start();
	gmem_text_start();
	for (i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++)
		if (!strcmp(argv[1], verbs[i].name)) {
			gmem_options_verb(argv[1]);
			return verbs[i].run(argc - 1, argv + 1);
		}
	if (arguments_parse(&args, ARGUMENTS_LIVE, argc, argv) < 0)
		return GMEM_EXIT_USAGE;
	if (args.help || args.version) {
		if (args.version && !args.help) {
			gmem_print_version();
			gmem_source_print(stdout);
		}
		return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	}
	if (arguments_check_terminal(&args))
		return GMEM_EXIT_USAGE;

	gmem_libbpf_quiet(args.debug);
	view.source = host_open();
	if (!view.source)
		return GMEM_EXIT_FAIL;
	arguments_use(&args, &view);
	if (!privilege_drop())
		status = show(&args, &view);
	view_free(&view);
	host_close(view.source);
	return status;
}
