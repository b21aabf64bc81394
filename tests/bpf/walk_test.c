// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a walk gives is an id, and a VM is used between acquire and release: all
 * else is refused when the program is loaded, or harmless.
 */
#include "policy_fixture.h"
#include "sleep_fixture.h"
#include "walk.skel.h"

static char verifier_log[1 << 16];

static struct walk_bpf *open_walk(const char *name)
{
	struct walk_bpf *walk = walk_bpf__open();
	struct bpf_program *prog;

	MUST(walk, "cannot open the programs");
	prog = bpf_object__find_program_by_name(walk->obj, name);
	MUST(prog, "there is no program %s", name);
	bpf_program__set_autoload(prog, true);
	bpf_map__set_autocreate(walk->maps.keeper, !strcmp(name, "vm_in_a_map"));
	verifier_log[0] = '\0';
	bpf_program__set_log_buf(prog, verifier_log, sizeof(verifier_log));

	return walk;
}

/* 0 if the verifier takes it, or the errno. */
static int load_errno(const char *name)
{
	struct walk_bpf *walk = open_walk(name);
	int r = walk_bpf__load(walk);

	walk_bpf__destroy(walk);

	return -r;
}

static const struct refusal {
	const char *name;
	int error;
	const char *why;
} refusals[] = {
	{ "stale_vm", EINVAL, "arg#0 pointer type STRUCT kvm must point to scalar, or struct with scalar" },
	{ "element_is_no_vm", EINVAL, "" },
	{ "element_is_released", EINVAL, "" },
	{ "element_is_cast", EINVAL, "must be referenced or trusted" },
	{ "element_is_larger", EACCES, "invalid access to memory, mem_size=8 off=8 size=8" },
	{ "element_after_the_end", EACCES, "invalid mem access 'scalar'" },
	{ "element_is_written", EACCES, "cannot write into rdonly_mem" },
	{ "policy_is_a_struct", EACCES, "invalid access to memory, mem_size=4" },
	{ "policy_is_written", EACCES, "cannot write into rdonly_mem" },
	{ "walk_without_end", EINVAL, "Unreleased reference" },
	{ "vm_not_checked", EACCES, "Possibly NULL pointer" },
	{ "vm_after_release", EINVAL, "" },
	{ "vm_released_twice", EINVAL, "" },
	{ "vm_kept", EINVAL, "Unreleased reference" },
	{ "vm_from_memory", EINVAL, "" },
	{ "vm_in_an_rcu_section", EACCES, "bpf_kvm_gmem_vm_acquire" },
	{ "vm_of_a_vcpu", EINVAL, "" },
	{ "vm_in_a_map", 0, "" },
	{ "traced_acquire", EACCES, "bpf_kvm_gmem_vm_acquire is not allowed" },
	{ "traced_walk", EACCES, "is not allowed" },
	{ "entered_usage", EINVAL, "" },
};

TEST(verifier_refuses_what_is_stale)
{
	unsigned int i;
	int r;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		r = load_errno(refusals[i].name);
		EXPECT_NE(r, 0)
			TH_LOG("%s is not refused", refusals[i].name);
		if (refusals[i].error)
			EXPECT_EQ(r, refusals[i].error)
				TH_LOG("%s", refusals[i].name);
		EXPECT_NE(strstr(verifier_log, refusals[i].why), NULL)
			TH_LOG("%s: %s", refusals[i].name,
			       strlen(verifier_log) > 400 ?
			       verifier_log + strlen(verifier_log) - 400 :
			       verifier_log);
	}
	EXPECT_EQ(load_errno("traced_usage"), 0);
	EXPECT_EQ(load_errno("stale_ids"), 0);
	EXPECT_EQ(load_errno("stale_step"), 0);
}

static struct walk_bpf *load_walk(const char *name)
{
	struct walk_bpf *walk = open_walk(name);

	MUST(!walk_bpf__load(walk), "cannot load %s: %s", name, verifier_log);

	return walk;
}

static struct bpf_program *to_run;

static void run(void *unused)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	MUST(!bpf_prog_test_run_opts(bpf_program__fd(to_run), &opts),
	     "cannot run a program");
}

static struct call *begin_asleep(struct walk_bpf *walk, struct bpf_program *prog)
{
	struct call *call = calloc(1, sizeof(*call));

	walk->bss->page = (uintptr_t)new_sleeping_page();
	to_run = prog;
	begin_call(call, run, NULL);
	await_sleeper();

	return call;
}

static void end_asleep(struct walk_bpf *walk, struct call *call)
{
	wake_sleeper((void *)(uintptr_t)walk->bss->page);
	MUST(call_ends(call, CALL_SECONDS), "the program does not end");
	pthread_join(call->thread, NULL);
	free(call);
}

TEST(ids_of_dead_vms_find_nothing)
{
	struct walk_bpf *walk = load_walk("stale_ids");
	struct kvm_vm *vms[2];
	struct kvm_vcpu *vcpu;
	uint64_t ids[2];
	struct call *call;
	int i;

	for (i = 0; i < 2; i++) {
		vms[i] = new_vm(&vcpu, 1);
		ids[i] = usage().vm_id;
	}
	call = begin_asleep(walk, walk->progs.stale_ids);
	EXPECT_EQ(walk->bss->nr_ids, 2);
	EXPECT_EQ(walk->bss->ids[0], ids[0]);
	EXPECT_EQ(walk->bss->ids[1], ids[1]);
	kvm_vm_free(vms[0]);
	kvm_vm_free(vms[1]);
	/* Those to come do not have their ids. */
	vms[0] = new_vm(&vcpu, 1);
	EXPECT_GT(usage().vm_id, ids[1]);
	end_asleep(walk, call);
	EXPECT_EQ(walk->bss->acquired, 0);

	/* And alive: one of one. */
	walk->bss->page = 0;
	to_run = walk->progs.stale_ids;
	run(NULL);
	EXPECT_EQ(walk->bss->nr_ids, 1);
	EXPECT_EQ(walk->bss->acquired, 1);
	kvm_vm_free(vms[0]);
	walk_bpf__destroy(walk);
}

TEST(a_walk_goes_on_after_its_vm_died)
{
	struct walk_bpf *walk = load_walk("stale_step");
	struct kvm_vm *vms[3];
	struct kvm_vcpu *vcpu;
	uint64_t ids[3];
	struct call *call;
	int i;

	for (i = 0; i < 3; i++) {
		vms[i] = new_vm(&vcpu, 1);
		ids[i] = usage().vm_id;
	}
	call = begin_asleep(walk, walk->progs.stale_step);
	kvm_vm_free(vms[0]);
	kvm_vm_free(vms[1]);
	end_asleep(walk, call);
	EXPECT_EQ(walk->bss->nr_ids, 2);
	EXPECT_EQ(walk->bss->ids[0], ids[0]);
	EXPECT_EQ(walk->bss->ids[1], ids[2]);
	kvm_vm_free(vms[2]);
	walk_bpf__destroy(walk);
}

/* As many as are looked up at a time, and fewer, and more. */
TEST(a_walk_finds_each_vm_once_the_oldest_first)
{
	struct walk_bpf *walk = load_walk("list_vms");
	struct kvm_vm *vms[24];
	struct kvm_vcpu *vcpu;
	uint64_t ids[24];
	size_t i, j;

	to_run = walk->progs.list_vms;
	for (i = 0; i < ARRAY_SIZE(vms); i++) {
		run(NULL);
		ASSERT_EQ(walk->bss->nr_ids, i);
		for (j = 0; j < i; j++)
			EXPECT_EQ(walk->bss->all_ids[j], ids[j]);
		vms[i] = new_vm(&vcpu, 1);
		ids[i] = usage().vm_id;
	}
	for (i = 0; i < ARRAY_SIZE(vms); i++)
		kvm_vm_free(vms[i]);
	walk_bpf__destroy(walk);
}

TEST(impossible_ids_find_nothing)
{
	struct walk_bpf *walk = load_walk("impossible_ids");

	to_run = walk->progs.impossible_ids;
	run(NULL);
	EXPECT_EQ(walk->bss->acquired, 0);
	walk_bpf__destroy(walk);
}

TEST(ids_of_gone_policies_find_nothing)
{
	struct walk_bpf *walk = load_walk("list_policies");
	struct puppet_bpf *p = new_puppet("gone", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct call *call;

	to_run = walk->progs.list_policies;
	run(NULL);
	EXPECT_EQ(walk->bss->nr_links, 1);
	EXPECT_GT(walk->bss->info_result, 0);
	call = begin_asleep(walk, walk->progs.list_policies);
	bpf_link__destroy(link);
	end_asleep(walk, call);
	EXPECT_EQ(walk->bss->nr_links, 1);
	EXPECT_EQ(walk->bss->info_result, -ENOENT);
	puppet_bpf__destroy(p);
	walk_bpf__destroy(walk);
}

static uint32_t id_of_link(const struct bpf_link *link)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	MUST(!bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len),
	     "cannot ask about a link");

	return info.id;
}

/* Each once, in the order they run, also after an update changed that. */
TEST(walk_finds_every_policy_after_updates)
{
	static const int priorities[][3] = {
		{ 5, 5, 5 }, { 5, 5, 0 }, { 0, 5, 0 }, { 7, 5, 0 }, { 7, 7, 7 },
	};
	struct walk_bpf *walk = load_walk("list_policies");
	struct puppet_bpf *first[3], *p;
	struct bpf_link *links[3];
	unsigned int i, j, k, found;

	for (i = 0; i < 3; i++) {
		first[i] = new_puppet("walked", 0, i, 0);
		links[i] = attach(first[i]);
	}
	to_run = walk->progs.list_policies;
	for (j = 0; j < ARRAY_SIZE(priorities); j++) {
		for (i = 0; i < 3; i++) {
			p = new_puppet("walked", 0, priorities[j][i], 0);
			ASSERT_EQ(bpf_link__update_map(links[i], p->maps.puppet), 0);
			puppet_bpf__destroy(p);
			run(NULL);
			EXPECT_EQ(walk->bss->nr_links, 3)
				TH_LOG("round %u, update %u", j, i);
			for (k = 0, found = 0; k < 3; k++)
				found += walk->bss->link_ids[0] == id_of_link(links[k]) ||
					 walk->bss->link_ids[1] == id_of_link(links[k]) ||
					 walk->bss->link_ids[2] == id_of_link(links[k]);
			EXPECT_EQ(found, 3);
		}
	}
	for (i = 0; i < 3; i++) {
		bpf_link__destroy(links[i]);
		puppet_bpf__destroy(first[i]);
	}
	walk_bpf__destroy(walk);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
