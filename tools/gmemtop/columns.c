// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of columns, and what follows from it for one cell.
 */
#include <string.h>

#include "columns.h"

static uint64_t vm_id(const struct gmem_vm_sample *vm)
{
	return vm->vm_id;
}

static uint64_t pid(const struct gmem_vm_sample *vm)
{
	return vm->pid;
}

static uint64_t private_pages(const struct gmem_vm_sample *vm)
{
	return vm->private_pages;
}

static uint64_t populated_pages(const struct gmem_vm_sample *vm)
{
	return vm->populated_pages;
}

static uint64_t stale_pages(const struct gmem_vm_sample *vm)
{
	return vm->stale_pages;
}

static uint64_t faults(const struct gmem_vm_sample *vm)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < GMEM_NR_FAULTS; i++)
		sum += vm->faults[i];
	return sum;
}

static uint64_t conversions(const struct gmem_vm_sample *vm)
{
	return vm->conversions;
}

static uint64_t invalidations(const struct gmem_vm_sample *vm)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < GMEM_NR_INVALIDATES; i++)
		sum += vm->invalidations[i];
	return sum;
}

static uint64_t denied(const struct gmem_vm_sample *vm)
{
	return vm->faults_denied + vm->conversions_denied;
}

static uint64_t delayed(const struct gmem_vm_sample *vm)
{
	return vm->delayed_ns;
}

/* 79 characters wide with the blanks between them. */
const struct column columns[NR_COLUMNS] = {
	[COLUMN_ID] = {
		.key = "id", .title = "ID", .width = 5,
		.kind = COLUMN_NUMBER, .counter = vm_id,
		.help = "the VM's id, never used again for another",
	},
	[COLUMN_PID] = {
		.key = "pid", .title = "PID", .width = 7,
		.kind = COLUMN_NUMBER, .counter = pid,
		.help = "process that created the VM",
	},
	[COLUMN_NAME] = {
		.key = "name", .title = "NAME", .width = ROW_NAME_LEN - 1,
		.kind = COLUMN_TEXT,
		.help = "name of that process",
	},
	[COLUMN_PRIVATE] = {
		.key = "private", .title = "PRIV", .total = "private",
		.width = 5, .kind = COLUMN_PAGES, .counter = private_pages,
		.help = "guest memory whose attribute is private",
	},
	[COLUMN_POPULATED] = {
		.key = "populated", .title = "POPUL", .total = "populated",
		.width = 5, .kind = COLUMN_PAGES, .counter = populated_pages,
		.help = "host memory allocated in its guest_memfds",
	},
	[COLUMN_STALE] = {
		.key = "stale", .title = "STALE", .total = "stale",
		.width = 5, .kind = COLUMN_PAGES, .counter = stale_pages,
		.help = "populated memory that no private guest page uses",
	},
	[COLUMN_FAULTS] = {
		.key = "faults", .title = "FLT/S", .total = "faults/s",
		.width = 5, .kind = COLUMN_RATE, .counter = faults,
		.help = "requests for private pages per second",
	},
	[COLUMN_CONVERSIONS] = {
		.key = "conversions", .title = "CONV/S", .total = "conv/s",
		.width = 6, .kind = COLUMN_RATE, .counter = conversions,
		.help = "attribute changes per second that changed something",
	},
	[COLUMN_INVALIDATIONS] = {
		.key = "invalidations", .title = "INV/S",
		.total = "inval/s",
		.width = 5, .kind = COLUMN_RATE, .counter = invalidations,
		.help = "ranges of guest mappings taken away per second",
	},
	[COLUMN_DENIED] = {
		.key = "denied", .title = "DENY/S", .total = "denied/s",
		.width = 6, .kind = COLUMN_RATE, .counter = denied,
		.help = "requests that policies denied per second",
	},
	[COLUMN_DELAYED] = {
		.key = "delayed", .title = "DELAY", .total = "ms/s delayed",
		.width = 5, .kind = COLUMN_RATE, .counter = delayed,
		.scale = 1e-6,
		.help = "milliseconds of delay by policies per second",
	},
};

const char *const *column_keys(void)
{
	static const char *keys[NR_COLUMNS + 1];
	int i;

	for (i = 0; i < NR_COLUMNS; i++)
		keys[i] = columns[i].key;
	return keys;
}

double column_value(const struct column *col, const struct row *row)
{
	uint64_t now = col->counter(row->now), before;
	double scale = col->scale ? col->scale : 1;

	if (col->kind != COLUMN_RATE)
		return now;
	if (!row->seconds)
		return 0;
	/* A VM born since the sample before started from zero. */
	before = row->before ? col->counter(row->before) : 0;
	if (now < before)
		return 0;
	return (now - before) / row->seconds * scale;
}

char *column_format_value(const struct column *col, double value, char *dst,
			  size_t size)
{
	switch (col->kind) {
	case COLUMN_PAGES:
		return gmem_format_pages(dst, size, value);
	case COLUMN_RATE:
		return gmem_format_rate(dst, size, value);
	case COLUMN_NUMBER:
	case COLUMN_TEXT:
		break;
	}
	snprintf(dst, size, "%.0f", value);
	return dst;
}

static char *pad(const struct column *col, const char *text, char *dst,
		 size_t size)
{
	if (col->kind == COLUMN_TEXT)
		snprintf(dst, size, "%-*.*s", col->width, col->width, text);
	else
		snprintf(dst, size, "%*s", col->width, text);
	return dst;
}

char *column_format(const struct column *col, const struct row *row, char *dst,
		    size_t size)
{
	char value[32];

	if (col->kind == COLUMN_TEXT)
		return pad(col, row->name, dst, size);
	/* An id has 64 bits, more than a double holds. */
	if (col->kind == COLUMN_NUMBER)
		snprintf(value, sizeof(value), "%ju",
			 (uintmax_t)col->counter(row->now));
	else if (col->kind == COLUMN_RATE && !row->seconds)
		snprintf(value, sizeof(value), "-");
	else
		column_format_value(col, column_value(col, row), value,
				    sizeof(value));
	return pad(col, value, dst, size);
}

char *column_title(const struct column *col, char *dst, size_t size)
{
	return pad(col, col->title, dst, size);
}

int column_compare(const struct column *col, const struct row *a,
		   const struct row *b)
{
	double va, vb;

	if (col->kind == COLUMN_TEXT)
		return strcmp(a->name, b->name);
	if (col->kind == COLUMN_NUMBER) {
		uint64_t na = col->counter(a->now), nb = col->counter(b->now);

		return (na > nb) - (na < nb);
	}
	va = column_value(col, a);
	vb = column_value(col, b);
	return (va > vb) - (va < vb);
}

bool column_descends(const struct column *col)
{
	return col->kind == COLUMN_PAGES || col->kind == COLUMN_RATE;
}
