/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pins under /sys/fs/bpf/gmem that keep policies in force when the tool
 * has ended.  Not here: what the kernel says of the pinned links (attached.h).
 */
#ifndef GMEMPOLICY_PINS_H
#define GMEMPOLICY_PINS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct links;

#define PINS_ROOT	"/sys/fs/bpf"
#define PINS_DIR	PINS_ROOT "/gmem"

/**
 * struct pin - a file of the directory
 * @name: its name
 * @is_link: it pins the link of a policy; the members below are valid
 * @detached: the link has been detached from what it was attached to, or its policy
 *	was never put into force
 * @link_id: id of the link
 */
struct pin {
	char name[NAME_MAX + 1];
	bool is_link;
	bool detached;
	uint32_t link_id;
};

/**
 * struct pins - all files of the directory
 * @nr: how many
 * @pins: in no order to rely on
 *
 * Starts as all zeroes; pins_free() gives the memory back.
 */
struct pins {
	size_t nr;
	struct pin *pins;
};

/**
 * pins_check_free() - can a link be pinned under a name?
 * @name: name of the pin
 *
 * Return: 0, or -errno after one line of error.
 */
int pins_check_free(const char *name);

/**
 * pins_add() - pin a policy
 * @name: name of the pin
 * @links: what holds it in force
 *
 * Makes the directory if need be, for its owner only.  The policy is in force when all
 * is pinned: until then none of its programs does anything, and whoever has the lock
 * next removes what is there.
 *
 * Return: 0, or -errno after one line of error.
 */
int pins_add(const char *name, const struct links *links);

/**
 * pins_replace() - pin a policy in place of another
 * @name: name of the pin
 * @links: what holds it in force
 *
 * Return: 0, or -errno after one line of error.
 */
int pins_replace(const char *name, const struct links *links);

/**
 * pins_lock() - keep other instances of the tool from changing anything
 *
 * Return: a descriptor that holds the lock until it is closed, or -errno after
 * one line of error.
 */
int pins_lock(void);

/**
 * pins_find() - look one pin up
 * @name: its name
 * @pin: where to
 *
 * Return: 0, -ENOENT without a message if there is none, or another -errno
 * after one line of error.
 */
int pins_find(const char *name, struct pin *pin);

/**
 * pins_link_is_gone() - has a link ended?
 * @id: its id
 *
 * Return: true if there is no such link, or it is attached to nothing.
 */
bool pins_link_is_gone(uint32_t id);

/**
 * pins_remove() - remove a pin, and those of what helps the policy
 * @name: name of the pin
 *
 * Return: 0, or -errno after one line of error.
 */
int pins_remove(const char *name);

/**
 * pins_remove_ended() - remove what is left of policies whose time is up
 *
 * KVM does not ask them any more, but until they are detached they are told of
 * what becomes of memory, and count among those that a VM can have.  So is what a
 * process left that was killed.  Call it with the lock of pins_lock().
 *
 * Return: 0, or -errno after one line of error.
 */
int pins_remove_ended(void);

/**
 * pins_read() - list the directory
 * @pins: where to
 *
 * A directory that is missing has no pins.
 *
 * Return: 0, or -errno after one line of error.
 */
int pins_read(struct pins *pins);

/**
 * pins_free() - give back the memory of a list
 * @pins: a list, all zeroes afterwards
 */
void pins_free(struct pins *pins);

#endif /* GMEMPOLICY_PINS_H */
