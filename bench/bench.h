/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benches share: a clock that counts instructions, how often a thing
 * is measured, and how a figure is handed to bench/run.  Not here: limits.
 *
 * Under "tests/vm/run --icount" the guest's TSC counts instructions.  A figure
 * is everything between two reads of it, the system call's user side included
 * (some ten instructions).  It is the median of several runs after one that is
 * thrown away: a timer tick that falls into a run does not show.
 */
#ifndef GMEM_BENCH_H
#define GMEM_BENCH_H

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BENCH_MAX_RUNS	512

#define BENCH_DIE(fmt, ...)						\
	do {								\
		fprintf(stderr, "%s: " fmt "\n",			\
			program_invocation_short_name, ##__VA_ARGS__);	\
		exit(1);						\
	} while (0)

#define BENCH_MUST(condition, what)					\
	do {								\
		if (!(condition))					\
			BENCH_DIE("cannot %s: %s", what, strerror(errno)); \
	} while (0)

static inline uint64_t bench_now(void)
{
	uint32_t low, high;

	__asm__ __volatile__("lfence; rdtsc; lfence"
			     : "=a"(low), "=d"(high) : : "memory");

	return (uint64_t)high << 32 | low;
}

/*
 * Nothing else runs between two reads of the clock, kernel threads included.
 * What they have to do they get done in bench_settle().
 */
static inline void bench_begin(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	BENCH_MUST(!sched_setscheduler(0, SCHED_FIFO, &param),
		   "raise the priority, which needs root");
}

/* Lets deferred work of what went before run, such as freeing after RCU. */
static inline void bench_settle(void)
{
	usleep(20000);
}

static inline int bench_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static inline uint64_t bench_median(uint64_t *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), bench_compare);

	return values[nr / 2];
}

/* One line for bench/run: operation, unit, figure. */
static inline void bench_report(const char *variant, const char *op,
				const char *unit, double value)
{
	printf("%s\t%s\t%s\t%.1f\n", variant, op, unit, value);
	fflush(stdout);
}

#endif /* GMEM_BENCH_H */
