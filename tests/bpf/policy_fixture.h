/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the rules of struct kvm_gmem_ops share (policy_*_test.c,
 * each for some of the rules): a guest that would notice if one were broken,
 * and threads that a policy delays.  Where a rule is about order, a test waits
 * for an event and never for a time.
 */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

#include "gmem_test.h"

/* A delay that no test waits for the end of, where it is not cut. */
#define LONG_NS		(3600LL * 1000 * 1000 * 1000)
#define LONG_MS		"3600000"

/* Half of it would do for any test; what hangs for so long hangs for good. */
#define HANG_SECONDS	120

/* What a test finds; those that fail may leave it at anything else. */
#define DELAY_MAX	"gmem_delay_max_ms"
#define DELAY_MAX_MS	"1000"
#define TOTAL_MAX	"gmem_delay_total_max_ms"
#define TOTAL_MAX_MS	"30000"
#define POLICIES_ON	"gmem_policies"

FIXTURE(policy) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

static inline void reset_parameters(void)
{
	write_parameter(DELAY_MAX, DELAY_MAX_MS);
	write_parameter(TOTAL_MAX, TOTAL_MAX_MS);
	write_parameter(POLICIES_ON, "Y");
}

/*
 * The policy of a test that hung may outlive it, and would make every test after
 * it hang too.  One of a test that was only killed goes in a moment.
 */
static inline void await_no_policy(void)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_policies policies = {};
	int tries;

	for (tries = 0; tries < 100; tries++) {
		MUST(sampler && !gmem_sampler_read_policies(sampler, &policies),
		     "cannot read the attached policies");
		if (!policies.nr)
			break;
		usleep(100000);
	}
	MUST(!policies.nr, "policy %s of a test before is still attached",
	     policies.policies[0].name);
	gmem_policies_free(&policies);
	gmem_sampler_close(sampler);
}

FIXTURE_SETUP(policy)
{
	reset_parameters();
	await_no_policy();
	self->vm = new_vm(&self->vcpu, 1);
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
}

FIXTURE_TEARDOWN(policy)
{
	kvm_vm_free(self->vm);
	reset_parameters();
}

static inline void ignore_signal(int signal)
{
}

/* A thread that a policy delays, and that a signal reaches. */
struct worker {
	pthread_t thread;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int result;
	bool done;
};

static inline void *convert_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = convert(worker->vm, 0, 1, false);
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline void *populate_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = populate(worker->vm, 0, 1);
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline void *prefault_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = prefault(worker->vcpu, 0, 1);
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline void *run_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = __vcpu_run(worker->vcpu) ? errno : 0;
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* All that a delay can be slept in. */
static void *(*const workers[])(void *) = {
	convert_worker, populate_worker, prefault_worker, run_worker,
};

static inline void start(struct worker *worker, void *(*fn)(void *),
			 struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = ignore_signal };

	*worker = (struct worker){ .vm = vm, .vcpu = vcpu };
	sigaction(SIGUSR1, &action, NULL);
	MUST(!pthread_create(&worker->thread, NULL, fn, worker),
	     "cannot start a thread");
}

static inline bool is_done(struct worker *worker)
{
	return __atomic_load_n(&worker->done, __ATOMIC_ACQUIRE);
}

static inline int finish(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
	return worker->result;
}

static inline void await(volatile __u64 *counter, __u64 value)
{
	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < value)
		usleep(1000);
}

/* A policy's answer for whatever it is asked. */
static inline void answer(struct puppet_bpf *p, __s64 verdict)
{
	p->bss->convert_verdict = verdict;
	p->bss->fault_verdict = verdict;
}

static inline volatile __u64 *asked(struct puppet_bpf *p,
				    void *(*fn)(void *))
{
	return fn == convert_worker ? &p->bss->converts : &p->bss->faults;
}

/*
 * Starts a thread that is put to a policy, which delays it again and again, and
 * waits until it was.  Whoever waits for its delay to end hangs.
 */
static inline void start_delayed(struct worker *worker, void *(*fn)(void *),
				 struct kvm_vm *vm, struct kvm_vcpu *vcpu,
				 struct puppet_bpf *p)
{
	write_parameter(DELAY_MAX, "50");
	write_parameter(TOTAL_MAX, LONG_MS);
	answer(p, LONG_NS);
	p->bss->converts = 0;
	p->bss->faults = 0;
	start(worker, fn, vm, vcpu);
	await(asked(p, fn), 1);
}

/* The policy has changed its mind. */
static inline int let_pass(struct worker *worker, struct puppet_bpf *p)
{
	answer(p, 0);
	return finish(worker);
}

/* What those that passed did to the first page. */
static inline void undo(struct kvm_vm *vm, struct puppet_bpf *p)
{
	answer(p, 0);
	MUST(!punch(vm, 0, 1) && !convert(vm, 0, 1, true), "cannot undo it");
}

static inline __u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Memslot updates wait for whoever is in a section of kvm->srcu. */
static inline void update_memslots(struct kvm_vm *vm)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA * 2,
				    DATA_SLOT + 1, 1, 0);
	vm_mem_region_delete(vm, DATA_SLOT + 1);
}

/* What main() of such a program is. */
static inline int run_policy_tests(int argc, char **argv)
{
	int r;

	libbpf_set_print(NULL);
	r = test_harness_run(argc, argv);
	/* A test that was killed has not. */
	reset_parameters();
	return r;
}

#endif /* POLICY_FIXTURE_H */
