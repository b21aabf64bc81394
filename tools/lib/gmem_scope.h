/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which VMs are meant.  KVM knows two answers, one VM or all; the others are lists
 * of VMs, made when they are asked for.
 */
#ifndef GMEM_SCOPE_H
#define GMEM_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem_sample.h"
#include "gmem_whose.h"

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
 * @text: pattern of the VM's name, or path of its cgroup from gmem_cgroup_path()
 */
struct scope {
	enum scope_type type;
	uint64_t number;
	const char *text;
};

/**
 * struct vm - a VM on this host
 * @id: its id
 * @pid: the process that made it, as this PID namespace has it; 0 if it has none
 *	here or the process is gone
 * @name: its name, NULL if it is not known
 * @cgroup: path of its cgroup from the root of the hierarchy, as it is; NULL if it
 *	is not known
 * @no_name: why there is no @name
 * @no_cgroup: why there is no @cgroup
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
	char *name;
	char *cgroup;
	enum whose_why no_name;
	enum whose_why no_cgroup;
	struct gmem_vm_sample sample;
};

/* What a VM is called whose name is not known. */
static inline const char *vm_name(const struct vm *vm)
{
	return vm->name ? vm->name : "-";
}

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
 * scope_has() - is this VM meant?
 * @scope: any but SCOPE_NONE
 * @vm: the VM
 */
bool scope_has(const struct scope *scope, const struct vm *vm);

/**
 * scope_is_undecided() - can't it be said whether a VM is meant?
 * @scope: any but SCOPE_NONE
 * @vm: the VM
 *
 * Return: true if the scope asks for what is not known of the VM, as its process
 * is gone.  Whoever had a policy then is to keep it.
 */
bool scope_is_undecided(const struct scope *scope, const struct vm *vm);

/**
 * scope_check() - can it be said of all VMs whether they are meant?
 * @scope: any but SCOPE_NONE
 * @vms: those there are
 *
 * Return: 0, or -EXDEV after one line of error if this process does not see what
 * others see.
 */
int scope_check(const struct scope *scope, const struct vms *vms);

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

#endif /* GMEM_SCOPE_H */
