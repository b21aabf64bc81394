// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy detach: ends policies.  When it returns, KVM asks them no more.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "attached.h"
#include "gmem_sample.h"
#include "verbs.h"

static bool all;

const struct gmem_option detach_options[] = {
	{ .name = "all", .short_name = 'a', .type = GMEM_OPT_FLAG,
	  .help = "every policy in force, whoever attached it",
	  .target = &all },
	VERB_OPTIONS
};

static int detach_link(uint32_t id)
{
	int fd = bpf_link_get_fd_by_id(id), err;

	/* Somebody else was faster. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0) {
		gmem_err_bpf(fd, "cannot open link %u", id);
		return fd;
	}
	/* Removing the pin would end it, too, but at a time of its own. */
	err = bpf_link_detach(fd);
	close(fd);
	if (err)
		gmem_err_bpf(err, "cannot detach link %u", id);
	return err;
}

static int detach_entry(const struct entry *entry)
{
	int err = 0;

	if (entry->policy)
		err = detach_link(entry->link_id);
	/* In this order a failure leaves a pin that list shows as stale. */
	if (!err && entry->pin)
		err = pins_remove(entry->pin);
	if (err)
		return err;
	if (entry->pin)
		printf("detached %s\n", entry->pin);
	else
		printf("detached link %u\n", entry->link_id);
	return 0;
}

static bool is_wanted(const struct entry *entry, const char *what)
{
	uint64_t id;

	/* No policy: what else lies there is not ours to remove. */
	if (entry->state == ENTRY_FOREIGN)
		return false;
	if (all)
		return true;
	if (entry->pin && !strcmp(entry->pin, what))
		return true;
	return !gmem_parse_uint(what, &id) && id && id == entry->link_id;
}

static int detach_wanted(const struct attached *attached, const char *what)
{
	int code = GMEM_EXIT_OK;
	size_t i, found = 0;

	for (i = 0; i < attached->nr; i++) {
		if (!is_wanted(&attached->entries[i], what))
			continue;
		found++;
		if (detach_entry(&attached->entries[i]))
			code = GMEM_EXIT_FAIL;
	}
	if (!found && all)
		printf("no policy is attached\n");
	if (!found && !all) {
		gmem_err("no attached policy has the name or link id '%s'; see gmempolicy list",
			 what);
		return GMEM_EXIT_FAIL;
	}
	return gmem_flush(stdout) ? GMEM_EXIT_FAIL : code;
}

int run_detach(int argc, char **argv)
{
	struct gmem_sampler *sampler;
	struct attached *attached;
	int code = GMEM_EXIT_FAIL;

	if (!argc && !all) {
		gmem_err("nothing to detach; give a NAME or ID that gmempolicy list shows, or --all");
		return GMEM_EXIT_USAGE;
	}
	if (argc > (all ? 0 : 1)) {
		gmem_err("detach takes one NAME or ID, or --all alone; leave '%s' out",
			 argv[all ? 0 : 1]);
		return GMEM_EXIT_USAGE;
	}
	sampler = gmem_sampler_open();
	if (!sampler)
		return GMEM_EXIT_FAIL;
	attached = attached_read(sampler);
	if (attached)
		code = detach_wanted(attached, argv[0]);
	attached_free(attached);
	gmem_sampler_close(sampler);
	return code;
}
