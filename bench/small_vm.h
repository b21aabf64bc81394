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
#include <sys/mman.h>

#include "bench.h"

#define SMALL_VM_PAGES	16

/*
 * With a vCPU and a guest_memfd in a memslot, all of it private and one page
 * populated, which is resident in the process, too.  Its three files stay open
 * until the process ends.
 */
static inline void bench_small_vm(int kvm)
{
	struct kvm_create_guest_memfd memfd = { .size = SMALL_VM_PAGES * 4096 };
	struct kvm_memory_attributes attr = {
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
		.size = SMALL_VM_PAGES * 4096,
	};
	struct kvm_userspace_memory_region2 slot = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = SMALL_VM_PAGES * 4096,
	};
	int vm, fd;
	char *mem;

	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	BENCH_MUST(vm >= 0, "create a VM");
	BENCH_MUST(ioctl(vm, KVM_CREATE_VCPU, 0UL) >= 0, "create a vCPU");
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &memfd);
	BENCH_MUST(fd >= 0, "create a guest_memfd");
	mem = mmap(NULL, slot.memory_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BENCH_MUST(mem != MAP_FAILED, "map the shared half");
	mem[0] = 1;
	slot.userspace_addr = (uintptr_t)mem;
	slot.guest_memfd = fd;
	BENCH_MUST(!ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &slot),
		   "add a memslot");
	BENCH_MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096),
		   "populate a page");
	BENCH_MUST(!ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr),
		   "convert memory");
}

#endif /* GMEM_BENCH_SMALL_VM_H */
