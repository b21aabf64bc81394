// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drops capabilities.  A monitor that runs all day reads what any guest's
 * owner may have written; there is no need to do that with root's powers.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "gmem_common.h"
#include "sampling/privilege.h"

static bool has(cap_t caps, cap_value_t cap)
{
	cap_flag_value_t value = CAP_CLEAR;

	return !cap_get_flag(caps, cap, CAP_PERMITTED, &value) &&
	       value == CAP_SET;
}

static int keep(cap_t now, cap_t kept)
{
	static const cap_value_t wanted[] = { CAP_SYS_ADMIN };
	int nr = has(now, CAP_SYS_ADMIN) ? 1 : 0;

	/* It stands for CAP_BPF and CAP_PERFMON, too. */
	if (cap_set_flag(kept, CAP_PERMITTED, nr, wanted, CAP_SET) ||
	    cap_set_flag(kept, CAP_EFFECTIVE, nr, wanted, CAP_SET))
		return -errno;
	return cap_set_proc(kept) ? -errno : 0;
}

int privilege_drop(void)
{
	cap_t now = cap_get_proc(), kept = cap_init();
	int err = now && kept ? 0 : -errno;

	if (!err)
		err = keep(now, kept);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	/* What is inherited would come back with a program that is run. */
	if (!err)
		cap_reset_ambient();
	if (err)
		gmem_err("cannot drop capabilities: %s", strerror(-err));
	cap_free(now);
	cap_free(kept);
	return err;
}
