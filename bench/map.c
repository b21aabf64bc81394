// SPDX-License-Identifier: GPL-2.0-only
/*
 * map VARIANT...: what it costs to draw the memory map of a guest of 1 TiB.
 *
 * sparse	a page in each 64 MiB is populated
 * block	2 GiB in one piece are
 * sparse-mapped, block-mapped
 *		the same of memory that is shared, and that the host has mapped
 *
 * The figure is all calls of the programs read_map and, where memory is mapped,
 * read_mapped that a map of 1,024 cells takes, as gmemtop makes them, and what the
 * kernel does in them.  What is read is the cells, 16 KiB, and 8 KiB of what is
 * mapped.
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
#define CELL_PAGES	(TIB / 4096 / CELLS)
#define RUNS		7

/* Linux's own, which the headers of this kernel's selftests do not have. */
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
#endif

/* One at a time. */
struct guest {
	int vm;
	int fd;
	uint8_t *mem;
	bool mapped;
};

static struct layout_bpf *skel;
static struct guest guest;
static struct gmem_bucket cells[CELLS];
static uint64_t mapped[CELLS];
static uint64_t expected;

/* All of it private, or all of it shared and mapped. */
static void new_guest(int kvm, bool is_mapped)
{
	struct kvm_create_guest_memfd memfd = {
		.size = TIB,
		.flags = is_mapped ? GUEST_MEMFD_FLAG_MMAP |
				     GUEST_MEMFD_FLAG_INIT_SHARED : 0,
	};
	struct kvm_memory_attributes attr = {
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.size = TIB,
	};
	struct kvm_userspace_memory_region2 region = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = TIB,
	};
	int flags = is_mapped ? MAP_SHARED :
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	guest.mapped = is_mapped;
	guest.vm = ioctl(kvm, KVM_CREATE_VM,
			 is_mapped ? 0 : KVM_X86_SW_PROTECTED_VM);
	BENCH_MUST(guest.vm >= 0, "create a VM");
	guest.fd = ioctl(guest.vm, KVM_CREATE_GUEST_MEMFD, &memfd);
	BENCH_MUST(guest.fd >= 0, "create a guest_memfd of 1 TiB");
	guest.mem = mmap(NULL, TIB, PROT_READ | PROT_WRITE, flags,
			 is_mapped ? guest.fd : -1, 0);
	BENCH_MUST(guest.mem != MAP_FAILED, "map 1 TiB");
	region.userspace_addr = (uintptr_t)guest.mem;
	region.guest_memfd = guest.fd;
	BENCH_MUST(!ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2, &region),
		   "make a memslot of 1 TiB");
	if (!is_mapped)
		BENCH_MUST(!ioctl(guest.vm, KVM_SET_MEMORY_ATTRIBUTES, &attr),
			   "convert 1 TiB");
}

static void end_guest(void)
{
	munmap(guest.mem, TIB);
	close(guest.fd);
	close(guest.vm);
}

static void populate(uint64_t start, uint64_t size)
{
	uint64_t offset;

	BENCH_MUST(!fallocate(guest.fd, FALLOC_FL_KEEP_SIZE, start, size),
		   "populate pages");
	expected += size / 4096;
	for (offset = 0; guest.mapped && offset < size; offset += 4096)
		guest.mem[start + offset] = 1;
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

/* Cells from number @done on; returns how many. */
static uint64_t run(const struct bpf_program *prog, uint64_t done)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->start = done * CELL_PAGES;
	skel->bss->nr_buckets = CELLS - done;
	BENCH_MUST(!bpf_prog_test_run_opts(bpf_program__fd(prog), &opts),
		   "run the program");
	if (skel->bss->result <= 0)
		BENCH_DIE("the map failed: %lld", skel->bss->result);
	return skel->bss->result;
}

static uint64_t draw(void)
{
	uint64_t began = bench_now(), done = 0, nr;

	skel->bss->bucket_pages = CELL_PAGES;
	for (; done < CELLS; done += nr) {
		nr = run(skel->progs.read_map, done);
		memcpy(cells + done, skel->bss->buckets, nr * sizeof(*cells));
	}
	skel->bss->look_until_ns = ~0ULL;
	for (done = 0; guest.mapped && done < CELLS; done += nr) {
		memcpy(skel->bss->buckets, cells + done,
		       (CELLS - done) * sizeof(*cells));
		skel->bss->looked_at = 0;
		nr = run(skel->progs.read_mapped, done);
		memcpy(mapped + done, skel->bss->found, nr * sizeof(*mapped));
	}

	return bench_now() - began;
}

static void check(void)
{
	uint64_t private_pages = 0, populated = 0, seen = 0;
	int i;

	for (i = 0; i < CELLS; i++) {
		private_pages += cells[i].private_pages;
		populated += cells[i].populated_pages;
		seen += mapped[i];
	}
	if (private_pages != (guest.mapped ? 0 : TIB / 4096) ||
	    populated != expected || seen != (guest.mapped ? expected : 0))
		BENCH_DIE("the map has %ju private, %ju populated and %ju mapped pages",
			  (uintmax_t)private_pages, (uintmax_t)populated,
			  (uintmax_t)seen);
}

int main(int argc, char **argv)
{
	uint64_t offset, cost;
	int kvm, i;

	if (argc < 2) {
		fprintf(stderr,
			"usage: map sparse|block|sparse-mapped|block-mapped...\n");
		return 2;
	}
	kvm = open("/dev/kvm", O_RDWR);
	BENCH_MUST(kvm >= 0, "open /dev/kvm");
	skel = layout_bpf__open_and_load();
	BENCH_MUST(skel, "load the programs that map memory");
	bench_begin();
	for (i = 1; i < argc; i++) {
		new_guest(kvm, strstr(argv[i], "-mapped"));
		skel->bss->vm_id = my_vm_id();
		memset(mapped, 0, sizeof(mapped));
		expected = 0;
		if (!strncmp(argv[i], "sparse", 6))
			for (offset = 0; offset < TIB; offset += 64 << 20)
				populate(offset, 4096);
		else if (!strncmp(argv[i], "block", 5))
			populate(TIB / 2, 2ULL << 30);
		else
			BENCH_DIE("no variant is called '%s'", argv[i]);
		bench_settle();
		cost = bench_least(draw, RUNS);
		check();
		bench_report(argv[i], "map of 1 TiB", "instructions", cost);
		end_guest();
	}
	layout_bpf__destroy(skel);
	return 0;
}
