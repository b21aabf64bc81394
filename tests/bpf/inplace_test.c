// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies, counters and tracepoints where memory is converted in place: each part
 * of a request is asked for and counted, and there is no way round that.
 */
#include <sys/uio.h>

#include "policy_fixture.h"
#include "../policies/policy.h"

FIXTURE(inplace) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct puppet_bpf *p;
	struct bpf_link *link;
};

FIXTURE_SETUP(inplace)
{
	if (!kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES))
		SKIP(return, "kvm.gmem_in_place_conversion is off");
	self->vm = new_vm(&self->vcpu, 1);
	self->p = new_puppet("inplace", 0, 0, 0);
	self->link = attach(self->p);
}

FIXTURE_TEARDOWN(inplace)
{
	if (!self->vm)
		return;
	bpf_link__destroy(self->link);
	puppet_bpf__destroy(self->p);
	kvm_vm_free(self->vm);
}

static void remove_slot(struct kvm_vm *vm)
{
	struct userspace_mem_region *region = memslot2region(vm, DATA_SLOT);

	vm_set_user_memory_region2(vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD, DATA_GPA,
				   0, region->host_mem, data_fd(vm), 0);
}

static void add_slot(struct kvm_vm *vm, int slot, uint64_t gpa, uint64_t page,
		     uint64_t nr)
{
	struct userspace_mem_region *region = memslot2region(vm, DATA_SLOT);

	vm_set_user_memory_region2(vm, slot, KVM_MEM_GUEST_MEMFD, gpa,
				   nr * PAGE_SIZE, region->host_mem,
				   data_fd(vm), page * PAGE_SIZE);
}

TEST_F(inplace, a_denial_changes_nothing)
{
	struct gmem_vm_sample before = usage();

	self->p->bss->convert_verdict = -EBUSY;
	EXPECT_EQ(EBUSY, convert(self->vm, 0, 4, false));
	EXPECT_EQ(1, self->p->bss->converts);
	EXPECT_EQ(before.private_pages, usage().private_pages);
	EXPECT_EQ(before.conversions_denied + 1, usage().conversions_denied);
	self->p->bss->convert_verdict = 0;
	EXPECT_EQ(0, convert(self->vm, 0, 4, false));
	EXPECT_EQ(before.private_pages - 4, usage().private_pages);
	EXPECT_EQ(before.conversions + 1, usage().conversions);
	EXPECT_EQ(before.pages_to_shared + 4, usage().pages_to_shared);
	EXPECT_EQ(0, usage().stale_pages);
}

/* What no memslot has is asked for, too: one may come afterwards. */
TEST_F(inplace, not_without_a_memslot_either)
{
	struct gmem_vm_sample before;

	remove_slot(self->vm);
	self->p->bss->convert_verdict = -EPERM;
	EXPECT_EQ(EPERM, convert(self->vm, 0, 8, false));
	EXPECT_EQ(1, self->p->bss->converts);
	self->p->bss->convert_verdict = 0;
	before = usage();
	EXPECT_EQ(DATA_PAGES, before.private_pages);
	EXPECT_EQ(0, convert(self->vm, 0, 8, false));
	EXPECT_EQ(before.conversions + 1, usage().conversions);
	EXPECT_EQ(before.pages_to_shared + 8, usage().pages_to_shared);
	EXPECT_EQ(DATA_PAGES - 8, usage().private_pages);
	add_slot(self->vm, DATA_SLOT, DATA_GPA, 0, DATA_PAGES);
	EXPECT_EQ(DATA_PAGES - 8, usage().private_pages);
	EXPECT_EQ(2, usage().ranges);
}

/* Neither a new guest_memfd nor pages that no memslot has make it begin anew. */
TEST_F(inplace, fragment_forgets_no_range)
{
	struct test_policy policy = policy_attach("fragment", "ranges=4", 0);
	int other;

	remove_slot(self->vm);
	add_slot(self->vm, DATA_SLOT, DATA_GPA, 0, DATA_PAGES / 2);
	EXPECT_EQ(0, convert(self->vm, 2, 1, false));
	EXPECT_EQ(0, convert(self->vm, 4, 1, false));
	EXPECT_EQ(ENOSPC, convert(self->vm, 6, 1, false));

	other = vm_create_guest_memfd(self->vm, DATA_SIZE, 0);
	EXPECT_EQ(0, convert(self->vm, 4, 1, true));
	EXPECT_EQ(0, convert(self->vm, 4, 1, false));
	EXPECT_EQ(ENOSPC, convert(self->vm, 6, 1, false));

	EXPECT_EQ(0, convert(self->vm, DATA_PAGES / 2 + 1, 1, false));
	EXPECT_EQ(0, convert(self->vm, DATA_PAGES / 2 + 1, 1, true));
	EXPECT_EQ(ENOSPC, convert(self->vm, 6, 1, false));
	EXPECT_EQ(0, convert(self->vm, 3, 1, false));
	EXPECT_EQ(0, convert(self->vm, 6, 1, false));
	close(other);
	policy_detach(&policy);
}

TEST_F(inplace, each_part_is_asked_for_before_any_is_done)
{
	remove_slot(self->vm);
	add_slot(self->vm, DATA_SLOT, DATA_GPA, 0, 16);
	add_slot(self->vm, DATA_SLOT + 1, DATA_GPA + DATA_SIZE, 32, 16);
	self->p->bss->converts = 0;
	/* 8 to 16 in the one, 16 to 32 in none, 32 to 40 in the other. */
	EXPECT_EQ(0, convert(self->vm, 8, 32, false));
	EXPECT_EQ(3, self->p->bss->converts);
	/* Of those that no memslot has, too. */
	EXPECT_EQ(DATA_PAGES - 32, usage().private_pages);
	EXPECT_EQ(4, usage().ranges);
	/* The first is denied: the others are not asked about, none is done. */
	self->p->bss->convert_verdict = -EACCES;
	EXPECT_EQ(EACCES, convert(self->vm, 8, 32, true));
	EXPECT_EQ(DATA_PAGES - 32, usage().private_pages);
	self->p->bss->convert_verdict = 0;
	EXPECT_EQ(0, convert(self->vm, 8, 32, true));
	EXPECT_EQ(DATA_PAGES, usage().private_pages);
	EXPECT_EQ(2, usage().ranges);
}

/* Held by a pipe: refused, counted, and nothing else has changed. */
TEST_F(inplace, a_page_that_is_held_is_counted)
{
	struct kvm_create_guest_memfd create = {
		.size = DATA_SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int fd = ioctl(self->vm->fd, KVM_CREATE_GUEST_MEMFD, &create), hold[2];
	struct gmem_vm_sample before = usage(), after;
	struct iovec iov = { .iov_len = PAGE_SIZE };
	uint64_t at = 0;
	char *mem;

	ASSERT_LE(0, fd);
	mem = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)mem);
	mem[3 * PAGE_SIZE] = 1;
	iov.iov_base = mem + 3 * PAGE_SIZE;
	ASSERT_EQ(0, pipe(hold));
	ASSERT_EQ(PAGE_SIZE, vmsplice(hold[1], &iov, 1, 0));
	EXPECT_EQ(EAGAIN, set_attributes_at(fd, 0, DATA_SIZE,
					    KVM_MEMORY_ATTRIBUTE_PRIVATE, &at));
	EXPECT_EQ(3 * PAGE_SIZE, at);
	after = usage();
	EXPECT_EQ(before.conversions_held + 1, after.conversions_held);
	EXPECT_EQ(before.conversions, after.conversions);
	EXPECT_EQ(1, after.host_faults - before.host_faults);
	close(hold[0]);
	close(hold[1]);
	EXPECT_EQ(0, set_attributes_at(fd, 0, DATA_SIZE,
				       KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL));
	EXPECT_EQ(before.conversions + 1, usage().conversions);
	munmap(mem, DATA_SIZE);
	close(fd);
}

static void *convert_slowly(void *arg)
{
	return (void *)(long)convert(arg, 0, 16, false);
}

/* A memslot that comes while a policy sleeps is not converted unasked. */
TEST_F(inplace, a_memslot_that_comes_meanwhile_is_asked_about)
{
	pthread_t thread;
	void *r;

	remove_slot(self->vm);
	write_parameter(DELAY_MAX, "500");
	self->p->data->convert_times = 1;
	self->p->bss->converts = 0;
	self->p->bss->convert_verdict = 500 * 1000000LL;
	ASSERT_EQ(0, pthread_create(&thread, NULL, convert_slowly, self->vm));
	while (!*(volatile uint64_t *)&self->p->bss->converts)
		usleep(1000);
	add_slot(self->vm, DATA_SLOT, DATA_GPA, 0, DATA_PAGES);
	pthread_join(thread, &r);
	EXPECT_EQ(0, (long)r);
	/* For no memslot, twice because of the delay, and for the memslot. */
	EXPECT_LE(3, self->p->bss->converts);
	EXPECT_EQ(DATA_PAGES - 16, usage().private_pages);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
