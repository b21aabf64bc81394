// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several policies on one VM: who is asked first, whose verdict holds, and how
 * many there is room for.
 */
#include "policy_fixture.h"

TEST_F(policy, first_denial_wins)
{
	struct puppet_bpf *last = new_puppet("last", 0, 10, 0);
	struct puppet_bpf *first = new_puppet("first", 0, -10, 0);
	struct puppet_bpf *middle = new_puppet("middle", 0, 0, 0);
	struct bpf_link *links[] = { attach(last), attach(first), attach(middle) };

	last->bss->convert_verdict = -EBUSY;
	middle->bss->convert_verdict = -ENOSPC;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	EXPECT_EQ(first->bss->converts, 1);
	EXPECT_EQ(middle->bss->converts, 1);
	EXPECT_EQ(last->bss->converts, 0);

	/* A denial also beats the delay of one who came before. */
	first->bss->convert_verdict = LONG_NS;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	EXPECT_EQ(usage().conversions_delayed, 0);

	bpf_link__destroy(links[2]);
	first->bss->convert_verdict = 0;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(last);
	puppet_bpf__destroy(first);
	puppet_bpf__destroy(middle);
}

/* The errno tells who was asked first, for nobody is asked after it. */
TEST_F(policy, equals_run_as_they_came)
{
	struct puppet_bpf *c = new_puppet("c", 0, 5, 0);
	struct puppet_bpf *b = new_puppet("b", 0, 5, 0);
	struct puppet_bpf *a = new_puppet("a", 0, 5, 0);
	struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX];
	struct bpf_link *first, *second, *third;
	unsigned int ids[3];

	a->bss->convert_verdict = -EPERM;
	b->bss->convert_verdict = -EBUSY;
	c->bss->convert_verdict = -ENOSPC;
	first = attach(b);
	second = attach(c);
	third = attach(a);
	ids[0] = policy_info("b").link_id;
	ids[1] = policy_info("c").link_id;
	ids[2] = policy_info("a").link_id;
	ASSERT_EQ(verdicts_on(usage().vm_id, verdicts), 3);
	EXPECT_EQ(verdicts[0].link_id, ids[0]);
	EXPECT_EQ(verdicts[1].link_id, ids[1]);
	EXPECT_EQ(verdicts[2].link_id, ids[2]);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	EXPECT_EQ(a->bss->converts + c->bss->converts, 0);
	b->bss->convert_verdict = 0;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	EXPECT_EQ(a->bss->converts, 0);

	/* Who comes back comes last. */
	bpf_link__destroy(first);
	b->bss->convert_verdict = -EBUSY;
	first = attach(b);
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	bpf_link__destroy(second);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EPERM);
	bpf_link__destroy(third);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);

	bpf_link__destroy(first);
	puppet_bpf__destroy(a);
	puppet_bpf__destroy(b);
	puppet_bpf__destroy(c);
}

TEST_F(policy, longest_delay_holds)
{
	struct puppet_bpf *a = new_puppet("short", 0, 0, 0);
	struct puppet_bpf *b = new_puppet("long", 0, 0, 0);
	struct bpf_link *links[] = { attach(a), attach(b) };

	a->bss->convert_verdict = 1000;
	a->data->convert_times = 1;
	b->bss->convert_verdict = 3000;
	b->data->convert_times = 1;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(usage().conversions_delayed, 1);
	EXPECT_EQ(usage().delayed_ns, 3000);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(a);
	puppet_bpf__destroy(b);
}

TEST_F(policy, seventeenth_is_refused)
{
	struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX];
	struct puppet_bpf *p[17];
	struct bpf_link *links[16];
	int i;

	for (i = 0; i < 17; i++)
		p[i] = new_puppet("many", 0, i, 0);
	for (i = 0; i < 16; i++)
		links[i] = attach(p[i]);
	EXPECT_EQ(attach_errno(p[16]), E2BIG);
	EXPECT_EQ(p[16]->bss->inits, 0);

	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(p[i]->bss->converts, 1);

	bpf_link__destroy(links[3]);
	links[3] = attach(p[16]);
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_EQ(p[16]->bss->converts, 1);
	EXPECT_EQ(p[3]->bss->converts, 1);

	/* The last to come has the counters of the one that went. */
	ASSERT_EQ(verdicts_on(usage().vm_id, verdicts), 16);
	for (i = 0; i < 15; i++)
		EXPECT_EQ(verdicts[i].calls, 2);
	EXPECT_EQ(verdicts[15].calls, 1);

	for (i = 0; i < 16; i++)
		bpf_link__destroy(links[i]);
	for (i = 0; i < 17; i++)
		puppet_bpf__destroy(p[i]);
}

TEST_F(policy, limit_is_of_each_vm)
{
	uint64_t full = usage().vm_id;
	struct puppet_bpf *global = new_puppet("global", 0, 0, 0);
	struct puppet_bpf *late = new_puppet("late", 0, 0, 0);
	struct puppet_bpf *own[16], *others;
	struct bpf_link *links[17];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *other;
	int i;

	links[0] = attach(global);
	for (i = 0; i < 16; i++)
		own[i] = new_puppet("own", full, 0, 0);
	for (i = 0; i < 15; i++)
		links[1 + i] = attach(own[i]);
	EXPECT_EQ(attach_errno(own[15]), E2BIG);
	EXPECT_EQ(own[15]->bss->inits, 0);
	/* Nor is there room for one that is for every VM, this one included. */
	EXPECT_EQ(attach_errno(late), E2BIG);
	EXPECT_EQ(late->bss->inits, 0);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(own[14]->bss->converts, 1);

	/* Others have as much room as they had. */
	other = new_vm(&vcpu, 1);
	EXPECT_EQ(global->bss->inits, 2);
	others = new_puppet("others", usage().vm_id, 0, 0);
	links[16] = attach(others);
	EXPECT_EQ(convert(other, 0, 1, true), 0);
	EXPECT_EQ(others->bss->converts, 1);
	EXPECT_EQ(global->bss->converts, 2);
	EXPECT_EQ(own[14]->bss->converts, 1);

	/* The one that goes makes room for the one that was refused. */
	bpf_link__destroy(links[15]);
	links[15] = attach(late);
	EXPECT_EQ(late->bss->inits, 2);
	EXPECT_EQ(attach_errno(own[15]), E2BIG);

	for (i = 0; i < 17; i++)
		bpf_link__destroy(links[i]);
	kvm_vm_free(other);
	for (i = 0; i < 16; i++)
		puppet_bpf__destroy(own[i]);
	puppet_bpf__destroy(others);
	puppet_bpf__destroy(global);
	puppet_bpf__destroy(late);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
