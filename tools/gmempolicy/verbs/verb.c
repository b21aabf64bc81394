// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the options that every verb has were set to.
 */
#include "verbs/verb.h"

bool verb_help, verb_debug, verb_wide;
