/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policies that are programs of BPF's LSM: found by their links, and what their maps
 * say of them.  How they get there is gmempolicy's part.
 */
#ifndef GMEM_LSM_POLICIES_H
#define GMEM_LSM_POLICIES_H

#include <stdint.h>

#include "gmem_abi.h"
#include "gmem_lsm_abi.h"
#include "gmem_samples.h"

/**
 * struct gmem_lsm_link - a policy of BPF's LSM, by its link
 * @link_id: id of the link
 * @prog_id: id of the program that decides
 * @settings_id: id of the map with its struct gmem_lsm_settings
 */
struct gmem_lsm_link {
	uint32_t link_id;
	uint32_t prog_id;
	uint32_t settings_id;
};

/**
 * gmem_lsm_link() - look at a link
 * @fd: descriptor of a link
 * @link: filled in
 *
 * Return: 0, -EINVAL if it is no such policy, or another -errno; without a message.
 */
int gmem_lsm_link(int fd, struct gmem_lsm_link *link);

/**
 * gmem_lsm_settings() - read what a policy is set to
 * @map: descriptor of a map
 * @settings: filled in
 *
 * Return: 0, -EINVAL if it is no map of settings, or another -errno; without a
 * message.
 */
int gmem_lsm_settings(int map, struct gmem_lsm_settings *settings);

/**
 * gmem_lsm_map() - find a map of a program
 * @prog_id: id of the program
 * @name: name of the map
 *
 * Return: a descriptor that is the caller's to close, or -errno; without a message.
 */
int gmem_lsm_map(uint32_t prog_id, const char *name);

/**
 * gmem_lsm_read_policies() - all policies in force
 * @policies: where to
 *
 * A policy for all VMs counts as VMs under it those that it was asked about.
 *
 * Return: 0, or -errno after one line of error.
 */
int gmem_lsm_read_policies(struct gmem_policies *policies);

/**
 * gmem_lsm_read_verdicts() - what each policy said of a VM
 * @vm_id: the VM
 * @verdicts: filled in, in the order in which the kernel asks
 *
 * Return: how many policies were asked about it, or -errno after one line of error.
 */
int gmem_lsm_read_verdicts(uint64_t vm_id,
			   struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX]);

#endif /* GMEM_LSM_POLICIES_H */
