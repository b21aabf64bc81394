// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemtop record: samples this host into a file, and starts a new one when it
 * has grown too large or too old.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_daemon.h"
#include "gmem_kernel.h"
#include "recording/store_read.h"
#include "recording/store_write.h"
#include "sampling/host.h"
#include "sampling/privilege.h"
#include "verbs/verbs.h"
#include "view/settings.h"

#define KEEP_MAX	1000

struct recorder {
	const char *path;
	uint64_t interval_ns;
	uint64_t frames;
	uint64_t max_size;
	uint64_t max_age_ns;
	uint64_t keep;
	bool debug;
	bool help;
	struct store_writer *writer;
	uint64_t began_ns;
	sigset_t signals;
};

/* A number with K, M or G behind it. */
static int parse_size(const char *name, const char *value, void *target)
{
	static const char units[] = "KMG";
	size_t len = strlen(value);
	const char *unit = len ? strchr(units, value[len - 1]) : NULL;
	char digits[32];
	uint64_t size;

	if (unit && *unit)
		len--;
	if (len < sizeof(digits)) {
		memcpy(digits, value, len);
		digits[len] = '\0';
		if (!gmem_parse_uint(digits, &size) && size &&
		    size <= UINT64_MAX >> 30) {
			if (unit && *unit)
				size <<= 10 * (unit - units + 1);
			*(uint64_t *)target = size;
			return 0;
		}
	}
	gmem_err("%s takes bytes from 1, with K, M or G behind them or not; not '%s'",
		 name, value);
	return -1;
}

static int parse(struct recorder *recorder, int argc, char **argv)
{
	const struct gmem_option options[] = {
		{ .name = "delay", .short_name = 'd', .type = GMEM_OPT_SECONDS,
		  .arg = "SECS",
		  .help = "seconds between frames, " INTERVAL_RANGE " (1)",
		  .target = &recorder->interval_ns,
		  .min = INTERVAL_MIN_NS, .max = INTERVAL_MAX_NS },
		{ .name = "frames", .short_name = 'n', .type = GMEM_OPT_UINT,
		  .arg = "N", .help = "end after N frames",
		  .target = &recorder->frames, .min = 1, .max = FRAMES_MAX },
		{ .name = "max-size", .type = GMEM_OPT_CUSTOM, .arg = "SIZE",
		  .help = "start a new file at this size (64M)",
		  .target = &recorder->max_size, .parse = parse_size },
		{ .name = "max-age", .type = GMEM_OPT_SECONDS, .arg = "SECS",
		  .help = "start a new file after this time (86400)",
		  .target = &recorder->max_age_ns,
		  .min = NSEC_PER_SEC, .max = 31536000 * NSEC_PER_SEC },
		{ .name = "keep", .type = GMEM_OPT_UINT, .arg = "N",
		  .help = "old files to keep, FILE.1 is the newest (7)",
		  .target = &recorder->keep, .min = 1, .max = KEEP_MAX },
		{ .name = "debug", .type = GMEM_OPT_FLAG,
		  .help = "show libbpf's messages",
		  .target = &recorder->debug },
		GMEM_OPTION_HELP(&recorder->help),
		{ .type = GMEM_OPT_END },
	};
	int words = gmem_parse_options(options, argc - 1, argv + 1);

	if (words < 0)
		return -1;
	if (recorder->help) {
		gmem_usage(stdout, "record FILE [OPTIONS]",
			   "Records all VMs into FILE until SIGINT or SIGTERM comes.",
			   options);
		return 0;
	}
	if (words != 1) {
		gmem_err("record takes one file; see gmemtop record --help");
		return -1;
	}
	recorder->path = argv[1];
	if (strlen(recorder->path) > PATH_MAX - 8) {
		gmem_err("the path of the file is too long");
		return -1;
	}
	return 0;
}

/* FILE, FILE.1 and so on. */
static void name_file(const struct recorder *recorder, uint64_t i, char *dst)
{
	if (i)
		snprintf(dst, PATH_MAX, "%s.%ju", recorder->path, (uintmax_t)i);
	else
		snprintf(dst, PATH_MAX, "%s", recorder->path);
}

/* What is not a recording belongs to somebody, whatever it is called. */
static int check_files(const struct recorder *recorder)
{
	char path[PATH_MAX];
	uint64_t i;

	if (store_in_use(recorder->path)) {
		gmem_err("another gmemtop records into %s; name another file",
			 recorder->path);
		return -EBUSY;
	}
	for (i = 0; i <= recorder->keep; i++) {
		name_file(recorder, i, path);
		if (store_look(path) != STORE_FOREIGN)
			continue;
		gmem_err("%s exists and is not a recording; name another file%s",
			 path, i ? ", or move it away" : "");
		return -EEXIST;
	}
	return 0;
}

/* FILE.1 becomes FILE.2 and so on, FILE becomes FILE.1. */
static int rotate(const struct recorder *recorder)
{
	char from[PATH_MAX], to[PATH_MAX];
	uint64_t i;

	for (i = recorder->keep; i; i--) {
		name_file(recorder, i, to);
		name_file(recorder, i - 1, from);
		if (rename(from, to) && errno != ENOENT) {
			gmem_err("cannot rename %s to %s: %s", from, to,
				 strerror(errno));
			return -errno;
		}
	}
	return 0;
}

static int begin_file(struct recorder *recorder)
{
	/* At the start, too, not only when the first file is full. */
	if (check_files(recorder))
		return -EEXIST;
	switch (store_look(recorder->path)) {
	/* Of logrotate's making, perhaps, whose owner and mode it has. */
	case STORE_EMPTY:
	case STORE_MISSING:
		break;
	default:
		if (rotate(recorder))
			return -EIO;
	}
	recorder->writer = store_create(recorder->path);
	recorder->began_ns = gmem_now_ns();
	return recorder->writer ? 0 : -EIO;
}

static int end_file(struct recorder *recorder)
{
	int err = store_finish(recorder->writer);

	recorder->writer = NULL;
	return err;
}

/* Asked to by SIGHUP: as logrotate has it, the file was moved before. */
static void open_again(struct recorder *recorder)
{
	struct store_writer *old = recorder->writer;

	if (!old || store_state(old) == STORE_HELD)
		return;
	recorder->writer = NULL;
	if (begin_file(recorder)) {
		gmem_err("SIGHUP cannot be followed; the recording goes on in the file that is open");
		recorder->writer = old;
		return;
	}
	store_finish(old);
}

/* What others do to the file must not cost more than they take from it. */
static int look_after_file(struct recorder *recorder)
{
	switch (store_state(recorder->writer)) {
	case STORE_HELD:
	/* Until SIGHUP comes it goes on there, as loggers do. */
	case STORE_MOVED:
		return 0;
	case STORE_CUT:
		store_restart(recorder->writer);
		return 0;
	case STORE_REMOVED:
		gmem_err("%s was removed; it is begun anew", recorder->path);
		break;
	case STORE_TOUCHED:
		gmem_err("%s was changed by somebody else; it is left as it is, and another is begun",
			 recorder->path);
		break;
	}
	store_leave(recorder->writer);
	return end_file(recorder);
}

static int write_frame(struct recorder *recorder, struct source *source,
		       struct frame *frame, struct facts *facts)
{
	int err = source->read(source, frame, facts);

	source_tell(source);
	if (!err && recorder->writer)
		err = look_after_file(recorder);
	if (!err && recorder->writer &&
	    (store_size(recorder->writer) >= recorder->max_size ||
	     gmem_now_ns() - recorder->began_ns >= recorder->max_age_ns))
		err = end_file(recorder);
	if (!err && !recorder->writer)
		err = begin_file(recorder);
	if (!err)
		err = store_write(recorder->writer, frame, facts);
	/* Once more, into the file that is empty now. */
	return err == -ESTALE ? store_write(recorder->writer, frame, facts) :
				err;
}

/* Until it is time, or there is a reason to end. */
static bool wait_until(struct recorder *recorder, uint64_t next)
{
	int sig;

	while ((sig = gmem_clock_wait(next, &recorder->signals))) {
		if (sig != SIGHUP || gmem_hangup_ends())
			return false;
		gmem_notify_reloading();
		open_again(recorder);
		gmem_notify("READY=1");
	}
	return true;
}

static int record(struct recorder *recorder, struct source *source)
{
	uint64_t next = gmem_now_ns(), written = 0;
	struct frame frame = {};
	struct facts facts = {};
	int err;

	/* Nobody can look for it afterwards. */
	source->twice_of = GMEM_TWICE_OF_ALL;
	for (;;) {
		err = write_frame(recorder, source, &frame, &facts);
		if (!err && !written)
			gmem_notify("READY=1");
		if (err || ++written == recorder->frames)
			break;
		next = gmem_clock_next(next, recorder->interval_ns);
		if (!wait_until(recorder, next))
			break;
	}
	gmem_notify("STOPPING=1");
	/* A disk that is full has been told of already. */
	if (err)
		end_file(recorder);
	else
		err = end_file(recorder);
	frame_free(&frame);
	facts_free(&facts);
	return err ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

/* Blocked, they wait until somebody asks for them, and interrupt nothing. */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGHUP);
	sigprocmask(SIG_BLOCK, signals, NULL);
	/* A limit of the file's size is a full disk. */
	signal(SIGXFSZ, SIG_IGN);
}

int record_main(int argc, char **argv)
{
	struct recorder recorder = {
		.interval_ns = NSEC_PER_SEC,
		.max_size = 64 << 20,
		.max_age_ns = 86400 * NSEC_PER_SEC,
		.keep = 7,
	};
	struct source *source;
	int status = GMEM_EXIT_FAIL;

	if (parse(&recorder, argc, argv))
		return GMEM_EXIT_USAGE;
	if (recorder.help)
		return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
	gmem_libbpf_quiet(recorder.debug);
	block_signals(&recorder.signals);
	source = host_open();
	if (!source)
		return GMEM_EXIT_FAIL;
	host_count(source);
	/* The file is its user's own, so it is made without any capability. */
	if (!privilege_drop() && !begin_file(&recorder))
		status = record(&recorder, source);
	host_close(source);
	return status;
}
