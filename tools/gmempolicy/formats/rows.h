/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rows of a table, in memory that grows.
 */
#ifndef GMEMPOLICY_ROWS_H
#define GMEMPOLICY_ROWS_H

#include <stddef.h>

/**
 * struct rows - rows of one kind
 * @nr: how many
 * @size: bytes of a row; the only member that is set at first
 * @rows: the rows, the caller's to free
 */
struct rows {
	size_t nr;
	size_t size;
	char *rows;
};

/**
 * rows_add() - add a row
 * @rows: the rows; those there are may move
 *
 * Return: the row, all zeroes, or NULL after one line of error.
 */
void *rows_add(struct rows *rows);

#endif /* GMEMPOLICY_ROWS_H */
