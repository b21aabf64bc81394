// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM goes by the name that gmemtop shows, and is in the cgroup of the process
 * that it belongs to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmem_cgroup.h"
#include "gmem_scope.h"

/* ---------------------------------------------------------------- VMs */

static int by_id(const void *a, const void *b)
{
	const struct vm *one = a, *other = b;

	return one->id < other->id ? -1 : one->id > other->id;
}

static int no_memory(void)
{
	gmem_err("no memory for the list of VMs; free some");
	return -ENOMEM;
}

static int find_owner(struct vm *vm, struct gmem_sampler *sampler,
		      const struct gmem_vm_sample *sample)
{
	struct whose whose;

	whose_read(&whose, sampler, sample);
	vm->no_name = whose.no_name;
	vm->no_cgroup = whose.no_cgroup;
	vm->name = whose.name ? strdup(whose.name) : NULL;
	vm->cgroup = whose.cgroup ? strdup(whose.cgroup) : NULL;
	return (whose.name && !vm->name) || (whose.cgroup && !vm->cgroup) ?
	       -ENOMEM : 0;
}

int vms_read(struct vms *vms, struct gmem_sampler *sampler)
{
	struct gmem_sample sample = {};
	size_t i;
	int err;

	err = gmem_sampler_read(sampler, &sample);
	if (err)
		return err;
	vms->vms = calloc(sample.nr_vms + 1, sizeof(*vms->vms));
	if (!vms->vms) {
		gmem_sample_free(&sample);
		return no_memory();
	}
	vms->nr = sample.nr_vms;
	for (i = 0; i < vms->nr; i++) {
		const struct gmem_vm_sample *from = &sample.vms[i];
		struct vm *vm = &vms->vms[i];

		vm->sample = *from;
		vm->id = from->vm_id;
		vm->pid = from->owner_pid;
		vm->denied = from->faults_denied + from->conversions_denied;
		vm->delayed = from->faults_delayed + from->conversions_delayed;
		vm->delayed_ns = from->delayed_ns;
		err = find_owner(vm, sampler, from);
		if (err)
			break;
	}
	gmem_sample_free(&sample);
	if (err) {
		vms_free(vms);
		return no_memory();
	}
	qsort(vms->vms, vms->nr, sizeof(*vms->vms), by_id);
	return 0;
}

void vms_free(struct vms *vms)
{
	size_t i;

	for (i = 0; i < vms->nr; i++) {
		free(vms->vms[i].name);
		free(vms->vms[i].cgroup);
	}
	free(vms->vms);
	*vms = (struct vms) {};
}

const struct vm *vms_find(const struct vms *vms, uint64_t id)
{
	const struct vm key = { .id = id };

	if (!vms->nr)
		return NULL;
	return bsearch(&key, vms->vms, vms->nr, sizeof(key), by_id);
}

/* -------------------------------------------------------------- scopes */

int scope_no_vm(uint64_t id)
{
	gmem_err("no VM has the id %" PRIu64 "; gmemtop shows the ids there are",
		 id);
	return -ESRCH;
}

static bool in_cgroup(const char *cgroup, const char *path)
{
	size_t len = strlen(path);

	return len == 1 || (!strncmp(cgroup, path, len) &&
			    (cgroup[len] == '/' || !cgroup[len]));
}

/*
 * A '?' is a character, not a byte, whatever the locale; and a name that has
 * brackets in it is found by itself, too.
 */
static bool matches(const char *pattern, const char *name)
{
	static locale_t locale;
	locale_t before;
	bool found;

	if (!strcmp(pattern, name))
		return true;
	if (!locale)
		locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	before = locale ? uselocale(locale) : NULL;
	found = !fnmatch(pattern, name, 0);
	if (before)
		uselocale(before);
	return found;
}

bool scope_has(const struct scope *scope, const struct vm *vm)
{
	switch (scope->type) {
	case SCOPE_ALL:
		return true;
	case SCOPE_VM:
		return vm->id == scope->number;
	case SCOPE_PID:
		return vm->pid && vm->pid == scope->number;
	case SCOPE_NAME:
		return vm->name && matches(scope->text, vm->name);
	case SCOPE_CGROUP:
		return vm->cgroup && in_cgroup(vm->cgroup, scope->text);
	case SCOPE_NONE:
		break;
	}
	return false;
}

/* Why it is not known of the VM what the scope asks for. */
static enum whose_why why_unknown(const struct scope *scope,
				  const struct vm *vm)
{
	if (scope->type == SCOPE_NAME)
		return vm->no_name;
	return scope->type == SCOPE_CGROUP ? vm->no_cgroup : WHOSE_KNOWN;
}

bool scope_is_undecided(const struct scope *scope, const struct vm *vm)
{
	return why_unknown(scope, vm) != WHOSE_KNOWN;
}

int scope_check(const struct scope *scope, const struct vms *vms)
{
	size_t i;

	for (i = 0; i < vms->nr; i++) {
		enum whose_why why = why_unknown(scope, &vms->vms[i]);

		if (!whose_is_hidden(why))
			continue;
		gmem_err("cannot tell which of the %zu VMs are meant by '%s': %s",
			 vms->nr, scope->text, whose_explain(why));
		return -EXDEV;
	}
	return 0;
}

static int nothing_found(const struct scope *scope, const struct vms *vms)
{
	uint64_t pid = scope->number;

	switch (scope->type) {
	case SCOPE_VM:
		return scope_no_vm(scope->number);
	case SCOPE_PID:
		if (kill(pid, 0) && errno == ESRCH)
			gmem_err("no process has the id %" PRIu64 "; gmemtop shows the ids there are",
				 pid);
		else
			gmem_err("process %" PRIu64 " has no VM; gmemtop shows those that have one",
				 pid);
		break;
	case SCOPE_NAME:
		gmem_err("no VM has a name that matches '%s'; gmemtop shows the names of the %zu VMs there are",
			 scope->text, vms->nr);
		break;
	default:
		if (gmem_cgroup_is_missing(scope->text))
			gmem_err("there is no cgroup '%s'; give a path below " GMEM_CGROUP_ROOT,
				 scope->text);
		else
			gmem_err("no VM is in the cgroup '%s'; gmemtop --once --fields id,name,cgroup says where each is",
				 scope->text);
		break;
	}
	return -ESRCH;
}

/* Guessing which of several is meant is worse than asking. */
static int several(const struct scope *scope, const uint64_t *ids, size_t nr)
{
	char list[200] = "";
	size_t i, len = 0;

	for (i = 0; i < nr && len < sizeof(list); i++)
		len += snprintf(list + len, sizeof(list) - len, " %" PRIu64,
				ids[i]);
	gmem_err("process %" PRIu64 " has %zu VMs; choose one by its id:%s",
		 scope->number, nr, list);
	return -ENOTUNIQ;
}

int scope_resolve(const struct scope *scope, const struct vms *vms,
		  uint64_t **ids, size_t *nr)
{
	size_t i;
	int err = 0;

	*nr = 0;
	*ids = calloc(vms->nr + 1, sizeof(**ids));
	if (!*ids)
		return no_memory();
	if (scope->type == SCOPE_ALL) {
		*nr = 1;
		return 0;
	}
	err = scope_check(scope, vms);
	for (i = 0; i < vms->nr && !err; i++) {
		if (scope_has(scope, &vms->vms[i]))
			(*ids)[(*nr)++] = vms->vms[i].id;
	}
	if (!err && !*nr)
		err = nothing_found(scope, vms);
	else if (*nr > 1 && scope->type == SCOPE_PID)
		err = several(scope, *ids, *nr);
	if (err) {
		free(*ids);
		*ids = NULL;
	}
	return err;
}
