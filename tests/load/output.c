// SPDX-License-Identifier: GPL-2.0-only
/*
 * The output of gmemload: messages, JSON lines and the pid file.  It reads the
 * counters that guests write all the time, and makes sums and percentiles of
 * them.  Not here: when a line is due.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "output.h"

bool gl_failed;

static const char *json_path;
static const char *pidfile;
static int json_fd = STDOUT_FILENO;

/* Messages */

static void message(const char *fmt, va_list ap)
{
	char line[512];
	int i, len;

	len = snprintf(line, sizeof(line), "gmemload: ");
	len += vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len = min(len, (int)sizeof(line) - 2);
	/* Names and paths come from the user: keep the message one line. */
	for (i = 0; i < len; i++)
		if (!isprint((unsigned char)line[i]))
			line[i] = '?';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		gl_failed = true;
}

void gl_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	gl_failed = true;
}

void gl_usage_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(2);
}

void gl_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(1);
}

/* Files */

void gl_output_open(const char *json, const char *pids)
{
	json_path = json;
	pidfile = pids;
	if (strcmp(json_path, "-")) {
		json_fd = open(json_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (json_fd < 0)
			gl_fatal("cannot write to %s: %s: give --json a writable path", json_path,
				 strerror(errno));
	}
	if (pidfile && unlink(pidfile) && errno != ENOENT)
		gl_fatal("cannot replace pidfile %s: %s: give a writable path", pidfile,
			 strerror(errno));
}

/* JSON */

struct line {
	char buf[4096];
	size_t len;
};

__attribute__((format(printf, 2, 3)))
static void put(struct line *line, const char *fmt, ...)
{
	size_t room = sizeof(line->buf) - line->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line->buf + line->len, room, fmt, ap);
	va_end(ap);
	line->len += min((size_t)n, room - 1);
}

static void put_string(struct line *line, const char *s)
{
	put(line, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			put(line, "\\%c", *s);
		else
			put(line, "%c", isprint((unsigned char)*s) ? *s : ' ');
	}
	put(line, "\"");
}

static void put_errors(struct line *line, const char *key, const uint64_t *errors)
{
	const char *comma = "";
	unsigned int i;

	put(line, "\"%s\":{", key);
	for (i = 0; i < GL_NR_ERRNO; i++) {
		if (!errors[i])
			continue;
		if (strerrorname_np(i))
			put(line, "%s\"%s\":%lu", comma, strerrorname_np(i), errors[i]);
		else
			put(line, "%s\"%u\":%lu", comma, i, errors[i]);
		comma = ",";
	}
	put(line, "}");
}

static uint64_t percentile(const struct gl_counters *n, unsigned int percent)
{
	uint64_t seen = 0, want = (n->calls * percent + 99) / 100;
	unsigned int i;

	for (i = 0; i < GL_NR_HIST; i++) {
		seen += n->call_hist[i];
		if (seen && seen >= want)
			return gl_hist_limit(i);
	}
	return 0;
}

static void put_counters(struct line *line, const struct gl_counters *n,
			 uint64_t call_min, uint64_t call_max)
{
	uint64_t p99 = percentile(n, 99);

	if (call_min > call_max)
		call_min = call_max;
	put(line, "\"steps\":%lu,\"touched\":%lu,\"conversions\":%lu,", n->steps, n->touched,
	    n->conversions);
	put(line, "\"pages_to_private\":%lu,\"pages_to_shared\":%lu,", n->pages_to_private,
	    n->pages_to_shared);
	put(line, "\"refused\":%lu,\"faults_refused\":%lu,\"implicit\":%lu,\"held\":%lu,",
	    n->refused, n->faults_refused, n->implicit, n->held);
	put(line, "\"punched_pages\":%lu,\"discarded_pages\":%lu,", n->punched_pages,
	    n->discarded_pages);
	put(line, "\"call_ns\":{\"count\":%lu,\"min\":%lu,\"avg\":%lu,\"max\":%lu,\"p99\":%lu}",
	    n->calls, call_min, n->calls ? n->call_ns / n->calls : 0, call_max,
	    min(p99, call_max));
}

/*
 * One write for a line, so that lines of several writers never mix.
 *
 * Return: false if lines can't be written any more.
 */
static bool emit(struct line *line)
{
	size_t done = 0;
	ssize_t n;

	put(line, "\n");
	while (done < line->len && json_fd >= 0) {
		n = write(json_fd, line->buf + done, line->len - done);
		if (n >= 0) {
			done += n;
		} else if (errno != EINTR) {
			gl_warn("cannot write to %s: %s: give --json a file that can grow",
				strcmp(json_path, "-") ? json_path : "stdout", strerror(errno));
			json_fd = -1;
		}
	}
	return json_fd >= 0;
}

/* Reports */

/* Sum of all vCPUs, counter by counter. */
static void sum_counters(const struct guest *g, struct gl_counters *sum)
{
	uint64_t *to = (uint64_t *)sum;
	unsigned int v, i;

	memset(sum, 0, sizeof(*sum));
	for (v = 0; v < g->ctl->cfg.vcpus; v++) {
		const uint64_t *from = (const uint64_t *)&g->ctl->vcpu[v].n;

		for (i = 0; i < sizeof(*sum) / sizeof(*to); i++)
			to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	}
}

static void take_extremes(struct guest *g, uint64_t *call_min, uint64_t *call_max)
{
	unsigned int v;

	*call_min = UINT64_MAX;
	*call_max = 0;
	for (v = 0; v < g->ctl->cfg.vcpus; v++) {
		struct gl_vcpu *vcpu = &g->ctl->vcpu[v];

		*call_min = min(*call_min, __atomic_exchange_n(&vcpu->call_min, UINT64_MAX,
							       __ATOMIC_RELAXED));
		*call_max = max(*call_max, __atomic_exchange_n(&vcpu->call_max, 0ULL,
							       __ATOMIC_RELAXED));
	}
	g->call_min = min(g->call_min, *call_min);
	g->call_max = max(g->call_max, *call_max);
}

bool gl_report_interval(struct guest *g, uint64_t since_start, uint64_t dt)
{
	const struct gl_config *cfg = &g->ctl->cfg;
	struct gl_counters sum, diff;
	struct line line = { .len = 0 };
	uint64_t call_min, call_max;
	unsigned int i;

	sum_counters(g, &sum);
	take_extremes(g, &call_min, &call_max);
	for (i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
		((uint64_t *)&diff)[i] = ((uint64_t *)&sum)[i] - ((uint64_t *)&g->last)[i];
	g->last = sum;

	put(&line, "{\"t\":%.3f,\"dt\":%.3f,\"guest\":\"%s\",\"pid\":%d,\"pattern\":\"%s\",",
	    (double)since_start / GL_NSEC, (double)dt / GL_NSEC, cfg->name, g->shown_pid,
	    gl_patterns[cfg->pattern].name);
	put_counters(&line, &diff, call_min, call_max);
	put(&line, "}");
	return emit(&line);
}

void gl_report_summary(struct guest *g, uint64_t since_start)
{
	const struct gl_config *cfg = &g->ctl->cfg;
	struct gl_counters sum;
	struct line line = { .len = 0 };
	uint64_t call_min, call_max;

	sum_counters(g, &sum);
	take_extremes(g, &call_min, &call_max);

	put(&line, "{\"summary\":true,\"t\":%.3f,\"guest\":\"%s\",\"pid\":%d,\"pattern\":\"%s\",",
	    (double)since_start / GL_NSEC, cfg->name, g->shown_pid,
	    gl_patterns[cfg->pattern].name);
	put(&line, "\"mem\":%lu,\"range\":%lu,\"vcpus\":%u,\"rate\":%lu,",
	    cfg->mem, cfg->range, cfg->vcpus, cfg->rate);
	put(&line, "\"punch\":%s,\"in_place\":%s,\"plain\":%s,\"huge\":%s,",
	    cfg->punch ? "true" : "false", cfg->in_place ? "true" : "false",
	    cfg->plain ? "true" : "false", cfg->huge ? "true" : "false");
	put_counters(&line, &sum, g->call_min, g->call_max);
	put(&line, ",\"boot\":{\"pages\":%llu,\"ns\":%lu},\"host_visible\":%lu,\"errors\":{",
	    gl_starts_private(cfg) ? cfg->mem / GL_PAGE_SIZE : 0,
	    g->ctl->boot_ns, g->ctl->host_visible);
	put_errors(&line, "convert", sum.convert_errno);
	put(&line, ",");
	put_errors(&line, "fault", sum.fault_errno);
	put(&line, "},\"status\":\"%s\"", g->died ? "died" :
	    g->ctl->state == GL_FAILED ? "failed" : "ok");
	if (g->ctl->detail[0]) {
		put(&line, ",\"detail\":");
		put_string(&line, g->ctl->detail);
	}
	put(&line, "}");
	emit(&line);
}

/* Pid file */

/* Scripts wait for this file, so it appears whole or not at all. */
void gl_pidfile_write(const struct guest *guests, unsigned int nr)
{
	char tmp[PATH_MAX];
	unsigned int i;
	bool bad;
	FILE *f;

	if (!pidfile)
		return;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", pidfile) >= (int)sizeof(tmp)) {
		gl_warn("cannot write pidfile: its name is too long");
		return;
	}
	f = fopen(tmp, "we");
	if (!f) {
		gl_warn("cannot write pidfile %s: %s: give a writable path", tmp, strerror(errno));
		return;
	}
	for (i = 0; i < nr; i++)
		fprintf(f, "%s %d\n", guests[i].ctl->cfg.name, guests[i].shown_pid);
	bad = ferror(f);
	if (fclose(f) || bad || rename(tmp, pidfile)) {
		gl_warn("cannot write pidfile %s: %s: give a writable path", pidfile,
			strerror(errno));
		unlink(tmp);
	}
}

void gl_pidfile_remove(void)
{
	if (pidfile)
		unlink(pidfile);
}
