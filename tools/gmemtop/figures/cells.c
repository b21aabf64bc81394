// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes, pads and compares cells.
 */
#include <string.h>

#include "figures/cells.h"

static char *format_bytes(char *dst, size_t size, double value)
{
	static const char units[] = "BKMG";
	int unit = 0;

	while (value >= 999.5 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	snprintf(dst, size, "%.*f%c", !unit || value >= 99.95 ? 0 :
		 value < 9.995 ? 2 : 1, value, units[unit]);
	return dst;
}

/* A blank would be the end of the cell for who splits lines at them. */
static char *format_time(char *dst, size_t size, double ns)
{
	char *blank = strchr(gmem_format_ns(dst, size, ns), ' ');

	if (blank)
		memmove(blank, blank + 1, strlen(blank));
	return dst;
}

/* Rounded down, so that 100% is all of it; 0% is none. */
static char *format_percent(char *dst, size_t size, double value)
{
	unsigned int tenths = value * 10 + 1e-6;

	if (value > 0 && tenths < 1000)
		snprintf(dst, size, "%u.%u%%", tenths / 10, tenths % 10);
	else
		snprintf(dst, size, "%u%%", tenths / 10);
	return dst;
}

char *column_format_value(const struct column *col, double value, char *dst,
			  size_t size)
{
	switch (col->kind) {
	case COLUMN_PAGES:
		return gmem_format_pages(dst, size, value);
	case COLUMN_BYTES:
		return format_bytes(dst, size, value);
	case COLUMN_TIME:
	case COLUMN_MEAN:
		return format_time(dst, size, value);
	case COLUMN_PERCENT:
		return format_percent(dst, size, value);
	case COLUMN_RATE:
		return gmem_format_rate(dst, size, value);
	case COLUMN_COUNT:
		/* In full as long as the column has room for it. */
		if (value >= 999999.5)
			return gmem_format_rate(dst, size, value);
		break;
	case COLUMN_NUMBER:
	case COLUMN_TEXT:
	case COLUMN_TREND:
		break;
	}
	snprintf(dst, size, "%.0f", value);
	return dst;
}

void column_add(double *sum, double value)
{
	*sum = *sum < 0 || value < 0 ? -1 : *sum + value;
}

char *column_format_sum(const struct column *col, double sum, char *dst, size_t size)
{
	if (sum >= 0)
		return column_format_value(col, sum, dst, size);
	snprintf(dst, size, FACT_UNKNOWN);
	return dst;
}

/* Flush right, but for a trend, which has its full width. */
static char *pad(const struct column *col, const char *text, char *dst,
		 size_t size)
{
	size_t len = strlen(text), width = col->width;
	size_t blanks = width > len ? width - len : 0;

	if (blanks + len >= size) {
		*dst = '\0';
		return dst;
	}
	memset(dst, ' ', blanks);
	memcpy(dst + blanks, text, len + 1);
	return dst;
}

/* Flush left; by columns of the screen, which are not bytes. */
static char *pad_text(const struct column *col, const char *text, char *dst,
		      size_t size)
{
	char shown[TEXT_LEN];
	size_t len;
	int width;

	gmem_text_fit(dst, size, gmem_printable(shown, sizeof(shown), text),
		      col->width);
	len = strlen(dst);
	for (width = gmem_text_width(dst); width < col->width && len + 1 < size;
	     width++)
		dst[len++] = ' ';
	dst[len] = '\0';
	return dst;
}

/* Each refresh by its share of the greatest; a quiet one is blank. */
static void format_trend(const struct vm_facts *facts, char *dst)
{
	static const char levels[] = "._-=+*#";
	float max = 0;
	int i;

	for (i = 0; i < VM_TREND_LEN; i++)
		if (facts->trend[i] > max)
			max = facts->trend[i];
	for (i = 0; i < VM_TREND_LEN; i++) {
		int level = max ? facts->trend[i] / max * 6.999 : 0;

		dst[i] = facts->trend[i] > 0 ? levels[level] : ' ';
	}
	dst[i] = '\0';
}

char *column_format(const struct column *col, const struct row *row, char *dst,
		    size_t size)
{
	char text[TEXT_LEN], value[CELL_LEN];

	if (col->kind == COLUMN_TEXT) {
		const char *shown = col->shown ? col->shown(row) : NULL;

		return pad_text(col, shown ? shown : column_text(col, row, text),
				dst, size);
	}
	/* An id has 64 bits, more than a double holds. */
	if (col->kind == COLUMN_NUMBER && column_known(col, row->now))
		snprintf(value, sizeof(value), "%ju",
			 (uintmax_t)column_counter(col, row->now));
	else if (col->kind == COLUMN_TREND)
		format_trend(row->facts, value);
	else if ((col->kind == COLUMN_RATE && !row->seconds) ||
		 column_value(col, row) < 0)
		snprintf(value, sizeof(value), "-");
	else
		column_format_value(col, column_value(col, row), value,
				    sizeof(value));
	return pad(col, value, dst, size);
}

char *column_title(const struct column *col, char *dst, size_t size)
{
	if (col->kind == COLUMN_TEXT || col->kind == COLUMN_TREND)
		return pad_text(col, col->title, dst, size);
	return pad(col, col->title, dst, size);
}

int column_compare(const struct column *col, const struct row *a,
		   const struct row *b)
{
	char ta[TEXT_LEN], tb[TEXT_LEN];
	double va, vb;

	if (col->kind == COLUMN_TEXT)
		return strcmp(column_text(col, a, ta), column_text(col, b, tb));
	if (col->kind == COLUMN_NUMBER) {
		uint64_t na = column_counter(col, a->now);
		uint64_t nb = column_counter(col, b->now);

		return (na > nb) - (na < nb);
	}
	va = column_value(col, a);
	vb = column_value(col, b);
	return (va > vb) - (va < vb);
}

bool column_descends(const struct column *col)
{
	return col->kind != COLUMN_NUMBER && col->kind != COLUMN_TEXT;
}
