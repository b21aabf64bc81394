// SPDX-License-Identifier: GPL-2.0-only
/*
 * The built-in policies: every bpf/policies/NAME.bpf.c, which the Makefile lists
 * in policies.inc, with those that BPF's LSM can ask, too.  What they do and what can
 * be set is in the objects.
 */
#include <string.h>

#include "gmem_common.h"
#include "gmem_source.h"
#include "objects/embed.h"
#include "objects/policies.h"

#define NATIVE(name)	EMBED(policy_##name, "build/bpf/" #name ".bpf.o");
#define BOTH(name)							\
	NATIVE(name)							\
	EMBED(lsm_##name, "build/bpf/lsm/" #name ".bpf.o");
#include "policies.inc"
#undef NATIVE
#undef BOTH

const struct policy policies[] = {
#define NATIVE(name)	{ #name, policy_##name, policy_##name##_end, NULL, NULL },
#define BOTH(name)							\
	{ #name, policy_##name, policy_##name##_end, lsm_##name, lsm_##name##_end },
#include "policies.inc"
#undef NATIVE
#undef BOTH
};

const size_t nr_policies = ARRAY_LEN(policies);

const char *policy_elf(const struct policy *policy, size_t *size)
{
	bool lsm = gmem_source_is_stock();

	*size = lsm ? policy->lsm_end - policy->lsm :
		      policy->elf_end - policy->elf;
	return lsm ? policy->lsm : policy->elf;
}

const struct policy *policy_find(const char *name)
{
	size_t i;

	for (i = 0; i < nr_policies; i++) {
		if (!strcmp(policies[i].name, name))
			return &policies[i];
	}
	return NULL;
}
