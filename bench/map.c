// SPDX-License-Identifier: GPL-2.0-only
/*
 * map sparse|block: what it costs to draw the memory map of a guest of 1 TiB.
 *
 * sparse	a page in each 64 MiB is populated
 * block	2 GiB in one piece are
 *
 * The figure is all calls of the program read_map that a map of 1,024 cells
 * takes, as gmemtop makes them, and what the kernel does in them.  What is read
 * is the cells, 16 KiB.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bench.h"
#include "gmem_abi.h"
#include "gmem_sample.h"
#include "layout.skel.h"

#define TIB		(1ULL << 40)
#define CELLS		1024
#define RUNS		7

static struct layout_bpf *skel;
static struct gmem_bucket cells[CELLS];
static uint64_t expected;

static int new_guest(int kvm)
{
	struct kvm_create_guest_memfd memfd = { .size = TIB };
	struct kvm_memory_attributes attr = {
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.size = TIB,
	};
	struct kvm_userspace_memory_region2 region = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = TIB,
	};
	int vm, fd;
	void *shared;

	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	BENCH_MUST(vm >= 0, "create a VM");
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &memfd);
	BENCH_MUST(fd >= 0, "create a guest_memfd of 1 TiB");
	shared = mmap(NULL, TIB, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BENCH_MUST(shared != MAP_FAILED, "map 1 TiB");
	region.userspace_addr = (uintptr_t)shared;
	region.guest_memfd = fd;
	BENCH_MUST(!ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region),
		   "make a memslot of 1 TiB");
	BENCH_MUST(!ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr),
		   "convert 1 TiB");
	return fd;
}

static void populate(int fd, uint64_t start, uint64_t size)
{
	BENCH_MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE, start, size),
		   "populate pages");
	expected += size / 4096;
}

static uint64_t my_vm_id(void)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_sample sample = {};
	uint64_t id;

	if (!sampler || gmem_sampler_read(sampler, &sample) ||
	    sample.nr_vms != 1)
		BENCH_DIE("cannot find the VM");
	id = sample.vms[0].vm_id;
	gmem_sample_free(&sample);
	gmem_sampler_close(sampler);
	return id;
}

static uint64_t draw(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int prog = bpf_program__fd(skel->progs.read_map);
	uint64_t began = bench_now(), done = 0;

	skel->bss->bucket_pages = TIB / 4096 / CELLS;
	while (done < CELLS) {
		skel->bss->start = done * (TIB / 4096 / CELLS);
		skel->bss->nr_buckets = CELLS - done;
		BENCH_MUST(!bpf_prog_test_run_opts(prog, &opts), "run the program");
		if (skel->bss->result <= 0)
			BENCH_DIE("the map failed: %lld", skel->bss->result);
		memcpy(cells + done, skel->bss->buckets,
		       skel->bss->result * sizeof(*cells));
		done += skel->bss->result;
	}

	return bench_now() - began;
}

static void check(void)
{
	uint64_t private_pages = 0, populated = 0;
	int i;

	for (i = 0; i < CELLS; i++) {
		private_pages += cells[i].private_pages;
		populated += cells[i].populated_pages;
	}
	if (private_pages != TIB / 4096 || populated != expected)
		BENCH_DIE("the map has %ju private and %ju populated pages",
			  (uintmax_t)private_pages, (uintmax_t)populated);
}

int main(int argc, char **argv)
{
	uint64_t offset, cost;
	int kvm, fd, i;

	if (argc < 2) {
		fprintf(stderr, "usage: map sparse|block...\n");
		return 2;
	}
	kvm = open("/dev/kvm", O_RDWR);
	BENCH_MUST(kvm >= 0, "open /dev/kvm");
	fd = new_guest(kvm);
	skel = layout_bpf__open_and_load();
	BENCH_MUST(skel, "load the programs that map memory");
	skel->bss->vm_id = my_vm_id();
	bench_begin();
	for (i = 1; i < argc; i++) {
		BENCH_MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE |
				      FALLOC_FL_PUNCH_HOLE, 0, TIB),
			   "punch out all pages");
		expected = 0;
		if (!strcmp(argv[i], "sparse"))
			for (offset = 0; offset < TIB; offset += 64 << 20)
				populate(fd, offset, 4096);
		else if (!strcmp(argv[i], "block"))
			populate(fd, TIB / 2, 2ULL << 30);
		else
			BENCH_DIE("no variant is called '%s'", argv[i]);
		bench_settle();
		cost = bench_least(draw, RUNS);
		check();
		bench_report(argv[i], "map of 1 TiB", "instructions", cost);
	}
	layout_bpf__destroy(skel);
	return 0;
}
