// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMM sees of a delay is time and nothing else: whatever interrupts the
 * thread, the request goes on, no error comes, and the delay is as long as the
 * policy said, by the policy's own clock.  Only what kills ends it.
 */
#include "vmm_child.h"

#define DELAY_MS	300
#define DISTURBANCES	10
/* Of an emulated machine with others on it, beside a tenth. */
#define SLACK_MS	150

static const struct {
	const char *name;
	void (*disturb)(pid_t pid);
	int sa_flags;
	int requests;	/* those that take longer fit a delay less often */
} kinds[] = {
	{ "STOP and CONT", stop_and_continue, 0, 10 },
	{ "freeze and thaw", freeze_and_thaw, 0, 18 },
	{ "PTRACE_SEIZE", seize_and_detach, 0, 10 },
	{ "PTRACE_ATTACH", attach_and_detach, 0, 10 },
	{ "SIGUSR1", signal_handled, 0, 10 },
	{ "SIGUSR1 with SA_RESTART", signal_handled, SA_RESTART, 10 },
};

static void prepare_cgroup(void)
{
	rmdir(CGROUP);
	MUST(!mkdir(CGROUP, 0700), "cannot make " CGROUP);
}

/*
 * Disturbs each of some delays DISTURBANCES times, from its first tenth to
 * its last but one: at its very end there is a test of its own.
 */
static void disturb_delays(struct __test_metadata *_metadata,
			   struct puppet_bpf *p, enum request request, int kind)
{
	struct vmm *vmm = start_vmm(p, request, kinds[kind].requests, 1,
				    kinds[kind].sa_flags);
	__u64 began, shortest, longest;
	int i, j, disturbed = 0;

	for (i = 0; i < kinds[kind].requests; i++) {
		while (vmm_asked(p, request) < 2 * i + 1 &&
		       requests_done(vmm) == i)
			usleep(500);
		began = now_ms();
		for (j = 0; j < DISTURBANCES; j++) {
			usleep(DELAY_MS * 1000 / (DISTURBANCES + 6));
			if (now_ms() - began > DELAY_MS * 3 / 4 ||
			    requests_done(vmm) != i)
				break;
			kinds[kind].disturb(vmm->pid);
			disturbed++;
		}
		while (requests_done(vmm) == i)
			usleep(500);
		if (vmm->failed)
			break;
	}
	EXPECT_EQ(vmm->failed, 0)
		TH_LOG("%s: %s: %s", request_names[request], kinds[kind].name,
		       strerror(vmm->error));
	/* Once before and once after each delay, and never for a disturbance. */
	EXPECT_EQ(vmm_asked(p, request), 2 * kinds[kind].requests)
		TH_LOG("%s: %s", request_names[request], kinds[kind].name);
	if (vmm->failed)
		kill(vmm->pid, SIGKILL);
	shortest = vmm->shortest_ns / 1000000;
	longest = vmm->longest_ns / 1000000;
	EXPECT_GE(shortest, DELAY_MS)
		TH_LOG("%s: %s", request_names[request], kinds[kind].name);
	EXPECT_LE(longest, DELAY_MS * 11 / 10 + SLACK_MS)
		TH_LOG("%s: %s", request_names[request], kinds[kind].name);
	printf("# %s: %s: %d times, delayed %llu to %llu ms\n",
	       request_names[request], kinds[kind].name, disturbed, shortest,
	       longest);
	end_vmm(vmm);
}

static void disturb_all(struct __test_metadata *_metadata,
			enum request request)
{
	struct puppet_bpf *p = new_puppet("signal", 0, 0, 0);
	struct bpf_link *link = attach(p);
	char value[16];
	size_t i;

	snprintf(value, sizeof(value), "%d", DELAY_MS);
	write_parameter(DELAY_MAX, value);
	prepare_cgroup();
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		disturb_delays(_metadata, p, request, i);
	EXPECT_EQ(rmdir(CGROUP), 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, conversion_is_only_late, 2 * HANG_SECONDS)
{
	disturb_all(_metadata, CONVERT);
}

TEST_F_TIMEOUT(policy, fallocate_is_only_late, 2 * HANG_SECONDS)
{
	disturb_all(_metadata, FALLOCATE);
}

TEST_F_TIMEOUT(policy, prefault_is_only_late, 2 * HANG_SECONDS)
{
	disturb_all(_metadata, PREFAULT);
}

TEST_F_TIMEOUT(policy, io_uring_fallocate_is_only_late, 2 * HANG_SECONDS)
{
	disturb_all(_metadata, URING);
}

/* How many of some requests fail while signals come all the time. */
static int failed_under_fire(struct puppet_bpf *p, enum request request,
			     int delays)
{
	struct vmm *vmm = start_vmm(p, request, 500, delays, SA_RESTART);
	int failed;

	while (!__atomic_load_n(&vmm->done, __ATOMIC_ACQUIRE)) {
		kill(vmm->pid, SIGUSR1);
		usleep(100 + rand() % 400);
	}
	failed = vmm->failed;
	end_vmm(vmm);
	return failed;
}

/*
 * Some signals come just when a delay is over.  A fallocate and a prefault have
 * always looked for signals before each page, so some fail without a delay, too;
 * but of those that were delayed, and so can wait, not more.
 */
TEST_F_TIMEOUT(policy, signal_at_the_end_of_a_delay, 3 * HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("end", 0, 0, 0);
	struct bpf_link *link = attach(p);
	static const enum request requests[] = { CONVERT, FALLOCATE, PREFAULT };
	int without, with, tries;
	char delay[16];
	size_t i;

	snprintf(delay, sizeof(delay), "%d", SHORT_DELAY_MS);
	write_parameter(DELAY_MAX, delay);
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		/* Chance alone gives 21 beside 4 once in a while, but not each time. */
		tries = 0;
		do {
			without = failed_under_fire(p, requests[i], 0);
			with = failed_under_fire(p, requests[i], 1);
			printf("# %s: %d of 500 failed, %d without a delay\n",
			       request_names[requests[i]], with, without);
		} while (with > 2 * without + 5 && ++tries < 3);
		EXPECT_LE(with, 2 * without + 5);
	}

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* As KVM_RUN always does; the delay is not longer for it. */
TEST_F_TIMEOUT(policy, signal_ends_a_vcpus_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("vcpu", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct worker worker;

	write_parameter(DELAY_MAX, LONG_MS);
	write_parameter(TOTAL_MAX, LONG_MS);
	answer(p, LONG_NS);
	start(&worker, run_worker, self->vm, self->vcpu);
	await(&p->bss->faults, 1);
	while (!is_done(&worker)) {
		pthread_kill(worker.thread, SIGUSR1);
		usleep(1000);
	}
	EXPECT_EQ(finish(&worker), EINTR);
	EXPECT_EQ(p->bss->faults, 1);
	EXPECT_EQ(usage().populated_pages, 0);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, kill_ends_a_delay, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("kill", 0, 0, 0);
	struct bpf_link *link = attach(p);
	__u64 began, exits;
	struct vmm *vmm;
	int i;

	for (i = 0; i < NR_REQUESTS; i++) {
		write_parameter(DELAY_MAX, LONG_MS);
		write_parameter(TOTAL_MAX, LONG_MS);
		vmm = start_vmm(p, i, 1, -1, 0);
		while (!vmm_asked(p, i))
			usleep(1000);
		usleep(20000);
		exits = p->bss->exits;
		began = now_ms();
		kill(vmm->pid, SIGKILL);
		end_vmm(vmm);
		/* Its VM is gone, not only the process. */
		await(&p->bss->exits, exits + 1);
		EXPECT_LE(now_ms() - began, 5000)
			TH_LOG("%s", request_names[i]);
	}

	bpf_link__destroy(link);
	EXPECT_EQ(p->bss->out_of_order, 0);
	puppet_bpf__destroy(p);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
