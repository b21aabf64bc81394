// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tools/lib/gmem_common.c reads and writes: numbers, options and text
 * that is safe on a terminal.  Not here: the tools as a whole, which tests/cli
 * covers.
 */
#define _GNU_SOURCE
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

#include "kselftest_harness.h"

TEST(numbers)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.5", "ten",
	};
	uint64_t v = 42;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(-EINVAL, gmem_parse_uint(bad[i], &v));
	EXPECT_EQ(-ERANGE, gmem_parse_uint("18446744073709551616", &v));
	EXPECT_EQ(-ERANGE, gmem_parse_uint("99999999999999999999999", &v));
	EXPECT_EQ(42U, v);

	EXPECT_EQ(0, gmem_parse_uint("18446744073709551615", &v));
	EXPECT_EQ(UINT64_MAX, v);
	EXPECT_EQ(0, gmem_parse_uint("007", &v));
	EXPECT_EQ(7U, v);
}

TEST(seconds)
{
	static const char *const bad[] = {
		"", ".", "1.2.3", "-1", "1e3", "1s", " 1", "inf", "nan",
	};
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "0", 0 }, { "1", 1000000000 }, { ".5", 500000000 },
		{ "2.", 2000000000 }, { "0.000000001", 1 },
		{ "0.0000000019", 1 }, { "3600", 3600000000000 },
		{ "1.25", 1250000000 },
	};
	uint64_t ns = 42;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_EQ(-EINVAL, gmem_parse_seconds(bad[i], &ns));
	EXPECT_EQ(-ERANGE, gmem_parse_seconds("99999999999999999999", &ns));
	EXPECT_EQ(-ERANGE, gmem_parse_seconds("18446744073.8", &ns));
	EXPECT_EQ(-ERANGE, gmem_parse_seconds("18446744073.709551616", &ns));
	EXPECT_EQ(42U, ns);
	EXPECT_EQ(0, gmem_parse_seconds("18446744073.709551615", &ns));
	EXPECT_EQ(UINT64_MAX, ns);
	for (i = 0; i < ARRAY_LEN(good); i++) {
		EXPECT_EQ(0, gmem_parse_seconds(good[i].text, &ns));
		EXPECT_EQ(good[i].ns, ns);
	}
}

TEST(pages)
{
	static const struct {
		uint64_t pages;
		const char *text;
	} rows[] = {
		{ 0, "0K" }, { 1, "4K" }, { 255, "1020K" }, { 256, "1.00M" },
		{ 2559, "10.0M" }, { 25600, "100M" }, { 262143, "1.00G" },
		{ 262144, "1.00G" }, { 9437184, "36.0G" },
		{ 1ULL << 28, "1.00T" }, { 1ULL << 35, "128T" },
		{ 1ULL << 40, "4096T" },
	};
	char text[32];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		EXPECT_STREQ(rows[i].text,
			     gmem_format_pages(text, sizeof(text),
					       rows[i].pages));
}

TEST(formats_keep_to_five_characters)
{
	char text[32];
	uint64_t pages;
	double rate;

	for (pages = 1; pages < 1ULL << 41; pages += pages / 97 + 1)
		ASSERT_GE(5U, strlen(gmem_format_pages(text, sizeof(text),
						      pages)))
			TH_LOG("%lu pages: %s", (unsigned long)pages, text);
	for (rate = 0.001; rate < 9e9; rate *= 1.0037)
		ASSERT_GE(5U, strlen(gmem_format_rate(text, sizeof(text), rate)))
			TH_LOG("%f: %s", rate, text);
}

TEST(rates)
{
	static const struct {
		double rate;
		const char *text;
	} rows[] = {
		{ 0, "0" }, { 0.25, "0.25" }, { 9.99, "9.99" }, { 9.996, "10.0" },
		{ 99.94, "99.9" }, { 99.96, "100" }, { 9999, "9999" },
		{ 9999.6, "10.0k" }, { 56700, "56.7k" }, { 999400, "999k" },
		{ 999600, "1.00M" }, { 5e9, "5000M" },
	};
	char text[32];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		EXPECT_STREQ(rows[i].text,
			     gmem_format_rate(text, sizeof(text), rows[i].rate));
}

TEST(printable)
{
	char text[8];

	EXPECT_STREQ("a?b?~ ?", gmem_printable(text, sizeof(text),
					       "a\nb\x7f~ \xff""cut off"));
	EXPECT_STREQ("", gmem_printable(text, 1, "x"));
}

FIXTURE(options)
{
	bool batch, help, seen;
	uint64_t frames, delay;
	int sort;
	const char *name;
	struct gmem_option rows[8];
};

FIXTURE_SETUP(options)
{
	static const char *const choices[] = { "id", "pid", NULL };
	const struct gmem_option rows[] = {
		{ .name = "batch", .short_name = 'b', .type = GMEM_OPT_FLAG,
		  .target = &self->batch },
		{ .name = "frames", .short_name = 'n', .type = GMEM_OPT_UINT,
		  .arg = "N", .target = &self->frames, .seen = &self->seen,
		  .min = 1, .max = 100 },
		{ .name = "delay", .short_name = 'd', .type = GMEM_OPT_SECONDS,
		  .arg = "SECS", .target = &self->delay, .min = 10000000,
		  .max = 3600000000000 },
		{ .name = "sort", .type = GMEM_OPT_CHOICE, .arg = "COLUMN",
		  .target = &self->sort, .choices = choices },
		{ .name = "name", .type = GMEM_OPT_STRING, .arg = "TEXT",
		  .target = &self->name },
		GMEM_OPTION_HELP(&self->help),
		{ .type = GMEM_OPT_END },
	};

	memcpy(self->rows, rows, sizeof(rows));
}

FIXTURE_TEARDOWN(options)
{
}

#define PARSE(...)							\
	({								\
		char *argv_[] = { __VA_ARGS__ };			\
		gmem_parse_options(self->rows, ARRAY_LEN(argv_), argv_);\
	})

TEST_F(options, every_spelling)
{
	EXPECT_EQ(0, PARSE("-bn", "5", "-d0.5", "--sort=pid", "--name", "x"));
	EXPECT_TRUE(self->batch);
	EXPECT_TRUE(self->seen);
	EXPECT_EQ(5U, self->frames);
	EXPECT_EQ(500000000U, self->delay);
	EXPECT_EQ(1, self->sort);
	EXPECT_STREQ("x", self->name);
	EXPECT_EQ(0, PARSE("-n7"));
	EXPECT_EQ(7U, self->frames);
	EXPECT_FALSE(self->help);
}

TEST_F(options, words_move_to_the_front)
{
	char *argv[] = { "-b", "one", "-n", "3", "two", "-", "--", "-h" };

	EXPECT_EQ(4, gmem_parse_options(self->rows, ARRAY_LEN(argv), argv));
	EXPECT_STREQ("one", argv[0]);
	EXPECT_STREQ("two", argv[1]);
	EXPECT_STREQ("-", argv[2]);
	EXPECT_STREQ("-h", argv[3]);
	EXPECT_FALSE(self->help);
}

TEST_F(options, refusals)
{
	EXPECT_EQ(-1, PARSE("--frame", "3"));
	EXPECT_EQ(-1, PARSE("--frames"));
	EXPECT_EQ(-1, PARSE("-n"));
	EXPECT_EQ(-1, PARSE("-n", "0"));
	EXPECT_EQ(-1, PARSE("-n", "101"));
	EXPECT_EQ(-1, PARSE("-d", "3600.1"));
	EXPECT_EQ(-1, PARSE("-d", "0.009"));
	EXPECT_EQ(-1, PARSE("--sort", "size"));
	EXPECT_EQ(-1, PARSE("--name="));
	EXPECT_EQ(-1, PARSE("--batch=1"));
	EXPECT_EQ(-1, PARSE("-bx"));
	EXPECT_EQ(-1, PARSE("--"  "="));
	EXPECT_EQ(0U, self->frames);
}

TEST_HARNESS_MAIN
