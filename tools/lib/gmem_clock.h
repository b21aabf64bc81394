/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Times in nanoseconds, and work at even intervals that ends with a signal.
 */
#ifndef GMEM_CLOCK_H
#define GMEM_CLOCK_H

#include <signal.h>
#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC	1000000000ULL

/**
 * gmem_now_ns() - the clock that work is timed by
 *
 * Return: CLOCK_MONOTONIC in nanoseconds.
 */
uint64_t gmem_now_ns(void);

/**
 * gmem_clock_ns() - read another clock
 * @clock: of clock_gettime(2)
 *
 * Return: nanoseconds.
 */
uint64_t gmem_clock_ns(clockid_t clock);

/**
 * gmem_clock_next() - when to do again what is done at even intervals
 * @last: when it was to be done, on CLOCK_MONOTONIC
 * @interval: nanoseconds
 *
 * After a stop, it goes on from now instead of catching up.
 *
 * Return: nanoseconds on CLOCK_MONOTONIC.
 */
uint64_t gmem_clock_next(uint64_t last, uint64_t interval);

/**
 * gmem_clock_wait() - wait for a time or a signal
 * @ns: until when, on CLOCK_MONOTONIC
 * @signals: those that end the wait; the caller has blocked them
 *
 * Return: the signal that came first, 0 if none did.
 */
int gmem_clock_wait(uint64_t ns, const sigset_t *signals);

#endif /* GMEM_CLOCK_H */
