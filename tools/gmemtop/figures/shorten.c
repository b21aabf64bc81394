// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sorts texts by how they look, and looks for what tells apart those that look
 * the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures/shorten.h"
#include "gmem_text.h"

/* A text takes up to three characters a column, of four bytes each. */
#define LOOK_LEN	512
/* Columns before the first difference, for orientation. */
#define BEFORE		2

/**
 * struct item - a text and how it looks
 * @text: the text
 * @shown: all of it as a terminal can show it
 * @look: what is shown of it
 * @vm: id of its VM
 * @target: where @look goes in the end
 */
struct item {
	const char *text;
	char *shown;
	char look[LOOK_LEN];
	uint64_t vm;
	char **target;
};

static int by_look(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int order = strcmp(one->look, other->look);

	return order ? order : strcmp(one->text, other->text);
}

/* How many of the @nr from the first on look like it. */
static size_t alike(const struct item *items, size_t nr)
{
	size_t i = 1;

	while (i < nr && !strcmp(items[i].look, items[0].look))
		i++;
	return i;
}

static bool is_one_text(const struct item *items, size_t nr)
{
	size_t i;

	for (i = 1; i < nr; i++)
		if (strcmp(items[i].text, items[0].text))
			return false;
	return true;
}

/* Columns that all have in common at their beginning. */
static int common_width(const struct item *items, size_t nr)
{
	const char *first = items[0].shown, *start;
	size_t len = strlen(first), i, n;
	int low = 0, high, middle;

	for (i = 1; i < nr; i++) {
		for (n = 0; n < len && items[i].shown[n] == first[n]; n++)
			;
		len = n;
	}
	/* The widest part that is not longer. */
	high = gmem_text_width(first);
	while (low < high) {
		middle = (low + high + 1) / 2;
		if (gmem_text_part(first, 0, middle, &start) <= len)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* The part around column @at, between marks of what is left out. */
static void look_at(struct item *item, int at, int width)
{
	int whole = gmem_text_width(item->shown), room;
	int from = at > BEFORE ? at - BEFORE : 0;
	const char *start;
	size_t len, n = 0;

	if (whole <= width)
		return;
	room = width - (from > 0);
	if (whole - from <= room)
		from = whole - room;
	else
		room--;
	if (from > 0)
		item->look[n++] = GMEM_TEXT_CUT;
	len = gmem_text_part(item->shown, from, room, &start);
	if (len > LOOK_LEN - 3)
		len = 0;
	memcpy(item->look + n, start, len);
	n += len;
	if (from + room < whole)
		item->look[n++] = GMEM_TEXT_CUT;
	item->look[n] = '\0';
}

/* Nothing that could be seen differs. */
static void look_by_id(struct item *item, int width)
{
	const char *start;
	char id[24];
	size_t len;
	int n;

	n = snprintf(id, sizeof(id), "%c%ju", GMEM_TEXT_CUT,
		     (uintmax_t)item->vm);
	len = n < width ? gmem_text_part(item->shown, 0, width - n, &start) : 0;
	if (len)
		memcpy(item->look, start, len);
	strcpy(item->look + len, id);
}

/* Those that look alike, which have at least @seen columns in common. */
static void tell_apart(struct item *items, size_t nr, int width, int seen)
{
	int common = common_width(items, nr);
	size_t i, n;

	for (i = 0; i < nr; i++) {
		if (common > seen && width > BEFORE + 2)
			look_at(&items[i], common, width);
		else
			look_by_id(&items[i], width);
	}
	if (common <= seen || width <= BEFORE + 2)
		return;
	qsort(items, nr, sizeof(*items), by_look);
	for (i = 0; i < nr; i += n) {
		n = alike(items + i, nr - i);
		if (!is_one_text(items + i, n))
			tell_apart(items + i, n, width, common);
	}
}

static void shorten(struct item *items, size_t nr, int width)
{
	size_t i, n, k;

	for (i = 0; i < nr; i++)
		gmem_text_fit(items[i].look, LOOK_LEN, items[i].shown, width);
	qsort(items, nr, sizeof(*items), by_look);
	for (i = 0; i < nr; i += n) {
		n = alike(items + i, nr - i);
		if (!is_one_text(items + i, n))
			tell_apart(items + i, n, width, -1);
	}
	/* What was made different from some may be like others now. */
	qsort(items, nr, sizeof(*items), by_look);
	for (i = 0; i < nr; i += n) {
		n = alike(items + i, nr - i);
		for (k = i; k < i + n && !is_one_text(items + i, n); k++)
			look_by_id(&items[k], width);
	}
	for (i = 0; i < nr; i++)
		*items[i].target = strdup(items[i].look);
}

/* NULL if memory ran out; then each text is cut when it is shown. */
static struct item *make_items(const struct facts *facts, bool names)
{
	struct item *items = calloc(facts->nr ? facts->nr : 1, sizeof(*items));
	size_t i, size;

	for (i = 0; items && i < facts->nr; i++) {
		struct vm_facts *vm = &facts->vm[i];

		items[i].vm = vm->vm_id;
		items[i].text = names ? facts_name(vm) : facts_cgroup(vm);
		items[i].target = names ? &vm->short_name : &vm->short_cgroup;
		free(*items[i].target);
		*items[i].target = NULL;
		size = strlen(items[i].text) + 1;
		items[i].shown = malloc(size);
		if (items[i].shown)
			gmem_printable(items[i].shown, size, items[i].text);
	}
	return items;
}

static void shorten_some(struct facts *facts, bool names, int width)
{
	struct item *items = make_items(facts, names);
	bool whole = items;
	size_t i;

	for (i = 0; whole && i < facts->nr; i++)
		whole = items[i].shown;
	if (whole && facts->nr)
		shorten(items, facts->nr, width);
	for (i = 0; items && i < facts->nr; i++)
		free(items[i].shown);
	free(items);
}

void shorten_all(struct facts *facts, int name_width, int cgroup_width)
{
	if (!facts->changed)
		return;
	shorten_some(facts, true, name_width);
	shorten_some(facts, false, cgroup_width);
	facts->changed = false;
}
