// SPDX-License-Identifier: GPL-2.0-only
/*
 * hooks VARIANT...: what faults and conversions of private memory cost with
 * nothing attached (none), under a policy (pass, ratelimit), and after one is
 * gone (detached).
 *
 * Only "none" runs on a kernel without the patches.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "objects/object.h"
#include "pass.skel.h"
#include "vm.h"

#define TOUCHED_PAGES	2048ULL

/* Far more than a bench can use up, so that the policy always allows. */
#define RATE_UNREACHED	"1000000000"
#define RATELIMIT	"build/bpf/ratelimit.bpf.o"

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;

/* Touches the first pages of its private memory each time it is run. */
static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < TOUCHED_PAGES; i++)
			*(volatile uint8_t *)(DATA_GPA + i * PAGE_SIZE) = 1;
		GUEST_SYNC(0);
	}
}

static void new_vm(void)
{
	vm = bench_vm(DATA_SIZE, guest_code, &vcpu);
	virt_map(vm, DATA_GPA, DATA_GPA, TOUCHED_PAGES);
}

/* Each operation returns what it cost. */

static uint64_t convert(uint64_t offset, uint64_t size, bool private)
{
	return bench_convert(vm, offset, size, private);
}

static void populate(uint64_t nr_pages)
{
	bench_populate(vm, nr_pages * PAGE_SIZE);
}

/* Frees the pages that a run has touched. */
static void drop_pages(void)
{
	bench_punch(vm, TOUCHED_PAGES * PAGE_SIZE);
	bench_settle();
}

static uint64_t populate_pages(void)
{
	uint64_t began, ended;

	drop_pages();
	began = bench_now();
	populate(TOUCHED_PAGES);
	ended = bench_now();

	return ended - began;
}

static uint64_t prefault_pages(void)
{
	drop_pages();

	return bench_prefault(vcpu, 0, TOUCHED_PAGES * PAGE_SIZE);
}

static uint64_t guest_touches_pages(void)
{
	uint64_t began, ended;
	struct ucall uc;
	int r;

	drop_pages();
	began = bench_now();
	r = ioctl(vcpu->fd, KVM_RUN, NULL);
	ended = bench_now();
	BENCH_MUST(!r, "run the guest");
	if (get_ucall(vcpu, &uc) != UCALL_SYNC)
		BENCH_DIE("the guest failed: exit reason %u",
			  vcpu->run->exit_reason);

	return ended - began;
}

static uint64_t punch_hole(void)
{
	uint64_t began;

	populate_pages();
	bench_settle();
	began = bench_now();
	bench_punch(vm, TOUCHED_PAGES * PAGE_SIZE);

	return bench_now() - began;
}

/* There and back: one conversion each way. */
static uint64_t toggle_page(void)
{
	return convert(0, PAGE_SIZE, false) + convert(0, PAGE_SIZE, true);
}

static uint64_t toggle_inner_page(void)
{
	return convert(PAGE_SIZE, PAGE_SIZE, false) +
	       convert(PAGE_SIZE, PAGE_SIZE, true);
}

static uint64_t toggle_block(void)
{
	return convert(0, BLOCK_SIZE, false) + convert(0, BLOCK_SIZE, true);
}

/* The pages stay; they become stale and private again. */
static uint64_t toggle_populated_page(void)
{
	populate(1);

	return toggle_page();
}

static uint64_t toggle_populated_block(void)
{
	populate(BLOCK_SIZE / PAGE_SIZE);

	return toggle_block();
}

static uint64_t same_page(void)
{
	return convert(0, PAGE_SIZE, true);
}

/**
 * struct operation - one row of the table
 * @name: what bench/run calls it
 * @unit: what the figure is
 * @run: does it once, with all memory private and no page populated, and
 *	leaves all memory private
 * @events: by how much to divide
 * @runs: how often it is measured
 * @policies: measured in the variants with a policy, too
 */
static const struct operation {
	const char *name;
	const char *unit;
	uint64_t (*run)(void);
	unsigned int events;
	unsigned int runs;
	bool policies;
} operations[] = {
	{ "prefault", "instructions/page", prefault_pages, TOUCHED_PAGES, 9, true },
	{ "vCPU fault", "instructions/page", guest_touches_pages, TOUCHED_PAGES, 9, true },
	{ "fallocate", "instructions/page", populate_pages, TOUCHED_PAGES, 9, false },
	{ "punch a hole", "instructions/page", punch_hole, TOUCHED_PAGES, 9, false },
	{ "convert 4 KiB, nothing to change", "instructions", same_page, 1, 201, true },
	{ "toggle 4 KiB at a 2 MiB boundary", "instructions/conversion", toggle_page, 2, 101, true },
	{ "toggle 4 KiB inside 2 MiB", "instructions/conversion", toggle_inner_page, 2, 101, true },
	{ "toggle 4 KiB, populated", "instructions/conversion", toggle_populated_page, 2, 101, true },
	{ "toggle 2 MiB, populated", "instructions/conversion", toggle_populated_block, 2, 51, false },
};

static void measure(const struct operation *op, const char *variant)
{
	/* A VM of its own: no operation inherits another one's page tables. */
	new_vm();
	convert(0, DATA_SIZE, true);
	bench_settle();

	bench_report(variant, op->name, op->unit,
		     (double)bench_least(op->run, op->runs) / op->events);

	kvm_vm_free(vm);
}

static void measure_all(const char *variant, bool few)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		if (!few || operations[i].policies)
			measure(&operations[i], variant);
	}
}

static struct bpf_link *attach_pass(struct pass_bpf **skel)
{
	struct bpf_link *link;

	*skel = pass_bpf__open_and_load();
	BENCH_MUST(*skel, "load the policy pass");
	link = bpf_map__attach_struct_ops((*skel)->maps.pass);
	BENCH_MUST(link, "attach the policy pass");

	return link;
}

static void measure_none(const char *variant)
{
	measure_all(variant, false);
}

static void measure_pass(const char *variant)
{
	struct pass_bpf *skel;
	struct bpf_link *link = attach_pass(&skel);

	measure_all(variant, true);
	bpf_link__destroy(link);
	pass_bpf__destroy(skel);
}

static void measure_ratelimit(const char *variant)
{
	struct object *object = object_open(RATELIMIT);
	struct links links;

	BENCH_MUST(object, "open the policy ratelimit");
	BENCH_MUST(!object_set(object, "rate=" RATE_UNREACHED) &&
		   !object_set(object, "burst=" RATE_UNREACHED),
		   "set the policy ratelimit");
	BENCH_MUST(!object_load(object), "load the policy ratelimit");
	BENCH_MUST(!object_attach(object, &links), "attach the policy ratelimit");
	measure_all(variant, true);
	links_close(&links);
	object_close(object);
}

/* The hooks must be as cheap as if they had never been used. */
static void measure_detached(const char *variant)
{
	struct pass_bpf *skel;
	struct bpf_link *link = attach_pass(&skel);

	bpf_link__destroy(link);
	pass_bpf__destroy(skel);
	measure_all(variant, true);
}

static const struct variant {
	const char *name;
	void (*measure)(const char *variant);
} variants[] = {
	{ "none", measure_none },
	{ "pass", measure_pass },
	{ "ratelimit", measure_ratelimit },
	{ "detached", measure_detached },
};

static const struct variant *find_variant(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(variants); i++) {
		if (!strcmp(variants[i].name, name))
			return &variants[i];
	}
	fprintf(stderr, "hooks: no variant is called '%s'; see the end of bench/hooks.c\n",
		name);
	exit(2);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: hooks VARIANT...\n");
		return 2;
	}
	for (i = 1; i < argc; i++)
		find_variant(argv[i]);

	bench_begin();
	for (i = 1; i < argc; i++)
		find_variant(argv[i])->measure(argv[i]);

	return 0;
}
