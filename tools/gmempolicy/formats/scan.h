/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The characters of a TOML file: blanks, comments, ends of line and strings, and
 * where a mistake is.
 */
#ifndef GMEMPOLICY_SCAN_H
#define GMEMPOLICY_SCAN_H

#include <stdbool.h>

/**
 * struct scan_place - a place in a file
 * @line: from 1
 * @column: in bytes, from 1
 */
struct scan_place {
	unsigned int line;
	unsigned int column;
};

/**
 * struct scan_error - what is wrong with a file
 * @at: where
 * @text: what, and what to do about it
 */
struct scan_error {
	struct scan_place at;
	char text[200];
};

/**
 * struct scan - a text that is read
 * @at: the next character
 * @end: the end of the text
 * @line_start: where the line of @at begins
 * @line: its number, from 1
 * @depth: for the caller: how deep it is in what it reads
 * @error: filled in at the first mistake
 * @failed: there was one
 */
struct scan {
	const char *at;
	const char *end;
	const char *line_start;
	unsigned int line;
	unsigned int depth;
	struct scan_error *error;
	bool failed;
};

/**
 * scan_place() - where the next character is
 * @p: the text
 */
struct scan_place scan_place(const struct scan *p);

/**
 * scan_fail_at() - note a mistake, if it is the first
 * @p: the text
 * @at: where it is
 * @fmt: printf format: what is wrong, and what to do about it
 *
 * Return: NULL.
 */
void *scan_fail_at(struct scan *p, struct scan_place at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same of a mistake at the next character. */
#define scan_fail(p, ...)	scan_fail_at(p, scan_place(p), __VA_ARGS__)

/**
 * scan_peek() - the next byte
 * @p: the text
 *
 * Return: the byte, -1 at the end.
 */
int scan_peek(const struct scan *p);

/**
 * scan_blanks() - go past blanks
 * @p: the text
 */
void scan_blanks(struct scan *p);

/**
 * scan_lines() - go past blanks, comments and ends of line
 * @p: the text
 *
 * Return: false after a mistake.
 */
bool scan_lines(struct scan *p);

/**
 * scan_line_end() - go past the end of this line
 * @p: the text, where nothing else may follow in the line
 *
 * Return: false after a mistake.
 */
bool scan_line_end(struct scan *p);

/**
 * scan_string() - read a string
 * @p: the text, at the quote that begins it
 *
 * Return: the string, the caller's to free, or NULL after a mistake.
 */
char *scan_string(struct scan *p);

#endif /* GMEMPOLICY_SCAN_H */
