// SPDX-License-Identifier: GPL-2.0-only
/*
 * huge VARIANT...: what private memory costs in pieces of 2 MiB: to allocate, clear
 * and map it, to convert it when it is populated, to free it, and the page tables
 * that it takes.
 *
 * "none" has single pages, for the kernel without the patches.  Any other variant
 * is named after what it measures, and has huge folios.
 */
#include <sys/mman.h>

#include "../tests/kvm/attributes2.h"
#include "vm.h"

#define PAGES		(DATA_SIZE / PAGE_SIZE)
#define START_SIZE	(2 * DATA_SIZE)
/* A GiB is long enough for one to be like another. */
#define RUNS		1

static bool huge;
static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static char *shared;
static int memfd;

/* Touches each page of the first GiB once. */
static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < PAGES; i++)
			*(volatile uint8_t *)(DATA_GPA + i * PAGE_SIZE) = 1;
		GUEST_SYNC(0);
	}
}

/* All of its memory at DATA_GPA is private and not there yet. */
static void new_vm(uint64_t size)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	char *mem;

	vm = __vm_create_shape_with_one_vcpu(shape, &vcpu, VM_EXTRA_PAGES, guest_code);
	memfd = vm_create_guest_memfd(vm, size,
				      huge ? GUEST_MEMFD_FLAG_HUGE_PAGES : 0);
	/* KVM wants frames and addresses that are aligned alike. */
	mem = mmap(NULL, size + BLOCK_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BENCH_MUST(mem != MAP_FAILED, "map shared memory");
	shared = mem;
	mem += -(uintptr_t)mem & (BLOCK_SIZE - 1);
	vm_set_user_memory_region2(vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD, DATA_GPA,
				   size, mem, memfd, 0);
	virt_map_level(vm, DATA_GPA, DATA_GPA, DATA_SIZE, PG_LEVEL_2M);
	bench_convert(vm, 0, size, true);
}

static void end_vm(uint64_t size)
{
	munmap(shared, size + BLOCK_SIZE);
	close(memfd);
	kvm_vm_free(vm);
	bench_settle();
}

static uint64_t allocate(int mode)
{
	uint64_t began = bench_now();

	BENCH_MUST(!fallocate(memfd, FALLOC_FL_KEEP_SIZE | mode, 0, DATA_SIZE),
		   "populate memory, or punch a hole");

	return bench_now() - began;
}

static uint64_t prefault(void)
{
	uint64_t cost;

	new_vm(DATA_SIZE);
	cost = bench_prefault(vcpu, 0, DATA_SIZE);
	end_vm(DATA_SIZE);

	return cost;
}

static uint64_t touch(void)
{
	uint64_t began, cost;

	new_vm(DATA_SIZE);
	began = bench_now();
	BENCH_MUST(!ioctl(vcpu->fd, KVM_RUN, NULL), "run the guest");
	cost = bench_now() - began;
	end_vm(DATA_SIZE);

	return cost;
}

static uint64_t populate(void)
{
	uint64_t cost;

	new_vm(DATA_SIZE);
	cost = allocate(0);
	end_vm(DATA_SIZE);

	return cost;
}

static uint64_t punch(void)
{
	uint64_t cost;

	new_vm(DATA_SIZE);
	bench_prefault(vcpu, 0, DATA_SIZE);
	bench_settle();
	cost = allocate(FALLOC_FL_PUNCH_HOLE);
	end_vm(DATA_SIZE);

	return cost;
}

/* With its pages there, and mapped; then with its pages there. */
static uint64_t convert(bool private)
{
	uint64_t out, back;

	new_vm(DATA_SIZE);
	bench_prefault(vcpu, 0, DATA_SIZE);
	bench_settle();
	out = bench_convert(vm, 0, DATA_SIZE, false);
	bench_settle();
	back = bench_convert(vm, 0, DATA_SIZE, true);
	end_vm(DATA_SIZE);

	return private ? back : out;
}

static uint64_t to_shared(void)
{
	return convert(false);
}

static uint64_t to_private(void)
{
	return convert(true);
}

/* The VM itself, its memory, and all of that populated. */
static uint64_t start(void)
{
	uint64_t began = bench_now(), cost;

	new_vm(START_SIZE);
	bench_prefault(vcpu, 0, START_SIZE);
	cost = bench_now() - began;
	end_vm(START_SIZE);

	return cost;
}

/* Page tables of guests, in KiB. */
static uint64_t tables_now(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[128];

	BENCH_MUST(f, "read /proc/meminfo");
	while (fgets(line, sizeof(line), f) &&
	       sscanf(line, "SecPageTables: %lu", &kib) != 1)
		;
	fclose(f);

	return kib;
}

static uint64_t tables(void)
{
	uint64_t before, kib;

	new_vm(DATA_SIZE);
	/* What it takes anyway. */
	bench_prefault(vcpu, 0, PAGE_SIZE);
	before = tables_now();
	bench_prefault(vcpu, 0, DATA_SIZE);
	kib = tables_now() - before;
	end_vm(DATA_SIZE);

	return kib;
}

static const struct operation {
	const char *variant;
	const char *name;
	const char *unit;
	uint64_t (*run)(void);
	uint64_t events;
} operations[] = {
	{ "prefault", "prefault", "instructions/page", prefault, PAGES },
	{ "touch", "guest touches 1 GiB", "instructions/page", touch, PAGES },
	{ "fallocate", "fallocate", "instructions/page", populate, PAGES },
	{ "punch", "punch a hole", "instructions/page", punch, PAGES },
	{ "convert", "1 GiB to shared, populated", "instructions", to_shared, 1 },
	{ "convert", "1 GiB to private, populated", "instructions", to_private, 1 },
	{ "start", "start 2 GiB, all populated", "instructions", start, 1 },
	{ "tables", "page tables of 1 GiB", "KiB", tables, 1 },
};

int main(int argc, char **argv)
{
	unsigned int i;
	int arg;

	bench_begin();
	for (arg = 1; arg < argc; arg++) {
		huge = strcmp(argv[arg], "none");
		for (i = 0; i < ARRAY_SIZE(operations); i++) {
			const struct operation *op = &operations[i];

			if (huge && strcmp(op->variant, argv[arg]))
				continue;
			bench_report(argv[arg], op->name, op->unit,
				     (double)bench_least(op->run, RUNS) /
				     op->events);
		}
	}

	return 0;
}
