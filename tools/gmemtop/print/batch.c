// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames for pipes, files and screen readers: plain text, comma-separated values,
 * or one line of JSON each.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "figures/cells.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "print/batch.h"
#include "print/csv.h"
#include "print/json.h"

/* The padding of a line's last cell is no use to anyone. */
static void print_line(const char *line, size_t len, FILE *out)
{
	while (len && line[len - 1] == ' ')
		len--;
	fprintf(out, "%.*s\n", (int)len, line);
}

static void print_row(const struct view *view, const struct row *row, FILE *out)
{
	char line[NR_COLUMNS * (TEXT_LEN + 1)], cell[TEXT_LEN];
	size_t len = 0;
	int i;

	for (i = 0; i < view->fields.nr; i++) {
		const struct column *col = &columns[view->fields.id[i]];

		if (row)
			column_format(col, row, cell, sizeof(cell));
		else
			column_title(col, cell, sizeof(cell));
		len += sprintf(line + len, "%s%s", i ? " " : "", cell);
	}
	print_line(line, len, out);
}

static void print_text(const struct view *view, bool header, FILE *out)
{
	time_t now = view_frame(view)->real_ns / NSEC_PER_SEC;
	const struct source *source = view->source;
	char text[256], when[16] = "";
	struct tm tm;
	size_t i;
	int l;

	if (header) {
		if (localtime_r(&now, &tm))
			strftime(when, sizeof(when), "%H:%M:%S", &tm);
		fprintf(out, "gmemtop %s%s%s%s%s\n", when,
			source->about ? " " : "",
			source->about ? source->about : "",
			source->lacks ? ": " : "",
			source->lacks ? source->lacks : "");
		for (l = 0; l < VIEW_HOST_LINES; l++)
			fprintf(out, "%s\n",
				view_host_line(view, l, text, sizeof(text)));
		print_row(view, NULL, out);
	}
	for (i = 0; i < view->nr_rows; i++)
		print_row(view, &view->rows[i], out);
}

static int print_frame(const struct view *view, const struct settings *settings,
		       bool first, FILE *out)
{
	switch (settings->format) {
	case FORMAT_JSON:
		return json_print(view, out);
	case FORMAT_CSV:
		csv_print(view, first && settings->header, out);
		break;
	case FORMAT_TEXT:
		if (!first)
			fputc('\n', out);
		print_text(view, settings->header, out);
		break;
	}
	return 0;
}

/* A whole frame is written at once: a stream that fails in it forgets why. */
int batch_print(const struct view *view, const struct settings *settings,
		bool first)
{
	char *text = NULL;
	size_t len;
	FILE *out;
	int err;

	out = open_memstream(&text, &len);
	err = out ? print_frame(view, settings, first, out) : -ENOMEM;
	if (out && fclose(out) && !err)
		err = -ENOMEM;
	if (err == -ENOMEM)
		gmem_err("no memory for the output; free some");
	if (!err)
		err = gmem_put(stdout, text);
	free(text);
	return err ? err : gmem_flush(stdout);
}

/* Asked for one VM, an empty answer would look like a quiet one. */
static int check_found(const struct view *view)
{
	if (!view->filter.vm || view->nr_rows)
		return 0;
	gmem_err("no VM has the id or name '%s'; gmemtop --once lists them",
		 view->filter.vm);
	return -ENOENT;
}

int batch_run(struct view *view, const struct settings *settings)
{
	uint64_t shown = 0, next;
	sigset_t none;
	int err;

	/* A reader that goes away is told apart from a full disk by EPIPE. */
	signal(SIGPIPE, SIG_IGN);

	if (settings->once)
		view->source->look_max_ns = LOOK_ONCE_NS;
	sigemptyset(&none);
	next = gmem_now_ns();
	err = view_refresh(view);
	source_tell(view->source);
	if (!err)
		err = check_found(view);
	if (!err && settings->once)
		err = batch_print(view, settings, true);
	while (!err && !settings->once &&
	       (!settings->frames || shown < settings->frames)) {
		next = gmem_clock_next(next, settings->interval_ns);
		gmem_clock_wait(next, &none);
		err = view_refresh(view);
		source_tell(view->source);
		if (!err)
			err = batch_print(view, settings, !shown++);
	}
	return err && err != -EPIPE ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}
