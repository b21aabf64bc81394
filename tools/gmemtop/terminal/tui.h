/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the live view share.  live.c runs the terminal and the
 * clock, screen.c draws pieces, and each panel is a file that draws its page
 * and takes its keys.
 */
#ifndef GMEMTOP_TUI_H
#define GMEMTOP_TUI_H

#include <curses.h>

#include "view/settings.h"

#define KEY_CTRL(c)	((c) & 0x1f)
#define KEY_ESCAPE	27

#define PROMPT_LEN	FILTER_LEN
#define MENU_ITEM_LEN	160
#define PANELS_MAX	8

enum pair {
	PAIR_TITLES = 1,
	PAIR_SELECTED,
	PAIR_TAGGED,
	PAIR_WARN,
	PAIR_ALERT,
	PAIR_PRIVATE,
	PAIR_SHARED,
};

/* Settings that the user changed by keys. */
#define CHANGED_FIELDS		1
#define CHANGED_ORDER		2
#define CHANGED_INTERVAL	4

struct tui;

/**
 * struct hint - a key that the last line tells of, and that a click there is
 * @text: key and meaning; NULL ends a list
 * @key: what it stands for
 */
struct hint {
	const char *text;
	int key;
};

/**
 * struct panel - a page of the live view
 * @hints: keys to tell of
 * @draw: draws all but the last line
 * @key: takes a key
 * @read: reads what the panel shows beside the view, NULL for nothing;
 *	returns 0, or -1 after one line of error
 * @hide: gives back what @read took, when the panel goes or another one
 *	covers it; NULL for nothing
 */
struct panel {
	const struct hint *hints;
	void (*draw)(struct tui *tui);
	void (*key)(struct tui *tui, int key);
	int (*read)(struct tui *tui);
	void (*hide)(struct tui *tui);
};

/**
 * struct prompt - a line of input at the bottom, over any panel
 * @label: what is asked for, NULL while there is no prompt
 * @text: what was typed
 * @changed: called at each change, may be NULL
 * @again: called at F3 or Down, may be NULL
 * @done: called at the end; @ok is false if the user gave up
 */
struct prompt {
	const char *label;
	char text[PROMPT_LEN];
	void (*changed)(struct tui *tui);
	void (*again)(struct tui *tui);
	void (*done)(struct tui *tui, bool ok);
};

/**
 * struct menu - a list to choose from
 * @title: what it is for
 * @nr: number of items
 * @choice: the item under the cursor
 * @item: writes an item
 * @key: takes a key other than those that move; may be NULL
 * @pick: called when the user chose
 */
struct menu {
	const char *title;
	int nr;
	int choice;
	void (*item)(struct tui *tui, int i, char *dst, size_t size);
	bool (*key)(struct tui *tui, int key);
	void (*pick)(struct tui *tui, int i);
};

/**
 * struct cursor - a place in a list of VMs that stays on its VM
 * @id: the VM, 0 to stay on the first row
 * @row: its place among the rows
 * @top: first row on the screen
 * @shift: characters that the table is moved to the left
 */
struct cursor {
	uint64_t id;
	size_t row;
	size_t top;
	int shift;
};

/**
 * struct tui - the state of the screen
 * @view: what is shown
 * @interval_ns: time between two refreshes
 * @refreshes: how often it was refreshed
 * @quit: the user wants to leave
 * @before_error: gives the terminal back before a line of error
 * @failed: something went wrong, and the line about it is printed
 * @frozen: no refresh until the user says so
 * @seeking: show frame @seek of the recording next
 * @seek: that frame
 * @colours: the terminal has colours and the user did not object
 * @unicode: the terminal shows more than ASCII
 * @changed: CHANGED_*: what the user changed by keys
 * @panels: those entered and not left, the one shown is the last
 * @depth: how many those are
 * @prompt: the line of input
 * @menu: the menu, while its panel is shown
 * @cursor: of the table of VMs
 * @policy: row of the cursor in the list of policies
 * @mouse: the last click
 * @complaint: why the last input was refused, empty for nothing
 */
struct tui {
	struct view *view;
	uint64_t interval_ns;
	uint64_t refreshes;
	bool quit;
	void (*before_error)(void);
	bool failed;
	bool frozen;
	bool seeking;
	size_t seek;
	bool colours;
	bool unicode;
	unsigned int changed;
	const struct panel *panels[PANELS_MAX];
	int depth;
	struct prompt prompt;
	struct menu menu;
	struct cursor cursor;
	size_t policy;
	MEVENT mouse;
	char complaint[256];
};

extern const struct panel table_panel;
extern const struct panel menu_panel;
extern const struct panel help_panel;
extern const struct panel policies_panel;

/* screen.c */

/**
 * screen_style() - how to draw something that has a colour of its own
 * @tui: the screen
 * @pair: its colours
 * @plain: attributes instead of them on a terminal without colours
 */
attr_t screen_style(const struct tui *tui, enum pair pair, attr_t plain);

/**
 * screen_put() - write text, clipped to the screen on every side
 * @y: line
 * @x: column, may be negative
 * @text: ASCII
 * @attr: attributes
 */
void screen_put(int y, int x, const char *text, attr_t attr);

/**
 * screen_glyph() - write one character
 * @y: line
 * @x: column
 * @glyph: the character, in the encoding of the terminal
 * @attr: attributes
 */
void screen_glyph(int y, int x, const char *glyph, attr_t attr);

/**
 * screen_bar() - fill a line, so that its background reaches the right edge
 * @y: line
 * @attr: attributes
 */
void screen_bar(int y, attr_t attr);

/**
 * screen_level() - the glyph of a bar of this height
 * @tui: the screen
 * @share: from 0 to 1
 */
const char *screen_level(const struct tui *tui, double share);

/**
 * screen_foot() - draw the last line: prompt, complaint or hints
 * @tui: the screen
 */
void screen_foot(const struct tui *tui);

/**
 * screen_hint_at() - the key that a click on the last line stands for
 * @tui: the screen
 * @x: column of the click
 *
 * Return: the key, 0 if there is no hint.
 */
int screen_hint_at(const struct tui *tui, int x);

/* panel.c */

/**
 * panel_enter() - show a panel on top of the one that is shown
 * @tui: the screen
 * @panel: the panel
 */
void panel_enter(struct tui *tui, const struct panel *panel);

/**
 * panel_leave() - go back to the panel before
 * @tui: the screen
 */
void panel_leave(struct tui *tui);

/**
 * panel_shown() - the panel that is shown
 * @tui: the screen
 */
const struct panel *panel_shown(const struct tui *tui);

/**
 * panel_key() - give a key to whoever wants it: prompt, panel, or all panels
 * @tui: the screen
 * @key: the key
 */
void panel_key(struct tui *tui, int key);

/**
 * prompt_open() - ask for a line of input
 * @tui: the screen
 * @prompt: how, with the text to begin with
 */
void prompt_open(struct tui *tui, const struct prompt *prompt);

/**
 * menu_open() - let the user choose
 * @tui: the screen
 * @menu: from what
 */
void menu_open(struct tui *tui, const struct menu *menu);

/**
 * complain() - tell in the last line why an input was refused
 * @tui: the screen
 * @fmt: printf format
 */
void complain(struct tui *tui, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* table.c */

/**
 * table_follow() - keep the cursor on its VM, and on the screen
 * @tui: the screen
 */
void table_follow(struct tui *tui);

/**
 * table_draw_head() - draw the lines about the host
 * @tui: the screen
 *
 * Return: the first line below them.
 */
int table_draw_head(const struct tui *tui);

/* details.c */
void details_enter(struct tui *tui);

/* menus.c */
void menus_sort(struct tui *tui);
void menus_columns(struct tui *tui);
void menus_cgroup(struct tui *tui);

#endif /* GMEMTOP_TUI_H */
