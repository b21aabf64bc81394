// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of guest_memfds that processes of the host have mapped, as a sample has
 * it.  Of default VMs, which need no conversion to share it.
 */
#include <linux/falloc.h>
#include <sys/wait.h>

#include "gmem_test.h"

/* Linux's own, which the headers of this kernel's selftests do not have. */
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
#endif

#define BOTH		(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

FIXTURE(mapped) {
	struct kvm_vm *vm;
	uint64_t size;
	int fd;
	uint8_t *mem;
};

/* A guest_memfd, and no memslot yet. */
static int create(struct kvm_vm *vm, uint64_t size)
{
	struct kvm_create_guest_memfd memfd = { .size = size, .flags = BOTH };
	int fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &memfd);

	MUST(fd >= 0, "cannot create a guest_memfd: %s", strerror(errno));
	return fd;
}

static void *map(int fd, uint64_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	MUST(mem != MAP_FAILED, "cannot map it: %s", strerror(errno));
	return mem;
}

static void touch(uint8_t *mem, uint64_t page, uint64_t nr)
{
	uint64_t i;

	for (i = page; i < page + nr; i++)
		mem[i * PAGE_SIZE] = 1;
}

FIXTURE_SETUP(mapped)
{
	self->vm = vm_create_barebones();
	self->size = DATA_SIZE;
	self->fd = create(self->vm, self->size);
	self->mem = map(self->fd, self->size);
	vm_set_user_memory_region2(self->vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   DATA_GPA, self->size, self->mem, self->fd, 0);
}

FIXTURE_TEARDOWN(mapped)
{
	if (self->mem)
		munmap(self->mem, self->size);
	if (self->fd >= 0)
		close(self->fd);
	kvm_vm_free(self->vm);
}

static uint64_t mapped_pages(void)
{
	return usage().mapped_pages;
}

TEST_F(mapped, what_was_touched_until_it_is_unmapped)
{
	EXPECT_EQ(mapped_pages(), 0);
	ASSERT_EQ(fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 0, 32 * PAGE_SIZE), 0);
	EXPECT_EQ(mapped_pages(), 0);
	EXPECT_EQ(usage().host_faults, 0);
	touch(self->mem, 20, 20);
	EXPECT_EQ(mapped_pages(), 20);
	EXPECT_EQ(usage().host_faults, 20);
	EXPECT_EQ(usage().populated_pages, 40);
	/* A read is as good. */
	(void)*(volatile uint8_t *)self->mem;
	EXPECT_EQ(mapped_pages(), 21);
	ASSERT_EQ(fallocate(self->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			    20 * PAGE_SIZE, 5 * PAGE_SIZE), 0);
	EXPECT_EQ(mapped_pages(), 16);
	ASSERT_EQ(madvise(self->mem, 30 * PAGE_SIZE, MADV_DONTNEED), 0);
	EXPECT_EQ(mapped_pages(), 10);
	munmap(self->mem, self->size);
	self->mem = NULL;
	EXPECT_EQ(mapped_pages(), 0);
	EXPECT_EQ(usage().populated_pages, 35);
}

/* Resident memory has them, as often as the process maps them. */
TEST_F(mapped, is_resident)
{
	uint64_t before = usage().rss_pages;
	uint8_t *again;

	touch(self->mem, 0, DATA_PAGES);
	EXPECT_GE(usage().rss_pages, before + DATA_PAGES);
	EXPECT_LE(usage().rss_pages, before + DATA_PAGES + 64);
	EXPECT_EQ(mapped_pages(), DATA_PAGES);
	again = map(self->fd, self->size);
	touch(again, 0, DATA_PAGES);
	EXPECT_EQ(mapped_pages(), DATA_PAGES);
	EXPECT_GE(usage().rss_pages, before + 2 * DATA_PAGES);
	munmap(again, self->size);
	EXPECT_EQ(mapped_pages(), DATA_PAGES);
}

TEST_F(mapped, by_another_process)
{
	int ready[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(pipe(ready), 0);
	ASSERT_EQ(madvise(self->mem, self->size, MADV_DONTFORK), 0);
	pid = fork();
	if (!pid) {
		touch(map(self->fd, self->size), 0, 7);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(read(ready[0], &c, 1), 1);
	EXPECT_EQ(mapped_pages(), 7);
	kill(pid, SIGKILL);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(mapped_pages(), 0);
	close(ready[0]);
	close(ready[1]);
}

/* Whoever has a file mapped has it open; of what no memslot has nobody looks. */
TEST_F(mapped, what_no_memslot_has)
{
	int fd = create(self->vm, self->size);
	uint8_t *mem = map(fd, self->size);

	touch(mem, 0, 5);
	touch(self->mem, 0, 3);
	EXPECT_EQ(mapped_pages(), 3);
	EXPECT_EQ(usage().populated_pages, 8);
	close(fd);
	EXPECT_EQ(mapped_pages(), 3);
	EXPECT_EQ(usage().populated_pages, 8);
	/* The mapping holds the file. */
	EXPECT_EQ(usage().closed_pages, 0);
	munmap(mem, self->size);
	EXPECT_EQ(usage().populated_pages, 3);
	vm_set_user_memory_region2(self->vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   DATA_GPA, 0, self->mem, self->fd, 0);
	EXPECT_EQ(mapped_pages(), 0);
	EXPECT_EQ(usage().populated_pages, 3);
	EXPECT_EQ(usage().stale_pages, 0);
}

/* There is no other page that a guest could have instead of it. */
TEST_F(mapped, no_page_is_stale)
{
	char path[32];
	int held;

	touch(self->mem, 0, 9);
	EXPECT_EQ(usage().stale_pages, 0);
	EXPECT_EQ(usage().twice_pages, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	held = open(path, O_PATH | O_CLOEXEC);
	ASSERT_GE(held, 0);
	vm_set_user_memory_region2(self->vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   DATA_GPA, 0, self->mem, self->fd, 0);
	munmap(self->mem, self->size);
	self->mem = NULL;
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(usage().populated_pages, 9);
	EXPECT_EQ(usage().closed_pages, 9);
	EXPECT_EQ(usage().stale_pages, 9);
	close(held);
	EXPECT_EQ(usage().populated_pages, 0);
}

/* More than one look, and memslots in between that have none. */
TEST_F(mapped, much_of_it)
{
	const uint64_t gpa = 1ULL << 32, pages = 150000;
	int fd = create(self->vm, pages * PAGE_SIZE);
	uint8_t *mem = map(fd, pages * PAGE_SIZE);
	uint64_t half = pages / 2 * PAGE_SIZE;

	vm_set_user_memory_region2(self->vm, 11, KVM_MEM_GUEST_MEMFD, gpa, half,
				   mem, fd, 0);
	vm_set_user_memory_region2(self->vm, 12, KVM_MEM_GUEST_MEMFD, 2 * gpa,
				   half, mem + half, fd, half);
	touch(self->mem, 0, 3);
	EXPECT_EQ(mapped_pages(), 3);
	touch(mem, 0, pages);
	EXPECT_EQ(mapped_pages(), pages + 3);
	ASSERT_EQ(madvise(mem, half, MADV_DONTNEED), 0);
	EXPECT_EQ(mapped_pages(), pages / 2 + 3);
	munmap(mem, pages * PAGE_SIZE);
	EXPECT_EQ(mapped_pages(), 3);
	close(fd);
}

/* Who does not ask for it does not get it. */
TEST_F(mapped, is_looked_for_when_asked)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_sample sample = {};

	ASSERT_NE(sampler, NULL);
	touch(self->mem, 0, 3);
	ASSERT_EQ(gmem_sampler_read(sampler, &sample), 0);
	ASSERT_EQ(sample.nr_vms, 1);
	EXPECT_EQ(sample.vms[0].mapped_pages, GMEM_UNKNOWN);
	EXPECT_EQ(sample.vms[0].mapped_next, 0);
	gmem_sampler_find_mapped(sampler);
	ASSERT_EQ(gmem_sampler_read(sampler, &sample), 0);
	EXPECT_EQ(sample.vms[0].mapped_pages, 3);
	gmem_sample_free(&sample);
	gmem_sampler_close(sampler);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
