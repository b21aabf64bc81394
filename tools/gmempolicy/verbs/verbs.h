/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs of gmempolicy: each is one row of the table in main.c.
 */
#ifndef GMEMPOLICY_VERBS_H
#define GMEMPOLICY_VERBS_H

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
extern bool verb_help, verb_debug;

#define VERB_OPTIONS							\
	{ .name = "debug", .type = GMEM_OPT_FLAG,			\
	  .help = "show libbpf's messages", .target = &verb_debug },	\
	GMEM_OPTION_HELP(&verb_help),					\
	{ .type = GMEM_OPT_END }

/* "off" and "on" share their options, and so do "enforce" and "audit". */
extern const struct gmem_option apply_options[];
extern const struct gmem_option attach_options[];
extern const struct gmem_option check_options[];
extern const struct gmem_option detach_options[];
extern const struct gmem_option diff_options[];
extern const struct gmem_option list_options[];
extern const struct gmem_option mode_options[];
extern const struct gmem_option new_options[];
extern const struct gmem_option set_options[];
extern const struct gmem_option show_options[];
extern const struct gmem_option status_options[];
extern const struct gmem_option switch_options[];
extern const struct gmem_option watch_options[];

int run_apply(int argc, char **argv);
int run_attach(int argc, char **argv);
int run_audit(int argc, char **argv);
int run_check(int argc, char **argv);
int run_detach(int argc, char **argv);
int run_diff(int argc, char **argv);
int run_enforce(int argc, char **argv);
int run_list(int argc, char **argv);
int run_new(int argc, char **argv);
int run_off(int argc, char **argv);
int run_on(int argc, char **argv);
int run_set(int argc, char **argv);
int run_show(int argc, char **argv);
int run_status(int argc, char **argv);
int run_watch(int argc, char **argv);

#endif /* GMEMPOLICY_VERBS_H */
