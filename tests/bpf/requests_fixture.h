/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest whose vCPUs ask for conversions when the test says so, and wait for an
 * answer until the test gives one.
 */
#ifndef REQUESTS_FIXTURE_H
#define REQUESTS_FIXTURE_H

#include "policy_fixture.h"

/* A request; the guest has one of each vCPU's. */
struct ask {
	volatile uint64_t page;
	volatile uint64_t nr;
	volatile uint64_t flags;
	volatile uint64_t answer;
};

static struct ask asks[2];

static void guest_asks(uint64_t gva)
{
	struct ask *ask = (void *)gva;

	for (;;) {
		ask->answer = __kvm_hypercall_map_gpa_range(DATA_GPA +
							    ask->page * PAGE_SIZE,
							    ask->nr * PAGE_SIZE,
							    ask->flags);
		GUEST_SYNC(1);
	}
}

FIXTURE(requests) {
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;
	struct ask *asks;
};

FIXTURE_SETUP(requests)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	int i;

	reset_parameters();
	await_no_policy();
	self->vm = __vm_create_with_vcpus(shape, 2, 0, guest_asks, self->vcpus);
	vm_enable_cap(self->vm, KVM_CAP_EXIT_HYPERCALL,
		      BIT(KVM_HC_MAP_GPA_RANGE));
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA,
				    DATA_SLOT, DATA_PAGES, KVM_MEM_GUEST_MEMFD);
	self->asks = addr_gva2hva(self->vm, (vm_vaddr_t)asks);
	for (i = 0; i < 2; i++)
		vcpu_args_set(self->vcpus[i], 1, &asks[i]);
}

FIXTURE_TEARDOWN(requests)
{
	kvm_vm_free(self->vm);
}

/* Lets a vCPU ask, until the VMM has the request. */
static void ask(struct kvm_vcpu *vcpu, struct ask *what, uint64_t page,
		uint64_t nr, bool private)
{
	what->page = page;
	what->nr = nr;
	what->flags = private ? KVM_MAP_GPA_RANGE_ENCRYPTED :
				KVM_MAP_GPA_RANGE_DECRYPTED;
	vcpu_run(vcpu);
	MUST(vcpu->run->exit_reason == KVM_EXIT_HYPERCALL &&
	     vcpu->run->hypercall.nr == KVM_HC_MAP_GPA_RANGE,
	     "exit %u is no request", vcpu->run->exit_reason);
}

/* Lets it go on with an answer, until it has it. */
static uint64_t answer_with(struct kvm_vcpu *vcpu, struct ask *what,
			    int64_t answer)
{
	struct ucall uc;

	vcpu->run->hypercall.ret = answer;
	vcpu_run(vcpu);
	MUST(get_ucall(vcpu, &uc) == UCALL_SYNC, "the guest does not go on");
	return what->answer;
}

#endif /* REQUESTS_FIXTURE_H */
