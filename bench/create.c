// SPDX-License-Identifier: GPL-2.0-only
/*
 * create none: what it costs to create and to destroy a VM with a vCPU, and
 * how much memory the kernel keeps for it, when there are 1,000 of them.
 *
 * Creation and destruction wait for threads of the kernel.  What those do is in
 * the figures, and so is all else the machine does meanwhile but idle: a thread
 * of the lowest priority spins, and what it gets of the CPU is subtracted.  Of
 * destruction, a few thousandths are done later.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "bench.h"

#define NR_VMS	1000

static int kvm;
static int vms[NR_VMS];
static int vcpus[NR_VMS];

static volatile bool spinning;
static pthread_t spinner;
static clockid_t spinner_clock;

static void *spin(void *unused)
{
	const struct sched_param param = { .sched_priority = 0 };

	BENCH_MUST(!sched_setscheduler(0, SCHED_IDLE, &param),
		   "lower the priority");
	while (spinning)
		;

	return NULL;
}

/* The clock less what the spinner had of it: a nanosecond an instruction. */
static int64_t instructions(void)
{
	struct timespec spun;

	BENCH_MUST(!clock_gettime(spinner_clock, &spun), "read a thread's clock");

	return bench_now() - (spun.tv_sec * 1000000000ULL + spun.tv_nsec);
}

/* The instructions that @run took for all VMs. */
static double count(void (*run)(void))
{
	int64_t began, ended;

	spinning = true;
	BENCH_MUST(!pthread_create(&spinner, NULL, spin, NULL),
		   "start a thread");
	BENCH_MUST(!pthread_getcpuclockid(spinner, &spinner_clock),
		   "find a thread's clock");
	bench_settle();
	began = instructions();
	run();
	ended = instructions();
	spinning = false;
	pthread_join(spinner, NULL);

	return ended - began;
}

/* Waits for what was left to do, the five seconds of kfree_rcu() included. */
static void settle(void)
{
	sleep(6);
	BENCH_MUST(!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0),
		   "wait for a grace period");
	bench_settle();
}

static long free_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	BENCH_MUST(f, "open /proc/meminfo");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "MemFree: %ld kB", &kib);
	fclose(f);
	if (kib < 0)
		BENCH_DIE("/proc/meminfo does not tell of free memory");

	return kib;
}

static void create(void)
{
	unsigned int i;

	for (i = 0; i < NR_VMS; i++) {
		vms[i] = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		BENCH_MUST(vms[i] >= 0, "create a VM");
		vcpus[i] = ioctl(vms[i], KVM_CREATE_VCPU, 0UL);
		BENCH_MUST(vcpus[i] >= 0, "create a vCPU");
	}
}

static void destroy(void)
{
	unsigned int i;

	for (i = 0; i < NR_VMS; i++) {
		close(vcpus[i]);
		close(vms[i]);
	}
}

static void measure(const char *variant)
{
	double created, destroyed;
	long before, after;

	/* Once to warm up: slabs and the like keep some of it. */
	create();
	destroy();
	settle();

	before = free_kib();
	created = count(create);
	settle();
	after = free_kib();
	destroyed = count(destroy);

	bench_report(variant, "create a VM", "instructions", created / NR_VMS);
	bench_report(variant, "destroy a VM", "instructions",
		     destroyed / NR_VMS);
	bench_report(variant, "memory of a VM", "KiB",
		     (double)(before - after) / NR_VMS);
}

int main(int argc, char **argv)
{
	const struct rlimit limit = {
		.rlim_cur = 2 * NR_VMS + 100,
		.rlim_max = 2 * NR_VMS + 100,
	};

	if (argc != 2 || strcmp(argv[1], "none")) {
		fprintf(stderr, "usage: create none\n");
		return 2;
	}

	kvm = open("/dev/kvm", O_RDWR);
	BENCH_MUST(kvm >= 0, "open /dev/kvm");
	BENCH_MUST(!setrlimit(RLIMIT_NOFILE, &limit),
		   "raise the limit of open files, which needs root");
	bench_begin();
	measure(argv[1]);

	return 0;
}
