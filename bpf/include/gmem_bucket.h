/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A token bucket, and a queue that shares it fairly among callers that wait.
 * Integer arithmetic on u64 and s64 only, so that the same lines run as BPF
 * and in a unit test on the host.  Not here: clock, locks and storage; the
 * caller reads the clock first and holds a lock around each call.
 */
#ifndef __GMEM_BUCKET_H
#define __GMEM_BUCKET_H

#include "gmem_params.h"

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
 * struct gmem_limit - how fast a bucket fills and how much it holds
 * @rate: tokens per second, 1 to GMEM_BUCKET_MAX
 * @burst: tokens, 1 to GMEM_BUCKET_MAX
 */
struct gmem_limit {
	u64 rate;
	u64 burst;
};

/**
 * struct gmem_bucket - a token bucket; all zero means full
 * @credit: billionths of a token, negative while in debt
 * @last: clock at the last refill, in ns, 0 before the first
 * @limit: the limit at that time: by these four, gmempolicy status finds out how
 *	full it is now
 */
struct gmem_bucket {
	GMEM_STATUS(s64, credit, "credit when last used", "tokens", 1000000000);
	u64 last;
	struct gmem_limit limit;
};

/**
 * struct gmem_waiter - a caller that was told to come back
 * @task: who
 * @kind: what for: 0, or a number that tells apart what it wants tokens for
 * @tokens: how many it wants
 * @turn: those with a lower one are served before it
 * @until: its place is lost if it is not back by then, in ns; 0 if it is free
 */
struct gmem_waiter {
	u64 task;
	u64 kind;
	u64 tokens;
	u64 turn;
	u64 until;
};

/**
 * struct gmem_queue - callers that wait for a bucket, first come first
 * @next_turn: for the next that comes
 * @until: nobody waits after that, in ns
 * @closed: it was full and has to drain to one half before it takes more
 * @waiters: in no order
 */
struct gmem_queue {
	u64 next_turn;
	u64 until;
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
 * gmem_forget() - the same number, of which the verifier knows nothing
 * @v: a number
 * @in_map: a number in a map, of any value
 *
 * Where two ways meet on which the verifier knows different things of a number
 * that decides a branch, it follows what comes after once for each.  A few such
 * places in a row multiply to more than it is willing to follow.
 */
static __always_inline u64 gmem_forget(u64 v, const u64 *in_map)
{
	u64 any = *(const volatile u64 *)in_map;

	v += any;
	/* Else the compiler would see that nothing happens. */
	asm volatile("" : "+r"(v));
	return v - any;
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

	b->limit = *limit;
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
 * gmem_bucket_give() - give tokens back that were spent for nothing
 * @b: the bucket
 * @tokens: how many; what is then beyond the burst is gone at the next refill
 */
static __always_inline void gmem_bucket_give(struct gmem_bucket *b, u64 tokens)
{
	b->credit += gmem_clamp(tokens, 0, GMEM_BUCKET_MAX) * GMEM_TOKEN;
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
 * Those below take no branch, because the verifier would follow both ways
 * at each of them, for each waiter, and multiply.  The compiler must not see
 * through them, or it would put the branches back.  What is chosen is multiplied
 * by 1 or 0: a mask of all bits or none is a branch to verifiers from Linux 7 on.
 */
#define gmem_opaque(v)	asm volatile("" : "+r"(v))

/* 1 if a < b, else 0, for numbers below 2^63. */
static __always_inline u64 gmem_before(u64 a, u64 b)
{
	u64 sign = (a - b) >> 63;

	gmem_opaque(sign);
	return sign;
}

/* 1 if a and b are the same, else 0. */
static __always_inline u64 gmem_same(u64 a, u64 b)
{
	u64 differ = a ^ b, negated = -differ, sign;

	gmem_opaque(negated);
	sign = (differ | negated) >> 63;
	gmem_opaque(sign);
	return sign ^ 1;
}

/* a if which is 1, b if it is 0. */
static __always_inline u64 gmem_choose(u64 which, u64 a, u64 b)
{
	return b ^ ((a ^ b) * which);
}

/* The place of a caller, GMEM_QUEUE_LEN if it has none. */
static __always_inline u64 gmem_queue_find(const struct gmem_queue *q, u64 task)
{
	u64 place = GMEM_QUEUE_LEN, i;

	for (i = 0; i < GMEM_QUEUE_LEN; i++) {
		const struct gmem_waiter *w = &q->waiters[i];
		u64 mine = gmem_same(w->task, task) &
			   (gmem_same(w->until, 0) ^ 1);

		place = gmem_choose(mine, i, place);
	}
	return place;
}

/* A place that is free or was lost, GMEM_QUEUE_LEN if there is none. */
static __always_inline u64 gmem_queue_find_free(const struct gmem_queue *q,
						u64 now)
{
	u64 place = GMEM_QUEUE_LEN, i;

	for (i = 0; i < GMEM_QUEUE_LEN; i++)
		place = gmem_choose(gmem_before(q->waiters[i].until, now), i,
				    place);
	return place;
}

/**
 * struct gmem_turn - where a caller stands in a queue
 * @place: its place, GMEM_QUEUE_LEN if it has none
 * @free: a place that it could have, GMEM_QUEUE_LEN if there is none
 * @number: those with a lower one are served before it
 * @waiting: how many wait
 * @callers: how many of them are before it
 * @tokens: the tokens that those want
 * @alike: how many of them are of its kind
 * @alike_tokens: the tokens that those want
 */
struct gmem_turn {
	u64 place;
	u64 free;
	u64 number;
	u64 waiting;
	u64 callers;
	u64 tokens;
	u64 alike;
	u64 alike_tokens;
};

/* Counts those who wait, and among them those before the caller. */
static __always_inline void gmem_queue_count(const struct gmem_queue *q,
					     struct gmem_turn *turn, u64 kind,
					     u64 now)
{
	u64 i;

	for (i = 0; i < GMEM_QUEUE_LEN; i++) {
		const struct gmem_waiter *w = &q->waiters[i];
		u64 waits = gmem_before(w->until, now) ^ 1;
		u64 before = waits & gmem_before(w->turn, turn->number);
		u64 alike = before & gmem_same(w->kind, kind);

		turn->waiting += waits;
		turn->callers += before;
		turn->tokens += before * w->tokens;
		turn->alike += alike;
		turn->alike_tokens += alike * w->tokens;
	}
}

/**
 * gmem_queue_look() - find out where a caller stands
 * @q: the queue
 * @task: who asks; the same number when it asks again
 * @kind: as in struct gmem_waiter
 * @now: clock in ns
 *
 * Call it before anything that branches: the verifier repeats what follows a
 * branch, and the loops are in here.
 */
static __always_inline struct gmem_turn
gmem_queue_look(struct gmem_queue *q, u64 task, u64 kind, u64 now)
{
	struct gmem_turn turn = {
		.place = GMEM_QUEUE_LEN,
		.number = q->next_turn,
	};

	if (q->until >= now) {
		turn.place = gmem_queue_find(q, task);
		turn.free = gmem_queue_find_free(q, now);
		if (turn.place < GMEM_QUEUE_LEN)
			turn.number = q->waiters[turn.place].turn;
		gmem_queue_count(q, &turn, kind, now);
	}
	if (turn.waiting <= GMEM_QUEUE_LEN / 2)
		q->closed = 0;

	return turn;
}

/**
 * gmem_queue_leave() - a caller got what it wanted
 * @q: the queue
 * @turn: from gmem_queue_look()
 */
static __always_inline void gmem_queue_leave(struct gmem_queue *q,
					     const struct gmem_turn *turn)
{
	if (turn->place < GMEM_QUEUE_LEN)
		q->waiters[turn->place].until = 0;
}

/**
 * gmem_queue_stay() - a caller has to wait, and keeps its place or gets one
 * @q: the queue
 * @turn: from gmem_queue_look()
 * @want: who, which kind and how many tokens; the rest is filled in
 * @wait: how long it is told to wait, in ns
 * @now: clock in ns
 *
 * A full queue closes until half of it is served.  Else the place that a
 * caller gives up would be its own again at its next request, and those
 * outside would never get in.
 *
 * Return: false if there is no place for it, and whatever it was told it had
 * better come back when about half of those before it are served.
 */
static __always_inline bool gmem_queue_stay(struct gmem_queue *q,
					    const struct gmem_turn *turn,
					    const struct gmem_waiter *want,
					    u64 wait, u64 now)
{
	u64 place = turn->place;
	struct gmem_waiter *w;

	if (place >= GMEM_QUEUE_LEN && !q->closed) {
		place = turn->free;
		q->closed = place >= GMEM_QUEUE_LEN;
		q->next_turn++;
	}
	if (place >= GMEM_QUEUE_LEN)
		return false;

	w = &q->waiters[place];
	w->task = want->task;
	w->kind = want->kind;
	w->tokens = want->tokens;
	w->turn = turn->number;
	w->until = now + wait + GMEM_QUEUE_GRACE_NS;
	if (w->until > q->until)
		q->until = w->until;
	return true;
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
 * it was told.  Nobody takes tokens that someone before it waits for.
 *
 * Return: 0 if the tokens were taken, else the ns to wait before asking
 * again; nothing was taken then.
 */
static __always_inline u64 gmem_bucket_take_turn(struct gmem_bucket *b,
						 struct gmem_queue *q,
						 const struct gmem_limit *limit,
						 u64 task, u64 tokens, u64 now)
{
	struct gmem_turn turn = gmem_queue_look(q, task, 0, now);
	struct gmem_waiter want = { .task = task };
	u64 wait;

	tokens = gmem_clamp(tokens, 0, GMEM_BUCKET_MAX);
	want.tokens = gmem_clamp(tokens, 0, limit->burst);
	gmem_bucket_refill(b, limit, now);
	wait = gmem_bucket_wait(b, limit, turn.tokens, tokens);
	if (!wait) {
		gmem_bucket_spend(b, tokens);
		gmem_queue_leave(q, &turn);
		return 0;
	}
	/* Not 0, whatever is there: nothing was taken. */
	if (!gmem_queue_stay(q, &turn, &want, wait, now))
		return wait / 2 + 1;
	return wait;
}

#endif /* __GMEM_BUCKET_H */
