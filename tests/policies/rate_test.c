// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a policy holds a guest to a rate of: conversions, pages and faults, by
 * denial and by delay.
 */
#include "effect.h"

static const struct effect effects[] = {
	{
		.name = "ratelimit, deny",
		.policies = { { "ratelimit", "rate=200" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.refused = "EBUSY",
	}, {
		.name = "ratelimit, delay",
		.policies = { { "ratelimit", "rate=200 action=1" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, delay, 4 vCPUs",
		.policies = { { "ratelimit", "rate=200 action=1" } },
		.abuser = "pingpong,rate=400,vcpus=4",
		.measure = CONVERSIONS,
		.want = 200,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, pages, delay",
		.policies = { { "ratelimit",
				"rate=1000000000 page_rate=20000 action=1" } },
		.abuser = "pingpong,range=256K,rate=1000",
		.measure = PAGES,
		.want = 20000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, all memory at once",
		.policies = { { "ratelimit",
				"rate=1000000000 page_rate=20000 action=1" } },
		.abuser = "giant,mem=4M,rate=100",
		.measure = PAGES,
		.want = 20000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "ratelimit, to shared, deny",
		.policies = { { "ratelimit",
				"rate=1000000000 shared_rate=50" } },
		.abuser = "pingpong,rate=1500",
		.measure = PAGES_SHARED,
		.want = 50,
		.settle = 1,
		.refused = "EBUSY",
	}, {
		.name = "ratelimit, pages to private",
		.policies = { { "ratelimit",
				"rate=1000000000 private_page_rate=8000 action=1" } },
		.abuser = "pingpong,range=256K,rate=1000",
		.measure = PAGES,
		.want = 16000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "pingpong",
		.policies = { { "pingpong", "most_delay=20" } },
		.abuser = "pingpong,rate=1500",
		.measure = CONVERSIONS,
		.want = 50,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "faultrate, delay",
		.policies = { { "faultrate", "rate=2000" } },
		.abuser = "churn,rate=150",
		.measure = FAULTS,
		.want = 2000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "faultrate, deny",
		.policies = { { "faultrate", "rate=2000 action=0" } },
		.abuser = "churn,rate=150",
		.measure = FAULTS,
		.want = 2000,
		.settle = 1,
		.fault_refused = "EBUSY",
	}, {
		.name = "faultrate, delay, huge",
		.policies = { { "faultrate", "rate=20000" } },
		.abuser = "churn,huge,range=2M,rate=150",
		.measure = ALLOCATED,
		.want = 20000,
		.settle = 1,
		.delayed = true,
	}, {
		.name = "faultrate, deny, huge",
		/* Less than a huge folio can be saved up: it is paid for later. */
		.policies = { { "faultrate", "rate=10000 burst=100 action=0" } },
		.abuser = "churn,huge,range=2M,rate=150",
		.measure = ALLOCATED,
		.want = 10000,
		.settle = 1,
		.fault_refused = "EBUSY",
	}, {
		.name = "deny",
		.policies = { { "deny", "" } },
		.abuser = "pingpong,rate=500",
		.measure = CONVERSIONS,
		.want = 0,
		.only = true,
		.refused = "EPERM",
	},
};

int main(int argc, char **argv)
{
	run_effects(argc, argv, effects, ARRAY_LEN_OF(effects), NULL, 0);
}
