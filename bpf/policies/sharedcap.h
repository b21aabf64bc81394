/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bounds of sharedcap.bpf.c, for every policy that has them as one of its
 * parts.  What they do and don't is said there.
 */
#ifndef SHAREDCAP_H
#define SHAREDCAP_H

#include "gmem.bpf.h"
#include "gmem_account.h"

struct sharedcap_params {
	GMEM_PARAM(u64, grace, "s", 0, 86400,
		   "time after the start of a VM in which anything may be shared");
	GMEM_PARAM(u64, shared, "MiB", 0, 1073741824,
		   "memory that may be shared then; 0: no cap in MiB")
		GMEM_BOUNDS("shared");
	GMEM_PARAM(u64, percent, "percent", 0, 100,
		   "the same in parts of its guest_memfds; 100: no cap")
		GMEM_BOUNDS("shared");
	GMEM_PARAM(u64, first_gfn, "gfn", 0, 4503599627370495,
		   "first guest frame that may become shared then");
	GMEM_PARAM(u64, last_gfn, "gfn", 0, 4503599627370495,
		   "last guest frame that may become shared then");
};

#define SHAREDCAP_LAST_GFN	4503599627370495ULL

/**
 * struct sharedcap_ask - one conversion
 * @pages: how long it is; 0: it is one to private
 * @changes: how many of them become shared, of those that memory is behind
 * @bounded: the cap is to be looked at
 * @cap: pages that may be shared then
 * @size: pages of the VM's guest_memfds
 * @mark: for gmem_account_update()
 * @to_shared: the kernel's counter of pages that became shared
 * @to_private: likewise private
 * @holes: private frames that no memory is behind, which the two count as well
 */
struct sharedcap_ask {
	u64 pages;
	u64 changes;
	bool bounded;
	u64 cap;
	u64 size;
	u64 mark;
	u64 to_shared;
	u64 to_private;
	u64 holes;
};

/* What sharedcap_allows() says of a conversion. */
enum sharedcap_answer {
	SHAREDCAP_PASSES,
	SHAREDCAP_WAITS,
	SHAREDCAP_REFUSED,
};

/* When one that waits for others looks whether they have ended. */
#define SHAREDCAP_RETRY_NS	(100 * NSEC_PER_USEC)

/* For vm_init, and for a VM whose state was made later; not if VMs share it. */
static __always_inline void sharedcap_init(struct gmem_account *a,
					   struct bpf_spin_lock *lock,
					   struct kvm *kvm)
{
	struct kvm_gmem_usage usage;

	if (a->known || bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return;
	bpf_spin_lock(lock);
	gmem_account_begin(a, usage.pages_to_shared, usage.pages_to_private);
	bpf_spin_unlock(lock);
}

/*
 * Is it where memory may be shared?  What no memslot has yet can be anywhere
 * afterwards.
 */
static __always_inline bool
sharedcap_in_place(const struct kvm_gmem_convert *convert,
		   const struct sharedcap_params *p)
{
	if (convert->start == KVM_GMEM_NO_GFN)
		return !p->first_gfn && p->last_gfn == SHAREDCAP_LAST_GFN;

	return convert->start >= p->first_gfn && convert->end - 1 <= p->last_gfn;
}

/**
 * sharedcap_look() - read what there is to know of a conversion
 * @ask: filled in
 * @a: what became shared; not locked
 * @kvm: the VM
 * @convert: the conversion
 * @p: the cap
 * @born: when the VM came under the policy, in ns
 * @now: clock in ns
 *
 * Return: a denial if it is in the wrong place, else 0.
 */
static __always_inline s64
sharedcap_look(struct sharedcap_ask *ask, const struct gmem_account *a,
	       struct kvm *kvm, const struct kvm_gmem_convert *convert,
	       const struct sharedcap_params *p, u64 born, u64 now)
{
	struct kvm_gmem_usage usage;

	ask->pages = gmem_is_private(convert) ? 0 : convert->nr_pages;
	ask->bounded = false;
	ask->cap = ~0ULL;
	ask->mark = *(const volatile u64 *)&a->moves;
	if (!ask->pages || now < born + p->grace * NSEC_PER_SEC)
		return gmem_allow();
	if (!sharedcap_in_place(convert, p))
		return gmem_deny(EACCES);

	if ((!p->shared && p->percent >= 100) ||
	    bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return gmem_allow();
	if (p->shared)
		ask->cap = p->shared * PAGES_PER_MIB;
	if (p->percent < 100)
		ask->cap = gmem_min(ask->cap,
				    usage.size_pages * p->percent / 100);
	ask->bounded = true;
	ask->size = usage.size_pages;
	ask->to_shared = usage.pages_to_shared;
	ask->to_private = usage.pages_to_private;
	ask->holes = usage.pages_to_private - usage.pages_to_shared;
	/* Below 0 while one to private is being counted: it has none. */
	ask->holes = (s64)ask->holes > (s64)usage.private_pages ?
		     ask->holes - usage.private_pages : 0;
	ask->changes = bpf_kvm_gmem_convert_changes(kvm, convert);

	return gmem_allow();
}

static __always_inline bool sharedcap_fits(const struct sharedcap_ask *ask,
					   u64 private, u64 holes)
{
	u64 shared;

	private = private > holes ? private - holes : 0;
	shared = ask->size > private ? ask->size - private : 0;

	return shared <= ask->cap && ask->changes <= ask->cap - shared;
}

/**
 * sharedcap_allows() - does a conversion leave the VM below its cap?
 * @ask: from sharedcap_look()
 * @a: what became shared, locked; not known if VMs share it
 *
 * Frames that a conversion under way changes may look like ones without memory
 * for a moment.  If it depends on that, it has to wait until those have ended.
 *
 * Return: enum sharedcap_answer.
 */
static __always_inline u64 sharedcap_allows(const struct sharedcap_ask *ask,
					    struct gmem_account *a)
{
	u64 back = ask->to_shared, private, promised = 0;

	if (!ask->bounded || !ask->changes)
		return SHAREDCAP_PASSES;
	private = ask->to_private;
	if (a->known) {
		gmem_account_update(a, ask->mark, ask->to_shared,
				    ask->to_private);
		promised = a->promised;
		back = a->taken + promised;
		private = a->given;
	}
	private = private > back ? private - back : 0;
	if (sharedcap_fits(ask, private, ask->holes))
		return SHAREDCAP_PASSES;
	promised = gmem_min(promised, ask->holes);
	return promised && sharedcap_fits(ask, private, ask->holes - promised) ?
	       SHAREDCAP_WAITS : SHAREDCAP_REFUSED;
}

static __always_inline s64
sharedcap_verdict(u64 answer, const struct kvm_gmem_convert *convert)
{
	if (answer == SHAREDCAP_PASSES)
		return gmem_allow();
	/* A delay would let it pass. */
	if (answer == SHAREDCAP_WAITS && !(convert->flags & KVM_GMEM_OVERDUE))
		return gmem_delay(SHAREDCAP_RETRY_NS);
	return gmem_deny(EDQUOT);
}

/* It is let pass; @a is locked. */
static __always_inline void sharedcap_promise(const struct sharedcap_ask *ask,
					      struct gmem_account *a)
{
	if (a->known && ask->pages)
		gmem_account_promise(a, ask->pages);
}

/**
 * sharedcap_end() - a conversion has ended that was let pass
 * @convert: the conversion
 * @a: what became shared, locked
 * @changed: pages that it really changed
 */
static __always_inline void
sharedcap_end(const struct kvm_gmem_convert *convert, struct gmem_account *a,
	      u64 changed)
{
	if (a->known && !gmem_is_private(convert))
		gmem_account_settle(a, convert->nr_pages, changed);
}

#endif /* SHAREDCAP_H */
