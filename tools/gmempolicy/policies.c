// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of built-in policies.  To add one, include its skeleton and give
 * it a row.
 */
#include <string.h>

#include "gmem_common.h"
#include "policies.h"

#include "gmem_params.h"
#include "ratelimit.skel.h"

const struct policy policies[] = {
	{
		.name = "ratelimit",
		.about = "limit conversions per second, per VM",
		.elf = ratelimit_bpf__elf_bytes,
	},
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
