/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways to hold a page, as devices and other programs do: each takes a reference
 * to it that lasts until it is dropped, whatever becomes of the mapping.
 */
#ifndef HOLD_H
#define HOLD_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD_PAGE_BYTES	4096

#define GUP_TEST	"/sys/kernel/debug/gup_test"
#define FUSE_DEV	"/dev/fuse"

/**
 * struct hold - a page that is held
 * @fd: what holds it
 * @other: the writing end if @fd is a pipe
 * @pid: the process that holds it
 */
struct hold {
	int fd;
	int other;
	pid_t pid;
};

static inline int hold_by_vmsplice(struct hold *hold, void *page)
{
	struct iovec iov = { page, HOLD_PAGE_BYTES };
	int fds[2], r = 0;

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	hold->fd = fds[0];
	hold->other = fds[1];
	if (vmsplice(hold->other, &iov, 1, 0) != HOLD_PAGE_BYTES) {
		r = errno;
		close(hold->fd);
		close(hold->other);
	}

	return r;
}

static inline void drop_pipe(struct hold *hold)
{
	close(hold->fd);
	close(hold->other);
}

/* Its own header does not go together with those of the selftests. */
#define URING_PARAMS_BYTES		120
#define URING_REGISTER_BUFFERS		0
#define URING_UNREGISTER_BUFFERS	1

static inline int hold_by_io_uring(struct hold *hold, void *page)
{
	char params[URING_PARAMS_BYTES] = {};
	struct iovec iov = { page, HOLD_PAGE_BYTES };
	int r = 0;

	hold->fd = syscall(__NR_io_uring_setup, 4, params);
	if (hold->fd < 0)
		return errno;
	if (syscall(__NR_io_uring_register, hold->fd, URING_REGISTER_BUFFERS,
		    &iov, 1)) {
		r = errno;
		close(hold->fd);
	}

	return r;
}

/* Closed, a ring goes away some time later; its buffers are wanted now. */
static inline void drop_io_uring(struct hold *hold)
{
	syscall(__NR_io_uring_register, hold->fd, URING_UNREGISTER_BUFFERS,
		NULL, 0);
	close(hold->fd);
}

/* Only what a child of a process with threads may call. */
static inline void hold_in_child(const int *fds, void *page)
{
	struct hold hold;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = hold_by_vmsplice(&hold, page);
	if (write(fds[1], &r, sizeof(r)) == sizeof(r) && !r)
		for (;;)
			pause();
	_exit(1);
}

/* Another process, which has the page by its own mapping. */
static inline int hold_by_process(struct hold *hold, void *page)
{
	int fds[2], r = 0;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	hold->pid = fork();
	if (!hold->pid)
		hold_in_child(fds, page);
	if (hold->pid < 0)
		r = errno;
	/* Its end of the pipe is the last one: if it dies, it is heard of. */
	close(fds[1]);
	if (!r) {
		while ((n = read(fds[0], &r, sizeof(r))) < 0 && errno == EINTR)
			;
		if (n != sizeof(r))
			r = ECHILD;
		if (r) {
			kill(hold->pid, SIGKILL);
			waitpid(hold->pid, NULL, 0);
		}
	}
	close(fds[0]);

	return r;
}

static inline void drop_process(struct hold *hold)
{
	kill(hold->pid, SIGKILL);
	while (waitpid(hold->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The kernel's mm/gup_test.h, which is not among the headers for programs. */
struct hold_pin {
	uint64_t addr;
	uint64_t size;
	uint32_t flags;
};

#define PIN_START	_IOW('g', 7, struct hold_pin)
#define PIN_STOP	_IO('g', 8)
#define PIN_WRITE	1

/* The kernel's test of pins has one for all who ask: EBUSY if it is taken. */
static inline int hold_by_gup_test(struct hold *hold, void *page)
{
	struct hold_pin pin = {
		.addr = (uintptr_t)page,
		.size = HOLD_PAGE_BYTES,
		.flags = PIN_WRITE,
	};
	int r = 0;

	hold->fd = open(GUP_TEST, O_RDWR | O_CLOEXEC);
	if (hold->fd < 0)
		return errno;
	if (ioctl(hold->fd, PIN_START, &pin)) {
		r = errno == EINVAL ? EBUSY : errno;
		close(hold->fd);
	}

	return r;
}

static inline void drop_gup_test(struct hold *hold)
{
	ioctl(hold->fd, PIN_STOP);
	close(hold->fd);
}

/*
 * A file system of one file, which is its root, for a server that has @dev.  It
 * is mounted nowhere: it goes with the last that has it open.  Returns its fd, or
 * -1 and errno.
 */
static inline int mount_file(int dev)
{
	char fd[16], mode[16], uid[16], gid[16];
	int fs = fsopen("fuse", FSOPEN_CLOEXEC), mnt = -1, r;

	if (fs < 0)
		return -1;
	snprintf(fd, sizeof(fd), "%d", dev);
	snprintf(mode, sizeof(mode), "%o", S_IFREG | 0400);
	snprintf(uid, sizeof(uid), "%u", geteuid());
	snprintf(gid, sizeof(gid), "%u", getegid());
	if (!fsconfig(fs, FSCONFIG_SET_STRING, "fd", fd, 0) &&
	    !fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", mode, 0) &&
	    !fsconfig(fs, FSCONFIG_SET_STRING, "user_id", uid, 0) &&
	    !fsconfig(fs, FSCONFIG_SET_STRING, "group_id", gid, 0) &&
	    !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	r = errno;
	close(fs);
	errno = r;

	return mnt;
}

/*
 * Only what a child of a process with threads may call.  A reader cannot be
 * killed while a server has its request, so no reader may have the device of a
 * server, its own or another: it is closed when the server dies, and that ends
 * the read.
 */
static inline void read_in_child(int mnt, void *page)
{
	int fd;

	if (dup2(mnt, 0) || close_range(1, ~0U, 0))
		_exit(1);
	fd = open("/proc/self/fd/0", O_RDONLY | O_DIRECT);
	_exit(read(fd, page, HOLD_PAGE_BYTES) < 0);
}

/* Answer all that comes before the read, and not the read. */
static inline int serve_until_read(int dev)
{
	union {
		struct fuse_in_header head;
		char bytes[FUSE_MIN_READ_BUFFER];
	} in;
	struct {
		struct fuse_out_header head;
		union {
			struct fuse_init_out init;
			struct fuse_open_out open;
		};
	} out;

	for (;;) {
		if (read(dev, &in, sizeof(in)) < 0) {
			if (errno == EINTR)
				continue;
			/* The file system is gone, and so is the reader. */
			return ECHILD;
		}
		if (in.head.opcode == FUSE_READ)
			return 0;
		memset(&out, 0, sizeof(out));
		out.head.unique = in.head.unique;
		out.head.len = sizeof(out.head);
		if (in.head.opcode == FUSE_INIT) {
			out.init.major = FUSE_KERNEL_VERSION;
			out.init.minor = FUSE_KERNEL_MINOR_VERSION;
			out.head.len += sizeof(out.init);
		} else if (in.head.opcode == FUSE_OPEN) {
			/* Otherwise the kernel asks for the file's size first. */
			out.open.open_flags = FOPEN_DIRECT_IO;
			out.head.len += sizeof(out.open);
		} else {
			out.head.error = -ENOSYS;
		}
		if (write(dev, &out, out.head.len) < 0)
			return errno;
	}
}

/* No server, no answer: the read fails, and lets go before the reader ends. */
static inline void drop_o_direct(struct hold *hold)
{
	close(hold->fd);
	drop_process(hold);
}

/*
 * A read by O_DIRECT has the page until it is answered, and it is we who answer:
 * the file is one of FUSE.
 */
static inline int hold_by_o_direct(struct hold *hold, void *page)
{
	int mnt, r = 0;

	hold->fd = open(FUSE_DEV, O_RDWR | O_CLOEXEC);
	if (hold->fd < 0)
		return errno;
	mnt = mount_file(hold->fd);
	if (mnt < 0) {
		r = errno;
		close(hold->fd);
		return r;
	}
	hold->pid = fork();
	if (!hold->pid)
		read_in_child(mnt, page);
	if (hold->pid < 0)
		r = errno;
	/* The reader is the last that has it: if it dies, it is heard of. */
	close(mnt);
	if (r) {
		close(hold->fd);
		return r;
	}
	r = serve_until_read(hold->fd);
	if (r)
		drop_o_direct(hold);

	return r;
}

/**
 * struct hold_way - a way to hold a page
 * @name: what the user calls it
 * @needs: a file that must exist for it, or NULL
 * @advice: what to do if it does not
 * @take: hold a page, mapped and shared; returns 0 or an errno
 * @drop: let go of it; nothing has it when this returns
 */
struct hold_way {
	const char *name;
	const char *needs;
	const char *advice;
	int (*take)(struct hold *hold, void *page);
	void (*drop)(struct hold *hold);
};

#define NR_HOLD_WAYS	5

static const struct hold_way hold_ways[NR_HOLD_WAYS] = {
	{ "vmsplice", NULL, NULL, hold_by_vmsplice, drop_pipe },
	{ "io_uring", NULL, NULL, hold_by_io_uring, drop_io_uring },
	{ "process", NULL, NULL, hold_by_process, drop_process },
	{ "o_direct", FUSE_DEV, "load fuse, or boot a kernel that has CONFIG_FUSE_FS=y",
	  hold_by_o_direct, drop_o_direct },
	{ "gup_test", GUP_TEST, "mount debugfs, with a kernel that has CONFIG_GUP_TEST=y",
	  hold_by_gup_test, drop_gup_test },
};

#endif /* HOLD_H */
