/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames of a recording, as if they were sampled now.
 */
#ifndef GMEMTOP_REPLAY_H
#define GMEMTOP_REPLAY_H

#include "figures/frame.h"

struct store_reader;

/**
 * struct replay - a recording as a source of frames
 * @source: the source
 * @reader: the recording
 * @next: number of the frame to read next
 */
struct replay {
	struct source source;
	struct store_reader *reader;
	size_t next;
};

/**
 * replay_open() - open a recording
 * @replay: filled in
 * @path: the file
 *
 * Return: 0, or -1 after one line of error.
 */
int replay_open(struct replay *replay, const char *path);

/**
 * replay_close() - close a recording
 * @replay: from replay_open()
 */
void replay_close(struct replay *replay);

#endif /* GMEMTOP_REPLAY_H */
