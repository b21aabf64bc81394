/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who takes a key, and the keys that mean the same everywhere.
 */
#ifndef GMEMTOP_KEYS_H
#define GMEMTOP_KEYS_H

#include "terminal/tui.h"

/**
 * keys_take() - give a key to whoever wants it: prompt, panel, or all panels
 * @tui: the screen
 * @key: the key
 */
void keys_take(struct tui *tui, int key);

#endif /* GMEMTOP_KEYS_H */
