// SPDX-License-Identifier: GPL-2.0-only
/*
 * guard, alone and with all policies at once; and whom it leaves alone.  Under
 * its defaults, tests/guard has many more guests.
 */
#include "effect.h"

static const struct effect effects[] = {
	{
		.name = "guard, conversions",
		.policies = { { "guard", "conversion_rate=200 conversion_burst=1" } },
		/* Twice its pages are free. */
		.abuser = "pingpong,mem=1M,rate=1500",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "guard, faults",
		.policies = { { "guard", "fault_rate=2000 fault_burst=1" } },
		.abuser = "churn,mem=4M,rate=150",
		.measure = FAULTS,
		.want = 2000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "guard, faults, huge",
		.policies = { { "guard", "fault_rate=10000 fault_burst=1" } },
		.abuser = "churn,huge,range=2M,mem=4M,rate=150",
		.measure = ALLOCATED,
		.want = 10000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "guard, memory twice",
		.policies = { { "guard", "stale_grace=0" } },
		.abuser = "hoard",
		.measure = STALE,
		.want = 8,
		.fresh = true,
		.delayed = true,
	}, {
		.name = "all together",
		.policies = {
			{ "ratelimit", "rate=200 action=1" },
			{ "quota", "populated=14" },
			/* The strictest of all. */
			{ "pingpong", "most_delay=100" },
			{ "fragment", "ranges=100" },
			{ "faultrate", "rate=2000" },
			{ "sharedcap", "grace=0 shared=4" },
			{ "audit", "" },
			{ "guard", "" },
		},
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 10,
		.settle = 2,
		.delayed = true,
	},
};

/* A guest that boots is left alone, as fast as it may convert. */
static bool run_boot(void)
{
	const char *const specs[] = { "steady", BATCH_WORK, "boot,range=4M" };
	struct test_policy guard = policy_attach("guard", "", 0);
	struct stretch under;
	bool ok = true;

	start_guests(specs);
	run_for(&under, 2, CONVERSIONS);
	ok &= check(under.end.vm[ABUSER].pages_to_shared == 1024 + 32,
		    "only %ju pages became shared",
		    (uintmax_t)under.end.vm[ABUSER].pages_to_shared);
	ok &= check_free(&under, ABUSER);
	ok &= check(stop_guests(), "a guest failed");
	ok &= check(!errors_seen("abuser", "convert", NULL), "it saw errors");
	policy_detach(&guard);

	return ok;
}

/*
 * Well-behaved guests, without an abuser, that leave the CPU no rest.  One has
 * work without end, the others fault and convert beside it: what the hooks cost
 * these, that one gets done less.
 */
static bool run_alone(void)
{
	const char *const specs[] = { "steady,rate=max", "churn", "fragment,rate=20" };
	struct stretch before, under, after;
	struct test_policy guard;
	double was, is;
	bool ok;

	start_guests(specs);
	sleep_for(2);
	run_for(&before, 2, CONVERSIONS);
	guard = policy_attach("guard", "", 0);
	sleep_for(1);
	run_for(&under, 2, CONVERSIONS);
	policy_detach(&guard);
	sleep_for(1);
	run_for(&after, 2, CONVERSIONS);
	ok = check_free(&after, ABUSER);
	ok &= check(stop_guests(), "a guest failed");
	ok &= check(figure(&under, ABUSER, CONVERSIONS) > 15 &&
		    figure(&under, BATCH, FAULTS) > 1200,
		    "the hooks were hardly called");
	/* Both sides of it: what they do may cost more or less with time. */
	was = (throughput(&before, WEB) + throughput(&after, WEB)) / 2;
	is = throughput(&under, WEB);
	printf("# %.0f pages/s without and %.0f under guard, %+.2f%%\n", was, is,
	       (is / was - 1) * 100);

	return ok & check(is >= was * (1 - MAX_LOSS), "that is less");
}

static const struct special others[] = {
	{ "a boot-like burst passes guard untouched", run_boot },
	{ "a guest that works hard loses nothing to guard", run_alone },
};

int main(int argc, char **argv)
{
	run_effects(argc, argv, effects, ARRAY_LEN_OF(effects), others,
		    ARRAY_LEN_OF(others));
}
