// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM goes by the name that gmemtop shows, and is in the cgroup of the process
 * that made it.
 */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/scope.h"
#include "gmem_confined.h"
#include "gmem_process.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

/* ---------------------------------------------------------------- VMs */

static int by_id(const void *a, const void *b)
{
	const struct vm *one = a, *other = b;

	return one->id < other->id ? -1 : one->id > other->id;
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
		gmem_err("no memory for the list of VMs; free some");
		gmem_sample_free(&sample);
		return -ENOMEM;
	}
	vms->nr = sample.nr_vms;
	for (i = 0; i < vms->nr; i++) {
		const struct gmem_vm_sample *from = &sample.vms[i];
		struct vm *vm = &vms->vms[i];

		vm->sample = *from;
		vm->id = from->vm_id;
		vm->pid = from->pid;
		vm->denied = from->faults_denied + from->conversions_denied;
		vm->delayed = from->faults_delayed + from->conversions_delayed;
		vm->delayed_ns = from->delayed_ns;
		process_name(vm->pid, vm->name, sizeof(vm->name));
		process_cgroup(vm->pid, vm->cgroup, sizeof(vm->cgroup));
	}
	gmem_sample_free(&sample);
	qsort(vms->vms, vms->nr, sizeof(*vms->vms), by_id);
	return 0;
}

void vms_free(struct vms *vms)
{
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

const char *scope_cgroup_path(const char *path)
{
	size_t len = strlen(CGROUP_ROOT);

	if (!strncmp(path, CGROUP_ROOT, len) &&
	    (path[len] == '/' || !path[len]))
		path += len;
	return *path ? path : "/";
}

const char *scope_cgroup(const char *path)
{
	char full[1024];

	if (*path)
		path = scope_cgroup_path(path);
	snprintf(full, sizeof(full), "%s%s", CGROUP_ROOT, path);
	if (*path == '/' && !access(full, F_OK))
		return path;
	gmem_err("there is no cgroup '%s'; give a path below " CGROUP_ROOT,
		 path);
	return NULL;
}

static bool in_cgroup(const char *cgroup, const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 1)
		return *cgroup;
	return !strncmp(cgroup, path, len) &&
	       (cgroup[len] == '/' || !cgroup[len]);
}

bool scope_has(const struct scope *scope, const struct vm *vm)
{
	switch (scope->type) {
	case SCOPE_ALL:
		return true;
	case SCOPE_VM:
		return vm->id == scope->number;
	case SCOPE_PID:
		return vm->pid == scope->number;
	case SCOPE_NAME:
		return !fnmatch(scope->text, vm->name, 0);
	case SCOPE_CGROUP:
		return in_cgroup(vm->cgroup, scope->text);
	case SCOPE_NONE:
		break;
	}
	return false;
}

static int nothing_found(const struct scope *scope, const struct vms *vms)
{
	char why[GMEM_CONFINED_LEN];
	uint64_t pid = scope->number;

	if ((scope->type == SCOPE_NAME || scope->type == SCOPE_CGROUP) &&
	    gmem_proc_hides(why, sizeof(why))) {
		gmem_err("cannot tell which of the %zu VMs are meant by '%s': %s",
			 vms->nr, scope->text, why);
		return -ESRCH;
	}
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
		gmem_err("no VM is in the cgroup '%s'; /proc/PID/cgroup of a VM's process says where it is",
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
	gmem_err("process %" PRIu64 " has %zu VMs; choose one with --vm:%s",
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
	if (!*ids) {
		gmem_err("no memory for the list of VMs; free some");
		return -ENOMEM;
	}
	if (scope->type == SCOPE_ALL) {
		*nr = 1;
		return 0;
	}
	for (i = 0; i < vms->nr; i++) {
		if (scope_has(scope, &vms->vms[i]))
			(*ids)[(*nr)++] = vms->vms[i].id;
	}
	if (!*nr)
		err = nothing_found(scope, vms);
	else if (*nr > 1 && scope->type == SCOPE_PID)
		err = several(scope, *ids, *nr);
	if (err) {
		free(*ids);
		*ids = NULL;
	}
	return err;
}
