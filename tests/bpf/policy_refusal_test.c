// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is never put to a policy, or never becomes one: the switch that turns all
 * off, names and flags, and programs that the verifier refuses.
 */
#include "policy_fixture.h"
#include "refused.skel.h"

TEST_F(policy, switch_turns_all_off)
{
	struct puppet_bpf *p = new_puppet("switch", 0, 0, 0);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = -EBUSY;
	p->bss->fault_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	write_parameter(POLICIES_ON, "N");
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(prefault(self->vcpu, 1, 1), 0);
	EXPECT_EQ(p->bss->converts, 1);
	EXPECT_EQ(p->bss->invalidates, 0);
	write_parameter(POLICIES_ON, "Y");
	EXPECT_EQ(convert(self->vm, 0, 1, true), EBUSY);

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->inits, 1);
	EXPECT_EQ(p->bss->exits, 1);
	puppet_bpf__destroy(p);
}

static int load_errno(const char *name, unsigned int flags)
{
	struct puppet_bpf *p = puppet_bpf__open();
	int r;

	bpf_map__set_autocreate(p->maps.puppet_linkless, false);
	memset(puppet_name(p), 0, PUPPET_NAME_LEN);
	memcpy(puppet_name(p), name, strlen(name));
	p->struct_ops.puppet->flags = flags;
	r = puppet_bpf__load(p);
	if (!r)
		r = -attach_errno(p);
	puppet_bpf__destroy(p);
	return -r;
}

TEST_F(policy, bad_names_and_flags_are_refused)
{
	EXPECT_EQ(load_errno("", 0), EINVAL);
	EXPECT_EQ(load_errno("two words", 0), EINVAL);
	EXPECT_EQ(load_errno("esc\033[2J", 0), EINVAL);
	EXPECT_EQ(load_errno("a-name-of-32-characters-is-long.", 0), EINVAL);
	/* Where the letters and digits of ASCII end, and those of Latin-1. */
	EXPECT_EQ(load_errno("a/b", 0), EINVAL);
	EXPECT_EQ(load_errno("a:b", 0), EINVAL);
	EXPECT_EQ(load_errno("a@b", 0), EINVAL);
	EXPECT_EQ(load_errno("a[b", 0), EINVAL);
	EXPECT_EQ(load_errno("a`b", 0), EINVAL);
	EXPECT_EQ(load_errno("a{b", 0), EINVAL);
	EXPECT_EQ(load_errno("\x80", 0), EINVAL);
	EXPECT_EQ(load_errno("\xaa", 0), EINVAL);
	EXPECT_EQ(load_errno("\xc0", 0), EINVAL);
	EXPECT_EQ(load_errno("stra\xdf" "e", 0), EINVAL);
	EXPECT_EQ(load_errno("caf\xe9", 0), EINVAL);
	EXPECT_EQ(load_errno("\xff", 0), EINVAL);
	EXPECT_EQ(load_errno("AZaz09_.-", 0), 0);
	EXPECT_EQ(load_errno("fine", 2), EINVAL);
	EXPECT_EQ(load_errno("a-name-of-31-characters-is-fine", 0), 0);
}

static int refused_errno(const char *name)
{
	struct refused_bpf *p = refused_bpf__open();
	struct bpf_map *map;
	int r;

	MUST(p, "cannot open the refused programs");
	/* Of the maps of a section with a "?", libbpf leaves out the first only. */
	bpf_object__for_each_map(map, p->obj) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, !strcmp(bpf_map__name(map),
							     name));
	}
	r = refused_bpf__load(p);
	refused_bpf__destroy(p);
	return -r;
}

TEST_F(policy, verifier_refuses_what_it_must)
{
	EXPECT_EQ(refused_errno("sleepable_invalidate_ops"), EINVAL);
	EXPECT_EQ(refused_errno("sleepable_vm_init_ops"), EINVAL);
	EXPECT_EQ(refused_errno("sleepable_vm_exit_ops"), EINVAL);
	EXPECT_EQ(refused_errno("sleepable_fault_end_ops"), EINVAL);
	EXPECT_EQ(refused_errno("sleepable_convert_end_ops"), EINVAL);
	EXPECT_EQ(refused_errno("writes_arguments_ops"), EACCES);
	EXPECT_EQ(refused_errno("writes_kvm_ops"), EACCES);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
