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

static void allocate(u64 pages)
{
	vm.usage.populated_pages += pages;
	vm.usage.allocated_pages += pages;
}

static void give_back(u64 pages)
{
	vm.usage.populated_pages -= pages;
	vm.usage.freed_pages += pages;
}

static bool ask(u64 pages)
{
	struct kvm_gmem_fault fault = { .nr_pages = pages };

	fake.now += 1000;
	return !quota_fault_hook(&vm, &fault);
}

static void end(u64 pages, u64 allocated)
{
	struct kvm_gmem_fault fault = { .nr_pages = pages };

	quota_fault_end(&vm, &fault, allocated, 0);
}

/* Does the request pass?  If so, it is done. */
static bool request(u64 pages)
{
	if (!ask(pages))
		return false;
	allocate(pages);
	end(pages, pages);
	return true;
}

static struct gmem_account *account(void)
{
	struct vm_state *state = gmem_vm_state_own(vms, &vm);

	return &state->quota.account;
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
	EXPECT_EQ(pages_left(5000), 0);

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
			EXPECT_EQ(account()->promised, 0);
			ASSERT_EQ(vm.usage.populated_pages, 256) {
				TH_LOG("%ju pages after %ju", (uintmax_t)pages,
				       (uintmax_t)first);
			}
		}
	}
}

/* Nobody's request has ended when all of them ask. */
TEST(requests_under_way_have_their_room)
{
	int round, i, passed;

	new_vm(16);
	params.populated = 2;
	for (round = 0; round < 100; round++) {
		passed = 0;
		for (i = 0; i < 8; i++)
			passed += ask(256);
		ASSERT_EQ(passed, 2);
		EXPECT_FALSE(ask(1));
		/* One is done, and the other fails half way. */
		allocate(256 + 100);
		EXPECT_FALSE(ask(1));
		end(256, 256);
		EXPECT_FALSE(ask(1));
		end(256, 100);
		EXPECT_EQ(pages_left(1000), 156);
		give_back(512);
	}
}

/* Its pages were there: what it was promised is free again. */
TEST(what_was_not_taken_is_free_again)
{
	new_vm(16);
	params.populated = 1;
	EXPECT_TRUE(ask(200));
	EXPECT_FALSE(ask(57));
	EXPECT_TRUE(ask(56));
	end(200, 0);
	EXPECT_TRUE(ask(200));
	end(56, 0);
	end(200, 0);
	EXPECT_TRUE(request(256));
}

TEST(ceilings_that_come_late_know_what_is_under_way)
{
	new_vm(16);
	EXPECT_TRUE(ask(200));
	params.populated = 1;
	EXPECT_FALSE(ask(57));
	allocate(200);
	EXPECT_EQ(pages_left(1000), 56);
	end(200, 200);
	EXPECT_EQ(pages_left(1000), 0);
	EXPECT_EQ(vm.usage.populated_pages, 256);
}

/* It was under way when the policy came: nobody asked, and nobody is told. */
TEST(pages_that_nobody_asked_about_count)
{
	new_vm(16);
	params.populated = 1;
	EXPECT_EQ(pages_left(10), 10);
	allocate(100);
	EXPECT_LE(pages_left(64), 64);
	EXPECT_EQ(pages_left(1000), 256 - 100 - 10 - 64);
	give_back(256);
	/* While others are under way, too. */
	EXPECT_TRUE(ask(50));
	allocate(150);
	EXPECT_EQ(pages_left(1000), 106 - 50 + 50);
	allocate(50);
	end(50, 50);
	EXPECT_FALSE(request(1));
}

static void page_goes(void)
{
	fake.present = false;
	fake.on_present = NULL;
	give_back(1);
}

/* A page that is there passes; what it leaves if it goes is not given twice. */
TEST(page_that_goes_meanwhile)
{
	new_vm(16);
	params.populated = 1;
	EXPECT_TRUE(request(256));
	fake.present = true;
	/* There when it asks, and gone when it comes to it. */
	EXPECT_TRUE(ask(1));
	page_goes();
	EXPECT_FALSE(ask(1));
	allocate(1);
	end(1, 1);
	EXPECT_EQ(vm.usage.populated_pages, 256);
	EXPECT_FALSE(ask(1));
	/* Mapping it again takes nothing. */
	fake.present = true;
	EXPECT_TRUE(ask(1));
	end(1, 0);
	EXPECT_EQ(account()->promised, 0);
	/* It goes while it is looked for: somebody else may have got its room. */
	fake.on_present = page_goes;
	EXPECT_FALSE(ask(1));
	EXPECT_EQ(account()->promised, 0);
	EXPECT_TRUE(request(1));
	EXPECT_FALSE(request(1));
}

/* There was no room for its state when it came. */
TEST(state_that_comes_late)
{
	new_vm(16);
	fake_reset(&vms_common);
	fake.full = true;
	quota_vm_init(&vm);
	params.populated = 1;
	EXPECT_EQ(pages_left(100), 100);
	/* Asked without a state, ended with one. */
	EXPECT_TRUE(ask(100));
	allocate(50);
	fake.full = false;
	EXPECT_TRUE(request(1));
	allocate(50);
	end(100, 100);
	EXPECT_EQ(pages_left(1000), 55);
	give_back(256);
	EXPECT_EQ(pages_left(1000), 256);
}

TEST(vms_without_a_state_have_the_ceiling)
{
	new_vm(16);
	fake_reset(&vms_common);
	fake.full = true;
	quota_vm_init(&vm);
	params.populated = 1;
	EXPECT_FALSE(request(257));
	EXPECT_EQ(pages_left(1000), 256);
	give_back(1);
	EXPECT_EQ(pages_left(1000), 1);
}

/* The policy in place of itself: what is under way ends with it. */
TEST(policy_of_a_vm_that_has_memory)
{
	new_vm(16);
	allocate(100);
	give_back(20);
	fake_reset(&vms_common);
	quota_vm_init(&vm);
	params.populated = 1;
	EXPECT_TRUE(ask(100));
	quota_vm_init(&vm);
	EXPECT_TRUE(ask(76));
	EXPECT_FALSE(ask(1));
	end(76, 0);
	end(100, 0);
	EXPECT_EQ(pages_left(1000), 176);
}

#define THREADS	16

/*
 * Threads that are anywhere between question and end, in any order, and a VMM
 * that punches out: never beyond the ceiling, and all of it is to be had.
 */
TEST(any_number_of_threads)
{
	struct { bool passed; u64 pages, todo, done; } t[THREADS] = {};
	u64 rounds, i, most = 0;

	srand(1);
	new_vm(16);
	params.populated = 1;
	for (rounds = 0; rounds < 300000; rounds++) {
		i = rand() % THREADS;
		if (!t[i].passed) {
			t[i].pages = rand() % 4 ? 1 : 1 + rand() % 200;
			t[i].passed = ask(t[i].pages);
			t[i].todo = t[i].pages;
			/* Some of them may be there, or it fails. */
			if (!(rand() % 4))
				t[i].todo = rand() % (t[i].pages + 1);
			t[i].done = 0;
		} else if (t[i].done < t[i].todo) {
			u64 n = 1 + rand() % (t[i].todo - t[i].done);

			allocate(n);
			t[i].done += n;
			ASSERT_LE(vm.usage.populated_pages, 256);
		} else {
			end(t[i].pages, t[i].done);
			t[i].passed = false;
		}
		most = gmem_max(most, vm.usage.populated_pages);
		if (!(rand() % 20) && vm.usage.populated_pages)
			give_back(1 + rand() % vm.usage.populated_pages);
	}
	EXPECT_EQ(most, 256);
	for (i = 0; i < THREADS; i++)
		if (t[i].passed)
			end(t[i].pages, t[i].done);
	EXPECT_EQ(account()->promised, 0);
	pages_left(1000);
	EXPECT_EQ(vm.usage.populated_pages, 256);
}

TEST(the_architecture_does_not_wait)
{
	struct kvm_gmem_fault fault = {
		.nr_pages = 1,
		.reason = KVM_GMEM_FAULT_ARCH,
		.flags = KVM_GMEM_OVERDUE,
	};

	new_vm(16);
	params.populated = 1;
	params.grace = 1000;
	EXPECT_TRUE(request(256));
	EXPECT_EQ(quota_fault_hook(&vm, &fault), -EDQUOT);
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
