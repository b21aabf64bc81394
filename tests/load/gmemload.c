// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemload: starts guests with private memory and reports what they do, one
 * JSON line a guest and interval.  This file is the driver: it starts, watches
 * and ends processes.  Each guest runs in a process of its own (vmm.c), so that
 * it has a pid and a name, and dies alone.  Not here: the command line
 * (options.c) and what is written (output.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "../kvm/hold.h"
#include "../kvm/attributes2.h"
#include "gmemload.h"
#include "options.h"
#include "output.h"

#define START_TIMEOUT	(120 * GL_NSEC)
#define STOP_TIMEOUT	(20 * GL_NSEC)

#define GUEST_PROCESS	"--guest-process"

#define MAPPED_SHARED	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

static struct guest *guests;
static unsigned int nr_guests;
static int shm_fd;
static bool interrupted;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * GL_NSEC + ts.tv_nsec;
}

/* The machine */

/* What a guest without private memory needs. */
static void check_plain(int flags)
{
	if ((flags & MAPPED_SHARED) != MAPPED_SHARED)
		gl_fatal("KVM has no guest_memfd that the host may map and that starts shared: boot a newer kernel (6.18), or leave out plain");
}

/* A kernel converts all guests' memory in place, or none's. */
static void check_mode(const struct gl_config *cfg, bool in_place, int flags)
{
	const struct hold_way *way = cfg->hold ? &hold_ways[cfg->hold - 1] : NULL;

	if (cfg->in_place && !in_place)
		gl_fatal("KVM does not convert in place: boot with kvm.gmem_in_place_conversion=1, or load kvm with gmem_in_place_conversion=1");
	if (!cfg->in_place && in_place)
		gl_fatal("KVM only converts in place, so KVM_SET_MEMORY_ATTRIBUTES is ENOTTY: add --in-place, or boot with kvm.gmem_in_place_conversion=0");
	if (cfg->huge && !(flags & GUEST_MEMFD_FLAG_HUGE_PAGES))
		gl_fatal("KVM has no huge folios: write advise to /sys/module/kvm/parameters/gmem_huge_pages; the kernel needs CONFIG_TRANSPARENT_HUGEPAGE");
	if (way && way->needs && access(way->needs, F_OK))
		gl_fatal("cannot hold pages by %s: no %s: %s", way->name, way->needs, way->advice);
}

/* What those with private memory need, whatever the mode. */
static void check_private(int kvm, bool in_place)
{
	const int map_gpa = 1 << KVM_HC_MAP_GPA_RANGE;
	const char *missing = NULL;

	if (!in_place && ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) <= 0)
		missing = "KVM_CAP_MEMORY_ATTRIBUTES";
	else if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) <= 0)
		missing = "KVM_CAP_GUEST_MEMFD";
	else if (!(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES) &
		   (1 << KVM_X86_SW_PROTECTED_VM)))
		missing = "VM type KVM_X86_SW_PROTECTED_VM";
	else if (!(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL) & map_gpa))
		missing = "KVM_HC_MAP_GPA_RANGE";
	if (missing)
		gl_fatal("KVM has no %s: boot a kernel with CONFIG_KVM_SW_PROTECTED_VM=y, 6.8 or newer",
			 missing);
}

static void check_kvm(const struct gl_options *options)
{
	unsigned int i;
	bool in_place;
	int fd, flags;

	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		gl_fatal("no permission to open /dev/kvm: run as root or join the kvm group");
	if (fd < 0)
		gl_fatal("cannot open /dev/kvm: %s: load kvm_amd or kvm_intel, or run in a VM with tests/vm/run",
			 strerror(errno));

	in_place = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
	flags = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);
	if (flags < 0)
		flags = 0;
	for (i = 0; i < options->nr_guests; i++) {
		const struct gl_config *cfg = &options->configs[i];

		if (cfg->plain) {
			check_plain(flags);
			continue;
		}
		check_private(fd, in_place);
		check_mode(cfg, in_place, flags);
	}
	close(fd);
}

/* Processes */

/* In the new process: become gmemload again, but as the host of one guest. */
static void exec_guest(const struct guest *g, pid_t driver)
{
	char where[32];
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != driver)
		_exit(1);

	/* The library writes to stdout; that is for our lines only. */
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	snprintf(where, sizeof(where), "%d:%u", shm_fd, (unsigned int)(g - guests));
	execl("/proc/self/exe", "gmemload", "--name", g->ctl->cfg.name, GUEST_PROCESS, where,
	      gl_patterns[g->ctl->cfg.pattern].name, (char *)NULL);
	snprintf(g->ctl->detail, sizeof(g->ctl->detail), "cannot run /proc/self/exe: %s",
		 strerror(errno));
	_exit(1);
}

static void reap(struct guest *g, int status)
{
	const char *name = g->ctl->cfg.name;

	g->pid = 0;
	if (g->ctl->state == GL_DONE && WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (g->ctl->detail[0]) {
		g->ctl->detail[sizeof(g->ctl->detail) - 1] = '\0';
		g->ctl->state = GL_FAILED;
		gl_warn("guest %s failed: %s", name, g->ctl->detail);
		return;
	}
	g->died = true;
	if (WIFSIGNALED(status))
		gl_warn("guest %s died: %s", name, strsignal(WTERMSIG(status)));
	else
		gl_warn("guest %s died: exit status %d: see the messages above", name,
			WEXITSTATUS(status));
}

/* Sleep until @deadline or until something happened; note what it was. */
static void wait_event(const sigset_t *signals, uint64_t deadline)
{
	uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
	const struct timespec ts = { .tv_sec = left / GL_NSEC, .tv_nsec = left % GL_NSEC };
	unsigned int i;
	int sig, status;

	sig = sigtimedwait(signals, NULL, &ts);
	if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
		interrupted = true;

	for (i = 0; i < nr_guests; i++)
		if (guests[i].pid && waitpid(guests[i].pid, &status, WNOHANG) > 0)
			reap(&guests[i], status);
}

/* All that still run have reached @state. */
static bool all_reached(enum gl_state state)
{
	unsigned int i;

	for (i = 0; i < nr_guests; i++)
		if (guests[i].pid &&
		    __atomic_load_n(&guests[i].ctl->state, __ATOMIC_ACQUIRE) < (uint32_t)state)
			return false;
	return true;
}

/* Idle guests never end by themselves, so nobody waits for them. */
static bool all_ended(void)
{
	unsigned int i, running = 0, workers = 0, running_workers = 0;

	for (i = 0; i < nr_guests; i++) {
		bool idle = gl_patterns[guests[i].ctl->cfg.pattern].idle;

		running += !!guests[i].pid;
		workers += !idle;
		running_workers += !idle && guests[i].pid;
	}
	return !running || (workers && !running_workers);
}

static void make_guests(const struct gl_options *options)
{
	struct gl_guest *shm;
	unsigned int i, v;
	size_t size;

	nr_guests = options->nr_guests;
	size = nr_guests * sizeof(*shm);
	shm_fd = memfd_create("gmemload", 0);
	if (shm_fd < 0 || ftruncate(shm_fd, size))
		gl_fatal("cannot make shared memory of %zu bytes: %s", size, strerror(errno));
	shm = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shm_fd, 0);
	if (shm == MAP_FAILED)
		gl_fatal("cannot map %zu bytes: %s", size, strerror(errno));

	/* Not static: all that is, is copied into each guest. */
	guests = calloc(nr_guests, sizeof(*guests));
	if (!guests)
		gl_fatal("out of memory");

	for (i = 0; i < nr_guests; i++) {
		shm[i].cfg = options->configs[i];
		for (v = 0; v < GL_MAX_VCPUS; v++)
			shm[i].vcpu[v].call_min = UINT64_MAX;
		guests[i].ctl = &shm[i];
		guests[i].call_min = UINT64_MAX;
	}
}

static void start_guests(const sigset_t *signals)
{
	uint64_t deadline = now_ns() + START_TIMEOUT;
	pid_t driver = getpid();
	unsigned int i;

	for (i = 0; i < nr_guests; i++) {
		guests[i].pid = fork();
		if (guests[i].pid < 0) {
			guests[i].pid = 0;
			gl_warn("cannot fork: %s: start fewer guests", strerror(errno));
			return;
		}
		if (!guests[i].pid)
			exec_guest(&guests[i], driver);
		guests[i].shown_pid = guests[i].pid;
	}

	while (!all_reached(GL_READY) && !interrupted && !gl_failed) {
		wait_event(signals, now_ns() + 5000000);
		if (now_ns() > deadline)
			gl_warn("guests did not start in %llu s: give the machine more time or memory",
				START_TIMEOUT / GL_NSEC);
	}
	if (gl_failed || interrupted)
		return;

	for (i = 0; i < nr_guests; i++)
		__atomic_store_n(&guests[i].ctl->go, 1, __ATOMIC_RELEASE);
	while (!all_reached(GL_RUNNING) && !interrupted)
		wait_event(signals, now_ns() + 1000000);
}

static void stop_guests(const sigset_t *signals)
{
	uint64_t deadline = now_ns() + STOP_TIMEOUT;
	unsigned int i, running;

	for (i = 0; i < nr_guests; i++)
		if (guests[i].pid)
			kill(guests[i].pid, SIGTERM);
	do {
		wait_event(signals, now_ns() + 20000000);
		for (running = 0, i = 0; i < nr_guests; i++) {
			running += !!guests[i].pid;
			if (guests[i].pid && now_ns() > deadline)
				kill(guests[i].pid, SIGKILL);
		}
	} while (running);
}

static void run_guests(const sigset_t *signals, const struct gl_options *options,
		       uint64_t start)
{
	uint64_t end = options->duration ? start + options->duration : UINT64_MAX;
	uint64_t last = start, next = start + options->interval;
	unsigned int i;

	while (!interrupted && !all_ended()) {
		uint64_t now;

		wait_event(signals, min(next, end));
		now = now_ns();
		/* The last interval may be a short one: count it all the same. */
		if (now < next && now < end && !interrupted && !all_ended())
			continue;
		for (i = 0; i < nr_guests; i++)
			if (!gl_report_interval(&guests[i], now - start, now - last))
				interrupted = true;
		last = now;
		if (now >= end)
			break;
		while (next <= now)
			next += options->interval;
	}
}

static int driver_main(int argc, char **argv)
{
	struct gl_options options;
	struct sigaction hup;
	sigset_t signals;
	uint64_t start;
	unsigned int i;

	gl_options_parse(&options, argc, argv);
	check_kvm(&options);
	gl_output_open(options.json_path, options.pidfile);
	make_guests(&options);

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	/* Blocked, even an ignored signal arrives: nohup must keep its meaning. */
	if (!sigaction(SIGHUP, NULL, &hup) && hup.sa_handler != SIG_IGN)
		sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	start_guests(&signals);
	start = now_ns();
	if (!gl_failed && !interrupted) {
		gl_pidfile_write(guests, nr_guests);
		if (!gl_failed)
			run_guests(&signals, &options, start);
	}
	stop_guests(&signals);
	gl_pidfile_remove();
	for (i = 0; i < nr_guests; i++)
		gl_report_summary(&guests[i], now_ns() - start);
	return gl_failed;
}

/*
 * The selftest library has a constructor that prints to stdout and needs KVM.
 * Only the process of a guest may meet it, so the driver runs, and ends, as a
 * constructor that comes before.
 */
__attribute__((constructor(101)))
static void driver_entry(int argc, char **argv)
{
	if (argc < 5 || strcmp(argv[3], GUEST_PROCESS))
		exit(driver_main(argc, argv));
}

int main(int argc, char **argv)
{
	struct gl_guest *guest;
	unsigned int index;
	int fd;

	if (sscanf(argv[4], "%d:%u", &fd, &index) != 2)
		gl_usage_error("bad %s '%s': only gmemload itself gives it", GUEST_PROCESS,
			       argv[4]);
	guest = mmap(NULL, sizeof(*guest), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     index * sizeof(*guest));
	if (guest == MAP_FAILED)
		gl_fatal("cannot map the shared memory: %s", strerror(errno));
	return gl_vmm_main(guest);
}
