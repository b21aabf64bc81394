/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways in which gmemtop shows a view.  Each returns the exit code.
 */
#ifndef GMEMTOP_SETTINGS_H
#define GMEMTOP_SETTINGS_H

#include "view/conf.h"
#include "view/view.h"

/* Bounds of the interval. */
#define INTERVAL_MIN_NS		10000000ULL
#define INTERVAL_MAX_NS		3600000000000ULL
#define INTERVAL_RANGE		"0.01 to 3600"

#define FRAMES_MAX		1000000000ULL

/**
 * enum format - how frames are printed
 * @FORMAT_TEXT: plain text, aligned
 * @FORMAT_JSON: a line of JSON each
 * @FORMAT_CSV: comma-separated values, a line a VM
 */
enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_CSV,
};

/**
 * struct settings - what the command line asked for
 * @interval_ns: time between two refreshes
 * @frames: refreshes to show before the end, 0 for no end
 * @format: how to print them
 * @header: print host lines and titles, too
 * @once: print the counters of one moment, without rates
 */
struct settings {
	uint64_t interval_ns;
	uint64_t frames;
	enum format format;
	bool header;
	bool once;
};

/**
 * monotonic_ns() - the clock that refreshes are timed by
 *
 * Return: CLOCK_MONOTONIC in nanoseconds.
 */
uint64_t monotonic_ns(void);

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

/**
 * json_print() - print a view as one line of JSON
 * @view: the view
 * @out: where to
 *
 * Return: 0, or -ENOMEM after one line of error.
 */
int json_print(const struct view *view, FILE *out);

/**
 * csv_print() - print a view as comma-separated values, a line a VM
 * @view: the view
 * @header: print a line of keys first
 * @out: where to
 */
void csv_print(const struct view *view, bool header, FILE *out);

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

#endif /* GMEMTOP_SETTINGS_H */
