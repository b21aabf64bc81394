// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/policies/sharedcap.bpf.c on the host: when its grace period begins, and
 * conversions that are under way at the same time.  Not here: real guests, which
 * tests/bpf/library_test.c and tests/policies have.
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
	struct kvm_gmem_convert c = { .start = 1, .end = 2, .nr_pages = 1 };

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

/* 4,096 pages, all of them private. */
static void new_vm(void)
{
	fake_reset(&vms_common);
	vm.usage.size_pages = 4096;
	vm.usage.private_pages = vm.usage.pages_to_private = 4096;
	vm.usage.pages_to_shared = 0;
	params.grace = 0;
	sharedcap_vm_init(&vm);
}

static s64 ask(u64 pages, bool private)
{
	struct kvm_gmem_convert c = {
		.start = 1,
		.end = 1 + pages,
		.nr_pages = pages,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return sharedcap_convert_hook(&vm, &c);
}

static void change(u64 changed, bool private)
{
	if (private) {
		vm.usage.pages_to_private += changed;
		vm.usage.private_pages += changed;
	} else {
		vm.usage.pages_to_shared += changed;
		vm.usage.private_pages -= changed;
	}
}

static void end(u64 pages, u64 changed, bool private)
{
	struct kvm_gmem_convert c = {
		.start = 1,
		.end = 1 + pages,
		.nr_pages = pages,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	sharedcap_convert_end(&vm, &c, changed, 0);
}

static s64 convert(u64 pages, bool private)
{
	s64 verdict = ask(pages, private);

	if (!verdict) {
		change(pages, private);
		end(pages, pages, private);
	}
	return verdict;
}

static u64 shared(void)
{
	return vm.usage.size_pages - vm.usage.private_pages;
}

TEST(conversions_under_way_have_their_share)
{
	int i, passed = 0;

	new_vm();
	for (i = 0; i < 8; i++)
		passed += !ask(1024, false);
	EXPECT_EQ(passed, 2);
	change(1024, false);
	EXPECT_EQ(ask(1, false), -EDQUOT);
	/* One is done; half of the other was shared already. */
	end(1024, 1024, false);
	EXPECT_EQ(ask(1, false), -EDQUOT);
	change(512, false);
	end(1024, 512, false);
	EXPECT_EQ(ask(513, false), -EDQUOT);
	EXPECT_EQ(convert(512, false), 0);
	EXPECT_EQ(convert(1, false), -EDQUOT);
	/* What is given back is there at once. */
	EXPECT_EQ(convert(100, true), 0);
	EXPECT_EQ(convert(101, false), -EDQUOT);
	EXPECT_EQ(convert(100, false), 0);
	EXPECT_EQ(shared(), 2048);
}

TEST(what_the_grace_let_pass_counts)
{
	new_vm();
	params.grace = 60;
	EXPECT_EQ(ask(2000, false), 0);
	params.grace = 0;
	EXPECT_EQ(ask(49, false), -EDQUOT);
	EXPECT_EQ(ask(48, false), 0);
}

TEST(what_is_shared_already_does_not_count)
{
	new_vm();
	EXPECT_EQ(convert(2048, false), 0);
	fake.changes = 0;
	EXPECT_EQ(ask(2048, false), 0);
	end(2048, 0, false);
	fake.changes = 1;
	EXPECT_EQ(ask(2048, false), -EDQUOT);
	/* 100 of those frames were private, the rest was shared. */
	change(100, true);
	fake.changes = 100;
	EXPECT_EQ(ask(2048, false), 0);
	change(100, false);
	end(2048, 100, false);
	fake.changes = 1;
	EXPECT_EQ(ask(1, false), -EDQUOT);
}

/* Frames without memory become private and shared: only the kernel counts them. */
TEST(frames_without_memory_do_not_count)
{
	new_vm();
	vm.usage.pages_to_private += 1000000;
	EXPECT_EQ(convert(2049, false), -EDQUOT);
	EXPECT_EQ(convert(2048, false), 0);
	EXPECT_EQ(convert(1, false), -EDQUOT);
	fake.changes = 0;
	EXPECT_EQ(ask(500000, false), 0);
	vm.usage.pages_to_shared += 500000;
	end(500000, 500000, false);
	fake.changes = ~0ULL;
	EXPECT_EQ(convert(1, false), -EDQUOT);
	EXPECT_EQ(convert(1, true), 0);
	EXPECT_EQ(convert(1, false), 0);
	EXPECT_EQ(shared(), 2048);
}

/* Its frames are private no more, and it has not been counted yet. */
TEST(a_conversion_that_is_being_counted)
{
	new_vm();
	ASSERT_EQ(ask(1024, false), 0);
	vm.usage.private_pages -= 1024;
	EXPECT_GT(ask(1024, false), 0);
	EXPECT_EQ(ask(1025, false), -EDQUOT);
	vm.usage.pages_to_shared += 1024;
	EXPECT_EQ(ask(1024, false), 0);
}

/* Nobody asked about them: policies were switched off. */
TEST(conversions_that_nobody_asked_about_count)
{
	new_vm();
	change(1000, false);
	EXPECT_EQ(ask(1049, false), -EDQUOT);
	EXPECT_EQ(convert(1000, false), 0);
	change(1000, true);
	EXPECT_EQ(ask(100, false), 0);
	change(500 + 100, false);
	end(100, 100, false);
	EXPECT_EQ(ask(449, false), -EDQUOT);
	EXPECT_EQ(ask(448, false), 0);
}

#define THREADS	16

TEST(any_number_of_threads)
{
	struct { bool passed, private, done; u64 pages, todo; } t[THREADS] = {};
	u64 rounds, i, most = 0;

	srand(1);
	new_vm();
	for (rounds = 0; rounds < 300000; rounds++) {
		i = rand() % THREADS;
		if (!t[i].passed) {
			t[i].pages = 1 + rand() % 1000;
			t[i].private = rand() & 1;
			t[i].passed = !ask(t[i].pages, t[i].private);
			ASSERT_TRUE(t[i].passed || !t[i].private);
			t[i].done = false;
		} else if (!t[i].done) {
			t[i].todo = rand() % 2 ? t[i].pages :
				    rand() % (t[i].pages + 1);
			if (t[i].private)
				t[i].todo = gmem_min(t[i].todo, shared());
			change(t[i].todo, t[i].private);
			t[i].done = true;
			ASSERT_LE(shared(), 2048);
			most = gmem_max(most, shared());
		} else {
			end(t[i].pages, t[i].todo, t[i].private);
			t[i].passed = false;
		}
	}
	EXPECT_GE(most, 2000);
	for (i = 0; i < THREADS; i++)
		if (t[i].passed)
			end(t[i].pages, t[i].done ? t[i].todo : 0, t[i].private);
	EXPECT_EQ(convert(2048 - shared(), false), 0);
	EXPECT_EQ(convert(1, false), -EDQUOT);
}

TEST_HARNESS_MAIN
