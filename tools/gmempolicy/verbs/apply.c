// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy apply, diff: make the host match /etc/gmem/policy.d, or say what
 * that would take.
 *
 * What apply attaches has a '@' in its pin's name, LABEL@vmID or LABEL@all, and
 * of what is attached it touches nothing else.
 *
 * Each step is one system call that the kernel does wholly or not at all:
 * attaching is making the pin, changing is an update of the link or of one
 * pointer to parameters, detaching is removing the pin.  Before the first one
 * every object that is needed has been loaded, and detaching comes last.  So
 * whenever apply is killed, each policy is as it was or as it is to be.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "verbs/attach.h"
#include "attached/attached.h"
#include "config/config.h"
#include "gmem_watch.h"
#include "objects/object.h"
#include "attached/pins.h"
#include "attached/running.h"
#include "formats/table.h"
#include "verbs/verbs.h"
#include "watch.skel.h"

#define OWN_MARK	'@'
#define NAME_SIZE	96
/* VMs move between cgroups and change their names without telling anyone. */
#define LOOK_AGAIN_NS	(5 * 1000000000ULL)
/* A VM is announced before it can be found, and may yet get its name. */
#define LOOK_SOON_NS	(200 * 1000000ULL)
#define POLL_MS		500

static bool json, watch;

const struct gmem_option apply_options[] = {
	{ .name = "watch", .type = GMEM_OPT_FLAG,
	  .help = "stay, and apply it to VMs that start later, too",
	  .target = &watch },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

const struct gmem_option diff_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* --------------------------------------------------------------------- plan */

enum step_type {
	STEP_KEEP,
	STEP_ATTACH,
	STEP_REPLACE,
	STEP_SET,
	STEP_MODE,
	STEP_DETACH,
};

/**
 * struct step - what is to be done about one pin
 * @type: what
 * @name: name of the pin
 * @wish: the policy asked for, NULL to detach
 * @vm: id of the VM, 0 for all
 * @why: for people
 * @link_id: link that is there now
 * @object: loaded, to be put into force
 * @running: what is in force, to be changed
 * @done: it has been done
 */
struct step {
	enum step_type type;
	char name[NAME_SIZE];
	const struct wish *wish;
	uint64_t vm;
	char why[160];
	uint32_t link_id;
	struct object *object;
	struct running *running;
	bool done;
};

struct plan {
	size_t nr;
	struct step *steps;
};

static void plan_free(struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->nr; i++) {
		object_close(plan->steps[i].object);
		running_close(plan->steps[i].running);
	}
	free(plan->steps);
	*plan = (struct plan) {};
}

static struct step *add_step(struct plan *plan, enum step_type type,
			     const char *name)
{
	struct step *step;

	step = reallocarray(plan->steps, plan->nr + 1, sizeof(*step));
	if (!step) {
		gmem_err("no memory for the plan; free some");
		return NULL;
	}
	plan->steps = step;
	step = &step[plan->nr++];
	*step = (struct step){ .type = type };
	snprintf(step->name, sizeof(step->name), "%s", name);
	return step;
}

/* Lists the parameters that differ, "rate 5 -> 7". */
static bool params_differ(const struct running *running,
			  const struct object *object, char *why, size_t size)
{
	const struct params *params = object_params(object);
	char old[PARAM_TEXT_SIZE], new[PARAM_TEXT_SIZE];
	size_t i, len = strlen(why);
	bool differ = false;

	for (i = 0; i < params->nr; i++) {
		const struct param *param = &params->params[i];
		uint64_t is = param_load(param, running_values(running));
		uint64_t wanted = param_load(param, object_values(object));

		if (is == wanted)
			continue;
		differ = true;
		if (len < size)
			len += snprintf(why + len, size - len, "%s%s %s -> %s",
					len ? ", " : "", param->name,
					param_format(param, is, old),
					param_format(param, wanted, new));
	}
	return differ;
}

static void say(char *why, size_t size, const char *text)
{
	size_t len = strlen(why);

	snprintf(why + len, size - len, "%s%s", len ? ", " : "", text);
}

/* What it takes to make what is in force what is asked for. */
static int compare(struct step *step)
{
	const struct object *object = step->wish->object;
	bool programs, params = false, mode;
	int32_t priority;
	uint32_t flags;
	uint64_t tags;
	char text[64];

	step->running = running_open(step->link_id, step->name);
	if (!step->running || running_tags(step->running, &tags) ||
	    running_flags(step->running, &flags) ||
	    running_priority(step->running, &priority))
		return -EINVAL;
	programs = tags != step->wish->tags ||
		   running_params(step->running)->size !=
			   object_params(object)->size;
	if (programs)
		say(step->why, sizeof(step->why), "other programs");
	else
		params = params_differ(step->running, object, step->why,
				       sizeof(step->why));
	mode = flags != step->wish->flags || priority != step->wish->priority;
	if (flags != step->wish->flags)
		say(step->why, sizeof(step->why),
		    step->wish->flags & GMEM_POLICY_AUDIT ?
			    "enforce -> audit" : "audit -> enforce");
	if (priority != step->wish->priority) {
		snprintf(text, sizeof(text), "priority %d -> %d", priority,
			 step->wish->priority);
		say(step->why, sizeof(step->why), text);
	}
	/* Two things at once are one link update, not two steps. */
	if (programs || (params && mode))
		step->type = STEP_REPLACE;
	else if (params)
		step->type = STEP_SET;
	else if (mode)
		step->type = STEP_MODE;
	/* There may be many of them, and each has several descriptors. */
	if (step->type == STEP_KEEP) {
		running_close(step->running);
		step->running = NULL;
	}
	return 0;
}

static const struct entry *find_entry(const struct attached *attached,
				      const char *name)
{
	size_t i;

	for (i = 0; i < attached->nr; i++) {
		if (attached->entries[i].pin &&
		    !strcmp(attached->entries[i].pin, name))
			return &attached->entries[i];
	}
	return NULL;
}

static int plan_one(struct plan *plan, const struct wish *wish, uint64_t vm,
		    const struct attached *attached)
{
	const struct entry *entry;
	char name[NAME_SIZE];
	struct step *step;

	if (vm)
		snprintf(name, sizeof(name), "%s%cvm%" PRIu64, wish->label,
			 OWN_MARK, vm);
	else
		snprintf(name, sizeof(name), "%s%call", wish->label, OWN_MARK);
	entry = find_entry(attached, name);
	if (entry && entry->state == ENTRY_FOREIGN) {
		gmem_err("the name %s is taken by a file that is no policy; remove " PINS_DIR "/%s",
			 name, name);
		return -EEXIST;
	}
	step = add_step(plan, STEP_KEEP, name);
	if (!step)
		return -ENOMEM;
	step->wish = wish;
	step->vm = vm;
	if (entry && entry->policy) {
		step->link_id = entry->link_id;
		return compare(step);
	}
	step->type = STEP_ATTACH;
	snprintf(step->why, sizeof(step->why), "%s", object_name(wish->object));
	return 0;
}

static int plan_wish(struct plan *plan, const struct wish *wish,
		     const struct vms *vms, const struct attached *attached)
{
	size_t i;
	int err = 0;

	if (wish->scope.type == SCOPE_ALL)
		return plan_one(plan, wish, 0, attached);
	for (i = 0; i < vms->nr && !err; i++) {
		if (scope_has(&wish->scope, &vms->vms[i]))
			err = plan_one(plan, wish, vms->vms[i].id, attached);
	}
	return err;
}

static bool is_planned(const struct plan *plan, const char *name)
{
	size_t i;

	for (i = 0; i < plan->nr; i++) {
		if (!strcmp(plan->steps[i].name, name))
			return true;
	}
	return false;
}

static int plan_rest(struct plan *plan, const struct attached *attached)
{
	struct step *step;
	size_t i;

	for (i = 0; i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];

		if (!entry->pin || !strchr(entry->pin, OWN_MARK) ||
		    entry->state == ENTRY_FOREIGN ||
		    is_planned(plan, entry->pin))
			continue;
		step = add_step(plan, STEP_DETACH, entry->pin);
		if (!step)
			return -ENOMEM;
		step->link_id = entry->policy ? entry->link_id : 0;
		snprintf(step->why, sizeof(step->why), "%s",
			 entry->state == ENTRY_ACTIVE ? "not asked for" :
							"its VM is gone");
	}
	return 0;
}

/*
 * Policies on a VM while the plan is carried out: what is detached goes last.
 * With the id 0, on the next VM to come.
 */
static size_t count_on(const struct plan *plan, uint64_t vm,
		       const struct attached *attached)
{
	const struct gmem_policy_sample *last = NULL;
	size_t i, nr = 0;

	for (i = 0; i < attached->nr; i++) {
		const struct gmem_policy_sample *policy =
			attached->entries[i].policy;

		/* One with several pins has several entries in a row. */
		if (policy && policy != last &&
		    (!policy->vm_id || policy->vm_id == vm))
			nr++;
		last = policy;
	}
	for (i = 0; i < plan->nr; i++) {
		const struct step *step = &plan->steps[i];

		if (step->type == STEP_ATTACH && (!step->vm || step->vm == vm))
			nr++;
	}
	return nr;
}

static bool attaches(const struct plan *plan, uint64_t vm)
{
	size_t i;

	for (i = 0; i < plan->nr; i++) {
		if (plan->steps[i].type == STEP_ATTACH &&
		    (!plan->steps[i].vm || plan->steps[i].vm == vm))
			return true;
	}
	return false;
}

/* Else the kernel would refuse one when some have been attached. */
static int check_room(const struct plan *plan, const struct vms *vms,
		      const struct attached *attached)
{
	uint64_t vm = 0;
	size_t i, nr;

	for (i = 0; i <= vms->nr; i++) {
		vm = i ? vms->vms[i - 1].id : 0;
		if (!attaches(plan, vm))
			continue;
		nr = count_on(plan, vm, attached);
		if (nr <= GMEM_VM_POLICIES_MAX)
			continue;
		if (vm)
			gmem_err("too many policies on VM %" PRIu64 ": it would be %zu, and at most %d can be; detach some, see gmempolicy list",
				 vm, nr, GMEM_VM_POLICIES_MAX);
		else
			gmem_err("too many policies for all VMs: it would be %zu, and at most %d can be; detach some, see gmempolicy list",
				 nr, GMEM_VM_POLICIES_MAX);
		return -E2BIG;
	}
	return 0;
}

static int make_plan(struct plan *plan, const struct config *config,
		     struct gmem_sampler *sampler)
{
	struct attached *attached;
	struct vms vms = {};
	size_t i;
	int err;

	err = attached_read_with_vms(&attached, &vms, sampler);
	if (err)
		return err;
	for (i = 0; i < config->nr && !err; i++)
		err = plan_wish(plan, &config->wishes[i], &vms, attached);
	if (!err)
		err = plan_rest(plan, attached);
	if (!err)
		err = check_room(plan, &vms, attached);
	attached_free(attached);
	vms_free(&vms);
	return err;
}

/* -------------------------------------------------------------------- steps */

static int prepare(struct step *step)
{
	if (step->type != STEP_ATTACH && step->type != STEP_REPLACE)
		return 0;
	step->object = wish_open(step->wish, step->vm);
	return step->object ? object_load(step->object) : -EINVAL;
}

/* What is left there of a policy that has ended makes way. */
static int do_attach(struct step *step)
{
	struct pin pin;
	int link, err;

	err = object_attach(step->object, &link);
	/* A VM may end at any time; then there is nothing to do for it. */
	if (err == -ESRCH)
		return 0;
	if (err) {
		attach_explain(err, step->name, step->vm);
		return err;
	}
	if (!pins_find(step->name, &pin))
		err = pins_remove(step->name);
	if (!err)
		err = pins_add(step->name, link);
	close(link);
	return err;
}

static int do_replace(struct step *step)
{
	int err = object_replace(step->object, running_link(step->running));

	if (err)
		gmem_err_bpf(err, "cannot replace the policy %s", step->name);
	return err;
}

static int do_set(struct step *step)
{
	memcpy(running_values(step->running), object_values(step->wish->object),
	       running_params(step->running)->size);
	return running_commit(step->running);
}

static int do_mode(struct step *step)
{
	const struct ops_change change = {
		.flags = step->wish->flags,
		.has_priority = true,
		.priority = step->wish->priority,
	};

	return running_change(step->running, &change);
}

static int do_detach(struct step *step)
{
	int link = step->link_id ? bpf_link_get_fd_by_id(step->link_id) : -1;
	int err = pins_remove(step->name);

	/* The pin's end is the policy's; this is only to wait for it. */
	if (!err && link >= 0)
		bpf_link_detach(link);
	if (link >= 0)
		close(link);
	return err;
}

static int do_step(struct step *step)
{
	switch (step->type) {
	case STEP_KEEP:
		return 0;
	case STEP_ATTACH:
		return do_attach(step);
	case STEP_REPLACE:
		return do_replace(step);
	case STEP_SET:
		return do_set(step);
	case STEP_MODE:
		return do_mode(step);
	case STEP_DETACH:
		return do_detach(step);
	}
	return 0;
}

/* Detaching comes last in the plan already. */
static int do_plan(struct plan *plan)
{
	size_t i;
	int err = 0;

	for (i = 0; i < plan->nr && !err; i++)
		err = prepare(&plan->steps[i]);
	for (i = 0; i < plan->nr && !err; i++) {
		err = do_step(&plan->steps[i]);
		plan->steps[i].done = !err;
	}
	return err;
}

/* ------------------------------------------------------------------- output */

static struct value step_action(const void *row)
{
	static const char *const text[] = {
		[STEP_KEEP] = "keep", [STEP_ATTACH] = "attach",
		[STEP_REPLACE] = "replace", [STEP_SET] = "set",
		[STEP_MODE] = "mode", [STEP_DETACH] = "detach",
	};

	return TEXT_VALUE(text[((const struct step *)row)->type]);
}

static struct value step_name(const void *row)
{
	return TEXT_VALUE(((const struct step *)row)->name);
}

static struct value step_vm(const void *row)
{
	uint64_t vm = ((const struct step *)row)->vm;

	return vm ? UINT_VALUE(vm) : NO_VALUE;
}

static struct value step_why(const void *row)
{
	const char *why = ((const struct step *)row)->why;

	return *why ? TEXT_VALUE(why) : NO_VALUE;
}

static struct value step_where(const void *row)
{
	const struct step *step = row;

	return step->wish ? TEXT_VALUE(step->wish->where) : NO_VALUE;
}

static const struct column step_columns[] = {
	{ "CHANGE", "action", step_action },
	{ "PIN", "pin", step_name },
	{ NULL, "vm_id", step_vm },
	{ NULL, "where", step_where },
	{ "WHAT", "why", step_why },
	{}
};

/* All of it, or what of it has been done. */
static int print_plan(const struct plan *plan, bool only_done)
{
	struct table table = {
		.key = "changes",
		.none = "Nothing to change.",
		.columns = step_columns,
		.row_size = sizeof(*plan->steps),
	};
	struct step *rows;
	size_t i;
	int err;

	rows = calloc(plan->nr + 1, sizeof(*rows));
	if (!rows) {
		gmem_err("no memory for the plan; free some");
		return -ENOMEM;
	}
	for (i = 0; i < plan->nr; i++) {
		if (plan->steps[i].type != STEP_KEEP &&
		    (plan->steps[i].done || !only_done))
			rows[table.nr_rows++] = plan->steps[i];
	}
	table.rows = rows;
	err = only_done && !table.nr_rows ? 0 : tables_print(&table, 1, json);
	free(rows);
	return err;
}

/* -------------------------------------------------------------------- verbs */

static bool is_change(const struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->nr; i++) {
		if (plan->steps[i].type != STEP_KEEP)
			return true;
	}
	return false;
}

static int reconcile(const struct config *config, struct gmem_sampler *sampler,
		     bool dry, bool quiet)
{
	struct plan plan = {};
	int err, lock = -1;

	if (!dry) {
		lock = pins_lock();
		if (lock < 0)
			return lock;
	}
	gmem_libbpf_forget();
	err = make_plan(&plan, config, sampler);
	if (!err && !dry) {
		err = do_plan(&plan);
		/* What has been done stays, and is to be known. */
		if (err)
			print_plan(&plan, true);
	}
	if (!err && (!quiet || is_change(&plan)))
		err = print_plan(&plan, false);
	plan_free(&plan);
	if (lock >= 0)
		close(lock);
	return err;
}

static volatile sig_atomic_t stop, reload;

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		reload = 1;
	else
		stop = 1;
}

static int on_event(void *ctx, void *data, size_t size)
{
	bool *changed = ctx;

	*changed = true;
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* A file with a mistake changes nothing, and neither does reading it again. */
static void read_again(struct config *config, const char *path)
{
	struct config new = {};

	gmem_libbpf_forget();
	if (config_read(&new, path) || config_load(&new)) {
		gmem_err("the policies asked for before stay in force; mend the file and reload");
		config_free(&new);
		return;
	}
	config_free(config);
	*config = new;
}

static int poll_ms(uint64_t next)
{
	uint64_t now = now_ns();
	uint64_t ms = next > now ? (next - now) / 1000000 + 1 : 0;

	return ms < POLL_MS ? ms : POLL_MS;
}

static int stay(struct config *config, const char *path,
		struct gmem_sampler *sampler, struct ring_buffer *ring,
		bool *changed)
{
	uint64_t next = now_ns() + LOOK_AGAIN_NS;
	bool event;
	int n;

	while (!stop) {
		if (*changed || reload || now_ns() >= next) {
			event = *changed;
			*changed = false;
			if (reload) {
				reload = 0;
				read_again(config, path);
			}
			if (reconcile(config, sampler, false, true) == -EPIPE)
				return -EPIPE;
			next = now_ns() + (event ? LOOK_SOON_NS : LOOK_AGAIN_NS);
		}
		n = ring_buffer__poll(ring, poll_ms(next));
		if (n < 0 && n != -EINTR) {
			gmem_err_bpf(n, "cannot read which VMs come and go");
			return n;
		}
	}
	return 0;
}

static int apply_and_stay(struct config *config, const char *path,
			  struct gmem_sampler *sampler)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct ring_buffer *ring = NULL;
	struct watch_bpf *skel;
	bool changed = false;
	int err;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	skel = watch_bpf__open();
	err = skel ? bpf_program__set_autoload(skel->progs.on_verdict, false) :
		     -errno;
	if (!err)
		err = watch_bpf__load(skel);
	if (!err)
		err = watch_bpf__attach(skel);
	if (!err) {
		ring = ring_buffer__new(bpf_map__fd(skel->maps.events),
					on_event, &changed, NULL);
		err = ring ? 0 : -errno;
	}
	if (err) {
		gmem_err_bpf(err, "cannot watch which VMs come and go");
	} else {
		/* From here on no VM is missed. */
		err = reconcile(config, sampler, false, false);
		if (!err)
			err = stay(config, path, sampler, ring, &changed);
	}
	ring_buffer__free(ring);
	watch_bpf__destroy(skel);
	return err;
}

static int run(int argc, char **argv, bool dry)
{
	const char *path = argc ? argv[0] : CONFIG_DIR;
	struct gmem_sampler *sampler;
	struct config config = {};
	int err;

	if (argc > 1) {
		gmem_err("%s takes one file or directory; leave '%s' out",
			 dry ? "diff" : "apply", argv[1]);
		return GMEM_EXIT_USAGE;
	}
	/* What is wrong with a file is found without asking the kernel. */
	err = config_read(&config, path);
	sampler = err || gmem_check_privilege() ? NULL : gmem_sampler_open();
	if (!sampler) {
		config_free(&config);
		return GMEM_EXIT_FAIL;
	}
	err = config_load(&config);
	if (!err && watch)
		err = apply_and_stay(&config, path, sampler);
	else if (!err)
		err = reconcile(&config, sampler, dry, false);
	config_free(&config);
	gmem_sampler_close(sampler);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

int run_apply(int argc, char **argv)
{
	return run(argc, argv, false);
}

int run_diff(int argc, char **argv)
{
	return run(argc, argv, true);
}
