// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest_memfd's inode in the hands of somebody who has not its file: without
 * its mount, as inotify has it, or by an O_PATH descriptor.  Neither must harm
 * the host.
 */
#include <sys/inotify.h>
#include <sys/wait.h>

#include "gmem_test.h"
#include "../kvm/frames.h"

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

/* The host finds that a page is broken which nobody's file has any more. */
static void break_page(struct __test_metadata *_metadata, bool vm_dies)
{
	struct puppet_bpf *p = new_puppet("broken", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = new_vm(&vcpu, 1);
	int fd = data_fd(vm), path_fd, r;
	char path[64], pfn[32];
	uint64_t pfns[1];

	ASSERT_EQ(convert(vm, 0, DATA_PAGES, true), 0);
	frames_trace();
	vcpu_run(vcpu);
	ASSERT_EQ(frames_read(DATA_GPA / PAGE_SIZE, 1, pfns), 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	path_fd = open(path, O_PATH);
	ASSERT_GE(path_fd, 0);
	/* Closes it; the library closes the descriptor once more. */
	ASSERT_EQ(dup2(path_fd, fd), fd);
	if (vm_dies)
		kvm_vm_free(vm);
	snprintf(pfn, sizeof(pfn), "%lu", pfns[0]);
	r = write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", pfn);
	EXPECT_TRUE(!r || r == EBUSY)
		TH_LOG("cannot break a page: %s", strerror(r));
	close(path_fd);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	if (!vm_dies)
		kvm_vm_free(vm);
}

TEST(broken_page_of_a_closed_file)
{
	break_page(_metadata, false);
}

TEST(broken_page_of_a_dead_vm)
{
	break_page(_metadata, true);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
