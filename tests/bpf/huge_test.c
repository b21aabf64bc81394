// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios: memory that comes in pieces of 2 MiB, is split and merged, and is
 * the same for the guest all the time.  Each test is for both modes of conversion.
 * Not here: policies (huge_policy_test.c), who holds a piece or has a broken one
 * (huge_held_test.c), and short memory (huge_memory_test.c).
 */
#include "huge_fixture.h"
#include "../kvm/frames.h"
#include "layout.skel.h"

/* Creation */

TEST_F(huge, sizes_and_flags)
{
	const uint64_t flag = GUEST_MEMFD_FLAG_HUGE_PAGES;
	struct kvm_vm *plain = vm_create_barebones();
	int i, fd;

	EXPECT_TRUE(vm_check_cap(self->vm, KVM_CAP_GUEST_MEMFD_FLAGS) & flag);
	/* Without private memory there is nothing to be huge. */
	EXPECT_FALSE(vm_check_cap(plain, KVM_CAP_GUEST_MEMFD_FLAGS) & flag);
	EXPECT_EQ(-EINVAL, create_sized(plain, HUGE, flag | GUEST_MEMFD_FLAG_MMAP, 0));
	for (i = 1; i < 64; i++) {
		fd = create_sized(self->vm, HUGE, flag, i);
		EXPECT_EQ(i == 21, fd >= 0) TH_LOG("2^%d", i);
		if (fd >= 0)
			close(fd);
		/* Nobody has ever looked at that without a flag that says so. */
		fd = create_sized(self->vm, HUGE, 0, i);
		EXPECT_LE(0, fd);
		close(fd);
	}
	for (i = 1; i < (int)sizeof(((struct kvm_create_guest_memfd *)0)->reserved);
	     i++) {
		EXPECT_EQ(-EINVAL, create_reserved(self->vm, flag, i)) TH_LOG("byte %d", i);
		fd = create_reserved(self->vm, 0, i);
		EXPECT_LE(0, fd) TH_LOG("byte %d", i);
		close(fd);
	}
	EXPECT_EQ(-EINVAL, create_sized(self->vm, HUGE + PAGE_SIZE, flag, 0));
	EXPECT_EQ(-EINVAL, create_sized(self->vm, HUGE / 2, flag, 21));
	EXPECT_EQ(-EINVAL, create_sized(self->vm, 0, flag, 0));
	kvm_vm_free(plain);
}

TEST_F(huge, the_parameter_decides)
{
	int fd;

	write_parameter("gmem_huge_pages", "never");
	EXPECT_FALSE(vm_check_cap(self->vm, KVM_CAP_GUEST_MEMFD_FLAGS) &
		     GUEST_MEMFD_FLAG_HUGE_PAGES);
	EXPECT_EQ(-EINVAL, create_sized(self->vm, HUGE,
					GUEST_MEMFD_FLAG_HUGE_PAGES, 0));
	/* One that is there goes on. */
	EXPECT_EQ(0, allocate(self, 0, PER_HUGE));
	EXPECT_EQ(PER_HUGE, usage().huge_pages);

	write_parameter("gmem_huge_pages", "always");
	fd = create_sized(self->vm, HUGE + PAGE_SIZE, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, HUGE + PAGE_SIZE));
	EXPECT_EQ(2 * PER_HUGE, usage().huge_pages);
	EXPECT_EQ(2 * PER_HUGE + 1, usage().populated_pages);
	close(fd);

	write_parameter("gmem_huge_pages", "advise");
	fd = create_sized(self->vm, HUGE, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, HUGE));
	EXPECT_EQ(PER_HUGE, usage().huge_pages);
	close(fd);
}

/* Allocation */

TEST_F(huge, one_fault_takes_a_piece)
{
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 0));
	EXPECT_EQ(NR_HUGE, usage().faults[GMEM_FAULT_VCPU]);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(BIG_PAGES, blocks(self));
	EXPECT_EQ(BIG_PAGES, vm_get_stat(self->vm, "gmem_huge_pages"));
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 7));
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 7));
	/* Mapped as pieces, and not once more by page. */
	EXPECT_EQ(NR_HUGE, usage().faults[GMEM_FAULT_VCPU]);
	EXPECT_EQ(0, usage().huge_splits);
}

TEST_F(huge, a_prefault_takes_pieces)
{
	struct kvm_pre_fault_memory range = {
		.gpa = BIG_GPA,
		.size = BIG_SIZE,
	};

	while (range.size)
		ASSERT_EQ(0, __vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(NR_HUGE, usage().faults[GMEM_FAULT_PREFAULT]);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 0));
	EXPECT_EQ(0, usage().faults[GMEM_FAULT_VCPU]);
}

TEST_F(huge, fallocate_takes_pieces_that_it_covers)
{
	/* Half a piece, two, and half a piece. */
	ASSERT_EQ(0, allocate(self, PER_HUGE / 2, 3 * PER_HUGE));
	EXPECT_PAGES(3 * PER_HUGE, 2 * PER_HUGE, 0);
	EXPECT_EQ(3 * PER_HUGE, blocks(self));
	EXPECT_EQ(3 * PER_HUGE, usage().faults[GMEM_FAULT_FALLOCATE]);
	/* The ends are completed, and become pieces in time. */
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 3));
	EXPECT_EQ(BIG_PAGES, usage().populated_pages);
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(2, usage().huge_merges);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 3));
}

TEST_F(huge, what_is_not_all_private_comes_by_page)
{
	ASSERT_EQ(0, turn(self, PER_HUGE + 5, 1, false));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 6, 10, 0));
	EXPECT_PAGES(10, 0, 0);
	EXPECT_EQ(10, usage().huge_fallbacks[GMEM_HUGE_MIXED]);
	EXPECT_EQ(0, run(self, CHECK, 0, 10, 0));
	EXPECT_PAGES(10 + PER_HUGE, PER_HUGE, 0);
	/* The rest of it finds some there. */
	ASSERT_EQ(0, turn(self, PER_HUGE + 5, 1, true));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE, 5, 0));
	EXPECT_PAGES(15 + PER_HUGE, PER_HUGE, 0);
	EXPECT_EQ(5, usage().huge_fallbacks[GMEM_HUGE_PRESENT]);
	EXPECT_EQ(10, usage().huge_fallbacks[GMEM_HUGE_MIXED]);
}

TEST_F(huge, a_memslot_that_is_not_aligned)
{
	/* By one page: no frame fits. */
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 1, BIG_PAGES - 1);
	if (!self->in_place)
		ASSERT_EQ(0, turn(self, 0, BIG_PAGES, true));
	EXPECT_EQ(0, run(self, WRITE, 0, 20, 9));
	EXPECT_PAGES(20, 0, 0);
	EXPECT_EQ(20, usage().huge_fallbacks[GMEM_HUGE_ALIGNMENT]);
	EXPECT_EQ(0, run(self, CHECK, 0, 20, 9));
}

/* The pieces are there, and mapped by page. */
TEST_F(huge, a_memslot_that_moves)
{
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 9));
	unbind(self, BIG_GPA);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, (self->in_place ? 0 : BIG_PAGES));
	/* Frame 0 is page 1 now. */
	bind_at(self, BIG_GPA, 1, BIG_PAGES - 1);
	EXPECT_EQ(0, run(self, CHECK, 0, 0, 0));
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES - 1, 9));
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES - 1, 9));
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	/* What the last frames' page has was written by the one before. */
	EXPECT_EQ(BIG_PAGES, usage().huge_pages);
}

TEST_F(huge, a_memslot_goes_and_comes)
{
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 11));
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 11));
	EXPECT_EQ(2 * NR_HUGE, usage().faults[GMEM_FAULT_VCPU]);
	EXPECT_EQ(0, usage().huge_splits);
	/* A part of a piece has no memslot. */
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES - 10);
	EXPECT_EQ(self->in_place ? 0 : 1, usage().huge_splits);
	EXPECT_EQ(self->in_place ? 0 : 10, usage().stale_pages);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES - 10, 11));
}

/* Conversion */

TEST_F(huge, a_part_is_shared_and_private_again)
{
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 21));
	ASSERT_EQ(0, turn(self, PER_HUGE + 3, 2, false));
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES - PER_HUGE, (self->in_place ? 0 : 2));
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE + 3, 21));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 5, BIG_PAGES - PER_HUGE - 5, 21));
	if (self->in_place) {
		/* The host has what the guest has. */
		uint64_t page = PER_HUGE + 3;

		EXPECT_EQ(21 + page, *(uint64_t *)(self->mem + page * PAGE_SIZE +
						   page % 512 * 8));
		EXPECT_EQ(0, run(self, CHECK, page, 2, 21));
	}
	ASSERT_EQ(0, turn(self, PER_HUGE + 3, 2, true));
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 21));
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(1, usage().huge_merges);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 21));
	EXPECT_EQ(0, usage().huge_waiting);
}

TEST_F(huge, whole_pieces_are_shared)
{
	const bool splits = self->in_place;

	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 31));
	ASSERT_EQ(0, turn(self, PER_HUGE, 2 * PER_HUGE, false));
	/* By the VM it is other memory that is shared: these are stale. */
	EXPECT_EQ(splits ? 2 : 0, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES - (splits ? 2 * PER_HUGE : 0),
		     (splits ? 0 : 2 * PER_HUGE));
	ASSERT_EQ(0, turn(self, 0, BIG_PAGES, true));
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 31));
}

/* A range that begins and ends in the middle. */
TEST_F(huge, only_the_ends_are_split)
{
	if (self->in_place)
		SKIP(return, "all that is shared is split");
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 31));
	ASSERT_EQ(0, turn(self, PER_HUGE / 2, 3 * PER_HUGE, false));
	EXPECT_EQ(2, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, 2 * PER_HUGE, 3 * PER_HUGE);
	/* As a whole the same again: nothing to split. */
	ASSERT_EQ(0, turn(self, PER_HUGE / 2, 3 * PER_HUGE, true));
	EXPECT_EQ(2, usage().huge_splits);
	EXPECT_EQ(0, usage().stale_pages);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 31));
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 31));
}

/* Holes */

TEST_F(huge, holes)
{
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 41));
	/* A piece goes as it is. */
	ASSERT_EQ(0, hole(self, PER_HUGE, PER_HUGE));
	EXPECT_PAGES(BIG_PAGES - PER_HUGE, BIG_PAGES - PER_HUGE, 0);
	EXPECT_EQ(0, usage().huge_splits);
	EXPECT_EQ(BIG_PAGES - PER_HUGE, blocks(self));
	/* From the middle of the third to the middle of the last. */
	ASSERT_EQ(0, hole(self, 2 * PER_HUGE + 100, PER_HUGE + 50));
	EXPECT_EQ(2, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES - 2 * PER_HUGE - 50, PER_HUGE, 0);
	EXPECT_EQ(BIG_PAGES - 2 * PER_HUGE - 50, blocks(self));
	/* What is not in it is intact, and the rest is zero. */
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 41));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE, PER_HUGE, 0));
	EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE, 100, 41));
	EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE + 100, PER_HUGE + 50, 0));
	EXPECT_EQ(0, run(self, CHECK, 3 * PER_HUGE + 150, PER_HUGE - 150, 41));
	EXPECT_EQ(BIG_PAGES, usage().populated_pages);
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 41));
	EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE, 100, 41));
	EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE + 100, PER_HUGE + 50, 0));
	/* All of it, and beyond the end. */
	ASSERT_EQ(0, hole(self, 0, 2 * BIG_PAGES));
	EXPECT_PAGES(0, 0, 0);
	EXPECT_EQ(0, blocks(self));
}

TEST_F(huge, the_file_is_closed)
{
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 41));
	ASSERT_EQ(0, turn(self, 5, 1, false));
	/* A mapping has the file, too. */
	munmap(self->mem, BIG_SIZE);
	close(self->fd);
	self->fd = -1;
	EXPECT_PAGES(0, 0, 0);
}

#define OTHER_GPA	0x80000000ULL
#define OTHER_SLOT	(BIG_SLOT + 1)

struct other {
	FIXTURE_DATA(huge) *huge;
	int fd;
};

static void turn_other(const struct other *o, uint64_t page, uint64_t nr, bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = OTHER_GPA + page * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};
	int r;

	if (o->huge->in_place)
		r = set_attributes_at(o->fd, page * PAGE_SIZE, nr * PAGE_SIZE,
				      attr.attributes, NULL);
	else
		r = __vm_ioctl(o->huge->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
	MUST(!r, "convert: %s", strerror(r));
}

static void *close_other(void *arg)
{
	close(((struct other *)arg)->fd);
	return NULL;
}

/* Whoever closes a file and deletes its memslot meets the worker that merges. */
TEST_F(huge, closed_while_it_is_merged)
{
	struct other other = { .huge = self };
	pthread_t closer;
	int i, page;

	for (i = 0; i < 60; i++) {
		other.fd = create_sized(self->vm, BIG_SIZE, GUEST_MEMFD_FLAG_HUGE_PAGES, 0);
		ASSERT_LE(0, other.fd);
		vm_set_user_memory_region2(self->vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
					   OTHER_GPA, BIG_SIZE, self->mem, other.fd, 0);
		turn_other(&other, 0, BIG_PAGES, true);
		ASSERT_EQ(0, fallocate(other.fd, FALLOC_FL_KEEP_SIZE, 0, BIG_SIZE));
		for (page = 3; page < BIG_PAGES; page += PER_HUGE) {
			turn_other(&other, page, 1, false);
			turn_other(&other, page, 1, true);
		}
		/* It begins 200 ms after the last of them. */
		usleep(195000 + i * 1000);
		ASSERT_EQ(0, pthread_create(&closer, NULL, close_other, &other));
		vm_set_user_memory_region2(self->vm, OTHER_SLOT, KVM_MEM_GUEST_MEMFD,
					   OTHER_GPA, 0, self->mem, other.fd, 0);
		pthread_join(closer, NULL);
	}
	EXPECT_LT(0, usage().huge_merges);
	EXPECT_GT(60 * NR_HUGE, usage().huge_merges);
	/* Nobody waits for the end of something that nobody ends. */
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 43));
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 43));
}

/* Limits */

TEST_F(huge, a_limit_of_the_control_group)
{
	struct gmem_vm_sample u;
	char text[32];

	enter_cgroup();
	EXPECT_EQ(0, run(self, WRITE, 0, PER_HUGE, 51));
	EXPECT_EQ(PER_HUGE, usage().huge_pages);
	/* Room for half a piece. */
	snprintf(text, sizeof(text), "%llu", charged() + HUGE / 2);
	must_write(CGROUP "/memory.max", text);
	EXPECT_EQ(0, run(self, WRITE, PER_HUGE, 20, 51));
	u = usage();
	must_write(CGROUP "/memory.max", "max");
	EXPECT_EQ(PER_HUGE + 20, u.populated_pages);
	EXPECT_EQ(PER_HUGE, u.huge_pages);
	EXPECT_EQ(20, u.huge_fallbacks[GMEM_HUGE_LIMIT] +
		      u.huge_fallbacks[GMEM_HUGE_PRESENT]);
	EXPECT_LT(0, u.huge_fallbacks[GMEM_HUGE_LIMIT]);
	EXPECT_EQ(0, run(self, WRITE, 0, 2 * PER_HUGE, 51));
	await_huge(2 * PER_HUGE);
	EXPECT_PAGES(2 * PER_HUGE, 2 * PER_HUGE, 0);
	EXPECT_EQ(0, run(self, CHECK, 0, 2 * PER_HUGE, 51));
	leave_cgroup();
}

/* Where they are */

static uint64_t huge_in(struct layout_bpf *skel, uint64_t start, uint64_t pages)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->start = start;
	skel->bss->bucket_pages = pages;
	skel->bss->nr_buckets = 1;
	skel->bss->looked_at = 0;
	skel->bss->found_so_far = 0;
	skel->bss->look_until_ns = ~0ULL;
	skel->bss->buckets[0].populated_pages = 1;
	MUST(!bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_huge),
				     &opts), "cannot run the program");
	MUST(skel->bss->result == 1, "the result is %ld", (long)skel->bss->result);
	return skel->bss->found[0];
}

TEST_F(huge, pages_of_any_stretch)
{
	const uint64_t gfn = BIG_GPA / PAGE_SIZE, step = 31;
	struct layout_bpf *skel = layout_bpf__open_and_load();
	uint64_t first, end, from, to;

	ASSERT_NE(NULL, skel);
	skel->bss->vm_id = usage().vm_id;
	EXPECT_EQ(0, huge_in(skel, 0, ~0ULL));
	/* Single pages, two huge folios, and a page behind them. */
	ASSERT_EQ(0, allocate(self, 0, 100));
	ASSERT_EQ(0, allocate(self, PER_HUGE, 2 * PER_HUGE));
	ASSERT_EQ(0, allocate(self, 3 * PER_HUGE + 1, 1));
	for (first = 0; first < BIG_PAGES; first += step) {
		for (end = first + 1; end <= BIG_PAGES; end += step) {
			from = max(first, (uint64_t)PER_HUGE);
			to = min(end, (uint64_t)(3 * PER_HUGE));
			MUST(huge_in(skel, gfn + first, end - first) ==
			     (to > from ? to - from : 0),
			     "pages %lu to %lu have %lu", first, end,
			     (unsigned long)skel->bss->found[0]);
		}
	}
	/* Beyond the memslot on either side, to the end of everything, and nothing. */
	EXPECT_EQ(0, huge_in(skel, 0, gfn));
	EXPECT_EQ(2 * PER_HUGE, huge_in(skel, 0, ~0ULL));
	EXPECT_EQ(PER_HUGE - 7, huge_in(skel, gfn + 2 * PER_HUGE + 7, 1ULL << 40));
	EXPECT_EQ(0, huge_in(skel, gfn + BIG_PAGES, 1ULL << 40));
	EXPECT_EQ(0, huge_in(skel, gfn + PER_HUGE, 0));
	/* One that is split is none any more. */
	ASSERT_EQ(0, turn(self, PER_HUGE, 1, false));
	EXPECT_EQ(PER_HUGE, huge_in(skel, 0, ~0ULL));
	EXPECT_EQ(0, huge_in(skel, gfn, 2 * PER_HUGE));
	unbind(self, BIG_GPA);
	EXPECT_EQ(0, huge_in(skel, 0, ~0ULL));
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	layout_bpf__destroy(skel);
}

TEST_HARNESS_MAIN
