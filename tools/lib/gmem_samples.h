/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a sample is.  Not here: how it is taken (gmem_sample.h).
 */
#ifndef GMEM_SAMPLES_H
#define GMEM_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem_abi.h"

/**
 * struct gmem_sample - all VMs at one moment
 * @time_ns: the kernel's CLOCK_MONOTONIC when the walk began
 * @nr_vms: number of VMs
 * @room: number of VMs that @vms has memory for
 * @vms: their counters, in no order to rely on
 * @orphaned_pages: pages of guest_memfds that somebody holds though their VM is
 *	gone, GMEM_UNKNOWN if the kernel does not tell
 * @by_node: gmem_vm_sample.node_pages is known of hosts with several nodes, too
 *
 * Starts as all zeroes; gmem_sample_free() gives the memory back.
 */
struct gmem_sample {
	uint64_t time_ns;
	size_t nr_vms;
	size_t room;
	struct gmem_vm_sample *vms;
	uint64_t orphaned_pages;
	bool by_node;
};

/**
 * struct gmem_policies - all attached policies at one moment
 * @nr: number of policies
 * @room: number of policies that @policies has memory for
 * @policies: their counters, in no order to rely on
 * @hidden: this process could not look for them
 *
 * Starts as all zeroes; gmem_policies_free() gives the memory back.
 */
struct gmem_policies {
	size_t nr;
	size_t room;
	struct gmem_policy_sample *policies;
	bool hidden;
};

#endif /* GMEM_SAMPLES_H */
