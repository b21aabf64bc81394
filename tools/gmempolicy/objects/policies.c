// SPDX-License-Identifier: GPL-2.0-only
/*
 * The built-in policies: every bpf/policies/NAME.bpf.c, which the Makefile lists
 * in policies.inc.  What they do and what can be set is in the objects.
 */
#include <string.h>

#include "gmem_common.h"
#include "objects/embed.h"
#include "objects/policies.h"

#define POLICY(name)	EMBED(policy_##name, "build/bpf/" #name ".bpf.o");
#include "policies.inc"
#undef POLICY

const struct policy policies[] = {
#define POLICY(name)	{ #name, policy_##name, policy_##name##_end },
#include "policies.inc"
#undef POLICY
};

const size_t nr_policies = ARRAY_LEN(policies);

const struct policy *policy_find(const char *name)
{
	size_t i;

	for (i = 0; i < nr_policies; i++) {
		if (!strcmp(policies[i].name, name))
			return &policies[i];
	}
	return NULL;
}
