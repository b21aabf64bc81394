// SPDX-License-Identifier: GPL-2.0-only
/*
 * stock none|counted|refresh...: what gmemtop costs on a kernel that has nothing of
 * gmem.
 *
 *   none     operations on private memory while nobody looks, or looks at one frame
 *   counted  the same while they are counted, as long as gmemtop shows rates
 *   refresh  to look for 1,000 VMs among the open files of those and of 10,000 other
 *            processes; all in all, whoever they belong to
 *
 * A refresh is the sampler's, as gmemtop calls it, in the kernel and in userspace.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "gmem_kernel.h"
#include "gmem_sample.h"
#include "small_vm.h"
#include "vm.h"

#define NR_VMS		1000
#define NR_OTHERS	10000
/* Files that one of the others has open. */
#define NR_FILES	16
#define RUNS		11
#define REFRESHES	5
#define OPS		64
#define PAGES		(BLOCK_SIZE / PAGE_SIZE)

static struct kvm_vcpu *vcpu;
static struct kvm_vm *vm;
static struct gmem_sampler *sampler;
static struct gmem_sample sample;

static void guest_code(void)
{
	GUEST_DONE();
}

static uint64_t toggle(void)
{
	uint64_t cost = 0;
	int i;

	for (i = 0; i < OPS; i++) {
		cost += bench_convert(vm, 0, PAGE_SIZE, false);
		cost += bench_convert(vm, 0, PAGE_SIZE, true);
	}
	return cost;
}

static uint64_t nothing_to_change(void)
{
	uint64_t cost = 0;
	int i;

	for (i = 0; i < OPS; i++)
		cost += bench_convert(vm, 0, PAGE_SIZE, true);
	return cost;
}

static uint64_t prefault(void)
{
	bench_punch(vm, BLOCK_SIZE);
	return bench_prefault(vcpu, 0, BLOCK_SIZE);
}

static uint64_t other_ioctl(void)
{
	uint64_t began = bench_now();
	int i;

	for (i = 0; i < OPS; i++)
		ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	return bench_now() - began;
}

static uint64_t allocate(void)
{
	uint64_t began;

	bench_punch(vm, BLOCK_SIZE);
	began = bench_now();
	bench_populate(vm, BLOCK_SIZE);
	return bench_now() - began;
}

static uint64_t punch(void)
{
	uint64_t began;

	bench_populate(vm, BLOCK_SIZE);
	began = bench_now();
	bench_punch(vm, BLOCK_SIZE);
	return bench_now() - began;
}

static void report_operations(const char *variant)
{
	const struct {
		uint64_t (*run)(void);
		const char *op;
		const char *unit;
		double by;
	} ops[] = {
		{ toggle, "toggle 4 KiB", "instructions/conversion", 2 * OPS },
		{ nothing_to_change, "convert 4 KiB, nothing to change",
		  "instructions", OPS },
		{ other_ioctl, "another ioctl of a VM", "instructions", OPS },
		{ prefault, "prefault", "instructions/page", PAGES },
		{ allocate, "fallocate", "instructions/page", PAGES },
		{ punch, "punch a hole", "instructions/page", PAGES },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		bench_report(variant, ops[i].op, ops[i].unit,
			     bench_least(ops[i].run, RUNS) / ops[i].by);
}

/* ------------------------------------------------------------------ refresh */

/* A process that waits for its end, with a VM or with other files. */
static void be_process(int ready, bool has_vm)
{
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Our VM and our programs are no files of theirs. */
	BENCH_MUST(!close_range(3, ready - 1, 0) && !close_range(ready + 1, ~0U, 0),
		   "close files");
	if (has_vm) {
		i = open("/dev/kvm", O_RDWR);
		BENCH_MUST(i >= 0, "open /dev/kvm");
		bench_small_vm(i);
	} else {
		do {
			i = dup(ready);
			BENCH_MUST(i >= 0, "open a file");
		} while (i < NR_FILES - 1);
	}
	BENCH_MUST(write(ready, "", 1) == 1, "report");
	for (;;)
		pause();
}

static void start(int nr, bool has_vm)
{
	int ready[2], i;
	pid_t pid;
	char c;

	BENCH_MUST(!pipe(ready), "make a pipe");
	for (i = 0; i < nr; i++) {
		pid = fork();
		BENCH_MUST(pid >= 0, "fork");
		if (!pid)
			be_process(ready[1], has_vm);
		BENCH_MUST(read(ready[0], &c, 1) == 1, "start a process");
	}
	close(ready[0]);
	close(ready[1]);
}

static uint64_t refresh(void)
{
	uint64_t began = bench_now(), cost;
	size_t i, ours = 0;

	BENCH_MUST(!gmem_sampler_read(sampler, &sample), "look for VMs");
	cost = bench_now() - began;
	/* A figure for a walk that missed something would be worth nothing. */
	for (i = 0; i < sample.nr_vms; i++)
		ours += sample.vms[i].nr_vcpus == 1 &&
			sample.vms[i].size_pages == SMALL_VM_PAGES &&
			sample.vms[i].populated_pages == 1 &&
			sample.vms[i].rss_pages && sample.vms[i].pid;
	if (ours != NR_VMS)
		BENCH_DIE("the walk found %zu VMs of %d", ours, NR_VMS);
	return cost;
}

static void report_refresh(const char *variant)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	int others = open("/proc/sys/kernel/pid_max", O_WRONLY);

	BENCH_MUST(others >= 0 && write(others, "65536", 5) == 5, "allow many processes");
	close(others);
	BENCH_MUST(!setrlimit(RLIMIT_NPROC, &limit), "allow many processes");
	start(NR_VMS, true);
	bench_report(variant, "1,000 VMs", "instructions",
		     bench_least(refresh, REFRESHES));
	start(NR_OTHERS, false);
	bench_report(variant, "1,000 VMs and 10,000 other processes",
		     "instructions", bench_least(refresh, REFRESHES));
}

static void report(const char *variant)
{
	if (!strcmp(variant, "refresh")) {
		report_refresh(variant);
		return;
	}
	if (!strcmp(variant, "counted"))
		BENCH_MUST(!gmem_sampler_count(sampler), "count");
	else if (strcmp(variant, "none"))
		BENCH_DIE("no variant is called '%s'", variant);
	report_operations(variant);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: stock none|counted|refresh...\n");
		return 2;
	}
	gmem_libbpf_quiet(false);
	sampler = gmem_sampler_open();
	if (!sampler)
		BENCH_DIE("there is nothing to sample with");
	vm = bench_vm(BLOCK_SIZE, guest_code, &vcpu);
	bench_convert(vm, 0, BLOCK_SIZE, true);
	bench_begin();
	bench_settle();
	for (i = 1; i < argc; i++)
		report(argv[i]);
	kvm_vm_free(vm);
	return 0;
}
