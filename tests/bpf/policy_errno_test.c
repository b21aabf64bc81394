// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM can ask whether policies may refuse, and can have each refusal look
 * like one that it has always had to expect.
 */
#include "policy_fixture.h"

/* Not in the headers that these tests are built with. */
#undef KVM_CAP_GUEST_MEMFD_POLICY
#define KVM_CAP_GUEST_MEMFD_POLICY		0x474d01
#define KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS	(1ULL << 0)

/* What a policy may say, and something that it may not. */
static const int errnos[] = {
	EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EDQUOT, ENOENT,
};

/* Returns 0 or the errno. */
static int enable(struct kvm_vm *vm, __u64 flags, __u32 cap_flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_GUEST_MEMFD_POLICY,
		.flags = cap_flags,
		.args = { flags },
	};

	return __vm_ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
}

/* Each kind of request is denied as @as says. */
static void all_denied(struct __test_metadata *_metadata, struct kvm_vm *vm,
		       struct kvm_vcpu *vcpu, struct puppet_bpf *p, bool plain)
{
	int expected;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++) {
		answer(p, -errnos[i]);
		expected = plain ? ENOMEM :
			   errnos[i] == ENOENT ? EACCES : errnos[i];
		EXPECT_EQ(convert(vm, 0, 1, false), expected);
		EXPECT_EQ(populate(vm, 0, 1), expected);
		EXPECT_EQ(prefault(vcpu, 0, 1), expected);
		EXPECT_EQ(__vcpu_run(vcpu), -1);
		EXPECT_EQ(errno, expected);
		EXPECT_EQ(vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	}
	answer(p, 0);
}

TEST_F(policy, capability_is_announced)
{
	int kvm = open_kvm_dev_path_or_exit();

	EXPECT_EQ(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_POLICY),
		  KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS);
	EXPECT_EQ(ioctl(self->vm->fd, KVM_CHECK_EXTENSION,
			KVM_CAP_GUEST_MEMFD_POLICY),
		  KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS);
	/* Its neighbours are nobody's. */
	EXPECT_EQ(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_POLICY - 1),
		  0);
	EXPECT_EQ(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_POLICY + 0x1000),
		  0);
	close(kvm);
}

TEST_F(policy, unknown_flags_are_refused)
{
	struct puppet_bpf *p = new_puppet("flags", 0, 0, 0);
	struct bpf_link *link = attach(p);

	EXPECT_EQ(enable(self->vm, 2, 0), EINVAL);
	EXPECT_EQ(enable(self->vm, KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS | 2, 0),
		  EINVAL);
	EXPECT_EQ(enable(self->vm, 1ULL << 63, 0), EINVAL);
	EXPECT_EQ(enable(self->vm, KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS, 1),
		  EINVAL);
	/* And change nothing. */
	p->bss->convert_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, denials_can_be_plain, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("plain", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_policy_sample before, after;
	struct gmem_vm_sample told;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *other;
	size_t i;

	all_denied(_metadata, self->vm, self->vcpu, p, false);
	before = policy_info("plain");

	ASSERT_EQ(enable(self->vm, KVM_GUEST_MEMFD_POLICY_PLAIN_ERRNOS, 0), 0);
	all_denied(_metadata, self->vm, self->vcpu, p, true);
	/* A policy's own end hook, and its counters, have what it said. */
	p->bss->convert_verdict = -EDQUOT;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOMEM);
	p->bss->convert_verdict = 0;
	after = policy_info("plain");
	for (i = 0; i < ARRAY_SIZE(after.denied_by_errno); i++)
		EXPECT_EQ(after.denied_by_errno[i], 2 * before.denied_by_errno[i] +
			  (i == 5)) TH_LOG("%zu", i);
	EXPECT_EQ(after.clamped, 2 * before.clamped);

	told = usage();
	EXPECT_EQ(told.faults_denied, 2 * 3 * ARRAY_SIZE(errnos));
	EXPECT_EQ(told.conversions_denied, 2 * ARRAY_SIZE(errnos) + 1);

	/* Of this VM only. */
	other = new_vm(&vcpu, 1);
	ASSERT_EQ(convert(other, 0, DATA_PAGES, true), 0);
	all_denied(_metadata, other, vcpu, p, false);
	kvm_vm_free(other);

	/* What is let pass, passes; and back. */
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	ASSERT_EQ(enable(self->vm, 0, 0), 0);
	all_denied(_metadata, self->vm, self->vcpu, p, false);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
