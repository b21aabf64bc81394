// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where gmemtop export listens, by the address that it is given.  Not here:
 * what it answers, which takes a kernel with the hooks (tests/cli).
 */
#include "../../tools/gmemtop/export/listen.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

#include <arpa/inet.h>

#include "kselftest_harness.h"

static unsigned short port_of(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	/* The port of both families is at the same place. */
	if (getsockname(fd, (struct sockaddr *)&addr, &len))
		return 0;
	return ntohs(addr.sin6_port);
}

static bool reaches_v4(unsigned short port)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool ok = !connect(fd, (const struct sockaddr *)&addr, sizeof(addr));

	close(fd);
	return ok;
}

static bool reaches_v6(unsigned short port)
{
	const struct sockaddr_in6 addr = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool ok = !connect(fd, (const struct sockaddr *)&addr, sizeof(addr));

	close(fd);
	return ok;
}

static bool have_v6(void)
{
	const struct sockaddr_in6 addr = {
		.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool ok = fd >= 0 &&
		  !bind(fd, (const struct sockaddr *)&addr, sizeof(addr));

	close(fd);
	return ok;
}

/* The errors are lines on stderr, which the CLI tests read. */
static int listen_quietly(const char *address)
{
	int saved = dup(STDERR_FILENO), fd;

	freopen("/dev/null", "w", stderr);
	fd = export_listen(address);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return fd;
}

TEST(ipv4)
{
	int fd = export_listen("127.0.0.1:0");

	ASSERT_GE(fd, 0);
	EXPECT_TRUE(reaches_v4(port_of(fd)));
	EXPECT_FALSE(reaches_v6(port_of(fd)));
	close(fd);
}

TEST(ipv6)
{
	int fd;

	if (!have_v6())
		SKIP(return, "this machine has no IPv6");
	fd = export_listen("[::1]:0");
	ASSERT_GE(fd, 0);
	EXPECT_TRUE(reaches_v6(port_of(fd)));
	EXPECT_FALSE(reaches_v4(port_of(fd)));
	close(fd);
	/* All of IPv6 is not all of the host. */
	fd = export_listen("[::]:0");
	ASSERT_GE(fd, 0);
	EXPECT_TRUE(reaches_v6(port_of(fd)));
	EXPECT_FALSE(reaches_v4(port_of(fd)));
	close(fd);
}

TEST(all_addresses)
{
	int fd = export_listen(":0");

	ASSERT_GE(fd, 0);
	EXPECT_TRUE(reaches_v4(port_of(fd)));
	if (have_v6())
		EXPECT_TRUE(reaches_v6(port_of(fd)));
	close(fd);
}

TEST(wrong_usage)
{
	static const char *const bad[] = {
		"", "x", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 1", "::1:9753",
		"[::1]", "[::1]9753", "::",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(-GMEM_EXIT_USAGE, listen_quietly(bad[i]));
}

TEST(refused_by_the_host)
{
	int fd = export_listen("127.0.0.1:0");
	char busy[32];

	ASSERT_GE(fd, 0);
	snprintf(busy, sizeof(busy), "127.0.0.1:%u", port_of(fd));
	EXPECT_EQ(-GMEM_EXIT_FAIL, listen_quietly(busy));
	close(fd);
	/* A port that was in use a moment ago is no obstacle. */
	fd = export_listen(busy);
	EXPECT_GE(fd, 0);
	close(fd);
	/* 192.0.2.0/24 is nobody's: for documentation. */
	EXPECT_EQ(-GMEM_EXIT_FAIL, listen_quietly("192.0.2.1:0"));
}

TEST_HARNESS_MAIN
