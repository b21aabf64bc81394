/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the BPF tests share: a guest with private memory, built on the kernel's
 * KVM selftest library, and the kernel's counters of it.
 */
#ifndef GMEM_TEST_H
#define GMEM_TEST_H

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kvm_util.h"
#include "processor.h"
#include "kvm_test_harness.h"

#include "../kvm/attributes2.h"
#include "gmem_sample.h"
#include "puppet.skel.h"

/* Half a minute is not much on an emulated machine with a debug kernel. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

/*
 * Fails the test.  Not the library's TEST_ASSERT(), which takes EACCES for a
 * machine that cannot run the test and skips.
 */
#define MUST(condition, fmt, ...)					\
	do {								\
		if (!(condition)) {					\
			printf("# %s:%d: " fmt "\n", __func__, __LINE__,	\
			       ##__VA_ARGS__);				\
			fflush(stdout);					\
			abort();					\
		}							\
	} while (0)

/* The guest's private memory: 64 pages far above its code. */
#define DATA_GPA	0x10000000ULL
#define DATA_SLOT	10
#define DATA_PAGES	64ULL
#define DATA_SIZE	(DATA_PAGES * PAGE_SIZE)

/* Writes to the first byte of args[1] pages, says so, and again for ever. */
static inline void touch_pages(uint64_t first, uint64_t nr)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < nr; i++)
			*(volatile uint8_t *)(first + i * PAGE_SIZE) = 1;
		GUEST_SYNC(nr);
	}
}

/* A VM with one vCPU that touches @nr_touched pages of its private memory. */
static inline struct kvm_vm *new_vm(struct kvm_vcpu **vcpu, uint64_t nr_touched)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_vm *vm;

	vm = vm_create_shape_with_one_vcpu(shape, vcpu, touch_pages);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA,
				    DATA_SLOT, DATA_PAGES, KVM_MEM_GUEST_MEMFD);
	virt_map(vm, DATA_GPA, DATA_GPA, DATA_PAGES);
	vcpu_args_set(*vcpu, 2, DATA_GPA, nr_touched);

	return vm;
}

static inline int data_fd(struct kvm_vm *vm)
{
	return memslot2region(vm, DATA_SLOT)->region.guest_memfd;
}

/* By the VM, or by the file if the kernel converts in place.  0 or the errno. */
static inline int convert(struct kvm_vm *vm, uint64_t page, uint64_t nr,
			  bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = DATA_GPA + page * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};
	static int in_place = -1;

	if (in_place < 0)
		in_place = kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
	if (in_place)
		return set_attributes_at(data_fd(vm), page * PAGE_SIZE,
					 nr * PAGE_SIZE, attr.attributes, NULL);

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
}

static inline int prefault(struct kvm_vcpu *vcpu, uint64_t page, uint64_t nr)
{
	struct kvm_pre_fault_memory range = {
		.gpa = DATA_GPA + page * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};

	while (range.size) {
		if (__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range))
			return errno;
	}

	return 0;
}

static inline int populate(struct kvm_vm *vm, uint64_t page, uint64_t nr)
{
	return fallocate(data_fd(vm), FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE,
			 nr * PAGE_SIZE) ? errno : 0;
}

static inline int punch(struct kvm_vm *vm, uint64_t page, uint64_t nr)
{
	return fallocate(data_fd(vm), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 page * PAGE_SIZE, nr * PAGE_SIZE) ? errno : 0;
}

/* The kernel's counters of the newest VM of this process. */
static inline struct gmem_vm_sample usage(void)
{
	static struct gmem_sampler *sampler;
	struct gmem_vm_sample newest = {};
	struct gmem_sample sample = {};
	size_t i;

	if (!sampler)
		sampler = gmem_sampler_open();
	MUST(sampler, "cannot load the programs that sample");
	gmem_sampler_twice_of(sampler, GMEM_TWICE_OF_ALL, 60000000000ULL);
	gmem_sampler_find_mapped(sampler);
	MUST(!gmem_sampler_read(sampler, &sample),
		    "cannot read the kernel's counters");
	for (i = 0; i < sample.nr_vms; i++) {
		if (sample.vms[i].pid == (unsigned int)getpid())
			newest = sample.vms[i];
	}
	gmem_sample_free(&sample);

	return newest;
}

/* What each policy in force on a VM said of it. */
static inline int verdicts_on(uint64_t vm_id,
			      struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX])
{
	static struct gmem_sampler *sampler;
	int nr;

	if (!sampler)
		sampler = gmem_sampler_open();
	MUST(sampler, "cannot read the verdicts");
	nr = gmem_sampler_read_verdicts(sampler, vm_id, verdicts);
	MUST(nr >= 0, "cannot read the verdicts");

	return nr;
}

/* The attached policy of that name; nr_vms is ~0 if there is none. */
static inline struct gmem_policy_sample policy_info(const char *name)
{
	static struct gmem_sampler *sampler;
	struct gmem_policy_sample found = { .nr_vms = ~0 };
	struct gmem_policies policies = {};
	size_t i;

	if (!sampler)
		sampler = gmem_sampler_open();
	MUST(sampler && !gmem_sampler_read_policies(sampler, &policies),
		    "cannot read the attached policies");
	for (i = 0; i < policies.nr; i++) {
		if (!strcmp(policies.policies[i].name, name))
			found = policies.policies[i];
	}
	gmem_policies_free(&policies);

	return found;
}

/* What bpftool calls a member that is neither a number nor a program. */
#define puppet_name(skel)	((skel)->struct_ops.puppet->__unsupported_8)
#define PUPPET_NAME_LEN		sizeof(puppet_name((struct puppet_bpf *)NULL))

/* A copy of the puppet that is ready to be attached; 0 is no end. */
static inline struct puppet_bpf *new_puppet_until(const char *name, uint64_t vm_id,
						  int priority, unsigned int flags,
						  uint64_t expires_ns)
{
	struct puppet_bpf *skel = puppet_bpf__open();

	MUST(skel, "cannot open the puppet");
	bpf_map__set_autocreate(skel->maps.puppet_linkless, false);
	strncpy(puppet_name(skel), name, PUPPET_NAME_LEN - 1);
	skel->struct_ops.puppet->vm_id = vm_id;
	skel->struct_ops.puppet->priority = priority;
	skel->struct_ops.puppet->flags = flags;
	skel->struct_ops.puppet->expires_ns = expires_ns;
	MUST(!puppet_bpf__load(skel), "cannot load the puppet: %s",
		    strerror(errno));

	return skel;
}

static inline struct puppet_bpf *new_puppet(const char *name, uint64_t vm_id,
					int priority, unsigned int flags)
{
	return new_puppet_until(name, vm_id, priority, flags, 0);
}

static inline struct bpf_link *attach(struct puppet_bpf *skel)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(skel->maps.puppet);

	MUST(link, "cannot attach the puppet: %s", strerror(errno));

	return link;
}

/* Returns the errno of an attach that must fail. */
static inline int attach_errno(struct puppet_bpf *skel)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(skel->maps.puppet);

	if (!link)
		return errno;
	bpf_link__destroy(link);
	return 0;
}

static inline void must_write(const char *path, const char *value)
{
	FILE *f = fopen(path, "w");

	MUST(f && fputs(value, f) >= 0 && !fclose(f), "cannot write %s",
		    path);
}

static inline void write_parameter(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	must_write(path, value);
}

/* A control group for the calling process alone, until it leaves. */
#define CGROUPS		"/sys/fs/cgroup"
#define CGROUP		CGROUPS "/gmem-test"
/* What the kernel may charge in advance, or late, on a few CPUs. */
#define CHARGE_SLACK	(2L << 20)

static inline void enter_cgroup(void)
{
	must_write(CGROUPS "/cgroup.subtree_control", "+memory");
	rmdir(CGROUP);
	MUST(!mkdir(CGROUP, 0700), "cannot make " CGROUP);
	must_write(CGROUP "/cgroup.procs", "0");
	/* Whether the heap takes 2 MiB at once depends on where it happens to be. */
	MUST(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0),
	     "cannot do without huge pages");
}

static inline void leave_cgroup(void)
{
	must_write(CGROUPS "/cgroup.procs", "0");
	MUST(!rmdir(CGROUP), "cannot remove " CGROUP);
	MUST(!prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0),
	     "cannot have huge pages again");
}

/* Bytes charged to it. */
static inline long charged(void)
{
	FILE *f = fopen(CGROUP "/memory.current", "r");
	long bytes = -1;

	MUST(f && fscanf(f, "%ld", &bytes) == 1 && !fclose(f),
	     "cannot read the charge of " CGROUP);

	return bytes;
}

#endif /* GMEM_TEST_H */
