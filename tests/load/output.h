/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that the driver writes while guests run: messages, one JSON line a guest
 * and interval, the pid file.  Not here: help (options.h).
 */
#ifndef GMEMLOAD_OUTPUT_H
#define GMEMLOAD_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gmemload.h"

/**
 * struct guest - a guest, as the driver sees it
 * @ctl: what its process shares with us
 * @pid: its process, 0 once it is reaped
 * @shown_pid: the same, for reports: it stays
 * @died: the process ended and left no reason
 * @last: counters at the end of the last interval
 * @call_min: shortest call since the start, UINT64_MAX: none yet
 * @call_max: longest call since the start
 */
struct guest {
	struct gl_guest *ctl;
	pid_t pid;
	pid_t shown_pid;
	bool died;
	struct gl_counters last;
	uint64_t call_min;
	uint64_t call_max;
};

/* There was a warning: the run ends, and its exit status is 1. */
extern bool gl_failed;

/**
 * gl_warn() - print one line of error and set gl_failed
 * @fmt: for printf()
 */
__attribute__((format(printf, 1, 2)))
void gl_warn(const char *fmt, ...);

/**
 * gl_fatal() - print one line of error and end with exit status 1
 * @fmt: for printf()
 */
__attribute__((format(printf, 1, 2), noreturn))
void gl_fatal(const char *fmt, ...);

/**
 * gl_usage_error() - print one line of error and end with exit status 2
 * @fmt: for printf()
 */
__attribute__((format(printf, 1, 2), noreturn))
void gl_usage_error(const char *fmt, ...);

/**
 * gl_output_open() - decide where the output goes
 * @json: path of the file for the lines, "-": stdout
 * @pids: path of the pid file, or NULL; an old one is removed
 *
 * Ends the program if it can't be written there.
 */
void gl_output_open(const char *json, const char *pids);

/**
 * gl_report_interval() - write the line of an interval
 * @g: the guest; what it did until now is counted
 * @since_start: ns since all guests started
 * @dt: ns since the last interval
 *
 * Return: false if lines can't be written any more, after one line of error.
 */
bool gl_report_interval(struct guest *g, uint64_t since_start, uint64_t dt);

/**
 * gl_report_summary() - write the line of the whole run
 * @g: the guest, which has ended
 * @since_start: ns since all guests started
 */
void gl_report_summary(struct guest *g, uint64_t since_start);

/**
 * gl_pidfile_write() - write a line NAME PID for each guest
 * @guests: the guests
 * @nr: how many
 *
 * Does nothing if there is no pid file.
 */
void gl_pidfile_write(const struct guest *guests, unsigned int nr);

/**
 * gl_pidfile_remove() - remove the pid file, if there is one
 */
void gl_pidfile_remove(void);

#endif /* GMEMLOAD_OUTPUT_H */
