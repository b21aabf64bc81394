/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's side of a policy: a struct kvm_gmem_ops, the value of the map that
 * holds it, or the map with the settings of one of BPF's LSM.  libbpf fills a map of
 * the first kind only to make a new link of it; this is for what replaces the policy
 * of a link that is there.
 */
#ifndef GMEMPOLICY_OPS_H
#define GMEMPOLICY_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_prog_info;
struct links;
struct object;

/**
 * ops_replace() - put an object into force in place of another policy
 * @object: loaded, with the vm_id of the other
 * @link: descriptor of the other's link
 *
 * A request is decided by the one or by the other.  If the other ends by itself,
 * this one ends then, too, unless it says itself when it ends.
 *
 * Return: 0, -ETIME if that time has passed, or another -errno; without a
 * message.
 */
int ops_replace(const struct object *object, int link);

/**
 * ops_attach() - put an object into force
 * @object: loaded
 * @expires_ns: CLOCK_BOOTTIME at which it ends, 0: it does not by itself
 * @links: set to what is the caller's to close
 *
 * KVM, or the program, looks at the time itself, so nothing has to live until then.
 *
 * Return: 0, -EOPNOTSUPP if this kernel knows no policy that ends, -ETIME if
 * the time has passed, or another -errno; without a message.
 */
int ops_attach(struct object *object, uint64_t expires_ns, struct links *links);

/**
 * ops_enforce() - let the policy of a link decide, once nothing of it is missing
 * @link: descriptor of the link
 *
 * One of BPF's LSM has several programs: until then none of them does anything.
 *
 * Return: 0 or -errno, without a message.
 */
int ops_enforce(int link);

/**
 * ops_detach() - end the policy of a link, whoever else has the link
 * @link: descriptor of the link
 *
 * A link of BPF's LSM goes with its last descriptor and its pin; until then its
 * policy decides nothing.
 *
 * Return: 0 or -errno, without a message.
 */
int ops_detach(int link);

/**
 * struct ops_change - what a copy of a policy has that the original has not
 * @flags: the flags
 * @has_priority: the priority is another, too
 * @priority: that
 */
struct ops_change {
	uint32_t flags;
	bool has_priority;
	int32_t priority;
};

/**
 * ops_set() - change the settings of a policy of BPF's LSM
 * @map: descriptor of the map with its settings
 * @change: what is to be different
 *
 * Return: 0, -EINVAL if it is a map of another kind, or another -errno; without a
 * message.
 */
int ops_set(int map, const struct ops_change *change);

/**
 * ops_copy() - make a struct_ops map of the programs of another
 * @map: descriptor of the other, in use by a link
 * @change: what is different
 *
 * Return: a descriptor of the new map, ready for bpf_link_update(), or -errno
 * without a message.
 */
int ops_copy(int map, const struct ops_change *change);

/**
 * ops_add_prog() - add a program to a number that stands for several
 * @prog: descriptor of the program
 * @tags: the number, 0 at first; the order of the programs counts
 * @info: filled in; its map_ids may point to room for nr_map_ids
 *
 * Besides the program's instructions, the number stands for what its maps are
 * made as, and for the contents of those that nobody can write: constants.
 *
 * Return: 0, or -errno without a message.
 */
int ops_add_prog(int prog, uint64_t *tags, struct bpf_prog_info *info);

/**
 * ops_link() - look at a link
 * @link: descriptor of a link
 * @link_id: set to its id
 * @map_id: set to the id of its struct_ops map, or of the map with its settings;
 *	0 if it is attached to nothing any more
 *
 * Return: 0, -EINVAL if it is no link of a policy, or another -errno; without a
 * message.
 */
int ops_link(int link, uint32_t *link_id, uint32_t *map_id);

/* Map ids of a program at most. */
#define OPS_MAX_MAPS	64

/* Programs of a policy at most: one for each hook. */
#define OPS_MAX_PROGS	16

/**
 * ops_progs() - ids of the programs of a policy
 * @link: descriptor of its link
 * @map: descriptor of its map, from ops_link()
 * @ids: where to, OPS_MAX_PROGS of them
 *
 * Return: how many, or -errno without a message.
 */
int ops_progs(int link, int map, uint32_t *ids);

/**
 * ops_check() - is this map a policy?
 * @map: descriptor of a map
 *
 * Return: 0, -EINVAL if it is something else, or another -errno; without a
 * message.
 */
int ops_check(int map);

/**
 * ops_number() - read a number of a policy
 * @map: descriptor of its map
 * @name: vm_id, priority, flags or expires_ns; of one of BPF's LSM also in_force
 * @number: where to
 *
 * Return: 0, or -errno without a message.
 */
int ops_number(int map, const char *name, uint64_t *number);

/**
 * ops_is_in_force() - was a policy put into force?
 * @map: descriptor of its map
 *
 * Return: false if ops_enforce() is still to come, or its caller was killed before.
 */
bool ops_is_in_force(int map);

/**
 * ops_has_ended() - is its time up?
 * @map: descriptor of its map
 *
 * Return: true if KVM asks this policy no more since its time is up.
 */
bool ops_has_ended(int map);

/**
 * ops_object_tags() - what the programs of an object are
 * @object: loaded
 * @tags: where to; the same number as running_tags() gives
 *
 * Return: 0, or -errno without a message.
 */
int ops_object_tags(const struct object *object, uint64_t *tags);

#endif /* GMEMPOLICY_OPS_H */
