/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paths of control groups as people write them.
 */
#ifndef GMEM_CGROUP_H
#define GMEM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* Where the hierarchy is mounted. */
#define GMEM_CGROUP_ROOT	"/sys/fs/cgroup"

/**
 * gmem_cgroup_path() - make a path one from the root of the hierarchy
 * @dst: where to: without slashes that say nothing
 * @size: bytes at @dst, at least 2
 * @path: a path from the root of the hierarchy, or below GMEM_CGROUP_ROOT
 *
 * Return: NULL, or what is wrong with @path, and what to do.
 */
const char *gmem_cgroup_path(char *dst, size_t size, const char *path);

/**
 * gmem_cgroup_is_missing() - is there no such control group?
 * @path: from gmem_cgroup_path()
 *
 * Return: true only if this process could see it.
 */
bool gmem_cgroup_is_missing(const char *path);

#endif /* GMEM_CGROUP_H */
