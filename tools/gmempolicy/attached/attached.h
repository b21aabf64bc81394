/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The policies in force, as the kernel lists them, put together with the pins
 * that hold them.
 */
#ifndef GMEMPOLICY_ATTACHED_H
#define GMEMPOLICY_ATTACHED_H

#include "attached/pins.h"
#include "gmem_abi.h"

struct gmem_sampler;
struct vms;

/**
 * enum entry_state - what is to be known of an entry
 * @ENTRY_ACTIVE: in force, or waiting for a first VM if it is for all
 * @ENTRY_GONE: its VM has ended; it does nothing and never will
 * @ENTRY_DETACHED: a pin of a link that was detached by other means
 * @ENTRY_ENDED: its time is up: it is attached, and KVM does not ask it any more
 * @ENTRY_FOREIGN: a file among the pins that is no policy
 */
enum entry_state {
	ENTRY_ACTIVE,
	ENTRY_GONE,
	ENTRY_DETACHED,
	ENTRY_ENDED,
	ENTRY_FOREIGN,
};

/**
 * struct entry - a policy, or a pin that holds none
 * @state: what it is
 * @pin: its pin, NULL if it has none in our directory
 * @link_id: id of its link, 0 if it has none
 * @until_ns: when it ends by itself, on CLOCK_BOOTTIME; 0: it does not
 * @policy: the kernel's figures, NULL if it is not attached
 */
struct entry {
	enum entry_state state;
	const char *pin;
	uint32_t link_id;
	uint64_t until_ns;
	const struct gmem_policy_sample *policy;
};

/**
 * struct attached - all entries
 * @nr: how many
 * @entries: those with a policy first
 */
struct attached {
	size_t nr;
	struct entry *entries;
};

/**
 * attached_read() - ask the kernel and read the pins
 * @sampler: from gmem_sampler_open()
 *
 * Return: the entries, or NULL after one line of error.
 */
struct attached *attached_read(struct gmem_sampler *sampler);

/**
 * attached_read_with_vms() - attached_read(), and the VMs on this host
 * @attached: set to the entries
 * @vms: where to, all zeroes; only if there is no error it is to be freed
 * @sampler: from gmem_sampler_open()
 *
 * Return: 0, or -errno after one line of error.
 */
int attached_read_with_vms(struct attached **attached, struct vms *vms,
			   struct gmem_sampler *sampler);

/**
 * entry_is() - does a user mean this one?
 * @entry: the entry
 * @what: name of a pin or id of a link; NULL means all
 */
bool entry_is(const struct entry *entry, const char *what);

/**
 * entry_says() - the state of an entry in words
 * @entry: the entry
 */
const char *entry_says(const struct entry *entry);

#define ENTRY_TIME_SIZE	32

/**
 * entry_ends() - when a policy ends, as a text
 * @until_ns: when, on CLOCK_BOOTTIME
 * @dst: where to, ENTRY_TIME_SIZE bytes
 *
 * Return: @dst: the local time, with its distance from UTC.
 */
char *entry_ends(uint64_t until_ns, char *dst);

/**
 * entry_left() - how long until a policy ends
 * @until_ns: when, on CLOCK_BOOTTIME
 *
 * Return: seconds, the last one begun counted in, 0 if its time is up.
 */
uint64_t entry_left(uint64_t until_ns);

/**
 * attached_free() - give the memory back
 * @attached: from attached_read(), or NULL
 */
void attached_free(struct attached *attached);

#endif /* GMEMPOLICY_ATTACHED_H */
