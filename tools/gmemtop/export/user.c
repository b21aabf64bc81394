// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom the exporter runs as.  It starts with what BPF asks for, and answers the
 * network with nothing of it: another user, no other groups, no capability, and
 * no way to get one back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "export/user.h"
#include "gmem_common.h"

static bool may_change(void)
{
	cap_flag_value_t uid = CAP_CLEAR, gid = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (!caps)
		return false;
	cap_get_flag(caps, CAP_SETUID, CAP_EFFECTIVE, &uid);
	cap_get_flag(caps, CAP_SETGID, CAP_EFFECTIVE, &gid);
	cap_free(caps);
	return uid == CAP_SET && gid == CAP_SET;
}

static const struct passwd *lookup(const char *name)
{
	uint64_t uid;

	if (gmem_parse_uint(name, &uid))
		return getpwnam(name);
	return uid < (uid_t)-1 ? getpwuid(uid) : NULL;
}

static void fill(struct export_user *user, uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	user->uid = uid;
	user->gid = pw ? pw->pw_gid : uid;
	if (pw)
		gmem_printable(user->name, sizeof(user->name), pw->pw_name);
	else
		snprintf(user->name, sizeof(user->name), "%u", uid);
}

int export_user_find(struct export_user *user, const char *name,
		     uid_t fallback)
{
	const struct passwd *pw;

	*user = (struct export_user) {};
	if (!name) {
		user->change = may_change();
		fill(user, user->change ? fallback : getuid());
		return 0;
	}
	pw = lookup(name);
	if (!pw) {
		gmem_err("--user: there is no user '%s'; name one of /etc/passwd",
			 name);
		return -1;
	}
	fill(user, pw->pw_uid);
	user->change = may_change();
	if (!user->change && user->uid != getuid()) {
		gmem_err("cannot become user %s without CAP_SETUID and CAP_SETGID; run it as root, or leave --user away",
			 user->name);
		return -1;
	}
	return 0;
}

static int change(const struct export_user *user)
{
	/* Their own groups matter: /proc may be mounted with hidepid and gid=. */
	if (getpwuid(user->uid) ? initgroups(user->name, user->gid) :
				  setgroups(0, NULL))
		return -1;
	return setresgid(user->gid, user->gid, user->gid) ||
	       setresuid(user->uid, user->uid, user->uid) ? -1 : 0;
}

static int drop_capabilities(void)
{
	cap_t none = cap_init();
	int err;

	if (!none)
		return -1;
	/* All three sets; the ambient one goes with them. */
	err = cap_set_proc(none);
	cap_free(none);
	return err;
}

int export_user_become(const struct export_user *user)
{
	if ((user->change && change(user)) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || drop_capabilities()) {
		gmem_err("cannot drop privileges to user %s: %s; run it as root, in the initial user namespace",
			 user->name, strerror(errno));
		return -1;
	}
	return 0;
}
