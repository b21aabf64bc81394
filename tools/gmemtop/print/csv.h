/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A view as comma-separated values.
 */
#ifndef GMEMTOP_CSV_H
#define GMEMTOP_CSV_H

#include <stdio.h>

#include "view/view.h"

/**
 * csv_print() - print a view as comma-separated values, a line a VM
 * @view: the view
 * @header: print a line of keys first
 * @out: where to
 */
void csv_print(const struct view *view, bool header, FILE *out);

#endif /* GMEMTOP_CSV_H */
