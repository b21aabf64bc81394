// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy apply, diff: make the host match /etc/gmem/policy.d, or say what
 * that would take.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "attached/events.h"
#include "attached/pins.h"
#include "config/config.h"
#include "config/plan.h"
#include "formats/table.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_confined.h"
#include "gmem_daemon.h"
#include "gmem_kernel.h"
#include "gmem_sample.h"
#include "verbs/verbs.h"

/* VMs move between cgroups and change their names without telling anyone. */
#define LOOK_AGAIN_NS	(5 * 1000000000ULL)
/* A VM is announced before it can be found, and may yet get its name. */
#define LOOK_SOON_NS	(200 * 1000000ULL)
#define POLL_MS		500

static bool json, watch;

static const struct gmem_option apply_options[] = {
	{ .name = "watch", .type = GMEM_OPT_FLAG,
	  .help = "stay, and apply it to VMs that start later, too",
	  .target = &watch },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

static const struct gmem_option diff_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

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
		.prose = "why",
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
	err = plan_make(&plan, config, sampler);
	if (!err && !dry) {
		err = plan_carry_out(&plan);
		/* What has been done stays, and is to be known. */
		if (err)
			print_plan(&plan, true);
	}
	if (!err && (!quiet || plan_changes(&plan)))
		err = print_plan(&plan, false);
	/* Who stays has more to do than to print, and may be heard again. */
	if (watch && ferror(stdout)) {
		clearerr(stdout);
		err = 0;
	}
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

/*
 * Guests whose process is hidden have no name, and would lose the policies that
 * they have.
 */
static int check_hidden(const struct config *config)
{
	char why[GMEM_CONFINED_LEN];
	size_t i;

	for (i = 0; i < config->nr; i++) {
		const struct wish *wish = &config->wishes[i];

		if (wish->scope.type != SCOPE_NAME ||
		    !gmem_proc_hides(why, sizeof(why)))
			continue;
		gmem_err("%s: cannot tell which guests are meant: %s",
			 wish->where, why);
		return -EACCES;
	}
	return 0;
}

/* A file with a mistake changes nothing, and neither does reading it again. */
static void read_again(struct config *config, const char *path)
{
	struct config new = {};

	gmem_libbpf_forget();
	if (config_read(&new, path) || check_hidden(&new) ||
	    config_load(&new)) {
		gmem_err("the policies asked for before stay in force; mend the file and reload");
		config_free(&new);
		return;
	}
	config_free(config);
	*config = new;
}

static int poll_ms(uint64_t next)
{
	uint64_t now = gmem_now_ns();
	uint64_t ms = next > now ? (next - now) / 1000000 + 1 : 0;

	return ms < POLL_MS ? ms : POLL_MS;
}

static int stay(struct config *config, const char *path,
		struct gmem_sampler *sampler, struct events *events,
		bool *changed)
{
	uint64_t next = gmem_now_ns() + LOOK_AGAIN_NS;
	bool event, asked;
	int n;

	while (!stop) {
		if (*changed || reload || gmem_now_ns() >= next) {
			asked = reload;
			event = *changed;
			*changed = false;
			gmem_err_round(asked);
			if (asked) {
				if (gmem_hangup_ends())
					return 0;
				reload = 0;
				gmem_notify_reloading();
				read_again(config, path);
			}
			reconcile(config, sampler, false, true);
			if (asked)
				gmem_notify("READY=1");
			next = gmem_now_ns() +
			       (event ? LOOK_SOON_NS : LOOK_AGAIN_NS);
		}
		n = events_poll(events, poll_ms(next));
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
	struct events *events;
	bool changed = false;
	int err = -EIO;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* Whoever read of the changes may go; the policies are to stay right. */
	signal(SIGPIPE, SIG_IGN);
	events = events_open(EVENTS_OF_VMS, 0, on_event, &changed);
	if (events) {
		/* From here on no VM is missed. */
		err = reconcile(config, sampler, false, false);
		if (!err) {
			gmem_notify("READY=1");
			err = stay(config, path, sampler, events, &changed);
		}
		gmem_notify("STOPPING=1");
	}
	events_close(events);
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
	sampler = err || gmem_check_privilege() || check_hidden(&config) ?
			  NULL : gmem_sampler_open();
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

static int run_apply(int argc, char **argv)
{
	return run(argc, argv, false);
}

static int run_diff(int argc, char **argv)
{
	return run(argc, argv, true);
}

const struct verb apply_verb = {
	.name = "apply",
	.synopsis = "apply [FILE.toml | DIRECTORY] [--watch] [--json]",
	.about = "make the host match /etc/gmem/policy.d",
	.options = apply_options,
	.run = run_apply,
};

const struct verb diff_verb = {
	.name = "diff",
	.synopsis = "diff [FILE.toml | DIRECTORY] [--json]",
	.about = "say what apply would change, and change nothing",
	.options = diff_options,
	.run = run_diff,
};
