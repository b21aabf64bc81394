// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private frames and ranges: counted where they change, and compared here with
 * what is so, frame by frame.  Attributes can be set for any frame; only frames
 * that a guest_memfd is behind are counted.
 */
#include "gmem_test.h"

/*
 * The VM's data, 64 pages, is one memslot; others come and go around it:
 *
 *	frame	0	64	 100	  140
 *		[ data ][ right ]	  [ far ]
 */
#define RIGHT_SLOT	20
#define RIGHT_PAGE	DATA_PAGES
#define RIGHT_PAGES	36ULL
#define FAR_SLOT	21
#define FAR_PAGE	140ULL
#define FAR_PAGES	60ULL
#define ALL_PAGES	220ULL
/* Of each kind, and of pages beside all of them. */
#define NR_SLOTS	3

struct slot {
	uint64_t page;
	uint64_t nr;
	bool backed;
};

FIXTURE(frames) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct slot slots[NR_SLOTS];
	bool private[ALL_PAGES];
};

FIXTURE_SETUP(frames)
{
	self->vm = new_vm(&self->vcpu, 8);
	memset(self->private, 0, sizeof(self->private));
	self->slots[0] = (struct slot){ 0, DATA_PAGES, true };
	self->slots[1] = (struct slot){ RIGHT_PAGE, RIGHT_PAGES, false };
	self->slots[2] = (struct slot){ FAR_PAGE, FAR_PAGES, false };
}

FIXTURE_TEARDOWN(frames)
{
	kvm_vm_free(self->vm);
}

static void set(FIXTURE_DATA(frames) *self, uint64_t page, uint64_t nr,
		bool private)
{
	MUST(!convert(self->vm, page, nr, private), "cannot convert");
	while (nr--)
		self->private[page++] = private;
}

/* A memslot with a guest_memfd of its own, whose descriptor is returned. */
static int add_slot(FIXTURE_DATA(frames) *self, int nr, int id)
{
	struct slot *slot = &self->slots[nr];
	uint64_t size = slot->nr * PAGE_SIZE;
	void *hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	int fd = vm_create_guest_memfd(self->vm, size, 0);

	MUST(hva != MAP_FAILED, "no memory");
	vm_set_user_memory_region2(self->vm, id, KVM_MEM_GUEST_MEMFD,
				   DATA_GPA + slot->page * PAGE_SIZE, size, hva,
				   fd, 0);
	slot->backed = true;

	return fd;
}

static void remove_slot(FIXTURE_DATA(frames) *self, int nr, int id, int fd)
{
	struct slot *slot = &self->slots[nr];

	vm_set_user_memory_region2(self->vm, id, KVM_MEM_GUEST_MEMFD,
				   DATA_GPA + slot->page * PAGE_SIZE, 0, NULL,
				   fd, 0);
	slot->backed = false;
}

static void compare(FIXTURE_DATA(frames) *self)
{
	uint64_t private = 0, ranges = 0, i;
	struct gmem_vm_sample now = usage();
	int nr;

	for (nr = 0; nr < NR_SLOTS; nr++) {
		const struct slot *slot = &self->slots[nr];

		if (!slot->backed)
			continue;
		for (i = slot->page; i < slot->page + slot->nr; i++) {
			private += self->private[i];
			ranges += i == slot->page ||
				  self->private[i] != self->private[i - 1];
		}
	}
	MUST(now.private_pages == private, "%llu private, and %lu are",
	     now.private_pages, private);
	MUST(now.ranges == ranges, "%llu ranges, and there are %lu", now.ranges,
	     ranges);
}

TEST_F(frames, one_memslot)
{
	compare(self);
	set(self, 0, DATA_PAGES, true);
	EXPECT_EQ(usage().private_pages, DATA_PAGES);
	EXPECT_EQ(usage().ranges, 1);
	set(self, 10, 1, false);
	EXPECT_EQ(usage().ranges, 3);
	set(self, 0, 1, false);
	EXPECT_EQ(usage().ranges, 4);
	set(self, DATA_PAGES - 1, 1, false);
	EXPECT_EQ(usage().ranges, 5);
	set(self, 1, 9, false);
	EXPECT_EQ(usage().ranges, 3);
	compare(self);
}

TEST_F(frames, frames_without_memory_do_not_count)
{
	set(self, DATA_PAGES, 100, true);
	EXPECT_EQ(usage().private_pages, 0);
	EXPECT_EQ(usage().ranges, 1);
	EXPECT_EQ(usage().pages_to_private, 100);
	/* Across the end of the memory. */
	set(self, 60, 20, true);
	EXPECT_EQ(usage().private_pages, 4);
	EXPECT_EQ(usage().ranges, 2);
	/* All that there is, and more. */
	set(self, 0, ALL_PAGES, true);
	EXPECT_EQ(usage().private_pages, DATA_PAGES);
	EXPECT_EQ(usage().ranges, 1);
	compare(self);
}

TEST_F(frames, memory_that_comes_and_goes)
{
	int right, far;

	set(self, 0, ALL_PAGES, true);
	set(self, 70, 5, false);
	set(self, 150, 5, false);
	compare(self);
	right = add_slot(self, 1, RIGHT_SLOT);
	compare(self);
	far = add_slot(self, 2, FAR_SLOT);
	EXPECT_EQ(usage().ranges, 7);
	EXPECT_EQ(usage().private_pages,
		  DATA_PAGES + RIGHT_PAGES + FAR_PAGES - 10);
	compare(self);
	/* Through memslots that lie side by side, and the hole after them. */
	set(self, 30, 120, false);
	compare(self);
	remove_slot(self, 1, RIGHT_SLOT, right);
	compare(self);
	close(right);
	compare(self);
	/* The file goes, and the memslot is still there. */
	close(far);
	self->slots[2].backed = false;
	compare(self);
	set(self, 100, 100, true);
	compare(self);
	remove_slot(self, 2, FAR_SLOT, -1);
	compare(self);
}

/* Within 512 frames, across that, and in a part of the map that is all alike. */
TEST_F(frames, whatever_is_done)
{
	unsigned int seed = getenv("GMEM_SEED") ? atoi(getenv("GMEM_SEED")) : time(NULL);
	int fds[NR_SLOTS] = { -1, -1, -1 };
	uint64_t op, page, nr;
	int i;

	printf("# GMEM_SEED=%u\n", seed);
	for (op = 0; op < 3000; op++) {
		i = 1 + rand_r(&seed) % 2;
		if (rand_r(&seed) % 20) {
			page = rand_r(&seed) % ALL_PAGES;
			nr = rand_r(&seed) % 2 ? 1 :
			     1 + rand_r(&seed) % (ALL_PAGES - page);
			set(self, page, nr, rand_r(&seed) % 2);
		} else if (fds[i] < 0) {
			fds[i] = add_slot(self, i, RIGHT_SLOT - 1 + i);
		} else {
			remove_slot(self, i, RIGHT_SLOT - 1 + i, fds[i]);
			close(fds[i]);
			fds[i] = -1;
		}
		compare(self);
	}
}

/* A large guest that is cut into many ranges before its memory comes. */
TEST_F(frames, one_that_is_cut_to_pieces)
{
	const uint64_t pages = 1ULL << 26, first = 1ULL << 26, step = 3355;
	struct kvm_memory_attributes attr = {
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	struct gmem_vm_sample before = usage(), now;
	uint64_t i;
	void *hva;
	int fd;

	hva = mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
	ASSERT_NE(hva, MAP_FAILED);
	fd = vm_create_guest_memfd(self->vm, pages * PAGE_SIZE, 0);
	for (i = 0; i < 20000; i++) {
		attr.address = (first + i * step) * PAGE_SIZE;
		attr.size = PAGE_SIZE;
		vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr);
	}
	EXPECT_EQ(usage().ranges, before.ranges);
	vm_set_user_memory_region2(self->vm, 30, KVM_MEM_GUEST_MEMFD,
				   first * PAGE_SIZE, pages * PAGE_SIZE, hva, fd,
				   0);
	now = usage();
	EXPECT_EQ(now.private_pages, before.private_pages + 20000);
	/* The first of them is the memslot's first frame. */
	EXPECT_EQ(now.ranges, before.ranges + 2 * 20000);
	attr.address = first * PAGE_SIZE;
	attr.size = pages * PAGE_SIZE;
	vm_ioctl(self->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr);
	EXPECT_EQ(usage().private_pages, before.private_pages + pages);
	EXPECT_EQ(usage().ranges, before.ranges + 1);
	close(fd);
	EXPECT_EQ(usage().private_pages, before.private_pages);
	EXPECT_EQ(usage().ranges, before.ranges);
	munmap(hva, pages * PAGE_SIZE);
}

TEST_HARNESS_MAIN
