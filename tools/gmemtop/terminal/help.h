/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel of help.
 */
#ifndef GMEMTOP_HELP_H
#define GMEMTOP_HELP_H

#include "terminal/tui.h"

extern const struct panel help_panel;

#endif /* GMEMTOP_HELP_H */
