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

void facts_forget(struct vm_facts *vm)
{
	free(vm->name);
	free(vm->cgroup);
	free(vm->short_name);
	free(vm->short_cgroup);
	*vm = (struct vm_facts) {};
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* NULL stays NULL. */
static bool copy_text(char **dst, const char *src)
{
	*dst = src ? strdup(src) : NULL;
	return *dst || !src;
}

static int no_room(size_t nr)
{
	gmem_err("no memory for %zu VMs; free some", nr);
	return -ENOMEM;
}

int facts_set(struct facts *facts, struct vm_facts *vm, const char *name,
	      const char *cgroup)
{
	struct vm_facts new = {};

	if (is_same(vm->name, name) && is_same(vm->cgroup, cgroup))
		return 0;
	if (!copy_text(&new.name, name) || !copy_text(&new.cgroup, cgroup)) {
		facts_forget(&new);
		return no_room(facts->nr);
	}
	free(vm->name);
	free(vm->cgroup);
	vm->name = new.name;
	vm->cgroup = new.cgroup;
	facts->changed = true;
	return 0;
}

int facts_copy(struct vm_facts *dst, const struct vm_facts *src)
{
	struct vm_facts new = *src;

	new.short_name = new.short_cgroup = new.cgroup = NULL;
	if (!copy_text(&new.name, src->name) ||
	    !copy_text(&new.cgroup, src->cgroup)) {
		facts_forget(&new);
		return no_room(1);
	}
	facts_forget(dst);
	*dst = new;
	return 0;
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
	if (!vms)
		return no_room(nr);
	for (i = 0; i < nr; i++) {
		uint64_t id = id_at(ids, stride, i);

		while (j < facts->nr && facts->vm[j].vm_id < id)
			facts_forget(&facts->vm[j++]);
		if (j < facts->nr && facts->vm[j].vm_id == id)
			vms[i] = facts->vm[j++];
		vms[i].vm_id = id;
	}
	while (j < facts->nr)
		facts_forget(&facts->vm[j++]);
	free(facts->vm);
	facts->vm = vms;
	facts->nr = nr;
	facts->changed = true;
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
	size_t i;

	for (i = 0; i < facts->nr; i++)
		facts_forget(&facts->vm[i]);
	free(facts->vm);
	*facts = (struct facts) {};
}
