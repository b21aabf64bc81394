/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the tools' figures and policies come from: gmem's own hooks in the kernel
 * (native), or what any kernel lets BPF see and refuse (stock).  Chosen once, from
 * what the running kernel has; nothing else in the tools asks which kernel it is.
 */
#ifndef GMEM_SOURCE_H
#define GMEM_SOURCE_H

#include <stdbool.h>
#include <stdio.h>

/**
 * enum gmem_source_kind - which of the sources there are
 * @GMEM_SOURCE_NATIVE: KVM has gmem's counters, tracepoints and struct_ops
 * @GMEM_SOURCE_STOCK: KVM has none of gmem; BPF iterators, fentry and LSM programs
 */
enum gmem_source_kind {
	GMEM_SOURCE_NATIVE,
	GMEM_SOURCE_STOCK,
};

/**
 * struct gmem_source - a source
 * @kind: which
 * @name: a word for it, "native" or "stock"
 * @about: what it is, a part of a line
 * @lacks: what this kernel lacks of what the tools can show and do, what gmem-dkms
 *	would add of that, and why: one line; NULL if it lacks nothing
 */
struct gmem_source {
	enum gmem_source_kind kind;
	const char *name;
	const char *about;
	const char *lacks;
};

/**
 * gmem_source() - the source of this kernel
 *
 * The same at every call.  Needs no privilege.
 *
 * Return: the source; NULL after one line of error that says what the kernel lacks
 * that either needs (BTF, or KVM itself) and what to do.
 */
const struct gmem_source *gmem_source(void);

/**
 * gmem_source_is_stock() - is it the stock source?
 *
 * Return: false also if there is none; prints nothing.
 */
bool gmem_source_is_stock(void);

/**
 * gmem_source_print() - print the source for --version
 * @out: where to
 *
 * One line, and a second one if it lacks something.
 */
void gmem_source_print(FILE *out);

#endif /* GMEM_SOURCE_H */
