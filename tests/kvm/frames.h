/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page frames of a guest's private pages.  Only the kernel's own trace of
 * the faults tells them; these functions read it in an instance of their own.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRAMES_TRACE	"/sys/kernel/tracing/instances/gmem_frames"

static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);

	return r;
}

static inline void frames_trace(void)
{
	mkdir(FRAMES_TRACE, 0700);
	write_file(FRAMES_TRACE "/events/kvm_gmem/kvm_gmem_fault/enable", "1");
}

/*
 * Ends what frames_trace() began.  Returns how many of the @nr pages from
 * @first_gfn were touched meanwhile, and their page frames in @pfns.
 */
static inline uint64_t frames_read(uint64_t first_gfn, uint64_t nr, uint64_t *pfns)
{
	unsigned long long gfn, pfn;
	uint64_t found = 0;
	char line[512];
	char *at;
	FILE *f;

	memset(pfns, 0, nr * sizeof(*pfns));
	write_file(FRAMES_TRACE "/events/kvm_gmem/kvm_gmem_fault/enable", "0");
	f = fopen(FRAMES_TRACE "/trace", "r");
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, " gfn 0x");
		if (!at || sscanf(at, " gfn 0x%llx index 0x%*x pages %*u pfn 0x%llx",
				  &gfn, &pfn) != 2 ||
		    gfn < first_gfn || gfn - first_gfn >= nr)
			continue;
		found += !pfns[gfn - first_gfn];
		pfns[gfn - first_gfn] = pfn;
	}
	if (f)
		fclose(f);
	rmdir(FRAMES_TRACE);

	return found;
}

#endif /* FRAMES_H */
