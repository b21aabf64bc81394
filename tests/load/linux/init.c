// SPDX-License-Identifier: GPL-2.0-only
/*
 * Process 1 of the guest that gmemboot boots: it uses some memory, tells what
 * /proc/meminfo says of it, and ends the guest, or idles if its last argument is
 * "stay".
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PAGE_SIZE	4096UL

/* Whoever waits for the last line gets to read why it doesn't come. */
static void fail(const char *what)
{
	printf("guest: cannot %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	exit(1);
}

/* In KiB. */
static unsigned long meminfo(const char *field)
{
	unsigned long value = 0;
	char line[128];
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	if (!f)
		fail("open /proc/meminfo");
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			value = strtoul(line + strlen(field) + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

/* A quarter of the memory, each page with a number of its own. */
static void use_memory(void)
{
	size_t i, size = meminfo("MemTotal") / 4 * 1024 / PAGE_SIZE * PAGE_SIZE;
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		fail("get memory");
	for (i = 0; i < size; i += PAGE_SIZE)
		*(volatile size_t *)(mem + i) = ~i;
	for (i = 0; i < size; i += PAGE_SIZE) {
		if (*(volatile size_t *)(mem + i) != ~i) {
			errno = EIO;
			fail("read back what is in memory");
		}
	}
}

int main(int argc, char **argv)
{
	/* Words that the kernel does not know come before. */
	bool stay = !strcmp(argv[argc - 1], "stay");
	struct utsname name;

	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("mount /proc");
	uname(&name);
	use_memory();
	printf("guest: %s %s\n", name.sysname, name.release);
	printf("guest: MemTotal %lu kB\n", meminfo("MemTotal"));
	printf("guest: MemFree %lu kB\n", meminfo("MemFree"));
	printf("guest: done\n");
	fflush(stdout);

	while (stay)
		pause();
	reboot(RB_AUTOBOOT);
	return 1;
}
