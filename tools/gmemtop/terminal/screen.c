// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pieces of the screen: clipped text, bars, and the last line.
 */
#define _GNU_SOURCE
#include <string.h>

#include "terminal/tui.h"

attr_t screen_style(const struct tui *tui, enum pair pair, attr_t plain)
{
	return tui->colours ? COLOR_PAIR(pair) : plain;
}

void screen_put(int y, int x, const char *text, attr_t attr)
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

void screen_glyph(int y, int x, const char *glyph, attr_t attr)
{
	if (y < 0 || y >= LINES || x < 0 || x >= COLS)
		return;
	attrset(attr);
	mvaddstr(y, x, glyph);
	attrset(A_NORMAL);
}

void screen_bar(int y, attr_t attr)
{
	if (y < 0 || y >= LINES)
		return;
	attrset(attr);
	mvhline(y, 0, ' ', COLS);
	attrset(A_NORMAL);
}

const char *screen_level(const struct tui *tui, double share)
{
	static const char *const blocks[] = {
		"\u2581", "\u2582", "\u2583", "\u2584",
		"\u2585", "\u2586", "\u2587", "\u2588",
	};
	static const char *const ascii[] = { ".", "_", "-", "=", "+", "*", "#" };
	int nr = tui->unicode ? ARRAY_LEN(blocks) : ARRAY_LEN(ascii);
	int level = share * nr;

	if (share <= 0)
		return " ";
	if (level >= nr)
		level = nr - 1;
	return tui->unicode ? blocks[level] : ascii[level];
}

static void draw_prompt(const struct tui *tui)
{
	char text[256];
	int len;

	len = snprintf(text, sizeof(text), "%s: %s", tui->prompt.label,
		       tui->prompt.text);
	screen_put(LINES - 1, 0, text, A_BOLD);
	curs_set(1);
	move(LINES - 1, len < COLS ? len : COLS - 1);
}

void screen_foot(const struct tui *tui)
{
	const struct hint *hint;
	int x = 0;

	if (tui->prompt.label) {
		draw_prompt(tui);
		return;
	}
	curs_set(0);
	if (tui->complaint[0]) {
		screen_put(LINES - 1, 0, tui->complaint, A_BOLD);
		return;
	}
	for (hint = panel_shown(tui)->hints; hint->text; hint++) {
		screen_put(LINES - 1, x, hint->text, A_REVERSE);
		x += strlen(hint->text) + 1;
	}
}

int screen_hint_at(const struct tui *tui, int x)
{
	const struct hint *hint;
	int start = 0;

	if (tui->prompt.label || tui->complaint[0])
		return 0;
	for (hint = panel_shown(tui)->hints; hint->text; hint++) {
		if (x >= start && x < start + (int)strlen(hint->text))
			return hint->key;
		start += strlen(hint->text) + 1;
	}
	return 0;
}
