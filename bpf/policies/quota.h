/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ceilings of quota.bpf.c, for every policy that has them as one of its
 * parts.  What they do and don't is said there.
 */
#ifndef QUOTA_H
#define QUOTA_H

#include "gmem.bpf.h"

struct quota_params {
	GMEM_PARAM(u64, populated, "MiB", 0, 1073741824,
		   "private memory that a VM may have populated; 0: no ceiling");
	GMEM_PARAM(u64, stale, "MiB", 0, 1073741824,
		   "stale memory at which a VM gets no more; 0: no ceiling");
	GMEM_PARAM(u64, stale_percent, "percent", 0, 100,
		   "the same in parts of its guest_memfds; 100: no ceiling");
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
 * struct quota_state - a VM's room
 * @room: pages that may be populated before the counters are read again; so
 *	they are read seldom, and what other CPUs let through counts at once
 * @looks: how often they were read and found room
 * @over_since: when it ran out of room, in ns, 0 if it has not
 */
struct quota_state {
	GMEM_STATUS(u64, room, "room until it looks again", "pages", 1);
	u64 looks;
	u64 over_since;
};

static __always_inline bool quota_has_ceiling(const struct quota_params *p)
{
	return p->populated || p->stale || p->stale_percent < 100;
}

/* Takes room for @pages, if there is. */
static __always_inline bool quota_take(struct quota_state *s, u64 pages)
{
	if (s->room < pages)
		return false;
	s->room -= pages;
	return true;
}

/*
 * Is there room for @pages, by the kernel's counters?  Sets @room to how much
 * there is at least, @pages included.
 */
static __always_inline bool quota_fits(struct kvm *kvm,
				       const struct quota_params *p, u64 pages,
				       u64 *room)
{
	u64 populated = p->populated * PAGES_PER_MIB;
	u64 stale = p->stale * PAGES_PER_MIB;
	struct kvm_gmem_usage usage;

	*room = gmem_max(pages, QUOTA_ROOM_PAGES);
	/* What it can't read it can't bound. */
	if (bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return true;

	if (populated) {
		if (usage.populated_pages + pages > populated)
			return false;
		*room = gmem_min(*room, populated - usage.populated_pages);
	}
	if (!stale && p->stale_percent < 100)
		stale = usage.size_pages / 100 * p->stale_percent + 1;
	if (stale) {
		if (usage.stale_pages >= stale)
			return false;
		/* The closer the ceiling, the sooner the next look. */
		stale -= usage.stale_pages;
		*room = gmem_min(*room, gmem_max(pages, stale));
	}
	return true;
}

/* Verdict for a request that finds no room. */
static __always_inline s64 quota_beyond(struct quota_state *s,
					const struct quota_params *p, u64 now)
{
	u64 grace = p->grace * NSEC_PER_MSEC, waited;

	if (!s->over_since)
		s->over_since = now;
	waited = now > s->over_since ? now - s->over_since : 0;
	s->room = 0;
	if (waited < grace)
		return gmem_delay(gmem_min(grace - waited, QUOTA_RETRY_NS));

	return gmem_deny(p->error == ENOMEM ? ENOMEM : EDQUOT);
}

/**
 * quota_fault() - verdict on a request for pages
 * @kvm: the VM
 * @fault: the request
 * @p: the ceilings
 * @lock: protects @s; not held
 * @s: the VM's room
 * @now: clock in ns
 */
static __always_inline s64
quota_fault(struct kvm *kvm, const struct kvm_gmem_fault *fault,
	    const struct quota_params *p, struct bpf_spin_lock *lock,
	    struct quota_state *s, u64 now)
{
	u64 pages = fault->nr_pages, room, looks;
	bool fits;
	s64 verdict;

	if (!quota_has_ceiling(p))
		return gmem_allow();

	bpf_spin_lock(lock);
	fits = quota_take(s, pages);
	/* What is left now must not be used up unseen while this one looks. */
	if (!fits)
		s->room = 0;
	looks = s->looks;
	bpf_spin_unlock(lock);
	if (fits)
		return gmem_allow();

	fits = quota_fits(kvm, p, pages, &room);
	/* A page that is there already takes no room. */
	if (!fits && pages == 1 && bpf_kvm_gmem_fault_present(fault))
		return gmem_allow();

	bpf_spin_lock(lock);
	if (fits) {
		/* Another CPU may have looked meanwhile, and its room be used. */
		if (s->looks == looks)
			s->room = room - pages;
		else
			quota_take(s, pages);
		s->looks++;
		s->over_since = 0;
		verdict = gmem_allow();
	} else {
		verdict = quota_beyond(s, p, now);
	}
	bpf_spin_unlock(lock);

	return verdict;
}

#endif /* QUOTA_H */
