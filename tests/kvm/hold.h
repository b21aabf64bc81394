/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways to hold a page, as devices and other programs do: each takes a reference
 * to it that lasts until it is dropped, whatever becomes of the mapping.
 */
#ifndef HOLD_H
#define HOLD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD_PAGE_BYTES	4096

#define GUP_TEST	"/sys/kernel/debug/gup_test"

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

/**
 * struct hold_way - a way to hold a page
 * @name: what the user calls it
 * @needs: a file that must exist for it, or NULL
 * @take: hold a page, mapped and shared; returns 0 or an errno
 * @drop: let go of it; nothing has it when this returns
 */
struct hold_way {
	const char *name;
	const char *needs;
	int (*take)(struct hold *hold, void *page);
	void (*drop)(struct hold *hold);
};

#define NR_HOLD_WAYS	4

static const struct hold_way hold_ways[NR_HOLD_WAYS] = {
	{ "vmsplice", NULL, hold_by_vmsplice, drop_pipe },
	{ "io_uring", NULL, hold_by_io_uring, drop_io_uring },
	{ "process", NULL, hold_by_process, drop_process },
	{ "gup_test", GUP_TEST, hold_by_gup_test, drop_gup_test },
};

#endif /* HOLD_H */
