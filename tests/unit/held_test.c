// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is held back by what, how near a VM is to a limit, and what a pin lives by.
 */
#include <stdarg.h>

#include "kselftest_harness.h"

#include "../../tools/gmempolicy/attached/depends.c"
#include "../../tools/gmempolicy/attached/held.c"
#include "../../tools/gmempolicy/attached/limits.c"
#include "../../tools/gmempolicy/formats/rows.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

#define SEC	1000000000ULL
#define TOKENS	1000000000LL

/* Limits take what they need of parameters from here. */
uint64_t param_load(const struct param *param, const void *at)
{
	return ((const uint64_t *)at)[param->offset];
}

static double bucket(int64_t credit, uint64_t last, uint64_t rate,
		     uint64_t burst, uint64_t now)
{
	struct limit limit;

	limit_of_bucket(&limit, credit, last, rate, burst, now);
	return limit_percent(&limit);
}

TEST(a_bucket_fills_while_nobody_uses_it)
{
	EXPECT_EQ(bucket(0, 5 * SEC, 1, 10, 5 * SEC), 100);
	EXPECT_EQ(bucket(0, 5 * SEC, 1, 10, 10 * SEC), 50);
	EXPECT_EQ(bucket(0, 5 * SEC, 1, 10, 15 * SEC), 0);
	EXPECT_EQ(bucket(0, 5 * SEC, 1, 10, 1000000 * SEC), 0);
	/* Not while it is in use. */
	EXPECT_EQ(bucket(0, 5 * SEC, 1000, 10, 6 * SEC), 100);
	EXPECT_EQ(bucket(0, 5 * SEC, 1000, 10, 6 * SEC + 1), 0);
	/* Debt is beyond the limit, and one that was never used is full. */
	EXPECT_EQ(bucket(-5 * TOKENS, 5 * SEC, 1, 10, 5 * SEC), 150);
	EXPECT_EQ(bucket(0, 0, 1, 10, 5 * SEC), 0);
	/* Read after the clock was. */
	EXPECT_EQ(bucket(5 * TOKENS, 6 * SEC, 1, 10, 5 * SEC), 50);
	/* Whatever is in there. */
	EXPECT_EQ(bucket(INT64_MAX, 1, UINT64_MAX, 1, UINT64_MAX), 0);
}

static const struct gmem_vm_sample sample = {
	.size_pages = 1000 * 256,
	.private_pages = 900 * 256,
	.populated_pages = 500 * 256,
	.stale_pages = 250 * 256,
	.attribute_bytes = 64 * 1024,
	.ranges = 30,
};

static double ceiling(const char *bounds, const char *unit, uint64_t value)
{
	struct limit limit = {};

	return limit_of_param(&limit, bounds, unit, value, &sample) ?
	       limit_percent(&limit) : -1;
}

TEST(ceilings)
{
	EXPECT_EQ(ceiling("populated", "MiB", 1000), 50);
	EXPECT_EQ(ceiling("stale", "percent", 50), 50);
	EXPECT_EQ(ceiling("shared", "MiB", 50), 200);
	EXPECT_EQ(ceiling("shared", "percent", 20), 50);
	EXPECT_EQ(ceiling("ranges", "ranges", 60), 50);
	EXPECT_EQ(ceiling("attributes", "KiB", 128), 50);
}

TEST(no_ceilings)
{
	struct gmem_vm_sample none = {};
	struct limit limit = {};

	EXPECT_EQ(ceiling("populated", "MiB", 0), -1);
	EXPECT_EQ(ceiling("stale", "percent", 100), -1);
	EXPECT_EQ(ceiling("populated", "furlongs", 5), -1);
	EXPECT_EQ(ceiling("happiness", "percent", 5), -1);
	EXPECT_EQ(ceiling("ranges", "percent", 5), -1);
	EXPECT_EQ(ceiling("populated", "KiB", 5), -1);
	EXPECT_FALSE(limit_of_param(&limit, "stale", "percent", 50, &none));
}

TEST(no_ceilings_of_what_is_not_known)
{
	struct gmem_vm_sample some = sample;
	struct limit limit = {};

	some.private_pages = GMEM_UNKNOWN;
	some.ranges = GMEM_UNKNOWN;
	EXPECT_FALSE(limit_of_param(&limit, "shared", "MiB", 50, &some));
	EXPECT_FALSE(limit_of_param(&limit, "ranges", "ranges", 50, &some));
	EXPECT_TRUE(limit_of_param(&limit, "populated", "percent", 50, &some));
	some.size_pages = GMEM_UNKNOWN;
	EXPECT_FALSE(limit_of_param(&limit, "populated", "percent", 50, &some));
}

TEST(a_parameter_that_another_takes_the_place_of)
{
	char one_name[] = "stale", other_name[] = "stale_percent";
	char mib[] = "MiB", percent[] = "percent", stale[] = "stale";
	struct param list[] = {
		{ .name = one_name, .unit = mib, .bounds = stale, .offset = 0 },
		{ .name = other_name, .unit = percent, .bounds = stale,
		  .unless = one_name, .offset = 1 },
	};
	const struct params params = { .nr = 2, .params = list };
	struct vm vm = { .id = 7, .sample = sample };
	const struct vms vms = { .nr = 1, .vms = &vm };
	struct rows rows = { .size = sizeof(struct limit) };
	uint64_t values[] = { 500, 50 };

	ASSERT_EQ(limits_of_params(&params, values, "q", 0, &vms, &rows), 0);
	ASSERT_EQ(rows.nr, 1);
	EXPECT_STREQ(((struct limit *)rows.rows)->unit, "MiB");
	values[0] = 0;
	rows.nr = 0;
	ASSERT_EQ(limits_of_params(&params, values, "q", 7, &vms, &rows), 0);
	ASSERT_EQ(rows.nr, 1);
	EXPECT_STREQ(((struct limit *)rows.rows)->unit, "percent");
	/* It is for another VM. */
	rows.nr = 0;
	ASSERT_EQ(limits_of_params(&params, values, "q", 8, &vms, &rows), 0);
	EXPECT_EQ(rows.nr, 0);
	free(rows.rows);
}

static void add_verdict(struct rows *rows, const struct vm *vm, const char *who,
			uint64_t denied, uint64_t delayed, bool counts)
{
	struct verdict *v = rows_add(rows);

	if (!v)
		abort();
	snprintf(v->who, sizeof(v->who), "%s", who);
	v->vm = vm;
	v->counts = counts;
	v->verdicts.denied = denied;
	v->verdicts.delayed = delayed;
	v->verdicts.delayed_ns = delayed * SEC;
}

TEST(who_is_held_back_most_comes_first)
{
	struct rows verdicts = { .size = sizeof(struct verdict) };
	struct rows limits = { .size = sizeof(struct limit) };
	struct vm list[] = { { .id = 1 }, { .id = 2 }, { .id = 3 }, { .id = 4 } };
	const struct vms vms = { .nr = 4, .vms = list };
	struct held held[4];
	struct limit *limit;

	add_verdict(&verdicts, &list[1], "a", 1, 0, true);
	add_verdict(&verdicts, &list[2], "a", 2, 3, true);
	add_verdict(&verdicts, &list[2], "b", 0, 9, true);
	/* In audit mode it holds nobody back. */
	add_verdict(&verdicts, &list[0], "c", 100, 100, false);
	limit = rows_add(&limits);
	*limit = (struct limit) { .vm = 4, .used = 3, .most = 10 };
	limit = rows_add(&limits);
	*limit = (struct limit) { .vm = 4, .used = 9, .most = 10 };
	EXPECT_EQ(held_find(held, &vms, &verdicts, &limits), 2);
	EXPECT_EQ(held[0].vm->id, 3);
	EXPECT_STREQ(held[0].by, "b");
	EXPECT_EQ(held[0].denied, 2);
	EXPECT_EQ(held[0].delayed, 12);
	EXPECT_EQ(held[1].vm->id, 2);
	EXPECT_EQ(held[2].vm->id, 4);
	EXPECT_EQ(limit_percent(held[2].nearest), 90);
	EXPECT_EQ(held[3].vm->id, 1);
	EXPECT_EQ(held[3].by, NULL);
	EXPECT_EQ(held[3].nearest, NULL);
	free(verdicts.rows);
	free(limits.rows);
}

static enum depends_on among(const char *mounts, unsigned int minor)
{
	char path[] = "/tmp/mounts.XXXXXX";
	int fd = mkstemp(path);
	enum depends_on on;

	if (write(fd, mounts, strlen(mounts)) != (ssize_t)strlen(mounts))
		abort();
	close(fd);
	on = depends_find(path, 0, minor);
	unlink(path);
	return on;
}

TEST(where_a_file_system_is_mounted)
{
	static const char mounts[] =
		"22 27 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
		"35 22 0:31 / /sys/fs/bpf rw shared:9 - bpf bpf rw,mode=700\n"
		"99 22 0:1 / /mnt/0:44\\0400:44 rw - tmpfs 22\\0400:44 rw\n";

	EXPECT_EQ(among(mounts, 31), DEPENDS_HOST);
	EXPECT_EQ(among(mounts, 32), DEPENDS_NAMESPACE);
	EXPECT_EQ(among(mounts, 3), DEPENDS_NAMESPACE);
	/* A path may be anything. */
	EXPECT_EQ(among(mounts, 44), DEPENDS_NAMESPACE);
	EXPECT_EQ(among("", 31), DEPENDS_NAMESPACE);
	EXPECT_EQ(depends_find("/nonexistent", 0, 31), DEPENDS_UNKNOWN);
}

TEST_HARNESS_MAIN
