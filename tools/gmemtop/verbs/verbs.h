/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs of gmemtop: what it does instead of showing this host.  Each takes
 * its own words, the first of which is its name, and returns an exit code.
 */
#ifndef GMEMTOP_VERBS_H
#define GMEMTOP_VERBS_H

int export_main(int argc, char **argv);
int record_main(int argc, char **argv);
int replay_main(int argc, char **argv);

#endif /* GMEMTOP_VERBS_H */
