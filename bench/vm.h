/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM with private memory, as the benches convert it and fault it in.  A
 * figure is what the ioctl costs.
 */
#ifndef GMEM_BENCH_VM_H
#define GMEM_BENCH_VM_H

#include "kvm_util.h"
#include "processor.h"

#include "bench.h"

#define DATA_GPA	(4ULL << 30)
#define DATA_SLOT	10
#define DATA_SIZE	(1ULL << 30)
#define BLOCK_SIZE	(2ULL << 20)

/*
 * A guest has this whole program loaded.  The library takes the number for pages that
 * only want page tables, and makes the guest larger by one for each 256.
 */
#define VM_EXTRA_PAGES	(256 * 512)

/* @size bytes of private memory at DATA_GPA, still shared. */
static inline struct kvm_vm *bench_vm(uint64_t size, void *guest_code,
				      struct kvm_vcpu **vcpu)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_vm *vm;

	vm = __vm_create_shape_with_one_vcpu(shape, vcpu, VM_EXTRA_PAGES, guest_code);
	/* Shared memory is not reserved, so a VM may have more than there is. */
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_SHMEM, DATA_GPA, DATA_SLOT,
				    size / PAGE_SIZE, KVM_MEM_GUEST_MEMFD);

	return vm;
}

static inline uint64_t bench_convert(struct kvm_vm *vm, uint64_t offset,
				     uint64_t size, bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = DATA_GPA + offset,
		.size = size,
	};
	uint64_t began, ended;
	int r;

	began = bench_now();
	r = ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attr);
	ended = bench_now();
	BENCH_MUST(!r, "convert memory");

	return ended - began;
}

static inline int bench_data_fd(struct kvm_vm *vm)
{
	return memslot2region(vm, DATA_SLOT)->region.guest_memfd;
}

static inline void bench_populate(struct kvm_vm *vm, uint64_t size)
{
	BENCH_MUST(!fallocate(bench_data_fd(vm), FALLOC_FL_KEEP_SIZE, 0, size),
		   "populate memory");
}

/* Frees the first @size bytes. */
static inline void bench_punch(struct kvm_vm *vm, uint64_t size)
{
	BENCH_MUST(!fallocate(bench_data_fd(vm),
			      FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0,
			      size), "punch a hole");
}

/* Maps bytes that are all private, as faults of the guest would. */
static inline uint64_t bench_prefault(struct kvm_vcpu *vcpu, uint64_t offset,
				      uint64_t size)
{
	struct kvm_pre_fault_memory range = {
		.gpa = DATA_GPA + offset,
		.size = size,
	};
	uint64_t began, ended;

	began = bench_now();
	while (range.size) {
		BENCH_MUST(!ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, &range) ||
			   errno == EINTR, "prefault memory");
	}
	ended = bench_now();

	return ended - began;
}

#endif /* GMEM_BENCH_VM_H */
