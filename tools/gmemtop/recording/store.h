/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a recording is: frames in a file.  Not here: who writes it (store_write.h)
 * and who reads it (store_read.h).
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

/* Frames of a part: what has to be read to show any one of them. */
#define STORE_PART_FRAMES	64
#define STORE_MAGIC		"gmemtop recording 1\n"
#define STORE_RECORD_MAX	(256U << 20)
/* Room for a name or a control group. */
#define STORE_TEXT_LEN		4096

#endif /* GMEMTOP_STORE_H */
