/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What guests do over a stretch of time, by the kernel's own counters and clock,
 * and by what gmemload says of them.
 */
#ifndef TESTS_MEASURE_H
#define TESTS_MEASURE_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "gmem_sample.h"
#include "guests.h"

#define SECONDS(s)	((uint64_t)((s) * 1e9))
#define PAGES_PER_MIB	256.0

/* What a guest does or has, over a stretch of time. */
enum measure {
	CONVERSIONS,	/* per second */
	PAGES,		/* converted per second */
	PAGES_SHARED,	/* per second */
	FAULTS,		/* pages per second; a huge folio is one */
	ALLOCATED,	/* pages per second, each of a huge folio */
	POPULATED,	/* MiB at most */
	STALE,		/* MiB at most */
	SHARED,		/* MiB at most */
	RANGES,		/* that every other page being shared makes, at most */
	METADATA,	/* KiB at most */
};

static const char *const units[] = {
	"conv/s", "pages/s", "to shared/s", "faults/s", "allocated/s",
	"MiB populated", "MiB stale", "MiB shared", "ranges",
	"KiB metadata",
};

static struct gmem_sampler *sampler;

/* Everything at one moment. */
struct mark {
	uint64_t time_ns;
	struct gmem_vm_sample vm[NR_GUESTS];
	double touched[NR_GUESTS];
	double seconds[NR_GUESTS];
	double cpu[NR_GUESTS];
};

/* What came of a stretch of time. */
struct stretch {
	struct mark begin;
	struct mark end;
	double most[NR_GUESTS];
};

static inline void take(struct mark *mark)
{
	struct gmem_sample sample = {};
	size_t i;
	int g;

	MUST(!gmem_sampler_read(sampler, &sample), "cannot read the counters");
	mark->time_ns = sample.time_ns;
	for (i = 0; i < sample.nr_vms; i++) {
		for (g = 0; g < NR_GUESTS; g++) {
			if (pids[g] && sample.vms[i].pid == pids[g])
				mark->vm[g] = sample.vms[i];
		}
	}
	gmem_sample_free(&sample);
}

/* Seconds that the threads of a process have run, VMs' guests included. */
static inline double cpu_seconds(uint32_t pid)
{
	unsigned long long ns, sum = 0;
	char path[512];
	struct dirent *d;
	DIR *tasks;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	tasks = opendir(path);
	MUST(tasks, "cannot read %s", path);
	while ((d = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%u/task/%s/schedstat", pid,
			 d->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		fclose(f);
	}
	closedir(tasks);
	return sum / 1e9;
}

static inline void take_all(struct mark *mark)
{
	int g;

	take(mark);
	for (g = 0; g < NR_GUESTS; g++)
		mark->cpu[g] = pids[g] ? cpu_seconds(pids[g]) : 0;
	for (g = 0; g < NR_GUESTS; g++)
		json_object_put(read_lines(names[g], &mark->touched[g],
					   &mark->seconds[g]));
}

static inline double level(const struct gmem_vm_sample *vm,
			   enum measure measure)
{
	double shared = (double)vm->size_pages - vm->private_pages;

	switch (measure) {
	case POPULATED:
		return vm->populated_pages / PAGES_PER_MIB;
	case STALE:
		return vm->stale_pages / PAGES_PER_MIB;
	case SHARED:
		return shared / PAGES_PER_MIB;
	case RANGES:
		/* Each page has two ends; the first is at the memory's end. */
		return shared ? 2 * shared : 2;
	case METADATA:
		return vm->attribute_bytes / 1024.0;
	default:
		return 0;
	}
}

static inline uint64_t counter(const struct gmem_vm_sample *vm,
			       enum measure measure)
{
	uint64_t sum = 0;
	int i;

	switch (measure) {
	case CONVERSIONS:
		return vm->conversions;
	case PAGES:
		return vm->pages_to_private + vm->pages_to_shared;
	case PAGES_SHARED:
		return vm->pages_to_shared;
	case ALLOCATED:
		return vm->allocated_pages;
	case FAULTS:
		for (i = 0; i < GMEM_NR_FAULTS; i++)
			sum += vm->faults[i];
		return sum;
	default:
		return 0;
	}
}

static inline void run_for(struct stretch *s, double seconds,
			   enum measure measure)
{
	struct mark now;
	double highest;
	int g;

	memset(s, 0, sizeof(*s));
	take_all(&s->begin);
	for (now = s->begin; now.time_ns < s->begin.time_ns + SECONDS(seconds);) {
		sleep_for(0.25);
		take(&now);
		for (g = 0; g < NR_GUESTS; g++) {
			highest = level(&now.vm[g], measure);
			if (highest > s->most[g])
				s->most[g] = highest;
		}
	}
	take_all(&s->end);
}

static inline double figure(const struct stretch *s, int guest,
			    enum measure measure)
{
	uint64_t ns = s->end.time_ns - s->begin.time_ns;

	if (measure >= POPULATED)
		return s->most[guest];
	return (counter(&s->end.vm[guest], measure) -
		counter(&s->begin.vm[guest], measure)) * 1e9 / ns;
}

/* Pages that a guest touched per second, by its own account. */
static inline double throughput(const struct stretch *s, int guest)
{
	return (s->end.touched[guest] - s->begin.touched[guest]) /
	       (s->end.seconds[guest] - s->begin.seconds[guest]);
}

/* The part of one CPU that a guest has run. */
static inline double busy(const struct stretch *s, int guest)
{
	return (s->end.cpu[guest] - s->begin.cpu[guest]) * 1e9 /
	       (s->end.time_ns - s->begin.time_ns);
}

static inline uint64_t denied(const struct stretch *s, int guest)
{
	const struct gmem_vm_sample *vm = &s->end.vm[guest];

	return vm->conversions_denied + vm->faults_denied;
}

static inline uint64_t delayed(const struct stretch *s, int guest)
{
	const struct gmem_vm_sample *vm = &s->end.vm[guest];

	return vm->conversions_delayed + vm->faults_delayed;
}

#endif /* TESTS_MEASURE_H */
