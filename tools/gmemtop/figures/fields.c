// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists of columns, as users write them.
 */
#include <errno.h>
#include <string.h>

#include "figures/fields.h"

void fields_first(struct fields *fields, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		fields->id[i] = i;
	fields->nr = nr;
}

int fields_parse(struct fields *fields, const char *text, const char **bad)
{
	struct fields parsed = {};
	const char *word = text;

	if (!strcmp(text, "all")) {
		fields_first(fields, NR_COLUMNS);
		return 0;
	}
	for (;;) {
		size_t len = strcspn(word, ",");
		int id = column_by_key(word, len);

		*bad = word;
		if (!len)
			return -EINVAL;
		if (id < 0)
			return -ENOENT;
		if (memchr(parsed.id, id, parsed.nr))
			return -EEXIST;
		parsed.id[parsed.nr++] = id;
		if (!word[len])
			break;
		word += len + 1;
	}
	*fields = parsed;
	return 0;
}
