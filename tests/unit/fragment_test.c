// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/fragment.bpf.c on the host: a VM whose state is made late, and
 * conversions that are under way at the same time.  Not here: the ranges
 * (ranges_test.c), and the policy on real guests (tests/bpf/library_test.c and
 * inplace_test.c).
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
		struct kvm_gmem_convert c = { .start = 2 * i, .end = 2 * i + 1,
					      .nr_pages = 1 };
		struct kvm_gmem_invalidate done = {
			.start = c.start,
			.end = c.end,
			.reason = KVM_GMEM_INVALIDATE_CONVERSION,
		};

		if (fragment_convert(&vm, &c))
			break;
		vm.usage.pages_to_shared++;
		vm.usage.private_pages--;
		vm.usage.invalidations[KVM_GMEM_INVALIDATE_CONVERSION]++;
		fragment_invalidate(&vm, &done);
		fragment_convert_end(&vm, &c, 1, 0);
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

#define FRAMES	64
#define THREADS	8

static bool private[FRAMES];

/* All of it private, and nothing else. */
static void new_vm(void)
{
	fake_reset(&vms_common);
	params.ranges = 10;
	params.metadata = 0;
	memset(private, true, sizeof(private));
	vm.usage.private_pages = vm.usage.pages_to_private = FRAMES;
	vm.usage.pages_to_shared = vm.usage.attribute_bytes = 0;
	fragment_vm_init(&vm);
}

static s64 ask(const struct kvm_gmem_convert *c)
{
	fake.now += 1000;
	return fragment_convert(&vm, c);
}

static u64 change(const struct kvm_gmem_convert *c)
{
	struct kvm_gmem_invalidate done = {
		.start = c->start,
		.end = c->end,
		.reason = KVM_GMEM_INVALIDATE_CONVERSION,
	};
	bool to = gmem_is_private(c);
	u64 i, changed = 0;

	for (i = c->start; i < c->end; i++) {
		changed += private[i] != to;
		private[i] = to;
	}
	*(to ? &vm.usage.pages_to_private : &vm.usage.pages_to_shared) += changed;
	vm.usage.private_pages += to ? changed : -changed;
	if (changed) {
		vm.usage.invalidations[KVM_GMEM_INVALIDATE_CONVERSION]++;
		fragment_invalidate(&vm, &done);
	}
	return changed;
}

/* Beyond the memory everything counts as private, too. */
static u64 edges(void)
{
	u64 i, nr = !private[0] + !private[FRAMES - 1];

	for (i = 1; i < FRAMES; i++)
		nr += private[i] != private[i - 1];
	return nr;
}

static struct kvm_gmem_convert range(u64 start, u64 end, bool private)
{
	return (struct kvm_gmem_convert){
		.start = start,
		.end = end,
		.nr_pages = end - start,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
}

/* None of them is done when all of them ask; those that wait go on later. */
TEST(conversions_under_way_have_their_ranges)
{
	struct kvm_gmem_convert c[THREADS];
	int i, passed = 0;

	new_vm();
	for (i = 0; i < THREADS; i++) {
		c[i] = range(4 * i, 4 * i + 1, false);
		passed += !ask(&c[i]);
	}
	EXPECT_EQ(passed, 5);
	EXPECT_EQ(ask(&c[5]), FRAGMENT_RETRY_NS);
	for (i = 0; i < 4; i++)
		fragment_convert_end(&vm, &c[i], change(&c[i]), 0);
	EXPECT_EQ(ask(&c[5]), FRAGMENT_RETRY_NS);
	/* The fifth fails, and leaves its place to the sixth. */
	fragment_convert_end(&vm, &c[4], 0, -EINTR);
	EXPECT_EQ(ask(&c[5]), 0);
	fragment_convert_end(&vm, &c[5], change(&c[5]), 0);
	EXPECT_EQ(ask(&c[6]), -ENOSPC);
	EXPECT_EQ(edges(), 10);
	/* What makes no more passes, by itself. */
	c[0] = range(0, 2, true);
	EXPECT_EQ(ask(&c[0]), 0);
	EXPECT_EQ(ask(&c[1]), FRAGMENT_RETRY_NS);
	fragment_convert_end(&vm, &c[0], change(&c[0]), 0);
	EXPECT_EQ(ask(&c[1]), 0);
}

TEST(memory_for_attributes_is_bounded_for_all_of_them)
{
	struct kvm_gmem_convert c = range(4, 5, false), d = range(8, 9, false);

	new_vm();
	params.metadata = 16;
	EXPECT_EQ(ask(&c), 0);
	EXPECT_EQ(ask(&d), 0);
	vm.usage.attribute_bytes = 16 * 1024 - 1;
	EXPECT_EQ(ask(&d), FRAGMENT_RETRY_NS);
	fragment_convert_end(&vm, &d, 0, -EINTR);
	EXPECT_EQ(ask(&d), FRAGMENT_RETRY_NS);
	fragment_convert_end(&vm, &c, 0, -EINTR);
	EXPECT_EQ(ask(&d), 0);
	fragment_convert_end(&vm, &d, change(&d), 0);
	vm.usage.attribute_bytes++;
	EXPECT_EQ(ask(&c), -ENOSPC);
}

TEST(any_number_of_threads)
{
	struct { bool passed, done; u64 changed; struct kvm_gmem_convert c; } t[THREADS] = {};
	u64 rounds, i, start, most = 0;

	srand(1);
	new_vm();
	for (rounds = 0; rounds < 300000; rounds++) {
		i = rand() % THREADS;
		if (!t[i].passed) {
			start = rand() % FRAMES;
			t[i].c = range(start, start + 1 +
				       rand() % gmem_min(FRAMES - start, 20),
				       rand() & 1);
			t[i].passed = !ask(&t[i].c);
			t[i].done = false;
			t[i].changed = 0;
		} else if (!t[i].done) {
			if (rand() % 4)
				t[i].changed = change(&t[i].c);
			t[i].done = true;
			ASSERT_LE(edges(), 10);
			most = gmem_max(most, edges());
		} else {
			fragment_convert_end(&vm, &t[i].c, t[i].changed, 0);
			t[i].passed = false;
		}
	}
	EXPECT_EQ(most, 10);
}

TEST_HARNESS_MAIN
