// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds frames of a recording by their number and by their time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "gmem_clock.h"
#include "recording/replay.h"
#include "recording/store_read.h"

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

int replay_open(struct replay *replay, const char *path)
{
	*replay = (struct replay) {
		.source = { .read = replay_read, .seek = replay_seek,
			    .find = replay_find },
		.reader = store_open(path),
	};
	if (!replay->reader)
		return -1;
	replay->source.count = store_nr_frames(replay->reader);
	return 0;
}

void replay_close(struct replay *replay)
{
	store_close(replay->reader);
}
