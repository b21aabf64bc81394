/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The resident memory of a process, in the programs that sample.  Include it after
 * vmlinux.h and bpf_helpers.h; the tool sets nr_cpus, and find_cpus() comes first.
 */
#ifndef GMEM_RSS_H
#define GMEM_RSS_H

#include <bpf/bpf_core_read.h>

#include "gmem_abi.h"

/*
 * The kernel counts resident pages for each CPU, so that only the sum over all
 * CPUs is right.  Their counters are found as the kernel's own code finds them,
 * by adding the CPU's offset.
 */
extern const unsigned long this_cpu_off __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

/* Set before the program is loaded. */
const volatile __u32 nr_cpus = 1;

static __u64 cpu_offset[GMEM_CPUS_MAX];

static void find_cpus(void)
{
	__u32 cpu;

	for (cpu = 0; cpu < nr_cpus && cpu < GMEM_CPUS_MAX; cpu++) {
		const unsigned long *offset = bpf_per_cpu_ptr(&this_cpu_off, cpu);

		cpu_offset[cpu] = offset ? *offset : 0;
	}
}

/* The 4 bytes at an address of the kernel; struct kref begins with an int. */
static __s32 int_at(__u64 address)
{
	const struct kref *at;

	at = bpf_rdonly_cast((const void *)address,
			     bpf_core_type_id_kernel(struct kref));
	return at->refcount.refs.counter;
}

static __u64 at_least_0(__s64 sum)
{
	return sum < 0 ? 0 : sum;
}

/*
 * What /proc/PID/status shows, without opening a file for each VM and whether
 * or not the process is still there.
 */
static __u64 rss_pages(const struct mm_struct *mm)
{
	const struct percpu_counter *file = &mm->rss_stat[MM_FILEPAGES];
	const struct percpu_counter *anon = &mm->rss_stat[MM_ANONPAGES];
	const struct percpu_counter *shmem = &mm->rss_stat[MM_SHMEMPAGES];
	__u64 files = (__u64)file->counters, anons = (__u64)anon->counters;
	__u64 shmems = (__u64)shmem->counters, offset, pages;
	__s64 nr_file = file->count, nr_anon = anon->count;
	__s64 nr_shmem = shmem->count;
	__u32 cpu;

	/* Freed with the last reference to the mm, of which a VM has one. */
	for (cpu = 0; cpu < nr_cpus && cpu < GMEM_CPUS_MAX; cpu++) {
		offset = cpu_offset[cpu];
		nr_file += int_at(files + offset);
		nr_anon += int_at(anons + offset);
		nr_shmem += int_at(shmems + offset);
	}
	pages = at_least_0(nr_file) + at_least_0(nr_anon) +
		at_least_0(nr_shmem);
	if (bpf_core_field_exists(mm->hugetlb_usage))
		pages += mm->hugetlb_usage.counter;
	return pages;
}

#endif /* GMEM_RSS_H */
