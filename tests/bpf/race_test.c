// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies come, go and are replaced while VMs are made and destroyed, convert
 * and free their memory.  A policy must meet each of its VMs exactly once and
 * never see one outside of its vm_init and vm_exit; the kernel's own checkers
 * (see kernel/configs/debug.config) look for the rest.
 *
 * GMEM_SECONDS makes it longer.
 */
#include "gmem_test.h"

#define NR_POLICIES	3
#define NR_BIRTHS	2

static volatile bool stop;
static uint64_t cycles, births, conversions;

/* A request that is under way keeps a policy until it ends, but not for long. */
static bool has_left(struct puppet_bpf *p)
{
	int i;

	for (i = 0; i < 10000 && p->bss->inits != p->bss->exits; i++)
		usleep(1000);
	return p->bss->inits == p->bss->exits;
}

/* Attaches, replaces, detaches; and checks each copy when it is out. */
static void *attacher(void *arg)
{
	unsigned int state = (uintptr_t)arg;
	struct puppet_bpf *p, *q;
	struct bpf_link *link;
	char name[16];

	snprintf(name, sizeof(name), "race%u", state);
	while (!stop) {
		p = new_puppet(name, 0, rand_r(&state) % 3, 0);
		q = new_puppet(name, 0, rand_r(&state) % 3, 0);
		p->bss->convert_verdict = q->bss->convert_verdict =
			rand_r(&state) % 3 ? 0 : rand_r(&state) % 2 ? 1000 : -EBUSY;
		p->data->convert_times = q->data->convert_times = 100;
		link = attach(p);
		usleep(rand_r(&state) % 2000);
		MUST(!bpf_link__update_map(link, q->maps.puppet), "update: %s",
		     strerror(errno));
		usleep(rand_r(&state) % 2000);
		bpf_link__destroy(link);
		MUST(has_left(p) && has_left(q),
		     "%llu inits but %llu exits, %llu but %llu",
		     p->bss->inits, p->bss->exits, q->bss->inits, q->bss->exits);
		MUST(!p->bss->out_of_order && !q->bss->out_of_order,
		     "a VM was seen before its vm_init or after its vm_exit");
		puppet_bpf__destroy(p);
		puppet_bpf__destroy(q);
		__atomic_add_fetch(&cycles, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int one_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do {
		r = ioctl(fd, request, arg);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* VMs without vCPUs: what races is their birth, death and memory. */
static void *bearer(void *arg)
{
	unsigned int state = 1000 + (uintptr_t)arg;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	void *shared = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(kvm >= 0 && shared != MAP_FAILED, "%s", strerror(errno));
	while (!stop) {
		struct kvm_create_guest_memfd create = { .size = DATA_SIZE };
		struct kvm_userspace_memory_region2 region = {
			.flags = KVM_MEM_GUEST_MEMFD,
			.guest_phys_addr = DATA_GPA,
			.memory_size = DATA_SIZE,
			.userspace_addr = (uintptr_t)shared,
		};
		int vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		int i, memfd, nr = rand_r(&state) % 30;

		MUST(vm >= 0, "KVM_CREATE_VM: %s", strerror(errno));
		memfd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
		MUST(memfd >= 0, "KVM_CREATE_GUEST_MEMFD: %s", strerror(errno));
		region.guest_memfd = memfd;
		MUST(!ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region),
		     "KVM_SET_USER_MEMORY_REGION2: %s", strerror(errno));
		for (i = 0; i < nr; i++) {
			uint64_t page = rand_r(&state) % (DATA_PAGES - 8);
			struct kvm_memory_attributes attr = {
				.address = DATA_GPA + page * PAGE_SIZE,
				.size = (1 + rand_r(&state) % 8) * PAGE_SIZE,
				.attributes = rand_r(&state) % 2 ?
					      KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
			};

			if (one_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attr))
				MUST(errno == EBUSY, "convert: %s", strerror(errno));
			MUST(!fallocate(memfd, FALLOC_FL_KEEP_SIZE |
					(i % 2 ? FALLOC_FL_PUNCH_HOLE : 0),
					page * PAGE_SIZE, 4 * PAGE_SIZE),
			     "fallocate: %s", strerror(errno));
			__atomic_add_fetch(&conversions, 1, __ATOMIC_RELAXED);
		}
		/* The file may outlive the VM's descriptor, and the other way. */
		if (rand_r(&state) % 2) {
			close(memfd);
			close(vm);
		} else {
			close(vm);
			close(memfd);
		}
		__atomic_add_fetch(&births, 1, __ATOMIC_RELAXED);
	}
	close(kvm);
	return NULL;
}

/* Walks VMs and policies all the time, as a monitor would. */
static void *watcher(void *arg)
{
	while (!stop) {
		usage();
		policy_info("race0");
	}
	return NULL;
}

TEST(policies_and_vms_come_and_go)
{
	int seconds = getenv("GMEM_SECONDS") ? atoi(getenv("GMEM_SECONDS")) : 8;
	pthread_t threads[NR_POLICIES + NR_BIRTHS + 1];
	unsigned int i, n = 0;

	for (i = 0; i < NR_POLICIES; i++)
		ASSERT_EQ(pthread_create(&threads[n++], NULL, attacher,
					 (void *)(uintptr_t)i), 0);
	for (i = 0; i < NR_BIRTHS; i++)
		ASSERT_EQ(pthread_create(&threads[n++], NULL, bearer,
					 (void *)(uintptr_t)i), 0);
	ASSERT_EQ(pthread_create(&threads[n++], NULL, watcher, NULL), 0);
	sleep(seconds);
	stop = true;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);

	printf("# %d s: %lu attach cycles, %lu VMs, %lu conversions\n", seconds,
	       cycles, births, conversions);
	EXPECT_GT(cycles, 0);
	EXPECT_GT(births, 0);
	EXPECT_EQ(usage().pid, 0);
	for (i = 0; i < NR_POLICIES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "race%u", i);
		EXPECT_EQ(policy_info(name).nr_vms, ~0U);
	}
}

int main(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}
