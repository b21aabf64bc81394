// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy attach: puts a policy into force and pins it.
 *
 * All or nothing: until the pin is there, the link lives by a descriptor of
 * this process alone, so whatever ends the process ends the policy.  Making
 * the pin is the last step and one system call.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "gmem_sample.h"
#include "object.h"
#include "pins.h"
#include "verbs.h"

#define MAX_SETS	64

static struct {
	uint64_t vm;
	uint64_t pid;
	bool all;
	bool has_vm, has_pid;

	size_t nr_sets;
	const char *sets[MAX_SETS];

	int32_t priority;
	bool audit;
} args;

static int parse_set(const char *name, const char *value, void *target)
{
	if (args.nr_sets < MAX_SETS) {
		args.sets[args.nr_sets++] = value;
		return 0;
	}
	gmem_err("%s is given more than %u times; leave some out", name,
		 MAX_SETS);
	return -1;
}

static int parse_priority(const char *name, const char *value, void *target)
{
	bool negative = *value == '-';
	uint64_t number;

	if (!gmem_parse_uint(value + negative, &number) &&
	    number <= (uint64_t)INT32_MAX + negative) {
		*(int32_t *)target = negative ? -(int64_t)number :
						(int64_t)number;
		return 0;
	}
	gmem_err("%s takes a whole number from %d to %d, not '%s'", name,
		 INT32_MIN, INT32_MAX, value);
	return -1;
}

const struct gmem_option attach_options[] = {
	{ .name = "vm", .type = GMEM_OPT_UINT, .arg = "ID",
	  .help = "scope: the VM with this id", .target = &args.vm,
	  .seen = &args.has_vm, .min = 1, .max = UINT64_MAX },
	{ .name = "pid", .type = GMEM_OPT_UINT, .arg = "PID",
	  .help = "scope: the one VM of this process", .target = &args.pid,
	  .seen = &args.has_pid, .min = 1, .max = INT32_MAX },
	{ .name = "all", .type = GMEM_OPT_FLAG,
	  .help = "scope: every VM, also those that start later",
	  .target = &args.all },
	{ .name = "set", .type = GMEM_OPT_CUSTOM, .arg = "NAME=VALUE",
	  .help = "a parameter; once for each; 'gmempolicy show' lists them",
	  .parse = parse_set },
	{ .name = "priority", .type = GMEM_OPT_CUSTOM, .arg = "N",
	  .help = "lower numbers are asked earlier; 0",
	  .target = &args.priority, .parse = parse_priority },
	{ .name = "audit", .type = GMEM_OPT_FLAG,
	  .help = "count what it would do, but do not enforce it",
	  .target = &args.audit },
	VERB_OPTIONS
};

static int no_such_vm(uint64_t vm)
{
	gmem_err("no VM has the id %" PRIu64 "; gmemtop shows the ids there are",
		 vm);
	return -ESRCH;
}

/* The only VM of a process.  Guessing which of several is meant is worse. */
static int vm_of_pid(const struct gmem_sample *sample, uint64_t pid,
		     uint64_t *vm)
{
	char ids[200] = "";
	size_t i, nr = 0, len = 0;

	for (i = 0; i < sample->nr_vms; i++) {
		if (sample->vms[i].pid != pid)
			continue;
		*vm = sample->vms[i].vm_id;
		nr++;
		if (len < sizeof(ids))
			len += snprintf(ids + len, sizeof(ids) - len,
					" %" PRIu64, *vm);
	}
	if (nr == 1)
		return 0;
	if (nr) {
		gmem_err("process %" PRIu64 " has %zu VMs; choose one with --vm:%s",
			 pid, nr, ids);
		return -ENOTUNIQ;
	}
	if (kill(pid, 0) && errno == ESRCH)
		gmem_err("no process has the id %" PRIu64 "; gmemtop shows the ids there are",
			 pid);
	else
		gmem_err("process %" PRIu64 " has no VM; gmemtop shows those that have one",
			 pid);
	return -ESRCH;
}

/* Finds the VM that the options name; 0 stands for all. */
static int resolve_scope(uint64_t *vm)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_sample sample = {};
	size_t i;
	int err;

	if (!sampler)
		return -EPERM;
	err = gmem_sampler_read(sampler, &sample);
	gmem_sampler_close(sampler);
	if (err)
		return err;

	*vm = 0;
	if (args.has_pid) {
		err = vm_of_pid(&sample, args.pid, vm);
	} else if (args.has_vm) {
		for (i = 0; i < sample.nr_vms; i++) {
			if (sample.vms[i].vm_id == args.vm)
				*vm = args.vm;
		}
		if (!*vm)
			err = no_such_vm(args.vm);
	}
	gmem_sample_free(&sample);
	return err;
}

static void explain_attach(int err, const char *name, uint64_t vm)
{
	switch (-err) {
	case ESRCH:
		no_such_vm(vm);
		break;
	case E2BIG:
		gmem_err("too many policies on %s; detach one, see gmempolicy list",
			 vm ? "this VM" : "a VM");
		break;
	default:
		gmem_err_bpf(err, "cannot attach the policy %s", name);
	}
}

static int attach(struct object *object, uint64_t vm, const char *pin)
{
	int err, fd;

	err = object_set_member(object, "vm_id", vm);
	if (!err)
		err = object_set_member(object, "priority", args.priority);
	if (!err && args.audit)
		err = object_set_member(object, "flags", GMEM_POLICY_AUDIT);
	if (!err)
		err = object_load(object);
	if (err)
		return err;

	err = object_attach(object, &fd);
	if (err) {
		explain_attach(err, object_name(object), vm);
		return err;
	}
	err = pins_add(pin, fd);
	close(fd);
	return err;
}

static int check_words(int argc, char **argv)
{
	int scopes = args.has_vm + args.has_pid + args.all;

	if (!argc) {
		gmem_err("no policy given; see gmempolicy --help for those there are");
		return -1;
	}
	if (argc > 1) {
		gmem_err("attach takes one policy; leave '%s' out", argv[1]);
		return -1;
	}
	if (!scopes) {
		gmem_err("no scope given; say which VM with --vm ID or --pid PID, or give --all");
		return -1;
	}
	if (scopes > 1) {
		gmem_err("more than one scope given; keep one of --vm, --pid and --all");
		return -1;
	}
	return 0;
}

int run_attach(int argc, char **argv)
{
	struct object *object;
	int code = GMEM_EXIT_FAIL;
	char pin[96];
	uint64_t vm;
	size_t i;

	if (check_words(argc, argv))
		return GMEM_EXIT_USAGE;
	object = object_open(argv[0]);
	if (!object)
		return GMEM_EXIT_USAGE;
	for (i = 0; i < args.nr_sets; i++) {
		if (object_set(object, args.sets[i])) {
			code = GMEM_EXIT_USAGE;
			goto out;
		}
	}
	if (resolve_scope(&vm))
		goto out;

	/* bpffs takes no dots. */
	if (vm)
		snprintf(pin, sizeof(pin), "%s-vm%" PRIu64, object_name(object),
			 vm);
	else
		snprintf(pin, sizeof(pin), "%s-all", object_name(object));
	if (pins_check_free(pin) || attach(object, vm, pin))
		goto out;

	printf("attached %s\n", pin);
	if (!gmem_policies_enabled())
		gmem_err("policies are switched off, so it is not asked yet; write Y to /sys/module/kvm/parameters/gmem_policies");
	code = gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
out:
	object_close(object);
	return code;
}
