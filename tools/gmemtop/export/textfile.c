// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metrics in a file, for node_exporter's textfile collector.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/textfile.h"
#include "gmem_common.h"

#define FILE_NAME	"gmem.prom"
/* The collector reads what ends in .prom and nothing else. */
#define NEW_NAME	".gmem.prom.new"

int export_dir_open(struct export_dir *dir, const char *path, uid_t *owner)
{
	struct stat st;

	dir->path = path;
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0 || fstat(dir->fd, &st)) {
		gmem_err("cannot open the directory '%s': %s; name the one that node_exporter reads",
			 path, strerror(errno));
		return -1;
	}
	if (flock(dir->fd, LOCK_EX | LOCK_NB)) {
		gmem_err("another gmemtop writes to '%s'; stop it, or name another directory",
			 path);
		close(dir->fd);
		return -1;
	}
	*owner = st.st_uid;
	return 0;
}

int export_dir_reopen(struct export_dir *dir)
{
	struct export_dir new;
	struct stat old, there;
	uid_t owner;

	/* Its lock is ours, and asking for it again would be refused. */
	if (!fstat(dir->fd, &old) && !stat(dir->path, &there) &&
	    old.st_dev == there.st_dev && old.st_ino == there.st_ino)
		return 0;
	if (export_dir_open(&new, dir->path, &owner))
		return -1;
	close(dir->fd);
	*dir = new;
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= n;
	}
	return 0;
}

static int write_new(int dir, const char *text, size_t len)
{
	int fd, err;

	fd = openat(dir, NEW_NAME,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text, len);
	/* The collector is somebody else, whatever the umask. */
	if (!err && (fchmod(fd, 0644) || fsync(fd)))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

int export_dir_write(const struct export_dir *dir, const char *text,
		     size_t len, const struct export_user *user)
{
	int err = write_new(dir->fd, text, len);

	if (!err && renameat(dir->fd, NEW_NAME, dir->fd, FILE_NAME))
		err = -errno;
	if (!err) {
		/* Not all file systems can; the file itself is safe by now. */
		fsync(dir->fd);
		return 0;
	}
	unlinkat(dir->fd, NEW_NAME, 0);
	gmem_err("cannot write '%s/" FILE_NAME "' as user %s: %s; %s",
		 dir->path, user->name, strerror(-err),
		 err == -EACCES || err == -EPERM ?
			 "give the directory to that user, or name its owner with --user" :
			 "the file that was there stays");
	return err;
}
