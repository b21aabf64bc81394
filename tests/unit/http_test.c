// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exporter's server and visitors that mean it no good, with an exposition
 * as large as thousands of VMs make it.  Not here: what is in it (tests/cli).
 */
#include "../../tools/gmemtop/export/http.c"
#include "../../tools/gmemtop/export/listen.c"
#include "../../tools/lib/gmem_clock.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#define EXPOSITION	(16 << 20)
#define DAWDLERS	100
/* What a scraper may have to wait, on a machine that is busy. */
#define SOON_MS		5000

/* Nobody manages this service. */
void gmem_notify(const char *state)
{
}

void gmem_notify_reloading(void)
{
}

bool gmem_hangup_ends(void)
{
	return true;
}

enum export_format export_accepts(const char *accept)
{
	return EXPORT_TEXT;
}

int exporter_sample(struct exporter *exporter, enum export_format format)
{
	if (!exporter->text.data)
		exporter->text.data = malloc(EXPOSITION);
	exporter->text.room = EXPOSITION;
	exporter->text.len = EXPOSITION;
	memset(exporter->text.data, 'x', EXPOSITION);
	return 0;
}

static struct sockaddr_in addr;

static int visit(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
	return fd;
}

static bool ended(int fd)
{
	char c;

	return !recv(fd, &c, 1, MSG_DONTWAIT) ||
	       (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Milliseconds that a scrape took, -1 if it was not answered in whole. */
static int scrape(void)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
	uint64_t began = now_ms();
	static char buffer[1 << 20];
	size_t len = 0;
	ssize_t r;
	int fd = visit();

	if (write(fd, request, strlen(request)) < 0)
		return -1;
	while ((r = read(fd, buffer, sizeof(buffer))) > 0)
		len += r;
	close(fd);
	return len > EXPOSITION ? (int)(now_ms() - began) : -1;
}

static long memory_of(pid_t pid)
{
	char path[32], line[128];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

FIXTURE(server) {
	pid_t pid;
};

FIXTURE_SETUP(server)
{
	const struct export_user user = { .name = "nobody" };
	socklen_t len = sizeof(addr);
	struct exporter exporter = {};
	int fd = export_listen("127.0.0.1:0");
	sigset_t set;

	getsockname(fd, (struct sockaddr *)&addr, &len);
	signal(SIGPIPE, SIG_IGN);
	self->pid = fork();
	if (!self->pid) {
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		sigprocmask(SIG_BLOCK, &set, NULL);
		freopen("/dev/null", "w", stdout);
		_exit(export_serve(&exporter, fd, &user));
	}
	close(fd);
}

FIXTURE_TEARDOWN(server)
{
	int status = -1;

	kill(self->pid, SIGTERM);
	waitpid(self->pid, &status, 0);
	EXPECT_EQ(0, status);
}

/* Sockets that say a little, and come again when they are ended. */
static pid_t start_dawdlers(const char *words)
{
	pid_t pid = fork();
	int fds[DAWDLERS], i;

	if (pid)
		return pid;
	for (i = 0; i < DAWDLERS; i++)
		fds[i] = -1;
	for (;;) {
		for (i = 0; i < DAWDLERS; i++) {
			if (fds[i] >= 0 && !ended(fds[i]))
				continue;
			close(fds[i]);
			fds[i] = visit();
			if (write(fds[i], words, strlen(words)) < 0)
				continue;
		}
		usleep(10000);
	}
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F_TIMEOUT(server, serves_while_dawdlers_reconnect, 120)
{
	pid_t pid = start_dawdlers("GET /metrics HTTP/1.1\r\nX: ");
	int i, ms;

	sleep(1);
	for (i = 0; i < 20; i++) {
		ms = scrape();
		EXPECT_GE(ms, 0);
		EXPECT_LT(ms, SOON_MS);
		usleep(200000);
	}
	end(pid);
}

TEST_F_TIMEOUT(server, those_who_do_not_read_share, 120)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	long most = 0, now;
	int i, ms, served = 0;
	pid_t pid;

	EXPECT_GE(scrape(), 0);
	pid = start_dawdlers(request);
	for (i = 0; i < 15; i++) {
		ms = scrape();
		served += ms >= 0 && ms < SOON_MS;
		now = memory_of(self->pid);
		most = now > most ? now : most;
		usleep(300000);
	}
	end(pid);
	/* On a machine that is busy, it may be taken for one of them. */
	EXPECT_GE(served, 12);
	/* Those on loan, and one that is about to go. */
	EXPECT_LT(most, (LOANS_MAX + 2) * (EXPOSITION >> 10));
	for (i = 0; i < 3; i++) {
		sleep(1);
		EXPECT_GE(scrape(), 0);
	}
	EXPECT_LT(memory_of(self->pid), 2 * (EXPOSITION >> 10));
}

TEST_F_TIMEOUT(server, half_a_head_is_ended_soon, 60)
{
	uint64_t began = now_ms();
	int fd = visit();

	if (write(fd, "GET /", 5) != 5)
		abort();
	while (!ended(fd) && now_ms() - began < 20000) {
		usleep(100000);
		/* A little now and then is no excuse. */
		send(fd, "x", 1, MSG_NOSIGNAL);
	}
	EXPECT_LT(now_ms() - began, HEAD_MS + SOON_MS);
	EXPECT_GE(now_ms() - began, HEAD_MS);
	close(fd);
}

TEST_HARNESS_MAIN
