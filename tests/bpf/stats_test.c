// SPDX-License-Identifier: GPL-2.0-only
/*
 * The KVM stats of private memory: few, of use to kvm_stat, and cleared in
 * debugfs without a change to what policies go by.  And counts and lists that
 * are right while memslots and attributes change under them.
 */
#include <dirent.h>

#include "policy_fixture.h"
#include "layout.skel.h"

#define DEBUGFS		"/sys/kernel/debug/kvm"

static const char *const counters[] = {
	"gmem_conversions", "gmem_faults",
};

static const char *const gauges[] = {
	"gmem_populated_pages", "gmem_huge_pages",
};

/* The VM's directory in debugfs; this process has one VM. */
static const char *vm_dir(void)
{
	static char path[300];
	struct dirent *entry;
	char prefix[32];
	DIR *dir;

	snprintf(prefix, sizeof(prefix), "%d-", getpid());
	dir = opendir(DEBUGFS);
	MUST(dir, "no " DEBUGFS);
	while ((entry = readdir(dir)) &&
	       strncmp(entry->d_name, prefix, strlen(prefix)))
		;
	MUST(entry, "the VM is not in debugfs");
	snprintf(path, sizeof(path), DEBUGFS "/%s", entry->d_name);
	closedir(dir);
	return path;
}

/* Those of a directory whose names begin so. */
static int count_files(const char *path, const char *prefix)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int nr = 0;

	MUST(dir, "no %s", path);
	while ((entry = readdir(dir)))
		nr += !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(dir);
	return nr;
}

static uint64_t read_stat(const char *dir, const char *name)
{
	unsigned long long value;
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	MUST(f && fscanf(f, "%llu", &value) == 1, "cannot read %s", path);
	fclose(f);
	return value;
}

/* Returns 0 or the errno. */
static int clear_stat(const char *dir, const char *name)
{
	char path[512];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return errno;
	r = write(fd, "0", 1) == 1 ? 0 : errno;
	close(fd);
	return r;
}

/* In the VM's, or its vCPU's, stats file. */
static uint64_t file_stat(struct kvm_vm *vm, struct kvm_vcpu *vcpu,
			  const char *name)
{
	int fd = strcmp(name, "gmem_faults") ? vm_get_stats_fd(vm) :
					       vcpu_get_stats_fd(vcpu);
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs, *desc;
	uint64_t value = ~0ULL;
	unsigned int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &value, 1);
	}
	free(descs);
	close(fd);
	return value;
}

/* Each counter goes up by one at least. */
static void do_each(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	MUST(!punch(vm, 0, 1), "cannot punch");
	vcpu_run(vcpu);
	MUST(!convert(vm, 5, 1, false) && !convert(vm, 5, 1, true),
	     "cannot convert");
}

TEST_F(policy, a_vm_has_few_files)
{
	int nr = count_files(vm_dir(), "gmem_");

	printf("# %d of %d\n", nr, count_files(vm_dir(), ""));
	EXPECT_GT(nr, 0);
	EXPECT_LE(nr, 4);
	EXPECT_EQ(count_files(DEBUGFS, "gmem_"), nr);
}

static void clear_all(struct __test_metadata *_metadata,
		      FIXTURE_DATA(policy) *self, bool global)
{
	struct puppet_bpf *p = new_puppet("stats", 0, 0, 0);
	struct bpf_link *link = attach(p);
	const char *dir = global ? DEBUGFS : vm_dir();
	struct gmem_vm_sample before, after;
	uint64_t value;
	size_t i;

	do_each(self->vm, self->vcpu);
	before = usage();
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		EXPECT_NE(read_stat(vm_dir(), counters[i]), 0);
		EXPECT_EQ(clear_stat(dir, counters[i]), 0)
			TH_LOG("%s", counters[i]);
		EXPECT_EQ(read_stat(dir, counters[i]), 0)
			TH_LOG("%s", counters[i]);
		EXPECT_EQ(read_stat(vm_dir(), counters[i]), 0)
			TH_LOG("%s", counters[i]);
		EXPECT_EQ(file_stat(self->vm, self->vcpu, counters[i]), 0)
			TH_LOG("%s", counters[i]);
	}
	/* What is now cannot be cleared. */
	for (i = 0; i < ARRAY_SIZE(gauges); i++) {
		value = read_stat(vm_dir(), gauges[i]);
		EXPECT_NE(clear_stat(dir, gauges[i]), 0)
			TH_LOG("%s", gauges[i]);
		EXPECT_EQ(read_stat(vm_dir(), gauges[i]), value)
			TH_LOG("%s", gauges[i]);
		EXPECT_EQ(file_stat(self->vm, self->vcpu, gauges[i]), value)
			TH_LOG("%s", gauges[i]);
	}
	after = usage();
	EXPECT_EQ(memcmp(&before, &after, offsetof(struct gmem_vm_sample,
						   rss_pages)), 0);

	/* They count on from 0. */
	do_each(self->vm, self->vcpu);
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		value = read_stat(vm_dir(), counters[i]);
		EXPECT_GE(value, 1) TH_LOG("%s", counters[i]);
		EXPECT_LE(value, 5) TH_LOG("%s", counters[i]);
		EXPECT_EQ(file_stat(self->vm, self->vcpu, counters[i]), value)
			TH_LOG("%s", counters[i]);
		EXPECT_EQ(read_stat(DEBUGFS, counters[i]), value)
			TH_LOG("%s", counters[i]);
	}
	EXPECT_EQ(usage().conversions, before.conversions + 2);
	EXPECT_EQ(usage().faults[GMEM_FAULT_VCPU],
		  before.faults[GMEM_FAULT_VCPU] + 1);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

TEST_F(policy, clearing_a_vms_stats_changes_nothing_else)
{
	clear_all(_metadata, self, false);
}

TEST_F(policy, clearing_the_stats_of_all_changes_nothing_else)
{
	clear_all(_metadata, self, true);
}

static bool stop;

static void *toggle(void *arg)
{
	struct kvm_vm *vm = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		MUST(!convert(vm, 60, 1, false) && !convert(vm, 60, 1, true),
		     "cannot convert");
	}
	return NULL;
}

/* Each change of attributes makes KVM try again what is under way. */
TEST_F_TIMEOUT(policy, fault_counts_once, HANG_SECONDS)
{
	const int rounds = 60, pages = 32;
	pthread_t thread;
	int i;

	stop = false;
	vcpu_args_set(self->vcpu, 2, DATA_GPA, pages);
	ASSERT_EQ(pthread_create(&thread, NULL, toggle, self->vm), 0);
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(punch(self->vm, 0, pages), 0);
		vcpu_run(self->vcpu);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(usage().faults[GMEM_FAULT_VCPU], rounds * pages);
	EXPECT_EQ(usage().allocated_pages, rounds * pages);
	EXPECT_EQ(read_stat(vm_dir(), "gmem_faults"), rounds * pages);
	printf("# while %llu conversions were done\n", usage().conversions);
}

static void *move_slots(void *arg)
{
	int fd = vm_create_guest_memfd(arg, DATA_SIZE, 0);
	struct kvm_userspace_memory_region2 region = {
		.slot = DATA_SLOT + 1,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = 2 * DATA_GPA,
		.memory_size = DATA_SIZE,
		.guest_memfd = fd,
	};
	void *memory = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_vm *vm = arg;

	region.userspace_addr = (unsigned long)memory;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		region.memory_size = DATA_SIZE;
		MUST(!__vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region),
		     "cannot add: %s", strerror(errno));
		region.memory_size = 0;
		MUST(!__vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region),
		     "cannot delete: %s", strerror(errno));
	}
	close(fd);
	munmap(memory, DATA_SIZE);
	return NULL;
}

/* A memslot that goes is there with its file, or is not there. */
TEST_F_TIMEOUT(policy, memslot_without_its_file_is_not_listed, HANG_SECONDS)
{
	struct layout_bpf *skel = layout_bpf__open_and_load();
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int i, j, seen = 0, bad = 0;
	pthread_t thread;
	__u64 end;

	ASSERT_NE(skel, NULL);
	skel->bss->vm_id = usage().vm_id;
	stop = false;
	ASSERT_EQ(pthread_create(&thread, NULL, move_slots, self->vm), 0);
	end = now_ms() + 5000;
	for (i = 0; now_ms() < end; i++) {
		skel->bss->start = 0;
		MUST(!bpf_prog_test_run_opts(
			bpf_program__fd(skel->progs.read_slots), &opts),
		     "cannot list");
		ASSERT_GE(skel->bss->result, 1);
		for (j = 0; j < skel->bss->result; j++) {
			seen += skel->bss->slots[j].id == DATA_SLOT + 1;
			bad += (skel->bss->slots[j].flags & KVM_MEM_GUEST_MEMFD) &&
			       !skel->bss->slots[j].inode;
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	printf("# listed %d times, with it %d times\n", i, seen);
	EXPECT_EQ(bad, 0);
	EXPECT_GT(seen, 0);
	EXPECT_LT(seen, i);
	layout_bpf__destroy(skel);
}

/* Item 14: what is told of a hole is told before vCPUs have to wait for it. */
TEST_F(policy, invalidations_are_told_before_vcpus_wait)
{
	struct puppet_bpf *p = new_puppet("window", 0, 0, 0);
	struct bpf_link *link = attach(p);

	ASSERT_EQ(populate(self->vm, 0, DATA_PAGES), 0);
	ASSERT_EQ(punch(self->vm, 0, 1), 0);
	ASSERT_EQ(punch(self->vm, 3, 7), 0);
	EXPECT_EQ(p->bss->invalidates, 2);
	EXPECT_EQ(p->bss->freed, 8);
	EXPECT_EQ(p->bss->vcpus_waited, 0);
	ASSERT_EQ(convert(self->vm, 0, 30, false), 0);
	vm_mem_region_delete(self->vm, DATA_SLOT);
	EXPECT_GE(p->bss->invalidates, 4);
	EXPECT_EQ(p->bss->vcpus_waited, 0);

	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
