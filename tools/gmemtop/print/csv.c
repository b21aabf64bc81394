// SPDX-License-Identifier: GPL-2.0-only
/*
 * A view as comma-separated values (RFC 4180): the chosen columns, a line a
 * VM, numbers in full.
 */
#include "print/csv.h"

static void print_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

/* As in the table, but of all nodes and in pages; empty if it is not known. */
static void print_nodes(const struct row *row, FILE *out)
{
	const char *blank = "";
	int i;

	for (i = 0; i < GMEM_NODES_MAX; i++) {
		if (!(row->nodes >> i & 1))
			continue;
		fprintf(out, "%s%d:%ju", blank, i,
			(uintmax_t)row->now->node_pages[i]);
		blank = " ";
	}
}

static void print_cell(const struct column *col, const struct row *row,
		       FILE *out)
{
	char text[TEXT_LEN];

	if (col == &columns[COLUMN_NODES]) {
		print_nodes(row, out);
		return;
	}
	switch (col->kind) {
	case COLUMN_TEXT:
		print_quoted(column_text(col, row, text), out);
		break;
	case COLUMN_RATE:
		/* Empty: not known yet, or not at all. */
		if (row->seconds && column_value(col, row) >= 0)
			fprintf(out, "%.3f", column_value(col, row));
		break;
	case COLUMN_MEAN:
		/* Empty: nothing happened. */
		if (column_value(col, row) >= 0)
			fprintf(out, "%.0f", column_value(col, row));
		break;
	case COLUMN_PERCENT:
		/* Empty: of nothing. */
		if (column_value(col, row) >= 0)
			fprintf(out, "%.3f", column_value(col, row));
		break;
	case COLUMN_NUMBER:
	case COLUMN_COUNT:
	case COLUMN_PAGES:
	case COLUMN_BYTES:
	case COLUMN_TIME:
		/* Empty: not known. */
		if (column_known(col, row->now))
			fprintf(out, "%ju",
				(uintmax_t)column_counter(col, row->now));
		break;
	case COLUMN_TREND:
		break;
	}
}

void csv_print(const struct view *view, bool header, FILE *out)
{
	const struct fields *fields = &view->fields;
	size_t r;
	int i;

	if (header) {
		fputs("time", out);
		for (i = 0; i < fields->nr; i++)
			if (columns[fields->id[i]].kind != COLUMN_TREND)
				fprintf(out, ",%s", columns[fields->id[i]].key);
		fputs("\r\n", out);
	}
	for (r = 0; r < view->nr_rows; r++) {
		fprintf(out, "%.3f", view_frame(view)->real_ns / 1e9);
		for (i = 0; i < fields->nr; i++) {
			if (columns[fields->id[i]].kind == COLUMN_TREND)
				continue;
			fputc(',', out);
			print_cell(&columns[fields->id[i]], &view->rows[r],
				   out);
		}
		fputs("\r\n", out);
	}
}
