// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kfuncs that tell where a VM's memory is, through bpf/layout.bpf.c: what
 * they return is compared with what the test did to the guest.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "gmem_test.h"
#include "layout.skel.h"

#define DATA_GFN	(DATA_GPA / PAGE_SIZE)

FIXTURE(layout) {
	struct layout_bpf *skel;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

FIXTURE_SETUP(layout)
{
	self->vm = new_vm(&self->vcpu, 8);
	self->skel = layout_bpf__open_and_load();
	ASSERT_NE(self->skel, NULL);
	self->skel->bss->vm_id = usage().vm_id;
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
}

FIXTURE_TEARDOWN(layout)
{
	layout_bpf__destroy(self->skel);
	kvm_vm_free(self->vm);
}

static int64_t run(struct layout_bpf *skel, const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	MUST(!bpf_prog_test_run_opts(bpf_program__fd(prog), &opts),
	     "cannot run %s", bpf_program__name(prog));
	return skel->bss->result;
}

static int64_t map(struct layout_bpf *skel, uint64_t start, uint64_t pages,
		   uint64_t nr)
{
	skel->bss->start = start;
	skel->bss->bucket_pages = pages;
	skel->bss->nr_buckets = nr;
	return run(skel, skel->progs.read_map);
}

/* What the buckets of the last call add up to. */
static struct gmem_bucket sum(const struct layout_bpf *skel, uint64_t nr)
{
	struct gmem_bucket all = {};
	uint64_t i;

	for (i = 0; i < nr; i++) {
		all.private_pages += skel->bss->buckets[i].private_pages;
		all.shared_pages += skel->bss->buckets[i].shared_pages;
		all.populated_pages += skel->bss->buckets[i].populated_pages;
		all.stale_pages += skel->bss->buckets[i].stale_pages;
	}
	return all;
}

TEST_F(layout, slots_and_their_guest_memfds)
{
	const struct gmem_slot *slot = NULL;
	struct stat st;
	int64_t nr, i;

	ASSERT_EQ(populate(self->vm, 0, 10), 0);
	ASSERT_EQ(fstat(data_fd(self->vm), &st), 0);

	self->skel->bss->start = 0;
	nr = run(self->skel, self->skel->progs.read_slots);
	ASSERT_GE(nr, 2);
	for (i = 0; i < nr; i++) {
		if (i)
			EXPECT_GE(self->skel->bss->slots[i].base_gfn,
				  self->skel->bss->slots[i - 1].base_gfn +
				  self->skel->bss->slots[i - 1].nr_pages);
		if (self->skel->bss->slots[i].id == DATA_SLOT)
			slot = &self->skel->bss->slots[i];
		else
			EXPECT_EQ(self->skel->bss->slots[i].inode, 0);
	}
	ASSERT_NE(slot, NULL);
	EXPECT_EQ(slot->base_gfn, DATA_GFN);
	EXPECT_EQ(slot->nr_pages, DATA_PAGES);
	EXPECT_EQ(slot->index, 0);
	EXPECT_EQ(slot->inode, st.st_ino);
	EXPECT_EQ(slot->file_pages, DATA_PAGES);
	EXPECT_EQ(slot->populated_pages, 10);
	EXPECT_EQ(slot->flags & KVM_MEM_GUEST_MEMFD, KVM_MEM_GUEST_MEMFD);

	/* From the middle of the last slot on, there is only that one. */
	self->skel->bss->start = DATA_GFN + 1;
	EXPECT_EQ(run(self->skel, self->skel->progs.read_slots), 1);
	self->skel->bss->start = DATA_GFN + DATA_PAGES;
	EXPECT_EQ(run(self->skel, self->skel->progs.read_slots), 0);
}

TEST_F(layout, every_page_of_the_map)
{
	uint64_t i;

	/* 0-9 populated, 5-14 shared: 5-9 are stale, and 20 is alone. */
	ASSERT_EQ(populate(self->vm, 0, 10), 0);
	ASSERT_EQ(convert(self->vm, 5, 10, false), 0);
	ASSERT_EQ(populate(self->vm, 20, 1), 0);

	/* A frame before and one after, where no memslot is. */
	ASSERT_EQ(map(self->skel, DATA_GFN - 1, 1, DATA_PAGES + 2),
		  DATA_PAGES + 2);
	for (i = 0; i < DATA_PAGES + 2; i++) {
		const struct gmem_bucket *b = &self->skel->bss->buckets[i];
		uint64_t page = i - 1;
		bool there = i > 0 && page < DATA_PAGES;
		bool shared = page >= 5 && page < 15;
		bool populated = page < 10 || page == 20;

		EXPECT_EQ(b->private_pages, there && !shared);
		EXPECT_EQ(b->shared_pages, there && shared);
		EXPECT_EQ(b->populated_pages, there && populated);
		EXPECT_EQ(b->stale_pages, there && populated && shared);
	}
}

TEST_F(layout, stretches_of_any_size_add_up)
{
	static const uint64_t sizes[] = { 1, 3, 7, 16, 63, 64, 65, 1000, 1 << 18 };
	struct gmem_bucket all;
	size_t i;

	ASSERT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	ASSERT_EQ(convert(self->vm, 10, 20, false), 0);
	ASSERT_EQ(punch(self->vm, 25, 30), 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t nr = (DATA_PAGES + sizes[i] - 1) / sizes[i] + 1;

		ASSERT_EQ(map(self->skel, DATA_GFN, sizes[i], nr), nr);
		all = sum(self->skel, nr);
		EXPECT_EQ(all.private_pages, DATA_PAGES - 20);
		EXPECT_EQ(all.shared_pages, 20);
		EXPECT_EQ(all.populated_pages, DATA_PAGES - 30);
		EXPECT_EQ(all.stale_pages, 15);
		EXPECT_EQ(all.populated_pages, usage().populated_pages);
		EXPECT_EQ(all.stale_pages, usage().stale_pages);
	}
}

TEST_F(layout, refuses_what_makes_no_sense)
{
	EXPECT_EQ(map(self->skel, 0, 0, 1), -EINVAL);
	EXPECT_EQ(map(self->skel, 0, (1 << 18) + 1, 1), -EINVAL);
	EXPECT_EQ(map(self->skel, 0, 1, 0), -EINVAL);
	EXPECT_EQ(map(self->skel, ~0ULL, 1, 2), -EINVAL);
	/* The program cuts more than it has room for. */
	EXPECT_EQ(map(self->skel, 0, 1, ~0ULL), GMEM_BUCKETS_MAX);

	self->skel->bss->vm_id = ~0ULL;
	EXPECT_EQ(map(self->skel, 0, 1, 1), -ESRCH);
	EXPECT_EQ(run(self->skel, self->skel->progs.read_slots), -ESRCH);
}

TEST_F(layout, much_work_ends_early_and_goes_on)
{
	const uint64_t gpa = 1ULL << 32, pages = 80000, size = 63;
	const uint64_t first = gpa / PAGE_SIZE, nr = pages / size + 1;
	uint64_t gfn = first, populated = 0, calls = 0, i;
	int64_t filled;

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, gpa, 11,
				    pages, KVM_MEM_GUEST_MEMFD);
	ASSERT_EQ(fallocate(memslot2region(self->vm, 11)->region.guest_memfd,
			    FALLOC_FL_KEEP_SIZE, 0, pages * PAGE_SIZE), 0);

	/* Stretches that are no whole nodes are counted page by page. */
	while (gfn < first + nr * size) {
		filled = map(self->skel, gfn, size, nr);
		ASSERT_GT(filled, 0);
		for (i = 0; i < (uint64_t)filled; i++) {
			uint64_t left = first + pages - (gfn + i * size);

			if (gfn + i * size >= first + pages)
				break;
			MUST(self->skel->bss->buckets[i].populated_pages ==
			     min(left, size), "stretch %lu of call %lu has %u",
			     i, calls,
			     self->skel->bss->buckets[i].populated_pages);
			populated += min(left, size);
		}
		if (!calls)
			EXPECT_LT(filled, nr);
		gfn += filled * size;
		calls++;
	}
	EXPECT_EQ(populated, pages);

	/* More than one look for what is backed twice, too. */
	EXPECT_EQ(usage().twice_pages, 0);
	memset(addr_gpa2hva(self->vm, gpa), 1, pages * PAGE_SIZE);
	EXPECT_EQ(usage().twice_pages, pages);
	MUST(!madvise(addr_gpa2hva(self->vm, gpa), pages * PAGE_SIZE,
		      MADV_DONTNEED), "cannot give it back");
	EXPECT_EQ(usage().twice_pages, 0);

	/* Whole nodes are counted at once, and come to the same. */
	ASSERT_EQ(map(self->skel, first, 1 << 17, 1), 1);
	EXPECT_EQ(self->skel->bss->buckets[0].populated_pages, pages);
	EXPECT_EQ(self->skel->bss->buckets[0].shared_pages, pages);
	EXPECT_EQ(self->skel->bss->buckets[0].stale_pages, pages);
}

static uint64_t on_all_nodes(void)
{
	const struct gmem_vm_sample now = usage();
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < GMEM_NODES_MAX; i++)
		total += now.node_pages[i];

	return total;
}

TEST_F(layout, nodes_have_all_that_is_populated)
{
	char path[32];
	int fd, held;

	ASSERT_EQ(populate(self->vm, 0, 40), 0);
	EXPECT_EQ(on_all_nodes(), 40);
	ASSERT_EQ(punch(self->vm, 10, 8), 0);
	EXPECT_EQ(on_all_nodes(), 32);

	/* Without a memslot, and closed while somebody holds it. */
	fd = vm_create_guest_memfd(self->vm, 8 * PAGE_SIZE, 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 * PAGE_SIZE), 0);
	EXPECT_EQ(on_all_nodes(), 40);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	held = open(path, O_PATH | O_CLOEXEC);
	ASSERT_GE(held, 0);
	close(fd);
	EXPECT_EQ(on_all_nodes(), 40);
	close(held);
	EXPECT_EQ(on_all_nodes(), 32);
	EXPECT_EQ(usage().populated_pages, 32);
}

/* The shared half of the guest's frames, in this process. */
static uint8_t *shared_half(struct kvm_vm *vm)
{
	return addr_gpa2hva(vm, DATA_GPA);
}

TEST_F(layout, memory_that_is_backed_twice)
{
	uint8_t *hva = shared_half(self->vm);
	uint64_t i;

	EXPECT_EQ(usage().twice_pages, 0);
	ASSERT_EQ(populate(self->vm, 0, 32), 0);
	EXPECT_EQ(usage().twice_pages, 0);
	for (i = 20; i < 50; i++)
		hva[i * PAGE_SIZE] = 1;
	EXPECT_EQ(usage().twice_pages, 12);
	/* Of pages that are only read there is but the one with zeroes. */
	for (i = 0; i < 20; i++)
		MUST(!*(volatile uint8_t *)&hva[i * PAGE_SIZE], "not zero");
	EXPECT_EQ(usage().twice_pages, 12);
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, false), 0);
	EXPECT_EQ(usage().twice_pages, 12);
	/* Each half can be the one that goes. */
	ASSERT_EQ(punch(self->vm, 30, 1), 0);
	EXPECT_EQ(usage().twice_pages, 11);
	ASSERT_EQ(madvise(hva + 20 * PAGE_SIZE, 2 * PAGE_SIZE, MADV_DONTNEED), 0);
	EXPECT_EQ(usage().twice_pages, 9);
	ASSERT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	EXPECT_EQ(usage().twice_pages, 28);
}

/* Wherever the memslot begins, and whatever the host maps it with. */
TEST_F(layout, huge_pages_that_are_backed_twice)
{
	const uint64_t huge = 512, gpa = 1ULL << 32;
	const uint64_t pages = 2 * huge + 100;
	uint8_t *mem, *hva;
	int fd;

	mem = mmap(NULL, 4 * huge * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
	ASSERT_NE(mem, MAP_FAILED);
	ASSERT_EQ(madvise(mem, 4 * huge * PAGE_SIZE, MADV_NOHUGEPAGE), 0);
	/* 50 pages before one of 2 MiB. */
	hva = (uint8_t *)(((uintptr_t)mem | (huge * PAGE_SIZE - 1)) + 1);
	ASSERT_EQ(madvise(hva, huge * PAGE_SIZE, MADV_HUGEPAGE), 0);
	fd = vm_create_guest_memfd(self->vm, pages * PAGE_SIZE, 0);
	vm_set_user_memory_region2(self->vm, 20, KVM_MEM_GUEST_MEMFD, gpa,
				   pages * PAGE_SIZE, hva - 50 * PAGE_SIZE, fd, 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, pages * PAGE_SIZE), 0);
	EXPECT_EQ(usage().twice_pages, 0);
	hva[0] = 1;
	EXPECT_EQ(usage().twice_pages, huge);
	hva[-(int)PAGE_SIZE] = 1;
	hva[huge * PAGE_SIZE] = 1;
	EXPECT_EQ(usage().twice_pages, huge + 2);
	/* The last page of the memslot, and the one after it. */
	hva[(pages - 51) * PAGE_SIZE] = 1;
	hva[(pages - 50) * PAGE_SIZE] = 1;
	EXPECT_EQ(usage().twice_pages, huge + 3);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			    0, 60 * PAGE_SIZE), 0);
	EXPECT_EQ(usage().twice_pages, huge - 10 + 2);

	vm_set_user_memory_region2(self->vm, 20, KVM_MEM_GUEST_MEMFD, gpa, 0,
				   hva - 50 * PAGE_SIZE, fd, 0);
	EXPECT_EQ(usage().twice_pages, 0);
	close(fd);
	munmap(mem, 4 * huge * PAGE_SIZE);
}

struct churn {
	struct kvm_vm *vm;
	bool stop;
};

static void *churn(void *arg)
{
	struct churn *churn = arg;
	uint64_t i = 0;

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		MUST(!populate(churn->vm, 0, DATA_PAGES), "cannot populate");
		MUST(!convert(churn->vm, i % 32, 32, i & 1), "cannot convert");
		MUST(!punch(churn->vm, i % 16, 48), "cannot punch");
		i++;
	}
	return NULL;
}

TEST_F(layout, bounds_hold_while_memory_changes)
{
	struct churn churner = { .vm = self->vm };
	pthread_t thread;
	uint64_t i, j;

	ASSERT_EQ(pthread_create(&thread, NULL, churn, &churner), 0);
	for (i = 0; i < 300; i++) {
		/* By turns page by page and as a whole node of the page cache. */
		const uint64_t size = i & 1 ? 64 : 16, nr = DATA_PAGES / size;

		ASSERT_EQ(map(self->skel, DATA_GFN, size, nr), (int64_t)nr);
		for (j = 0; j < nr; j++) {
			const struct gmem_bucket *b =
				&self->skel->bss->buckets[j];

			MUST(b->private_pages <= size &&
			     b->private_pages + b->shared_pages == size,
			     "%u private, %u shared", b->private_pages,
			     b->shared_pages);
			MUST(b->populated_pages <= size &&
			     b->stale_pages <= size,
			     "%u populated, %u stale", b->populated_pages,
			     b->stale_pages);
			/* A node's two numbers are not of one moment. */
			MUST(size == 64 || b->stale_pages <= b->populated_pages,
			     "%u populated, %u stale", b->populated_pages,
			     b->stale_pages);
		}
		on_all_nodes();
	}
	__atomic_store_n(&churner.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	MUST(map(self->skel, DATA_GFN, DATA_PAGES, 1) == 1, "no map");
	EXPECT_EQ(self->skel->bss->buckets[0].populated_pages,
		  usage().populated_pages);
	EXPECT_EQ(self->skel->bss->buckets[0].stale_pages,
		  usage().stale_pages);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
