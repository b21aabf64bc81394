// SPDX-License-Identifier: GPL-2.0-only
/*
 * All delays of a request together end with kvm.gmem_delay_total_max_ms: by a
 * policy's mistake a guest becomes slow, but does not hang.
 */
#include "vmm_child.h"

#define TOTAL		600

/* Asked every 100 ms, it never lets anything pass. */
static void always_delay(const char *total)
{
	write_parameter(DELAY_MAX, "100");
	write_parameter(TOTAL_MAX, total);
}

TEST_F_TIMEOUT(policy, request_goes_on_after_the_sum, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("total", 0, 0, 0);
	struct bpf_link *link = attach(p);
	__u64 began, took, expired;
	struct worker worker;
	size_t i;

	always_delay("600");
	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		undo(self->vm, p);
		answer(p, LONG_NS);
		expired = usage().delays_expired;
		began = now_ms();
		start(&worker, workers[i], self->vm, self->vcpu);
		EXPECT_EQ(finish(&worker), 0);
		took = now_ms() - began;
		printf("# %zu: went on after %llu ms\n", i, took);
		EXPECT_GE(took, TOTAL);
		EXPECT_LE(took, TOTAL * 3 / 2);
		EXPECT_EQ(usage().delays_expired, expired + 1);
	}
	/* Who is late passes; that is not what who denies does. */
	answer(p, -EBUSY);
	EXPECT_EQ(convert(self->vm, 0, 1, true), EBUSY);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F_TIMEOUT(policy, without_a_sum_all_passes, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("nothing", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct worker worker;
	__u64 began;
	size_t i;

	always_delay("0");
	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		undo(self->vm, p);
		answer(p, LONG_NS);
		began = now_ms();
		start(&worker, workers[i], self->vm, self->vcpu);
		EXPECT_EQ(finish(&worker), 0);
		EXPECT_LE(now_ms() - began, 90);
	}
	EXPECT_EQ(usage().delays_expired, ARRAY_SIZE(workers));
	EXPECT_EQ(usage().faults_delayed, 0);
	EXPECT_EQ(usage().conversions_delayed, 0);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* Each page of a prefault is a request, and begins anew. */
TEST_F_TIMEOUT(policy, sum_is_of_one_request, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("pages", 0, 0, 0);
	struct bpf_link *link = attach(p);
	__u64 began, took;

	always_delay("200");
	p->bss->fault_verdict = LONG_NS;
	began = now_ms();
	EXPECT_EQ(prefault(self->vcpu, 0, 3), 0);
	took = now_ms() - began;
	EXPECT_GE(took, 600);
	EXPECT_LE(took, 1200);
	EXPECT_EQ(usage().delays_expired, 3);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* The time that a VMM is stopped or frozen counts. */
TEST_F_TIMEOUT(policy, sum_survives_a_stop, HANG_SECONDS)
{
	struct puppet_bpf *p = new_puppet("stopped", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct vmm *vmm;
	__u64 resumed;
	int i;

	for (i = CONVERT; i <= PREFAULT; i++) {
		always_delay("600");
		vmm = start_vmm(p, i, 1, -1, 0);
		while (!vmm_asked(p, i))
			usleep(1000);
		kill(vmm->pid, SIGSTOP);
		wait_stopped(vmm->pid);
		usleep(2000000);
		resumed = now_ms();
		kill(vmm->pid, SIGCONT);
		while (!requests_done(vmm))
			usleep(1000);
		printf("# %s: went on %llu ms after it was resumed\n",
		       request_names[i], now_ms() - resumed);
		EXPECT_LE(now_ms() - resumed, 300);
		EXPECT_EQ(vmm->failed, 0);
		end_vmm(vmm);
	}

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
