/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stock_events.bpf.c counts and stock.bpf.c tells, in one map of both, by where
 * the VM is.  Include it after vmlinux.h and bpf_helpers.h.
 */
#ifndef GMEM_COUNTS_H
#define GMEM_COUNTS_H

#include "gmem_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GMEM_VMS_MAX);
	__type(key, __u64);
	__type(value, struct gmem_stock_counts);
} counts SEC(".maps");

#endif /* GMEM_COUNTS_H */
