/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages of a VM that are lists.
 */
#ifndef GMEMTOP_PAGES_H
#define GMEMTOP_PAGES_H

#include "terminal/page.h"

extern const struct details_page counters_page;
extern const struct details_page latency_page;
extern const struct details_page events_page;
extern const struct details_page memory_page;

#endif /* GMEMTOP_PAGES_H */
