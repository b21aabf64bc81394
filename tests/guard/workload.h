/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests under guard's defaults, one workload after the other: who is left alone
 * and who is held.  Each program *_test.c has a list of them; "PROGRAM PATTERN"
 * runs those whose names match.  Each prints a table at the end: verdicts, the
 * part of its time that a guest was delayed, the 99th percentile of its
 * conversions, what it does in a second, and what a neighbour keeps of what it
 * got done before the other came.
 *
 * Run them under "tests/vm/run --icount": all clocks count instructions then.
 */
#ifndef TESTS_GUARD_WORKLOAD_H
#define TESTS_GUARD_WORKLOAD_H

#include "../policies/effect.h"

/* What a guest may be delayed that does nothing wrong, of its time. */
#define HONEST_DELAY	0.01
/* What a neighbour may lose to one that is held. */
#define NEIGHBOUR_LOSS	0.01
/* It works at a pace of its own, in small steps. */
#define NEIGHBOUR	"steady,mem=4M"

/**
 * struct workload - a guest under guard
 * @name: of the test
 * @guest: what gmemload is told to make it
 * @beside: another one beside it, NULL if none
 * @set: parameters of guard that are not the default, NULL if all are
 * @settle: seconds until its burst is used up, if it is to be held
 * @seconds: how long it is looked at then
 * @measure: what it is held to, if it is
 * @most: to how much; 0: it is to be left alone
 * @least: what it does at least, of that: else it would not be the workload
 * @refused: errno that it may see, NULL if none
 */
struct workload {
	const char *name;
	const char *guest;
	const char *beside;
	const char *set;
	double settle;
	double seconds;
	enum measure measure;
	double most;
	double least;
	const char *refused;
};

static inline double summary_p99(const char *guest)
{
	struct json_object *summary, *calls, *v;
	double touched, seconds, ns;

	summary = read_lines(guest, &touched, &seconds);
	MUST(summary, "guest %s has no summary", guest);
	json_object_object_get_ex(summary, "call_ns", &calls);
	json_object_object_get_ex(calls, "p99", &v);
	ns = json_object_get_double(v);
	json_object_put(summary);
	return ns;
}

/* What the neighbour gets done without any other. */
static inline double alone(void)
{
	const char *const specs[NR_GUESTS] = { NEIGHBOUR };
	static double touched;
	struct stretch s;

	if (touched)
		return touched;
	start_guests(specs);
	sleep_for(0.5);
	run_for(&s, 2, CONVERSIONS);
	MUST(stop_guests(), "the neighbour failed");
	touched = throughput(&s, WEB);
	return touched;
}

static inline bool run_workload(const struct workload *w)
{
	const char *const specs[NR_GUESTS] = { NEIGHBOUR, w->beside, w->guest };
	double seconds, delay, figure_of, keeps, was = alone(), refused;
	struct test_policy guard = policy_attach("guard", w->set ?: "", 0);
	uint64_t before;
	struct stretch s;
	bool ok = true;

	start_guests(specs);
	sleep_for(w->settle);
	run_for(&s, w->seconds, w->measure);
	ok &= check(stop_guests(), "a guest failed");
	policy_detach(&guard);

	seconds = (s.end.time_ns - s.begin.time_ns) / 1e9;
	/* Of one that is to be left alone, all since it was started. */
	before = w->most ? s.begin.vm[ABUSER].delayed_ns : 0;
	delay = (s.end.vm[ABUSER].delayed_ns - before) / 1e9 / seconds;
	refused = denied(&s, ABUSER);
	figure_of = figure(&s, ABUSER, w->measure);
	keeps = throughput(&s, WEB) / was;

	ok &= check(figure_of >= w->least, "it had only %.1f %s", figure_of,
		    units[w->measure]);
	if (!w->most) {
		ok &= check(!refused, "it was denied %.0f times", refused);
		ok &= check(delay < HONEST_DELAY,
			    "it was delayed for %.2f%% of its time",
			    delay * 100);
	} else {
		ok &= check(figure_of <= w->most * (1 + TOLERANCE),
			    "it had %.1f %s and was to have %.1f at most",
			    figure_of, units[w->measure], w->most);
		ok &= check(w->refused || !refused,
			    "it was denied %.0f times", refused);
	}
	ok &= check(errors_seen("abuser", "convert", NULL) ==
		    (w->refused ? errors_seen("abuser", "convert", w->refused) : 0),
		    "it saw other errors than %s", w->refused ?: "none");
	/* One that does nothing wrong may use the CPU as it likes. */
	ok &= check(!w->most || keeps >= 1 - NEIGHBOUR_LOSS,
		    "its neighbour keeps %.2f%%", keeps * 100);
	ok &= check(!denied(&s, WEB) && !delayed(&s, WEB),
		    "its neighbour was denied or delayed");

	add_line("%-34s %7.0f %8ju %7.2f%% %9.1f %10.1f %-14s %8.2f%%", w->name,
		 refused, (uintmax_t)delayed(&s, ABUSER), delay * 100,
		 summary_p99("abuser") / 1000, figure_of, units[w->measure],
		 keeps * 100);
	return ok;
}

/* What main() of such a program is. */
static inline void run_workloads(int argc, char **argv,
				 const struct workload *workloads,
				 unsigned int nr_workloads)
{
	const char *pattern = argc > 1 ? argv[1] : "";
	unsigned int nr = 0, i;
	regex_t wanted;

	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	MUST(!regcomp(&wanted, pattern, REG_EXTENDED | REG_NOSUB),
	     "'%s' is not a regular expression", pattern);
	MUST(mkdtemp(dir), "cannot make a directory in /tmp");
	snprintf(lines_path, sizeof(lines_path), "%s/lines", dir);
	snprintf(pids_path, sizeof(pids_path), "%s/pids", dir);
	sampler = gmem_sampler_open();
	MUST(sampler, "cannot sample");

	for (i = 0; i < nr_workloads; i++)
		nr += !regexec(&wanted, workloads[i].name, 0, NULL, 0);
	ksft_set_plan(nr);
	add_line("%-34s %7s %8s %8s %9s %10s %-14s %9s", "workload", "denied",
		 "delayed", "of time", "p99 us", "does", "", "neighbour");
	for (i = 0; i < nr_workloads; i++) {
		if (!regexec(&wanted, workloads[i].name, 0, NULL, 0))
			ksft_test_result(run_workload(&workloads[i]), "%s\n",
					 workloads[i].name);
	}
	for (i = 0; i < (unsigned int)nr_lines; i++)
		printf("# %s\n", table[i]);
	unlink(lines_path);
	unlink(pids_path);
	rmdir(dir);
	gmem_sampler_close(sampler);
	ksft_finished();
}

#endif /* TESTS_GUARD_WORKLOAD_H */
