/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VMM in a process of its own, for tests that do to it what nobody can do to
 * himself.  It makes each request once, as VMMs in use do, and takes any error
 * for final; what it saw is in memory that it shares with the test.
 */
#ifndef VMM_CHILD_H
#define VMM_CHILD_H

/* The selftests' headers are of two minds about this one. */
#ifndef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(type, name)				\
	struct {							\
		struct { } __empty_ ## name;				\
		type name[];						\
	}
#endif
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "policy_fixture.h"

enum request {
	CONVERT,
	FALLOCATE,
	PREFAULT,
	URING,
	RUN,
	NR_REQUESTS,
};

static const char *const request_names[] = {
	"conversion", "fallocate", "prefault", "io_uring fallocate", "vCPU",
};

struct vmm {
	pid_t pid;
	bool ready;
	bool go;
	bool done;
	int passed;
	int failed;
	int error;	/* what the last that failed failed with */
	/* How long it took from the last question but one to the last. */
	__u64 shortest_ns;
	__u64 longest_ns;
};

/* fallocate() by io_uring; returns what the request came to. */
static inline int uring_fallocate(int fd, uint64_t offset, uint64_t size)
{
	struct io_uring_params params = {};
	int ring = syscall(__NR_io_uring_setup, 4, &params), r;
	struct io_uring_sqe *sqe;
	char *sq, *cq;

	MUST(ring >= 0, "no io_uring: %s", strerror(errno));
	sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4,
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, params.cq_off.cqes +
			params.cq_entries * sizeof(struct io_uring_cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, params.sq_entries * sizeof(*sqe),
		   PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	MUST(sq != MAP_FAILED && cq != MAP_FAILED && sqe != MAP_FAILED,
	     "cannot map the rings");

	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_FALLOCATE,
		.fd = fd,
		.off = offset,
		.addr = size,
		.len = FALLOC_FL_KEEP_SIZE,
	};
	*(uint32_t *)(sq + params.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(sq + params.sq_off.tail), 1,
			 __ATOMIC_RELEASE);
	r = syscall(__NR_io_uring_enter, ring, 1, 0, 0, NULL, 0);
	MUST(r == 1, "io_uring takes nothing: %s", strerror(errno));
	/* To wait for an answer may be interrupted, as ever; not the request. */
	while (!__atomic_load_n((uint32_t *)(cq + params.cq_off.tail),
				__ATOMIC_ACQUIRE))
		syscall(__NR_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS,
			NULL, 0);
	r = ((struct io_uring_cqe *)(cq + params.cq_off.cqes))->res;
	close(ring);

	return -r;
}

/* Delays that are there to be over soon. */
#define SHORT_DELAY_MS	2

static inline int make_request(enum request request, struct kvm_vm *vm,
			       struct kvm_vcpu *vcpu, int nr)
{
	struct kvm_pre_fault_memory range = {
		.gpa = DATA_GPA,
		.size = PAGE_SIZE,
	};

	switch (request) {
	case CONVERT:
		return convert(vm, 0, 1, nr & 1);
	case FALLOCATE:
		return populate(vm, 0, 1);
	case PREFAULT:
		return __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno :
		       range.size ? EINTR : 0;
	case URING:
		return uring_fallocate(data_fd(vm), 0, PAGE_SIZE);
	case RUN:
		return __vcpu_run(vcpu) ? errno : 0;
	default:
		return ENOSYS;
	}
}

/* Sleeps, whatever signals come. */
static inline void sleep_through(long ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ns;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
	       EINTR)
		;
}

/*
 * @delays delays of each request; -1 is any number.  Before one that has none the
 * VMM sleeps as long itself, so that as many signals find it at work.
 */
static inline struct vmm *start_vmm(struct puppet_bpf *p, enum request request,
				    int nr, int delays, int sa_flags)
{
	struct sigaction action = {
		.sa_handler = ignore_signal,
		.sa_flags = sa_flags,
	};
	struct vmm *vmm = mmap(NULL, sizeof(*vmm), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pid_t pid;
	int i, r;

	MUST(vmm != MAP_FAILED, "no memory");
	vmm->shortest_ns = ~0ULL;
	answer(p, 0);
	pid = fork();
	MUST(pid >= 0, "cannot fork");
	if (pid) {
		vmm->pid = pid;
		while (!__atomic_load_n(&vmm->ready, __ATOMIC_ACQUIRE))
			usleep(1000);
		p->bss->converts = 0;
		p->bss->faults = 0;
		__atomic_store_n(&vmm->go, true, __ATOMIC_RELEASE);
		return vmm;
	}

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	vm = new_vm(&vcpu, 1);
	MUST(!convert(vm, 0, DATA_PAGES, true), "cannot convert");
	__atomic_store_n(&vmm->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&vmm->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	answer(p, LONG_NS);
	for (i = 0; i < nr; i++) {
		p->data->convert_times = delays;
		p->data->fault_times = delays;
		if (!delays)
			sleep_through(SHORT_DELAY_MS * 1000000L);
		r = make_request(request, vm, vcpu, i);
		vmm->shortest_ns = min(vmm->shortest_ns, p->bss->asked_gap_ns);
		vmm->longest_ns = max(vmm->longest_ns, p->bss->asked_gap_ns);
		if (r) {
			vmm->error = r;
			vmm->failed++;
		} else {
			__atomic_fetch_add(&vmm->passed, 1, __ATOMIC_RELEASE);
		}
	}
	__atomic_store_n(&vmm->done, true, __ATOMIC_RELEASE);
	_exit(0);
}

static inline int requests_done(struct vmm *vmm)
{
	return __atomic_load_n(&vmm->passed, __ATOMIC_ACQUIRE) +
	       __atomic_load_n(&vmm->failed, __ATOMIC_ACQUIRE);
}

static inline void end_vmm(struct vmm *vmm)
{
	int status;

	MUST(waitpid(vmm->pid, &status, 0) == vmm->pid, "lost the VMM");
	munmap(vmm, sizeof(*vmm));
}

static inline __u64 vmm_asked(struct puppet_bpf *p, enum request request)
{
	return __atomic_load_n(request == CONVERT ? &p->bss->converts :
						    &p->bss->faults,
			       __ATOMIC_ACQUIRE);
}

/* What is done to it, each of it once; it goes on afterwards. */

static inline void wait_stopped(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, WUNTRACED | __WALL) == pid &&
	     WIFSTOPPED(status), "it does not stop");
}

static inline void stop_and_continue(pid_t pid)
{
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	kill(pid, SIGCONT);
}

static inline bool is_frozen(void)
{
	FILE *f = fopen(CGROUP "/cgroup.events", "r");
	int frozen = 0;
	char line[64];

	MUST(f, "no events of " CGROUP);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "frozen %d", &frozen);
	fclose(f);
	return frozen;
}

static inline void freeze_and_thaw(pid_t pid)
{
	char text[16];
	int tries = 0;

	snprintf(text, sizeof(text), "%d", pid);
	must_write(CGROUP "/cgroup.procs", text);
	must_write(CGROUP "/cgroup.freeze", "1");
	/* A second: those that the kernel works for may take a delay for it. */
	while (!is_frozen() && tries++ < 1000)
		usleep(1000);
	must_write(CGROUP "/cgroup.freeze", "0");
}

static inline void seize_and_detach(pid_t pid)
{
	MUST(!ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD), "no seize");
	MUST(!ptrace(PTRACE_INTERRUPT, pid, 0, 0), "no interrupt");
	wait_stopped(pid);
	MUST(!ptrace(PTRACE_DETACH, pid, 0, 0), "no detach");
}

/* As strace -p: sees the system call being made once more, and then goes. */
static inline void attach_and_detach(pid_t pid)
{
	int status;

	MUST(!ptrace(PTRACE_ATTACH, pid, 0, 0), "no attach");
	wait_stopped(pid);
	MUST(!ptrace(PTRACE_SYSCALL, pid, 0, 0), "no going on");
	wait_stopped(pid);
	MUST(!ptrace(PTRACE_SYSCALL, pid, 0, 0), "no going on");
	usleep(2000);
	kill(pid, SIGSTOP);
	/* Out of the call first, then the signal. */
	do {
		MUST(waitpid(pid, &status, __WALL) == pid, "it is lost");
		if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
			break;
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	} while (WIFSTOPPED(status));
	MUST(!ptrace(PTRACE_DETACH, pid, 0, 0), "no detach");
}

static inline void signal_handled(pid_t pid)
{
	kill(pid, SIGUSR1);
}

#endif /* VMM_CHILD_H */
