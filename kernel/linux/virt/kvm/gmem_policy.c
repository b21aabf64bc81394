// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the policies in force on a VM say to a request, and how they learn what
 * became of it.  When they are asked is decided in gmem_events.c, who they are
 * in gmem_attach.c.
 *
 * Every VM has a chain, the policies in force on it by priority.  A chain never
 * changes; another one takes its place.  A request takes a reference on the
 * chain that it is asked by, and keeps it until it has ended if a policy of the
 * chain wants to be told.  Programs may sleep meanwhile: nobody waits for a
 * chain, what comes after its last request is done by whoever lets go last.
 */
#include <linux/bpf.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include <trace/events/kvm_gmem.h>

#include "gmem.h"

DEFINE_STATIC_KEY_FALSE(kvm_gmem_policy_key);

static bool gmem_policies = true;
module_param(gmem_policies, bool, 0644);
MODULE_PARM_DESC(gmem_policies,
		 "Ask the attached policies; N lets everything pass (default Y)");

static unsigned int gmem_delay_max_ms = 1000;
module_param(gmem_delay_max_ms, uint, 0644);
MODULE_PARM_DESC(gmem_delay_max_ms,
		 "Longest delay of one verdict, in milliseconds; 0 lets it pass (default 1000)");

static const int kvm_gmem_errnos[KVM_GMEM_NR_ERRNOS] = {
	EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EDQUOT,
};

/* Chains */

/**
 * kvm_gmem_chain_get - the policies in force on a VM
 * @kvm: the VM
 *
 * Context: any.
 * Return: them, for kvm_gmem_chain_put(), or NULL if there is none.
 */
struct kvm_gmem_chain *kvm_gmem_chain_get(struct kvm *kvm)
{
	struct kvm_gmem_chain *chain;

	rcu_read_lock();
	/* One that has ended has been replaced before. */
	do {
		chain = rcu_dereference(kvm->gmem.chain);
	} while (chain && !refcount_inc_not_zero(&chain->refs));
	rcu_read_unlock();

	return chain;
}

static noinline void kvm_gmem_chain_end(struct kvm *kvm,
					struct kvm_gmem_chain *chain)
{
	do {
		struct kvm_gmem_chain *next = chain->next;

		if (chain->leaving) {
			if (chain->leaving->ops->vm_exit)
				chain->leaving->ops->vm_exit(kvm);
			kfree(chain->leaving_tally);
			kvm_gmem_programs_put(chain->leaving);
		}
		kfree_rcu(chain, rcu);
		/* What is in force later must not end before. */
		chain = next;
	} while (chain && refcount_dec_and_test(&chain->refs));
}

/**
 * kvm_gmem_chain_put - a request is no more asked by a chain
 * @kvm: the VM
 * @chain: from kvm_gmem_chain_get()
 *
 * Context: any in which a program that cannot sleep may run.
 */
void kvm_gmem_chain_put(struct kvm *kvm, struct kvm_gmem_chain *chain)
{
	if (unlikely(refcount_dec_and_test(&chain->refs)))
		kvm_gmem_chain_end(kvm, chain);
}

/* Verdicts */

/*
 * Count a verdict that does not simply allow, and make it one that KVM can act
 * on.  An unknown errno must not reach a VMM, which may take it for something
 * else; it still denies.
 */
static noinline s64 kvm_gmem_settle(struct kvm *kvm,
				    struct kvm_gmem_chain_entry *entry,
				    enum kvm_gmem_hook hook, s64 verdict)
{
	struct kvm_gmem_policy_stat __percpu *stat = entry->policy->stat;
	u64 max_ns = (u64)READ_ONCE(gmem_delay_max_ms) * NSEC_PER_MSEC;
	bool audit = entry->ops->flags & KVM_GMEM_OPS_AUDIT;
	int i;

	if (verdict > 0) {
		if (verdict > max_ns) {
			this_cpu_inc(stat->clamped);
			verdict = max_ns;
		}
		this_cpu_inc(stat->delayed);
		this_cpu_add(stat->delayed_ns, verdict);
		atomic64_inc(&entry->tally->delayed);
		atomic64_add(verdict, &entry->tally->delayed_ns);
	} else {
		for (i = 0; i < KVM_GMEM_NR_ERRNOS; i++) {
			if (verdict == -kvm_gmem_errnos[i])
				break;
		}
		if (i == KVM_GMEM_NR_ERRNOS) {
			this_cpu_inc(stat->clamped);
			verdict = -EACCES;
			i = 1;
		}
		this_cpu_inc(stat->denied[i]);
		atomic64_inc(&entry->tally->denied);
	}

	trace_kvm_gmem_verdict(kvm, entry->ops, hook, verdict, audit);

	return audit ? 0 : verdict;
}

static __always_inline void kvm_gmem_tell(struct kvm *kvm,
					  enum kvm_gmem_hook hook,
					  const struct kvm_gmem_chain *chain,
					  u32 allowed, const void *args,
					  u64 changed, int result)
{
	const struct kvm_gmem_chain_entry *entry = chain->entry;

	for (; allowed; allowed >>= 1, entry++) {
		if (!(allowed & 1))
			continue;
		if (hook == KVM_GMEM_HOOK_FAULT && entry->ops->fault_end)
			entry->ops->fault_end(kvm, args, changed, result);
		else if (hook == KVM_GMEM_HOOK_CONVERT && entry->ops->convert_end)
			entry->ops->convert_end(kvm, args, changed, result);
	}
}

static __always_inline u32 kvm_gmem_end_hook(enum kvm_gmem_hook hook)
{
	return hook == KVM_GMEM_HOOK_FAULT ? BIT(KVM_GMEM_HOOK_FAULT_END) :
					     BIT(KVM_GMEM_HOOK_CONVERT_END);
}

/* The policies that let a request pass which ends before it began. */
static noinline void kvm_gmem_tell_refused(struct kvm *kvm,
					   enum kvm_gmem_hook hook,
					   struct kvm_gmem_chain *chain,
					   u32 allowed, const void *args,
					   s64 verdict)
{
	kvm_gmem_tell(kvm, hook, chain, allowed, args, 0,
		      verdict > 0 ? -EAGAIN : verdict);
}

/*
 * Count what a request came to, and make of it what its VMM is to see.  A
 * request whose delays are over may go on.
 */
static noinline s64 kvm_gmem_count_verdict(struct kvm *kvm,
					   enum kvm_gmem_hook hook, s64 verdict,
					   bool overdue)
{
	struct kvm_gmem_counters *counters = &kvm->gmem.counters;

	if (verdict > 0 && overdue) {
		atomic64_inc(&counters->delays_expired);
		return 0;
	}

	if (verdict > 0)
		atomic64_add(verdict, &counters->delayed_ns);
	if (hook == KVM_GMEM_HOOK_FAULT)
		atomic64_inc(verdict < 0 ? &counters->faults_denied :
					   &counters->faults_delayed);
	else
		atomic64_inc(verdict < 0 ? &counters->conversions_denied :
					   &counters->conversions_delayed);

	return verdict;
}

/* One whose time is up stays attached, and is not asked any more. */
static __always_inline bool kvm_gmem_expired(const struct kvm_gmem_ops *ops)
{
	return unlikely(ops->expires_ns) &&
	       ktime_get_boottime_ns() >= ops->expires_ns;
}

/* Made into one function for each hook, for the sake of what it costs. */
static __always_inline s64 kvm_gmem_evaluate(struct kvm *kvm,
					     enum kvm_gmem_hook hook,
					     const void *args,
					     struct kvm_gmem_asked *asked,
					     bool overdue)
{
	struct kvm_gmem_chain_entry *entry, *end;
	struct kvm_gmem_chain *chain;
	u32 allowed = 0, bit = 1;
	s64 verdict = 0;

	asked->chain = NULL;
	if (!READ_ONCE(gmem_policies))
		return 0;

	chain = kvm_gmem_chain_get(kvm);
	if (!chain)
		return 0;
	entry = chain->entry;
	end = entry + chain->nr;
	/* A chain is never empty. */
	do {
		const struct kvm_gmem_ops *ops = entry->ops;
		s64 v;

		if (hook == KVM_GMEM_HOOK_FAULT) {
			if (!ops->fault || kvm_gmem_expired(ops))
				continue;
			v = ops->fault(kvm, args);
		} else {
			if (!ops->convert || kvm_gmem_expired(ops))
				continue;
			v = ops->convert(kvm, args);
		}

		this_cpu_inc(entry->policy->stat->calls);
		atomic64_inc(&entry->tally->calls);
		if (likely(!v)) {
			allowed |= bit;
			continue;
		}

		v = kvm_gmem_settle(kvm, entry, hook, v);
		if (v < 0) {
			verdict = v;
			break;
		}
		verdict = max(verdict, v);
	} while (bit <<= 1, ++entry < end);

	if (unlikely(verdict))
		verdict = kvm_gmem_count_verdict(kvm, hook, verdict, overdue);

	if (chain->hooks & kvm_gmem_end_hook(hook)) {
		if (!verdict) {
			asked->chain = chain;
			asked->allowed = allowed;
			return 0;
		}
		kvm_gmem_tell_refused(kvm, hook, chain, allowed, args, verdict);
	}
	kvm_gmem_chain_put(kvm, chain);

	if (verdict < 0 && READ_ONCE(kvm->gmem.plain_errnos))
		verdict = -ENOMEM;

	return verdict;
}

static noinline s64 kvm_gmem_evaluate_fault(struct kvm *kvm, const void *fault,
					    struct kvm_gmem_asked *asked,
					    bool overdue)
{
	return kvm_gmem_evaluate(kvm, KVM_GMEM_HOOK_FAULT, fault, asked,
				 overdue);
}

static noinline s64 kvm_gmem_evaluate_convert(struct kvm *kvm,
					      const void *convert,
					      struct kvm_gmem_asked *asked,
					      bool overdue)
{
	return kvm_gmem_evaluate(kvm, KVM_GMEM_HOOK_CONVERT, convert, asked,
				 overdue);
}

/**
 * kvm_gmem_ask - put a request to the policies in force on a VM
 * @kvm: the VM
 * @hook: KVM_GMEM_HOOK_FAULT or KVM_GMEM_HOOK_CONVERT
 * @args: struct kvm_gmem_fault, part of a struct kvm_gmem_request, or struct
 *	kvm_gmem_convert
 * @asked: filled in; if @asked->chain is not NULL, the request's end must be
 *	settled
 * @overdue: it has been delayed for as long as a request may be, or cannot be
 *
 * Context: may sleep, for as long as a program does.
 * Return: 0 to go on, a negative errno to refuse, or the nanoseconds to wait
 *	before asking again.
 */
s64 kvm_gmem_ask(struct kvm *kvm, enum kvm_gmem_hook hook, void *args,
		 struct kvm_gmem_asked *asked, bool overdue)
{
	/* A policy whose delay is not slept may want to deny instead. */
	if (unlikely(overdue)) {
		if (hook == KVM_GMEM_HOOK_FAULT)
			((struct kvm_gmem_fault *)args)->flags = KVM_GMEM_OVERDUE;
		else
			((struct kvm_gmem_convert *)args)->flags |= KVM_GMEM_OVERDUE;
	}

	return hook == KVM_GMEM_HOOK_FAULT ?
	       kvm_gmem_evaluate_fault(kvm, args, asked, overdue) :
	       kvm_gmem_evaluate_convert(kvm, args, asked, overdue);
}

/**
 * kvm_gmem_settle_fault - tell who let a request for pages pass how it ended
 * @kvm: the VM
 * @request: the request; @request->asked.chain is not NULL
 * @result: 0 or a negative errno
 *
 * Context: any in which a program that cannot sleep may run.
 */
void kvm_gmem_settle_fault(struct kvm *kvm, struct kvm_gmem_request *request,
			   int result)
{
	struct kvm_gmem_chain *chain = request->asked.chain;

	kvm_gmem_tell(kvm, KVM_GMEM_HOOK_FAULT, chain, request->asked.allowed,
		      &request->fault, request->allocated, result);
	request->asked.chain = NULL;
	kvm_gmem_chain_put(kvm, chain);
}

/**
 * kvm_gmem_settle_convert - tell who let a conversion pass how it ended
 * @kvm: the VM
 * @convert: the conversion
 * @asked: who was asked; @asked->chain is not NULL
 * @changed: guest frames that really changed
 * @result: 0 or a negative errno
 *
 * Context: any in which a program that cannot sleep may run.
 */
void kvm_gmem_settle_convert(struct kvm *kvm,
			     const struct kvm_gmem_convert *convert,
			     struct kvm_gmem_asked *asked, u64 changed,
			     int result)
{
	struct kvm_gmem_chain *chain = asked->chain;

	kvm_gmem_tell(kvm, KVM_GMEM_HOOK_CONVERT, chain, asked->allowed,
		      convert, changed, result);
	asked->chain = NULL;
	kvm_gmem_chain_put(kvm, chain);
}

/**
 * kvm_gmem_notify - tell the policies in force on a VM of an invalidation
 * @kvm: the VM
 * @invalidate: what goes away
 *
 * Context: any that may take a spinlock; programs cannot sleep.
 */
void kvm_gmem_notify(struct kvm *kvm,
		     const struct kvm_gmem_invalidate *invalidate)
{
	struct kvm_gmem_chain *chain;
	unsigned int i;

	if (!READ_ONCE(gmem_policies))
		return;

	chain = kvm_gmem_chain_get(kvm);
	if (!chain)
		return;
	for (i = 0; i < chain->nr; i++) {
		if (chain->entry[i].ops->invalidate)
			chain->entry[i].ops->invalidate(kvm, invalidate);
	}
	kvm_gmem_chain_put(kvm, chain);
}
