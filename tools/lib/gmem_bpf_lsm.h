/* SPDX-License-Identifier: GPL-2.0-only */
/* Are programs of BPF's LSM asked? */
#ifndef GMEM_BPF_LSM_H
#define GMEM_BPF_LSM_H

#include <stdbool.h>

/**
 * gmem_lsm_is_missing() - is it known that the kernel does not ask such programs?
 *
 * Return: false also where that cannot be told: Linux before 6.8.
 */
bool gmem_lsm_is_missing(void);

/**
 * gmem_lsm_check() - will the kernel ask such programs?
 *
 * Return: 0, or -1 after one line of error with the boot parameter that makes it.
 */
int gmem_lsm_check(void);

#endif
