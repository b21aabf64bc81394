// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints tables.  Numbers are set flush right, texts flush left, and columns
 * are as wide as their widest value.  On a screen that is too narrow for that,
 * columns are left out, then the widest text is made narrower, and so on: prose goes on in the next line, other texts are cut.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "formats/table.h"
#include "gmem_common.h"
#include "gmem_process.h"

/* The longest text there is, a name, is whole unless a terminal is too narrow. */
#define CELL_SIZE	(PROCESS_NAME_LEN + 64)
#define MAX_COLUMNS	24
#define GAP		2
/* No text is made narrower than that, and no prose. */
#define LEAST_TEXT	8
#define LEAST_PROSE	20
/* Every whole number up to it is a double; jq 1.6 and JavaScript have no other. */
#define EXACT_MAX	(1ULL << 53)

static struct screen fit;

/**
 * struct layout - how a table is set
 * @nr: number of columns
 * @shown: the column is shown
 * @is_number: it is set flush right
 * @width: how wide it is
 */
struct layout {
	int nr;
	bool shown[MAX_COLUMNS];
	bool is_number[MAX_COLUMNS];
	unsigned int width[MAX_COLUMNS];
};

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

/* JSON is UTF-8, and names of threads and policies are any bytes. */
static struct json_object *text_to_json(const char *text)
{
	struct json_object *string;
	char *valid = strdup(text), *at;
	size_t len;

	if (!valid)
		return NULL;
	for (at = valid; *at; at += len) {
		len = gmem_utf8_len(at, NULL);
		if (!len) {
			*at = '?';
			len = 1;
		}
	}
	string = json_object_new_string(valid);
	free(valid);
	return string;
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

struct screen screen_of_stdout(void)
{
	struct winsize size = {};

	if (!isatty(STDOUT_FILENO) ||
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return (struct screen) {};
	return (struct screen) { size.ws_col, size.ws_row };
}

void tables_fit(const struct screen *screen)
{
	fit = *screen;
}

/* Bytes of what stands in the first @width columns of the screen. */
static size_t bytes_of(const char *text, unsigned int width)
{
	const char *start;

	return gmem_text_part(text, 0, width, &start);
}

/* ------------------------------------------------------------------ layout */

static void measure(const struct table *table, struct layout *layout)
{
	const struct column *columns = table->columns;
	char cell[CELL_SIZE];
	unsigned int width;
	size_t row;
	int c;

	for (c = 0; columns[c].key && c < MAX_COLUMNS; c++) {
		layout->shown[c] = columns[c].title;
		layout->width[c] = columns[c].title ?
				   gmem_text_width(columns[c].title) : 0;
		layout->is_number[c] = false;
		for (row = 0; row < table->nr_rows; row++) {
			struct value value = value_at(table, row, &columns[c]);

			width = gmem_text_width(format(cell, &value));
			if (width > layout->width[c])
				layout->width[c] = width;
			if (value.type != VALUE_TEXT &&
			    value.type != VALUE_NONE && !table->is_object)
				layout->is_number[c] = true;
		}
	}
	layout->nr = c;
}

static unsigned int total_of(const struct layout *layout)
{
	unsigned int total = 0;
	int c;

	for (c = 0; c < layout->nr; c++) {
		if (layout->shown[c])
			total += layout->width[c] + (total ? GAP : 0);
	}
	return total;
}

static int column_of(const struct table *table, const char *key, size_t len)
{
	int c;

	for (c = 0; table->columns[c].key; c++) {
		if (strlen(table->columns[c].key) == len &&
		    !strncmp(table->columns[c].key, key, len))
			return c;
	}
	return -1;
}

/* The next spare column from @key on, which is moved behind it. */
static bool hide_one(const struct table *table, struct layout *layout,
		     const char **key)
{
	size_t len;
	int c;

	if (!*key || !**key)
		return false;
	len = strcspn(*key, " ");
	c = column_of(table, *key, len);
	if (c >= 0 && c < layout->nr)
		layout->shown[c] = false;
	*key += len + strspn(*key + len, " ");
	return true;
}

static bool is_prose(const struct table *table, int c)
{
	const char *key = table->prose;
	size_t len;

	for (; key && *key; key += len + strspn(key + len, " ")) {
		len = strcspn(key, " ");
		if (column_of(table, key, len) == c)
			return true;
	}
	return table->is_object && c;
}

static unsigned int least_of(const struct table *table, int c)
{
	const char *title = table->columns[c].title;
	unsigned int least = is_prose(table, c) ? LEAST_PROSE : LEAST_TEXT;

	return least > strlen(title) ? least : strlen(title);
}

static bool narrow_one(const struct table *table, struct layout *layout)
{
	int c, widest = -1;

	for (c = 0; c < layout->nr; c++) {
		if (layout->shown[c] && !layout->is_number[c] &&
		    layout->width[c] > least_of(table, c) &&
		    (widest < 0 || layout->width[c] > layout->width[widest]))
			widest = c;
	}
	if (widest >= 0)
		layout->width[widest]--;
	return widest >= 0;
}

static bool narrow(const struct table *table, struct layout *layout)
{
	while (total_of(layout) > fit.columns) {
		if (!narrow_one(table, layout))
			return false;
	}
	return true;
}

static void lay_out(const struct table *table, struct layout *layout)
{
	const char *spare = table->spare;
	struct layout whole;

	measure(table, layout);
	if (!fit.columns)
		return;
	if (table->texts_first) {
		whole = *layout;
		while (!narrow(table, layout) &&
		       hide_one(table, &whole, &spare))
			*layout = whole;
		return;
	}
	while (total_of(layout) > fit.columns &&
	       hide_one(table, layout, &spare))
		;
	narrow(table, layout);
}

/* -------------------------------------------------------------------- lines */

/* Blanks come before a text and never at the end of a line. */
static void put(unsigned int *at, unsigned int column, const char *text,
		size_t len)
{
	printf("%*s%.*s", (int)(column - *at), "", (int)len, text);
	*at = column + gmem_text_width(text) - gmem_text_width(text + len);
}

/* Bytes of @text that go into one line of @width: whole words if they fit. */
static size_t line_of(const char *text, unsigned int width)
{
	size_t most = bytes_of(text, width), len = most;

	if (!text[most])
		return most;
	while (len && text[len] != ' ')
		len--;
	return len ? len : most;
}

static const char *after(const char *text, size_t len)
{
	text += len;
	return text + strspn(text, " ");
}

/* A line, and those that its prose goes on in. */
static void print_line(const struct table *table, const struct layout *layout,
		       const char *const *cells)
{
	const char *rest[MAX_COLUMNS] = {};
	char cut[CELL_SIZE];
	unsigned int at, column;
	bool more = true;
	size_t len;
	int c;

	for (c = 0; c < layout->nr; c++)
		rest[c] = layout->shown[c] ? cells[c] : NULL;
	while (more) {
		more = false;
		at = column = 0;
		for (c = 0; c < layout->nr; c++) {
			const char *text = rest[c];

			if (!layout->shown[c])
				continue;
			if (text && *text) {
				if (!is_prose(table, c))
					text = gmem_text_fit(cut, sizeof(cut), text,
							     layout->width[c]);
				len = is_prose(table, c) ?
				      line_of(text, layout->width[c]) :
				      strlen(text);
				put(&at, layout->is_number[c] ?
				    column + layout->width[c] - gmem_text_width(text) :
				    column, text, len);
				rest[c] = is_prose(table, c) ?
					  after(text, len) : NULL;
				more |= rest[c] && *rest[c];
			}
			column += layout->width[c] + GAP;
		}
		putchar('\n');
	}
}

/* For rows that come one by one, in columns as wide as their titles. */
static void print_cell(const char *text, int width, bool number, bool last)
{
	/* Columns of the screen are not bytes. */
	int pad = width - gmem_text_width(text);

	if (number)
		printf("%*s", width, text);
	else if (last)
		printf("%s", text);
	else
		printf("%s%*s", text, pad > 0 ? pad : 0, "");
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

static void print_titles(const struct table *table,
			 const struct layout *layout)
{
	const char *cells[MAX_COLUMNS];
	int c;

	for (c = 0; c < layout->nr; c++)
		cells[c] = table->columns[c].title;
	print_line(table, layout, cells);
}

static void print_plain(const struct table *table)
{
	static char text[MAX_COLUMNS][CELL_SIZE];
	const char *cells[MAX_COLUMNS];
	struct layout layout;
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
	lay_out(table, &layout);
	if (!table->is_object)
		print_titles(table, &layout);
	for (row = 0; row < table->nr_rows; row++) {
		for (c = 0; c < layout.nr; c++) {
			struct value value = value_at(table, row,
						      &table->columns[c]);

			cells[c] = format(text[c], &value);
		}
		print_line(table, &layout, cells);
	}
	if (table->rest)
		printf("%s\n", table->rest);
}

static struct json_object *value_to_json(const struct value *value)
{
	switch (value->type) {
	case VALUE_TEXT:
		return text_to_json(value->text);
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

static void add_value(struct json_object *object, const char *key,
		      const struct value *value)
{
	char name[CELL_SIZE], text[32];

	json_object_object_add(object, key, value_to_json(value));
	if (value->type == VALUE_UINT && value->uint > EXACT_MAX)
		snprintf(text, sizeof(text), "%" PRIu64, value->uint);
	else if (value->type == VALUE_INT &&
		 (value->sint > (int64_t)EXACT_MAX ||
		  value->sint < -(int64_t)EXACT_MAX))
		snprintf(text, sizeof(text), "%" PRId64, value->sint);
	else
		return;
	snprintf(name, sizeof(name), "%s_text", key);
	json_object_object_add(object, name, json_object_new_string(text));
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
		add_value(object, key, &value);
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

			add_value(object, column->key, &value);
		}
		json_object_array_add(array, object);
	}
	return array;
}

int tables_print(const struct table *tables, size_t nr, bool json)
{
	struct json_object *root;
	size_t i, shown = 0;

	if (!json) {
		for (i = 0; i < nr; i++) {
			if (tables[i].is_json_only)
				continue;
			if (shown++)
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

		add_value(object, columns->key, &value);
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
