/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A text that grows: words, numbers, and labels as Prometheus writes them.
 */
#ifndef GMEMTOP_TEXT_H
#define GMEMTOP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* From here on not every whole number is a double. */
#define EXACT_MAX	9007199254740992.0

/**
 * struct text - a text
 * @data: its bytes, without a zero at the end
 * @len: how many
 * @room: bytes that there is memory for
 * @failed: memory ran out, and from then on nothing is appended
 *
 * Starts as all zeroes.  What appends is here where it can be: with many VMs
 * nearly all of the time goes there.
 */
struct text {
	char *data;
	size_t len;
	size_t room;
	bool failed;
};

/**
 * text_grow() - make room
 * @t: the text
 * @more: bytes to have room for behind those there are
 *
 * Return: false if there is no memory.
 */
bool text_grow(struct text *t, size_t more);

/**
 * text_fail() - append nothing any more
 * @t: the text
 */
void text_fail(struct text *t);

/**
 * text_add() - append bytes
 * @t: the text
 * @bytes: the bytes
 * @len: how many
 */
static inline void text_add(struct text *t, const char *bytes, size_t len)
{
	if (t->room - t->len < len && !text_grow(t, len))
		return;
	memcpy(t->data + t->len, bytes, len);
	t->len += len;
}

/**
 * text_str() - append a word
 * @t: the text
 * @word: the word
 */
static inline void text_str(struct text *t, const char *word)
{
	text_add(t, word, strlen(word));
}

/**
 * text_uint() - append a number
 * @t: the text
 * @value: the number
 */
void text_uint(struct text *t, uint64_t value);

/**
 * text_value() - append a number with nine decimals, unless it is whole
 * @t: the text
 * @value: the number
 */
void text_value(struct text *t, double value);

/**
 * text_quoted() - append the value of a label, without the quotes
 * @t: the text
 * @value: any UTF-8, and of any other bytes a '?' each
 */
void text_quoted(struct text *t, const char *value);

/**
 * text_label() - append a label, name="value"
 * @t: the text
 * @name: its name
 * @value: see text_quoted()
 */
void text_label(struct text *t, const char *name, const char *value);

/* Digits of a number, at the end of the room for them. */
static inline char *text_digits(uint64_t value, char *end)
{
	do {
		*--end = '0' + value % 10;
		value /= 10;
	} while (value);
	return end;
}

/* Nearly all values are whole, and printf() is what costs here. */
static inline bool text_is_whole(double value)
{
	return value >= 0 && value < EXACT_MAX && value == (uint64_t)value;
}

#endif /* GMEMTOP_TEXT_H */
