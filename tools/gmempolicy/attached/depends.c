// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each mount of type bpf that is not a bind mount is a file system of its own,
 * with a device number of its own.  It is the host's if process 1 of the initial
 * PID namespace has it mounted, wherever.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "attached/depends.h"
#include "attached/pins.h"
#include "gmem_common.h"

/* PROC_PID_INIT_INO: the same since Linux 3.8, and userspace relies on it. */
#define INITIAL_PID_NS	0xEFFFFFFCU

enum depends_on depends_find(const char *mounts, unsigned int major,
			     unsigned int minor)
{
	enum depends_on found = DEPENDS_NAMESPACE;
	unsigned int a, b;
	size_t room = 0;
	char *line = NULL;
	FILE *file;

	file = fopen(mounts, "re");
	if (!file)
		return DEPENDS_UNKNOWN;
	/* "36 35 98:0 ...": who mounts chooses what comes behind that. */
	while (getline(&line, &room, file) >= 0) {
		if (sscanf(line, "%*u %*u %u:%u ", &a, &b) == 2 &&
		    a == major && b == minor)
			found = DEPENDS_HOST;
	}
	if (ferror(file))
		found = DEPENDS_UNKNOWN;
	free(line);
	fclose(file);
	return found;
}

/* /proc may be that of any PID namespace, whatever ours is. */
static bool sees_host(void)
{
	struct stat st;

	return !stat("/proc/1/ns/pid", &st) && st.st_ino == INITIAL_PID_NS;
}

void depends_tell(void)
{
	enum depends_on on = DEPENDS_UNKNOWN;
	struct stat st;

	if (stat(PINS_ROOT, &st))
		return;
	if (sees_host())
		on = depends_find("/proc/1/mountinfo", major(st.st_dev),
				  minor(st.st_dev));
	switch (on) {
	case DEPENDS_HOST:
		break;
	case DEPENDS_NAMESPACE:
		gmem_err("the BPF file system at " PINS_ROOT " is in a mount namespace of its own, and the policy ends with that; to have it stay, attach it on the host, or with the host's " PINS_ROOT " mounted there");
		break;
	case DEPENDS_UNKNOWN:
		gmem_err("cannot tell whether the BPF file system at " PINS_ROOT " is the host's, since the host's processes are not to be seen here; if it is the container's own, the policy ends with the container");
		break;
	}
}
