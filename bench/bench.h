/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benches share: a clock that counts instructions, how often a thing
 * is measured, and how a figure is handed to bench/run.  Not here: limits.
 *
 * Under "tests/vm/run --icount" the guest's TSC counts instructions.  A figure
 * is everything between two reads of it, the system call's user side included
 * (some ten instructions).  It is the least of several runs, after one that is
 * thrown away: the rest is timer ticks, and slabs that happened to fill up or
 * run empty, which adds 1 % to some runs and not to others.
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

/* The least cost of @runs runs, after one to warm up. */
static inline uint64_t bench_least(uint64_t (*run)(void), unsigned int runs)
{
	uint64_t least = UINT64_MAX, cost;

	run();
	while (runs--) {
		cost = run();
		if (cost < least)
			least = cost;
	}

	return least;
}

/* One line for bench/run. */
static inline void bench_report(const char *variant, const char *op,
				const char *unit, double value)
{
	printf("%s\t%s\t%s\t%.1f\n", variant, op, unit, value);
	fflush(stdout);
}

#endif /* GMEM_BENCH_H */
