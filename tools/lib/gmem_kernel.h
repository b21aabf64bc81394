/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the running kernel serves the gmem tools, and how they report what
 * libbpf could not do.
 */
#ifndef GMEM_KERNEL_H
#define GMEM_KERNEL_H

#include <stdbool.h>

/**
 * gmem_check_kernel() - has the running kernel gmem's hooks?
 *
 * For what only those serve, which is the native source of gmem_source.h.
 *
 * Return: 0, or -1 after one line that says what is missing and what to do.
 */
int gmem_check_kernel(void);

/**
 * gmem_check_privilege() - may the process look at all VMs, and govern them?
 *
 * KVM has programs that walk VMs and policies, and policies that are attached,
 * from those with CAP_SYS_ADMIN in the initial user namespace only.  The kernel
 * gives links, maps, programs and BTF by their id to the same.
 *
 * Return: 0, or -1 after one line that names what is missing.
 */
int gmem_check_privilege(void);

/**
 * gmem_may_list() - gmem_check_privilege() without a line of error
 */
bool gmem_may_list(void);

/**
 * gmem_check_load() - may the process load policies and programs that trace?
 *
 * CAP_BPF and CAP_PERFMON suffice if KVM is part of vmlinux.  If it is a module,
 * libbpf looks its BTF up by id, which takes CAP_SYS_ADMIN.
 *
 * Return: 0, or -1 after one line that names what is missing.
 */
int gmem_check_load(void);

/**
 * gmem_libbpf_quiet() - keep libbpf's messages off the terminal
 * @debug: pass them all to stderr instead
 *
 * The first warning is kept for gmem_err_bpf().
 */
void gmem_libbpf_quiet(bool debug);

/**
 * gmem_err_bpf() - print one line about a failed call of libbpf
 * @err: the error, negative or positive errno
 * @fmt: what was attempted, e.g. "cannot load the sampling program"
 *
 * Appends the cause, libbpf's own first warning if it gave one, and a remedy
 * where one is known.  Forgets the warning.
 */
void gmem_err_bpf(int err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * gmem_libbpf_warning() - libbpf's first warning since gmem_err_bpf()
 *
 * Return: one line, empty if there was none.
 */
const char *gmem_libbpf_warning(void);

/**
 * gmem_libbpf_forget() - forget the warning
 *
 * For before something that has nothing to do with what went wrong so far.
 */
void gmem_libbpf_forget(void);

/**
 * gmem_policies_enabled() - state of the switch that bypasses all policies
 *
 * Return: 1 policies are asked, 0 they are bypassed, -errno if the kernel
 * does not tell.
 */
int gmem_policies_enabled(void);

/* Room for a word of the kernel's parameter gmem_huge_pages. */
#define GMEM_HUGE_MODE_LEN	16

/**
 * gmem_huge_off() - why can no new guest_memfd have huge folios?
 * @mode: set to who has them by the kernel's parameter: never, advise, always; empty
 *	if the kernel does not tell
 *
 * Return: the reason, NULL if there is none that is known.
 */
const char *gmem_huge_off(char mode[GMEM_HUGE_MODE_LEN]);

#endif /* GMEM_KERNEL_H */
