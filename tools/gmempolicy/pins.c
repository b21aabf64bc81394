// SPDX-License-Identifier: GPL-2.0-only
/*
 * Works on the directory through a descriptor: whoever can rename in the BPF
 * file system must not make the tool pin or remove elsewhere.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "gmem_common.h"
#include "pins.h"

#define DIR_NAME	"gmem"
#define DIR_MODE	0700

/*
 * What the kernel tells of a link.  The system's headers may be older than the
 * kernel that gmem runs on and lack what it tells of a struct_ops.
 */
union link_info {
	struct bpf_link_info any;
	struct {
		__u32 type;
		__u32 id;
		__u32 prog_id;
		__u32 pad;
		__u32 map_id;
	} struct_ops;
};

/* The path of a pin that stays the same when the directory is renamed. */
struct pin_path {
	char text[NAME_MAX + 64];
};

static const char *pin_path(struct pin_path *path, int dir, const char *name)
{
	snprintf(path->text, sizeof(path->text), "/proc/self/fd/%d/%s", dir,
		 name);
	return path->text;
}

static int open_root(void)
{
	struct statfs fs;
	int fd, err;

	fd = open(PINS_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) {
		err = -errno;
		gmem_err("cannot open " PINS_ROOT ": %s; run it as root",
			 strerror(-err));
		return err;
	}
	if (fd < 0 || fstatfs(fd, &fs) || fs.f_type != BPF_FS_MAGIC) {
		if (fd >= 0)
			close(fd);
		gmem_err("no BPF file system at " PINS_ROOT "; mount one: mount -t bpf bpf " PINS_ROOT);
		return -ENODEV;
	}
	return fd;
}

/* Policies belong to who may load them: nobody else gets at the links. */
static int check_dir(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && st.st_uid == geteuid() &&
	    !(st.st_mode & 077))
		return 0;
	gmem_err(PINS_DIR " is not yours alone; look who made it, then chown %u and chmod 0700 it",
		 (unsigned int)geteuid());
	return -EPERM;
}

/* -ENOENT without a message if it is missing and not to be made. */
static int open_dir(bool create)
{
	int root = open_root(), fd, err;

	if (root < 0)
		return root;
	if (create && mkdirat(root, DIR_NAME, DIR_MODE) && errno != EEXIST) {
		err = -errno;
		gmem_err("cannot make " PINS_DIR ": %s; %s", strerror(-err),
			 err == -EROFS ?
			 "mount it writable: mount -o remount,rw " PINS_ROOT :
			 "run it as root");
		close(root);
		return err;
	}
	fd = openat(root, DIR_NAME,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = -errno;
	close(root);
	if (fd < 0) {
		if (err != -ENOENT || create)
			gmem_err("cannot open " PINS_DIR ": %s; remove it if it is no directory of yours",
				 strerror(-err));
		return err;
	}
	err = check_dir(fd);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int in_use(const char *name)
{
	gmem_err("the policy is attached already, as %s; detach it first: gmempolicy detach %s",
		 name, name);
	return -EEXIST;
}

int pins_check_free(const char *name)
{
	int dir = open_dir(false), err = 0;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	if (!faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW))
		err = in_use(name);
	close(dir);
	return err;
}

int pins_add(const char *name, int fd)
{
	int dir = open_dir(true), err;
	struct pin_path path;

	if (dir < 0)
		return dir;
	err = bpf_obj_pin(fd, pin_path(&path, dir, name));
	close(dir);
	if (err == -EEXIST)
		return in_use(name);
	if (err)
		gmem_err("cannot pin " PINS_DIR "/%s: %s; %s", name,
			 strerror(-err),
			 err == -EROFS ?
			 "mount it writable: mount -o remount,rw " PINS_ROOT :
			 "check the BPF file system there");
	return err;
}

int pins_remove(const char *name)
{
	int dir = open_dir(false), err = 0;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) && errno != ENOENT) {
		err = -errno;
		gmem_err("cannot remove " PINS_DIR "/%s: %s; remove it by hand",
			 name, strerror(-err));
	}
	close(dir);
	return err;
}

static void examine(int dir, struct pin *pin)
{
	union link_info info = {};
	uint32_t len = sizeof(info);
	struct pin_path path;
	int fd;

	fd = bpf_obj_get(pin_path(&path, dir, pin->name));
	if (fd < 0)
		return;
	/* Fails for a pinned map or program. */
	if (!bpf_link_get_info_by_fd(fd, &info.any, &len) &&
	    info.any.type == BPF_LINK_TYPE_STRUCT_OPS) {
		pin->is_link = true;
		pin->link_id = info.any.id;
		pin->detached = !info.struct_ops.map_id;
	}
	close(fd);
}

int pins_read(struct pins *pins)
{
	int dir = open_dir(false), err = 0;
	struct dirent *entry;
	struct pin *more;
	DIR *stream;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	stream = fdopendir(dir);
	if (!stream) {
		err = -errno;
		close(dir);
		gmem_err("cannot read " PINS_DIR ": %s; run it again",
			 strerror(-err));
		return err;
	}
	while ((entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		more = realloc(pins->pins, (pins->nr + 1) * sizeof(*more));
		if (!more) {
			gmem_err("no memory for the list of pins; free some");
			err = -ENOMEM;
			break;
		}
		pins->pins = more;
		more = &pins->pins[pins->nr++];
		*more = (struct pin) {};
		snprintf(more->name, sizeof(more->name), "%s", entry->d_name);
		examine(dir, more);
	}
	closedir(stream);
	return err;
}

void pins_free(struct pins *pins)
{
	free(pins->pins);
	*pins = (struct pins) {};
}
