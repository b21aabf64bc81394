// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/quota.bpf.c on the host, with counters and a second CPU that do
 * as the test says.  Not here: real guests, which tests/policies has.
 */
#include "../../bpf/policies/quota.bpf.c"
#include "kselftest_harness.h"

static struct kvm vm;

static void new_vm(u64 mib)
{
	fake_reset(&vms_common);
	params = (struct quota_params){ .stale_percent = 100, .error = EDQUOT };
	vm = (struct kvm){
		.gmem.id = 1,
		.users_count.refs.counter = 1,
		.usage.size_pages = mib * PAGES_PER_MIB,
	};
	quota_vm_init(&vm);
}

/* Does the request pass?  If so, it is done. */
static bool request(u64 pages)
{
	struct kvm_gmem_fault fault = { .nr_pages = pages };

	fake.now += 1000;
	if (quota_fault_hook(&vm, &fault))
		return false;
	vm.usage.populated_pages += pages;
	vm.usage.allocated_pages += pages;
	return true;
}

/* How many more pages does it get, one by one? */
static u64 pages_left(u64 most)
{
	u64 nr = 0;

	while (nr < most && request(1))
		nr++;
	return nr;
}

TEST(ceiling_is_exact)
{
	static const u64 sizes[] = { 1, 3, 63, 64, 65, 200 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		new_vm(16);
		params.populated = 4;
		while (request(sizes[i]))
			;
		EXPECT_EQ(vm.usage.populated_pages,
			  1024 / sizes[i] * sizes[i]);
		EXPECT_EQ(pages_left(5000), 1024 % sizes[i]);
	}
}

TEST(a_lower_ceiling_bites_at_once)
{
	new_vm(4096);
	params.populated = 4096;
	EXPECT_EQ(pages_left(1000), 1000);
	params.populated = 1;
	EXPECT_LE(pages_left(5000), 64);

	/* And one where there was none. */
	new_vm(4096);
	EXPECT_EQ(pages_left(1000), 1000);
	params.populated = 1;
	EXPECT_EQ(pages_left(5000), 0);

	new_vm(4096);
	params.populated = 4096;
	EXPECT_EQ(pages_left(1000), 1000);
	vm.usage.stale_pages = 500;
	params.stale = 1;
	EXPECT_LE(pages_left(5000), 64);
}

TEST(a_higher_ceiling_helps_at_once)
{
	new_vm(4096);
	params.populated = 1;
	EXPECT_EQ(pages_left(5000), 256);
	params.populated = 2;
	EXPECT_EQ(pages_left(5000), 256);
	params.populated = 0;
	EXPECT_EQ(pages_left(5000), 5000);
}

static u64 other_cpu_pages;

static void other_cpu(void)
{
	while (other_cpu_pages && request(1))
		other_cpu_pages--;
}

/* Another CPU takes pages while this one reads the counters. */
TEST(room_that_another_cpu_uses_is_not_given_twice)
{
	u64 pages, first;

	for (first = 0; first < 130; first += 13) {
		for (pages = 1; pages < 300; pages++) {
			new_vm(16);
			params.populated = 1;
			EXPECT_EQ(pages_left(first), first);
			other_cpu_pages = pages;
			fake.on_usage = other_cpu;
			request(2);
			pages_left(5000);
			/* The ceiling, and the one request on its way. */
			ASSERT_LE(vm.usage.populated_pages, 256 + 2) {
				TH_LOG("%ju pages after %ju", (uintmax_t)pages,
				       (uintmax_t)first);
			}
		}
	}
}

TEST(grace_begins_when_room_is_gone)
{
	struct kvm_gmem_fault fault = { .nr_pages = 1 };

	new_vm(16);
	params.populated = 1;
	params.grace = 1000;
	EXPECT_TRUE(request(256));
	EXPECT_EQ(quota_fault_hook(&vm, &fault), QUOTA_RETRY_NS);
	fake.now += 999 * NSEC_PER_MSEC;
	EXPECT_EQ(quota_fault_hook(&vm, &fault), NSEC_PER_MSEC);
	fake.now += NSEC_PER_MSEC;
	EXPECT_EQ(quota_fault_hook(&vm, &fault), -EDQUOT);
	fake.present = true;
	EXPECT_EQ(quota_fault_hook(&vm, &fault), 0);
}

TEST_HARNESS_MAIN
