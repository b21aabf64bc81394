// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that look at what the guest asked for, or at the VMM's own conversions.
 */
#include "requests_fixture.h"

#include "../policies/policy.h"

enum whose {
	ALL,
	GUEST,
	VMM,
};

/* What a policy let pass at once, of a few requests and as many of the VMM's own. */
struct passed {
	int guest;
	int vmm;
};

#define ROUNDS		10

/* Each turns the same page; returns whether nobody minded. */
static int turn(struct kvm_vm *vm, bool private)
{
	uint64_t denied = usage().conversions_denied;
	uint64_t delayed = usage().conversions_delayed;

	convert(vm, 0, 1, private);
	return usage().conversions_denied == denied &&
	       usage().conversions_delayed == delayed;
}

static struct passed passed(struct kvm_vm *vm, struct kvm_vcpu *vcpu,
			    struct ask *asks)
{
	struct passed passed = {};
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ask(vcpu, asks, 0, 1, i & 1);
		passed.guest += turn(vm, i & 1);
		answer_with(vcpu, asks, 0);
	}
	for (i = 0; i < ROUNDS; i++)
		passed.vmm += turn(vm, i & 1);
	return passed;
}

/* The policy "name" with "set", which lets two pass of whom it looks at. */
#define EXPECT_PASSED(name, set, who, guests, vmms)			\
	do {								\
		struct test_policy policy;				\
		struct passed p;					\
		char words[128];					\
									\
		snprintf(words, sizeof(words), "%s whose=%d", set, who);\
		policy = policy_attach(name, words, 0);			\
		p = passed(self->vm, self->vcpus[0], self->asks);	\
		EXPECT_EQ(p.guest, guests);				\
		EXPECT_EQ(p.vmm, vmms);					\
		policy_detach(&policy);					\
	} while (0)

TEST_F(requests, ratelimit)
{
	EXPECT_PASSED("ratelimit", "rate=1 burst=2", ALL, 2, 0);
	EXPECT_PASSED("ratelimit", "rate=1 burst=2", GUEST, 2, ROUNDS);
	EXPECT_PASSED("ratelimit", "rate=1 burst=2", VMM, ROUNDS, 2);
	/* With more limits than one. */
	EXPECT_PASSED("ratelimit", "rate=1 burst=2 page_rate=1 page_burst=9",
		      GUEST, 2, ROUNDS);
	EXPECT_PASSED("ratelimit", "rate=1 burst=2 page_rate=1 page_burst=9",
		      VMM, ROUNDS, 2);
}

/* The first turn comes after the first conversion; no round takes as long as a delay. */
TEST_F(requests, pingpong)
{
	const char *set = "window=3600000 free=0 first_delay=300000 most_delay=300";

	EXPECT_PASSED("pingpong", set, ALL, 2, 0);
	EXPECT_PASSED("pingpong", set, GUEST, 2, ROUNDS);
	EXPECT_PASSED("pingpong", set, VMM, ROUNDS, 2);
}

/* Its bucket holds two for each page, too: the VM has 64 here. */
TEST_F(requests, guard)
{
	const char *set = "conversion_rate=1 conversion_burst=1";
	const int spent = 2 * DATA_PAGES + 1;
	int who, i;

	for (who = ALL; who <= VMM; who++) {
		char words[128];
		struct test_policy policy;
		uint64_t delayed;

		write_parameter(TOTAL_MAX, "1");
		snprintf(words, sizeof(words), "%s whose=%d", set, who);
		policy = policy_attach("guard", words, 0);
		delayed = usage().conversions_delayed;
		for (i = 0; i < spent; i++)
			ASSERT_EQ(convert(self->vm, 0, 1, !(i & 1)), 0);
		EXPECT_EQ(usage().conversions_delayed, delayed);
		/* One more of the VMM, and one of the guest. */
		ASSERT_EQ(convert(self->vm, 0, 1, false), 0);
		EXPECT_EQ(usage().conversions_delayed > delayed, who != GUEST);
		delayed = usage().conversions_delayed;
		ask(self->vcpus[0], self->asks, 1, 1, true);
		ASSERT_EQ(convert(self->vm, 1, 1, true), 0);
		answer_with(self->vcpus[0], self->asks, 0);
		EXPECT_EQ(usage().conversions_delayed > delayed, who == ALL);
		ASSERT_EQ(convert(self->vm, 1, 1, false), 0);
		policy_detach(&policy);
	}
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
