// SPDX-License-Identifier: GPL-2.0-only
/*
 * Draws pieces of the screen, none of them beyond its edges.
 */
#include <string.h>

#include "gmem_common.h"
#include "terminal/screen.h"

attr_t screen_style(const struct tui *tui, enum pair pair, attr_t plain)
{
	return tui->colours ? COLOR_PAIR(pair) : plain;
}

void screen_put(int y, int x, const char *text, attr_t attr)
{
	int from = x < 0 ? -x : 0;
	size_t len = strlen(text);

	if (y < 0 || y >= LINES || x >= COLS)
		return;
	x += from;
	/*
	 * A character that the edge is in the middle of is left out; there is no
	 * such one where even the bytes fit, of which none has two columns.
	 */
	if (from || len > (size_t)(COLS - x))
		len = gmem_text_part(text, from, COLS - x, &text);
	attrset(attr);
	mvaddnstr(y, x, text, len);
	attrset(A_NORMAL);
}

void screen_items(int y, int x, const char *text, attr_t attr)
{
	static const char more[] = "...";
	int room = COLS - x, end = 0, i;
	char cut[512];

	if (gmem_text_width(text) > room && room < (int)sizeof(cut)) {
		for (i = 0; text[i] && i + 2 + (int)strlen(more) <= room; i++)
			if ((text[i] == ',' || text[i] == ';') &&
			    text[i + 1] == ' ')
				end = i + 2;
		/* Not even one: that one is better than nothing. */
		if (end) {
			snprintf(cut, sizeof(cut), "%.*s%s", end, text, more);
			text = cut;
		}
	}
	screen_put(y, x, text, attr);
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
