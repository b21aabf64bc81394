/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bpf/watch.bpf.c puts into its ring buffer.  A BPF program includes
 * vmlinux.h first.
 */
#ifndef GMEM_WATCH_H
#define GMEM_WATCH_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define GMEM_WATCH_COMM_LEN	16
#define GMEM_WATCH_POLICY_LEN	32

enum gmem_watch_type {
	GMEM_WATCH_VERDICT,
	GMEM_WATCH_VM_CREATE,
	GMEM_WATCH_VM_DESTROY,
};

/**
 * struct gmem_watch_event - something that happened
 * @type: enum gmem_watch_type; of a VM that comes or goes, only the next three
 *	members are set
 * @vm_pid: the process that made the VM
 * @vm_id: the VM
 * @time_ns: CLOCK_BOOTTIME
 * @verdict: a negative errno, or the nanoseconds of a delay
 * @hook: 0 fault, 1 convert
 * @tid: the thread that asked
 * @audit: it was not enforced
 * @policy: name of the policy
 * @comm: name of the thread
 */
struct gmem_watch_event {
	__u32 type;
	__u32 vm_pid;
	__u64 vm_id;
	__u64 time_ns;
	__s64 verdict;
	__u32 hook;
	__u32 tid;
	__u32 audit;
	char policy[GMEM_WATCH_POLICY_LEN];
	char comm[GMEM_WATCH_COMM_LEN];
};

#endif /* GMEM_WATCH_H */
