// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages, options and number formats of the gmem tools.  Not here: what
 * asks the kernel (gmem_kernel.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_clock.h"
#include "gmem_common.h"

#define HELP_COLUMN	28

static void (*err_hook)(void);

void gmem_err_before(void (*hook)(void))
{
	err_hook = hook;
}

static const char *err_context;

void gmem_err_context(const char *context)
{
	err_context = context;
}

/* Without memory for all of it, a part is better than nothing. */
static void print_safely(const char *text)
{
	size_t size = strlen(text) + 1;
	char part[256], *line = malloc(size);

	fputs(gmem_printable(line ? line : part, line ? size : sizeof(part),
			     text), stderr);
	free(line);
}

/* By a hash: a line that is taken for another one is said in the next round. */
struct said {
	uint64_t lines[32];
	size_t nr;
};

static struct said said, said_before;
static bool in_rounds;

void gmem_err_round(bool anew)
{
	said_before = said;
	if (anew)
		said_before.nr = 0;
	said.nr = 0;
	in_rounds = true;
}

static uint64_t hash_on(uint64_t hash, const char *text)
{
	/* FNV-1a */
	while (text && *text)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3;
	return hash;
}

static bool was_said(const char *text)
{
	uint64_t hash = hash_on(hash_on(0xcbf29ce484222325, err_context), text);
	size_t i;

	if (!in_rounds)
		return false;
	if (said.nr < ARRAY_LEN(said.lines))
		said.lines[said.nr++] = hash;
	for (i = 0; i < said_before.nr; i++)
		if (said_before.lines[i] == hash)
			return true;
	return false;
}

void gmem_err(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (was_said(text ? text : fmt)) {
		free(text);
		return;
	}
	if (err_hook)
		err_hook();
	fprintf(stderr, "%s: ", program_invocation_short_name);
	if (err_context) {
		print_safely(err_context);
		fputs(": ", stderr);
	}
	print_safely(text ? text : fmt);
	fputc('\n', stderr);
	free(text);
}

void gmem_print_version(void)
{
	printf("%s %s\n", program_invocation_short_name, GMEM_VERSION);
}

int gmem_parse_uint(const char *text, uint64_t *value)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	/* strtoull() would take signs, blanks and hex. */
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *text - '0', &v))
			return -ERANGE;
	}
	*value = v;
	return 0;
}

int gmem_parse_seconds(const char *text, uint64_t *ns)
{
	uint64_t v = 0, unit = NSEC_PER_SEC;
	bool digits = false, point = false;

	for (; *text; text++) {
		if (*text == '.' && !point) {
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9')
			return -EINVAL;
		digits = true;
		if (point) {
			unit /= 10;
			if (__builtin_add_overflow(v, (*text - '0') * unit, &v))
				return -ERANGE;
		} else if (__builtin_mul_overflow(v, 10, &v) ||
			   __builtin_add_overflow(v, (*text - '0') * unit, &v)) {
			return -ERANGE;
		}
	}
	if (!digits)
		return -EINVAL;
	*ns = v;
	return 0;
}

/* "3600" or "0.1": a bound as people write it. */
static const char *format_seconds(char *dst, size_t size, uint64_t ns)
{
	int len = snprintf(dst, size, "%.9f", (double)ns / NSEC_PER_SEC);

	while (len > 1 && dst[len - 1] == '0')
		dst[--len] = '\0';
	if (len > 1 && dst[len - 1] == '.')
		dst[len - 1] = '\0';
	return dst;
}

static int parse_number(const struct gmem_option *opt, const char *name,
			const char *value)
{
	char lo[32], hi[32];
	uint64_t v;
	int err;

	if (opt->type == GMEM_OPT_SECONDS) {
		err = gmem_parse_seconds(value, &v);
		format_seconds(lo, sizeof(lo), opt->min);
		format_seconds(hi, sizeof(hi), opt->max);
	} else {
		err = gmem_parse_uint(value, &v);
		snprintf(lo, sizeof(lo), "%ju", (uintmax_t)opt->min);
		snprintf(hi, sizeof(hi), "%ju", (uintmax_t)opt->max);
	}
	if (err || v < opt->min || v > opt->max) {
		gmem_err("%s takes %s from %s to %s, not '%s'", name,
			 opt->type == GMEM_OPT_SECONDS ? "seconds" :
							 "a whole number",
			 lo, hi, value);
		return -1;
	}
	*(uint64_t *)opt->target = v;
	return 0;
}

static int parse_choice(const struct gmem_option *opt, const char *name,
			const char *value)
{
	char all[512] = "";
	size_t len = 0;
	int i;

	for (i = 0; opt->choices[i]; i++) {
		if (!strcmp(opt->choices[i], value)) {
			*(int *)opt->target = i;
			return 0;
		}
		if (len < sizeof(all))
			len += snprintf(all + len, sizeof(all) - len, "%s%s",
					i ? ", " : "", opt->choices[i]);
	}
	gmem_err("%s takes one of %s, not '%s'", name, all, value);
	return -1;
}

static int store_value(const struct gmem_option *opt, const char *name,
		       const char *value)
{
	switch (opt->type) {
	case GMEM_OPT_UINT:
	case GMEM_OPT_SECONDS:
		return parse_number(opt, name, value);
	case GMEM_OPT_STRING:
		if (!*value) {
			gmem_err("%s takes a text that is not empty", name);
			return -1;
		}
		*(const char **)opt->target = value;
		return 0;
	case GMEM_OPT_CHOICE:
		return parse_choice(opt, name, value);
	case GMEM_OPT_CUSTOM:
		return opt->parse(name, value, opt->target);
	case GMEM_OPT_FLAG:
	case GMEM_OPT_END:
		break;
	}
	return -1;
}

static const struct gmem_option *find_option(const struct gmem_option *opt,
					     char short_name, const char *name,
					     size_t len)
{
	for (; opt->type != GMEM_OPT_END; opt++) {
		if (short_name && opt->short_name == short_name)
			return opt;
		if (!short_name && opt->name && strlen(opt->name) == len &&
		    !memcmp(opt->name, name, len))
			return opt;
	}
	return NULL;
}

static const char *options_verb;

void gmem_options_verb(const char *verb)
{
	options_verb = verb;
}

static int unknown_option(const char *name)
{
	gmem_err("unknown option '%s'; see %s %s%s--help", name,
		 program_invocation_short_name, options_verb ?: "",
		 options_verb ? " " : "");
	return -1;
}

/*
 * One option, known to be in the table.  @attached is the value in the same
 * word, or NULL; @next the following word, or NULL.  Returns how many words
 * after the option's own were used.
 */
static int take_option(const struct gmem_option *opt, const char *name,
		       const char *attached, const char *next)
{
	const char *value = attached ? attached : next;

	if (opt->seen)
		*opt->seen = true;

	if (opt->type == GMEM_OPT_FLAG) {
		if (attached) {
			gmem_err("%s takes no argument", name);
			return -1;
		}
		*(bool *)opt->target = true;
		return 0;
	}

	if (!value) {
		gmem_err("%s needs an argument: %s", name, opt->arg);
		return -1;
	}
	if (store_value(opt, name, value))
		return -1;
	return attached ? 0 : 1;
}

static int take_long(const struct gmem_option *options, char *word,
		     const char *next)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct gmem_option *opt;
	char name[64];

	opt = find_option(options, 0, word + 2, len - 2);
	if (!opt)
		return unknown_option(word);
	snprintf(name, sizeof(name), "--%s", opt->name);
	return take_option(opt, name, equals ? equals + 1 : NULL, next);
}

/* A word such as "-b", "-n5" or "-bn5". */
static int take_short(const struct gmem_option *options, char *word,
		      const char *next)
{
	const struct gmem_option *opt;
	char name[3] = "-";
	char *c;

	for (c = word + 1; *c; c++) {
		name[1] = *c;
		opt = find_option(options, *c, NULL, 0);
		if (!opt)
			return unknown_option(name);
		if (opt->type != GMEM_OPT_FLAG)
			return take_option(opt, name, c[1] ? c + 1 : NULL, next);
		take_option(opt, name, NULL, NULL);
	}
	return 0;
}

int gmem_parse_options(const struct gmem_option *options, int argc,
		       char **argv)
{
	int words = 0, used, i;

	for (i = 0; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--")) {
			while (++i < argc)
				argv[words++] = argv[i];
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			argv[words++] = argv[i];
			continue;
		}
		if (argv[i][1] == '-')
			used = take_long(options, argv[i], next);
		else
			used = take_short(options, argv[i], next);
		if (used < 0)
			return -1;
		i += used;
	}
	return words;
}

static void print_choices(FILE *out, const struct gmem_option *opt)
{
	int column = HELP_COLUMN, i;

	fprintf(out, "%*s", HELP_COLUMN, "");
	for (i = 0; opt->choices[i]; i++) {
		int len = strlen(opt->choices[i]) + 2;

		if (i && column + len > 80) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		column += fprintf(out, "%s%s%s",
				  i && column > HELP_COLUMN ? " " : "",
				  opt->choices[i],
				  opt->choices[i + 1] ? "," : "");
	}
	fputc('\n', out);
}

void gmem_usage(FILE *out, const char *synopsis, const char *about,
		const struct gmem_option *options)
{
	const struct gmem_option *opt;

	fprintf(out, "Usage: %s %s\n%s\n\nOptions:\n",
		program_invocation_short_name, synopsis, about);
	for (opt = options; opt->type != GMEM_OPT_END; opt++) {
		int len;

		if (opt->short_name)
			len = fprintf(out, "  -%c, --%s", opt->short_name,
				      opt->name);
		else
			len = fprintf(out, "      --%s", opt->name);
		if (opt->arg)
			len += fprintf(out, " %s", opt->arg);
		if (len >= HELP_COLUMN) {
			fputc('\n', out);
			len = 0;
		}
		fprintf(out, "%*s%s\n", HELP_COLUMN - len, "", opt->help);
		if (opt->type == GMEM_OPT_CHOICE)
			print_choices(out, opt);
	}
}

/* Three significant digits while there is a fraction to show. */
static void format_scaled(char *dst, size_t size, double value,
			  const char *suffix)
{
	int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	snprintf(dst, size, "%.*f%s", decimals, value, suffix);
}

char *gmem_format_pages(char *dst, size_t size, uint64_t pages)
{
	static const char *const suffix[] = { "K", "M", "G", "T" };
	double value = (double)pages * GMEM_PAGE_KIB;
	size_t unit = 0;

	/* Anything from 1023.5 would be shown as 1024. */
	while (value >= 1023.5 && unit + 1 < ARRAY_LEN(suffix)) {
		value /= 1024;
		unit++;
	}
	if (!unit)
		snprintf(dst, size, "%.0fK", value);
	else
		format_scaled(dst, size, value, suffix[unit]);
	return dst;
}

char *gmem_format_ns(char *dst, size_t size, uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = ns;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(dst, size, "%.*f %s", unit && value < 9.95 ? 1 : 0, value,
		 units[unit]);
	return dst;
}

char *gmem_format_rate(char *dst, size_t size, double rate)
{
	if (rate == 0)
		snprintf(dst, size, "0");
	else if (rate < 99.95)
		format_scaled(dst, size, rate, "");
	else if (rate < 9999.5)
		snprintf(dst, size, "%.0f", rate);
	else if (rate < 999.5e3)
		format_scaled(dst, size, rate / 1e3, "k");
	else
		format_scaled(dst, size, rate / 1e6, "M");
	return dst;
}

static int cannot_write(int err)
{
	if (err != EPIPE)
		gmem_err("cannot write the output: %s", strerror(err));
	return -err;
}

int gmem_put(FILE *out, const char *text)
{
	return fputs(text, out) < 0 ? cannot_write(errno) : 0;
}

int gmem_flush(FILE *out)
{
	/* A write that failed earlier leaves only the error flag behind. */
	if (fflush(out))
		return cannot_write(errno);
	return ferror(out) ? cannot_write(EIO) : 0;
}
