/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The delays of pingpong.bpf.c, for every policy that has them as one of its
 * parts.  What they do and don't is said there.
 */
#ifndef PINGPONG_H
#define PINGPONG_H

#include "gmem.bpf.h"
#include "gmem_toggles.h"

struct pingpong_params {
	GMEM_PARAM(u64, window, "ms", 1, 3600000,
		   "turns of a block count that come within this time; one is forgotten for each such time without any");
	GMEM_PARAM(u64, free, "turns", 0, 1000000,
		   "turns of a block that cost nothing");
	GMEM_PARAM(u64, first_delay, "us", 1, 1000000,
		   "how long the first turn beyond that waits; each one after it waits twice as long");
	GMEM_PARAM(u64, most_delay, "ms", 1, 3600000,
		   "longest wait");
	GMEM_PARAM_WHOSE();
};

static __always_inline struct gmem_toggle_limit
pingpong_limit(const struct pingpong_params *p)
{
	struct gmem_toggle_limit limit = {
		.window = p->window * NSEC_PER_MSEC,
		.free = p->free,
		.first = p->first_delay * NSEC_PER_USEC,
		.most = p->most_delay * NSEC_PER_MSEC,
	};

	return limit;
}

/* Does something once, in vm_init or when the table was made later. */
static __always_inline void pingpong_init(struct gmem_toggles *t)
{
	if (!t->seed)
		t->seed = (u64)bpf_get_prandom_u32() + 1;
}

#endif /* PINGPONG_H */
