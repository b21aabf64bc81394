// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sums over VMs: the resident memory of a process is in them once, however many
 * VMs it has, and what is not known is in none.
 */
#include "kselftest_harness.h"

#include "../../tools/gmemtop/figures/cells.c"
#include "../../tools/gmemtop/figures/columns.c"
#include "../../tools/gmemtop/figures/frame.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

#define VMS_MAX	3000

static struct gmem_vm_sample vms[VMS_MAX];

void gmem_sample_free(struct gmem_sample *sample)
{
}

void gmem_policies_free(struct gmem_policies *policies)
{
}

static struct frame frame_of(size_t nr)
{
	return (struct frame) { .vms = { .nr_vms = nr, .vms = vms } };
}

static uint64_t sum(size_t nr)
{
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		pages += vms[i].rss_pages;
	return pages;
}

TEST(no_vms)
{
	struct frame frame = {};

	EXPECT_EQ(0, frame_share_resident(&frame));
}

TEST(a_process_with_one_vm_has_all_of_it)
{
	struct frame frame = frame_of(3);
	size_t i;

	for (i = 0; i < 3; i++) {
		vms[i].pid = 100 + i;
		vms[i].rss_pages = 10 + i;
	}
	EXPECT_EQ(0, frame_share_resident(&frame));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(10 + i, vms[i].rss_pages);
}

TEST(shares_add_up_to_the_process)
{
	struct frame frame = frame_of(5);
	size_t i;

	/* Two VMs of one process, and three of another between them. */
	for (i = 0; i < 5; i++) {
		vms[i].pid = i & 1 ? 100 : 200;
		vms[i].rss_pages = i & 1 ? 1001 : 2000;
	}
	EXPECT_EQ(0, frame_share_resident(&frame));
	EXPECT_EQ(501, vms[1].rss_pages);
	EXPECT_EQ(500, vms[3].rss_pages);
	EXPECT_EQ(667, vms[0].rss_pages);
	EXPECT_EQ(667, vms[2].rss_pages);
	EXPECT_EQ(666, vms[4].rss_pages);
	EXPECT_EQ(3001, sum(5));
}

/* Each has its own, and what else there is in equal shares. */
TEST(mapped_memory_is_its_vms)
{
	struct frame frame = frame_of(3);
	size_t i;

	for (i = 0; i < 3; i++) {
		vms[i].pid = 7;
		vms[i].rss_pages = 1100;
		vms[i].mapped_pages = i * 300;
		vms[i].populated_pages = i * 400;
	}
	EXPECT_EQ(0, frame_share_resident(&frame));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(i * 300 + (i == 2 ? 66 : 67), vms[i].rss_pages);
		EXPECT_EQ(i * 400 + (i == 2 ? 66 : 67),
			  column_counter(&columns[COLUMN_TOTAL], &vms[i]));
	}
	EXPECT_EQ(1100, sum(3));
	memset(vms, 0, 3 * sizeof(*vms));
}

/* Not by the process that created the VMs. */
TEST(more_is_mapped_than_is_resident)
{
	struct frame frame = frame_of(3);
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < 3; i++) {
		vms[i].pid = 7;
		vms[i].rss_pages = 100;
		vms[i].mapped_pages = 80;
		vms[i].populated_pages = 90;
	}
	EXPECT_EQ(0, frame_share_resident(&frame));
	EXPECT_EQ(80, vms[0].rss_pages);
	EXPECT_EQ(20, vms[1].rss_pages);
	EXPECT_EQ(0, vms[2].rss_pages);
	EXPECT_EQ(100, sum(3));
	for (i = 0; i < 3; i++)
		total += column_counter(&columns[COLUMN_TOTAL], &vms[i]);
	EXPECT_EQ(270, total);
	memset(vms, 0, 3 * sizeof(*vms));
}

TEST(more_vms_than_pages)
{
	struct frame frame = frame_of(4);
	size_t i;

	for (i = 0; i < 4; i++) {
		vms[i].pid = 7;
		vms[i].rss_pages = 3;
	}
	EXPECT_EQ(0, frame_share_resident(&frame));
	EXPECT_EQ(3, sum(4));
	EXPECT_EQ(0, vms[3].rss_pages);
}

/* The process that had the number before is gone, and so is its memory. */
TEST(a_number_that_is_used_again)
{
	struct frame frame = frame_of(2);

	vms[0].pid = 7;
	vms[1].pid = 7;
	vms[1].rss_pages = 9;
	EXPECT_EQ(0, frame_share_resident(&frame));
	EXPECT_EQ(0, vms[0].rss_pages);
	EXPECT_EQ(9, vms[1].rss_pages);
}

/* Numbers that a careless table would mix up, and very many VMs. */
TEST(many_processes)
{
	struct frame frame = frame_of(VMS_MAX);
	size_t i;

	for (i = 0; i < VMS_MAX; i++) {
		vms[i].pid = i % 2 ? i / 2 << 13 : ~0U - i / 2;
		vms[i].rss_pages = 100;
	}
	EXPECT_EQ(0, frame_share_resident(&frame));
	EXPECT_EQ(VMS_MAX * 100, sum(VMS_MAX));
	for (i = 0; i < VMS_MAX; i++)
		vms[i].pid = i / 4 << 13 | 5;
	EXPECT_EQ(0, frame_share_resident(&frame));
	EXPECT_EQ(VMS_MAX * 25, sum(VMS_MAX));
	for (i = 0; i < VMS_MAX; i++)
		EXPECT_EQ(25, vms[i].rss_pages);
}

/* A cell of the only VM; numbers are right-aligned. */
static const char *cell(enum column_id id, const struct row *row)
{
	static char text[TEXT_LEN];
	size_t len;

	column_format(&columns[id], row, text, sizeof(text));
	for (len = strlen(text); len && text[len - 1] == ' '; len--)
		text[len - 1] = '\0';
	return text + strspn(text, " ");
}

TEST(what_is_not_known_is_a_dash_and_the_least)
{
	struct gmem_vm_sample other = {};
	struct row row = { .now = vms }, none = { .now = &other };

	vms->twice_pages = GMEM_UNKNOWN;
	vms->ranges = GMEM_UNKNOWN;
	EXPECT_STREQ("-", cell(COLUMN_TWICE, &row));
	EXPECT_STREQ("-", cell(COLUMN_RANGES, &row));
	EXPECT_STREQ("-", cell(COLUMN_NODES, &row));
	EXPECT_STREQ("0K", cell(COLUMN_TWICE, &none));
	EXPECT_STREQ("0", cell(COLUMN_RANGES, &none));
	EXPECT_LT(column_compare(&columns[COLUMN_TWICE], &row, &none), 0);
	EXPECT_TRUE(column_descends(&columns[COLUMN_RANGES]));
	EXPECT_TRUE(column_descends(&columns[COLUMN_TWICE]));
}

TEST(counts_fit_their_column)
{
	static const struct {
		uint64_t nr;
		const char *text;
	} counts[] = {
		{ 1, "1" }, { 2001, "2001" }, { 999999, "999999" },
		{ 1000000, "1.00M" }, { 123456789, "123M" },
		{ 1ULL << 32, "4295M" },
	};
	struct row row = { .now = vms };
	size_t i;

	for (i = 0; i < ARRAY_LEN(counts); i++) {
		vms->ranges = counts[i].nr;
		EXPECT_STREQ(counts[i].text, cell(COLUMN_RANGES, &row));
	}
}

/* 100% is all of it, and 0% is none: what is between says so. */
TEST(a_part_of_populated_memory)
{
	static const struct {
		uint64_t huge, populated;
		const char *text;
	} parts[] = {
		{ 0, 0, "-" }, { 0, 512, "0%" }, { 512, 512, "100%" },
		{ 512, 1024, "50.0%" }, { 512, 515, "99.4%" },
		{ 973, 1000, "97.3%" }, { (1 << 28) - 512, 1 << 28, "99.9%" },
		{ 512, 1 << 28, "0.0%" }, { 512, 1 << 18, "0.1%" },
		{ GMEM_UNKNOWN, 512, "-" },
	};
	struct gmem_vm_sample none = {};
	struct row row = { .now = vms }, nothing = { .now = &none };
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts); i++) {
		vms->huge_pages = parts[i].huge;
		vms->populated_pages = parts[i].populated;
		EXPECT_STREQ(parts[i].text, cell(COLUMN_HUGE, &row));
	}
	vms->huge_pages = 0;
	/* None of something is more than a part of nothing. */
	EXPECT_GT(column_compare(&columns[COLUMN_HUGE], &row, &nothing), 0);
	EXPECT_TRUE(column_descends(&columns[COLUMN_HUGE]));
	EXPECT_FALSE(column_is_stored(&columns[COLUMN_HUGE]));
	EXPECT_TRUE(column_is_stored(&columns[COLUMN_HUGE_PAGES]));
}

/* What came as it was wanted is none of them. */
TEST(reasons_for_small_pages)
{
	struct row row = { .now = vms, .seconds = 1 };
	int i;

	for (i = 0; i < GMEM_NR_HUGE_FALLBACKS; i++)
		vms->huge_fallbacks[i] = 1 << i;
	EXPECT_EQ(62, column_counter(&columns[COLUMN_HUGE_FALLBACKS], vms));
	EXPECT_EQ(2, column_counter(&columns[COLUMN_HUGE_ALIGNMENT], vms));
	EXPECT_EQ(32, column_counter(&columns[COLUMN_HUGE_LIMIT], vms));
	EXPECT_STREQ("62.0", cell(COLUMN_HUGE_FALLBACKS, &row));
	for (i = 1; i < GMEM_NR_HUGE_FALLBACKS; i++)
		vms->huge_fallbacks[i] = GMEM_UNKNOWN;
	EXPECT_FALSE(column_known(&columns[COLUMN_HUGE_FALLBACKS], vms));
	EXPECT_STREQ("-", cell(COLUMN_HUGE_FALLBACKS, &row));
}

/* A kernel that moves none does not know of any, and takes nothing away for it. */
TEST(moved_memory)
{
	struct gmem_vm_sample before = { .move_ns = 1000, .moved_pages = 10 };
	struct row row = { .now = vms, .before = &before, .seconds = 2 };
	uint64_t invalidations;
	int i;

	vms->moved_pages = 30;
	vms->move_ns = 51000;
	for (i = 0; i < GMEM_NR_MOVE_REFUSALS; i++)
		vms->moves_refused[i] = 1 << i;
	vms->unmovable_pages = 512;
	EXPECT_STREQ("10.0", cell(COLUMN_MOVED, &row));
	EXPECT_STREQ("2.5us", cell(COLUMN_MOVE_TIME, &row));
	EXPECT_EQ(15, column_counter(&columns[COLUMN_MOVES_REFUSED], vms));
	EXPECT_EQ(1, column_counter(&columns[COLUMN_MOVES_HELD], vms));
	EXPECT_EQ(8, column_counter(&columns[COLUMN_MOVES_BROKEN], vms));
	EXPECT_STREQ("2.00M", cell(COLUMN_UNMOVABLE, &row));
	invalidations = column_counter(&columns[COLUMN_INVALIDATIONS], vms);
	vms->invalidations_migration += 7;
	EXPECT_EQ(invalidations + 7,
		  column_counter(&columns[COLUMN_INVALIDATIONS], vms));

	vms->moved_pages = vms->move_ns = vms->unmovable_pages = GMEM_UNKNOWN;
	vms->invalidations_migration = GMEM_UNKNOWN;
	for (i = 0; i < GMEM_NR_MOVE_REFUSALS; i++)
		vms->moves_refused[i] = GMEM_UNKNOWN;
	EXPECT_EQ(invalidations,
		  column_counter(&columns[COLUMN_INVALIDATIONS], vms));
	EXPECT_STREQ("-", cell(COLUMN_MOVED, &row));
	EXPECT_STREQ("-", cell(COLUMN_MOVE_TIME, &row));
	EXPECT_STREQ("-", cell(COLUMN_MOVES_REFUSED, &row));
	EXPECT_STREQ("-", cell(COLUMN_UNMOVABLE, &row));
}

TEST(times)
{
	struct gmem_vm_sample before = { .request_ns = 1000000 };
	struct row row = { .now = vms, .before = &before, .seconds = 2 };

	before.requests_done = 1;
	vms->requests_done = 1;
	vms->request_ns = 1000000;
	/* Of no request there is no mean. */
	EXPECT_STREQ("-", cell(COLUMN_REQUEST_WAIT, &row));
	vms->requests_done = 4;
	vms->request_ns = 10000000;
	EXPECT_EQ(3000000, column_value(&columns[COLUMN_REQUEST_WAIT], &row));
	EXPECT_STREQ("3.0ms", cell(COLUMN_REQUEST_WAIT, &row));
	row.before = NULL;
	EXPECT_STREQ("2.5ms", cell(COLUMN_REQUEST_WAIT, &row));
	row.seconds = 0;
	EXPECT_STREQ("-", cell(COLUMN_REQUEST_WAIT, &row));
	EXPECT_STREQ("0ns", cell(COLUMN_REQUEST_AGE, &row));
	vms->request_age_ns = 3600 * 1000000000ULL;
	EXPECT_STREQ("3600s", cell(COLUMN_REQUEST_AGE, &row));
}

/* Nodes that have nothing take no room; as many as there are fit. */
TEST(nodes_fit)
{
	struct row row = { .now = vms, .nodes = 1ULL | 1ULL << 8 };
	char text[TEXT_LEN];
	int i;

	vms->node_pages[1] = 5;
	EXPECT_STREQ("-", cell(COLUMN_NODES, &row));
	vms->node_pages[8] = 256;
	EXPECT_STREQ("8:1.00M", cell(COLUMN_NODES, &row));
	vms->node_pages[0] = 1;
	EXPECT_STREQ("0:4K 8:1.00M", cell(COLUMN_NODES, &row));
	row.nodes = ~0ULL;
	for (i = 0; i < GMEM_NODES_MAX; i++)
		vms->node_pages[i] = 1ULL << 40;
	column_text(&columns[COLUMN_NODES], &row, text);
	EXPECT_LT(strlen(text), TEXT_LEN);
	EXPECT_EQ(0, strncmp(text, "0:4096T 1:4096T", 15));
	EXPECT_STREQ(" 63:4096T", text + strlen(text) - 9);
}

TEST_HARNESS_MAIN
