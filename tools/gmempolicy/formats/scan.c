// SPDX-License-Identifier: GPL-2.0-only
/*
 * Goes through a text character by character.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/scan.h"

struct scan_place scan_place(const struct scan *p)
{
	return (struct scan_place){ p->line, p->at - p->line_start + 1 };
}

void *scan_fail_at(struct scan *p, struct scan_place at, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return NULL;
	p->failed = true;
	p->error->at = at;
	va_start(ap, fmt);
	vsnprintf(p->error->text, sizeof(p->error->text), fmt, ap);
	va_end(ap);
	return NULL;
}

int scan_peek(const struct scan *p)
{
	return p->at < p->end ? (unsigned char)*p->at : -1;
}

void scan_blanks(struct scan *p)
{
	while (scan_peek(p) == ' ' || scan_peek(p) == '\t')
		p->at++;
}

static void newline(struct scan *p)
{
	p->at++;
	p->line++;
	p->line_start = p->at;
}

/*
 * Bytes of the character here: 1 to 4, or 0 if it is none in UTF-8, which has
 * no longer form than needed, no surrogates and nothing above U+10FFFF.
 */
static size_t char_length(const struct scan *p)
{
	const unsigned char *c = (const unsigned char *)p->at;
	size_t left = p->end - p->at, len, i;
	unsigned int least = 0x80, most = 0xbf;

	if (c[0] < 0x80)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	len = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	if (c[0] == 0xe0)
		least = 0xa0;
	else if (c[0] == 0xed)
		most = 0x9f;
	else if (c[0] == 0xf0)
		least = 0x90;
	else if (c[0] == 0xf4)
		most = 0x8f;
	if (left < len || c[1] < least || c[1] > most)
		return 0;
	for (i = 2; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

static bool check_char(struct scan *p)
{
	if (char_length(p))
		return true;
	scan_fail(p, "a byte that is no UTF-8; save the file as UTF-8");
	return false;
}

static bool skip_comment(struct scan *p)
{
	int c;

	if (scan_peek(p) != '#')
		return true;
	while ((c = scan_peek(p)) >= 0 && c != '\n') {
		/* The end of a line may be of two characters. */
		if (c == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
			break;
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			scan_fail(p, "a control character in a comment; remove it");
			return false;
		}
		if (!check_char(p))
			return false;
		p->at += char_length(p);
	}
	return true;
}

bool scan_lines(struct scan *p)
{
	for (;;) {
		scan_blanks(p);
		if (!skip_comment(p))
			return false;
		if (scan_peek(p) == '\r' && p->at + 1 < p->end &&
		    p->at[1] == '\n')
			p->at++;
		if (scan_peek(p) != '\n')
			return true;
		newline(p);
	}
}

bool scan_line_end(struct scan *p)
{
	scan_blanks(p);
	if (!skip_comment(p))
		return false;
	if (scan_peek(p) == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
		p->at++;
	if (scan_peek(p) < 0)
		return true;
	if (scan_peek(p) != '\n') {
		scan_fail(p, "something follows where the line should end; begin a new line");
		return false;
	}
	newline(p);
	return true;
}

/* ------------------------------------------------------------- strings */

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static char *put_utf8(char *dst, uint32_t c)
{
	if (c < 0x80) {
		*dst++ = c;
	} else if (c < 0x800) {
		*dst++ = 0xc0 | c >> 6;
		*dst++ = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		*dst++ = 0xe0 | c >> 12;
		*dst++ = 0x80 | (c >> 6 & 0x3f);
		*dst++ = 0x80 | (c & 0x3f);
	} else {
		*dst++ = 0xf0 | c >> 18;
		*dst++ = 0x80 | (c >> 12 & 0x3f);
		*dst++ = 0x80 | (c >> 6 & 0x3f);
		*dst++ = 0x80 | (c & 0x3f);
	}
	return dst;
}

/* Behind the backslash.  No escape is shorter than what it stands for. */
static char *parse_escape(struct scan *p, char *dst)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = scan_peek(p), digits, digit;
	const char *simple;
	uint32_t value = 0;

	simple = c > 0 ? strchr(from, c) : NULL;
	if (simple) {
		p->at++;
		*dst++ = to[simple - from];
		return dst;
	}
	if (c != 'u' && c != 'U')
		return scan_fail(p, "no such escape; for a backslash write two, or use 'single quotes'");
	digits = c == 'u' ? 4 : 8;
	p->at++;
	while (digits--) {
		digit = hex_digit(scan_peek(p));
		if (digit < 0)
			return scan_fail(p, "\\u takes 4 and \\U takes 8 hexadecimal digits");
		value = value << 4 | digit;
		p->at++;
	}
	if (!value || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return scan_fail(p, "the escape is no character that can stand here");
	return put_utf8(dst, value);
}

char *scan_string(struct scan *p)
{
	struct scan_place begin = scan_place(p);
	char quote = *p->at++, *text, *dst;
	size_t len;
	int c;

	if (p->end - p->at >= 2 && p->at[0] == quote && p->at[1] == quote)
		return scan_fail_at(p, begin, "texts of several lines are not used here; write it in one line");
	text = malloc(p->end - p->at + 1);
	if (!text)
		return scan_fail(p, "no memory; free some");
	dst = text;
	while ((c = scan_peek(p)) != quote) {
		if (c < 0 || c == '\n') {
			scan_fail_at(p, begin, "the text is not ended in its line; add a %c",
				     quote);
			goto fail;
		}
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			scan_fail(p, "a control character in a text; write it as an escape");
			goto fail;
		}
		if (!check_char(p))
			goto fail;
		len = char_length(p);
		if (c == '\\' && quote == '"') {
			p->at++;
			dst = parse_escape(p, dst);
			if (!dst)
				goto fail;
		} else {
			memcpy(dst, p->at, len);
			dst += len;
			p->at += len;
		}
	}
	p->at++;
	*dst = '\0';
	return text;
fail:
	free(text);
	return NULL;
}
