// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds the inode of a guest_memfd without its file and without its mount,
 * as inotify does, and lets go of it last.
 */
#include <sys/inotify.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define HANG_SECONDS	30

/* Whoever hangs cannot be killed: it is left behind. */
static bool child_ends(pid_t child)
{
	int tries, status;

	for (tries = 0; tries < HANG_SECONDS * 10; tries++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) && !WEXITSTATUS(status);
		usleep(100000);
	}

	return false;
}

static void watch_and_close(bool close_vm_first, bool remove)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = new_vm(&vcpu, 1);
	int inotify = inotify_init1(0), fd = data_fd(vm), watch;
	char path[64];

	MUST(!populate(vm, 0, DATA_PAGES), "cannot populate");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	watch = inotify_add_watch(inotify, path, IN_ALL_EVENTS);
	if (watch < 0)
		_exit(0);
	if (close_vm_first) {
		kvm_vm_free(vm);
		MUST(!usage().vm_id, "the VM is still there");
	} else {
		close(fd);
	}
	if (remove)
		inotify_rm_watch(inotify, watch);
	close(inotify);
	sync();
	_exit(0);
}

TEST(inotify_lets_go_last)
{
	pid_t child;
	int i;

	for (i = 0; i < 4; i++) {
		child = fork();
		if (!child)
			watch_and_close(i & 1, i & 2);
		ASSERT_TRUE(child_ends(child))
			TH_LOG("variant %d hangs", i);
	}
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
