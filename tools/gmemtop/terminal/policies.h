/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel of policies.
 */
#ifndef GMEMTOP_POLICIES_H
#define GMEMTOP_POLICIES_H

#include "terminal/tui.h"

extern const struct panel policies_panel;

#endif /* GMEMTOP_POLICIES_H */
