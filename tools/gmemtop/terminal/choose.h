/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Menus of how to sort, which columns to show, and whose VMs.
 */
#ifndef GMEMTOP_CHOOSE_H
#define GMEMTOP_CHOOSE_H

#include "terminal/tui.h"

/**
 * choose_sort() - let the user choose what to sort by
 * @tui: the screen
 */
void choose_sort(struct tui *tui);

/**
 * choose_columns() - let the user choose which columns to show
 * @tui: the screen
 */
void choose_columns(struct tui *tui);

/**
 * choose_cgroup() - let the user choose the control group to show
 * @tui: the screen
 */
void choose_cgroup(struct tui *tui);

#endif /* GMEMTOP_CHOOSE_H */
