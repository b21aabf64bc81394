// SPDX-License-Identifier: GPL-2.0-only
/*
 * How requests wait when a policy wants them delayed.
 *
 * A delay is slept only where no lock is held and no SRCU read section is
 * open.  Where that is not so the delay is handed to the caller: a vCPU fault
 * notes it in the vCPU and is replayed from the start, for the memslot may
 * have gone meanwhile; populate, under slots_lock, notes it in the VM.
 *
 * Nobody in userspace sees a delay but as time.  A signal interrupts it like any
 * sleep, and the system call is restarted afterwards, whatever the handler of
 * the signal asked for: VMMs take an error of these calls as final.  What had
 * been waited by then is remembered for the task, so that signals make a delay
 * neither longer nor shorter.  All delays of one request together end with
 * gmem_delay_total_max_ms, so that no guest hangs by a policy's mistake.
 */
#include <linux/hrtimer.h>
#include <linux/moduleparam.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "gmem.h"

static unsigned int gmem_delay_total_max_ms = 10000;
module_param(gmem_delay_total_max_ms, uint, 0644);
MODULE_PARM_DESC(gmem_delay_total_max_ms,
		 "Longest time that one request is delayed, in milliseconds, after which it goes on; 0 lets all delays pass (default 10000)");

/* Interrupted requests that are remembered of a VM; the oldest is forgotten. */
#define KVM_GMEM_MAX_PAUSES	1024

static u64 kvm_gmem_delay_total_ns(void)
{
	return (u64)READ_ONCE(gmem_delay_total_max_ms) * NSEC_PER_MSEC;
}

/**
 * kvm_gmem_overdue - has a request been delayed for as long as one may be?
 * @since_ns: when its first delay began, 0 if it had none
 * @now_ns: now
 *
 * Return: true if it has.
 */
bool kvm_gmem_overdue(u64 since_ns, u64 now_ns)
{
	u64 total_ns = kvm_gmem_delay_total_ns();

	return !total_ns || (since_ns && now_ns - since_ns >= total_ns);
}

/* The end of a delay that begins now. */
static u64 kvm_gmem_delay_end(u64 since_ns, u64 now_ns, u64 delay_ns)
{
	return min(now_ns + delay_ns, since_ns + kvm_gmem_delay_total_ns());
}

/* Those who have no system call to restart. */
static bool kvm_gmem_is_worker(void)
{
	return current->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER);
}

/* How often a sleep that signals do not end looks whether it is cancelled. */
#define KVM_GMEM_CANCEL_NS	(50 * NSEC_PER_MSEC)

static bool kvm_gmem_killed(void)
{
	return current->flags & PF_IO_WORKER ? kvm_gmem_interrupted() :
					       fatal_signal_pending(current);
}

/*
 * Sleeps until then.  Returns false if a signal came before; if @killable, only
 * one that kills, or the cancelling of what a worker does.
 */
static bool kvm_gmem_sleep_until(u64 until_ns, bool killable)
{
	ktime_t until = ns_to_ktime(until_ns);
	u64 now_ns;

	while ((now_ns = ktime_get_ns()) < until_ns) {
		if (killable ? kvm_gmem_killed() : signal_pending(current))
			return false;
		if (killable)
			until = ns_to_ktime(min(until_ns, now_ns +
						KVM_GMEM_CANCEL_NS));
		/* Not freezable: callers have locks.  The freezer signals. */
		set_current_state(killable ? TASK_KILLABLE : TASK_INTERRUPTIBLE);
		/* Delays need not be exact; share wakeups where they can. */
		schedule_hrtimeout_range(&until, (until_ns - now_ns) / 16,
					 HRTIMER_MODE_ABS);
	}

	/* What comes next may look for signals, and fail. */
	return killable || !signal_pending(current);
}

/* What is remembered of a request between two attempts of its system call. */

/**
 * struct kvm_gmem_pause - a request whose delay a signal interrupted
 * @node: in struct kvm_gmem_vm.pauses
 * @task: who made it; only to be compared, for it may be gone
 * @hook: KVM_GMEM_HOOK_FAULT or KVM_GMEM_HOOK_CONVERT
 * @start: first guest frame or page
 * @nr_pages: its size
 * @what: attributes or reason
 * @inode: the guest_memfd of pages, only to be compared, too
 * @since_ns: when its first delay began
 * @until_ns: when the present one ends
 */
struct kvm_gmem_pause {
	struct list_head node;
	const struct task_struct *task;
	enum kvm_gmem_hook hook;
	u64 start;
	u64 nr_pages;
	u64 what;
	const struct inode *inode;
	u64 since_ns;
	u64 until_ns;
};

static void kvm_gmem_pause_describe(struct kvm_gmem_pause *pause,
				    enum kvm_gmem_hook hook, const void *args)
{
	const struct kvm_gmem_convert *convert = args;
	const struct kvm_gmem_fault *fault = args;

	pause->task = current;
	pause->hook = hook;
	if (hook == KVM_GMEM_HOOK_FAULT) {
		pause->start = fault->index;
		pause->nr_pages = fault->nr_pages;
		pause->what = fault->reason;
		pause->inode = container_of(fault, struct kvm_gmem_request,
					    fault)->inode;
	} else {
		pause->start = convert->start != KVM_GMEM_NO_GFN ?
			       convert->start : convert->index;
		pause->nr_pages = convert->nr_pages;
		pause->what = convert->attributes;
	}
}

static bool kvm_gmem_pause_is(const struct kvm_gmem_pause *pause,
			      const struct kvm_gmem_pause *request)
{
	return pause->task == request->task && pause->hook == request->hook &&
	       pause->start == request->start &&
	       pause->nr_pages == request->nr_pages &&
	       pause->what == request->what && pause->inode == request->inode;
}

/* Finds and forgets what is remembered of a request, and of older ones. */
static bool kvm_gmem_pause_take(struct kvm *kvm, struct kvm_gmem_pause *request)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;
	struct kvm_gmem_pause *pause, *next;
	u64 now_ns = ktime_get_ns();
	bool found = false;

	spin_lock(&gmem->pauses_lock);
	list_for_each_entry_safe(pause, next, &gmem->pauses, node) {
		bool is = kvm_gmem_pause_is(pause, request);
		/* Whoever made it does not come back, or makes another. */
		bool old = now_ns > pause->until_ns + kvm_gmem_delay_total_ns();

		if (is) {
			request->since_ns = pause->since_ns;
			request->until_ns = pause->until_ns;
			found = true;
		}
		if (is || old) {
			list_del(&pause->node);
			gmem->nr_pauses--;
			kfree(pause);
		}
	}
	spin_unlock(&gmem->pauses_lock);

	return found;
}

static void kvm_gmem_pause_keep(struct kvm *kvm, struct kvm_gmem_pause *pause)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;
	struct kvm_gmem_pause *oldest = NULL;

	spin_lock(&gmem->pauses_lock);
	if (gmem->nr_pauses == KVM_GMEM_MAX_PAUSES) {
		oldest = list_first_entry(&gmem->pauses, struct kvm_gmem_pause,
					  node);
		list_del(&oldest->node);
		gmem->nr_pauses--;
	}
	list_add_tail(&pause->node, &gmem->pauses);
	gmem->nr_pauses++;
	spin_unlock(&gmem->pauses_lock);
	kfree(oldest);
}

/**
 * kvm_gmem_pauses_forget - forget all interrupted requests
 * @kvm: the VM, which nobody uses any more
 */
void kvm_gmem_pauses_forget(struct kvm *kvm)
{
	struct kvm_gmem_pause *pause, *next;

	list_for_each_entry_safe(pause, next, &kvm->gmem.pauses, node)
		kfree(pause);
}

/*
 * Sleeps a delay of a request.  Returns 0 when it is over, or what the system
 * call is to return.
 */
static int kvm_gmem_pause_sleep(struct kvm *kvm,
				const struct kvm_gmem_pause *request)
{
	struct kvm_gmem_pause *pause;

	if (kvm_gmem_sleep_until(request->until_ns, kvm_gmem_is_worker()))
		return 0;
	if (kvm_gmem_is_worker() || fatal_signal_pending(current))
		return -EINTR;

	pause = kmemdup(request, sizeof(*request), GFP_KERNEL_ACCOUNT);
	/* A signal that has to wait is better than a delay that is forgotten. */
	if (!pause)
		return kvm_gmem_sleep_until(request->until_ns, true) ? 0 : -EINTR;
	kvm_gmem_pause_keep(kvm, pause);

	return -ERESTARTNOINTR;
}

/* The rest of kvm_gmem_ask_and_wait(), with a verdict to delay or none yet. */
static noinline int kvm_gmem_wait_and_ask(struct kvm *kvm,
					  enum kvm_gmem_hook hook, void *args,
					  struct kvm_gmem_asked *asked,
					  s64 verdict)
{
	struct kvm_gmem_pause request = {};
	u64 now_ns;
	int r;

	kvm_gmem_pause_describe(&request, hook, args);
	if (!verdict && kvm_gmem_pause_take(kvm, &request)) {
		r = kvm_gmem_pause_sleep(kvm, &request);
		if (r)
			return r;
	}

	for (;; verdict = 0) {
		if (!verdict) {
			now_ns = request.since_ns ? ktime_get_ns() : 0;
			verdict = kvm_gmem_ask(kvm, hook, args, asked,
					       kvm_gmem_overdue(request.since_ns,
								now_ns));
		}
		if (verdict <= 0)
			return verdict;

		now_ns = ktime_get_ns();
		if (!request.since_ns)
			request.since_ns = now_ns;
		request.until_ns = kvm_gmem_delay_end(request.since_ns, now_ns,
						      verdict);
		r = kvm_gmem_pause_sleep(kvm, &request);
		if (r)
			return r;
	}
}

/**
 * kvm_gmem_ask_and_wait - put a request to the policies until they let it pass
 * @kvm: the VM
 * @hook: KVM_GMEM_HOOK_FAULT or KVM_GMEM_HOOK_CONVERT
 * @args: see kvm_gmem_ask()
 * @asked: see kvm_gmem_ask()
 *
 * Context: sleeps, for as long as they say; no locks held.
 * Return: 0 to go on; the errno of the policy that denied; -ERESTARTNOINTR if
 *	a signal interrupted a delay, or -EINTR if it was fatal.
 */
int kvm_gmem_ask_and_wait(struct kvm *kvm, enum kvm_gmem_hook hook,
			  void *args, struct kvm_gmem_asked *asked)
{
	s64 verdict = 0;

	/* Most requests are not delayed, and were not before. */
	if (likely(list_empty_careful(&kvm->gmem.pauses))) {
		verdict = kvm_gmem_ask(kvm, hook, args, asked,
				       kvm_gmem_overdue(0, 0));
		if (verdict <= 0)
			return verdict;
	}

	return kvm_gmem_wait_and_ask(kvm, hook, args, asked, verdict);
}

/* vCPUs */

/**
 * kvm_gmem_resume_fault - a fault of a vCPU whose last faults were delayed
 * @gmem: what is kept of the vCPU
 * @gfn: the frame that it faults on
 * @overdue: set to whether it has been delayed for as long as one may be
 *
 * What is bounded is the time since a fault last came out of its delays, which
 * may be another one: a guest that does something else meanwhile must get on.
 *
 * Context: any.
 * Return: true if there is a rest of its delay to be slept, since it was ended
 *	by a signal or an interrupt.
 */
bool kvm_gmem_resume_fault(struct kvm_gmem_vcpu *gmem, u64 gfn, bool *overdue)
{
	u64 now_ns = ktime_get_ns();

	if (gmem->gfn == gfn && now_ns < gmem->until_ns) {
		gmem->delayed = true;
		return true;
	}

	/* The guest gave up what it wanted; one that was stopped did not. */
	if (gmem->gfn != gfn &&
	    now_ns > gmem->until_ns + kvm_gmem_delay_total_ns())
		gmem->since_ns = 0;
	else
		*overdue = kvm_gmem_overdue(gmem->since_ns, now_ns);

	return false;
}

/**
 * kvm_gmem_delay_fault - a policy wants a vCPU's fault delayed
 * @gmem: what is kept of the vCPU
 * @gfn: the frame that it faults on
 * @delay_ns: how long, from now on
 *
 * Context: any; kvm_gmem_delay_vcpu() sleeps.
 */
void kvm_gmem_delay_fault(struct kvm_gmem_vcpu *gmem, u64 gfn, u64 delay_ns)
{
	u64 now_ns = ktime_get_ns();

	if (!gmem->since_ns)
		gmem->since_ns = now_ns;
	gmem->gfn = gfn;
	gmem->until_ns = kvm_gmem_delay_end(gmem->since_ns, now_ns, delay_ns);
	gmem->delayed = true;
}

/*
 * Sleeps like a vCPU that is halted: an interrupt ends that, for other vCPUs may
 * wait for the answer.
 */
static void kvm_gmem_delay_block(struct kvm_vcpu *vcpu,
				 bool (*takes_interrupt)(struct kvm_vcpu *vcpu))
{
	struct rcuwait *wait = kvm_arch_vcpu_get_wait(vcpu);
	u64 now_ns, until_ns = vcpu->gmem.until_ns;
	ktime_t until = ns_to_ktime(until_ns);
	bool takes;
	int idx;

	preempt_disable();
	kvm_arch_vcpu_blocking(vcpu);
	prepare_to_rcuwait(wait);
	preempt_enable();

	while ((now_ns = ktime_get_ns()) < until_ns) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (signal_pending(current))
			break;
		idx = srcu_read_lock(&vcpu->kvm->srcu);
		takes = takes_interrupt(vcpu);
		srcu_read_unlock(&vcpu->kvm->srcu, idx);
		if (takes)
			break;
		schedule_hrtimeout_range(&until, (until_ns - now_ns) / 16,
					 HRTIMER_MODE_ABS);
	}
	__set_current_state(TASK_RUNNING);

	preempt_disable();
	finish_rcuwait(wait);
	kvm_arch_vcpu_unblocking(vcpu);
	preempt_enable();
}

/**
 * kvm_gmem_delay_vcpu - sleep as long as a policy wants a vCPU's fault delayed
 * @vcpu: the vCPU, loaded by the calling thread
 * @takes_interrupt: tells whether there is an interrupt that the vCPU takes as
 *	soon as it goes on; that ends the delay.  NULL if the guest does not
 *	run, for KVM_PRE_FAULT_MEMORY.
 *
 * The rest of a delay that ended early is slept when the fault comes again.
 *
 * Context: sleeps; outside of any read section of kvm->srcu.
 * Return: 0; without @takes_interrupt, -ERESTARTNOINTR if a signal interrupted
 *	the delay, or -EINTR if it was fatal.  With it the caller finds the
 *	signal pending.
 */
int kvm_gmem_delay_vcpu(struct kvm_vcpu *vcpu,
			bool (*takes_interrupt)(struct kvm_vcpu *vcpu))
{
	vcpu->gmem.delayed = false;

	if (takes_interrupt) {
		kvm_gmem_delay_block(vcpu, takes_interrupt);
		return 0;
	}
	if (kvm_gmem_sleep_until(vcpu->gmem.until_ns, false))
		return 0;

	return fatal_signal_pending(current) ? -EINTR : -ERESTARTNOINTR;
}

/**
 * kvm_gmem_resume_prefault - is a prefault the one whose delay was interrupted?
 * @vcpu: the vCPU, loaded by the calling thread
 * @gpa: where it begins
 *
 * Return: true if kvm_gmem_delay_vcpu() has the rest of the delay to sleep.
 */
bool kvm_gmem_resume_prefault(struct kvm_vcpu *vcpu, u64 gpa)
{
	struct kvm_gmem_vcpu *gmem = &vcpu->gmem;

	gmem->delayed = false;

	return unlikely(gmem->since_ns) && gmem->gfn == gpa >> PAGE_SHIFT &&
	       ktime_get_ns() < gmem->until_ns;
}

/* Launches */

/**
 * kvm_gmem_delay_populate - sleep as long as a policy wants a launch delayed
 * @kvm: the VM
 *
 * For who was told -EAGAIN, so that trying again at once is not a busy loop.
 *
 * Context: sleeps; no locks held.
 */
void kvm_gmem_delay_populate(struct kvm *kvm)
{
	u64 delay_ns = xchg(&kvm->gmem.populate_delay_ns, 0);

	if (delay_ns)
		kvm_gmem_sleep_until(ktime_get_ns() + delay_ns, false);
}
