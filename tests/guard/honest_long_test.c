// SPDX-License-Identifier: GPL-2.0-only
/*
 * As honest_test.c, with guests that take the test VM longer.
 */
#include "workload.h"

static const struct workload workloads[] = {
	{
		.name = "128 MiB page by page, in order",
		.guest = "walk,mem=128M",
		.seconds = 4,
		.measure = CONVERSIONS,
		.least = 2000,
	}, {
		.name = "512 MiB page by page, at random",
		.guest = "scatter,mem=512M",
		.seconds = 12,
		.measure = CONVERSIONS,
		.least = 2000,
	}, {
		.name = "512 MiB by 2 MiB",
		.guest = "walk,mem=512M,range=2M",
		.seconds = 5,
		.measure = FAULTS,
		.least = 10000,
	}, {
		.name = "400 buffers for 60 s",
		.guest = "bounce,mem=256M,buffers=400,rate=1000,punch",
		.seconds = 60,
		.measure = CONVERSIONS,
		.least = 1800,
	}, {
		.name = "virtio-mem, all out and in",
		.guest = "churn,mem=512M,range=256M,rate=1",
		.seconds = 3,
		.measure = FAULTS,
		.least = 20000,
	}, {
		.name = "256 vCPUs, 2,000 conversions/s",
		.guest = "bounce,vcpus=256,mem=256M,buffers=3,rate=4",
		.seconds = 10,
		.measure = CONVERSIONS,
		.least = 1000,
	},
};

int main(int argc, char **argv)
{
	run_workloads(argc, argv, workloads, ARRAY_LEN_OF(workloads));
}
