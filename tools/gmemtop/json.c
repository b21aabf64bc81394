// SPDX-License-Identifier: GPL-2.0-only
/*
 * A view as one line of JSON.  Counters are as the kernel gave them; rates
 * follow from the table of columns.  Keys are stable.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stddef.h>

#include "gmemtop.h"

#define COUNTER(name, member) \
	{ name, offsetof(struct gmem_vm_sample, member) }

static const struct {
	const char *key;
	size_t offset;
} counters[] = {
	COUNTER("size_pages", size_pages),
	COUNTER("private_pages", private_pages),
	COUNTER("populated_pages", populated_pages),
	COUNTER("stale_pages", stale_pages),
	COUNTER("faults_vcpu", faults[GMEM_FAULT_VCPU]),
	COUNTER("faults_prefault", faults[GMEM_FAULT_PREFAULT]),
	COUNTER("faults_populate", faults[GMEM_FAULT_POPULATE]),
	COUNTER("faults_fallocate", faults[GMEM_FAULT_FALLOCATE]),
	COUNTER("allocated_pages", allocated_pages),
	COUNTER("freed_pages", freed_pages),
	COUNTER("conversions", conversions),
	COUNTER("conversions_noop", conversions_noop),
	COUNTER("pages_to_private", pages_to_private),
	COUNTER("pages_to_shared", pages_to_shared),
	COUNTER("invalidations_conversion",
		invalidations[GMEM_INVALIDATE_CONVERSION]),
	COUNTER("invalidations_punch_hole",
		invalidations[GMEM_INVALIDATE_PUNCH_HOLE]),
	COUNTER("invalidations_release",
		invalidations[GMEM_INVALIDATE_RELEASE]),
	COUNTER("invalidations_unbind", invalidations[GMEM_INVALIDATE_UNBIND]),
	COUNTER("invalidations_memory_failure",
		invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]),
	COUNTER("faults_denied", faults_denied),
	COUNTER("conversions_denied", conversions_denied),
	COUNTER("faults_delayed", faults_delayed),
	COUNTER("conversions_delayed", conversions_delayed),
	COUNTER("delayed_ns", delayed_ns),
};

/* Takes @value over in any case; false if memory ran out. */
static bool add(struct json_object *object, const char *key,
		struct json_object *value)
{
	if (!value)
		return false;
	if (json_object_object_add(object, key, value)) {
		json_object_put(value);
		return false;
	}
	return true;
}

static bool add_uint(struct json_object *object, const char *key,
		     uint64_t value)
{
	return add(object, key, json_object_new_uint64(value));
}

static bool add_double(struct json_object *object, const char *key,
		       double value)
{
	struct json_object *number = json_object_new_double(value);

	if (number)
		json_object_set_serializer(number,
					   json_object_double_to_json_string,
					   (void *)"%.3f", NULL);
	return add(object, key, number);
}

static bool add_rates(struct json_object *vm, const struct row *row)
{
	struct json_object *rates = json_object_new_object();
	int c;

	/* Added first: it is then freed with the rest if anything fails. */
	if (!add(vm, "rates", rates))
		return false;
	for (c = 0; c < NR_COLUMNS; c++)
		if (columns[c].kind == COLUMN_RATE &&
		    !add_double(rates, columns[c].key,
				column_value(&columns[c], row)))
			return false;
	return true;
}

static bool add_vm(struct json_object *vms, const struct row *row)
{
	struct json_object *vm = json_object_new_object();
	size_t i;

	if (!vm)
		return false;
	if (json_object_array_add(vms, vm)) {
		json_object_put(vm);
		return false;
	}
	if (!add_uint(vm, "id", row->now->vm_id) ||
	    !add_uint(vm, "pid", row->now->pid) ||
	    !add(vm, "name", json_object_new_string(row->name)) ||
	    !add_uint(vm, "vcpus", row->now->nr_vcpus))
		return false;
	for (i = 0; i < ARRAY_LEN(counters); i++) {
		const uint64_t *value = (const void *)
			((const char *)row->now + counters[i].offset);

		if (!add_uint(vm, counters[i].key, *value))
			return false;
	}
	return add_rates(vm, row);
}

static bool fill(struct json_object *frame, const struct view *view)
{
	struct json_object *vms = json_object_new_array();
	size_t i;

	if (!add_uint(frame, "time_ns", view_time_ns(view)) ||
	    !add_double(frame, "seconds", view->seconds) ||
	    !add(frame, "vms", vms))
		return false;
	for (i = 0; i < view->nr_rows; i++)
		if (!add_vm(vms, &view->rows[i]))
			return false;
	if (!add_uint(frame, "policies", view->policies.nr))
		return false;
	/* null: the kernel does not tell. */
	if (view->policies_enabled < 0)
		return !json_object_object_add(frame, "policies_enabled", NULL);
	return add(frame, "policies_enabled",
		   json_object_new_boolean(view->policies_enabled));
}

int json_print(const struct view *view, FILE *out)
{
	struct json_object *frame = json_object_new_object();
	const char *text = NULL;

	if (frame && fill(frame, view))
		text = json_object_to_json_string_ext(frame,
						      JSON_C_TO_STRING_PLAIN);
	if (text)
		fprintf(out, "%s\n", text);
	else
		gmem_err("no memory for the JSON output; free some");
	json_object_put(frame);
	return text ? 0 : -ENOMEM;
}
