/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which VMs a policy is for.  KVM knows two answers, one VM or all; the others
 * are lists of VMs, made when they are asked for.
 */
#ifndef GMEMPOLICY_SCOPE_H
#define GMEMPOLICY_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem_sample.h"

enum scope_type {
	SCOPE_NONE,
	SCOPE_ALL,
	SCOPE_VM,
	SCOPE_PID,
	SCOPE_NAME,
	SCOPE_CGROUP,
};

/**
 * struct scope - which VMs
 * @type: what the other member means
 * @number: id of the VM or of its process
 * @text: pattern of the VM's name, or path of its cgroup from the root of
 *	the hierarchy, beginning with a slash
 */
struct scope {
	enum scope_type type;
	uint64_t number;
	const char *text;
};

/**
 * struct vm - a VM on this host
 * @id: its id
 * @pid: the process that made it
 * @name: its name, as process_name() finds it
 * @cgroup: its cgroup, empty if not known
 * @denied: requests of it that policies denied
 * @delayed: requests of it that policies delayed
 * @delayed_ns: for how long
 * @sample: all its counters
 */
struct vm {
	uint64_t id;
	uint32_t pid;
	uint64_t denied;
	uint64_t delayed;
	uint64_t delayed_ns;
	char name[64];
	char cgroup[4096];
	struct gmem_vm_sample sample;
};

/**
 * struct vms - VMs
 * @nr: how many
 * @vms: by id
 *
 * Starts as all zeroes; vms_free() gives the memory back.
 */
struct vms {
	size_t nr;
	struct vm *vms;
};

/**
 * vms_read() - list the VMs on this host
 * @vms: where to
 * @sampler: from gmem_sampler_open()
 *
 * Return: 0, or -errno after one line of error.
 */
int vms_read(struct vms *vms, struct gmem_sampler *sampler);

/**
 * vms_free() - give the memory back
 * @vms: all zeroes afterwards
 */
void vms_free(struct vms *vms);

/**
 * vms_find() - find a VM by its id
 * @vms: those there are
 * @id: its id
 *
 * Return: the VM or NULL.
 */
const struct vm *vms_find(const struct vms *vms, uint64_t id);

/**
 * scope_cgroup_path() - the path of a cgroup as processes have it
 * @path: a path in the hierarchy or in /sys/fs/cgroup, not empty
 *
 * Return: the part of @path behind /sys/fs/cgroup.
 */
const char *scope_cgroup_path(const char *path);

/**
 * scope_cgroup() - scope_cgroup_path() of a cgroup that is there
 * @path: a path in the hierarchy or in /sys/fs/cgroup
 *
 * Return: the part of @path behind /sys/fs/cgroup, or NULL after one line of
 * error if there is no such cgroup.
 */
const char *scope_cgroup(const char *path);

/**
 * scope_has() - is a policy of this scope for this VM?
 * @scope: any but SCOPE_NONE
 * @vm: the VM
 */
bool scope_has(const struct scope *scope, const struct vm *vm);

/**
 * scope_resolve() - find the VMs of a scope
 * @scope: any but SCOPE_NONE
 * @vms: those there are
 * @ids: set to their ids, or to one 0 if all are meant; the caller frees it
 * @nr: set to how many
 *
 * Return: 0, or -errno after one line of error, also if there is none.
 */
int scope_resolve(const struct scope *scope, const struct vms *vms,
		  uint64_t **ids, size_t *nr);

/**
 * scope_no_vm() - print one line: there is no such VM
 * @id: the id asked for
 *
 * Return: -ESRCH.
 */
int scope_no_vm(uint64_t id);

#endif /* GMEMPOLICY_SCOPE_H */
