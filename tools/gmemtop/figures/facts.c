// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps what is known of each VM from one refresh to the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "figures/facts.h"
#include "gmem_common.h"

static uint64_t id_at(const void *ids, size_t stride, size_t i)
{
	return *(const uint64_t *)((const char *)ids + i * stride);
}

int facts_keep(struct facts *facts, const void *ids, size_t stride, size_t nr)
{
	struct vm_facts *vms;
	size_t i, j = 0;

	/* Most refreshes find the VMs of the one before. */
	for (i = 0; i < nr && i < facts->nr; i++)
		if (facts->vm[i].vm_id != id_at(ids, stride, i))
			break;
	if (i == nr && nr == facts->nr)
		return 0;

	vms = calloc(nr ? nr : 1, sizeof(*vms));
	if (!vms) {
		gmem_err("no memory for %zu VMs; free some", nr);
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++) {
		uint64_t id = id_at(ids, stride, i);

		while (j < facts->nr && facts->vm[j].vm_id < id)
			j++;
		if (j < facts->nr && facts->vm[j].vm_id == id)
			vms[i] = facts->vm[j];
		vms[i].vm_id = id;
	}
	free(facts->vm);
	facts->vm = vms;
	facts->nr = nr;
	return 0;
}

struct vm_facts *facts_find(const struct facts *facts, uint64_t vm_id)
{
	size_t lo = 0, hi = facts->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (facts->vm[mid].vm_id < vm_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < facts->nr && facts->vm[lo].vm_id == vm_id)
		return &facts->vm[lo];
	return NULL;
}

void facts_trend(struct vm_facts *vm, double rate)
{
	memmove(vm->trend, vm->trend + 1,
		sizeof(vm->trend) - sizeof(vm->trend[0]));
	vm->trend[VM_TREND_LEN - 1] = rate;
}

void facts_free(struct facts *facts)
{
	free(facts->vm);
	*facts = (struct facts) {};
}
