// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tools/gmempolicy/formats/toml.c makes of a file: values as TOML 1.0 has
 * them, mistakes with their place, and no file that it does not survive.
 */
#include "../../tools/gmempolicy/formats/scan.c"
#include "../../tools/gmempolicy/formats/toml.c"

#include "gmem_common.h"
#include "kselftest_harness.h"

static struct toml *parse(const char *text, struct scan_error *error)
{
	memset(error, 0, sizeof(*error));
	return toml_parse(text, strlen(text), error);
}

/* The value at a path such as "policy.web.set.rate". */
static const struct toml *at(const struct toml *toml, const char *path)
{
	char key[64];

	while (toml && *path) {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		toml = toml->type == TOML_TABLE ? find_member(toml, key) : NULL;
		path += len + (path[len] == '.');
	}
	return toml;
}

TEST(values)
{
	static const char text[] =
		"\xef\xbb\xbf# comment \t\xc3\xa4\r\n"
		"top = 1\n"
		"[a]\n"
		"n = -9223372036854775808 # the least\n"
		"m = +9_223_372_036_854_775_807\n"
		"zero = 0\n"
		"yes = true\nno = false\n"
		"s = \"a\\tb\\\"c\\\\d\\u00e4\\U0001F600\" # not a comment in it: #\n"
		"l = 'C:\\x'\n"
		"e = \"\"\n"
		"\"quoted key\" = 'x # y'\n"
		"list = [ 1, [2,\n 3 ], # two lines\n 'x', ]\n"
		"t = { x = 1, y.z = 'deep', u = {} }\n"
		"[a.b.c]\n"
		"d.e = 5\n"
		"[a.b]\n"
		"f = 6\n"
		"[g]\nh.i = 7\nh.j = 8\n"
		"[g.h.k]\nl = '\xe2\x82\xac\xf0\x9f\x98\x80'";
	struct scan_error error;
	struct toml *root = parse(text, &error);

	ASSERT_NE(NULL, root) {
		TH_LOG("%u:%u: %s", error.at.line, error.at.column, error.text);
	}
	EXPECT_EQ(1, at(root, "top")->number);
	EXPECT_EQ(INT64_MIN, at(root, "a.n")->number);
	EXPECT_EQ(INT64_MAX, at(root, "a.m")->number);
	EXPECT_EQ(0, at(root, "a.zero")->number);
	EXPECT_TRUE(at(root, "a.yes")->flag);
	EXPECT_FALSE(at(root, "a.no")->flag);
	EXPECT_STREQ("a\tb\"c\\d\xc3\xa4\xf0\x9f\x98\x80", at(root, "a.s")->text);
	EXPECT_STREQ("C:\\x", at(root, "a.l")->text);
	EXPECT_STREQ("", at(root, "a.e")->text);
	EXPECT_STREQ("x # y", at(root, "a.quoted key")->text);
	ASSERT_EQ(3U, at(root, "a.list")->nr);
	EXPECT_EQ(3, at(root, "a.list")->members[1]->members[1]->number);
	EXPECT_STREQ("deep", at(root, "a.t.y.z")->text);
	EXPECT_EQ(0U, at(root, "a.t.u")->nr);
	EXPECT_EQ(5, at(root, "a.b.c.d.e")->number);
	EXPECT_EQ(6, at(root, "a.b.f")->number);
	EXPECT_EQ(8, at(root, "g.h.j")->number);
	EXPECT_STREQ("\xe2\x82\xac\xf0\x9f\x98\x80", at(root, "g.h.k.l")->text);
	/* Places, too: of the key and of the value. */
	EXPECT_EQ(4U, at(root, "a.n")->at.line);
	EXPECT_EQ(1U, at(root, "a.n")->at.column);
	EXPECT_EQ(5U, at(root, "a.n")->value_at.column);
	toml_free(root);

	root = parse("", &error);
	ASSERT_NE(NULL, root);
	EXPECT_EQ(0U, root->nr);
	toml_free(root);
}

TEST(mistakes)
{
	static const struct {
		const char *text;
		unsigned int line, column;
		const char *part;
	} bad[] = {
		{ "a", 1, 2, "'=' is missing" },
		{ "a = ", 1, 5, "a value is missing" },
		{ "a = # no", 1, 5, "a value is missing" },
		{ "a = b", 1, 5, "no value" },
		{ "a = 1 2", 1, 7, "something follows" },
		{ "\n\n  a = 01", 3, 7, "not a whole number" },
		{ "a = -", 1, 5, "not a whole number" },
		{ "a = 1__0", 1, 5, "not a whole number" },
		{ "a = 1_", 1, 5, "not a whole number" },
		{ "a = 1e3", 1, 5, "not a whole number" },
		{ "a = 2024-01-01", 1, 5, "not a whole number" },
		{ "a = 9223372036854775808", 1, 5, "too large" },
		{ "a = \"x", 1, 5, "not ended" },
		{ "a = 'x\n'", 1, 5, "not ended" },
		{ "a = \"\\x\"", 1, 7, "no such escape" },
		{ "a = \"\\u12\"", 1, 10, "4" },
		{ "a = \"\\ud800\"", 1, 12, "no character" },
		{ "a = \"\\u0000\"", 1, 12, "no character" },
		{ "a = \"\x01\"", 1, 6, "control character" },
		{ "# \x01", 1, 3, "control character" },
		{ "# a\rb", 1, 4, "control character" },
		{ "# a\r", 1, 4, "control character" },
		{ "# \xc3", 1, 3, "no UTF-8" },
		{ "# \xff", 1, 3, "no UTF-8" },
		{ "a = 'q\xff\xfe'", 1, 7, "no UTF-8" },
		{ "a = \"\xc0\x80\"", 1, 6, "no UTF-8" },
		{ "a = \"\xed\xa0\x80\"", 1, 6, "no UTF-8" },
		{ "a = \"\xf4\x90\x80\x80\"", 1, 6, "no UTF-8" },
		{ "\"\xe4\" = 1", 1, 2, "no UTF-8" },
		{ "[a.b]\n[a]\nb.c = 1", 3, 1, "already, in line 1" },
		{ "[a]\nb.c = 1\n[a.b]\nd = 1", 3, 4, "already, in line 2" },
		{ "a.b = 1\n[a]", 2, 2, "already, in line 1" },
		{ "a = [1 2]", 1, 8, "','" },
		{ "a = [1,,2]", 1, 8, "no value" },
		{ "a = [", 1, 6, "missing" },
		{ "a = {x=1", 1, 9, "'}'" },
		{ "a = {x=1,}", 1, 10, "no name" },
		{ "a = {x=1\n}", 1, 9, "'}'" },
		{ "a = {x=1,x=2}", 1, 10, "already" },
		{ "a = 1\na = 2", 2, 1, "already, in line 1" },
		{ "a = 1\na.b = 2", 2, 1, "already" },
		{ "a = {}\na.b = 2", 2, 1, "already" },
		{ "a = {}\n[a]", 2, 2, "already" },
		{ "[a]\n[a]", 2, 2, "already, in line 1" },
		{ "[a", 1, 3, "']' is missing" },
		{ "[a] b", 1, 5, "something follows" },
		{ "[]", 1, 2, "no name" },
		{ "[[a]]", 1, 2, "arrays of tables" },
		{ ".a = 1", 1, 1, "no name" },
		{ "a. = 1", 1, 4, "no name" },
	};
	struct scan_error error;
	struct toml *root;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		root = parse(bad[i].text, &error);
		EXPECT_EQ(NULL, root) {
			TH_LOG("accepted: %s", bad[i].text);
		}
		EXPECT_NE(NULL, strstr(error.text, bad[i].part)) {
			TH_LOG("'%s': %s", bad[i].text, error.text);
		}
		EXPECT_EQ(bad[i].line, error.at.line) {
			TH_LOG("%s", bad[i].text);
		}
		EXPECT_EQ(bad[i].column, error.at.column) {
			TH_LOG("%s", bad[i].text);
		}
		toml_free(root);
	}
}

/* Each of these is refused or not; it must not crash, hang or leak. */
TEST(anything)
{
	static const char alphabet[] = "a=.[]{}\"'\\,\n\r #1-_utrue\x80\x01";
	struct scan_error error;
	char text[64];
	unsigned int i, k;

	srand(5);
	for (i = 0; i < 200000; i++) {
		size_t len = rand() % sizeof(text);

		for (k = 0; k < len; k++)
			text[k] = alphabet[rand() % sizeof(alphabet)];
		toml_free(toml_parse(text, len, &error));
	}
}

TEST(depth)
{
	struct scan_error error;
	char *text = malloc(100001);

	ASSERT_NE(NULL, text);
	memset(text, '[', 100000);
	memcpy(text, "a=", 2);
	text[100000] = '\0';
	EXPECT_EQ(NULL, parse(text, &error));
	EXPECT_NE(NULL, strstr(error.text, "too deep"));
	free(text);
}

/* Parts of a key and of a header, whose tables are inside each other, too. */
TEST(depth_of_a_path)
{
	enum { PARTS = 500000 };
	struct scan_error error;
	char *text = malloc(2 * PARTS + 8);
	int i;

	ASSERT_NE(NULL, text);
	for (i = 0; i < PARTS; i++)
		memcpy(text + 2 * i, "a.", 2);
	strcpy(text + 2 * PARTS, "a=1");
	EXPECT_EQ(NULL, parse(text, &error));
	EXPECT_NE(NULL, strstr(error.text, "too deep"));
	EXPECT_EQ(1U, error.at.line);
	EXPECT_EQ(65U, error.at.column);
	text[0] = '[';
	text[1] = 'a';
	memcpy(text + 2 * PARTS - 1, "a]", 3);
	EXPECT_EQ(NULL, parse(text, &error));
	EXPECT_NE(NULL, strstr(error.text, "too deep"));
	free(text);
}

TEST_HARNESS_MAIN
