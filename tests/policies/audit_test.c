// SPDX-License-Identifier: GPL-2.0-only
/*
 * audit holds nobody to anything, and writes down who does much.
 */
#include "effect.h"

/* What the maps of audit hold of an abuser, and that it costs nobody much. */
static bool run_audit(void)
{
	const char *const specs[] = { "steady", BATCH_WORK, "pingpong,rate=500" };
	struct test_policy audit;
	struct bpf_map *log;
	/* The head of struct audit_record. */
	struct {
		uint64_t number, time_ns, vm_id;
		uint32_t pid, tid, event, cause, reason, pad;
		uint64_t start, pages, in_second;
	} record, *r = &record;
	struct stretch before, under;
	struct loss loss;
	double rate;
	uint32_t key = 0;
	bool ok = true;

	start_guests(specs);
	sleep_for(1);
	run_for(&before, BEFORE_S, CONVERSIONS);
	ok &= check(stop_guests(), "a guest failed");
	audit = policy_attach("audit", "rate=100", 0);
	log = bpf_object__find_map_by_name(audit.bpf, "audit_log");
	start_guests(specs);
	sleep_for(1);
	run_for(&under, BEFORE_S, CONVERSIONS);
	rate = figure(&under, ABUSER, CONVERSIONS);
	ok &= check(rate > 450, "it held the guest to %.1f", rate);
	ok &= check(bpf_map__value_size(log) == sizeof(record),
		    "a record has another size");
	/* The first are the VMs' own: all of their memory at once. */
	ok &= check(!bpf_map__lookup_elem(log, &key, sizeof(key), &record,
					  sizeof(record), 0) &&
		    r->number == 0 && r->event == 1 && r->cause == 1 &&
		    r->pages == 4096 && r->start == 1048576,
		    "record 0 is event %u, cause %u, %ju pages", r->event,
		    r->cause, (uintmax_t)r->pages);
	key = 100;
	ok &= check(!bpf_map__lookup_elem(log, &key, sizeof(key), &record,
					  sizeof(record), 0) &&
		    r->number == 100 && r->pid == pids[ABUSER] &&
		    r->vm_id == under.end.vm[ABUSER].vm_id && r->cause == 2 &&
		    r->pages == 1 && r->in_second > 100,
		    "record 100 is of pid %u, cause %u, %ju in the second",
		    r->pid, r->cause, (uintmax_t)r->in_second);
	ok &= check_others(&before, &under, &loss);
	ok &= check_free(&under, ABUSER);
	ok &= check(stop_guests(), "a guest failed");
	ok &= check(!errors_seen("abuser", "convert", NULL), "it saw errors");
	policy_detach(&audit);
	add_line("%-30s %-14s %9.1f %9s %9.1f %7s %6.2f%% %6.0f  %s", "audit",
		 units[CONVERSIONS], figure(&before, ABUSER, CONVERSIONS), "-",
		 rate, "-", loss.worst * 100, loss.page, "-");

	return ok;
}

static const struct special others[] = {
	{ "audit allows everything and records what is above a threshold", run_audit },
};

int main(int argc, char **argv)
{
	run_effects(argc, argv, NULL, 0, others, ARRAY_LEN_OF(others));
}
