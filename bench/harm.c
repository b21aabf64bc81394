// SPDX-License-Identifier: GPL-2.0-only
/*
 * harm cpu|memory|ipis...: what others pay for what a VM has done to its private
 * memory: the figures that the policy guard is made from.
 *
 * cpu		time beyond that of the VMM's own threads
 * memory	memory, and how much of it no cgroup is charged for
 * ipis		interrupts of another CPU, on which somebody else works; for
 *		"tests/vm/run --cpus 2", since bench/run has one CPU
 *
 * Of "cpu": beside the VMM a thread of the lowest priority counts in a loop
 * whenever nobody else has the CPU.  In a stretch of time of a given length the
 * turns that it does not get are what everything else took: interrupts, softirqs
 * and kernel threads as well.  So what it gets less than it would in the time
 * that the VMM leaves, by a stretch without any events, is what others pay.  What
 * is freed five seconds later, as by kfree_rcu(), is the time of all kernel
 * threads in that time.
 *
 * Lines that are no figures say what it costs the VMM, and what is charged.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "harm.h"

#define BATCHES		5
#define BATCH_NS	30000000ULL
/* Longer than kfree_rcu() waits. */
#define DRAIN_S		6

static volatile uint64_t turns;
static volatile bool spin, stop;

/* A turn is some instructions that are always the same. */
static noinline void take_turns(uint64_t most)
{
	uint64_t i;

	for (i = 0; i < most && spin; i++)
		turns++;
}

static void *spinner(void *unused)
{
	const struct sched_param param = {};
	const struct timespec pause = { .tv_nsec = 1000000 };

	BENCH_MUST(!sched_setscheduler(0, SCHED_IDLE, &param),
		   "lower the priority");
	while (!stop) {
		take_turns(UINT64_MAX);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static uint64_t time_turns(void)
{
	uint64_t began = bench_now();

	spin = true;
	take_turns(10000);
	spin = false;

	return bench_now() - began;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);

	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec ts = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

/* What all processes but this one have run, in ns. */
static uint64_t others_ran(void)
{
	unsigned long long ns, sum = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;
	char path[300];
	FILE *f;

	BENCH_MUST(proc, "read /proc");
	while ((d = readdir(proc))) {
		if (atoi(d->d_name) <= 0 || atoi(d->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/schedstat", d->d_name);
		f = fopen(path, "r");
		if (f && fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		if (f)
			fclose(f);
	}
	closedir(proc);
	return sum;
}

/**
 * struct taken - what a stretch of time with events took
 * @turns: that the loop got
 * @own_ns: time of the VMM's own
 * @late_ns: of kernel threads, afterwards
 */
struct taken {
	uint64_t turns;
	uint64_t own_ns;
	uint64_t late_ns;
};

static void run_stretch(const struct harm_event *e, struct taken *taken)
{
	uint64_t begin, own, others, i = 0;
	unsigned int batch, n;

	bench_settle();
	/* Timer ticks must come as often in each of them. */
	begin = (read_clock(CLOCK_MONOTONIC) / 4000000 + 10) * 4000000 + 1000000;
	sleep_until(begin);
	own = read_clock(CLOCK_THREAD_CPUTIME_ID);
	taken->turns = turns;
	spin = true;
	for (batch = 0; batch < BATCHES; batch++) {
		for (n = 0; e && n < e->batch; n++)
			e->run(i++);
		begin += BATCH_NS;
		if (read_clock(CLOCK_MONOTONIC) > begin)
			BENCH_DIE("%s: a batch takes too long", e->name);
		sleep_until(begin);
	}
	taken->turns = turns - taken->turns;
	taken->own_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) - own;
	spin = false;
	bench_settle();
	others = others_ran();
	sleep(DRAIN_S);
	taken->late_ns = others_ran() - others;
}

static void measure_cpu(const char *variant)
{
	struct taken none, some, again;
	const double stretch = BATCHES * BATCH_NS;
	double turn_ns, beyond, own, left;
	unsigned int i, events;
	pthread_t thread;
	char unit[64];

	harm_begin();
	turn_ns = bench_least(time_turns, 50) / 10000.0;
	BENCH_MUST(!pthread_create(&thread, NULL, spinner, NULL),
		   "start a thread");
	run_stretch(NULL, &none);
	run_stretch(NULL, &none);
	run_stretch(NULL, &again);
	printf("a turn: %.3f instructions; without events: %.0f and %.0f turns, "
	       "%ju and %ju ns of its own, %ju and %ju ns later\n",
	       turn_ns, (double)none.turns, (double)again.turns,
	       (uintmax_t)none.own_ns, (uintmax_t)again.own_ns,
	       (uintmax_t)none.late_ns, (uintmax_t)again.late_ns);
	for (i = 0; i < ARRAY_SIZE(harm_events); i++) {
		const struct harm_event *e = &harm_events[i];

		events = e->batch * BATCHES * e->per;
		/* Once to warm up: slabs and lists of free pages. */
		run_stretch(e, &some);
		run_stretch(e, &some);
		own = (double)some.own_ns - none.own_ns;
		left = (stretch - some.own_ns) / (stretch - none.own_ns);
		beyond = (left * none.turns - some.turns) * turn_ns;
		if (some.late_ns > none.late_ns)
			beyond += some.late_ns - none.late_ns;
		printf("%s: its own %.1f, of others %.1f, of that later %.1f\n",
		       e->name, own / events, beyond / events,
		       ((double)some.late_ns - none.late_ns) / events);
		snprintf(unit, sizeof(unit), "instructions/%s", e->unit);
		bench_report(variant, e->name, unit,
			     beyond > 0 ? beyond / events : 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	kvm_vm_free(harm_vm);
}

/* Memory */

#define CGROUP		"/sys/fs/cgroup/harm"
#define CUT_SIZE	(64ULL << 30)
#define SLOTLESS	(1ULL << 40)

static double read_kib(const char *path, const char *fmt)
{
	FILE *f = fopen(path, "r");
	unsigned long long value;
	char line[128];

	BENCH_MUST(f, "read a file of memory");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, fmt, &value) == 1) {
			fclose(f);
			return value;
		}
	}
	BENCH_DIE("%s has no %s", path, fmt);
}

static double charged_kib(void)
{
	return read_kib(CGROUP "/memory.current", "%llu") / 1024;
}

static double free_kib(void)
{
	return read_kib("/proc/meminfo", "MemFree: %llu kB");
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	BENCH_MUST(fd >= 0 && write(fd, text, strlen(text)) > 0,
		   "enter a cgroup");
	close(fd);
}

static void enter_cgroup(void)
{
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	BENCH_MUST(!mkdir(CGROUP, 0755) || errno == EEXIST, "make a cgroup");
	write_file(CGROUP "/cgroup.procs", "0");
}

static void make_vm(void)
{
	harm_vm = bench_vm(CUT_SIZE, harm_guest_code, &harm_vcpu);
	bench_convert(harm_vm, 0, CUT_SIZE, true);
}

static void allocate(void)
{
	bench_populate(harm_vm, DATA_SIZE / 2);
}

static void prefault(void)
{
	bench_prefault(harm_vcpu, 0, DATA_SIZE / 2);
}

/* One page in each block. */
static void cut_from(uint64_t from, bool private)
{
	uint64_t offset;

	for (offset = 0; offset < CUT_SIZE; offset += BLOCK_SIZE)
		bench_convert(harm_vm, from + offset + PAGE_SIZE, PAGE_SIZE,
			      private);
}

static void cut(void)
{
	cut_from(0, false);
}

static void cut_holes(void)
{
	cut_from(SLOTLESS, true);
}

/* The host's side of what is shared is filled, and nothing is given back. */
static void hold_twice(void)
{
	uint8_t *shared = addr_gpa2hva(harm_vm, DATA_GPA);
	uint64_t offset;

	bench_populate(harm_vm, DATA_SIZE / 4);
	bench_convert(harm_vm, 0, DATA_SIZE / 4, false);
	for (offset = 0; offset < DATA_SIZE / 4; offset += PAGE_SIZE)
		shared[offset] = 1;
}

/**
 * struct taking - something that takes memory
 * @name: what the table calls it
 * @take: does it
 */
static const struct taking {
	const char *name;
	void (*take)(void);
} takings[] = {
	{ "allocate 512 MiB", allocate },
	{ "prefault 512 MiB", prefault },
	{ "64 GiB: a page in each 2 MiB shared", cut },
	{ "64 GiB of frames without memory: a page in each 2 MiB private", cut_holes },
	{ "256 MiB populated, shared, not punched, and touched", hold_twice },
};

static void measure_memory(const char *variant)
{
	double charged, available;
	unsigned int i, round;

	enter_cgroup();
	for (i = 0; i < ARRAY_SIZE(takings); i++) {
		/* Once to warm up: slabs and lists of free pages. */
		for (round = 0; round < 2; round++) {
			make_vm();
			sleep(DRAIN_S);
			charged = charged_kib();
			available = free_kib();
			takings[i].take();
			sleep(DRAIN_S);
			charged = charged_kib() - charged;
			available -= free_kib();
			kvm_vm_free(harm_vm);
			sleep(DRAIN_S);
		}
		printf("%s: %.0f KiB charged, %.0f taken\n", takings[i].name,
		       charged, available);
		bench_report(variant, takings[i].name, "KiB not charged",
			     available > charged ? available - charged : 0);
	}
}

/* Interrupts by other CPUs */

static void pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	BENCH_MUST(!sched_setaffinity(0, sizeof(cpus), &cpus), "pin a thread");
}

/* Of the second CPU, ever. */
static uint64_t ipis(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	unsigned long long first, second, sum = 0;
	char line[512], name[16];

	BENCH_MUST(f, "read /proc/interrupts");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %15[A-Z]: %llu %llu", name, &first, &second) == 3 &&
		    (!strcmp(name, "RES") || !strcmp(name, "CAL") || !strcmp(name, "TLB")))
			sum += second;
	}
	fclose(f);
	return sum;
}

static void *neighbour(void *unused)
{
	pin(1);
	return spinner(unused);
}

static void measure_ipis(const char *variant)
{
	unsigned int i, n, events;
	pthread_t thread;
	uint64_t before;
	char unit[64];

	pin(0);
	harm_begin();
	spin = true;
	BENCH_MUST(!pthread_create(&thread, NULL, neighbour, NULL),
		   "start a thread");
	for (i = 0; i < ARRAY_SIZE(harm_events); i++) {
		const struct harm_event *e = &harm_events[i];

		events = e->batch * BATCHES;
		bench_settle();
		before = ipis();
		for (n = 0; n < events; n++)
			e->run(n);
		snprintf(unit, sizeof(unit), "IPIs/1,000 %ss", e->unit);
		bench_report(variant, e->name, unit,
			     (ipis() - before) * 1000.0 / (events * e->per));
	}
	stop = true;
	spin = false;
	pthread_join(thread, NULL);
	kvm_vm_free(harm_vm);
}

static void measure(const char *variant)
{
	if (!strcmp(variant, "cpu"))
		measure_cpu(variant);
	else if (!strcmp(variant, "memory"))
		measure_memory(variant);
	else if (!strcmp(variant, "ipis"))
		measure_ipis(variant);
	else
		BENCH_DIE("no variant is called '%s'; see the head of bench/harm.c",
			  variant);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: harm cpu|memory|ipis...\n");
		return 2;
	}
	bench_begin();
	for (i = 1; i < argc; i++)
		measure(argv[i]);

	return 0;
}
