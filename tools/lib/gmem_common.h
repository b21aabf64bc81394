/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every gmem tool shares: messages, exit codes, options as rows of a
 * table, and the format of numbers.  Not here: what asks the kernel
 * (gmem_kernel.h) and anything that draws.
 */
#ifndef GMEM_COMMON_H
#define GMEM_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gmem_text.h"

#define GMEM_VERSION	"0.1.0"

/* Exit codes of all tools. */
#define GMEM_EXIT_OK	0
#define GMEM_EXIT_FAIL	1
#define GMEM_EXIT_USAGE	2

#define GMEM_PAGE_KIB	4

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/**
 * gmem_err() - print one line of error to stderr
 * @fmt: printf format, without program name and without newline
 *
 * The line is "progname: message", as gmem_printable() has it, so that no
 * argument can break the line or drive the terminal.
 */
void gmem_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * gmem_err_before() - have a function called before an error is printed
 * @hook: gives the terminal back, so that the line is seen; NULL for none
 */
void gmem_err_before(void (*hook)(void));

/**
 * gmem_err_round() - begin to do again what was done before
 * @anew: somebody asked for it, who is to be told all
 *
 * Otherwise what was said in the round before is not said once more in this one:
 * who tries something over and over says what is wrong when it begins, and when it
 * changes.
 */
void gmem_err_round(bool anew);

/**
 * gmem_err_context() - say where the errors to come are from
 * @context: printed before each, e.g. "file.toml:3:7"; NULL for nothing
 */
void gmem_err_context(const char *context);

/**
 * enum gmem_option_type - what an option takes and what its target points to
 * @GMEM_OPT_END: the last row
 * @GMEM_OPT_FLAG: no argument; bool
 * @GMEM_OPT_UINT: a decimal number from .min to .max; uint64_t
 * @GMEM_OPT_SECONDS: seconds with an optional fraction, from .min to .max;
 *	uint64_t.  .min, .max and the target are nanoseconds.
 * @GMEM_OPT_STRING: any text that is not empty; const char *
 * @GMEM_OPT_CHOICE: one of .choices; int, the index into .choices
 * @GMEM_OPT_CUSTOM: whatever .parse accepts
 */
enum gmem_option_type {
	GMEM_OPT_END,
	GMEM_OPT_FLAG,
	GMEM_OPT_UINT,
	GMEM_OPT_SECONDS,
	GMEM_OPT_STRING,
	GMEM_OPT_CHOICE,
	GMEM_OPT_CUSTOM,
};

/**
 * struct gmem_option - one option of a tool or verb
 * @name: long name without dashes
 * @short_name: short name, 0 if it has none
 * @type: what it takes
 * @arg: name of its argument in the help, NULL for a flag
 * @help: one line of help
 * @target: where the value goes, by @type
 * @seen: set to true when the option is given, may be NULL
 * @min: least value of a number
 * @max: greatest value of a number
 * @choices: what GMEM_OPT_CHOICE accepts, NULL at the end
 * @parse: for GMEM_OPT_CUSTOM: stores @value in @target and returns 0, or
 *	prints its own line with gmem_err() and returns -1; @name is the option
 *	as the user knows it, with dashes
 *
 * Parsing, errors and --help follow from the rows.
 */
struct gmem_option {
	const char *name;
	char short_name;
	enum gmem_option_type type;
	const char *arg;
	const char *help;
	void *target;
	bool *seen;
	uint64_t min;
	uint64_t max;
	const char *const *choices;
	int (*parse)(const char *name, const char *value, void *target);
};

/* The two rows that every table ends with before its GMEM_OPT_END row. */
#define GMEM_OPTION_HELP(flag)						\
	{ .name = "help", .short_name = 'h', .type = GMEM_OPT_FLAG,	\
	  .help = "show this help", .target = (flag) }
#define GMEM_OPTION_VERSION(flag)					\
	{ .name = "version", .short_name = 'V', .type = GMEM_OPT_FLAG,	\
	  .help = "show the version", .target = (flag) }

/**
 * gmem_options_verb() - say whose options are read
 * @verb: named by the error that points at its help; NULL for the program
 */
void gmem_options_verb(const char *verb);

/**
 * gmem_parse_options() - read a command line by a table of options
 * @options: rows, the last of type GMEM_OPT_END
 * @argc: number of words at @argv, without the program's or verb's name
 * @argv: words; those that are no options are moved to the front in order
 *
 * Takes "--name value", "--name=value", "-n value", "-nvalue", "-bn value".
 * "--" ends the options.  Names must be given in full.
 *
 * Return: number of words that are no options, or -1 after one line of error;
 * the caller then exits with GMEM_EXIT_USAGE.
 */
int gmem_parse_options(const struct gmem_option *options, int argc,
		       char **argv);

/**
 * gmem_usage() - print help
 * @out: where to
 * @synopsis: what follows the program's name on the usage line
 * @about: one sentence on what it does
 * @options: rows, the last of type GMEM_OPT_END
 */
void gmem_usage(FILE *out, const char *synopsis, const char *about,
		const struct gmem_option *options);

/**
 * gmem_print_version() - print the program's name and version to stdout
 */
void gmem_print_version(void);

/**
 * gmem_parse_uint() - read a decimal number
 * @text: digits only
 * @value: the number, unchanged on error
 *
 * Return: 0, -EINVAL if @text is not a number, -ERANGE if it needs more than
 * 64 bits.
 */
int gmem_parse_uint(const char *text, uint64_t *value);

/**
 * gmem_parse_seconds() - read seconds with an optional fraction
 * @text: digits with at most one '.' between or around them
 * @ns: nanoseconds; digits after the ninth of the fraction are dropped
 *
 * Return: 0, -EINVAL if @text is not a number, -ERANGE if it is too large.
 */
int gmem_parse_seconds(const char *text, uint64_t *ns);

/**
 * gmem_format_pages() - write an amount of memory for people
 * @dst: where to
 * @size: bytes at @dst
 * @pages: amount in pages of 4 KiB
 *
 * Writes the largest of KiB, MiB, GiB and TiB that gives at least 1, as
 * "512K", "1.50M", "36.0G" or "128T": at most 5 characters below 10,000 TiB.
 *
 * Return: @dst.
 */
char *gmem_format_pages(char *dst, size_t size, uint64_t pages);

/**
 * gmem_format_ns() - write a time for people
 * @dst: where to
 * @size: bytes at @dst
 * @ns: nanoseconds
 *
 * Writes "0 ns", "1.5 us", "12 ms", "3600 s".
 *
 * Return: @dst.
 */
char *gmem_format_ns(char *dst, size_t size, uint64_t ns);

/**
 * gmem_format_rate() - write an amount per second for people
 * @dst: where to
 * @size: bytes at @dst
 * @rate: amount per second
 *
 * Writes "0", "0.25", "12.5", "1234", "56.7k", "1.23M": at most 5 characters
 * below 10,000 million.
 *
 * Return: @dst.
 */
char *gmem_format_rate(char *dst, size_t size, double rate);

/**
 * gmem_put() - write a text that may be longer than a stream's buffer
 * @out: the stream
 * @text: the text
 *
 * Return: 0, or -errno after one line of error (none for EPIPE).
 */
int gmem_put(FILE *out, const char *text);

/**
 * gmem_flush() - push a stream out and say so if that fails
 * @out: the stream
 *
 * Return: 0; -EPIPE, without a message, if the reader is gone; another -errno
 * after one line of error.
 */
int gmem_flush(FILE *out);

#endif /* GMEM_COMMON_H */
