// SPDX-License-Identifier: GPL-2.0-only
/*
 * inplace VARIANT...: what it costs to convert memory that has contents, all of
 * it (large) or a page that the host has mapped (page), what it costs where
 * nothing is (empty), and what faults cost (fault).
 *
 * "none" is for the kernel without the patches.  There a page that is converted
 * is another page: the VMM converts, gives back the one that is of no use any
 * more, lets the other one be made, and somebody copies what was in it.  In place
 * it converts.  Then the kernel needs kvm.gmem_in_place_conversion=1.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../tests/kvm/attributes2.h"
#include "vm.h"

#define PAGES_AT_A_TIME	256ULL
#define FAULTS		2048ULL

static bool in_place;
static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static char *shared, *copy;
static int memfd;

/* Touches each page once, each time that it runs. */
static void guest_code(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < FAULTS; i++)
			*(volatile char *)(DATA_GPA + i * PAGE_SIZE) = 1;
		GUEST_SYNC(0);
	}
}

/* The host has it mapped at "shared", in place the guest_memfd itself. */
static void new_vm(unsigned long type, uint64_t size)
{
	const struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = type };
	struct kvm_create_guest_memfd create = {
		.size = size,
		.flags = in_place ? GUEST_MEMFD_FLAG_MMAP |
				    GUEST_MEMFD_FLAG_INIT_SHARED : 0,
	};
	bool has_file = in_place || type == KVM_X86_SW_PROTECTED_VM;

	vm = __vm_create_shape_with_one_vcpu(shape, &vcpu, VM_EXTRA_PAGES, guest_code);
	memfd = has_file ? ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create) : -1;
	BENCH_MUST(!has_file || memfd >= 0, "create a guest_memfd");
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED |
		      (in_place ? 0 : MAP_ANONYMOUS), in_place ? memfd : -1, 0);
	BENCH_MUST(shared != MAP_FAILED, "map shared memory");
	/* Small pages, as what is converted page by page has. */
	madvise(shared, size, MADV_NOHUGEPAGE);
	vm_set_user_memory_region2(vm, DATA_SLOT, has_file ? KVM_MEM_GUEST_MEMFD :
				   0, DATA_GPA, size, shared, memfd, 0);
}

static void end_vm(uint64_t size)
{
	munmap(shared, size);
	if (memfd >= 0)
		close(memfd);
	kvm_vm_free(vm);
}

static void convert(uint64_t offset, uint64_t size, bool private)
{
	if (!in_place) {
		bench_convert(vm, offset, size, private);
		return;
	}
	errno = set_attributes_at(memfd, offset, size, private ?
				  KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, NULL);
	BENCH_MUST(!errno, "convert memory in place");
}

/* What was in the one page is in the other one afterwards. */
static uint64_t to_private(uint64_t offset, uint64_t size)
{
	uint64_t began = bench_now();

	convert(offset, size, true);
	if (!in_place) {
		memcpy(copy, shared + offset, size);
		BENCH_MUST(!madvise(shared + offset, size, MADV_REMOVE),
			   "give shared memory back");
		BENCH_MUST(!fallocate(memfd, FALLOC_FL_KEEP_SIZE, offset, size),
			   "populate memory");
	}

	return bench_now() - began;
}

static uint64_t to_shared(uint64_t offset, uint64_t size)
{
	uint64_t began = bench_now();

	convert(offset, size, false);
	if (!in_place) {
		BENCH_MUST(!fallocate(memfd, FALLOC_FL_KEEP_SIZE |
				      FALLOC_FL_PUNCH_HOLE, offset, size),
			   "punch a hole");
		memcpy(shared + offset, copy, size);
	}

	return bench_now() - began;
}

static uint64_t large(bool private)
{
	uint64_t out, back;

	back = to_private(0, DATA_SIZE);
	bench_settle();
	out = to_shared(0, DATA_SIZE);
	/* "Unmapped": the host has touched nothing since, in place. */
	bench_settle();

	return private ? back : out;
}

static uint64_t large_to_private(void)
{
	return large(true);
}

static uint64_t large_to_shared(void)
{
	return large(false);
}

/* Pages that the host has touched since they were shared. */
static uint64_t pages(bool private)
{
	uint64_t out = 0, back = 0, i;

	for (i = 0; i < PAGES_AT_A_TIME; i++) {
		((volatile char *)shared)[2 * i * PAGE_SIZE] = 1;
		back += to_private(2 * i * PAGE_SIZE, PAGE_SIZE);
	}
	bench_settle();
	for (i = 0; i < PAGES_AT_A_TIME; i++)
		out += to_shared(2 * i * PAGE_SIZE, PAGE_SIZE);
	bench_settle();

	return (private ? back : out) / PAGES_AT_A_TIME;
}

static uint64_t page_to_private(void)
{
	return pages(true);
}

static uint64_t page_to_shared(void)
{
	return pages(false);
}

static uint64_t empty(bool private)
{
	uint64_t began, back, out;

	began = bench_now();
	convert(0, DATA_SIZE, true);
	back = bench_now() - began;
	bench_settle();
	began = bench_now();
	convert(0, DATA_SIZE, false);
	out = bench_now() - began;
	bench_settle();

	return private ? back : out;
}

static uint64_t empty_to_private(void)
{
	return empty(true);
}

static uint64_t empty_to_shared(void)
{
	return empty(false);
}

/* Pages that are there, but not in the tables that the guest is run by any more. */
static uint64_t faults(void)
{
	int flags = memfd >= 0 ? KVM_MEM_GUEST_MEMFD : 0;
	uint64_t began;

	vm_set_user_memory_region2(vm, DATA_SLOT, flags, DATA_GPA, 0, shared,
				   memfd, 0);
	vm_set_user_memory_region2(vm, DATA_SLOT, flags, DATA_GPA,
				   FAULTS * PAGE_SIZE, shared, memfd, 0);
	bench_settle();
	began = bench_now();
	vcpu_run(vcpu);

	return (bench_now() - began) / FAULTS;
}

static void measure_faults(const char *variant)
{
	uint64_t size = FAULTS * PAGE_SIZE;

	new_vm(KVM_X86_SW_PROTECTED_VM, size);
	convert(0, size, true);
	BENCH_MUST(!fallocate(memfd, FALLOC_FL_KEEP_SIZE, 0, size),
		   "populate memory");
	virt_map(vm, DATA_GPA, DATA_GPA, FAULTS);
	bench_report(variant, "private fault", "instructions",
		     bench_least(faults, 5));
	end_vm(size);

	new_vm(KVM_X86_DEFAULT_VM, size);
	memset(shared, 1, size);
	virt_map(vm, DATA_GPA, DATA_GPA, FAULTS);
	bench_report(variant, "shared fault of a default VM", "instructions",
		     bench_least(faults, 5));
	end_vm(size);
}

static void measure_large(const char *variant)
{
	new_vm(KVM_X86_SW_PROTECTED_VM, DATA_SIZE);
	memset(shared, 1, DATA_SIZE);
	/* Of what the host has mapped there is nothing left after this. */
	large(true);
	bench_report(variant, "1 GiB with contents to private", "instructions",
		     bench_least(large_to_private, 1));
	bench_report(variant, "1 GiB with contents to shared", "instructions",
		     bench_least(large_to_shared, 1));
	end_vm(DATA_SIZE);
}

static void measure_page(const char *variant)
{
	new_vm(KVM_X86_SW_PROTECTED_VM, DATA_SIZE);
	memset(shared, 1, 2 * PAGES_AT_A_TIME * PAGE_SIZE);
	bench_report(variant, "4 KiB that the host has mapped to private",
		     "instructions", bench_least(page_to_private, 3));
	bench_report(variant, "and back", "instructions",
		     bench_least(page_to_shared, 3));
	end_vm(DATA_SIZE);
}

static void measure_empty(const char *variant)
{
	new_vm(KVM_X86_SW_PROTECTED_VM, DATA_SIZE);
	bench_report(variant, "1 GiB, empty, to private", "instructions",
		     bench_least(empty_to_private, 3));
	bench_report(variant, "1 GiB, empty, to shared", "instructions",
		     bench_least(empty_to_shared, 3));
	end_vm(DATA_SIZE);
}

static const struct {
	const char *variant;
	void (*measure)(const char *variant);
} all[] = {
	{ "large", measure_large },
	{ "page", measure_page },
	{ "empty", measure_empty },
	{ "fault", measure_faults },
};

int main(int argc, char **argv)
{
	size_t i;
	int a;

	copy = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	BENCH_MUST(copy != MAP_FAILED, "map memory to copy from");
	bench_begin();

	if (argc == 2 && !strcmp(argv[1], "none")) {
		measure_large("none");
		measure_page("none");
		measure_faults("none");
		return 0;
	}

	in_place = true;
	for (a = 1; a < argc; a++) {
		for (i = 0; i < ARRAY_SIZE(all); i++) {
			if (!strcmp(argv[a], all[i].variant))
				break;
		}
		if (i == ARRAY_SIZE(all)) {
			fprintf(stderr, "inplace: unknown variant '%s'\n", argv[a]);
			return 2;
		}
		all[i].measure(all[i].variant);
	}

	return 0;
}
