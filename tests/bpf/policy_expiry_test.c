// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy whose time is up: nobody has to do anything for that, and nobody can
 * keep it by ending.
 */
#include <time.h>

#include "policy_fixture.h"

static uint64_t boottime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);

	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void wait_until(uint64_t ns)
{
	while (boottime_ns() <= ns)
		usleep(10000);
}

TEST_F(policy, decides_until_its_time_is_up)
{
	uint64_t end = boottime_ns() + 3000000000ULL;
	struct puppet_bpf *p = new_puppet_until("timed", 0, 0, 0, end);
	struct bpf_link *link = attach(p);
	uint64_t calls;

	p->bss->convert_verdict = -EBUSY;
	p->bss->fault_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	EXPECT_EQ(populate(self->vm, 0, 1), EBUSY);
	EXPECT_EQ(policy_info("timed").expires_ns, end);

	wait_until(end);
	calls = policy_info("timed").calls;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(populate(self->vm, 0, 1), 0);
	EXPECT_EQ(policy_info("timed").calls, calls);
	/* It is there until its link goes, and knows its VMs. */
	EXPECT_EQ(policy_info("timed").nr_vms, p->bss->inits - p->bss->exits);
	EXPECT_EQ(p->bss->out_of_order, 0);

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->inits, p->bss->exits);
	puppet_bpf__destroy(p);
}

TEST_F(policy, of_two_the_other_goes_on)
{
	uint64_t end = boottime_ns() + 2000000000ULL;
	struct puppet_bpf *timed = new_puppet_until("timed", 0, 1, 0, end);
	struct puppet_bpf *other = new_puppet("other", 0, 2, 0);
	struct bpf_link *timed_link = attach(timed), *other_link = attach(other);
	uint64_t passed;

	other->bss->convert_verdict = -EPERM;
	wait_until(end);
	passed = timed->bss->converts_passed;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EPERM);
	other->bss->convert_verdict = 0;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	/* Each is told of what it was asked about, and of nothing else. */
	EXPECT_EQ(timed->bss->converts_passed, passed);
	EXPECT_EQ(timed->bss->converts_ended, passed);
	EXPECT_EQ(other->bss->converts_passed, other->bss->converts_ended);

	bpf_link__destroy(other_link);
	bpf_link__destroy(timed_link);
	puppet_bpf__destroy(other);
	puppet_bpf__destroy(timed);
}

/* A request that waits for a policy asks again when its delay is over. */
TEST_F(policy, delay_ends_with_it)
{
	uint64_t end = boottime_ns() + 2000000000ULL;
	struct puppet_bpf *p = new_puppet_until("slow", 0, 0, 0, end);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = 300000000;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_GT(boottime_ns(), end);
	EXPECT_LT(boottime_ns(), end + 5000000000ULL);
	EXPECT_EQ(usage().delays_expired, 0);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, time_that_is_up_already_is_refused)
{
	struct puppet_bpf *past = new_puppet_until("past", 0, 0, 0, 1);
	struct puppet_bpf *p = new_puppet("p", 0, 0, 0);
	struct bpf_link *link;

	EXPECT_EQ(attach_errno(past), ETIME);
	EXPECT_EQ(policy_info("past").nr_vms, ~0U);
	link = attach(p);
	EXPECT_EQ(bpf_link__update_map(link, past->maps.puppet), -ETIME);
	EXPECT_EQ(past->bss->inits, 0);
	p->bss->convert_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(past);
}

/* An update gives it another end, or none. */
TEST_F(policy, update_changes_the_end)
{
	uint64_t end = boottime_ns() + 2000000000ULL;
	struct puppet_bpf *timed = new_puppet_until("timed", 0, 0, 0, end);
	struct puppet_bpf *endless = new_puppet("timed", 0, 0, 0);
	struct bpf_link *link = attach(timed);

	endless->bss->convert_verdict = -EBUSY;
	wait_until(end);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(bpf_link__update_map(link, endless->maps.puppet), 0);
	EXPECT_EQ(convert(self->vm, 0, 1, true), EBUSY);
	EXPECT_EQ(policy_info("timed").expires_ns, 0);

	bpf_link__destroy(link);
	puppet_bpf__destroy(endless);
	puppet_bpf__destroy(timed);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
