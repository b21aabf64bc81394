// SPDX-License-Identifier: GPL-2.0-only
/*
 * A parser by recursive descent that stops at the first mistake.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/scan.h"
#include "formats/toml.h"

/* Nobody writes this deep, and the stack is not endless. */
#define MAX_DEPTH	32

/* --------------------------------------------------------------- nodes */

static struct toml *new_node(struct scan *p, enum toml_type type)
{
	struct toml *node = calloc(1, sizeof(*node));

	if (!node)
		return scan_fail(p, "no memory; free some");
	node->type = type;
	node->at = scan_place(p);
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

static bool add_member(struct scan *p, struct toml *to, struct toml *node)
{
	struct toml **more;

	more = reallocarray(to->members, to->nr + 1, sizeof(*more));
	if (!more) {
		scan_fail(p, "no memory; free some");
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

/* --------------------------------------------------------------- values */

static struct toml *parse_value(struct scan *p);
static bool parse_pair(struct scan *p, struct toml *table);

static struct toml *parse_number(struct scan *p)
{
	struct toml *node = new_node(p, TOML_INTEGER);
	const char *start = p->at;
	bool negative = scan_peek(p) == '-';
	uint64_t value = 0;
	int digits = 0;

	if (!node)
		return NULL;
	if (scan_peek(p) == '-' || scan_peek(p) == '+')
		p->at++;
	for (;; p->at++) {
		int c = scan_peek(p);

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
			scan_fail_at(p, node->at, "the number is too large");
			goto fail;
		}
	}
	if (!digits || (digits > 1 && (start[0] == '0' ||
				       ((start[0] == '-' || start[0] == '+') &&
					start[1] == '0'))))
		goto bad;
	if (scan_peek(p) == '.' || scan_peek(p) == 'e' || scan_peek(p) == 'E' ||
	    scan_peek(p) == 'x' || scan_peek(p) == ':' ||
	    (scan_peek(p) == '-' && digits == 4))
		goto bad;
	node->number = negative ? (int64_t)-value : (int64_t)value;
	return node;
bad:
	scan_fail_at(p, node->at, "not a whole number in decimal; write one, without leading zeroes");
fail:
	toml_free(node);
	return NULL;
}

static struct toml *parse_word(struct scan *p)
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
	scan_fail(p, "no value; a text needs \"quotes\", else write a number, true or false");
	toml_free(node);
	return NULL;
}

static struct toml *parse_array(struct scan *p)
{
	struct toml *node = new_node(p, TOML_ARRAY), *item;

	if (!node)
		return NULL;
	p->at++;
	for (;;) {
		if (!scan_lines(p))
			goto fail;
		if (scan_peek(p) == ']')
			break;
		item = parse_value(p);
		if (!item || !add_member(p, node, item))
			goto fail;
		if (!scan_lines(p))
			goto fail;
		if (scan_peek(p) == ',') {
			p->at++;
		} else if (scan_peek(p) != ']') {
			scan_fail(p, "an array goes on with ',' or ends with ']'");
			goto fail;
		}
	}
	p->at++;
	return node;
fail:
	toml_free(node);
	return NULL;
}

static struct toml *parse_inline_table(struct scan *p)
{
	struct toml *node = new_node(p, TOML_TABLE);

	if (!node)
		return NULL;
	p->at++;
	scan_blanks(p);
	if (scan_peek(p) != '}') {
		for (;;) {
			scan_blanks(p);
			if (!parse_pair(p, node))
				goto fail;
			scan_blanks(p);
			if (scan_peek(p) == '}')
				break;
			if (scan_peek(p) != ',') {
				scan_fail(p, "a table in braces goes on with ',' or ends with '}', in one line");
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

static struct toml *parse_value(struct scan *p)
{
	struct toml *node = NULL;
	int c = scan_peek(p);

	if (p->depth == MAX_DEPTH)
		return scan_fail(p, "too deep; write it flatter");
	p->depth++;
	if (c == '"' || c == '\'') {
		node = new_node(p, TOML_STRING);
		if (node) {
			node->text = scan_string(p);
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
		scan_fail(p, "a value is missing behind '='");
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

static char *parse_key(struct scan *p)
{
	const char *start = p->at;
	char *key;

	if (scan_peek(p) == '"' || scan_peek(p) == '\'')
		return scan_string(p);
	while (is_bare(scan_peek(p)))
		p->at++;
	if (p->at == start)
		return scan_fail(p, "no name; one is made of letters, digits, '_' and '-', or in \"quotes\"");
	key = strndup(start, p->at - start);
	return key ?: scan_fail(p, "no memory; free some");
}

/*
 * A table on the way to another: made if it is not there.  One that has a
 * header is not to be added to by dotted keys from elsewhere, and one that has
 * dotted keys is not to get a header.
 */
static struct toml *step_into(struct scan *p, struct toml *table, char *key,
			      struct scan_place at, bool from_header)
{
	struct toml *next = find_member(table, key);

	if (next) {
		free(key);
		if (next->type == TOML_TABLE && !next->closed &&
		    (from_header || !next->defined))
			return next;
		return scan_fail_at(p, at, "'%s' is given already, in line %u; give it once",
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
static char *parse_path(struct scan *p, struct toml **table,
			struct scan_place *at, bool is_header)
{
	unsigned int parts = 0;
	char *key;

	for (;;) {
		scan_blanks(p);
		*at = scan_place(p);
		if (++parts > MAX_DEPTH)
			return scan_fail(p, "too deep; write it flatter");
		key = parse_key(p);
		if (!key)
			return NULL;
		scan_blanks(p);
		if (scan_peek(p) != '.')
			return key;
		p->at++;
		*table = step_into(p, *table, key, *at, is_header);
		if (!*table)
			return NULL;
	}
}

static bool parse_pair(struct scan *p, struct toml *table)
{
	struct scan_place at;
	struct toml *node, *other;
	char *key;

	key = parse_path(p, &table, &at, false);
	if (!key)
		return false;
	if (scan_peek(p) != '=') {
		scan_fail(p, "'=' is missing behind '%s'", key);
		goto fail;
	}
	p->at++;
	scan_blanks(p);
	other = find_member(table, key);
	if (other) {
		scan_fail_at(p, at, "'%s' is given already, in line %u; give it once",
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
static struct toml *parse_header(struct scan *p, struct toml *root)
{
	struct toml *table = root, *other;
	struct scan_place at;
	char *key;

	p->at++;
	if (scan_peek(p) == '[')
		return scan_fail(p, "arrays of tables are not used here; give the table a name, [policy.NAME]");
	key = parse_path(p, &table, &at, true);
	if (!key)
		return NULL;
	if (scan_peek(p) != ']') {
		free(key);
		return scan_fail(p, "']' is missing");
	}
	p->at++;
	other = find_member(table, key);
	if (other && (other->defined || other->dotted)) {
		free(key);
		return scan_fail_at(p, at, "the table '%s' is there already, in line %u; give it once",
				    other->key, other->at.line);
	}
	table = step_into(p, table, key, at, true);
	if (!table)
		return NULL;
	table->defined = true;
	return scan_line_end(p) ? table : NULL;
}

struct toml *toml_parse(const char *text, size_t size, struct scan_error *error)
{
	struct scan p = {
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
	while (table && scan_lines(&p) && scan_peek(&p) >= 0) {
		if (scan_peek(&p) == '[')
			table = parse_header(&p, root);
		else if (!parse_pair(&p, table) || !scan_line_end(&p))
			break;
	}
	if (!p.failed)
		return root;
	toml_free(root);
	return NULL;
}
