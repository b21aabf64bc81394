/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prints views: one at once, or one after each interval.
 */
#ifndef GMEMTOP_BATCH_H
#define GMEMTOP_BATCH_H

#include "view/settings.h"
#include "view/view.h"

/**
 * batch_run() - print frames
 * @view: a view that was not refreshed yet
 * @settings: what to print
 *
 * Takes one sample, then prints a frame after each interval, so that the
 * first frame has rates.  Ends without an error when the reader goes away.
 *
 * Return: an exit code.
 */
int batch_run(struct view *view, const struct settings *settings);

/**
 * batch_print() - print one frame
 * @view: the view
 * @settings: how
 * @first: it is the first that is printed
 *
 * Return: 0, or -errno: after one line of error unless it is -EPIPE.
 */
int batch_print(const struct view *view, const struct settings *settings,
		bool first);

#endif /* GMEMTOP_BATCH_H */
