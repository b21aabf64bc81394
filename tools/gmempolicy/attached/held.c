// SPDX-License-Identifier: GPL-2.0-only
/*
 * Adds verdicts up by VM and sorts.
 */
#include <stdlib.h>

#include "attached/held.h"
#include "attached/limits.h"
#include "formats/rows.h"
#include "gmem_scope.h"

static uint64_t times_of(const struct held *held)
{
	return held->denied + held->delayed;
}

static double percent_of(const struct held *held)
{
	return held->nearest ? limit_percent(held->nearest) : -1;
}

static int by_most(const void *a, const void *b)
{
	const struct held *one = a, *other = b;

	if (times_of(one) != times_of(other))
		return times_of(one) < times_of(other) ? 1 : -1;
	if (one->delayed_ns != other->delayed_ns)
		return one->delayed_ns < other->delayed_ns ? 1 : -1;
	if (percent_of(one) != percent_of(other))
		return percent_of(one) < percent_of(other) ? 1 : -1;
	return one->vm->id < other->vm->id ? -1 : one->vm->id > other->vm->id;
}

static void add_verdicts(struct held *held, const struct rows *verdicts)
{
	const struct verdict *v = (const struct verdict *)verdicts->rows;
	uint64_t most = 0, times;
	size_t i;

	for (i = 0; i < verdicts->nr; i++, v++) {
		if (v->vm != held->vm || !v->counts)
			continue;
		held->denied += v->verdicts.denied;
		held->delayed += v->verdicts.delayed;
		held->delayed_ns += v->verdicts.delayed_ns;
		times = v->verdicts.denied + v->verdicts.delayed;
		if (times > most) {
			most = times;
			held->by = v->who;
		}
	}
}

static void find_nearest(struct held *held, const struct rows *limits)
{
	const struct limit *limit = (const struct limit *)limits->rows;
	size_t i;

	for (i = 0; i < limits->nr; i++, limit++) {
		if (limit->vm == held->vm->id &&
		    (!held->nearest ||
		     limit_percent(limit) > limit_percent(held->nearest)))
			held->nearest = limit;
	}
}

size_t held_find(struct held *held, const struct vms *vms,
		 const struct rows *verdicts, const struct rows *limits)
{
	size_t i, nr = 0;

	for (i = 0; i < vms->nr; i++) {
		held[i] = (struct held) { .vm = &vms->vms[i] };
		add_verdicts(&held[i], verdicts);
		find_nearest(&held[i], limits);
		nr += held[i].by != NULL;
	}
	qsort(held, vms->nr, sizeof(*held), by_most);
	return nr;
}
