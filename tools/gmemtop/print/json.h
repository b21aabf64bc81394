/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A view as JSON.
 */
#ifndef GMEMTOP_JSON_H
#define GMEMTOP_JSON_H

#include <stdio.h>

#include "view/view.h"

/**
 * json_print() - print a view as one line of JSON
 * @view: the view
 * @out: where to
 *
 * Return: 0 or -ENOMEM.
 */
int json_print(const struct view *view, FILE *out);

#endif /* GMEMTOP_JSON_H */
