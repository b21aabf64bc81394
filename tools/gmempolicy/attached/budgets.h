/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy in force remembers of each VM, of what it marks with
 * GMEM_STATUS(), and how full its token buckets are.
 */
#ifndef GMEMPOLICY_BUDGETS_H
#define GMEMPOLICY_BUDGETS_H

#include <limits.h>
#include <stdint.h>

struct rows;
struct running;
struct vms;

/**
 * enum budget_kind - what a number is
 * @BUDGET_REAL: a fraction, in value
 * @BUDGET_UINT: a whole number, in exact
 * @BUDGET_INT: a whole number with a sign, the int64_t of the same bits
 */
enum budget_kind {
	BUDGET_REAL,
	BUDGET_UINT,
	BUDGET_INT,
};

/**
 * struct budget - one number that a policy remembers of a VM
 * @who: what the policy is called
 * @vm: id of the VM
 * @name: name of the VM, of the list that was given
 * @what: the member it is in, as in C
 * @label: what it is, in words
 * @unit: of @value, empty if it has none
 * @value: the number, divided by what its tag says
 * @exact: the number as it is
 * @kind: which of the two holds, and how
 */
struct budget {
	char who[NAME_MAX + 1];
	uint64_t vm;
	const char *name;
	char what[128];
	char label[64];
	char unit[32];
	double value;
	uint64_t exact;
	enum budget_kind kind;
};

/**
 * budgets_read() - read what a policy remembers
 * @running: the policy
 * @who: what to call it
 * @vms: of which VMs
 * @budgets: rows of struct budget, added to
 * @limits: rows of struct limit, added to: one for each bucket and VM; or NULL
 *
 * Return: 0, or -errno, after one line of error if it is -ENOMEM.
 */
int budgets_read(struct running *running, const char *who,
		 const struct vms *vms, struct rows *budgets,
		 struct rows *limits);

#endif /* GMEMPOLICY_BUDGETS_H */
