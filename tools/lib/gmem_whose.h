/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose a VM is: its name and its control group.  Only what is known to be of the
 * process that the VM belongs to, whichever namespaces this process is in.
 */
#ifndef GMEM_WHOSE_H
#define GMEM_WHOSE_H

#include "gmem_sample.h"

/**
 * enum whose_why - why something is not known
 * @WHOSE_KNOWN: it is
 * @WHOSE_GONE: the VM's process has ended or runs another program
 * @WHOSE_TOO_LONG: it is longer than any that is shown
 * @WHOSE_PID_NS: the process is not in this PID namespace
 * @WHOSE_PROC: /proc does not show the process
 * @WHOSE_CGROUP_NS: paths are not whole in this cgroup namespace
 *
 * From @WHOSE_PID_NS on, it is known elsewhere.
 */
enum whose_why {
	WHOSE_KNOWN,
	WHOSE_GONE,
	WHOSE_TOO_LONG,
	WHOSE_PID_NS,
	WHOSE_PROC,
	WHOSE_CGROUP_NS,
};

/**
 * struct whose - whose a VM is
 * @name: what its monitor calls it, else the name of the process, as gmem_clean()
 *	has it; NULL if it is not known
 * @cgroup: its cgroup's path from the root of the hierarchy, as it is; NULL if it
 *	is not known
 * @no_name: why there is no @name
 * @no_cgroup: why there is no @cgroup
 */
struct whose {
	const char *name;
	const char *cgroup;
	enum whose_why no_name;
	enum whose_why no_cgroup;
};

/**
 * whose_read() - find out whose a VM is
 * @whose: filled in; the texts live until the next call
 * @sampler: from gmem_sampler_open()
 * @vm: the VM, as it was just sampled
 */
void whose_read(struct whose *whose, struct gmem_sampler *sampler,
		const struct gmem_vm_sample *vm);

/**
 * whose_is_hidden() - is it known elsewhere, but not to this process?
 * @why: why it is not known
 */
bool whose_is_hidden(enum whose_why why);

/**
 * whose_explain() - say why something is hidden, and what to do
 * @why: whose_is_hidden()
 *
 * Return: cause and remedy, the end of a line; lives until the next call.
 */
const char *whose_explain(enum whose_why why);

#endif /* GMEM_WHOSE_H */
