/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy may deny a request with, by name.
 */
#ifndef GMEM_DENIAL_H
#define GMEM_DENIAL_H

#include "gmem_abi.h"

/**
 * gmem_denial_name() - name of an error that a policy may deny with
 * @denial: which
 *
 * Return: e.g. "EPERM".
 */
const char *gmem_denial_name(enum gmem_denial denial);

/**
 * gmem_denial_name_of() - name of the error that a policy denied with
 * @err: the error, positive
 *
 * Return: as gmem_denial_name(), NULL if it is none of those.
 */
const char *gmem_denial_name_of(int err);

#endif /* GMEM_DENIAL_H */
