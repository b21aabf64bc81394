// SPDX-License-Identifier: GPL-2.0-only
/*
 * The panel of all VMs: a row a VM, and a cursor that stays on its VM.
 */
#define _GNU_SOURCE
#include <string.h>

#include "figures/cells.h"
#include "gmem_common.h"
#include "terminal/choose.h"
#include "terminal/cursor.h"
#include "terminal/details.h"
#include "terminal/head.h"
#include "terminal/help.h"
#include "terminal/panel.h"
#include "terminal/policies.h"
#include "terminal/prompt.h"
#include "terminal/screen.h"
#include "terminal/table.h"
#include "view/settings.h"

/* Of a text that does not fit, so much is of use. */
#define TEXT_MIN	4
/* What tells that there are more columns, and the blank before it. */
#define MORE_WIDTH	2

static int columns_within(const struct fields *fields, int first, int width)
{
	int i, x = 0;

	for (i = first; i < fields->nr; i++) {
		const struct column *col = &columns[fields->id[i]];
		int least = col->kind == COLUMN_TEXT ? TEXT_MIN : col->width;

		if (x + least > width)
			break;
		x += col->width + 1;
	}
	return i;
}

/*
 * The column after the last one on the screen.  A number that is cut is another
 * number, so a column is shown as a whole or not at all, but for texts.
 */
static int last_column(const struct tui *tui)
{
	const struct fields *fields = &tui->view->fields;
	int first = tui->cursor.shift, last;

	last = columns_within(fields, first, COLS);
	if (last < fields->nr)
		last = columns_within(fields, first, COLS - MORE_WIDTH);
	/* Too narrow for anything: what there is of the first. */
	return last > first ? last : first + 1;
}

static void draw_titles(const struct tui *tui)
{
	attr_t attr = screen_style(tui, PAIR_TITLES, A_REVERSE);
	const struct fields *fields = &tui->view->fields;
	int i, c, x = 0, last = last_column(tui);
	char text[TEXT_LEN];

	screen_bar(LINE_TITLES, attr);
	for (i = tui->cursor.shift; i < last; i++) {
		c = fields->id[i];
		screen_put(LINE_TITLES, x,
			   column_title(&columns[c], text, sizeof(text)),
			   c == (int)tui->view->sort ?
			   attr | A_UNDERLINE | A_BOLD : attr);
		x += columns[c].width + 1;
	}
	if (last < fields->nr)
		screen_put(LINE_TITLES, COLS - 1, ">", attr | A_BOLD);
}

/* What needs a look: memory that is lost, and guests that are held back. */
static attr_t cell_style(const struct tui *tui, const struct row *row, int c)
{
	if ((c != COLUMN_STALE && c != COLUMN_DENIED && c != COLUMN_DELAYED) ||
	    column_value(&columns[c], row) == 0)
		return A_NORMAL;
	return screen_style(tui, c == COLUMN_DENIED ? PAIR_ALERT : PAIR_WARN,
			    A_BOLD);
}

static void draw_trend(const struct tui *tui, int y, int x,
		       const struct vm_facts *facts, attr_t attr)
{
	float max = 0;
	int i;

	for (i = 0; i < VM_TREND_LEN; i++)
		if (facts->trend[i] > max)
			max = facts->trend[i];
	for (i = 0; i < VM_TREND_LEN; i++)
		screen_glyph(y, x + i,
			     screen_level(tui, max ? facts->trend[i] / max : 0),
			     attr);
}

static void draw_row(const struct tui *tui, int y, const struct row *row,
		     bool selected)
{
	attr_t bar = screen_style(tui, PAIR_SELECTED, A_REVERSE), attr;
	const struct fields *fields = &tui->view->fields;
	int i, c, x = 0, last = last_column(tui);
	char text[TEXT_LEN];

	if (selected)
		screen_bar(y, bar);
	for (i = tui->cursor.shift; i < last; i++) {
		c = fields->id[i];
		attr = selected ? bar : cell_style(tui, row, c);
		if (row->facts->tagged)
			attr = selected ? bar | A_BOLD :
			       screen_style(tui, PAIR_TAGGED, A_BOLD);
		if (columns[c].kind == COLUMN_TREND) {
			draw_trend(tui, y, x, row->facts, attr);
		} else {
			column_format(&columns[c], row, text, sizeof(text));
			if (columns[c].kind != COLUMN_TEXT && x &&
			    x + (int)strlen(text) > COLS)
				break;
			screen_put(y, x, text, attr);
		}
		/* A number that is too long moves the rest, and stays whole. */
		x += columns[c].kind == COLUMN_TREND ? columns[c].width + 1 :
		     gmem_text_width(text) + 1;
	}
	/* Without colours, and for those who do not see them. */
	if (row->facts->tagged)
		screen_put(y, 0, "*", bar);
}

static void draw_table(struct tui *tui)
{
	const struct view *view = tui->view;
	size_t i, top = tui->cursor.top;

	head_draw(tui);
	draw_titles(tui);
	for (i = 0; i < cursor_room() && top + i < view->nr_rows; i++)
		draw_row(tui, LINE_ROWS + i, &view->rows[top + i],
			 top + i == tui->cursor.row);
	if (!view_frame(view)->vms.nr_vms)
		screen_put(LINE_ROWS, 0, "No VM is running.", A_NORMAL);
	else if (!view->nr_rows)
		screen_put(LINE_ROWS, 0, "No VM passes the filter.", A_NORMAL);
}

static void select_row(struct tui *tui, long row)
{
	const struct view *view = tui->view;

	if (!view->nr_rows)
		return;
	if (row < 0)
		row = 0;
	if ((size_t)row >= view->nr_rows)
		row = view->nr_rows - 1;
	/* At the top the cursor stays at the top, whoever is there. */
	tui->cursor.id = row ? view->rows[row].now->vm_id : 0;
	cursor_follow(tui);
}

static void rearrange(struct tui *tui)
{
	view_arrange(tui->view);
	cursor_follow(tui);
}

static void sort_by(struct tui *tui, enum column_id sort)
{
	if (tui->view->sort != sort)
		tui->view->inverted = false;
	tui->view->sort = sort;
	tui->changed |= CHANGED_ORDER;
	rearrange(tui);
}

/* Sorts by the column @by places beside the present one. */
static void sort_beside(struct tui *tui, int by)
{
	const struct fields *fields = &tui->view->fields;
	int i = 0;

	while (i < fields->nr && fields->id[i] != tui->view->sort)
		i++;
	/* Sorted by a column that is not shown: begin at the end. */
	i = i == fields->nr ? (by > 0 ? 0 : fields->nr - 1) :
	    (i + by + fields->nr) % fields->nr;
	sort_by(tui, fields->id[i]);
}

static void invert(struct tui *tui)
{
	tui->view->inverted = !tui->view->inverted;
	tui->changed |= CHANGED_ORDER;
	rearrange(tui);
}

static void shift_table(struct tui *tui, int by)
{
	const struct fields *fields = &tui->view->fields;
	int most = 0;

	/* No further than to see the last column. */
	while (most < fields->nr - 1 &&
	       columns_within(fields, most, COLS) < fields->nr)
		most++;
	tui->cursor.shift += by;
	if (tui->cursor.shift > most)
		tui->cursor.shift = most;
	if (tui->cursor.shift < 0)
		tui->cursor.shift = 0;
}

/* The first row from @start on, and around, that has the text in its name. */
static void search_from(struct tui *tui, size_t start)
{
	const struct view *view = tui->view;
	size_t i;

	for (i = 0; i < view->nr_rows; i++) {
		size_t row = (start + i) % view->nr_rows;
		const struct vm_facts *facts = view->rows[row].facts;

		if (strcasestr(facts_name(facts), tui->prompt.text) ||
		    strcasestr(facts_cgroup(facts), tui->prompt.text)) {
			select_row(tui, row);
			return;
		}
	}
	if (tui->prompt.text[0])
		beep();
}

static void search_changed(struct tui *tui)
{
	search_from(tui, tui->cursor.row);
}

static void search_again(struct tui *tui)
{
	search_from(tui, tui->cursor.row + 1);
}

static void search_done(struct tui *tui, bool ok)
{
}

static void filter_changed(struct tui *tui)
{
	strcpy(tui->view->filter.text, tui->prompt.text);
	rearrange(tui);
}

static void filter_done(struct tui *tui, bool ok)
{
	if (!ok)
		tui->prompt.text[0] = '\0';
	filter_changed(tui);
}

static void interval_done(struct tui *tui, bool ok)
{
	const char *text = tui->prompt.text;
	uint64_t ns;

	if (!ok || !text[0])
		return;
	if (gmem_parse_seconds(text, &ns) || ns < INTERVAL_MIN_NS ||
	    ns > INTERVAL_MAX_NS) {
		complain(tui, "The interval is from %s seconds; it is unchanged.",
			 INTERVAL_RANGE);
		return;
	}
	tui->interval_ns = ns;
	tui->changed |= CHANGED_INTERVAL;
}

static void ask_filter(struct tui *tui)
{
	struct prompt prompt = {
		.label = "Filter (Esc: none)",
		.changed = filter_changed, .done = filter_done,
	};

	strcpy(prompt.text, tui->view->filter.text);
	prompt_open(tui, &prompt);
}

static void tag(struct tui *tui)
{
	if (!tui->view->nr_rows)
		return;
	tui->view->rows[tui->cursor.row].facts->tagged ^= true;
	select_row(tui, tui->cursor.row + 1);
}

static void untag_all(struct tui *tui)
{
	struct facts *facts = &tui->view->facts;
	size_t i;

	for (i = 0; i < facts->nr; i++)
		facts->vm[i].tagged = false;
}

static void click(struct tui *tui)
{
	const struct fields *fields = &tui->view->fields;
	int i, x = 0, last = last_column(tui);
	MEVENT event = tui->mouse;
	size_t row;

	if (event.bstate & BUTTON4_PRESSED)
		select_row(tui, (long)tui->cursor.row - 3);
#ifdef BUTTON5_PRESSED
	if (event.bstate & BUTTON5_PRESSED)
		select_row(tui, tui->cursor.row + 3);
#endif
	if (!(event.bstate & BUTTON1_PRESSED))
		return;
	if (event.y == LINE_TITLES) {
		for (i = tui->cursor.shift; i < last; i++) {
			x += columns[fields->id[i]].width + 1;
			if (event.x < x)
				break;
		}
		if (i == last)
			return;
		if (fields->id[i] == tui->view->sort)
			invert(tui);
		else
			sort_by(tui, fields->id[i]);
		return;
	}
	row = tui->cursor.top + event.y - LINE_ROWS;
	if (event.y >= LINE_ROWS && event.y < LINES - 1 &&
	    row < tui->view->nr_rows)
		select_row(tui, row);
}

static void key_in_table(struct tui *tui, int key)
{
	long page = cursor_room() ? cursor_room() : 1;
	long row = tui->cursor.row;

	switch (key) {
	case 'q':
	case 'Q':
	case KEY_F(10):
		tui->quit = true;
		break;
	case 'h':
	case '?':
	case KEY_F(1):
		panel_enter(tui, &help_panel);
		break;
	case 'C':
	case KEY_F(2):
		choose_columns(tui);
		break;
	case '/':
	case KEY_F(3):
		prompt_open(tui, &(struct prompt) {
			.label = "Search (F3: next)", .changed = search_changed,
			.again = search_again, .done = search_done,
		});
		break;
	case '\\':
	case KEY_F(4):
		ask_filter(tui);
		break;
	case 's':
	case KEY_F(6):
		choose_sort(tui);
		break;
	case 'u':
		choose_cgroup(tui);
		break;
	case 'P':
	case 'p':
		panel_enter(tui, &policies_panel);
		break;
	case '\r':
	case '\n':
	case KEY_ENTER:
		details_enter(tui);
		break;
	case KEY_UP:
		select_row(tui, row - 1);
		break;
	case KEY_DOWN:
		select_row(tui, row + 1);
		break;
	case KEY_PPAGE:
		select_row(tui, row - page);
		break;
	case KEY_NPAGE:
		select_row(tui, row + page);
		break;
	case KEY_HOME:
		select_row(tui, 0);
		break;
	case KEY_END:
		select_row(tui, tui->view->nr_rows);
		break;
	case KEY_LEFT:
		shift_table(tui, -1);
		break;
	case KEY_RIGHT:
		shift_table(tui, 1);
		break;
	case '<':
		sort_beside(tui, -1);
		break;
	case '>':
		sort_beside(tui, 1);
		break;
	case 'I':
	case 'i':
		invert(tui);
		break;
	case ' ':
		tag(tui);
		break;
	case 'U':
		untag_all(tui);
		break;
	case 'd':
	case 'D':
		prompt_open(tui, &(struct prompt) {
			.label = "Seconds between refreshes (" INTERVAL_RANGE ")",
			.done = interval_done,
		});
		break;
	case KEY_MOUSE:
		click(tui);
		break;
	case KEY_RESIZE:
		cursor_follow(tui);
		shift_table(tui, 0);
		break;
	}
}

static const struct hint table_hints[] = {
	{ "F1 Help", KEY_F(1) },
	{ "F2 Columns", KEY_F(2) },
	{ "F3 Search", KEY_F(3) },
	{ "F4 Filter", KEY_F(4) },
	{ "F6 Sort", KEY_F(6) },
	{ "Enter Details", '\r' },
	{ "P Policies", 'P' },
	{ "Q Quit", 'q' },
	{}
};

const struct panel table_panel = {
	.hints = table_hints,
	.draw = draw_table,
	.key = key_in_table,
};
