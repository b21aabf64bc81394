// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a policy sets a ceiling to: memory that a guest has populated, stale or
 * shared, ranges that it makes, and what these cost.
 */
#include "effect.h"

static const struct effect effects[] = {
	{
		.name = "quota, populated",
		.policies = { { "quota",
				"populated=8 stale_percent=100 grace=200" } },
		.abuser = "churn,rate=50,mem=32M",
		.measure = POPULATED,
		.want = 8,
		.fresh = true,
		.fault_refused = "EDQUOT",
		.delayed = true,
	}, {
		.name = "quota, populated, huge",
		/* The ninth MiB is room for half of a huge folio. */
		.policies = { { "quota",
				"populated=9 stale_percent=100 grace=200" } },
		.abuser = "churn,huge,range=2M,rate=50,mem=32M",
		.measure = POPULATED,
		.want = 8,
		.fresh = true,
		.fault_refused = "EDQUOT",
		.delayed = true,
	}, {
		.name = "quota, stale",
		.policies = { { "quota", "stale=4 grace=200 error=12" } },
		.abuser = "fragment,rate=1500",
		.measure = STALE,
		.want = 4,
		.fresh = true,
		.fault_refused = "ENOMEM",
		.delayed = true,
	}, {
		.name = "fragment",
		.policies = { { "fragment", "ranges=100" } },
		.abuser = "fragment,rate=500",
		.measure = RANGES,
		.want = 100,
		.fresh = true,
		.refused = "ENOSPC",
	}, {
		.name = "fragment, metadata",
		.policies = { { "fragment", "ranges=1000 metadata=2" } },
		.abuser = "fragment,mem=128M,range=512K,rate=100",
		.measure = METADATA,
		.want = 2,
		.fresh = true,
		.refused = "ENOSPC",
	}, {
		.name = "sharedcap, how much",
		.policies = { { "sharedcap", "grace=0 shared=4" } },
		.abuser = "fragment,rate=1500",
		.measure = SHARED,
		.want = 4,
		.fresh = true,
		.refused = "EDQUOT",
	}, {
		.name = "sharedcap, from where",
		/* The guest's memory begins at frame 1048576. */
		.policies = { { "sharedcap", "grace=0 first_gfn=1048577" } },
		.abuser = "pingpong,rate=500",
		.measure = PAGES_SHARED,
		.want = 0,
		.settle = 1,
		.refused = "EACCES",
	},
};

/* In its grace period sharedcap lets a guest share anything, and no more then. */
static bool run_grace(void)
{
	const char *const specs[] = { "steady", BATCH_WORK, "fragment,rate=400" };
	struct test_policy cap = policy_attach("sharedcap", "grace=6 shared=4", 0);
	struct stretch in, after;
	double shared;
	bool ok = true;

	start_guests(specs);
	run_for(&in, 4, SHARED);
	ok &= check(in.most[ABUSER] > 4.5 && !denied(&in, ABUSER),
		    "in its grace it shared %.1f MiB and was denied %ju times",
		    in.most[ABUSER], (uintmax_t)denied(&in, ABUSER));
	sleep_for(2.5);
	run_for(&after, 2, SHARED);
	shared = level(&after.begin.vm[ABUSER], SHARED);
	ok &= check(after.most[ABUSER] == shared && denied(&after, ABUSER),
		    "after it went from %.1f to %.1f MiB and was denied %ju times",
		    shared, after.most[ABUSER],
		    (uintmax_t)denied(&after, ABUSER));
	ok &= check_free(&after, BATCH);
	ok &= check(stop_guests(), "a guest failed");
	policy_detach(&cap);

	return ok;
}

static const struct special others[] = {
	{ "sharedcap lets a guest boot first", run_grace },
};

int main(int argc, char **argv)
{
	run_effects(argc, argv, effects, ARRAY_LEN_OF(effects), others,
		    ARRAY_LEN_OF(others));
}
