/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page with the memory map of a VM.
 */
#ifndef GMEMTOP_MAP_H
#define GMEMTOP_MAP_H

#include "terminal/page.h"

extern const struct details_page map_page;

#endif /* GMEMTOP_MAP_H */
