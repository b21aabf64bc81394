// SPDX-License-Identifier: GPL-2.0-only
/*
 * A parser by recursive descent that stops at the first mistake.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/toml.h"
#include "gmem_common.h"

/* Nobody writes this deep, and the stack is not endless. */
#define MAX_DEPTH	32

struct parser {
	const char *at;
	const char *end;
	const char *line_start;
	unsigned int line;
	unsigned int depth;
	struct toml_error *error;
	bool failed;
};

static struct toml_place place(const struct parser *p)
{
	return (struct toml_place){ p->line, p->at - p->line_start + 1 };
}

__attribute__((format(printf, 3, 4)))
static void *fail_at(struct parser *p, struct toml_place at, const char *fmt,
		     ...)
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

#define fail(p, ...)	fail_at(p, place(p), __VA_ARGS__)

static int peek(const struct parser *p)
{
	return p->at < p->end ? (unsigned char)*p->at : -1;
}

static void skip_blanks(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t')
		p->at++;
}

static void newline(struct parser *p)
{
	p->at++;
	p->line++;
	p->line_start = p->at;
}

/*
 * Bytes of the character here: 1 to 4, or 0 if it is none in UTF-8, which has
 * no longer form than needed, no surrogates and nothing above U+10FFFF.
 */
static size_t char_length(const struct parser *p)
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

static bool check_char(struct parser *p)
{
	if (char_length(p))
		return true;
	fail(p, "a byte that is no UTF-8; save the file as UTF-8");
	return false;
}

static bool skip_comment(struct parser *p)
{
	int c;

	if (peek(p) != '#')
		return true;
	while ((c = peek(p)) >= 0 && c != '\n') {
		/* The end of a line may be of two characters. */
		if (c == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
			break;
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			fail(p, "a control character in a comment; remove it");
			return false;
		}
		if (!check_char(p))
			return false;
		p->at += char_length(p);
	}
	return true;
}

/* Blanks, comments and ends of line. */
static bool skip_lines(struct parser *p)
{
	for (;;) {
		skip_blanks(p);
		if (!skip_comment(p))
			return false;
		if (peek(p) == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
			p->at++;
		if (peek(p) != '\n')
			return true;
		newline(p);
	}
}

static bool end_line(struct parser *p)
{
	skip_blanks(p);
	if (!skip_comment(p))
		return false;
	if (peek(p) == '\r' && p->at + 1 < p->end && p->at[1] == '\n')
		p->at++;
	if (peek(p) < 0)
		return true;
	if (peek(p) != '\n') {
		fail(p, "something follows where the line should end; begin a new line");
		return false;
	}
	newline(p);
	return true;
}

/* --------------------------------------------------------------- nodes */

static struct toml *new_node(struct parser *p, enum toml_type type)
{
	struct toml *node = calloc(1, sizeof(*node));

	if (!node)
		return fail(p, "no memory; free some");
	node->type = type;
	node->at = place(p);
	node->value_at = node->at;
	return node;
}

void toml_free(struct toml *toml)
{
	size_t i;

	if (!toml)
		return;
	for (i = 0; i < toml->nr; i++)
		toml_free(toml->members[i]);
	free(toml->members);
	free(toml->key);
	free(toml->text);
	free(toml);
}

static bool add_member(struct parser *p, struct toml *to, struct toml *node)
{
	struct toml **more;

	more = reallocarray(to->members, to->nr + 1, sizeof(*more));
	if (!more) {
		fail(p, "no memory; free some");
		toml_free(node);
		return false;
	}
	to->members = more;
	more[to->nr++] = node;
	return true;
}

static struct toml *find_member(const struct toml *table, const char *key)
{
	size_t i;

	for (i = 0; i < table->nr; i++) {
		if (!strcmp(table->members[i]->key, key))
			return table->members[i];
	}
	return NULL;
}

const char *toml_type_name(enum toml_type type)
{
	static const char *const names[] = {
		[TOML_TABLE] = "table",
		[TOML_ARRAY] = "array",
		[TOML_STRING] = "text in quotes",
		[TOML_INTEGER] = "number",
		[TOML_BOOLEAN] = "true or false",
	};

	return names[type];
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
static char *parse_escape(struct parser *p, char *dst)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = peek(p), digits, digit;
	const char *simple;
	uint32_t value = 0;

	simple = c > 0 ? strchr(from, c) : NULL;
	if (simple) {
		p->at++;
		*dst++ = to[simple - from];
		return dst;
	}
	if (c != 'u' && c != 'U')
		return fail(p, "no such escape; for a backslash write two, or use 'single quotes'");
	digits = c == 'u' ? 4 : 8;
	p->at++;
	while (digits--) {
		digit = hex_digit(peek(p));
		if (digit < 0)
			return fail(p, "\\u takes 4 and \\U takes 8 hexadecimal digits");
		value = value << 4 | digit;
		p->at++;
	}
	if (!value || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return fail(p, "the escape is no character that can stand here");
	return put_utf8(dst, value);
}

static char *parse_string(struct parser *p)
{
	struct toml_place begin = place(p);
	char quote = *p->at++, *text, *dst;
	size_t len;
	int c;

	if (p->end - p->at >= 2 && p->at[0] == quote && p->at[1] == quote)
		return fail_at(p, begin, "texts of several lines are not used here; write it in one line");
	text = malloc(p->end - p->at + 1);
	if (!text)
		return fail(p, "no memory; free some");
	dst = text;
	while ((c = peek(p)) != quote) {
		if (c < 0 || c == '\n') {
			fail_at(p, begin, "the text is not ended in its line; add a %c",
				quote);
			goto fail;
		}
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			fail(p, "a control character in a text; write it as an escape");
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

/* --------------------------------------------------------------- values */

static struct toml *parse_value(struct parser *p);
static bool parse_pair(struct parser *p, struct toml *table);

static struct toml *parse_number(struct parser *p)
{
	struct toml *node = new_node(p, TOML_INTEGER);
	const char *start = p->at;
	bool negative = peek(p) == '-';
	uint64_t value = 0;
	int digits = 0;

	if (!node)
		return NULL;
	if (peek(p) == '-' || peek(p) == '+')
		p->at++;
	for (;; p->at++) {
		int c = peek(p);

		if (c == '_') {
			/* Between two digits only. */
			if (!digits || p->at + 1 >= p->end ||
			    p->at[1] < '0' || p->at[1] > '9')
				goto bad;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		digits++;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, c - '0', &value) ||
		    value > (uint64_t)INT64_MAX + negative) {
			fail_at(p, node->at, "the number is too large");
			goto fail;
		}
	}
	if (!digits || (digits > 1 && (start[0] == '0' ||
				       ((start[0] == '-' || start[0] == '+') &&
					start[1] == '0'))))
		goto bad;
	if (peek(p) == '.' || peek(p) == 'e' || peek(p) == 'E' ||
	    peek(p) == 'x' || peek(p) == ':' ||
	    (peek(p) == '-' && digits == 4))
		goto bad;
	node->number = negative ? (int64_t)-value : (int64_t)value;
	return node;
bad:
	fail_at(p, node->at, "not a whole number in decimal; write one, without leading zeroes");
fail:
	toml_free(node);
	return NULL;
}

static struct toml *parse_word(struct parser *p)
{
	struct toml *node = new_node(p, TOML_BOOLEAN);
	size_t left = p->end - p->at;

	if (!node)
		return NULL;
	if (left >= 4 && !memcmp(p->at, "true", 4)) {
		node->flag = true;
		p->at += 4;
		return node;
	}
	if (left >= 5 && !memcmp(p->at, "false", 5)) {
		p->at += 5;
		return node;
	}
	fail(p, "no value; a text needs \"quotes\", else write a number, true or false");
	toml_free(node);
	return NULL;
}

static struct toml *parse_array(struct parser *p)
{
	struct toml *node = new_node(p, TOML_ARRAY), *item;

	if (!node)
		return NULL;
	p->at++;
	for (;;) {
		if (!skip_lines(p))
			goto fail;
		if (peek(p) == ']')
			break;
		item = parse_value(p);
		if (!item || !add_member(p, node, item))
			goto fail;
		if (!skip_lines(p))
			goto fail;
		if (peek(p) == ',') {
			p->at++;
		} else if (peek(p) != ']') {
			fail(p, "an array goes on with ',' or ends with ']'");
			goto fail;
		}
	}
	p->at++;
	return node;
fail:
	toml_free(node);
	return NULL;
}

static struct toml *parse_inline_table(struct parser *p)
{
	struct toml *node = new_node(p, TOML_TABLE);

	if (!node)
		return NULL;
	p->at++;
	skip_blanks(p);
	if (peek(p) != '}') {
		for (;;) {
			skip_blanks(p);
			if (!parse_pair(p, node))
				goto fail;
			skip_blanks(p);
			if (peek(p) == '}')
				break;
			if (peek(p) != ',') {
				fail(p, "a table in braces goes on with ',' or ends with '}', in one line");
				goto fail;
			}
			p->at++;
		}
	}
	p->at++;
	node->closed = true;
	return node;
fail:
	toml_free(node);
	return NULL;
}

static struct toml *parse_value(struct parser *p)
{
	struct toml *node = NULL;
	int c = peek(p);

	if (p->depth == MAX_DEPTH)
		return fail(p, "too deep; write it flatter");
	p->depth++;
	if (c == '"' || c == '\'') {
		node = new_node(p, TOML_STRING);
		if (node) {
			node->text = parse_string(p);
			if (!node->text) {
				toml_free(node);
				node = NULL;
			}
		}
	} else if (c == '[') {
		node = parse_array(p);
	} else if (c == '{') {
		node = parse_inline_table(p);
	} else if ((c >= '0' && c <= '9') || c == '-' || c == '+') {
		node = parse_number(p);
	} else if (c < 0 || c == '\n' || c == '\r' || c == '#') {
		fail(p, "a value is missing behind '='");
	} else {
		node = parse_word(p);
	}
	p->depth--;
	return node;
}

/* ----------------------------------------------------------------- keys */

static bool is_bare(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static char *parse_key(struct parser *p)
{
	const char *start = p->at;
	char *key;

	if (peek(p) == '"' || peek(p) == '\'')
		return parse_string(p);
	while (is_bare(peek(p)))
		p->at++;
	if (p->at == start)
		return fail(p, "no name; one is made of letters, digits, '_' and '-', or in \"quotes\"");
	key = strndup(start, p->at - start);
	return key ?: fail(p, "no memory; free some");
}

/*
 * A table on the way to another: made if it is not there.  One that has a
 * header is not to be added to by dotted keys from elsewhere, and one that has
 * dotted keys is not to get a header.
 */
static struct toml *step_into(struct parser *p, struct toml *table, char *key,
			      struct toml_place at, bool from_header)
{
	struct toml *next = find_member(table, key);

	if (next) {
		free(key);
		if (next->type == TOML_TABLE && !next->closed &&
		    (from_header || !next->defined))
			return next;
		return fail_at(p, at, "'%s' is given already, in line %u; give it once",
			       next->key, next->at.line);
	}
	next = new_node(p, TOML_TABLE);
	if (!next) {
		free(key);
		return NULL;
	}
	next->key = key;
	next->at = at;
	next->dotted = !from_header;
	return add_member(p, table, next) ? next : NULL;
}

/* Reads "a.b.c" up to its last part, which is the caller's to free. */
static char *parse_path(struct parser *p, struct toml **table,
			struct toml_place *at, bool is_header)
{
	unsigned int parts = 0;
	char *key;

	for (;;) {
		skip_blanks(p);
		*at = place(p);
		if (++parts > MAX_DEPTH)
			return fail(p, "too deep; write it flatter");
		key = parse_key(p);
		if (!key)
			return NULL;
		skip_blanks(p);
		if (peek(p) != '.')
			return key;
		p->at++;
		*table = step_into(p, *table, key, *at, is_header);
		if (!*table)
			return NULL;
	}
}

static bool parse_pair(struct parser *p, struct toml *table)
{
	struct toml_place at;
	struct toml *node, *other;
	char *key;

	key = parse_path(p, &table, &at, false);
	if (!key)
		return false;
	if (peek(p) != '=') {
		fail(p, "'=' is missing behind '%s'", key);
		goto fail;
	}
	p->at++;
	skip_blanks(p);
	other = find_member(table, key);
	if (other) {
		fail_at(p, at, "'%s' is given already, in line %u; give it once",
			key, other->at.line);
		goto fail;
	}
	node = parse_value(p);
	if (!node)
		goto fail;
	node->key = key;
	node->at = at;
	return add_member(p, table, node);
fail:
	free(key);
	return false;
}

/* "[a.b]": the table that the lines below are in. */
static struct toml *parse_header(struct parser *p, struct toml *root)
{
	struct toml *table = root, *other;
	struct toml_place at;
	char *key;

	p->at++;
	if (peek(p) == '[')
		return fail(p, "arrays of tables are not used here; give the table a name, [policy.NAME]");
	key = parse_path(p, &table, &at, true);
	if (!key)
		return NULL;
	if (peek(p) != ']') {
		free(key);
		return fail(p, "']' is missing");
	}
	p->at++;
	other = find_member(table, key);
	if (other && (other->defined || other->dotted)) {
		free(key);
		return fail_at(p, at, "the table '%s' is there already, in line %u; give it once",
			       other->key, other->at.line);
	}
	table = step_into(p, table, key, at, true);
	if (!table)
		return NULL;
	table->defined = true;
	return end_line(p) ? table : NULL;
}

struct toml *toml_parse(const char *text, size_t size, struct toml_error *error)
{
	struct parser p = {
		.at = text,
		.end = text + size,
		.line_start = text,
		.line = 1,
		.error = error,
	};
	struct toml *root, *table;

	/* A mark that some editors put at the start of a file. */
	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		p.at += 3;
	root = new_node(&p, TOML_TABLE);
	table = root;
	while (table && skip_lines(&p) && peek(&p) >= 0) {
		if (peek(&p) == '[')
			table = parse_header(&p, root);
		else if (!parse_pair(&p, table) || !end_line(&p))
			break;
	}
	if (!p.failed)
		return root;
	toml_free(root);
	return NULL;
}
