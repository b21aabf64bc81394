/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The token buckets of ratelimit.bpf.c, for every policy that has them as one
 * of its parts.  What they do and don't is said there.
 */
#ifndef RATELIMIT_H
#define RATELIMIT_H

#include "gmem.bpf.h"

struct ratelimit_params {
	GMEM_PARAM(u64, rate, "conversions/s", 1, 1000000000,
		   "conversions that a VM gets per second");
	GMEM_PARAM(u64, burst, "conversions", 0, 1000000000,
		   "conversions that a VM may save up; 0: a quarter of rate, at least 1");
	GMEM_PARAM(u64, page_rate, "pages/s", 0, 1000000000,
		   "pages that a VM may convert per second; 0: no limit");
	GMEM_PARAM(u64, page_burst, "pages", 0, 1000000000,
		   "pages that a VM may save up; 0: a quarter of page_rate, at least 1");
	GMEM_PARAM(u64, private_rate, "conversions/s", 0, 1000000000,
		   "of the conversions, those to private; 0: no limit of their own");
	GMEM_PARAM(u64, private_page_rate, "pages/s", 0, 1000000000,
		   "of the pages, those to private; 0: no limit of their own");
	GMEM_PARAM(u64, shared_rate, "conversions/s", 0, 1000000000,
		   "of the conversions, those to shared; 0: no limit of their own");
	GMEM_PARAM(u64, shared_page_rate, "pages/s", 0, 1000000000,
		   "of the pages, those to shared; 0: no limit of their own");
	GMEM_PARAM_CHOICE(u64, action,
			  gmem_by_source("deny=0,delay=1", "deny=0"),
			  "what happens to a conversion beyond a limit");
	GMEM_PARAM_WHOSE();
};

/* For each direction there are two, by what gmem_is_private() says. */
struct ratelimit_buckets {
	struct gmem_bucket all GMEM_BUDGET("conversions");
	struct gmem_bucket all_pages GMEM_BUDGET("converted pages");
	struct gmem_bucket some[2]
		GMEM_BUDGET("conversions to shared,conversions to private");
	struct gmem_bucket some_pages[2]
		GMEM_BUDGET("pages to shared,pages to private");
	struct gmem_queue queue;
};

/**
 * struct ratelimit_ask - one conversion
 * @pages: how many
 * @private: to private?
 * @rate: limit of its direction, in conversions per second, or 0
 * @page_rate: likewise in pages per second
 * @more: any limit but that of all conversions is on
 * @turn: where it stands in the queue
 */
struct ratelimit_ask {
	u64 pages;
	u64 private;
	u64 rate;
	u64 page_rate;
	bool more;
	struct gmem_turn turn;
};

/* Is any limit on but that of all conversions? */
static __always_inline bool ratelimit_has_more(const struct ratelimit_params *p)
{
	return p->page_rate | p->private_rate | p->private_page_rate |
	       p->shared_rate | p->shared_page_rate;
}

/* Take the tokens or not, if there are no more limits and nobody waits. */
static __always_inline u64 ratelimit_take(struct ratelimit_buckets *s,
					  const struct ratelimit_params *p,
					  u64 now)
{
	struct gmem_limit limit = gmem_limit(p->rate, p->burst ? p->burst :
							p->rate / 4);

	return gmem_bucket_take(&s->all, &limit, 1, now);
}

/* Read what there is to know; before anything that branches. */
static __always_inline void
ratelimit_begin(struct ratelimit_ask *ask, struct ratelimit_buckets *s,
		const struct ratelimit_params *p,
		const struct kvm_gmem_convert *convert, u64 task, u64 now)
{
	ask->pages = gmem_clamp(convert->nr_pages, 0, GMEM_BUCKET_MAX);
	ask->private = gmem_is_private(convert);
	ask->rate = ask->private ? p->private_rate : p->shared_rate;
	ask->page_rate = ask->private ? p->private_page_rate :
					p->shared_page_rate;
	ask->more = p->page_rate | ask->rate | ask->page_rate;
	if (p->action == GMEM_ACTION_DELAY)
		ask->turn = gmem_queue_look(&s->queue, task, ask->private, now);
	else
		ask->turn = (struct gmem_turn){ .place = GMEM_QUEUE_LEN };
}

static __always_inline u64 ratelimit_wait_one(struct gmem_bucket *b, u64 rate,
					      u64 burst, u64 ahead, u64 tokens,
					      u64 now)
{
	struct gmem_limit limit;
	u64 wait;

	/* What the verifier learns on the ways through here ends here. */
	rate = gmem_forget(rate, &b->last);
	limit = gmem_limit(rate, burst ? burst : rate / 4);
	limit.rate = gmem_forget(limit.rate, &b->last);
	limit.burst = gmem_forget(limit.burst, &b->last);
	gmem_bucket_refill(b, &limit, gmem_forget(now, &b->last));
	wait = gmem_bucket_wait(b, &limit, ahead, tokens);

	return gmem_forget(wait, &b->last);
}

/* How long until all tokens are there?  0 if they are. */
static __always_inline u64
ratelimit_wait(struct ratelimit_ask *ask, struct ratelimit_buckets *s,
	       const struct ratelimit_params *p, u64 now)
{
	u64 wait, other, way = ask->private & 1;

	wait = ratelimit_wait_one(&s->all, p->rate, p->burst,
				  ask->turn.callers, 1, now);
	if (!ask->more)
		return wait;

	if (p->page_rate) {
		other = ratelimit_wait_one(&s->all_pages, p->page_rate,
					   p->page_burst, ask->turn.tokens,
					   ask->pages, now);
		wait = gmem_max(wait, other);
	}
	if (ask->rate) {
		other = ratelimit_wait_one(&s->some[way], ask->rate, 0,
					   ask->turn.alike, 1, now);
		wait = gmem_max(wait, other);
	}
	if (ask->page_rate) {
		other = ratelimit_wait_one(&s->some_pages[way], ask->page_rate,
					   0, ask->turn.alike_tokens,
					   ask->pages, now);
		wait = gmem_max(wait, other);
	}
	return wait;
}

/* Take the tokens: the conversion goes on. */
static __always_inline void
ratelimit_spend(struct ratelimit_ask *ask, struct ratelimit_buckets *s,
		const struct ratelimit_params *p)
{
	u64 way = ask->private & 1;

	gmem_bucket_spend(&s->all, 1);
	gmem_queue_leave(&s->queue, &ask->turn);
	if (!ask->more)
		return;

	if (p->page_rate)
		gmem_bucket_spend(&s->all_pages, ask->pages);
	if (gmem_forget(ask->rate, &s->all.last))
		gmem_bucket_spend(&s->some[way], 1);
	if (gmem_forget(ask->page_rate, &s->all.last))
		gmem_bucket_spend(&s->some_pages[way], ask->pages);
}

/* Keep a place for a conversion that is delayed.  Returns how long it is. */
static __always_inline u64
ratelimit_queue(struct ratelimit_ask *ask, struct ratelimit_buckets *s, u64 task,
		u64 wait, u64 now)
{
	struct gmem_waiter want = {
		.task = task,
		.kind = ask->private,
		.tokens = ask->pages,
	};

	if (!gmem_queue_stay(&s->queue, &ask->turn, &want, wait, now))
		return wait / 2 + 1;
	return wait;
}

#endif /* RATELIMIT_H */
