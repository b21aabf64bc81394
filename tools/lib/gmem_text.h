/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Texts that others chose, such as names: as UTF-8 in data, and as what a
 * terminal can show.
 */
#ifndef GMEM_TEXT_H
#define GMEM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What stands for the middle that a text that is too wide has lost. */
#define GMEM_TEXT_CUT	'~'

/**
 * gmem_text_start() - use the encoding of the user's locale
 *
 * Only the encoding: numbers look the same in all languages.  Before it, and
 * with any encoding other than UTF-8, all that is shown is ASCII.
 */
void gmem_text_start(void);

/**
 * gmem_text_unicode() - can more than ASCII be shown?
 */
bool gmem_text_unicode(void);

/**
 * gmem_utf8_len() - look at a character
 * @s: a text
 * @c: set to its first character; may be NULL
 *
 * Return: how many bytes it has; 0 at the end, and if it is no UTF-8.
 */
size_t gmem_utf8_len(const char *s, uint32_t *c);

/**
 * gmem_clean() - copy a text as data: valid UTF-8 without control characters
 * @dst: where to
 * @size: bytes at @dst, at least 1
 * @src: where from
 *
 * A '?' takes the place of a control character, and of each byte that is no
 * UTF-8.  A text that is too long is cut, between two characters.
 *
 * Return: @dst, always terminated.
 */
char *gmem_clean(char *dst, size_t size, const char *src);

/**
 * gmem_printable() - copy a text that a terminal can show safely
 * @dst: where to
 * @size: bytes at @dst, at least 1
 * @src: where from
 *
 * What gmem_clean() replaces becomes '?', and so does a character that is not
 * seen, that looks like a blank, that turns the direction of writing, or that
 * marks no letter.  Without gmem_text_unicode() only ASCII is left.
 *
 * Return: @dst, always terminated.
 */
char *gmem_printable(char *dst, size_t size, const char *src);

/**
 * gmem_text_width() - columns that a text takes on the screen
 * @text: from gmem_printable()
 */
int gmem_text_width(const char *text);

/**
 * gmem_text_part() - a part of a text, by columns of the screen
 * @text: from gmem_printable()
 * @from: columns to leave out, 0 or more
 * @width: columns to take at most
 * @start: set to the first byte of the part
 *
 * A character that @from is in the middle of is left out, too.
 *
 * Return: bytes of the part.
 */
size_t gmem_text_part(const char *text, int from, int width, const char **start);

/**
 * gmem_text_fit() - copy a text, without its middle if it is too wide
 * @dst: where to
 * @size: bytes at @dst, at least 1
 * @text: from gmem_printable()
 * @width: columns to take at most
 *
 * Return: @dst.
 */
char *gmem_text_fit(char *dst, size_t size, const char *text, int width);

#endif /* GMEM_TEXT_H */
