// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux 6.12's own guest_memfd_test expects that no guest_memfd can have a flag,
 * and ends where one can.  Under this, loaded before the C library, none can; the
 * rest of that test is as it was.  What flags do is in tests/kvm/mmap_test.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, void *arg);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!next)
		next = dlsym(RTLD_NEXT, "ioctl");
	if (request == KVM_CREATE_GUEST_MEMFD &&
	    ((struct kvm_create_guest_memfd *)arg)->flags) {
		errno = EINVAL;
		return -1;
	}

	return next(fd, request, arg);
}
