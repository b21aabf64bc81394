// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies on guest private memory: struct kvm_gmem_ops as a BPF struct_ops
 * type, which policies are attached and to which VMs, and what their verdicts
 * come to.  When they are asked is decided in gmem_events.c.
 *
 * Every VM has a chain, the policies in force on it by priority.  A chain is
 * read under SRCU, since programs may sleep, and replaced under kvm_gmem_lock.
 * It alternates between two buffers in struct kvm, so that a policy can always
 * be detached; the grace period after each change makes the older one free.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/rculist.h>

#include <trace/events/kvm_gmem.h>

#include "gmem.h"

LIST_HEAD(kvm_gmem_policies);
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

/*
 * Count a verdict that does not simply allow, and make it one that KVM can act
 * on.  An unknown errno must not reach a VMM, which may take it for something
 * else; it still denies.
 */
static noinline s64 kvm_gmem_settle(struct kvm *kvm,
				    struct kvm_gmem_chain_entry *entry,
				    const struct kvm_gmem_ops *ops,
				    enum kvm_gmem_hook hook, s64 verdict)
{
	struct kvm_gmem_policy_stat __percpu *stat = entry->policy->stat;
	u64 max_ns = (u64)READ_ONCE(gmem_delay_max_ms) * NSEC_PER_MSEC;
	bool audit = ops->flags & KVM_GMEM_OPS_AUDIT;
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

	trace_kvm_gmem_verdict(kvm, ops->name, hook, verdict, audit);

	return audit ? 0 : verdict;
}

/* Made into one function for each hook, for the sake of what it costs. */
static __always_inline s64 kvm_gmem_evaluate(struct kvm *kvm,
					     enum kvm_gmem_hook hook,
					     const void *args)
{
	struct kvm_gmem_chain_entry *entry, *end;
	struct kvm_gmem_chain *chain;
	s64 verdict = 0;
	int idx;

	if (!READ_ONCE(gmem_policies))
		return 0;

	idx = srcu_read_lock(&kvm_gmem_srcu);
	chain = srcu_dereference(kvm->gmem.chain, &kvm_gmem_srcu);
	if (!chain)
		goto out;
	entry = chain->entry;
	end = entry + chain->nr;
	/* A chain is never empty. */
	do {
		struct kvm_gmem_policy *policy = entry->policy;
		const struct kvm_gmem_ops *ops = READ_ONCE(policy->ops);
		s64 v;

		if (hook == KVM_GMEM_HOOK_FAULT) {
			if (!ops->fault)
				continue;
			v = ops->fault(kvm, args);
		} else {
			if (!ops->convert)
				continue;
			v = ops->convert(kvm, args);
		}

		this_cpu_inc(policy->stat->calls);
		atomic64_inc(&entry->tally->calls);
		if (likely(!v))
			continue;

		v = kvm_gmem_settle(kvm, entry, ops, hook, v);
		if (v < 0) {
			verdict = v;
			break;
		}
		verdict = max(verdict, v);
	} while (++entry < end);
out:
	srcu_read_unlock(&kvm_gmem_srcu, idx);

	return verdict;
}

/**
 * kvm_gmem_evaluate_fault - ask the policies in force on a VM about a fault
 * @kvm: the VM
 * @fault: the fault, part of a struct kvm_gmem_request
 *
 * Context: may sleep.
 * Return: 0 to go on, a negative errno to refuse, or the nanoseconds to wait
 *	before asking again.
 */
s64 kvm_gmem_evaluate_fault(struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	return kvm_gmem_evaluate(kvm, KVM_GMEM_HOOK_FAULT, fault);
}

/**
 * kvm_gmem_evaluate_convert - ask the policies in force about a conversion
 * @kvm: the VM
 * @convert: the conversion
 *
 * Context: may sleep.
 * Return: as kvm_gmem_evaluate_fault().
 */
s64 kvm_gmem_evaluate_convert(struct kvm *kvm,
			      const struct kvm_gmem_convert *convert)
{
	return kvm_gmem_evaluate(kvm, KVM_GMEM_HOOK_CONVERT, convert);
}

/**
 * kvm_gmem_notify - tell the policies in force on a VM of an invalidation
 * @kvm: the VM
 * @invalidate: what went away
 *
 * Context: any that may take a spinlock; programs cannot sleep.
 */
void kvm_gmem_notify(struct kvm *kvm,
		     const struct kvm_gmem_invalidate *invalidate)
{
	struct kvm_gmem_chain *chain;
	unsigned int i;
	int idx;

	if (!READ_ONCE(gmem_policies))
		return;

	idx = srcu_read_lock(&kvm_gmem_srcu);
	chain = srcu_dereference(kvm->gmem.chain, &kvm_gmem_srcu);
	for (i = 0; chain && i < chain->nr; i++) {
		struct kvm_gmem_policy *policy = chain->entry[i].policy;
		const struct kvm_gmem_ops *ops = READ_ONCE(policy->ops);

		if (ops->invalidate)
			ops->invalidate(kvm, invalidate);
	}
	srcu_read_unlock(&kvm_gmem_srcu, idx);
}

/**
 * kvm_gmem_fill_verdicts - what the policies in force on a VM said of it
 * @kvm: the VM
 * @verdicts: filled in the order in which the policies run
 * @nr: how many fit in there
 *
 * Context: may sleep.
 * Return: number of policies in force, filled in or not.
 */
unsigned int kvm_gmem_fill_verdicts(struct kvm *kvm,
				    struct kvm_gmem_vm_verdicts *verdicts,
				    unsigned int nr)
{
	const struct kvm_gmem_chain *chain;
	unsigned int i, in_force = 0;
	int idx;

	idx = srcu_read_lock(&kvm_gmem_srcu);
	chain = srcu_dereference(kvm->gmem.chain, &kvm_gmem_srcu);
	if (chain)
		in_force = chain->nr;
	for (i = 0; i < min(nr, in_force); i++) {
		const struct kvm_gmem_tally *tally = chain->entry[i].tally;

		verdicts[i] = (struct kvm_gmem_vm_verdicts) {
			.link_id = READ_ONCE(chain->entry[i].policy->link->id),
			.calls = atomic64_read(&tally->calls),
			.denied = atomic64_read(&tally->denied),
			.delayed = atomic64_read(&tally->delayed),
			.delayed_ns = atomic64_read(&tally->delayed_ns),
		};
	}
	srcu_read_unlock(&kvm_gmem_srcu, idx);

	return in_force;
}

static bool kvm_gmem_ops_match(const struct kvm_gmem_ops *ops,
			       const struct kvm *kvm)
{
	return !ops->vm_id || ops->vm_id == kvm->gmem.id;
}

static void kvm_gmem_call_vm_init(const struct kvm_gmem_ops *ops,
				  struct kvm *kvm)
{
	if (ops->vm_init)
		ops->vm_init(kvm);
}

static void kvm_gmem_call_vm_exit(const struct kvm_gmem_ops *ops,
				  struct kvm *kvm)
{
	if (ops->vm_exit)
		ops->vm_exit(kvm);
}

static unsigned int kvm_gmem_chain_len(struct kvm *kvm)
{
	struct kvm_gmem_policy *policy;
	unsigned int nr = 0;

	lockdep_assert_held(&kvm_gmem_lock);

	list_for_each_entry(policy, &kvm_gmem_policies, node)
		nr += kvm_gmem_ops_match(policy->ops, kvm);

	return nr;
}

/*
 * The tally that a policy has on a VM, or a fresh one.  Those in @used are of
 * policies in force before or after: one of a policy that went is free only
 * when the grace period of its going is over.
 */
static struct kvm_gmem_tally *
kvm_gmem_find_tally(struct kvm *kvm, const struct kvm_gmem_chain *old,
		    const struct kvm_gmem_policy *policy, unsigned long *used)
{
	struct kvm_gmem_tally *tally;
	unsigned int i;

	for (i = 0; old && i < old->nr; i++) {
		if (old->entry[i].policy == policy)
			return old->entry[i].tally;
	}

	/* There is one: policies come one at a time, or all to a new VM. */
	i = find_first_zero_bit(used, KVM_GMEM_MAX_POLICIES);
	__set_bit(i, used);
	tally = &kvm->gmem.tallies[i];
	memset(tally, 0, sizeof(*tally));

	return tally;
}

/*
 * Put the policies that match into force on a VM.  A reader sees the chain as
 * it was or as it is.  The caller lets a grace period of kvm_gmem_srcu pass
 * before it changes the chain again.
 */
static void kvm_gmem_chain_rebuild(struct kvm *kvm)
{
	DECLARE_BITMAP(used, KVM_GMEM_MAX_POLICIES) = {};
	struct kvm_gmem_chain *old, *new;
	struct kvm_gmem_policy *policy;
	unsigned int i;
	u32 hooks = 0;

	lockdep_assert_held(&kvm_gmem_lock);

	old = rcu_dereference_protected(kvm->gmem.chain,
					lockdep_is_held(&kvm_gmem_lock));
	new = old == &kvm->gmem.chains[0] ? &kvm->gmem.chains[1] :
					    &kvm->gmem.chains[0];
	for (i = 0; old && i < old->nr; i++)
		__set_bit(old->entry[i].tally - kvm->gmem.tallies, used);
	new->nr = 0;
	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		if (!kvm_gmem_ops_match(policy->ops, kvm))
			continue;
		if (WARN_ON_ONCE(new->nr == KVM_GMEM_MAX_POLICIES))
			break;
		new->entry[new->nr].policy = policy;
		new->entry[new->nr].tally = kvm_gmem_find_tally(kvm, old, policy,
								used);
		new->nr++;
		hooks |= policy->ops->fault ? BIT(KVM_GMEM_HOOK_FAULT) : 0;
		hooks |= policy->ops->convert ? BIT(KVM_GMEM_HOOK_CONVERT) : 0;
		hooks |= policy->ops->invalidate ?
			 BIT(KVM_GMEM_HOOK_INVALIDATE) : 0;
	}
	rcu_assign_pointer(kvm->gmem.chain, new->nr ? new : NULL);
	WRITE_ONCE(kvm->gmem.hooks, hooks);
}

/* Each of these visits the VMs that a policy is for. */

static unsigned int kvm_gmem_init_vms(const struct kvm_gmem_ops *ops)
{
	unsigned int nr_vms = 0;
	struct kvm *kvm;

	list_for_each_entry(kvm, &kvm_gmem_vms, gmem.node) {
		if (!kvm_gmem_ops_match(ops, kvm))
			continue;
		kvm_gmem_call_vm_init(ops, kvm);
		nr_vms++;
	}

	return nr_vms;
}

static void kvm_gmem_exit_vms(const struct kvm_gmem_ops *ops)
{
	struct kvm *kvm;

	list_for_each_entry(kvm, &kvm_gmem_vms, gmem.node) {
		if (kvm_gmem_ops_match(ops, kvm))
			kvm_gmem_call_vm_exit(ops, kvm);
	}
}

static void kvm_gmem_rebuild_chains(const struct kvm_gmem_ops *ops)
{
	struct kvm *kvm;

	list_for_each_entry(kvm, &kvm_gmem_vms, gmem.node) {
		if (kvm_gmem_ops_match(ops, kvm))
			kvm_gmem_chain_rebuild(kvm);
	}
}

/**
 * kvm_gmem_policy_vm_created - put a new VM under the policies for every VM
 * @kvm: the VM, not yet in the list
 *
 * Context: under kvm_gmem_lock; nobody else knows @kvm.
 */
void kvm_gmem_policy_vm_created(struct kvm *kvm)
{
	struct kvm_gmem_policy *policy;

	lockdep_assert_held(&kvm_gmem_lock);

	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		if (!kvm_gmem_ops_match(policy->ops, kvm))
			continue;
		kvm_gmem_call_vm_init(policy->ops, kvm);
		policy->nr_vms++;
	}
	kvm_gmem_chain_rebuild(kvm);
}

/**
 * kvm_gmem_policy_vm_destroyed - release a VM from its policies
 * @kvm: the VM, no longer in the list
 *
 * Context: under kvm_gmem_lock; nobody else uses @kvm.
 */
void kvm_gmem_policy_vm_destroyed(struct kvm *kvm)
{
	struct kvm_gmem_policy *policy;

	lockdep_assert_held(&kvm_gmem_lock);

	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		if (!kvm_gmem_ops_match(policy->ops, kvm))
			continue;
		kvm_gmem_call_vm_exit(policy->ops, kvm);
		policy->nr_vms--;
	}
	RCU_INIT_POINTER(kvm->gmem.chain, NULL);
	kvm->gmem.hooks = 0;
}

static void kvm_gmem_policy_insert(struct kvm_gmem_policy *policy)
{
	struct kvm_gmem_policy *next;

	/* The first to come runs first among equals. */
	list_for_each_entry(next, &kvm_gmem_policies, node) {
		if (next->ops->priority > policy->ops->priority)
			break;
	}
	list_add_tail_rcu(&policy->node, &next->node);
}

static struct kvm_gmem_policy *kvm_gmem_policy_find(const struct bpf_link *link)
{
	struct kvm_gmem_policy *policy;

	lockdep_assert_held(&kvm_gmem_lock);

	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		if (policy->link == link)
			return policy;
	}

	return NULL;
}

/* Is there room for one more policy wherever @ops would be in force? */
static int kvm_gmem_policy_room(const struct kvm_gmem_ops *ops)
{
	unsigned int nr_global = 0;
	struct kvm_gmem_policy *policy;
	struct kvm *kvm;

	if (ops->vm_id && !kvm_gmem_find_vm(ops->vm_id))
		return -ESRCH;

	/* The next VM to come has only the global ones. */
	list_for_each_entry(policy, &kvm_gmem_policies, node)
		nr_global += !policy->ops->vm_id;
	if (!ops->vm_id && nr_global >= KVM_GMEM_MAX_POLICIES)
		return -E2BIG;

	list_for_each_entry(kvm, &kvm_gmem_vms, gmem.node) {
		if (kvm_gmem_ops_match(ops, kvm) &&
		    kvm_gmem_chain_len(kvm) >= KVM_GMEM_MAX_POLICIES)
			return -E2BIG;
	}

	return 0;
}

static int kvm_gmem_bpf_reg(void *kdata, struct bpf_link *link)
{
	struct kvm_gmem_policy *policy;
	struct kvm_gmem_ops *ops = kdata;
	int r;

	/* Without a link nothing would detach the policy of a dead loader. */
	if (!link)
		return -EOPNOTSUPP;

	policy = kzalloc(sizeof(*policy), GFP_KERNEL_ACCOUNT);
	if (!policy)
		return -ENOMEM;

	policy->stat = alloc_percpu_gfp(struct kvm_gmem_policy_stat,
					GFP_KERNEL_ACCOUNT);
	if (!policy->stat) {
		kfree(policy);
		return -ENOMEM;
	}
	policy->ops = ops;
	policy->link = link;

	mutex_lock(&kvm_gmem_lock);
	r = kvm_gmem_policy_room(ops);
	if (r) {
		mutex_unlock(&kvm_gmem_lock);
		free_percpu(policy->stat);
		kfree(policy);
		return r;
	}

	kvm_gmem_policy_insert(policy);
	static_branch_inc(&kvm_gmem_policy_key);
	policy->nr_vms = kvm_gmem_init_vms(ops);
	kvm_gmem_rebuild_chains(ops);
	synchronize_srcu(&kvm_gmem_srcu);
	mutex_unlock(&kvm_gmem_lock);

	return 0;
}

static void kvm_gmem_bpf_unreg(void *kdata, struct bpf_link *link)
{
	struct kvm_gmem_policy *policy;
	struct kvm_gmem_ops *ops = kdata;

	mutex_lock(&kvm_gmem_lock);
	policy = kvm_gmem_policy_find(link);
	if (WARN_ON_ONCE(!policy)) {
		mutex_unlock(&kvm_gmem_lock);
		return;
	}

	list_del_rcu(&policy->node);
	kvm_gmem_rebuild_chains(ops);
	/* After this nobody is in, or can get into, one of its programs. */
	synchronize_srcu(&kvm_gmem_srcu);
	kvm_gmem_exit_vms(ops);
	static_branch_dec(&kvm_gmem_policy_key);
	mutex_unlock(&kvm_gmem_lock);

	free_percpu(policy->stat);
	kfree(policy);
}

static int kvm_gmem_bpf_update(void *kdata, void *old_kdata,
			       struct bpf_link *link)
{
	struct kvm_gmem_ops *new = kdata, *old = old_kdata;
	struct kvm_gmem_policy *policy;
	int r = 0;

	mutex_lock(&kvm_gmem_lock);
	policy = kvm_gmem_policy_find(link);
	if (!policy) {
		r = -ENOENT;
		goto out;
	}
	if (new->vm_id != old->vm_id) {
		r = -EINVAL;
		goto out;
	}
	/* vm_init and vm_exit would run in the wrong order. */
	if (new == old)
		goto out;

	kvm_gmem_init_vms(new);
	WRITE_ONCE(policy->ops, new);
	if (new->priority != old->priority) {
		list_del_rcu(&policy->node);
		/* Iterators may still stand on the node. */
		synchronize_srcu(&kvm_gmem_srcu);
		kvm_gmem_policy_insert(policy);
	}
	kvm_gmem_rebuild_chains(new);
	synchronize_srcu(&kvm_gmem_srcu);
	kvm_gmem_exit_vms(old);
out:
	mutex_unlock(&kvm_gmem_lock);

	return r;
}

static int kvm_gmem_bpf_init_btf(struct btf *btf)
{
	return 0;
}

static int kvm_gmem_bpf_check_member(const struct btf_type *t,
				     const struct btf_member *member,
				     const struct bpf_prog *prog)
{
	u32 moff = __btf_member_bit_offset(t, member) / 8;

	/* Called with locks held that must not be slept under. */
	if (moff == offsetof(struct kvm_gmem_ops, invalidate) && prog->sleepable)
		return -EINVAL;

	return 0;
}

static int kvm_gmem_copy_name(char *dst, const char *src)
{
	size_t len = strnlen(src, KVM_GMEM_POLICY_NAME_LEN);
	size_t i;

	if (!len || len == KVM_GMEM_POLICY_NAME_LEN)
		return -EINVAL;

	for (i = 0; i < len; i++) {
		/* isalnum() takes Latin-1 as well. */
		if (!isascii(src[i]) ||
		    (!isalnum(src[i]) && !strchr("_.-", src[i])))
			return -EINVAL;
	}
	memcpy(dst, src, len);

	return 0;
}

static int kvm_gmem_bpf_init_member(const struct btf_type *t,
				    const struct btf_member *member,
				    void *kdata, const void *udata)
{
	u32 moff = __btf_member_bit_offset(t, member) / 8;
	const struct kvm_gmem_ops *uops = udata;
	struct kvm_gmem_ops *ops = kdata;
	int r;

	switch (moff) {
	case offsetof(struct kvm_gmem_ops, vm_id):
		ops->vm_id = uops->vm_id;
		return 1;
	case offsetof(struct kvm_gmem_ops, priority):
		ops->priority = uops->priority;
		return 1;
	case offsetof(struct kvm_gmem_ops, flags):
		if (uops->flags & ~KVM_GMEM_OPS_FLAGS)
			return -EINVAL;
		ops->flags = uops->flags;
		return 1;
	case offsetof(struct kvm_gmem_ops, name):
		r = kvm_gmem_copy_name(ops->name, uops->name);
		return r ?: 1;
	}

	return 0;
}

static void kvm_gmem_stub_vm(struct kvm *kvm)
{
}

static s64 kvm_gmem_stub_fault(struct kvm *kvm,
			       const struct kvm_gmem_fault *fault)
{
	return 0;
}

static s64 kvm_gmem_stub_convert(struct kvm *kvm,
				 const struct kvm_gmem_convert *convert)
{
	return 0;
}

static void kvm_gmem_stub_invalidate(struct kvm *kvm,
				     const struct kvm_gmem_invalidate *invalidate)
{
}

static struct kvm_gmem_ops kvm_gmem_ops_stubs = {
	.vm_init = kvm_gmem_stub_vm,
	.vm_exit = kvm_gmem_stub_vm,
	.fault = kvm_gmem_stub_fault,
	.convert = kvm_gmem_stub_convert,
	.invalidate = kvm_gmem_stub_invalidate,
};

static const struct bpf_verifier_ops kvm_gmem_verifier_ops = {
	.get_func_proto = bpf_base_func_proto,
	.is_valid_access = bpf_tracing_btf_ctx_access,
};

static struct bpf_struct_ops bpf_kvm_gmem_ops = {
	.verifier_ops = &kvm_gmem_verifier_ops,
	.init = kvm_gmem_bpf_init_btf,
	.check_member = kvm_gmem_bpf_check_member,
	.init_member = kvm_gmem_bpf_init_member,
	.reg = kvm_gmem_bpf_reg,
	.unreg = kvm_gmem_bpf_unreg,
	.update = kvm_gmem_bpf_update,
	.name = "kvm_gmem_ops",
	.cfi_stubs = &kvm_gmem_ops_stubs,
	.owner = THIS_MODULE,
};

/**
 * kvm_gmem_policy_register - make struct kvm_gmem_ops known to BPF
 *
 * Return: 0 or a negative errno.
 */
int kvm_gmem_policy_register(void)
{
	return register_bpf_struct_ops(&bpf_kvm_gmem_ops, kvm_gmem_ops);
}
