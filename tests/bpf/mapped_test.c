// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of guest_memfds that processes of the host have mapped, as a sample has
 * it, and by stretches, through bpf/layout.bpf.c.  Of default VMs, which need no
 * conversion to share it.
 */
#include <linux/falloc.h>
#include <sys/wait.h>

#include "gmem_test.h"
#include "layout.skel.h"

#define DATA_GFN	(DATA_GPA / PAGE_SIZE)

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

/* Stretches of the VM, all of them to be looked at. */
static struct layout_bpf *ask(uint64_t start, uint64_t pages, uint64_t nr)
{
	static struct layout_bpf *skel;
	uint64_t i;

	if (!skel)
		skel = layout_bpf__open_and_load();
	MUST(skel, "cannot load the programs");
	skel->bss->vm_id = usage().vm_id;
	skel->bss->start = start;
	skel->bss->bucket_pages = pages;
	skel->bss->nr_buckets = nr;
	skel->bss->looked_at = 0;
	skel->bss->found_so_far = 0;
	skel->bss->look_until_ns = ~0ULL;
	for (i = 0; i < GMEM_BUCKETS_MAX; i++)
		skel->bss->buckets[i] = (struct gmem_bucket) {
			.shared_pages = 1,
			.populated_pages = 1,
		};
	return skel;
}

static int64_t look(struct layout_bpf *skel)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	MUST(!bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_mapped),
				     &opts), "cannot run the program");
	return skel->bss->result;
}

static uint64_t mapped_in(uint64_t start, uint64_t pages)
{
	struct layout_bpf *skel = ask(start, pages, 1);

	MUST(look(skel) == 1, "the result is %ld", (long)skel->bss->result);
	return skel->bss->found[0];
}

TEST_F(mapped, of_any_stretch)
{
	uint64_t first, end;

	touch(self->mem, 20, 20);
	for (first = 0; first < DATA_PAGES; first++)
		for (end = first + 1; end <= DATA_PAGES; end++) {
			uint64_t from = max(first, (uint64_t)20);
			uint64_t to = min(end, (uint64_t)40);
			uint64_t nr = mapped_in(DATA_GFN + first, end - first);

			MUST(nr == (to > from ? to - from : 0),
			     "pages %lu to %lu have %lu", first, end, nr);
		}
	/* Beyond the memslot on either side, and to the end of everything. */
	EXPECT_EQ(mapped_in(0, DATA_GFN), 0);
	EXPECT_EQ(mapped_in(0, DATA_GFN + 30), 10);
	EXPECT_EQ(mapped_in(0, ~0ULL), 20);
	EXPECT_EQ(mapped_in(DATA_GFN + 30, 1ULL << 40), 10);
	EXPECT_EQ(mapped_in(DATA_GFN + DATA_PAGES, 1ULL << 40), 0);
	/* An end that is not behind the start, in the memslot. */
	EXPECT_EQ(mapped_in(DATA_GFN + 30, 0), 0);
	EXPECT_EQ(mapped_in(DATA_GFN + 30, -5ULL), 0);
	EXPECT_EQ(mapped_in(DATA_GFN + 30, -DATA_GFN - 30), 0);
}

/* But for those of which there is nothing to look at. */
TEST_F(mapped, of_many_stretches_at_once)
{
	static const uint64_t sizes[] = { 1, 3, 7, 16, 63, 64, 65, 1000 };
	struct layout_bpf *skel;
	uint64_t i, j, total;

	touch(self->mem, 10, 23);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t nr = (DATA_PAGES + sizes[i] - 1) / sizes[i] + 1;

		skel = ask(DATA_GFN, sizes[i], nr);
		ASSERT_EQ(look(skel), (int64_t)nr);
		EXPECT_EQ(skel->bss->looked_at, nr * sizes[i]);
		for (j = 0, total = 0; j < nr; j++) {
			MUST(skel->bss->found[j] <= sizes[i],
			     "stretch %lu has %lu", j,
			     (unsigned long)skel->bss->found[j]);
			total += skel->bss->found[j];
		}
		EXPECT_EQ(total, 23);
	}
	skel = ask(DATA_GFN, 8, 4);
	skel->bss->buckets[1].shared_pages = 0;
	skel->bss->buckets[2].populated_pages = 0;
	ASSERT_EQ(look(skel), 4);
	EXPECT_EQ(skel->bss->found[1], 0);
	EXPECT_EQ(skel->bss->found[2], 0);
	EXPECT_EQ(skel->bss->found[3], 8);
	skel->bss->vm_id = ~0ULL;
	EXPECT_EQ(look(skel), -ESRCH);
}

/* A look ends after so many pages, give or take a node, and a run after its time. */
TEST_F(mapped, a_stretch_that_is_much_work)
{
	const uint64_t gpa = 1ULL << 32, gfn = gpa / PAGE_SIZE, pages = 150000;
	const uint64_t work = 65536;
	int fd = create(self->vm, pages * PAGE_SIZE);
	uint8_t *mem = map(fd, pages * PAGE_SIZE);
	uint64_t half = pages / 2 * PAGE_SIZE, i;
	struct layout_bpf *skel;

	vm_set_user_memory_region2(self->vm, 11, KVM_MEM_GUEST_MEMFD, gpa, half,
				   mem, fd, 0);
	vm_set_user_memory_region2(self->vm, 12, KVM_MEM_GUEST_MEMFD,
				   gpa + half, half, mem + half, fd, half);
	touch(mem, 0, pages);
	EXPECT_EQ(mapped_in(gfn, pages), pages);
	EXPECT_EQ(mapped_in(gfn + 1, pages / 2), pages / 2);
	EXPECT_EQ(mapped_in(gfn + 1, pages - 2), pages - 2);

	skel = ask(gfn, work - 64, 1);
	skel->bss->look_until_ns = 0;
	EXPECT_EQ(look(skel), 1);
	EXPECT_EQ(skel->bss->found[0], work - 64);

	/* Three looks; the second one is in both memslots. */
	skel = ask(gfn, pages - 3, 2);
	skel->bss->look_until_ns = 0;
	for (i = 1; i < 3; i++) {
		EXPECT_EQ(look(skel), 0);
		EXPECT_EQ(skel->bss->found_so_far, skel->bss->looked_at);
		EXPECT_GE(skel->bss->looked_at, i * (work - 64));
		EXPECT_LE(skel->bss->looked_at, i * (work + 64));
	}
	EXPECT_EQ(look(skel), 1);
	EXPECT_EQ(skel->bss->looked_at, pages - 3);
	EXPECT_EQ(skel->bss->found[0], pages - 3);
	/* The next stretch has three pages, and is not begun anew. */
	skel->bss->start += pages - 3;
	skel->bss->looked_at = 0;
	EXPECT_EQ(look(skel), 1);
	EXPECT_EQ(skel->bss->found[0], 3);
	munmap(mem, pages * PAGE_SIZE);
	close(fd);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
