/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of a VM beside its counters: whose it is, and what it did
 * lately.  Kept from one refresh to the next, by the VM's id.
 */
#ifndef GMEMTOP_FACTS_H
#define GMEMTOP_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VM_NAME_LEN	64
#define VM_CGROUP_LEN	192
/* Refreshes that the trend shows. */
#define VM_TREND_LEN	10

/**
 * struct vm_facts - one VM
 * @vm_id: its id
 * @checked_ns: when @name and @cgroup were read, 0 if never
 * @tagged: the user marked it
 * @trend: conversions per second at the last refreshes, the newest last
 * @name: what its monitor calls it, printable
 * @cgroup: the control group of its process, printable
 */
struct vm_facts {
	uint64_t vm_id;
	uint64_t checked_ns;
	bool tagged;
	float trend[VM_TREND_LEN];
	char name[VM_NAME_LEN];
	char cgroup[VM_CGROUP_LEN];
};

/**
 * struct facts - all VMs
 * @nr: how many
 * @vm: by id
 */
struct facts {
	size_t nr;
	struct vm_facts *vm;
};

/**
 * facts_keep() - have room for exactly these VMs, and keep what is known
 * @facts: all zeroes before the first call
 * @ids: the first of their ids, in ascending order
 * @stride: bytes from one id to the next
 * @nr: how many there are
 *
 * A VM that is new starts as all zeroes but its id; one that is not among
 * them is forgotten.
 *
 * Return: 0, or -ENOMEM after one line of error.
 */
int facts_keep(struct facts *facts, const void *ids, size_t stride, size_t nr);

/**
 * facts_find() - find a VM
 * @facts: all VMs
 * @vm_id: its id
 *
 * Return: the VM, NULL if it is not there.
 */
struct vm_facts *facts_find(const struct facts *facts, uint64_t vm_id);

/**
 * facts_trend() - note how much a VM converted since the last refresh
 * @vm: the VM
 * @rate: conversions per second
 */
void facts_trend(struct vm_facts *vm, double rate);

/**
 * facts_free() - forget all
 * @facts: all zeroes afterwards
 */
void facts_free(struct facts *facts);

#endif /* GMEMTOP_FACTS_H */
