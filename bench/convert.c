// SPDX-License-Identifier: GPL-2.0-only
/*
 * convert VARIANT...: what it costs to convert memory that nobody has touched,
 * by how much it is (whole, same, large, block, page), or all of whose pages
 * are there (populated), what single pages cost in each direction (pages) and
 * the first page of memory that is all alike (first), what the attributes'
 * lookup adds to a fault (fault), and what memory the kernel keeps for them
 * (uniform, mixed).
 *
 * "none" is all of them for the kernel without the patches, but for those
 * where it would take minutes.
 */
#include <sys/syscall.h>
#include <linux/membarrier.h>

#include "vm.h"

#define LARGE_SIZE	(64ULL << 30)
/* Blocks that a page is converted in. */
#define BLOCKS		256ULL
#define PREFAULTS	2048ULL
#define ALTERNATE	(BLOCK_SIZE / PAGE_SIZE / 2)

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;

static void guest_code(void)
{
	GUEST_DONE();
}

static void new_vm(uint64_t size)
{
	vm = bench_vm(size, guest_code, &vcpu);
}

/* Operations; each begins and ends with all memory private. */

static uint64_t convert_all(uint64_t size, bool private)
{
	uint64_t to_shared, to_private;

	to_shared = bench_convert(vm, 0, size, false);
	bench_settle();
	to_private = bench_convert(vm, 0, size, true);
	bench_settle();

	return private ? to_private : to_shared;
}

static uint64_t whole_to_private(void)
{
	return convert_all(DATA_SIZE, true);
}

static uint64_t whole_to_shared(void)
{
	return convert_all(DATA_SIZE, false);
}

static uint64_t populated_to_private(void)
{
	bench_populate(vm, DATA_SIZE);

	return convert_all(DATA_SIZE, true);
}

static uint64_t populated_to_shared(void)
{
	bench_populate(vm, DATA_SIZE);

	return convert_all(DATA_SIZE, false);
}

static uint64_t large_to_private(void)
{
	return convert_all(LARGE_SIZE, true);
}

static uint64_t large_to_shared(void)
{
	return convert_all(LARGE_SIZE, false);
}

static uint64_t whole_again(void)
{
	return bench_convert(vm, 0, DATA_SIZE, true);
}

static uint64_t toggle_block(void)
{
	return bench_convert(vm, 0, BLOCK_SIZE, false) +
	       bench_convert(vm, 0, BLOCK_SIZE, true);
}

static uint64_t toggle_page(void)
{
	return bench_convert(vm, 0, PAGE_SIZE, false) +
	       bench_convert(vm, 0, PAGE_SIZE, true);
}

/* Every other page of a block, one by one. */
static uint64_t alternate(bool private)
{
	uint64_t to_shared = 0, to_private = 0, offset;

	for (offset = 0; offset < BLOCK_SIZE; offset += 2 * PAGE_SIZE)
		to_shared += bench_convert(vm, offset, PAGE_SIZE, false);
	bench_settle();
	for (offset = 0; offset < BLOCK_SIZE; offset += 2 * PAGE_SIZE)
		to_private += bench_convert(vm, offset, PAGE_SIZE, true);
	bench_settle();

	return private ? to_private : to_shared;
}

static uint64_t alternate_to_private(void)
{
	return alternate(true);
}

static uint64_t alternate_to_shared(void)
{
	return alternate(false);
}

static uint64_t alternate_there_to_private(void)
{
	bench_populate(vm, BLOCK_SIZE);

	return alternate(true);
}

static uint64_t alternate_there_to_shared(void)
{
	bench_populate(vm, BLOCK_SIZE);

	return alternate(false);
}

/* One page inside each of some blocks that are uniform. */
static uint64_t one_page(bool private)
{
	uint64_t cost = 0, block;

	if (private)
		bench_convert(vm, 0, BLOCKS * BLOCK_SIZE, false);
	bench_settle();
	for (block = 0; block < BLOCKS; block++)
		cost += bench_convert(vm, block * BLOCK_SIZE + PAGE_SIZE,
				      PAGE_SIZE, private);
	bench_convert(vm, 0, BLOCKS * BLOCK_SIZE, true);

	return cost;
}

static uint64_t one_to_private(void)
{
	return one_page(true);
}

static uint64_t one_to_shared(void)
{
	return one_page(false);
}

static uint64_t one_there_to_private(void)
{
	bench_populate(vm, BLOCKS * BLOCK_SIZE);

	return one_page(true);
}

static uint64_t one_there_to_shared(void)
{
	bench_populate(vm, BLOCKS * BLOCK_SIZE);

	return one_page(false);
}

/* The first page that is shared of memory which is all private. */
static uint64_t first_to_shared(void)
{
	uint64_t cost;

	bench_settle();
	cost = bench_convert(vm, PAGE_SIZE, PAGE_SIZE, false);
	bench_convert(vm, 0, BLOCK_SIZE, true);

	return cost;
}

static uint64_t first_there_to_shared(void)
{
	bench_populate(vm, BLOCK_SIZE);

	return first_to_shared();
}

static uint64_t prefault(void)
{
	bench_punch(vm, PREFAULTS * PAGE_SIZE);
	bench_settle();

	return bench_prefault(vcpu, 0, PREFAULTS * PAGE_SIZE);
}

/**
 * struct operation - a row of the table that is counted in instructions
 * @variant: what bench/limits calls it
 * @name: what the table calls it
 * @unit: what the figure is
 * @run: does it once
 * @size: memory of the VM
 * @events: by how much to divide
 * @runs: how often it is measured
 */
static const struct operation {
	const char *variant;
	const char *name;
	const char *unit;
	uint64_t (*run)(void);
	uint64_t size;
	unsigned int events;
	unsigned int runs;
} operations[] = {
	{ "whole", "convert 1 GiB to private", "instructions", whole_to_private, DATA_SIZE, 1, 4 },
	{ "whole", "convert 1 GiB to shared", "instructions", whole_to_shared, DATA_SIZE, 1, 4 },
	{ "same", "convert 1 GiB, nothing to change", "instructions", whole_again, DATA_SIZE, 1, 5 },
	{ "populated", "convert 1 GiB of pages to private", "instructions", populated_to_private, DATA_SIZE, 1, 2 },
	{ "populated", "convert 1 GiB of pages to shared", "instructions", populated_to_shared, DATA_SIZE, 1, 2 },
	{ "large", "convert 64 GiB to private", "instructions", large_to_private, LARGE_SIZE, 1, 4 },
	{ "large", "convert 64 GiB to shared", "instructions", large_to_shared, LARGE_SIZE, 1, 4 },
	{ "block", "toggle 2 MiB", "instructions/conversion", toggle_block, DATA_SIZE, 2, 51 },
	{ "page", "toggle 4 KiB at a 2 MiB boundary", "instructions/conversion", toggle_page, DATA_SIZE, 2, 101 },
	{ "pages", "every other page of a block to private", "instructions/conversion", alternate_to_private, DATA_SIZE, ALTERNATE, 9 },
	{ "pages", "every other page of a block to shared", "instructions/conversion", alternate_to_shared, DATA_SIZE, ALTERNATE, 9 },
	{ "pages", "every other page of a block to private, populated", "instructions/conversion", alternate_there_to_private, DATA_SIZE, ALTERNATE, 9 },
	{ "pages", "every other page of a block to shared, populated", "instructions/conversion", alternate_there_to_shared, DATA_SIZE, ALTERNATE, 9 },
	{ "pages", "a page of a uniform block to private", "instructions/conversion", one_to_private, DATA_SIZE, BLOCKS, 5 },
	{ "pages", "a page of a uniform block to shared", "instructions/conversion", one_to_shared, DATA_SIZE, BLOCKS, 5 },
	{ "pages", "a page of a uniform block to private, populated", "instructions/conversion", one_there_to_private, DATA_SIZE, BLOCKS, 5 },
	{ "pages", "a page of a uniform block to shared, populated", "instructions/conversion", one_there_to_shared, DATA_SIZE, BLOCKS, 5 },
	{ "first", "the first page of uniform memory to shared", "instructions/conversion", first_to_shared, DATA_SIZE, 1, 51 },
	{ "first", "the first page of uniform memory to shared, populated", "instructions/conversion", first_there_to_shared, DATA_SIZE, 1, 51 },
	{ "fault", "prefault", "instructions/page", prefault, DATA_SIZE, PREFAULTS, 9 },
};

static void measure_operation(const struct operation *op, const char *variant)
{
	new_vm(op->size);
	bench_convert(vm, 0, op->size, true);
	bench_settle();
	bench_report(variant, op->name, op->unit,
		     (double)bench_least(op->run, op->runs) / op->events);
	kvm_vm_free(vm);
}

/* Memory */

#define UNIFORM_VMS	16
#define MIXED_VMS	2

/* Waits for what was freed, the five seconds of kfree_rcu() included. */
static void settle_slab(void)
{
	sleep(6);
	BENCH_MUST(!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0),
		   "wait for a grace period");
	bench_settle();
}

static long slab_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	BENCH_MUST(f, "open /proc/meminfo");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Slab: %ld kB", &kib);
	fclose(f);
	if (kib < 0)
		BENCH_DIE("/proc/meminfo does not tell of slab");

	return kib;
}

static void make_uniform(struct kvm_vm *of)
{
	bench_convert(of, 0, DATA_SIZE, true);
}

static void make_mixed(struct kvm_vm *of)
{
	uint64_t offset;

	for (offset = 0; offset < DATA_SIZE; offset += 2 * PAGE_SIZE)
		bench_convert(of, offset, PAGE_SIZE, true);
}

/* Several VMs at once, since slab grows by more than one of them needs. */
static double measure_slab(void (*make)(struct kvm_vm *of), unsigned int nr_vms)
{
	struct kvm_vm *vms[UNIFORM_VMS];
	long before, after;
	unsigned int i;

	for (i = 0; i < nr_vms; i++) {
		new_vm(DATA_SIZE);
		vms[i] = vm;
	}
	settle_slab();
	before = slab_kib();
	for (i = 0; i < nr_vms; i++)
		make(vms[i]);
	settle_slab();
	after = slab_kib();
	for (i = 0; i < nr_vms; i++)
		kvm_vm_free(vms[i]);
	settle_slab();

	return (double)(after - before) / nr_vms;
}

/* The first time is to fill the slabs' own reserves. */
static void measure_uniform(const char *variant)
{
	measure_slab(make_uniform, 1);
	bench_report(variant, "slab, 1 GiB uniformly private", "KiB",
		     measure_slab(make_uniform, UNIFORM_VMS));
}

static void measure_mixed(const char *variant)
{
	measure_slab(make_mixed, 1);
	bench_report(variant, "slab, 1 GiB of alternating pages", "KiB",
		     measure_slab(make_mixed, MIXED_VMS));
}

static void measure(const char *wanted)
{
	bool all = !strcmp(wanted, "none"), known = all;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		const struct operation *op = &operations[i];

		if (all ? op->size == LARGE_SIZE : strcmp(wanted, op->variant))
			continue;
		measure_operation(op, wanted);
		known = true;
	}
	if (all || !strcmp(wanted, "uniform")) {
		measure_uniform(wanted);
		known = true;
	}
	if (all || !strcmp(wanted, "mixed")) {
		measure_mixed(wanted);
		known = true;
	}
	if (!known)
		BENCH_DIE("no variant is called '%s'; see the head of bench/convert.c",
			  wanted);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: convert VARIANT...\n");
		return 2;
	}

	bench_begin();
	for (i = 1; i < argc; i++)
		measure(argv[i]);

	return 0;
}
