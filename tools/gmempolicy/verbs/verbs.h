/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs of gmempolicy.
 */
#ifndef GMEMPOLICY_VERBS_H
#define GMEMPOLICY_VERBS_H

#include "verbs/verb.h"

extern const struct verb apply_verb;
extern const struct verb attach_verb;
extern const struct verb audit_verb;
extern const struct verb check_verb;
extern const struct verb detach_verb;
extern const struct verb diff_verb;
extern const struct verb enforce_verb;
extern const struct verb list_verb;
extern const struct verb new_verb;
extern const struct verb off_verb;
extern const struct verb on_verb;
extern const struct verb set_verb;
extern const struct verb show_verb;
extern const struct verb status_verb;
extern const struct verb watch_verb;

#endif /* GMEMPOLICY_VERBS_H */
