// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler that the tools share: what it adds to the kernel's counters, and
 * what it can still do once its room and its privileges are fixed.
 */
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "gmem_test.h"

FIXTURE(sampler) {
	struct gmem_sampler *sampler;
	struct gmem_sample sample;
	struct gmem_policies policies;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

FIXTURE_SETUP(sampler)
{
	self->vm = new_vm(&self->vcpu, 8);
	self->sampler = gmem_sampler_open();
	ASSERT_NE(self->sampler, NULL);
}

FIXTURE_TEARDOWN(sampler)
{
	gmem_sample_free(&self->sample);
	gmem_policies_free(&self->policies);
	gmem_sampler_close(self->sampler);
	kvm_vm_free(self->vm);
}

static const struct gmem_vm_sample *by_pid(const struct gmem_sample *sample,
					   pid_t pid)
{
	size_t i;

	for (i = 0; i < sample->nr_vms; i++) {
		if (sample->vms[i].pid == (unsigned int)pid)
			return &sample->vms[i];
	}

	return NULL;
}

/* The second number of statm. */
static uint64_t resident(pid_t pid)
{
	unsigned long size = 0, pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "r");
	MUST(f, "cannot open %s", path);
	MUST(fscanf(f, "%lu %lu", &size, &pages) == 2, "cannot read %s", path);
	fclose(f);

	return pages;
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	MUST(!syscall(SYS_capset, &hdr, data), "cannot drop capabilities");
}

/* Where start_vmm()'s child has its VM, so that others can take it from it. */
#define VM_FD	100

/*
 * A child with an empty VM and @size bytes of memory, which stands still;
 * stop_vmm() ends it.
 */
static pid_t start_vmm(size_t size)
{
	int kvm, vm, status;
	pid_t pid;

	pid = fork();
	MUST(pid >= 0, "cannot fork");
	if (!pid) {
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		MUST(p != MAP_FAILED, "cannot allocate memory");
		kvm = open("/dev/kvm", O_RDWR);
		vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		MUST(vm >= 0 && dup2(vm, VM_FD) == VM_FD, "cannot create a VM");
		/* Running, it might still fault in pages of its code. */
		raise(SIGSTOP);
		_exit(0);
	}
	MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
	     "the child did not start");

	return pid;
}

static void stop_vmm(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F(sampler, resident_pages_are_those_of_proc)
{
	pid_t pid = start_vmm(40 << 20);
	const struct gmem_vm_sample *vm;

	ASSERT_EQ(gmem_sampler_read(self->sampler, &self->sample), 0);
	vm = by_pid(&self->sample, pid);
	ASSERT_NE(vm, NULL);
	EXPECT_EQ(vm->rss_pages, resident(pid));
	EXPECT_GE(vm->rss_pages, (40 << 20) / PAGE_SIZE);
	stop_vmm(pid);
}

TEST_F(sampler, a_vm_without_its_process_has_no_resident_pages)
{
	pid_t pid = start_vmm(1 << 20);
	const struct gmem_vm_sample *vm;
	int pidfd, kept;

	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_GE(pidfd, 0);
	kept = syscall(SYS_pidfd_getfd, pidfd, VM_FD, 0);
	ASSERT_GE(kept, 0);
	stop_vmm(pid);

	ASSERT_EQ(gmem_sampler_read(self->sampler, &self->sample), 0);
	vm = by_pid(&self->sample, pid);
	ASSERT_NE(vm, NULL);
	EXPECT_EQ(vm->rss_pages, 0);
	close(kept);
	close(pidfd);
}

TEST_F(sampler, one_call_reads_vms_and_policies)
{
	struct puppet_bpf *puppet = new_puppet("watched", 0, 10, 0);
	struct bpf_link *link = attach(puppet);

	ASSERT_EQ(gmem_sampler_read_all(self->sampler, &self->sample,
					&self->policies), 0);
	EXPECT_NE(by_pid(&self->sample, getpid()), NULL);
	EXPECT_NE(self->sample.time_ns, 0);
	ASSERT_EQ(self->policies.nr, 1);
	EXPECT_STREQ(self->policies.policies[0].name, "watched");
	bpf_link__destroy(link);
	puppet_bpf__destroy(puppet);

	ASSERT_EQ(gmem_sampler_read_all(self->sampler, &self->sample,
					&self->policies), 0);
	EXPECT_EQ(self->policies.nr, 0);
}

TEST_F(sampler, fixed_it_needs_no_capability)
{
	ASSERT_EQ(gmem_sampler_fix(self->sampler, 100, 20), 0);
	drop_capabilities();
	/* That nothing is left to load with. */
	EXPECT_EQ(gmem_sampler_open(), NULL);
	ASSERT_EQ(gmem_sampler_read_all(self->sampler, &self->sample,
					&self->policies), 0);
	EXPECT_NE(by_pid(&self->sample, getpid()), NULL);
}

TEST_F(sampler, fixed_it_refuses_what_does_not_fit_and_recovers)
{
	int kvm = open("/dev/kvm", O_RDWR), vms[GMEM_VMS_INITIAL], i;

	ASSERT_EQ(gmem_sampler_fix(self->sampler, 1, 1), 0);
	for (i = 0; i < GMEM_VMS_INITIAL; i++) {
		vms[i] = ioctl(kvm, KVM_CREATE_VM, 0);
		ASSERT_GE(vms[i], 0);
	}
	EXPECT_EQ(gmem_sampler_read_all(self->sampler, &self->sample,
					&self->policies), -E2BIG);
	EXPECT_EQ(self->sample.nr_vms, 0);

	close(vms[0]);
	ASSERT_EQ(gmem_sampler_read_all(self->sampler, &self->sample,
					&self->policies), 0);
	EXPECT_EQ(self->sample.nr_vms, GMEM_VMS_INITIAL);
	for (i = 1; i < GMEM_VMS_INITIAL; i++)
		close(vms[i]);
	close(kvm);
}

TEST_HARNESS_MAIN
