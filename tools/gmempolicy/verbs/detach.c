// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy detach: ends policies.  When it returns, KVM asks them no more.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attached/attached.h"
#include "attached/ops.h"
#include "attached/pins.h"
#include "formats/table.h"
#include "gmem_kernel.h"
#include "gmem_sample.h"
#include "verbs/verbs.h"

static bool all, json;

static const struct gmem_option detach_options[] = {
	{ .name = "all", .short_name = 'a', .type = GMEM_OPT_FLAG,
	  .help = "every policy in force, whoever attached it",
	  .target = &all },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

/* Those that were detached, for the output. */
static struct done {
	const char *pin;
	uint32_t link_id;
} *done;

static int detach_entry(const struct entry *entry)
{
	int fd = -1, err = 0;

	if (entry->policy) {
		fd = bpf_link_get_fd_by_id(entry->link_id);
		/* -ENOENT: somebody else was faster. */
		if (fd < 0 && fd != -ENOENT) {
			gmem_err_bpf(fd, "cannot open link %u", entry->link_id);
			return fd;
		}
	}
	/*
	 * In this order, whatever happens in between: as soon as the pin is
	 * gone, the policy ends with this process.
	 */
	if (entry->pin)
		err = pins_remove(entry->pin);
	if (!err && fd >= 0) {
		/* Closing it would do, too, but at a time of its own. */
		err = ops_detach(fd);
		if (err == -EOPNOTSUPP)
			gmem_err("the kernel cannot detach link %u; end the program that holds it, see bpftool-link(8)",
				 entry->link_id);
		else if (err)
			gmem_err_bpf(err, "cannot detach link %u",
				     entry->link_id);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static struct value done_did(const void *row)
{
	return TEXT_VALUE("detached");
}

static struct value done_what(const void *row)
{
	static char text[32];
	const struct done *d = row;

	if (d->pin)
		return TEXT_VALUE(d->pin);
	snprintf(text, sizeof(text), "link %u", d->link_id);
	return TEXT_VALUE(text);
}

static struct value done_pin(const void *row)
{
	const struct done *d = row;

	return d->pin ? TEXT_VALUE(d->pin) : NO_VALUE;
}

static struct value done_link(const void *row)
{
	const struct done *d = row;

	return d->link_id ? UINT_VALUE(d->link_id) : NO_VALUE;
}

static const struct column done_columns[] = {
	{ "", "did", done_did },
	{ "", "what", done_what },
	{ NULL, "pin", done_pin },
	{ NULL, "link_id", done_link },
	{}
};

static bool is_wanted(const struct entry *entry, const char *what)
{
	/* No policy: what else lies there is not ours to remove. */
	if (entry->state == ENTRY_FOREIGN)
		return false;
	return entry_is(entry, all ? NULL : what);
}

static int detach_wanted(const struct attached *attached, const char *what)
{
	struct table table = {
		.key = "detached",
		.none = "no policy is attached",
		.columns = done_columns,
		.row_size = sizeof(*done),
		.is_bare = true,
	};
	int code = GMEM_EXIT_OK;
	size_t i, found = 0;

	done = calloc(attached->nr + 1, sizeof(*done));
	if (!done) {
		gmem_err("no memory for the list of policies; free some");
		return GMEM_EXIT_FAIL;
	}
	for (i = 0; i < attached->nr; i++) {
		const struct entry *entry = &attached->entries[i];

		if (!is_wanted(entry, what))
			continue;
		found++;
		if (detach_entry(entry)) {
			code = GMEM_EXIT_FAIL;
			continue;
		}
		done[table.nr_rows].pin = entry->pin;
		done[table.nr_rows++].link_id = entry->link_id;
	}
	if (!found && !all) {
		gmem_err("no attached policy has the name or link id '%s'; see gmempolicy list",
			 what);
		free(done);
		return GMEM_EXIT_FAIL;
	}
	table.rows = done;
	if ((code == GMEM_EXIT_OK || table.nr_rows) &&
	    tables_print(&table, 1, json))
		code = GMEM_EXIT_FAIL;
	free(done);
	return code;
}

static int run_detach(int argc, char **argv)
{
	struct gmem_sampler *sampler;
	struct attached *attached;
	int code = GMEM_EXIT_FAIL, lock;

	if (!argc && !all) {
		gmem_err("nothing to detach; give a NAME or ID that gmempolicy list shows, or --all");
		return GMEM_EXIT_USAGE;
	}
	if (argc > (all ? 0 : 1)) {
		gmem_err("detach takes one NAME or ID, or --all alone; leave '%s' out",
			 argv[all ? 0 : 1]);
		return GMEM_EXIT_USAGE;
	}
	if (gmem_check_privilege())
		return GMEM_EXIT_FAIL;
	sampler = gmem_sampler_open();
	if (!sampler)
		return GMEM_EXIT_FAIL;
	lock = pins_lock();
	attached = lock < 0 ? NULL : attached_read(sampler);
	if (attached) {
		code = detach_wanted(attached, argv[0]);
		/* Those that were not named. */
		if (code == GMEM_EXIT_OK && pins_remove_ended())
			code = GMEM_EXIT_FAIL;
	}
	attached_free(attached);
	if (lock >= 0)
		close(lock);
	gmem_sampler_close(sampler);
	return code;
}

const struct verb detach_verb = {
	.name = "detach",
	.synopsis = "detach (NAME | ID | --all) [--json]",
	.about = "end a policy and remove its pin",
	.options = detach_options,
	.run = run_detach,
};
