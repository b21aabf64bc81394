/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest with four pieces of 2 MiB in a guest_memfd with huge folios, all private,
 * for both modes of conversion.  Who includes this is a program of the kselftest
 * harness.
 */
#ifndef HUGE_FIXTURE_H
#define HUGE_FIXTURE_H

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include "policy_fixture.h"

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
static inline void guest_code(void)
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
static inline char *reserve(int fd, bool of_file)
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
static inline int create_reserved(struct kvm_vm *vm, uint64_t flags, int byte)
{
	struct kvm_create_guest_memfd create = { .size = HUGE, .flags = flags };
	int fd;

	((uint8_t *)create.reserved)[byte] = 1;
	fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
	return fd < 0 ? -errno : fd;
}

static inline int create_sized(struct kvm_vm *vm, uint64_t size, uint64_t flags,
			uint8_t log2)
{
	struct kvm_create_guest_memfd create = { .size = size, .flags = flags };
	int fd;

	/* huge_page_size_log2 */
	((uint8_t *)create.reserved)[0] = log2;
	fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
	return fd < 0 ? -errno : fd;
}

static inline void bind_at(FIXTURE_DATA(huge) *self, uint64_t gpa, uint64_t page,
		    uint64_t nr)
{
	vm_set_user_memory_region2(self->vm, BIG_SLOT, KVM_MEM_GUEST_MEMFD, gpa,
				   nr * PAGE_SIZE, self->mem + page * PAGE_SIZE,
				   self->fd, page * PAGE_SIZE);
}

static inline void unbind(FIXTURE_DATA(huge) *self, uint64_t gpa)
{
	vm_set_user_memory_region2(self->vm, BIG_SLOT, KVM_MEM_GUEST_MEMFD, gpa,
				   0, self->mem, self->fd, 0);
}

/* Pages from BIG_GPA on; 0 or the errno. */
static inline int turn(FIXTURE_DATA(huge) *self, uint64_t page, uint64_t nr, bool private)
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

static inline int hole(FIXTURE_DATA(huge) *self, uint64_t page, uint64_t nr)
{
	return fallocate(self->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 page * PAGE_SIZE, nr * PAGE_SIZE) ? errno : 0;
}

static inline int allocate(FIXTURE_DATA(huge) *self, uint64_t page, uint64_t nr)
{
	return fallocate(self->fd, FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE,
			 nr * PAGE_SIZE) ? errno : 0;
}

static inline uint64_t run(FIXTURE_DATA(huge) *self, uint64_t what, uint64_t page,
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

static inline uint64_t blocks(FIXTURE_DATA(huge) *self)
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

static inline uint64_t nodes_sum(const struct gmem_vm_sample *u)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < GMEM_NODES_MAX; i++)
		sum += u->node_pages[i];
	return sum;
}

/* Merging happens by itself, within seconds. */
static inline void await_huge(uint64_t pages)
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

	/* Pages of several nodes are not merged. */
	kvm_pin_this_task_to_pcpu(0);
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

#endif /* HUGE_FIXTURE_H */
