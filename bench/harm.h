/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a VM can have done to its private memory, event by event, for the benches
 * that say what others pay for it.  Each event leaves the memory as it found it.
 */
#ifndef GMEM_BENCH_HARM_H
#define GMEM_BENCH_HARM_H

#include "vm.h"

/* A part of the memory is populated and mapped, the rest is not there. */
#define HARM_THERE	(64ULL << 20)
#define HARM_SOME	(16ULL << 20)
#define HARM_AWAY	(512ULL << 20)

static struct kvm_vm *harm_vm;
static struct kvm_vcpu *harm_vcpu;

static void harm_guest_code(void)
{
	GUEST_DONE();
}

static void harm_toggle(uint64_t offset, uint64_t size)
{
	bench_convert(harm_vm, offset, size, false);
	bench_convert(harm_vm, offset, size, true);
}

/* In the middle of a block that is all alike, another one each time. */
static uint64_t harm_page(unsigned int i, uint64_t size)
{
	return i * BLOCK_SIZE % size + BLOCK_SIZE / 2;
}

static void harm_page_away(unsigned int i)
{
	harm_toggle(HARM_AWAY + harm_page(i, HARM_AWAY), PAGE_SIZE);
}

static void harm_page_there(unsigned int i)
{
	harm_toggle(harm_page(i, HARM_THERE), PAGE_SIZE);
}

/* As a guest does that uses the page in between. */
static void harm_page_used(unsigned int i)
{
	harm_page_there(i);
	bench_prefault(harm_vcpu, harm_page(i, HARM_THERE), PAGE_SIZE);
}

static void harm_block_away(unsigned int i)
{
	harm_toggle(HARM_AWAY + i * BLOCK_SIZE % HARM_AWAY, BLOCK_SIZE);
}

static void harm_block_used(unsigned int i)
{
	uint64_t offset = i * BLOCK_SIZE % HARM_THERE;

	harm_toggle(offset, BLOCK_SIZE);
	bench_prefault(harm_vcpu, offset, BLOCK_SIZE);
}

static void harm_all_away(unsigned int i)
{
	harm_toggle(HARM_AWAY, HARM_AWAY);
}

static void harm_all_used(unsigned int i)
{
	harm_toggle(0, HARM_SOME);
	bench_prefault(harm_vcpu, 0, HARM_SOME);
}

static void harm_punch(uint64_t offset, uint64_t size)
{
	BENCH_MUST(!fallocate(bench_data_fd(harm_vm),
			      FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			      offset, size), "punch a hole");
}

static void harm_refault(unsigned int i)
{
	uint64_t offset = harm_page(i, HARM_THERE);

	harm_punch(offset, PAGE_SIZE);
	bench_prefault(harm_vcpu, offset, PAGE_SIZE);
}

static void harm_refault_block(unsigned int i)
{
	uint64_t offset = i * BLOCK_SIZE % HARM_THERE;

	harm_punch(offset, BLOCK_SIZE);
	bench_prefault(harm_vcpu, offset, BLOCK_SIZE);
}

static void harm_fallocate(unsigned int i)
{
	uint64_t offset = HARM_AWAY + i * PAGE_SIZE;

	BENCH_MUST(!fallocate(bench_data_fd(harm_vm), FALLOC_FL_KEEP_SIZE,
			      offset, PAGE_SIZE), "populate a page");
	harm_punch(offset, PAGE_SIZE);
}

/**
 * struct harm_event - one of them
 * @name: what the table calls it
 * @unit: what the figure is by
 * @run: does it; the number is another one each time
 * @per: how many of @unit that is
 * @batch: how many to do at a time
 */
static const struct harm_event {
	const char *name;
	const char *unit;
	void (*run)(unsigned int i);
	unsigned int per;
	unsigned int batch;
} harm_events[] = {
	{ "convert 4 KiB, nothing there", "conversion", harm_page_away, 2, 500 },
	{ "convert 4 KiB, populated", "conversion", harm_page_there, 2, 500 },
	{ "convert 4 KiB, populated, and fault", "conversion", harm_page_used, 2, 500 },
	{ "convert 2 MiB, nothing there", "conversion", harm_block_away, 2, 500 },
	{ "convert 2 MiB, populated, and fault", "page", harm_block_used, 512, 4 },
	{ "convert 512 MiB, nothing there", "conversion", harm_all_away, 2, 100 },
	{ "convert 16 MiB, populated, and fault", "page", harm_all_used, 4096, 1 },
	{ "punch 4 KiB and fault", "page", harm_refault, 1, 500 },
	{ "punch 2 MiB and fault", "page", harm_refault_block, 512, 4 },
	{ "allocate 4 KiB and punch", "page", harm_fallocate, 1, 500 },
};

static inline void harm_begin(void)
{
	harm_vm = bench_vm(DATA_SIZE, harm_guest_code, &harm_vcpu);
	bench_convert(harm_vm, 0, DATA_SIZE, true);
	bench_prefault(harm_vcpu, 0, HARM_THERE);
	bench_settle();
}

#endif /* GMEM_BENCH_HARM_H */
