// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a VM's name is found in its monitor's command line, and what is believed of
 * /proc.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "../../tools/lib/gmem_process.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

/* Words with a '|' between them; a NUL ends each, as in /proc/PID/cmdline. */
static const char *name_with(const char *words, const char *comm)
{
	static char args[8192], name[PROCESS_NAME_LEN];
	size_t i, len = strlen(words) + 1;

	memcpy(args, words, len);
	for (i = 0; i < len; i++)
		if (args[i] == '|')
			args[i] = '\0';
	args[len] = '\0';
	if (process_vm_name(args, len, comm, name, sizeof(name)))
		return "an error";
	return name;
}

static const char *name_of(const char *words)
{
	return name_with(words, NULL);
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
	/* What comes last counts, and an option that names no guest does not. */
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|a|-name|guest=b"), "b");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|a|--name|b"), "b");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|a|-name|debug-threads=on"), "a");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|guest=a,guest=b"), "b");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|a,,b=c,x=y"), "a,b=c");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|process=x,debug-threads=on"), "");
	/* Kata's. */
	EXPECT_STREQ(name_of("/opt/kata/bin/qemu-system-x86_64|-name|sandbox-4f0d1c2b3a495867768594a3b2c1d0e9f0e1d2c3b4a5968778695a4b3c2d1e0f,debug-threads=on"),
		     "sandbox-4f0d1c2b3a495867768594a3b2c1d0e9f0e1d2c3b4a5968778695a4b3c2d1e0f");
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

TEST(a_generic_socket_leaves_the_name_to_its_directory)
{
#define CH "cloud-hypervisor|--api-socket|"
	EXPECT_STREQ(name_of(CH "/run/vc/vm/4f0d/clh-api.sock"), "4f0d");
	EXPECT_STREQ(name_of(CH "/run/kata/4f0d/ch-api.sock"), "4f0d");
	EXPECT_STREQ(name_of(CH "path=/x/vm-6/ch.sock"), "vm-6");
	EXPECT_STREQ(name_of(CH "/run/kata/4f0d/root/clh.sock"), "4f0d");
	EXPECT_STREQ(name_of(CH "/srv/web-1/cloud-hypervisor.sock"), "web-1");
	EXPECT_STREQ(name_of(CH "/srv/web-1/API.socket"), "web-1");
	EXPECT_STREQ(name_of(CH "/srv//web-1///api.sock//"), "web-1");
	EXPECT_STREQ(name_of(CH "web-1/./api.sock"), "web-1");
	EXPECT_STREQ(name_of(CH "/run/web-1/"), "web-1");
	/* Not generic, but for a part of it. */
	EXPECT_STREQ(name_of(CH "/run/x/api-7.sock"), "api-7");
	EXPECT_STREQ(name_of(CH "/run/x/vm1.sock"), "vm1");
	/* Nothing there that names the VM. */
	EXPECT_STREQ(name_of(CH "/run/ch.sock"), "");
	EXPECT_STREQ(name_of(CH "/tmp/../api.sock"), "");
	EXPECT_STREQ(name_of(CH "api.sock"), "");
	EXPECT_STREQ(name_of(CH "/"), "");
}

TEST(firecracker)
{
	EXPECT_STREQ(name_of("firecracker|--id|vm-7|--api-sock|/a"), "vm-7");
	EXPECT_STREQ(name_of("/usr/bin/firecracker-v1.7.0-x86_64|--id=vm-8"), "vm-8");
	EXPECT_STREQ(name_of("firecracker|--api-sock|/srv/jailer/firecracker/551e7604/root/run/firecracker.socket"), "551e7604");
	EXPECT_STREQ(name_of("firecracker|--id|anonymous-instance|--api-sock=/run/web.socket"), "web");
	EXPECT_STREQ(name_of("firecracker|--no-api|--config-file|x.json"), "");
}

TEST(other_monitors)
{
	EXPECT_STREQ(name_of("stratovirt|-name|sandbox-4f0d|-qmp|unix:/x/qmp.sock"), "sandbox-4f0d");
	EXPECT_STREQ(name_of("stratovirt|-qmp|unix:/run/vc/vm/4f0d/qmp.socket,server,nowait"), "4f0d");
	EXPECT_STREQ(name_of("stratovirt|-api-channel|unix:/run/web.sock"), "web");
	EXPECT_STREQ(name_of("/opt/kata/bin/containerd-shim-kata-v2|-namespace|k8s.io|-id|4f0d|-debug"), "4f0d");
	EXPECT_STREQ(name_of("containerd-shim-runc-v2|-namespace|k8s.io|-id|4f0d"), "");
	EXPECT_STREQ(name_of("dbs-cli|--api-sock-path|/run/web/api.sock|create"), "web");
	EXPECT_STREQ(name_of("krunvm|start|--cpus|2|--mem=1024|web|/bin/sh|-c"), "web");
	EXPECT_STREQ(name_of("krunvm|-v|2|list"), "");
	EXPECT_STREQ(name_of("krunkit|--restful-uri|unix:///run/web/restful.sock"), "web");
	EXPECT_STREQ(name_of("krunkit|--restful-uri|tcp://localhost:8081"), "");
	EXPECT_STREQ(name_of("lkvm|run|--name|web|-m|1"), "web");
	EXPECT_STREQ(name_of("crosvm|run|-s|/run/crosvm/web/crosvm.sock"), "web");
}

TEST(a_monitor_by_another_name)
{
	EXPECT_STREQ(name_of("/nix/store/x/bin/.cloud-hypervisor-wrapped|--api-socket|/run/web.sock"), "web");
	EXPECT_STREQ(name_of("/lib64/ld-linux-x86-64.so.2|--library-path|/x|/x/qemu-system-x86_64|-name|web"), "web");
	EXPECT_STREQ(name_with("vmm|--api-socket|/run/web.sock", "cloud-hyperviso"), "web");
	EXPECT_STREQ(name_with("vmm|-name|web", "qemu-system-x86"), "web");
	EXPECT_STREQ(name_with("vmm|-id|4f0d", "containerd-shim"), "4f0d");
	EXPECT_STREQ(name_with("vmm|-name|web", "perl"), "");
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
	EXPECT_EQ(0, process_vm_name("", 0, NULL, name, sizeof(name)));
	EXPECT_STREQ(name, "");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|a\x1b[31m\nb"), "a?[31m?b");
	/* UTF-8 is what it is, and what is none is not. */
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|fr\xc3\xbch-\xe2\x82\xac"), "fr\xc3\xbch-\xe2\x82\xac");
	EXPECT_STREQ(name_of("qemu-system-x86_64|-name|fr\xfch\xe2\x82"), "fr?h??");
	/* A name that is too long is none, rather than another one. */
	EXPECT_EQ(-ENAMETOOLONG, process_vm_name("qemu\0-name\0abcdefgh", 19,
						 NULL, name, sizeof(name)));
	EXPECT_STREQ(name, "");
}

TEST(as_long_as_a_name_may_be)
{
	static char words[2 * PROCESS_NAME_LEN] = "firecracker|--id|";
	size_t start = strlen(words);

	memset(words + start, 'x', PROCESS_NAME_MAX);
	EXPECT_STREQ(name_of(words), words + start);
	words[start + PROCESS_NAME_MAX] = 'x';
	EXPECT_STREQ(name_of(words), "an error");
	memcpy(words, "kvm|-smp|2|-name|", start);
	EXPECT_STREQ(name_of(words), "an error");
}

static uint64_t own_start(void)
{
	uint64_t ticks = 0;
	int dir = open("/proc/self", O_PATH);

	read_start(dir, &ticks);
	close(dir);
	return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

TEST(a_process_is_told_by_its_start)
{
	uint64_t start = own_start(), tick = 1000000000 / sysconf(_SC_CLK_TCK);
	char name[PROCESS_NAME_LEN];
	int dir;

	ASSERT_NE(start, 0);
	dir = process_open(getpid(), start + tick / 2);
	ASSERT_GE(dir, 0);
	EXPECT_EQ(0, process_name(dir, name, sizeof(name)));
	EXPECT_STREQ("process_test", name);
	close(dir);
	EXPECT_EQ(-ESRCH, process_open(getpid(), start - tick));
	EXPECT_EQ(-ESRCH, process_open(getpid(), start + tick));
	EXPECT_EQ(-ESRCH, process_open(getpid(), 0));
}

/* Its number may be another's by then; the directory is not. */
TEST(nothing_of_a_process_that_ends_meanwhile)
{
	char name[PROCESS_NAME_LEN];
	pid_t child = fork();
	uint64_t ticks;
	char path[32];
	int dir;

	if (!child) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d", child);
	dir = open(path, O_PATH);
	ASSERT_EQ(0, read_start(dir, &ticks));
	close(dir);
	dir = process_open(child, ticks * (1000000000 / sysconf(_SC_CLK_TCK)));
	ASSERT_GE(dir, 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	EXPECT_NE(0, process_name(dir, name, sizeof(name)));
	EXPECT_STREQ("", name);
	EXPECT_NE(0, process_cgroup(dir, name, sizeof(name)));
	close(dir);
}

/* A directory as /proc/PID, with what a kernel without version 2 has there. */
TEST(control_groups_of_version_1)
{
	static const struct {
		const char *text, *path;
	} rows[] = {
		{ "5:memory:/machine.slice/a\n0::/init.scope\n", "/machine.slice/a" },
		{ "9:cpu,memory,pids:/x\n", "/x" },
		{ "0::/a:memory:/b\n", NULL },
		{ "3:memoryx:/a\n2:name=memory:/b\n0::/\n", NULL },
		{ "1:memory:/a:b\n", "/a:b" },
		{ "memory\n", NULL }, { "", NULL },
	};
	char dir_name[] = "/tmp/process-test-XXXXXX", path[256], file[64];
	size_t i;
	int dir;
	FILE *f;

	ASSERT_NE(mkdtemp(dir_name), NULL);
	snprintf(file, sizeof(file), "%s/cgroup", dir_name);
	dir = open(dir_name, O_PATH);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		f = fopen(file, "w");
		fputs(rows[i].text, f);
		fclose(f);
		EXPECT_EQ(rows[i].path ? 0 : -ENOENT,
			  process_cgroup(dir, path, sizeof(path)));
		if (rows[i].path)
			EXPECT_STREQ(rows[i].path, path);
	}
	f = fopen(file, "w");
	fputs("1:memory:/long\n", f);
	fclose(f);
	EXPECT_EQ(-ENAMETOOLONG, process_cgroup(dir, path, 5));
	/* A name may look like what follows it. */
	unlink(file);
	snprintf(file, sizeof(file), "%s/stat", dir_name);
	f = fopen(file, "w");
	fputs("1 (a) S 1 (b) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23\n", f);
	fclose(f);
	{
		uint64_t ticks = 0;

		EXPECT_EQ(0, read_start(dir, &ticks));
		EXPECT_EQ(4711, ticks);
	}
	unlink(file);
	rmdir(dir_name);
	close(dir);
}

TEST_HARNESS_MAIN
