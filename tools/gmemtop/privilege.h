/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What gmemtop gives away once the sampler is loaded.
 */
#ifndef GMEMTOP_PRIVILEGE_H
#define GMEMTOP_PRIVILEGE_H

/**
 * privilege_drop() - keep only the capabilities that BPF asks for
 *
 * CAP_BPF and CAP_PERFMON stay, for more VMs and for the details of one;
 * CAP_SYS_ADMIN only where gmem_check_privilege() asks for it.  No program
 * that is run from now on can get any back.
 *
 * Return: 0, or -errno after one line of error.
 */
int privilege_drop(void);

#endif /* GMEMTOP_PRIVILEGE_H */
