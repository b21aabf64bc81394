/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What attaching by hand and by policy.d have in common.
 */
#ifndef GMEMPOLICY_ATTACH_H
#define GMEMPOLICY_ATTACH_H

#include <stddef.h>
#include <stdint.h>

/**
 * attach_pin_name() - name of a policy's pin
 * @dst: where to
 * @size: bytes at @dst
 * @policy: name of the policy
 * @vm: id of the VM it is for, 0 for all
 */
void attach_pin_name(char *dst, size_t size, const char *policy, uint64_t vm);

/**
 * attach_explain() - print one line about a policy that cannot be attached
 * @err: from object_attach()
 * @name: name of the policy
 * @vm: id of the VM it is for, 0 for all
 */
void attach_explain(int err, const char *name, uint64_t vm);

#endif /* GMEMPOLICY_ATTACH_H */
