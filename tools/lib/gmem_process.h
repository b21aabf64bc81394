/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /proc tells of a virtual machine monitor: the name of its VM, and its
 * control group where the kernel has none of version 2.  Not here: which process
 * is a VM's (gmem_whose.h).
 */
#ifndef GMEM_PROCESS_H
#define GMEM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that a name may have, and room for one. */
#define PROCESS_NAME_MAX	4095
#define PROCESS_NAME_LEN	(PROCESS_NAME_MAX + 1)

/**
 * process_vm_name() - find the name of a VM in a monitor's command line
 * @args: the words, each with a NUL at its end
 * @len: bytes at @args
 * @comm: name of the process, which tells the monitor too; may be NULL
 * @dst: where to, as gmem_clean() has it; empty if there is no name
 * @size: bytes at @dst
 *
 * Knows QEMU and StratoVirt (-name), crosvm, Firecracker, cloud-hypervisor,
 * Kata's shim with Dragonball in it, krunvm, krunkit and kvmtool.  A socket
 * that is called as the program is, or as what it is for, leaves the name to
 * its directory.
 *
 * Return: 0, or -ENAMETOOLONG if the name does not fit.
 */
int process_vm_name(const char *args, size_t len, const char *comm, char *dst,
		    size_t size);

/**
 * process_open() - find a process in /proc
 * @pid: its pid in the PID namespace of this process
 * @start_ns: when it began, in the time namespace of this process
 *
 * What is then read below the descriptor is of this process or fails.
 *
 * Return: a descriptor of its directory; -EXDEV if /proc is none of this PID
 * namespace; -ESRCH if the process is gone, or its number is another's; another
 * -errno if it cannot be read.
 */
int process_open(uint32_t pid, uint64_t start_ns);

/**
 * process_name() - find out what a process's VM is called
 * @dir: from process_open()
 * @dst: where to write process_vm_name(), else the name of the process
 * @size: bytes at @dst
 *
 * Return: 0 or -errno, also if there is no name at all.
 */
int process_name(int dir, char *dst, size_t size);

/**
 * process_cgroup() - the control group of version 1 that a process's memory is in
 * @dir: from process_open()
 * @dst: where to write its path, as it is: from the root of this process's
 *	cgroup namespace
 * @size: bytes at @dst
 *
 * Return: 0; -ENOENT if the memory controller is not of version 1; another
 * -errno.
 */
int process_cgroup(int dir, char *dst, size_t size);

/**
 * process_cgroup2() - the control group of version 2 that a process is in
 * @dir: from process_open()
 * @dst: as for process_cgroup()
 * @size: bytes at @dst
 *
 * Return: 0; -ENOENT without version 2; another -errno.
 */
int process_cgroup2(int dir, char *dst, size_t size);

/**
 * process_in_initial_cgroup_ns() - does this process see whole paths in /proc?
 */
bool process_in_initial_cgroup_ns(void);

#endif /* GMEM_PROCESS_H */
