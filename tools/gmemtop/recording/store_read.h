/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads recordings, and tells them from other files.
 */
#ifndef GMEMTOP_STORE_READ_H
#define GMEMTOP_STORE_READ_H

#include "figures/frame.h"

struct store_reader;

/**
 * store_open() - open a recording
 * @path: the file
 *
 * Looks through all of it.  A recording that ends in the middle of a frame is
 * one whose writer was killed, which is no error.
 *
 * Return: NULL after one line of error, -errno is in @errno.
 */
struct store_reader *store_open(const char *path);

/**
 * enum store_kind - what is at a path
 * @STORE_MISSING: nothing
 * @STORE_EMPTY: a file with nothing in it, which nobody misses
 * @STORE_RECORDING: a file that begins like a recording
 * @STORE_FOREIGN: anything else, or what cannot be read
 */
enum store_kind {
	STORE_MISSING,
	STORE_EMPTY,
	STORE_RECORDING,
	STORE_FOREIGN,
};

/**
 * store_look() - find out what is at a path, before it is renamed or replaced
 * @path: the path
 */
enum store_kind store_look(const char *path);

/**
 * store_nr_frames() - how many frames a recording has, at least 1
 * @reader: from store_open()
 */
size_t store_nr_frames(const struct store_reader *reader);

/**
 * store_damage() - where a recording is damaged
 * @reader: from store_open()
 *
 * Return: the byte from which on it cannot be read, 0 if it is whole.
 */
uint64_t store_damage(const struct store_reader *reader);

/**
 * store_time() - when a frame was sampled
 * @reader: from store_open()
 * @nr: its number
 *
 * Return: nanoseconds since 1970.
 */
uint64_t store_time(const struct store_reader *reader, size_t nr);

/**
 * store_read() - read a frame
 * @reader: from store_open()
 * @nr: its number
 * @frame: filled in
 * @facts: filled in
 *
 * Return: 0, or -errno after one line of error.
 */
int store_read(struct store_reader *reader, size_t nr, struct frame *frame,
	       struct facts *facts);

/**
 * store_close() - close a recording
 * @reader: from store_open(), or NULL
 */
void store_close(struct store_reader *reader);

#endif /* GMEMTOP_STORE_READ_H */
