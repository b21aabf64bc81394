/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a policy cannot be attached, in words.
 */
#ifndef GMEMPOLICY_REFUSAL_H
#define GMEMPOLICY_REFUSAL_H

#include <stdint.h>

/**
 * refusal_explain() - print one line about a policy that cannot be attached
 * @err: from object_attach()
 * @name: name of the policy
 * @vm: id of the VM it is for, 0 for all
 */
void refusal_explain(int err, const char *name, uint64_t vm);

#endif /* GMEMPOLICY_REFUSAL_H */
