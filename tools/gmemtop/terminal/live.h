/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live view: a view on the terminal, refreshed and driven by keys.
 */
#ifndef GMEMTOP_LIVE_H
#define GMEMTOP_LIVE_H

#include "view/conf.h"
#include "view/settings.h"
#include "view/view.h"

/**
 * live_run() - show a view on the terminal until the user quits
 * @view: a view that was not refreshed yet
 * @settings: interval and number of refreshes
 * @conf: where to keep what the user changes
 *
 * A signal that ends the program is delivered again once the terminal is
 * restored.
 *
 * Return: an exit code.
 */
int live_run(struct view *view, const struct settings *settings,
	     struct conf *conf);

#endif /* GMEMTOP_LIVE_H */
