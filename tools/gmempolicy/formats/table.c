// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints tables.  Numbers are set flush right, texts flush left, and columns
 * are as wide as their widest value.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "formats/table.h"
#include "gmem_common.h"

#define CELL_SIZE	280
#define MAX_COLUMNS	24

static struct value fact_key(const void *row)
{
	return TEXT_VALUE(((const struct fact *)row)->key);
}

static struct value fact_value(const void *row)
{
	return ((const struct fact *)row)->value;
}

const struct column fact_columns[] = {
	{ "", "key", fact_key },
	{ "", "value", fact_value },
	{}
};

static struct value value_at(const struct table *table, size_t row,
			     const struct column *column)
{
	return column->get((const char *)table->rows + row * table->row_size);
}

static const char *format(char *dst, const struct value *value)
{
	switch (value->type) {
	case VALUE_TEXT:
		return gmem_printable(dst, CELL_SIZE, value->text);
	case VALUE_UINT:
		snprintf(dst, CELL_SIZE, "%" PRIu64, value->uint);
		return dst;
	case VALUE_INT:
		snprintf(dst, CELL_SIZE, "%" PRId64, value->sint);
		return dst;
	case VALUE_REAL:
		snprintf(dst, CELL_SIZE, "%.3f", value->real);
		return dst;
	case VALUE_NONE:
		break;
	}
	return "-";
}

static int width_of(const struct table *table, const struct column *column,
		    bool *number)
{
	int width = column->title ? strlen(column->title) : 0;
	char cell[CELL_SIZE];
	size_t row;

	*number = false;
	for (row = 0; row < table->nr_rows; row++) {
		struct value value = value_at(table, row, column);
		int len = strlen(format(cell, &value));

		if (value.type != VALUE_TEXT && value.type != VALUE_NONE)
			*number = true;
		if (len > width)
			width = len;
	}
	return width;
}

static void print_cell(const char *text, int width, bool number, bool last)
{
	if (number)
		printf("%*s", width, text);
	else if (last)
		printf("%s", text);
	else
		printf("%-*s", width, text);
	printf("%s", last ? "\n" : "  ");
}

/* Lines such as "attached ratelimit-all". */
static void print_bare(const struct table *table)
{
	const struct column *column;
	char cell[CELL_SIZE];
	size_t row;

	if (!table->nr_rows && table->none)
		printf("%s\n", table->none);
	for (row = 0; row < table->nr_rows; row++) {
		const char *gap = "";

		for (column = table->columns; column->key; column++) {
			struct value value = value_at(table, row, column);

			if (!column->title)
				continue;
			printf("%s%s", gap, format(cell, &value));
			gap = " ";
		}
		putchar('\n');
	}
}

static void print_plain(const struct table *table)
{
	const struct column *columns = table->columns;
	int width[MAX_COLUMNS];
	bool number[MAX_COLUMNS];
	char cell[CELL_SIZE];
	size_t row;
	int c;

	if (table->is_bare) {
		print_bare(table);
		return;
	}
	if (!table->nr_rows) {
		printf("%s\n", table->none);
		return;
	}
	for (c = 0; columns[c].key && c < MAX_COLUMNS; c++)
		width[c] = width_of(table, &columns[c], &number[c]);
	if (table->is_object)
		memset(number, 0, sizeof(number));
	for (c = 0; columns[c].key && c < MAX_COLUMNS && !table->is_object; c++) {
		if (columns[c].title)
			print_cell(columns[c].title, width[c], number[c],
				   !columns[c + 1].key);
	}
	for (row = 0; row < table->nr_rows; row++) {
		for (c = 0; columns[c].key && c < MAX_COLUMNS; c++) {
			struct value value = value_at(table, row, &columns[c]);

			if (!columns[c].title)
				continue;
			print_cell(format(cell, &value), width[c], number[c],
				   !columns[c + 1].key);
		}
	}
}

static struct json_object *value_to_json(const struct value *value)
{
	switch (value->type) {
	case VALUE_TEXT:
		return json_object_new_string(value->text);
	case VALUE_UINT:
		return json_object_new_uint64(value->uint);
	case VALUE_INT:
		return json_object_new_int64(value->sint);
	case VALUE_REAL:
		return json_object_new_double(value->real);
	case VALUE_NONE:
		break;
	}
	return NULL;
}

/* The keys are texts for people, with blanks. */
static struct json_object *object_to_json(const struct table *table)
{
	struct json_object *object = json_object_new_object();
	char key[CELL_SIZE], *c;
	size_t row;

	for (row = 0; row < table->nr_rows; row++) {
		struct value name = value_at(table, row, &table->columns[0]);
		struct value value = value_at(table, row, &table->columns[1]);

		format(key, &name);
		for (c = key; *c; c++)
			*c = *c == ' ' ? '_' : *c;
		json_object_object_add(object, key, value_to_json(&value));
	}
	return object;
}

static struct json_object *table_to_json(const struct table *table)
{
	struct json_object *array = json_object_new_array();
	const struct column *column;
	size_t row;

	if (table->is_object) {
		json_object_put(array);
		return object_to_json(table);
	}
	for (row = 0; row < table->nr_rows; row++) {
		struct json_object *object = json_object_new_object();

		for (column = table->columns; column->key; column++) {
			struct value value = value_at(table, row, column);

			json_object_object_add(object, column->key,
					       value_to_json(&value));
		}
		json_object_array_add(array, object);
	}
	return array;
}

int tables_print(const struct table *tables, size_t nr, bool json)
{
	struct json_object *root;
	size_t i;

	if (!json) {
		for (i = 0; i < nr; i++) {
			if (i)
				putchar('\n');
			print_plain(&tables[i]);
		}
		return gmem_flush(stdout);
	}

	root = json_object_new_object();
	for (i = 0; i < nr; i++)
		json_object_object_add(root, tables[i].key,
				       table_to_json(&tables[i]));
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
	return gmem_flush(stdout);
}

int row_print_titles(const struct column *columns)
{
	for (; columns->key; columns++) {
		if (columns->title)
			print_cell(columns->title, 0, false,
				   !columns[1].key);
	}
	return gmem_flush(stdout);
}

static void row_print_json(const struct column *columns, const void *row)
{
	struct json_object *object = json_object_new_object();

	for (; columns->key; columns++) {
		struct value value = columns->get(row);

		json_object_object_add(object, columns->key,
				       value_to_json(&value));
	}
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

int row_print(const struct column *columns, const void *row, bool json)
{
	char cell[CELL_SIZE];

	if (json) {
		row_print_json(columns, row);
		return gmem_flush(stdout);
	}
	for (; columns->key; columns++) {
		struct value value = columns->get(row);

		if (columns->title)
			print_cell(format(cell, &value), strlen(columns->title),
				   value.type == VALUE_UINT, !columns[1].key);
	}
	return gmem_flush(stdout);
}
