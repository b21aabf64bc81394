// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host side of one guest: builds the VM on the kernel's selftest library,
 * runs its vCPUs, and does for them what a VMM does: completes conversions,
 * gives memory back, answers faults that KVM could not.  It runs in a process
 * of its own; the driver sees it through struct gl_guest only.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"

#include "../kvm/hold.h"
#include "../kvm/attributes2.h"
#include "gmemload.h"

#define CTL_SLOT	10
#define DATA_SLOT	11

/* A fault that KVM refused is tried again after this pause. */
#define REFUSED_PAUSE_NS	1000000
/* Mismatches of one vCPU in a row, with no progress of the guest between. */
#define MAX_MISMATCHES		1000
/* A guest that fell behind its rate by this much starts a new schedule. */
#define MAX_LAG_NS		1000000000ULL
/* A page that somebody holds is asked for again, after a pause, for so long. */
#define HELD_PAUSE_NS		100000
#define HELD_LIMIT_NS		1000000000ULL
#define NOT_HELD		UINT64_MAX

struct vmm {
	struct gl_guest *guest;
	struct kvm_vm *vm;
	int memfd;
	uint8_t *shared;	/* host view of the memory the guest shares */
	bool in_place;
	int stop;
	int live;
	int failed;
};

struct vmm_vcpu {
	struct vmm *vmm;
	struct kvm_vcpu *vcpu;
	struct gl_vcpu *ctl;
	pthread_t thread;
	uint64_t due;
	unsigned int mismatches;
	uint64_t held_gpa;	/* the page that we hold, or NOT_HELD */
	struct hold hold;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	/* A signal ends it: the only one is the kick that comes with a stop. */
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static bool stopping(struct vmm *vmm)
{
	return __atomic_load_n(&vmm->stop, __ATOMIC_RELAXED);
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* The first failure is the one that is told; all vCPUs stop. */
__attribute__((format(printf, 2, 3)))
static void vmm_fail(struct vmm *vmm, const char *fmt, ...)
{
	va_list ap;

	if (!__atomic_exchange_n(&vmm->failed, 1, __ATOMIC_RELAXED)) {
		va_start(ap, fmt);
		vsnprintf(vmm->guest->detail, sizeof(vmm->guest->detail), fmt, ap);
		va_end(ap);
	}
	__atomic_store_n(&vmm->stop, 1, __ATOMIC_RELAXED);
}

/* The driver takes both extremes away at any time, so set them atomically. */
static void count_call(struct gl_vcpu *ctl, uint64_t ns)
{
	uint64_t old;

	count(&ctl->n.calls, 1);
	count(&ctl->n.call_ns, ns);
	count(&ctl->n.call_hist[gl_hist_bucket(ns)], 1);

	old = __atomic_load_n(&ctl->call_min, __ATOMIC_RELAXED);
	while (ns < old && !__atomic_compare_exchange_n(&ctl->call_min, &old, ns, false,
							__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	old = __atomic_load_n(&ctl->call_max, __ATOMIC_RELAXED);
	while (ns > old && !__atomic_compare_exchange_n(&ctl->call_max, &old, ns, false,
							__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/*
 * A conversion that a policy delays is begun again after a signal, so a guest
 * that is to stop leaves it from within the handler.
 */
static __thread sigjmp_buf left;
static __thread struct vmm *volatile converting;

static bool in_memory(struct vmm *vmm, uint64_t gpa, uint64_t size)
{
	uint64_t end = GL_DATA_GPA + vmm->guest->cfg.mem;

	return gpa >= GL_DATA_GPA && gpa < end && size && size <= end - gpa &&
	       !((gpa | size) % GL_PAGE_SIZE);
}

static int set_attributes(struct vmm *vmm, uint64_t gpa, uint64_t size, uint64_t attributes,
			  uint64_t *held_gpa)
{
	struct kvm_memory_attributes attr = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
	};
	uint64_t at;
	int err;

	if (!vmm->in_place)
		return __vm_ioctl(vmm->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ? errno : 0;
	/* Frames that have no memory are nowhere in the file. */
	if (!in_memory(vmm, gpa, size))
		return EINVAL;
	err = set_attributes_at(vmm->memfd, gpa - GL_DATA_GPA, size, attributes, &at);
	*held_gpa = GL_DATA_GPA + at;
	return err;
}

/*
 * Returns 0 or an errno.  EINTR means that the guest is to stop; EAGAIN, which
 * there is in place only, that somebody holds the page at @held_gpa.
 */
static int set_private(struct vmm *vmm, uint64_t gpa, uint64_t size, bool to_private,
		       uint64_t *held_gpa)
{
	uint64_t attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	bool again;
	int err;

	if (sigsetjmp(left, 0))
		return EINTR;
	converting = vmm;
	do {
		err = set_attributes(vmm, gpa, size, attributes, held_gpa);
		again = err == EINTR || (err == EAGAIN && !vmm->in_place);
	} while (again && !stopping(vmm));
	converting = NULL;

	return err == EAGAIN && stopping(vmm) ? EINTR : err;
}

static bool is_large(struct vmm *vmm)
{
	return vmm->guest->cfg.mem > GL_LARGE_MEM;
}

static void punch(struct vmm *vmm, struct gl_vcpu *ctl, uint64_t gpa, uint64_t size)
{
	int r;

	do {
		r = fallocate(vmm->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      gpa - GL_DATA_GPA, size);
	} while (r && errno == EINTR && !stopping(vmm));

	if (!r)
		count(&ctl->n.punched_pages, size / GL_PAGE_SIZE);
	else if (errno != EINTR)
		vmm_fail(vmm, "cannot punch a hole at gpa 0x%lx: %s", gpa, strerror(errno));
}

static void discard_shared(struct vmm *vmm, struct gl_vcpu *ctl, uint64_t gpa, uint64_t size)
{
	if (madvise(vmm->shared + (gpa - GL_DATA_GPA), size,
		    is_large(vmm) ? MADV_REMOVE : MADV_DONTNEED))
		vmm_fail(vmm, "cannot discard shared memory at gpa 0x%lx: %s", gpa,
			 strerror(errno));
	else
		count(&ctl->n.discarded_pages, size / GL_PAGE_SIZE);
}

/* Holding pages, in place */

static const struct hold_way *hold_way(struct vmm_vcpu *v)
{
	return &hold_ways[v->vmm->guest->cfg.hold - 1];
}

static bool holds(struct vmm_vcpu *v, uint64_t gpa, uint64_t size)
{
	return v->held_gpa >= gpa && v->held_gpa - gpa < size;
}

static void drop_hold(struct vmm_vcpu *v)
{
	if (v->held_gpa == NOT_HELD)
		return;
	hold_way(v)->drop(&v->hold);
	v->held_gpa = NOT_HELD;
}

/* Hold a page that is shared, if that is asked for and we have none yet. */
static void take_hold(struct vmm_vcpu *v, uint64_t gpa)
{
	int err;

	if (!v->vmm->guest->cfg.hold || v->held_gpa != NOT_HELD)
		return;
	err = hold_way(v)->take(&v->hold, v->vmm->shared + (gpa - GL_DATA_GPA));
	if (err)
		vmm_fail(v->vmm, "cannot hold the page at gpa 0x%lx by %s: %s", gpa,
			 hold_way(v)->name, strerror(err));
	else
		v->held_gpa = gpa;
}

/*
 * KVM_SET_MEMORY_ATTRIBUTES2 said of a range whether a page is held.  It must
 * not overlook ours, and name no page beyond the first one that is held.
 */
static void check_hold(struct vmm_vcpu *v, uint64_t gpa, uint64_t size, int err,
		       uint64_t held_gpa)
{
	if (err == EAGAIN && (held_gpa < gpa || held_gpa - gpa >= size))
		vmm_fail(v->vmm, "KVM says that gpa 0x%lx is held, of 0x%lx bytes at gpa 0x%lx",
			 held_gpa, size, gpa);
	else if (holds(v, gpa, size) && (!err || (err == EAGAIN && held_gpa > v->held_gpa)))
		vmm_fail(v->vmm, "KVM overlooks that gpa 0x%lx is held by %s", v->held_gpa,
			 hold_way(v)->name);
}

/*
 * A page is held: let go of ours, however long that takes, and give others a
 * moment.  Returns false if they had time enough.
 */
static bool wait_for_holder(struct vmm_vcpu *v, uint64_t gpa, uint64_t size, uint64_t *deadline)
{
	count(&v->ctl->n.held, 1);
	if (holds(v, gpa, size)) {
		drop_hold(v);
		*deadline = now_ns() + HELD_LIMIT_NS;
	}
	if (now_ns() > *deadline)
		return false;
	sleep_until(now_ns() + HELD_PAUSE_NS);
	return true;
}

/* Conversion */

/*
 * Complete a conversion as VMMs do: the attributes first, then give back the
 * side that lost the pages.  Returns 0 or an errno.
 */
static int convert(struct vmm_vcpu *v, uint64_t gpa, uint64_t size, bool to_private)
{
	struct vmm *vmm = v->vmm;
	struct gl_counters *n = &v->ctl->n;
	uint64_t start, deadline = now_ns() + HELD_LIMIT_NS, held_gpa = 0;
	int err;

	do {
		start = now_ns();
		err = set_private(vmm, gpa, size, to_private, &held_gpa);
		if (err == EINTR)
			return err;
		count_call(v->ctl, now_ns() - start);
		if (to_private)
			check_hold(v, gpa, size, err, held_gpa);
	} while (err == EAGAIN && wait_for_holder(v, gpa, size, &deadline));

	if (err) {
		count(&n->refused, 1);
		count(&n->convert_errno[err % GL_NR_ERRNO], 1);
		return err;
	}

	count(&n->conversions, 1);
	count(to_private ? &n->pages_to_private : &n->pages_to_shared, size / GL_PAGE_SIZE);
	if (vmm->guest->cfg.punch && in_memory(vmm, gpa, size)) {
		if (to_private)
			discard_shared(vmm, v->ctl, gpa, size);
		else
			punch(vmm, v->ctl, gpa, size);
	}
	return 0;
}

static bool in_holes(uint64_t gpa, uint64_t size)
{
	return gpa >= GL_HOLE_GPA && gpa < GL_HOLE_GPA + GL_HOLE_SIZE &&
	       size && !((gpa | size) % GL_PAGE_SIZE);
}

/* What the host sees */

/* In place, a page that is private is a SIGBUS to us: these say so instead. */
static __thread sigjmp_buf out_of_reach;
static __thread volatile bool reaching;

static void on_sigbus(int sig)
{
	if (reaching)
		siglongjmp(out_of_reach, 1);
	/* Not one of theirs: die of it. */
	signal(sig, SIG_DFL);
}

static volatile uint64_t *host_word(struct vmm *vmm, uint64_t gpa, uint64_t word)
{
	return (volatile uint64_t *)(vmm->shared + (gpa - GL_DATA_GPA)) + word;
}

static bool host_read(volatile uint64_t *word, uint64_t *value)
{
	if (sigsetjmp(out_of_reach, 0)) {
		reaching = false;
		return false;
	}
	reaching = true;
	*value = *word;
	reaching = false;
	return true;
}

static bool host_write(volatile uint64_t *word, uint64_t value)
{
	if (sigsetjmp(out_of_reach, 0)) {
		reaching = false;
		return false;
	}
	reaching = true;
	*word = value;
	reaching = false;
	return true;
}

/* Reports a word that the guest wrote and the host doesn't find. */
static void expect_word(struct vmm_vcpu *v, uint64_t gpa, uint64_t word, uint64_t want)
{
	uint64_t got;

	if (!host_read(host_word(v->vmm, gpa, word), &got))
		vmm_fail(v->vmm, "host cannot reach shared memory at gpa 0x%lx", gpa);
	else if (got != want)
		vmm_fail(v->vmm, "host sees 0x%lx in shared memory at gpa 0x%lx, guest wrote 0x%lx",
			 got, gpa + word * sizeof(want), want);
}

/* What the guest wrote while its page was shared must be here to read. */
static void check_shared(struct vmm_vcpu *v, uint64_t gpa)
{
	uint64_t want = gl_stamp(gpa, v->ctl->mail.seq, false);

	expect_word(v, gpa, 0, want);
	expect_word(v, gpa, GL_PAGE_SIZE / sizeof(want) - 1, want);
}

static void write_notes(struct vmm_vcpu *v, uint64_t gpa, uint64_t pages)
{
	uint64_t steps = __atomic_load_n(&v->ctl->n.steps, __ATOMIC_RELAXED);
	uint64_t spoiled = gl_spoils(&v->vmm->guest->cfg, GL_CORRUPT_HOST, steps);
	uint64_t i, page;

	for (i = 0; i < gl_nr_notes(pages); i++) {
		page = gl_note_gpa(gpa, pages, i);
		if (!host_write(host_word(v->vmm, page, GL_NOTE_HOST_WORD),
				gl_note(GL_NOTE_HOST, page, v->ctl->mail.turn) ^ spoiled))
			vmm_fail(v->vmm, "host cannot reach shared memory at gpa 0x%lx", page);
	}
}

static void check_notes(struct vmm_vcpu *v, uint64_t gpa, uint64_t pages)
{
	uint64_t i, page;

	for (i = 0; i < gl_nr_notes(pages); i++) {
		page = gl_note_gpa(gpa, pages, i);
		expect_word(v, page, GL_NOTE_GUEST_WORD,
			    gl_note(GL_NOTE_GUEST, page, v->ctl->mail.turn));
	}
}

static void check_out_of_reach(struct vmm_vcpu *v, uint64_t gpa)
{
	uint64_t got;

	if (host_read(host_word(v->vmm, gpa, 0), &got))
		vmm_fail(v->vmm, "host can read private memory at gpa 0x%lx", gpa);
}

/*
 * A conversion that the guest has asked for.  In place, the guest's notes must
 * have come with what became shared, and it must find ours, which we leave while
 * we can.
 */
static int convert_for_guest(struct vmm_vcpu *v, uint64_t gpa, uint64_t size, bool to_private)
{
	bool notes = v->vmm->in_place && v->ctl->mail.check_notes;
	uint64_t pages = size / GL_PAGE_SIZE;
	int err;

	if (to_private && v->ctl->mail.check_shared)
		check_shared(v, gpa);
	if (to_private && notes)
		write_notes(v, gpa, pages);
	err = convert(v, gpa, size, to_private);
	if (err || !notes)
		return err;

	if (to_private) {
		check_out_of_reach(v, gpa);
	} else {
		check_notes(v, gpa, pages);
		write_notes(v, gpa, pages);
		take_hold(v, gpa);
	}
	return 0;
}

static void handle_hypercall(struct vmm_vcpu *v)
{
	struct kvm_run *run = v->vcpu->run;
	uint64_t gpa = run->hypercall.args[0];
	uint64_t size = run->hypercall.args[1] * GL_PAGE_SIZE;
	bool to_private = run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED;
	int err = EINVAL;

	if (run->hypercall.nr == KVM_HC_MAP_GPA_RANGE && in_memory(v->vmm, gpa, size))
		err = convert_for_guest(v, gpa, size, to_private);
	else if (run->hypercall.nr == KVM_HC_MAP_GPA_RANGE && in_holes(gpa, size))
		err = convert(v, gpa, size, to_private);
	run->hypercall.ret = -(int64_t)err;
}

static void pace(struct vmm_vcpu *v)
{
	uint64_t now = now_ns();

	v->due += 1000000000ULL / v->vmm->guest->cfg.rate;
	if (now > v->due + MAX_LAG_NS)
		v->due = now;
	else if (now < v->due && !stopping(v->vmm))
		sleep_until(v->due);
}

/* Returns false if this vCPU has nothing more to do. */
static bool handle_doorbell(struct vmm_vcpu *v)
{
	struct gl_mailbox *mail = &v->ctl->mail;

	switch (mail->request) {
	case GL_REQ_PACE:
		pace(v);
		return true;
	case GL_REQ_DISCARD:
		if (in_memory(v->vmm, mail->gpa, mail->size))
			punch(v->vmm, v->ctl, mail->gpa, mail->size);
		else
			vmm_fail(v->vmm, "guest asked to discard 0x%lx bytes at gpa 0x%lx",
				 mail->size, mail->gpa);
		return true;
	case GL_REQ_DONE:
		return false;
	case GL_REQ_FAIL:
		vmm_fail(v->vmm, "guest found 0x%lx at gpa 0x%lx, expected 0x%lx",
			 mail->got, mail->gpa, mail->want);
		return false;
	default:
		vmm_fail(v->vmm, "guest made an unknown request %u", mail->request);
		return false;
	}
}

/*
 * KVM_RUN failed.  An EFAULT with a memory fault is a mismatch between what
 * the guest did and what the page is: convert it, as a VMM does for guests
 * that don't ask.  Any other errno is a refusal, by a policy or for lack of
 * memory: the access is tried again, so that the guest survives.
 */
static void handle_fault(struct vmm_vcpu *v, int err)
{
	struct kvm_run *run = v->vcpu->run;
	uint64_t gpa = run->memory_fault.gpa & ~(GL_PAGE_SIZE - 1);
	bool to_private = run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	if (run->exit_reason != KVM_EXIT_MEMORY_FAULT) {
		vmm_fail(v->vmm, "KVM_RUN failed: %s, exit reason %u (%s)", strerror(err),
			 run->exit_reason, exit_reason_str(run->exit_reason));
		return;
	}

	if (err == EFAULT) {
		if (!in_memory(v->vmm, gpa, GL_PAGE_SIZE) ||
		    ++v->mismatches > MAX_MISMATCHES) {
			vmm_fail(v->vmm, "%s access to gpa 0x%lx cannot be resolved",
				 to_private ? "private" : "shared", gpa);
			return;
		}
		if (!convert(v, gpa, GL_PAGE_SIZE, to_private)) {
			count(&v->ctl->n.implicit, 1);
			return;
		}
	} else {
		count(&v->ctl->n.faults_refused, 1);
		count(&v->ctl->n.fault_errno[err % GL_NR_ERRNO], 1);
	}
	sleep_until(now_ns() + REFUSED_PAUSE_NS);
}

/* An exit that isn't ours: an assertion or exception in the library's code. */
static void handle_other(struct vmm_vcpu *v)
{
	struct kvm_run *run = v->vcpu->run;
	struct ucall uc;

	if (get_ucall(v->vcpu, &uc) == UCALL_ABORT)
		vmm_fail(v->vmm, "assertion or exception in the guest: %s", uc.buffer);
	else
		vmm_fail(v->vmm, "unexpected exit %u (%s)", run->exit_reason,
			 exit_reason_str(run->exit_reason));
}

static void *vcpu_thread(void *arg)
{
	struct vmm_vcpu *v = arg;
	struct kvm_run *run = v->vcpu->run;
	bool more = true;
	sigset_t kick;
	int err;

	sigemptyset(&kick);
	sigaddset(&kick, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);

	v->due = now_ns();
	while (more && !stopping(v->vmm)) {
		err = __vcpu_run(v->vcpu) ? errno : 0;
		if (err == EINTR || err == EAGAIN)
			continue;
		if (err) {
			handle_fault(v, err);
			continue;
		}
		v->mismatches = 0;
		if (run->exit_reason == KVM_EXIT_HYPERCALL)
			handle_hypercall(v);
		else if (run->exit_reason == KVM_EXIT_IO && run->io.port == GL_DOORBELL_PORT)
			more = handle_doorbell(v);
		else
			handle_other(v);
	}

	drop_hold(v);
	__atomic_sub_fetch(&v->vmm->live, 1, __ATOMIC_RELEASE);
	kill(getpid(), SIGUSR2);
	return NULL;
}

/*
 * Is the instruction that the signal came before a system call's?  If so, the call
 * has not begun, or it was left to begin again.
 */
static bool before_syscall(const ucontext_t *context)
{
	static const uint8_t syscall_insn[] = { 0x0f, 0x05 };

	return !memcmp((void *)context->uc_mcontext.gregs[REG_RIP], syscall_insn,
		       sizeof(syscall_insn));
}

static void kicked(int sig, siginfo_t *info, void *context)
{
	struct vmm *vmm = converting;

	/* A call that has come back is counted: its refusals are a policy's, one by one. */
	if (!vmm || !stopping(vmm) || !before_syscall(context))
		return;
	converting = NULL;
	siglongjmp(left, 1);
}

/* Where a frame of 2M is one for us, too: KVM makes no large mapping elsewhere. */
static uint8_t *map_memory(uint64_t size, int flags, int fd)
{
	uint8_t *mem = mmap(NULL, size + SZ_2M, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "no addresses for the memory: %s", strerror(errno));
	mem = (uint8_t *)align_up((uintptr_t)mem, SZ_2M);
	mem = mmap(mem, size, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0);
	TEST_ASSERT(mem != MAP_FAILED, "cannot map the memory: %s", strerror(errno));
	return mem;
}

/* Both sides in one file, which begins as the guest wants its memory. */
static void add_memory_in_place(struct vmm *vmm, uint64_t flags)
{
	const struct gl_config *cfg = &vmm->guest->cfg;

	flags |= GUEST_MEMFD_FLAG_MMAP;
	if (gl_patterns[cfg->pattern].shared)
		flags |= GUEST_MEMFD_FLAG_INIT_SHARED;
	vmm->memfd = vm_create_guest_memfd(vmm->vm, cfg->mem, flags);
	vmm->shared = map_memory(cfg->mem, MAP_SHARED, vmm->memfd);
}

/* All of it is shared for good, and in a guest_memfd all the same. */
static void add_memory_plain(struct vmm *vmm)
{
	vmm->memfd = vm_create_guest_memfd(vmm->vm, vmm->guest->cfg.mem,
					   GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	vmm->shared = map_memory(vmm->guest->cfg.mem, MAP_SHARED, vmm->memfd);
}

/* Each side has its own; all is shared. */
static void add_memory_of_two(struct vmm *vmm, uint64_t flags)
{
	const struct gl_config *cfg = &vmm->guest->cfg;

	vmm->memfd = vm_create_guest_memfd(vmm->vm, cfg->mem, flags);
	/* It is not reserved: a guest may have more than there is. */
	vmm->shared = map_memory(cfg->mem, MAP_ANONYMOUS | MAP_NORESERVE |
				 (is_large(vmm) ? MAP_SHARED : MAP_PRIVATE), -1);
	/* What is shared takes no more than that; a kernel without huge pages refuses. */
	madvise(vmm->shared, cfg->mem, MADV_NOHUGEPAGE);
}

static void add_memory(struct vmm *vmm)
{
	const struct gl_config *cfg = &vmm->guest->cfg;
	uint64_t flags = cfg->huge ? GUEST_MEMFD_FLAG_HUGE_PAGES : 0;

	vmm->in_place = cfg->in_place;
	if (cfg->plain)
		add_memory_plain(vmm);
	else if (vmm->in_place)
		add_memory_in_place(vmm, flags);
	else
		add_memory_of_two(vmm, flags);
	vm_set_user_memory_region2(vmm->vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD, GL_DATA_GPA,
				   cfg->mem, vmm->shared, vmm->memfd, 0);
}

/* Make all memory private, unless it is or shall not be. */
static int start_private(struct vmm *vmm)
{
	const struct gl_config *cfg = &vmm->guest->cfg;
	uint64_t start = now_ns();
	int err;

	if (!gl_starts_private(cfg))
		return 0;
	err = set_private(vmm, GL_DATA_GPA, cfg->mem, true, NULL);
	vmm->guest->boot_ns = now_ns() - start;
	if (err)
		vmm_fail(vmm, "cannot make all memory private at start: %s: does a policy deny it?",
			 strerror(err));
	return err;
}

static int vmm_boot(struct vmm *vmm, struct vmm_vcpu *vcpus)
{
	const struct gl_config *cfg = &vmm->guest->cfg;
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = cfg->plain ? KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_vcpu *made[GL_MAX_VCPUS];
	uint64_t ctl_size = align_up(sizeof(*vmm->guest), GL_PAGE_SIZE);
	unsigned int i;

	/* The extra pages only make room for the page tables of our memory. */
	vmm->vm = __vm_create_with_vcpus(shape, cfg->vcpus,
					 is_large(vmm) ? 512 : cfg->mem / SZ_2M,
					 gl_guest_main, made);
	vm_enable_cap(vmm->vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));

	vm_set_user_memory_region2(vmm->vm, CTL_SLOT, 0, GL_CTL_GPA, ctl_size,
				   vmm->guest, 0, 0);
	virt_map(vmm->vm, GL_CTL_GPA, GL_CTL_GPA, ctl_size / GL_PAGE_SIZE);

	add_memory(vmm);
	/* The guest keeps to its memory, so its last big page may reach beyond. */
	if (is_large(vmm))
		virt_map_level(vmm->vm, GL_DATA_GPA, GL_DATA_GPA,
			       align_up(cfg->mem, SZ_1G), PG_LEVEL_1G);
	else
		virt_map_level(vmm->vm, GL_DATA_GPA, GL_DATA_GPA,
			       align_up(cfg->mem, SZ_2M), PG_LEVEL_2M);
	if (start_private(vmm))
		return -1;

	for (i = 0; i < cfg->vcpus; i++) {
		vcpus[i].vmm = vmm;
		vcpus[i].vcpu = made[i];
		vcpus[i].ctl = &vmm->guest->vcpu[i];
		vcpus[i].held_gpa = NOT_HELD;
		vcpu_args_set(made[i], 2, GL_CTL_GPA, (uint64_t)i);
	}
	return 0;
}

/* Wait for the driver's go; false if it wants the guest to end instead. */
static bool wait_for_go(struct vmm *vmm, const sigset_t *signals)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	__atomic_store_n(&vmm->guest->state, GL_READY, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&vmm->guest->go, __ATOMIC_ACQUIRE))
		if (sigtimedwait(signals, NULL, &pause) == SIGTERM)
			return false;
	__atomic_store_n(&vmm->guest->state, GL_RUNNING, __ATOMIC_RELEASE);
	return true;
}

static void vmm_run(struct vmm *vmm, struct vmm_vcpu *vcpus, const sigset_t *signals)
{
	const struct timespec again = { .tv_nsec = 10000000 };
	unsigned int i, nr = vmm->guest->cfg.vcpus;
	int r;

	vmm->live = nr;
	for (i = 0; i < nr; i++) {
		r = pthread_create(&vcpus[i].thread, NULL, vcpu_thread, &vcpus[i]);
		TEST_ASSERT(!r, "pthread_create failed: %s", strerror(r));
	}

	while (__atomic_load_n(&vmm->live, __ATOMIC_ACQUIRE)) {
		if (sigtimedwait(signals, NULL, stopping(vmm) ? &again : NULL) == SIGTERM)
			__atomic_store_n(&vmm->stop, 1, __ATOMIC_RELAXED);
		if (!stopping(vmm))
			continue;
		/* A kick can come just before the call it is to end: repeat it. */
		for (i = 0; i < nr; i++)
			pthread_kill(vcpus[i].thread, SIGUSR1);
	}

	for (i = 0; i < nr; i++)
		pthread_join(vcpus[i].thread, NULL);
}

/*
 * At the end, look at all that the host can see of the guest's memory, or the
 * first of it if it is large: what was written while it was private must not be
 * there, unless the guest shared the very page afterwards.
 */
static void check_host_view(struct vmm *vmm)
{
	uint64_t pages = min_t(uint64_t, vmm->guest->cfg.mem, GL_LARGE_MEM) /
			 GL_PAGE_SIZE;
	uint64_t last = GL_PAGE_SIZE / sizeof(uint64_t) - 1;
	unsigned char resident[256];
	uint64_t i, chunk, visible = 0;
	uint64_t first, end;

	for (i = 0; i < pages; i++) {
		if (!(i % sizeof(resident))) {
			chunk = min_t(uint64_t, pages - i, sizeof(resident));
			if (mincore(vmm->shared + i * GL_PAGE_SIZE, chunk * GL_PAGE_SIZE,
				    resident))
				memset(resident, 1, sizeof(resident));
		}
		if (!(resident[i % sizeof(resident)] & 1))
			continue;
		if (!host_read(host_word(vmm, GL_DATA_GPA + i * GL_PAGE_SIZE, 0), &first) ||
		    !host_read(host_word(vmm, GL_DATA_GPA + i * GL_PAGE_SIZE, last), &end))
			continue;
		if (!vmm->in_place && !vmm->guest->cfg.plain &&
		    (gl_stamp_kind(first) == GL_STAMP_PRIVATE ||
		     gl_stamp_kind(end) == GL_STAMP_PRIVATE)) {
			vmm_fail(vmm, "host can read private data at gpa 0x%llx",
				 GL_DATA_GPA + i * GL_PAGE_SIZE);
			return;
		}
		visible += gl_stamp_kind(first) == GL_STAMP_SHARED;
	}
	vmm->guest->host_visible = visible;
}

/**
 * gl_vmm_main - build a guest, run it until it is done or SIGTERM comes
 * @guest: the configuration, and where the results go
 *
 * Return: the exit status of the process, 0 or 1.
 */
int gl_vmm_main(struct gl_guest *guest)
{
	const struct sigaction kick = { .sa_sigaction = kicked, .sa_flags = SA_SIGINFO };
	/* Its handler jumps out, and the next one must find it unblocked. */
	const struct sigaction bus = { .sa_handler = on_sigbus, .sa_flags = SA_NODEFER };
	struct vmm_vcpu vcpus[GL_MAX_VCPUS] = {};
	struct vmm vmm = { .guest = guest };
	sigset_t signals, blocked;

	/* Ctrl-C reaches us too, but it is for the driver to say when to end. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR2);
	blocked = signals;
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	sigaction(SIGUSR1, &kick, NULL);
	sigaction(SIGBUS, &bus, NULL);
	prctl(PR_SET_NAME, guest->cfg.name);

	/* The library loads the guest's code from the file of this name. */
	program_invocation_name = "/proc/self/exe";

	if (!vmm_boot(&vmm, vcpus) && wait_for_go(&vmm, &signals))
		vmm_run(&vmm, vcpus, &signals);
	if (!vmm.failed)
		check_host_view(&vmm);
	kvm_vm_free(vmm.vm);

	__atomic_store_n(&guest->state, vmm.failed ? GL_FAILED : GL_DONE, __ATOMIC_RELEASE);
	return vmm.failed;
}
