// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policies of bpf/policies, rule by rule, with requests that the effect
 * tests (tests/policies) do not make: by range, at a bound, and refused by
 * somebody else.
 */
#include "gmem_test.h"
#include "../policies/policy.h"

/* Memory for what is counted in MiB: 4 MiB beside the 64 pages. */
#define LARGE_GPA	(DATA_GPA * 2)
#define LARGE_SLOT	(DATA_SLOT + 1)
#define LARGE_PAGES	1024ULL
/* As convert() counts them. */
#define LARGE_PAGE	((LARGE_GPA - DATA_GPA) / PAGE_SIZE)

FIXTURE(library) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct test_policy policy;
	struct test_policy other;
};

FIXTURE_SETUP(library)
{
	self->vm = new_vm(&self->vcpu, 1);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, LARGE_GPA,
				    LARGE_SLOT, LARGE_PAGES,
				    KVM_MEM_GUEST_MEMFD);
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	self->policy = (struct test_policy){};
	self->other = (struct test_policy){};
}

FIXTURE_TEARDOWN(library)
{
	if (self->policy.link)
		policy_detach(&self->policy);
	if (self->other.link)
		policy_detach(&self->other);
	kvm_vm_free(self->vm);
}

static int populate_large(struct kvm_vm *vm, uint64_t page, uint64_t nr)
{
	int fd = memslot2region(vm, LARGE_SLOT)->region.guest_memfd;

	return fallocate(fd, FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE,
			 nr * PAGE_SIZE) ? errno : 0;
}

static int punch_large(struct kvm_vm *vm, uint64_t page, uint64_t nr)
{
	int fd = memslot2region(vm, LARGE_SLOT)->region.guest_memfd;

	return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 page * PAGE_SIZE, nr * PAGE_SIZE) ? errno : 0;
}

static uint64_t entries(struct test_policy *policy, const char *map)
{
	int fd = bpf_object__find_map_fd_by_name(policy->bpf, map);
	uint64_t key, next, nr = 0;
	void *at = NULL;

	while (!bpf_map_get_next_key(fd, at, &next)) {
		key = next;
		at = &key;
		nr++;
	}
	return nr;
}

TEST_F(library, quota_counts_ranges_in_full)
{
	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=0", 0);

	EXPECT_EQ(populate_large(self->vm, 0, 257), EDQUOT);
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(populate_large(self->vm, 0, 256), 0);
	EXPECT_EQ(populate_large(self->vm, 256, 1), EDQUOT);
	EXPECT_EQ(prefault(self->vcpu, 0, 1), EDQUOT);
	EXPECT_EQ(usage().populated_pages, 256);
	EXPECT_EQ(punch_large(self->vm, 0, 2), 0);
	EXPECT_EQ(populate_large(self->vm, 0, 1), 0);
	EXPECT_EQ(prefault(self->vcpu, 0, 1), 0);
	/* It is there now, and mapping it again takes no room. */
	EXPECT_EQ(prefault(self->vcpu, 0, 1), 0);
	EXPECT_EQ(prefault(self->vcpu, 1, 1), EDQUOT);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

TEST_F(library, quota_waits_for_room_first)
{
	struct gmem_vm_sample was = usage();
	uint64_t began;

	self->policy = policy_attach("quota", "populated=1 stale_percent=100 grace=50 error=12", 0);
	EXPECT_EQ(populate_large(self->vm, 0, 256), 0);
	began = now_ns();
	EXPECT_EQ(populate_large(self->vm, 256, 1), ENOMEM);
	EXPECT_GE(now_ns() - began, 50000000);
	EXPECT_GE(usage().faults_delayed, was.faults_delayed + 1);
	/* Without room for so long, it waits no more. */
	was = usage();
	EXPECT_EQ(populate_large(self->vm, 256, 1), ENOMEM);
	EXPECT_EQ(usage().faults_delayed, was.faults_delayed);
}

TEST_F(library, quota_refuses_while_memory_is_stale)
{
	self->policy = policy_attach("quota", "stale_percent=0 grace=0", 0);

	EXPECT_EQ(populate(self->vm, 0, 2), 0);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(usage().stale_pages, 1);
	EXPECT_EQ(populate(self->vm, 4, 1), EDQUOT);
	EXPECT_EQ(punch(self->vm, 0, 1), 0);
	EXPECT_EQ(populate(self->vm, 4, 1), 0);
}

TEST_F(library, faultrate_takes_a_token_a_page)
{
	self->policy = policy_attach("faultrate", "rate=1 burst=64 first_touch=0 action=0", 0);

	EXPECT_EQ(populate(self->vm, 0, 4), 0);
	EXPECT_EQ(prefault(self->vcpu, 0, 60), 0);
	/* What was earned meanwhile is not enough for as many. */
	EXPECT_EQ(populate(self->vm, 4, 30), EBUSY);
}

TEST_F(library, faultrate_first_touch_is_free_once)
{
	self->policy = policy_attach("faultrate", "rate=1 burst=1 first_touch=1 action=0", 0);

	EXPECT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	EXPECT_EQ(populate_large(self->vm, 0, LARGE_PAGES), 0);
	EXPECT_EQ(punch(self->vm, 0, DATA_PAGES), 0);
	/* More than the bucket holds: it takes a minute to earn that back. */
	EXPECT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	EXPECT_EQ(populate(self->vm, 0, 1), EBUSY);
}

TEST_F(library, faultrate_present_may_be_free)
{
	self->policy = policy_attach("faultrate", "rate=1 burst=1 first_touch=0 present=0 action=0", 0);

	/* More than the bucket holds: it takes a minute to earn that back. */
	EXPECT_EQ(populate(self->vm, 0, 60), 0);
	EXPECT_EQ(prefault(self->vcpu, 0, 1), 0);
	EXPECT_EQ(prefault(self->vcpu, 0, 1), 0);
	EXPECT_EQ(prefault(self->vcpu, 60, 1), EBUSY);
	EXPECT_EQ(prefault(self->vcpu, 0, 1), 0);
}

/* Private memory as a whole has two ends, and each hole in it two more. */
TEST_F(library, fragment_counts_ranges_and_lets_them_merge)
{
	/* Attached late: what was there before is not counted. */
	self->policy = policy_attach("fragment", "ranges=4", 0);

	EXPECT_EQ(convert(self->vm, 2, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 4, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 6, 1, false), ENOSPC);
	/* The same again, growing one, and there and back. */
	EXPECT_EQ(convert(self->vm, 2, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 5, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 5, 1, true), 0);
	EXPECT_EQ(convert(self->vm, 8, 1, false), ENOSPC);
	/* One hole of two makes room. */
	EXPECT_EQ(convert(self->vm, 3, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 8, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 10, 1, false), ENOSPC);
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	EXPECT_EQ(convert(self->vm, 10, 1, false), 0);
}

TEST_F(library, fragment_counts_what_was_done)
{
	int i;

	self->policy = policy_attach("fragment", "ranges=4", 0);
	self->other = policy_attach("deny", "", 0);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(convert(self->vm, 2 * i, 1, false), EPERM);
	policy_detach(&self->other);
	EXPECT_EQ(convert(self->vm, 30, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 32, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 34, 1, false), ENOSPC);

	/* That it is all private again is refused: it still has two. */
	self->other = policy_attach("deny", "", 0);
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, true), EPERM);
	policy_detach(&self->other);
	EXPECT_EQ(convert(self->vm, 34, 1, false), ENOSPC);
}

TEST_F(library, fragment_begins_anew_after_a_pause)
{
	self->policy = policy_attach("fragment", "ranges=4", 0);
	EXPECT_EQ(convert(self->vm, 2, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 4, 1, false), 0);
	write_parameter("gmem_policies", "N");
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	EXPECT_EQ(convert(self->vm, 40, 2, false), 0);
	write_parameter("gmem_policies", "Y");
	/* It learns of it with the first conversion, and counts from then on. */
	EXPECT_EQ(convert(self->vm, 41, 1, true), 0);
	EXPECT_EQ(convert(self->vm, 10, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 12, 1, false), 0);
	EXPECT_EQ(convert(self->vm, 14, 1, false), ENOSPC);
}

TEST_F(library, sharedcap_by_size_and_place)
{
	uint64_t gfn = DATA_GPA / PAGE_SIZE;
	char set[128];

	/* 1,088 pages of memory, of which all of the large one is shared. */
	self->policy = policy_attach("sharedcap", "grace=0 percent=95", 0);
	EXPECT_EQ(convert(self->vm, 0, 10, false), EDQUOT);
	EXPECT_EQ(convert(self->vm, 0, 9, false), 0);
	EXPECT_EQ(convert(self->vm, 0, 9, true), 0);
	policy_detach(&self->policy);

	snprintf(set, sizeof(set), "grace=0 percent=100 first_gfn=%ju last_gfn=%ju",
		 (uintmax_t)gfn + 8, (uintmax_t)gfn + 15);
	self->policy = policy_attach("sharedcap", set, 0);
	EXPECT_EQ(convert(self->vm, 7, 2, false), EACCES);
	EXPECT_EQ(convert(self->vm, 15, 2, false), EACCES);
	EXPECT_EQ(convert(self->vm, 8, 8, false), 0);
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
}

TEST_F(library, deny_has_every_errno)
{
	static const int errnos[] = { EPERM, ENOMEM, EACCES, EBUSY, ENOSPC, EDQUOT };
	char set[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++) {
		snprintf(set, sizeof(set), "error=%d", errnos[i]);
		self->policy = policy_attach("deny", set, 0);
		EXPECT_EQ(convert(self->vm, 0, 1, false), errnos[i]);
		EXPECT_EQ(convert(self->vm, 0, 1, true), errnos[i]);
		policy_detach(&self->policy);
	}
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
}

TEST_F(library, ratelimit_bounds_each_direction_by_itself)
{
	int err = 0, i;

	self->policy = policy_attach("ratelimit",
				     "rate=1000000 private_rate=4 shared_page_rate=1", 0);
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	/* On a busy machine it may earn another before it asks again. */
	for (i = 0; i < 1000 && !err; i++)
		err = convert(self->vm, 0, 1, true);
	EXPECT_EQ(err, EBUSY);
	/* More than the bucket holds: it takes a minute to earn that back. */
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, false), 0);
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, false), EBUSY);
}

/* Each page may be converted twice at once, in whatever order. */
TEST_F(library, guard_delays_conversions_beyond_the_burst)
{
	int i;

	self->policy = policy_attach("guard", "conversion_rate=10 conversion_burst=1", 0);
	for (i = 0; i < 2 * 1088; i++)
		ASSERT_EQ(convert(self->vm, 0, 1, i & 1), 0);
	EXPECT_EQ(usage().conversions_delayed, 0);
	/* Without a change it is none. */
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_EQ(usage().conversions_delayed, 0);
	for (i = 0; i < 1000 && !usage().conversions_delayed; i++)
		ASSERT_EQ(convert(self->vm, 0, 1, i & 1), 0);
	EXPECT_GE(usage().conversions_delayed, 1);
	EXPECT_EQ(usage().conversions_denied, 0);
}

TEST_F(library, guard_bounds_memory_that_is_there_twice)
{
	EXPECT_EQ(convert(self->vm, LARGE_PAGE, LARGE_PAGES, true), 0);
	EXPECT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	EXPECT_EQ(populate_large(self->vm, 0, LARGE_PAGES), 0);
	EXPECT_EQ(convert(self->vm, 0, 64, false), 0);

	/* More than a hundredth of 1,088 pages: it is delayed, and then refused. */
	self->policy = policy_attach("guard", "stale_percent=1 stale_grace=0", 0);
	EXPECT_EQ(convert(self->vm, LARGE_PAGE, 1, false), EDQUOT);
	EXPECT_GE(usage().conversions_delayed, 1);
	/* What is shared, and what becomes private. */
	EXPECT_EQ(convert(self->vm, 0, 64, false), 0);
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_EQ(punch(self->vm, 1, 63), 0);
	EXPECT_EQ(convert(self->vm, LARGE_PAGE, 1, false), 0);
}

TEST_F(library, state_goes_with_the_vm)
{
	static const char *const names[] = {
		"ratelimit", "quota", "pingpong", "fragment", "faultrate",
		"sharedcap", "guard", "audit",
	};
	struct kvm_vcpu *vcpu;
	const char *map;
	struct kvm_vm *vm;
	uint64_t before;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		self->policy = policy_attach(names[i], "", 0);
		map = strcmp(names[i], "audit") ? "vms" : "audit_vms";
		before = entries(&self->policy, map);
		EXPECT_GE(before, 1);
		vm = new_vm(&vcpu, 1);
		EXPECT_EQ(convert(vm, 0, DATA_PAGES, true), 0);
		EXPECT_EQ(populate(vm, 0, 1), 0);
		EXPECT_EQ(entries(&self->policy, map), before + 1);
		kvm_vm_free(vm);
		EXPECT_EQ(entries(&self->policy, map), before) {
			TH_LOG("%s", names[i]);
		}
		policy_detach(&self->policy);
	}
}

TEST_HARNESS_MAIN
