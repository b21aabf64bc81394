// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live view: draws the table with curses and reads keys.  ASCII only, so
 * that it works on any terminal and in any locale.
 */
#define _GNU_SOURCE
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmemtop.h"

#define NSEC_PER_SEC		1000000000ULL
/* The first rates come early; before that the screen has none. */
#define FIRST_INTERVAL_NS	500000000ULL

#define LINE_STATUS		2
#define LINE_TITLES		3
#define LINE_ROWS		4
#define SHIFT_STEP		8
#define KEY_CTRL(c)		((c) & 0x1f)
#define KEY_ESCAPE		27

enum mode {
	MODE_TABLE,
	MODE_HELP,
	MODE_SORT,
	MODE_INTERVAL,
};

enum pair {
	PAIR_TITLES = 1,
	PAIR_SELECTED,
	PAIR_WARN,
	PAIR_ALERT,
};

/**
 * struct live - the state of the screen
 * @view: what is shown
 * @interval_ns: time between two refreshes
 * @refreshes: how often it was refreshed
 * @mode: what keys do
 * @quit: the user wants to leave
 * @frozen: no refresh until the user says so
 * @colours: the terminal has colours and the user did not object
 * @selected_id: VM that the cursor stays on, 0 if it stays on the first row
 * @selected: its place among the rows
 * @top: first row on the screen
 * @shift: characters that the table is moved to the left
 * @choice: column under the cursor of the sort menu
 * @input: what was typed at a prompt
 * @complaint: why the last input was refused, or NULL
 */
struct live {
	struct view *view;
	uint64_t interval_ns;
	uint64_t refreshes;
	enum mode mode;
	bool quit;
	bool frozen;
	bool colours;
	uint64_t selected_id;
	size_t selected;
	size_t top;
	int shift;
	int choice;
	char input[16];
	const char *complaint;
};

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void give_terminal_back(void)
{
	if (!isendwin())
		endwin();
}

static attr_t style(const struct live *live, enum pair pair, attr_t plain)
{
	return live->colours ? COLOR_PAIR(pair) : plain;
}

/* Writes @text at column @x, which may be off the screen on either side. */
static void put(int y, int x, const char *text, attr_t attr)
{
	int len = strlen(text);

	if (y < 0 || y >= LINES)
		return;
	if (x < 0) {
		if (len <= -x)
			return;
		text -= x;
		len += x;
		x = 0;
	}
	if (x >= COLS)
		return;
	attrset(attr);
	mvaddnstr(y, x, text, COLS - x < len ? COLS - x : len);
	attrset(A_NORMAL);
}

/* Fills a line, so that its background reaches the right edge. */
static void put_bar(int y, attr_t attr)
{
	if (y < 0 || y >= LINES)
		return;
	attrset(attr);
	mvhline(y, 0, ' ', COLS);
	attrset(A_NORMAL);
}

static size_t visible_rows(void)
{
	return LINES > LINE_ROWS + 1 ? LINES - LINE_ROWS - 1 : 0;
}

static void draw_head(const struct live *live)
{
	const struct view *view = live->view;
	const struct column *col = &columns[view->sort];
	char text[256];
	size_t len;

	put(0, 0, view_host_line(view, 0, text, sizeof(text)), A_BOLD);
	put(1, 0, view_host_line(view, 1, text, sizeof(text)), A_NORMAL);
	view_host_line(view, 2, text, sizeof(text));
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len,
		 "; sorted by %s, %s; every %.6g s%s",
		 col->key,
		 column_descends(col) != view->inverted ? "descending" :
							  "ascending",
		 (double)live->interval_ns / NSEC_PER_SEC,
		 live->frozen ? "; FROZEN" : "");
	put(LINE_STATUS, 0, text, live->frozen ? A_BOLD : A_NORMAL);
}

static void draw_titles(const struct live *live)
{
	attr_t attr = style(live, PAIR_TITLES, A_REVERSE);
	const struct fields *fields = &live->view->fields;
	int i, c, x = -live->shift;
	char text[TEXT_LEN];

	put_bar(LINE_TITLES, attr);
	for (i = 0; i < fields->nr; i++) {
		c = fields->id[i];
		put(LINE_TITLES, x, column_title(&columns[c], text, sizeof(text)),
		    c == (int)live->view->sort ? attr | A_UNDERLINE | A_BOLD :
						 attr);
		x += columns[c].width + 1;
	}
}

/* What needs a look: memory that is lost, and guests that are held back. */
static attr_t cell_style(const struct live *live, const struct row *row, int c)
{
	if ((c != COLUMN_STALE && c != COLUMN_DENIED && c != COLUMN_DELAYED) ||
	    column_value(&columns[c], row) == 0)
		return A_NORMAL;
	return style(live, c == COLUMN_DENIED ? PAIR_ALERT : PAIR_WARN, A_BOLD);
}

static void draw_row(const struct live *live, int y, const struct row *row,
		     bool selected)
{
	attr_t bar = style(live, PAIR_SELECTED, A_REVERSE);
	const struct fields *fields = &live->view->fields;
	int i, c, x = -live->shift;
	char text[TEXT_LEN];

	if (selected)
		put_bar(y, bar);
	for (i = 0; i < fields->nr; i++) {
		c = fields->id[i];
		column_format(&columns[c], row, text, sizeof(text));
		put(y, x, text, selected ? bar : cell_style(live, row, c));
		x += strlen(text) + 1;
	}
}

static void draw_table(const struct live *live)
{
	const struct view *view = live->view;
	size_t i;

	draw_titles(live);
	for (i = 0; i < visible_rows() && live->top + i < view->nr_rows; i++)
		draw_row(live, LINE_ROWS + i, &view->rows[live->top + i],
			 live->top + i == live->selected);
	if (!view->nr_rows)
		put(LINE_ROWS, 0, "No VM is running.", A_NORMAL);
}

static void draw_foot(const struct live *live)
{
	char text[128];

	if (live->mode == MODE_INTERVAL) {
		snprintf(text, sizeof(text),
			 "Seconds between refreshes (%s): %s", INTERVAL_RANGE,
			 live->input);
		put(LINES - 1, 0, text, A_BOLD);
		curs_set(1);
		move(LINES - 1, strlen(text) < (size_t)COLS ?
				(int)strlen(text) : COLS - 1);
		return;
	}
	curs_set(0);
	if (live->complaint)
		put(LINES - 1, 0, live->complaint, A_BOLD);
	else if (live->mode == MODE_SORT)
		put(LINES - 1, 0, "Enter Sort  Esc Cancel", A_REVERSE);
	else if (live->mode == MODE_HELP)
		put(LINES - 1, 0, "Any key goes back", A_REVERSE);
	else
		put(LINES - 1, 0,
		    "F1 Help  F6 Sort  < > Column  I Invert  Z Freeze  D Interval  Q Quit",
		    A_REVERSE);
}

static void draw_sort_menu(const struct live *live)
{
	int c, first = 0, room = visible_rows();
	char text[128];

	put_bar(LINE_TITLES, style(live, PAIR_TITLES, A_REVERSE));
	put(LINE_TITLES, 0, "Sort by", style(live, PAIR_TITLES, A_REVERSE));
	if (live->choice >= room)
		first = live->choice - room + 1;
	for (c = first; c < NR_COLUMNS && c - first < room; c++) {
		snprintf(text, sizeof(text), "%-14s %s", columns[c].key,
			 columns[c].help);
		put(LINE_ROWS + c - first, 0, text,
		    c == live->choice ? style(live, PAIR_SELECTED, A_REVERSE) :
					A_NORMAL);
	}
}

static void draw_help(void)
{
	static const char *const keys[] = {
		"Up Down PgUp PgDn Home End  move       Left Right  move the table",
		"F6 s  choose the order                 < >  order by the column beside",
		"I     invert the order                 z Space  freeze and go on",
		"d     set the interval                 q F10  quit",
	};
	char text[128];
	int c, y = 0;
	size_t i;

	put(y++, 0, "gmemtop " GMEM_VERSION ": private memory of KVM guests",
	    A_BOLD);
	y++;
	for (i = 0; i < ARRAY_LEN(keys); i++)
		put(y++, 0, keys[i], A_NORMAL);
	y++;
	for (c = 0; c < NR_COLUMNS; c++) {
		snprintf(text, sizeof(text), "%-6s %-14s %s", columns[c].title,
			 columns[c].key, columns[c].help);
		put(y++, 0, text, A_NORMAL);
	}
}

static void draw(const struct live *live)
{
	erase();
	if (live->mode == MODE_HELP) {
		draw_help();
	} else {
		draw_head(live);
		if (live->mode == MODE_SORT)
			draw_sort_menu(live);
		else
			draw_table(live);
	}
	draw_foot(live);
	refresh();
}

/* Keeps the cursor on its VM, wherever the VM is now, and on the screen. */
static void follow_selected(struct live *live)
{
	const struct view *view = live->view;
	size_t i, room = visible_rows();

	if (!live->selected_id)
		live->selected = 0;
	for (i = 0; i < view->nr_rows; i++) {
		if (view->rows[i].now->vm_id == live->selected_id) {
			live->selected = i;
			break;
		}
	}
	if (live->selected >= view->nr_rows)
		live->selected = view->nr_rows ? view->nr_rows - 1 : 0;
	/* Its VM is gone: go on with the one that took its place. */
	if (live->selected_id && i == view->nr_rows)
		live->selected_id = live->selected ?
				    view->rows[live->selected].now->vm_id : 0;

	if (live->top + room > view->nr_rows)
		live->top = view->nr_rows > room ? view->nr_rows - room : 0;
	if (live->selected < live->top)
		live->top = live->selected;
	if (room && live->selected >= live->top + room)
		live->top = live->selected - room + 1;
}

static void select_row(struct live *live, long row)
{
	const struct view *view = live->view;

	if (!view->nr_rows)
		return;
	if (row < 0)
		row = 0;
	if ((size_t)row >= view->nr_rows)
		row = view->nr_rows - 1;
	/* At the top the cursor stays at the top, whoever is there. */
	live->selected_id = row ? view->rows[row].now->vm_id : 0;
	follow_selected(live);
}

static void sort_by(struct live *live, enum column_id sort)
{
	if (live->view->sort != sort)
		live->view->inverted = false;
	live->view->sort = sort;
	view_arrange(live->view);
	follow_selected(live);
}

static void shift_table(struct live *live, int by)
{
	const struct fields *fields = &live->view->fields;
	int i, width = -1;

	for (i = 0; i < fields->nr; i++)
		width += columns[fields->id[i]].width + 1;
	live->shift += by;
	if (live->shift > width - COLS)
		live->shift = width - COLS;
	if (live->shift < 0)
		live->shift = 0;
}

static void key_in_table(struct live *live, int key)
{
	struct view *view = live->view;
	long page = visible_rows() ? visible_rows() : 1;

	switch (key) {
	case 'q':
	case 'Q':
	case KEY_F(10):
		live->quit = true;
		break;
	case 'h':
	case '?':
	case KEY_F(1):
		live->mode = MODE_HELP;
		break;
	case KEY_UP:
		select_row(live, (long)live->selected - 1);
		break;
	case KEY_DOWN:
		select_row(live, live->selected + 1);
		break;
	case KEY_PPAGE:
		select_row(live, (long)live->selected - page);
		break;
	case KEY_NPAGE:
		select_row(live, live->selected + page);
		break;
	case KEY_HOME:
		select_row(live, 0);
		break;
	case KEY_END:
		select_row(live, view->nr_rows);
		break;
	case KEY_LEFT:
		shift_table(live, -SHIFT_STEP);
		break;
	case KEY_RIGHT:
		shift_table(live, SHIFT_STEP);
		break;
	case 's':
	case KEY_F(6):
		live->mode = MODE_SORT;
		live->choice = view->sort;
		break;
	case '<':
		sort_by(live, (view->sort + NR_COLUMNS - 1) % NR_COLUMNS);
		break;
	case '>':
		sort_by(live, (view->sort + 1) % NR_COLUMNS);
		break;
	case 'I':
	case 'i':
		view->inverted = !view->inverted;
		view_arrange(view);
		follow_selected(live);
		break;
	case 'z':
	case 'Z':
	case ' ':
		live->frozen = !live->frozen;
		break;
	case 'd':
	case 'D':
		live->mode = MODE_INTERVAL;
		live->input[0] = '\0';
		break;
	case KEY_CTRL('l'):
		clearok(curscr, TRUE);
		break;
	}
}

static void key_in_sort_menu(struct live *live, int key)
{
	switch (key) {
	case KEY_UP:
		if (live->choice > 0)
			live->choice--;
		break;
	case KEY_DOWN:
		if (live->choice + 1 < NR_COLUMNS)
			live->choice++;
		break;
	case '\r':
	case '\n':
	case KEY_ENTER:
		sort_by(live, live->choice);
		live->mode = MODE_TABLE;
		break;
	case 'q':
	case KEY_ESCAPE:
	case KEY_F(6):
		live->mode = MODE_TABLE;
		break;
	}
}

static void set_interval(struct live *live)
{
	uint64_t ns;

	live->mode = MODE_TABLE;
	if (!live->input[0])
		return;
	if (gmem_parse_seconds(live->input, &ns) || ns < INTERVAL_MIN_NS ||
	    ns > INTERVAL_MAX_NS) {
		live->complaint = "The interval is from " INTERVAL_RANGE
				  " seconds; it is unchanged.";
		return;
	}
	live->interval_ns = ns;
}

static void key_in_prompt(struct live *live, int key)
{
	size_t len = strlen(live->input);

	switch (key) {
	case '\r':
	case '\n':
	case KEY_ENTER:
		set_interval(live);
		break;
	case KEY_ESCAPE:
		live->mode = MODE_TABLE;
		break;
	case KEY_BACKSPACE:
	case KEY_CTRL('h'):
	case 127:
		if (len)
			live->input[len - 1] = '\0';
		break;
	default:
		if (key >= ' ' && key <= '~' && len + 1 < sizeof(live->input)) {
			live->input[len] = key;
			live->input[len + 1] = '\0';
		}
	}
}

static void take_key(struct live *live, int key)
{
	if (key == KEY_RESIZE) {
		follow_selected(live);
		shift_table(live, 0);
		return;
	}
	live->complaint = NULL;
	switch (live->mode) {
	case MODE_TABLE:
		key_in_table(live, key);
		break;
	case MODE_HELP:
		live->mode = MODE_TABLE;
		break;
	case MODE_SORT:
		key_in_sort_menu(live, key);
		break;
	case MODE_INTERVAL:
		key_in_prompt(live, key);
		break;
	}
}

/*
 * Waits for a key, a signal or the time @until.  Signals get through here
 * only, so none is lost between a look at @caught and the wait.
 */
static int wait_for_input(uint64_t until, const sigset_t *unblocked)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now = monotonic_ns();
	struct timespec ts = {};

	if (until > now) {
		ts.tv_sec = (until - now) / NSEC_PER_SEC;
		ts.tv_nsec = (until - now) % NSEC_PER_SEC;
	}
	if (ppoll(&fd, 1, &ts, unblocked) < 0 && errno != EINTR) {
		gmem_err("cannot wait for keys: %s", strerror(errno));
		return -1;
	}
	if (fd.revents & (POLLHUP | POLLERR | POLLNVAL)) {
		gmem_err("the terminal is gone");
		return -1;
	}
	return 0;
}

static int loop(struct live *live, uint64_t frames, const sigset_t *unblocked)
{
	uint64_t next = monotonic_ns(), drawn;
	int key;

	while (!live->quit && !caught) {
		if (!live->frozen && monotonic_ns() >= next) {
			if (view_refresh(live->view))
				return GMEM_EXIT_FAIL;
			follow_selected(live);
			live->refreshes++;
		}
		draw(live);
		if (frames && live->refreshes >= frames)
			break;

		/* The wait ends early at a key; the refresh comes in time. */
		drawn = monotonic_ns();
		if (drawn >= next) {
			next = drawn + live->interval_ns;
			if (live->refreshes == 1 &&
			    live->interval_ns > FIRST_INTERVAL_NS)
				next = drawn + FIRST_INTERVAL_NS;
		}
		if (wait_for_input(next, unblocked))
			return GMEM_EXIT_FAIL;
		while ((key = getch()) != ERR)
			take_key(live, key);
		/* A shorter interval counts from now on. */
		if (next > monotonic_ns() + live->interval_ns)
			next = monotonic_ns() + live->interval_ns;
	}
	return GMEM_EXIT_OK;
}

static void start_colours(struct live *live)
{
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && *no_color) || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(PAIR_TITLES, COLOR_BLACK, COLOR_GREEN);
	init_pair(PAIR_SELECTED, COLOR_BLACK, COLOR_CYAN);
	init_pair(PAIR_WARN, COLOR_YELLOW, -1);
	init_pair(PAIR_ALERT, COLOR_RED, -1);
	live->colours = true;
}

static void catch_signals(sigset_t *unblocked)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked;
	size_t i;

	sigemptyset(&blocked);
	for (i = 0; i < ARRAY_LEN(ends); i++) {
		sigaction(ends[i], &action, NULL);
		sigaddset(&blocked, ends[i]);
	}
	sigaddset(&blocked, SIGWINCH);
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
}

int live_run(struct view *view, const struct settings *settings)
{
	struct live live = {
		.view = view,
		.interval_ns = settings->interval_ns,
	};
	const char *term = getenv("TERM");
	sigset_t unblocked;
	SCREEN *screen;
	int status;

	/* curses leaves the signals alone for which a handler is set. */
	catch_signals(&unblocked);
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		gmem_err("cannot drive a terminal of type '%s'; set TERM, or use -b for plain text",
			 term ? term : "");
		return GMEM_EXIT_FAIL;
	}
	gmem_err_before(give_terminal_back);
	start_colours(&live);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);

	status = loop(&live, settings->frames, &unblocked);

	give_terminal_back();
	gmem_err_before(NULL);
	delscreen(screen);
	if (caught) {
		signal(caught, SIG_DFL);
		raise(caught);
		sigprocmask(SIG_SETMASK, &unblocked, NULL);
	}
	return status;
}
