/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel with a list to choose from.
 */
#ifndef GMEMTOP_MENU_H
#define GMEMTOP_MENU_H

#include "terminal/tui.h"

/**
 * menu_open() - let the user choose
 * @tui: the screen
 * @menu: from what
 */
void menu_open(struct tui *tui, const struct menu *menu);

#endif /* GMEMTOP_MENU_H */
