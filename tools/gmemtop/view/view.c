// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes rows and totals out of two frames.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "figures/cells.h"
#include "figures/shorten.h"
#include "view/view.h"

#define NSEC_PER_SEC	1e9

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct row *ra = a, *rb = b;
	const struct view *view = arg;
	const struct column *col = &columns[view->sort];
	int order = (ra->key > rb->key) - (ra->key < rb->key);

	if (col->kind == COLUMN_TEXT)
		order = column_compare(col, ra, rb);
	if (column_descends(col) != view->inverted)
		order = -order;
	if (order)
		return order;
	/* Equal rows must not change place from one refresh to the next. */
	return (ra->now->vm_id > rb->now->vm_id) -
	       (ra->now->vm_id < rb->now->vm_id);
}

static bool is_below(const char *cgroup, const char *top)
{
	size_t len = strlen(top);

	while (len && top[len - 1] == '/')
		len--;
	return !strncmp(cgroup, top, len) &&
	       (!cgroup[len] || cgroup[len] == '/');
}

static bool is_vm(const struct row *row, const struct filter *filter)
{
	uint64_t id;

	if (!gmem_parse_uint(filter->vm, &id) && id == row->now->vm_id)
		return true;
	return row->facts->name && !strcmp(row->facts->name, filter->vm_name);
}

static bool passes(const struct filter *filter, const struct row *row)
{
	if (filter->vm && !is_vm(row, filter))
		return false;
	if (filter->cgroup[0] &&
	    !is_below(facts_cgroup(row->facts), filter->cgroup))
		return false;
	return !filter->text[0] ||
	       strcasestr(facts_name(row->facts), filter->text) ||
	       strcasestr(facts_cgroup(row->facts), filter->text);
}

const struct frame *view_frame(const struct view *view)
{
	return &view->frames[view->newest];
}

/* Walks the VMs of both frames by id; an id is never used again. */
struct walk {
	const struct view *view;
	size_t at;
	size_t before;
};

static bool next_row(struct walk *walk, struct row *row)
{
	const struct view *view = walk->view;
	const struct gmem_sample *now = &view_frame(view)->vms;
	const struct gmem_sample *before = &view->frames[!view->newest].vms;
	uint64_t id;

	if (walk->at >= now->nr_vms)
		return false;
	id = now->vms[walk->at].vm_id;
	while (walk->before < before->nr_vms &&
	       before->vms[walk->before].vm_id < id)
		walk->before++;
	*row = (struct row) {
		.now = &now->vms[walk->at],
		.seconds = view->seconds,
		.facts = &view->facts.vm[walk->at],
		.policies = &view_frame(view)->policies,
		.nodes = view_frame(view)->nodes,
	};
	if (walk->before < before->nr_vms &&
	    before->vms[walk->before].vm_id == id)
		row->before = &before->vms[walk->before];
	walk->at++;
	return true;
}

void view_arrange(struct view *view)
{
	const struct column *col = &columns[view->sort];
	struct walk walk = { .view = view };
	struct row row;

	view->nr_rows = 0;
	while (next_row(&walk, &row)) {
		if (!passes(&view->filter, &row))
			continue;
		/* Once for each row, and not at each of the comparisons. */
		if (col->kind != COLUMN_TEXT)
			row.key = column_value(col, &row);
		view->rows[view->nr_rows++] = row;
	}
	if (view->nr_rows)
		qsort_r(view->rows, view->nr_rows, sizeof(*view->rows),
			compare_rows, view);
}

bool view_find(const struct view *view, uint64_t vm_id, struct row *row)
{
	struct walk walk = { .view = view };

	while (next_row(&walk, row))
		if (row->now->vm_id == vm_id)
			return true;
	return false;
}

/* Totals are of the whole host, and so is the trend. */
static void sum_up(struct view *view)
{
	const struct column *trend = &columns[COLUMN_TREND_CONVERSIONS];
	struct walk walk = { .view = view };
	struct row row;
	double rate;
	int c;

	memset(view->totals, 0, sizeof(view->totals));
	while (next_row(&walk, &row)) {
		for (c = 0; c < NR_COLUMNS; c++)
			if (columns[c].total)
				column_add(&view->totals[c],
					   column_value(&columns[c], &row));
		rate = column_value(trend, &row);
		facts_trend(row.facts, rate > 0 ? rate : 0);
	}
}

static int make_room(struct view *view, size_t nr)
{
	struct row *rows;

	if (nr <= view->rows_room)
		return 0;
	rows = reallocarray(view->rows, nr, sizeof(*rows));
	if (!rows) {
		gmem_err("no memory for %zu VMs; free some", nr);
		return -ENOMEM;
	}
	view->rows = rows;
	view->rows_room = nr;
	return 0;
}

/* What takes a look at page tables is looked for when somebody wants to see it. */
static uint64_t twice_of(const struct view *view)
{
	const struct fields *fields = &view->fields;

	if (view->all_figures || view->sort == COLUMN_TWICE ||
	    memchr(fields->id, COLUMN_TWICE, fields->nr))
		return GMEM_TWICE_OF_ALL;
	return view->looked_at;
}

int view_refresh(struct view *view)
{
	const struct frame *before = view_frame(view);
	struct frame *now = &view->frames[!view->newest];
	int err;

	view->source->twice_of = twice_of(view);
	err = view->source->read(view->source, now, &view->facts);
	if (!err)
		err = frame_share_resident(now);
	if (!err)
		err = make_room(view, now->vms.nr_vms);
	if (err)
		return err;
	/* Time goes back when a recording does. */
	view->seconds = 0;
	if (before->time_ns && now->time_ns > before->time_ns)
		view->seconds = (now->time_ns - before->time_ns) / NSEC_PER_SEC;
	view->newest = !view->newest;
	shorten_all(&view->facts, columns[COLUMN_NAME].width,
		    columns[COLUMN_CGROUP].width);
	sum_up(view);
	view_arrange(view);
	return 0;
}

static const char *switch_state(const struct frame *frame)
{
	if (frame->policies_enabled < 0)
		return "";
	return frame->policies_enabled ? ", on" : ", OFF by gmem_policies=N";
}

static void print_memory(const struct view *view, FILE *out)
{
	const struct frame *frame = view_frame(view);
	size_t nr = frame->vms.nr_vms;
	char value[CELL_LEN];
	int c;

	fprintf(out, "%zu VM%s", nr, nr == 1 ? "" : "s");
	for (c = 0; c < NR_COLUMNS; c++) {
		if (!columns[c].total || columns[c].kind != COLUMN_PAGES)
			continue;
		column_format_sum(&columns[c], view->totals[c], value,
				  sizeof(value));
		fprintf(out, ", %s %s", value, columns[c].total);
		if (c == COLUMN_POPULATED && frame->host_pages)
			fprintf(out, " (%.1f%% of host)", view->totals[c] *
				100 / frame->host_pages);
	}
	if (!frame->vms.orphaned_pages ||
	    frame->vms.orphaned_pages == GMEM_UNKNOWN)
		return;
	gmem_format_pages(value, sizeof(value), frame->vms.orphaned_pages);
	fprintf(out, ", %s orphaned", value);
}

static void print_policies(const struct view *view, FILE *out)
{
	const struct frame *frame = view_frame(view);
	size_t nr = frame->policies.nr;

	fprintf(out, "%zu polic%s%s", nr, nr == 1 ? "y" : "ies",
		switch_state(frame));
}

static void print_rates(const struct view *view, FILE *out)
{
	const char *comma = "";
	char value[CELL_LEN];
	int c;

	for (c = 0; c < NR_COLUMNS; c++) {
		if (!columns[c].total || columns[c].kind != COLUMN_RATE)
			continue;
		if (!view->seconds)
			snprintf(value, sizeof(value), "-");
		else
			column_format_sum(&columns[c], view->totals[c], value,
				  sizeof(value));
		fprintf(out, "%s%s %s", comma, value, columns[c].total);
		comma = ", ";
	}
}

char *view_host_line(const struct view *view, int line, char *dst, size_t size)
{
	FILE *out = fmemopen(dst, size, "w");

	if (!out) {
		*dst = '\0';
		return dst;
	}
	if (line == 0)
		print_memory(view, out);
	else if (line == 1)
		print_rates(view, out);
	else
		print_policies(view, out);
	fclose(out);
	dst[size - 1] = '\0';
	return dst;
}

void view_free(struct view *view)
{
	frame_free(&view->frames[0]);
	frame_free(&view->frames[1]);
	facts_free(&view->facts);
	free(view->rows);
	view->rows = NULL;
}
