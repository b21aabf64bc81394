/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /proc tells of a virtual machine monitor: the name of its VM, and its
 * control group.
 */
#ifndef GMEM_PROCESS_H
#define GMEM_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/**
 * process_vm_name() - find the name of a VM in a monitor's command line
 * @args: the words, each with a NUL at its end
 * @len: bytes at @args
 * @dst: where to, printable
 * @size: bytes at @dst
 *
 * Knows QEMU (-name), which libvirt uses as well, crosvm (--name, --socket)
 * and cloud-hypervisor (--api-socket, --event-monitor).
 *
 * Return: @dst, an empty string if there is no name.
 */
char *process_vm_name(const char *args, size_t len, char *dst, size_t size);

/**
 * process_name() - find out what a VM is called
 * @pid: the process that created the VM
 * @dst: where to write the VM's name: process_vm_name(), else the name of the
 *	process, else "-"; printable
 * @size: bytes at @dst
 *
 * Leaves @dst alone if the process is gone and it is not empty.
 *
 * Return: @dst.
 */
char *process_name(uint32_t pid, char *dst, size_t size);

/**
 * process_cgroup() - find out which control group a process is in
 * @pid: the process
 * @dst: where to write its path from the root of the hierarchy, as it is; empty
 *	if it is not known
 * @size: bytes at @dst
 *
 * The hierarchy is the unified one, or that of the memory controller if there
 * is none.
 *
 * Return: @dst.
 */
char *process_cgroup(uint32_t pid, char *dst, size_t size);

/**
 * process_describe() - find out whose VM it is
 * @pid: the process that created the VM
 * @name: where to write process_name()
 * @name_size: bytes at @name
 * @cgroup: where to write its control group, "-" if it is not known; printable
 * @cgroup_size: bytes at @cgroup
 *
 * Leaves both alone if the process is gone and they are not empty.
 */
void process_describe(uint32_t pid, char *name, size_t name_size, char *cgroup,
		      size_t cgroup_size);

#endif /* GMEM_PROCESS_H */
