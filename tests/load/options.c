// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line of gmemload: from words to the guests that they ask for.
 * Two tables hold the options, and the help is made of them.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kernel.h>

#include "../kvm/hold.h"
#include "options.h"
#include "output.h"

#define DEFAULT_MEM	(16ULL << 20)
/* Asks for the pattern's default; 0 stands for no limit. */
#define RATE_DEFAULT	UINT64_MAX

/* What the command line says of all guests. */
static struct gl_config defaults = {
	.mem = DEFAULT_MEM,
	.vcpus = 1,
	.rate = RATE_DEFAULT,
};

/* The values of --guest and --count, until all options are read. */
static const char *specs[GL_MAX_GUESTS];
static unsigned int nr_specs;
static uint64_t count_arg = 1;

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
		gl_usage_error("bad %s '%s': give a number from %llu to %llu", what, arg,
			       (unsigned long long)min, (unsigned long long)max);
	if (end)
		*end = stop;
	return n;
}

static uint64_t parse_size(const char *what, const char *arg)
{
	static const char units[] = "KMGT";
	const char *unit, *end;
	unsigned int shift = 0;
	uint64_t n;

	n = parse_number(what, arg, 1, GL_MAX_MEM, &end);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			gl_usage_error("bad %s '%s': give a size like 64K, 16M or 1G", what, arg);
		shift = 10 * (unit - units + 1);
	}
	if (n > GL_MAX_MEM >> shift)
		gl_usage_error("bad %s '%s': the most is 1T", what, arg);
	n <<= shift;
	if (n % GL_PAGE_SIZE)
		gl_usage_error("bad %s '%s': give a multiple of 4K", what, arg);
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
		gl_usage_error("bad %s '%s': give seconds, at least %g", what, arg, min);
	return seconds * GL_NSEC;
}

static void set_name(struct gl_config *cfg, const char *arg)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = strlen(arg);

	if (!len || len >= sizeof(cfg->name) || strspn(arg, allowed) != len)
		gl_usage_error("bad name '%s': give 1 to %zu of A-Z a-z 0-9 _ . -", arg,
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
		gl_usage_error("bad rate '%s': give steps a second like 100 or 100/s, or max", arg);
}

static void set_punch(struct gl_config *cfg, const char *arg)
{
	cfg->punch = 1;
}

static void set_buffers(struct gl_config *cfg, const char *arg)
{
	cfg->buffers = parse_number("buffers", arg, 1, GL_MAX_BUFFERS, NULL);
}

static void set_iterations(struct gl_config *cfg, const char *arg)
{
	cfg->iterations = parse_number("iterations", arg, 1, UINT64_MAX, NULL);
}

static void set_corrupt(struct gl_config *cfg, const char *arg)
{
	const char *end;

	cfg->corrupt = parse_number("corrupt", arg, 1, UINT64_MAX, &end);
	if (!*end)
		cfg->corrupt_what = GL_CORRUPT_STAMP;
	else if (!strcmp(end, ":guest"))
		cfg->corrupt_what = GL_CORRUPT_GUEST;
	else if (!strcmp(end, ":host"))
		cfg->corrupt_what = GL_CORRUPT_HOST;
	else
		gl_usage_error("bad corrupt '%s': give a number of steps, or N:guest or N:host",
			       arg);
}

static void set_in_place(struct gl_config *cfg, const char *arg)
{
	cfg->in_place = 1;
}

static void set_plain(struct gl_config *cfg, const char *arg)
{
	cfg->plain = 1;
}

static void set_huge(struct gl_config *cfg, const char *arg)
{
	cfg->huge = 1;
}

static void set_hold(struct gl_config *cfg, const char *arg)
{
	for (cfg->hold = 1; cfg->hold <= NR_HOLD_WAYS; cfg->hold++)
		if (!strcmp(hold_ways[cfg->hold - 1].name, arg))
			return;
	gl_usage_error("bad hold '%s': see gmemload --help", arg);
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
	{ "buffers", 0, "N", "ranges that a vCPU keeps shared (default: see the pattern)",
	  set_buffers },
	{ "iterations", 0, "N", "end after N steps of each vCPU", set_iterations },
	{ "punch", 0, NULL, "a conversion also gives back the side that lost the page", set_punch },
	{ "in-place", 0, NULL, "shared and private memory are the same pages, which keep their data",
	  set_in_place },
	{ "plain", 0, NULL, "an ordinary VM: its memory is in a guest_memfd, and shared for good",
	  set_plain },
	{ "huge", 0, NULL, "private memory comes in huge folios of 2M, where it can", set_huge },
	{ "hold", 0, "WAY", "hold a shared page until it is to be private: see below", set_hold },
	{ "corrupt", 0, "N[:guest|:host]",
	  "spoil a word after N steps, to prove that the check finds it", set_corrupt },
};

static void show_help(struct gl_options *options, const char *arg);
static void show_list(struct gl_options *options, const char *arg);

static void opt_guest(struct gl_options *options, const char *arg)
{
	if (nr_specs == GL_MAX_GUESTS)
		gl_usage_error("too many guests: the most is %u", GL_MAX_GUESTS);
	specs[nr_specs++] = arg;
}

static void opt_count(struct gl_options *options, const char *arg)
{
	count_arg = parse_number("count", arg, 1, GL_MAX_GUESTS, NULL);
}

static void opt_duration(struct gl_options *options, const char *arg)
{
	options->duration = parse_seconds("duration", arg, 0);
}

static void opt_interval(struct gl_options *options, const char *arg)
{
	options->interval = parse_seconds("interval", arg, 0.05);
}

static void opt_json(struct gl_options *options, const char *arg)
{
	options->json_path = arg;
}

static void opt_pidfile(struct gl_options *options, const char *arg)
{
	options->pidfile = arg;
}

static const struct run_row {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
	void (*set)(struct gl_options *options, const char *arg);
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
		gl_fatal("cannot write to stdout: %s", strerror(errno));
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

static void show_list(struct gl_options *options, const char *arg)
{
	print_patterns();
	end_after_output();
}

static void show_help(struct gl_options *options, const char *arg)
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
	printf("\nIn place, guest and host leave notes for each other in pages that are converted,\n"
	       "and look whether they are there; --corrupt N:guest and N:host spoil those. The\n"
	       "kernel must have been started with kvm.gmem_in_place_conversion=1.\n"
	       "Each vCPU has a page held, by one of these ways:");
	for (i = 0; i < NR_HOLD_WAYS; i++)
		printf(" %s", hold_ways[i].name);
	printf(".\nThat it becomes private is refused once (held), and done when it is let go.\n");
	printf("\nAll memory of a guest is private when it starts, if it is not plain; the lines\n"
	       "don't count that.\n"
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
	gl_usage_error("unknown pattern '%s': see gmemload --list", name);
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
			gl_usage_error("'%s' in --guest %s takes %s", key, spec,
				       value ? "no value" : "a value: write KEY=VALUE");
		guest_rows[i].set(cfg, value);
		return;
	}
	gl_usage_error("unknown key '%s' in --guest %s: see gmemload --help", key, spec);
}

/* Fill in what the pattern decides, and refuse what can't work. */
static void finish_config(struct gl_config *cfg)
{
	const struct gl_pattern *p = &gl_patterns[cfg->pattern];
	bool pairs = !strcmp(p->name, "fragment") || !strcmp(p->name, "boot");
	uint64_t part;

	if (cfg->mem % (cfg->vcpus * GL_PAGE_SIZE))
		gl_usage_error("guest %s: %u vcpus cannot share %lluK evenly: give mem as a multiple of %lluK",
			       cfg->name, cfg->vcpus, (unsigned long long)cfg->mem >> 10,
			       cfg->vcpus * GL_PAGE_SIZE >> 10);
	part = cfg->mem / cfg->vcpus;

	if (!cfg->range)
		cfg->range = p->range && p->range < part ? p->range : part;
	if (cfg->range > part || (pairs && 2 * cfg->range > part))
		gl_usage_error("guest %s: the range is larger than %s: give a smaller range or more mem",
			       cfg->name,
			       pairs ? "half the memory of a vcpu" : "the memory of a vcpu");
	if (cfg->buffers && !p->buffers)
		gl_usage_error("guest %s: buffers needs a pattern that keeps some shared: see gmemload --list",
			       cfg->name);
	if (!cfg->buffers)
		cfg->buffers = p->buffers;
	if (cfg->buffers && cfg->buffers != GL_ALL_BUFFERS && cfg->buffers >= part / cfg->range)
		gl_usage_error("guest %s: %llu buffers leave nothing private: give fewer, a smaller range or more mem",
			       cfg->name, (unsigned long long)cfg->buffers);
	if (cfg->in_place && cfg->punch)
		gl_usage_error("guest %s: in place there is no other side to give back: leave out punch",
			       cfg->name);
	if (cfg->plain && !p->plain)
		gl_usage_error("guest %s: %s converts memory, and that of a plain one is shared for good",
			       cfg->name, p->name);
	if (cfg->plain && (cfg->in_place || cfg->huge || cfg->punch))
		gl_usage_error("guest %s: in-place, huge and punch are of private memory: leave out plain",
			       cfg->name);
	if (cfg->huge && cfg->mem % GL_HUGE_SIZE)
		gl_usage_error("guest %s: huge folios have 2M: give mem as a multiple of that",
			       cfg->name);
	if (cfg->hold && !cfg->in_place)
		gl_usage_error("guest %s: hold needs in-place: otherwise nobody minds who holds a page",
			       cfg->name);
	if (cfg->corrupt_what != GL_CORRUPT_STAMP && !cfg->in_place)
		gl_usage_error("guest %s: corrupt of the guest's or the host's notes needs in-place",
			       cfg->name);
	if (cfg->rate == RATE_DEFAULT)
		cfg->rate = p->rate;
	if (p->idle) {
		if (cfg->corrupt)
			gl_usage_error("guest %s: corrupt needs a pattern that checks its memory",
				       cfg->name);
		cfg->rate = 0;
		cfg->iterations = 0;
	}
}

/* Names must tell guests apart: they are all that a report knows them by. */
static void add_guest(struct gl_options *options, const struct gl_config *cfg)
{
	struct gl_config *configs = options->configs;
	struct gl_config *new = &configs[options->nr_guests];
	const char *pattern = gl_patterns[cfg->pattern].name;
	unsigned int i, same = 1;

	*new = *cfg;
	for (i = 0; i < options->nr_guests; i++)
		same += configs[i].pattern == cfg->pattern;
	if (!new->name[0])
		snprintf(new->name, sizeof(new->name), "%s-%u", pattern, same);
	for (i = 0; i < options->nr_guests; i++)
		if (!strcmp(configs[i].name, new->name))
			gl_usage_error("two guests are named '%s': give each its own name",
				       new->name);
	finish_config(new);
	options->nr_guests++;
}

static void add_spec(struct gl_options *options, const char *spec)
{
	struct gl_config cfg = defaults;
	char *copy = strdup(spec);
	char *rest = copy;
	char *word;

	if (!copy)
		gl_fatal("out of memory");
	word = strsep(&rest, ",");
	cfg.pattern = find_pattern(word);
	while ((word = strsep(&rest, ",")))
		set_key(&cfg, word, spec);
	add_guest(options, &cfg);
	free(copy);
}

static void add_count(struct gl_options *options, const char *pattern)
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
		add_guest(options, &cfg);
	}
}

static void read_options(struct gl_options *options, int argc, char **argv)
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
			gl_usage_error("option '%s' needs a value: see gmemload --help", given);
		if (opt == '?') {
			if (optopt && optopt < 256)
				gl_usage_error("unknown option '-%c': see gmemload --help", optopt);
			gl_usage_error("bad option '%s': see gmemload --help", given);
		}
		for (i = 0; i < NR_GUEST; i++)
			if (opt == 256 + (int)i || opt == guest_rows[i].letter)
				guest_rows[i].set(&defaults, optarg);
		for (i = 0; i < NR_RUN; i++)
			if (opt == 256 + NR_GUEST + (int)i || opt == run_rows[i].letter)
				run_rows[i].set(options, optarg);
	}
}

void gl_options_parse(struct gl_options *options, int argc, char **argv)
{
	bool idle = true;
	unsigned int i;

	*options = (struct gl_options){
		.interval = GL_NSEC,
		.json_path = "-",
	};
	read_options(options, argc, argv);
	if (argc - optind > 1)
		gl_usage_error("unexpected argument '%s': give one PATTERN, or --guest for each guest",
			       argv[optind + 1]);
	if (optind < argc && nr_specs)
		gl_usage_error("unexpected argument '%s': give PATTERN or --guest, not both",
			       argv[optind]);
	if (optind == argc && !nr_specs)
		gl_usage_error("no guest: give a PATTERN, see gmemload --help");
	if (nr_specs && count_arg > 1)
		gl_usage_error("--count goes with PATTERN: give --guest once for each guest");

	if (nr_specs)
		for (i = 0; i < nr_specs; i++)
			add_spec(options, specs[i]);
	else
		add_count(options, argv[optind]);

	for (i = 0; i < options->nr_guests; i++)
		idle = idle && gl_patterns[options->configs[i].pattern].idle;
	if (idle && defaults.iterations)
		gl_usage_error("--iterations needs a guest that works: idle guests make no steps");
}
