/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policies that end by themselves.  A process holds their links and nothing
 * else does: when it ends, for whatever reason, they end.
 */
#ifndef GMEMPOLICY_HOLD_H
#define GMEMPOLICY_HOLD_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct held - a link to hold
 * @name: name of its note
 * @link: descriptor
 * @link_id: its id
 */
struct held {
	char name[96];
	int link;
	uint32_t link_id;
};

/**
 * hold_deadline() - a time from now
 * @ns: how long from now
 *
 * Return: nanoseconds on CLOCK_BOOTTIME, which goes on while the host sleeps.
 */
uint64_t hold_deadline(uint64_t ns);

/**
 * hold_until() - start the process that holds links
 * @held: the links; the caller still has to close its own descriptors
 * @nr: how many
 * @until_ns: when they end, from hold_deadline()
 *
 * The process has a session of its own and no terminal.  It removes the notes
 * when the time is up, and ends early when all links have been detached.
 *
 * Return: 0, or -errno after one line of error.
 */
int hold_until(const struct held *held, size_t nr, uint64_t until_ns);

#endif /* GMEMPOLICY_HOLD_H */
