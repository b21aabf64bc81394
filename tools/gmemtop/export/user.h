/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whom the exporter runs as.
 */
#ifndef GMEMTOP_USER_H
#define GMEMTOP_USER_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct export_user - whom the exporter runs as
 * @name: their name, or number if they have none
 * @uid: their id
 * @gid: their group
 * @change: the process runs as somebody else now
 */
struct export_user {
	char name[64];
	uid_t uid;
	gid_t gid;
	bool change;
};

/**
 * export_user_find() - find out whom to run as
 * @user: filled in
 * @name: a name or number; NULL for none asked for
 * @fallback: who it is if none is asked for and the process may change
 *
 * Return: 0, or -1 after one line of error.
 */
int export_user_find(struct export_user *user, const char *name,
		     uid_t fallback);

/**
 * export_user_become() - run as that user, without any capability, for good
 * @user: from export_user_find()
 *
 * Context: one thread only.
 * Return: 0, or -1 after one line of error.
 */
int export_user_become(const struct export_user *user);

#endif /* GMEMTOP_USER_H */
