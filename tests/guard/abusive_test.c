// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do as much as they can, one kind of thing each and several at
 * once: under guard's defaults, once their burst is used up, none gets beyond
 * the bound, and a neighbour loses nothing.  Those that wait for a grace of a
 * minute have a shorter one here.
 */
#include "workload.h"

/* guard's conversion_rate, and its fault_rate */
#define RATE	10000

static const struct workload workloads[] = {
	{
		.name = "pingpong, one page",
		.guest = "pingpong",
		.settle = 3,
		.seconds = 2,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = RATE * 0.9,
	}, {
		.name = "pingpong, 2 MiB, punched",
		.guest = "pingpong,range=2M,punch",
		/* The test VM is hardly faster than the default. */
		.set = "conversion_rate=2000 conversion_burst=1",
		.settle = 2,
		.seconds = 1,
		.measure = CONVERSIONS,
		.most = 2000,
		.least = 1900,
	}, {
		.name = "pingpong, 4 vCPUs",
		.guest = "pingpong,vcpus=4",
		.settle = 3,
		.seconds = 2,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = RATE * 0.9,
	}, {
		.name = "giant",
		.guest = "giant,rate=max",
		.settle = 2,
		.seconds = 2,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = 10,
	}, {
		.name = "fragment, as fast as it can",
		.guest = "fragment,rate=max",
		.settle = 3,
		.seconds = 2,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = RATE * 0.5,
	}, {
		.name = "fragment, metadata",
		.guest = "fragment,mem=64M,rate=max",
		.seconds = 2,
		.measure = METADATA,
		.most = 1024 + 4,
		.least = 1,
	}, {
		.name = "churn",
		.guest = "churn,rate=max",
		.settle = 2,
		.seconds = 2,
		.measure = FAULTS,
		.most = RATE,
		.least = RATE * 0.9,
	}, {
		.name = "bounce, as fast as it can",
		.guest = "bounce,rate=max",
		.settle = 3,
		.seconds = 2,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = RATE * 0.5,
	}, {
		.name = "hoard",
		.guest = "hoard,rate=100",
		.set = "stale_grace=0",
		.settle = 2,
		.seconds = 24,
		.measure = STALE,
		/* And what 64 pages at a time may be beyond. */
		.most = 8,
		.least = 7.5,
		.refused = "EDQUOT",
	}, {
		/* As the reset of a guest whose VMM does not punch. */
		.name = "hoard, all at once",
		.guest = "hoard,range=16M",
		.set = "stale_grace=1",
		.settle = 1,
		.seconds = 2,
		.measure = STALE,
		.most = 16,
		.least = 15,
	}, {
		.name = "holes",
		.guest = "holes,range=1M",
		.settle = 3,
		.seconds = 2,
		.measure = METADATA,
		.most = 1024 + 4,
		.least = 900,
		.refused = "ENOSPC",
	}, {
		.name = "pingpong beside churn",
		.guest = "pingpong",
		.beside = "churn,rate=max",
		.settle = 4,
		.seconds = 2,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = RATE * 0.5,
	}, {
		.name = "reset, again and again",
		.guest = "reset,mem=8M,range=4K,rate=max",
		.settle = 3,
		.seconds = 3,
		.measure = CONVERSIONS,
		.most = RATE,
		.least = 1000,
	},
};

int main(int argc, char **argv)
{
	run_workloads(argc, argv, workloads, ARRAY_LEN_OF(workloads));
}
