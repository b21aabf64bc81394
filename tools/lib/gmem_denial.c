// SPDX-License-Identifier: GPL-2.0-only
/*
 * The errors that a policy may deny with, in the order of the ABI.
 */
#include <errno.h>
#include <stddef.h>

#include "gmem_denial.h"

static const struct {
	int err;
	const char *name;
} denials[GMEM_NR_DENIALS] = {
	[GMEM_DENIED_EPERM] = { EPERM, "EPERM" },
	[GMEM_DENIED_EACCES] = { EACCES, "EACCES" },
	[GMEM_DENIED_EBUSY] = { EBUSY, "EBUSY" },
	[GMEM_DENIED_ENOMEM] = { ENOMEM, "ENOMEM" },
	[GMEM_DENIED_ENOSPC] = { ENOSPC, "ENOSPC" },
	[GMEM_DENIED_EDQUOT] = { EDQUOT, "EDQUOT" },
};

const char *gmem_denial_name(enum gmem_denial denial)
{
	return denials[denial].name;
}

const char *gmem_denial_name_of(int err)
{
	int i;

	for (i = 0; i < GMEM_NR_DENIALS; i++)
		if (denials[i].err == err)
			return denials[i].name;
	return NULL;
}
