// SPDX-License-Identifier: GPL-2.0-only
/*
 * The holder: a child that outlives the tool.  Killing it ends its policies,
 * killing the tool does not; so in no case do they go on for longer than asked.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "attached/hold.h"
#include "attached/pins.h"
#include "gmem_clock.h"
#include "gmem_common.h"

/* How soon the holder notices that its policies were detached by others. */
#define LOOK_NS		(NSEC_PER_SEC / 2)

uint64_t hold_deadline(uint64_t ns)
{
	return gmem_clock_ns(CLOCK_BOOTTIME) + ns;
}

/* A note may have been replaced: the name is free once its link is gone. */
static void remove_note(const struct held *held)
{
	struct pin pin;

	if (!pins_find(held->name, &pin) && pin.is_note &&
	    pin.link_id == held->link_id)
		pins_remove(held->name);
}

static bool any_attached(const struct held *held, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!pins_link_is_gone(held[i].link_id))
			return true;
	}
	return false;
}

static void become_daemon(void)
{
	int null;

	setsid();
	if (chdir("/"))
		_exit(GMEM_EXIT_FAIL);
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_NAME, "gmempolicy-for");
}

static void hold(const struct held *held, size_t nr, uint64_t until_ns)
{
	struct timespec nap;
	uint64_t now;
	size_t i;
	int lock;

	while ((now = gmem_clock_ns(CLOCK_BOOTTIME)) < until_ns &&
	       any_attached(held, nr)) {
		uint64_t ns = until_ns - now < LOOK_NS ? until_ns - now :
							 LOOK_NS;

		nap.tv_sec = ns / NSEC_PER_SEC;
		nap.tv_nsec = ns % NSEC_PER_SEC;
		nanosleep(&nap, NULL);
	}
	/* First the policies, whatever else fails. */
	for (i = 0; i < nr; i++)
		bpf_link_detach(held[i].link);
	lock = pins_lock();
	for (i = 0; i < nr; i++)
		remove_note(&held[i]);
	if (lock >= 0)
		close(lock);
}

/* Whatever the parent has open, a lock or a pipe somebody reads, is not ours. */
static void close_others(const struct held *held, size_t nr)
{
	int fd, last = STDERR_FILENO;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (held[i].link > last)
			last = held[i].link;
	}
	for (fd = STDERR_FILENO + 1; fd < last; fd++) {
		for (i = 0; i < nr && held[i].link != fd; i++)
			;
		if (i == nr)
			close(fd);
	}
	close_range(last + 1, ~0U, 0);
}

int hold_until(const struct held *held, size_t nr, uint64_t until_ns)
{
	pid_t pid = fork();
	int err;

	if (pid > 0)
		return 0;
	if (pid < 0) {
		err = -errno;
		gmem_err("cannot start the process that ends the policy: %s; free memory or raise the limit of processes",
			 strerror(-err));
		return err;
	}
	close_others(held, nr);
	become_daemon();
	hold(held, nr, until_ns);
	_exit(GMEM_EXIT_OK);
}
