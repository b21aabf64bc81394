/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bounds of fragment.bpf.c, for every policy that has them as one of its
 * parts.  What they do and don't is said there.
 */
#ifndef FRAGMENT_H
#define FRAGMENT_H

#include "gmem.bpf.h"
#include "gmem_ranges.h"

/* Most ranges: less than GMEM_RANGES_MAX by what goes beyond the limit. */
#define FRAGMENT_MAX	2000ULL
/* Places at which the attribute changes that one conversion can make. */
#define FRAGMENT_STEP	2
/* Memory that one conversion can take: at each end all levels of the tree. */
#define FRAGMENT_BYTES	(2 * (64 + 8 * 512))
/* When a conversion that waits for others looks whether they have ended. */
#define FRAGMENT_RETRY_NS	(100 * NSEC_PER_USEC)

struct fragment_params {
	GMEM_PARAM(u64, ranges, "ranges", 2, 2000,
		   "ranges of private and shared memory that a VM may be cut into")
		GMEM_BOUNDS("ranges");
	GMEM_PARAM(u64, metadata, "KiB", 0, gmem_by_source(1073741824, 0),
		   "host memory for its attributes at which it gets no more ranges; 0: no bound")
		GMEM_BOUNDS("attributes");
};

/**
 * struct fragment_state - a VM's memory by attribute
 * @known: 1 once the rest is filled in
 * @told: the kernel's count of conversions that it told of
 * @to_shared: its count of pages that became shared, which tells what the last did
 * @under_way: conversions that were let pass and have not ended
 * @ranges: the attribute, as far as conversions showed it
 */
struct fragment_state {
	u64 known;
	u64 told;
	u64 to_shared;
	u64 under_way;
	struct gmem_ranges ranges;
};

/*
 * What memory is that no conversion showed?  Nothing is private when a VM is
 * created; when it runs already, nearly everything is.
 */
static __always_inline u64 fragment_rest(const struct kvm_gmem_usage *usage)
{
	return usage->private_pages ? 1 : 0;
}

static __always_inline void
fragment_begin(struct fragment_state *s, const struct kvm_gmem_usage *usage)
{
	s->known = 1;
	s->told = usage->invalidations[KVM_GMEM_INVALIDATE_CONVERSION];
	s->to_shared = usage->pages_to_shared;
	s->ranges.outside = fragment_rest(usage);
}

/* For vm_init, and for a VM whose state was made later. */
static __always_inline void fragment_init(struct fragment_state *s,
					  struct bpf_spin_lock *lock,
					  struct kvm *kvm)
{
	struct kvm_gmem_usage usage;

	if (s->known ||
	    bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return;
	bpf_spin_lock(lock);
	if (!s->known)
		fragment_begin(s, &usage);
	bpf_spin_unlock(lock);
}

/* What fragment_ask() and fragment_affords() say of a conversion. */
enum fragment_answer {
	FRAGMENT_PASSES,
	FRAGMENT_WAITS,
	FRAGMENT_REFUSED,
};

/**
 * fragment_ask() - may a conversion go on?
 * @s: the VM's memory, locked
 * @p: the bounds
 * @convert: the conversion
 * @more: set if it leaves more ranges than there are; others always may go on
 *
 * What it would leave is known if no other is under way.  If there are some it
 * may be otherwise by the time it is done: then there must be room for whatever
 * all of them can make, or it has to wait for them.
 *
 * Return: enum fragment_answer.
 */
static __always_inline u64
fragment_ask(const struct fragment_state *s, const struct fragment_params *p,
	     const struct kvm_gmem_convert *convert, bool *more)
{
	struct gmem_ranges_change change;

	*more = false;
	/* What no memslot has is in no range. */
	if (convert->start == KVM_GMEM_NO_GFN)
		return FRAGMENT_PASSES;

	change = gmem_ranges_look(&s->ranges, convert->start, convert->end,
				  gmem_is_private(convert));
	*more = change.nr > s->ranges.nr;

	if (*more && change.nr > p->ranges)
		return FRAGMENT_REFUSED;
	if (s->under_way && s->ranges.nr + FRAGMENT_STEP * (s->under_way + 1) >
			    p->ranges)
		return FRAGMENT_WAITS;
	return FRAGMENT_PASSES;
}

/* It is let pass, by all parts of the policy; @s is locked. */
static __always_inline void fragment_promise(struct fragment_state *s)
{
	s->under_way += s->known;
}

/* A conversion has ended that was let pass; @s is locked. */
static __always_inline void fragment_end(struct fragment_state *s)
{
	s->under_way -= s->under_way ? 1 : 0;
}

/*
 * Is there host memory left for more ranges, beside what @others under way may
 * take?  Not under a lock.
 */
static __always_inline u64 fragment_affords(const struct fragment_params *p,
					    struct kvm *kvm, u64 others)
{
	struct kvm_gmem_usage usage;
	u64 most = p->metadata * 1024;

	if (!most || bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return FRAGMENT_PASSES;
	if (usage.attribute_bytes >= most)
		return FRAGMENT_REFUSED;
	return others && usage.attribute_bytes + others * FRAGMENT_BYTES >= most ?
	       FRAGMENT_WAITS : FRAGMENT_PASSES;
}

static __always_inline s64
fragment_verdict(u64 answer, const struct kvm_gmem_convert *convert)
{
	if (answer == FRAGMENT_PASSES)
		return gmem_allow();
	/* A delay would let it pass. */
	if (answer == FRAGMENT_WAITS && !(convert->flags & KVM_GMEM_OVERDUE))
		return gmem_delay(FRAGMENT_RETRY_NS);

	return gmem_deny(ENOSPC);
}

/*
 * A conversion was done: note it.  Not when it was asked for, for another
 * policy may have refused it.  KVM holds slots_lock here, so there is one at a
 * time, and it has counted it already.  If it counted others, too, policies
 * were switched off meanwhile, and what is known of the VM is no longer true.
 */
static __always_inline void
fragment_note(struct fragment_state *s, struct bpf_spin_lock *lock,
	      struct kvm *kvm, const struct kvm_gmem_invalidate *invalidate)
{
	u64 start = invalidate->start, end = invalidate->end, attr, more;
	struct kvm_gmem_usage usage;
	bool missed;

	if (invalidate->reason != KVM_GMEM_INVALIDATE_CONVERSION ||
	    bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return;

	bpf_spin_lock(lock);
	more = usage.invalidations[KVM_GMEM_INVALIDATE_CONVERSION] - s->told;
	missed = s->known && more > 1;
	attr = usage.pages_to_shared == s->to_shared ? 1 : 0;
	if (missed) {
		start = 0;
		end = GMEM_RANGES_TOP;
		attr = s->ranges.outside;
	}
	if (s->known && more && start != KVM_GMEM_NO_GFN)
		gmem_ranges_set(&s->ranges, start, end, attr);
	if (!s->known || missed)
		fragment_begin(s, &usage);
	s->told = usage.invalidations[KVM_GMEM_INVALIDATE_CONVERSION];
	s->to_shared = usage.pages_to_shared;
	bpf_spin_unlock(lock);
}

#endif /* FRAGMENT_H */
