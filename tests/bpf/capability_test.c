// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may load programs may not therefore police the VMs of others or learn of
 * them: that takes CAP_SYS_ADMIN in the initial user namespace.  Tried with
 * CAP_BPF and CAP_PERFMON alone, and as root of a user namespace into which a
 * BPF token that allows everything was delegated.
 */
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "policy_fixture.h"
#include "walk.skel.h"

#define BPFFS	"/tmp/gmem-capability-test"

/* What a child found, in memory that it shares. */
static struct findings {
	int load_all;
	int attach_all;
	int load_one;
	int attach_one;
	int update;
	int handed;
	int walk_vms;
	int walk_policies;
	int acquire;
	int info;
	int orphans;
	int harmless;
	int tracing;
	int token;
	char log[4096];
} *findings;

static const char *bpffs;

static struct puppet_bpf *open_puppet(uint64_t vm_id)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .bpf_token_path = bpffs);
	struct puppet_bpf *p = puppet_bpf__open_opts(&opts);

	MUST(p, "cannot open the puppet");
	bpf_map__set_autocreate(p->maps.puppet_linkless, false);
	strcpy(puppet_name(p), "forbidden");
	p->struct_ops.puppet->vm_id = vm_id;

	return p;
}

static int walk_errno(const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .bpf_token_path = bpffs);
	struct walk_bpf *walk = walk_bpf__open_opts(&opts);
	struct bpf_program *prog;
	int r;

	MUST(walk, "cannot open the walks");
	prog = bpf_object__find_program_by_name(walk->obj, name);
	MUST(prog, "there is no program %s", name);
	bpf_map__set_autocreate(walk->maps.keeper, false);
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, findings->log, sizeof(findings->log));
	r = -walk_bpf__load(walk);
	walk_bpf__destroy(walk);

	return r;
}

/* @link and @handed were made by somebody with more capabilities. */
static void try_all(uint64_t vm_id, struct bpf_link *link,
		    struct puppet_bpf *handed)
{
	struct puppet_bpf *p = open_puppet(0), *q = open_puppet(vm_id);

	findings->load_all = -puppet_bpf__load(p);
	findings->attach_all = findings->load_all ?: attach_errno(p);
	findings->load_one = -puppet_bpf__load(q);
	findings->attach_one = findings->load_one ?: attach_errno(q);
	findings->update = -bpf_link__update_map(link, q->maps.puppet);
	findings->handed = attach_errno(handed);
	findings->walk_vms = walk_errno("stale_ids");
	findings->walk_policies = walk_errno("list_policies");
	findings->acquire = walk_errno("impossible_ids");
	findings->info = walk_errno("only_info");
	findings->orphans = walk_errno("only_orphans");
	findings->harmless = walk_errno("only_counts");
	findings->tracing = walk_errno("traced_usage");
}

/*
 * The types of a module are read by who has CAP_SYS_ADMIN.  Without them libbpf finds
 * neither the policy nor a kfunc.
 */
static void expect_nothing_loads(struct __test_metadata *_metadata)
{
	EXPECT_EQ(findings->load_all, EINVAL);
	EXPECT_EQ(findings->load_one, EINVAL);
	EXPECT_EQ(findings->update, EINVAL);
	EXPECT_EQ(findings->harmless, EINVAL);
	EXPECT_EQ(findings->tracing, EINVAL);
	EXPECT_EQ(findings->walk_vms, EINVAL);
	EXPECT_EQ(findings->walk_policies, EINVAL);
	EXPECT_EQ(findings->acquire, EINVAL);
	EXPECT_EQ(findings->info, EINVAL);
	EXPECT_EQ(findings->orphans, EINVAL);
	/* The one that was loaded by somebody else is refused for what it is. */
	EXPECT_EQ(findings->handed, EPERM);
}

static void expect_refusals(struct __test_metadata *_metadata)
{
	if (!access("/sys/kernel/btf/kvm", F_OK)) {
		expect_nothing_loads(_metadata);
		return;
	}

	/* They are refused for what they would do, not for what they are. */
	EXPECT_EQ(findings->load_all, 0);
	EXPECT_EQ(findings->load_one, 0);
	EXPECT_EQ(findings->harmless, 0);
	EXPECT_EQ(findings->tracing, 0)
		TH_LOG("%s", findings->log);

	EXPECT_EQ(findings->attach_all, EPERM);
	EXPECT_EQ(findings->attach_one, EPERM);
	EXPECT_EQ(findings->update, EPERM);
	EXPECT_EQ(findings->handed, EPERM);
	EXPECT_EQ(findings->walk_vms, EACCES);
	EXPECT_EQ(findings->walk_policies, EACCES);
	EXPECT_EQ(findings->acquire, EACCES);
	EXPECT_EQ(findings->info, EACCES);
	EXPECT_EQ(findings->orphans, EACCES);
}

static void share_findings(void)
{
	findings = mmap(NULL, sizeof(*findings), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(findings != MAP_FAILED, "cannot share memory");
	memset(findings, 0xff, sizeof(*findings));
}

static void keep_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {};

	data[0].effective = data[0].permitted = (__u32)keep;
	data[1].effective = data[1].permitted = keep >> 32;
	MUST(!syscall(SYS_capset, &header, data), "cannot drop capabilities");
}

static bool succeeds(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

TEST_F(policy, cap_bpf_polices_nobody)
{
	uint64_t vm_id = usage().vm_id;
	struct puppet_bpf *p = new_puppet("allowed", vm_id, 0, 0);
	struct puppet_bpf *handed = new_puppet("handed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	pid_t child;

	share_findings();
	bpffs = "";
	child = fork();
	if (!child) {
		keep_capabilities(1ULL << CAP_BPF | 1ULL << CAP_PERFMON);
		try_all(vm_id, link, handed);
		_exit(0);
	}
	ASSERT_TRUE(succeeds(child));
	expect_refusals(_metadata);
	EXPECT_EQ(p->bss->inits, 1);
	EXPECT_EQ(p->bss->exits, 0);
	EXPECT_EQ(handed->bss->inits, 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(handed);
}

/* The control: with CAP_SYS_ADMIN all of it is allowed. */
TEST_F(policy, cap_sys_admin_polices)
{
	uint64_t vm_id = usage().vm_id;
	struct puppet_bpf *p = new_puppet("allowed", vm_id, 0, 0);
	struct puppet_bpf *handed = new_puppet("handed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	pid_t child;

	share_findings();
	bpffs = "";
	child = fork();
	if (!child) {
		keep_capabilities(1ULL << CAP_BPF | 1ULL << CAP_PERFMON |
				  1ULL << CAP_SYS_ADMIN);
		try_all(vm_id, link, handed);
		_exit(0);
	}
	ASSERT_TRUE(succeeds(child));
	EXPECT_EQ(findings->attach_all, 0);
	EXPECT_EQ(findings->attach_one, 0);
	EXPECT_EQ(findings->update, 0);
	EXPECT_EQ(findings->handed, 0);
	EXPECT_EQ(findings->walk_vms, 0);
	EXPECT_EQ(findings->walk_policies, 0);
	EXPECT_EQ(findings->acquire, 0);
	EXPECT_EQ(findings->info, 0);
	EXPECT_EQ(findings->orphans, 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(handed);
}

/* A user namespace with a token */

static void write_map(pid_t child, const char *name, const char *map)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", child, name);
	must_write(path, map);
}

static void set(int fs, const char *key)
{
	MUST(!syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, "any", 0),
	     "cannot delegate by %s: %s", key, strerror(errno));
}

/* Only who has the capabilities on the host can give of them. */
static void delegate(pid_t child, int fs_of_child)
{
	int pidfd = syscall(SYS_pidfd_open, child, 0);
	int fs = syscall(SYS_pidfd_getfd, pidfd, fs_of_child, 0);

	MUST(fs >= 0, "cannot get at the child's file system: %s", strerror(errno));
	set(fs, "delegate_cmds");
	set(fs, "delegate_maps");
	set(fs, "delegate_progs");
	set(fs, "delegate_attachs");
	MUST(!syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0),
	     "cannot create the file system: %s", strerror(errno));
	close(fs);
	close(pidfd);
}

static void tell(int fd, int what)
{
	MUST(write(fd, &what, sizeof(what)) == sizeof(what), "cannot tell");
}

static int hear(int fd)
{
	int what = -1;

	MUST(read(fd, &what, sizeof(what)) == sizeof(what), "the other is gone");

	return what;
}

/* Root of a user namespace, with a file system of BPF of its own. */
static void enter_namespace(int to, int from)
{
	int fs, mount_fd, token;

	MUST(!unshare(CLONE_NEWUSER | CLONE_NEWNS), "no user namespace: %s",
	     strerror(errno));
	tell(to, 0);
	hear(from);
	fs = syscall(SYS_fsopen, "bpf", 0);
	MUST(fs >= 0, "no file system of BPF: %s", strerror(errno));
	tell(to, fs);
	hear(from);
	mount_fd = syscall(SYS_fsmount, fs, 0, 0);
	MUST(mount_fd >= 0, "cannot mount: %s", strerror(errno));
	MUST(!syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, BPFFS,
		      MOVE_MOUNT_F_EMPTY_PATH),
	     "cannot mount at " BPFFS ": %s", strerror(errno));
	token = bpf_token_create(open(BPFFS, O_RDONLY | O_DIRECTORY), NULL);
	findings->token = token < 0 ? errno : 0;
	bpffs = BPFFS;
}

TEST_F(policy, token_polices_nobody)
{
	uint64_t vm_id = usage().vm_id;
	struct puppet_bpf *p = new_puppet("allowed", vm_id, 0, 0);
	struct puppet_bpf *handed = new_puppet("handed", 0, 0, 0);
	struct bpf_link *link = attach(p);
	int to_child[2], from_child[2];
	pid_t child;

	ASSERT_EQ(access("/proc/self/ns/user", F_OK), 0)
		TH_LOG("the test kernel has no user namespaces");
	share_findings();
	mkdir(BPFFS, 0700);
	ASSERT_EQ(pipe(to_child), 0);
	ASSERT_EQ(pipe(from_child), 0);
	child = fork();
	if (!child) {
		enter_namespace(from_child[1], to_child[0]);
		try_all(vm_id, link, handed);
		_exit(0);
	}
	close(from_child[1]);
	hear(from_child[0]);
	write_map(child, "uid_map", "0 0 1");
	write_map(child, "gid_map", "0 0 1");
	tell(to_child[1], 0);
	delegate(child, hear(from_child[0]));
	tell(to_child[1], 0);
	ASSERT_TRUE(succeeds(child));
	rmdir(BPFFS);

	ASSERT_EQ(findings->token, 0);
	expect_refusals(_metadata);
	EXPECT_EQ(p->bss->inits, 1);
	EXPECT_EQ(p->bss->exits, 0);
	EXPECT_EQ(handed->bss->inits, 0);
	/* Nobody is denied anything. */
	EXPECT_EQ(convert(self->vm, 0, 1, false), 0);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(handed);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
