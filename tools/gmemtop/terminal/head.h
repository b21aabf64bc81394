/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lines about the host, above lists of VMs and of policies.
 */
#ifndef GMEMTOP_HEAD_H
#define GMEMTOP_HEAD_H

#include "terminal/tui.h"

/**
 * head_draw() - draw the lines about the host
 * @tui: the screen
 *
 * Return: the first line below them.
 */
int head_draw(const struct tui *tui);

#endif /* GMEMTOP_HEAD_H */
