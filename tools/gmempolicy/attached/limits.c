// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy may be anyone's: what it says of its limits may make no sense, and
 * then there is no limit to tell of.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attached/limits.h"
#include "formats/rows.h"
#include "gmem_clock.h"
#include "gmem_scope.h"
#include "objects/params.h"

#define PAGES_PER_MIB	256.0

double limit_percent(const struct limit *limit)
{
	return limit->used * 100 / limit->most;
}

void limit_of_bucket(struct limit *limit, int64_t credit, uint64_t last,
		     uint64_t rate, uint64_t burst, uint64_t now)
{
	double have = (double)credit / NSEC_PER_SEC;

	/*
	 * It is filled when it is next used; until then that is only owed.  Who
	 * uses it all the time is told of as he finds it.
	 */
	if (now > last && now - last > NSEC_PER_SEC)
		have += (double)(now - last) / NSEC_PER_SEC * rate;
	if (!last || have > burst)
		have = burst;
	limit->most = burst;
	limit->used = burst - have;
}

/* Pages, ranges or bytes; false: there is no such figure. */
static bool find_figure(const char *name, const struct gmem_vm_sample *sample,
			double *figure, bool *is_pages)
{
	*is_pages = true;
	if (!strcmp(name, "populated"))
		*figure = sample->populated_pages;
	else if (!strcmp(name, "stale"))
		*figure = sample->stale_pages;
	else if (!strcmp(name, "shared"))
		*figure = sample->size_pages > sample->private_pages ?
			  sample->size_pages - sample->private_pages : 0;
	else
		*is_pages = false;
	if (*is_pages)
		return true;
	if (!strcmp(name, "ranges"))
		*figure = sample->ranges;
	else if (!strcmp(name, "attributes"))
		*figure = sample->attribute_bytes;
	else
		return false;
	return true;
}

bool limit_of_param(struct limit *limit, const char *bounds, const char *unit,
		    uint64_t value, const struct gmem_vm_sample *sample)
{
	bool is_pages;
	double figure;

	if (!value || !find_figure(bounds, sample, &figure, &is_pages))
		return false;
	limit->most = value;
	if (!strcmp(unit, "percent")) {
		/* Of no memory nothing is a part. */
		if (!is_pages || value >= 100 || !sample->size_pages)
			return false;
		limit->used = figure * 100 / sample->size_pages;
	} else if (!strcmp(unit, "MiB") && is_pages) {
		limit->used = figure / PAGES_PER_MIB;
	} else if (!strcmp(unit, "KiB") && !strcmp(bounds, "attributes")) {
		limit->used = figure / 1024;
	} else if (!strcmp(unit, "ranges") && !strcmp(bounds, "ranges")) {
		limit->used = figure;
	} else {
		return false;
	}
	return true;
}

static bool is_replaced(const struct params *params, const void *values,
			const char *unless)
{
	size_t i;

	for (i = 0; unless && i < params->nr; i++) {
		if (!strcmp(params->params[i].name, unless))
			return param_load(&params->params[i], values);
	}
	return false;
}

static int add_limits(const struct param *param, uint64_t value,
		      const char *who, uint64_t vm_id, const struct vms *vms,
		      struct rows *limits)
{
	size_t i;

	for (i = 0; i < vms->nr; i++) {
		const struct vm *vm = &vms->vms[i];
		struct limit limit = {}, *row;

		if ((vm_id && vm->id != vm_id) ||
		    !limit_of_param(&limit, param->bounds, param->unit, value,
				    &vm->sample))
			continue;
		row = rows_add(limits);
		if (!row)
			return -ENOMEM;
		*row = limit;
		row->vm = vm->id;
		row->name = vm->name;
		snprintf(row->who, sizeof(row->who), "%s", who);
		snprintf(row->what, sizeof(row->what), "%s", param->bounds);
		snprintf(row->unit, sizeof(row->unit), "%s", param->unit);
	}
	return 0;
}

int limits_of_params(const struct params *params, const void *values,
		     const char *who, uint64_t vm_id, const struct vms *vms,
		     struct rows *limits)
{
	size_t i;
	int err = 0;

	for (i = 0; values && i < params->nr && !err; i++) {
		const struct param *param = &params->params[i];

		if (param->bounds && !param->is_signed &&
		    !is_replaced(params, values, param->unless))
			err = add_limits(param, param_load(param, values), who,
					 vm_id, vms, limits);
	}
	return err;
}
