// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of struct kvm_gmem_ops, each with guests that would notice if it
 * were broken.  Where a rule is about order, the test waits for an event and
 * never for a time.
 */
#include <sys/wait.h>

#include "gmem_test.h"
#include "refused.skel.h"

/* A delay that no test waits for the end of, where it is not cut. */
#define LONG_NS		(3600LL * 1000 * 1000 * 1000)
#define LONG_MS		"3600000"

/* Half of it would do for any test; what hangs for so long hangs for good. */
#define HANG_SECONDS	120

/* What a test finds; those that fail may leave it at anything else. */
#define DELAY_MAX	"gmem_delay_max_ms"
#define DELAY_MAX_MS	"1000"
#define POLICIES_ON	"gmem_policies"

FIXTURE(policy) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
};

static void reset_parameters(void)
{
	write_parameter(DELAY_MAX, DELAY_MAX_MS);
	write_parameter(POLICIES_ON, "Y");
}

/*
 * The policy of a test that hung may outlive it, and would make every test after
 * it hang too.  One of a test that was only killed goes in a moment.
 */
static void await_no_policy(void)
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

static void ignore_signal(int signal)
{
}

/* A thread that signals can get out of a delay. */
struct worker {
	pthread_t thread;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	int result;
	bool done;
};

static void *convert_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = convert(worker->vm, 0, 1, false);
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *populate_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = populate(worker->vm, 0, 1);
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *prefault_worker(void *arg)
{
	struct worker *worker = arg;

	worker->result = prefault(worker->vcpu, 0, 1);
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *run_worker(void *arg)
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

static void start(struct worker *worker, void *(*fn)(void *),
		  struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = ignore_signal };

	*worker = (struct worker){ .vm = vm, .vcpu = vcpu };
	sigaction(SIGUSR1, &action, NULL);
	MUST(!pthread_create(&worker->thread, NULL, fn, worker),
		    "cannot start a thread");
}

static bool is_done(struct worker *worker)
{
	return __atomic_load_n(&worker->done, __ATOMIC_ACQUIRE);
}

/* Signals until the thread came out: it may not yet be in when we begin. */
static int interrupt(struct worker *worker)
{
	while (!is_done(worker)) {
		pthread_kill(worker->thread, SIGUSR1);
		usleep(1000);
	}
	pthread_join(worker->thread, NULL);
	return worker->result;
}

static int finish(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
	return worker->result;
}

static void await(volatile __u64 *counter, __u64 value)
{
	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < value)
		usleep(1000);
}

/*
 * Starts a thread that is put to a policy, which delays it for an hour, and
 * waits until it was.  Whoever waits for its delay to end hangs.
 */
static void start_delayed(struct worker *worker, void *(*fn)(void *),
			  struct kvm_vm *vm, struct kvm_vcpu *vcpu,
			  struct puppet_bpf *p)
{
	write_parameter(DELAY_MAX, LONG_MS);
	p->bss->convert_verdict = LONG_NS;
	p->bss->fault_verdict = LONG_NS;
	p->bss->converts = 0;
	p->bss->faults = 0;
	start(worker, fn, vm, vcpu);
	await(fn == convert_worker ? &p->bss->converts : &p->bss->faults, 1);
}

/* Memslot updates wait for whoever is in a section of kvm->srcu. */
static void update_memslots(struct kvm_vm *vm)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA * 2,
				    DATA_SLOT + 1, 1, 0);
	vm_mem_region_delete(vm, DATA_SLOT + 1);
}

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

TEST_F(policy, denial_changes_nothing)
{
	static const int errnos[] = { EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EDQUOT };
	struct puppet_bpf *p = new_puppet("deny", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct gmem_vm_sample before = usage(), after;
	struct gmem_policy_sample info;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(errnos); i++) {
		p->bss->convert_verdict = -errnos[i];
		/* Not equally often, so that each is found where it belongs. */
		for (j = 0; j <= i; j++)
			EXPECT_EQ(convert(self->vm, 0, 1, false), errnos[i]);
		p->bss->fault_verdict = -errnos[i];
		EXPECT_EQ(prefault(self->vcpu, 0, 1), errnos[i]);
		EXPECT_EQ(populate(self->vm, 0, 1), errnos[i]);
	}

	after = usage();
	EXPECT_EQ(after.private_pages, before.private_pages);
	EXPECT_EQ(after.populated_pages, before.populated_pages);
	EXPECT_EQ(after.conversions_denied - before.conversions_denied, 21);
	EXPECT_EQ(after.faults_denied - before.faults_denied, 12);
	info = policy_info("deny");
	EXPECT_EQ(info.denied, 21 + 12);
	EXPECT_EQ(info.clamped, 0);
	EXPECT_EQ(info.allowed, 0);
	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		EXPECT_EQ(info.denied_by_errno[i], i + 1 + 2);

	bpf_link__destroy(link);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	puppet_bpf__destroy(p);
}

TEST_F(policy, unknown_errno_is_clamped)
{
	struct puppet_bpf *p = new_puppet("clamp", 0, 0, 0);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = -EFAULT;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EACCES);
	p->bss->convert_verdict = -(1LL << 40);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EACCES);
	EXPECT_EQ(policy_info("clamp").clamped, 2);
	EXPECT_EQ(policy_info("clamp").denied, 2);
	EXPECT_EQ(policy_info("clamp").denied_by_errno[GMEM_DENIED_EACCES], 2);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, denied_guest_goes_on)
{
	struct puppet_bpf *p = new_puppet("fault", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct ucall uc;

	p->bss->fault_verdict = -EDQUOT;
	EXPECT_EQ(__vcpu_run(self->vcpu), -1);
	EXPECT_EQ(errno, EDQUOT);
	EXPECT_EQ(self->vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	EXPECT_EQ(self->vcpu->run->memory_fault.gpa, DATA_GPA);
	EXPECT_EQ(usage().populated_pages, 0);

	p->bss->fault_verdict = 0;
	vcpu_run(self->vcpu);
	EXPECT_EQ(get_ucall(self->vcpu, &uc), UCALL_SYNC);
	EXPECT_EQ(usage().populated_pages, 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

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

TEST_F_TIMEOUT(policy, signal_ends_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("signal", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct worker worker;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		start_delayed(&worker, workers[i], self->vm, self->vcpu, p);
		EXPECT_EQ(interrupt(&worker), EINTR);
	}
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(usage().private_pages, DATA_PAGES);
	/* None of them was told that its time was up. */
	EXPECT_EQ(policy_info("signal").calls, ARRAY_SIZE(workers));

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
		EXPECT_EQ(interrupt(&worker), EINTR);
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
		EXPECT_EQ(interrupt(&worker), EINTR);
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
		p->bss->convert_verdict = 0;
		vm = new_vm(&vcpu, 1);
		ASSERT_EQ(convert(vm, 0, DATA_PAGES, true), 0);
		start_delayed(&worker, workers[i], vm, vcpu, p);
		kvm_vm_free(vm);
		EXPECT_EQ(p->bss->exits, i);
		EXPECT_FALSE(is_done(&worker));
		EXPECT_EQ(interrupt(&worker), EINTR);
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

TEST_F_TIMEOUT(policy, kill_ends_a_delayed_vmm, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("kill", 0, 0, 0);
	struct bpf_link *link = attach(p);
	int status;
	pid_t pid;

	write_parameter(DELAY_MAX, LONG_MS);
	p->bss->convert_verdict = LONG_NS;
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct kvm_vcpu *vcpu;

		/* If it cannot be killed, the policy goes all the same. */
		close(bpf_link__fd(link));
		convert(new_vm(&vcpu, 1), 0, 1, true);
		_exit(1);
	}
	await(&p->bss->converts, 1);
	kill(pid, SIGKILL);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	/* Its VM is gone, not only the process. */
	await(&p->bss->exits, 1);

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->out_of_order, 0);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, detach_during_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("detach", 0, 0, 0);
	struct bpf_link *link;
	struct worker worker;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		link = attach(p);
		start_delayed(&worker, workers[i], self->vm, self->vcpu, p);
		bpf_link__destroy(link);
		EXPECT_EQ(policy_info("detach").nr_vms, ~0U);
		EXPECT_FALSE(is_done(&worker));
		EXPECT_EQ(interrupt(&worker), EINTR);
	}
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, who_was_delayed_passes_after_a_detach, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("detach", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct worker worker;

	write_parameter(DELAY_MAX, "20");
	p->bss->convert_verdict = LONG_NS;
	start(&worker, convert_worker, self->vm, NULL);
	await(&p->bss->converts, 1);
	bpf_link__destroy(link);
	/* Nobody is left to say no. */
	EXPECT_EQ(finish(&worker), 0);
	puppet_bpf__destroy(p);
}

TEST_F(policy, first_denial_wins)
{
	struct puppet_bpf *last = new_puppet("last", 0, 10, 0);
	struct puppet_bpf *first = new_puppet("first", 0, -10, 0);
	struct puppet_bpf *middle = new_puppet("middle", 0, 0, 0);
	struct bpf_link *links[] = { attach(last), attach(first), attach(middle) };

	last->bss->convert_verdict = -EBUSY;
	middle->bss->convert_verdict = -ENOSPC;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	EXPECT_EQ(first->bss->converts, 1);
	EXPECT_EQ(middle->bss->converts, 1);
	EXPECT_EQ(last->bss->converts, 0);

	/* A denial also beats the delay of one who came before. */
	first->bss->convert_verdict = LONG_NS;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	EXPECT_EQ(usage().conversions_delayed, 0);

	bpf_link__destroy(links[2]);
	first->bss->convert_verdict = 0;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(last);
	puppet_bpf__destroy(first);
	puppet_bpf__destroy(middle);
}

/* The errno tells who was asked first, for nobody is asked after it. */
TEST_F(policy, equals_run_as_they_came)
{
	struct puppet_bpf *c = new_puppet("c", 0, 5, 0);
	struct puppet_bpf *b = new_puppet("b", 0, 5, 0);
	struct puppet_bpf *a = new_puppet("a", 0, 5, 0);
	struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX];
	struct bpf_link *first, *second, *third;
	unsigned int ids[3];

	a->bss->convert_verdict = -EPERM;
	b->bss->convert_verdict = -EBUSY;
	c->bss->convert_verdict = -ENOSPC;
	first = attach(b);
	second = attach(c);
	third = attach(a);
	ids[0] = policy_info("b").link_id;
	ids[1] = policy_info("c").link_id;
	ids[2] = policy_info("a").link_id;
	ASSERT_EQ(verdicts_on(usage().vm_id, verdicts), 3);
	EXPECT_EQ(verdicts[0].link_id, ids[0]);
	EXPECT_EQ(verdicts[1].link_id, ids[1]);
	EXPECT_EQ(verdicts[2].link_id, ids[2]);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	EXPECT_EQ(a->bss->converts + c->bss->converts, 0);
	b->bss->convert_verdict = 0;
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	EXPECT_EQ(a->bss->converts, 0);

	/* Who comes back comes last. */
	bpf_link__destroy(first);
	b->bss->convert_verdict = -EBUSY;
	first = attach(b);
	EXPECT_EQ(convert(self->vm, 0, 1, false), ENOSPC);
	bpf_link__destroy(second);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EPERM);
	bpf_link__destroy(third);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);

	bpf_link__destroy(first);
	puppet_bpf__destroy(a);
	puppet_bpf__destroy(b);
	puppet_bpf__destroy(c);
}

TEST_F(policy, longest_delay_holds)
{
	struct puppet_bpf *a = new_puppet("short", 0, 0, 0);
	struct puppet_bpf *b = new_puppet("long", 0, 0, 0);
	struct bpf_link *links[] = { attach(a), attach(b) };

	a->bss->convert_verdict = 1000;
	a->data->convert_times = 1;
	b->bss->convert_verdict = 3000;
	b->data->convert_times = 1;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(usage().conversions_delayed, 1);
	EXPECT_EQ(usage().delayed_ns, 3000);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(a);
	puppet_bpf__destroy(b);
}

TEST_F(policy, audit_never_enforces)
{
	struct puppet_bpf *p = new_puppet("audit", 0, 0, GMEM_POLICY_AUDIT);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	p->bss->fault_verdict = LONG_NS;
	EXPECT_EQ(prefault(self->vcpu, 1, 1), 0);
	EXPECT_EQ(usage().conversions_denied, 0);
	EXPECT_EQ(usage().faults_delayed, 0);
	EXPECT_EQ(policy_info("audit").denied, 1);
	EXPECT_EQ(policy_info("audit").delayed, 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, is_for_one_vm)
{
	struct gmem_vm_sample first = usage();
	struct kvm_vcpu *vcpu;
	struct kvm_vm *other = new_vm(&vcpu, 1);
	struct puppet_bpf *p = new_puppet("one", first.vm_id, 0, 0);
	struct puppet_bpf *nobody = new_puppet("nobody", 1ULL << 60, 0, 0);
	struct bpf_link *link = attach(p);

	EXPECT_NE(usage().vm_id, first.vm_id);
	p->bss->convert_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	EXPECT_EQ(convert(other, 0, 1, true), 0);
	EXPECT_EQ(p->bss->inits, 1);
	EXPECT_EQ(policy_info("one").nr_vms, 1);
	EXPECT_EQ(policy_info("one").vm_id, first.vm_id);

	EXPECT_EQ(attach_errno(nobody), ESRCH);

	kvm_vm_free(other);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(nobody);
}

TEST_F(policy, counts_for_each_vm)
{
	struct gmem_vm_verdicts on_first[GMEM_VM_POLICIES_MAX];
	struct gmem_vm_verdicts on_other[GMEM_VM_POLICIES_MAX];
	struct puppet_bpf *all = new_puppet("all", 0, 0, 0);
	struct puppet_bpf *more = new_puppet("more", 0, -1, 0);
	uint64_t first = usage().vm_id, other_id;
	struct bpf_link *links[2] = { attach(all) };
	struct puppet_bpf *mine;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *other;
	struct bpf_link *own;

	/* Born under a policy, as the first one was not. */
	other = new_vm(&vcpu, 1);
	other_id = usage().vm_id;
	mine = new_puppet("mine", other_id, 1, GMEM_POLICY_AUDIT);
	own = attach(mine);

	all->bss->convert_verdict = -EBUSY;
	ASSERT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	ASSERT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	all->bss->convert_verdict = 3000;
	all->data->convert_times = 2;
	ASSERT_EQ(convert(self->vm, 0, 1, false), 0);
	all->bss->convert_verdict = 0;
	mine->bss->convert_verdict = -EPERM;
	ASSERT_EQ(convert(other, 0, 1, true), 0);

	/* 3 denied or delayed and asked again, and 1 that was let pass. */
	ASSERT_EQ(verdicts_on(first, on_first), 1);
	EXPECT_EQ(on_first[0].link_id, policy_info("all").link_id);
	EXPECT_EQ(on_first[0].calls, 2 + 2 + 1);
	EXPECT_EQ(on_first[0].denied, 2);
	EXPECT_EQ(on_first[0].delayed, 2);
	EXPECT_EQ(on_first[0].delayed_ns, 6000);
	ASSERT_EQ(verdicts_on(other_id, on_other), 2);
	EXPECT_EQ(on_other[0].link_id, policy_info("all").link_id);
	EXPECT_EQ(on_other[0].calls, 1);
	EXPECT_EQ(on_other[0].denied, 0);
	EXPECT_EQ(on_other[1].link_id, policy_info("mine").link_id);
	EXPECT_EQ(on_other[1].calls, 1);
	EXPECT_EQ(on_other[1].denied, 1);
	EXPECT_EQ(policy_info("all").calls,
		  on_first[0].calls + on_other[0].calls);

	/* Who comes first or goes takes nobody's counters along. */
	links[1] = attach(more);
	ASSERT_EQ(verdicts_on(other_id, on_other), 3);
	EXPECT_EQ(on_other[0].link_id, policy_info("more").link_id);
	EXPECT_EQ(on_other[0].calls, 0);
	EXPECT_EQ(on_other[1].calls, 1);
	EXPECT_EQ(on_other[2].denied, 1);
	bpf_link__destroy(links[0]);
	ASSERT_EQ(verdicts_on(other_id, on_other), 2);
	EXPECT_EQ(on_other[0].link_id, policy_info("more").link_id);
	EXPECT_EQ(on_other[1].denied, 1);
	ASSERT_EQ(convert(other, 0, 1, false), 0);
	ASSERT_EQ(verdicts_on(other_id, on_other), 2);
	EXPECT_EQ(on_other[0].calls, 1);
	EXPECT_EQ(on_other[1].calls, 2);

	/* Who comes back begins anew. */
	links[0] = attach(all);
	ASSERT_EQ(verdicts_on(first, on_first), 2);
	EXPECT_EQ(on_first[1].link_id, policy_info("all").link_id);
	EXPECT_EQ(on_first[1].calls, 0);
	EXPECT_EQ(on_first[1].denied, 0);
	EXPECT_EQ(on_first[1].delayed_ns, 0);

	kvm_vm_free(other);
	EXPECT_EQ(verdicts_on(other_id, on_other), 0);
	bpf_link__destroy(own);
	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	EXPECT_EQ(verdicts_on(first, on_first), 0);
	puppet_bpf__destroy(all);
	puppet_bpf__destroy(more);
	puppet_bpf__destroy(mine);
}

TEST_F(policy, seventeenth_is_refused)
{
	struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX];
	struct puppet_bpf *p[17];
	struct bpf_link *links[16];
	int i;

	for (i = 0; i < 17; i++)
		p[i] = new_puppet("many", 0, i, 0);
	for (i = 0; i < 16; i++)
		links[i] = attach(p[i]);
	EXPECT_EQ(attach_errno(p[16]), E2BIG);
	EXPECT_EQ(p[16]->bss->inits, 0);

	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(p[i]->bss->converts, 1);

	bpf_link__destroy(links[3]);
	links[3] = attach(p[16]);
	EXPECT_EQ(convert(self->vm, 0, 1, true), 0);
	EXPECT_EQ(p[16]->bss->converts, 1);
	EXPECT_EQ(p[3]->bss->converts, 1);

	/* The last to come has the counters of the one that went. */
	ASSERT_EQ(verdicts_on(usage().vm_id, verdicts), 16);
	for (i = 0; i < 15; i++)
		EXPECT_EQ(verdicts[i].calls, 2);
	EXPECT_EQ(verdicts[15].calls, 1);

	for (i = 0; i < 16; i++)
		bpf_link__destroy(links[i]);
	for (i = 0; i < 17; i++)
		puppet_bpf__destroy(p[i]);
}

TEST_F(policy, limit_is_of_each_vm)
{
	uint64_t full = usage().vm_id;
	struct puppet_bpf *global = new_puppet("global", 0, 0, 0);
	struct puppet_bpf *late = new_puppet("late", 0, 0, 0);
	struct puppet_bpf *own[16], *others;
	struct bpf_link *links[17];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *other;
	int i;

	links[0] = attach(global);
	for (i = 0; i < 16; i++)
		own[i] = new_puppet("own", full, 0, 0);
	for (i = 0; i < 15; i++)
		links[1 + i] = attach(own[i]);
	EXPECT_EQ(attach_errno(own[15]), E2BIG);
	EXPECT_EQ(own[15]->bss->inits, 0);
	/* Nor is there room for one that is for every VM, this one included. */
	EXPECT_EQ(attach_errno(late), E2BIG);
	EXPECT_EQ(late->bss->inits, 0);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(own[14]->bss->converts, 1);

	/* Others have as much room as they had. */
	other = new_vm(&vcpu, 1);
	EXPECT_EQ(global->bss->inits, 2);
	others = new_puppet("others", usage().vm_id, 0, 0);
	links[16] = attach(others);
	EXPECT_EQ(convert(other, 0, 1, true), 0);
	EXPECT_EQ(others->bss->converts, 1);
	EXPECT_EQ(global->bss->converts, 2);
	EXPECT_EQ(own[14]->bss->converts, 1);

	/* The one that goes makes room for the one that was refused. */
	bpf_link__destroy(links[15]);
	links[15] = attach(late);
	EXPECT_EQ(late->bss->inits, 2);
	EXPECT_EQ(attach_errno(own[15]), E2BIG);

	for (i = 0; i < 17; i++)
		bpf_link__destroy(links[i]);
	kvm_vm_free(other);
	for (i = 0; i < 16; i++)
		puppet_bpf__destroy(own[i]);
	puppet_bpf__destroy(others);
	puppet_bpf__destroy(global);
	puppet_bpf__destroy(late);
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

TEST_F(policy, needs_a_link)
{
	struct puppet_bpf *p = puppet_bpf__open_and_load();

	ASSERT_NE(p, NULL);
	/* For such a map libbpf writes the element and makes no link. */
	EXPECT_EQ(bpf_map__attach_struct_ops(p->maps.puppet_linkless), NULL);
	EXPECT_EQ(errno, EOPNOTSUPP);
	EXPECT_EQ(policy_info("linkless").nr_vms, ~0U);
	puppet_bpf__destroy(p);
}

TEST_F(policy, update_swaps_it)
{
	struct puppet_bpf *old = new_puppet("old", 0, 0, 0);
	struct puppet_bpf *new = new_puppet("new", 0, 5, 0);
	struct puppet_bpf *other = new_puppet("other", usage().vm_id, 0, 0);
	struct bpf_link *link = attach(old);
	unsigned int link_id = policy_info("old").link_id;

	EXPECT_EQ(bpf_link__update_map(link, other->maps.puppet), -EINVAL);
	EXPECT_EQ(other->bss->inits, 0);

	ASSERT_EQ(bpf_link__update_map(link, new->maps.puppet), 0);
	EXPECT_EQ(new->bss->inits, 1);
	EXPECT_EQ(old->bss->exits, 1);
	EXPECT_EQ(policy_info("old").nr_vms, ~0U);
	EXPECT_EQ(policy_info("new").link_id, link_id);
	EXPECT_EQ(policy_info("new").priority, 5);

	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(old->bss->converts, 0);
	EXPECT_EQ(new->bss->converts, 1);

	bpf_link__destroy(link);
	EXPECT_EQ(new->bss->exits, 1);
	EXPECT_EQ(old->bss->exits, 1);
	EXPECT_EQ(old->bss->out_of_order + new->bss->out_of_order, 0);
	puppet_bpf__destroy(old);
	puppet_bpf__destroy(new);
	puppet_bpf__destroy(other);
}

/* Asks over and over, and counts what came of it. */
struct storm {
	pthread_t thread;
	struct kvm_vm *vm;
	bool faults;
	bool stop;
	uint64_t by_old;
	uint64_t by_new;
	uint64_t by_nobody;
};

static void *storm(void *arg)
{
	struct storm *storm = arg;

	while (!__atomic_load_n(&storm->stop, __ATOMIC_RELAXED)) {
		switch (storm->faults ? populate(storm->vm, 0, 1) :
					convert(storm->vm, 0, 1, false)) {
		case EPERM:
			storm->by_old++;
			break;
		case EBUSY:
			storm->by_new++;
			break;
		default:
			storm->by_nobody++;
		}
	}
	return NULL;
}

TEST_F(policy, update_leaves_no_gap)
{
	struct puppet_bpf *p[] = {
		new_puppet("old", 0, 0, 0), new_puppet("new", 0, 0, 0),
		/* Another place among the policies is another way to get there. */
		new_puppet("old-last", 0, 5, 0), new_puppet("new-first", 0, -5, 0),
	};
	struct storm storms[2] = {
		{ .vm = self->vm }, { .vm = self->vm, .faults = true },
	};
	struct puppet_bpf *audit = new_puppet("audit", 0, 0, GMEM_POLICY_AUDIT);
	struct bpf_link *link = attach(p[0]), *other = attach(audit);
	size_t i, next;

	for (i = 0; i < ARRAY_SIZE(p); i++) {
		p[i]->bss->convert_verdict = i % 2 ? -EBUSY : -EPERM;
		p[i]->bss->fault_verdict = i % 2 ? -EBUSY : -EPERM;
	}
	for (i = 0; i < ARRAY_SIZE(storms); i++)
		ASSERT_EQ(pthread_create(&storms[i].thread, NULL, storm,
					 &storms[i]), 0);
	for (i = 1; i <= 80; i++) {
		next = i % ARRAY_SIZE(p);
		ASSERT_EQ(bpf_link__update_map(link, p[next]->maps.puppet), 0);
		/* Those that come now are not put to the old one any more. */
		EXPECT_EQ(convert(self->vm, 0, 1, false), next % 2 ? EBUSY : EPERM);
	}
	for (i = 0; i < ARRAY_SIZE(storms); i++) {
		__atomic_store_n(&storms[i].stop, true, __ATOMIC_RELAXED);
		ASSERT_EQ(pthread_join(storms[i].thread, NULL), 0);
		EXPECT_EQ(storms[i].by_nobody, 0);
		EXPECT_GT(storms[i].by_old, 0);
		EXPECT_GT(storms[i].by_new, 0);
		printf("# %lu by the one, %lu by the other\n", storms[i].by_old,
		       storms[i].by_new);
	}
	EXPECT_EQ(usage().private_pages, DATA_PAGES);
	EXPECT_EQ(usage().populated_pages, 0);

	bpf_link__destroy(link);
	bpf_link__destroy(other);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		EXPECT_EQ(p[i]->bss->out_of_order, 0);
		EXPECT_EQ(p[i]->bss->inits, p[i]->bss->exits);
		puppet_bpf__destroy(p[i]);
	}
	puppet_bpf__destroy(audit);
}

TEST_F(policy, dies_with_its_loader)
{
	int ready[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(pipe(ready), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct puppet_bpf *p = new_puppet("orphan", 0, 0, 0);

		p->bss->convert_verdict = -EPERM;
		attach(p);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(read(ready[0], &byte, 1), 1);
	EXPECT_EQ(convert(self->vm, 0, 1, false), EPERM);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* The link's last reference may be dropped by a worker. */
	while (policy_info("orphan").nr_vms != ~0U)
		usleep(1000);
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
}

TEST_F(policy, switch_turns_all_off)
{
	struct puppet_bpf *p = new_puppet("switch", 0, 0, 0);
	struct bpf_link *link = attach(p);

	p->bss->convert_verdict = -EBUSY;
	p->bss->fault_verdict = -EBUSY;
	EXPECT_EQ(convert(self->vm, 0, 1, false), EBUSY);
	write_parameter(POLICIES_ON, "N");
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	EXPECT_EQ(prefault(self->vcpu, 1, 1), 0);
	EXPECT_EQ(p->bss->converts, 1);
	EXPECT_EQ(p->bss->invalidates, 0);
	write_parameter(POLICIES_ON, "Y");
	EXPECT_EQ(convert(self->vm, 0, 1, true), EBUSY);

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->inits, 1);
	EXPECT_EQ(p->bss->exits, 1);
	puppet_bpf__destroy(p);
}

static int load_errno(const char *name, unsigned int flags)
{
	struct puppet_bpf *p = puppet_bpf__open();
	int r;

	bpf_map__set_autocreate(p->maps.puppet_linkless, false);
	memset(puppet_name(p), 0, PUPPET_NAME_LEN);
	memcpy(puppet_name(p), name, strlen(name));
	p->struct_ops.puppet->flags = flags;
	r = puppet_bpf__load(p);
	if (!r)
		r = -attach_errno(p);
	puppet_bpf__destroy(p);
	return -r;
}

TEST_F(policy, bad_names_and_flags_are_refused)
{
	EXPECT_EQ(load_errno("", 0), EINVAL);
	EXPECT_EQ(load_errno("two words", 0), EINVAL);
	EXPECT_EQ(load_errno("esc\033[2J", 0), EINVAL);
	EXPECT_EQ(load_errno("a-name-of-32-characters-is-long.", 0), EINVAL);
	/* Where the letters and digits of ASCII end, and those of Latin-1. */
	EXPECT_EQ(load_errno("a/b", 0), EINVAL);
	EXPECT_EQ(load_errno("a:b", 0), EINVAL);
	EXPECT_EQ(load_errno("a@b", 0), EINVAL);
	EXPECT_EQ(load_errno("a[b", 0), EINVAL);
	EXPECT_EQ(load_errno("a`b", 0), EINVAL);
	EXPECT_EQ(load_errno("a{b", 0), EINVAL);
	EXPECT_EQ(load_errno("\x80", 0), EINVAL);
	EXPECT_EQ(load_errno("\xaa", 0), EINVAL);
	EXPECT_EQ(load_errno("\xc0", 0), EINVAL);
	EXPECT_EQ(load_errno("stra\xdf" "e", 0), EINVAL);
	EXPECT_EQ(load_errno("caf\xe9", 0), EINVAL);
	EXPECT_EQ(load_errno("\xff", 0), EINVAL);
	EXPECT_EQ(load_errno("AZaz09_.-", 0), 0);
	EXPECT_EQ(load_errno("fine", 2), EINVAL);
	EXPECT_EQ(load_errno("a-name-of-31-characters-is-fine", 0), 0);
}

static int refused_errno(const char *map)
{
	struct refused_bpf *p = refused_bpf__open();
	int r;

	MUST(p, "cannot open the refused programs");
	bpf_map__set_autocreate(bpf_object__find_map_by_name(p->obj, map), true);
	r = refused_bpf__load(p);
	refused_bpf__destroy(p);
	return -r;
}

TEST_F(policy, verifier_refuses_what_it_must)
{
	EXPECT_EQ(refused_errno("sleepable_invalidate_ops"), EINVAL);
	EXPECT_EQ(refused_errno("writes_arguments_ops"), EACCES);
	EXPECT_EQ(refused_errno("writes_kvm_ops"), EACCES);
}

int main(int argc, char **argv)
{
	int r;

	libbpf_set_print(NULL);
	r = test_harness_run(argc, argv);
	/* A test that was killed has not. */
	reset_parameters();
	return r;
}
