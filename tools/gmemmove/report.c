// SPDX-License-Identifier: GPL-2.0-only
/*
 * What gmemmove says.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_process.h"
#include "report.h"

/* From when on it is worth a line, and how often that is new. */
#define PROGRESS_NS	(NSEC_PER_SEC / 5)

#define AMOUNT_LEN	16

/* By enum gmem_moved: in text, in JSON, and what is to be done about those that stay. */
static const struct {
	const char *word;
	const char *key;
	const char *remedy;
} kinds[GMEM_NR_MOVED] = {
	[GMEM_MOVED_THERE] = { .key = "there_pages" },
	[GMEM_MOVED_NOW] = { .key = "moved_pages" },
	[GMEM_MOVED_HELD] = {
		"held", "held_pages",
		"a device, O_DIRECT or another system call has these pages; try again when it is done with them",
	},
	[GMEM_MOVED_REFUSED] = {
		"refused", "refused_pages",
		"a consumer in the kernel keeps these pages, or they are broken; gmemtop's moves_refused_consumer and moves_refused_broken tell which",
	},
	[GMEM_MOVED_NO_MEMORY] = {
		"without room", "no_memory_pages",
		"the node, the VM's control group or the cpuset of this process has no memory left there; free some, or choose another node",
	},
	[GMEM_MOVED_UNMOVABLE] = {
		"unmovable", "unmovable_pages",
		"the type of VM, its flag GUEST_MEMFD_FLAG_UNMOVABLE or the kernel lets nobody move these pages; start the VM on the node instead, as by numactl --membind",
	},
};

static const char *const ends[] = {
	[MOVE_DONE] = "done",
	[MOVE_STOPPED] = "stopped",
	[MOVE_FULL] = "full",
	[MOVE_GONE] = "gone",
};

/* ---------------------------------------------------------------- progress */

static uint64_t shown_ns;
static int shown_len;

static void clear_progress(void)
{
	if (shown_len)
		fprintf(stderr, "\r%*s\r", shown_len, "");
	shown_len = 0;
}

void report_begin(struct report *report, const struct vm *vm)
{
	report->vm = vm;
	report->began_ns = gmem_now_ns();
	shown_ns = report->began_ns;
	gmem_err_before(clear_progress);
}

void report_progress(void *ctx, const struct moved *moved)
{
	const struct report *report = ctx;
	uint64_t all = report->vm->sample.populated_pages;
	uint64_t tried = moved_tried(moved), now = gmem_now_ns();
	char amount[AMOUNT_LEN], name[32];

	if (report->quiet || now - shown_ns < PROGRESS_NS || !isatty(STDERR_FILENO))
		return;
	shown_ns = now;
	/* The guest may have more by now. */
	if (all < tried)
		all = tried;
	gmem_printable(name, sizeof(name), vm_name(report->vm));
	gmem_format_pages(amount, sizeof(amount), moved->pages[GMEM_MOVED_NOW]);
	clear_progress();
	shown_len = fprintf(stderr, "VM %" PRIu64 " %s: %u%%, %s moved",
			    report->vm->id, name,
			    all ? (unsigned int)(100 * tried / all) : 0, amount);
	fflush(stderr);
}

/* ------------------------------------------------------------------- a VM */

static int add_json(struct report *report, const struct moved *moved)
{
	struct json_object *vm = json_object_new_object();
	int i;

	json_object_object_add(vm, "id", json_object_new_uint64(report->vm->id));
	json_object_object_add(vm, "pid", report->vm->pid ?
			       json_object_new_int64(report->vm->pid) : NULL);
	json_object_object_add(vm, "name",
			       json_object_new_string(vm_name(report->vm)));
	for (i = 0; i < GMEM_NR_MOVED; i++)
		json_object_object_add(vm, kinds[i].key,
				       json_object_new_uint64(moved->pages[i]));
	json_object_object_add(vm, "ended", json_object_new_string(ends[moved->end]));
	json_object_array_add(report->json, vm);
	return 0;
}

static void print_amount(uint64_t pages, const char *what)
{
	char amount[AMOUNT_LEN];

	printf("%s%s", gmem_format_pages(amount, sizeof(amount), pages), what);
}

/* "60.0M moved to node 1, 4.00M not: 3.00M held, 1.00M refused" */
static void print_moved(const struct report *report, const struct moved *moved)
{
	uint64_t stayed = moved_stayed(moved);
	const char *comma = "";
	int i;

	print_amount(moved->pages[GMEM_MOVED_NOW], " moved to node ");
	printf("%u", report->node);
	if (moved->pages[GMEM_MOVED_THERE]) {
		fputs(", ", stdout);
		print_amount(moved->pages[GMEM_MOVED_THERE], " there before");
	}
	if (!stayed)
		return;
	fputs(", ", stdout);
	print_amount(stayed, " not: ");
	for (i = GMEM_MOVED_HELD; i < GMEM_NR_MOVED; i++) {
		if (!moved->pages[i])
			continue;
		fputs(comma, stdout);
		print_amount(moved->pages[i], " ");
		fputs(kinds[i].word, stdout);
		comma = ", ";
	}
}

static void print_vm(const struct report *report, const struct moved *moved)
{
	char name[PROCESS_NAME_LEN];

	gmem_printable(name, sizeof(name), vm_name(report->vm));
	printf("VM %" PRIu64 " %s: ", report->vm->id, name);
	print_moved(report, moved);
	if (moved->end == MOVE_STOPPED)
		fputs("; stopped before the rest was tried", stdout);
	else if (moved->end == MOVE_FULL)
		fputs("; the rest was not tried", stdout);
	else if (moved->end == MOVE_GONE)
		fputs("; then it ended", stdout);
	putchar('\n');
}

int report_vm(struct report *report, const struct moved *moved)
{
	int i;

	clear_progress();
	for (i = 0; i < GMEM_NR_MOVED; i++)
		report->sum.pages[i] += moved->pages[i];
	if (report->json)
		return add_json(report, moved);
	if (report->quiet)
		return 0;
	print_vm(report, moved);
	return gmem_flush(stdout);
}

/* ------------------------------------------------------------------ the end */

static int print_json(const struct report *report)
{
	struct json_object *all = json_object_new_object();

	json_object_object_add(all, "node", json_object_new_int64(report->node));
	json_object_object_add(all, "vms", json_object_get(report->json));
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY));
	json_object_put(all);
	return gmem_flush(stdout);
}

int report_end(struct report *report)
{
	char amount[AMOUNT_LEN];
	int i;

	for (i = GMEM_MOVED_HELD; i < GMEM_NR_MOVED; i++)
		if (report->sum.pages[i])
			gmem_err("%s %s: %s",
				 gmem_format_pages(amount, sizeof(amount),
						   report->sum.pages[i]),
				 kinds[i].word, kinds[i].remedy);
	return report->json ? print_json(report) : 0;
}
