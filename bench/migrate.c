// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate VARIANT...: what it costs to move 1 GiB of a guest's memory to another NUMA
 * node, a page at a time and in pieces of 2 MiB.
 *
 * "none" is the same amount of ordinary shared memory, a memfd that a process has
 * mapped, which mbind() moves; "guest" is one that a guest has mapped, too.  "shared" is
 * a guest_memfd that is mapped by both, and moved likewise; "private" and "huge" are
 * private memory, which gmemmove's program moves and a guest has mapped.
 */
#include <bpf/bpf.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../tests/kvm/attributes2.h"
#include "gmem_sample.h"
#include "move.skel.h"
#include "vm.h"

#define PAGES		(DATA_SIZE / PAGE_SIZE)
#define BLOCKS		(DATA_SIZE / BLOCK_SIZE)
/* A GiB is long enough for one to be like another. */
#define RUNS		1
#define SHMEM_HUGE	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static struct move_bpf *mover;

static void guest_code(void)
{
}

/* All that is allocated from here on comes from one node. */
static void allocate_on(int node)
{
	unsigned long mask = 1UL << node;

	BENCH_MUST(!syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 8 * sizeof(mask)),
		   "allocate on a node");
}

static void allocate_anywhere(void)
{
	BENCH_MUST(!syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0),
		   "allocate anywhere");
}

static int node_of(void *mem)
{
	int node = -1;

	BENCH_MUST(!syscall(SYS_move_pages, 0, 1UL, &mem, NULL, &node, 0),
		   "find a page's node");

	return node;
}

/* What a process has mapped goes to node 1. */
static uint64_t move_mapped(void *mem)
{
	unsigned long mask = 1UL << 1;
	uint64_t began, cost;
	size_t at;

	began = bench_now();
	BENCH_MUST(!syscall(SYS_mbind, mem, DATA_SIZE, MPOL_BIND, &mask,
			    8 * sizeof(mask), MPOL_MF_MOVE | MPOL_MF_STRICT),
		   "move mapped memory");
	cost = bench_now() - began;
	for (at = 0; at < DATA_SIZE; at += BLOCK_SIZE)
		BENCH_MUST(node_of((char *)mem + at) == 1, "move all of it");

	return cost;
}

static void set_shmem_huge(const char *value)
{
	FILE *f = fopen(SHMEM_HUGE, "w");

	BENCH_MUST(f && fputs(value, f) >= 0 && !fclose(f), "write to " SHMEM_HUGE);
}

/* Bytes of shared memory in pieces of 2 MiB. */
static uint64_t shmem_huge(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[128];

	BENCH_MUST(f, "read /proc/meminfo");
	while (fgets(line, sizeof(line), f) &&
	       sscanf(line, "ShmemHugePages: %lu", &kib) != 1)
		;
	fclose(f);

	return (uint64_t)kib << 10;
}

/* A guest that has memory of a process, all of it mapped. */
static struct kvm_vm *guest_with(void *mem)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_DEFAULT_VM,
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = __vm_create_shape_with_one_vcpu(shape, &vcpu, VM_EXTRA_PAGES, guest_code);
	vm_set_user_memory_region(vm, DATA_SLOT, 0, DATA_GPA, DATA_SIZE, mem);
	bench_prefault(vcpu, 0, DATA_SIZE);

	return vm;
}

static uint64_t memfd(bool huge, bool guest)
{
	int fd = memfd_create("bench", 0);
	struct kvm_vm *vm = NULL;
	uint64_t cost;
	char *mem, *at;

	BENCH_MUST(fd >= 0 && !ftruncate(fd, DATA_SIZE), "make a memfd");
	mem = mmap(NULL, DATA_SIZE + BLOCK_SIZE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BENCH_MUST(mem != MAP_FAILED, "find addresses");
	at = mem + (-(uintptr_t)mem & (BLOCK_SIZE - 1));
	BENCH_MUST(mmap(at, DATA_SIZE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, fd, 0) == at, "map a memfd");
	if (huge)
		set_shmem_huge("always");
	allocate_on(0);
	memset(at, 1, DATA_SIZE);
	allocate_anywhere();
	if (huge) {
		BENCH_MUST(shmem_huge() >= DATA_SIZE, "get a memfd in pieces of 2 MiB");
		set_shmem_huge("never");
	}
	if (guest)
		vm = guest_with(at);
	bench_settle();

	cost = move_mapped(at);
	if (vm)
		kvm_vm_free(vm);
	munmap(mem, DATA_SIZE + BLOCK_SIZE);
	close(fd);
	bench_settle();

	return cost;
}

static uint64_t memfd_pages(void)
{
	return memfd(false, false);
}

static uint64_t memfd_of_guest(void)
{
	return memfd(false, true);
}

static uint64_t memfd_blocks(void)
{
	return memfd(true, false);
}

static uint64_t shared(void)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_DEFAULT_VM,
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	uint64_t cost;
	char *mem;
	int fd;

	vm = __vm_create_shape_with_one_vcpu(shape, &vcpu, VM_EXTRA_PAGES,
					      guest_code);
	fd = vm_create_guest_memfd(vm, DATA_SIZE, GUEST_MEMFD_FLAG_MMAP |
				   GUEST_MEMFD_FLAG_INIT_SHARED);
	mem = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	BENCH_MUST(mem != MAP_FAILED, "map a guest_memfd");
	allocate_on(0);
	memset(mem, 1, DATA_SIZE);
	allocate_anywhere();
	vm_set_user_memory_region2(vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD, DATA_GPA,
				   DATA_SIZE, mem, fd, 0);
	bench_prefault(vcpu, 0, DATA_SIZE);
	bench_settle();

	cost = move_mapped(mem);
	munmap(mem, DATA_SIZE);
	close(fd);
	kvm_vm_free(vm);
	bench_settle();

	return cost;
}

/* The only VM there is. */
static uint64_t vm_id(void)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_sample sample = {};
	uint64_t id;

	BENCH_MUST(sampler && !gmem_sampler_read(sampler, &sample) &&
		   sample.nr_vms == 1, "find the VM");
	id = sample.vms[0].vm_id;
	gmem_sample_free(&sample);
	gmem_sampler_close(sampler);

	return id;
}

static uint64_t move_private(bool huge)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	uint64_t began, cost;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	char *mem;
	int fd;

	vm = __vm_create_shape_with_one_vcpu(shape, &vcpu, VM_EXTRA_PAGES,
					      guest_code);
	fd = vm_create_guest_memfd(vm, DATA_SIZE,
				   huge ? GUEST_MEMFD_FLAG_HUGE_PAGES : 0);
	mem = mmap(NULL, DATA_SIZE + BLOCK_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BENCH_MUST(mem != MAP_FAILED, "map shared memory");
	vm_set_user_memory_region2(vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD, DATA_GPA,
				   DATA_SIZE,
				   mem + (-(uintptr_t)mem & (BLOCK_SIZE - 1)), fd, 0);
	bench_convert(vm, 0, DATA_SIZE, true);
	allocate_on(0);
	bench_prefault(vcpu, 0, DATA_SIZE);
	allocate_anywhere();
	bench_settle();

	mover->bss->vm_id = vm_id();
	mover->bss->move = (struct gmem_move) {
		.start = DATA_GPA / PAGE_SIZE,
		.end = (DATA_GPA + DATA_SIZE) / PAGE_SIZE,
		.node = 1,
		.drain = 1,
	};
	began = bench_now();
	do {
		BENCH_MUST(!bpf_prog_test_run_opts(bpf_program__fd(mover->progs.move_part),
						   &opts), "run the mover");
		mover->bss->move.drain = 0;
	} while (mover->bss->result > 0);
	cost = bench_now() - began;
	if (mover->bss->result || mover->bss->move.pages[GMEM_MOVED_NOW] != PAGES)
		BENCH_DIE("not all was moved: %d, %llu pages", mover->bss->result,
			  mover->bss->move.pages[GMEM_MOVED_NOW]);
	munmap(mem, DATA_SIZE + BLOCK_SIZE);
	close(fd);
	kvm_vm_free(vm);
	bench_settle();

	return cost;
}

static uint64_t private_pages(void)
{
	return move_private(false);
}

static uint64_t private_blocks(void)
{
	return move_private(true);
}

static const struct operation {
	const char *variant;
	const char *name;
	const char *unit;
	uint64_t (*run)(void);
	uint64_t events;
} operations[] = {
	{ "none", "move 4 KiB", "instructions/page", memfd_pages, PAGES },
	{ "none", "move 2 MiB", "instructions/piece", memfd_blocks, BLOCKS },
	{ "guest", "move 4 KiB", "instructions/page", memfd_of_guest, PAGES },
	{ "shared", "move 4 KiB", "instructions/page", shared, PAGES },
	{ "private", "move 4 KiB", "instructions/page", private_pages, PAGES },
	{ "huge", "move 2 MiB", "instructions/piece", private_blocks, BLOCKS },
};

int main(int argc, char **argv)
{
	unsigned int i;
	int arg;

	bench_begin();
	for (arg = 1; arg < argc; arg++) {
		if (strcmp(argv[arg], "none") && !mover) {
			mover = move_bpf__open_and_load();
			BENCH_MUST(mover, "load the mover");
		}
		for (i = 0; i < ARRAY_SIZE(operations); i++) {
			const struct operation *op = &operations[i];

			if (!strcmp(op->variant, argv[arg]))
				bench_report(argv[arg], op->name, op->unit,
					     (double)bench_least(op->run, RUNS) /
					     op->events);
		}
	}

	return 0;
}
