/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames of this host, as the running kernel has them.
 */
#ifndef GMEMTOP_HOST_H
#define GMEMTOP_HOST_H

#include "figures/frame.h"

/**
 * host_open() - the source that samples this host
 *
 * Checks kernel and privileges first.
 *
 * Return: the source, or NULL after one line of error.
 */
struct source *host_open(void);

/**
 * host_count() - have counted what rates are of, where the kernel does not by itself
 * @source: from host_open()
 *
 * For who reads more than one frame.  If that cannot be, it is told in one line of
 * error, and those figures are not known.
 */
void host_count(struct source *source);

/**
 * host_fix() - make room once, and need no capability from then on
 * @source: from host_open()
 * @vms: VMs to have room for
 * @policies: policies to have room for
 *
 * Names are then found of those processes that the user may see.
 *
 * Return: as gmem_sampler_fix().
 */
int host_fix(struct source *source, size_t vms, size_t policies);

/**
 * host_close() - stop sampling
 * @source: from host_open(), or NULL
 */
void host_close(struct source *source);

#endif /* GMEMTOP_HOST_H */
