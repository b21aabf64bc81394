// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which characters are shown, and how wide they are.  The decoder is strict: two
 * texts that differ in bytes must not look the same for being decoded alike.
 */
#define _GNU_SOURCE
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "gmem_text.h"

/* More on one letter only hides it. */
#define MARKS_MAX	2

static bool unicode;

void gmem_text_start(void)
{
	setlocale(LC_CTYPE, "");
	unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

bool gmem_text_unicode(void)
{
	return unicode;
}

size_t gmem_utf8_len(const char *text, uint32_t *c)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len, i;
	uint32_t v;

	len = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc2 ? 2 : *s < 0x80;
	if (!*s || !len || *s > 0xf4)
		return 0;
	v = len == 1 ? *s : *s & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s[i] & 0x3f);
	}
	/* Overlong, surrogates, and beyond Unicode. */
	if ((len == 3 && v < 0x800) || (len == 4 && v < 0x10000) ||
	    (v >= 0xd800 && v < 0xe000) || v > 0x10ffff)
		return 0;
	if (c)
		*c = v;
	return len;
}

static bool is_control(uint32_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0);
}

char *gmem_clean(char *dst, size_t size, const char *src)
{
	size_t at = 0, len;
	uint32_t c;

	while (*src) {
		len = gmem_utf8_len(src, &c);
		if (at + (len ? len : 1) >= size)
			break;
		if (!len || is_control(c)) {
			dst[at++] = '?';
			src += len ? len : 1;
			continue;
		}
		memcpy(dst + at, src, len);
		at += len;
		src += len;
	}
	dst[at] = '\0';
	return dst;
}

/*
 * Blanks of other kinds, what is not seen, what turns the direction of writing,
 * and what is a private matter between a text and a font.
 */
static bool is_hidden(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0xa0, 0xa0 }, { 0xad, 0xad }, { 0x34f, 0x34f },
		{ 0x61c, 0x61c }, { 0x115f, 0x1160 }, { 0x1680, 0x1680 },
		{ 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x2000, 0x200f },
		{ 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x2800, 0x2800 },
		{ 0x3000, 0x3000 }, { 0x3164, 0x3164 }, { 0xe000, 0xf8ff },
		{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
		{ 0xfff0, 0xffff }, { 0xe0000, 0x10ffff },
	};
	size_t i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* Columns of a character that may be shown, else -1. */
static int shown_width(uint32_t c)
{
	if (c < 0x80)
		return is_control(c) ? -1 : 1;
	if (!unicode || is_control(c) || is_hidden(c))
		return -1;
	return wcwidth(c);
}

char *gmem_printable(char *dst, size_t size, const char *src)
{
	int width, marks = MARKS_MAX;
	size_t at = 0, len;
	uint32_t c;

	while (*src) {
		len = gmem_utf8_len(src, &c);
		width = len ? shown_width(c) : -1;
		/* A mark belongs to a letter. */
		if (!width && marks++ >= MARKS_MAX)
			width = -1;
		if (at + (width < 0 ? 1 : len) >= size)
			break;
		if (width < 0) {
			dst[at++] = '?';
			/* Without Unicode it is bytes that one sees. */
			src += len && unicode ? len : 1;
			marks = MARKS_MAX;
			continue;
		}
		if (width)
			marks = c == ' ' ? MARKS_MAX : 0;
		memcpy(dst + at, src, len);
		at += len;
		src += len;
	}
	dst[at] = '\0';
	return dst;
}

int gmem_text_width(const char *text)
{
	int width = 0, w;
	uint32_t c;
	size_t len;

	/* Nearly all there is is ASCII. */
	for (; *text >= ' ' && *text <= '~'; text++)
		width++;
	for (; *text; text += len ? len : 1) {
		len = gmem_utf8_len(text, &c);
		w = len ? shown_width(c) : 1;
		width += w < 0 ? 1 : w;
	}
	return width;
}

size_t gmem_text_part(const char *text, int from, int width, const char **start)
{
	const char *at = text;
	int column = 0, w;
	uint32_t c;
	size_t len;

	*start = NULL;
	for (; *at; at += len ? len : 1) {
		len = gmem_utf8_len(at, &c);
		w = len ? shown_width(c) : 1;
		w = w < 0 ? 1 : w;
		/* A mark stays with the letter before it. */
		if (!*start && column >= from && (w || !column))
			*start = at;
		if (*start && column + w > from + width)
			break;
		column += w;
	}
	if (!*start)
		*start = at;
	return at - *start;
}

char *gmem_text_fit(char *dst, size_t size, const char *text, int width)
{
	const char *head, *tail;
	size_t head_len, tail_len;
	int whole = gmem_text_width(text), front, back;

	if (whole <= width && strlen(text) < size) {
		strcpy(dst, text);
		return dst;
	}
	/* What names begin with is read first; how they end tells them apart. */
	front = width / 2 + 1 < width ? width / 2 + 1 : width - 1;
	front = front < 0 ? 0 : front;
	back = width - 1 - front > 0 ? width - 1 - front : 0;
	head_len = gmem_text_part(text, 0, front, &head);
	tail_len = back ? gmem_text_part(text, whole - back, back, &tail) : 0;
	if (width < 1 || head_len + tail_len + 2 > size) {
		*dst = '\0';
		return dst;
	}
	memcpy(dst, head, head_len);
	dst[head_len] = GMEM_TEXT_CUT;
	if (tail_len)
		memcpy(dst + head_len + 1, tail, tail_len);
	dst[head_len + 1 + tail_len] = '\0';
	return dst;
}
