// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes each event of guest private memory happen a known number of times, for
 * tests/cli/tracing.bats to compare with what a tracer recorded.  It checks
 * nothing itself but that each step works.  Populate is missing, for no VM
 * that runs without confidential computing hardware has it; so are verdicts,
 * for there is no policy.
 */

#include "kvm_util.h"
#include "processor.h"

#include "frames.h"

#define GPA		0x10000000ULL
#define SLOT		10
#define NR_PAGES	16ULL
#define NR_TOUCHED	4ULL
/* The memslot maps the second half of the guest_memfd. */
#define FILE_PAGES	(2 * NR_PAGES)
#define FILE_INDEX	NR_PAGES

static void guest_code(uint64_t gpa, uint64_t nr)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < nr; i++)
			*(volatile uint8_t *)(gpa + i * PAGE_SIZE) = 1;
		GUEST_SYNC(nr);
	}
}

static void convert(struct kvm_vm *vm, uint64_t page, uint64_t nr, uint64_t attributes)
{
	vm_set_memory_attributes(vm, GPA + page * PAGE_SIZE, nr * PAGE_SIZE, attributes);
}

static void allocate(int fd, int mode, uint64_t page, uint64_t nr)
{
	int r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE, nr * PAGE_SIZE);

	TEST_ASSERT(!r, "fallocate failed: %s", strerror(errno));
}

int main(void)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_pre_fault_memory prefault = {
		.gpa = GPA + NR_TOUCHED * PAGE_SIZE,
		.size = 2 * PAGE_SIZE,
	};
	uint64_t pfns[NR_PAGES];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	char text[32];
	int fd, r;

	/* On one CPU, whose clock puts the events in order. */
	kvm_pin_this_task_to_pcpu(0);

	vm = vm_create_shape_with_one_vcpu(shape, &vcpu, guest_code);
	fd = vm_create_guest_memfd(vm, FILE_PAGES * PAGE_SIZE, 0);
	vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, GPA, SLOT, NR_PAGES, KVM_MEM_GUEST_MEMFD,
		   fd, FILE_INDEX * PAGE_SIZE);
	virt_map(vm, GPA, GPA, NR_PAGES);
	vcpu_args_set(vcpu, 2, GPA, NR_TOUCHED);

	convert(vm, 0, NR_PAGES, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	convert(vm, 0, NR_PAGES, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	frames_trace();
	vcpu_run(vcpu);
	TEST_ASSERT(frames_read(GPA / PAGE_SIZE, NR_PAGES, pfns) == NR_TOUCHED,
		    "the trace has not all faults");
	TEST_ASSERT(!__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &prefault) && !prefault.size,
		    "prefault failed: %s", strerror(errno));
	allocate(fd, 0, FILE_INDEX + 8, 3);
	/* Page 0 keeps its page, which is then found and not allocated. */
	convert(vm, 0, 2, 0);
	convert(vm, 0, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	allocate(fd, FALLOC_FL_PUNCH_HOLE, FILE_INDEX + 1, 1);
	convert(vm, 1, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	vcpu_run(vcpu);

	/* The host finds the guest's page 3 to be broken, and may not have it. */
	snprintf(text, sizeof(text), "%lu", pfns[3]);
	r = write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
	TEST_ASSERT(!r || r == EBUSY, "cannot break a page: %s", strerror(r));

	vm_mem_region_delete(vm, SLOT);
	close(fd);
	kvm_vm_free(vm);

	return 0;
}
