// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/fragment.bpf.c on the host: a VM whose state is made late.  Not
 * here: the ranges (ranges_test.c), and the policy on real guests
 * (tests/bpf/library_test.c).
 */
#include "../../bpf/policies/fragment.bpf.c"
#include "kselftest_harness.h"

static struct kvm vm = {
	.gmem.id = 1,
	.users_count.refs.counter = 1,
	.usage = { .private_pages = 4096, .pages_to_private = 4096 },
};

/* Shares every other page until it is refused. */
static u64 shared_pages(u64 most)
{
	u64 i;

	for (i = 0; i < most; i++) {
		struct kvm_gmem_convert c = { .start = 2 * i, .end = 2 * i + 1 };
		struct kvm_gmem_invalidate done = {
			.start = c.start,
			.end = c.end,
			.reason = KVM_GMEM_INVALIDATE_CONVERSION,
		};

		if (fragment_convert(&vm, &c))
			break;
		vm.usage.pages_to_shared++;
		vm.usage.private_pages--;
		fragment_invalidate(&vm, &done);
	}
	return i;
}

TEST(state_that_comes_late_is_bounded)
{
	fake_reset(&vms_common);
	fake.full = true;
	fragment_vm_init(&vm);
	EXPECT_EQ(shared_pages(1000), 1000);
	fake.full = false;
	EXPECT_EQ(shared_pages(1000), params.ranges / 2);
}

TEST_HARNESS_MAIN
