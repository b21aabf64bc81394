/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The policies that are built into the tool.  Not here: those in force
 * (attached.h).
 */
#ifndef GMEMPOLICY_POLICIES_H
#define GMEMPOLICY_POLICIES_H

#include <stddef.h>

/**
 * struct policy - a policy that can be attached by name
 * @name: its name
 * @elf: its BPF object file
 * @elf_end: the end of that
 * @lsm: the same for BPF's LSM, NULL if it cannot be
 * @lsm_end: the end of that
 */
struct policy {
	const char *name;
	const char *elf;
	const char *elf_end;
	const char *lsm;
	const char *lsm_end;
};

extern const struct policy policies[];
extern const size_t nr_policies;

/**
 * policy_elf() - the object file of a policy for this kernel
 * @policy: the policy
 * @size: set to its bytes
 *
 * Return: the file, or NULL if this kernel asks nobody what the policy decides on.
 */
const char *policy_elf(const struct policy *policy, size_t *size);

/**
 * policy_find() - look a policy up by name
 * @name: its name
 *
 * Return: the policy or NULL.
 */
const struct policy *policy_find(const char *name);

#endif /* GMEMPOLICY_POLICIES_H */
