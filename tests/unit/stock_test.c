// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs of files, on a kernel that tells of files only: each VM once, each of its
 * guest_memfds once, and what nobody counted is not known.
 */
#include "kselftest_harness.h"

#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_stock_vms.c"
#include "../../tools/lib/gmem_text.c"

#define EVERYTHING	(~0U)

static struct gmem_sample sample;

static struct gmem_stock_file vm_file(uint64_t vm, uint64_t id)
{
	return (struct gmem_stock_file) {
		.vm = vm, .vm_id = id, .nr_vcpus = 2, .rss_pages = 100,
		.owner_start_ns = 5, .owner_pid = 7, .pid = 70,
		.flags = GMEM_STOCK_PRIVATE,
	};
}

static struct gmem_stock_file memfd(uint64_t vm, uint64_t id, uint64_t inode,
				    uint64_t pages)
{
	struct gmem_stock_file file = vm_file(vm, id);

	file.inode = inode;
	file.rss_pages = GMEM_UNKNOWN;
	file.size_pages = 10 * pages;
	file.populated_pages = pages;
	return file;
}

TEST(no_files)
{
	EXPECT_EQ(0, gmem_stock_vms(NULL, 0, EVERYTHING, &sample));
	EXPECT_EQ(0, sample.nr_vms);
}

TEST(a_vm_has_all_its_guest_memfds_once)
{
	/* Open in two processes, in no order. */
	struct gmem_stock_file files[] = {
		memfd(1, 30, 8, 5), vm_file(2, 20), memfd(1, 30, 9, 3),
		vm_file(1, 30), memfd(2, 20, 4, 1), memfd(1, 30, 8, 5),
		vm_file(1, 30), memfd(1, 30, 9, 3),
	};

	EXPECT_EQ(0, gmem_stock_vms(files, ARRAY_LEN(files), 0, &sample));
	ASSERT_EQ(2, sample.nr_vms);
	EXPECT_EQ(20, sample.vms[0].vm_id);
	EXPECT_EQ(1, sample.vms[0].populated_pages);
	EXPECT_EQ(10, sample.vms[0].size_pages);
	EXPECT_EQ(30, sample.vms[1].vm_id);
	EXPECT_EQ(8, sample.vms[1].populated_pages);
	EXPECT_EQ(80, sample.vms[1].size_pages);
	EXPECT_EQ(100, sample.vms[1].rss_pages);
	EXPECT_EQ(2, sample.vms[1].nr_vcpus);
	EXPECT_EQ(7, sample.vms[1].owner_pid);
	EXPECT_EQ(70, sample.vms[1].pid);
}

/* The process that had it closed the file, and another one has the guest_memfd. */
TEST(a_vm_without_its_own_file)
{
	struct gmem_stock_file files[] = { memfd(1, 30, 8, 5) };

	files[0].owner_start_ns = 0;
	EXPECT_EQ(0, gmem_stock_vms(files, 1, 0, &sample));
	ASSERT_EQ(1, sample.nr_vms);
	EXPECT_EQ(5, sample.vms[0].populated_pages);
	EXPECT_EQ(GMEM_UNKNOWN, sample.vms[0].rss_pages);
	EXPECT_EQ(0, sample.vms[0].pid);
	EXPECT_EQ(0, sample.vms[0].owner_start_ns);
}

/* Where one VM was, another may be in the same walk. */
TEST(vms_are_told_apart_by_id)
{
	struct gmem_stock_file files[] = { vm_file(1, 31), vm_file(1, 30) };

	EXPECT_EQ(0, gmem_stock_vms(files, 2, 0, &sample));
	ASSERT_EQ(2, sample.nr_vms);
	EXPECT_EQ(30, sample.vms[0].vm_id);
	EXPECT_EQ(31, sample.vms[1].vm_id);
}

/* Also of a VM whose process gave its files away: who has them then knows less. */
TEST(merged_files_tell_what_any_of_them_did)
{
	struct gmem_stock_file files[] = {
		vm_file(1, 30), memfd(1, 30, 8, 5), vm_file(1, 30), vm_file(2, 31),
		memfd(1, 30, 8, 5), vm_file(1, 30),
	};

	files[0].owner_start_ns = 0;
	files[5].owner_start_ns = 0;
	files[2].owner_start_ns = 77;
	files[2].owner_pid = 7;
	files[2].pid = 9;
	ASSERT_EQ(3, gmem_stock_merge(files, ARRAY_LEN(files)));
	EXPECT_EQ(77, files[0].owner_start_ns);
	EXPECT_EQ(7, files[0].owner_pid);
	EXPECT_EQ(9, files[0].pid);
	EXPECT_EQ(8, files[1].inode);
	EXPECT_EQ(31, files[2].vm_id);
	EXPECT_EQ(3, gmem_stock_merge(files, 3));
	EXPECT_EQ(0, gmem_stock_merge(NULL, 0));
}

TEST(what_nobody_counted_is_not_known)
{
	struct gmem_stock_file files[] = { vm_file(1, 30) };
	struct gmem_vm_sample *vm;

	files[0].counts.conversions = 4;
	files[0].counts.faults[GMEM_FAULT_VCPU] = 9;
	EXPECT_EQ(0, gmem_stock_vms(files, 1, 0, &sample));
	vm = &sample.vms[0];
	EXPECT_EQ(GMEM_UNKNOWN, vm->conversions);
	EXPECT_EQ(GMEM_UNKNOWN, vm->faults[GMEM_FAULT_VCPU]);
	EXPECT_EQ(GMEM_UNKNOWN, vm->private_pages);
	EXPECT_EQ(GMEM_UNKNOWN, vm->stale_pages);
	EXPECT_EQ(GMEM_UNKNOWN, vm->delayed_ns);
	EXPECT_EQ(GMEM_UNKNOWN, vm->ranges);

	EXPECT_EQ(0, gmem_stock_vms(files, 1, GMEM_STOCK_CONVERSIONS, &sample));
	EXPECT_EQ(4, vm->conversions);
	EXPECT_EQ(GMEM_UNKNOWN, vm->faults[GMEM_FAULT_VCPU]);

	EXPECT_EQ(0, gmem_stock_vms(files, 1, EVERYTHING, &sample));
	EXPECT_EQ(9, vm->faults[GMEM_FAULT_VCPU]);
	EXPECT_EQ(0, vm->faults[GMEM_FAULT_PREFAULT]);
	EXPECT_EQ(GMEM_UNKNOWN, vm->arch_faults);
}

TEST(nothing_is_private_where_nothing_can_be)
{
	struct gmem_stock_file files[] = { vm_file(1, 30) };

	files[0].flags = 0;
	EXPECT_EQ(0, gmem_stock_vms(files, 1, 0, &sample));
	EXPECT_EQ(0, sample.vms[0].private_pages);
	EXPECT_EQ(0, sample.vms[0].stale_pages);
}

/* Of two guest_memfds, in either order. */
TEST(mapped_is_known_if_all_of_it_is)
{
	struct gmem_stock_file files[] = { memfd(1, 30, 8, 5), memfd(1, 30, 9, 3) };

	files[0].mapped_pages = 4;
	files[1].mapped_pages = 2;
	EXPECT_EQ(0, gmem_stock_vms(files, 2, 0, &sample));
	EXPECT_EQ(6, sample.vms[0].mapped_pages);
	files[1].mapped_pages = GMEM_UNKNOWN;
	EXPECT_EQ(0, gmem_stock_vms(files, 2, 0, &sample));
	EXPECT_EQ(GMEM_UNKNOWN, sample.vms[0].mapped_pages);
	files[1].mapped_pages = 2;
	files[0].mapped_pages = GMEM_UNKNOWN;
	EXPECT_EQ(0, gmem_stock_vms(files, 2, 0, &sample));
	EXPECT_EQ(GMEM_UNKNOWN, sample.vms[0].mapped_pages);
}

TEST_HARNESS_MAIN
