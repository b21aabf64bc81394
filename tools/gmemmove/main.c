// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemmove: moves private memory of KVM guests, which run on meanwhile, to a NUMA
 * node.  Reads the command line, finds the VMs, and moves them one after the other.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "gmem_common.h"
#include "gmem_daemon.h"
#include "gmem_kernel.h"
#include "gmem_sample.h"
#include "gmem_scope.h"
#include "move.h"
#include "report.h"

static struct {
	uint64_t node, pid;
	bool has_node, has_pid, all, json, quiet, debug, help, version;
} args;

static const struct gmem_option options[] = {
	{ .name = "to", .type = GMEM_OPT_UINT, .arg = "NODE",
	  .help = "NUMA node that the memory is to be on",
	  .target = &args.node, .seen = &args.has_node, .max = INT32_MAX },
	{ .name = "pid", .type = GMEM_OPT_UINT, .arg = "PID",
	  .help = "the one VM of this process", .target = &args.pid,
	  .seen = &args.has_pid, .min = 1, .max = INT32_MAX },
	{ .name = "all", .short_name = 'a', .type = GMEM_OPT_FLAG,
	  .help = "every VM there is", .target = &args.all },
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &args.json },
	{ .name = "quiet", .short_name = 'q', .type = GMEM_OPT_FLAG,
	  .help = "print nothing but errors", .target = &args.quiet },
	{ .name = "debug", .type = GMEM_OPT_FLAG,
	  .help = "show libbpf's messages", .target = &args.debug },
	GMEM_OPTION_HELP(&args.help),
	GMEM_OPTION_VERSION(&args.version),
	{ .type = GMEM_OPT_END },
};

static int check(int nr_words, char **words)
{
	if (!args.has_node) {
		gmem_err("no node given; say where to with --to NODE");
		return -1;
	}
	if (args.all && (nr_words || args.has_pid)) {
		gmem_err("--all is every VM; leave %s out",
			 nr_words ? words[0] : "--pid");
		return -1;
	}
	if (!args.all && !nr_words && !args.has_pid) {
		gmem_err("no VM given; name some by their ids or names, or give --pid or --all");
		return -1;
	}
	if (args.json && args.quiet) {
		gmem_err("--json and --quiet exclude each other; give one");
		return -1;
	}
	return 0;
}

/* Marks the VMs of a scope. */
static int choose(const struct scope *scope, const struct vms *vms, bool *chosen)
{
	size_t nr, i;
	uint64_t *ids;
	int err;

	err = scope_resolve(scope, vms, &ids, &nr);
	if (err)
		return err;
	for (i = 0; i < nr; i++)
		chosen[vms_find(vms, ids[i]) - vms->vms] = true;
	free(ids);
	return 0;
}

/* Digits are an id, all else is a name. */
static int choose_all(const struct vms *vms, int nr_words, char **words,
		      bool *chosen)
{
	const struct scope of_pid = { .type = SCOPE_PID, .number = args.pid };
	int err = 0, i;
	size_t v;

	for (v = 0; args.all && v < vms->nr; v++)
		chosen[v] = true;
	if (args.has_pid)
		err = choose(&of_pid, vms, chosen);
	for (i = 0; i < nr_words && !err; i++) {
		struct scope scope = { .type = SCOPE_VM, .text = words[i] };

		if (gmem_parse_uint(words[i], &scope.number))
			scope.type = SCOPE_NAME;
		err = choose(&scope, vms, chosen);
	}
	return err;
}

/* What is under way takes a moment: it is done, and said. */
static void on_signal(int sig)
{
	mover_stop();
}

static int move_chosen(const struct vms *vms, const bool *chosen,
		       struct report *report)
{
	struct mover *mover = mover_open(report->node);
	int code = mover ? GMEM_EXIT_OK : GMEM_EXIT_FAIL;
	struct moved moved = {};
	size_t i, left = 0;

	gmem_on_end(on_signal);
	for (i = 0; mover && i < vms->nr; i++) {
		if (!chosen[i])
			continue;
		if (moved.end == MOVE_STOPPED) {
			left++;
			continue;
		}
		report_begin(report, &vms->vms[i]);
		if (mover_run(mover, vms->vms[i].id, &moved, report_progress,
			      report) || report_vm(report, &moved)) {
			code = GMEM_EXIT_FAIL;
			break;
		}
		if (moved_stayed(&moved) || moved.end == MOVE_STOPPED)
			code = GMEM_EXIT_FAIL;
	}
	mover_close(mover);
	if (left)
		gmem_err("stopped before %zu other VMs; run it again for those",
			 left);
	return mover && report_end(report) ? GMEM_EXIT_FAIL : code;
}

static int move_vms(int nr_words, char **words)
{
	struct report report = { .node = args.node, .quiet = args.quiet };
	struct gmem_sampler *sampler = gmem_sampler_open();
	int code = GMEM_EXIT_FAIL;
	struct vms vms = {};
	bool *chosen = NULL;

	if (!sampler || vms_read(&vms, sampler))
		goto out;
	chosen = calloc(vms.nr + 1, sizeof(*chosen));
	if (args.json)
		report.json = json_object_new_array();
	if (!chosen || (args.json && !report.json)) {
		gmem_err("no memory for the list of VMs; free some");
		goto out;
	}
	if (!choose_all(&vms, nr_words, words, chosen))
		code = move_chosen(&vms, chosen, &report);
out:
	json_object_put(report.json);
	free(chosen);
	vms_free(&vms);
	gmem_sampler_close(sampler);
	return code;
}

int main(int argc, char **argv)
{
	int nr_words;

	gmem_start();
	gmem_text_start();
	nr_words = gmem_parse_options(options, argc - 1, argv + 1);
	if (nr_words < 0)
		return GMEM_EXIT_USAGE;
	if (args.help || args.version) {
		if (args.help)
			gmem_usage(stdout, "--to NODE (VM... | --pid PID | --all) [OPTION]...",
				   "Moves private memory of KVM guests to a NUMA node; a VM is an id or a name.",
				   options);
		else
			gmem_print_version();
		return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	}
	if (check(nr_words, argv + 1))
		return GMEM_EXIT_USAGE;
	gmem_libbpf_quiet(args.debug);
	return move_vms(nr_words, argv + 1);
}
