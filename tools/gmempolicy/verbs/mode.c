// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy enforce, audit: switch the mode of policies that are in force.
 * gmempolicy off, on: the kernel's switch, which bypasses all of them at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/attached.h"
#include "attached/pins.h"
#include "attached/running.h"
#include "formats/table.h"
#include "gmem_confined.h"
#include "gmem_kernel.h"
#include "gmem_sample.h"
#include "verbs/verbs.h"

#define SWITCH	"/sys/module/kvm/parameters/gmem_policies"

static bool all, json;

static const struct gmem_option mode_options[] = {
	{ .name = "all", .short_name = 'a', .type = GMEM_OPT_FLAG,
	  .help = "every policy in force", .target = &all },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

static const struct gmem_option switch_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* ---------------------------------------------------------- enforce, audit */

struct change {
	const char *what;
	const char *mode;
	char id[16];
};

static struct value change_what(const void *row)
{
	return TEXT_VALUE(((const struct change *)row)->what);
}

static struct value change_mode(const void *row)
{
	return TEXT_VALUE(((const struct change *)row)->mode);
}

static const struct column change_columns[] = {
	{ "", "pin", change_what },
	{ "", "mode", change_mode },
	{}
};

static int change(struct running *running, bool audit)
{
	uint32_t flags, wanted;
	int err;

	err = running_flags(running, &flags);
	if (err)
		return err;
	wanted = audit ? flags | GMEM_POLICY_AUDIT :
			 flags & ~GMEM_POLICY_AUDIT;
	return wanted == flags ? 0 : running_set_flags(running, wanted);
}

static int change_one(const char *what, bool audit)
{
	struct running *running = running_find(what);
	int err;

	if (!running)
		return -ENOENT;
	err = change(running, audit);
	running_close(running);
	return err;
}

/* One that cannot be changed keeps none of the others from it. */
static int change_every(const struct attached *attached, bool audit,
			struct change *changes, size_t *nr)
{
	struct running *running;
	int err, failed = 0;
	size_t i;

	for (i = 0; i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];
		struct change *row = &changes[*nr];

		/* What has ended by itself is removed meanwhile. */
		if (!entry->policy || entry->state == ENTRY_ENDED)
			continue;
		snprintf(row->id, sizeof(row->id), "%u", entry->link_id);
		row->what = entry->pin ? entry->pin : row->id;
		running = running_open(entry->link_id, row->what);
		err = running ? change(running, audit) : -ENOENT;
		running_close(running);
		*nr += !err;
		failed = err ?: failed;
	}
	return failed;
}

static int print_changes(const struct change *changes, size_t nr)
{
	const struct table table = {
		.key = "changed",
		.none = "no policy is attached",
		.columns = change_columns,
		.rows = changes,
		.row_size = sizeof(*changes),
		.nr_rows = nr,
		.is_bare = true,
	};

	return tables_print(&table, 1, json);
}

static int change_all(bool audit, const char *mode)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct attached *attached;
	struct change *changes;
	size_t nr = 0, i;
	int err = -ENOMEM;

	if (!sampler)
		return -EPERM;
	attached = attached_read(sampler);
	changes = attached ? calloc(attached->nr + 1, sizeof(*changes)) : NULL;
	if (changes) {
		err = change_every(attached, audit, changes, &nr);
		for (i = 0; i < nr; i++)
			changes[i].mode = mode;
		if (!err || nr)
			err = print_changes(changes, nr) ?: err;
	}
	free(changes);
	attached_free(attached);
	gmem_sampler_close(sampler);
	return err;
}

static int run_mode(int argc, char **argv, bool audit)
{
	const char *mode = audit ? "audit" : "enforce";
	struct change one = { .mode = mode };
	int err, lock;

	if (!argc && !all) {
		gmem_err("no policy given; give a NAME or ID that gmempolicy list shows, or --all");
		return GMEM_EXIT_USAGE;
	}
	if (argc > (all ? 0 : 1)) {
		gmem_err("%s takes one NAME or ID, or --all alone; leave '%s' out",
			 mode, argv[all ? 0 : 1]);
		return GMEM_EXIT_USAGE;
	}
	if (gmem_check_privilege())
		return GMEM_EXIT_FAIL;
	lock = pins_lock();
	if (lock < 0)
		return GMEM_EXIT_FAIL;
	if (all) {
		err = change_all(audit, mode) ?: pins_remove_ended();
	} else {
		one.what = argv[0];
		err = change_one(argv[0], audit) ?: print_changes(&one, 1) ?:
		      pins_remove_ended();
	}
	close(lock);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

static int run_enforce(int argc, char **argv)
{
	return run_mode(argc, argv, false);
}

static int run_audit(int argc, char **argv)
{
	return run_mode(argc, argv, true);
}

/* ----------------------------------------------------------------- off, on */

static int run_switch(int argc, char **argv, const char *state, char letter)
{
	const struct fact facts[] = { { "policies", TEXT_VALUE(state) } };
	struct table table = FACTS_TABLE("switch", facts);
	char remedy[GMEM_CONFINED_LEN];
	int fd, err;

	if (argc) {
		gmem_err("%s takes no argument; leave '%s' out", state, argv[0]);
		return GMEM_EXIT_USAGE;
	}
	if (gmem_check_kernel())
		return GMEM_EXIT_FAIL;
	fd = open(SWITCH, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, &letter, 1) != 1) {
		err = errno;
		gmem_err("cannot write " SWITCH ": %s; %s", strerror(err),
			 gmem_file_remedy(err, remedy, sizeof(remedy)));
		if (fd >= 0)
			close(fd);
		return GMEM_EXIT_FAIL;
	}
	close(fd);
	table.is_bare = true;
	return tables_print(&table, 1, json) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

static int run_off(int argc, char **argv)
{
	return run_switch(argc, argv, "off", 'N');
}

static int run_on(int argc, char **argv)
{
	return run_switch(argc, argv, "on", 'Y');
}

const struct verb enforce_verb = {
	.name = "enforce",
	.synopsis = "enforce (NAME | ID | --all) [--json]",
	.about = "let a policy in force decide",
	.options = mode_options,
	.run = run_enforce,
};

const struct verb audit_verb = {
	.name = "audit",
	.synopsis = "audit (NAME | ID | --all) [--json]",
	.about = "let a policy in force count only",
	.options = mode_options,
	.run = run_audit,
};

const struct verb off_verb = {
	.name = "off",
	.synopsis = "off [--json]",
	.about = "bypass all policies, by the kernel's switch",
	.options = switch_options,
	.run = run_off,
};

const struct verb on_verb = {
	.name = "on",
	.synopsis = "on [--json]",
	.about = "ask the policies again",
	.options = switch_options,
	.run = run_on,
};
