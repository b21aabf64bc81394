/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of conversion in place: Linux's own, which the headers of this
 * kernel's selftests do not have.
 */
#ifndef ATTRIBUTES2_H
#define ATTRIBUTES2_H

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
#define KVM_CAP_GUEST_MEMFD_FLAGS	244
#endif
#ifndef GUEST_MEMFD_FLAG_UNMOVABLE
#define GUEST_MEMFD_FLAG_UNMOVABLE	(1ULL << 17)
#endif
#ifndef GUEST_MEMFD_FLAG_HUGE_PAGES
#define GUEST_MEMFD_FLAG_HUGE_PAGES	(1ULL << 16)
#endif
#ifndef KVM_SET_MEMORY_ATTRIBUTES2
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES 0x474d02
struct kvm_memory_attributes2 {
	__u64 offset;
	__u64 size;
	__u64 attributes;
	__u64 flags;
	__u64 error_offset;
	__u64 reserved[11];
};

#define KVM_SET_MEMORY_ATTRIBUTES2 \
	_IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)
#endif

/*
 * Makes a range of a guest_memfd private or shared.  Returns 0 or an errno;
 * after EAGAIN @at, if it is not NULL, is the offset of the first page that
 * somebody holds.
 */
static inline int set_attributes_at(int fd, uint64_t offset, uint64_t size,
				    uint64_t attributes, uint64_t *at)
{
	struct kvm_memory_attributes2 a = {
		.offset = offset,
		.size = size,
		.attributes = attributes,
		.error_offset = ~0ULL,
	};
	int r = ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? errno : 0;

	if (at)
		*at = a.error_offset;
	return r;
}

#endif /* ATTRIBUTES2_H */
