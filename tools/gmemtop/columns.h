/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The columns of gmemtop: one table that titles, widths, order, formats, help
 * and JSON keys follow from.  Not here: where they are shown.
 */
#ifndef GMEMTOP_COLUMNS_H
#define GMEMTOP_COLUMNS_H

#include "gmem_sample.h"

#define ROW_NAME_LEN	16

/**
 * struct row - one VM as it is shown
 * @now: its counters
 * @before: its counters at the sample before, NULL if it was born since
 * @seconds: time since the sample before, 0 if there was none
 * @name: name of its process, printable
 */
struct row {
	const struct gmem_vm_sample *now;
	const struct gmem_vm_sample *before;
	double seconds;
	char name[ROW_NAME_LEN];
};

/**
 * enum column_kind - how a column's value is made and written
 * @COLUMN_NUMBER: the counter as it is
 * @COLUMN_TEXT: the row's name
 * @COLUMN_PAGES: the counter, an amount of memory
 * @COLUMN_RATE: how much the counter rose a second
 */
enum column_kind {
	COLUMN_NUMBER,
	COLUMN_TEXT,
	COLUMN_PAGES,
	COLUMN_RATE,
};

/**
 * struct column - one column
 * @key: its name for --sort, in menus and in JSON
 * @title: what stands above it, at most @width characters
 * @total: what its sum over all VMs is called, NULL if it has none
 * @help: one line
 * @width: characters
 * @kind: how to make its value
 * @scale: what a rate is multiplied by, 0 for 1
 * @counter: the counter it shows, NULL for text
 */
struct column {
	const char *key;
	const char *title;
	const char *total;
	const char *help;
	int width;
	enum column_kind kind;
	double scale;
	uint64_t (*counter)(const struct gmem_vm_sample *vm);
};

enum column_id {
	COLUMN_ID,
	COLUMN_PID,
	COLUMN_NAME,
	COLUMN_PRIVATE,
	COLUMN_POPULATED,
	COLUMN_STALE,
	COLUMN_FAULTS,
	COLUMN_CONVERSIONS,
	COLUMN_INVALIDATIONS,
	COLUMN_DENIED,
	COLUMN_DELAYED,
	NR_COLUMNS,
};

extern const struct column columns[NR_COLUMNS];

/**
 * column_keys() - the keys of all columns
 *
 * Return: NR_COLUMNS keys in the order of @columns, NULL at the end.
 */
const char *const *column_keys(void);

/**
 * column_value() - the value of a cell
 * @col: a column that is not text
 * @row: a VM
 *
 * Return: the value, a rate of a VM that was never sampled before is 0.
 */
double column_value(const struct column *col, const struct row *row);

/**
 * column_format_value() - write a value as it is shown
 * @col: a column that is not text
 * @value: the value
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst.
 */
char *column_format_value(const struct column *col, double value, char *dst,
			  size_t size);

/**
 * column_format() - write a cell as it is shown, padded to the column's width
 * @col: the column
 * @row: a VM
 * @dst: where to
 * @size: bytes at @dst
 *
 * A rate is "-" if there was no sample before.
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

#endif /* GMEMTOP_COLUMNS_H */
