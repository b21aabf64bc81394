// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios and policies: a policy is asked for all of a piece, counts all of it,
 * and what it does not let pass comes by no page.
 */
#include "huge_fixture.h"
#include "../policies/policy.h"

TEST_F(huge, a_policy_is_asked_for_all_of_it)
{
	struct puppet_bpf *p = new_puppet("huge", 0, 0, 0);
	struct bpf_link *link = attach(p);
	uint64_t before;

	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 7, 1, 0));
	EXPECT_EQ(PER_HUGE, p->bss->fault_pages);
	EXPECT_EQ(PER_HUGE, p->bss->fault_index);
	EXPECT_EQ(BIG_GPA / PAGE_SIZE + PER_HUGE, p->bss->fault_gfn);
	EXPECT_EQ(PER_HUGE, p->bss->fault_end_allocated);
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);

	/* Nothing of it comes, neither as a whole nor by page. */
	p->bss->fault_verdict = -ENOMEM;
	before = p->bss->faults;
	job.what = CHECK;
	job.page = 2 * PER_HUGE + 3;
	job.nr = 1;
	sync_global_to_guest(self->vm, job);
	EXPECT_EQ(-1, _vcpu_run(self->vcpu));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(before + 1, p->bss->faults);
	EXPECT_EQ(PER_HUGE, p->bss->fault_pages);
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);

	/* What is there takes nothing. */
	p->bss->fault_verdict = 0;
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE + 3, 1, 0));
	EXPECT_EQ(PER_HUGE, p->bss->fault_end_allocated);
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 9, 1, 0));
	EXPECT_EQ(1, p->bss->fault_pages);
	EXPECT_EQ(PER_HUGE + 9, p->bss->fault_index);
	EXPECT_EQ(0, p->bss->fault_end_allocated);
	EXPECT_EQ(p->bss->fault_pages_passed, p->bss->fault_pages_ended);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* The guest touches a page; 0 or the errno that the vCPU stops with. */
static int touch(FIXTURE_DATA(huge) *self, uint64_t page)
{
	struct ucall uc;

	job.what = WRITE;
	job.page = page;
	job.nr = 1;
	job.seed = 61;
	sync_global_to_guest(self->vm, job);
	if (_vcpu_run(self->vcpu))
		return errno;
	MUST(get_ucall(self->vcpu, &uc) == UCALL_SYNC, "the guest failed");
	return 0;
}

static int prefault_page(FIXTURE_DATA(huge) *self, uint64_t page)
{
	struct kvm_pre_fault_memory range = {
		.gpa = BIG_GPA + page * PAGE_SIZE,
		.size = PAGE_SIZE,
	};

	return __vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
}

/* There is room for a piece and a half. */
TEST_F(huge, quota_takes_a_piece_for_all_of_it)
{
	struct test_policy quota =
		policy_attach("quota", "populated=3 stale_percent=100 grace=0",
			      usage().vm_id);

	EXPECT_EQ(0, touch(self, 0));
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);
	/* Neither all of the next one nor a part. */
	EXPECT_EQ(EDQUOT, prefault_page(self, PER_HUGE + 7));
	EXPECT_EQ(EDQUOT, allocate(self, PER_HUGE, PER_HUGE));
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);
	/* What is there passes, and what the VMM asks for by page. */
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	EXPECT_EQ(0, touch(self, 9));
	EXPECT_EQ(0, allocate(self, 2 * PER_HUGE, PER_HUGE / 2));
	EXPECT_EQ(EDQUOT, allocate(self, 3 * PER_HUGE, 1));
	/* A fault in a piece that is begun takes a page. */
	EXPECT_EQ(EDQUOT, prefault_page(self, 3 * PER_HUGE - 1));
	EXPECT_PAGES(3 * PER_HUGE / 2, PER_HUGE, 0);
	ASSERT_EQ(0, hole(self, 2 * PER_HUGE, 1));
	EXPECT_EQ(0, prefault_page(self, 3 * PER_HUGE - 1));
	EXPECT_PAGES(3 * PER_HUGE / 2, PER_HUGE, 0);
	/* The vCPU stays at its access until another piece is given back. */
	EXPECT_EQ(EDQUOT, touch(self, PER_HUGE + 7));
	EXPECT_EQ(EDQUOT, touch(self, PER_HUGE + 7));
	ASSERT_EQ(0, hole(self, 0, PER_HUGE / 2));
	EXPECT_EQ(EDQUOT, touch(self, PER_HUGE + 7));
	EXPECT_PAGES(PER_HUGE, 0, 0);
	ASSERT_EQ(0, hole(self, 0, PER_HUGE));
	EXPECT_EQ(0, touch(self, PER_HUGE + 7));
	EXPECT_PAGES(3 * PER_HUGE / 2, PER_HUGE, 0);
	policy_detach(&quota);
	EXPECT_EQ(0, touch(self, 0));
}

/* Two pieces are saved up, and none comes by the second. */
TEST_F(huge, faultrate_takes_a_piece_for_all_of_it)
{
	struct test_policy rate =
		policy_attach("faultrate",
			      "rate=1 burst=1024 first_touch=0 action=0",
			      usage().vm_id);

	EXPECT_EQ(0, touch(self, 5));
	EXPECT_EQ(0, touch(self, 5 + PER_HUGE));
	EXPECT_EQ(EBUSY, touch(self, 5 + 2 * PER_HUGE));
	EXPECT_EQ(EBUSY, allocate(self, 2 * PER_HUGE, PER_HUGE));
	EXPECT_PAGES(2 * PER_HUGE, 2 * PER_HUGE, 0);
	EXPECT_EQ(2, usage().faults_denied);
	policy_detach(&rate);
	EXPECT_EQ(0, touch(self, 5 + 2 * PER_HUGE));
	EXPECT_PAGES(3 * PER_HUGE, 3 * PER_HUGE, 0);
}

/* It holds a page more than twice the memory, and the rest of a piece takes 5 s. */
TEST_F(huge, guard_takes_a_piece_for_all_of_it)
{
	struct test_policy guard = policy_attach("guard",
						 "fault_rate=100 fault_burst=1",
						 usage().vm_id);
	struct gmem_vm_sample u;
	uint64_t i;

	for (i = 0; i < 2 * NR_HUGE; i++) {
		if (i == NR_HUGE)
			ASSERT_EQ(0, hole(self, 0, BIG_PAGES));
		EXPECT_EQ(0, touch(self, i % NR_HUGE * PER_HUGE));
	}
	EXPECT_EQ(0, usage().faults_delayed);
	/* What is there costs nothing. */
	EXPECT_EQ(0, touch(self, 1));
	EXPECT_EQ(0, usage().faults_delayed);
	ASSERT_EQ(0, hole(self, 0, PER_HUGE));
	EXPECT_EQ(0, touch(self, 3));
	u = usage();
	EXPECT_LT(0, u.faults_delayed);
	EXPECT_LT(1500000000, u.delayed_ns);
	EXPECT_GT(6000000000, u.delayed_ns);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	policy_detach(&guard);
}

TEST_HARNESS_MAIN
