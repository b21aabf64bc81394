/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exporter as a writer of a file that node_exporter reads.
 */
#ifndef GMEMTOP_TEXTFILE_H
#define GMEMTOP_TEXTFILE_H

#include <stddef.h>

#include "export/user.h"

/**
 * struct export_dir - a directory that metrics are written to
 * @path: as the user gave it
 * @fd: it, open, and locked against other exporters
 */
struct export_dir {
	const char *path;
	int fd;
};

/**
 * export_dir_open() - open the directory to write to
 * @dir: filled in
 * @path: the directory
 * @owner: set to its owner
 *
 * Return: 0, or -1 after one line of error.
 */
int export_dir_open(struct export_dir *dir, const char *path, uid_t *owner);

/**
 * export_dir_reopen() - go on in what is at the directory's path now
 * @dir: from export_dir_open(), unchanged on error
 *
 * Return: 0, or -1 after one line of error.
 */
int export_dir_reopen(struct export_dir *dir);

/**
 * export_dir_write() - replace the directory's gmem.prom
 * @dir: from export_dir_open()
 * @text: what to write
 * @len: bytes at @text
 * @user: whom this is run as, for the error
 *
 * A reader sees the old file or the new one, whatever fails and whenever.
 *
 * Return: 0, or -errno after one line of error.
 */
int export_dir_write(const struct export_dir *dir, const char *text,
		     size_t len, const struct export_user *user);

#endif /* GMEMTOP_TEXTFILE_H */
