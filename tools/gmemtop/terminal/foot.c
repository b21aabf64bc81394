// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last line: prompt, complaint or hints.
 */
#include <string.h>

#include "terminal/foot.h"
#include "terminal/panel.h"
#include "terminal/screen.h"

static void draw_prompt(const struct tui *tui)
{
	char text[PROMPT_LEN + 64], shown[PROMPT_LEN + 64];
	int len;

	snprintf(text, sizeof(text), "%s: %s", tui->prompt.label,
		 tui->prompt.text);
	len = gmem_text_width(gmem_printable(shown, sizeof(shown), text));
	screen_put(LINES - 1, 0, shown, A_BOLD);
	curs_set(1);
	move(LINES - 1, len < COLS ? len : COLS - 1);
}

/* A hint is there as a whole or not at all, so that a click finds its key. */
static bool fits(const struct hint *hint, int x)
{
	return hint->text && x + (int)strlen(hint->text) <= COLS;
}

void foot_draw(const struct tui *tui)
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
	for (hint = panel_shown(tui)->hints; fits(hint, x); hint++) {
		screen_put(LINES - 1, x, hint->text, A_REVERSE);
		x += strlen(hint->text) + 1;
	}
}

int foot_key_at(const struct tui *tui, int x)
{
	const struct hint *hint;
	int start = 0;

	if (tui->prompt.label || tui->complaint[0])
		return 0;
	for (hint = panel_shown(tui)->hints; fits(hint, start); hint++) {
		if (x >= start && x < start + (int)strlen(hint->text))
			return hint->key;
		start += strlen(hint->text) + 1;
	}
	return 0;
}
