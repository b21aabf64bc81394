/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Samples of a kernel that has nothing of gmem, for gmem_sample.c: what can be known
 * of VMs from the files that processes have open, and what can be counted while
 * somebody looks.  The rest of a sample is GMEM_UNKNOWN.
 */
#ifndef GMEM_STOCK_SAMPLE_H
#define GMEM_STOCK_SAMPLE_H

#include "gmem_samples.h"

struct gmem_stock;

/**
 * gmem_stock_open() - load the program that looks for VMs
 *
 * Return: NULL after one line of error.
 */
struct gmem_stock *gmem_stock_open(void);

/**
 * gmem_stock_count() - count what VMs do, from now on
 * @stock: from gmem_stock_open()
 *
 * Attaches programs to KVM's functions until gmem_stock_close().  Does nothing if it
 * was called before.  What this kernel has no function for stays GMEM_UNKNOWN.
 *
 * Return: 0, or -errno after one line of error.
 */
int gmem_stock_count(struct gmem_stock *stock);

/**
 * gmem_stock_read() - sample all VMs
 * @stock: from gmem_stock_open()
 * @sample: where to; its VMs are in the order of their ids
 * @max_ns: how long to try and come to the end of what takes a look at all pages
 *
 * VMs are seen of processes in the PID namespace of this one.
 *
 * Return: 0, or -errno after one line of error.
 */
int gmem_stock_read(struct gmem_stock *stock, struct gmem_sample *sample,
		    uint64_t max_ns);

/**
 * gmem_stock_close() - unload the programs
 * @stock: from gmem_stock_open(), or NULL
 */
void gmem_stock_close(struct gmem_stock *stock);

#endif /* GMEM_STOCK_SAMPLE_H */
