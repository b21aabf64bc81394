// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket that the exporter listens on, from an address as people write it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "export/listen.h"
#include "gmem_common.h"

#define BACKLOG	64

static int bad_address(const char *address)
{
	gmem_err("--listen takes ADDRESS:PORT, such as 127.0.0.1:9753, [::1]:9753 or :9753 for all addresses, not '%s'",
		 address);
	return -GMEM_EXIT_USAGE;
}

/* Takes "HOST:PORT" or "[HOST]:PORT" apart. */
static int split_address(const char *address, char *host, size_t size,
			 const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t len;
	uint64_t n;

	if (!colon || gmem_parse_uint(colon + 1, &n) || n > 65535)
		return -1;
	*port = colon + 1;
	len = colon - address;
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	} else if (memchr(address, ':', len)) {
		/* Without brackets the last part could be either. */
		return -1;
	}
	if (len >= size)
		return -1;
	memcpy(host, address, len);
	host[len] = '\0';
	return 0;
}

static int open_socket(const struct addrinfo *info, bool all)
{
	const int on = 1, off = 0;
	int fd, err;

	fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* All addresses are those of IPv4, too. */
	if (info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, all ? &off : &on,
			   sizeof(on));
	if (!bind(fd, info->ai_addr, info->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static const char *remedy(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "stop what listens there, or choose another port";
	case EADDRNOTAVAIL:
		return "choose an address of this host";
	case EACCES:
		return "choose a port from 1024, or run it as root";
	default:
		return "choose another address";
	}
}

int export_listen(const char *address)
{
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found, *info;
	const char *port;
	char host[256];
	int err, fd = -1;

	if (split_address(address, host, sizeof(host), &port))
		return bad_address(address);
	err = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (err == EAI_NONAME || err == EAI_ADDRFAMILY || err == EAI_NODATA) {
		gmem_err("--listen: there is no host '%s'; give an address of this one",
			 host);
		return -GMEM_EXIT_FAIL;
	}
	if (err) {
		gmem_err("--listen: cannot look '%s' up: %s; give an address of this host in numbers",
			 host, gai_strerror(err));
		return -GMEM_EXIT_FAIL;
	}
	/* Of all addresses IPv6's serves both; a kernel without it has IPv4's. */
	for (info = found; info; info = info->ai_next)
		if (!*host && info->ai_family == AF_INET6)
			fd = open_socket(info, true);
	for (info = found; info && fd < 0 && fd != -EADDRINUSE;
	     info = info->ai_next)
		fd = open_socket(info, false);
	freeaddrinfo(found);
	if (fd < 0) {
		gmem_err("cannot listen on '%s': %s; %s", address, strerror(-fd),
			 remedy(-fd));
		return -GMEM_EXIT_FAIL;
	}
	return fd;
}
