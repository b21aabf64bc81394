// SPDX-License-Identifier: GPL-2.0-only
/*
 * Beginnings, ends and readiness.  The service manager is told with one datagram,
 * as sd_notify(3) has it; a library for that would come with a dozen others, into
 * programs that run as root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_daemon.h"

#define TERMINAL	"/dev/tty"

static bool had_terminal;

static bool has_terminal(void)
{
	int fd = open(TERMINAL, O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void open_standard(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/*
		 * The lowest free number is this one.  The wrong way round: to
		 * write what nobody gets is still an error.
		 */
		open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
	}
}

static void on_end(int sig)
{
	_exit(128 + sig);
}

void gmem_start(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP };
	const struct sigaction action = { .sa_handler = on_end };
	struct sigaction old;
	size_t i;

	open_standard();
	had_terminal = !sigaction(SIGHUP, NULL, &old) &&
		       old.sa_handler != SIG_IGN && has_terminal();
	for (i = 0; getpid() == 1 && i < ARRAY_LEN(ends); i++)
		if (!sigaction(ends[i], NULL, &old) &&
		    old.sa_handler == SIG_DFL)
			sigaction(ends[i], &action, NULL);
}

void gmem_on_end(void (*handler)(int sig))
{
	const struct sigaction action = { .sa_handler = handler };
	struct sigaction old = {};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* There is no file to open again.  nohup(1) is for staying. */
	sigaction(SIGHUP, NULL, &old);
	if (old.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int notify_address(struct sockaddr_un *addr, socklen_t *len,
		       const char *path)
{
	size_t n = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || !path[1] ||
	    n >= sizeof(addr->sun_path))
		return -EINVAL;
	*addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
	memcpy(addr->sun_path, path, n);
	/* An abstract one begins with a NUL. */
	if (path[0] == '@')
		addr->sun_path[0] = '\0';
	*len = offsetof(struct sockaddr_un, sun_path) + n;
	return 0;
}

static int send_state(const char *path, const char *state)
{
	struct sockaddr_un addr;
	socklen_t len;
	int fd, err;

	err = notify_address(&addr, &len, path);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		     (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
	close(fd);
	return err;
}

void gmem_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int err;

	if (!path || !*path)
		return;
	err = send_state(path, state);
	if (err)
		gmem_err("cannot tell the service manager '%s' at NOTIFY_SOCKET=%s: %s; give it a unit of Type=notify that allows AF_UNIX, or unset NOTIFY_SOCKET",
			 state, path, strerror(-err));
}

void gmem_notify_reloading(void)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 gmem_now_ns() / 1000);
	gmem_notify(state);
}

bool gmem_hangup_ends(void)
{
	return had_terminal && !has_terminal();
}
