// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host has and does, and how the list below is made.
 */
#include <string.h>
#include <time.h>

#include "figures/cells.h"
#include "gmem_clock.h"
#include "terminal/head.h"
#include "terminal/screen.h"

#define LINE_STATUS	2
#define FROZEN_COLUMNS	7
/* Columns of what is filtered for, at least and at most. */
#define FILTER_LEAST	12
#define FILTER_MOST	120

/* What the tagged VMs have together, instead of what all have. */
static bool tagged_line(const struct tui *tui, char *dst, size_t size)
{
	const struct view *view = tui->view;
	double sums[NR_COLUMNS] = {};
	size_t i, tagged = 0, len;
	char value[CELL_LEN];
	int c;

	for (i = 0; i < view->nr_rows; i++) {
		if (!view->rows[i].facts->tagged)
			continue;
		tagged++;
		for (c = 0; c < NR_COLUMNS; c++)
			if (columns[c].kind == COLUMN_PAGES)
				column_add(&sums[c], column_value(&columns[c],
								  &view->rows[i]));
	}
	if (!tagged)
		return false;
	len = snprintf(dst, size, "%zu tagged", tagged);
	for (c = 0; c < NR_COLUMNS && len < size; c++) {
		if (columns[c].kind != COLUMN_PAGES || c >= COLUMN_SIZE)
			continue;
		column_format_sum(&columns[c], sums[c], value, sizeof(value));
		len += snprintf(dst + len, size - len, ", %s %s", value,
				columns[c].key);
	}
	return true;
}

/* Of a recording: when it was. */
static size_t replay_line(const struct view *view, char *dst, size_t size)
{
	time_t seconds = view_frame(view)->real_ns / NSEC_PER_SEC;
	const struct source *source = view->source;
	char when[32] = "";
	struct tm tm;

	*dst = '\0';
	if (source->live)
		return 0;
	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	return snprintf(dst, size, "%s, %zu of %zu; ", when,
			source->position + 1, source->count);
}

/* What was typed, or a path, in the room that the line has left. */
static const char *shorten(const char *text, int room, char *dst, size_t size)
{
	char shown[GMEM_CGROUP_LEN];

	gmem_printable(shown, sizeof(shown), text);
	room = room > FILTER_LEAST ? room : FILTER_LEAST;
	return gmem_text_fit(dst, size, shown,
			     room < FILTER_MOST ? room : FILTER_MOST);
}

static void status_line(const struct tui *tui, char *dst, size_t size)
{
	const struct view *view = tui->view;
	const struct column *col = &columns[view->sort];
	const struct filter *filter = &view->filter;
	char text[FILTER_MOST * 4 + 8];
	int room = COLS - (tui->frozen ? FROZEN_COLUMNS : 0);
	size_t len;

	len = replay_line(view, dst, size);
	view_host_line(view, 2, dst + len, size - len);
	len = strlen(dst);
	len += snprintf(dst + len, size - len, "; by %s, %s; every %.6g s",
			col->key,
			column_descends(col) != view->inverted ? "descending" :
								 "ascending",
			(double)tui->interval_ns / NSEC_PER_SEC);
	if (len < size && view->source->about)
		len += snprintf(dst + len, size - len, "; %s",
				view->source->about);
	if (len < size && filter->text[0])
		len += snprintf(dst + len, size - len, "; filter '%s'",
				shorten(filter->text, (room - (int)len) /
					(filter->cgroup[0] ? 2 : 1) -
					(int)strlen("; filter ''"), text,
					sizeof(text)));
	if (len < size && filter->cgroup[0])
		len += snprintf(dst + len, size - len, "; in %s",
				shorten(filter->cgroup, room - (int)len -
					(int)strlen("; in "), text,
					sizeof(text)));
}

int head_draw(const struct tui *tui)
{
	const struct view *view = tui->view;
	char text[1536];

	screen_items(0, 0, view_host_line(view, 0, text, sizeof(text)), A_BOLD);
	if (!tagged_line(tui, text, sizeof(text)))
		view_host_line(view, 1, text, sizeof(text));
	screen_items(1, 0, text, A_NORMAL);
	status_line(tui, text, sizeof(text));
	/* In front, where it is seen on a narrow terminal, too. */
	if (tui->frozen)
		screen_put(LINE_STATUS, 0, "FROZEN", A_REVERSE);
	screen_items(LINE_STATUS, tui->frozen ? FROZEN_COLUMNS : 0, text, A_NORMAL);
	return LINE_TITLES;
}
