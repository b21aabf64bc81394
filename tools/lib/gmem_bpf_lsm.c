// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel lists its security modules by a system call: securityfs need not be
 * mounted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_bpf_lsm.h"

#define MAX_LSMS	64

/* From Linux 6.8 on; headers of before have neither. */
#ifndef SYS_lsm_list_modules
#define SYS_lsm_list_modules	461
#endif
#define LSM_ID_BPF	109

/* What lsm= calls those that are there and have an id; capability is always there. */
static const char *const lsm_names[] = {
	[101 - 100] = "selinux",   [102 - 100] = "smack",
	[103 - 100] = "tomoyo",	   [104 - 100] = "apparmor",
	[105 - 100] = "yama",	   [106 - 100] = "loadpin",
	[107 - 100] = "safesetid", [108 - 100] = "lockdown",
	[110 - 100] = "landlock",  [113 - 100] = "ipe",
};

/* The ids of the active LSMs, in IDS: their number, or -1 and errno. */
static long list_lsms(uint64_t ids[MAX_LSMS])
{
	uint32_t size = MAX_LSMS * sizeof(*ids);

	return syscall(SYS_lsm_list_modules, ids, &size, 0);
}

static bool has_bpf(const uint64_t *ids, long nr)
{
	while (nr > 0)
		if (ids[--nr] == LSM_ID_BPF)
			return true;
	return false;
}

bool gmem_lsm_is_missing(void)
{
	uint64_t ids[MAX_LSMS];
	long nr = list_lsms(ids);

	return nr >= 0 && !has_bpf(ids, nr);
}

int gmem_lsm_check(void)
{
	uint64_t ids[MAX_LSMS], at;
	char others[256] = "";
	size_t len = 0;
	long i, nr;

	nr = list_lsms(ids);
	if (nr < 0) {
		gmem_err("cannot tell whether bpf is among the kernel's LSMs, which policies need here: %s; use a kernel from 6.8 on, or gmem-dkms",
			 strerror(errno));
		return -1;
	}
	if (has_bpf(ids, nr))
		return 0;
	for (i = 0; i < nr; i++) {
		at = ids[i] - 100;
		if (at < ARRAY_LEN(lsm_names) && lsm_names[at] &&
		    len < sizeof(others))
			len += snprintf(others + len, sizeof(others) - len,
					"%s,", lsm_names[at]);
	}
	gmem_err("bpf is not among the active LSMs, so the kernel would not ask the policy; boot with lsm=%sbpf",
		 others);
	return -1;
}
