/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What gmemtop gives away once the sampler is loaded.
 */
#ifndef GMEMTOP_PRIVILEGE_H
#define GMEMTOP_PRIVILEGE_H

/**
 * privilege_drop() - keep only the capability that KVM asks for
 *
 * CAP_SYS_ADMIN stays: programs are loaded anew for more VMs, and for the
 * details of one.  No program that is run from now on can get any other back.
 *
 * Return: 0, or -errno after one line of error.
 */
int privilege_drop(void);

#endif /* GMEMTOP_PRIVILEGE_H */
