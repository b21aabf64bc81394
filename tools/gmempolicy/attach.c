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

#include "gmem_params.h"
#include "gmem_sample.h"
#include "object.h"
#include "pins.h"
#include "verbs.h"

#define MAX_RATE	1000000000

static struct {
	uint64_t vm;
	uint64_t pid;
	bool all;
	bool has_vm, has_pid;

	uint64_t rate;
	uint64_t burst;
	int action;
	bool has_rate, has_burst, has_action;

	int32_t priority;
	bool audit;
} args;

static const char *const actions[] = {
	[GMEM_ACTION_DENY] = "deny",
	[GMEM_ACTION_DELAY] = "delay",
	NULL
};

static int parse_rate(const char *name, const char *value, void *target)
{
	size_t len = strlen(value);
	char digits[32];
	uint64_t rate;

	if (len > 2 && !strcmp(value + len - 2, "/s"))
		len -= 2;
	if (len < sizeof(digits)) {
		memcpy(digits, value, len);
		digits[len] = '\0';
		if (!gmem_parse_uint(digits, &rate) && rate >= 1 &&
		    rate <= MAX_RATE) {
			*(uint64_t *)target = rate;
			return 0;
		}
	}
	gmem_err("%s takes conversions per second from 1 to %u, as 500 or 500/s, not '%s'",
		 name, MAX_RATE, value);
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
	{ .name = "rate", .type = GMEM_OPT_CUSTOM, .arg = "N[/s]",
	  .help = "ratelimit: conversions per second; 1000",
	  .target = &args.rate, .seen = &args.has_rate, .parse = parse_rate },
	{ .name = "burst", .type = GMEM_OPT_UINT, .arg = "N",
	  .help = "ratelimit: conversions saved up; a quarter of the rate",
	  .target = &args.burst, .seen = &args.has_burst, .min = 1,
	  .max = MAX_RATE },
	{ .name = "action", .type = GMEM_OPT_CHOICE, .arg = "ACTION",
	  .help = "ratelimit: what happens beyond the rate; deny",
	  .target = &args.action, .seen = &args.has_action,
	  .choices = actions },
	{ .name = "priority", .type = GMEM_OPT_CUSTOM, .arg = "N",
	  .help = "lower numbers are asked earlier; 0",
	  .target = &args.priority, .parse = parse_priority },
	{ .name = "audit", .type = GMEM_OPT_FLAG,
	  .help = "count what it would do, but do not enforce it",
	  .target = &args.audit },
	VERB_OPTIONS
};

/* The parameters that options set, by their name in the policy's struct. */
static int set_params(struct object *object)
{
	const struct {
		const char *name;
		bool given;
		uint64_t value;
	} params[] = {
		{ "rate", args.has_rate, args.rate },
		{ "burst", args.has_burst, args.burst },
		{ "action", args.has_action, args.action },
	};
	size_t i;
	int err;

	for (i = 0; i < ARRAY_LEN(params); i++) {
		if (!params[i].given)
			continue;
		err = object_set_param(object, params[i].name, params[i].value);
		if (err)
			return err;
	}
	return 0;
}

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

static void explain_attach(int err, const struct policy *policy, uint64_t vm)
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
		gmem_err_bpf(err, "cannot attach the policy %s", policy->name);
	}
}

static int attach(const struct policy *policy, uint64_t vm, const char *pin)
{
	struct object *object;
	int err, fd;

	object = object_open(policy);
	if (!object)
		return -EINVAL;
	err = object_set_member(object, "vm_id", vm);
	if (!err)
		err = object_set_member(object, "priority", args.priority);
	if (!err && args.audit)
		err = object_set_member(object, "flags", GMEM_POLICY_AUDIT);
	if (!err)
		err = set_params(object);
	if (!err)
		err = object_load(object);
	if (err)
		goto out;

	err = object_attach(object, &fd);
	if (err) {
		explain_attach(err, policy, vm);
		goto out;
	}
	err = pins_add(pin, fd);
	close(fd);
out:
	object_close(object);
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
	if (!policy_find(argv[0])) {
		gmem_err("unknown policy '%s'; see gmempolicy --help for those there are",
			 argv[0]);
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
	const struct policy *policy;
	char pin[96];
	uint64_t vm;

	if (check_words(argc, argv))
		return GMEM_EXIT_USAGE;
	policy = policy_find(argv[0]);
	if (resolve_scope(&vm))
		return GMEM_EXIT_FAIL;

	/* bpffs takes no dots. */
	if (vm)
		snprintf(pin, sizeof(pin), "%s-vm%" PRIu64, policy->name, vm);
	else
		snprintf(pin, sizeof(pin), "%s-all", policy->name);
	if (pins_check_free(pin) || attach(policy, vm, pin))
		return GMEM_EXIT_FAIL;

	printf("attached %s\n", pin);
	if (!gmem_policies_enabled())
		gmem_err("policies are switched off, so it is not asked yet; write Y to /sys/module/kvm/parameters/gmem_policies");
	return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}
