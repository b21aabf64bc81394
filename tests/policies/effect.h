/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy does to an abusive guest, and that it does nothing to two
 * well-behaved ones beside it.  Each program *_test.c has the policies of one
 * kind, as a table and tests of their own; "PROGRAM PATTERN" runs the tests whose
 * names match.  It prints a table of what it measured at the end.
 *
 * Run them under "tests/vm/run --icount": all clocks count instructions then, so
 * that no figure depends on how busy the machine is.  Figures are the kernel's
 * own counters over the kernel's own clock; what a guest got done and which
 * errors it saw is what gmemload says of it.
 *
 * What the two beside the abuser lose is measured in two ways, and the greater
 * one counts.  They work at a pace of their own, so what they get done drops if
 * a policy makes them wait or leaves them no CPU.  And they pay for the hooks:
 * the time that their threads run for the same work, as a part of the time of
 * one CPU, is what a guest that has work for all of its time gets done less.
 * That is not a part of what a page fault costs: "batch" does nothing but give
 * back and fault in 1,280 pages a second, and how many instructions each of
 * them costs more is in the table, too.  Last, guard_test measures a guest that
 * does fill its CPU with and without guard.
 */
#ifndef TESTS_EFFECT_H
#define TESTS_EFFECT_H

#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "gmem_sample.h"
#include "guests.h"
#include "measure.h"
#include "policy.h"

#define ARRAY_LEN_OF(a)	(sizeof(a) / sizeof((a)[0]))

/* How far a figure may be from the one asked for. */
#define TOLERANCE	0.05
/* How much of their throughput the others may lose. */
#define MAX_LOSS	0.01

#define BEFORE_S	4
#define UNDER_S		10
#define AFTER_S		2

#define MAX_POLICIES	10

/**
 * struct effect - a policy, an abuser, and what comes of it
 * @name: of the test
 * @policies: names, and what is set
 * @abuser: what gmemload is told to make it
 * @measure: what it is held to
 * @want: to how much
 * @settle: seconds until it is
 * @fresh: the guests start under the policy, for what they cannot give back
 * @only: the policy is for the abuser alone, not for all VMs
 * @refused: errno that it sees with a conversion, NULL if none
 * @fault_refused: errno that it sees with a fault, NULL if none
 * @delayed: it is delayed
 */
struct effect {
	const char *name;
	struct {
		const char *name;
		const char *set;
	} policies[MAX_POLICIES];
	const char *abuser;
	enum measure measure;
	double want;
	double settle;
	bool fresh;
	bool only;
	const char *refused;
	const char *fault_refused;
	bool delayed;
};

/* What is printed at the end. */
static char table[64][160];
static int nr_lines;

__attribute__((format(printf, 1, 2)))
static inline void add_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(table[nr_lines++], sizeof(table[0]), fmt, ap);
	va_end(ap);
}

static inline bool check(bool holds, const char *fmt, ...)
{
	va_list ap;

	if (holds)
		return true;
	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return false;
}

static inline bool is_near(double value, double want)
{
	return want ? fabs(value - want) <= want * TOLERANCE : !value;
}

static inline bool check_errors(const struct effect *e)
{
	double convert = errors_seen("abuser", "convert", NULL);
	double fault = errors_seen("abuser", "fault", NULL);
	double want_convert = e->refused ?
		errors_seen("abuser", "convert", e->refused) : 0;
	double want_fault = e->fault_refused ?
		errors_seen("abuser", "fault", e->fault_refused) : 0;
	bool ok = true;
	int g;

	ok &= check(convert == want_convert && fault == want_fault,
		    "abuser saw other errors than %s",
		    e->refused ?: e->fault_refused ?: "none");
	ok &= check(!e->refused || want_convert,
		    "abuser saw no %s", e->refused);
	ok &= check(!e->fault_refused || want_fault,
		    "abuser saw no %s", e->fault_refused);
	for (g = 0; g < ABUSER; g++)
		ok &= check(!errors_seen(names[g], "convert", NULL) &&
			    !errors_seen(names[g], "fault", NULL),
			    "%s saw errors", names[g]);
	return ok;
}

/* Nobody up to guest @last was denied or delayed. */
static inline bool check_free(const struct stretch *under, int last)
{
	bool ok = true;
	int g;

	for (g = 0; g <= last; g++)
		ok &= check(!denied(under, g) && !delayed(under, g),
			    "%s was denied %ju times and delayed %ju times",
			    names[g], (uintmax_t)denied(under, g),
			    (uintmax_t)delayed(under, g));
	return ok;
}

/**
 * struct loss - what the others lose
 * @worst: of them, as a part of what they got done before
 * @page: instructions that a page of "batch" costs more
 */
struct loss {
	double worst;
	double page;
};

static inline bool check_others(const struct stretch *before,
				const struct stretch *under, struct loss *loss)
{
	double was, is, time;
	bool ok = true;
	int g;

	*loss = (struct loss){};
	for (g = 0; g < ABUSER; g++) {
		was = throughput(before, g);
		is = throughput(under, g);
		ok &= check(was > 0 && is >= was * (1 - MAX_LOSS),
			    "%s touched %.1f pages/s before and %.1f under it",
			    names[g], was, is);
		time = busy(under, g) - busy(before, g);
		ok &= check(busy(before, g) > 0 && time <= MAX_LOSS,
			    "%s took %.2f%% of a CPU before and %.2f%% under it",
			    names[g], busy(before, g) * 100,
			    busy(under, g) * 100);
		loss->worst = fmax(loss->worst, fmax(1 - is / was, time));
		if (g == BATCH)
			loss->page = time * 1e9 / is;
	}
	return ok & check_free(under, BATCH);
}

static inline void attach_all(const struct effect *e,
			      struct test_policy *policies)
{
	struct mark mark = {};
	int i;

	take(&mark);
	for (i = 0; i < MAX_POLICIES && e->policies[i].name; i++)
		policies[i] = policy_attach(e->policies[i].name,
					    e->policies[i].set,
					    e->only ? mark.vm[ABUSER].vm_id : 0);
}

static inline void detach_all(const struct effect *e,
			      struct test_policy *policies)
{
	int i;

	for (i = 0; i < MAX_POLICIES && e->policies[i].name; i++)
		policy_detach(&policies[i]);
}

static inline bool run_effect(const struct effect *e)
{
	const char *const specs[] = { "steady,mem=4M", BATCH_WORK ",mem=4M", e->abuser };
	struct test_policy policies[MAX_POLICIES];
	struct stretch before, under, after;
	double free_figure, held_figure;
	struct loss loss;
	bool ok = true;

	start_guests(specs);
	sleep_for(1);
	run_for(&before, BEFORE_S, e->measure);
	if (e->fresh) {
		ok &= check(stop_guests(), "a guest failed");
		attach_all(e, policies);
		start_guests(specs);
		sleep_for(1);
	} else {
		attach_all(e, policies);
	}
	sleep_for(e->settle);
	run_for(&under, UNDER_S, e->measure);
	detach_all(e, policies);
	sleep_for(0.5);
	run_for(&after, AFTER_S, e->measure);
	ok &= check(stop_guests(), "a guest failed");

	free_figure = figure(&before, ABUSER, e->measure);
	held_figure = figure(&under, ABUSER, e->measure);
	ok &= check(free_figure > 1.5 * e->want,
		    "without it the abuser had only %.2f", free_figure);
	ok &= check(is_near(held_figure, e->want),
		    "the abuser had %.2f and was to have %.2f", held_figure,
		    e->want);
	ok &= check(figure(&after, ABUSER, e->measure) > 1.3 * e->want,
		    "detached, the abuser had only %.2f",
		    figure(&after, ABUSER, e->measure));
	ok &= check(!!denied(&under, ABUSER) == (e->refused || e->fault_refused),
		    "the abuser was denied %ju times",
		    (uintmax_t)denied(&under, ABUSER));
	ok &= check(!!delayed(&under, ABUSER) == e->delayed,
		    "the abuser was delayed %ju times",
		    (uintmax_t)delayed(&under, ABUSER));
	ok &= check_errors(e);
	ok &= check_others(&before, &under, &loss);

	add_line("%-30s %-14s %9.1f %9.1f %9.1f %+6.1f%% %6.2f%% %6.0f  %s",
		 e->name, units[e->measure], free_figure, e->want, held_figure,
		 e->want ? (held_figure / e->want - 1) * 100 : 0,
		 loss.worst * 100, loss.page,
		 e->refused ?: e->fault_refused ?: "-");
	return ok;
}

/**
 * struct special - a test that is no row of a table
 * @name: of the test
 * @run: returns whether it passed
 */
struct special {
	const char *name;
	bool (*run)(void);
};

/* What main() of such a program is. */
static inline void run_effects(int argc, char **argv,
			       const struct effect *effects,
			       unsigned int nr_effects,
			       const struct special *others,
			       unsigned int nr_others)
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

	for (i = 0; i < nr_effects; i++)
		nr += !regexec(&wanted, effects[i].name, 0, NULL, 0);
	for (i = 0; i < nr_others; i++)
		nr += !regexec(&wanted, others[i].name, 0, NULL, 0);
	ksft_set_plan(nr);

	add_line("%-30s %-14s %9s %9s %9s %7s %7s %6s  %s", "policy", "unit",
		 "without", "asked for", "held to", "off by", "others", "a page",
		 "errno");
	for (i = 0; i < nr_effects; i++) {
		if (!regexec(&wanted, effects[i].name, 0, NULL, 0))
			ksft_test_result(run_effect(&effects[i]), "effect: %s\n",
					 effects[i].name);
	}
	for (i = 0; i < nr_others; i++) {
		if (!regexec(&wanted, others[i].name, 0, NULL, 0))
			ksft_test_result(others[i].run(), "%s\n",
					 others[i].name);
	}

	for (i = 0; i < (unsigned int)nr_lines; i++)
		printf("# %s\n", table[i]);
	unlink(lines_path);
	unlink(pids_path);
	rmdir(dir);
	gmem_sampler_close(sampler);
	ksft_finished();
}

#endif /* TESTS_EFFECT_H */
