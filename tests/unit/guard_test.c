// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/guard.bpf.c on the host, for guests that no test machine has
 * room for, and for each of its parts by itself.  Not here: real guests, which
 * tests/policies and tests/guard have.
 */
#include "../../bpf/policies/guard.bpf.c"
#include "kselftest_harness.h"

#define GIB	GUARD_GIB_PAGES
#define DATA	1048576ULL

static struct kvm vm;
static struct guard_params defaults;
/* What is shared is the same page. */
static bool in_place;

static void reset(void)
{
	static bool saved;

	if (!saved)
		defaults = params;
	saved = true;
	params = defaults;
	in_place = false;
	fake_reset(&vms_common);
	vm = (struct kvm){
		.gmem.id = 1,
		.users_count.refs.counter = 1,
		.created_vcpus = 1,
	};
}

static void new_vm(u64 pages)
{
	reset();
	vm.usage.size_pages = pages;
	guard_vm_init(&vm);
}

static struct vm_state *state(void)
{
	return gmem_vm_state_own(vms, &vm);
}

static void count_stale(void)
{
	vm.usage.stale_pages = in_place ? 0 :
			       guard_less(vm.usage.populated_pages,
					  vm.usage.private_pages);
}

/*
 * Converts as KVM does, waiting as told, for 10 s at most.  Returns 0 or a
 * negative errno.
 */
static s64 convert_some(u64 start, u64 pages, bool private, u64 changed,
			u64 *waited)
{
	struct kvm_gmem_convert c = {
		.start = start,
		.end = start + pages,
		.nr_pages = pages,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	u64 began = fake.now;
	s64 verdict;

	while ((verdict = guard_convert(&vm, &c)) > 0 && !c.flags) {
		fake.now += verdict;
		if (fake.now - began >= 10 * NSEC_PER_SEC)
			c.flags = KVM_GMEM_OVERDUE;
	}
	*waited += fake.now - began;
	fake.now += 1000;
	if (verdict < 0)
		return verdict;

	if (private)
		vm.usage.private_pages += changed;
	else
		vm.usage.private_pages -= changed;
	count_stale();
	if (!verdict)
		guard_convert_end(&vm, &c, changed, 0);
	return 0;
}

static s64 convert(u64 start, u64 pages, bool private, u64 *waited)
{
	return convert_some(start, pages, private, pages, waited);
}

/* Asks once for private pages, and has them if it may. */
static s64 request(u64 pages)
{
	struct kvm_gmem_fault fault = { .nr_pages = pages };
	s64 verdict = guard_fault(&vm, &fault);

	if (!verdict) {
		vm.usage.populated_pages += pages;
		vm.usage.allocated_pages += pages;
		count_stale();
		guard_fault_end(&vm, &fault, pages, 0);
	}
	return verdict;
}

static void punch(u64 pages)
{
	vm.usage.populated_pages -= pages;
	vm.usage.freed_pages += pages;
	count_stale();
}

/* Its memory in one piece or in memslots, all at once or page by page. */
TEST(any_size_boots_without_delay)
{
	static const u64 sizes[] = { 1, 4, 257, 1024, 1820 };
	static const u64 slots[] = { 1, 2, 8, 64 };
	u64 waited = 0, s, n, i, part;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (n = 0; n < ARRAY_SIZE(slots); n++) {
			new_vm(0);
			part = sizes[s] * GIB / slots[n];
			for (i = 0; i < slots[n]; i++) {
				vm.usage.size_pages += part;
				ASSERT_EQ(convert(DATA + i * part, part, true,
						  &waited), 0);
				ASSERT_EQ(request(part), 0);
			}
			ASSERT_EQ(convert(DATA, GIB / 4, false, &waited), 0);
			for (i = 0; i < 2000; i++)
				ASSERT_EQ(convert(DATA + GIB / 4 + i, 1, false,
						  &waited), 0);
			ASSERT_EQ(waited, 0);
		}
	}
}

/* Twice all pages one by one, and then it is held to the rate. */
TEST(all_pages_one_by_one_and_once_again)
{
	u64 waited = 0, i, again, began;

	new_vm(GIB);
	params.conversion_burst = 100;
	for (again = 0; again < 2; again++) {
		for (i = 0; i < GIB; i++)
			ASSERT_EQ(convert(DATA + i, 1, true, &waited), 0);
		ASSERT_EQ(waited, 0);
		/* The reset between the two. */
		if (!again)
			ASSERT_EQ(convert(DATA, GIB, false, &waited), 0);
	}
	/* What it earned meanwhile: each took a microsecond. */
	for (i = 0; i < GIB / 50; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	began = fake.now;
	waited = 0;
	for (i = 0; i < 50000; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	EXPECT_GE(fake.now - began, 4 * NSEC_PER_SEC);
	EXPECT_GE(waited, 0);
}

TEST(conversion_rate_holds)
{
	u64 waited = 0, began, i;

	new_vm(100);
	params.conversion_burst = 100;
	params.conversion_rate = 50;
	ASSERT_EQ(convert(DATA, 100, true, &waited), 0);
	began = fake.now;
	for (i = 0; fake.now - began < 20 * NSEC_PER_SEC; i++)
		ASSERT_EQ(convert(DATA + i % 100, 1, i & 1, &waited), 0);
	EXPECT_LE(i, 100 + 2 * 100 - 1 + 20 * 50 + 1);
	EXPECT_GE(i, 100 + 2 * 100 - 1 + 20 * 50 - 1);
}

/* However large the conversions are, and whatever they convert. */
TEST(a_conversion_is_one)
{
	u64 waited = 0, i;

	new_vm(1024 * GIB);
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(convert(DATA, 1024 * GIB, true, &waited), 0);
		ASSERT_EQ(convert(DATA, 1024 * GIB, false, &waited), 0);
	}
	EXPECT_EQ(waited, 0);
}

TEST(what_changes_nothing_costs_nothing)
{
	u64 waited = 0, i;

	new_vm(100);
	params.conversion_burst = 10;
	params.conversion_rate = 1;
	for (i = 0; i < 10000; i++)
		ASSERT_EQ(convert_some(DATA, 100, i & 1, 0, &waited), 0);
	EXPECT_EQ(waited, 0);
}

/* What it may do for memory that is added later comes with the memory. */
TEST(added_memory_adds_to_the_burst)
{
	u64 waited = 0, i;

	new_vm(100);
	params.conversion_burst = params.fault_burst = 1;
	params.conversion_rate = params.fault_rate = 1;
	for (i = 0; i < 201; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	ASSERT_EQ(request(201), 0);
	ASSERT_EQ(waited, 0);
	EXPECT_GT(request(1), 0);
	vm.usage.size_pages += 1000;
	/* Who waits looks at the counters, and waits no more. */
	for (i = 0; i < 2000; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	EXPECT_LE(waited, NSEC_PER_SEC);
	EXPECT_EQ(request(2000), 0);
	EXPECT_GT(request(1), 0);
	/* It was there before. */
	vm.usage.size_pages -= 500;
	EXPECT_GT(request(1), 0);
	vm.usage.size_pages += 500;
	EXPECT_GT(request(1), 0);
}

TEST(attributes_without_memory_are_bounded)
{
	u64 waited = 0;

	new_vm(4 * GIB);
	vm.usage.attribute_bytes = (1024 + 4 * 64 - 8) * 1024;
	fake.changes = 0;
	EXPECT_EQ(convert_some(0, 1, true, 1, &waited), -ENOSPC);
	EXPECT_EQ(convert_some(0, 1000, false, 1000, &waited), -ENOSPC);
	/* Partly without. */
	fake.changes = 999;
	EXPECT_EQ(convert_some(0, 1000, false, 1000, &waited), -ENOSPC);
	/* Memory itself always may be converted. */
	fake.changes = ~0ULL;
	EXPECT_EQ(convert(DATA, 1, true, &waited), 0);
	/* And again all, with room. */
	fake.changes = 0;
	vm.usage.attribute_bytes = (1024 + 4 * 64 - 9) * 1024;
	EXPECT_EQ(convert_some(0, 1, true, 1, &waited), 0);
	params.attributes = 0;
	vm.usage.attribute_bytes = 1ULL << 40;
	EXPECT_EQ(convert_some(0, 1, true, 1, &waited), 0);
	EXPECT_EQ(waited, 0);
}

/* The most that the attributes of memory take up is far below the bound. */
TEST(attributes_of_memory_never_reach_the_bound)
{
	struct guard_memory m;
	u64 gib;

	for (gib = 1; gib <= 16384; gib *= 2) {
		new_vm(gib * GIB);
		vm.usage.attribute_bytes = gib * 36 * 1024;
		guard_read(&m, &vm, &params);
		EXPECT_GE(m.attributes, 1000 * 1024);
	}
}

/* Half of it is shared, its pages are not punched, and the rest is populated. */
static void hold(u64 size, u64 beyond)
{
	new_vm(size);
	vm.usage.private_pages = size - beyond;
	vm.usage.populated_pages = size;
	count_stale();
}

TEST(memory_beyond_the_size_is_free_for_a_time)
{
	u64 waited = 0;

	hold(1000, 501);
	EXPECT_EQ(convert(DATA, 100, false, &waited), 0);
	fake.now += 59 * NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, 100, false, &waited), 0);
	EXPECT_EQ(waited, 0);
	fake.now += NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, 100, false, &waited), -EDQUOT);
	EXPECT_GE(waited, 10 * NSEC_PER_SEC);
	waited = 0;
	/* What does not add to it. */
	EXPECT_EQ(convert(DATA, 100, true, &waited), 0);
	fake.changes = 0;
	EXPECT_EQ(convert_some(DATA, 100, false, 0, &waited), 0);
	fake.present = true;
	EXPECT_EQ(request(1), 0);
	EXPECT_EQ(waited, 0);
	fake.present = false;
	EXPECT_GT(request(1), 0);
	/* It is punched out. */
	punch(400);
	fake.changes = ~0ULL;
	EXPECT_EQ(request(1), 0);
	EXPECT_EQ(convert(DATA, 10, false, &waited), 0);
	EXPECT_EQ(waited, 0);
}

/* However much of it is shared, and for how long. */
TEST(memory_that_is_shared_in_place_is_there_once)
{
	u64 waited = 0;

	hold(1000, 501);
	in_place = true;
	count_stale();
	fake.now += 1000 * NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, 499, false, &waited), 0);
	fake.now += 1000 * NSEC_PER_SEC;
	EXPECT_EQ(request(1), 0);
	EXPECT_EQ(waited, 0);
	EXPECT_EQ(state()->over, 0);
}

TEST(whose_conversions_cost)
{
	struct kvm_gmem_convert own = { .start = DATA, .end = DATA + 1,
					.nr_pages = 1 };
	struct kvm_gmem_convert asked = own;
	s64 left;

	asked.flags = KVM_GMEM_ASKED;
	new_vm(1000);
	params.whose = GMEM_WHOSE_GUEST;
	EXPECT_EQ(guard_convert(&vm, &asked), 0);
	left = state()->conversions.bucket.credit;
	EXPECT_EQ(guard_convert(&vm, &own), 0);
	EXPECT_EQ(state()->conversions.bucket.credit, left);
	/* What cost nothing is not given back. */
	guard_convert_end(&vm, &own, 0, 0);
	EXPECT_EQ(state()->conversions.bucket.credit, left);
	guard_convert_end(&vm, &asked, 0, 0);
	EXPECT_GT(state()->conversions.bucket.credit, left);

	params.whose = GMEM_WHOSE_VMM;
	left = state()->conversions.bucket.credit;
	EXPECT_EQ(guard_convert(&vm, &asked), 0);
	EXPECT_EQ(state()->conversions.bucket.credit, left);
	EXPECT_EQ(guard_convert(&vm, &own), 0);
	EXPECT_LT(state()->conversions.bucket.credit, left);
}

/* Memory that is not there yet may be there twice. */
TEST(unpopulated_memory_is_not_beyond_the_size)
{
	u64 waited = 0, i;

	new_vm(1000);
	ASSERT_EQ(convert(DATA, 1000, true, &waited), 0);
	ASSERT_EQ(request(400), 0);
	ASSERT_EQ(convert(DATA, 600, false, &waited), 0);
	for (i = 0; i < 100; i++) {
		fake.now += 10 * NSEC_PER_SEC;
		ASSERT_EQ(convert(DATA + 600, 1, i & 1, &waited), 0);
	}
	EXPECT_EQ(waited, 0);
}

/* Of a guest that goes back and forth, half of the time is too much. */
TEST(time_beyond_the_size_adds_up)
{
	u64 waited = 0, i;

	hold(1000, 0);
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(convert(DATA, 1000, false, &waited), 0);
		fake.now += 4 * NSEC_PER_SEC;
		ASSERT_EQ(convert(DATA, 1000, true, &waited), 0);
		fake.now += 4 * NSEC_PER_SEC;
	}
	EXPECT_EQ(waited, 0);
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(convert(DATA, 1000, false, &waited), 0);
		fake.now += 4 * NSEC_PER_SEC;
		ASSERT_EQ(convert(DATA, 1000, true, &waited), 0);
		fake.now += 1 * NSEC_PER_SEC;
	}
	EXPECT_GE(waited, 50 * NSEC_PER_SEC);
}

TEST(reset_costs_nothing)
{
	u64 waited = 0, i, slot;

	/* Without punching, a memslot at a time, and page by page again. */
	hold(GIB, 0);
	for (i = 0; i < 3; i++) {
		for (slot = 0; slot < 8; slot++)
			ASSERT_EQ(convert(DATA + slot * GIB / 8, GIB / 8, false,
					  &waited), 0);
		fake.now += 20 * NSEC_PER_SEC;
		for (slot = 0; slot < GIB / 512; slot++)
			ASSERT_EQ(convert(DATA + slot * 512, 512, true,
					  &waited), 0);
		fake.now += 100 * NSEC_PER_SEC;
	}
	EXPECT_EQ(waited, 0);
	/* With. */
	new_vm(GIB);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
		if (request(GIB))
			break;
		ASSERT_EQ(convert(DATA, GIB, false, &waited), 0);
		punch(GIB);
	}
	/* The third time it needs some to earn what it populates. */
	EXPECT_EQ(i, 2);
	EXPECT_EQ(waited, 0);
}

TEST(memory_may_be_populated_twice_at_once)
{
	u64 began, pages = 0;
	s64 verdict;

	new_vm(16 * GIB);
	while (vm.usage.allocated_pages < 2 * 16 * GIB) {
		if (vm.usage.populated_pages == 16 * GIB)
			punch(16 * GIB);
		ASSERT_EQ(request(512), 0);
	}
	ASSERT_EQ(request(params.fault_burst), 0);
	params.fault_rate = 1000;
	began = fake.now;
	while (fake.now - began < 10 * NSEC_PER_SEC) {
		verdict = request(1);
		ASSERT_GE(verdict, 0);
		pages += !verdict;
		fake.now += verdict;
	}
	/* A 512th of it each second. */
	EXPECT_GE(pages, 81919);
	EXPECT_LE(pages, 81930);
}

TEST(pages_that_are_there_cost_nothing)
{
	struct kvm_gmem_fault fault = { .nr_pages = 100 };
	u64 i;

	new_vm(100);
	params.fault_burst = params.fault_rate = 1;
	/* A range, all of whose pages are there. */
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(guard_fault(&vm, &fault), 0);
		guard_fault_end(&vm, &fault, 0, 0);
	}
	ASSERT_EQ(request(201), 0);
	ASSERT_GT(request(1), 0);
	fault.nr_pages = 1;
	fake.present = true;
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(guard_fault(&vm, &fault), 0);
		guard_fault_end(&vm, &fault, 0, 0);
	}
	fake.present = false;
	EXPECT_EQ(state()->faults.bucket.credit / GMEM_TOKEN, 0);
	EXPECT_GT(request(1), 0);
}

/* What waits has taken nothing. */
TEST(a_request_that_waits_has_taken_nothing)
{
	struct kvm_gmem_fault fault = { .nr_pages = 100 };
	s64 credit;
	int i;

	new_vm(1);
	params.fault_burst = params.fault_rate = 1;
	/* More than the bucket holds leaves a debt; the rest has to wait. */
	EXPECT_EQ(guard_fault(&vm, &fault), 0);
	credit = state()->faults.bucket.credit;
	for (i = 0; i < 10; i++)
		EXPECT_GT(guard_fault(&vm, &fault), 0);
	EXPECT_EQ(state()->faults.bucket.credit, credit);
	guard_fault_end(&vm, &fault, 0, -EINTR);
	EXPECT_EQ(request(1), 0);
}

/* In vm_init there was no room for its state. */
TEST(state_that_comes_late_begins_then)
{
	u64 waited = 0, i;

	reset();
	vm.usage.size_pages = 1000;
	params.conversion_burst = 10;
	params.conversion_rate = 1;
	fake.full = true;
	guard_vm_init(&vm);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	EXPECT_EQ(waited, 0);
	fake.full = false;
	for (i = 0; i < 2010; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	EXPECT_EQ(waited, 0);
	EXPECT_EQ(state()->size, 1000);
}

/* Their memory is not bounded, what they do is. */
TEST(vms_without_a_state_share_one)
{
	u64 waited = 0, i;

	hold(1000, 1000);
	guard_vm_exit(&vm);
	fake_reset(&vms_common);
	fake.full = true;
	params.conversion_burst = 100;
	params.conversion_rate = 100;
	guard_vm_init(&vm);
	for (i = 0; i < 300; i++) {
		fake.now += 1;
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	}
	EXPECT_GE(waited, 1900 * NSEC_PER_MSEC);
	fake.now += 1000 * NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, 1, false, &waited), 0);
	guard_vm_exit(&vm);
}

TEST_HARNESS_MAIN
