/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bounds of sharedcap.bpf.c, for every policy that has them as one of its
 * parts.  What they do and don't is said there.
 */
#ifndef SHAREDCAP_H
#define SHAREDCAP_H

#include "gmem.bpf.h"

struct sharedcap_params {
	GMEM_PARAM(u64, grace, "s", 0, 86400,
		   "time after the start of a VM in which anything may be shared");
	GMEM_PARAM(u64, shared, "MiB", 0, 1073741824,
		   "memory that may be shared then; 0: no cap in MiB");
	GMEM_PARAM(u64, percent, "percent", 0, 100,
		   "the same in parts of its guest_memfds; 100: no cap");
	GMEM_PARAM(u64, first_gfn, "gfn", 0, 4503599627370495,
		   "first guest frame that may become shared then");
	GMEM_PARAM(u64, last_gfn, "gfn", 0, 4503599627370495,
		   "last guest frame that may become shared then");
};

#define SHAREDCAP_LAST_GFN	4503599627370495ULL

/**
 * sharedcap_convert() - verdict on a conversion
 * @kvm: the VM
 * @convert: the conversion
 * @p: the cap
 * @born: when the VM came under the policy, in ns
 * @now: clock in ns
 */
static __always_inline s64
sharedcap_convert(struct kvm *kvm, const struct kvm_gmem_convert *convert,
		  const struct sharedcap_params *p, u64 born, u64 now)
{
	u64 pages = convert->end - convert->start, cap = ~0ULL, shared;
	struct kvm_gmem_usage usage;

	if (gmem_is_private(convert) || now < born + p->grace * NSEC_PER_SEC)
		return gmem_allow();
	if (convert->start < p->first_gfn || convert->end - 1 > p->last_gfn)
		return gmem_deny(EACCES);

	if (bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return gmem_allow();
	if (p->shared)
		cap = p->shared * PAGES_PER_MIB;
	if (p->percent < 100)
		cap = gmem_min(cap, usage.size_pages * p->percent / 100);
	shared = usage.size_pages > usage.private_pages ?
		 usage.size_pages - usage.private_pages : 0;

	return shared + pages > cap ? gmem_deny(EDQUOT) : gmem_allow();
}

#endif /* SHAREDCAP_H */
