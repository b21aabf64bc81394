// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge folios: memory that comes in pieces of 2 MiB, is split and merged, and is
 * the same for the guest all the time.  Each test is for both modes of conversion.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include "policy_fixture.h"
#include "../kvm/frames.h"
#include "../policies/policy.h"
#include "layout.skel.h"

#define HUGE		(2ULL << 20)
#define PER_HUGE	(HUGE / PAGE_SIZE)
#define NR_HUGE		4ULL
#define BIG_PAGES	(NR_HUGE * PER_HUGE)
#define BIG_SIZE	(NR_HUGE * HUGE)
#define BIG_GPA		0x40000000ULL
#define BIG_SLOT	(DATA_SLOT + 1)

/* What the guest is to do with which pages, from BIG_GPA on. */
enum { WRITE, CHECK };

static struct { uint64_t what, page, nr, seed; } job;

/* Each page has a word of its own, at a place of its own. */
static void guest_code(void)
{
	uint64_t i, wrong;

	for (;;) {
		volatile typeof(job) *j = &job;

		wrong = 0;
		for (i = j->page; i < j->page + j->nr; i++) {
			volatile uint64_t *p = (void *)(BIG_GPA + i * PAGE_SIZE +
							i % 512 * 8);

			if (j->what == WRITE)
				*p = j->seed + i;
			else
				wrong += *p != (j->seed ? j->seed + i : 0);
		}
		GUEST_SYNC(wrong);
	}
}

FIXTURE(huge) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	bool in_place;
	int fd;
	char *mem;
};

/* Addresses that are multiples of a huge page, of the file or of other memory. */
static char *reserve(int fd, bool of_file)
{
	char *mem = mmap(NULL, BIG_SIZE + HUGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(mem != MAP_FAILED, "reserve addresses");
	mem = (char *)(((uintptr_t)mem + HUGE - 1) & ~(HUGE - 1));
	mem = mmap(mem, BIG_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED |
		   (of_file ? 0 : MAP_ANONYMOUS), of_file ? fd : -1, 0);
	MUST(mem != MAP_FAILED, "map memory");
	return mem;
}

/* With a byte set that nothing is said of. */
static int create_reserved(struct kvm_vm *vm, uint64_t flags, int byte)
{
	struct kvm_create_guest_memfd create = { .size = HUGE, .flags = flags };
	int fd;

	((uint8_t *)create.reserved)[byte] = 1;
	fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
	return fd < 0 ? -errno : fd;
}

static int create_sized(struct kvm_vm *vm, uint64_t size, uint64_t flags,
			uint8_t log2)
{
	struct kvm_create_guest_memfd create = { .size = size, .flags = flags };
	int fd;

	/* huge_page_size_log2 */
	((uint8_t *)create.reserved)[0] = log2;
	fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
	return fd < 0 ? -errno : fd;
}

static void bind_at(FIXTURE_DATA(huge) *self, uint64_t gpa, uint64_t page,
		    uint64_t nr)
{
	vm_set_user_memory_region2(self->vm, BIG_SLOT, KVM_MEM_GUEST_MEMFD, gpa,
				   nr * PAGE_SIZE, self->mem + page * PAGE_SIZE,
				   self->fd, page * PAGE_SIZE);
}

static void unbind(FIXTURE_DATA(huge) *self, uint64_t gpa)
{
	vm_set_user_memory_region2(self->vm, BIG_SLOT, KVM_MEM_GUEST_MEMFD, gpa,
				   0, self->mem, self->fd, 0);
}

/* Pages from BIG_GPA on; 0 or the errno. */
static int turn(FIXTURE_DATA(huge) *self, uint64_t page, uint64_t nr, bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = BIG_GPA + page * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};

	if (self->in_place)
		return set_attributes_at(self->fd, page * PAGE_SIZE,
					 nr * PAGE_SIZE, attr.attributes, NULL);

	return __vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
}

static int hole(FIXTURE_DATA(huge) *self, uint64_t page, uint64_t nr)
{
	return fallocate(self->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 page * PAGE_SIZE, nr * PAGE_SIZE) ? errno : 0;
}

static int allocate(FIXTURE_DATA(huge) *self, uint64_t page, uint64_t nr)
{
	return fallocate(self->fd, FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE,
			 nr * PAGE_SIZE) ? errno : 0;
}

static uint64_t run(FIXTURE_DATA(huge) *self, uint64_t what, uint64_t page,
		    uint64_t nr, uint64_t seed)
{
	struct ucall uc;

	job.what = what;
	job.page = page;
	job.nr = nr;
	job.seed = seed;
	sync_global_to_guest(self->vm, job);
	vcpu_run(self->vcpu);
	MUST(get_ucall(self->vcpu, &uc) == UCALL_SYNC, "the guest failed");
	return uc.args[1];
}

static uint64_t blocks(FIXTURE_DATA(huge) *self)
{
	struct stat st;

	fstat(self->fd, &st);
	return st.st_blocks * 512 / PAGE_SIZE;
}

/* Populated, huge and stale pages, exactly. */
#define EXPECT_PAGES(populated, huge, stale)				\
	do {								\
		struct gmem_vm_sample __u = usage();			\
									\
		EXPECT_EQ(populated, __u.populated_pages);		\
		EXPECT_EQ(populated, __u.allocated_pages - __u.freed_pages); \
		EXPECT_EQ(huge, __u.huge_pages);			\
		EXPECT_EQ(stale, __u.stale_pages);			\
		EXPECT_EQ(populated, nodes_sum(&__u));			\
	} while (0)

static uint64_t nodes_sum(const struct gmem_vm_sample *u)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < GMEM_NODES_MAX; i++)
		sum += u->node_pages[i];
	return sum;
}

/* Merging happens by itself, within seconds. */
static void await_huge(uint64_t pages)
{
	int tries;

	for (tries = 0; tries < 100 && usage().huge_pages != pages; tries++)
		usleep(100000);
}

FIXTURE_SETUP(huge)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};

	self->in_place = kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
	self->vm = vm_create_shape_with_one_vcpu(shape, &self->vcpu, guest_code);
	self->fd = create_sized(self->vm, BIG_SIZE, GUEST_MEMFD_FLAG_HUGE_PAGES |
				(self->in_place ? GUEST_MEMFD_FLAG_MMAP : 0), 0);
	ASSERT_LE(0, self->fd);
	self->mem = reserve(self->fd, self->in_place);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	virt_map(self->vm, BIG_GPA, BIG_GPA, BIG_PAGES);
	if (!self->in_place)
		ASSERT_EQ(0, turn(self, 0, BIG_PAGES, true));
}

FIXTURE_TEARDOWN(huge)
{
	munmap(self->mem, BIG_SIZE);
	if (self->fd >= 0)
		close(self->fd);
	kvm_vm_free(self->vm);
}

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

/* Policies */

TEST_F(huge, a_policy_is_asked_for_all_of_it)
{
	struct puppet_bpf *p = new_puppet("huge", 0, 0, 0);
	struct bpf_link *link = attach(p);
	uint64_t before;

	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 7, 1, 0));
	EXPECT_EQ(PER_HUGE, p->bss->fault_pages);
	EXPECT_EQ(PER_HUGE, p->bss->fault_index);
	EXPECT_EQ(BIG_GPA / PAGE_SIZE + PER_HUGE, p->bss->fault_gfn);
	EXPECT_EQ(PER_HUGE, p->bss->fault_end_allocated);
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);

	/* Nothing of it comes, neither as a whole nor by page. */
	p->bss->fault_verdict = -ENOMEM;
	before = p->bss->faults;
	job.what = CHECK;
	job.page = 2 * PER_HUGE + 3;
	job.nr = 1;
	sync_global_to_guest(self->vm, job);
	EXPECT_EQ(-1, _vcpu_run(self->vcpu));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(before + 1, p->bss->faults);
	EXPECT_EQ(PER_HUGE, p->bss->fault_pages);
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);

	/* What is there takes nothing. */
	p->bss->fault_verdict = 0;
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	EXPECT_EQ(0, run(self, CHECK, 2 * PER_HUGE + 3, 1, 0));
	EXPECT_EQ(PER_HUGE, p->bss->fault_end_allocated);
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 9, 1, 0));
	EXPECT_EQ(1, p->bss->fault_pages);
	EXPECT_EQ(PER_HUGE + 9, p->bss->fault_index);
	EXPECT_EQ(0, p->bss->fault_end_allocated);
	EXPECT_EQ(p->bss->fault_pages_passed, p->bss->fault_pages_ended);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* The guest touches a page; 0 or the errno that the vCPU stops with. */
static int touch(FIXTURE_DATA(huge) *self, uint64_t page)
{
	struct ucall uc;

	job.what = WRITE;
	job.page = page;
	job.nr = 1;
	job.seed = 61;
	sync_global_to_guest(self->vm, job);
	if (_vcpu_run(self->vcpu))
		return errno;
	MUST(get_ucall(self->vcpu, &uc) == UCALL_SYNC, "the guest failed");
	return 0;
}

static int prefault_page(FIXTURE_DATA(huge) *self, uint64_t page)
{
	struct kvm_pre_fault_memory range = {
		.gpa = BIG_GPA + page * PAGE_SIZE,
		.size = PAGE_SIZE,
	};

	return __vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
}

/* There is room for a piece and a half. */
TEST_F(huge, quota_takes_a_piece_for_all_of_it)
{
	struct test_policy quota =
		policy_attach("quota", "populated=3 stale_percent=100 grace=0",
			      usage().vm_id);

	EXPECT_EQ(0, touch(self, 0));
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);
	/* Neither all of the next one nor a part. */
	EXPECT_EQ(EDQUOT, prefault_page(self, PER_HUGE + 7));
	EXPECT_EQ(EDQUOT, allocate(self, PER_HUGE, PER_HUGE));
	EXPECT_PAGES(PER_HUGE, PER_HUGE, 0);
	/* What is there passes, and what the VMM asks for by page. */
	unbind(self, BIG_GPA);
	bind_at(self, BIG_GPA, 0, BIG_PAGES);
	EXPECT_EQ(0, touch(self, 9));
	EXPECT_EQ(0, allocate(self, 2 * PER_HUGE, PER_HUGE / 2));
	EXPECT_EQ(EDQUOT, allocate(self, 3 * PER_HUGE, 1));
	/* A fault in a piece that is begun takes a page. */
	EXPECT_EQ(EDQUOT, prefault_page(self, 3 * PER_HUGE - 1));
	EXPECT_PAGES(3 * PER_HUGE / 2, PER_HUGE, 0);
	ASSERT_EQ(0, hole(self, 2 * PER_HUGE, 1));
	EXPECT_EQ(0, prefault_page(self, 3 * PER_HUGE - 1));
	EXPECT_PAGES(3 * PER_HUGE / 2, PER_HUGE, 0);
	/* The vCPU stays at its access until another piece is given back. */
	EXPECT_EQ(EDQUOT, touch(self, PER_HUGE + 7));
	EXPECT_EQ(EDQUOT, touch(self, PER_HUGE + 7));
	ASSERT_EQ(0, hole(self, 0, PER_HUGE / 2));
	EXPECT_EQ(EDQUOT, touch(self, PER_HUGE + 7));
	EXPECT_PAGES(PER_HUGE, 0, 0);
	ASSERT_EQ(0, hole(self, 0, PER_HUGE));
	EXPECT_EQ(0, touch(self, PER_HUGE + 7));
	EXPECT_PAGES(3 * PER_HUGE / 2, PER_HUGE, 0);
	policy_detach(&quota);
	EXPECT_EQ(0, touch(self, 0));
}

/* Two pieces are saved up, and none comes by the second. */
TEST_F(huge, faultrate_takes_a_piece_for_all_of_it)
{
	struct test_policy rate =
		policy_attach("faultrate",
			      "rate=1 burst=1024 first_touch=0 action=0",
			      usage().vm_id);

	EXPECT_EQ(0, touch(self, 5));
	EXPECT_EQ(0, touch(self, 5 + PER_HUGE));
	EXPECT_EQ(EBUSY, touch(self, 5 + 2 * PER_HUGE));
	EXPECT_EQ(EBUSY, allocate(self, 2 * PER_HUGE, PER_HUGE));
	EXPECT_PAGES(2 * PER_HUGE, 2 * PER_HUGE, 0);
	EXPECT_EQ(2, usage().faults_denied);
	policy_detach(&rate);
	EXPECT_EQ(0, touch(self, 5 + 2 * PER_HUGE));
	EXPECT_PAGES(3 * PER_HUGE, 3 * PER_HUGE, 0);
}

/* It holds a page more than twice the memory, and the rest of a piece takes 5 s. */
TEST_F(huge, guard_takes_a_piece_for_all_of_it)
{
	struct test_policy guard = policy_attach("guard",
						 "fault_rate=100 fault_burst=1",
						 usage().vm_id);
	struct gmem_vm_sample u;
	uint64_t i;

	for (i = 0; i < 2 * NR_HUGE; i++) {
		if (i == NR_HUGE)
			ASSERT_EQ(0, hole(self, 0, BIG_PAGES));
		EXPECT_EQ(0, touch(self, i % NR_HUGE * PER_HUGE));
	}
	EXPECT_EQ(0, usage().faults_delayed);
	/* What is there costs nothing. */
	EXPECT_EQ(0, touch(self, 1));
	EXPECT_EQ(0, usage().faults_delayed);
	ASSERT_EQ(0, hole(self, 0, PER_HUGE));
	EXPECT_EQ(0, touch(self, 3));
	u = usage();
	EXPECT_LT(0, u.faults_delayed);
	EXPECT_LT(1500000000, u.delayed_ns);
	EXPECT_GT(6000000000, u.delayed_ns);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	policy_detach(&guard);
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

/* References */

#define DEVICE	"/dev/kvm-gmem-consumer"

static int command(int device, const char *format, int number)
{
	char line[64];
	int len = snprintf(line, sizeof(line), format, number);

	return write(device, line, len) == len ? 0 : errno;
}

/* Nothing is done by half while somebody holds a piece. */
TEST_F(huge, somebody_holds_a_piece)
{
	int device = open(DEVICE, O_RDWR);
	struct gmem_vm_sample before;
	uint64_t at;

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 71));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", PER_HUGE + 9));
	before = usage();

	EXPECT_EQ(EAGAIN, hole(self, PER_HUGE + 1, 3));
	EXPECT_EQ(EAGAIN, hole(self, 0, PER_HUGE + 1));
	EXPECT_EQ(EAGAIN, hole(self, PER_HUGE + 100, PER_HUGE));
	EXPECT_EQ(EAGAIN, turn(self, PER_HUGE + 1, 3, false));
	EXPECT_EQ(EAGAIN, turn(self, 0, PER_HUGE + 1, false));
	if (self->in_place) {
		EXPECT_EQ(EAGAIN, set_attributes_at(self->fd,
						    (PER_HUGE + 7) * PAGE_SIZE,
						    PAGE_SIZE, 0, &at));
		EXPECT_EQ((PER_HUGE + 7) * PAGE_SIZE, at);
	}
	EXPECT_EQ(before.conversions_held + (self->in_place ? 3 : 2),
		  usage().conversions_held);
	/* What would change nothing needs no split. */
	EXPECT_EQ(0, turn(self, PER_HUGE + 1, 3, true));
	EXPECT_EQ(before.private_pages, usage().private_pages);
	EXPECT_EQ(before.conversions, usage().conversions);
	/* In place all of a range is split, from its start on, until one is held. */
	EXPECT_EQ(before.huge_splits + self->in_place, usage().huge_splits);
	EXPECT_EQ(before.pages_to_shared, usage().pages_to_shared);
	EXPECT_EQ(before.populated_pages, usage().populated_pages);
	EXPECT_EQ(0, usage().stale_pages);
	EXPECT_EQ(0, run(self, CHECK, 0, BIG_PAGES, 71));
	/* One that goes as a whole need not be split. */
	EXPECT_EQ(0, hole(self, PER_HUGE, PER_HUGE));
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 71));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE, PER_HUGE, 0));

	ASSERT_EQ(0, command(device, "drop", 0));
	EXPECT_EQ(0, run(self, WRITE, PER_HUGE, PER_HUGE, 71));
	EXPECT_EQ(0, hole(self, PER_HUGE + 1, 3));
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE + 1, 71));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 1, 3, 0));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 4, PER_HUGE, 71));
	close(device);
}

static void *drop_soon(void *arg)
{
	usleep(300000);
	MUST(!command(*(int *)arg, "drop", 0), "drop: %s", strerror(errno));
	return NULL;
}

/* VMMs take it as final if the VM's ioctl fails. */
TEST_F(huge, somebody_holds_a_piece_for_a_moment)
{
	int device = open(DEVICE, O_RDWR);
	pthread_t thread;

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	if (self->in_place)
		SKIP(return, "the guest_memfd's ioctl says who is in the way");
	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 72));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", PER_HUGE + 9));
	ASSERT_EQ(0, pthread_create(&thread, NULL, drop_soon, &device));
	EXPECT_EQ(0, turn(self, PER_HUGE + 1, 3, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, usage().conversions_held);
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_EQ(3, usage().stale_pages);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE + 1, 72));
	EXPECT_EQ(0, run(self, CHECK, PER_HUGE + 4, PER_HUGE, 72));
	close(device);
}

/* A small page that is held is not merged, and waits. */
TEST_F(huge, a_page_that_is_held_is_not_merged)
{
	int device = open(DEVICE, O_RDWR);

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	ASSERT_EQ(0, allocate(self, 1, PER_HUGE - 1));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", 9));
	EXPECT_EQ(0, run(self, WRITE, 0, PER_HUGE, 81));
	sleep(1);
	EXPECT_EQ(0, usage().huge_pages);
	EXPECT_EQ(0, usage().huge_merges);
	EXPECT_EQ(1, usage().huge_waiting);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 81));
	ASSERT_EQ(0, command(device, "drop", 0));
	await_huge(PER_HUGE);
	EXPECT_EQ(1, usage().huge_merges);
	EXPECT_EQ(0, usage().huge_waiting);
	EXPECT_EQ(0, run(self, CHECK, 0, PER_HUGE, 81));
	close(device);
}

/* Merging while the guest writes and the VMM converts, all the time. */
static void *toggle(void *arg)
{
	FIXTURE_DATA(huge) *self = arg;
	int i, r;

	for (i = 0; i < 60; i++) {
		r = turn(self, i % NR_HUGE * PER_HUGE + 5, 1, false);
		MUST(!r || r == EAGAIN, "to shared: %s", strerror(r));
		do {
			r = turn(self, i % NR_HUGE * PER_HUGE + 5, 1, true);
		} while (r == EAGAIN);
		MUST(!r, "to private: %s", strerror(r));
		usleep(50000);
	}
	return NULL;
}

TEST_F(huge, the_guest_never_sees_anything_else)
{
	pthread_t thread;
	int i;

	EXPECT_EQ(0, run(self, WRITE, 0, BIG_PAGES, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, toggle, self));
	/* Without the pages that may be shared just then. */
	for (i = 0; i < 40; i++) {
		uint64_t first = i % NR_HUGE * PER_HUGE + 6;

		EXPECT_EQ(0, run(self, CHECK, first, PER_HUGE - 6, i / NR_HUGE + 1));
		EXPECT_EQ(0, run(self, WRITE, first, PER_HUGE - 6,
				 i / NR_HUGE + 2));
		usleep(30000);
	}
	pthread_join(thread, NULL);
	for (i = 0; i < NR_HUGE; i++)
		EXPECT_EQ(0, run(self, CHECK, i * PER_HUGE + 6, PER_HUGE - 6,
				 40 / NR_HUGE + 1));
	await_huge(BIG_PAGES);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES, 0);
	EXPECT_LT(0, usage().huge_merges);
	EXPECT_EQ(usage().huge_merges, usage().huge_splits);
}

/* Memory failure */

/* Breaks a page of the first piece; the errno. */
static int break_page(FIXTURE_DATA(huge) *self, uint64_t page)
{
	uint64_t pfns[4] = {};
	char text[32];

	frames_trace();
	MUST(!run(self, WRITE, 0, BIG_PAGES, 61), "the guest reads something else");
	MUST(frames_read(BIG_GPA / PAGE_SIZE, 1, pfns) >= 1 && pfns[0],
	     "no frame is traced");
	snprintf(text, sizeof(text), "%lu", pfns[0] + page);
	return write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
}

/* All but one page are as they were; that one the guest cannot have. */
#define EXPECT_BROKEN(self, broken) do {				\
	EXPECT_EQ(0, run(self, CHECK, 0, broken, 61));			\
	EXPECT_EQ(0, run(self, CHECK, (broken) + 1, BIG_PAGES - (broken) - 1, 61)); \
	job.page = broken;						\
	job.nr = 1;							\
	sync_global_to_guest((self)->vm, job);				\
	EXPECT_EQ(-1, _vcpu_run((self)->vcpu));				\
	EXPECT_EQ(EHWPOISON, errno);					\
} while (0)

TEST_F(huge, a_page_breaks)
{
	int r = break_page(self, 5);

	ASSERT_TRUE(!r || r == EBUSY) TH_LOG("%s", strerror(r));
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES - PER_HUGE, 0);
	EXPECT_BROKEN(self, 5);
}

/* The kernel gives up if somebody has a piece; it is split later. */
static void break_held(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
		       uint64_t page)
{
	int device = open(DEVICE, O_RDWR), i;

	if (device < 0)
		SKIP(return, "see tests/kvm/huge");
	ASSERT_EQ(0, allocate(self, 0, PER_HUGE));
	ASSERT_EQ(0, command(device, "attach %d", self->fd));
	ASSERT_EQ(0, command(device, "hold %d", 40));
	EXPECT_EQ(EHWPOISON, break_page(self, page));
	sleep(1);
	EXPECT_EQ(0, usage().huge_splits);
	EXPECT_BROKEN(self, page);
	EXPECT_EQ(0, usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]);

	ASSERT_EQ(0, command(device, "drop", 0));
	for (i = 0; i < 100 && !usage().huge_splits; i++)
		usleep(100000);
	EXPECT_EQ(1, usage().huge_splits);
	EXPECT_PAGES(BIG_PAGES, BIG_PAGES - PER_HUGE, 0);
	EXPECT_EQ(1, usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]);
	close(device);
}

TEST_F(huge, a_page_breaks_that_somebody_holds)
{
	break_held(_metadata, self, 5);
}

/* Its mark is the folio's, too. */
TEST_F(huge, the_first_page_breaks_that_somebody_holds)
{
	break_held(_metadata, self, 0);
}

TEST_HARNESS_MAIN
