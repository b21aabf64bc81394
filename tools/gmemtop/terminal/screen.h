/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pieces of the screen: clipped text, glyphs and bars.
 */
#ifndef GMEMTOP_SCREEN_H
#define GMEMTOP_SCREEN_H

#include "terminal/tui.h"

enum pair {
	PAIR_TITLES = 1,
	PAIR_SELECTED,
	PAIR_TAGGED,
	PAIR_WARN,
	PAIR_ALERT,
	PAIR_PRIVATE,
	PAIR_SHARED,
};

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
 * @text: from gmem_printable()
 * @attr: attributes
 */
void screen_put(int y, int x, const char *text, attr_t attr);

/**
 * screen_items() - write a line of items, as many as fit
 * @y: line
 * @x: column
 * @text: ASCII, with ", " or "; " between the items
 * @attr: attributes
 *
 * Half of a number is another number: "..." stands for the items that there is
 * no room for.
 */
void screen_items(int y, int x, const char *text, attr_t attr);

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

#endif /* GMEMTOP_SCREEN_H */
