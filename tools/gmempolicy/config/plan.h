/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What it takes to make the host match what is asked for.
 *
 * What apply attaches has a '@' in its pin's name, LABEL@vmID or LABEL@all, and
 * of what is in force it touches nothing else.
 *
 * Each step is one system call that the kernel does wholly or not at all:
 * attaching is making the pin, changing is an update of the link or of one
 * pointer to parameters, detaching is removing the pin.  Before the first one
 * every object that is needed has been loaded, and detaching comes last, but for
 * policies whose time is up: those have their room made free first, whoever
 * attached them.  So whenever apply is killed, each policy is as it was or as it is to be.
 */
#ifndef GMEMPOLICY_PLAN_H
#define GMEMPOLICY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_NAME_SIZE	96

struct config;
struct gmem_sampler;
struct object;
struct running;
struct wish;

/**
 * enum step_type - what is to be done about one pin
 * @STEP_KEEP: nothing
 * @STEP_ATTACH: attach a policy
 * @STEP_REPLACE: put other programs in its place
 * @STEP_SET: set its parameters
 * @STEP_MODE: change its mode or its priority
 * @STEP_DETACH: detach it
 */
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
	char name[PLAN_NAME_SIZE];
	const struct wish *wish;
	uint64_t vm;
	char why[160];
	uint32_t link_id;
	struct object *object;
	struct running *running;
	bool done;
};

/**
 * struct plan - all steps, those that detach what is in force last
 * @nr: how many
 * @steps: the steps
 *
 * Starts as all zeroes; plan_free() gives the memory back.
 */
struct plan {
	size_t nr;
	struct step *steps;
};

/**
 * plan_make() - find out what is to be done
 * @plan: filled in
 * @config: what is asked for, loaded; has to stay there
 * @sampler: from gmem_sampler_open()
 *
 * Changes nothing.  Call it with the lock of pins_lock() to carry the plan out.
 *
 * Return: 0, or -errno after one line of error.
 */
int plan_make(struct plan *plan, const struct config *config,
	      struct gmem_sampler *sampler);

/**
 * plan_changes() - is there anything to do?
 * @plan: from plan_make()
 */
bool plan_changes(const struct plan *plan);

/**
 * plan_carry_out() - do it
 * @plan: from plan_make(); what has been done is marked
 *
 * Call it with the lock of pins_lock().  Stops at the first step that fails;
 * what has been done stays.
 *
 * Return: 0, or -errno after one line of error.
 */
int plan_carry_out(struct plan *plan);

/**
 * plan_free() - give the memory back
 * @plan: all zeroes afterwards
 */
void plan_free(struct plan *plan);

#endif /* GMEMPOLICY_PLAN_H */
