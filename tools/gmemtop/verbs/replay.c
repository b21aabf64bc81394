// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop replay: shows a recording as if it happened now.
 */
#include <errno.h>
#include <signal.h>

#include "gmem_common.h"
#include "print/batch.h"
#include "recording/replay.h"
#include "recording/store_read.h"
#include "terminal/live.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

static int go_to_start(struct view *view, const char *at, size_t *nr)
{
	*nr = 0;
	if (!at)
		return 0;
	if (view->source->find(view->source, at, nr)) {
		gmem_err("--at takes a time of day such as 12:30 or 12:30:05, with a date (2026-01-31T12:30) or not, or +SECS from the beginning; not '%s'",
			 at);
		return -1;
	}
	return 0;
}

/* A VM that comes later is a reason to print what is before, too. */
static bool has_vm(struct view *view, const struct settings *settings,
		   size_t start)
{
	struct view probe = {
		.source = view->source,
		.filter = view->filter,
	};
	uint64_t looked = 0;
	bool found = false;

	view->source->seek(view->source, start);
	while (!found && !view_refresh(&probe)) {
		found = probe.nr_rows;
		if (view->source->ended || settings->once ||
		    ++looked == settings->frames)
			break;
	}
	view_free(&probe);
	return found;
}

static int print_frames(struct view *view, const struct settings *settings,
			size_t start)
{
	uint64_t shown = 0;
	int err = 0;

	signal(SIGPIPE, SIG_IGN);
	if (view->filter.vm && !has_vm(view, settings, start)) {
		gmem_err("no VM of the recording has the id or name '%s'; without --vm all are printed",
			 view->filter.vm);
		return GMEM_EXIT_FAIL;
	}
	/* The frame before gives the first one its rates. */
	view->source->seek(view->source, start ? start - 1 : 0);
	if (start)
		err = view_refresh(view);
	while (!err) {
		err = view_refresh(view);
		if (!err)
			err = batch_print(view, settings, !shown++);
		if (view->source->ended || settings->once ||
		    shown == settings->frames)
			break;
	}
	return err && err != -EPIPE ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

static int show(struct arguments *args, struct view *view, size_t start)
{
	struct conf conf;

	conf_load(&conf);
	arguments_use_conf(args, view, &conf);
	view->source->seek(view->source, start ? start - 1 : 0);
	if (start && view_refresh(view))
		return GMEM_EXIT_FAIL;
	return live_run(view, &args->settings, &conf);
}

static int damaged(const struct replay *replay, const char *path)
{
	uint64_t damage = store_damage(replay->reader);

	if (!damage)
		return GMEM_EXIT_OK;
	gmem_err("%s is damaged after byte %ju: only the %zu frames before can be shown",
		 path, (uintmax_t)damage - 1, replay->source.count);
	return GMEM_EXIT_FAIL;
}

int replay_main(int argc, char **argv)
{
	struct arguments args = ARGUMENTS_INIT;
	struct replay replay;
	struct view view = { .source = &replay.source };
	const char *path;
	int status, words;
	size_t start;

	words = arguments_parse(&args, ARGUMENTS_REPLAY, argc, argv);
	if (words < 0)
		return GMEM_EXIT_USAGE;
	if (args.help)
		return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	if (words != 1) {
		gmem_err("replay takes one file; see gmemtop replay --help");
		return GMEM_EXIT_USAGE;
	}
	path = argv[1];
	if (arguments_check_terminal(&args))
		return GMEM_EXIT_USAGE;
	if (replay_open(&replay, path))
		return GMEM_EXIT_FAIL;
	arguments_use(&args, &view);
	if (go_to_start(&view, args.at, &start)) {
		status = GMEM_EXIT_USAGE;
	} else {
		status = args.batch ? print_frames(&view, &args.settings, start) :
				      show(&args, &view, start);
		if (damaged(&replay, path))
			status = GMEM_EXIT_FAIL;
	}
	view_free(&view);
	replay_close(&replay);
	return status;
}
