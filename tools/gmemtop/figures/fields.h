/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which columns are shown, and in which order.
 */
#ifndef GMEMTOP_FIELDS_H
#define GMEMTOP_FIELDS_H

#include "figures/columns.h"

/**
 * struct fields - columns to show, in their order
 * @nr: how many
 * @id: which, enum column_id
 */
struct fields {
	int nr;
	unsigned char id[NR_COLUMNS];
};

/**
 * fields_first() - show the first columns of the table
 * @fields: filled in
 * @nr: how many
 */
void fields_first(struct fields *fields, int nr);

/**
 * fields_parse() - read a list of columns
 * @fields: filled in; unchanged on error
 * @text: keys with commas between them, or "all"
 * @bad: set on error to the word that is wrong; points into @text
 *
 * Return: 0; -ENOENT for a word that is no key, -EEXIST for one that is there
 * twice, -EINVAL for an empty list.
 */
int fields_parse(struct fields *fields, const char *text, const char **bad);

#endif /* GMEMTOP_FIELDS_H */
