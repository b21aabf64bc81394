/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A token bucket, and a queue that shares it fairly among callers that wait.
 * Integer arithmetic on u64 and s64 only, so that the same lines run as BPF
 * and in a unit test on the host.  Not here: clock, locks and storage; the
 * caller reads the clock first and holds a lock around each call.
 */
#ifndef __GMEM_BUCKET_H
#define __GMEM_BUCKET_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Credit is kept in billionths of a token: what one ns earns at 1 token/s. */
#define GMEM_TOKEN		1000000000LL
/* Greatest rate, burst and number of tokens asked for at once. */
#define GMEM_BUCKET_MAX		1000000000ULL

#define GMEM_QUEUE_LEN		16
/* How much later than told a caller may come back and find its place. */
#define GMEM_QUEUE_GRACE_NS	100000000ULL

/**
 * struct gmem_bucket - a token bucket; all zero means full
 * @credit: billionths of a token, negative while in debt
 * @last: clock at the last refill, in ns, 0 before the first
 */
struct gmem_bucket {
	s64 credit;
	u64 last;
};

/**
 * struct gmem_limit - how fast a bucket fills and how much it holds
 * @rate: tokens per second, 1 to GMEM_BUCKET_MAX
 * @burst: tokens, 1 to GMEM_BUCKET_MAX
 */
struct gmem_limit {
	u64 rate;
	u64 burst;
};

/**
 * struct gmem_waiter - a caller that was told to come back
 * @task: who
 * @tokens: how many it wants
 * @until: its place is lost if it is not back by then, in ns
 */
struct gmem_waiter {
	u64 task;
	u64 tokens;
	u64 until;
};

/**
 * struct gmem_queue - callers that wait for a bucket, first come first
 * @nr: how many
 * @closed: it was full and has to drain to one half before it takes more
 * @waiters: the one at 0 is next
 */
struct gmem_queue {
	u64 nr;
	u64 closed;
	struct gmem_waiter waiters[GMEM_QUEUE_LEN];
};

static __always_inline u64 gmem_clamp(u64 v, u64 lo, u64 hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/**
 * gmem_limit() - a limit within bounds, whatever userspace wrote
 * @rate: tokens per second
 * @burst: tokens
 */
static __always_inline struct gmem_limit gmem_limit(u64 rate, u64 burst)
{
	struct gmem_limit limit = {
		.rate = gmem_clamp(rate, 1, GMEM_BUCKET_MAX),
		.burst = gmem_clamp(burst, 1, GMEM_BUCKET_MAX),
	};

	return limit;
}

/**
 * gmem_bucket_refill() - add what was earned since the last refill
 * @b: the bucket
 * @limit: rate and burst in force since then
 * @now: clock in ns
 */
static __always_inline void gmem_bucket_refill(struct gmem_bucket *b,
					       const struct gmem_limit *limit,
					       u64 now)
{
	s64 full = limit->burst * GMEM_TOKEN;
	u64 elapsed, missing;

	if (!b->last || b->credit >= full) {
		b->credit = full;
		b->last = now ? now : 1;
		return;
	}

	/* The clock was read before the lock: two CPUs may have swapped. */
	if (now <= b->last)
		return;
	elapsed = now - b->last;
	b->last = now;

	/* The product cannot exceed missing, so it cannot overflow. */
	missing = full - b->credit;
	if (elapsed > missing / limit->rate)
		b->credit = full;
	else
		b->credit += elapsed * limit->rate;
}

/**
 * gmem_bucket_wait() - how long until tokens are there
 * @b: the bucket, refilled
 * @limit: rate and burst
 * @ahead: tokens that others will take first
 * @tokens: tokens asked for; more than the burst waits for a full bucket
 *
 * Return: 0 if they are there, else ns, rounded up.
 */
static __always_inline u64 gmem_bucket_wait(const struct gmem_bucket *b,
					    const struct gmem_limit *limit,
					    u64 ahead, u64 tokens)
{
	u64 need = ahead + gmem_clamp(tokens, 0, limit->burst);
	s64 missing;

	/* A longer wait than for 4 full buckets is not worth a wider type. */
	need = gmem_clamp(need, 0, 4 * GMEM_BUCKET_MAX);
	missing = (s64)need * GMEM_TOKEN - b->credit;
	if (missing <= 0)
		return 0;
	return ((u64)missing + limit->rate - 1) / limit->rate;
}

/**
 * gmem_bucket_spend() - take tokens that gmem_bucket_wait() found
 * @b: the bucket
 * @tokens: how many; those beyond the credit become a debt that is earned
 *	back before anyone is served again
 */
static __always_inline void gmem_bucket_spend(struct gmem_bucket *b, u64 tokens)
{
	b->credit -= gmem_clamp(tokens, 0, GMEM_BUCKET_MAX) * GMEM_TOKEN;
}

/**
 * gmem_bucket_take() - take tokens now or not at all
 * @b: the bucket
 * @limit: rate and burst
 * @tokens: how many
 * @now: clock in ns
 *
 * Return: 0 if they were taken, else the ns until they will be there; nothing
 * was taken then.
 */
static __always_inline u64 gmem_bucket_take(struct gmem_bucket *b,
					    const struct gmem_limit *limit,
					    u64 tokens, u64 now)
{
	u64 wait;

	gmem_bucket_refill(b, limit, now);
	wait = gmem_bucket_wait(b, limit, 0, tokens);
	if (!wait)
		gmem_bucket_spend(b, tokens);
	return wait;
}

/*
 * Closes the gaps of callers that did not come back, sums up the tokens that
 * those before @task want, and returns the place of @task, or the number of
 * waiters if it has none.
 */
static __always_inline u64 gmem_queue_find(struct gmem_queue *q, u64 task,
					   u64 now, u64 *ahead)
{
	u64 mine = GMEM_QUEUE_LEN, nr = 0, i;

	for (i = 0; i < GMEM_QUEUE_LEN && i < q->nr; i++) {
		struct gmem_waiter w = q->waiters[i];

		if (w.task != task && w.until < now)
			continue;
		if (w.task == task)
			mine = nr;
		if (mine == GMEM_QUEUE_LEN)
			*ahead += w.tokens;
		if (nr < GMEM_QUEUE_LEN)
			q->waiters[nr] = w;
		nr++;
	}
	q->nr = nr;
	return mine < nr ? mine : nr;
}

static __always_inline void gmem_queue_remove(struct gmem_queue *q, u64 place)
{
	u64 i;

	if (place >= q->nr)
		return;
	for (i = 0; i < GMEM_QUEUE_LEN - 1; i++) {
		if (i >= place && i + 1 < q->nr)
			q->waiters[i] = q->waiters[i + 1];
	}
	q->nr--;
}

/**
 * gmem_bucket_take_turn() - take tokens in the order in which callers came
 * @b: the bucket
 * @q: its queue
 * @limit: rate and burst
 * @task: who asks; the same number when it asks again
 * @tokens: how many
 * @now: clock in ns
 *
 * A caller that has to wait keeps its place and is expected back in the time
 * it was told.  Nobody takes tokens that someone before it waits for.  A full
 * queue closes until half of it is served.  Else the place that a caller gives
 * up would be its own again at its next request, and those outside would never
 * get in.
 *
 * Return: 0 if the tokens were taken, else the ns to wait before asking
 * again; nothing was taken then.
 */
static __always_inline u64 gmem_bucket_take_turn(struct gmem_bucket *b,
						 struct gmem_queue *q,
						 const struct gmem_limit *limit,
						 u64 task, u64 tokens, u64 now)
{
	u64 ahead = 0, place = 0, wait;

	tokens = gmem_clamp(tokens, 0, GMEM_BUCKET_MAX);
	gmem_bucket_refill(b, limit, now);
	if (q->nr)
		place = gmem_queue_find(q, task, now, &ahead);
	if (q->nr <= GMEM_QUEUE_LEN / 2)
		q->closed = 0;

	wait = gmem_bucket_wait(b, limit, ahead, tokens);
	if (!wait) {
		gmem_bucket_spend(b, tokens);
		gmem_queue_remove(q, place);
		return 0;
	}

	if (q->closed && place == q->nr)
		/* Come back when about half of them are served. */
		return gmem_bucket_wait(b, limit, ahead / 2, tokens);

	if (place < GMEM_QUEUE_LEN) {
		struct gmem_waiter *w = &q->waiters[place];

		w->task = task;
		w->tokens = gmem_clamp(tokens, 0, limit->burst);
		w->until = now + wait + GMEM_QUEUE_GRACE_NS;
		if (place == q->nr)
			q->nr++;
		q->closed |= q->nr == GMEM_QUEUE_LEN;
	}
	return wait;
}

#endif /* __GMEM_BUCKET_H */
