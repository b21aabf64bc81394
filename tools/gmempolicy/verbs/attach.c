// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy attach: puts a policy into force and pins it.
 *
 * For each VM it is all or nothing: until the pin is there, the link lives by a
 * descriptor of this process alone, so whatever ends the process ends the
 * policy.  Making the pin is the last step and one system call.  For several
 * VMs the pins are made once all links are there.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/attached.h"
#include "attached/depends.h"
#include "attached/ops.h"
#include "attached/pins.h"
#include "attached/refusal.h"
#include "config/config.h"
#include "formats/table.h"
#include "gmem_cgroup.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_scope.h"
#include "objects/object.h"
#include "verbs/verbs.h"

#define MAX_SETS	64

/**
 * struct held - a policy that has been attached, or is to be
 * @name: name of its pin
 * @link: descriptor of its link, -1 before
 * @link_id: its id
 * @until_ns: when it ends by itself, on CLOCK_BOOTTIME; 0: it does not
 */
struct held {
	char name[96];
	int link;
	uint32_t link_id;
	uint64_t until_ns;
};

#define FOR_MAX_NS	(366 * 24 * 3600 * 1000000000ULL)

static struct {
	uint64_t vm;
	uint64_t pid;
	const char *name;
	const char *cgroup;
	bool all;
	bool has_vm, has_pid, has_name, has_cgroup;

	size_t nr_sets;
	const char *sets[MAX_SETS];

	int32_t priority;
	bool has_priority;
	bool audit;
	uint64_t for_ns;
	bool json;
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

static int parse_duration(const char *name, const char *value, void *target)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 24 * 3600 },
	};
	size_t len = strlen(value), i;
	uint64_t scale = 1, ns;
	char digits[32];

	for (i = 0; i < ARRAY_LEN(units) && len; i++) {
		if (value[len - 1] != units[i].unit)
			continue;
		scale = units[i].seconds;
		len--;
		break;
	}
	if (len && len < sizeof(digits)) {
		memcpy(digits, value, len);
		digits[len] = '\0';
		if (!gmem_parse_seconds(digits, &ns) && ns &&
		    ns <= FOR_MAX_NS / scale) {
			*(uint64_t *)target = ns * scale;
			return 0;
		}
	}
	gmem_err("%s takes a time of up to 366d, as 90s, 10m, 2h or 1d, not '%s'",
		 name, value);
	return -1;
}

static const struct gmem_option attach_options[] = {
	{ .name = "vm", .type = GMEM_OPT_UINT, .arg = "ID",
	  .help = "scope: the VM with this id", .target = &args.vm,
	  .seen = &args.has_vm, .min = 1, .max = UINT64_MAX },
	{ .name = "pid", .type = GMEM_OPT_UINT, .arg = "PID",
	  .help = "scope: the one VM of this process", .target = &args.pid,
	  .seen = &args.has_pid, .min = 1, .max = INT32_MAX },
	{ .name = "name", .type = GMEM_OPT_STRING, .arg = "GLOB",
	  .help = "scope: VMs there are whose name matches",
	  .target = &args.name, .seen = &args.has_name },
	{ .name = "cgroup", .type = GMEM_OPT_STRING, .arg = "PATH",
	  .help = "scope: VMs there are in this cgroup or below",
	  .target = &args.cgroup, .seen = &args.has_cgroup },
	{ .name = "all", .type = GMEM_OPT_FLAG,
	  .help = "scope: every VM, also those that start later",
	  .target = &args.all },
	{ .name = "set", .type = GMEM_OPT_CUSTOM, .arg = "NAME=VALUE",
	  .help = "a parameter; once for each; 'gmempolicy show' lists them",
	  .parse = parse_set },
	{ .name = "priority", .type = GMEM_OPT_CUSTOM, .arg = "N",
	  .help = "lower numbers are asked earlier; else the policy's own",
	  .target = &args.priority, .seen = &args.has_priority,
	  .parse = parse_priority },
	{ .name = "audit", .type = GMEM_OPT_FLAG,
	  .help = "count what it would do, but do not enforce it",
	  .target = &args.audit },
	{ .name = "for", .type = GMEM_OPT_CUSTOM, .arg = "DURATION",
	  .help = "end by itself after 90s, 10m, 2h, 1d",
	  .target = &args.for_ns, .parse = parse_duration },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &args.json },
	VERB_OPTIONS
};

/* ------------------------------------------------------------ building blocks */

static void name_pin(char *dst, size_t size, const char *policy, uint64_t vm)
{
	char *c;

	if (vm)
		snprintf(dst, size, "%s-vm%" PRIu64, policy, vm);
	else
		snprintf(dst, size, "%s-all", policy);
	/* The BPF file system takes no dots. */
	for (c = dst; *c; c++)
		*c = *c == '.' ? '_' : *c;
}

static uint32_t link_id_of(int link)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	return bpf_link_get_info_by_fd(link, &info, &len) ? 0 : info.id;
}

/* --------------------------------------------------------------------- attach */

/* Each VM has an object of its own, with parameters of its own. */
static struct object *open_with_sets(const char *what, bool *usage)
{
	struct object *object = object_open(what);
	size_t i;

	*usage = true;
	if (!object)
		return NULL;
	for (i = 0; i < args.nr_sets; i++) {
		if (object_set(object, args.sets[i]))
			goto fail;
	}
	*usage = false;
	if (args.has_priority &&
	    object_set_member(object, "priority", args.priority))
		goto fail;
	if (args.audit &&
	    object_set_member(object, "flags",
			      object_member(object, "flags") |
			      GMEM_POLICY_AUDIT))
		goto fail;
	return object;
fail:
	object_close(object);
	return NULL;
}

static int attach_one(const char *what, uint64_t vm, struct held *held)
{
	struct object *object;
	bool usage;
	int err;

	object = open_with_sets(what, &usage);
	if (!object)
		return -EINVAL;
	err = object_set_member(object, "vm_id", vm);
	if (!err)
		err = object_load(object);
	if (!err) {
		/* From now on, not from when it was begun to be loaded. */
		if (args.for_ns)
			held->until_ns = gmem_clock_ns(CLOCK_BOOTTIME) +
					 args.for_ns;
		err = held->until_ns ?
		      ops_attach(object, held->until_ns, &held->link) :
		      object_attach(object, &held->link);
		if (err)
			refusal_explain(err, object_name(object), vm);
		else
			held->link_id = link_id_of(held->link);
	}
	object_close(object);
	return err;
}

static bool is_pending(const sigset_t *signals)
{
	sigset_t pending;
	int sig;

	sigpending(&pending);
	for (sig = 1; sig < NSIG; sig++) {
		if (sigismember(signals, sig) == 1 &&
		    sigismember(&pending, sig) == 1)
			return true;
	}
	return false;
}

/* A signal that ends the process comes before the first pin or after the last. */
static int pin_all(const struct held *held, size_t nr)
{
	sigset_t signals, before;
	int err = 0;
	size_t i;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	for (i = 0; i < nr && !err; i++) {
		err = pins_add(held[i].name, held[i].link);
		if (err)
			break;
	}
	/* One that is ignored is not pending. */
	if (!err && is_pending(&signals))
		err = -EINTR;
	while (err && i--)
		pins_remove(held[i].name);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

static struct value held_did(const void *row)
{
	return TEXT_VALUE("attached");
}

static struct value held_name(const void *row)
{
	return TEXT_VALUE(((const struct held *)row)->name);
}

static struct value held_id(const void *row)
{
	return UINT_VALUE(((const struct held *)row)->link_id);
}

static struct value held_left(const void *row)
{
	uint64_t until_ns = ((const struct held *)row)->until_ns;

	return until_ns ? UINT_VALUE(entry_left(until_ns)) : NO_VALUE;
}

static struct value held_ends(const void *row)
{
	uint64_t until_ns = ((const struct held *)row)->until_ns;
	static char text[ENTRY_TIME_SIZE];

	return until_ns ? TEXT_VALUE(entry_ends(until_ns, text)) : NO_VALUE;
}

static const struct column held_columns[] = {
	{ "", "did", held_did },
	{ "", "pin", held_name },
	{ NULL, "link_id", held_id },
	{ NULL, "left_s", held_left },
	{ NULL, "ends", held_ends },
	{}
};

static int attach_all(const char *what, const uint64_t *vms, size_t nr,
		      struct held *held)
{
	size_t i;
	int err;

	err = pins_remove_ended();
	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		err = pins_check_free(held[i].name);
		if (err)
			return err;
	}
	for (i = 0; i < nr; i++) {
		err = attach_one(what, vms[i], &held[i]);
		if (err)
			return err;
	}
	return pin_all(held, nr);
}

static int attach(const char *what, const char *name, const uint64_t *vms,
		  size_t nr)
{
	const struct table table = {
		.key = "attached",
		.columns = held_columns,
		.row_size = sizeof(struct held),
		.nr_rows = nr,
		.is_bare = true,
	};
	struct table shown = table;
	struct held *held;
	int err, lock;
	size_t i;

	held = calloc(nr, sizeof(*held));
	if (!held) {
		gmem_err("no memory for %zu policies; free some", nr);
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++) {
		held[i].link = -1;
		name_pin(held[i].name, sizeof(held[i].name), name, vms[i]);
	}
	lock = pins_lock();
	err = lock < 0 ? lock : attach_all(what, vms, nr, held);
	if (!err) {
		shown.rows = held;
		gmem_err_context("attached, but");
		err = tables_print(&shown, 1, args.json);
		gmem_err_context(NULL);
	}
	for (i = 0; i < nr; i++) {
		if (held[i].link >= 0)
			close(held[i].link);
	}
	if (lock >= 0)
		close(lock);
	free(held);
	return err;
}

/* ----------------------------------------------------------------------- verb */

static int check_words(int argc, char **argv)
{
	int scopes = args.has_vm + args.has_pid + args.has_name +
		     args.has_cgroup + args.all;

	if (!argc) {
		gmem_err("no policy given; see gmempolicy --help for those there are");
		return -1;
	}
	if (argc > 1) {
		gmem_err("attach takes one policy; leave '%s' out", argv[1]);
		return -1;
	}
	if (!scopes) {
		gmem_err("no scope given; say which VM with --vm ID, --pid PID, --name GLOB or --cgroup PATH, or give --all");
		return -1;
	}
	if (scopes > 1) {
		gmem_err("more than one scope given; keep one of --vm, --pid, --name, --cgroup and --all");
		return -1;
	}
	return 0;
}

static int resolve(uint64_t **ids, size_t *nr)
{
	struct scope scope = { .type = SCOPE_ALL };
	char path[GMEM_CGROUP_LEN];
	struct gmem_sampler *sampler;
	const char *why;
	struct vms vms = {};
	int err;

	if (args.has_vm)
		scope = (struct scope){ SCOPE_VM, args.vm, NULL };
	else if (args.has_pid)
		scope = (struct scope){ SCOPE_PID, args.pid, NULL };
	else if (args.has_name)
		scope = (struct scope){ SCOPE_NAME, 0, args.name };
	else if (args.has_cgroup)
		scope = (struct scope){ SCOPE_CGROUP, 0, path };
	why = args.has_cgroup ?
	      gmem_cgroup_path(path, sizeof(path), args.cgroup) : NULL;
	if (why) {
		gmem_err("--cgroup takes a path such as /machine.slice, not '%s': %s",
			 args.cgroup, why);
		return -EINVAL;
	}

	sampler = gmem_sampler_open();
	if (!sampler)
		return -EPERM;
	err = vms_read(&vms, sampler);
	gmem_sampler_close(sampler);
	if (!err)
		err = scope_resolve(&scope, &vms, ids, nr);
	vms_free(&vms);
	return err;
}

/* What is not obvious: who attaches a policy may take it for more than it is. */
static void tell_what_it_depends_on(void)
{
	depends_tell();
	if (args.has_pid || args.has_name || args.has_cgroup)
		gmem_err("only VMs that run now are meant; have VMs that start later in " CONFIG_DIR ", see gmem-policy.d(5)");
}

static int run_attach(int argc, char **argv)
{
	struct object *object;
	int code = GMEM_EXIT_FAIL;
	uint64_t *vms = NULL;
	bool usage;
	size_t nr;

	if (check_words(argc, argv))
		return GMEM_EXIT_USAGE;
	/* What is wrong on the command line is found before the kernel is asked. */
	object = open_with_sets(argv[0], &usage);
	if (!object)
		return usage ? GMEM_EXIT_USAGE : GMEM_EXIT_FAIL;
	if (resolve(&vms, &nr) || attach(argv[0], object_name(object), vms, nr))
		goto out;
	code = GMEM_EXIT_OK;
	tell_what_it_depends_on();
	if (!gmem_policies_enabled())
		gmem_err("policies are switched off, so it is not asked yet; switch them on: gmempolicy on");
out:
	free(vms);
	object_close(object);
	return code;
}

const struct verb attach_verb = {
	.name = "attach",
	.synopsis = "attach (POLICY | FILE.bpf.o) SCOPE [OPTION]...",
	.about = "put a policy into force until it is detached",
	.options = attach_options,
	.run = run_attach,
};
