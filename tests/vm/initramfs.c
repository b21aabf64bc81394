// SPDX-License-Identifier: GPL-2.0-only
/*
 * Process 1 of an initramfs, for a kernel that has the test VM's drivers as modules:
 * loads what is in /modules, mounts the root file system that the command line
 * names, and becomes the program that is to be process 1 there.  It finds no device
 * and starts no other program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULES		"/modules"
#define ROOT		"/root"

/* A device that was just found has a driver by then. */
#define TRIES		100
#define PAUSE_US	100000

/* tests/vm/run looks for such a line.  Without process 1 the kernel ends. */
__attribute__((format(printf, 1, 2), noreturn))
static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("gmem-init: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\n", stderr);
	va_end(ap);
	exit(1);
}

static void load_module(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), MODULES "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("cannot open %s: %s", path, strerror(errno));
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		fail("cannot load %s: %s", name, strerror(errno));
	close(fd);
}

/* Their names say the order. */
static void load_modules(void)
{
	struct dirent **names;
	int i, n = scandir(MODULES, &names, NULL, alphasort);

	if (n < 0)
		fail("cannot read " MODULES ": %s", strerror(errno));
	for (i = 0; i < n; i++)
		if (names[i]->d_name[0] != '.')
			load_module(names[i]->d_name);
}

/* What the kernel's command line says of @name, which it must. */
static char *word(const char *line, const char *name)
{
	size_t length = strlen(name);
	const char *p;
	char *value;

	for (p = line; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
		if (strncmp(p, name, length) || p[length] != '=')
			continue;
		p += length + 1;
		value = strndup(p, strcspn(p, " \n"));
		if (!value)
			fail("out of memory");
		return value;
	}
	fail("no %s= on the kernel's command line", name);
}

static void mount_root(const char *line)
{
	const char *root = word(line, "root"), *type = word(line, "rootfstype");
	const char *flags = word(line, "rootflags");
	int tries = 0;

	while (mount(root, ROOT, type, MS_RDONLY, flags)) {
		if (errno != ENOENT || ++tries == TRIES)
			fail("cannot mount the root %s: %s", root, strerror(errno));
		usleep(PAUSE_US);
	}
}

int main(int argc, char **argv)
{
	static char line[4096];
	FILE *f;

	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("cannot mount /proc: %s", strerror(errno));
	f = fopen("/proc/cmdline", "r");
	if (!f || !fgets(line, sizeof(line), f))
		fail("cannot read /proc/cmdline: %s", strerror(errno));
	fclose(f);

	load_modules();
	mount_root(line);
	/* What is in the initramfs takes memory until the end: it is little. */
	if (umount("/proc") || chdir(ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot("."))
		fail("cannot change to the root: %s", strerror(errno));
	argv[0] = word(line, "init");
	execv(argv[0], argv);
	fail("cannot run %s: %s", argv[0], strerror(errno));
}
