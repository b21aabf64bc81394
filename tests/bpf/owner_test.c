// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a VM is: what the kernel says of the process and its cgroup, compared
 * with what /proc says, and never said of a process that is not the VM's.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "gmem_test.h"
#include "usage.skel.h"

static int new_raw_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm;

	MUST(kvm >= 0, "no /dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	MUST(vm >= 0, "no VM");
	close(kvm);

	return vm;
}

/* The newest VM of all: those that ran before are gone. */
static struct gmem_vm_sample newest(void)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_vm_sample found = {};
	struct gmem_sample sample = {};
	size_t i;

	MUST(sampler && !gmem_sampler_read(sampler, &sample), "no sample");
	for (i = 0; i < sample.nr_vms; i++) {
		if (sample.vms[i].vm_id > found.vm_id)
			found = sample.vms[i];
	}
	gmem_sample_free(&sample);
	gmem_sampler_close(sampler);

	return found;
}

/* Clock ticks since boot, which is the 22nd field. */
static uint64_t start_ticks(const char *path)
{
	FILE *f = fopen(path, "r");
	char text[1024], *at;
	uint64_t ticks;
	size_t len;
	int i;

	MUST(f, "no %s", path);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = 0;
	fclose(f);
	at = strrchr(text, ')');
	for (i = 0; i < 20; i++)
		at = strchr(at + 1, ' ');
	MUST(sscanf(at, " %lu", &ticks) == 1, "no start time");

	return ticks;
}

static uint64_t to_ticks(uint64_t ns)
{
	return ns / (1000000000 / sysconf(_SC_CLK_TCK));
}

TEST(the_process_that_made_it)
{
	int vm = new_raw_vm();
	struct gmem_vm_sample now = newest();

	EXPECT_EQ(now.owner_pid, (unsigned int)getpid());
	EXPECT_EQ(now.pid, (unsigned int)getpid());
	EXPECT_EQ(to_ticks(now.owner_start_ns), start_ticks("/proc/self/stat"));
	close(vm);
}

static void *make_vm(void *arg)
{
	*(int *)arg = new_raw_vm();
	return NULL;
}

static void *wait_for_word(void *arg)
{
	char c;

	MUST(read(*(int *)arg, &c, 1) == 1, "no word");
	exit(0);
}

/* A thread made it; then the first thread ends, and the process goes on. */
TEST(whatever_thread_made_it)
{
	int pipes[2], status, vm;
	struct gmem_vm_sample now;
	pthread_t thread;
	pid_t child;

	ASSERT_EQ(pipe(pipes), 0);
	child = fork();
	if (!child) {
		pthread_create(&thread, NULL, make_vm, &vm);
		pthread_join(thread, NULL);
		pthread_create(&thread, NULL, wait_for_word, &pipes[0]);
		pthread_exit(NULL);
	}
	do {
		usleep(20000);
		now = newest();
	} while (now.pid != (unsigned int)child);
	usleep(200000);
	now = newest();
	EXPECT_EQ(now.owner_pid, (unsigned int)child);
	ASSERT_EQ(write(pipes[1], "x", 1), 1);
	ASSERT_EQ(waitpid(child, &status, 0), child);
}

/* The VM outlives who made it, for somebody has its descriptor. */
TEST(a_process_that_is_gone)
{
	int status, vm = -1, sock[2];
	struct gmem_vm_sample now;
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	pid_t child;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sock), 0);
	child = fork();
	if (!child) {
		vm = new_raw_vm();
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &vm, sizeof(int));
		MUST(sendmsg(sock[1], &msg, 0) == 1, "cannot send");
		pause();
	}
	ASSERT_EQ(recvmsg(sock[0], &msg, 0), 1);
	EXPECT_EQ(newest().owner_pid, (unsigned int)child);
	kill(child, SIGKILL);
	/* Dead, and not yet waited for. */
	usleep(200000);
	EXPECT_EQ(newest().owner_pid, 0);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	now = newest();
	EXPECT_EQ(now.pid, (unsigned int)child);
	EXPECT_EQ(now.owner_pid, 0);
	EXPECT_EQ(now.owner_start_ns, 0);
	EXPECT_EQ(now.rss_pages, 0);
}

/* Its memory is not the VM's any more, and neither is its name. */
TEST(a_process_that_runs_another_program)
{
	int status, pipes[2];
	struct gmem_vm_sample now;
	pid_t child;

	ASSERT_EQ(pipe(pipes), 0);
	child = fork();
	if (!child) {
		int vm = new_raw_vm();

		fcntl(vm, F_SETFD, 0);
		dup2(pipes[0], 0);
		execlp("cat", "qemu-system-x86_64", NULL);
		_exit(1);
	}
	do {
		usleep(20000);
		now = newest();
	} while (now.pid != (unsigned int)child || now.owner_pid);
	EXPECT_NE(now.vm_id, 0);
	EXPECT_EQ(kill(child, 0), 0);
	kill(child, SIGKILL);
	ASSERT_EQ(waitpid(child, &status, 0), child);
}

/* In another PID namespace its number is another one, or it has none. */
TEST(other_pid_namespaces)
{
	struct gmem_vm_sample now;
	int vm = new_raw_vm(), inner, status;
	pid_t child, grandchild;

	child = fork();
	if (!child) {
		MUST(!unshare(CLONE_NEWPID), "no PID namespace");
		grandchild = fork();
		if (!grandchild) {
			MUST(getpid() == 1, "not the first of a namespace");
			now = newest();
			MUST(now.pid && !now.owner_pid && now.owner_start_ns,
			     "pid %u, here %u", now.pid, now.owner_pid);
			inner = new_raw_vm();
			now = newest();
			MUST(now.owner_pid == 1, "here %u", now.owner_pid);
			MUST(now.pid > 1, "pid %u", now.pid);
			close(inner);
			_exit(0);
		}
		waitpid(grandchild, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	close(vm);
}

/* A time namespace moves the time of boot, here and in /proc. */
TEST(other_time_namespaces)
{
	struct gmem_vm_sample now;
	int vm = new_raw_vm(), status, fd;
	char path[64];
	pid_t child, grandchild, parent = getpid();

	child = fork();
	if (!child) {
		MUST(!unshare(CLONE_NEWTIME), "no time namespace");
		fd = open("/proc/self/timens_offsets", O_WRONLY);
		MUST(write(fd, "boottime 1000 0", 15) == 15, "no offset");
		close(fd);
		grandchild = fork();
		if (!grandchild) {
			snprintf(path, sizeof(path), "/proc/%d/stat", parent);
			now = newest();
			MUST(to_ticks(now.owner_start_ns) == start_ticks(path),
			     "%lu and %lu", to_ticks(now.owner_start_ns),
			     start_ticks(path));
			MUST(now.owner_start_ns > 1000000000000ULL, "no offset");
			_exit(0);
		}
		waitpid(grandchild, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	close(vm);
}

static int read_cgroup(struct usage_bpf *skel)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->cgroup_vm_id = newest().vm_id;
	MUST(!bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_cgroup),
				     &opts), "cannot read the cgroup");

	return skel->bss->cgroup_len;
}

/* From the root, whatever cgroup namespace asks, and however long it is. */
TEST(its_cgroup)
{
	static const char base[] = CGROUPS "/gmem-owner";
	struct usage_bpf *skel = usage_bpf__open_and_load();
	char path[1024], name[201];
	int vm = new_raw_vm(), i;

	ASSERT_NE(skel, NULL);
	memset(name, 'x', 200);
	name[200] = 0;
	ASSERT_EQ(mkdir(base, 0700), 0);
	strcpy(path, base);
	for (i = 0; i < 4; i++) {
		strcat(path, "/");
		strcat(path, name);
		ASSERT_EQ(mkdir(path, 0700), 0);
	}
	strcat(path, "/cgroup.procs");
	must_write(path, "0");
	*strrchr(path, '/') = 0;
	EXPECT_EQ(read_cgroup(skel), strlen(path) - strlen(CGROUPS));
	EXPECT_STREQ(skel->bss->cgroup_path, path + strlen(CGROUPS));

	ASSERT_EQ(unshare(CLONE_NEWCGROUP), 0);
	read_cgroup(skel);
	EXPECT_STREQ(skel->bss->cgroup_path, path + strlen(CGROUPS));

	must_write(CGROUPS "/cgroup.procs", "0");
	EXPECT_EQ(read_cgroup(skel), 1);
	EXPECT_STREQ(skel->bss->cgroup_path, "/");
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(rmdir(path), 0);
		*strrchr(path, '/') = 0;
	}
	close(vm);
	usage_bpf__destroy(skel);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
