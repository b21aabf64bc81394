/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The BPF object of a policy, from file to link.  Everything that is set in it
 * is found by name in the object's own BTF, so nothing here knows a policy.
 */
#ifndef GMEMPOLICY_OBJECT_H
#define GMEMPOLICY_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "objects/params.h"

struct bpf_program;
struct object;

#define OBJECT_HOOKS	13

/* Names of all hooks, in the order in which they are listed. */
extern const char *const object_hooks[OBJECT_HOOKS];

/* Programs of a policy that are attached one by one. */
#define OBJECT_LINKS	6

/**
 * struct links - what holds a policy in force
 * @fds: descriptors; the first is the policy's own link, whose end is the policy's,
 *	and the others are of programs that help it; -1 if there is none
 */
struct links {
	int fds[OBJECT_LINKS];
};

#define NO_LINKS	((struct links) { { -1, -1, -1, -1, -1, -1 } })

/* What is added to a policy's name to name the pin of each. */
extern const char *const object_link_suffixes[OBJECT_LINKS];

/**
 * links_close() - let go of a policy
 * @links: all -1 afterwards
 *
 * The policy ends, unless it is pinned.
 */
void links_close(struct links *links);

/**
 * object_open() - open a policy's object
 * @what: name of a policy that is built in, or path of a file; a path has a
 *	slash or ends in ".o"
 *
 * Return: the object, or NULL after one line of error.
 */
struct object *object_open(const char *what);

/**
 * object_open_to_show() - open a policy's object, to be shown and not attached
 * @what: as for object_open()
 *
 * As object_open(), but also a built-in policy that this kernel cannot have.
 *
 * Return: the object, or NULL after one line of error.
 */
struct object *object_open_to_show(const char *what);

/**
 * object_open_elf() - open an object that is in memory
 * @name: what to call it in messages
 * @elf: the object file; has to stay there
 * @size: its bytes
 *
 * Return: the object, or NULL after one line of error.
 */
struct object *object_open_elf(const char *name, const void *elf, size_t size);

/**
 * object_name() - name of the policy
 * @object: from object_open()
 *
 * Return: the name in its struct kvm_gmem_ops.
 */
const char *object_name(const struct object *object);

/**
 * object_is_lsm() - is it of programs of BPF's LSM?
 * @object: from object_open()
 *
 * Return: false if it is a struct kvm_gmem_ops, which KVM asks.
 */
bool object_is_lsm(const struct object *object);

/**
 * object_not_enforced() - what this kernel does not let a policy do
 * @object: from object_open()
 *
 * Return: a list, NULL if there is nothing.
 */
const char *object_not_enforced(const struct object *object);

/**
 * object_params() - the policy's parameters
 * @object: from object_open()
 */
const struct params *object_params(const struct object *object);

/**
 * object_values() - what its parameters are set to
 * @object: from object_open()
 *
 * Return: the struct for param_load(), NULL if the policy has no parameters.
 */
const void *object_values(const struct object *object);

/**
 * object_member() - read a number in the policy's struct kvm_gmem_ops
 * @object: from object_open()
 * @member: vm_id, priority or flags
 */
uint64_t object_member(const struct object *object, const char *member);

/**
 * object_hook() - the program of a hook
 * @object: from object_open()
 * @hook: one of object_hooks, or another member of struct kvm_gmem_ops
 *
 * Return: the program or NULL.
 */
const struct bpf_program *object_hook(const struct object *object,
				      const char *hook);

/**
 * object_map() - the map with the policy's struct kvm_gmem_ops, or its settings
 * @object: loaded
 *
 * Return: its descriptor, which stays the object's.
 */
int object_map(const struct object *object);

/**
 * object_set_member() - set a number in the policy's struct kvm_gmem_ops
 * @object: not loaded yet, unless it is of programs of BPF's LSM
 * @member: vm_id, priority or flags
 * @value: the number, as a signed one for priority
 *
 * Return: 0, or -errno after one line of error.
 */
int object_set_member(struct object *object, const char *member,
		      uint64_t value);

/**
 * object_set() - set one of the policy's parameters
 * @object: not loaded yet
 * @assignment: "name=value"
 *
 * Return: 0, or -errno after one line of error.
 */
int object_set(struct object *object, const char *assignment);

/**
 * object_load() - let the kernel verify the policy
 * @object: from object_open()
 *
 * Return: 0, or -errno after one line of error.
 */
int object_load(struct object *object);

/**
 * object_try_load() - object_load() without a message
 * @object: from object_open()
 *
 * Return: 0 or -errno.
 */
int object_try_load(struct object *object);

/**
 * object_log() - what the verifier said when it refused the policy
 * @object: not loaded
 */
const char *object_log(const struct object *object);

/**
 * object_attach() - put the policy into force
 * @object: loaded
 * @links: set to what is the caller's to close; the policy ends with the last
 *	reference to it
 *
 * Return: 0, or -errno without a message: what it means depends on the scope.
 */
int object_attach(struct object *object, struct links *links);

/**
 * object_close() - free an object
 * @object: may be NULL; a link made from it stays
 */
void object_close(struct object *object);

#endif /* GMEMPOLICY_OBJECT_H */
