// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares what is in force with what is asked for, and carries out what that
 * takes.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/attached.h"
#include "attached/ops.h"
#include "attached/pins.h"
#include "attached/refusal.h"
#include "attached/running.h"
#include "config/config.h"
#include "config/plan.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "objects/object.h"

#define OWN_MARK	'@'

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

static void name_pin(char name[PLAN_NAME_SIZE], const struct wish *wish,
		     uint64_t vm)
{
	if (vm)
		snprintf(name, PLAN_NAME_SIZE, "%s%cvm%" PRIu64, wish->label,
			 OWN_MARK, vm);
	else
		snprintf(name, PLAN_NAME_SIZE, "%s%call", wish->label, OWN_MARK);
}

static int plan_one(struct plan *plan, const struct wish *wish, uint64_t vm,
		    const struct attached *attached)
{
	const struct entry *entry;
	char name[PLAN_NAME_SIZE];
	struct step *step;

	name_pin(name, wish, vm);
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
	if (entry && entry->policy && entry->state != ENTRY_ENDED) {
		step->link_id = entry->link_id;
		return compare(step);
	}
	step->type = STEP_ATTACH;
	snprintf(step->why, sizeof(step->why), "%s", object_name(wish->object));
	return 0;
}

/*
 * Whose a VM is can be known no more when its process is gone and somebody else
 * keeps it.  What it has it keeps: nobody is to shed a policy that way.
 */
static bool keeps(const struct wish *wish, const struct vm *vm,
		  const struct attached *attached)
{
	const struct entry *entry;
	char name[PLAN_NAME_SIZE];

	if (!scope_is_undecided(&wish->scope, vm))
		return false;
	name_pin(name, wish, vm->id);
	entry = find_entry(attached, name);
	return entry && entry->policy;
}

static int plan_wish(struct plan *plan, const struct wish *wish,
		     const struct vms *vms, const struct attached *attached)
{
	size_t i;
	int err;

	if (wish->scope.type == SCOPE_ALL)
		return plan_one(plan, wish, 0, attached);
	gmem_err_context(wish->where);
	err = scope_check(&wish->scope, vms);
	gmem_err_context(NULL);
	for (i = 0; i < vms->nr && !err; i++) {
		const struct vm *vm = &vms->vms[i];

		if (scope_has(&wish->scope, vm) || keeps(wish, vm, attached))
			err = plan_one(plan, wish, vm->id, attached);
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

/* Whoever attached them: nobody asks them any more.  First, to make room. */
static int plan_ended(struct plan *plan, const struct attached *attached)
{
	struct step *step;
	size_t i;

	for (i = 0; i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];

		if (!entry->pin || entry->state != ENTRY_ENDED)
			continue;
		step = add_step(plan, STEP_DETACH, entry->pin);
		if (!step)
			return -ENOMEM;
		step->link_id = entry->link_id;
		snprintf(step->why, sizeof(step->why), "its time is up");
	}
	return 0;
}

static int plan_rest(struct plan *plan, const struct attached *attached)
{
	struct step *step;
	size_t i;

	for (i = 0; i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];

		if (!entry->pin || !strchr(entry->pin, OWN_MARK) ||
		    entry->state == ENTRY_FOREIGN ||
		    entry->state == ENTRY_ENDED ||
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

/* What has ended and has a pin goes before anything is attached. */
static bool makes_room(const struct attached *attached, size_t i)
{
	const struct entry *entry = &attached->entries[i];

	return entry->pin && entry->state == ENTRY_ENDED;
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
		if (policy && policy != last && !makes_room(attached, i) &&
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

int plan_make(struct plan *plan, const struct config *config,
	      struct gmem_sampler *sampler)
{
	struct attached *attached;
	struct vms vms = {};
	size_t i;
	int err;

	err = attached_read_with_vms(&attached, &vms, sampler);
	if (err)
		return err;
	err = plan_ended(plan, attached);
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
	struct links links;
	struct pin pin;
	int err;

	err = ops_attach(step->object, 0, &links);
	/* A VM may end at any time; then there is nothing to do for it. */
	if (err == -ESRCH)
		return 0;
	if (err) {
		refusal_explain(err, step->name, step->vm);
		return err;
	}
	if (!pins_find(step->name, &pin))
		err = pins_remove(step->name);
	if (!err)
		err = pins_add(step->name, &links);
	links_close(&links);
	return err;
}

/* Both decide for a moment.  One that ends by itself ends when the other would. */
static int replace_lsm(struct step *step)
{
	uint64_t expires_ns = running_expires(step->running);
	struct links links;
	int err;

	err = ops_attach(step->object, expires_ns, &links);
	if (err) {
		refusal_explain(err, step->name, step->vm);
		return err;
	}
	err = pins_replace(step->name, &links);
	if (!err)
		ops_detach(running_link(step->running));
	links_close(&links);
	return err;
}

static int do_replace(struct step *step)
{
	int err;

	if (object_is_lsm(step->object))
		return replace_lsm(step);
	err = ops_replace(step->object, running_link(step->running));

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
		ops_detach(link);
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

/*
 * Of what is in force, what is detached comes last in the plan already; what
 * has ended comes first, and is detached even if a step after it fails.
 */
int plan_carry_out(struct plan *plan)
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

bool plan_changes(const struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->nr; i++) {
		if (plan->steps[i].type != STEP_KEEP)
			return true;
	}
	return false;
}

void plan_free(struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->nr; i++) {
		object_close(plan->steps[i].object);
		running_close(plan->steps[i].running);
	}
	free(plan->steps);
	*plan = (struct plan) {};
}
