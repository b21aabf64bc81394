/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The settings that the live view keeps from one start to the next, in
 * $XDG_CONFIG_HOME/gmem/gmemtop.conf: lines of "key = value", and comments
 * that begin with '#'.
 */
#ifndef GMEMTOP_CONF_H
#define GMEMTOP_CONF_H

#include <limits.h>

#include "figures/fields.h"

/**
 * struct conf - the settings and where they are
 * @path: the file, empty if there is no place for one
 * @broken: the file cannot be read or understood, and is left as it is
 * @complaint: why, in one line; empty if it is not
 * @fields: columns to show; @fields.nr is 0 if the file does not say
 * @sort: column that gives the order, -1 if the file does not say
 * @inverted: the order is the other way round
 * @interval_ns: time between two refreshes, 0 if the file does not say
 */
struct conf {
	char path[PATH_MAX];
	bool broken;
	char complaint[256];
	struct fields fields;
	int sort;
	bool inverted;
	uint64_t interval_ns;
};

/**
 * conf_load() - read the settings
 * @conf: filled in; of a broken file only @path, @broken and @complaint
 */
void conf_load(struct conf *conf);

/**
 * conf_save() - write the settings, unless the file is broken
 * @conf: from conf_load(), with what the user changed
 *
 * The file is replaced as a whole, or not at all.
 *
 * Return: 0, or -errno after one line of error.
 */
int conf_save(const struct conf *conf);

#endif /* GMEMTOP_CONF_H */
