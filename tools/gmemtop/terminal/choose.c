// SPDX-License-Identifier: GPL-2.0-only
/*
 * The menus: what to sort by, which columns to show, whose VMs to show.
 */
#include <stdlib.h>
#include <string.h>

#include "terminal/choose.h"
#include "terminal/cursor.h"
#include "terminal/menu.h"
#include "terminal/panel.h"

static void sort_item(struct tui *tui, int i, char *dst, size_t size)
{
	snprintf(dst, size, "%-28s %s", columns[i].key, columns[i].help);
}

static void sort_pick(struct tui *tui, int i)
{
	if (tui->view->sort != (enum column_id)i)
		tui->view->inverted = false;
	tui->view->sort = i;
	tui->changed |= CHANGED_ORDER;
	view_arrange(tui->view);
	cursor_follow(tui);
}

void choose_sort(struct tui *tui)
{
	menu_open(tui, &(struct menu) {
		.title = "Sort by", .nr = NR_COLUMNS,
		.choice = tui->view->sort, .item = sort_item, .pick = sort_pick,
	});
}

/* Those shown come first and in their order, then the others. */
static int column_at(const struct tui *tui, int i)
{
	const struct fields *fields = &tui->view->fields;
	int c;

	if (i < fields->nr)
		return fields->id[i];
	i -= fields->nr;
	for (c = 0; c < NR_COLUMNS; c++)
		if (!memchr(fields->id, c, fields->nr) && !i--)
			return c;
	return 0;
}

static void column_item(struct tui *tui, int i, char *dst, size_t size)
{
	const struct column *col = &columns[column_at(tui, i)];

	snprintf(dst, size, "[%c] %-28s %s",
		 i < tui->view->fields.nr ? 'x' : ' ', col->key, col->help);
}

static void column_toggle(struct tui *tui)
{
	struct fields *fields = &tui->view->fields;
	int i = tui->menu.choice, c = column_at(tui, i);

	if (i >= fields->nr) {
		fields->id[fields->nr++] = c;
		tui->menu.choice = fields->nr - 1;
	} else if (fields->nr > 1) {
		fields->nr--;
		memmove(fields->id + i, fields->id + i + 1, fields->nr - i);
	} else {
		complain(tui, "One column has to stay.");
		return;
	}
	tui->changed |= CHANGED_FIELDS;
}

static void column_move(struct tui *tui, int by)
{
	struct fields *fields = &tui->view->fields;
	int from = tui->menu.choice, to = from + by;
	unsigned char id;

	if (from >= fields->nr || to < 0 || to >= fields->nr)
		return;
	id = fields->id[from];
	fields->id[from] = fields->id[to];
	fields->id[to] = id;
	tui->menu.choice = to;
	tui->changed |= CHANGED_FIELDS;
}

static bool column_key(struct tui *tui, int key)
{
	switch (key) {
	case ' ':
		column_toggle(tui);
		return true;
	case '[':
	case KEY_F(7):
		column_move(tui, -1);
		return true;
	case ']':
	case KEY_F(8):
		column_move(tui, 1);
		return true;
	}
	return false;
}

static void column_pick(struct tui *tui, int i)
{
	tui->cursor.shift = 0;
}

void choose_columns(struct tui *tui)
{
	menu_open(tui, &(struct menu) {
		.title = "Columns: Space shows or hides, [ and ] move",
		.nr = NR_COLUMNS, .item = column_item, .key = column_key,
		.pick = column_pick,
	});
}

/*
 * The control groups that have VMs.  Taken when the menu is opened, so that
 * items do not move under the cursor.
 */
static struct {
	int nr;
	char **path;
} groups;

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool collect_groups(const struct facts *facts)
{
	size_t i;
	int n = 0;

	while (groups.nr)
		free(groups.path[--groups.nr]);
	free(groups.path);
	groups.path = calloc(facts->nr ? facts->nr : 1, sizeof(*groups.path));
	if (!groups.path)
		return false;
	for (i = 0; i < facts->nr; i++) {
		if (!facts->vm[i].cgroup)
			continue;
		groups.path[groups.nr] = strdup(facts->vm[i].cgroup);
		if (!groups.path[groups.nr])
			return false;
		groups.nr++;
	}
	qsort(groups.path, groups.nr, sizeof(*groups.path), compare_paths);
	for (i = 0; i < (size_t)groups.nr; i++) {
		if (n && !strcmp(groups.path[n - 1], groups.path[i]))
			free(groups.path[i]);
		else
			groups.path[n++] = groups.path[i];
	}
	groups.nr = n;
	return true;
}

static void cgroup_item(struct tui *tui, int i, char *dst, size_t size)
{
	char shown[GMEM_CGROUP_LEN];

	/* Paths differ at their ends. */
	gmem_printable(shown, sizeof(shown), i ? groups.path[i - 1] : "All VMs");
	gmem_text_fit(dst, size, shown, COLS);
}

static void cgroup_pick(struct tui *tui, int i)
{
	strcpy(tui->view->filter.cgroup, i ? groups.path[i - 1] : "");
	view_arrange(tui->view);
	cursor_follow(tui);
}

void choose_cgroup(struct tui *tui)
{
	if (!collect_groups(&tui->view->facts)) {
		complain(tui, "No memory for the list; free some.");
		return;
	}
	menu_open(tui, &(struct menu) {
		.title = "Show the VMs in control group", .nr = groups.nr + 1,
		.item = cgroup_item, .pick = cgroup_pick,
	});
}
