// SPDX-License-Identifier: GPL-2.0-only
/*
 * Adds rows.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "formats/rows.h"
#include "gmem_common.h"

void *rows_add(struct rows *rows)
{
	char *more = reallocarray(rows->rows, rows->nr + 1, rows->size);

	if (!more) {
		gmem_err("no memory for the status; free some");
		return NULL;
	}
	rows->rows = more;
	more += rows->nr++ * rows->size;
	memset(more, 0, rows->size);
	return more;
}
