/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The BPF object of a policy, from file to link.  Everything that is set in it
 * is found by name in the object's own BTF, so nothing here knows a policy.
 */
#ifndef GMEMPOLICY_OBJECT_H
#define GMEMPOLICY_OBJECT_H

#include <stdint.h>

#include "policies.h"

struct bpf_link;
struct object;

/**
 * object_open() - open a policy's object
 * @policy: which
 *
 * Return: the object, or NULL after one line of error.
 */
struct object *object_open(const struct policy *policy);

/**
 * object_set_member() - set a number in the policy's struct kvm_gmem_ops
 * @object: not loaded yet
 * @member: vm_id, priority or flags
 * @value: the number, as a signed one for priority
 *
 * Return: 0, or -errno after one line of error.
 */
int object_set_member(struct object *object, const char *member,
		      uint64_t value);

/**
 * object_set_param() - set one of the policy's parameters
 * @object: not loaded yet
 * @param: its name in the policy's struct of parameters
 * @value: its value
 *
 * Return: 0, or -errno after one line of error.
 */
int object_set_param(struct object *object, const char *param, uint64_t value);

/**
 * object_load() - let the kernel verify the policy
 * @object: from object_open()
 *
 * Return: 0, or -errno after one line of error.
 */
int object_load(struct object *object);

/**
 * object_attach() - put the policy into force
 * @object: loaded
 * @fd: set to the link, which is the caller's to close; the policy ends with
 *	the last reference to it
 *
 * Return: 0, or -errno without a message: what it means depends on the scope.
 */
int object_attach(struct object *object, int *fd);

/**
 * object_close() - free an object
 * @object: may be NULL; a link made from it stays
 */
void object_close(struct object *object);

#endif /* GMEMPOLICY_OBJECT_H */
