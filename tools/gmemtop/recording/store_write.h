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
 * @path: a file that does not exist, or that is empty
 *
 * The file is locked against other recorders.
 *
 * Return: NULL after one line of error.
 */
struct store_writer *store_create(const char *path);

/**
 * store_in_use() - does somebody record into a file?
 * @path: the file
 */
bool store_in_use(const char *path);

/**
 * enum store_state - what became of a file behind its writer's back
 * @STORE_HELD: it is as the writer left it, and at its path
 * @STORE_MOVED: it is as the writer left it, and elsewhere
 * @STORE_REMOVED: it has no name any more
 * @STORE_CUT: it was truncated to nothing, as "cp; truncate" does
 * @STORE_TOUCHED: somebody else wrote to it, or cut off a part
 */
enum store_state {
	STORE_HELD,
	STORE_MOVED,
	STORE_REMOVED,
	STORE_CUT,
	STORE_TOUCHED,
};

/**
 * store_state() - find out what became of the file
 * @writer: from store_create()
 */
enum store_state store_state(const struct store_writer *writer);

/**
 * store_restart() - begin anew in the file
 * @writer: from store_create(), whose file is STORE_CUT
 */
void store_restart(struct store_writer *writer);

/**
 * store_leave() - leave the file alone from now on
 * @writer: from store_create()
 *
 * store_finish() does not write to it or remove it any more.
 */
void store_leave(struct store_writer *writer);

/**
 * store_write() - add a frame
 * @writer: from store_create()
 * @frame: the frame
 * @facts: the names of its VMs
 *
 * If it cannot be written as a whole, the file has the frames before.
 *
 * Return: 0; -ESTALE without a message if the file was truncated meanwhile, has
 * nothing in it now and can be given the frame again; another -errno after one
 * line of error.
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
