// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop replay: shows a recording as if it happened now.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "view/settings.h"
#include "verbs/options.h"
#include "recording/store.h"
#include "verbs/verbs.h"

#define NSEC_PER_SEC	1000000000ULL

struct replay {
	struct source source;
	struct store_reader *reader;
	size_t next;
};

static int replay_read(struct source *source, struct frame *frame,
		       struct facts *facts)
{
	struct replay *replay = (struct replay *)source;
	size_t last = store_nr_frames(replay->reader) - 1;
	int err;

	err = store_read(replay->reader, replay->next, frame, facts);
	source->position = replay->next;
	source->ended = replay->next == last;
	if (replay->next < last)
		replay->next++;
	return err;
}

static void replay_seek(struct source *source, size_t nr)
{
	struct replay *replay = (struct replay *)source;
	size_t last = store_nr_frames(replay->reader) - 1;

	replay->next = nr < last ? nr : last;
	source->ended = false;
}

/* "12:30", "12:30:05", with a date before it and a blank or T between. */
static bool parse_clock(const char *text, uint64_t first_ns, uint64_t *ns)
{
	static const char *const formats[] = {
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d %H:%M", "%H:%M:%S", "%H:%M",
	};
	time_t first = first_ns / NSEC_PER_SEC, found;
	size_t i;

	for (i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm;
		const char *end;

		localtime_r(&first, &tm);
		tm.tm_sec = 0;
		end = strptime(text, formats[i], &tm);
		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		found = mktime(&tm);
		/* A time of day before the first frame is on the next day. */
		if (formats[i][1] == 'H' && found < first) {
			tm.tm_mday++;
			tm.tm_isdst = -1;
			found = mktime(&tm);
		}
		/* Before 1970 is before, and after all that is counted after. */
		if (found < 0)
			*ns = 0;
		else if (__builtin_mul_overflow(found, NSEC_PER_SEC, ns))
			*ns = UINT64_MAX;
		return true;
	}
	return false;
}

static int replay_find(struct source *source, const char *text, size_t *nr)
{
	const struct store_reader *reader = ((struct replay *)source)->reader;
	uint64_t first = store_time(reader, 0), ns;
	size_t i, last = store_nr_frames(reader) - 1;

	if (text[0] == '+') {
		if (gmem_parse_seconds(text + 1, &ns))
			return -EINVAL;
		if (__builtin_add_overflow(ns, first, &ns))
			ns = UINT64_MAX;
	} else if (!parse_clock(text, first, &ns)) {
		return -EINVAL;
	}
	/* The last frame that is not later: what was to be seen then. */
	for (i = 0; i < last && store_time(reader, i + 1) <= ns; i++)
		;
	*nr = i;
	return 0;
}

static int go_to_start(struct view *view, const char *at, size_t *nr)
{
	*nr = 0;
	if (!at)
		return 0;
	if (replay_find(view->source, at, nr)) {
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

static int damaged(const struct store_reader *reader, const char *path)
{
	if (!store_damage(reader))
		return GMEM_EXIT_OK;
	gmem_err("%s is damaged after byte %ju: only the %zu frames before can be shown",
		 path, (uintmax_t)store_damage(reader) - 1,
		 store_nr_frames(reader));
	return GMEM_EXIT_FAIL;
}

int replay_main(int argc, char **argv)
{
	struct arguments args = ARGUMENTS_INIT;
	struct replay replay = {
		.source = { .read = replay_read, .seek = replay_seek,
			    .find = replay_find },
	};
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
	replay.reader = store_open(path);
	if (!replay.reader)
		return GMEM_EXIT_FAIL;
	replay.source.count = store_nr_frames(replay.reader);
	arguments_use(&args, &view);
	if (go_to_start(&view, args.at, &start)) {
		status = GMEM_EXIT_USAGE;
	} else {
		status = args.batch ? print_frames(&view, &args.settings, start) :
				      show(&args, &view, start);
		if (damaged(replay.reader, path))
			status = GMEM_EXIT_FAIL;
	}
	view_free(&view);
	store_close(replay.reader);
	return status;
}
