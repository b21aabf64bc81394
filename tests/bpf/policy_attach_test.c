// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VMs an attached policy is for, how it is replaced, and what ends it.
 */
#include <sys/wait.h>

#include "policy_fixture.h"

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

/* vm_exit of the one would take away what vm_init of the other made. */
TEST_F(policy, same_programs_are_attached_once)
{
	struct puppet_bpf *p = new_puppet("once", 0, 0, 0);
	struct puppet_bpf *other = new_puppet("other", 0, 0, 0);
	struct bpf_link *link = attach(p);

	EXPECT_EQ(attach_errno(p), EBUSY);
	EXPECT_EQ(p->bss->inits, 1);
	EXPECT_EQ(bpf_link__update_map(link, other->maps.puppet), 0);
	EXPECT_EQ(p->bss->exits, 1);
	EXPECT_EQ(attach_errno(other), EBUSY);
	EXPECT_EQ(attach_errno(p), 0);
	bpf_link__destroy(link);
	EXPECT_EQ(attach_errno(other), 0);

	puppet_bpf__destroy(other);
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

/* A request that was put to it when it last left may not have ended yet. */
static int update(struct bpf_link *link, struct puppet_bpf *p)
{
	int tries = 10000, err;

	while ((err = bpf_link__update_map(link, p->maps.puppet)) == -EBUSY &&
	       --tries)
		usleep(1000);
	return err;
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
		ASSERT_EQ(update(link, p[next]), 0);
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

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
