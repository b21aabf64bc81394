/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last line of the screen.
 */
#ifndef GMEMTOP_FOOT_H
#define GMEMTOP_FOOT_H

#include "terminal/tui.h"

/**
 * foot_draw() - draw the last line: prompt, complaint or hints
 * @tui: the screen
 */
void foot_draw(const struct tui *tui);

/**
 * foot_key_at() - the key that a click on the last line stands for
 * @tui: the screen
 * @x: column of the click
 *
 * Return: the key, 0 if there is no hint.
 */
int foot_key_at(const struct tui *tui, int x);

#endif /* GMEMTOP_FOOT_H */
