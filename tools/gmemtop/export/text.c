// SPDX-License-Identifier: GPL-2.0-only
/*
 * Appends to a text and makes it greater.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/text.h"
#include "gmem_text.h"

bool text_grow(struct text *t, size_t more)
{
	size_t room = t->room ? t->room : 65536;
	char *data;

	if (t->failed)
		return false;
	if (t->room - t->len >= more)
		return true;
	while (room - t->len < more)
		room *= 2;
	data = realloc(t->data, room);
	if (!data) {
		text_fail(t);
		return false;
	}
	t->data = data;
	t->room = room;
	return true;
}

void text_fail(struct text *t)
{
	free(t->data);
	*t = (struct text) { .failed = true };
}

void text_uint(struct text *t, uint64_t value)
{
	char text[20], *end = text + sizeof(text);
	char *digits = text_digits(value, end);

	text_add(t, digits, end - digits);
}

void text_value(struct text *t, double value)
{
	char text[64];

	if (text_is_whole(value))
		text_uint(t, value);
	else
		text_add(t, text, snprintf(text, sizeof(text), "%.9f", value));
}

/* Bytes of the UTF-8 character at @s, 0 if it is none that a label may have. */
static size_t label_len(const char *s)
{
	uint32_t c;
	size_t len = gmem_utf8_len(s, &c);

	return !len || c < ' ' || (c >= 0x7f && c < 0xa0) ? 0 : len;
}

/* Bytes at @s that stand for themselves. */
static size_t plain_len(const char *s)
{
	size_t len = 0;

	while (s[len] >= ' ' && s[len] < 0x7f && s[len] != '"' && s[len] != '\\')
		len++;
	return len;
}

/* The value of a label is any UTF-8; names of processes are any bytes at all. */
void text_quoted(struct text *t, const char *value)
{
	size_t len;

	for (;;) {
		len = plain_len(value);
		text_add(t, value, len);
		value += len;
		if (!*value)
			break;
		len = label_len(value);
		if (*value == '"' || *value == '\\')
			text_add(t, "\\", 1);
		text_add(t, len ? value : "?", len ? len : 1);
		value += len ? len : 1;
	}
}

void text_label(struct text *t, const char *name, const char *value)
{
	text_str(t, name);
	text_str(t, "=\"");
	text_quoted(t, value);
	text_str(t, "\"");
}
