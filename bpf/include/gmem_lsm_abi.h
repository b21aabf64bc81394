/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy that is a program of BPF's LSM shares with the tools: the maps that
 * say whom it is for and what it did.  A BPF program includes vmlinux.h first.
 */
#ifndef GMEM_LSM_ABI_H
#define GMEM_LSM_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "gmem_verdict.h"

/* The maps. */
#define GMEM_LSM_SETTINGS	".data.lsm"
#define GMEM_LSM_COUNTS		".data.lsm_count"
#define GMEM_LSM_VMS		"lsm_vms"
#define GMEM_LSM_EVENTS		"lsm_events"

/* The program that decides, and those that help it; maps and these are found by name. */
#define GMEM_LSM_PROG		"lsm_ioctl"
#define GMEM_LSM_PROG_COMPAT	"lsm_compat"
#define GMEM_LSM_PROG_CHANGED	"lsm_changed"
#define GMEM_LSM_PROG_NO_CHANGE	"lsm_no_change"
#define GMEM_LSM_PROG_EXIT	"lsm_task_exit"
#define GMEM_LSM_PROG_RELEASE	"lsm_vm_release"

/* gmem_lsm_settings.abi: that of this file. */
#define GMEM_LSM_ABI		0x676d656d00000002ULL

/**
 * struct gmem_lsm_settings - which VMs a policy is for, and how
 * @abi: GMEM_LSM_ABI
 * @vm_id: the VM it is for, 0 for every VM
 * @expires_ns: CLOCK_BOOTTIME at which it ends, 0 if it does not by itself
 * @since_ns: CLOCK_MONOTONIC at which it was put into force
 * @in_force: it decides; set when all of its programs are attached and pinned
 * @priority: what it was attached with; the kernel asks the last one first
 * @flags: GMEM_POLICY_*
 * @name: its name
 */
struct gmem_lsm_settings {
	__u64 abi;
	__u64 vm_id;
	__u64 expires_ns;
	__u64 since_ns;
	__u64 in_force;
	__s32 priority;
	__u32 flags;
	char name[GMEM_POLICY_NAME_LEN];
};

/**
 * struct gmem_lsm_counts - what a policy did
 * @calls: times that it was asked for a verdict
 * @allowed: verdicts that allowed
 * @denied: verdicts that denied, those that would have delayed included
 * @clamped: verdicts outside of the documented list, which denied
 * @denied_by_errno: @denied by what they said, see enum gmem_denial
 * @untold: verdicts that denied, for which there was no room in the ring of events
 * @gone: the one VM that it was for has ended
 */
struct gmem_lsm_counts {
	__u64 calls;
	__u64 allowed;
	__u64 denied;
	__u64 clamped;
	__u64 denied_by_errno[GMEM_NR_DENIALS];
	__u64 untold;
	__u64 gone;
};

/**
 * struct gmem_lsm_vm - what a policy knows of a VM
 * @calls: times that it was asked about it
 * @denied: verdicts that denied
 * @conversions: changes that KVM made, of a memslot each
 * @to_private: pages of those to private
 * @to_shared: pages of those to shared
 *
 * A page is counted again each time that it is converted.  Nothing is, if the policy
 * is told neither of changes nor of the end of conversions.
 */
struct gmem_lsm_vm {
	__u64 calls;
	__u64 denied;
	__u64 conversions;
	__u64 to_private;
	__u64 to_shared;
};

#endif /* GMEM_LSM_ABI_H */
