// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a VM's name is found in its monitor's command line.
 */
#include <stdarg.h>

#include "kselftest_harness.h"

#include "../../tools/lib/gmem_process.c"
#include "../../tools/lib/gmem_common.c"

/* Words with a '|' between them; a NUL ends each, as in /proc/PID/cmdline. */
static const char *name_of(const char *words)
{
	static char args[512], name[64];
	size_t i, len = strlen(words) + 1;

	memcpy(args, words, len);
	for (i = 0; i < len; i++)
		if (args[i] == '|')
			args[i] = '\0';
	args[len] = '\0';
	return process_vm_name(args, len, name, sizeof(name));
}

TEST(qemu)
{
	EXPECT_STREQ(name_of("/usr/bin/qemu-system-x86_64|-name|web"), "web");
	EXPECT_STREQ(name_of("qemu-kvm|-m|1G|-name|guest=web,debug-threads=on|-x"), "web");
	EXPECT_STREQ(name_of("kvm|--name|debug-threads=on,guest=web"), "web");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name=web"), "web");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|web,process=x"), "web");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|guest=a,,b,x=y"), "a,b");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|debug-threads=on"), "");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-m|1G"), "");
}

TEST(crosvm)
{
	EXPECT_STREQ(name_of("crosvm|run|--name|web"), "web");
	EXPECT_STREQ(name_of("/opt/crosvm|run|--name=web|--socket|/x.sock"), "web");
	EXPECT_STREQ(name_of("crosvm|run|--socket|/run/vm/db.sock"), "db");
}

TEST(cloud_hypervisor)
{
	EXPECT_STREQ(name_of("cloud-hypervisor|--api-socket|/run/web.sock"), "web");
	EXPECT_STREQ(name_of("cloud-hypervisor|--api-socket=path=/run/libvirt/ch/db-socket"), "db");
	/* As libvirt starts it. */
	EXPECT_STREQ(name_of("cloud-hypervisor|-v|--api-socket|fd=20|--event-monitor|path=/run/libvirt/ch/web-event-monitor-fifo"), "web");
	EXPECT_STREQ(name_of("cloud-hypervisor|--api-socket=fd=20|--event-monitor=path=/run/libvirt/ch/web-1-event-monitor-fifo"), "web-1");
	/* Nothing there that names the VM. */
	EXPECT_STREQ(name_of("cloud-hypervisor|--api-socket|fd=20"), "");
	EXPECT_STREQ(name_of("cloud-hypervisor|--api-socket|fd=20|--event-monitor|fd=21"), "");
	EXPECT_STREQ(name_of("cloud-hypervisor|--event-monitor|path=/tmp/events"), "");
	EXPECT_STREQ(name_of("cloud-hypervisor|--event-monitor|path=/tmp/-event-monitor-fifo"), "");
}

TEST(not_a_monitor_we_know)
{
	EXPECT_STREQ(name_of("firecracker|-name|web"), "");
	EXPECT_STREQ(name_of("sh|-c|qemu-system-x86_64 -name web"), "");
}

TEST(what_makes_no_sense)
{
	char name[8];

	/* The option is the last word, or the words are cut short. */
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name"), "");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|"), "");
	EXPECT_STREQ(name_of("|"), "");
	EXPECT_STREQ(name_of(""), "");
	EXPECT_STREQ(process_vm_name("", 0, name, sizeof(name)), "");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|a\x1b[31m\nb"), "a?[31m?b");
	/* A name that is too long is cut. */
	EXPECT_STREQ(process_vm_name("qemu\0-name\0abcdefghijkl", 23, name,
				     sizeof(name)), "abcdefg");
}

TEST_HARNESS_MAIN
