/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy in force remembers of each VM, of what it marks with
 * GMEM_STATUS().
 */
#ifndef GMEMPOLICY_BUDGETS_H
#define GMEMPOLICY_BUDGETS_H

#include <limits.h>
#include <stdint.h>

struct rows;
struct running;
struct vms;

/**
 * struct budget - one number that a policy remembers of a VM
 * @who: what the policy is called
 * @vm: id of the VM
 * @name: name of the VM
 * @what: the member it is in, as in C
 * @label: what it is, in words
 * @unit: of @value, empty if it has none
 * @value: the number
 */
struct budget {
	char who[NAME_MAX + 1];
	uint64_t vm;
	char name[64];
	char what[128];
	char label[64];
	char unit[32];
	double value;
};

/**
 * budgets_read() - read what a policy remembers
 * @running: the policy
 * @who: what to call it
 * @vms: of which VMs
 * @budgets: rows of struct budget, added to
 *
 * Return: 0, or -errno, after one line of error if it is -ENOMEM.
 */
int budgets_read(struct running *running, const char *who,
		 const struct vms *vms, struct rows *budgets);

#endif /* GMEMPOLICY_BUDGETS_H */
