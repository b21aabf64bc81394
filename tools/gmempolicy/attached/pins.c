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
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "attached/ops.h"
#include "attached/pins.h"
#include "gmem_common.h"
#include "gmem_confined.h"
#include "gmem_kernel.h"
#include "objects/object.h"

#define DIR_NAME	"gmem"
#define DIR_MODE	0700

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
	char remedy[GMEM_CONFINED_LEN];
	struct statfs fs;
	int fd, err;

	fd = open(PINS_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) {
		err = -errno;
		gmem_err("cannot open " PINS_ROOT ": %s; %s", strerror(-err),
			 gmem_file_remedy(-err, remedy, sizeof(remedy)));
		return err;
	}
	if (fd < 0 || fstatfs(fd, &fs) || fs.f_type != BPF_FS_MAGIC) {
		if (fd >= 0)
			close(fd);
		gmem_err("no BPF file system at " PINS_ROOT "; mount one: mount -t bpf bpf " PINS_ROOT ", or give the container the host's");
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
	char remedy[GMEM_CONFINED_LEN];

	if (root < 0)
		return root;
	if (create && mkdirat(root, DIR_NAME, DIR_MODE) && errno != EEXIST) {
		err = -errno;
		gmem_err("cannot make " PINS_DIR ": %s; %s", strerror(-err),
			 err == -EROFS ?
			 "mount it writable: mount -o remount,rw " PINS_ROOT :
			 gmem_file_remedy(-err, remedy, sizeof(remedy)));
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
	struct pin pin;
	int err;

	err = pins_find(name, &pin);
	if (err && err != -ENOENT)
		return err;
	if (!err && !pin.is_link)
		gmem_err("the name %s is taken by a file that is no policy; remove " PINS_DIR "/%s",
			 name, name);
	else if (!err && pin.detached)
		gmem_err("the policy %s has ended and only its pin is left; remove it: gmempolicy detach %s",
			 name, name);
	else
		gmem_err("the policy is attached already, as %s; detach it first: gmempolicy detach %s",
			 name, name);
	return -EEXIST;
}

/* What is added to a name is not among what a policy's own can have. */
#define HELPER_MARK	'+'
#define NEW_SUFFIX	"+new"

struct pin_name {
	char text[NAME_MAX + 1];
};

static const char *pin_name(struct pin_name *dst, const char *name,
			    const char *suffix)
{
	snprintf(dst->text, sizeof(dst->text), "%s%s", name, suffix);
	return dst->text;
}

static int pin_link(int dir, const char *name, const char *suffix, int fd)
{
	char remedy[GMEM_CONFINED_LEN];
	struct pin_name full;
	struct pin_path path;
	int err;

	pin_name(&full, name, suffix);
	/* Left by somebody who was killed, or the other's that is replaced. */
	if (*suffix)
		unlinkat(dir, full.text, 0);
	if (fd < 0)
		return 0;
	err = bpf_obj_pin(fd, pin_path(&path, dir, full.text));
	if (err && err != -EEXIST)
		gmem_err("cannot pin " PINS_DIR "/%s: %s; %s", full.text,
			 strerror(-err),
			 err == -EROFS ?
			 "mount it writable: mount -o remount,rw " PINS_ROOT :
			 gmem_file_remedy(-err, remedy, sizeof(remedy)));
	return err;
}

static int pin_helpers(int dir, const char *name, const struct links *links)
{
	int i, err = 0;

	for (i = OBJECT_LINKS - 1; i > 0 && !err; i--)
		err = pin_link(dir, name, object_link_suffixes[i], links->fds[i]);
	return err;
}

static void remove_helpers(int dir, const char *name)
{
	struct pin_name full;
	int i;

	for (i = 1; i < OBJECT_LINKS; i++)
		unlinkat(dir, pin_name(&full, name, object_link_suffixes[i]), 0);
}

static int enforce(const char *name, const struct links *links)
{
	int err = ops_enforce(links->fds[0]);

	if (err)
		gmem_err_bpf(err, "cannot put the policy %s into force", name);
	return err;
}

int pins_add(const char *name, const struct links *links)
{
	int dir = open_dir(true), err;

	if (dir < 0)
		return dir;
	/* Else its helpers would be replaced. */
	err = faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) ? 0 : -EEXIST;
	if (!err) {
		err = pin_helpers(dir, name, links);
		if (!err)
			err = pin_link(dir, name, "", links->fds[0]);
		if (err) {
			remove_helpers(dir, name);
		} else {
			err = enforce(name, links);
			if (err)
				pins_remove(name);
		}
	}
	close(dir);
	return err == -EEXIST ? in_use(name) : err;
}

int pins_replace(const char *name, const struct links *links)
{
	int dir = open_dir(true), err;
	struct pin_name new;

	if (dir < 0)
		return dir;
	err = pin_link(dir, name, NEW_SUFFIX, links->fds[0]);
	if (!err && renameat(dir, pin_name(&new, name, NEW_SUFFIX), dir, name)) {
		err = -errno;
		gmem_err("cannot rename a pin to " PINS_DIR "/%s: %s; run it again",
			 name, strerror(-err));
		unlinkat(dir, new.text, 0);
	}
	if (!err)
		err = pin_helpers(dir, name, links);
	if (!err)
		err = enforce(name, links);
	close(dir);
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
	if (!err)
		remove_helpers(dir, name);
	close(dir);
	return err;
}

bool pins_link_is_gone(uint32_t id)
{
	int fd = bpf_link_get_fd_by_id(id);
	uint32_t map_id;
	bool gone;

	if (fd < 0)
		return fd == -ENOENT;
	gone = !ops_link(fd, &id, &map_id) && !map_id;
	close(fd);
	return gone;
}

/* The kernel tells of any kind of object, and of each something else. */
static bool is_link(int fd)
{
	char path[32], kind[32];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, kind, sizeof(kind) - 1);
	if (len < 0)
		return false;
	kind[len] = '\0';
	return strstr(kind, "bpf_link") || strstr(kind, "bpf-link");
}

/* Who was killed before all of a policy was pinned has not put it into force. */
static bool is_in_force(uint32_t map_id)
{
	int map = bpf_map_get_fd_by_id(map_id);
	bool in_force;

	if (map < 0)
		return true;
	in_force = ops_is_in_force(map);
	close(map);
	return in_force;
}

static void examine_link(int fd, struct pin *pin)
{
	uint32_t map_id;

	if (ops_link(fd, &pin->link_id, &map_id))
		return;
	pin->is_link = true;
	pin->detached = !map_id || !is_in_force(map_id);
}

static void examine(int dir, struct pin *pin)
{
	struct pin_path path;
	int fd;

	fd = bpf_obj_get(pin_path(&path, dir, pin->name));
	if (fd < 0)
		return;
	if (is_link(fd))
		examine_link(fd, pin);
	close(fd);
}

int pins_find(const char *name, struct pin *pin)
{
	int dir, err = 0;

	*pin = (struct pin) {};
	/* What the file system would not have let anyone make. */
	if (!*name || strlen(name) > NAME_MAX || strpbrk(name, "/.+"))
		return -ENOENT;
	dir = open_dir(false);
	if (dir < 0)
		return dir;
	if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW)) {
		err = -ENOENT;
	} else {
		snprintf(pin->name, sizeof(pin->name), "%s", name);
		examine(dir, pin);
	}
	close(dir);
	return err;
}

int pins_check_free(const char *name)
{
	struct pin pin;
	int err;

	err = pins_find(name, &pin);
	if (err)
		return err == -ENOENT ? 0 : err;
	return in_use(name);
}

static bool has_ended(int link)
{
	uint32_t link_id, map_id;
	bool ended;
	int map;

	if (ops_link(link, &link_id, &map_id) || !map_id)
		return false;
	map = bpf_map_get_fd_by_id(map_id);
	if (map < 0)
		return false;
	ended = ops_has_ended(map) || !ops_is_in_force(map);
	close(map);
	return ended;
}

static int remove_if_ended(const struct pin *pin)
{
	int link = bpf_link_get_fd_by_id(pin->link_id), err = 0;

	if (link < 0)
		return 0;
	if (has_ended(link)) {
		/* In this order: then the link goes with this process at last. */
		err = pins_remove(pin->name);
		if (!err)
			ops_detach(link);
	}
	close(link);
	return err;
}

/* Whoever has the lock finds none that is needed yet. */
static int remove_helpers_left(void)
{
	int dir = open_dir(false);
	struct dirent *entry;
	struct pin_name name;
	size_t len;
	DIR *stream;

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	stream = fdopendir(dir);
	if (!stream) {
		close(dir);
		return 0;
	}
	while ((entry = readdir(stream))) {
		len = strcspn(entry->d_name, (char[]){ HELPER_MARK, '\0' });
		if (!entry->d_name[len])
			continue;
		snprintf(name.text, sizeof(name.text), "%.*s", (int)len,
			 entry->d_name);
		if (!strcmp(entry->d_name + len, NEW_SUFFIX) ||
		    faccessat(dir, name.text, F_OK, AT_SYMLINK_NOFOLLOW))
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(stream);
	return 0;
}

int pins_remove_ended(void)
{
	struct pins pins = {};
	int err = pins_read(&pins);
	size_t i;

	for (i = 0; i < pins.nr && !err; i++) {
		if (pins.pins[i].is_link)
			err = remove_if_ended(&pins.pins[i]);
	}
	pins_free(&pins);
	return err ? err : remove_helpers_left();
}

int pins_lock(void)
{
	int dir = open_dir(true), err;

	if (dir < 0)
		return dir;
	while (flock(dir, LOCK_EX)) {
		if (errno == EINTR)
			continue;
		err = -errno;
		gmem_err("cannot lock " PINS_DIR ": %s; run it again",
			 strerror(-err));
		close(dir);
		return err;
	}
	return dir;
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
		if (entry->d_name[0] == '.' ||
		    strchr(entry->d_name, HELPER_MARK))
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
