/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reserve and settle: how much of something a VM has, with what requests under
 * way may yet add, so that a cap holds however many come at once.  Integer
 * arithmetic on u64 only, so that the same lines run as BPF and in a unit test
 * on the host.  Not here: locks, and the kernel's counters; the caller reads
 * those without a lock and holds one around each call that changes something.
 */
#ifndef __GMEM_ACCOUNT_H
#define __GMEM_ACCOUNT_H

#include "gmem_bucket.h"

/**
 * struct gmem_account - what a VM has; all zero: nothing is known of it
 * @known: 1 once the kernel's counters were read
 * @taken: how much it ever took, by requests that have ended
 * @given: how much it ever gave back, when that was last read
 * @promised: how much requests that were let pass and have not ended may take
 * @moves: how many promises were made and settled
 *
 * @taken and @promised together are never less than what was taken, and @given
 * is never more than what was given back: so what the VM has is never more than
 * gmem_account_held() says.
 */
struct gmem_account {
	u64 known;
	u64 taken;
	u64 given;
	GMEM_STATUS(u64, promised, "promised to requests under way", "pages", 1);
	u64 moves;
};

/**
 * gmem_account_begin() - begin with what the kernel has counted so far
 * @a: the account
 * @taken: the kernel's counter of what the VM took
 * @given: the kernel's counter of what it gave back
 */
static __always_inline void gmem_account_begin(struct gmem_account *a,
					       u64 taken, u64 given)
{
	if (a->known)
		return;
	a->known = 1;
	a->taken = taken;
	a->given = given;
}

/**
 * gmem_account_update() - note the kernel's counters
 * @a: the account
 * @mark: @a->moves from before they were read
 * @taken: the kernel's counter of what the VM took
 * @given: the kernel's counter of what it gave back
 *
 * If no request was under way meanwhile, they are as it is.  Otherwise what
 * they have too much was taken by requests that nobody asked about: that were
 * under way when the policy came, or passed while it was bypassed.
 */
static __always_inline void gmem_account_update(struct gmem_account *a,
						u64 mark, u64 taken, u64 given)
{
	if (given > a->given)
		a->given = given;
	if (!a->promised && a->moves == mark)
		a->taken = taken;
	else if (taken > a->taken + a->promised)
		a->taken = taken - a->promised;
}

/**
 * gmem_account_held() - how much the VM has at most, with all that is promised
 * @a: the account
 */
static __always_inline u64 gmem_account_held(const struct gmem_account *a)
{
	u64 all = a->taken + a->promised;

	return all > a->given ? all - a->given : 0;
}

/**
 * gmem_account_promise() - a request is let pass
 * @a: the account
 * @most: the most that it can take
 */
static __always_inline void gmem_account_promise(struct gmem_account *a,
						 u64 most)
{
	a->promised += most;
	a->moves++;
}

/**
 * gmem_account_settle() - a request has ended that was let pass
 * @a: the account
 * @most: as it was promised
 * @taken: what it really took
 */
static __always_inline void gmem_account_settle(struct gmem_account *a,
						u64 most, u64 taken)
{
	a->promised -= most < a->promised ? most : a->promised;
	a->taken += taken;
	a->moves++;
}

#endif /* __GMEM_ACCOUNT_H */
