/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel of all VMs.
 */
#ifndef GMEMTOP_TABLE_H
#define GMEMTOP_TABLE_H

#include "terminal/tui.h"

extern const struct panel table_panel;

#endif /* GMEMTOP_TABLE_H */
