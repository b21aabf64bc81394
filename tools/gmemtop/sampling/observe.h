/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A close look at one VM: latencies and last events.  Attached to tracepoints
 * from observer_open() to observer_close().
 */
#ifndef GMEMTOP_OBSERVE_H
#define GMEMTOP_OBSERVE_H

#include "gmem_abi.h"

struct observer;

/**
 * struct latency - a histogram of times
 * @count: how many there were
 * @bucket: how many of each length, see observe_limit()
 */
struct latency {
	uint64_t count;
	uint64_t bucket[GMEM_HIST_LEN];
};

/**
 * observer_open() - begin to look
 * @vm_id: the VM
 *
 * Return: as layout_open().
 */
struct observer *observer_open(uint64_t vm_id);

/**
 * observer_latency() - what times were taken since the beginning
 * @observer: from observer_open()
 * @faults: filled in
 * @conversions: filled in
 */
void observer_latency(const struct observer *observer, struct latency *faults,
		      struct latency *conversions);

/**
 * observer_events() - the last events, the newest first
 * @observer: from observer_open()
 * @events: GMEM_EVENTS_MAX places for them
 * @total: set to how many there were since the beginning
 *
 * Return: how many were filled in.
 */
size_t observer_events(const struct observer *observer,
		       struct gmem_event *events, uint64_t *total);

/**
 * observer_close() - stop looking
 * @observer: from observer_open(), or NULL
 */
void observer_close(struct observer *observer);

/**
 * latency_limit() - the longest time of a bucket
 * @bucket: its number
 *
 * Return: nanoseconds.
 */
uint64_t latency_limit(unsigned int bucket);

/**
 * latency_percentile() - the time that a share of all does not exceed
 * @latency: a histogram
 * @percent: the share
 *
 * Return: nanoseconds, an eighth too long at most; 0 if there were none.
 */
uint64_t latency_percentile(const struct latency *latency, unsigned int percent);

#endif /* GMEMTOP_OBSERVE_H */
