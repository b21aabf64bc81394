// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM as KVM has it: one vCPU, one memslot, and one guest_memfd behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../kvm/attributes2.h"
#include "gmemboot.h"

#define BOTH	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* A page that someone holds for a moment only is free again by then. */
#define CONVERT_TRIES		100
#define CONVERT_PAUSE_US	50000

#define MAX_CPUID	256

/* Below the 4 GiB's end, and in no guest's memory. */
#define TSS_GPA		0xfffbd000UL
#define MAP_GPA		0xfffbc000ULL

static int vm_ioctl(int fd, unsigned long request, const char *name, void *arg)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		die("%s: %s", name, strerror(errno));
	return r;
}

#define IOCTL(fd, request, arg)	vm_ioctl(fd, request, #request, (void *)(uintptr_t)(arg))

static void open_kvm(struct vm *vm)
{
	unsigned long type = vm->is_private ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM;
	int flags;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die("cannot open /dev/kvm: %s: load kvm_amd or kvm_intel, or run in a VM with tests/vm/run",
		    strerror(errno));
	if (!(ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES) & (1 << type)))
		die("KVM has no software-protected VMs: boot a kernel with CONFIG_KVM_SW_PROTECTED_VM=y");
	vm->fd = IOCTL(vm->kvm, KVM_CREATE_VM, type);

	flags = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);
	if (flags < 0 || (flags & BOTH) != BOTH)
		die("KVM has no guest_memfd that starts shared for this type of VM: %s",
		    vm->is_private ? "boot our kernel with kvm.gmem_in_place_conversion=1" :
				     "boot our kernel");
}

void vm_create(struct vm *vm)
{
	struct kvm_create_guest_memfd memfd = { .size = vm->size, .flags = BOTH };
	uint64_t map = MAP_GPA;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	open_kvm(vm);
	/* Intel's, for guests in real mode; others take no notice. */
	IOCTL(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &map);
	IOCTL(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA);
	IOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	IOCTL(vm->fd, KVM_CREATE_PIT2, &pit);

	vm->memfd = IOCTL(vm->fd, KVM_CREATE_GUEST_MEMFD, &memfd);
	vm->mem = mmap(NULL, vm->size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->memfd, 0);
	if (vm->mem == MAP_FAILED)
		die("cannot map the guest_memfd: %s", strerror(errno));
}

void vm_add_memory(struct vm *vm, void *hva)
{
	struct kvm_userspace_memory_region2 region = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = vm->size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = vm->memfd,
	};

	IOCTL(vm->fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

void vm_make_private(struct vm *vm)
{
	struct kvm_memory_attributes2 attr = {
		.size = vm->size,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int tries = 0;

	while (ioctl(vm->memfd, KVM_SET_MEMORY_ATTRIBUTES2, &attr)) {
		if (errno == ENOTTY)
			die("KVM cannot convert memory in place: boot with kvm.gmem_in_place_conversion=1");
		if (errno != EAGAIN && errno != EINTR)
			die("cannot make the memory private: KVM_SET_MEMORY_ATTRIBUTES2: %s",
			    strerror(errno));
		if (++tries == CONVERT_TRIES)
			die("cannot make the memory private: someone holds the page at 0x%llx",
			    (unsigned long long)attr.error_offset);
		usleep(CONVERT_PAUSE_US);
	}
}

/*
 * What the guest's processor does not have.  The guest has no devices in memory,
 * since for these KVM would have to read its instructions: no local APIC, and
 * nothing that asks for one.  The rest makes a start longer.
 */
static const struct {
	uint32_t function;
	uint32_t eax, ebx, ecx, edx;
} hidden[] = {
	/* MONITOR, FMA, x2APIC, TSC deadline, XSAVE, OSXSAVE, AVX, F16C; MCE, APIC, MTRR, MCA */
	{ 0x1, 0, 0, BIT(3) | BIT(12) | BIT(21) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29),
	  BIT(7) | BIT(9) | BIT(12) | BIT(14) },
	/* All that needs XSAVE, and more that no one needs here. */
	{ 0x7, 0, ~0U, ~0U, ~0U },
	/* Performance counters, XSAVE */
	{ 0xa, ~0U, ~0U, ~0U, ~0U },
	{ 0xd, ~0U, ~0U, ~0U, ~0U },
	/* SVM, extended APIC space, performance counters; as in the first */
	{ 0x80000001, 0, 0, BIT(2) | BIT(3) | BIT(23) | BIT(24) | BIT(28),
	  BIT(7) | BIT(9) | BIT(12) | BIT(14) },
};

static void set_cpuid(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int i, j;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	if (!cpuid)
		die("out of memory");
	cpuid->nent = MAX_CPUID;
	IOCTL(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		/* KVM tells of the processor that it was asked on. */
		if (e->function == 1)
			e->ebx &= 0xffffff;
		for (j = 0; j < sizeof(hidden) / sizeof(hidden[0]); j++) {
			if (hidden[j].function != e->function)
				continue;
			e->eax &= ~hidden[j].eax;
			e->ebx &= ~hidden[j].ebx;
			e->ecx &= ~hidden[j].ecx;
			e->edx &= ~hidden[j].edx;
		}
	}
	IOCTL(vm->vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
}

static void set_registers(struct vm *vm, uint64_t rip, uint64_t rsi, uint64_t tables, uint64_t gdt)
{
	/* As the boot protocol has them: flat, and by these selectors. */
	const struct kvm_segment code = {
		.selector = 0x10, .limit = ~0U, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1,
	};
	const struct kvm_segment data = {
		.selector = 0x18, .limit = ~0U, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_regs regs = { .rip = rip, .rsi = rsi, .rflags = 2 };
	struct kvm_sregs sregs;

	IOCTL(vm->vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.gdt.base = gdt;
	sregs.gdt.limit = 4 * 8 - 1;
	sregs.cr3 = tables;
	sregs.cr4 = 1 << 5;			/* PAE */
	sregs.cr0 = 0x80050033;			/* PG AM WP NE ET MP PE */
	sregs.efer = 1 << 8 | 1 << 10;		/* LME LMA */
	IOCTL(vm->vcpu, KVM_SET_SREGS, &sregs);
	IOCTL(vm->vcpu, KVM_SET_REGS, &regs);
}

void vm_start_at(struct vm *vm, uint64_t rip, uint64_t rsi, uint64_t tables, uint64_t gdt)
{
	int size = IOCTL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	vm->vcpu = IOCTL(vm->fd, KVM_CREATE_VCPU, 0);
	vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		die("cannot map the vCPU: %s", strerror(errno));
	set_cpuid(vm);
	set_registers(vm, rip, rsi, tables, gdt);
}

unsigned int vm_tsc_khz(struct vm *vm)
{
	int khz = ioctl(vm->fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? khz : 0;
}
