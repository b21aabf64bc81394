/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of conversion in place share: a small guest_memfd, its conversions, and
 * how the host looks at a page that it may not have.
 */
#ifndef TESTS_KVM_IN_PLACE_H
#define TESTS_KVM_IN_PLACE_H

#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "kvm_util.h"
#include "processor.h"

#include "attributes2.h"

#define MMAP_FLAG	GUEST_MEMFD_FLAG_MMAP
#define BOTH		(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE

#define NR_PAGES	64ULL
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define DATA_GPA	0x10000000ULL
#define DATA_SLOT	10

static __thread sigjmp_buf fault;

static inline void on_sigbus(int sig)
{
	siglongjmp(fault, 1);
}

/* Whether the host gets at a byte, or a SIGBUS. */
static inline bool reaches(volatile char *p)
{
	if (sigsetjmp(fault, 1))
		return false;
	(void)*p;
	return true;
}

/* Returns 0 or the errno. */
static inline int set_attributes(int fd, uint64_t offset, uint64_t size,
			  uint64_t attributes)
{
	return set_attributes_at(fd, offset, size, attributes, NULL);
}

static inline int convert(int fd, uint64_t page, uint64_t nr, bool private)
{
	return set_attributes(fd, page * PAGE_SIZE, nr * PAGE_SIZE,
			      private ? PRIVATE : 0);
}

static inline int create(struct kvm_vm *vm, uint64_t flags)
{
	struct kvm_create_guest_memfd memfd = { .size = SIZE, .flags = flags };
	int fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &memfd);

	return fd < 0 ? -errno : fd;
}

static inline char *map(int fd)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static inline void punch(int fd, uint64_t page, uint64_t nr)
{
	TEST_ASSERT(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       page * PAGE_SIZE, nr * PAGE_SIZE), "punch");
}

/* Is the kernel in the mode at all? */
static inline bool in_place(void)
{
	return kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
}

#endif
