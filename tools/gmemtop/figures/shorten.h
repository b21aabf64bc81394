/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names and control groups that are too wide for their columns, made shorter so
 * that those that differ look different.
 */
#ifndef GMEMTOP_SHORTEN_H
#define GMEMTOP_SHORTEN_H

#include "figures/facts.h"

/**
 * shorten_all() - make names and control groups fit their columns
 * @facts: all VMs
 * @name_width: columns that a name may take
 * @cgroup_width: columns that a control group may take
 *
 * A text that is too wide loses its middle.  If another text then looks the same,
 * both show where they differ instead; and if that is not seen either, the ids
 * of their VMs.  Does nothing if nothing has changed since.
 */
void shorten_all(struct facts *facts, int name_width, int cgroup_width);

#endif /* GMEMTOP_SHORTEN_H */
