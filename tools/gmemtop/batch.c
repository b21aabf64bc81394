// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames for pipes, files and screen readers: plain ASCII text, or one line
 * of JSON each.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "gmemtop.h"

#define NSEC_PER_SEC	1000000000ULL

uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = ns / NSEC_PER_SEC,
		.tv_nsec = ns % NSEC_PER_SEC,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	       EINTR)
		;
}

static void print_text(const struct view *view, FILE *out)
{
	char text[256], when[16] = "";
	time_t now = time(NULL);
	struct tm tm;
	size_t i;
	int c;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(out, "gmemtop %s\n", when);
	fprintf(out, "%s\n", view_host_line(view, 0, text, sizeof(text)));
	fprintf(out, "%s\n", view_host_line(view, 1, text, sizeof(text)));
	for (c = 0; c < NR_COLUMNS; c++)
		fprintf(out, "%s%s", c ? " " : "",
			column_title(&columns[c], text, sizeof(text)));
	fputc('\n', out);
	for (i = 0; i < view->nr_rows; i++) {
		for (c = 0; c < NR_COLUMNS; c++)
			fprintf(out, "%s%s", c ? " " : "",
				column_format(&columns[c], &view->rows[i], text,
					      sizeof(text)));
		fputc('\n', out);
	}
}

static int print_frame(const struct view *view, const struct settings *settings,
		       bool first)
{
	if (settings->json) {
		int err = json_print(view, stdout);

		if (err)
			return err;
	} else {
		if (!first)
			fputc('\n', stdout);
		print_text(view, stdout);
	}
	return gmem_flush(stdout);
}

int batch_run(struct view *view, const struct settings *settings)
{
	uint64_t shown = 0, next, now;
	int err;

	/* A reader that goes away is told apart from a full disk by EPIPE. */
	signal(SIGPIPE, SIG_IGN);

	next = monotonic_ns();
	err = view_refresh(view);
	while (!err && (!settings->frames || shown < settings->frames)) {
		/* After a stop, go on from now instead of catching up. */
		next += settings->interval_ns;
		now = monotonic_ns();
		if (next < now)
			next = now;
		sleep_until(next);
		err = view_refresh(view);
		if (!err)
			err = print_frame(view, settings, !shown++);
	}
	return err && err != -EPIPE ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}
