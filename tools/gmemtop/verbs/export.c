// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop export: the metrics of this host, for Prometheus.  Opens all that
 * takes privileges, gives them up, and only then talks to anybody.
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "export/exposition.h"
#include "export/http.h"
#include "export/listen.h"
#include "export/textfile.h"
#include "export/user.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_confined.h"
#include "gmem_daemon.h"
#include "gmem_kernel.h"
#include "sampling/host.h"
#include "verbs/verbs.h"
#include "view/settings.h"

#define LISTEN_DEFAULT	"127.0.0.1:9753"
#define USER_DEFAULT	65534
#define VMS_DEFAULT	8192
/* Attached policies are few; a policy for each VM still fits. */
#define POLICIES_ROOM(vms)	((vms) < 64 ? 64 : (vms))

struct arguments {
	const char *listen;
	const char *textfile;
	const char *user;
	uint64_t interval_ns;
	uint64_t vms;
	bool interval_seen;
	bool debug;
	bool help;
	sigset_t signals;
};

static int parse(struct arguments *args, int argc, char **argv)
{
	const struct gmem_option options[] = {
		{ .name = "listen", .type = GMEM_OPT_STRING, .arg = "ADDR:PORT",
		  .help = "serve over HTTP (" LISTEN_DEFAULT ")",
		  .target = &args->listen },
		{ .name = "textfile", .type = GMEM_OPT_STRING, .arg = "DIR",
		  .help = "write DIR/gmem.prom for node_exporter instead",
		  .target = &args->textfile },
		{ .name = "delay", .short_name = 'd', .type = GMEM_OPT_SECONDS,
		  .arg = "SECS",
		  .help = "write the file each SECS seconds, " INTERVAL_RANGE,
		  .target = &args->interval_ns, .seen = &args->interval_seen,
		  .min = INTERVAL_MIN_NS, .max = INTERVAL_MAX_NS },
		{ .name = "user", .type = GMEM_OPT_STRING, .arg = "NAME",
		  .help = "run as NAME (nobody; with --textfile DIR's owner)",
		  .target = &args->user },
		{ .name = "max-vms", .type = GMEM_OPT_UINT, .arg = "N",
		  .help = "have room for N VMs (8192)",
		  .target = &args->vms, .min = 1, .max = GMEM_VMS_MAX },
		{ .name = "debug", .type = GMEM_OPT_FLAG,
		  .help = "show libbpf's messages",
		  .target = &args->debug },
		GMEM_OPTION_HELP(&args->help),
		{ .type = GMEM_OPT_END },
	};
	int words = gmem_parse_options(options, argc - 1, argv + 1);

	if (words < 0)
		return -1;
	if (args->help) {
		gmem_usage(stdout, "export [OPTIONS]",
			   "Exports the private memory of all KVM guests to Prometheus.",
			   options);
		return 0;
	}
	if (words > 0) {
		gmem_err("unexpected argument '%s'; see gmemtop export --help",
			 argv[1]);
		return -1;
	}
	if (args->listen && args->textfile) {
		gmem_err("--listen and --textfile exclude each other; give one");
		return -1;
	}
	if (args->interval_seen && !args->textfile) {
		gmem_err("--delay is for --textfile; over HTTP each scrape takes a sample");
		return -1;
	}
	return 0;
}

/* Blocked, they wait until somebody asks for them, and interrupt nothing. */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGHUP);
	sigprocmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Until it is time, or there is a reason to end. */
static bool wait_until(struct export_dir *dir, uint64_t next,
		       const sigset_t *signals)
{
	int sig;

	while ((sig = gmem_clock_wait(next, signals))) {
		if (sig != SIGHUP || gmem_hangup_ends())
			return false;
		gmem_notify_reloading();
		if (export_dir_reopen(dir))
			gmem_err("SIGHUP cannot be followed; the directory that is open stays in use");
		gmem_notify("READY=1");
	}
	return true;
}

/* Once, or until a signal; a write that fails is tried again the next time. */
static int write_files(struct exporter *exporter, struct export_dir *dir,
		       const struct export_user *user,
		       const struct arguments *args)
{
	uint64_t next = gmem_now_ns();
	bool told = false;
	int err;

	if (!args->interval_seen)
		exporter->source->look_max_ns = LOOK_ONCE_NS;
	do {
		err = exporter_sample(exporter, EXPORT_TEXT);
		if (!err)
			err = export_dir_write(dir, exporter->text.data,
					       exporter->text.len, user);
		if (!args->interval_seen)
			return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
		if (!err && !told)
			gmem_notify("READY=1");
		told |= !err;
		next = gmem_clock_next(next, args->interval_ns);
	} while (wait_until(dir, next, &args->signals));
	gmem_notify("STOPPING=1");
	return GMEM_EXIT_OK;
}

/* Metrics without names look like guests that have none. */
static void say_what_is_hidden(void)
{
	char why[GMEM_CONFINED_LEN];

	if (gmem_proc_hides(why, sizeof(why)))
		gmem_err("names of other users' guests are not exported: %s, see --user",
			 why);
}

static int run(struct exporter *exporter, const struct arguments *args)
{
	struct export_user user;
	struct export_dir dir;
	uid_t owner = USER_DEFAULT;
	int fd = -1;

	if (args->textfile) {
		if (export_dir_open(&dir, args->textfile, &owner))
			return GMEM_EXIT_FAIL;
	} else {
		fd = export_listen(args->listen ? args->listen :
						  LISTEN_DEFAULT);
		if (fd < 0)
			return -fd;
	}
	if (export_user_find(&user, args->user, owner))
		return GMEM_EXIT_FAIL;
	exporter->source = host_open();
	if (!exporter->source)
		return GMEM_EXIT_FAIL;
	/* Counters that begin at 0 in each file would be of no use. */
	if (!args->textfile || args->interval_seen)
		host_count(exporter->source);
	if (host_fix(exporter->source, args->vms, POLICIES_ROOM(args->vms)) ||
	    export_user_become(&user))
		return GMEM_EXIT_FAIL;
	say_what_is_hidden();
	if (args->textfile)
		return write_files(exporter, &dir, &user, args);
	return export_serve(exporter, fd, &user);
}

int export_main(int argc, char **argv)
{
	struct arguments args = { .vms = VMS_DEFAULT };
	struct exporter exporter = {};
	int status;

	if (parse(&args, argc, argv))
		return GMEM_EXIT_USAGE;
	if (args.help)
		return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	gmem_libbpf_quiet(args.debug);
	block_signals(&args.signals);
	status = run(&exporter, &args);
	exporter_free(&exporter);
	host_close(exporter.source);
	return status;
}
