// SPDX-License-Identifier: GPL-2.0-only
/*
 * iterate none: what it costs to read the counters of 1,000 VMs, each
 * with a vCPU, a guest_memfd and a private page, the way gmemtop does it.
 *
 * The figure is one bpf() system call that runs the program sample_vms, with
 * all that the kernel does in it, divided by the number of VMs.  What gmemtop
 * does with the counters afterwards is not in it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "bench.h"
#include "gmem_abi.h"
#include "usage.skel.h"

#define NR_VMS	1000
#define ROOM	1024
#define RUNS	31
#define PAGES	16
#define FDS_PER_VM	3

static void must_ioctl(int fd, unsigned long request, void *arg, const char *what)
{
	BENCH_MUST(ioctl(fd, request, arg) >= 0, what);
}

/* Its files stay open until the process ends. */
static void new_vm(int kvm)
{
	struct kvm_create_guest_memfd memfd = { .size = PAGES * 4096 };
	struct kvm_memory_attributes attr = {
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.size = PAGES * 4096,
	};
	int vm, fd;

	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	BENCH_MUST(vm >= 0, "create a VM");
	must_ioctl(vm, KVM_CREATE_VCPU, NULL, "create a vCPU");
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &memfd);
	BENCH_MUST(fd >= 0, "create a guest_memfd");
	BENCH_MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096),
		   "populate a page");
	must_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr, "convert memory");
}

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
		new_vm(kvm);
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
		    vms[i].nr_vcpus != 1 || vms[i].size_pages != PAGES ||
		    vms[i].private_pages != PAGES ||
		    vms[i].populated_pages != 1)
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

	if (argc != 2 || strcmp(argv[1], "none")) {
		fprintf(stderr, "usage: iterate none\n");
		return 2;
	}

	new_vms();
	skel = load();
	walk_fd = bpf_program__fd(skel->progs.sample_vms);
	bench_begin();
	bench_settle();

	cost = bench_least(walk, RUNS);
	check(skel);
	bench_report(argv[1], "read the counters of 1,000 VMs",
		     "instructions/VM", (double)cost / NR_VMS);

	return 0;
}
