/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Panels on top of each other, and what is told in the last line.
 */
#ifndef GMEMTOP_PANEL_H
#define GMEMTOP_PANEL_H

#include "terminal/tui.h"

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
 * complain() - tell in the last line why an input was refused
 * @tui: the screen
 * @fmt: printf format
 */
void complain(struct tui *tui, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* GMEMTOP_PANEL_H */
