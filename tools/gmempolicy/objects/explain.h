/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why an object is refused, in words: what libbpf and the verifier say is for
 * those who wrote them.
 */
#ifndef GMEMPOLICY_EXPLAIN_H
#define GMEMPOLICY_EXPLAIN_H

#include <stddef.h>

/**
 * explain_open() - print one line about an object that cannot be opened
 * @err: the error
 * @shown: what to call the object
 */
void explain_open(int err, const char *shown);

/**
 * explain_load() - print one line about an object that cannot be loaded
 * @err: the error
 * @shown: what to call the object
 * @log: the verifier's log, empty if it did not come to that
 */
void explain_load(int err, const char *shown, const char *log);

/**
 * explain_complaint() - what the verifier complained of
 * @log: its log
 * @complaint: set to its own last words, @size bytes
 * @source: set to the line of source it was at, empty if not known
 * @size: bytes at each of them
 *
 * Return: an explanation with a remedy, NULL if none is known.
 */
const char *explain_complaint(const char *log, char *complaint, char *source,
			      size_t size);

/**
 * explain_libbpf() - what libbpf warned of
 *
 * Return: as explain_complaint().
 */
const char *explain_libbpf(void);

#endif /* GMEMPOLICY_EXPLAIN_H */
