/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line of gmemtop and of gmemtop replay.
 */
#ifndef GMEMTOP_OPTIONS_H
#define GMEMTOP_OPTIONS_H

#include "view/conf.h"
#include "view/settings.h"
#include "view/view.h"

/**
 * struct arguments - what the command line asked for
 * @settings: how to show it
 * @filter: which VMs to show
 * @fields: which columns to show
 * @cgroup: argument of --cgroup, or NULL
 * @at: argument of --at, or NULL
 * @sort: enum column_id
 * @fields_seen: the user chose columns
 * @sort_seen: the user chose an order
 * @delay_seen: the user chose an interval
 * @batch: print instead of the live view
 * @json: as JSON
 * @csv: as CSV
 * @no_header: rows only
 * @debug: show libbpf's messages
 * @help: the help was printed
 * @version: print the version
 */
struct arguments {
	struct settings settings;
	struct filter filter;
	struct fields fields;
	const char *cgroup;
	const char *at;
	int sort;
	bool fields_seen;
	bool sort_seen;
	bool delay_seen;
	bool batch;
	bool json;
	bool csv;
	bool no_header;
	bool debug;
	bool help;
	bool version;
};

#define ARGUMENTS_INIT	{						\
	.settings.interval_ns = 1000000000,				\
	.sort = COLUMN_CONVERSIONS,					\
}

enum arguments_for {
	ARGUMENTS_LIVE,
	ARGUMENTS_REPLAY,
};

/**
 * arguments_parse() - read a command line
 * @args: ARGUMENTS_INIT, filled in
 * @what: whose it is
 * @argc: number of words
 * @argv: the words; those that are no options move to the front
 *
 * Return: number of words after the first that are no options, or -1 after
 * one line of error.
 */
int arguments_parse(struct arguments *args, enum arguments_for what, int argc,
		    char **argv);

/**
 * arguments_check_terminal() - is there a terminal for the live view?
 * @args: from arguments_parse()
 *
 * Return: 0, also if none is needed; or -1 after one line of error.
 */
int arguments_check_terminal(const struct arguments *args);

/**
 * arguments_use() - make a view what the command line asked for
 * @args: from arguments_parse()
 * @view: the view
 */
void arguments_use(const struct arguments *args, struct view *view);

/**
 * arguments_use_conf() - use what the user chose last time, but for what the
 *	command line says now
 * @args: from arguments_parse(); the interval is updated
 * @view: the view
 * @conf: the settings file
 */
void arguments_use_conf(struct arguments *args, struct view *view,
			const struct conf *conf);

#endif /* GMEMTOP_OPTIONS_H */
