// SPDX-License-Identifier: GPL-2.0-only
/*
 * The panel of help: keys, and what the columns are.
 */
#include "gmem_common.h"
#include "terminal/help.h"
#include "terminal/panel.h"
#include "terminal/screen.h"

static const char *const keys[] = {
	"Up Down PgUp PgDn Home End  move        Left Right  move the table",
	"Enter details of the VM                 in them: Tab or 1-5 turns the page",
	"F2 C  choose columns                    F6 s  choose the order",
	"F3 /  search                            < >   order by the column beside",
	"F4 \\  filter                            I     invert the order",
	"Space tag      U  untag all             u     VMs of a control group",
	"P     policies                          d     set the interval",
	"z     freeze and go on                  q F10 quit",
	"^L    draw the screen anew              ^Z    back to the shell; fg goes on",
	"of a recording: [ ] step   { } jump 60 frames   g go to a time",
};

static int first;

static int nr_lines(void)
{
	return ARRAY_LEN(keys) + 2 + NR_COLUMNS;
}

static void help_line(int i, char *dst, size_t size)
{
	int nr_keys = ARRAY_LEN(keys);

	*dst = '\0';
	if (i < nr_keys)
		snprintf(dst, size, "%s", keys[i]);
	else if (i > nr_keys && i - nr_keys - 1 < NR_COLUMNS)
		snprintf(dst, size, "%-8s %-28s %s",
			 columns[i - nr_keys - 1].title,
			 columns[i - nr_keys - 1].key,
			 columns[i - nr_keys - 1].help);
}

static void draw_help(struct tui *tui)
{
	char text[MENU_ITEM_LEN];
	int y;

	screen_put(0, 0, "gmemtop " GMEM_VERSION
		   ": private memory of KVM guests", A_BOLD);
	for (y = 2; y < LINES - 1 && first + y - 2 < nr_lines(); y++) {
		help_line(first + y - 2, text, sizeof(text));
		screen_put(y, 0, text, A_NORMAL);
	}
}

static void key_in_help(struct tui *tui, int key)
{
	int last = nr_lines() - (LINES - 3);

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
