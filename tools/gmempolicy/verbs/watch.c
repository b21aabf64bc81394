// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy watch: verdicts as they are given.  KVM tells of those that deny
 * or delay; one that allows is not worth a line.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "formats/table.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_daemon.h"
#include "gmem_denial.h"
#include "gmem_kernel.h"
#include "gmem_sample.h"
#include "gmem_scope.h"
#include "gmem_watch.h"
#include "verbs/verbs.h"

#include "watch.skel.h"

#define POLL_MS		200

static uint64_t vm, max_events, max_ns;
static bool json;

static const struct gmem_option watch_options[] = {
	{ .name = "vm", .type = GMEM_OPT_UINT, .arg = "ID",
	  .help = "only verdicts on the VM with this id", .target = &vm,
	  .min = 1, .max = UINT64_MAX },
	{ .name = "events", .short_name = 'n', .type = GMEM_OPT_UINT,
	  .arg = "N", .help = "end after N verdicts", .target = &max_events,
	  .min = 1, .max = UINT64_MAX },
	{ .name = "seconds", .type = GMEM_OPT_SECONDS, .arg = "SECS",
	  .help = "end after this time", .target = &max_ns,
	  .min = NSEC_PER_SEC / 100, .max = 366 * 24 * 3600 * NSEC_PER_SEC },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print a line of JSON for each", .target = &json },
	VERB_OPTIONS
};

static volatile sig_atomic_t stop;
static uint64_t seen;

static void on_signal(int sig)
{
	stop = 1;
}

/* ------------------------------------------------------------------ columns */

/* Texts that are made for a row live until the next one. */
struct row {
	const struct gmem_watch_event *event;
	char time[32];
	const char *name;
	char verdict[32];
};

static struct value row_time(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->time);
}

static struct value row_vm(const void *row)
{
	return UINT_VALUE(((const struct row *)row)->event->vm_id);
}

static struct value row_name(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->name);
}

static struct value row_thread(const void *row)
{
	return UINT_VALUE(((const struct row *)row)->event->tid);
}

static struct value row_comm(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->event->comm);
}

static struct value row_hook(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->event->hook ? "convert" :
								   "fault");
}

static struct value row_policy(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->event->policy);
}

static struct value row_verdict(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->verdict);
}

static struct value row_delay(const void *row)
{
	int64_t verdict = ((const struct row *)row)->event->verdict;

	return verdict > 0 ? UINT_VALUE((uint64_t)verdict) : NO_VALUE;
}

static struct value row_mode(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->event->audit ? "audit" :
								    "enforce");
}

/* The titles are as wide as the columns are to be. */
static const struct column columns[] = {
	{ "TIME        ", "time", row_time },
	{ "    VM", "vm_id", row_vm },
	{ "NAME           ", "name", row_name },
	{ " THREAD", "tid", row_thread },
	{ NULL, "comm", row_comm },
	{ "ASKED  ", "hook", row_hook },
	{ "POLICY      ", "policy", row_policy },
	{ "MODE   ", "mode", row_mode },
	{ NULL, "delay_ns", row_delay },
	{ "VERDICT", "verdict", row_verdict },
	{}
};

static void fill_time(struct row *row, uint64_t boot_ns)
{
	struct timespec boot, now;
	struct tm tm;
	int64_t ns;
	time_t seconds;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (now.tv_sec - boot.tv_sec) * (int64_t)NSEC_PER_SEC + now.tv_nsec -
	     boot.tv_nsec + boot_ns;
	seconds = ns / (int64_t)NSEC_PER_SEC;
	localtime_r(&seconds, &tm);
	strftime(row->time, sizeof(row->time), json ? "%FT%T" : "%T", &tm);
	snprintf(row->time + strlen(row->time), 8, ".%03d",
		 (int)(ns % (int64_t)NSEC_PER_SEC / 1000000));
}

/* ---------------------------------------------------------------------- names */

/* Names change rarely, and verdicts may be many. */
#define LOOK_AGAIN_NS	NSEC_PER_SEC
/* A VM that is not among them is new, or is gone. */
#define LOOK_FOR_NS	(NSEC_PER_SEC / 5)

/* Without the privilege to list VMs none of them has a name. */
static struct gmem_sampler *sampler;
static struct vms vms;

static const char *name_of(uint64_t id)
{
	static uint64_t looked_ns;
	uint64_t age = gmem_now_ns() - looked_ns;
	const struct vm *found = vms_find(&vms, id);

	if (sampler && (!looked_ns || age > LOOK_AGAIN_NS ||
			(!found && age > LOOK_FOR_NS))) {
		vms_free(&vms);
		/* It said why; the verdicts are worth more than the names. */
		if (vms_read(&vms, sampler)) {
			gmem_sampler_close(sampler);
			sampler = NULL;
		}
		looked_ns = gmem_now_ns();
		found = vms_find(&vms, id);
	}
	return found ? vm_name(found) : "-";
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct row row = { .event = data };
	int64_t verdict = row.event->verdict;

	if (row.event->type != GMEM_WATCH_VERDICT)
		return 0;
	fill_time(&row, row.event->time_ns);
	row.name = name_of(row.event->vm_id);
	if (verdict < 0)
		snprintf(row.verdict, sizeof(row.verdict), "deny %s",
			 gmem_denial_name_of(-verdict) ?: "error");
	else
		snprintf(row.verdict, sizeof(row.verdict), "delay %.3f ms",
			 verdict / 1e6);
	if (row_print(columns, &row, json))
		return -EPIPE;
	seen++;
	return max_events && seen >= max_events ? -ECANCELED : 0;
}

static int stream(struct ring_buffer *ring)
{
	uint64_t end = max_ns ? gmem_now_ns() + max_ns : UINT64_MAX;
	int n = 0;

	if (!json && row_print_titles(columns))
		return 0;
	while (!stop && gmem_now_ns() < end) {
		n = ring_buffer__poll(ring, POLL_MS);
		if (n == -ECANCELED || n == -EPIPE)
			return 0;
		if (n < 0 && n != -EINTR) {
			gmem_err_bpf(n, "cannot read the verdicts");
			return n;
		}
	}
	return 0;
}

static int run_watch(int argc, char **argv)
{
	struct ring_buffer *ring = NULL;
	struct watch_bpf *skel;
	int err;

	if (argc) {
		gmem_err("watch takes no argument; leave '%s' out, or name a VM with --vm",
			 argv[0]);
		return GMEM_EXIT_USAGE;
	}
	if (gmem_check_kernel() || gmem_check_load())
		return GMEM_EXIT_FAIL;
	if (gmem_may_list()) {
		sampler = gmem_sampler_open();
		if (!sampler)
			return GMEM_EXIT_FAIL;
	}
	gmem_on_end(on_signal);

	skel = watch_bpf__open();
	err = skel ? 0 : -errno;
	if (!err) {
		skel->rodata->only_vm = vm;
		bpf_program__set_autoload(skel->progs.on_vm_create, false);
		bpf_program__set_autoload(skel->progs.on_vm_destroy, false);
		err = watch_bpf__load(skel);
	}
	if (!err)
		err = watch_bpf__attach(skel);
	if (!err) {
		ring = ring_buffer__new(bpf_map__fd(skel->maps.events),
					on_event, NULL, NULL);
		err = ring ? 0 : -errno;
	}
	if (err)
		gmem_err_bpf(err, "cannot watch the verdicts");
	else
		err = stream(ring);
	if (!err && skel->bss->lost)
		gmem_err("%ju verdicts came too fast and are not shown; watch one VM with --vm",
			 (uintmax_t)skel->bss->lost);
	ring_buffer__free(ring);
	watch_bpf__destroy(skel);
	vms_free(&vms);
	gmem_sampler_close(sampler);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

const struct verb watch_verb = {
	.name = "watch",
	.synopsis = "watch [OPTION]...",
	.about = "print verdicts as they are given",
	.options = watch_options,
	.run = run_watch,
};
