/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the part of TOML 1.0 that policy.d needs: tables, dotted and quoted
 * keys, strings in one line, whole numbers in decimal, booleans, arrays and
 * inline tables.  What it does not know it refuses, with line and column; what
 * it accepts means what TOML says.
 */
#ifndef GMEMPOLICY_TOML_H
#define GMEMPOLICY_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/scan.h"

enum toml_type {
	TOML_TABLE,
	TOML_ARRAY,
	TOML_STRING,
	TOML_INTEGER,
	TOML_BOOLEAN,
};

/**
 * struct toml - a value
 * @type: what it is
 * @key: its key in the table it is in, NULL in an array and for the root
 * @at: where the key is, or the value if it has none
 * @value_at: where the value is
 * @text: a string
 * @number: an integer
 * @flag: a boolean
 * @nr: members of a table or array
 * @members: those, in the order of the file
 * @closed: a table that nothing may be added to
 * @defined: a table that has a header of its own
 * @dotted: a table that a dotted key made
 */
struct toml {
	enum toml_type type;
	char *key;
	struct scan_place at;
	struct scan_place value_at;
	char *text;
	int64_t number;
	bool flag;
	size_t nr;
	struct toml **members;
	bool closed;
	bool defined;
	bool dotted;
};

/**
 * toml_parse() - read a file
 * @text: its contents
 * @size: their bytes
 * @error: filled in if something is wrong
 *
 * Return: the root, a table, or NULL.
 */
struct toml *toml_parse(const char *text, size_t size,
			struct scan_error *error);

/**
 * toml_free() - give the memory back
 * @toml: the root, or NULL
 */
void toml_free(struct toml *toml);

/**
 * toml_type_name() - what people call a type
 * @type: the type
 */
const char *toml_type_name(enum toml_type type);

#endif /* GMEMPOLICY_TOML_H */
