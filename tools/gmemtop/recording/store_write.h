/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes recordings.
 */
#ifndef GMEMTOP_STORE_WRITE_H
#define GMEMTOP_STORE_WRITE_H

#include "figures/frame.h"

struct store_writer;

/**
 * store_create() - begin a recording
 * @path: a file that does not exist
 *
 * Return: NULL after one line of error.
 */
struct store_writer *store_create(const char *path);

/**
 * store_write() - add a frame
 * @writer: from store_create()
 * @frame: the frame
 * @facts: the names of its VMs
 *
 * If it cannot be written as a whole, the file has the frames before.
 *
 * Return: 0, or -errno after one line of error.
 */
int store_write(struct store_writer *writer, const struct frame *frame,
		const struct facts *facts);

/**
 * store_size() - size of the file
 * @writer: from store_create()
 */
uint64_t store_size(const struct store_writer *writer);

/**
 * store_finish() - end a recording
 * @writer: from store_create(), or NULL
 *
 * A file without a frame is removed: it would be no recording.
 *
 * Return: 0, or -errno after one line of error.
 */
int store_finish(struct store_writer *writer);

#endif /* GMEMTOP_STORE_WRITE_H */
