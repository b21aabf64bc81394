// SPDX-License-Identifier: GPL-2.0-only
/*
 * No program of a policy author keeps others waiting, and no program waits for
 * itself.  Programs sleep on a page that nobody serves; meanwhile all that has
 * nothing to do with them must return, and what has to do with them must once
 * the page is served.
 */
#include <sys/wait.h>

#include "sleep_fixture.h"

FIXTURE(hang) {
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct kvm_vm *other;
	uint64_t id;
	uint64_t other_id;
	struct hang_bpf *hang;
	struct bpf_link *link;
};

static struct hang_bpf *new_hang(uint64_t vm_id)
{
	struct hang_bpf *hang = hang_bpf__open();

	MUST(hang, "cannot open the programs");
	hang->struct_ops.hang->vm_id = vm_id;
	MUST(!hang_bpf__load(hang), "cannot load the programs: %s",
	     strerror(errno));

	return hang;
}

static struct bpf_link *attach_hang(struct hang_bpf *hang)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(hang->maps.hang);

	MUST(link, "cannot attach the policy: %s", strerror(errno));

	return link;
}

FIXTURE_SETUP(hang)
{
	struct kvm_vcpu *vcpu;

	self->vm = new_vm(&self->vcpu, 1);
	self->id = usage().vm_id;
	self->other = new_vm(&vcpu, 1);
	self->other_id = usage().vm_id;
	ASSERT_NE(self->id, self->other_id);
	self->link = NULL;
	self->hang = NULL;
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
}

FIXTURE_TEARDOWN(hang)
{
	bpf_link__destroy(self->link);
	hang_bpf__destroy(self->hang);
	kvm_vm_free(self->other);
	if (self->vm)
		kvm_vm_free(self->vm);
}

/* What a program is put to sleep by. */

static void sleep_converting(void *arg)
{
	MUST(!convert(arg, 0, 1, false), "cannot convert: %s", strerror(errno));
}

static void sleep_populating(void *arg)
{
	MUST(!populate(arg, 0, 1), "cannot populate: %s", strerror(errno));
}

static void sleep_running(void *arg)
{
	MUST(!__vcpu_run(arg), "cannot run: %s", strerror(errno));
}

static void sleep_prefaulting(void *arg)
{
	MUST(!prefault(arg, 0, 1), "cannot prefault: %s", strerror(errno));
}

/* What a policy goes by. */

static void go_by_detach(void *arg)
{
	MUST(!bpf_link__detach(arg), "cannot detach: %s", strerror(errno));
}

static void go_by_close(void *arg)
{
	close(bpf_link__fd(arg));
}

/* The VM of the policy, which a newer one must be for, too. */
static uint64_t asleep_id;

static void go_by_update(void *arg)
{
	struct hang_bpf *new = new_hang(asleep_id);

	MUST(!bpf_link__update_map(arg, new->maps.hang), "cannot update: %s",
	     strerror(errno));
	MUST(!bpf_link__detach(arg), "cannot detach: %s", strerror(errno));
	/* What is in force later does not end before. */
	MUST(new->bss->inits == 1 && !new->bss->exits,
	     "%llu inits, %llu exits of the newer programs", new->bss->inits,
	     new->bss->exits);
	hang_bpf__destroy(new);
}

static const struct sleep {
	const char *name;
	void (*run)(void *arg);
	bool vcpu;
} sleeps[] = {
	{ "convert", sleep_converting, false },
	{ "fallocate", sleep_populating, false },
	{ "vCPU", sleep_running, true },
	{ "prefault", sleep_prefaulting, true },
};

static const struct way {
	const char *name;
	void (*run)(void *arg);
} ways[] = {
	{ "detach", go_by_detach },
	{ "close", go_by_close },
	{ "update", go_by_update },
};

static uint32_t map_id(const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	MUST(!bpf_map_get_info_by_fd(bpf_map__fd(map), &info, &len),
	     "cannot ask about a map");

	return info.id;
}

static uint32_t prog_id(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	MUST(!bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len),
	     "cannot ask about a program");

	return info.id;
}

static bool is_gone(int (*get)(__u32 id), uint32_t id)
{
	int tries, fd;

	for (tries = 0; tries < CALL_SECONDS * 10; tries++) {
		fd = get(id);
		if (fd == -ENOENT)
			return true;
		if (fd >= 0)
			close(fd);
		usleep(100000);
	}

	return false;
}

static const char *where(const struct sleep *sleep, const struct way *way)
{
	static char name[64];

	snprintf(name, sizeof(name), "asleep in %s, gone by %s", sleep->name,
		 way->name);

	return name;
}

/*
 * Everything others do returns while a hook sleeps, and so does every way in
 * which the policy itself can go.  It is told of the VM's exit once, when the
 * hook has returned, and then nothing of it is left.
 */
static void sleep_and_go(struct __test_metadata *_metadata,
			 FIXTURE_DATA(hang) *self, const struct sleep *sleep,
			 const struct way *way)
{
	struct call *call = calloc(1, sizeof(*call));
	uint32_t map, prog;
	const char *hung;
	struct hang_bpf *hang;
	struct bpf_link *link;
	void *page;

	asleep_id = self->id;
	hang = new_hang(self->id);
	link = attach_hang(hang);
	page = new_sleeping_page();
	hang->bss->page = (uintptr_t)page;
	begin_call(call, sleep->run, sleep->vcpu ? (void *)self->vcpu :
						   (void *)self->vm);
	await_sleeper();
	/* Those who come later do not sleep. */
	hang->bss->page = 0;

	hung = hung_others(self->id, self->other_id);
	ASSERT_EQ(hung, NULL)
		TH_LOG("%s: %s hangs", where(sleep, way), hung);
	ASSERT_TRUE(call_returns(way->run, link))
		TH_LOG("%s: the policy does not go", where(sleep, way));
	hung = hung_others(self->id, self->other_id);
	ASSERT_EQ(hung, NULL)
		TH_LOG("%s: %s hangs afterwards", where(sleep, way), hung);
	EXPECT_FALSE(call_ends(call, 0));
	EXPECT_EQ(hang->bss->asleep, 1);
	EXPECT_EQ(hang->bss->inits, 1);
	EXPECT_EQ(hang->bss->exits, 0);

	wake_sleeper(page);
	ASSERT_TRUE(call_ends(call, CALL_SECONDS));
	pthread_join(call->thread, NULL);
	EXPECT_EQ(hang->bss->asleep, 0);
	EXPECT_EQ(hang->bss->exits, 1);
	EXPECT_EQ(hang->bss->early_exits, 0);
	EXPECT_EQ(hang->bss->ends, 1);

	map = map_id(hang->maps.hang);
	prog = prog_id(hang->progs.hang_convert);
	bpf_link__disconnect(link);
	if (way->run != go_by_close)
		bpf_link__destroy(link);
	hang_bpf__destroy(hang);
	EXPECT_TRUE(is_gone(bpf_map_get_fd_by_id, map))
		TH_LOG("%s: the map stays", where(sleep, way));
	EXPECT_TRUE(is_gone(bpf_prog_get_fd_by_id, prog))
		TH_LOG("%s: the programs stay", where(sleep, way));
	/* Without a policy they do not sleep. */
	EXPECT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	EXPECT_EQ(punch(self->vm, 0, DATA_PAGES), 0);
}

static void sleep_and_go_all(struct __test_metadata *_metadata,
			     FIXTURE_DATA(hang) *self, const struct sleep *sleep)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		sleep_and_go(_metadata, self, sleep, &ways[i]);
	EXPECT_TRUE(call_returns((void (*)(void *))kvm_vm_free, self->vm));
	self->vm = NULL;
}

TEST_F(hang, asleep_in_a_conversion)
{
	sleep_and_go_all(_metadata, self, &sleeps[0]);
}

TEST_F(hang, asleep_in_fallocate)
{
	sleep_and_go_all(_metadata, self, &sleeps[1]);
}

TEST_F(hang, asleep_in_a_vcpus_fault)
{
	sleep_and_go_all(_metadata, self, &sleeps[2]);
}

TEST_F(hang, asleep_in_a_prefault)
{
	sleep_and_go_all(_metadata, self, &sleeps[3]);
}

/* A VM whose program sleeps can be killed, as any process can. */
TEST_F(hang, asleep_and_killed)
{
	int status, to_child[2], tries = 0;
	pid_t child, ended = 0;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	char byte;

	self->hang = new_hang(0);
	ASSERT_EQ(pipe(to_child), 0);
	child = fork();
	if (!child) {
		/* userfaultfd is for the memory of who opened it. */
		uffd = -1;
		vm = new_vm(&vcpu, 1);
		if (read(to_child[0], &byte, 1) != 1)
			_exit(1);
		self->hang->bss->page = (uintptr_t)new_sleeping_page();
		convert(vm, 0, 1, true);
		_exit(1);
	}
	/* Its maps are shared, so that this process sees it asleep. */
	usleep(500000);
	self->link = attach_hang(self->hang);
	ASSERT_EQ(write(to_child[1], "", 1), 1);
	while (!*(volatile __u64 *)&self->hang->bss->asleep && tries++ < 300)
		usleep(100000);
	ASSERT_EQ(self->hang->bss->asleep, 1);
	bpf_link__destroy(self->link);
	self->link = NULL;
	kill(child, SIGKILL);
	for (tries = 0; !ended && tries < CALL_SECONDS * 10; tries++) {
		ended = waitpid(child, &status, WNOHANG);
		usleep(100000);
	}
	ASSERT_EQ(ended, child);
	EXPECT_EQ(self->hang->bss->asleep, 0);
	EXPECT_EQ(self->hang->bss->exits, self->hang->bss->inits);
}

/*
 * Each update while a program sleeps leaves something for its end to clear up.
 * Until then programs that the VM has not left cannot come back.
 */
TEST_F(hang, many_updates_while_asleep)
{
	enum { NR = 20 };
	struct call *call = calloc(1, sizeof(*call));
	struct hang_bpf *next[NR];
	struct bpf_link *link;
	unsigned int i;
	void *page;

	self->hang = new_hang(self->id);
	link = attach_hang(self->hang);
	page = new_sleeping_page();
	self->hang->bss->page = (uintptr_t)page;
	begin_call(call, sleep_converting, self->vm);
	await_sleeper();
	for (i = 0; i < NR; i++) {
		next[i] = new_hang(self->id);
		EXPECT_EQ(bpf_link__update_map(link, next[i]->maps.hang), 0);
		EXPECT_EQ(next[i]->bss->inits, 1);
	}
	EXPECT_EQ(bpf_link__update_map(link, next[0]->maps.hang), -EBUSY);
	EXPECT_EQ(self->hang->bss->exits, 0);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(next[i]->bss->exits, 0);
	wake_sleeper(page);
	ASSERT_TRUE(call_ends(call, CALL_SECONDS));
	EXPECT_EQ(self->hang->bss->exits, 1);
	EXPECT_EQ(bpf_link__update_map(link, next[0]->maps.hang), 0);
	bpf_link__destroy(link);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(next[i]->bss->exits, i ? 1 : 2);
		hang_bpf__destroy(next[i]);
	}
}

/* Programs that userspace runs */

static struct {
	struct bpf_program *prog;
	int result;
} to_run;

static void run_program(void *unused)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	to_run.result = bpf_prog_test_run_opts(bpf_program__fd(to_run.prog),
					       &opts);
}

static bool program_returns(struct bpf_program *prog)
{
	to_run.prog = prog;

	return call_returns(run_program, NULL) && !to_run.result;
}

/* A link that is made in a walk waits for the walk if that holds anything. */
static void link_within(struct __test_metadata *_metadata,
			FIXTURE_DATA(hang) *self, struct bpf_program *prog,
			struct hang_bpf *hang, uint64_t steps)
{
	struct puppet_bpf *p = new_puppet("made", 0, 0, 0);
	struct bpf_link *link = attach(p);
	struct puppet_bpf *q = new_puppet("within", self->id, 0, 0);
	const char *hung;

	/* What libbpf attaches once can be attached by hand. */
	bpf_link__destroy(attach(q));
	hang->bss->vm_id = self->id;
	hang->bss->link_attr.link_create.map_fd = bpf_map__fd(q->maps.puppet);
	hang->bss->link_attr.link_create.attach_type = BPF_STRUCT_OPS;
	ASSERT_TRUE(program_returns(prog))
		TH_LOG("%s hangs", bpf_program__name(prog));
	EXPECT_GE(hang->bss->steps, steps);
	EXPECT_GE(hang->bss->made, 0);
	EXPECT_EQ(q->bss->inits, 2);
	hung = hung_others(self->id, self->other_id);
	ASSERT_EQ(hung, NULL)
		TH_LOG("after %s: %s hangs", bpf_program__name(prog), hung);
	if (hang->bss->made >= 0)
		close(hang->bss->made);
	EXPECT_EQ(q->bss->exits, 2);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(q);
}

TEST_F(hang, link_made_in_a_vm_walk)
{
	self->hang = new_hang(0);
	link_within(_metadata, self, self->hang->progs.link_in_vm_walk,
		    self->hang, 2);
}

TEST_F(hang, link_made_in_a_policy_walk)
{
	self->hang = new_hang(0);
	link_within(_metadata, self, self->hang->progs.link_in_policy_walk,
		    self->hang, 1);
}

TEST_F(hang, link_made_with_a_vm)
{
	self->hang = new_hang(0);
	link_within(_metadata, self, self->hang->progs.link_with_vm, self->hang,
		    1);
}

static void sleep_in_walk(struct __test_metadata *_metadata,
			  FIXTURE_DATA(hang) *self, struct bpf_program *prog)
{
	struct puppet_bpf *p = new_puppet("walked", 0, 0, 0);
	struct call *call = calloc(1, sizeof(*call));
	struct bpf_link *link = attach(p);
	const char *hung;
	void *page;

	page = new_sleeping_page();
	self->hang->bss->page = (uintptr_t)page;
	to_run.prog = prog;
	begin_call(call, run_program, NULL);
	await_sleeper();
	hung = hung_others(self->id, self->other_id);
	ASSERT_EQ(hung, NULL)
		TH_LOG("%s: %s hangs", bpf_program__name(prog), hung);
	ASSERT_TRUE(call_returns((void (*)(void *))kvm_vm_free, self->vm));
	self->vm = NULL;
	ASSERT_TRUE(call_returns((void (*)(void *))bpf_link__destroy, link));
	wake_sleeper(page);
	ASSERT_TRUE(call_ends(call, CALL_SECONDS));
	EXPECT_EQ(to_run.result, 0);
	EXPECT_GE(self->hang->bss->steps, 1);
	puppet_bpf__destroy(p);
}

TEST_F(hang, asleep_in_a_vm_walk)
{
	self->hang = new_hang(0);
	sleep_in_walk(_metadata, self, self->hang->progs.sleep_in_vm_walk);
}

TEST_F(hang, asleep_in_a_policy_walk)
{
	self->hang = new_hang(0);
	sleep_in_walk(_metadata, self, self->hang->progs.sleep_in_policy_walk);
}

/* Who has a VM holds up its end, and no more than that. */
TEST_F(hang, asleep_with_a_vm)
{
	struct call *call = calloc(1, sizeof(*call)), *end;
	const char *hung;
	void *page;

	end = calloc(1, sizeof(*end));
	self->hang = new_hang(0);
	page = new_sleeping_page();
	self->hang->bss->page = (uintptr_t)page;
	self->hang->bss->vm_id = self->id;
	to_run.prog = self->hang->progs.sleep_with_vm;
	begin_call(call, run_program, NULL);
	await_sleeper();
	begin_call(end, (void (*)(void *))kvm_vm_free, self->vm);
	EXPECT_FALSE(call_ends(end, 1));
	hung = hung_others(self->id, self->other_id);
	ASSERT_EQ(hung, NULL)
		TH_LOG("%s hangs", hung);
	EXPECT_FALSE(call_ends(end, 0));

	wake_sleeper(page);
	ASSERT_TRUE(call_ends(call, CALL_SECONDS));
	ASSERT_TRUE(call_ends(end, CALL_SECONDS));
	self->vm = NULL;
	EXPECT_EQ(to_run.result, 0);
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
