// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes of a verdict of one policy: denials, errnos, audit mode, and what is
 * counted of it.  Delays: policy_delay_test.c.
 */
#include "policy_fixture.h"

TEST_F(policy, denial_changes_nothing)
{
	static const int errnos[] = { EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EDQUOT };
	struct puppet_bpf *p = new_puppet("deny", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_vm_sample before = usage(), after;
	struct gmem_policy_sample info;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(errnos); i++) {
		p->bss->convert_verdict = -errnos[i];
		/* Not equally often, so that each is found where it belongs. */
		for (j = 0; j <= i; j++)
			EXPECT_EQ(convert(self->vm, 0, 1, false), errnos[i]);
		p->bss->fault_verdict = -errnos[i];
		EXPECT_EQ(prefault(self->vcpu, 0, 1), errnos[i]);
		EXPECT_EQ(populate(self->vm, 0, 1), errnos[i]);
	}

	after = usage();
	EXPECT_EQ(after.private_pages, before.private_pages);
	EXPECT_EQ(after.populated_pages, before.populated_pages);
	EXPECT_EQ(after.conversions_denied - before.conversions_denied, 21);
	EXPECT_EQ(after.faults_denied - before.faults_denied, 12);
	info = policy_info("deny");
	EXPECT_EQ(info.denied, 21 + 12);
	EXPECT_EQ(info.clamped, 0);
	EXPECT_EQ(info.allowed, 0);
	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		EXPECT_EQ(info.denied_by_errno[i], i + 1 + 2);

	bpf_link__destroy(link);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	puppet_bpf__destroy(p);
}

TEST_F(policy, unknown_errno_is_clamped)
{
	struct puppet_bpf *p = new_puppet("clamp", 0, 0, 0);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = -EFAULT;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EACCES);
	p->bss->convert_verdict = -(1LL << 40);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EACCES);
	EXPECT_EQ(policy_info("clamp").clamped, 2);
	EXPECT_EQ(policy_info("clamp").denied, 2);
	EXPECT_EQ(policy_info("clamp").denied_by_errno[GMEM_DENIED_EACCES], 2);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, denied_guest_goes_on)
{
	struct puppet_bpf *p = new_puppet("fault", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct ucall uc;

	p->bss->fault_verdict = -EDQUOT;
	EXPECT_EQ(__vcpu_run(self->vcpu), -1);
	EXPECT_EQ(errno, EDQUOT);
	EXPECT_EQ(self->vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	EXPECT_EQ(self->vcpu->run->memory_fault.gpa, DATA_GPA);
	EXPECT_EQ(usage().populated_pages, 0);

	p->bss->fault_verdict = 0;
	vcpu_run(self->vcpu);
	EXPECT_EQ(get_ucall(self->vcpu, &uc), UCALL_SYNC);
	EXPECT_EQ(usage().populated_pages, 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, audit_never_enforces)
{
	struct puppet_bpf *p = new_puppet("audit", 0, 0, GMEM_POLICY_AUDIT);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	p->bss->fault_verdict = LONG_NS;
	EXPECT_EQ(prefault(self->vcpu, 1, 1), 0);
	EXPECT_EQ(usage().conversions_denied, 0);
	EXPECT_EQ(usage().faults_delayed, 0);
	EXPECT_EQ(policy_info("audit").denied, 1);
	EXPECT_EQ(policy_info("audit").delayed, 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, counts_for_each_vm)
{
	struct gmem_vm_verdicts on_first[GMEM_VM_POLICIES_MAX];
	struct gmem_vm_verdicts on_other[GMEM_VM_POLICIES_MAX];
	struct puppet_bpf *all = new_puppet("all", 0, 0, 0);
	struct puppet_bpf *more = new_puppet("more", 0, -1, 0);
	uint64_t first = usage().vm_id, other_id;
	struct bpf_link *links[2] = { attach(all) };
	struct puppet_bpf *mine;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *other;
	struct bpf_link *own;

	/* Born under a policy, as the first one was not. */
	other = new_vm(&vcpu, 1);
	other_id = usage().vm_id;
	mine = new_puppet("mine", other_id, 1, GMEM_POLICY_AUDIT);
	own = attach(mine);

	all->bss->convert_verdict = -EBUSY;
	ASSERT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	ASSERT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	all->bss->convert_verdict = 3000;
	all->data->convert_times = 2;
	ASSERT_EQ(convert(self->vm, 0, 1, false), 0);
	all->bss->convert_verdict = 0;
	mine->bss->convert_verdict = -EPERM;
	ASSERT_EQ(convert(other, 0, 1, true), 0);

	/* 3 denied or delayed and asked again, and 1 that was let pass. */
	ASSERT_EQ(verdicts_on(first, on_first), 1);
	EXPECT_EQ(on_first[0].link_id, policy_info("all").link_id);
	EXPECT_EQ(on_first[0].calls, 2 + 2 + 1);
	EXPECT_EQ(on_first[0].denied, 2);
	EXPECT_EQ(on_first[0].delayed, 2);
	EXPECT_EQ(on_first[0].delayed_ns, 6000);
	ASSERT_EQ(verdicts_on(other_id, on_other), 2);
	EXPECT_EQ(on_other[0].link_id, policy_info("all").link_id);
	EXPECT_EQ(on_other[0].calls, 1);
	EXPECT_EQ(on_other[0].denied, 0);
	EXPECT_EQ(on_other[1].link_id, policy_info("mine").link_id);
	EXPECT_EQ(on_other[1].calls, 1);
	EXPECT_EQ(on_other[1].denied, 1);
	EXPECT_EQ(policy_info("all").calls,
		  on_first[0].calls + on_other[0].calls);

	/* Who comes first or goes takes nobody's counters along. */
	links[1] = attach(more);
	ASSERT_EQ(verdicts_on(other_id, on_other), 3);
	EXPECT_EQ(on_other[0].link_id, policy_info("more").link_id);
	EXPECT_EQ(on_other[0].calls, 0);
	EXPECT_EQ(on_other[1].calls, 1);
	EXPECT_EQ(on_other[2].denied, 1);
	bpf_link__destroy(links[0]);
	ASSERT_EQ(verdicts_on(other_id, on_other), 2);
	EXPECT_EQ(on_other[0].link_id, policy_info("more").link_id);
	EXPECT_EQ(on_other[1].denied, 1);
	ASSERT_EQ(convert(other, 0, 1, false), 0);
	ASSERT_EQ(verdicts_on(other_id, on_other), 2);
	EXPECT_EQ(on_other[0].calls, 1);
	EXPECT_EQ(on_other[1].calls, 2);

	/* Who comes back begins anew. */
	links[0] = attach(all);
	ASSERT_EQ(verdicts_on(first, on_first), 2);
	EXPECT_EQ(on_first[1].link_id, policy_info("all").link_id);
	EXPECT_EQ(on_first[1].calls, 0);
	EXPECT_EQ(on_first[1].denied, 0);
	EXPECT_EQ(on_first[1].delayed_ns, 0);

	kvm_vm_free(other);
	EXPECT_EQ(verdicts_on(other_id, on_other), 0);
	bpf_link__destroy(own);
	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	EXPECT_EQ(verdicts_on(first, on_first), 0);
	puppet_bpf__destroy(all);
	puppet_bpf__destroy(more);
	puppet_bpf__destroy(mine);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
