// SPDX-License-Identifier: GPL-2.0-only
/*
 * How gmempolicy's tables fit a screen, and what its JSON makes of numbers that
 * are too large for those who read it.
 */
#include <stdarg.h>

#include "kselftest_harness.h"

#include "../../tools/gmempolicy/formats/table.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

struct row {
	const char *name;
	uint64_t count;
	const char *help;
};

static struct value row_name(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->name);
}

static struct value row_count(const void *row)
{
	return UINT_VALUE(((const struct row *)row)->count);
}

static struct value row_help(const void *row)
{
	return TEXT_VALUE(((const struct row *)row)->help);
}

static const struct column columns[] = {
	{ "NAME", "name", row_name },
	{ "COUNT", "count", row_count },
	{ "MORE", "more", row_count },
	{ "HELP", "help", row_help },
	{}
};

static const struct row rows[] = {
	{ "a-name-that-ends-in-1", 17, "words that go on and on and on" },
	{ "a-name-that-ends-in-2", 9007199254740993ULL, "few" },
};

static const struct table table = {
	.key = "rows",
	.columns = columns,
	.rows = rows,
	.row_size = sizeof(*rows),
	.nr_rows = ARRAY_LEN(rows),
	.spare = "more nonsense",
	.prose = "help",
};

/* What is printed on a screen of so many columns. */
static char *printed(const struct table *tables, unsigned int width, bool json)
{
	static char text[4096];
	const struct screen screen = { .columns = width };
	FILE *out = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t len;

	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	tables_fit(&screen);
	tables_print(tables, 1, json);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(out);
	len = fread(text, 1, sizeof(text) - 1, out);
	text[len] = '\0';
	fclose(out);
	return text;
}

static unsigned int widest(const char *text)
{
	unsigned int most = 0, len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		most = len > most ? len : most;
	}
	return most;
}

TEST(cut_in_the_middle)
{
	char dst[64];

	EXPECT_STREQ(table_cut(dst, "web-1", 5), "web-1");
	EXPECT_STREQ(table_cut(dst, "instance-0001", 8), "ins..001");
	EXPECT_STREQ(table_cut(dst, "instance-0001", 7), "ins..01");
	EXPECT_STREQ(table_cut(dst, "abc", 2), "ab");
	EXPECT_STREQ(table_cut(dst, "abc", 0), "");
}

TEST(cut_between_characters)
{
	char dst[64];

	EXPECT_STREQ(table_cut(dst, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc", 6),
		     "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc");
	EXPECT_STREQ(table_cut(dst, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc", 4),
		     "\xc3\xa4..\xc3\xbc");
}

TEST(as_wide_as_it_takes_without_a_screen)
{
	char *text = printed(&table, 0, false);

	EXPECT_NE(strstr(text, "a-name-that-ends-in-1"), NULL);
	EXPECT_NE(strstr(text, "MORE"), NULL);
	EXPECT_NE(strstr(text, "words that go on and on and on\n"), NULL);
}

TEST(spare_columns_go_first)
{
	char *text = printed(&table, 75, false);

	EXPECT_LE(widest(text), 75);
	EXPECT_EQ(strstr(text, "MORE"), NULL);
	EXPECT_NE(strstr(text, "a-name-that-ends-in-1"), NULL);
}

TEST(then_texts_are_narrower_and_numbers_never)
{
	char *text;
	int width;

	for (width = 70; width >= 48; width--) {
		text = printed(&table, width, false);
		EXPECT_LE(widest(text), width);
		/* What they differ in stays to be seen, and no word of prose. */
		EXPECT_NE(strstr(text, "-1 "), NULL);
		EXPECT_NE(strstr(text, "-2 "), NULL);
		EXPECT_NE(strstr(text, "9007199254740993"), NULL);
		EXPECT_NE(strstr(text, "words"), NULL);
		EXPECT_NE(strstr(text, "go on"), NULL);
		EXPECT_EQ(strstr(text, " \n"), NULL);
	}
}

TEST(texts_first)
{
	struct table texts = table;
	char *text;

	texts.texts_first = true;
	text = printed(&texts, 75, false);
	EXPECT_LE(widest(text), 75);
	EXPECT_NE(strstr(text, "MORE"), NULL);
	EXPECT_EQ(strstr(text, "a-name-that-ends-in-1"), NULL);
	/* What is left out gives its room to the texts. */
	text = printed(&texts, 60, false);
	EXPECT_LE(widest(text), 60);
	EXPECT_EQ(strstr(text, "MORE"), NULL);
	EXPECT_NE(strstr(text, "a-name-t"), NULL);
}

TEST(a_screen_that_is_too_narrow_for_anything)
{
	EXPECT_NE(strstr(printed(&table, 1, false), "9007199254740993"), NULL);
}

TEST(large_numbers_have_a_text_in_json)
{
	char *text = printed(&table, 0, true);

	EXPECT_NE(strstr(text, "\"count_text\":\"9007199254740993\""), NULL);
	EXPECT_EQ(strstr(text, "\"count_text\":\"17\""), NULL);
	/* Nor is JSON made to fit. */
	EXPECT_NE(strstr(printed(&table, 20, true), "a-name-that-ends-in-1"), NULL);
}

TEST_HARNESS_MAIN
