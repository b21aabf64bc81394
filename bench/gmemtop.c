// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop VARIANT...: what a refresh costs on a host with 1,000 VMs, each with
 * a process, a vCPU, a guest_memfd and a private page of its own.
 *
 *   kernel    instructions a VM in the kernel, of the live view on a terminal
 *             and of a scrape of the exporter
 *   user      the same in userspace
 *   kvm_stat  a refresh as a percentage of one by the kernel's own kvm_stat
 *   memory    peak of resident memory in MiB
 *
 * The programs run unmodified.  A refresh is the time that the scheduler has
 * counted for the process, divided by the number of refreshes, which are the
 * times it read the counters of all VMs; the part in the kernel is the time in
 * system calls, without what they wait.  All times are instructions under
 * "--icount".
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"
#include "small_vm.h"
#include "syscalls.skel.h"

#define NR_VMS		1000
#define GMEMTOP		"build/gmemtop"
#define KVM_STAT	"build/selftests/source/../../../kvm/kvm_stat/kvm_stat"
#define DEBUGFS		"/sys/kernel/debug"

/* Refreshes that are thrown away: the first ones read all names. */
#define WARM_UP		5
#define REFRESHES	10
#define BATCHES		4
#define KVM_STATS	2

static struct syscalls_bpf *trace;

/* The process of one VM. */
static void be_vmm(int nr, int ready)
{
	int kvm = open("/dev/kvm", O_RDWR);
	char name[16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof(name), "guest-%d", nr);
	prctl(PR_SET_NAME, name);
	BENCH_MUST(kvm >= 0, "open /dev/kvm");
	bench_small_vm(kvm);
	BENCH_MUST(write(ready, "", 1) == 1, "report");
	for (;;)
		pause();
}

static void new_vms(void)
{
	int ready[2], i;
	pid_t pid;
	char c;

	BENCH_MUST(!pipe(ready), "make a pipe");
	for (i = 0; i < NR_VMS; i++) {
		pid = fork();
		BENCH_MUST(pid >= 0, "fork");
		if (!pid) {
			close(ready[0]);
			be_vmm(i, ready[1]);
		}
	}
	close(ready[1]);
	for (i = 0; i < NR_VMS; i++)
		BENCH_MUST(read(ready[0], &c, 1) == 1, "start all VMs");
	close(ready[0]);
}

static uint64_t number_in(const char *path, const char *after)
{
	unsigned long long value = 0;
	char text[8192];
	const char *p;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY);
	BENCH_MUST(fd >= 0, path);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	BENCH_MUST(n > 0, path);
	text[n] = '\0';
	p = after ? strstr(text, after) : text;
	if (!p || sscanf(p + (after ? strlen(after) : 0), "%llu", &value) != 1)
		BENCH_DIE("%s says nothing of %s", path, after ? after : "it");

	return value;
}

/* What the scheduler has counted for a thread. */
static uint64_t runtime(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", tid);
	return number_in(path, NULL);
}

static double peak_mib(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return number_in(path, "VmHWM:") / 1024.0;
}

/* Instructions of a nanosecond on the kernel's clock: about 1. */
static double instructions_per_ns(void)
{
	struct timespec a, b;
	uint64_t began, ended;
	volatile int i;

	clock_gettime(CLOCK_MONOTONIC, &a);
	began = bench_now();
	for (i = 0; i < 100000000; i++)
		;
	ended = bench_now();
	clock_gettime(CLOCK_MONOTONIC, &b);

	return (ended - began) /
	       ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec));
}

struct cost {
	double kernel;
	double user;
	double peak;
};

struct reading {
	uint64_t total;
	uint64_t kernel;
	uint64_t refreshes;
};

static struct reading take_reading(pid_t tid)
{
	return (struct reading) {
		.total = runtime(tid),
		.kernel = trace->bss->ns,
		.refreshes = trace->bss->refreshes,
	};
}

static struct cost cost_between(const struct reading *a, const struct reading *b,
				unsigned int least)
{
	double nr = b->refreshes - a->refreshes;
	struct cost cost;

	if (nr < least)
		BENCH_DIE("only %.0f refreshes were seen, not %u", nr, least);
	cost.kernel = (b->kernel - a->kernel) / nr;
	cost.user = (b->total - a->total) / nr - cost.kernel;

	return cost;
}

static void watch(pid_t tid)
{
	trace->bss->watched = tid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

/* Room for what a program prints, a scrape the largest of it. */
static char screen[8 << 20];

/* Reads what comes until so many refreshes are done. */
static void drain(int fd, uint64_t refreshes)
{
	struct pollfd in = { .fd = fd, .events = POLLIN };
	int idle = 0;

	while (trace->bss->refreshes < refreshes) {
		if (poll(&in, 1, 1000) > 0) {
			if (read(fd, screen, sizeof(screen)) <= 0)
				BENCH_DIE("the program has ended");
			idle = 0;
		} else if (++idle > 600) {
			BENCH_DIE("the program shows nothing");
		}
	}
}

static void keep_least(struct cost *least, const struct cost *cost)
{
	if (!least->user ||
	    cost->kernel + cost->user < least->kernel + least->user)
		*least = *cost;
}

/* gmemtop on a terminal, a refresh each second. */
static struct cost live_view(unsigned short rows, unsigned short cols)
{
	const struct winsize size = { .ws_row = rows, .ws_col = cols };
	struct cost cost, least = {};
	struct reading a, b;
	pid_t pid;
	int fd, i;

	pid = forkpty(&fd, NULL, NULL, &size);
	BENCH_MUST(pid >= 0, "open a terminal");
	if (!pid) {
		setenv("TERM", "xterm", 1);
		setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
		execl(GMEMTOP, "gmemtop", NULL);
		BENCH_DIE("cannot run " GMEMTOP);
	}
	/* It loads its programs and reads all names; let that pass. */
	sleep(20);
	trace->bss->refreshes = 0;
	watch(pid);
	drain(fd, WARM_UP);
	for (i = 0; i < BATCHES; i++) {
		a = take_reading(pid);
		drain(fd, trace->bss->refreshes + REFRESHES);
		b = take_reading(pid);
		cost = cost_between(&a, &b, REFRESHES);
		keep_least(&least, &cost);
	}
	least.peak = peak_mib(pid);
	watch(0);
	stop(pid);
	close(fd);

	return least;
}

static pid_t other_thread(pid_t pid)
{
	struct dirent *entry;
	pid_t tid = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	BENCH_MUST(dir, "list threads");
	while ((entry = readdir(dir)))
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != pid)
			tid = atoi(entry->d_name);
	closedir(dir);
	if (!tid)
		BENCH_DIE("the exporter has no thread that serves");

	return tid;
}

/* Returns the number of VMs that it showed. */
static int scrape(unsigned short port)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	size_t got = 0;
	const char *p = screen;
	int fd, vms = 0;
	ssize_t n;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	BENCH_MUST(fd >= 0 && !connect(fd, (void *)&addr, sizeof(addr)),
		   "connect to the exporter");
	BENCH_MUST(write(fd, request, strlen(request)) > 0, "send a request");
	while ((n = read(fd, screen + got, sizeof(screen) - 1 - got)) > 0)
		got += n;
	close(fd);
	screen[got] = '\0';
	for (; (p = strstr(p, "\ngmem_vm_info{")); p++)
		vms++;

	return vms;
}

/* The exporter; a scrape is a refresh. */
static struct cost exporter(void)
{
	struct cost cost, least = {};
	struct reading a, b;
	unsigned int port;
	char line[256];
	int out[2], i, j;
	pid_t pid;

	BENCH_MUST(!pipe(out), "make a pipe");
	pid = fork();
	BENCH_MUST(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		execl(GMEMTOP, "gmemtop", "export", "--listen", "127.0.0.1:0", NULL);
		BENCH_DIE("cannot run " GMEMTOP);
	}
	close(out[1]);
	i = read(out[0], line, sizeof(line) - 1);
	line[i > 0 ? i : 0] = '\0';
	if (sscanf(line, "Serving http://127.0.0.1:%u/", &port) != 1)
		BENCH_DIE("the exporter does not serve");
	trace->bss->refreshes = 0;
	watch(other_thread(pid));
	/*
	 * While the VM waits for the host to read code, its clock may run far
	 * ahead, and the exporter takes this for a visitor who dawdles.
	 */
	for (i = 0; i < WARM_UP; i++)
		scrape(port);
	for (i = 0; i < BATCHES; i++) {
		bench_settle();
		a = take_reading(trace->bss->watched);
		for (j = 0; j < REFRESHES; j++)
			if (scrape(port) != NR_VMS)
				BENCH_DIE("a scrape did not show %d VMs: %.40s",
					  NR_VMS, screen);
		bench_settle();
		b = take_reading(trace->bss->watched);
		cost = cost_between(&a, &b, REFRESHES);
		keep_least(&least, &cost);
	}
	least.peak = peak_mib(pid);
	watch(0);
	stop(pid);
	close(out[0]);

	return least;
}

/* kvm_stat from the kernel's source, its log of one line a refresh. */
static double kvm_stat(void)
{
	uint64_t began = 0;
	double cost;
	int out[2], i;
	ssize_t n;
	pid_t pid;

	BENCH_MUST(!pipe(out), "make a pipe");
	pid = fork();
	BENCH_MUST(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		setenv("PYTHONUNBUFFERED", "1", 1);
		execlp("python3", "python3", KVM_STAT, "-d", "-l", NULL);
		BENCH_DIE("cannot run python3");
	}
	close(out[1]);
	/* A banner, then a line for each refresh; the first has no match. */
	for (i = -2; i < KVM_STATS; ) {
		char *p = screen;

		n = read(out[0], screen, sizeof(screen) - 1);
		if (n <= 0)
			BENCH_DIE("kvm_stat has ended");
		screen[n] = '\0';
		while ((p = strchr(p, '\n'))) {
			p++;
			if (++i == 0)
				began = runtime(pid);
		}
	}
	cost = (double)(runtime(pid) - began) / i;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);

	return cost;
}

static void mount_debugfs(void)
{
	struct stat st;

	if (stat(DEBUGFS "/kvm", &st))
		BENCH_MUST(!mount("none", DEBUGFS, "debugfs", 0, NULL),
			   "mount debugfs");
	BENCH_MUST(!stat(DEBUGFS "/kvm", &st), "find KVM's files in debugfs");
}

static struct cost small, large, export;
/* From the kernel's clock, and all VMs, to instructions a VM. */
static double scale;

static void report_vm(const char *variant, double s, double l, double e)
{
	bench_report(variant, "live view, 80x24", "instructions/VM", s * scale);
	bench_report(variant, "live view, 200x50", "instructions/VM", l * scale);
	bench_report(variant, "scrape", "instructions/VM", e * scale);
}

static void report(const char *variant)
{
	double rival;

	if (!strcmp(variant, "kernel")) {
		report_vm(variant, small.kernel, large.kernel, export.kernel);
	} else if (!strcmp(variant, "user")) {
		report_vm(variant, small.user, large.user, export.user);
	} else if (!strcmp(variant, "kvm_stat")) {
		rival = kvm_stat();
		fprintf(stderr, "kvm_stat: %.1f instructions/VM a refresh\n",
			rival * scale);
		bench_report(variant, "live view, 200x50", "%",
			     100 * (large.kernel + large.user) / rival);
		bench_report(variant, "scrape", "%",
			     100 * (export.kernel + export.user) / rival);
	} else if (!strcmp(variant, "memory")) {
		bench_report(variant, "live view, 200x50", "MiB", large.peak);
		bench_report(variant, "exporter", "MiB", export.peak);
	} else {
		BENCH_DIE("no variant is called '%s'", variant);
	}
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: gmemtop kernel|user|kvm_stat|memory...\n");
		return 2;
	}
	mount_debugfs();
	new_vms();
	trace = syscalls_bpf__open_and_load();
	BENCH_MUST(trace, "load the program that times system calls");
	BENCH_MUST(!syscalls_bpf__attach(trace), "attach it");
	scale = instructions_per_ns() / NR_VMS;

	small = live_view(24, 80);
	large = live_view(50, 200);
	export = exporter();
	for (i = 1; i < argc; i++)
		report(argv[i]);

	return 0;
}
