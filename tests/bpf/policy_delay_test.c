// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is delayed asks again, and while it sleeps nobody waits for it: neither
 * memslots nor other VMs nor a detach.  What a VMM sees of it is in
 * policy_signal_test.c.
 */
#include "policy_fixture.h"

TEST_F(policy, delay_asks_again)
{
	struct puppet_bpf *p = new_puppet("delay", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_vm_sample after;

	p->bss->convert_verdict = 1000;
	p->data->convert_times = 3;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(p->bss->converts, 4);

	p->bss->fault_verdict = 1000;
	p->data->fault_times = 2;
	EXPECT_EQ(prefault(self->vcpu, 5, 1), 0);
	EXPECT_EQ(p->bss->faults, 3);

	p->data->fault_times = 2;
	EXPECT_EQ(populate(self->vm, 6, 1), 0);
	EXPECT_EQ(p->bss->faults, 6);

	ASSERT_EQ(convert(self->vm, 0, 1, true), 0);
	p->data->fault_times = 2;
	vcpu_run(self->vcpu);
	EXPECT_EQ(p->bss->faults, 9);

	after = usage();
	EXPECT_EQ(after.conversions_delayed, 3);
	EXPECT_EQ(after.faults_delayed, 6);
	EXPECT_EQ(after.delayed_ns, 9000);
	EXPECT_EQ(policy_info("delay").delayed, 9);
	EXPECT_EQ(policy_info("delay").delayed_ns, 9000);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, delay_is_capped)
{
	struct puppet_bpf *p = new_puppet("capped", 0, 0, 0);
	struct bpf_link *link = attach(p);

	write_parameter(DELAY_MAX, "2");
	p->bss->convert_verdict = LONG_NS;
	p->data->convert_times = 1;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(usage().delayed_ns, 2000000);
	EXPECT_EQ(policy_info("capped").clamped, 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, memslots_change_during_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("memslots", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct worker worker;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		start_delayed(&worker, workers[i], self->vm, self->vcpu, p);
		update_memslots(self->vm);
		/* Neither do other users of the file wait for it. */
		EXPECT_EQ(punch(self->vm, 0, DATA_PAGES), 0);
		EXPECT_FALSE(is_done(&worker));
		EXPECT_EQ(let_pass(&worker, p), 0);
		undo(self->vm, p);
	}

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* Destruction of one VM waits for those who are in the policies of any. */
TEST_F_TIMEOUT(policy, another_vm_dies_during_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("another", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct kvm_vcpu *vcpu;
	struct worker worker;
	struct kvm_vm *other;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		other = new_vm(&vcpu, 1);
		start_delayed(&worker, workers[i], self->vm, self->vcpu, p);
		kvm_vm_free(other);
		EXPECT_EQ(p->bss->exits, 2 * i + 1);
		/* One that is born meanwhile, too. */
		kvm_vm_free(new_vm(&vcpu, 1));
		EXPECT_EQ(p->bss->exits, 2 * i + 2);
		EXPECT_FALSE(is_done(&worker));
		EXPECT_EQ(let_pass(&worker, p), 0);
		undo(self->vm, p);
	}

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->out_of_order, 0);
	puppet_bpf__destroy(p);
}

/*
 * A process gives up a VM, all of its memslots and files, while a thread of its
 * own is still in there: it need not wait, and the VM dies with that call.
 */
TEST_F_TIMEOUT(policy, its_vm_is_closed_during_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("closed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct kvm_vcpu *vcpu;
	struct worker worker;
	struct kvm_vm *vm;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		vm = new_vm(&vcpu, 1);
		ASSERT_EQ(convert(vm, 0, DATA_PAGES, true), 0);
		start_delayed(&worker, workers[i], vm, vcpu, p);
		kvm_vm_free(vm);
		EXPECT_EQ(p->bss->exits, i);
		EXPECT_FALSE(is_done(&worker));
		/*
		 * What becomes of it does not matter: its memory is gone.  A
		 * guest without any faults for ever, until a signal comes.
		 */
		answer(p, 0);
		while (!is_done(&worker)) {
			pthread_kill(worker.thread, SIGUSR1);
			usleep(1000);
		}
		finish(&worker);
		await(&p->bss->exits, i + 1);
	}

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->out_of_order, 0);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, memslot_goes_during_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("gone", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct worker worker;

	/* The fault is replayed from the start and finds no memslot. */
	write_parameter(DELAY_MAX, "20");
	p->bss->fault_verdict = LONG_NS;
	start(&worker, run_worker, self->vm, self->vcpu);
	await(&p->bss->faults, 1);
	vm_mem_region_delete(self->vm, DATA_SLOT);
	EXPECT_EQ(finish(&worker), EFAULT);
	EXPECT_EQ(self->vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* The detach does not wait for it, nor does it end the delay. */
TEST_F_TIMEOUT(policy, detach_during_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("detach", 0, 0, 0);
	struct bpf_link *link;
	struct worker worker;
	size_t i;

	write_parameter(DELAY_MAX, "3000");
	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		link = attach(p);
		answer(p, LONG_NS);
		p->bss->converts = 0;
		p->bss->faults = 0;
		start(&worker, workers[i], self->vm, self->vcpu);
		await(asked(p, workers[i]), 1);
		bpf_link__destroy(link);
		EXPECT_EQ(policy_info("detach").nr_vms, ~0U);
		EXPECT_FALSE(is_done(&worker));
		/* Nobody is left to say no. */
		EXPECT_EQ(finish(&worker), 0);
		EXPECT_EQ(*asked(p, workers[i]), 1);
		undo(self->vm, p);
	}
	puppet_bpf__destroy(p);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
