/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Output: tables of rows, for people or as JSON, from one description of the
 * columns.
 */
#ifndef GMEMPOLICY_TABLE_H
#define GMEMPOLICY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

enum value_type {
	VALUE_NONE,
	VALUE_TEXT,
	VALUE_UINT,
	VALUE_INT,
	VALUE_REAL,
};

/**
 * struct value - what stands in a row's column
 * @type: which of the others holds it; VALUE_NONE is "-", and null in JSON
 * @text: a text that lives as long as the row
 * @uint: a number
 * @sint: a number with a sign
 * @real: a number with a fraction
 */
struct value {
	enum value_type type;
	union {
		const char *text;
		uint64_t uint;
		int64_t sint;
		double real;
	};
};

#define NO_VALUE	((struct value){ .type = VALUE_NONE })
#define TEXT_VALUE(v)	((struct value){ .type = VALUE_TEXT, .text = (v) })
#define UINT_VALUE(v)	((struct value){ .type = VALUE_UINT, .uint = (v) })
#define REAL_VALUE(v)	((struct value){ .type = VALUE_REAL, .real = (v) })
#define INT_VALUE(v)	((struct value){ .type = VALUE_INT, .sint = (v) })

/**
 * struct column - a column of a table
 * @title: its heading, NULL if it is in JSON only
 * @key: its key in JSON
 * @get: takes a row to the column's value
 *
 * A whole number that is too large for a double has a text beside it in JSON,
 * under its key and "_text".
 */
struct column {
	const char *title;
	const char *key;
	struct value (*get)(const void *row);
};

/**
 * struct table - a table
 * @key: its key in JSON
 * @none: what to say instead if it has no row
 * @columns: columns, the last without a key
 * @rows: array of rows
 * @row_size: bytes of a row
 * @nr_rows: number of rows
 * @is_object: two columns, a key and a value: one object in JSON instead of an
 *	array of them; no headings
 * @is_bare: plain output has no headings and is not set in columns
 * @spare: keys of columns that are left out where it is too wide for its screen,
 *	the first of them first, blanks between; or NULL
 * @prose: keys of columns whose texts go on in the next line rather than being
 *	cut, likewise
 * @texts_first: texts are made narrower before columns are left out
 * @rest: plain output, what to say below of rows that are not shown, or NULL
 * @is_json_only: plain output has none of it
 */
struct table {
	const char *key;
	const char *none;
	const struct column *columns;
	const void *rows;
	size_t row_size;
	size_t nr_rows;
	bool is_object;
	bool is_bare;
	const char *spare;
	const char *prose;
	bool texts_first;
	const char *rest;
	bool is_json_only;
};

/**
 * struct fact - a row that says one thing of the whole
 * @key: what it is about
 * @value: what it says
 */
struct fact {
	const char *key;
	struct value value;
};

/* The columns of an array of struct fact, in a table that is an object. */
extern const struct column fact_columns[];

/**
 * FACTS_TABLE() - the table of an array of struct fact
 * @name: its key in JSON
 * @facts: the array itself, not a pointer to it
 */
#define FACTS_TABLE(name, facts) ((struct table){			\
		.key = (name),						\
		.columns = fact_columns,				\
		.rows = (facts),					\
		.row_size = sizeof(*(facts)),				\
		.nr_rows = sizeof(facts) / sizeof(*(facts)),		\
		.is_object = true,					\
	})

/**
 * struct screen - how much can be seen at once
 * @columns: characters in a line, 0: as many as it takes
 * @rows: lines, 0: likewise
 */
struct screen {
	unsigned int columns;
	unsigned int rows;
};

/**
 * screen_of_stdout() - the terminal that stdout is
 *
 * Return: its size, zeroes if it is no terminal.
 */
struct screen screen_of_stdout(void);

/**
 * tables_fit() - set the screen that plain output is made to fit
 * @screen: its size, zeroes for none, which it is at first
 */
void tables_fit(const struct screen *screen);

/**
 * tables_print() - print tables to stdout
 * @tables: tables
 * @nr: number of tables
 * @json: one JSON object with an array for each table
 *
 * Return: 0, or -errno after one line of error.
 */
int tables_print(const struct table *tables, size_t nr, bool json);

/**
 * row_print_titles() - begin a table whose rows come one by one
 * @columns: columns, as wide as their titles are, blanks included
 *
 * Return: 0, or -errno after one line of error.
 */
int row_print_titles(const struct column *columns);

/**
 * row_print() - print one row at once
 * @columns: its columns
 * @row: the row
 * @json: as a JSON object in a line
 *
 * Return: 0, or -errno after one line of error.
 */
int row_print(const struct column *columns, const void *row, bool json);

#endif /* GMEMPOLICY_TABLE_H */
