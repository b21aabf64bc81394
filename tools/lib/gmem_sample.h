/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sampling: the counters of all VMs and of all policies at one moment.  Not
 * here: what is made of two samples (rates) and how it is shown.
 */
#ifndef GMEM_SAMPLE_H
#define GMEM_SAMPLE_H

#include "gmem_common.h"
#include "gmem_samples.h"

struct gmem_sampler;

/**
 * gmem_sampler_open() - load the programs that sample
 *
 * Checks kernel and privileges first.
 *
 * Return: the sampler, or NULL after one line of error.
 */
struct gmem_sampler *gmem_sampler_open(void);

/**
 * gmem_sampler_count() - have what VMs do counted
 * @sampler: from gmem_sampler_open()
 *
 * KVM with gmem's hooks counts by itself, from a VM's start on.  Elsewhere counting
 * begins here, at 0, and costs each of the counted operations something until the
 * sampler is closed; before, those figures are GMEM_UNKNOWN.
 *
 * Return: 0, or -errno after one line of error; sampling goes on without.
 */
int gmem_sampler_count(struct gmem_sampler *sampler);

/* Nobody's in this sample; a later one goes on with what is found by now. */
#define GMEM_TWICE_OF_LATER	(GMEM_TWICE_OF_ALL - 1)

/**
 * gmem_sampler_twice_of() - say whose memory that is backed twice to look for
 * @sampler: from gmem_sampler_open()
 * @vm_id: the VM, GMEM_TWICE_OF_ALL, GMEM_TWICE_OF_LATER or, as at first,
 *	GMEM_TWICE_OF_NONE
 * @max_ns: 0 to take a bounded time for it at each sample, and go on with what
 *	is not done at the next one; else how long to try and come to the end.  So
 *	it is with memory that is mapped, too
 *
 * A sample of others has GMEM_UNKNOWN there.  It takes a look at the page tables
 * of the VMs' processes, which may be more than all counters together.
 */
void gmem_sampler_twice_of(struct gmem_sampler *sampler, uint64_t vm_id,
			   uint64_t max_ns);

/**
 * gmem_sampler_find_mapped() - look for memory that processes have mapped
 * @sampler: from gmem_sampler_open()
 *
 * From then on each sample has it.  Before, it has GMEM_UNKNOWN there.  It takes a
 * look at the pages of the VMs of which a process ever touched one.
 */
void gmem_sampler_find_mapped(struct gmem_sampler *sampler);

/**
 * gmem_sampler_read() - sample all VMs
 * @sampler: from gmem_sampler_open()
 * @sample: where to; what the kernel does not tell is GMEM_UNKNOWN
 *
 * One system call, unless the VMs have outgrown the room for them: then the
 * programs are loaded anew with more.
 *
 * Return: 0, or -errno after one line of error; the sampler is then good for
 * gmem_sampler_close() only.
 */
int gmem_sampler_read(struct gmem_sampler *sampler, struct gmem_sample *sample);

/**
 * gmem_sampler_read_policies() - sample all policies
 * @sampler: from gmem_sampler_open()
 * @policies: where to
 *
 * One system call, with the exception that gmem_sampler_read() has.
 *
 * Return: as gmem_sampler_read().
 */
int gmem_sampler_read_policies(struct gmem_sampler *sampler,
			       struct gmem_policies *policies);

/**
 * gmem_sampler_read_all() - sample all VMs and all policies
 * @sampler: from gmem_sampler_open()
 * @sample: where to
 * @policies: where to
 *
 * One system call for both, with the exception that gmem_sampler_read() has.
 *
 * Return: as gmem_sampler_read().
 */
int gmem_sampler_read_all(struct gmem_sampler *sampler,
			  struct gmem_sample *sample,
			  struct gmem_policies *policies);

/**
 * gmem_sampler_read_verdicts() - what each policy on a VM said of it
 * @sampler: from gmem_sampler_open()
 * @vm_id: the VM
 * @verdicts: filled in, in the order in which the policies run
 *
 * Return: number of policies in force on the VM; 0 also if it is gone; or
 * -errno after one line of error.
 */
int gmem_sampler_read_verdicts(struct gmem_sampler *sampler, uint64_t vm_id,
			       struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX]);

/**
 * gmem_sampler_cgroup() - which control group of version 2 a VM's process is in
 * @sampler: from gmem_sampler_open()
 * @vm_id: the VM
 * @path: set to its path from the root of the hierarchy, whatever cgroup
 *	namespace this process is in, as it is
 *
 * Return: 0; -ESRCH if the VM or its process is gone, or the process runs
 * another program; -ENAMETOOLONG; -EOPNOTSUPP if the kernel has no cgroups; -EXDEV
 * if it does not tell, and /proc is to be asked; or
 * -EIO after one line of error.
 */
int gmem_sampler_cgroup(struct gmem_sampler *sampler, uint64_t vm_id,
			char path[GMEM_CGROUP_LEN]);

/**
 * gmem_sampler_fix() - make room once, and never load a program again
 * @sampler: from gmem_sampler_open()
 * @vms: VMs to have room for, at most GMEM_VMS_MAX
 * @policies: policies to have room for, at most GMEM_POLICIES_MAX
 *
 * From then on the sampler needs no capability: the kernel lets whoever holds
 * a program's descriptor run it.  But policies that are programs of BPF's LSM are
 * hidden from then on, as they are found by capability.  With more VMs or policies
 * than there is room for, reading fails with -E2BIG; the sampler stays good, and reading succeeds
 * once there are fewer.
 *
 * Return: 0, or -errno after one line of error; the sampler is then good for
 * gmem_sampler_close() only.
 */
int gmem_sampler_fix(struct gmem_sampler *sampler, size_t vms, size_t policies);

/**
 * gmem_sample_free() - give back the memory of a sample
 * @sample: a sample, all zeroes afterwards
 */
void gmem_sample_free(struct gmem_sample *sample);

/**
 * gmem_policies_free() - give back the memory of a sample of policies
 * @policies: a sample, all zeroes afterwards
 */
void gmem_policies_free(struct gmem_policies *policies);

/**
 * gmem_sampler_close() - unload the programs
 * @sampler: from gmem_sampler_open(), or NULL
 */
void gmem_sampler_close(struct gmem_sampler *sampler);

#endif /* GMEM_SAMPLE_H */
