/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cells as they are shown: as wide as their column, and in which order.
 */
#ifndef GMEMTOP_CELLS_H
#define GMEMTOP_CELLS_H

#include "figures/columns.h"

/**
 * column_format_value() - write a value as it is shown
 * @col: a column of numbers, counts, pages or rates
 * @value: the value
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst.
 */
char *column_format_value(const struct column *col, double value, char *dst,
			  size_t size);

/**
 * column_add() - add a value to a sum
 * @sum: the sum, -1 if one of its values is not known
 * @value: the value, -1 likewise
 */
void column_add(double *sum, double value);

/**
 * column_format_sum() - column_format_value() of a sum that may not be known
 * @col: likewise
 * @sum: from column_add()
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst.
 */
char *column_format_sum(const struct column *col, double sum, char *dst, size_t size);

/**
 * column_format() - write a cell as it is shown, padded to the column's width
 * @col: the column
 * @row: a VM
 * @dst: where to
 * @size: bytes at @dst
 *
 * In ASCII but for texts, the trend too.  A rate is "-" if there was no sample
 * before, and so is what is not known.  A text that is too wide has lost a part
 * of its own.
 *
 * Return: @dst.
 */
char *column_format(const struct column *col, const struct row *row, char *dst,
		    size_t size);

/**
 * column_title() - write a column's title, padded to the column's width
 * @col: the column
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst.
 */
char *column_title(const struct column *col, char *dst, size_t size);

/**
 * column_compare() - order two VMs by a column, the least first
 * @col: the column
 * @a: a VM
 * @b: a VM
 *
 * Return: below 0 if @a comes first, above 0 if @b does, 0 if they are equal.
 */
int column_compare(const struct column *col, const struct row *a,
		   const struct row *b);

/**
 * column_descends() - is the greatest value of interest by default?
 * @col: the column
 *
 * Return: true if a sort shows the greatest value first unless told otherwise.
 */
bool column_descends(const struct column *col);

#endif /* GMEMTOP_CELLS_H */
