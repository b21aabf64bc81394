// SPDX-License-Identifier: GPL-2.0-only
/*
 * The panel of help: keys, and what the columns are.
 */
#include <string.h>

#include "gmem_common.h"
#include "terminal/help.h"
#include "terminal/panel.h"
#include "terminal/screen.h"

static const char *const keys[] = {
	"Up Down PgUp PgDn Home End  move        Left Right  move the table",
	"Enter details of the VM                 in them: Tab or 1-5 turns the page",
	"in Map: + - zoom  a all  n next slot    - shared  = mapped  ! stale  H huge",
	"F2 C  choose columns                    F6 s  choose the order",
	"F3 /  search                            < >   order by the column beside",
	"F4 \\  filter                            I     invert the order",
	"Space tag      U  untag all             u     VMs of a control group",
	"P     policies    z  freeze and go on   d     set the interval   q F10 quit",
	"^L    draw the screen anew              ^Z    back to the shell; fg goes on",
	"of a recording: [ ] step   { } jump 60 frames   g go to a time",
};

/* Where the words on a column begin, and the least room to wrap them in. */
#define WORDS_AT	38
#define WORDS_MIN	20

/* The first line on the screen, and how many there are at its present width. */
static int first, nr_lines;

/* Bytes of @text that fit into @width, to the end of a word if there is one. */
static int fitting(const char *text, int width)
{
	int len = strlen(text), end;

	if (len <= width)
		return len;
	for (end = width; end > 0 && text[end] != ' '; end--)
		;
	return end > 0 ? end : width;
}

/* Draws a part of line @line of the help, if that is on the screen. */
static void put_line(int line, int x, const char *text, int len)
{
	char part[MENU_ITEM_LEN];
	int y = 2 + line - first;

	snprintf(part, sizeof(part), "%.*s", len, text);
	if (y >= 2 && y < LINES - 1)
		screen_put(y, x, part, A_NORMAL);
}

/* Returns the line after it. */
static int put_column(int line, const struct column *col)
{
	int room = COLS - WORDS_AT < WORDS_MIN ? WORDS_MIN : COLS - WORDS_AT;
	const char *words = col->help;
	char text[MENU_ITEM_LEN];
	int len;

	len = snprintf(text, sizeof(text), "%-8s %-28s", col->title, col->key);
	put_line(line, 0, text, len);
	do {
		len = fitting(words, room);
		put_line(line++, WORDS_AT, words, len);
		words += len + (words[len] == ' ');
	} while (*words);
	return line;
}

/* Returns how many lines there are, of which those on the screen are drawn. */
static int put_help(void)
{
	int nr_keys = ARRAY_LEN(keys), line, i;

	for (i = 0; i < nr_keys; i++)
		put_line(i, 0, keys[i], strlen(keys[i]));
	line = nr_keys + 1;
	for (i = 0; i < NR_COLUMNS; i++)
		line = put_column(line, &columns[i]);
	return line;
}

static void draw_help(struct tui *tui)
{
	screen_put(0, 0, "gmemtop " GMEM_VERSION
		   ": private memory of KVM guests", A_BOLD);
	nr_lines = put_help();
}

static void key_in_help(struct tui *tui, int key)
{
	int last = nr_lines - (LINES - 3);

	switch (key) {
	case KEY_UP:
		first--;
		break;
	case KEY_DOWN:
		first++;
		break;
	case KEY_PPAGE:
		first -= LINES - 3;
		break;
	case KEY_NPAGE:
	case ' ':
		first += LINES - 3;
		break;
	case KEY_RESIZE:
		break;
	default:
		first = 0;
		panel_leave(tui);
		return;
	}
	if (first > last)
		first = last;
	if (first < 0)
		first = 0;
}

static const struct hint help_hints[] = {
	{ "Up Down Scroll", KEY_DOWN },
	{ "any other key goes back", KEY_ESCAPE },
	{}
};

const struct panel help_panel = {
	.hints = help_hints,
	.takes_all_keys = true,
	.draw = draw_help,
	.key = key_in_help,
};
