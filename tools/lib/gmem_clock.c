// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads clocks and waits by them.
 */
#include <errno.h>

#include "gmem_clock.h"

uint64_t gmem_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

uint64_t gmem_now_ns(void)
{
	return gmem_clock_ns(CLOCK_MONOTONIC);
}

uint64_t gmem_clock_next(uint64_t last, uint64_t interval)
{
	uint64_t next = last + interval, now = gmem_now_ns();

	return next < now ? now : next;
}

int gmem_clock_wait(uint64_t ns, const sigset_t *signals)
{
	int sig;

	do {
		uint64_t now = gmem_now_ns();
		uint64_t left = ns > now ? ns - now : 0;
		const struct timespec ts = {
			.tv_sec = left / NSEC_PER_SEC,
			.tv_nsec = left % NSEC_PER_SEC,
		};

		sig = sigtimedwait(signals, NULL, &ts);
	} while (sig < 0 && errno == EINTR);
	return sig < 0 ? 0 : sig;
}
