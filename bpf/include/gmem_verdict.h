/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What policies and those who count what they say have in common.  A BPF program
 * includes vmlinux.h first.
 */
#ifndef GMEM_VERDICT_H
#define GMEM_VERDICT_H

#define GMEM_POLICY_NAME_LEN	32

/* Indices of gmem_policy_sample.denied_by_errno. */
enum gmem_denial {
	GMEM_DENIED_EPERM,
	GMEM_DENIED_EACCES,
	GMEM_DENIED_EBUSY,
	GMEM_DENIED_ENOMEM,
	GMEM_DENIED_ENOSPC,
	GMEM_DENIED_EDQUOT,
	GMEM_NR_DENIALS,
};

/* gmem_policy_sample.flags */
#define GMEM_POLICY_AUDIT	(1U << 0)

#endif /* GMEM_VERDICT_H */
