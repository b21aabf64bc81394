/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exposition: a frame as the text that Prometheus reads.
 */
#ifndef GMEMTOP_EXPOSITION_H
#define GMEMTOP_EXPOSITION_H

#include "export/format.h"
#include "export/text.h"
#include "figures/frame.h"

struct vm_label;

/**
 * struct exporter - what an exposition is made of
 * @source: where frames come from
 * @frame: the last one
 * @facts: what is known of the VMs beside their counters
 * @text: the last exposition
 * @labels: of the last frame's VMs
 *
 * Starts as all zeroes but @source; exporter_free() gives the memory back.
 */
struct exporter {
	struct source *source;
	struct frame frame;
	struct facts facts;
	struct text text;
	struct vm_label *labels;
};

/**
 * exporter_sample() - sample the host and write all metrics
 * @exporter: the exporter; @text is the exposition afterwards
 * @format: how to write them
 *
 * Return: 0, or -errno after one line of error.
 */
int exporter_sample(struct exporter *exporter, enum export_format format);

/**
 * exporter_free() - give back the memory, not the source
 * @exporter: the exporter
 */
void exporter_free(struct exporter *exporter);

#endif /* GMEMTOP_EXPOSITION_H */
