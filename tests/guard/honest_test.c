// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do what guests do, each as fast or as often as the fastest that we
 * know of, under guard's defaults: none is denied anything, and none is delayed
 * for 1 % of its time.  Larger ones are in honest_long_test.c.
 */
#include "workload.h"

static const struct workload workloads[] = {
	{
		.name = "start page by page, in order",
		.guest = "walk,mem=32M",
		.seconds = 1,
		.measure = CONVERSIONS,
		.least = 2000,
	}, {
		.name = "start page by page, at random",
		.guest = "scatter,mem=32M",
		.seconds = 1,
		.measure = CONVERSIONS,
		.least = 2000,
	}, {
		.name = "start by 2 MiB",
		.guest = "walk,mem=128M,range=2M",
		.seconds = 1,
		.measure = FAULTS,
		.least = 10000,
	}, {
		.name = "SWIOTLB, fixed",
		.guest = "boot,mem=64M,range=8M,rate=2000",
		.seconds = 1,
		.measure = CONVERSIONS,
		.least = 1000,
	}, {
		.name = "SWIOTLB, growing",
		.guest = "bounce,mem=64M,range=256K,buffers=64,rate=50,punch",
		.seconds = 3,
		.measure = CONVERSIONS,
		.least = 40,
	}, {
		.name = "32 buffers, 200 conversions/s",
		.guest = "bounce,mem=64M,buffers=32,rate=100,punch",
		.seconds = 4,
		.measure = CONVERSIONS,
		.least = 180,
	}, {
		.name = "1,000 buffers, 2,000 conversions/s",
		.guest = "bounce,mem=128M,buffers=1000,rate=1000",
		.seconds = 4,
		.measure = CONVERSIONS,
		.least = 1500,
	}, {
		.name = "GPU, buffers of 32 MiB",
		.guest = "bounce,mem=512M,range=32M,buffers=8,rate=10,punch",
		.seconds = 3,
		.measure = PAGES,
		.least = 100000,
	}, {
		.name = "virtio-mem, 2 MiB out and in",
		.guest = "churn,mem=64M,range=2M,rate=8",
		.seconds = 2,
		.measure = FAULTS,
		.least = 3500,
	}, {
		.name = "balloon, page by page",
		.guest = "churn,mem=32M,range=4K,rate=2000",
		.seconds = 2,
		.measure = FAULTS,
		.least = 1800,
	}, {
		.name = "reset, punched",
		.guest = "reset,mem=32M,punch",
		.seconds = 2,
		.measure = PAGES,
		.least = 10000,
	}, {
		.name = "reset, not punched",
		.guest = "reset,mem=32M",
		.seconds = 2,
		.measure = PAGES,
		.least = 10000,
	}, {
		.name = "kexec, page by page again",
		.guest = "reset,mem=16M,range=4K,punch",
		.seconds = 2,
		.measure = PAGES,
		.least = 3000,
	}, {
		.name = "16 vCPUs, 2,000 conversions/s",
		.guest = "bounce,vcpus=16,mem=128M,buffers=60,rate=62",
		.seconds = 3,
		.measure = CONVERSIONS,
		.least = 1400,
	}, {
		.name = "1 TiB, most of it not populated",
		/* A CPU of the test VM can address 1,012 GiB. */
		.guest = "boot,mem=1000G,range=8M,rate=2000",
		.seconds = 1,
		.measure = CONVERSIONS,
		.least = 500,
	},
};

int main(int argc, char **argv)
{
	run_workloads(argc, argv, workloads, ARRAY_LEN_OF(workloads));
}
