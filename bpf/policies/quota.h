/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ceilings of quota.bpf.c, for every policy that has them as one of its
 * parts.  What they do and don't is said there.
 */
#ifndef QUOTA_H
#define QUOTA_H

#include "gmem.bpf.h"
#include "gmem_account.h"

struct quota_params {
	GMEM_PARAM(u64, populated, "MiB", 0, 1073741824,
		   "private memory that a VM may have populated; 0: no ceiling")
		GMEM_BOUNDS("populated");
	GMEM_PARAM(u64, stale, "MiB", 0, 1073741824,
		   "stale memory at which a VM gets no more; 0: no ceiling")
		GMEM_BOUNDS("stale");
	GMEM_PARAM(u64, stale_percent, "percent", 0, 100,
		   "the same in parts of its guest_memfds; 100: no ceiling")
		GMEM_BOUNDS_UNLESS("stale", stale);
	GMEM_PARAM(u64, grace, "ms", 0, 3600000,
		   "how long faults are delayed for room before they are refused");
	GMEM_PARAM_CHOICE(u64, error, "ENOMEM=12,EDQUOT=122",
			  "errno of a fault that is refused");
};

/*
 * Pages that may go by, at most, before the counters are read again: other
 * memory may have become stale, and the ceilings may have been set anew.
 */
#define QUOTA_ROOM_PAGES	64
/* How often a fault that waits for room looks whether there is some. */
#define QUOTA_RETRY_NS		(10 * NSEC_PER_MSEC)

/**
 * struct quota_state - a VM's memory, and its room
 * @account: pages that it has or may get; not known for VMs that share a state
 * @room: single pages that may be asked for before the counters are read again
 * @looks: how often they were read and found room
 * @over_since: when it ran out of room, in ns, 0 if it has not
 */
struct quota_state {
	struct gmem_account account;
	GMEM_STATUS(u64, room, "room until it looks again", "pages", 1);
	u64 looks;
	u64 over_since;
};

/* For vm_init, and for a VM whose state was made later; not if VMs share it. */
static __always_inline void quota_init(struct quota_state *s,
				       struct bpf_spin_lock *lock,
				       struct kvm *kvm)
{
	struct kvm_gmem_usage usage;

	if (s->account.known ||
	    bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return;
	bpf_spin_lock(lock);
	gmem_account_begin(&s->account, usage.allocated_pages,
			   usage.freed_pages);
	bpf_spin_unlock(lock);
}

static __always_inline bool quota_has_ceiling(const struct quota_params *p)
{
	return p->populated || p->stale || p->stale_percent < 100;
}

/* The ceiling on populated memory in pages. */
static __always_inline u64 quota_ceiling(const struct quota_params *p)
{
	return p->populated ? p->populated * PAGES_PER_MIB : ~0ULL;
}

/* Stale pages that a VM may yet have, ~0 for any number. */
static __always_inline u64 quota_stale_left(const struct quota_params *p,
					    const struct kvm_gmem_usage *usage)
{
	u64 stale = p->stale * PAGES_PER_MIB;

	if (!stale && p->stale_percent < 100)
		stale = usage->size_pages / 100 * p->stale_percent + 1;
	if (!stale)
		return ~0ULL;
	return stale > usage->stale_pages ? stale - usage->stale_pages : 0;
}

static __always_inline void quota_promise(struct quota_state *s, u64 pages)
{
	if (s->account.known)
		gmem_account_promise(&s->account, pages);
}

/* Lets a request pass that needs no look at the counters. */
static __always_inline bool quota_take(struct quota_state *s,
				       const struct quota_params *p, u64 pages)
{
	if (quota_has_ceiling(p)) {
		if (pages > 1 || !s->room || !s->account.known ||
		    gmem_account_held(&s->account) >= quota_ceiling(p))
			return false;
		s->room--;
	} else {
		/* As soon as there is one it looks. */
		s->room = 0;
	}
	quota_promise(s, pages);
	return true;
}

/* Is there room for @pages, by counters that were read since @mark? */
static __always_inline bool quota_fits(struct quota_state *s,
				       const struct quota_params *p, u64 pages,
				       u64 mark,
				       const struct kvm_gmem_usage *usage)
{
	u64 held = usage->populated_pages, ceiling = quota_ceiling(p);

	if (s->account.known) {
		gmem_account_update(&s->account, mark, usage->allocated_pages,
				    usage->freed_pages);
		held = gmem_account_held(&s->account);
	}
	return held <= ceiling && pages <= ceiling - held &&
	       quota_stale_left(p, usage) > 0;
}

/* Verdict for a request that finds no room. */
static __always_inline s64 quota_beyond(struct quota_state *s,
					const struct quota_params *p,
					u32 flags, u64 now)
{
	u64 grace = p->grace * NSEC_PER_MSEC, waited;

	if (!s->over_since)
		s->over_since = now;
	waited = now > s->over_since ? now - s->over_since : 0;
	s->room = 0;
	/* A delay would let it pass, there or in the end. */
	if (waited < grace && !(flags & KVM_GMEM_OVERDUE))
		return gmem_delay(gmem_min(grace - waited, QUOTA_RETRY_NS));

	return gmem_deny(p->error == ENOMEM ? ENOMEM : EDQUOT);
}

/**
 * quota_end() - a request has ended that quota_fault() let pass
 * @fault: the request
 * @lock: protects @s; not held
 * @s: the VM's memory
 * @allocated: pages that it allocated
 */
static __always_inline void
quota_end(const struct kvm_gmem_fault *fault, struct bpf_spin_lock *lock,
	  struct quota_state *s, u64 allocated)
{
	bpf_spin_lock(lock);
	if (s->account.known)
		gmem_account_settle(&s->account, fault->nr_pages, allocated);
	bpf_spin_unlock(lock);
}

/*
 * A page that is there already takes no room.  It is promised before it is
 * looked for: if it goes meanwhile, nobody else gets the room that it leaves.
 */
static __always_inline bool quota_is_present(const struct kvm_gmem_fault *fault,
					     struct bpf_spin_lock *lock,
					     struct quota_state *s)
{
	if (fault->nr_pages != 1 || !bpf_kvm_gmem_fault_present(fault))
		return false;

	bpf_spin_lock(lock);
	quota_promise(s, 1);
	bpf_spin_unlock(lock);
	if (bpf_kvm_gmem_fault_present(fault))
		return true;
	quota_end(fault, lock, s, 0);
	return false;
}

/**
 * quota_fault() - verdict on a request for pages
 * @kvm: the VM
 * @fault: the request
 * @p: the ceilings
 * @lock: protects @s; not held
 * @s: the VM's memory
 * @now: clock in ns
 *
 * A request that it lets pass has its pages promised, until quota_end().
 */
static __always_inline s64
quota_fault(struct kvm *kvm, const struct kvm_gmem_fault *fault,
	    const struct quota_params *p, struct bpf_spin_lock *lock,
	    struct quota_state *s, u64 now)
{
	u64 pages = fault->nr_pages, looks, mark, room;
	struct kvm_gmem_usage usage;
	bool fits;
	s64 verdict;

	bpf_spin_lock(lock);
	fits = quota_take(s, p, pages);
	/* What is left now must not be used up unseen while this one looks. */
	if (!fits)
		s->room = 0;
	looks = s->looks;
	mark = s->account.moves;
	bpf_spin_unlock(lock);
	if (fits)
		return gmem_allow();

	/* What it can't read it can't bound. */
	if (bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0) {
		bpf_spin_lock(lock);
		quota_promise(s, pages);
		bpf_spin_unlock(lock);
		return gmem_allow();
	}
	/* The closer the ceiling on stale memory, the sooner the next look. */
	room = gmem_min(QUOTA_ROOM_PAGES, quota_stale_left(p, &usage));

	bpf_spin_lock(lock);
	fits = quota_fits(s, p, pages, mark, &usage);
	if (fits) {
		quota_promise(s, pages);
		/* Another CPU may have looked meanwhile, and its room be used. */
		if (s->looks == looks)
			s->room = room - gmem_min(room, pages);
		s->looks++;
		s->over_since = 0;
	}
	bpf_spin_unlock(lock);
	if (fits || quota_is_present(fault, lock, s))
		return gmem_allow();

	bpf_spin_lock(lock);
	verdict = quota_beyond(s, p, fault->flags, now);
	bpf_spin_unlock(lock);

	return verdict;
}

#endif /* QUOTA_H */
