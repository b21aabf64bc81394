// SPDX-License-Identifier: GPL-2.0-only
/*
 * Draws a menu and moves its cursor.
 */
#include "terminal/menu.h"
#include "terminal/panel.h"
#include "terminal/screen.h"

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

static const struct panel menu_panel = {
	.hints = menu_hints,
	.takes_all_keys = true,
	.draw = draw_menu,
	.key = menu_key,
};

void menu_open(struct tui *tui, const struct menu *menu)
{
	tui->menu = *menu;
	panel_enter(tui, &menu_panel);
}
