/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verdicts and VMs as they come: a stream of struct gmem_watch_event, from KVM's
 * tracepoints or from the policies themselves.
 */
#ifndef GMEMPOLICY_EVENTS_H
#define GMEMPOLICY_EVENTS_H

#include <bpf/libbpf.h>
#include <stdint.h>

#include "gmem_watch.h"

struct events;

enum events_of {
	EVENTS_OF_VERDICTS,
	EVENTS_OF_VMS,
};

/**
 * events_open() - begin to listen
 * @of: to what
 * @vm: only to this VM, 0: to all
 * @use: called with each event by events_poll(), which it may end with -errno
 * @ctx: for @use
 *
 * Where nothing tells of VMs that come and go, their stream is empty.
 *
 * Return: the stream, or NULL after one line of error.
 */
struct events *events_open(enum events_of of, uint64_t vm,
			   ring_buffer_sample_fn use, void *ctx);

/**
 * events_poll() - wait for events and use them
 * @events: the stream
 * @ms: for how long at most
 *
 * Return: 0 or more, or a negative errno, also that of @use; without a message.
 */
int events_poll(struct events *events, int ms);

/**
 * events_lost() - how many there were that did not fit
 * @events: the stream
 */
uint64_t events_lost(const struct events *events);

/**
 * events_close() - end it
 * @events: may be NULL
 */
void events_close(struct events *events);

#endif /* GMEMPOLICY_EVENTS_H */
