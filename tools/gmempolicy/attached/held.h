/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which VMs policies hold back, by what, and how near each is to a limit.
 */
#ifndef GMEMPOLICY_HELD_H
#define GMEMPOLICY_HELD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem_abi.h"

struct limit;
struct rows;
struct vm;
struct vms;

/**
 * struct verdict - what a policy said of a VM since it is in force there
 * @who: what the policy is called
 * @vm: the VM
 * @counts: its verdicts are carried out, and it is still asked
 * @verdicts: the kernel's figures
 */
struct verdict {
	char who[NAME_MAX + 1];
	const struct vm *vm;
	bool counts;
	struct gmem_vm_verdicts verdicts;
};

/**
 * struct held - how a VM is held back
 * @vm: the VM
 * @denied: its requests that policies in force denied
 * @delayed: likewise, delayed
 * @delayed_ns: for how long
 * @by: the policy that did most of that, NULL if none did anything
 * @nearest: the limit that it is nearest to, NULL if none is known
 */
struct held {
	const struct vm *vm;
	uint64_t denied;
	uint64_t delayed;
	uint64_t delayed_ns;
	const char *by;
	const struct limit *nearest;
};

/**
 * held_find() - put together who is held back by what
 * @held: where to, as many as there are VMs: first who was held back most often,
 *	then for longest, then who is nearest to a limit
 * @vms: VMs on this host
 * @verdicts: rows of struct verdict
 * @limits: rows of struct limit
 *
 * All three have to stay there.
 *
 * Return: how many of the VMs are held back.
 */
size_t held_find(struct held *held, const struct vms *vms,
		 const struct rows *verdicts, const struct rows *limits);

#endif /* GMEMPOLICY_HELD_H */
