/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every verb has.
 */
#ifndef GMEMPOLICY_VERB_H
#define GMEMPOLICY_VERB_H

#include <stdbool.h>

#include "gmem_common.h"

/**
 * struct verb - something that gmempolicy can do
 * @name: its name
 * @synopsis: what follows the program's name
 * @about: what it does, in one line
 * @options: its options
 * @run: does it, after the options have been read; takes the words that are no
 *	options and returns an exit code
 */
struct verb {
	const char *name;
	const char *synopsis;
	const char *about;
	const struct gmem_option *options;
	int (*run)(int argc, char **argv);
};

/* The rows that every verb's table of options ends with, and their targets. */
extern bool verb_help, verb_debug, verb_wide;

#define VERB_OPTIONS							\
	{ .name = "wide", .short_name = 'w', .type = GMEM_OPT_FLAG,	\
	  .help = "show all rows, columns and texts, however wide",	\
	  .target = &verb_wide },					\
	{ .name = "debug", .type = GMEM_OPT_FLAG,			\
	  .help = "show libbpf's messages", .target = &verb_debug },	\
	GMEM_OPTION_HELP(&verb_help),					\
	{ .type = GMEM_OPT_END }

#endif /* GMEMPOLICY_VERB_H */
