// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys go to the prompt, else to the panel, but for those that freeze the view
 * or move in a recording.
 */
#include "terminal/foot.h"
#include "terminal/keys.h"
#include "terminal/panel.h"
#include "terminal/prompt.h"

/* Frames that { and } jump over. */
#define REPLAY_JUMP	60

/* A click on the last line is the key that stands there. */
static int key_of_click(struct tui *tui)
{
	if (getmouse(&tui->mouse) != OK)
		return 0;
	if (tui->mouse.y != LINES - 1 ||
	    !(tui->mouse.bstate & BUTTON1_PRESSED))
		return KEY_MOUSE;
	return foot_key_at(tui, tui->mouse.x);
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

void keys_take(struct tui *tui, int key)
{
	const struct panel *panel = panel_shown(tui);

	if (key == KEY_MOUSE)
		key = key_of_click(tui);
	if (!key)
		return;
	/* Whatever is on the screen, a complaint too, is drawn anew. */
	if (key == KEY_CTRL('l')) {
		clearok(curscr, TRUE);
		return;
	}
	tui->complaint[0] = '\0';
	if (tui->prompt.label)
		prompt_key(tui, key);
	else if ((key == 'z' || key == 'Z') && !panel->takes_all_keys)
		tui->frozen = !tui->frozen;
	else if (tui->view->source->live || panel->takes_all_keys ||
		 !replay_key(tui, key))
		panel->key(tui, key);
}
