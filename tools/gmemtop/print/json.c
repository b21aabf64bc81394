// SPDX-License-Identifier: GPL-2.0-only
/*
 * A view as one line of JSON: all columns, whichever are shown.  Counters are
 * as the kernel gave them.  Keys are stable.
 */
#include <errno.h>
#include <json-c/json.h>
#include <time.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "print/json.h"

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

/* null: not known. */
static bool add_rate(struct json_object *rates, const struct column *col,
		     const struct row *row)
{
	if (!column_known(col, row->now))
		return !json_object_object_add(rates, col->key, NULL);
	return add_double(rates, col->key, column_value(col, row));
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
		    !add_rate(rates, &columns[c], row))
			return false;
	return true;
}

/* null: of nothing. */
static bool add_mean(struct json_object *vm, const struct column *col,
		     const struct row *row)
{
	double value = column_value(col, row);

	if (value < 0)
		return !json_object_object_add(vm, col->key, NULL);
	return add_uint(vm, col->key, value);
}

static bool add_cell(struct json_object *vm, const struct column *col,
		     const struct row *row)
{
	char text[TEXT_LEN];

	if (!col->json)
		return true;
	if (col->kind == COLUMN_TEXT)
		return add(vm, col->json,
			   json_object_new_string(column_text(col, row, text)));
	if (col->kind == COLUMN_MEAN && !add_mean(vm, col, row))
		return false;
	if (!column_known(col, row->now))
		return !json_object_object_add(vm, col->json, NULL);
	return add_uint(vm, col->json, column_counter(col, row->now));
}

/* By number of the node; null if it is not known. */
static bool add_nodes(struct json_object *vm, const struct row *row)
{
	struct json_object *nodes;
	int i;

	if (!row->nodes)
		return !json_object_object_add(vm, "node_pages", NULL);
	nodes = json_object_new_array();
	/* Added first: it is then freed with the rest if anything fails. */
	if (!add(vm, "node_pages", nodes))
		return false;
	for (i = 0; i < GMEM_NODES_MAX && row->nodes >> i; i++) {
		struct json_object *pages =
			json_object_new_uint64(row->now->node_pages[i]);

		if (!pages)
			return false;
		if (json_object_array_add(nodes, pages)) {
			json_object_put(pages);
			return false;
		}
	}
	return true;
}

static bool add_vm(struct json_object *vms, const struct row *row)
{
	struct json_object *vm = json_object_new_object();
	int c;

	if (!vm)
		return false;
	if (json_object_array_add(vms, vm)) {
		json_object_put(vm);
		return false;
	}
	for (c = 0; c < NR_COLUMNS; c++)
		if (!add_cell(vm, &columns[c], row))
			return false;
	return add_nodes(vm, row) && add_rates(vm, row);
}

/*
 * Nanoseconds since 1970, and since the machine was booted, come to numbers that
 * have more digits than a double; whoever reads numbers as doubles has a text.
 */
static bool add_times(struct json_object *object, const struct frame *frame)
{
	time_t seconds = frame->real_ns / NSEC_PER_SEC;
	char date[32] = "", text[64];
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(date, sizeof(date), "%FT%T", &tm);
	snprintf(text, sizeof(text), "%s.%09juZ", date,
		 (uintmax_t)(frame->real_ns % NSEC_PER_SEC));
	if (!add(object, "time", json_object_new_string(text)))
		return false;
	snprintf(text, sizeof(text), "%ju.%09ju",
		 (uintmax_t)(frame->time_ns / NSEC_PER_SEC),
		 (uintmax_t)(frame->time_ns % NSEC_PER_SEC));
	return add(object, "monotonic", json_object_new_string(text)) &&
	       add_uint(object, "time_ns", frame->time_ns) &&
	       add_uint(object, "real_ns", frame->real_ns);
}

static bool fill(struct json_object *frame, const struct view *view)
{
	const struct frame *now = view_frame(view);
	struct json_object *vms = json_object_new_array();
	size_t i;

	if (!add_times(frame, now) ||
	    !add_uint(frame, "host_pages", now->host_pages) ||
	    !add_uint(frame, "orphaned_pages", now->vms.orphaned_pages) ||
	    !add_double(frame, "seconds", view->seconds) ||
	    !add(frame, "vms", vms))
		return false;
	for (i = 0; i < view->nr_rows; i++)
		if (!add_vm(vms, &view->rows[i]))
			return false;
	if (!add_uint(frame, "policies", now->policies.nr))
		return false;
	/* null: the kernel does not tell. */
	if (now->policies_enabled < 0)
		return !json_object_object_add(frame, "policies_enabled", NULL);
	return add(frame, "policies_enabled",
		   json_object_new_boolean(now->policies_enabled));
}

int json_print(const struct view *view, FILE *out)
{
	struct json_object *frame = json_object_new_object();
	const char *text = NULL;
	int err = -ENOMEM;

	if (frame && fill(frame, view))
		text = json_object_to_json_string_ext(frame,
						      JSON_C_TO_STRING_PLAIN);
	if (text) {
		fprintf(out, "%s\n", text);
		err = 0;
	}
	json_object_put(frame);
	return err;
}
