// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads /proc/PID.  What stands there was chosen by whoever runs the process,
 * so nothing of it is trusted to be short, printable or of the right form.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_process.h"

#define ARGS_MAX	16384

/* Reads at most @size - 1 bytes and ends them with a NUL; 0 if there are none. */
static size_t read_file(uint32_t pid, const char *file, char *dst, size_t size)
{
	char path[48];
	size_t len = 0;
	ssize_t r;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		while (len < size - 1 &&
		       (r = read(fd, dst + len, size - 1 - len)) > 0)
			len += r;
		close(fd);
	}
	dst[len] = '\0';
	return len;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The value of option @name ("--x") in the words after the first. */
static const char *option(const char *args, size_t len, const char *name)
{
	const char *word = args, *end = args + len;
	size_t n = strlen(name);

	for (;;) {
		word += strlen(word) + 1;
		if (word >= end)
			return NULL;
		if (!strncmp(word, name, n) && word[n] == '=')
			return word + n + 1;
		if (!strcmp(word, name)) {
			word += n + 1;
			return word < end ? word : NULL;
		}
	}
}

/* QEMU's "guest=NAME,debug-threads=on" or "NAME,..."; ",," is a comma. */
static void qemu_name(const char *value, char *dst, size_t size)
{
	size_t len = 0;

	while (*value) {
		size_t skip = strcspn(value, ",");
		const char *equals = memchr(value, '=', skip);

		if (!equals || !strncmp(value, "guest=", 6))
			break;
		value += skip + (value[skip] == ',');
	}
	if (!strncmp(value, "guest=", 6))
		value += 6;
	for (; *value && len + 1 < size; value++) {
		if (*value == ',' && *++value != ',')
			break;
		dst[len++] = *value;
	}
	dst[len] = '\0';
}

/* Cuts @ending off; false if it is not there, or all there is. */
static bool cut_ending(char *text, const char *ending)
{
	size_t len = strlen(text), n = strlen(ending);

	if (len <= n || strcmp(text + len - n, ending))
		return false;
	text[len - n] = '\0';
	return true;
}

/*
 * "path=/run/ch/web.sock" is "web", and so is the path alone.  "fd=20" is a
 * socket that the monitor was given open, and has no name.
 */
static void socket_name(const char *value, char *dst, size_t size)
{
	static const char *const endings[] = { ".sock", ".socket", "-socket" };
	size_t i;

	if (!strncmp(value, "fd=", 3))
		return;
	if (!strncmp(value, "path=", 5))
		value += 5;
	snprintf(dst, size, "%s", base_name(value));
	for (i = 0; i < ARRAY_LEN(endings); i++)
		cut_ending(dst, endings[i]);
}

/* What libvirt calls the pipe that it reads a monitor's events from. */
static void fifo_name(const char *value, char *dst, size_t size)
{
	if (strncmp(value, "path=", 5))
		return;
	snprintf(dst, size, "%s", base_name(value + 5));
	dst[strcspn(dst, ",")] = '\0';
	if (!cut_ending(dst, "-event-monitor-fifo"))
		*dst = '\0';
}

char *process_vm_name(const char *args, size_t len, char *dst, size_t size)
{
	const char *program, *value;
	char raw[256] = "";

	*dst = '\0';
	if (!len || args[len])
		return dst;
	program = base_name(args);
	if (!strncmp(program, "qemu", 4) || !strcmp(program, "kvm")) {
		value = option(args, len, "-name") ?:
			option(args, len, "--name");
		if (value)
			qemu_name(value, raw, sizeof(raw));
	} else if (!strcmp(program, "crosvm")) {
		value = option(args, len, "--name");
		if (value)
			snprintf(raw, sizeof(raw), "%s", value);
		else if ((value = option(args, len, "--socket")))
			socket_name(value, raw, sizeof(raw));
	} else if (!strcmp(program, "cloud-hypervisor")) {
		value = option(args, len, "--api-socket");
		if (value)
			socket_name(value, raw, sizeof(raw));
		value = option(args, len, "--event-monitor");
		if (!raw[0] && value)
			fifo_name(value, raw, sizeof(raw));
	}
	return gmem_printable(dst, size, raw);
}

/* The unified hierarchy's line, or that of the memory controller before it. */
static const char *cgroup_path(char *text)
{
	const char *found = NULL;
	char *line, *save;

	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "0::", 3) && (!found || line[4]))
			found = line + 3;
		else if (strstr(line, ":memory:"))
			found = strstr(line, ":memory:") + 8;
	}
	return found ?: "";
}

char *process_name(uint32_t pid, char *dst, size_t size)
{
	char *text = malloc(ARGS_MAX), found[256] = "";
	size_t len = 0;

	if (text) {
		len = read_file(pid, "cmdline", text, ARGS_MAX);
		process_vm_name(text, len, found, sizeof(found));
		len = read_file(pid, "comm", text, ARGS_MAX);
		/* A name may hold a newline; the last one is the file's. */
		if (len && text[len - 1] == '\n')
			text[len - 1] = '\0';
		if (found[0] || text[0])
			gmem_printable(dst, size, found[0] ? found : text);
		free(text);
	}
	/* The process may be gone while somebody else keeps the VM. */
	if (!dst[0])
		snprintf(dst, size, "-");
	return dst;
}

char *process_cgroup(uint32_t pid, char *dst, size_t size)
{
	char *text = malloc(ARGS_MAX);

	dst[0] = '\0';
	if (text && read_file(pid, "cgroup", text, ARGS_MAX))
		snprintf(dst, size, "%s", cgroup_path(text));
	free(text);
	return dst;
}

void process_describe(uint32_t pid, char *name, size_t name_size, char *cgroup,
		      size_t cgroup_size)
{
	char path[4096];

	process_name(pid, name, name_size);
	process_cgroup(pid, path, sizeof(path));
	if (path[0])
		gmem_printable(cgroup, cgroup_size, path);
	if (!cgroup[0])
		snprintf(cgroup, cgroup_size, "-");
}
