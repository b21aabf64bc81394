/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways in which gmemtop shows a view.  Each returns the exit code.
 */
#ifndef GMEMTOP_H
#define GMEMTOP_H

#include "view.h"

/* Bounds of the interval. */
#define INTERVAL_MIN_NS		10000000ULL
#define INTERVAL_MAX_NS		3600000000000ULL
#define INTERVAL_RANGE		"0.01 to 3600"

#define FRAMES_MAX		1000000000ULL

/**
 * struct settings - what the command line asked for
 * @interval_ns: time between two refreshes
 * @frames: refreshes to show before the end, 0 for no end
 * @json: JSON lines instead of text
 */
struct settings {
	uint64_t interval_ns;
	uint64_t frames;
	bool json;
};

/**
 * monotonic_ns() - the clock that refreshes are timed by
 *
 * Return: CLOCK_MONOTONIC in nanoseconds.
 */
uint64_t monotonic_ns(void);

/**
 * batch_run() - print frames as text or JSON lines
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
 * json_print() - print a view as one line of JSON
 * @view: the view
 * @out: where to
 *
 * Return: 0, or -ENOMEM after one line of error.
 */
int json_print(const struct view *view, FILE *out);

/**
 * live_run() - show a view on the terminal until the user quits
 * @view: a view that was not refreshed yet
 * @settings: interval and number of refreshes
 *
 * A signal that ends the program is delivered again once the terminal is
 * restored.
 *
 * Return: an exit code.
 */
int live_run(struct view *view, const struct settings *settings);

#endif /* GMEMTOP_H */
