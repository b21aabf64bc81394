// SPDX-License-Identifier: GPL-2.0-only
/*
 * effect_test [PATTERN]: what each policy does to an abusive guest, and that it
 * does nothing to two well-behaved ones beside it.  Prints a table at the end.
 *
 * Run it under "tests/vm/run --icount": all clocks count instructions then, so
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
 * them costs more is in the table, too.  Last, a guest that does fill its CPU
 * is measured with and without guard.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "gmem_sample.h"
#include "policy.h"

#define ARRAY_LEN_OF(a)	(sizeof(a) / sizeof((a)[0]))
#define SECONDS(s)	((uint64_t)((s) * 1e9))
#define PAGES_PER_MIB	256.0

/* How far a figure may be from the one asked for. */
#define TOLERANCE	0.05
/* How much of their throughput the others may lose. */
#define MAX_LOSS	0.01

#define BEFORE_S	4
#define UNDER_S		10
#define AFTER_S		2

enum { WEB, BATCH, ABUSER, NR_GUESTS };

/* Small steps, so that one more or less in a stretch is less than MAX_LOSS. */
#define BATCH_WORK	"churn,range=64K,rate=80"

static const char *const names[NR_GUESTS] = { "web", "batch", "abuser" };

/* What a guest does or has, over a stretch of time. */
enum measure {
	CONVERSIONS,	/* per second */
	PAGES,		/* converted per second */
	PAGES_SHARED,	/* per second */
	FAULTS,		/* pages per second */
	POPULATED,	/* MiB at most */
	STALE,		/* MiB at most */
	SHARED,		/* MiB at most */
	RANGES,		/* that every other page being shared makes, at most */
	METADATA,	/* KiB at most */
};

static const char *const units[] = {
	"conv/s", "pages/s", "to shared/s", "faults/s",
	"MiB populated", "MiB stale", "MiB shared", "ranges",
	"KiB metadata",
};

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

static const struct effect effects[] = {
	{
		.name = "ratelimit, deny",
		.policies = { { "ratelimit", "rate=200" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.refused = "EBUSY",
	}, {
		.name = "ratelimit, delay",
		.policies = { { "ratelimit", "rate=200 action=1" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, delay, 4 vCPUs",
		.policies = { { "ratelimit", "rate=200 action=1" } },
		.abuser = "pingpong,rate=400,vcpus=4",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, pages, delay",
		.policies = { { "ratelimit",
				"rate=1000000000 page_rate=20000 action=1" } },
		.abuser = "pingpong,range=256K,rate=1000",
		.measure = PAGES,
		.want = 20000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, all memory at once",
		.policies = { { "ratelimit",
				"rate=1000000000 page_rate=20000 action=1" } },
		.abuser = "giant,mem=4M,rate=100",
		.measure = PAGES,
		.want = 20000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, to shared, deny",
		.policies = { { "ratelimit",
				"rate=1000000000 shared_rate=50" } },
		.abuser = "pingpong,rate=1500",
		.measure = PAGES_SHARED,
		.want = 50,
		.settle = 1,
		.refused = "EBUSY",
	}, {
		.name = "ratelimit, pages to private",
		.policies = { { "ratelimit",
				"rate=1000000000 private_page_rate=8000 action=1" } },
		.abuser = "pingpong,range=256K,rate=1000",
		.measure = PAGES,
		.want = 16000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "quota, populated",
		.policies = { { "quota",
				"populated=8 stale_percent=100 grace=200" } },
		.abuser = "churn,rate=50,mem=32M",
		.measure = POPULATED,
		.want = 8,
		.fresh = true,
		.fault_refused = "EDQUOT",
		.delayed = true,
	}, {
		.name = "quota, stale",
		.policies = { { "quota", "stale=4 grace=200 error=12" } },
		.abuser = "fragment,rate=1500",
		.measure = STALE,
		.want = 4,
		.fresh = true,
		.fault_refused = "ENOMEM",
		.delayed = true,
	}, {
		.name = "pingpong",
		.policies = { { "pingpong", "most_delay=20" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 50,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "fragment",
		.policies = { { "fragment", "ranges=100" } },
		.abuser = "fragment,rate=500",
		.measure = RANGES,
		.want = 100,
		.fresh = true,
		.refused = "ENOSPC",
	}, {
		.name = "fragment, metadata",
		.policies = { { "fragment", "ranges=1000 metadata=2" } },
		.abuser = "fragment,mem=128M,range=512K,rate=100",
		.measure = METADATA,
		.want = 2,
		.fresh = true,
		.refused = "ENOSPC",
	}, {
		.name = "faultrate, delay",
		.policies = { { "faultrate", "rate=2000" } },
		.abuser = "churn,rate=150",
		.measure = FAULTS,
		.want = 2000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "faultrate, deny",
		.policies = { { "faultrate", "rate=2000 action=0" } },
		.abuser = "churn,rate=150",
		.measure = FAULTS,
		.want = 2000,
		.settle = 1,
		.fault_refused = "EBUSY",
	}, {
		.name = "sharedcap, how much",
		.policies = { { "sharedcap", "grace=0 shared=4" } },
		.abuser = "fragment,rate=1500",
		.measure = SHARED,
		.want = 4,
		.fresh = true,
		.refused = "EDQUOT",
	}, {
		.name = "sharedcap, from where",
		/* The guest's memory begins at frame 1048576. */
		.policies = { { "sharedcap", "grace=0 first_gfn=1048577" } },
		.abuser = "pingpong,rate=500",
		.measure = PAGES_SHARED,
		.want = 0,
		.settle = 1,
		.refused = "EACCES",
	}, {
		.name = "deny",
		.policies = { { "deny", "" } },
		.abuser = "pingpong,rate=500",
		.measure = CONVERSIONS,
		.want = 0,
		.only = true,
		.refused = "EPERM",
	}, {
		.name = "guard, back and forth",
		.policies = { { "guard", "" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 10,
		.settle = 2,
		.delayed = true,
	}, {
		.name = "guard, faults",
		.policies = { { "guard", "fault_rate=2000" } },
		.abuser = "churn,rate=150",
		.measure = FAULTS,
		.want = 2000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "guard, ranges",
		.policies = { { "guard", "" } },
		.abuser = "fragment,rate=500",
		.measure = RANGES,
		/* And 4 for its vCPU. */
		.want = 516,
		.fresh = true,
		.refused = "ENOSPC",
	}, {
		.name = "all together",
		.policies = {
			{ "ratelimit", "rate=200 action=1" },
			{ "quota", "populated=14" },
			{ "pingpong", "most_delay=20" },
			{ "fragment", "ranges=100" },
			{ "faultrate", "rate=2000" },
			{ "sharedcap", "grace=0 shared=4" },
			{ "audit", "" },
			/* The strictest of all. */
			{ "guard", "turn_delay=100" },
		},
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 10,
		.settle = 2,
		.delayed = true,
	},
};

/* -------------------------------------------------------------- the guests */

static struct gmem_sampler *sampler;
static char dir[] = "/tmp/effect.XXXXXX";
static char lines_path[64], pids_path[64];
static pid_t load_pid;
static uint32_t pids[NR_GUESTS];

static void sleep_for(double seconds)
{
	struct timespec ts = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (time_t)seconds) * 1e9),
	};

	nanosleep(&ts, NULL);
}

static void read_pids(void)
{
	char name[64];
	uint32_t pid;
	FILE *f = fopen(pids_path, "r");
	int i;

	MUST(f, "no pids");
	while (fscanf(f, "%63s %u", name, &pid) == 2) {
		for (i = 0; i < NR_GUESTS; i++) {
			if (!strcmp(name, names[i]))
				pids[i] = pid;
		}
	}
	fclose(f);
}

/* Returns when they run.  At most three specifications, NULL for none. */
static void start_guests(const char *const specs[])
{
	const char *argv[24] = { "build/gmemload", "--json", lines_path,
				 "--pidfile", pids_path, "--interval", "0.5" };
	char guests[NR_GUESTS][128];
	int i, n = 7, status;

	for (i = 0; i < NR_GUESTS; i++) {
		if (!specs[i])
			continue;
		snprintf(guests[i], sizeof(guests[i]), "%s,name=%s", specs[i],
			 names[i]);
		argv[n++] = "--guest";
		argv[n++] = guests[i];
	}
	unlink(pids_path);
	memset(pids, 0, sizeof(pids));
	load_pid = fork();
	if (!load_pid) {
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	MUST(load_pid > 0, "fork: %s", strerror(errno));
	for (i = 0; access(pids_path, R_OK); i++) {
		MUST(waitpid(load_pid, &status, WNOHANG) == 0,
		     "the guests did not start: status %d", status);
		/*
		 * The clock jumps ahead whenever the VM waits for the host, as
		 * for the pages of a program, so this says nothing of time.
		 */
		MUST(i < 100000, "the guests did not start");
		sleep_for(0.1);
	}
	read_pids();
}

/* Returns whether all ended well. */
static bool stop_guests(void)
{
	int status;

	kill(load_pid, SIGINT);
	MUST(waitpid(load_pid, &status, 0) == load_pid, "cannot wait");
	load_pid = 0;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Walks gmemload's lines; returns the last summary of @guest, to be freed. */
static struct json_object *read_lines(const char *guest, double *touched,
				      double *seconds)
{
	struct json_object *line, *found = NULL, *v;
	FILE *f = fopen(lines_path, "r");
	static char buf[8192];

	*touched = *seconds = 0;
	MUST(f, "no lines of gmemload");
	while (fgets(buf, sizeof(buf), f)) {
		line = json_tokener_parse(buf);
		if (!line)
			continue;
		json_object_object_get_ex(line, "guest", &v);
		if (strcmp(json_object_get_string(v), guest)) {
			json_object_put(line);
		} else if (json_object_object_get_ex(line, "summary", &v)) {
			json_object_put(found);
			found = line;
		} else {
			json_object_object_get_ex(line, "touched", &v);
			*touched += json_object_get_double(v);
			json_object_object_get_ex(line, "dt", &v);
			*seconds += json_object_get_double(v);
			json_object_put(line);
		}
	}
	fclose(f);
	return found;
}

/* How often a guest saw an errno; all that it saw if @name is NULL. */
static double errors_seen(const char *guest, const char *kind, const char *name)
{
	struct json_object *summary, *errors, *of_kind;
	double touched, seconds, sum = 0;

	summary = read_lines(guest, &touched, &seconds);
	MUST(summary, "guest %s has no summary", guest);
	json_object_object_get_ex(summary, "errors", &errors);
	json_object_object_get_ex(errors, kind, &of_kind);
	json_object_object_foreach(of_kind, key, value) {
		if (!name || !strcmp(key, name))
			sum += json_object_get_double(value);
	}
	json_object_put(summary);
	return sum;
}

/* --------------------------------------------------------------- measuring */

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

static void take(struct mark *mark)
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
static double cpu_seconds(uint32_t pid)
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

static void take_all(struct mark *mark)
{
	int g;

	take(mark);
	for (g = 0; g < NR_GUESTS; g++)
		mark->cpu[g] = pids[g] ? cpu_seconds(pids[g]) : 0;
	for (g = 0; g < NR_GUESTS; g++)
		json_object_put(read_lines(names[g], &mark->touched[g],
					   &mark->seconds[g]));
}

static double level(const struct gmem_vm_sample *vm, enum measure measure)
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

static uint64_t counter(const struct gmem_vm_sample *vm, enum measure measure)
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
	case FAULTS:
		for (i = 0; i < GMEM_NR_FAULTS; i++)
			sum += vm->faults[i];
		return sum;
	default:
		return 0;
	}
}

static void run_for(struct stretch *s, double seconds, enum measure measure)
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

static double figure(const struct stretch *s, int guest, enum measure measure)
{
	uint64_t ns = s->end.time_ns - s->begin.time_ns;

	if (measure >= POPULATED)
		return s->most[guest];
	return (counter(&s->end.vm[guest], measure) -
		counter(&s->begin.vm[guest], measure)) * 1e9 / ns;
}

/* Pages that a guest touched per second, by its own account. */
static double throughput(const struct stretch *s, int guest)
{
	return (s->end.touched[guest] - s->begin.touched[guest]) /
	       (s->end.seconds[guest] - s->begin.seconds[guest]);
}

/* The part of one CPU that a guest has run. */
static double busy(const struct stretch *s, int guest)
{
	return (s->end.cpu[guest] - s->begin.cpu[guest]) * 1e9 /
	       (s->end.time_ns - s->begin.time_ns);
}

static uint64_t denied(const struct stretch *s, int guest)
{
	const struct gmem_vm_sample *vm = &s->end.vm[guest];

	return vm->conversions_denied + vm->faults_denied;
}

static uint64_t delayed(const struct stretch *s, int guest)
{
	const struct gmem_vm_sample *vm = &s->end.vm[guest];

	return vm->conversions_delayed + vm->faults_delayed;
}

/* ------------------------------------------------------------ the judgement */

static char table[64][160];
static int nr_lines;

__attribute__((format(printf, 1, 2)))
static void add_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(table[nr_lines++], sizeof(table[0]), fmt, ap);
	va_end(ap);
}

static bool check(bool holds, const char *fmt, ...)
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

static bool is_near(double value, double want)
{
	return want ? fabs(value - want) <= want * TOLERANCE : !value;
}

static bool check_errors(const struct effect *e)
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
static bool check_free(const struct stretch *under, int last)
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

static bool check_others(const struct stretch *before,
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

static void attach_all(const struct effect *e, struct test_policy *policies)
{
	struct mark mark = {};
	int i;

	take(&mark);
	for (i = 0; i < MAX_POLICIES && e->policies[i].name; i++)
		policies[i] = policy_attach(e->policies[i].name,
					    e->policies[i].set,
					    e->only ? mark.vm[ABUSER].vm_id : 0);
}

static void detach_all(const struct effect *e, struct test_policy *policies)
{
	int i;

	for (i = 0; i < MAX_POLICIES && e->policies[i].name; i++)
		policy_detach(&policies[i]);
}

static bool run_effect(const struct effect *e)
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

/* A guest that boots is left alone, as fast as it may convert. */
static bool run_boot(void)
{
	const char *const specs[] = { "steady", BATCH_WORK, "boot,range=4M" };
	struct test_policy guard = policy_attach("guard", "", 0);
	struct stretch under;
	bool ok = true;

	start_guests(specs);
	run_for(&under, 2, CONVERSIONS);
	ok &= check(under.end.vm[ABUSER].pages_to_shared == 1024 + 32,
		    "only %ju pages became shared",
		    (uintmax_t)under.end.vm[ABUSER].pages_to_shared);
	ok &= check_free(&under, ABUSER);
	ok &= check(stop_guests(), "a guest failed");
	ok &= check(!errors_seen("abuser", "convert", NULL), "it saw errors");
	policy_detach(&guard);

	return ok;
}

/* In its grace period sharedcap lets a guest share anything, and no more then. */
static bool run_grace(void)
{
	const char *const specs[] = { "steady", BATCH_WORK, "fragment,rate=400" };
	struct test_policy cap = policy_attach("sharedcap", "grace=6 shared=4", 0);
	struct stretch in, after;
	double shared;
	bool ok = true;

	start_guests(specs);
	run_for(&in, 4, SHARED);
	ok &= check(in.most[ABUSER] > 4.5 && !denied(&in, ABUSER),
		    "in its grace it shared %.1f MiB and was denied %ju times",
		    in.most[ABUSER], (uintmax_t)denied(&in, ABUSER));
	sleep_for(2.5);
	run_for(&after, 2, SHARED);
	shared = level(&after.begin.vm[ABUSER], SHARED);
	ok &= check(after.most[ABUSER] == shared && denied(&after, ABUSER),
		    "after it went from %.1f to %.1f MiB and was denied %ju times",
		    shared, after.most[ABUSER],
		    (uintmax_t)denied(&after, ABUSER));
	ok &= check_free(&after, BATCH);
	ok &= check(stop_guests(), "a guest failed");
	policy_detach(&cap);

	return ok;
}

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

/*
 * Well-behaved guests, without an abuser, that leave the CPU no rest.  One has
 * work without end, the others fault and convert beside it: what the hooks cost
 * these, that one gets done less.
 */
static bool run_alone(void)
{
	const char *const specs[] = { "steady,rate=max", "churn", "fragment,rate=20" };
	struct stretch before, under, after;
	struct test_policy guard;
	double was, is;
	bool ok;

	start_guests(specs);
	sleep_for(2);
	run_for(&before, 2, CONVERSIONS);
	guard = policy_attach("guard", "", 0);
	sleep_for(1);
	run_for(&under, 2, CONVERSIONS);
	policy_detach(&guard);
	sleep_for(1);
	run_for(&after, 2, CONVERSIONS);
	ok = check_free(&after, ABUSER);
	ok &= check(stop_guests(), "a guest failed");
	ok &= check(figure(&under, ABUSER, CONVERSIONS) > 15 &&
		    figure(&under, BATCH, FAULTS) > 1200,
		    "the hooks were hardly called");
	/* Both sides of it: what they do may cost more or less with time. */
	was = (throughput(&before, WEB) + throughput(&after, WEB)) / 2;
	is = throughput(&under, WEB);
	printf("# %.0f pages/s without and %.0f under guard, %+.2f%%\n", was, is,
	       (is / was - 1) * 100);

	return ok & check(is >= was * (1 - MAX_LOSS), "that is less");
}

static const struct {
	const char *name;
	bool (*run)(void);
} others[] = {
	{ "a boot-like burst passes guard untouched", run_boot },
	{ "sharedcap lets a guest boot first", run_grace },
	{ "audit allows everything and records what is above a threshold", run_audit },
	{ "a guest that works hard loses nothing to guard", run_alone },
};

int main(int argc, char **argv)
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

	for (i = 0; i < ARRAY_LEN_OF(effects); i++)
		nr += !regexec(&wanted, effects[i].name, 0, NULL, 0);
	for (i = 0; i < ARRAY_LEN_OF(others); i++)
		nr += !regexec(&wanted, others[i].name, 0, NULL, 0);
	ksft_set_plan(nr);

	add_line("%-30s %-14s %9s %9s %9s %7s %7s %6s  %s", "policy", "unit",
		 "without", "asked for", "held to", "off by", "others", "a page",
		 "errno");
	for (i = 0; i < ARRAY_LEN_OF(effects); i++) {
		if (!regexec(&wanted, effects[i].name, 0, NULL, 0))
			ksft_test_result(run_effect(&effects[i]), "effect: %s\n",
					 effects[i].name);
	}
	for (i = 0; i < ARRAY_LEN_OF(others); i++) {
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
