// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request that a policy let pass has exactly one end, and the policy is told
 * of it: whether it went well, failed half way, was refused or delayed by
 * another policy, or is the last thing that a policy hears of.  Only so can a
 * policy reserve at the question, and be exact with any number of threads.
 */
#include <sys/wait.h>

#include "policy_fixture.h"
#include "settle.skel.h"

#define EXPECT_NOTHING_WRONG(s)						\
	do {								\
		EXPECT_EQ((s)->bss->asked_twice, 0);			\
		EXPECT_EQ((s)->bss->not_asked, 0);			\
		EXPECT_EQ((s)->bss->another, 0);			\
		EXPECT_EQ((s)->bss->too_much, 0);			\
		EXPECT_EQ((s)->bss->negative, 0);			\
		EXPECT_EQ((s)->bss->not_a_vm, 0);			\
	} while (0)

/* Nothing is under way. */
#define EXPECT_AT_REST(s)						\
	do {								\
		EXPECT_NOTHING_WRONG(s);				\
		EXPECT_EQ((s)->bss->passed, (s)->bss->ended);		\
		EXPECT_EQ((s)->bss->faults_reserved, 0);		\
		EXPECT_EQ((s)->bss->converts_reserved, 0);		\
	} while (0)

static struct settle_bpf *new_settle(const char *name, int priority)
{
	struct settle_bpf *skel = settle_bpf__open();

	MUST(skel, "cannot open the policy");
	strncpy(skel->struct_ops.settle->__unsupported_8, name, 31);
	skel->struct_ops.settle->priority = priority;
	MUST(!settle_bpf__load(skel), "cannot load the policy: %s",
	     strerror(errno));
	return skel;
}

static struct bpf_link *attach_settle(struct settle_bpf *skel)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(skel->maps.settle);

	MUST(link, "cannot attach the policy: %s", strerror(errno));
	return link;
}

TEST_F(policy, each_kind_of_request_ends)
{
	struct settle_bpf *s = new_settle("settle", 0);
	struct bpf_link *link = attach_settle(s);

	/* The guest's own fault. */
	vcpu_run(self->vcpu);
	EXPECT_EQ(s->bss->passed, 1);
	EXPECT_EQ(s->bss->last_done, 1);
	ASSERT_EQ(prefault(self->vcpu, 0, 5), 0);
	EXPECT_EQ(s->bss->passed, 6);
	EXPECT_EQ(s->bss->allocated, 5);
	/* None, some and all of it are there. */
	ASSERT_EQ(populate(self->vm, 10, 10), 0);
	EXPECT_EQ(s->bss->last_done, 10);
	ASSERT_EQ(populate(self->vm, 3, 12), 0);
	EXPECT_EQ(s->bss->last_done, 5);
	ASSERT_EQ(populate(self->vm, 0, 20), 0);
	EXPECT_EQ(s->bss->last_done, 0);
	EXPECT_EQ(s->bss->ended, 9);
	EXPECT_EQ(s->bss->ended_well, 9);
	EXPECT_EQ(s->bss->allocated, usage().allocated_pages);
	/* All, some and none of it change. */
	ASSERT_EQ(convert(self->vm, 0, 10, false), 0);
	EXPECT_EQ(s->bss->last_done, 10);
	ASSERT_EQ(convert(self->vm, 5, 10, false), 0);
	EXPECT_EQ(s->bss->last_done, 5);
	ASSERT_EQ(convert(self->vm, 5, 10, false), 0);
	EXPECT_EQ(s->bss->last_done, 0);
	EXPECT_EQ(s->bss->ended, 12);
	EXPECT_EQ(s->bss->ended_well, 12);
	EXPECT_EQ(s->bss->converted, 15);
	EXPECT_AT_REST(s);

	bpf_link__destroy(link);
	settle_bpf__destroy(s);
}

/* Those that are asked before a refusal are told; those after it know nothing. */
TEST_F(policy, another_policy_refuses)
{
	struct settle_bpf *first = new_settle("first", -1);
	struct settle_bpf *last = new_settle("last", 1);
	struct puppet_bpf *p = new_puppet("between", 0, 0, 0);
	struct bpf_link *links[3] = {
		attach_settle(first), attach(p), attach_settle(last),
	};

	p->bss->fault_verdict = -EDQUOT;
	p->bss->convert_verdict = -EPERM;
	EXPECT_EQ(populate(self->vm, 0, 10), EDQUOT);
	EXPECT_EQ(first->bss->ended, 1);
	EXPECT_EQ(first->bss->last_result, -EDQUOT);
	EXPECT_EQ(first->bss->last_done, 0);
	EXPECT_EQ(prefault(self->vcpu, 0, 1), EDQUOT);
	EXPECT_EQ(first->bss->ended, 2);
	EXPECT_EQ(__vcpu_run(self->vcpu), -1);
	EXPECT_EQ(first->bss->ended, 3);
	EXPECT_EQ(first->bss->last_result, -EDQUOT);
	EXPECT_EQ(convert(self->vm, 0, 10, false), EPERM);
	EXPECT_EQ(first->bss->ended, 4);
	EXPECT_EQ(first->bss->last_result, -EPERM);
	EXPECT_EQ(first->bss->ended_badly, 4);
	EXPECT_EQ(first->bss->allocated, 0);
	EXPECT_EQ(first->bss->converted, 0);
	EXPECT_EQ(last->bss->asked, 0);
	EXPECT_EQ(last->bss->ended, 0);

	/* It only says so. */
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(p);
	p = new_puppet("between", 0, 0, 1);
	links[1] = attach(p);
	p->bss->fault_verdict = -EDQUOT;
	EXPECT_EQ(populate(self->vm, 0, 10), 0);
	EXPECT_EQ(first->bss->last_done, 10);
	EXPECT_EQ(last->bss->last_done, 10);
	EXPECT_EQ(p->bss->faults_ended, 0);
	EXPECT_AT_REST(first);
	EXPECT_AT_REST(last);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	bpf_link__destroy(links[2]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(first);
	settle_bpf__destroy(last);
}

/* Each time that it is asked again is a request of its own. */
TEST_F(policy, another_policy_delays)
{
	struct settle_bpf *first = new_settle("first", -1);
	struct settle_bpf *last = new_settle("last", 1);
	struct puppet_bpf *p = new_puppet("between", 0, 0, 0);
	struct bpf_link *links[3] = {
		attach_settle(first), attach(p), attach_settle(last),
	};
	uint64_t again = 0;

	p->bss->fault_verdict = 1000;
	p->bss->convert_verdict = 1000;

	p->data->fault_times = 3;
	ASSERT_EQ(populate(self->vm, 0, 10), 0);
	again += 3;
	EXPECT_EQ(first->bss->ended_again, again);
	EXPECT_EQ(last->bss->ended_again, again);
	p->data->fault_times = 3;
	ASSERT_EQ(prefault(self->vcpu, 20, 1), 0);
	again += 3;
	EXPECT_EQ(first->bss->ended_again, again);
	punch(self->vm, 0, 1);
	p->data->fault_times = 3;
	vcpu_run(self->vcpu);
	again += 3;
	EXPECT_EQ(first->bss->ended_again, again);
	p->data->convert_times = 3;
	ASSERT_EQ(convert(self->vm, 0, 10, false), 0);
	again += 3;
	EXPECT_EQ(first->bss->ended_again, again);
	EXPECT_EQ(last->bss->ended_again, again);
	EXPECT_EQ(first->bss->ended_well, 4);
	EXPECT_EQ(first->bss->allocated, 12);
	EXPECT_EQ(last->bss->allocated, 12);
	EXPECT_EQ(first->bss->converted, 10);
	EXPECT_AT_REST(first);
	EXPECT_AT_REST(last);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	bpf_link__destroy(links[2]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(first);
	settle_bpf__destroy(last);
}

/* A process is killed in a delay, and a vCPU's thread leaves one. */
TEST_F(policy, a_request_ends_in_its_delay)
{
	struct settle_bpf *s = new_settle("settle", 0);
	struct puppet_bpf *p = new_puppet("delays", 0, 1, 0);
	struct bpf_link *links[2] = { attach_settle(s), attach(p) };
	struct worker w;
	int status;
	pid_t pid;

	write_parameter(DELAY_MAX, LONG_MS);
	p->bss->fault_verdict = LONG_NS;
	/* Another process may call fallocate; KVM itself has but one. */
	pid = fork();
	if (!pid)
		_exit(populate(self->vm, 0, 1));
	await(&s->bss->ended_again, 1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_AT_REST(s);
	EXPECT_EQ(s->bss->ended, 1);

	start_delayed(&w, run_worker, self->vm, self->vcpu, p);
	pthread_kill(w.thread, SIGUSR1);
	EXPECT_EQ(finish(&w), EINTR);
	EXPECT_AT_REST(s);
	EXPECT_GE(s->bss->ended_again, 2);
	EXPECT_EQ(s->bss->allocated, 0);
	EXPECT_EQ(s->bss->converted, 0);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(s);
}

#define BIG_PAGES	(512ULL << 20 >> 12)

/* The process is killed in the middle of it. */
TEST_F(policy, fallocate_is_killed_half_way)
{
	int fd = vm_create_guest_memfd(self->vm, BIG_PAGES * PAGE_SIZE, 0), i;
	struct settle_bpf *s = new_settle("settle", 0);
	struct bpf_link *link = attach_settle(s);
	uint64_t before = usage().allocated_pages, badly = 0;

	for (i = 0; i < 10 && !badly; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			fallocate(fd, FALLOC_FL_KEEP_SIZE, 0,
				  BIG_PAGES * PAGE_SIZE);
			pause();
		}
		while (usage().populated_pages < 100)
			;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		badly = s->bss->ended_badly;
		EXPECT_EQ(s->bss->ended, i + 1);
		EXPECT_EQ(s->bss->allocated, usage().allocated_pages - before);
		EXPECT_AT_REST(s);
		if (!badly)
			ASSERT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE |
					    FALLOC_FL_PUNCH_HOLE, 0,
					    BIG_PAGES * PAGE_SIZE), 0);
	}
	EXPECT_EQ(badly, 1);
	EXPECT_EQ(s->bss->last_result, -EINTR);
	EXPECT_EQ(s->bss->last_done, usage().populated_pages);
	EXPECT_EQ(usage().stale_pages, usage().populated_pages);
	EXPECT_LT(s->bss->last_done, BIG_PAGES);
	printf("# %llu of %llu pages\n", s->bss->last_done, BIG_PAGES);

	close(fd);
	bpf_link__destroy(link);
	settle_bpf__destroy(s);
}

/* There is no memory for all of it: the machine ends the process. */
TEST_F(policy, fallocate_runs_out_of_memory)
{
	struct settle_bpf *s = new_settle("settle", 0);
	int fd = vm_create_guest_memfd(self->vm, BIG_PAGES * PAGE_SIZE, 0);
	struct bpf_link *link = attach_settle(s);
	uint64_t before = usage().allocated_pages;
	int status;
	pid_t pid;

	must_write(CGROUPS "/cgroup.subtree_control", "+memory");
	rmdir(CGROUP);
	ASSERT_EQ(mkdir(CGROUP, 0700), 0);
	must_write(CGROUP "/memory.max", "33554432");
	pid = fork();
	if (!pid) {
		must_write(CGROUP "/cgroup.procs", "0");
		_exit(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0,
				BIG_PAGES * PAGE_SIZE) ? errno : 0);
	}
	waitpid(pid, &status, 0);
	EXPECT_NE(status, 0);
	printf("# status %#x, result %d, %llu pages\n", status,
	       s->bss->last_result, s->bss->last_done);
	EXPECT_EQ(s->bss->ended, 1);
	EXPECT_EQ(s->bss->ended_badly, 1);
	EXPECT_GT(s->bss->last_done, 1000);
	EXPECT_EQ(s->bss->last_done, usage().allocated_pages - before);
	EXPECT_EQ(s->bss->last_done, usage().populated_pages);
	EXPECT_EQ(usage().stale_pages, usage().populated_pages);
	EXPECT_AT_REST(s);

	close(fd);
	rmdir(CGROUP);
	bpf_link__destroy(link);
	settle_bpf__destroy(s);
}

/* It left while a request was under way that it had let pass. */
TEST_F(policy, detached_while_a_request_is_under_way)
{
	struct settle_bpf *s = new_settle("settle", -1);
	struct puppet_bpf *p = new_puppet("holds", 0, 0, 0);
	struct bpf_link *links[2] = { attach_settle(s), attach(p) };
	struct worker w;

	p->bss->fault_hold = 1;
	start(&w, populate_worker, self->vm, self->vcpu);
	await(&p->bss->faults, 1);
	EXPECT_EQ(s->bss->passed, 1);
	bpf_link__destroy(links[0]);
	EXPECT_EQ(s->bss->ended, 0);
	EXPECT_EQ(s->bss->faults_reserved, 1);
	/* What comes from now on is not its. */
	EXPECT_EQ(convert(self->vm, 30, 1, false), 0);
	EXPECT_EQ(s->bss->passed, 1);
	p->bss->fault_hold = 0;
	EXPECT_EQ(finish(&w), 0);
	EXPECT_EQ(s->bss->ended, 1);
	EXPECT_EQ(s->bss->last_done, 1);
	EXPECT_EQ(s->bss->last_result, 0);
	EXPECT_AT_REST(s);

	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(s);
}

/* Replaced meanwhile: who was asked is told, and not who came for it. */
TEST_F(policy, replaced_while_a_request_is_under_way)
{
	struct settle_bpf *s = new_settle("settle", -1);
	struct settle_bpf *t = new_settle("settle", -1);
	struct puppet_bpf *p = new_puppet("holds", 0, 0, 0);
	struct bpf_link *links[2] = { attach_settle(s), attach(p) };
	struct worker w;

	p->bss->fault_hold = 1;
	start(&w, populate_worker, self->vm, self->vcpu);
	await(&p->bss->faults, 1);
	ASSERT_EQ(bpf_link__update_map(links[0], t->maps.settle), 0);
	EXPECT_EQ(s->bss->faults_reserved, 1);
	p->bss->fault_hold = 0;
	EXPECT_EQ(finish(&w), 0);
	EXPECT_EQ(s->bss->ended, 1);
	EXPECT_AT_REST(s);
	EXPECT_EQ(t->bss->asked, 0);
	EXPECT_EQ(t->bss->ended, 0);
	EXPECT_EQ(populate(self->vm, 1, 1), 0);
	EXPECT_EQ(s->bss->ended, 1);
	EXPECT_EQ(t->bss->ended, 1);
	EXPECT_AT_REST(t);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(s);
	settle_bpf__destroy(t);
}

/* It came while a request was under way that it was not asked about. */
TEST_F(policy, attached_while_a_request_is_under_way)
{
	struct settle_bpf *s = new_settle("settle", -1);
	struct puppet_bpf *p = new_puppet("holds", 0, 0, 0);
	struct bpf_link *links[2] = { attach(p) };
	struct worker w;

	p->bss->fault_hold = 1;
	start(&w, populate_worker, self->vm, self->vcpu);
	await(&p->bss->faults, 1);
	links[1] = attach_settle(s);
	p->bss->fault_hold = 0;
	EXPECT_EQ(finish(&w), 0);
	EXPECT_EQ(s->bss->asked, 0);
	EXPECT_EQ(s->bss->ended, 0);
	EXPECT_EQ(p->bss->faults_ended, 1);
	EXPECT_AT_REST(s);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(s);
}

/* Policies are switched off meanwhile: what passed has an end all the same. */
TEST_F(policy, switched_off_while_a_request_is_under_way)
{
	struct settle_bpf *s = new_settle("settle", -1);
	struct puppet_bpf *p = new_puppet("holds", 0, 0, 0);
	struct bpf_link *links[2] = { attach_settle(s), attach(p) };
	struct worker w;

	p->bss->fault_hold = 1;
	start(&w, populate_worker, self->vm, self->vcpu);
	await(&p->bss->faults, 1);
	write_parameter(POLICIES_ON, "N");
	p->bss->fault_hold = 0;
	EXPECT_EQ(finish(&w), 0);
	EXPECT_EQ(s->bss->ended, 1);
	EXPECT_EQ(populate(self->vm, 5, 1), 0);
	EXPECT_EQ(convert(self->vm, 5, 1, false), 0);
	EXPECT_EQ(s->bss->asked, 1);
	EXPECT_AT_REST(s);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	puppet_bpf__destroy(p);
	settle_bpf__destroy(s);
}

static volatile bool stop;

static void *fallocates(void *arg)
{
	struct kvm_vm *vm = arg;
	unsigned int state = (uintptr_t)&state;

	while (!stop) {
		uint64_t first = rand_r(&state) % DATA_PAGES;
		uint64_t nr = 1 + rand_r(&state) % (DATA_PAGES - first);
		int r = rand_r(&state) % 4 ? populate(vm, first, nr) :
					     punch(vm, first, nr);

		MUST(!r || r == EBUSY, "fallocate: %s", strerror(r));
	}
	return NULL;
}

static void *converts(void *arg)
{
	struct kvm_vm *vm = arg;
	unsigned int state = (uintptr_t)&state;

	while (!stop) {
		uint64_t first = rand_r(&state) % DATA_PAGES;
		uint64_t nr = 1 + rand_r(&state) % (DATA_PAGES - first);
		int r = convert(vm, first, nr, rand_r(&state) % 4);

		MUST(!r || r == EBUSY, "convert: %s", strerror(r));
	}
	return NULL;
}

static void *faults(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	while (!stop)
		__vcpu_run(vcpu);
	return NULL;
}

/*
 * Books that are kept by two policies, of which one may refuse and delay what
 * the other let pass, while a third comes and goes.
 */
static void all_at_once(struct __test_metadata *_metadata, struct kvm_vm *vm,
			struct kvm_vcpu *vcpu, bool mean)
{
	struct settle_bpf *s = new_settle("keeps", -1), *guest;
	struct settle_bpf *t = new_settle("mean", 1);
	struct bpf_link *links[2] = { attach_settle(s), attach_settle(t) }, *link;
	struct gmem_vm_sample before = usage(), after;
	pthread_t threads[11];
	int i, tries, n = 0;

	if (mean) {
		t->bss->refuse_nth = 7;
		t->bss->delay_nth = 5;
	}
	stop = false;
	for (i = 0; i < 8; i++)
		pthread_create(&threads[n++], NULL, fallocates, vm);
	for (i = 0; i < 2; i++)
		pthread_create(&threads[n++], NULL, converts, vm);
	pthread_create(&threads[n++], NULL, faults, vcpu);
	for (i = 0; i < 30; i++) {
		guest = new_settle("guest", i % 2 ? -2 : 2);
		link = attach_settle(guest);
		usleep(50000);
		bpf_link__destroy(link);
		/* What it let pass goes on without it. */
		for (tries = 0; tries < 1000 &&
		     guest->bss->passed != guest->bss->ended; tries++)
			usleep(10000);
		EXPECT_AT_REST(guest);
		settle_bpf__destroy(guest);
	}
	stop = true;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);

	after = usage();
	EXPECT_AT_REST(s);
	EXPECT_AT_REST(t);
	EXPECT_EQ(s->bss->allocated, after.allocated_pages - before.allocated_pages);
	EXPECT_EQ(t->bss->allocated, s->bss->allocated);
	EXPECT_EQ(s->bss->converted, after.pages_to_private + after.pages_to_shared -
		  before.pages_to_private - before.pages_to_shared);
	EXPECT_EQ(t->bss->converted, s->bss->converted);
	EXPECT_EQ(t->bss->ended_badly, 0);
	EXPECT_EQ(s->bss->ended_again > 0, mean);
	EXPECT_EQ(s->bss->ended_badly > 0, mean);
	EXPECT_GT(s->bss->allocated, 0);
	EXPECT_GT(s->bss->converted, 0);
	printf("# %llu requests, %llu well, %llu again, %llu badly, %llu pages allocated, %llu converted\n",
	       s->bss->asked, s->bss->ended_well, s->bss->ended_again,
	       s->bss->ended_badly, s->bss->allocated, s->bss->converted);

	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	settle_bpf__destroy(s);
	settle_bpf__destroy(t);
}

TEST_F(policy, all_at_once_and_all_pass)
{
	all_at_once(_metadata, self->vm, self->vcpu, false);
}

TEST_F(policy, all_at_once_and_some_are_refused)
{
	all_at_once(_metadata, self->vm, self->vcpu, true);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
