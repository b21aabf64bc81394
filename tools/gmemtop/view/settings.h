/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How often a view is refreshed, and how it is printed.
 */
#ifndef GMEMTOP_SETTINGS_H
#define GMEMTOP_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* Bounds of the interval. */
#define INTERVAL_MIN_NS		10000000ULL
#define INTERVAL_MAX_NS		3600000000000ULL
#define INTERVAL_RANGE		"0.01 to 3600"

/*
 * How long memory that is backed twice, or mapped, is looked for where there is no
 * other frame to go on in: some TiB of it.
 */
#define LOOK_ONCE_NS		10000000000ULL

#define FRAMES_MAX		1000000000ULL

/**
 * enum format - how frames are printed
 * @FORMAT_TEXT: plain text, aligned
 * @FORMAT_JSON: a line of JSON each
 * @FORMAT_CSV: comma-separated values, a line a VM
 */
enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_CSV,
};

/**
 * struct settings - what the command line asked for
 * @interval_ns: time between two refreshes
 * @frames: refreshes to show before the end, 0 for no end
 * @format: how to print them
 * @header: print host lines and titles, too
 * @once: print the counters of one moment, without rates
 */
struct settings {
	uint64_t interval_ns;
	uint64_t frames;
	enum format format;
	bool header;
	bool once;
};

#endif /* GMEMTOP_SETTINGS_H */
