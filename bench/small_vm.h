/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM as small as can be, for benches of a host with very many: they count
 * VMs and never run one.  Not here: VMs that run (vm.h).
 */
#ifndef GMEM_BENCH_SMALL_VM_H
#define GMEM_BENCH_SMALL_VM_H

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "bench.h"

#define SMALL_VM_PAGES	16

/*
 * With a vCPU and a guest_memfd, all of it private and one page populated.
 * Its three files stay open until the process ends.
 */
static inline void bench_small_vm(int kvm)
{
	struct kvm_create_guest_memfd memfd = { .size = SMALL_VM_PAGES * 4096 };
	struct kvm_memory_attributes attr = {
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.size = SMALL_VM_PAGES * 4096,
	};
	int vm, fd;

	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	BENCH_MUST(vm >= 0, "create a VM");
	BENCH_MUST(ioctl(vm, KVM_CREATE_VCPU, 0UL) >= 0, "create a vCPU");
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &memfd);
	BENCH_MUST(fd >= 0, "create a guest_memfd");
	BENCH_MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096),
		   "populate a page");
	BENCH_MUST(!ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr),
		   "convert memory");
}

#endif /* GMEM_BENCH_SMALL_VM_H */
