// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guests ask their VMMs for: what KVM knows of a request until the VMM has
 * answered it, and afterwards, and what it says of the conversion that is the
 * answer.
 */
#include "requests_fixture.h"

/* struct kvm_gmem_convert.flags: the guest has asked for it. */
#define ASKED		2ULL

TEST_F(requests, asked_and_answered)
{
	struct puppet_bpf *p = new_puppet("asked", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_vm_sample u;

	ask(self->vcpus[0], self->asks, 4, 8, true);
	u = usage();
	EXPECT_EQ(u.requests, 1);
	EXPECT_EQ(u.requests_pending, 1);
	EXPECT_EQ(u.requests_done, 0);
	EXPECT_GT(u.request_oldest_ns, 0);
	usleep(20000);
	EXPECT_GE(usage().request_age_ns, 20000000);
	EXPECT_EQ(usage().request_ns, 0);

	EXPECT_EQ(convert(self->vm, 4, 8, true), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, ASKED);
	EXPECT_GE(p->bss->convert_pending_ns, 20000000);
	u = usage();
	EXPECT_EQ(u.requests_pending, 0);
	EXPECT_EQ(u.requests_done, 1);
	EXPECT_EQ(u.requests_refused, 0);
	EXPECT_EQ(u.conversions, 1);
	EXPECT_EQ(u.conversions_asked, 1);
	EXPECT_GE(u.request_ns, p->bss->convert_pending_ns);
	EXPECT_EQ(u.request_oldest_ns, 0);
	EXPECT_EQ(u.request_age_ns, 0);

	EXPECT_EQ(answer_with(self->vcpus[0], self->asks, 0), 0);
	EXPECT_EQ(usage().requests_refused, 0);
	EXPECT_EQ(usage().requests, 1);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(requests, the_vmms_own_conversions)
{
	struct puppet_bpf *p = new_puppet("own", 0, 0, 0);
	struct bpf_link *link = attach(p);

	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, 0);
	EXPECT_EQ(p->bss->convert_pending_ns, 0);

	/* Other frames, another direction, more than was asked for. */
	ask(self->vcpus[0], self->asks, 4, 8, false);
	EXPECT_EQ(convert(self->vm, 20, 8, false), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, 0);
	EXPECT_EQ(convert(self->vm, 20, 8, true), 0);
	EXPECT_EQ(convert(self->vm, 4, 8, true), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, 0);
	EXPECT_EQ(usage().requests_pending, 1);
	EXPECT_EQ(convert(self->vm, 4, 9, false), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, 0);
	/* The guest has what it asked for all the same. */
	EXPECT_EQ(usage().requests_pending, 0);
	EXPECT_EQ(usage().requests_done, 1);
	EXPECT_EQ(usage().conversions_asked, 0);
	EXPECT_EQ(answer_with(self->vcpus[0], self->asks, 0), 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(requests, refused_by_the_vmm)
{
	struct gmem_vm_sample u;

	ask(self->vcpus[0], self->asks, 0, 1, true);
	EXPECT_EQ(answer_with(self->vcpus[0], self->asks, -EINVAL), -EINVAL);
	u = usage();
	EXPECT_EQ(u.requests, 1);
	EXPECT_EQ(u.requests_refused, 1);
	EXPECT_EQ(u.requests_pending, 0);
	EXPECT_EQ(u.requests_done, 0);
	EXPECT_EQ(u.request_ns, 0);

	/* What comes later is the VMM's own. */
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_EQ(usage().conversions_asked, 0);
}

/* A policy denies the conversion, so the VMM has to refuse. */
TEST_F(requests, refused_by_a_policy)
{
	struct puppet_bpf *p = new_puppet("denies", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_vm_sample u;

	p->bss->convert_verdict = -EBUSY;
	ask(self->vcpus[0], self->asks, 0, 1, true);
	EXPECT_EQ(convert(self->vm, 0, 1, true), EBUSY);
	EXPECT_EQ(p->bss->convert_flags & ASKED, ASKED);
	EXPECT_EQ(usage().requests_pending, 1);
	answer_with(self->vcpus[0], self->asks, -EBUSY);
	u = usage();
	EXPECT_EQ(u.requests_pending, 0);
	EXPECT_EQ(u.requests_refused, 1);
	EXPECT_EQ(u.conversions_asked, 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(requests, never_answered)
{
	struct gmem_vm_sample u;
	int i;

	ask(self->vcpus[0], self->asks, 0, 1, true);
	usleep(50000);
	for (i = 0; i < 2; i++) {
		u = usage();
		EXPECT_EQ(u.requests_pending, 1);
		EXPECT_GE(u.request_age_ns, 50000000);
		EXPECT_EQ(u.requests_done + u.requests_refused, 0);
	}

	/* Another vCPU's is younger, and answered in another order. */
	ask(self->vcpus[1], self->asks + 1, 8, 1, true);
	EXPECT_EQ(usage().requests_pending, 2);
	EXPECT_EQ(usage().request_oldest_ns, u.request_oldest_ns);
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_GT(usage().request_oldest_ns, u.request_oldest_ns);
	EXPECT_EQ(usage().requests_pending, 1);
}

TEST_F(requests, answered_in_parts)
{
	struct puppet_bpf *p = new_puppet("parts", 0, 0, 0);
	struct bpf_link *link = attach(p);

	ask(self->vcpus[0], self->asks, 0, 8, true);
	EXPECT_EQ(convert(self->vm, 0, 3, true), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, ASKED);
	EXPECT_EQ(convert(self->vm, 6, 2, true), 0);
	EXPECT_EQ(p->bss->convert_flags & ASKED, ASKED);
	EXPECT_EQ(usage().requests_pending, 1);
	EXPECT_EQ(usage().requests_done, 0);
	EXPECT_EQ(convert(self->vm, 3, 3, true), 0);
	EXPECT_EQ(usage().requests_pending, 0);
	EXPECT_EQ(usage().requests_done, 1);
	EXPECT_EQ(usage().conversions_asked, 3);
	EXPECT_EQ(answer_with(self->vcpus[0], self->asks, 0), 0);

	/* A part and no more: the rest is refused. */
	ask(self->vcpus[0], self->asks, 0, 8, false);
	EXPECT_EQ(convert(self->vm, 0, 7, false), 0);
	answer_with(self->vcpus[0], self->asks, -EINVAL);
	EXPECT_EQ(usage().requests_refused, 1);
	EXPECT_EQ(usage().requests_done, 1);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(requests, answered_from_the_middle)
{
	ask(self->vcpus[0], self->asks, 0, 8, true);
	EXPECT_EQ(convert(self->vm, 3, 2, true), 0);
	EXPECT_EQ(convert(self->vm, 0, 3, true), 0);
	EXPECT_EQ(convert(self->vm, 5, 3, true), 0);
	EXPECT_EQ(usage().conversions_asked, 3);
	EXPECT_EQ(answer_with(self->vcpus[0], self->asks, 0), 0);
	EXPECT_EQ(usage().requests_pending, 0);
	EXPECT_EQ(usage().requests_done, 1);
	EXPECT_EQ(usage().requests_refused, 0);
	EXPECT_GT(usage().request_ns, 0);

	/* The middle and no more. */
	ask(self->vcpus[0], self->asks, 0, 8, false);
	EXPECT_EQ(convert(self->vm, 3, 2, false), 0);
	answer_with(self->vcpus[0], self->asks, -EINVAL);
	EXPECT_EQ(usage().requests_pending, 0);
	EXPECT_EQ(usage().requests_done, 1);
	EXPECT_EQ(usage().requests_refused, 1);
}

/* What it is already, it need not become. */
TEST_F(requests, nothing_to_change)
{
	ask(self->vcpus[0], self->asks, 0, 8, false);
	EXPECT_EQ(convert(self->vm, 0, 8, false), 0);
	EXPECT_EQ(usage().requests_done, 1);
	EXPECT_EQ(usage().requests_pending, 0);
	EXPECT_EQ(usage().conversions_asked, 0);
	EXPECT_EQ(usage().conversions_noop, 1);
}

TEST_F(requests, two_of_one_vcpu)
{
	ask(self->vcpus[0], self->asks, 0, 1, true);
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_EQ(answer_with(self->vcpus[0], self->asks, 0), 0);
	ask(self->vcpus[0], self->asks, 8, 1, true);
	EXPECT_EQ(usage().requests, 2);
	EXPECT_EQ(usage().requests_pending, 1);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(usage().conversions_asked, 1);
	EXPECT_EQ(convert(self->vm, 8, 1, true), 0);
	EXPECT_EQ(usage().conversions_asked, 2);
	EXPECT_EQ(usage().requests_done, 2);
}

/* What KVM refuses by itself is no request. */
TEST_F(requests, that_make_no_sense)
{
	struct ucall uc;

	self->asks->page = 0;
	self->asks->nr = 0;
	self->asks->flags = KVM_MAP_GPA_RANGE_ENCRYPTED;
	vcpu_run(self->vcpus[0]);
	EXPECT_EQ(get_ucall(self->vcpus[0], &uc), UCALL_SYNC);
	EXPECT_NE(self->asks->answer, 0);
	EXPECT_EQ(usage().requests, 0);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
