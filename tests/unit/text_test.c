// SPDX-License-Identifier: GPL-2.0-only
/*
 * Texts of others, as data and on the screen; names that are too wide; and paths
 * of control groups as people write them.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "kselftest_harness.h"

#include "../../tools/gmemtop/figures/facts.c"
#include "../../tools/gmemtop/figures/shorten.c"
#include "../../tools/lib/gmem_cgroup.c"
#include "../../tools/lib/gmem_clock.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

static char text[512];

static const char *clean(const char *src)
{
	return gmem_clean(text, sizeof(text), src);
}

static const char *shown(const char *src)
{
	return gmem_printable(text, sizeof(text), src);
}

static const char *fit(const char *src, int width)
{
	return gmem_text_fit(text, sizeof(text), src, width);
}

static void use_utf8(bool on)
{
	setenv("LC_ALL", on ? "C.UTF-8" : "C", 1);
	gmem_text_start();
}

TEST(data_is_utf8_without_control_characters)
{
	EXPECT_STREQ(clean("fr\xc3\xbch"), "fr\xc3\xbch");
	EXPECT_STREQ(clean("a\n\x1b\x7f" "b"), "a???b");
	/* The second set of controls, as one character. */
	EXPECT_STREQ(clean("a\xc2\x9b" "31m"), "a?31m");
	/* Latin-1, overlong, a surrogate, beyond the end, cut off. */
	EXPECT_STREQ(clean("\xe4"), "?");
	EXPECT_STREQ(clean("\xc0\xaf"), "??");
	EXPECT_STREQ(clean("\xed\xa0\x80"), "???");
	EXPECT_STREQ(clean("\xf4\x90\x80\x80"), "????");
	EXPECT_STREQ(clean("\xe2\x82"), "??");
	/* Between two characters. */
	EXPECT_STREQ(gmem_clean(text, 4, "ab\xc3\xbc"), "ab");
	EXPECT_STREQ(gmem_clean(text, 5, "ab\xc3\xbc"), "ab\xc3\xbc");
}

TEST(the_screen_without_utf8_is_ascii)
{
	use_utf8(false);
	EXPECT_FALSE(gmem_text_unicode());
	EXPECT_STREQ(shown("fr\xc3\xbch"), "fr??h");
	EXPECT_STREQ(shown("a\n"), "a?");
}

TEST(the_screen_with_utf8_has_no_tricks)
{
	use_utf8(true);
	ASSERT_TRUE(gmem_text_unicode());
	EXPECT_STREQ(shown("fr\xc3\xbch \xe6\x97\xa5"), "fr\xc3\xbch \xe6\x97\xa5");
	/* Direction, joiners, blanks of other kinds, what has no width. */
	EXPECT_STREQ(shown("a\xe2\x80\xae" "b"), "a?b");
	EXPECT_STREQ(shown("a\xe2\x81\xa6" "b"), "a?b");
	EXPECT_STREQ(shown("a\xe2\x80\x8b" "b"), "a?b");
	EXPECT_STREQ(shown("a\xc2\xa0" "b"), "a?b");
	EXPECT_STREQ(shown("a\xe3\x80\x80" "b"), "a?b");
	EXPECT_STREQ(shown("a\xef\xbb\xbf"), "a?");
	EXPECT_STREQ(shown("\xf3\xa0\x81\x81"), "?");
	EXPECT_STREQ(shown("a\xc2\x9b"), "a?");
	EXPECT_STREQ(shown("\xff"), "?");
	/* A mark is on a letter, and not many of them. */
	EXPECT_STREQ(shown("e\xcc\x81"), "e\xcc\x81");
	EXPECT_STREQ(shown("\xcc\x81" "e"), "?e");
	EXPECT_STREQ(shown(" \xcc\x81"), " ?");
	EXPECT_STREQ(shown("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81"), "e\xcc\x81\xcc\x81??");
}

TEST(width_is_in_columns)
{
	use_utf8(true);
	EXPECT_EQ(5, gmem_text_width("fr\xc3\xbch1"));
	EXPECT_EQ(4, gmem_text_width("\xe6\x97\xa5\xe6\x9c\xac"));
	EXPECT_EQ(1, gmem_text_width("e\xcc\x81"));
}

TEST(what_is_too_wide_loses_its_middle)
{
	use_utf8(true);
	EXPECT_STREQ(fit("short", 5), "short");
	EXPECT_STREQ(fit("instance-00001045", 15), "instance~001045");
	EXPECT_STREQ(fit("abcdef", 1), "~");
	EXPECT_STREQ(fit("abcdef", 2), "a~");
	EXPECT_STREQ(fit("abcdef", 5), "abc~f");
	EXPECT_STREQ(fit("abcdef", 0), "");
	/* No half of a character, and no mark without its letter. */
	EXPECT_STREQ(fit("\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac", 6),
		     "\xe6\x97\xa5\xe6\x9c\xac~");
	EXPECT_STREQ(fit("abcde\xcc\x81" "f", 5), "abc~f");
	EXPECT_STREQ(fit("abcdee\xcc\x81", 5), "abc~e\xcc\x81");
}

#define NR_LOOKS	8

FIXTURE(looks) {
	struct facts facts;
};

FIXTURE_SETUP(looks)
{
	uint64_t ids[NR_LOOKS];
	size_t i;

	use_utf8(false);
	for (i = 0; i < NR_LOOKS; i++)
		ids[i] = i + 1;
	facts_keep(&self->facts, ids, sizeof(ids[0]), NR_LOOKS);
}

FIXTURE_TEARDOWN(looks)
{
	facts_free(&self->facts);
}

/* All look different that are, at every width; false if some don't. */
static bool look_different(struct facts *facts, const char *const *names, int width)
{
	size_t i, k;

	for (i = 0; i < NR_LOOKS; i++)
		facts_set(facts, &facts->vm[i], names[i], names[i]);
	facts->changed = true;
	shorten_all(facts, width, width);
	for (i = 0; i < NR_LOOKS; i++) {
		if (gmem_text_width(facts->vm[i].short_name) > width)
			return false;
		for (k = 0; k < i; k++)
			if (!strcmp(facts->vm[i].short_name,
				    facts->vm[k].short_name) &&
			    strcmp(facts_name(&facts->vm[i]),
				   facts_name(&facts->vm[k]))) {
				printf("# '%s' is seen for '%s' and '%s'\n",
				       facts->vm[i].short_name,
				       facts_name(&facts->vm[i]),
				       facts_name(&facts->vm[k]));
				return false;
			}
	}
	return true;
}

TEST_F(looks, names_that_differ_look_different)
{
	static const char *const sets[][NR_LOOKS] = {
		/* At the end, in the middle, at the beginning, in length. */
		{ "instance-00001045", "instance-00001046", "instance-00001047",
		  "instance-00001048", "instance-0000104", "instance-00001045",
		  NULL, "instance" },
		{ "prod-web-01-europe-central-1a", "prod-web-02-europe-central-1a",
		  "prod-web-03-europe-central-1a", "prod-web-11-europe-central-1a",
		  "prod-web-11-europf-central-1a", "prod-web-11-europe-central-1a",
		  "prod-web-11-europe-central-2a", "prod-web-11-europe-central-1b" },
		{ "a-long-name-of-a-guest-indeed", "b-long-name-of-a-guest-indeed",
		  "c-long-name-of-a-guest-indeed", "aa-long-name-of-a-guest-indeed",
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "aaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaa" },
		/* One that is called as another one looks. */
		{ "instance-00001045", "instance~001045", "instance-10001045",
		  "~ance-00001045", "~10001045", "~2", "~1", "~3" },
		/* In nothing that can be seen. */
		{ "fr\xc3\xbch", "fr\xc3\xb6h", "fr\xc3\xa4h", "fr??h", "x", "y", "z",
		  "fr\xc3\xbch" },
	};
	size_t i;
	int width;

	for (i = 0; i < ARRAY_LEN(sets); i++)
		for (width = 4; width < 40; width++) {
			EXPECT_TRUE(look_different(&self->facts, sets[i], width)) {
				TH_LOG("set %zu, width %d", i, width);
			}
		}
	/* What tells them apart is what is shown. */
	look_different(&self->facts, sets[1], 15);
	EXPECT_NE(strstr(self->facts.vm[0].short_name, "01"), NULL);
	EXPECT_NE(strstr(self->facts.vm[1].short_name, "02"), NULL);
}

TEST_F(looks, what_is_copied_lives_on)
{
	struct vm_facts copy = {};

	facts_set(&self->facts, &self->facts.vm[0], "web", "/a");
	EXPECT_EQ(0, facts_copy(&copy, &self->facts.vm[0]));
	facts_keep(&self->facts, NULL, 0, 0);
	EXPECT_STREQ("web", facts_name(&copy));
	EXPECT_STREQ("/a", facts_cgroup(&copy));
	facts_forget(&copy);
	EXPECT_STREQ("-", facts_name(&copy));
}

TEST(paths_of_control_groups)
{
	char path[16];

	EXPECT_EQ(gmem_cgroup_path(path, sizeof(path), "//a///b/"), NULL);
	EXPECT_STREQ(path, "/a/b");
	EXPECT_EQ(gmem_cgroup_path(path, sizeof(path), "/"), NULL);
	EXPECT_STREQ(path, "/");
	EXPECT_EQ(gmem_cgroup_path(path, sizeof(path), "/...a/.b"), NULL);
	EXPECT_STREQ(path, "/...a/.b");
	EXPECT_EQ(gmem_cgroup_path(path, sizeof(path), "/23456789012345"), NULL);
	EXPECT_NE(gmem_cgroup_path(path, sizeof(path), "/234567890123456"), NULL);
	EXPECT_NE(gmem_cgroup_path(path, sizeof(path), "/a/../b"), NULL);
	EXPECT_NE(gmem_cgroup_path(path, sizeof(path), "/a/."), NULL);
	EXPECT_NE(gmem_cgroup_path(path, sizeof(path), "a"), NULL);
	EXPECT_NE(gmem_cgroup_path(path, sizeof(path), ""), NULL);
	EXPECT_EQ(gmem_cgroup_path(path, sizeof(path), "/sys/fs/cgroupx"), NULL);
	EXPECT_STREQ(path, "/sys/fs/cgroupx");
}

TEST_HARNESS_MAIN
