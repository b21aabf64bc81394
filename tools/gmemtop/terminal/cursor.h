/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cursor of the table of VMs.
 */
#ifndef GMEMTOP_CURSOR_H
#define GMEMTOP_CURSOR_H

#include "terminal/tui.h"

/**
 * cursor_room() - rows of VMs that the screen has room for
 */
size_t cursor_room(void);

/**
 * cursor_follow() - keep the cursor on its VM, and on the screen
 * @tui: the screen
 */
void cursor_follow(struct tui *tui);

#endif /* GMEMTOP_CURSOR_H */
