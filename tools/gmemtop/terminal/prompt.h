/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The line of input at the bottom.
 */
#ifndef GMEMTOP_PROMPT_H
#define GMEMTOP_PROMPT_H

#include "terminal/tui.h"

/**
 * prompt_open() - ask for a line of input
 * @tui: the screen
 * @prompt: how, with the text to begin with
 */
void prompt_open(struct tui *tui, const struct prompt *prompt);

/**
 * prompt_key() - give a key to the line of input
 * @tui: the screen, with a prompt
 * @key: the key
 */
void prompt_key(struct tui *tui, int key);

#endif /* GMEMTOP_PROMPT_H */
