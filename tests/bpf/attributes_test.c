// SPDX-License-Identifier: GPL-2.0-only
/*
 * The map of memory attributes as a VM uses it: very large guests, the memory
 * that a guest can make the kernel spend, and the huge pages that KVM maps
 * where attributes allow it.  The map itself is tested by KUnit.
 */
#include "gmem_test.h"

#define BLOCK_SIZE	(2ULL << 20)
#define BLOCK_PAGES	(BLOCK_SIZE / PAGE_SIZE)
#define GIB		(1ULL << 30)
#define TIB		(1ULL << 40)
/* What slab shrinks by in a second of its own accord. */
#define SLAB_NOISE_KIB	64
/* What it keeps in the end, for all that the test itself does meanwhile. */
#define SLAB_SLACK_KIB	512

/* A VM without vCPUs and without memory. */
static struct kvm_vm *new_bare_vm(void)
{
	return vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
}

static int set_private(struct kvm_vm *vm, uint64_t start, uint64_t size,
		       bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = start,
		.size = size,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
}

/* Memory of a TiB, none of it there: whole, back, and in ever smaller parts. */
TEST(terabyte_guest)
{
	struct kvm_vm *vm = new_bare_vm();
	struct gmem_vm_sample u;
	uint64_t part, gpa, nr;
	void *shared;

	/* Not the library's regions: it leaves out AMD's hole below 1 TiB. */
	shared = mmap(NULL, TIB, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(shared != MAP_FAILED, "cannot map a TiB: %s", strerror(errno));
	vm_set_user_memory_region2(vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD, 0, TIB,
				   shared, vm_create_guest_memfd(vm, TIB, 0), 0);

	EXPECT_EQ(set_private(vm, 0, TIB, true), 0);
	u = usage();
	EXPECT_EQ(u.size_pages, TIB / PAGE_SIZE);
	EXPECT_EQ(u.private_pages, TIB / PAGE_SIZE);
	EXPECT_LE(u.attribute_bytes, 2048);
	EXPECT_EQ(set_private(vm, 0, TIB, false), 0);
	u = usage();
	EXPECT_EQ(u.private_pages, 0);
	EXPECT_EQ(u.attribute_bytes, 0);

	for (part = 256 * GIB; part >= 64 * BLOCK_SIZE; part /= 8) {
		for (gpa = 0; gpa < TIB; gpa += 2 * part)
			ASSERT_EQ(set_private(vm, gpa, part, true), 0);
		EXPECT_EQ(usage().private_pages, TIB / PAGE_SIZE / 2);
		EXPECT_EQ(set_private(vm, 0, TIB, false), 0);
		EXPECT_EQ(usage().attribute_bytes, 0);
	}

	/* A page in each of many blocks, far apart. */
	for (gpa = 7 * PAGE_SIZE, nr = 0; gpa < TIB; gpa += 997 * BLOCK_SIZE, nr++)
		ASSERT_EQ(set_private(vm, gpa, PAGE_SIZE, true), 0);
	u = usage();
	EXPECT_EQ(u.private_pages, nr);
	EXPECT_EQ(u.pages_to_private - u.pages_to_shared, nr);
	EXPECT_EQ(set_private(vm, 0, TIB, true), 0);
	EXPECT_EQ(usage().private_pages, TIB / PAGE_SIZE);
	EXPECT_EQ(usage().pages_to_private - u.pages_to_private,
		  TIB / PAGE_SIZE - nr);

	kvm_vm_free(vm);
	munmap(shared, TIB);
}

/* The whole address space, which no memslot can have. */
TEST(all_guest_frames)
{
	const uint64_t size = -(uint64_t)PAGE_SIZE;
	struct kvm_vm *vm = new_bare_vm();

	EXPECT_EQ(set_private(vm, 0, size, true), 0);
	EXPECT_EQ(usage().pages_to_private, size / PAGE_SIZE);
	EXPECT_EQ(set_private(vm, size - PAGE_SIZE, PAGE_SIZE, false), 0);
	EXPECT_EQ(usage().pages_to_shared, 1);
	/* There is no memory behind any of them. */
	EXPECT_EQ(usage().private_pages, 0);
	EXPECT_LE(usage().attribute_bytes, 16384);
	EXPECT_EQ(set_private(vm, 0, size, false), 0);
	EXPECT_EQ(usage().private_pages, 0);
	EXPECT_EQ(usage().attribute_bytes, 0);

	kvm_vm_free(vm);
}

static long slab_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	MUST(f, "cannot open /proc/meminfo");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Slab: %ld kB", &kib);
	fclose(f);
	MUST(kib > 0, "/proc/meminfo does not tell of slab");

	return kib;
}

/*
 * Waits for what the kernel frees late, such as by kfree_rcu(), which collects
 * for five seconds: until slab has not shrunk for that long.
 */
static void settle(void)
{
	long least = slab_kib();
	int quiet;

	for (quiet = 0; quiet < 6; quiet++) {
		long kib;

		sleep(1);
		kib = slab_kib();
		if (kib < least - SLAB_NOISE_KIB) {
			least = kib;
			quiet = 0;
		}
	}
}

/* Generic KASAN is compiled in as calls of these. */
static bool kernel_has_kasan(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char symbol[128];
	bool found = false;

	MUST(f, "cannot open /proc/kallsyms");
	while (!found && fscanf(f, "%*s %*s %127s%*[^\n]", symbol) == 1)
		found = !strncmp(symbol, "__asan_load", strlen("__asan_load"));
	fclose(f);

	return found;
}

/* Takes a bitmap for each 2 MiB of 128 GiB. */
static struct kvm_vm *new_fragmented_vm(void)
{
	struct kvm_vm *vm = new_bare_vm();
	uint64_t gpa;

	for (gpa = 0; gpa < 128 * GIB; gpa += BLOCK_SIZE)
		MUST(!set_private(vm, gpa, PAGE_SIZE, true), "cannot convert");

	return vm;
}

TEST(slab_returns_after_vm_death)
{
	struct kvm_vm *vm;
	long before, peak, after;
	uint64_t bytes;

	/* Slabs keep a reserve; let them have it before. */
	kvm_vm_free(new_fragmented_vm());
	settle();
	before = slab_kib();

	vm = new_fragmented_vm();
	bytes = usage().attribute_bytes;
	settle();
	peak = slab_kib();
	EXPECT_GE(bytes, 128 * GIB / BLOCK_SIZE * 64);
	EXPECT_LE(bytes, 128 * GIB / BLOCK_SIZE * 73 + 4096);
	EXPECT_GE(peak - before, (long)(bytes / 1024 / 2));

	kvm_vm_free(vm);
	settle();
	after = slab_kib();
	printf("# slab: %ld KiB, %ld KiB with the VM, %ld KiB after it\n",
	       before, peak, after);
	/* KASAN keeps some of what is freed, to find those who still use it. */
	EXPECT_LE(after - before, kernel_has_kasan() ? (peak - before) / 2 :
						       SLAB_SLACK_KIB);
}

/* A guest that fragments its memory pays for that in its own control group. */
TEST(memory_is_charged_to_who_converts)
{
	struct kvm_vm *vm;
	long before, bytes;

	enter_cgroup();
	before = charged();
	vm = new_fragmented_vm();
	bytes = usage().attribute_bytes;
	EXPECT_GE(bytes, 2 * CHARGE_SLACK);
	EXPECT_GE(charged() - before, bytes - CHARGE_SLACK);
	printf("# %ld bytes of attributes, charged %ld\n", bytes,
	       charged() - before);

	kvm_vm_free(vm);
	settle();
	EXPECT_LE(charged() - before, CHARGE_SLACK);
	leave_cgroup();
}

TEST(attribute_bytes_are_counted)
{
	struct kvm_vm *vm = new_bare_vm();

	EXPECT_EQ(usage().attribute_bytes, 0);
	MUST(!set_private(vm, 5 * PAGE_SIZE, PAGE_SIZE, true), "cannot convert");
	EXPECT_GT(usage().attribute_bytes, 0);

	kvm_vm_free(vm);
}

/* Huge pages */

#define NR_BLOCKS	4ULL

/* One more page of each block each time, so that KVM has to map it. */
static void touch_blocks(void)
{
	uint64_t page, block;

	for (page = 0; page < BLOCK_PAGES; page++) {
		for (block = 0; block < NR_BLOCKS; block++)
			*(volatile uint8_t *)(DATA_GPA + block * BLOCK_SIZE +
					      page * PAGE_SIZE) = 1;
		GUEST_SYNC(page);
	}
}

static uint64_t huge_pages_after_touch(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);

	return vm_get_stat(vm, "pages_2m");
}

/* Shared memory of 2 MiB is mapped as such exactly where no page is private. */
TEST(huge_pages_where_attributes_allow)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	FILE *f;

	f = fopen("/proc/sys/vm/nr_hugepages", "w");
	MUST(f && fprintf(f, "%llu", NR_BLOCKS) > 0 && !fclose(f),
	     "cannot reserve huge pages");

	vm = vm_create_shape_with_one_vcpu(shape, &vcpu, touch_blocks);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_HUGETLB_2MB,
				    DATA_GPA, DATA_SLOT,
				    NR_BLOCKS * BLOCK_PAGES, KVM_MEM_GUEST_MEMFD);
	virt_map(vm, DATA_GPA, DATA_GPA, NR_BLOCKS * BLOCK_PAGES);

	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 4);
	/* The last page of one, the first of another. */
	EXPECT_EQ(convert(vm, 2 * BLOCK_PAGES - 1, 1, true), 0);
	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 3);
	EXPECT_EQ(convert(vm, 3 * BLOCK_PAGES, 1, true), 0);
	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 2);
	/* From the middle of one to the middle of the next. */
	EXPECT_EQ(convert(vm, BLOCK_PAGES / 2, BLOCK_PAGES, true), 0);
	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 1);
	/* Shared again; only the page at the end of block 1 is not. */
	EXPECT_EQ(convert(vm, BLOCK_PAGES / 2, BLOCK_PAGES, false), 0);
	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 2);
	EXPECT_EQ(convert(vm, 2 * BLOCK_PAGES - 1, 1, false), 0);
	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 3);
	EXPECT_EQ(convert(vm, 3 * BLOCK_PAGES, 1, false), 0);
	EXPECT_EQ(huge_pages_after_touch(vm, vcpu), 4);

	kvm_vm_free(vm);
}

TEST_HARNESS_MAIN
