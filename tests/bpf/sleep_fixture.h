/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests with programs that sleep share: pages that userfaultfd does not
 * serve until a test says so, and calls that may never return.
 */
#ifndef SLEEP_FIXTURE_H
#define SLEEP_FIXTURE_H

#include <linux/userfaultfd.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "gmem_test.h"
#include "hang.skel.h"

/* What waits for a program that sleeps never returns; a busy machine is slow. */
#define CALL_SECONDS	30

static int uffd = -1;

static inline void *new_sleeping_page(void)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	void *page;

	if (uffd < 0) {
		uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
		MUST(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api),
		     "no userfaultfd: %s", strerror(errno));
	}
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(page != MAP_FAILED, "cannot map a page");
	reg.range.start = (uintptr_t)page;
	reg.range.len = PAGE_SIZE;
	MUST(!ioctl(uffd, UFFDIO_REGISTER, &reg), "cannot register a page: %s",
	     strerror(errno));

	return page;
}

static inline void await_sleeper(void)
{
	struct uffd_msg msg;

	MUST(read(uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	     msg.event == UFFD_EVENT_PAGEFAULT, "no program sleeps");
}

static inline void wake_sleeper(void *page)
{
	struct uffdio_zeropage zero = {
		.range.start = (uintptr_t)page,
		.range.len = PAGE_SIZE,
	};

	MUST(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "cannot serve the page: %s",
	     strerror(errno));
}

/* A call that may hang. */
struct call {
	void (*run)(void *arg);
	void *arg;
	sem_t ended;
	pthread_t thread;
};

static inline void *call_thread(void *arg)
{
	struct call *call = arg;

	call->run(call->arg);
	sem_post(&call->ended);

	return NULL;
}

static inline void begin_call(struct call *call, void (*run)(void *arg),
			      void *arg)
{
	call->run = run;
	call->arg = arg;
	sem_init(&call->ended, 0, 0);
	MUST(!pthread_create(&call->thread, NULL, call_thread, call),
	     "cannot start a thread");
}

static inline bool call_ends(struct call *call, unsigned int seconds)
{
	struct timespec until;
	int r;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	do {
		r = sem_timedwait(&call->ended, &until);
	} while (r && errno == EINTR);
	if (r)
		return false;
	sem_post(&call->ended);

	return true;
}

static inline bool call_returns(void (*run)(void *arg), void *arg)
{
	/* Not on the stack: whoever hangs may come back later. */
	struct call *call = calloc(1, sizeof(*call));

	begin_call(call, run, arg);
	if (!call_ends(call, CALL_SECONDS))
		return false;
	pthread_join(call->thread, NULL);
	free(call);

	return true;
}

/* What everybody does who has nothing to do with the program that sleeps. */

static inline void others_create_vm(void *arg)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = new_vm(&vcpu, 1);

	MUST(!convert(vm, 0, DATA_PAGES, true), "cannot convert");
	MUST(!populate(vm, 0, DATA_PAGES), "cannot populate");
	kvm_vm_free(vm);
}

static inline void others_attach(uint64_t vm_id)
{
	struct puppet_bpf *p = new_puppet("other", vm_id, 0, 0);
	struct puppet_bpf *q = new_puppet("newer", vm_id, 1, 0);
	struct bpf_link *link = attach(p);

	MUST(!bpf_link__update_map(link, q->maps.puppet), "cannot update");
	MUST(!bpf_link__detach(link), "cannot detach");
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	puppet_bpf__destroy(q);
}

static inline void others_attach_to(void *arg)
{
	others_attach(*(uint64_t *)arg);
}

static inline void others_attach_to_all(void *arg)
{
	others_attach(0);
}

static inline void others_sample(void *arg)
{
	struct gmem_vm_verdicts verdicts[GMEM_VM_POLICIES_MAX];

	usage();
	verdicts_on(*(uint64_t *)arg, verdicts);
	policy_info("hang");
}

/* The name of what does not return, or NULL. */
static inline const char *hung_others(uint64_t id, uint64_t other_id)
{
	if (!call_returns(others_create_vm, NULL))
		return "creating and destroying a VM";
	if (!call_returns(others_attach_to, &other_id))
		return "a policy for another VM";
	if (!call_returns(others_attach_to, &id))
		return "a policy for the same VM";
	if (!call_returns(others_attach_to_all, NULL))
		return "a policy for all VMs";
	if (!call_returns(others_sample, &id))
		return "sampling";

	return NULL;
}

#endif /* SLEEP_FIXTURE_H */
