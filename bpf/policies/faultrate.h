/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The token bucket of faultrate.bpf.c, for every policy that has it as one of
 * its parts.  What it does and doesn't is said there.
 */
#ifndef FAULTRATE_H
#define FAULTRATE_H

#include "gmem.bpf.h"

struct faultrate_params {
	GMEM_PARAM(u64, rate, "pages/s", 1, 1000000000,
		   "private pages that a VM may ask for per second");
	GMEM_PARAM(u64, burst, "pages", 0, 1000000000,
		   "pages that a VM may save up; 0: a quarter of rate, at least 1");
	GMEM_PARAM_CHOICE(u64, first_touch, "counted=0,free=1",
			  "what the first populating of the VM's memory costs");
	GMEM_PARAM_CHOICE(u64, present, "free=0,counted=1",
			  "what a fault costs that finds its page there");
	GMEM_PARAM_CHOICE(u64, action, "deny=0,delay=1",
			  "what happens to a request beyond the rate");
};

/* How often to look whether a VM got more memory. */
#define FAULTRATE_LOOK_NS	NSEC_PER_SEC

/**
 * struct faultrate_state - a VM's bucket
 * @free: pages that it may still ask for free of charge
 * @granted: pages that it got free of charge, or had, of those it has memory for
 * @looked: when the size of its memory was last looked at, in ns
 */
struct faultrate_state {
	GMEM_STATUS(u64, free, "pages still free of charge", "pages", 1);
	u64 granted;
	u64 looked;
	struct gmem_bucket bucket GMEM_BUDGET("pages asked for");
	struct gmem_queue queue;
};

/*
 * Free of charge is what was never populated, as far as can be told.  Under the
 * lock: what another CPU has granted meanwhile is not granted again.
 */
static __always_inline void faultrate_grant(struct faultrate_state *s, u64 size,
					    u64 allocated, u64 now)
{
	u64 used = gmem_max(allocated, s->granted);

	if (size > used)
		s->free += size - used;
	s->granted = gmem_max(s->granted, size);
	s->looked = now;
}

/**
 * faultrate_fault() - verdict on a request for pages
 * @kvm: the VM
 * @fault: the request
 * @p: the rate
 * @lock: protects @s; not held
 * @s: the VM's bucket
 * @now: clock in ns
 */
static __always_inline s64
faultrate_fault(struct kvm *kvm, const struct kvm_gmem_fault *fault,
		const struct faultrate_params *p, struct bpf_spin_lock *lock,
		struct faultrate_state *s, u64 now)
{
	struct gmem_limit limit = gmem_limit(p->rate, p->burst ? p->burst :
							p->rate / 4);
	bool delay = p->action == GMEM_ACTION_DELAY;
	u64 task = delay ? gmem_caller() : 0;
	u64 pages = fault->nr_pages, size = 0, allocated = 0, wait;
	struct kvm_gmem_usage usage;
	bool look;

	if (!p->present && pages == 1 && bpf_kvm_gmem_fault_present(fault))
		return gmem_allow();

	look = p->first_touch && s->free < pages &&
	       (!s->looked || now - s->looked > FAULTRATE_LOOK_NS);
	if (look && bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) >= 0) {
		size = usage.size_pages;
		allocated = usage.allocated_pages;
	}

	bpf_spin_lock(lock);
	if (look)
		faultrate_grant(s, size, allocated, now);
	if (p->first_touch && s->free >= pages) {
		s->free -= pages;
		wait = 0;
	} else if (delay) {
		wait = gmem_bucket_take_turn(&s->bucket, &s->queue, &limit,
					     task, pages, now);
	} else {
		wait = gmem_bucket_take(&s->bucket, &limit, pages, now);
	}
	bpf_spin_unlock(lock);

	if (!wait)
		return gmem_allow();
	return delay ? gmem_delay(wait) : gmem_deny(EBUSY);
}

#endif /* FAULTRATE_H */
