/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recordings: frames in a file.
 *
 * A recording is a sequence of zstd frames, here called parts, each of which
 * can be read by itself.  What a part holds is a sequence of records:
 *
 *	u32 length, u32 crc32 of what follows, then that many bytes
 *
 * The first record of a part names the counters, the others are frames of the
 * host.  Numbers are little-endian.  Each record is flushed to the file as it
 * is written, so that a crash costs nothing but the record under way.
 */
#ifndef GMEMTOP_STORE_H
#define GMEMTOP_STORE_H

#include "figures/frame.h"

/* Frames of a part: what has to be read to show any one of them. */
#define STORE_PART_FRAMES	64
#define STORE_MAGIC		"gmemtop recording 1\n"
#define STORE_RECORD_MAX	(256U << 20)

struct store_writer;
struct store_reader;

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

#endif /* GMEMTOP_STORE_H */
