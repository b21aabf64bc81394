// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel says which process a VM belongs to and which cgroup that is in;
 * its name is in /proc only.  The kernel is asked once more after /proc was read:
 * if the process still is the VM's, then what was read in between is of it, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "gmem_confined.h"
#include "gmem_process.h"
#include "gmem_whose.h"

static enum whose_why why_of(int err)
{
	switch (err) {
	case 0:
		return WHOSE_KNOWN;
	case -ENAMETOOLONG:
		return WHOSE_TOO_LONG;
	default:
		return WHOSE_PROC;
	}
}

/* Of hosts without version 2, or with the memory controller in version 1. */
static enum whose_why old_cgroup(int dir, char *path, size_t size)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), err;
	char own[GMEM_CGROUP_LEN];

	err = self < 0 ? -EXDEV : process_cgroup(self, own, sizeof(own));
	if (self >= 0)
		close(self);
	if (err == -ENOENT)
		return WHOSE_KNOWN;
	if (!process_in_initial_cgroup_ns())
		return WHOSE_CGROUP_NS;
	return dir < 0 ? WHOSE_PROC : why_of(process_cgroup(dir, path, size));
}

/* Of version 2, where the kernel tells only /proc of it. */
static int proc_cgroup(int dir, char *path, size_t size, enum whose_why *why)
{
	int err = dir < 0 ? dir : process_cgroup2(dir, path, size);

	*why = err == -ENOENT ? WHOSE_GONE : why_of(err);
	if (!err && !process_in_initial_cgroup_ns())
		*why = WHOSE_CGROUP_NS;
	return err ? -EXDEV : 0;
}

void whose_read(struct whose *whose, struct gmem_sampler *sampler,
		const struct gmem_vm_sample *vm)
{
	static char name[PROCESS_NAME_LEN], path[GMEM_CGROUP_LEN];
	int dir = -ESRCH, err;

	*whose = (struct whose) { .no_name = WHOSE_GONE,
				  .no_cgroup = WHOSE_GONE };
	if (!vm->owner_start_ns)
		return;
	if (vm->owner_pid)
		dir = process_open(vm->owner_pid, vm->owner_start_ns);
	err = dir < 0 ? dir : process_name(dir, name, sizeof(name));
	whose->no_name = vm->owner_pid ? why_of(err) : WHOSE_PID_NS;

	err = gmem_sampler_cgroup(sampler, vm->vm_id, path);
	if (err == -EXDEV)
		err = proc_cgroup(dir, path, sizeof(path), &whose->no_cgroup);
	else
		whose->no_cgroup = err == -EOPNOTSUPP ? WHOSE_GONE : why_of(err);
	/* The root is where a process is that has no cgroup of version 2. */
	if (!err && whose->no_cgroup == WHOSE_KNOWN && !strcmp(path, "/"))
		whose->no_cgroup = old_cgroup(dir, path, sizeof(path));
	if (dir >= 0)
		close(dir);
	if (err == -ESRCH) {
		whose->no_name = whose->no_cgroup = WHOSE_GONE;
		return;
	}
	if (whose->no_name == WHOSE_KNOWN)
		whose->name = name;
	if (whose->no_cgroup == WHOSE_KNOWN)
		whose->cgroup = path;
}

bool whose_is_hidden(enum whose_why why)
{
	return why >= WHOSE_PID_NS;
}

const char *whose_explain(enum whose_why why)
{
	static char hidden[GMEM_CONFINED_LEN];

	switch (why) {
	case WHOSE_PID_NS:
		return "its process is in another PID namespace; run it in the host's PID namespace, as with nsenter -t 1 -p -m";
	case WHOSE_CGROUP_NS:
		return "in this cgroup namespace paths of cgroup v1 are not whole; run it in the host's cgroup namespace, as with nsenter -t 1 -C";
	default:
		if (gmem_proc_hides(hidden, sizeof(hidden)))
			return hidden;
		return "/proc does not show its process; run it where /proc is that of its own PID namespace and shows all processes";
	}
}
