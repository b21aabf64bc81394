// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is mounted at /sys/fs/cgroup need not be the root: in a container it is
 * the container's own control group, and the same path means another one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "gmem_cgroup.h"

/* The root of the hierarchy, else -1.  Only the root has no type. */
static int open_root(void)
{
	int root = open(GMEM_CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (root < 0)
		return -1;
	if (!fstatfs(root, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC &&
	    faccessat(root, "cgroup.type", F_OK, 0) && errno == ENOENT)
		return root;
	close(root);
	return -1;
}

const char *gmem_cgroup_path(char *dst, size_t size, const char *path)
{
	size_t len = strlen(GMEM_CGROUP_ROOT), n = 0;
	int root;

	if (*path != '/')
		return "it begins with no '/'; give it from the root of the hierarchy";
	if (!strncmp(path, GMEM_CGROUP_ROOT, len) &&
	    (path[len] == '/' || !path[len])) {
		root = open_root();
		if (root < 0)
			return GMEM_CGROUP_ROOT " is not the root of the hierarchy here, but of a namespace, a container or cgroup v1; give the path from the root, as gmemtop shows it";
		close(root);
		path += len;
	}
	while (*path) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if ((len == 1 && *path == '.') || (len == 2 && !strncmp(path, "..", 2)))
			return "no cgroup is called '.' or '..'; leave that out";
		if (n + len + 1 >= size)
			return "it is longer than any path can be; shorten it";
		if (!len)
			break;
		dst[n++] = '/';
		memcpy(dst + n, path, len);
		n += len;
		path += len;
	}
	if (!n)
		dst[n++] = '/';
	dst[n] = '\0';
	return NULL;
}

bool gmem_cgroup_is_missing(const char *path)
{
	int root = open_root();
	bool missing;

	if (root < 0)
		return false;
	path += strspn(path, "/");
	missing = *path && faccessat(root, path, F_OK, 0) &&
		  (errno == ENOENT || errno == ENOTDIR);
	close(root);
	return missing;
}
