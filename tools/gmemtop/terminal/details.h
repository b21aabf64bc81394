/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel of one VM.
 */
#ifndef GMEMTOP_DETAILS_H
#define GMEMTOP_DETAILS_H

#include "terminal/tui.h"

/**
 * details_enter() - show the VM under the cursor
 * @tui: the screen
 */
void details_enter(struct tui *tui);

#endif /* GMEMTOP_DETAILS_H */
