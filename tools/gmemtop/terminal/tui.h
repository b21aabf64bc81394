/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of the live view, which its parts share: live.c runs the terminal
 * and the clock, keys.c gives keys to whoever wants them, and each panel is a
 * file that draws its page and takes its keys.
 */
#ifndef GMEMTOP_TUI_H
#define GMEMTOP_TUI_H

#include <curses.h>

#include "view/view.h"

#define KEY_CTRL(c)	((c) & 0x1f)
#define KEY_ESCAPE	27

/* Of a list: its titles, below the lines about the host, and its first row. */
#define LINE_TITLES	3
#define LINE_ROWS	4

#define PROMPT_LEN	FILTER_LEN
#define MENU_ITEM_LEN	1024
#define PANELS_MAX	8

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
 * @takes_all_keys: keys are no commands here, or any key goes back
 * @draw: draws all but the last line
 * @key: takes a key
 * @read: reads what the panel shows beside the view, NULL for nothing;
 *	returns 0, or -1 after one line of error
 * @hide: gives back what @read took, when the panel goes or another one
 *	covers it; NULL for nothing
 */
struct panel {
	const struct hint *hints;
	bool takes_all_keys;
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
 * @shift: columns that are hidden on the left
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
 * @told: what is to be told of the source is or was in @complaint
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
	char complaint[SOURCE_NOTICE_LEN];
	bool told;
};

#endif /* GMEMTOP_TUI_H */
