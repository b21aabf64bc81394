/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMs, made of the files that were found of them.  Not here: how these are found.
 */
#ifndef GMEM_STOCK_VMS_H
#define GMEM_STOCK_VMS_H

#include "gmem_samples.h"

/* What was counted of VMs; the rest is GMEM_UNKNOWN. */
#define GMEM_STOCK_FAULTS	(1U << 0)
#define GMEM_STOCK_FALLOCATE	(1U << 1)
#define GMEM_STOCK_CONVERSIONS	(1U << 2)
#define GMEM_STOCK_RELEASES	(1U << 3)
#define GMEM_STOCK_UNBINDS	(1U << 4)

/**
 * gmem_stock_merge() - of files that are one, keep one that tells all
 * @files: the files in any order, sorted afterwards
 * @nr_files: how many
 *
 * Return: how many there are then.
 */
size_t gmem_stock_merge(struct gmem_stock_file *files, size_t nr_files);

/**
 * gmem_stock_vms() - make VMs of files
 * @files: the files in any order, sorted afterwards; a VM has many, and each may be
 *	there several times, since a file may be open in many processes
 * @nr_files: how many
 * @counted: GMEM_STOCK_*
 * @sample: its VMs are set, in the order of their ids
 *
 * Return: 0, or -errno after one line of error.
 */
int gmem_stock_vms(struct gmem_stock_file *files, size_t nr_files,
		   unsigned int counted, struct gmem_sample *sample);

#endif /* GMEM_STOCK_VMS_H */
