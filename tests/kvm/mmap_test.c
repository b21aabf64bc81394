// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest_memfd that the host maps: as all of a guest's memory, and by itself.
 */
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "kselftest_harness.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
/* Linux's own, which the headers of this kernel's selftests do not have. */
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
#define KVM_CAP_GUEST_MEMFD_FLAGS	244
#endif
#ifndef GUEST_MEMFD_FLAG_HUGE_PAGES
#define GUEST_MEMFD_FLAG_HUGE_PAGES	(1ULL << 16)
#endif
#ifndef GUEST_MEMFD_FLAG_UNMOVABLE
#define GUEST_MEMFD_FLAG_UNMOVABLE	(1ULL << 17)
#endif

#define BOTH		(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

#define NR_PAGES	16ULL
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define DATA_GPA	0x10000000ULL
#define DATA_SLOT	10

static sigjmp_buf fault;

static void on_sigbus(int sig)
{
	siglongjmp(fault, 1);
}

/* Whether the host gets at a byte, or a SIGBUS. */
static bool reaches(volatile char *p)
{
	struct sigaction old, act = { .sa_handler = on_sigbus };
	bool ok = false;

	sigaction(SIGBUS, &act, &old);
	if (!sigsetjmp(fault, 1)) {
		(void)*p;
		ok = true;
	}
	sigaction(SIGBUS, &old, NULL);
	return ok;
}

static int create(struct kvm_vm *vm, uint64_t flags)
{
	struct kvm_create_guest_memfd memfd = { .size = SIZE, .flags = flags };
	int fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &memfd);

	return fd < 0 ? -errno : fd;
}

static char *map(int fd, int flags)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
}

/* By itself */

FIXTURE(file) {
	struct kvm_vm *vm;
	int fd;
	char *mem;
};

FIXTURE_SETUP(file)
{
	self->vm = vm_create_barebones();
	self->fd = create(self->vm, BOTH);
	ASSERT_LE(0, self->fd);
	self->mem = map(self->fd, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, (void *)self->mem);
}

FIXTURE_TEARDOWN(file)
{
	munmap(self->mem, SIZE);
	close(self->fd);
	kvm_vm_free(self->vm);
}

TEST(flags_by_vm_type)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_vm *private = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	const uint64_t has = BOTH | GUEST_MEMFD_FLAG_UNMOVABLE;
	const uint64_t private_has = GUEST_MEMFD_FLAG_UNMOVABLE;
	uint64_t flag;
	int fd;

	EXPECT_EQ(has, vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS));
	EXPECT_EQ(1, vm_check_cap(vm, KVM_CAP_GUEST_MEMFD));
	/* See huge_test.c. */
	EXPECT_EQ(GUEST_MEMFD_FLAG_HUGE_PAGES | private_has,
		  vm_check_cap(private, KVM_CAP_GUEST_MEMFD_FLAGS));
	for (flag = 1; flag; flag <<= 1) {
		fd = create(vm, flag);
		EXPECT_EQ(flag & has ? 0 : -EINVAL, fd < 0 ? fd : 0);
		if (fd >= 0)
			close(fd);
		fd = create(private, flag);
		EXPECT_EQ(flag & private_has ? 0 : -EINVAL, fd < 0 ? fd : 0);
		if (fd >= 0)
			close(fd);
	}
	kvm_vm_free(vm);
	kvm_vm_free(private);
}

TEST(not_without_the_flag)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = create(vm, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, (void *)map(fd, MAP_SHARED));
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	fd = create(vm, GUEST_MEMFD_FLAG_INIT_SHARED);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, (void *)map(fd, MAP_SHARED));
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	kvm_vm_free(vm);
}

TEST(what_begins_private_is_out_of_reach)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd = create(vm, GUEST_MEMFD_FLAG_MMAP);
	char *mem;

	ASSERT_LE(0, fd);
	mem = map(fd, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, (void *)mem);
	EXPECT_FALSE(reaches(mem));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, SIZE));
	EXPECT_FALSE(reaches(mem));
	munmap(mem, SIZE);
	close(fd);
	kvm_vm_free(vm);
}

TEST_F(file, copies_are_refused)
{
	EXPECT_EQ(MAP_FAILED, (void *)map(self->fd, MAP_PRIVATE));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(file, zeroes_then_what_was_written)
{
	char *other = map(self->fd, MAP_SHARED);
	uint64_t i;

	ASSERT_NE(MAP_FAILED, (void *)other);
	for (i = 0; i < SIZE; i++)
		ASSERT_EQ(0, self->mem[i]);
	memset(self->mem, 0xa5, SIZE);
	EXPECT_EQ(0, memcmp(self->mem, other, SIZE));
	munmap(other, SIZE);
	munmap(self->mem, SIZE);
	self->mem = map(self->fd, MAP_SHARED);
	EXPECT_EQ((char)0xa5, self->mem[SIZE - 1]);
}

TEST_F(file, beyond_the_end)
{
	char *mem = mmap(NULL, SIZE + PAGE_SIZE, PROT_READ, MAP_SHARED,
			 self->fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)mem);
	EXPECT_TRUE(reaches(mem + SIZE - 1));
	EXPECT_FALSE(reaches(mem + SIZE));
	munmap(mem, SIZE + PAGE_SIZE);
}

TEST_F(file, a_hole_is_zeroes_again)
{
	memset(self->mem, 1, SIZE);
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE |
			       FALLOC_FL_KEEP_SIZE, PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(1, self->mem[0]);
	EXPECT_EQ(0, self->mem[PAGE_SIZE]);
	EXPECT_EQ(1, self->mem[2 * PAGE_SIZE]);
}

TEST_F(file, a_child_has_the_same_memory)
{
	int status;
	pid_t pid;

	self->mem[0] = 1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		self->mem[0]++;
		self->mem[PAGE_SIZE] = 3;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2, self->mem[0]);
	EXPECT_EQ(3, self->mem[PAGE_SIZE]);
}

/* The mapping holds the file, and with it the VM. */
TEST_F(file, a_mapping_outlives_its_descriptor)
{
	self->mem[0] = 7;
	close(self->fd);
	EXPECT_EQ(7, self->mem[0]);
	self->mem[SIZE - 1] = 7;
	self->fd = create(self->vm, BOTH);
}

TEST_F(file, no_other_way_in)
{
	char c = 0;

	EXPECT_EQ(-1, read(self->fd, &c, 1));
	EXPECT_EQ(-1, write(self->fd, &c, 1));
	EXPECT_EQ(-1, pread(self->fd, &c, 1, 0));
	EXPECT_EQ(-1, ftruncate(self->fd, 2 * SIZE));
	EXPECT_EQ(-1, madvise(self->mem, SIZE, MADV_COLLAPSE));
	EXPECT_EQ(EINVAL, errno);
}

static int node_of(void *p)
{
	int status = -1;

	if (syscall(__NR_move_pages, 0, 1UL, &p, NULL, &status, 0))
		return -errno;
	return status;
}

TEST_F(file, mbind_says_which_node)
{
	unsigned long mask, got;
	int node, mode;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "this machine has one NUMA node");
	for (node = 0; node < 2; node++) {
		char *mem = self->mem + node * PAGE_SIZE;

		mask = 1UL << node;
		ASSERT_EQ(0, syscall(__NR_mbind, mem, PAGE_SIZE, MPOL_BIND,
				     &mask, 64UL, 0));
		EXPECT_EQ(0, syscall(__NR_get_mempolicy, &mode, &got, 64UL,
				     mem, MPOL_F_ADDR));
		EXPECT_EQ(MPOL_BIND, mode);
		EXPECT_EQ(mask, got);
		*mem = 1;
		EXPECT_EQ(node, node_of(mem));
	}
	/* It is the file's, whoever allocates the page. */
	mask = 2;
	ASSERT_EQ(0, syscall(__NR_mbind, self->mem + 4 * PAGE_SIZE, PAGE_SIZE,
			     MPOL_BIND, &mask, 64UL, 0));
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 4 * PAGE_SIZE,
			       PAGE_SIZE));
	EXPECT_TRUE(reaches(self->mem + 4 * PAGE_SIZE));
	EXPECT_EQ(1, node_of(self->mem + 4 * PAGE_SIZE));
}

/* As a guest's memory */

/* Adds one to each page's first word, and tells what it was on the first one. */
static void add_one(void)
{
	volatile uint64_t *page = (void *)DATA_GPA;
	uint64_t i;

	for (;;) {
		uint64_t was = page[0];

		for (i = 0; i < NR_PAGES; i++)
			page[i * PAGE_SIZE / sizeof(*page)]++;
		GUEST_SYNC(was);
	}
}

FIXTURE(guest) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int fd;
	char *mem;
	char *elsewhere;
};

FIXTURE_VARIANT(guest) {
	/* What the memslot says the host has there. */
	bool elsewhere;
};

FIXTURE_VARIANT_ADD(guest, mapping) {};
FIXTURE_VARIANT_ADD(guest, other_memory) { .elsewhere = true };

FIXTURE_SETUP(guest)
{
	self->vm = vm_create_with_one_vcpu(&self->vcpu, add_one);
	self->fd = create(self->vm, BOTH);
	ASSERT_LE(0, self->fd);
	self->mem = map(self->fd, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, (void *)self->mem);
	self->elsewhere = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->elsewhere);
	vm_set_user_memory_region2(self->vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   DATA_GPA, SIZE, variant->elsewhere ?
				   self->elsewhere : self->mem, self->fd, 0);
	virt_map(self->vm, DATA_GPA, DATA_GPA, NR_PAGES);
}

FIXTURE_TEARDOWN(guest)
{
	munmap(self->mem, SIZE);
	munmap(self->elsewhere, SIZE);
	close(self->fd);
	kvm_vm_free(self->vm);
}

static uint64_t run(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) != UCALL_SYNC)
		return ~0ULL;
	return uc.args[1];
}

static uint64_t word(FIXTURE_DATA(guest) *self, uint64_t page)
{
	return *(volatile uint64_t *)(self->mem + page * PAGE_SIZE);
}

TEST_F(guest, host_and_guest_see_one_page)
{
	uint64_t i;

	*(volatile uint64_t *)self->mem = 41;
	EXPECT_EQ(41, run(self->vcpu));
	EXPECT_EQ(42, word(self, 0));
	for (i = 1; i < NR_PAGES; i++)
		EXPECT_EQ(1, word(self, i));
	*(volatile uint64_t *)self->mem = 100;
	EXPECT_EQ(100, run(self->vcpu));
	EXPECT_EQ(2, word(self, NR_PAGES - 1));
	/* The guest has nothing but the guest_memfd. */
	for (i = 0; i < SIZE; i++)
		ASSERT_EQ(0, self->elsewhere[i]);
}

TEST_F(guest, a_hole_is_one_for_both)
{
	run(self->vcpu);
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE |
			       FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE));
	EXPECT_EQ(0, run(self->vcpu));
	EXPECT_EQ(1, word(self, 0));
	EXPECT_EQ(2, word(self, 1));
}

TEST_F(guest, what_the_host_unmaps_the_guest_keeps)
{
	run(self->vcpu);
	munmap(self->mem, SIZE);
	EXPECT_EQ(1, run(self->vcpu));
	self->mem = map(self->fd, MAP_SHARED);
	EXPECT_EQ(2, word(self, 0));
}

TEST_F(guest, prefaulted)
{
	struct kvm_pre_fault_memory range = { .gpa = DATA_GPA, .size = SIZE };

	self->mem[0] = 5;
	ASSERT_EQ(0, ioctl(self->vcpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(5, run(self->vcpu));
}

TEST_HARNESS_MAIN
