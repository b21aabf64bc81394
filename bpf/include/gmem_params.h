/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parameters of the policies, as userspace reads and writes them.
 *
 * Each policy keeps them in one struct, the global variable "params" in the
 * section ".data.params", and reads them at each event.  So they can be set
 * before the policy is loaded, and changed while it is in force by writing to
 * the map of that section.  Plain fixed-size integers only.
 */
#ifndef __GMEM_PARAMS_H
#define __GMEM_PARAMS_H

/* BPF programs have these types from vmlinux.h. */
#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define GMEM_PARAMS_SECTION	".data.params"

enum gmem_limit_action {
	GMEM_ACTION_DENY,
	GMEM_ACTION_DELAY,
};

/**
 * struct gmem_ratelimit_params - parameters of the ratelimit policy
 * @rate: conversions per second and VM, 1 to 1,000,000,000
 * @burst: conversions that a VM may save up, 1 to 1,000,000,000, or 0 for what
 *	@rate gives in a quarter of a second, but at least 1
 * @action: enum gmem_limit_action, anything else denies
 */
struct gmem_ratelimit_params {
	__u64 rate;
	__u64 burst;
	__u64 action;
};

#endif /* __GMEM_PARAMS_H */
