/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory the host gives a VM twice, and how much of it processes have
 * mapped, if there is more to look at than a sample does by itself.  How long it
 * takes to find out is up to the VM and its process, so it is found out in parts:
 * as many at a time as do not keep the others waiting, and the rest the next time.
 */
#ifndef GMEM_PARTS_H
#define GMEM_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gmem_abi.h"

struct usage_bpf;

/**
 * enum gmem_parts_figure - what is found out in parts
 * @GMEM_PARTS_TWICE: gmem_vm_sample.twice_pages
 * @GMEM_PARTS_MAPPED: gmem_vm_sample.mapped_pages
 */
enum gmem_parts_figure {
	GMEM_PARTS_TWICE,
	GMEM_PARTS_MAPPED,
	GMEM_NR_PARTS,
};

/**
 * struct gmem_parts_vm - what is known of a VM
 * @vm_id: its id
 * @gfn: the frame to go on with, 0 at the beginning of a pass
 * @counted: frames that the pass has found so far
 * @found: what the last pass that came to its end has found
 * @complete: one has
 * @ended: one has since the sample
 */
struct gmem_parts_vm {
	uint64_t vm_id;
	int64_t gfn;
	uint64_t counted;
	uint64_t found;
	bool complete;
	bool ended;
};

/**
 * struct gmem_parts - what is known of the VMs that there is more to look at of
 * @nr: how many
 * @vms: by id
 * @next_id: the VM to begin with the next time, or the first after it
 *
 * Starts as all zeroes; gmem_parts_free() gives the memory back.
 */
struct gmem_parts {
	size_t nr;
	struct gmem_parts_vm *vms;
	uint64_t next_id;
};

/**
 * gmem_parts_read() - go on with a figure where it is not complete
 * @parts: what is known of that figure
 * @figure: which one it is
 * @skel: the programs that sample
 * @vms: the VMs of a sample, sorted by id afterwards if there are such
 * @nr_vms: how many
 * @max_ns: how long to try and come to the end, 0 for a part of it now
 *
 * Of a VM for which no pass has come to its end yet it is what was found so far.
 *
 * Return: 0, or -errno after one line of error.
 */
int gmem_parts_read(struct gmem_parts *parts, enum gmem_parts_figure figure,
		    struct usage_bpf *skel, struct gmem_vm_sample *vms,
		    size_t nr_vms, uint64_t max_ns);

/**
 * gmem_parts_free() - give the memory back
 * @parts: all zeroes afterwards
 */
void gmem_parts_free(struct gmem_parts *parts);

#endif /* GMEM_PARTS_H */
