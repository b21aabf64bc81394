// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/kcore looks at pages that it has no reference to: whatever becomes of a
 * page while it looks must harm nobody.  And private memory that stays where it
 * is must not be in it.
 */
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "kvm_test_harness.h"

#include "frames.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	900

/* How long the host is stirred. */
#define STIR_SECONDS	20
#define NR_READERS	3
#define CHUNK		(1UL << 20)

#define NR_PAGES	256ULL
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define PRIVATE_GPA	0x10000000ULL
#define SHARED_GPA	(PRIVATE_GPA + SIZE)
#define DATA_SLOT	10
#define NR_WORDS	(SIZE / sizeof(uint64_t))

/* Registers and buffers may have a few of the guest's words. */
#define STRAY_WORDS	256

/* Bits 0 to 2 are @i, and bits 3 to 15 tell a candidate at little cost. */
#define TAG		0x5ec8ULL
#define TAG_MASK	0xfff8ULL

static __always_inline uint64_t pattern_word(uint64_t seed, uint64_t i)
{
	uint64_t x = seed + i * 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	x ^= x >> 31;

	return (x & ~(TAG_MASK | 7)) | TAG | i;
}

static uint64_t find(const void *memory, size_t size, uint64_t seed)
{
	const uint64_t *word = memory;
	uint64_t found = 0;
	size_t i;

	for (i = 0; i < size / sizeof(*word); i++) {
		if ((word[i] & TAG_MASK) == TAG &&
		    word[i] == pattern_word(seed, word[i] & 7))
			found++;
	}

	return found;
}

/* The guest's half */

static void fill(uint64_t gpa, uint64_t seed)
{
	volatile uint64_t *word = (void *)gpa;
	uint64_t i;

	for (i = 0; i < NR_WORDS; i++)
		word[i] = pattern_word(seed, i % 8);
}

static void guest_code(uint64_t secret, uint64_t marker)
{
	fill(PRIVATE_GPA, secret);
	fill(SHARED_GPA, marker);
	for (;;)
		GUEST_SYNC(0);
}

/* The host's half */

/* Calls @look with each chunk of RAM; returns the bytes that could be read. */
static uint64_t read_ram(void *chunk, void (*look)(const void *chunk, size_t len))
{
	int kcore = open("/proc/kcore", O_RDONLY);
	uint64_t total = 0, at;
	Elf64_Phdr phdr;
	Elf64_Ehdr ehdr;
	ssize_t len;
	int i;

	if (kcore < 0 || pread(kcore, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr))
		return 0;
	for (i = 0; i < ehdr.e_phnum; i++) {
		if (pread(kcore, &phdr, sizeof(phdr),
			  ehdr.e_phoff + i * sizeof(phdr)) != sizeof(phdr))
			break;
		/* Memory with a physical address, but not the kernel's image. */
		if (phdr.p_type != PT_LOAD || phdr.p_paddr == ~0ULL ||
		    phdr.p_vaddr >= 0xffffffff80000000ULL)
			continue;
		for (at = 0; at < phdr.p_memsz; at += CHUNK) {
			len = pread(kcore, chunk, phdr.p_memsz - at < CHUNK ?
				    phdr.p_memsz - at : CHUNK, phdr.p_offset + at);
			if (len <= 0)
				break;
			total += len;
			if (look)
				look(chunk, len);
		}
	}
	close(kcore);

	return total;
}

static uint64_t secret, marker;
static uint64_t found_secret, found_marker;

static void look(const void *chunk, size_t len)
{
	found_secret += find(chunk, len, secret);
	found_marker += find(chunk, len, marker);
}

static struct kvm_vm *new_vm(struct kvm_vcpu **vcpu)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_vm *vm;

	vm = vm_create_shape_with_one_vcpu(shape, vcpu, guest_code);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, PRIVATE_GPA,
				    DATA_SLOT, 2 * NR_PAGES, KVM_MEM_GUEST_MEMFD);
	virt_map(vm, PRIVATE_GPA, PRIVATE_GPA, 2 * NR_PAGES);
	vm_mem_set_private(vm, PRIVATE_GPA, SIZE);

	return vm;
}

TEST(at_rest_private_memory_is_zeros)
{
	struct kvm_vcpu *vcpu;
	struct timespec now;
	struct kvm_vm *vm;
	void *chunk;

	ASSERT_EQ(access("/proc/kcore", R_OK), 0)
		TH_LOG("the test kernel has no /proc/kcore");
	clock_gettime(CLOCK_MONOTONIC, &now);
	secret = (uint64_t)getpid() << 32 ^ now.tv_nsec;
	marker = ~secret;
	vm = new_vm(&vcpu);
	vcpu_args_set(vcpu, 2, secret, marker);
	vcpu_run(vcpu);

	chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(chunk, MAP_FAILED);
	found_secret = 0;
	found_marker = 0;
	EXPECT_GT(read_ram(chunk, look), 1UL << 30);
	/* The control; twice or more, since the buffer is memory, too. */
	EXPECT_GE(found_marker, NR_WORDS);
	EXPECT_LT(found_secret, STRAY_WORDS);
	kvm_vm_free(vm);
}

/* What stirs memory, each in a process of its own until it is killed. */

static void stir_private(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	unsigned int n;
	int fd;

	for (n = 0;; n++) {
		vm = new_vm(&vcpu);
		vcpu_args_set(vcpu, 2, n, ~n);
		fd = memslot2region(vm, DATA_SLOT)->region.guest_memfd;
		fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * SIZE);
		fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE);
		if (n % 4 == 0)
			vcpu_run(vcpu);
		kvm_vm_free(vm);
	}
}

static void stir_holes(void)
{
	const uint64_t size = 64UL << 20;
	struct kvm_vm *vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	int fd;

	for (;;) {
		fd = vm_create_guest_memfd(vm, size, 0);
		fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size);
		fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			  size / 2, size / 4);
		close(fd);
	}
}

static void stir_processes(void)
{
	pid_t child;

	for (;;) {
		child = fork();
		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void stir_huge_pages(void)
{
	const size_t size = 32UL << 20;
	char *memory;
	size_t at;

	for (;;) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(memory, size, MADV_HUGEPAGE);
		memset(memory, 1, size);
		for (at = 0; at < size; at += 2UL << 20)
			madvise(memory + at + 4096, 8192, MADV_DONTNEED);
		mprotect(memory + 4096, 4096, PROT_READ);
		madvise(memory, size, MADV_PAGEOUT);
		munmap(memory, size);
	}
}

static void stir_slab(void)
{
	int fds[256], i;
	char name[32];

	for (;;) {
		for (i = 0; i < 256; i++)
			fds[i] = memfd_create("kcore", 0);
		for (i = 0; i < 256; i++) {
			ftruncate(fds[i], 1 << 16);
			pwrite(fds[i], "", 1, 1 << 15);
			close(fds[i]);
		}
		snprintf(name, sizeof(name), "/dev/shm/kcore-%d", getpid());
		close(open(name, O_CREAT | O_RDWR, 0600));
		unlink(name);
	}
}

static void stir_hugetlb(void)
{
	for (;;) {
		write_file("/proc/sys/vm/nr_hugepages", "16");
		write_file("/proc/sys/vm/nr_hugepages", "0");
		write_file("/proc/sys/vm/compact_memory", "1");
		write_file("/proc/sys/vm/drop_caches", "3");
		usleep(100000);
	}
}

static void read_for_ever(void)
{
	void *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	while (read_ram(chunk, NULL))
		;
	_exit(1);
}

static pid_t start(void (*stir)(void))
{
	pid_t child = fork();

	if (child)
		return child;
	stir();
	_exit(1);
}

/* Nothing but that the kernel lives; how it dies is in its log. */
TEST(any_page_in_any_state)
{
	static void (*const stirs[])(void) = {
		stir_private, stir_holes, stir_processes, stir_huge_pages,
		stir_slab, stir_hugetlb,
	};
	pid_t children[ARRAY_SIZE(stirs) + NR_READERS];
	unsigned int i, nr = 0;
	int status;

	ASSERT_EQ(access("/proc/kcore", R_OK), 0)
		TH_LOG("the test kernel has no /proc/kcore");
	for (i = 0; i < ARRAY_SIZE(stirs); i++)
		children[nr++] = start(stirs[i]);
	for (i = 0; i < NR_READERS; i++)
		children[nr++] = start(read_for_ever);
	sleep(STIR_SECONDS);
	for (i = 0; i < nr; i++) {
		/* Whoever has ended by itself has not stirred. */
		EXPECT_EQ(waitpid(children[i], &status, WNOHANG), 0)
			TH_LOG("process %u is gone: %x", i, status);
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
	}
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

int main(int argc, char **argv)
{
	return test_harness_run(argc, argv);
}
