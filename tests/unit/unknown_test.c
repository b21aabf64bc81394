// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is not known of a VM, as on a kernel that does not count it: no series, null,
 * an empty cell, and never a number.
 */
#include "kselftest_harness.h"

#include "../../tools/gmemtop/figures/columns.c"
#undef AT
#include "../../tools/gmemtop/export/exposition.c"
#include "../../tools/gmemtop/export/text.c"
#include "../../tools/gmemtop/print/csv.c"
#include "../../tools/gmemtop/print/json.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_denial.c"
#include "../../tools/lib/gmem_text.c"

static struct gmem_vm_sample vms[2];
static struct vm_facts of_vms[2];

int frame_share_resident(struct frame *frame)
{
	return 0;
}

void frame_free(struct frame *frame)
{
}

void facts_free(struct facts *facts)
{
}

void source_tell(struct source *source)
{
}

const char *gmem_proc_hides(char *dst, size_t size)
{
	return NULL;
}

const struct frame *view_frame(const struct view *view)
{
	return &view->frames[view->newest];
}

/* Of one VM all is known, of the other one nothing that may lack. */
static void make_vms(void)
{
	int c;

	vms[0] = (struct gmem_vm_sample) { .vm_id = 1, .owner_pid = 7 };
	vms[1] = (struct gmem_vm_sample) { .vm_id = 2, .owner_pid = 8 };
	for (c = 0; c < NR_COLUMNS; c++)
		if (columns[c].may_lack && column_is_stored(&columns[c]))
			*(uint64_t *)((char *)&vms[1] + columns[c].offset) =
				GMEM_UNKNOWN;
}

static int read_frame(struct source *source, struct frame *frame,
		      struct facts *facts)
{
	make_vms();
	*frame = (struct frame) { .vms = { .nr_vms = 2, .vms = vms } };
	facts->vm = of_vms;
	return 0;
}

TEST(metrics)
{
	struct source source = { .read = read_frame };
	struct exporter exporter = { .source = &source };

	ASSERT_EQ(0, exporter_sample(&exporter, EXPORT_TEXT));
	EXPECT_NE(NULL, strstr(exporter.text.data, "\ngmem_vm_moved_bytes_total{vm=\"1\"} 0\n"));
	EXPECT_EQ(NULL, strstr(exporter.text.data, "gmem_vm_moved_bytes_total{vm=\"2\"}"));
	EXPECT_NE(NULL, strstr(exporter.text.data, "\ngmem_vm_move_seconds_total{vm=\"1\"} 0\n"));
	EXPECT_EQ(NULL, strstr(exporter.text.data, "gmem_vm_move_seconds_total{vm=\"2\"}"));
	EXPECT_EQ(NULL, strstr(exporter.text.data, "gmem_vm_moves_refused_total{vm=\"2\"}"));
	EXPECT_EQ(NULL, strstr(exporter.text.data, "18446744073709"));
	EXPECT_NE(NULL, strstr(exporter.text.data, "\ngmem_vm_populated_bytes{vm=\"2\"} 0\n"));
	EXPECT_NE(NULL, strstr(exporter.text.data, "\ngmem_vm_invalidations_total{vm=\"2\"} 0\n"));
}

/* The second VM, a second after nothing of it was known either. */
static struct view view_of_the_second(struct row *row)
{
	make_vms();
	*row = (struct row) {
		.now = &vms[1], .before = &vms[1], .seconds = 1,
		.facts = &of_vms[1],
	};
	return (struct view) {
		.rows = row, .nr_rows = 1, .seconds = 1,
		.frames[0] = { .vms = { .nr_vms = 2, .vms = vms } },
	};
}

static char *printed(struct view *view, bool json)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	if (json)
		json_print(view, out);
	else
		csv_print(view, false, out);
	fclose(out);
	return text;
}

TEST(json)
{
	struct row row;
	struct view view = view_of_the_second(&row);
	struct json_object *frame = json_tokener_parse(printed(&view, true));
	struct json_object *vm, *rates, *value;
	int c;

	vm = json_object_array_get_idx(json_object_object_get(frame, "vms"), 0);
	rates = json_object_object_get(vm, "rates");
	ASSERT_NE(NULL, rates);
	for (c = 0; c < NR_COLUMNS; c++) {
		const struct column *col = &columns[c];

		if (!col->may_lack || column_known(col, &vms[1]))
			continue;
		if (col->json) {
			EXPECT_TRUE(json_object_object_get_ex(vm, col->json, &value));
			EXPECT_EQ(NULL, value) TH_LOG("%s", col->key);
		}
		if (col->kind == COLUMN_RATE) {
			EXPECT_TRUE(json_object_object_get_ex(rates, col->key, &value));
			EXPECT_EQ(NULL, value) TH_LOG("%s", col->key);
		}
	}
	EXPECT_TRUE(json_object_object_get_ex(rates, "conversions", &value));
	EXPECT_NE(NULL, value);
}

TEST(csv)
{
	struct row row;
	struct view view = view_of_the_second(&row);

	view.fields = (struct fields) {
		.nr = 5,
		.id = { COLUMN_ID, COLUMN_MOVED, COLUMN_MOVE_TIME,
			COLUMN_UNMOVABLE, COLUMN_POPULATED },
	};
	EXPECT_STREQ("0.000,2,,,,0\r\n", printed(&view, false));
}

TEST_HARNESS_MAIN
