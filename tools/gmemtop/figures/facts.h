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

/* Refreshes that the trend shows. */
#define VM_TREND_LEN	10

/**
 * struct vm_facts - one VM
 * @vm_id: its id
 * @checked_ns: when @name and @cgroup were read, 0 if never
 * @twice_pages: its memory that is backed twice, as it was found last
 * @twice_known: it was
 * @tagged: the user marked it
 * @trend: conversions per second at the last refreshes, the newest last
 * @name: what its monitor calls it, as gmem_clean() has it; NULL if it is not
 *	known
 * @cgroup: the control group of its process, likewise
 * @short_name: @name as it fits its column; NULL if shorten_all() is yet to come
 * @short_cgroup: @cgroup likewise
 */
struct vm_facts {
	uint64_t vm_id;
	uint64_t checked_ns;
	uint64_t twice_pages;
	bool twice_known;
	bool tagged;
	float trend[VM_TREND_LEN];
	char *name;
	char *cgroup;
	char *short_name;
	char *short_cgroup;
};

/**
 * struct facts - all VMs
 * @nr: how many
 * @vm: by id
 * @changed: names or control groups are others than shorten_all() saw
 */
struct facts {
	size_t nr;
	struct vm_facts *vm;
	bool changed;
};

/* What is shown in place of what is not known. */
#define FACT_UNKNOWN	"-"

static inline const char *facts_name(const struct vm_facts *vm)
{
	return vm->name ? vm->name : FACT_UNKNOWN;
}

static inline const char *facts_cgroup(const struct vm_facts *vm)
{
	return vm->cgroup ? vm->cgroup : FACT_UNKNOWN;
}

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
 * facts_set() - note whose a VM is
 * @facts: all VMs
 * @vm: one of them
 * @name: its name, NULL if it is not known
 * @cgroup: its control group, NULL if it is not known
 *
 * Return: 0, or -ENOMEM after one line of error.
 */
int facts_set(struct facts *facts, struct vm_facts *vm, const char *name,
	      const char *cgroup);

/**
 * facts_copy() - copy what is known of a VM
 * @dst: where to, all zeroes or a copy made before; facts_forget() gives its
 *	memory back
 * @src: the VM
 *
 * Return: 0, or -ENOMEM after one line of error; @dst is then as it was.
 */
int facts_copy(struct vm_facts *dst, const struct vm_facts *src);

/**
 * facts_forget() - give back the memory of one VM
 * @vm: from facts_copy(), all zeroes afterwards
 */
void facts_forget(struct vm_facts *vm);

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
