/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What keeps this process from what it asks of the kernel: capabilities, user
 * namespaces, seccomp filters, SELinux, a /proc that hides.  Found out,
 * not guessed: a cause is named when it is there, and no other.
 */
#ifndef GMEM_CONFINED_H
#define GMEM_CONFINED_H

#include <stdbool.h>
#include <stddef.h>

#define GMEM_CONFINED_LEN	512

/**
 * gmem_has_cap() - has this process a capability, in its user namespace?
 * @cap: its number, e.g. CAP_SYS_ADMIN
 */
bool gmem_has_cap(int cap);

/**
 * gmem_in_initial_user_ns() - is this the host's own user namespace?
 *
 * Return: true also where /proc does not tell; the kernel then refuses by
 * itself.
 */
bool gmem_in_initial_user_ns(void);

/**
 * gmem_bpf_filtered() - does a seccomp filter keep bpf(2) from the kernel?
 *
 * Asks for a command that there is not.  The kernel answers that with EINVAL
 * whoever asks, so any other answer is not the kernel's.
 *
 * Return: 0, or the errno that the filter answers with.
 */
int gmem_bpf_filtered(void);

/**
 * gmem_selinux_refuses() - what SELinux keeps from this process
 * @dst: where to write the permissions, as "bpf { map_create prog_load }"
 * @size: bytes at @dst
 * @domain: where to write the context that this process runs in
 * @domain_size: bytes at @domain
 *
 * Asks SELinux itself about what BPF takes.
 *
 * Return: 1 if it refuses something, 0 if it does not or is not enforcing,
 * -EACCES if it is enforcing and does not say.
 */
int gmem_selinux_refuses(char *dst, size_t size, char *domain,
			 size_t domain_size);

/**
 * gmem_confined() - why the kernel answered a call of bpf(2) as it did
 * @err: the answer, a positive errno
 * @dst: where to write "cause; remedy"
 * @size: bytes at @dst, at least GMEM_CONFINED_LEN
 *
 * Return: @dst, or NULL if nothing that confines this process explains it.
 */
const char *gmem_confined(int err, char *dst, size_t size);

/**
 * gmem_file_remedy() - what to do where a file of the kernel's is out of reach
 * @err: a positive errno
 * @dst: where to write it
 * @size: bytes at @dst, at least GMEM_CONFINED_LEN
 *
 * Return: @dst.
 */
const char *gmem_file_remedy(int err, char *dst, size_t size);

/**
 * gmem_proc_hides() - does /proc hide the processes of others from this one?
 * @dst: where to write "cause; remedy"
 * @size: bytes at @dst, at least GMEM_CONFINED_LEN
 *
 * Names and control groups of guests are read there.
 *
 * Return: @dst, or NULL if all are seen.
 */
const char *gmem_proc_hides(char *dst, size_t size);

#endif /* GMEM_CONFINED_H */
