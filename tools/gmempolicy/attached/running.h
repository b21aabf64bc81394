/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy in force, as the kernel has it: found by its link, without the file
 * it came from.
 */
#ifndef GMEMPOLICY_RUNNING_H
#define GMEMPOLICY_RUNNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attached/ops.h"
#include "objects/params.h"

struct running;

/**
 * running_open() - look at the policy of a link
 * @link_id: id of the link
 * @who: what to call it in messages
 *
 * Return: the policy, or NULL after one line of error.
 */
struct running *running_open(uint32_t link_id, const char *who);

/**
 * running_find() - look at the policy that a user names
 * @what: name of its pin, or id of its link
 *
 * Return: the policy, or NULL after one line of error, also if its time is up.
 */
struct running *running_find(const char *what);

/**
 * running_has_ended() - is its time up?
 * @running: the policy
 *
 * Return: true if it is attached, and KVM does not ask it any more.
 */
bool running_has_ended(const struct running *running);

/**
 * running_renew() - look again at a policy that others may have changed
 * @running: the policy; another one afterwards if its link has got other
 *	programs since
 *
 * Call it with the lock of pins_lock(): until that is given back, nobody else
 * changes the link.
 *
 * Return: 0, or -errno after one line of error, also if the policy has ended.
 */
int running_renew(struct running **running);

/**
 * running_close() - let go of it
 * @running: may be NULL
 */
void running_close(struct running *running);

/**
 * running_link() - descriptor of its link
 * @running: the policy
 */
int running_link(const struct running *running);

/**
 * running_params() - its parameters
 * @running: the policy
 */
const struct params *running_params(const struct running *running);

/**
 * running_values() - what they are set to
 * @running: the policy
 *
 * Return: a struct for param_load() and param_store(), NULL if there are no
 * parameters.  What is stored there is in force after running_commit().
 */
void *running_values(const struct running *running);

/**
 * running_refresh() - read again what the parameters are set to
 * @running: the policy
 *
 * Return: 0, or -errno after one line of error.
 */
int running_refresh(struct running *running);

/**
 * running_commit() - put the values into force
 * @running: the policy
 *
 * All of them at once: a program sees the old ones or the new ones.
 *
 * Return: 0, or -errno after one line of error.
 */
int running_commit(struct running *running);

/**
 * running_set_flags() - give the policy other flags
 * @running: the policy
 * @flags: the flags of struct kvm_gmem_ops
 *
 * A request is decided with the old ones or with the new ones.
 *
 * Return: 0, or -errno after one line of error.
 */
int running_set_flags(struct running *running, uint32_t flags);

/**
 * running_change() - give the policy other flags and another priority
 * @running: the policy
 * @change: those
 *
 * As running_set_flags().
 */
int running_change(struct running *running, const struct ops_change *change);

/**
 * running_priority() - its priority
 * @running: the policy
 * @priority: where to
 *
 * Return: 0, or -errno after one line of error.
 */
int running_priority(const struct running *running, int32_t *priority);

/**
 * running_expires() - when it ends by itself
 * @running: the policy
 *
 * Return: CLOCK_BOOTTIME in ns, 0 if it does not.
 */
uint64_t running_expires(const struct running *running);

/**
 * running_flags() - its flags
 * @running: the policy
 * @flags: where to
 *
 * Return: 0, or -errno after one line of error.
 */
int running_flags(const struct running *running, uint32_t *flags);

/* Map ids of a policy at most. */
#define RUNNING_MAX_MAPS	64

/**
 * running_map() - find a map of the policy
 * @running: the policy
 * @name: its name, as the kernel has it
 *
 * Return: a descriptor that is the caller's to close, -ENOENT if there is none.
 */
int running_map(const struct running *running, const char *name);

/**
 * running_map_id() - id of one of the policy's maps
 * @running: the policy
 * @index: which, from 0
 * @id: where to
 *
 * Return: 0, or -ENOENT after the last.
 */
int running_map_id(const struct running *running, size_t index, uint32_t *id);

/**
 * running_btf() - the types of its programs
 * @running: the policy
 *
 * Return: BTF, or NULL if it was loaded without.
 */
const struct btf *running_btf(const struct running *running);

/**
 * running_tags() - what its programs are
 * @running: the policy
 * @tags: where to; the number that ops_object_tags() gives of its object
 *
 * Return: 0, or -errno after one line of error.
 */
int running_tags(const struct running *running, uint64_t *tags);

#endif /* GMEMPOLICY_RUNNING_H */
