// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/sharedcap.bpf.c on the host: when its grace period begins.  Not
 * here: the cap, which tests/bpf/library_test.c and tests/policies have.
 */
#include "../../bpf/policies/sharedcap.bpf.c"
#include "kselftest_harness.h"

static struct kvm vm = {
	.gmem.id = 1,
	.users_count.refs.counter = 1,
	.usage = { .size_pages = 4096 },
};

static s64 share(void)
{
	struct kvm_gmem_convert c = { .start = 1, .end = 2 };

	return sharedcap_convert_hook(&vm, &c);
}

TEST(grace_begins_with_the_vm)
{
	fake_reset(&vms_common);
	sharedcap_vm_init(&vm);
	fake.now += params.grace * NSEC_PER_SEC - 1;
	EXPECT_EQ(share(), 0);
	fake.now++;
	EXPECT_EQ(share(), -EDQUOT);
}

TEST(grace_of_state_that_comes_late_begins_then)
{
	fake_reset(&vms_common);
	fake.full = true;
	sharedcap_vm_init(&vm);
	fake.now += 1000 * NSEC_PER_SEC;
	EXPECT_EQ(share(), -EDQUOT);
	fake.full = false;
	EXPECT_EQ(share(), 0);
	fake.now += params.grace * NSEC_PER_SEC;
	EXPECT_EQ(share(), -EDQUOT);
}

/* Another CPU may have begun it a moment later than this one read the clock. */
TEST(grace_is_not_over_before_it_begins)
{
	fake_reset(&vms_common);
	sharedcap_vm_init(&vm);
	fake.now--;
	EXPECT_EQ(share(), 0);
}

TEST_HARNESS_MAIN
