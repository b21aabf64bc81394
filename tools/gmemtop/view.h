/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What there is to show at one moment: two samples made into sorted rows and
 * totals.  Live view, batch and JSON only read it.
 */
#ifndef GMEMTOP_VIEW_H
#define GMEMTOP_VIEW_H

#include "columns.h"

/**
 * struct view - all VMs as they are shown
 * @sampler: where samples come from
 * @samples: the last sample and the one before, by id; @newest tells which
 * @newest: index of the last sample
 * @seconds: time between the two, 0 if there is one only
 * @policies: the attached policies
 * @policies_enabled: as gmem_policies_enabled() returns it
 * @rows: the VMs in the order to show
 * @nr_rows: number of VMs
 * @rows_room: number of VMs that @rows has memory for
 * @totals: sum of a column over all VMs
 * @sort: column that gives the order
 * @inverted: the order is the other way round than column_descends() says
 */
struct view {
	struct gmem_sampler *sampler;
	struct gmem_sample samples[2];
	int newest;
	double seconds;
	struct gmem_policies policies;
	int policies_enabled;
	struct row *rows;
	size_t nr_rows;
	size_t rows_room;
	double totals[NR_COLUMNS];
	enum column_id sort;
	bool inverted;
};

/**
 * view_refresh() - take a sample and show what changed since the one before
 * @view: all zeroes except @sampler, @sort and @inverted before the first call
 *
 * Return: 0, or -errno after one line of error.
 */
int view_refresh(struct view *view);

/**
 * view_sort() - bring the rows in order after @sort or @inverted changed
 * @view: the view
 */
void view_sort(struct view *view);

/**
 * view_time_ns() - when the last sample was taken
 * @view: the view
 *
 * Return: the kernel's CLOCK_MONOTONIC in nanoseconds.
 */
uint64_t view_time_ns(const struct view *view);

/**
 * view_host_line() - write what the host does in total
 * @view: the view
 * @line: 0 for memory and policies, 1 for rates
 * @dst: where to
 * @size: bytes at @dst
 *
 * Return: @dst.
 */
char *view_host_line(const struct view *view, int line, char *dst, size_t size);

/**
 * view_free() - give back the view's memory, not its sampler
 * @view: the view
 */
void view_free(struct view *view);

#endif /* GMEMTOP_VIEW_H */
