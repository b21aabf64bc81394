/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line of gmemload.
 */
#ifndef GMEMLOAD_OPTIONS_H
#define GMEMLOAD_OPTIONS_H

#include "gmemload.h"

/**
 * struct gl_options - what the command line asks for
 * @configs: the guests, ready to start: nothing is left to a default
 * @nr_guests: how many
 * @duration: ns to run, 0: until a signal comes
 * @interval: ns between two lines of a guest
 * @json_path: where the lines go, "-": to stdout
 * @pidfile: where the pids go, or NULL
 */
struct gl_options {
	struct gl_config configs[GL_MAX_GUESTS];
	unsigned int nr_guests;
	uint64_t duration;
	uint64_t interval;
	const char *json_path;
	const char *pidfile;
};

/**
 * gl_options_parse() - read the command line
 * @options: filled in
 * @argc: number of words
 * @argv: the words; those that are no options move to the end
 *
 * Ends the program after --help and --list, and after one line of error.
 */
void gl_options_parse(struct gl_options *options, int argc, char **argv);

#endif /* GMEMLOAD_OPTIONS_H */
