// SPDX-License-Identifier: GPL-2.0-only
/*
 * iterate none|twice...: what it costs to read the counters of 1,000 VMs, each
 * with a vCPU, a guest_memfd and a private page, the way gmemtop does it; twice
 * looks for their memory that is backed twice, too.
 *
 * The figure is one bpf() system call that runs the program sample_vms, with
 * all that the kernel does in it, divided by the number of VMs.  What gmemtop
 * does with the counters afterwards is not in it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "bench.h"
#include "gmem_abi.h"
#include "small_vm.h"
#include "usage.skel.h"

#define NR_VMS	1000
#define ROOM	1024
#define RUNS	31
#define FDS_PER_VM	3

static void new_vms(void)
{
	const struct rlimit limit = {
		.rlim_cur = NR_VMS * FDS_PER_VM + 100,
		.rlim_max = NR_VMS * FDS_PER_VM + 100,
	};
	int kvm = open("/dev/kvm", O_RDWR), i;

	BENCH_MUST(kvm >= 0, "open /dev/kvm");
	BENCH_MUST(!setrlimit(RLIMIT_NOFILE, &limit),
		   "raise the limit of open files, which needs root");
	for (i = 0; i < NR_VMS; i++)
		bench_small_vm(kvm);
}

static struct usage_bpf *load(void)
{
	struct usage_bpf *skel = usage_bpf__open();

	BENCH_MUST(skel, "open the program that samples");
	BENCH_MUST(!bpf_map__set_max_entries(skel->maps.vm_samples, ROOM),
		   "make room for the samples");
	BENCH_MUST(!usage_bpf__load(skel), "load the program that samples");

	return skel;
}

/* A figure for a walk that missed something would be worth nothing. */
static void check(struct usage_bpf *skel)
{
	const struct gmem_vm_sample *vms;
	unsigned int i;

	vms = mmap(NULL, ROOM * sizeof(*vms), PROT_READ, MAP_SHARED,
		   bpf_map__fd(skel->maps.vm_samples), 0);
	BENCH_MUST(vms != MAP_FAILED, "map the samples");
	if (skel->bss->vm_walk.found != NR_VMS)
		BENCH_DIE("the walk found %llu VMs of %d",
			  skel->bss->vm_walk.found, NR_VMS);
	for (i = 0; i < NR_VMS; i++) {
		if (vms[i].pid != (unsigned int)getpid() ||
		    vms[i].nr_vcpus != 1 ||
		    vms[i].size_pages != SMALL_VM_PAGES ||
		    vms[i].private_pages != SMALL_VM_PAGES ||
		    vms[i].populated_pages != 1 ||
		    (vms[i].twice_pages != GMEM_UNKNOWN &&
		     vms[i].twice_pages != 1))
			BENCH_DIE("VM %u of the walk has wrong counters", i);
	}
}

static int walk_fd;

static uint64_t walk(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint64_t began = bench_now();

	BENCH_MUST(!bpf_prog_test_run_opts(walk_fd, &opts), "run the walk");

	return bench_now() - began;
}

int main(int argc, char **argv)
{
	struct usage_bpf *skel;
	uint64_t cost;
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], "none") && strcmp(argv[i], "twice"))
			BENCH_DIE("no variant is called '%s'", argv[i]);
	if (argc < 2) {
		fprintf(stderr, "usage: iterate none|twice...\n");
		return 2;
	}

	new_vms();
	skel = load();
	walk_fd = bpf_program__fd(skel->progs.sample_vms);
	bench_begin();
	bench_settle();

	for (i = 1; i < argc; i++) {
		skel->bss->twice_of = strcmp(argv[i], "twice") ?
				      GMEM_TWICE_OF_NONE : GMEM_TWICE_OF_ALL;
		cost = bench_least(walk, RUNS);
		check(skel);
		bench_report(argv[i], "read the counters of 1,000 VMs",
			     "instructions/VM", (double)cost / NR_VMS);
	}

	return 0;
}
