// SPDX-License-Identifier: GPL-2.0-only
/*
 * Edits the line of input.
 */
#include <string.h>

#include "terminal/prompt.h"

void prompt_open(struct tui *tui, const struct prompt *prompt)
{
	tui->prompt = *prompt;
}

static void prompt_end(struct tui *tui, bool ok)
{
	tui->prompt.label = NULL;
	tui->prompt.done(tui, ok);
}

void prompt_key(struct tui *tui, int key)
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
		/* A character of UTF-8 with all of its bytes. */
		do
			len--;
		while (len && (prompt->text[len] & 0xc0) == 0x80);
		prompt->text[len] = '\0';
		break;
	default:
		/* Its bytes come one by one, too. */
		if (key < ' ' || key > (tui->unicode ? 0xff : '~') ||
		    key == 127 || len + 1 >= sizeof(prompt->text))
			return;
		prompt->text[len] = key;
		prompt->text[len + 1] = '\0';
	}
	if (prompt->changed)
		prompt->changed(tui);
}
