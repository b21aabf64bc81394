// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes rows and totals out of two samples.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "view.h"

#define NSEC_PER_SEC	1e9

static int compare_ids(const void *a, const void *b)
{
	const struct gmem_vm_sample *va = a, *vb = b;

	return (va->vm_id > vb->vm_id) - (va->vm_id < vb->vm_id);
}

static void read_name(uint32_t pid, char *dst, size_t size)
{
	char path[32], comm[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = fopen(path, "re");
	if (f) {
		/* A name may hold a newline; the last one is the file's. */
		size_t len = fread(comm, 1, sizeof(comm) - 1, f);

		fclose(f);
		if (len && comm[len - 1] == '\n')
			len--;
		comm[len] = '\0';
	}
	/* The process may be gone while somebody else keeps the VM. */
	gmem_printable(dst, size, comm[0] ? comm : "-");
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct row *ra = a, *rb = b;
	const struct view *view = arg;
	const struct column *col = &columns[view->sort];
	int order = column_compare(col, ra, rb);

	if (column_descends(col) != view->inverted)
		order = -order;
	/* Equal rows must not change place from one refresh to the next. */
	return order ? order : compare_ids(ra->now, rb->now);
}

void view_sort(struct view *view)
{
	if (view->nr_rows)
		qsort_r(view->rows, view->nr_rows, sizeof(*view->rows),
			compare_rows, view);
}

static void sum_up(struct view *view)
{
	size_t i;
	int c;

	memset(view->totals, 0, sizeof(view->totals));
	for (c = 0; c < NR_COLUMNS; c++) {
		if (!columns[c].total)
			continue;
		for (i = 0; i < view->nr_rows; i++)
			view->totals[c] += column_value(&columns[c],
							&view->rows[i]);
	}
}

static int make_rows(struct view *view, const struct gmem_sample *now,
		     const struct gmem_sample *before)
{
	size_t i, j = 0;

	if (now->nr_vms > view->rows_room) {
		struct row *rows = reallocarray(view->rows, now->nr_vms,
						sizeof(*rows));

		if (!rows) {
			gmem_err("no memory for %zu VMs; free some",
				 now->nr_vms);
			return -ENOMEM;
		}
		view->rows = rows;
		view->rows_room = now->nr_vms;
	}

	/* Both samples are in order of ids, and an id is never used again. */
	for (i = 0; i < now->nr_vms; i++) {
		struct row *row = &view->rows[i];

		while (j < before->nr_vms &&
		       before->vms[j].vm_id < now->vms[i].vm_id)
			j++;
		row->now = &now->vms[i];
		row->before = NULL;
		if (j < before->nr_vms &&
		    before->vms[j].vm_id == now->vms[i].vm_id)
			row->before = &before->vms[j];
		row->seconds = view->seconds;
		read_name(row->now->pid, row->name, sizeof(row->name));
	}
	view->nr_rows = now->nr_vms;
	return 0;
}

int view_refresh(struct view *view)
{
	struct gmem_sample *before = &view->samples[view->newest];
	struct gmem_sample *now = &view->samples[!view->newest];
	int err;

	err = gmem_sampler_read(view->sampler, now);
	if (!err)
		err = gmem_sampler_read_policies(view->sampler, &view->policies);
	if (err)
		return err;
	view->policies_enabled = gmem_policies_enabled();
	if (now->nr_vms)
		qsort(now->vms, now->nr_vms, sizeof(*now->vms), compare_ids);

	view->seconds = before->time_ns ?
			(now->time_ns - before->time_ns) / NSEC_PER_SEC : 0;
	view->newest = !view->newest;
	err = make_rows(view, now, before);
	if (err)
		return err;
	sum_up(view);
	view_sort(view);
	return 0;
}

uint64_t view_time_ns(const struct view *view)
{
	return view->samples[view->newest].time_ns;
}

static const char *switch_state(const struct view *view)
{
	if (view->policies_enabled < 0)
		return "";
	return view->policies_enabled ? ", on" : ", OFF by gmem_policies=N";
}

char *view_host_line(const struct view *view, int line, char *dst, size_t size)
{
	enum column_kind kind = line ? COLUMN_RATE : COLUMN_PAGES;
	const char *comma = "";
	char value[32];
	FILE *out;
	int c;

	out = fmemopen(dst, size, "w");
	if (!out) {
		*dst = '\0';
		return dst;
	}
	if (!line) {
		fprintf(out, "%zu VM%s", view->nr_rows,
			view->nr_rows == 1 ? "" : "s");
		comma = ", ";
	}
	for (c = 0; c < NR_COLUMNS; c++) {
		if (!columns[c].total || columns[c].kind != kind)
			continue;
		if (kind == COLUMN_RATE && !view->seconds)
			snprintf(value, sizeof(value), "-");
		else
			column_format_value(&columns[c], view->totals[c], value,
					    sizeof(value));
		fprintf(out, "%s%s %s", comma, value, columns[c].total);
		comma = ", ";
	}
	if (!line) {
		if (view->policies.nr == 1)
			fprintf(out, "; 1 policy");
		else
			fprintf(out, "; %zu policies", view->policies.nr);
		fputs(switch_state(view), out);
	}
	fclose(out);
	dst[size - 1] = '\0';
	return dst;
}

void view_free(struct view *view)
{
	gmem_sample_free(&view->samples[0]);
	gmem_sample_free(&view->samples[1]);
	gmem_policies_free(&view->policies);
	free(view->rows);
	view->rows = NULL;
}
