// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/guard.bpf.c on the host, for guests that no test machine has
 * room for, and for each of its parts by itself.  Not here: real guests, which
 * tests/policies has, and its parts in their own objects.
 */
#include "../../bpf/policies/guard.bpf.c"
#include "kselftest_harness.h"

#define GIB	262144ULL
#define DATA	1048576ULL

static struct kvm vm;
static struct guard_params defaults;

static void reset(void)
{
	static bool saved;

	if (!saved)
		defaults = params;
	saved = true;
	params = defaults;
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

/* Converts as KVM does, waiting as told.  Returns 0 or a negative errno. */
static s64 convert(u64 start, u64 pages, bool private, u64 *waited)
{
	struct kvm_gmem_convert c = {
		.start = start,
		.end = start + pages,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	struct kvm_gmem_invalidate done = {
		.start = start,
		.end = start + pages,
		.reason = KVM_GMEM_INVALIDATE_CONVERSION,
	};
	u64 began = fake.now;
	s64 verdict;

	while ((verdict = guard_convert(&vm, &c)) > 0)
		fake.now += verdict;
	*waited += fake.now - began;
	fake.now += 1000;
	if (verdict)
		return verdict;

	if (private) {
		vm.usage.pages_to_private += pages;
		vm.usage.private_pages += pages;
	} else {
		vm.usage.pages_to_shared += pages;
		vm.usage.private_pages -= pages;
	}
	guard_invalidate(&vm, &done);
	guard_convert_end(&vm, &c, pages, 0);
	return 0;
}

/* Asks once for private pages, and has them if it may. */
static s64 request(u64 pages)
{
	struct kvm_gmem_fault fault = { .nr_pages = pages };
	s64 verdict = guard_fault(&vm, &fault);

	if (!verdict) {
		vm.usage.populated_pages += pages;
		vm.usage.allocated_pages += pages;
		guard_fault_end(&vm, &fault, pages, 0);
	}
	return verdict;
}

TEST(any_size_boots_without_delay)
{
	static const u64 sizes[] = { 1, 256, 257, 1024, 16384 };
	static const u64 slots[] = { 1, 2, 8, 64 };
	u64 waited = 0, s, n, i, part;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (n = 0; n < ARRAY_SIZE(slots); n++) {
			new_vm(0);
			/* As QEMU does: a memslot, its memory, the next one. */
			part = sizes[s] * GIB / slots[n];
			for (i = 0; i < slots[n]; i++) {
				vm.usage.size_pages += part;
				ASSERT_EQ(convert(DATA + i * part, part, true,
						  &waited), 0);
			}
			/* And the guest: what its drivers share. */
			ASSERT_EQ(convert(DATA, GIB / 4, false, &waited), 0);
			for (i = 0; i < 2000; i++)
				ASSERT_EQ(convert(DATA + GIB / 4 + i, 1, false,
						  &waited), 0);
			ASSERT_EQ(waited, 0) {
				TH_LOG("%ju GiB in %ju slots: %ju s",
				       (uintmax_t)sizes[s],
				       (uintmax_t)slots[n],
				       (uintmax_t)(waited / NSEC_PER_SEC));
			}
		}
	}
}

TEST(frames_without_memory_leave_no_debt)
{
	u64 waited = 0;

	new_vm(GIB);
	ASSERT_EQ(convert(0, 1024 * GIB, true, &waited), 0);
	ASSERT_EQ(convert(DATA, 1, false, &waited), 0);
	EXPECT_LE(waited, NSEC_PER_MSEC);
}

TEST(guest_that_lived_before_guard_pays)
{
	u64 waited = 0;

	reset();
	vm.usage.size_pages = 64 * GIB;
	vm.usage.private_pages = vm.usage.pages_to_private = 64 * GIB;
	params.page_burst = GIB;
	guard_vm_init(&vm);
	EXPECT_EQ(convert(DATA, GIB, true, &waited), 0);
	EXPECT_EQ(convert(DATA, GIB, true, &waited), 0);
	EXPECT_GE(waited, 249 * NSEC_PER_MSEC);
}

TEST(page_rate_holds)
{
	u64 waited = 0, pages = 0, began, i, earned;
	u64 part = 4 * GIB;

	new_vm(64 * GIB);
	params.page_rate = GIB;
	params.page_burst = 8 * GIB;
	params.turns_free = 1000000;
	params.shared_percent = 100;
	ASSERT_EQ(convert(DATA, 64 * GIB, true, &waited), 0);
	began = fake.now;
	for (i = 0; fake.now - began < 100 * NSEC_PER_SEC; i++) {
		ASSERT_EQ(convert(DATA, part, i & 1, &waited), 0);
		pages += part;
	}
	earned = params.page_burst + (fake.now - began) / 1000 * GIB / 1000000;
	EXPECT_LE(pages, earned);
	EXPECT_GE(pages + 2 * part, earned);
}

TEST(conversion_rate_holds)
{
	u64 waited = 0, began, i;

	new_vm(GIB);
	params.conversion_burst = 100;
	params.conversion_rate = 50;
	ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
	began = fake.now;
	for (i = 0; fake.now - began < 20 * NSEC_PER_SEC; i++)
		ASSERT_EQ(convert(DATA + i, 1, false, &waited), 0);
	EXPECT_LE(i, 99 + 20 * 50 + 1);
	EXPECT_GE(i, 99 + 20 * 50 - 1);
}

/* Isolated pages, one for each vCPU: two edges each. */
static u64 isolated(u64 most)
{
	u64 waited = 0, i;

	for (i = 0; i < most; i++) {
		if (convert(DATA + 1000 + 2 * i, 1, false, &waited))
			break;
	}
	return i;
}

/* Memory that is private has two ends, and each hole in it two more. */
TEST(ranges_grow_with_the_vcpus)
{
	u64 waited = 0;

	new_vm(64 * GIB);
	ASSERT_EQ(convert(DATA, 64 * GIB, true, &waited), 0);
	EXPECT_EQ(isolated(2000), (512 + 4) / 2 - 1);

	/* Two pages for each, and some for drivers. */
	new_vm(64 * GIB);
	vm.created_vcpus = 256;
	ASSERT_EQ(convert(DATA, 64 * GIB, true, &waited), 0);
	EXPECT_EQ(isolated(2 * 256 + 200), 2 * 256 + 200);

	/* As many as there can be, and yet bounded. */
	new_vm(64 * GIB);
	vm.created_vcpus = 4096;
	ASSERT_EQ(convert(DATA, 64 * GIB, true, &waited), 0);
	EXPECT_EQ(isolated(2000), FRAGMENT_MAX / 2 - 1);
}

TEST(ranges_are_those_that_were_set)
{
	u64 waited = 0;

	new_vm(GIB);
	params.ranges = 10;
	vm.created_vcpus = 0;
	ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
	EXPECT_EQ(isolated(2000), 4);
	/* Whatever somebody wrote: the table is not to overflow. */
	params.ranges = 1ULL << 40;
	EXPECT_EQ(isolated(2000), FRAGMENT_MAX / 2 - 1);
}

TEST(shared_memory_is_bounded_after_the_grace)
{
	u64 waited = 0;

	new_vm(GIB);
	ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
	ASSERT_EQ(convert(DATA, GIB / 2 + 1, false, &waited), 0);
	ASSERT_EQ(convert(DATA, GIB / 2 + 1, true, &waited), 0);
	fake.now += 120 * NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, GIB / 2 + 1, false, &waited), -EDQUOT);
	EXPECT_EQ(convert(DATA, GIB / 2, false, &waited), 0);
	EXPECT_EQ(convert(DATA + GIB / 2, 1, false, &waited), -EDQUOT);
	EXPECT_EQ(convert(DATA, 1, true, &waited), 0);
}

TEST(populated_memory_is_bounded)
{
	s64 verdict;

	new_vm(GIB);
	params.populated = 512;
	EXPECT_EQ(request(GIB / 2), 0);
	EXPECT_GT(request(1), 0);
	fake.now += NSEC_PER_SEC;
	EXPECT_EQ(request(1), -EDQUOT);
	/* Room again, and the rest of its memory is still free of charge. */
	vm.usage.populated_pages -= 10;
	vm.usage.freed_pages += 10;
	EXPECT_EQ(request(10), 0);
	verdict = request(1);
	EXPECT_NE(verdict, 0);
}

static struct vm_state *state(void)
{
	return gmem_vm_state_own(vms, &vm);
}

/* What one part lets pass and another does not is promised to nobody. */
TEST(a_request_that_waits_has_no_room)
{
	struct kvm_gmem_fault fault = { .nr_pages = 100 };
	int i;

	new_vm(1024);
	params.populated = 1;
	params.fault_rate = 1;
	params.fault_burst = 1;
	vm.usage.allocated_pages = vm.usage.freed_pages = 1024;
	guard_vm_exit(&vm);
	memset(state(), 0, sizeof(*state()));
	guard_vm_init(&vm);
	/* More than the bucket holds leaves a debt; the rest has to wait. */
	EXPECT_EQ(guard_fault(&vm, &fault), 0);
	EXPECT_EQ(state()->quota.account.promised, 100);
	for (i = 0; i < 10; i++)
		EXPECT_GT(guard_fault(&vm, &fault), 0);
	EXPECT_EQ(state()->quota.account.promised, 100);
	guard_fault_end(&vm, &fault, 100, 0);
	EXPECT_EQ(state()->quota.account.promised, 0);
}

TEST(requests_under_way_have_their_room)
{
	struct kvm_gmem_fault fault = { .nr_pages = 128 };
	int i, passed = 0;

	new_vm(GIB);
	params.populated = 1;
	for (i = 0; i < 8; i++)
		passed += !guard_fault(&vm, &fault);
	EXPECT_EQ(passed, 2);
}

/* None of them is done when all of them ask. */
TEST(conversions_under_way_have_their_share)
{
	struct kvm_gmem_convert c = { .start = DATA };
	u64 waited = 0, i, passed = 0;

	new_vm(GIB);
	params.ranges = 2000;
	ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
	fake.now += 120 * NSEC_PER_SEC;
	for (i = 0; i < 8; i++) {
		c.start = DATA + i * GIB / 8;
		c.end = c.start + GIB / 8;
		passed += !guard_convert(&vm, &c);
	}
	EXPECT_EQ(passed, 4);
	/* Two of them fail. */
	for (i = 0; i < 2; i++)
		guard_convert_end(&vm, &c, 0, -EINTR);
	EXPECT_EQ(convert(DATA, GIB / 8 * 2 + 1, false, &waited), -EDQUOT);
	EXPECT_EQ(convert(DATA, GIB / 8 * 2, false, &waited), 0);
	EXPECT_EQ(state()->shared.promised, GIB / 8 * 2);
}

TEST(stale_memory_is_bounded)
{
	new_vm(GIB);
	EXPECT_EQ(request(GIB / 2), 0);
	vm.usage.stale_pages = GIB / 2 + 100;
	EXPECT_GT(request(1), 0);
	fake.now += NSEC_PER_SEC;
	EXPECT_EQ(request(1), -EDQUOT);
	vm.usage.stale_pages = GIB / 4;
	EXPECT_EQ(request(1), 0);
}

TEST(faults_are_free_once)
{
	u64 began, pages = 0, waited = 0;
	s64 verdict;

	new_vm(16 * GIB);
	params.stale_percent = 100;
	while (vm.usage.allocated_pages < 16 * GIB)
		ASSERT_EQ(request(512), 0);
	began = fake.now;
	while (fake.now - began < 10 * NSEC_PER_SEC) {
		verdict = request(1);
		ASSERT_GE(verdict, 0);
		pages += !verdict;
		waited += verdict;
		fake.now += verdict;
	}
	EXPECT_LE(pages, 65536 * 10 + 65536 / 4 + 1);
	EXPECT_GE(pages, 65536 * 10);
}

static void other_cpu(void)
{
	while (!request(1))
		;
}

/* Another CPU uses up what is free while this one reads how much that is. */
TEST(faults_are_not_free_twice)
{
	u64 burst, size = 4096;

	new_vm(size);
	params.stale_percent = 100;
	params.fault_rate = 1;
	params.fault_burst = burst = 10;
	fake.on_usage = other_cpu;
	request(1);
	while (!request(1))
		;
	EXPECT_EQ(vm.usage.allocated_pages, size + burst);

	/* Memory that is added is free as well, and what is left stays so. */
	new_vm(size);
	params.stale_percent = 100;
	params.fault_rate = 1;
	params.fault_burst = burst;
	EXPECT_EQ(request(size - 5), 0);
	fake.now += 2 * NSEC_PER_SEC;
	vm.usage.size_pages += 100;
	EXPECT_EQ(request(105), 0);
	EXPECT_EQ(request(10), 0);
	EXPECT_GT(request(1), 0);
}

/* In vm_init there was no room for its state. */
TEST(state_that_comes_late_begins_then)
{
	u64 waited = 0;

	reset();
	vm.usage.size_pages = GIB;
	fake.full = true;
	guard_vm_init(&vm);
	ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
	fake.now += 1000 * NSEC_PER_SEC;
	fake.full = false;
	EXPECT_EQ(convert(DATA, GIB / 2 + 1, false, &waited), 0);
	EXPECT_EQ(convert(DATA, GIB / 2 + 1, true, &waited), 0);
	EXPECT_EQ(isolated(2000), (512 + 4) / 2);
	fake.now += 120 * NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, GIB, false, &waited), -EDQUOT);
	EXPECT_EQ(waited, 0);
}

/* The first that is seen of a VM is a conversion that was done. */
TEST(state_that_comes_with_an_invalidation_is_whole)
{
	struct kvm_gmem_invalidate done = {
		.start = DATA,
		.end = DATA + 1,
		.reason = KVM_GMEM_INVALIDATE_CONVERSION,
	};
	u64 waited = 0;

	new_vm(GIB);
	memset(gmem_vm_state_own(vms, &vm), 0,
	       sizeof(struct vm_state));
	vm.usage.private_pages = GIB - 1;
	vm.usage.pages_to_private = GIB;
	vm.usage.pages_to_shared = 1;
	guard_invalidate(&vm, &done);
	EXPECT_EQ(isolated(2000), (512 + 4) / 2);
	EXPECT_EQ(waited, 0);
}

TEST(vms_without_a_state_share_one)
{
	u64 waited = 0, i;

	reset();
	vm.usage.size_pages = GIB;
	fake.full = true;
	guard_vm_init(&vm);
	ASSERT_EQ(convert(DATA, GIB, true, &waited), 0);
	/* Their ranges are not bounded, what they may share is. */
	EXPECT_EQ(isolated(2000), 2000);
	fake.now += 120 * NSEC_PER_SEC;
	EXPECT_EQ(convert(DATA, GIB, false, &waited), -EDQUOT);
	for (i = 0; i < 300; i++)
		ASSERT_EQ(convert(DATA, 1, i & 1, &waited), 0);
	EXPECT_GE(waited, NSEC_PER_SEC);
	guard_vm_exit(&vm);
}

TEST_HARNESS_MAIN
