// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemload: starts guests with private memory and reports what they do, one
 * JSON line a guest and interval.  This file is the driver: command line,
 * processes, reports.  Each guest runs in a process of its own (vmm.c), so
 * that it has a pid and a name, and dies alone.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "gmemload.h"

#define NSEC		1000000000ULL
#define START_TIMEOUT	(120 * NSEC)
#define STOP_TIMEOUT	(20 * NSEC)

#define DEFAULT_MEM	(16ULL << 20)
/* Asks for the pattern's default; 0 stands for no limit. */
#define RATE_DEFAULT	UINT64_MAX

#define GUEST_PROCESS	"--guest-process"

struct guest {
	struct gl_guest *ctl;
	pid_t pid;		/* 0 once it is reaped */
	pid_t shown_pid;
	bool died;
	struct gl_counters last;
	uint64_t call_min;
	uint64_t call_max;
};

static struct gl_config defaults = {
	.mem = DEFAULT_MEM,
	.vcpus = 1,
	.rate = RATE_DEFAULT,
};

static const char *specs[GL_MAX_GUESTS];
static unsigned int nr_specs;
static uint64_t count_arg = 1;
static uint64_t duration;
static uint64_t interval = NSEC;
static const char *json_path = "-";
static const char *pidfile;

static struct guest *guests;
static unsigned int nr_guests;
static int shm_fd;
static int json_fd = STDOUT_FILENO;
static bool failed;
static bool interrupted;

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
		failed = true;
}

__attribute__((format(printf, 1, 2)))
static void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	failed = true;
}

__attribute__((format(printf, 1, 2), noreturn))
static void usage_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(2);
}

__attribute__((format(printf, 1, 2), noreturn))
static void fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

/* Values of options */

static uint64_t parse_number(const char *what, const char *arg, uint64_t min,
			     uint64_t max, const char **end)
{
	char *stop;
	uint64_t n;

	errno = 0;
	n = strtoull(arg, &stop, 10);
	if (!isdigit((unsigned char)arg[0]) || errno || n < min || n > max ||
	    (!end && *stop))
		usage_error("bad %s '%s': give a number from %llu to %llu", what, arg,
			    (unsigned long long)min, (unsigned long long)max);
	if (end)
		*end = stop;
	return n;
}

static uint64_t parse_size(const char *what, const char *arg)
{
	static const char units[] = "KMG";
	const char *unit, *end;
	unsigned int shift = 0;
	uint64_t n;

	n = parse_number(what, arg, 1, GL_MAX_MEM, &end);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			usage_error("bad %s '%s': give a size like 64K, 16M or 1G", what, arg);
		shift = 10 * (unit - units + 1);
	}
	if (n > GL_MAX_MEM >> shift)
		usage_error("bad %s '%s': the most is 64G", what, arg);
	n <<= shift;
	if (n % GL_PAGE_SIZE)
		usage_error("bad %s '%s': give a multiple of 4K", what, arg);
	return n;
}

static uint64_t parse_seconds(const char *what, const char *arg, double min)
{
	double seconds;
	char *end;

	errno = 0;
	seconds = strtod(arg, &end);
	if (!isdigit((unsigned char)arg[0]) || errno || *end || !(seconds >= min) ||
	    seconds > 1e8)
		usage_error("bad %s '%s': give seconds, at least %g", what, arg, min);
	return seconds * NSEC;
}

static void set_name(struct gl_config *cfg, const char *arg)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = strlen(arg);

	if (!len || len >= sizeof(cfg->name) || strspn(arg, allowed) != len)
		usage_error("bad name '%s': give 1 to %zu of A-Z a-z 0-9 _ . -", arg,
			    sizeof(cfg->name) - 1);
	memcpy(cfg->name, arg, len + 1);
}

static void set_mem(struct gl_config *cfg, const char *arg)
{
	cfg->mem = parse_size("mem", arg);
}

static void set_range(struct gl_config *cfg, const char *arg)
{
	cfg->range = parse_size("range", arg);
}

static void set_vcpus(struct gl_config *cfg, const char *arg)
{
	cfg->vcpus = parse_number("vcpus", arg, 1, GL_MAX_VCPUS, NULL);
}

static void set_rate(struct gl_config *cfg, const char *arg)
{
	const char *end;

	if (!strcmp(arg, "max")) {
		cfg->rate = 0;
		return;
	}
	cfg->rate = parse_number("rate", arg, 1, 1000000, &end);
	if (*end && strcmp(end, "/s"))
		usage_error("bad rate '%s': give steps a second like 100 or 100/s, or max", arg);
}

static void set_punch(struct gl_config *cfg, const char *arg)
{
	cfg->punch = 1;
}

static void set_iterations(struct gl_config *cfg, const char *arg)
{
	cfg->iterations = parse_number("iterations", arg, 1, UINT64_MAX, NULL);
}

static void set_corrupt(struct gl_config *cfg, const char *arg)
{
	cfg->corrupt = parse_number("corrupt", arg, 1, UINT64_MAX, NULL);
}

/*
 * What can be said of a guest: as key=value in --guest, and as an option of
 * its own for every guest that doesn't say otherwise.
 */
static const struct guest_row {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
	void (*set)(struct gl_config *cfg, const char *arg);
} guest_rows[] = {
	{ "name", 0, "NAME", "name of the guest and its process (default PATTERN-N)", set_name },
	{ "mem", 'm', "SIZE", "private memory (default 16M)", set_mem },
	{ "range", 0, "SIZE", "what a step works on (default: see the pattern)", set_range },
	{ "vcpus", 0, "N", "vCPUs; each gets its part of the memory (default 1)", set_vcpus },
	{ "rate", 0, "N[/s]|max", "steps a second of a vCPU (default: see the pattern)", set_rate },
	{ "iterations", 0, "N", "end after N steps of each vCPU", set_iterations },
	{ "punch", 0, NULL, "a conversion also gives back the side that lost the page", set_punch },
	{ "corrupt", 0, "N", "spoil a word after N steps, to prove that the check finds it",
	  set_corrupt },
};

static void show_help(const char *arg);
static void show_list(const char *arg);

static void opt_guest(const char *arg)
{
	if (nr_specs == GL_MAX_GUESTS)
		usage_error("too many guests: the most is %u", GL_MAX_GUESTS);
	specs[nr_specs++] = arg;
}

static void opt_count(const char *arg)
{
	count_arg = parse_number("count", arg, 1, GL_MAX_GUESTS, NULL);
}

static void opt_duration(const char *arg)
{
	duration = parse_seconds("duration", arg, 0);
}

static void opt_interval(const char *arg)
{
	interval = parse_seconds("interval", arg, 0.05);
}

static void opt_json(const char *arg)
{
	json_path = arg;
}

static void opt_pidfile(const char *arg)
{
	pidfile = arg;
}

static const struct run_row {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
	void (*set)(const char *arg);
} run_rows[] = {
	{ "guest", 'g', "PATTERN[,KEY=VALUE]...", "start this guest; may be given again",
	  opt_guest },
	{ "count", 'n', "N", "start N guests of PATTERN (default 1)", opt_count },
	{ "duration", 'd', "SECS", "end after SECS; 0: when a signal comes (default 0)",
	  opt_duration },
	{ "interval", 'i', "SECS", "time between two lines of a guest (default 1)", opt_interval },
	{ "json", 0, "FILE|-", "write the lines to FILE (default -: stdout)", opt_json },
	{ "pidfile", 0, "FILE", "while all guests run, FILE has a line NAME PID for each",
	  opt_pidfile },
	{ "list", 0, NULL, "list the patterns and end", show_list },
	{ "help", 'h', NULL, "show this help and end", show_help },
};

static void show_row(const char *name, char letter, const char *arg, const char *help)
{
	char left[64], text[8] = "    ";

	if (letter)
		snprintf(text, sizeof(text), "-%c, ", letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", text, name, arg ? " " : "", arg ? arg : "");
	printf("  %-34s %s\n", left, help);
}

static void end_after_output(void)
{
	if (fflush(stdout) || ferror(stdout))
		fatal("cannot write to stdout: %s", strerror(errno));
	exit(0);
}

static void print_patterns(void)
{
	unsigned int i;

	for (i = 0; i < gl_nr_patterns; i++) {
		const struct gl_pattern *p = &gl_patterns[i];
		char range[32] = "all memory", rate[32] = "max";

		if (p->range)
			snprintf(range, sizeof(range), "%lluK",
				 (unsigned long long)p->range / 1024);
		if (p->rate)
			snprintf(rate, sizeof(rate), "%llu/s", (unsigned long long)p->rate);
		printf("  %-10s %s", p->name, p->help);
		if (p->idle)
			printf("\n");
		else
			printf(" (range %s, rate %s)\n", range, rate);
	}
}

static void show_list(const char *arg)
{
	print_patterns();
	end_after_output();
}

static void show_help(const char *arg)
{
	unsigned int i;

	printf("Usage: gmemload PATTERN [OPTION]...\n"
	       "       gmemload --guest PATTERN[,KEY=VALUE]... [OPTION]...\n"
	       "Start guests with private memory; report what they do as JSON lines.\n\n"
	       "Patterns, with their defaults:\n");
	print_patterns();
	printf("\nOptions:\n");
	for (i = 0; i < ARRAY_SIZE(run_rows); i++)
		show_row(run_rows[i].name, run_rows[i].letter, run_rows[i].arg,
			 run_rows[i].help);
	printf("\nOf a guest; in --guest, or here for all guests:\n");
	for (i = 0; i < ARRAY_SIZE(guest_rows); i++)
		show_row(guest_rows[i].name, guest_rows[i].letter, guest_rows[i].arg,
			 guest_rows[i].help);
	printf("\nAll memory of a guest is private when it starts; the lines don't count that.\n"
	       "Exit status: 0 ok, 1 a guest failed or could not start, 2 usage.\n");
	end_after_output();
}

/* Command line */

static unsigned int find_pattern(const char *name)
{
	unsigned int i;

	for (i = 0; i < gl_nr_patterns; i++)
		if (!strcmp(gl_patterns[i].name, name))
			return i;
	usage_error("unknown pattern '%s': see gmemload --list", name);
}

static void set_key(struct gl_config *cfg, char *key, const char *spec)
{
	char *value = strchr(key, '=');
	unsigned int i;

	if (value)
		*value++ = '\0';
	for (i = 0; i < ARRAY_SIZE(guest_rows); i++) {
		if (strcmp(guest_rows[i].name, key))
			continue;
		if (!guest_rows[i].arg != !value)
			usage_error("'%s' in --guest %s takes %s", key, spec,
				    value ? "no value" : "a value: write KEY=VALUE");
		guest_rows[i].set(cfg, value);
		return;
	}
	usage_error("unknown key '%s' in --guest %s: see gmemload --help", key, spec);
}

/* Fill in what the pattern decides, and refuse what can't work. */
static void finish_config(struct gl_config *cfg)
{
	const struct gl_pattern *p = &gl_patterns[cfg->pattern];
	bool pairs = !strcmp(p->name, "fragment") || !strcmp(p->name, "boot");
	uint64_t part;

	if (cfg->mem % (cfg->vcpus * GL_PAGE_SIZE))
		usage_error("guest %s: %u vcpus cannot share %lluK evenly: give mem as a multiple of %lluK",
			    cfg->name, cfg->vcpus, (unsigned long long)cfg->mem >> 10,
			    cfg->vcpus * GL_PAGE_SIZE >> 10);
	part = cfg->mem / cfg->vcpus;

	if (!cfg->range)
		cfg->range = p->range && p->range < part ? p->range : part;
	if (cfg->range > part || (pairs && 2 * cfg->range > part))
		usage_error("guest %s: the range is larger than %s: give a smaller range or more mem",
			    cfg->name, pairs ? "half the memory of a vcpu" : "the memory of a vcpu");
	if (cfg->rate == RATE_DEFAULT)
		cfg->rate = p->rate;
	if (p->idle) {
		if (cfg->corrupt)
			usage_error("guest %s: corrupt needs a pattern that checks its memory",
				    cfg->name);
		cfg->rate = 0;
		cfg->iterations = 0;
	}
}

/* Names must tell guests apart: they are all that a report knows them by. */
static void add_guest(struct gl_config *configs, const struct gl_config *cfg)
{
	struct gl_config *new = &configs[nr_guests];
	const char *pattern = gl_patterns[cfg->pattern].name;
	unsigned int i, same = 1;

	*new = *cfg;
	for (i = 0; i < nr_guests; i++)
		same += configs[i].pattern == cfg->pattern;
	if (!new->name[0])
		snprintf(new->name, sizeof(new->name), "%s-%u", pattern, same);
	for (i = 0; i < nr_guests; i++)
		if (!strcmp(configs[i].name, new->name))
			usage_error("two guests are named '%s': give each its own name",
				    new->name);
	finish_config(new);
	nr_guests++;
}

static void add_spec(struct gl_config *configs, const char *spec)
{
	struct gl_config cfg = defaults;
	char *copy = strdup(spec);
	char *rest = copy;
	char *word;

	if (!copy)
		fatal("out of memory");
	word = strsep(&rest, ",");
	cfg.pattern = find_pattern(word);
	while ((word = strsep(&rest, ",")))
		set_key(&cfg, word, spec);
	add_guest(configs, &cfg);
	free(copy);
}

static void add_count(struct gl_config *configs, const char *pattern)
{
	struct gl_config cfg = defaults;
	unsigned int i;

	cfg.pattern = find_pattern(pattern);
	for (i = 1; i <= count_arg; i++) {
		if (defaults.name[0] && count_arg > 1) {
			char name[GL_NAME_LEN + 12];

			snprintf(name, sizeof(name), "%s-%u", defaults.name, i);
			set_name(&cfg, name);
		}
		add_guest(configs, &cfg);
	}
}

static void parse_options(int argc, char **argv)
{
	enum { NR_GUEST = ARRAY_SIZE(guest_rows), NR_RUN = ARRAY_SIZE(run_rows) };
	struct option longopts[NR_GUEST + NR_RUN + 1] = {};
	char shortopts[2 * (NR_GUEST + NR_RUN) + 2] = ":", *s = shortopts + 1;
	unsigned int i;
	int opt;

	/* A row's value is its index, out of the way of the letters. */
	for (i = 0; i < NR_GUEST + NR_RUN; i++) {
		const char *name = i < NR_GUEST ? guest_rows[i].name : run_rows[i - NR_GUEST].name;
		const char *arg = i < NR_GUEST ? guest_rows[i].arg : run_rows[i - NR_GUEST].arg;
		char letter = i < NR_GUEST ? guest_rows[i].letter : run_rows[i - NR_GUEST].letter;

		longopts[i].name = name;
		longopts[i].has_arg = arg ? required_argument : no_argument;
		longopts[i].val = 256 + i;
		if (letter) {
			*s++ = letter;
			if (arg)
				*s++ = ':';
		}
	}

	opterr = 0;
	while ((opt = getopt_long(argc, argv, shortopts, longopts, NULL)) != -1) {
		const char *given = argv[optind - 1];

		if (opt == ':')
			usage_error("option '%s' needs a value: see gmemload --help", given);
		if (opt == '?') {
			if (optopt && optopt < 256)
				usage_error("unknown option '-%c': see gmemload --help", optopt);
			usage_error("bad option '%s': see gmemload --help", given);
		}
		for (i = 0; i < NR_GUEST; i++)
			if (opt == 256 + (int)i || opt == guest_rows[i].letter)
				guest_rows[i].set(&defaults, optarg);
		for (i = 0; i < NR_RUN; i++)
			if (opt == 256 + NR_GUEST + (int)i || opt == run_rows[i].letter)
				run_rows[i].set(optarg);
	}
}

static void parse_command_line(int argc, char **argv, struct gl_config *configs)
{
	bool idle = true;
	unsigned int i;

	parse_options(argc, argv);
	if (argc - optind > 1)
		usage_error("unexpected argument '%s': give one PATTERN, or --guest for each guest",
			    argv[optind + 1]);
	if (optind < argc && nr_specs)
		usage_error("unexpected argument '%s': give PATTERN or --guest, not both",
			    argv[optind]);
	if (optind == argc && !nr_specs)
		usage_error("no guest: give a PATTERN, see gmemload --help");
	if (nr_specs && count_arg > 1)
		usage_error("--count goes with PATTERN: give --guest once for each guest");

	if (nr_specs)
		for (i = 0; i < nr_specs; i++)
			add_spec(configs, specs[i]);
	else
		add_count(configs, argv[optind]);

	for (i = 0; i < nr_guests; i++)
		idle = idle && gl_patterns[configs[i].pattern].idle;
	if (idle && defaults.iterations)
		usage_error("--iterations needs a guest that works: idle guests make no steps");
}

/* The machine */

static void check_kvm(void)
{
	const int map_gpa = 1 << KVM_HC_MAP_GPA_RANGE;
	const char *missing = NULL;
	int fd;

	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		fatal("no permission to open /dev/kvm: run as root or join the kvm group");
	if (fd < 0)
		fatal("cannot open /dev/kvm: %s: load kvm_amd or kvm_intel, or run in a VM with tests/vm/run",
		      strerror(errno));

	if (ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) <= 0)
		missing = "KVM_CAP_MEMORY_ATTRIBUTES";
	else if (ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) <= 0)
		missing = "KVM_CAP_GUEST_MEMFD";
	else if (!(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES) &
		   (1 << KVM_X86_SW_PROTECTED_VM)))
		missing = "VM type KVM_X86_SW_PROTECTED_VM";
	else if (!(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL) & map_gpa))
		missing = "KVM_HC_MAP_GPA_RANGE";
	if (missing)
		fatal("KVM has no %s: boot a kernel with CONFIG_KVM_SW_PROTECTED_VM=y, 6.8 or newer",
		      missing);
	close(fd);
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
	put(line, "\"refused\":%lu,\"faults_refused\":%lu,\"implicit\":%lu,", n->refused,
	    n->faults_refused, n->implicit);
	put(line, "\"punched_pages\":%lu,\"discarded_pages\":%lu,", n->punched_pages,
	    n->discarded_pages);
	put(line, "\"call_ns\":{\"count\":%lu,\"min\":%lu,\"avg\":%lu,\"max\":%lu,\"p99\":%lu}",
	    n->calls, call_min, n->calls ? n->call_ns / n->calls : 0, call_max,
	    min(p99, call_max));
}

/* One write for a line, so that lines of several writers never mix. */
static void emit(struct line *line)
{
	size_t done = 0;
	ssize_t n;

	put(line, "\n");
	while (done < line->len && json_fd >= 0) {
		n = write(json_fd, line->buf + done, line->len - done);
		if (n >= 0) {
			done += n;
		} else if (errno != EINTR) {
			warn("cannot write to %s: %s: give --json a file that can grow",
			     strcmp(json_path, "-") ? json_path : "stdout", strerror(errno));
			json_fd = -1;
			interrupted = true;
		}
	}
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

static void report_interval(struct guest *g, uint64_t since_start, uint64_t dt)
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
	    (double)since_start / NSEC, (double)dt / NSEC, cfg->name, g->shown_pid,
	    gl_patterns[cfg->pattern].name);
	put_counters(&line, &diff, call_min, call_max);
	put(&line, "}");
	emit(&line);
}

static void report_summary(struct guest *g, uint64_t since_start)
{
	const struct gl_config *cfg = &g->ctl->cfg;
	struct gl_counters sum;
	struct line line = { .len = 0 };
	uint64_t call_min, call_max;

	sum_counters(g, &sum);
	take_extremes(g, &call_min, &call_max);

	put(&line, "{\"summary\":true,\"t\":%.3f,\"guest\":\"%s\",\"pid\":%d,\"pattern\":\"%s\",",
	    (double)since_start / NSEC, cfg->name, g->shown_pid,
	    gl_patterns[cfg->pattern].name);
	put(&line, "\"mem\":%lu,\"range\":%lu,\"vcpus\":%u,\"rate\":%lu,\"punch\":%s,",
	    cfg->mem, cfg->range, cfg->vcpus, cfg->rate, cfg->punch ? "true" : "false");
	put_counters(&line, &sum, g->call_min, g->call_max);
	put(&line, ",\"boot\":{\"pages\":%llu,\"ns\":%lu},\"host_visible\":%lu,\"errors\":{",
	    cfg->mem / GL_PAGE_SIZE, g->ctl->boot_ns, g->ctl->host_visible);
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

/* Processes */

/* In the new process: become gmemload again, but as the host of one guest. */
static void exec_guest(const struct guest *g, pid_t driver)
{
	char where[32];
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != driver)
		_exit(1);

	/* The library writes to stdout; that is for our lines only. */
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	snprintf(where, sizeof(where), "%d:%u", shm_fd, (unsigned int)(g - guests));
	execl("/proc/self/exe", "gmemload", "--name", g->ctl->cfg.name, GUEST_PROCESS, where,
	      gl_patterns[g->ctl->cfg.pattern].name, (char *)NULL);
	snprintf(g->ctl->detail, sizeof(g->ctl->detail), "cannot run /proc/self/exe: %s",
		 strerror(errno));
	_exit(1);
}

static void reap(struct guest *g, int status)
{
	const char *name = g->ctl->cfg.name;

	g->pid = 0;
	if (g->ctl->state == GL_DONE && WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (g->ctl->detail[0]) {
		g->ctl->detail[sizeof(g->ctl->detail) - 1] = '\0';
		g->ctl->state = GL_FAILED;
		warn("guest %s failed: %s", name, g->ctl->detail);
		return;
	}
	g->died = true;
	if (WIFSIGNALED(status))
		warn("guest %s died: %s", name, strsignal(WTERMSIG(status)));
	else
		warn("guest %s died: exit status %d: see the messages above", name,
		     WEXITSTATUS(status));
}

/* Sleep until @deadline or until something happened; note what it was. */
static void wait_event(const sigset_t *signals, uint64_t deadline)
{
	uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
	const struct timespec ts = { .tv_sec = left / NSEC, .tv_nsec = left % NSEC };
	unsigned int i;
	int sig, status;

	sig = sigtimedwait(signals, NULL, &ts);
	if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
		interrupted = true;

	for (i = 0; i < nr_guests; i++)
		if (guests[i].pid && waitpid(guests[i].pid, &status, WNOHANG) > 0)
			reap(&guests[i], status);
}

/* All that still run have reached @state. */
static bool all_reached(enum gl_state state)
{
	unsigned int i;

	for (i = 0; i < nr_guests; i++)
		if (guests[i].pid &&
		    __atomic_load_n(&guests[i].ctl->state, __ATOMIC_ACQUIRE) < (uint32_t)state)
			return false;
	return true;
}

/* Idle guests never end by themselves, so nobody waits for them. */
static bool all_ended(void)
{
	unsigned int i, running = 0, workers = 0, running_workers = 0;

	for (i = 0; i < nr_guests; i++) {
		bool idle = gl_patterns[guests[i].ctl->cfg.pattern].idle;

		running += !!guests[i].pid;
		workers += !idle;
		running_workers += !idle && guests[i].pid;
	}
	return !running || (workers && !running_workers);
}

static void make_guests(const struct gl_config *configs)
{
	struct gl_guest *shm;
	size_t size = nr_guests * sizeof(*shm);
	unsigned int i, v;

	shm_fd = memfd_create("gmemload", 0);
	if (shm_fd < 0 || ftruncate(shm_fd, size))
		fatal("cannot make shared memory of %zu bytes: %s", size, strerror(errno));
	shm = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shm_fd, 0);
	if (shm == MAP_FAILED)
		fatal("cannot map %zu bytes: %s", size, strerror(errno));

	/* Not static: all that is, is copied into each guest. */
	guests = calloc(nr_guests, sizeof(*guests));
	if (!guests)
		fatal("out of memory");

	for (i = 0; i < nr_guests; i++) {
		shm[i].cfg = configs[i];
		for (v = 0; v < GL_MAX_VCPUS; v++)
			shm[i].vcpu[v].call_min = UINT64_MAX;
		guests[i].ctl = &shm[i];
		guests[i].call_min = UINT64_MAX;
	}
}

static void start_guests(const sigset_t *signals)
{
	uint64_t deadline = now_ns() + START_TIMEOUT;
	pid_t driver = getpid();
	unsigned int i;

	for (i = 0; i < nr_guests; i++) {
		guests[i].pid = fork();
		if (guests[i].pid < 0) {
			guests[i].pid = 0;
			warn("cannot fork: %s: start fewer guests", strerror(errno));
			return;
		}
		if (!guests[i].pid)
			exec_guest(&guests[i], driver);
		guests[i].shown_pid = guests[i].pid;
	}

	while (!all_reached(GL_READY) && !interrupted && !failed) {
		wait_event(signals, now_ns() + 5000000);
		if (now_ns() > deadline)
			warn("guests did not start in %llu s: give the machine more time or memory",
			     START_TIMEOUT / NSEC);
	}
	if (failed || interrupted)
		return;

	for (i = 0; i < nr_guests; i++)
		__atomic_store_n(&guests[i].ctl->go, 1, __ATOMIC_RELEASE);
	while (!all_reached(GL_RUNNING) && !interrupted)
		wait_event(signals, now_ns() + 1000000);
}

static void stop_guests(const sigset_t *signals)
{
	uint64_t deadline = now_ns() + STOP_TIMEOUT;
	unsigned int i, running;

	for (i = 0; i < nr_guests; i++)
		if (guests[i].pid)
			kill(guests[i].pid, SIGTERM);
	do {
		wait_event(signals, now_ns() + 20000000);
		for (running = 0, i = 0; i < nr_guests; i++) {
			running += !!guests[i].pid;
			if (guests[i].pid && now_ns() > deadline)
				kill(guests[i].pid, SIGKILL);
		}
	} while (running);
}

/* Scripts wait for this file, so it appears whole or not at all. */
static void write_pidfile(void)
{
	char tmp[PATH_MAX];
	unsigned int i;
	bool bad;
	FILE *f;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", pidfile) >= (int)sizeof(tmp)) {
		warn("cannot write pidfile: its name is too long");
		return;
	}
	f = fopen(tmp, "we");
	if (!f) {
		warn("cannot write pidfile %s: %s: give a writable path", tmp, strerror(errno));
		return;
	}
	for (i = 0; i < nr_guests; i++)
		fprintf(f, "%s %d\n", guests[i].ctl->cfg.name, guests[i].shown_pid);
	bad = ferror(f);
	if (fclose(f) || bad || rename(tmp, pidfile)) {
		warn("cannot write pidfile %s: %s: give a writable path", pidfile,
		     strerror(errno));
		unlink(tmp);
	}
}

static void run_guests(const sigset_t *signals, uint64_t start)
{
	uint64_t end = duration ? start + duration : UINT64_MAX;
	uint64_t last = start, next = start + interval;
	unsigned int i;

	while (!interrupted && !all_ended()) {
		uint64_t now;

		wait_event(signals, min(next, end));
		now = now_ns();
		/* The last interval may be a short one: count it all the same. */
		if (now < next && now < end && !interrupted && !all_ended())
			continue;
		for (i = 0; i < nr_guests; i++)
			report_interval(&guests[i], now - start, now - last);
		last = now;
		if (now >= end)
			break;
		while (next <= now)
			next += interval;
	}
}

static void open_outputs(void)
{
	if (strcmp(json_path, "-")) {
		json_fd = open(json_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (json_fd < 0)
			fatal("cannot write to %s: %s: give --json a writable path", json_path,
			      strerror(errno));
	}
	if (pidfile && unlink(pidfile) && errno != ENOENT)
		fatal("cannot replace pidfile %s: %s: give a writable path", pidfile,
		      strerror(errno));
}

static int driver_main(int argc, char **argv)
{
	struct gl_config configs[GL_MAX_GUESTS];
	struct sigaction hup;
	sigset_t signals;
	uint64_t start;
	unsigned int i;

	parse_command_line(argc, argv, configs);
	check_kvm();
	open_outputs();
	make_guests(configs);

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	/* Blocked, even an ignored signal arrives: nohup must keep its meaning. */
	if (!sigaction(SIGHUP, NULL, &hup) && hup.sa_handler != SIG_IGN)
		sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	start_guests(&signals);
	start = now_ns();
	if (!failed && !interrupted) {
		if (pidfile)
			write_pidfile();
		if (!failed)
			run_guests(&signals, start);
	}
	stop_guests(&signals);
	if (pidfile)
		unlink(pidfile);
	for (i = 0; i < nr_guests; i++)
		report_summary(&guests[i], now_ns() - start);
	return failed;
}

/*
 * The selftest library has a constructor that prints to stdout and needs KVM.
 * Only the process of a guest may meet it, so the driver runs, and ends, as a
 * constructor that comes before.
 */
__attribute__((constructor(101)))
static void driver_entry(int argc, char **argv)
{
	if (argc < 5 || strcmp(argv[3], GUEST_PROCESS))
		exit(driver_main(argc, argv));
}

int main(int argc, char **argv)
{
	struct gl_guest *guest;
	unsigned int index;
	int fd;

	if (sscanf(argv[4], "%d:%u", &fd, &index) != 2)
		usage_error("bad %s '%s': only gmemload itself gives it", GUEST_PROCESS, argv[4]);
	guest = mmap(NULL, sizeof(*guest), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     index * sizeof(*guest));
	if (guest == MAP_FAILED)
		fatal("cannot map the shared memory: %s", strerror(errno));
	return gl_vmm_main(guest);
}
