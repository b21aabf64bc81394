// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a policy is asked, what it is told, and which VMs it meets: the hooks'
 * arguments and their order.
 */
#include "policy_fixture.h"

TEST_F(policy, is_asked_with_the_request)
{
	struct puppet_bpf *p = new_puppet("asked", 0, 0, 0);
	struct bpf_link *link = attach(p);

	EXPECT_EQ(convert(self->vm, 3, 5, false), 0);
	EXPECT_EQ(p->bss->converts, 1);
	EXPECT_EQ(p->bss->convert_start, DATA_GPA / PAGE_SIZE + 3);
	EXPECT_EQ(p->bss->convert_end, DATA_GPA / PAGE_SIZE + 8);
	EXPECT_EQ(p->bss->convert_attributes, 0);
	EXPECT_EQ(p->bss->invalidated[GMEM_INVALIDATE_CONVERSION], 1);
	EXPECT_EQ(p->bss->last_vm, usage().vm_id);

	EXPECT_EQ(prefault(self->vcpu, 10, 1), 0);
	EXPECT_EQ(p->bss->faults, 1);
	EXPECT_EQ(p->bss->fault_gfn, DATA_GPA / PAGE_SIZE + 10);
	EXPECT_EQ(p->bss->fault_index, 10);
	EXPECT_EQ(p->bss->fault_pages, 1);
	EXPECT_EQ(p->bss->fault_reason, GMEM_FAULT_PREFAULT);
	EXPECT_EQ(p->bss->fault_present, 0);

	EXPECT_EQ(populate(self->vm, 10, 4), 0);
	EXPECT_EQ(p->bss->fault_pages, 4);
	EXPECT_EQ(p->bss->fault_reason, GMEM_FAULT_FALLOCATE);
	EXPECT_EQ(p->bss->fault_present, 1);

	vcpu_run(self->vcpu);
	EXPECT_EQ(p->bss->fault_reason, GMEM_FAULT_VCPU);
	EXPECT_EQ(p->bss->fault_index, 0);

	bpf_link__destroy(link);
	EXPECT_EQ(convert(self->vm, 3, 5, true), 0);
	EXPECT_EQ(p->bss->converts, 1);
	EXPECT_EQ(p->bss->out_of_order, 0);
	puppet_bpf__destroy(p);
}

/* The report that came as number @nr. */
#define EXPECT_TOLD(p, nr, reason, start, end, freed)			\
	do {								\
		EXPECT_EQ((p)->bss->told_reason[nr], reason);		\
		EXPECT_EQ((p)->bss->told_start[nr], start);		\
		EXPECT_EQ((p)->bss->told_end[nr], end);			\
		EXPECT_EQ((p)->bss->told_freed[nr], freed);		\
	} while (0)

/*
 * A guest_memfd of which two memslots map the middle, side by side in the file
 * and the other way round in the guest, and nobody the first and last 8 pages.
 */
TEST_F(policy, is_told_what_went_where)
{
	const uint64_t low = 2 * DATA_GPA, high = 3 * DATA_GPA;
	const uint64_t low_gfn = low / PAGE_SIZE, high_gfn = high / PAGE_SIZE;
	const uint64_t data_gfn = DATA_GPA / PAGE_SIZE, none = ~0ULL;
	int fd = vm_create_guest_memfd(self->vm, DATA_SIZE, 0);
	struct puppet_bpf *p = new_puppet("told", 0, 0, 0);
	struct bpf_link *link = attach(p);

	vm_mem_add(self->vm, VM_MEM_SRC_ANONYMOUS, high, DATA_SLOT + 1, 24,
		   KVM_MEM_GUEST_MEMFD, fd, 8 * PAGE_SIZE);
	vm_mem_add(self->vm, VM_MEM_SRC_ANONYMOUS, low, DATA_SLOT + 2, 24,
		   KVM_MEM_GUEST_MEMFD, fd, 32 * PAGE_SIZE);
	/* All but pages 30, 33 and 34. */
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 30 * PAGE_SIZE), 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 31 * PAGE_SIZE,
			    2 * PAGE_SIZE), 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 35 * PAGE_SIZE,
			    29 * PAGE_SIZE), 0);
	ASSERT_EQ(p->bss->invalidates, 0);

	/* A hole across both: one report for each, of its own part. */
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			    27 * PAGE_SIZE, 10 * PAGE_SIZE), 0);
	ASSERT_EQ(p->bss->invalidates, 2);
	EXPECT_TOLD(p, 0, GMEM_INVALIDATE_PUNCH_HOLE, high_gfn + 19,
		    high_gfn + 24, 4);
	EXPECT_TOLD(p, 1, GMEM_INVALIDATE_PUNCH_HOLE, low_gfn, low_gfn + 5, 3);

	/* What nobody maps has no guest frames. */
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0,
			    3 * PAGE_SIZE), 0);
	ASSERT_EQ(p->bss->invalidates, 3);
	EXPECT_TOLD(p, 2, GMEM_INVALIDATE_PUNCH_HOLE, none, none, 3);

	/* A hole that is partly mapped: the part that is not comes last. */
	ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			    3 * PAGE_SIZE, 7 * PAGE_SIZE), 0);
	ASSERT_EQ(p->bss->invalidates, 5);
	EXPECT_TOLD(p, 3, GMEM_INVALIDATE_PUNCH_HOLE, high_gfn, high_gfn + 2, 2);
	EXPECT_TOLD(p, 4, GMEM_INVALIDATE_PUNCH_HOLE, none, none, 5);

	/* A memslot that goes frees nothing. */
	vm_mem_region_delete(self->vm, DATA_SLOT + 2);
	ASSERT_EQ(p->bss->invalidates, 6);
	EXPECT_TOLD(p, 5, GMEM_INVALIDATE_UNBIND, low_gfn, low_gfn + 24, 0);
	vm_mem_region_delete(self->vm, DATA_SLOT + 1);
	ASSERT_EQ(p->bss->invalidates, 7);
	EXPECT_TOLD(p, 6, GMEM_INVALIDATE_UNBIND, high_gfn, high_gfn + 24, 0);

	/* The file takes along what is left: 61 pages less 7, 3 and 7. */
	close(fd);
	ASSERT_EQ(p->bss->invalidates, 8);
	EXPECT_TOLD(p, 7, GMEM_INVALIDATE_RELEASE, none, none, 44);
	EXPECT_EQ(p->bss->freed, 61);

	/* A conversion frees nothing; a file may be closed under its memslot. */
	ASSERT_EQ(populate(self->vm, 10, 5), 0);
	ASSERT_EQ(convert(self->vm, 8, 4, false), 0);
	ASSERT_EQ(p->bss->invalidates, 9);
	EXPECT_TOLD(p, 8, GMEM_INVALIDATE_CONVERSION, data_gfn + 8,
		    data_gfn + 12, 0);
	close(data_fd(self->vm));
	ASSERT_EQ(p->bss->invalidates, 10);
	EXPECT_TOLD(p, 9, GMEM_INVALIDATE_RELEASE, data_gfn,
		    data_gfn + DATA_PAGES, 5);
	/* The library closes the file once more. */
	memslot2region(self->vm, DATA_SLOT)->region.guest_memfd = dup(0);

	EXPECT_EQ(usage().freed_pages, p->bss->freed);
	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->out_of_order, 0);
	puppet_bpf__destroy(p);
}

TEST_F(policy, meets_each_vm_once)
{
	struct puppet_bpf *p = new_puppet("life", 0, 0, 0);
	struct kvm_vm *vms[3];
	struct kvm_vcpu *vcpu;
	struct bpf_link *link;
	int i;

	vms[0] = new_vm(&vcpu, 1);
	link = attach(p);
	EXPECT_EQ(p->bss->inits, 2);
	vms[1] = new_vm(&vcpu, 1);
	vms[2] = new_vm(&vcpu, 1);
	EXPECT_EQ(p->bss->inits, 4);
	EXPECT_EQ(policy_info("life").nr_vms, 4);

	kvm_vm_free(vms[0]);
	EXPECT_EQ(p->bss->exits, 1);
	EXPECT_EQ(policy_info("life").nr_vms, 3);
	for (i = 1; i < 3; i++)
		EXPECT_EQ(convert(vms[i], 0, 1, true), 0);

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->exits, 4);
	EXPECT_EQ(p->bss->inits, 4);
	EXPECT_EQ(p->bss->out_of_order, 0);
	kvm_vm_free(vms[1]);
	kvm_vm_free(vms[2]);
	EXPECT_EQ(p->bss->exits, 4);
	puppet_bpf__destroy(p);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
