/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What there is to show at one moment: two frames made into sorted rows and
 * totals.  Live view, batch, CSV and JSON only read it.
 */
#ifndef GMEMTOP_VIEW_H
#define GMEMTOP_VIEW_H

#include "figures/fields.h"
#include "figures/frame.h"
#include "gmem_process.h"

#define FILTER_LEN	256

/**
 * struct filter - which VMs have a row; all of these must hold
 * @vm: id or name of the one VM to show, NULL for any
 * @vm_name: the same as names are kept: from gmem_clean()
 * @cgroup: the control group that it or one above it must be, empty for any
 * @text: what its name or control group must contain, empty for anything
 */
struct filter {
	const char *vm;
	char vm_name[PROCESS_NAME_LEN];
	char cgroup[GMEM_CGROUP_LEN];
	char text[FILTER_LEN];
};

/**
 * struct view - all VMs as they are shown
 * @source: where frames come from
 * @frames: the last frame and the one before; @newest tells which
 * @newest: index of the last frame
 * @seconds: time between the two, 0 if there is one only
 * @facts: what is known of the VMs beside their counters
 * @rows: the VMs in the order to show
 * @nr_rows: number of VMs that pass the filter
 * @rows_room: number of VMs that @rows has memory for
 * @totals: sum of a column over all VMs, whatever the filter
 * @fields: the columns to show
 * @filter: which VMs to show
 * @sort: column that gives the order
 * @inverted: the order is the other way round than column_descends() says
 * @all_figures: every figure of every VM is wanted, whatever the columns
 * @looked_at: the VM of which every figure is wanted, 0 for none
 */
struct view {
	struct source *source;
	struct frame frames[2];
	int newest;
	double seconds;
	struct facts facts;
	struct row *rows;
	size_t nr_rows;
	size_t rows_room;
	double totals[NR_COLUMNS];
	struct fields fields;
	struct filter filter;
	enum column_id sort;
	bool inverted;
	bool all_figures;
	uint64_t looked_at;
};

/* Lines that view_host_line() can write. */
#define VIEW_HOST_LINES	3

/**
 * view_refresh() - take a frame and show what changed since the one before
 * @view: all zeroes except @source, @fields, @filter, @sort, @inverted and
 *	@all_figures before the first call
 *
 * Return: 0, or -errno after one line of error.
 */
int view_refresh(struct view *view);

/**
 * view_arrange() - bring the rows up to date after @filter, @sort or @inverted
 *	changed
 * @view: the view
 */
void view_arrange(struct view *view);

/**
 * view_frame() - the frame that is shown
 * @view: the view
 */
const struct frame *view_frame(const struct view *view);

/**
 * view_find() - find a VM, whether it has a row or not
 * @view: the view
 * @vm_id: its id
 * @row: filled in
 *
 * Return: false if it is gone.
 */
bool view_find(const struct view *view, uint64_t vm_id, struct row *row);

/**
 * view_host_line() - write what the host does in total
 * @view: the view
 * @line: 0 for memory, 1 for rates, 2 for policies
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst.
 */
char *view_host_line(const struct view *view, int line, char *dst, size_t size);

/**
 * view_free() - give back the view's memory, not its source
 * @view: the view
 */
void view_free(struct view *view);

#endif /* GMEMTOP_VIEW_H */
