// SPDX-License-Identifier: GPL-2.0-only
/*
 * Panels on top of each other, the line of input, menus, and the keys that
 * mean the same everywhere.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>

#include "terminal/tui.h"

/* Frames that { and } jump over. */
#define REPLAY_JUMP	60

void complain(struct tui *tui, const char *fmt, ...)
{
	char raw[sizeof(tui->complaint)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	gmem_printable(tui->complaint, sizeof(tui->complaint), raw);
}

const struct panel *panel_shown(const struct tui *tui)
{
	return tui->panels[tui->depth - 1];
}

void panel_enter(struct tui *tui, const struct panel *panel)
{
	if (tui->depth == PANELS_MAX)
		return;
	if (tui->depth && panel_shown(tui)->hide)
		panel_shown(tui)->hide(tui);
	tui->panels[tui->depth++] = panel;
}

void panel_leave(struct tui *tui)
{
	const struct panel *panel = panel_shown(tui);

	if (panel->hide)
		panel->hide(tui);
	if (tui->depth > 1)
		tui->depth--;
	panel = panel_shown(tui);
	if (panel->read && panel->read(tui))
		tui->failed = true;
}

void prompt_open(struct tui *tui, const struct prompt *prompt)
{
	tui->prompt = *prompt;
}

static void prompt_end(struct tui *tui, bool ok)
{
	tui->prompt.label = NULL;
	tui->prompt.done(tui, ok);
}

static void prompt_key(struct tui *tui, int key)
{
	struct prompt *prompt = &tui->prompt;
	size_t len = strlen(prompt->text);

	switch (key) {
	case '\r':
	case '\n':
	case KEY_ENTER:
		prompt_end(tui, true);
		return;
	case KEY_ESCAPE:
		prompt_end(tui, false);
		return;
	case KEY_F(3):
	case KEY_DOWN:
		if (prompt->again)
			prompt->again(tui);
		return;
	case KEY_BACKSPACE:
	case KEY_CTRL('h'):
	case 127:
		if (!len)
			return;
		prompt->text[len - 1] = '\0';
		break;
	default:
		if (key < ' ' || key > '~' || len + 1 >= sizeof(prompt->text))
			return;
		prompt->text[len] = key;
		prompt->text[len + 1] = '\0';
	}
	if (prompt->changed)
		prompt->changed(tui);
}

void menu_open(struct tui *tui, const struct menu *menu)
{
	tui->menu = *menu;
	panel_enter(tui, &menu_panel);
}

static void draw_menu(struct tui *tui)
{
	const struct menu *menu = &tui->menu;
	int i, y, first = 0, room = LINES - 2;
	char text[MENU_ITEM_LEN];
	attr_t attr;

	screen_bar(0, screen_style(tui, PAIR_TITLES, A_REVERSE));
	screen_put(0, 0, menu->title, screen_style(tui, PAIR_TITLES, A_REVERSE));
	if (menu->choice >= room)
		first = menu->choice - room + 1;
	for (i = first, y = 1; i < menu->nr && y <= room; i++, y++) {
		attr = i == menu->choice ?
		       screen_style(tui, PAIR_SELECTED, A_REVERSE) : A_NORMAL;
		menu->item(tui, i, text, sizeof(text));
		screen_put(y, 0, text, attr);
	}
}

static void menu_move(struct menu *menu, int to)
{
	if (to >= menu->nr)
		to = menu->nr - 1;
	menu->choice = to < 0 ? 0 : to;
}

static void menu_click(struct tui *tui)
{
	struct menu *menu = &tui->menu;
	int first = 0, room = LINES - 2;
	int y = tui->mouse.y;

	if (!(tui->mouse.bstate & BUTTON1_PRESSED))
		return;
	if (menu->choice >= room)
		first = menu->choice - room + 1;
	if (y > 0 && y <= room && first + y - 1 < menu->nr)
		menu_move(menu, first + y - 1);
}

static void menu_key(struct tui *tui, int key)
{
	struct menu *menu = &tui->menu;
	int choice = menu->choice;

	if (menu->key && menu->key(tui, key))
		return;
	switch (key) {
	case KEY_UP:
		menu_move(menu, choice - 1);
		break;
	case KEY_DOWN:
		menu_move(menu, choice + 1);
		break;
	case KEY_PPAGE:
		menu_move(menu, choice - (LINES - 2));
		break;
	case KEY_NPAGE:
		menu_move(menu, choice + (LINES - 2));
		break;
	case KEY_HOME:
		menu_move(menu, 0);
		break;
	case KEY_END:
		menu_move(menu, menu->nr - 1);
		break;
	case KEY_MOUSE:
		menu_click(tui);
		break;
	case '\r':
	case '\n':
	case KEY_ENTER:
		panel_leave(tui);
		menu->pick(tui, choice);
		break;
	case 'q':
	case KEY_ESCAPE:
	case KEY_F(10):
		panel_leave(tui);
		break;
	}
}

static const struct hint menu_hints[] = {
	{ "Enter Choose", '\r' },
	{ "Esc Back", KEY_ESCAPE },
	{}
};

const struct panel menu_panel = {
	.hints = menu_hints,
	.draw = draw_menu,
	.key = menu_key,
};

/* A click on the last line is the key that stands there. */
static int key_of_click(struct tui *tui)
{
	if (getmouse(&tui->mouse) != OK)
		return 0;
	if (tui->mouse.y != LINES - 1 ||
	    !(tui->mouse.bstate & BUTTON1_PRESSED))
		return KEY_MOUSE;
	return screen_hint_at(tui, tui->mouse.x);
}

/* Where keys are no commands, or any key goes back. */
static bool takes_all_keys(const struct panel *panel)
{
	return panel == &menu_panel || panel == &help_panel;
}

static void seek_to(struct tui *tui, long nr)
{
	long last = tui->view->source->count - 1;

	tui->seek = nr < 0 ? 0 : nr > last ? last : nr;
	tui->seeking = true;
}

/* Who looks at one frame does not want it to go away. */
static void look_at(struct tui *tui, long nr)
{
	seek_to(tui, nr);
	tui->frozen = true;
}

static void time_done(struct tui *tui, bool ok)
{
	struct source *source = tui->view->source;
	size_t nr;

	if (!ok || !tui->prompt.text[0])
		return;
	if (source->find(source, tui->prompt.text, &nr))
		complain(tui, "A time is 12:30, 12:30:05, 2026-01-31T12:30 or +SECS.");
	else
		look_at(tui, nr);
}

/* The keys that move in a recording; false for any other. */
static bool replay_key(struct tui *tui, int key)
{
	long at = tui->seeking ? tui->seek : tui->view->source->position;

	switch (key) {
	case '[':
		look_at(tui, at - 1);
		break;
	case ']':
		look_at(tui, at + 1);
		break;
	case '{':
		look_at(tui, at - REPLAY_JUMP);
		break;
	case '}':
		look_at(tui, at + REPLAY_JUMP);
		break;
	case 'g':
		prompt_open(tui, &(struct prompt) {
			.label = "Go to (12:30:05 or +SECS)", .done = time_done,
		});
		break;
	default:
		return false;
	}
	return true;
}

void panel_key(struct tui *tui, int key)
{
	const struct panel *panel = panel_shown(tui);

	if (key == KEY_MOUSE)
		key = key_of_click(tui);
	if (!key)
		return;
	tui->complaint[0] = '\0';
	if (tui->prompt.label)
		prompt_key(tui, key);
	else if (key == KEY_CTRL('l'))
		clearok(curscr, TRUE);
	else if ((key == 'z' || key == 'Z') && !takes_all_keys(panel))
		tui->frozen = !tui->frozen;
	else if (tui->view->source->live || takes_all_keys(panel) ||
		 !replay_key(tui, key))
		panel->key(tui, key);
}
