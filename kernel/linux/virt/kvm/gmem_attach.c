// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies on guest private memory: struct kvm_gmem_ops as a BPF struct_ops
 * type, and which policies are attached to which VMs.
 *
 * BPF's own mutex of struct_ops is held around most of this, and
 * kvm_gmem_lock, which the birth and death of a VM take.  So nothing here waits
 * for a program: a chain is put in the place of another, and whoever lets go of
 * the older one last calls vm_exit.  Until then the programs have a reference.
 * vm_init and vm_exit cannot sleep.  All memory is taken before a change; for
 * its own detaching, each policy leaves a spare chain with each VM.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/wait_bit.h>

#include "gmem.h"

/*
 * How long a detach or an update waits, as a courtesy, for requests that are
 * under way.  A program that sleeps ends later, and so does its policy.
 */
#define KVM_GMEM_LEAVE_MS	5

LIST_HEAD(kvm_gmem_policies);

/* Programs that are in force, or that a VM has not left yet. */
static LIST_HEAD(kvm_gmem_live_programs);
static DEFINE_SPINLOCK(kvm_gmem_live_lock);

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

/* Programs and policies */

/* Are they attached, or is one of their VMs about to leave? */
static bool kvm_gmem_ops_live(const struct kvm_gmem_ops *ops)
{
	struct kvm_gmem_programs *programs;

	list_for_each_entry(programs, &kvm_gmem_live_programs, node) {
		if (programs->ops == ops)
			return true;
	}

	return false;
}

/*
 * The same programs cannot be attached twice: vm_exit of the one would take away
 * what vm_init of the other made.
 */
static struct kvm_gmem_programs *
kvm_gmem_programs_new(struct kvm_gmem_policy *policy,
		      const struct kvm_gmem_ops *ops)
{
	struct kvm_gmem_programs *programs;
	bool live;

	programs = kzalloc(sizeof(*programs), GFP_KERNEL);
	if (!programs)
		return ERR_PTR(-ENOMEM);
	programs->ops = ops;
	programs->policy = policy;
	refcount_set(&programs->refs, 1);

	spin_lock(&kvm_gmem_live_lock);
	/* They may have to outlive the link. */
	live = kvm_gmem_ops_live(ops) || !bpf_struct_ops_get(ops);
	if (!live)
		list_add(&programs->node, &kvm_gmem_live_programs);
	spin_unlock(&kvm_gmem_live_lock);
	if (live) {
		kfree(programs);
		return ERR_PTR(-EBUSY);
	}

	return programs;
}

static void kvm_gmem_policy_free(struct kvm_gmem_policy *policy)
{
	free_percpu(policy->stat);
	kfree(policy);
}

/**
 * kvm_gmem_programs_put - programs leave a VM, or are waited for no more
 * @programs: the programs
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_programs_put(struct kvm_gmem_programs *programs)
{
	refcount_t *refs = &programs->refs;

	if (!refcount_dec_and_test(refs)) {
		/* Only an address: they may be gone by now. */
		smp_mb__after_atomic();
		wake_up_var(refs);
		return;
	}

	spin_lock(&kvm_gmem_live_lock);
	list_del(&programs->node);
	spin_unlock(&kvm_gmem_live_lock);
	bpf_struct_ops_put(programs->ops);
	if (programs->detached)
		kvm_gmem_policy_free(programs->policy);
	kfree(programs);
}

/* Waits a little until the last request that they were asked about has ended. */
static void kvm_gmem_programs_leave(struct kvm_gmem_programs *programs)
{
	wait_var_event_timeout(&programs->refs,
			       refcount_read(&programs->refs) == 1,
			       msecs_to_jiffies(KVM_GMEM_LEAVE_MS));
	kvm_gmem_programs_put(programs);
}

static struct kvm_gmem_policy *kvm_gmem_policy_new(const struct kvm_gmem_ops *ops,
						   struct bpf_link *link)
{
	struct kvm_gmem_policy *policy;
	int r;

	policy = kzalloc(sizeof(*policy), GFP_KERNEL_ACCOUNT);
	if (!policy)
		return ERR_PTR(-ENOMEM);

	policy->link = link;
	policy->stat = alloc_percpu_gfp(struct kvm_gmem_policy_stat,
					GFP_KERNEL_ACCOUNT);
	if (!policy->stat) {
		r = -ENOMEM;
		goto err;
	}
	policy->programs = kvm_gmem_programs_new(policy, ops);
	if (IS_ERR(policy->programs)) {
		r = PTR_ERR(policy->programs);
		goto err;
	}

	return policy;

err:
	kvm_gmem_policy_free(policy);
	return ERR_PTR(r);
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

static void kvm_gmem_policy_insert(struct kvm_gmem_policy *policy)
{
	s32 priority = policy->programs->ops->priority;
	struct kvm_gmem_policy *next;
	static u64 last_seq;

	/* The first to come runs first among equals. */
	policy->seq = ++last_seq;
	list_for_each_entry(next, &kvm_gmem_policies, node) {
		if (next->programs->ops->priority > priority)
			break;
	}
	list_add_tail(&policy->node, &next->node);
}

/* Chains */

/*
 * Takes memory for a VM to have @nr more chains; those that it has are kept.
 * What is taken under kvm_gmem_lock is not accounted, so that nobody waits while
 * a cgroup is short of memory.
 */
static int kvm_gmem_spares_add(struct kvm *kvm, unsigned int nr, gfp_t gfp)
{
	struct kvm_gmem_chain *chain;

	while (nr--) {
		chain = kmalloc(sizeof(*chain), gfp);
		if (!chain)
			return -ENOMEM;
		chain->next = kvm->gmem.spares;
		kvm->gmem.spares = chain;
	}

	return 0;
}

static struct kvm_gmem_chain *kvm_gmem_spare_take(struct kvm *kvm)
{
	struct kvm_gmem_chain *chain = kvm->gmem.spares;

	kvm->gmem.spares = chain->next;

	return chain;
}

static struct kvm_gmem_chain *kvm_gmem_chain_locked(const struct kvm *kvm)
{
	return rcu_dereference_protected(kvm->gmem.chain,
					 lockdep_is_held(&kvm_gmem_lock));
}

static void kvm_gmem_spares_free(struct kvm_gmem_chain *chain)
{
	struct kvm_gmem_chain *next;

	for (; chain; chain = next) {
		next = chain->next;
		kfree(chain);
	}
}

/* Gives back what a VM has beyond one spare for each policy in force on it. */
static void kvm_gmem_spares_trim(struct kvm *kvm)
{
	const struct kvm_gmem_chain *chain = kvm_gmem_chain_locked(kvm);
	struct kvm_gmem_chain **last = &kvm->gmem.spares;
	unsigned int nr = chain ? chain->nr : 0;

	while (*last && nr--)
		last = &(*last)->next;
	kvm_gmem_spares_free(*last);
	*last = NULL;
}

static u32 kvm_gmem_ops_hooks(const struct kvm_gmem_ops *ops)
{
	u32 hooks = 0;

	hooks |= ops->fault ? BIT(KVM_GMEM_HOOK_FAULT) : 0;
	hooks |= ops->convert ? BIT(KVM_GMEM_HOOK_CONVERT) : 0;
	hooks |= ops->invalidate ? BIT(KVM_GMEM_HOOK_INVALIDATE) : 0;
	hooks |= ops->fault_end ? BIT(KVM_GMEM_HOOK_FAULT_END) : 0;
	hooks |= ops->convert_end ? BIT(KVM_GMEM_HOOK_CONVERT_END) : 0;

	return hooks;
}

static struct kvm_gmem_tally *
kvm_gmem_find_tally(const struct kvm_gmem_chain *chain,
		    const struct kvm_gmem_policy *policy)
{
	unsigned int i;

	for (i = 0; chain && i < chain->nr; i++) {
		if (chain->entry[i].policy == policy)
			return chain->entry[i].tally;
	}

	return NULL;
}

/*
 * Put the policies that match into force on a VM.  A request is put to the
 * chain as it was or as it is.  @tally is for the one that has none there yet.
 */
static void kvm_gmem_chain_publish(struct kvm *kvm, struct kvm_gmem_tally *tally,
				   struct kvm_gmem_programs *leaving)
{
	struct kvm_gmem_chain *old = kvm_gmem_chain_locked(kvm);
	struct kvm_gmem_chain *new = kvm_gmem_spare_take(kvm);
	struct kvm_gmem_policy *policy;

	memset(new, 0, sizeof(*new));
	refcount_set(&new->refs, 1);
	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		const struct kvm_gmem_ops *ops = policy->programs->ops;
		struct kvm_gmem_chain_entry *entry;

		if (!kvm_gmem_ops_match(ops, kvm))
			continue;
		if (WARN_ON_ONCE(new->nr == KVM_GMEM_MAX_POLICIES))
			break;
		entry = &new->entry[new->nr++];
		entry->ops = ops;
		entry->policy = policy;
		entry->tally = kvm_gmem_find_tally(old, policy) ?: tally;
		new->hooks |= kvm_gmem_ops_hooks(ops);
	}
	WRITE_ONCE(kvm->gmem.hooks, new->hooks);
	if (!new->nr) {
		kfree(new);
		new = NULL;
	}
	rcu_assign_pointer(kvm->gmem.chain, new);

	if (!old)
		return;
	if (new) {
		old->next = new;
		refcount_inc(&new->refs);
	}
	if (leaving) {
		old->leaving = leaving;
		if (leaving->detached)
			old->leaving_tally = kvm_gmem_find_tally(old,
								 leaving->policy);
		refcount_inc(&leaving->refs);
	}
	kvm_gmem_chain_put(kvm, old);
}

/* Each of these visits the VMs that a policy is for. */

static int kvm_gmem_prepare_vms(const struct kvm_gmem_ops *ops, unsigned int nr)
{
	struct kvm *kvm;
	unsigned long id;
	int r;

	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (!kvm_gmem_ops_match(ops, kvm))
			continue;
		r = kvm_gmem_spares_add(kvm, nr, GFP_KERNEL);
		if (r)
			return r;
	}

	return 0;
}

static void kvm_gmem_trim_vms(const struct kvm_gmem_ops *ops)
{
	struct kvm *kvm;
	unsigned long id;

	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (kvm_gmem_ops_match(ops, kvm))
			kvm_gmem_spares_trim(kvm);
	}
}

static void kvm_gmem_init_vms(const struct kvm_gmem_ops *ops)
{
	struct kvm *kvm;
	unsigned long id;

	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (kvm_gmem_ops_match(ops, kvm))
			kvm_gmem_call_vm_init(ops, kvm);
	}
}

static void kvm_gmem_publish_vms(const struct kvm_gmem_ops *ops,
				 struct kvm_gmem_programs *leaving)
{
	struct kvm *kvm;
	unsigned long id;

	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (!kvm_gmem_ops_match(ops, kvm))
			continue;
		kvm_gmem_chain_publish(kvm, NULL, leaving);
		kvm_gmem_spares_trim(kvm);
	}
}

/* Is there room for one more policy wherever @ops would be in force? */
static int kvm_gmem_policy_room(const struct kvm_gmem_ops *ops)
{
	struct kvm_gmem_policy *policy;
	struct kvm_gmem_chain *chain;
	unsigned int nr_global = 0;
	struct kvm *kvm;
	unsigned long id;

	if (ops->vm_id && !kvm_gmem_find_vm(ops->vm_id))
		return -ESRCH;

	/* The next VM to come has only the global ones. */
	list_for_each_entry(policy, &kvm_gmem_policies, node)
		nr_global += !policy->programs->ops->vm_id;
	if (!ops->vm_id && nr_global >= KVM_GMEM_MAX_POLICIES)
		return -E2BIG;

	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (!kvm_gmem_ops_match(ops, kvm))
			continue;
		chain = kvm_gmem_chain_locked(kvm);
		if (chain && chain->nr >= KVM_GMEM_MAX_POLICIES)
			return -E2BIG;
	}

	return 0;
}

/* Tallies for the VMs of a new policy, chained by their first word. */
static int kvm_gmem_tallies_new(unsigned int nr, struct kvm_gmem_tally **tallies,
				gfp_t gfp)
{
	struct kvm_gmem_tally *tally;

	while (nr--) {
		tally = kzalloc(sizeof(*tally), gfp);
		if (!tally)
			return -ENOMEM;
		*(struct kvm_gmem_tally **)tally = *tallies;
		*tallies = tally;
	}

	return 0;
}

static struct kvm_gmem_tally *kvm_gmem_tally_take(struct kvm_gmem_tally **tallies)
{
	struct kvm_gmem_tally *tally = *tallies;

	*tallies = *(struct kvm_gmem_tally **)tally;
	memset(tally, 0, sizeof(*tally));

	return tally;
}

static void kvm_gmem_tallies_free(struct kvm_gmem_tally *tallies)
{
	while (tallies)
		kfree(kvm_gmem_tally_take(&tallies));
}

static unsigned int kvm_gmem_count_vms(const struct kvm_gmem_ops *ops)
{
	unsigned int nr = 0;
	struct kvm *kvm;
	unsigned long id;

	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (kvm_gmem_ops_match(ops, kvm))
			nr++;
	}

	return nr;
}

/* All memory first; then nothing can fail. */
static int kvm_gmem_policy_attach(struct kvm_gmem_policy *policy)
{
	const struct kvm_gmem_ops *ops = policy->programs->ops;
	struct kvm_gmem_tally *tallies = NULL;
	struct kvm *kvm;
	unsigned long id;
	int r;

	r = kvm_gmem_policy_room(ops);
	if (r)
		return r;
	policy->nr_vms = kvm_gmem_count_vms(ops);
	/* One to come into force by, one to go by. */
	r = kvm_gmem_tallies_new(policy->nr_vms, &tallies, GFP_KERNEL) ?:
	    kvm_gmem_prepare_vms(ops, 2);
	if (r) {
		kvm_gmem_tallies_free(tallies);
		kvm_gmem_trim_vms(ops);
		return r;
	}

	kvm_gmem_policy_insert(policy);
	xa_for_each(&kvm_gmem_vms, id, kvm) {
		if (!kvm_gmem_ops_match(ops, kvm))
			continue;
		kvm_gmem_call_vm_init(ops, kvm);
		kvm_gmem_chain_publish(kvm, kvm_gmem_tally_take(&tallies), NULL);
	}

	return 0;
}

static unsigned int kvm_gmem_count_policies(const struct kvm *kvm)
{
	struct kvm_gmem_policy *policy;
	unsigned int nr = 0;

	list_for_each_entry(policy, &kvm_gmem_policies, node)
		nr += kvm_gmem_ops_match(policy->programs->ops, kvm);

	return nr;
}

/*
 * Takes kvm_gmem_lock, with memory for a new VM to come under the policies.  It
 * is taken without the lock, since others must not wait while the cgroup of who
 * makes the VM is short of it.
 */
static int kvm_gmem_lock_with_memory(struct kvm *kvm,
				     struct kvm_gmem_tally **tallies)
{
	unsigned int nr, have = 0;
	int r;

	for (;;) {
		mutex_lock(&kvm_gmem_lock);
		nr = kvm_gmem_count_policies(kvm);
		if (nr <= have)
			return 0;
		mutex_unlock(&kvm_gmem_lock);

		r = kvm_gmem_tallies_new(nr - have, tallies,
					 GFP_KERNEL_ACCOUNT) ?:
		    kvm_gmem_spares_add(kvm, nr - have + !have,
					GFP_KERNEL_ACCOUNT);
		if (r)
			return r;
		have = nr;
	}
}

static void kvm_gmem_vm_enter(struct kvm *kvm, struct kvm_gmem_tally **tallies)
{
	struct kvm_gmem_policy *policy;
	struct kvm_gmem_chain *chain;
	unsigned int i;

	list_for_each_entry(policy, &kvm_gmem_policies, node) {
		if (!kvm_gmem_ops_match(policy->programs->ops, kvm))
			continue;
		kvm_gmem_call_vm_init(policy->programs->ops, kvm);
		policy->nr_vms++;
	}
	kvm_gmem_chain_publish(kvm, NULL, NULL);
	chain = kvm_gmem_chain_locked(kvm);
	for (i = 0; i < chain->nr; i++)
		chain->entry[i].tally = kvm_gmem_tally_take(tallies);
}

/**
 * kvm_gmem_policy_vm_created - put a new VM among the others and under the
 *	policies for every VM
 * @kvm: the VM, which nobody else knows
 *
 * Context: may sleep; takes kvm_gmem_lock.
 * Return: 0 or -ENOMEM.
 */
int kvm_gmem_policy_vm_created(struct kvm *kvm)
{
	struct kvm_gmem_tally *tallies = NULL;
	u64 id = kvm->gmem.id;
	int r;

	r = xa_reserve(&kvm_gmem_vms, id, GFP_KERNEL);
	if (r)
		return r;

	r = kvm_gmem_lock_with_memory(kvm, &tallies);
	if (r) {
		xa_release(&kvm_gmem_vms, id);
		kvm_gmem_tallies_free(tallies);
		kvm_gmem_spares_free(kvm->gmem.spares);
		return r;
	}
	if (kvm_gmem_count_policies(kvm))
		kvm_gmem_vm_enter(kvm, &tallies);
	kvm_gmem_spares_trim(kvm);
	xa_store(&kvm_gmem_vms, id, kvm, GFP_KERNEL);
	mutex_unlock(&kvm_gmem_lock);
	kvm_gmem_tallies_free(tallies);

	return 0;
}

/**
 * kvm_gmem_policy_vm_destroyed - release a VM from its policies
 * @kvm: the VM, no longer among the others
 *
 * Context: under kvm_gmem_lock; nobody else uses @kvm.
 */
void kvm_gmem_policy_vm_destroyed(struct kvm *kvm)
{
	struct kvm_gmem_chain *chain = kvm_gmem_chain_locked(kvm);
	unsigned int i;

	for (i = 0; chain && i < chain->nr; i++) {
		kvm_gmem_call_vm_exit(chain->entry[i].ops, kvm);
		chain->entry[i].policy->nr_vms--;
		kfree(chain->entry[i].tally);
	}
	/* No request is under way that could still be asked by it. */
	WARN_ON_ONCE(chain && refcount_read(&chain->refs) != 1);
	kfree(chain);
	RCU_INIT_POINTER(kvm->gmem.chain, NULL);
	kvm->gmem.hooks = 0;
	kvm_gmem_spares_trim(kvm);
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
	unsigned int i, in_force;

	mutex_lock(&kvm_gmem_lock);
	chain = kvm_gmem_chain_locked(kvm);
	in_force = chain ? chain->nr : 0;
	for (i = 0; i < min(nr, in_force); i++) {
		const struct kvm_gmem_tally *tally = chain->entry[i].tally;

		verdicts[i] = (struct kvm_gmem_vm_verdicts) {
			.link_id = chain->entry[i].policy->link->id,
			.calls = atomic64_read(&tally->calls),
			.denied = atomic64_read(&tally->denied),
			.delayed = atomic64_read(&tally->delayed),
			.delayed_ns = atomic64_read(&tally->delayed_ns),
		};
	}
	mutex_unlock(&kvm_gmem_lock);

	return in_force;
}

/* struct_ops */

/* A policy that could never be asked. */
static bool kvm_gmem_ops_expired(const struct kvm_gmem_ops *ops)
{
	return ops->expires_ns && ktime_get_boottime_ns() >= ops->expires_ns;
}

static int kvm_gmem_bpf_reg(void *kdata, struct bpf_link *link)
{
	struct kvm_gmem_policy *policy;
	int r;

	/* Without a link nothing would detach the policy of a dead loader. */
	if (!link)
		return -EOPNOTSUPP;
	/* A BPF token is for the VMs of its user namespace, which KVM knows not. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (kvm_gmem_ops_expired(kdata))
		return -ETIME;

	policy = kvm_gmem_policy_new(kdata, link);
	if (IS_ERR(policy))
		return PTR_ERR(policy);

	/* Not under the lock, for it waits for CPUs that come and go. */
	static_branch_inc(&kvm_gmem_policy_key);
	mutex_lock(&kvm_gmem_lock);
	r = kvm_gmem_policy_attach(policy);
	mutex_unlock(&kvm_gmem_lock);
	if (r) {
		static_branch_dec(&kvm_gmem_policy_key);
		policy->programs->detached = true;
		kvm_gmem_programs_put(policy->programs);
	}

	return r;
}

static void kvm_gmem_bpf_unreg(void *kdata, struct bpf_link *link)
{
	struct kvm_gmem_programs *programs;
	struct kvm_gmem_policy *policy;

	mutex_lock(&kvm_gmem_lock);
	policy = kvm_gmem_policy_find(link);
	if (WARN_ON_ONCE(!policy)) {
		mutex_unlock(&kvm_gmem_lock);
		return;
	}

	list_del(&policy->node);
	policy->link = NULL;
	programs = policy->programs;
	programs->detached = true;
	kvm_gmem_publish_vms(programs->ops, programs);
	mutex_unlock(&kvm_gmem_lock);
	static_branch_dec(&kvm_gmem_policy_key);

	kvm_gmem_programs_leave(programs);
}

static int kvm_gmem_bpf_update(void *kdata, void *old_kdata,
			       struct bpf_link *link)
{
	struct kvm_gmem_programs *programs, *old = NULL;
	struct kvm_gmem_ops *new_ops = kdata, *old_ops = old_kdata;
	struct kvm_gmem_policy *policy;
	int r;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (new_ops->vm_id != old_ops->vm_id)
		return -EINVAL;
	if (kvm_gmem_ops_expired(new_ops))
		return -ETIME;
	/* vm_init and vm_exit would run in the wrong order. */
	if (new_ops == old_ops)
		return 0;

	mutex_lock(&kvm_gmem_lock);
	policy = kvm_gmem_policy_find(link);
	if (!policy) {
		r = -ENOENT;
		goto out;
	}
	programs = kvm_gmem_programs_new(policy, new_ops);
	if (IS_ERR(programs)) {
		r = PTR_ERR(programs);
		goto out;
	}
	r = kvm_gmem_prepare_vms(new_ops, 1);
	if (r) {
		kvm_gmem_trim_vms(new_ops);
		kvm_gmem_programs_put(programs);
		goto out;
	}

	kvm_gmem_init_vms(new_ops);
	old = policy->programs;
	policy->programs = programs;
	if (new_ops->priority != old_ops->priority) {
		list_del(&policy->node);
		kvm_gmem_policy_insert(policy);
	}
	kvm_gmem_publish_vms(new_ops, old);
out:
	mutex_unlock(&kvm_gmem_lock);
	if (old)
		kvm_gmem_programs_leave(old);

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

	if (!prog->sleepable)
		return 0;

	switch (moff) {
	/* Called while others wait, or with locks that must not be slept under. */
	case offsetof(struct kvm_gmem_ops, vm_init):
	case offsetof(struct kvm_gmem_ops, vm_exit):
	case offsetof(struct kvm_gmem_ops, invalidate):
	case offsetof(struct kvm_gmem_ops, fault_end):
	case offsetof(struct kvm_gmem_ops, convert_end):
		return -EINVAL;
	}

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
	case offsetof(struct kvm_gmem_ops, expires_ns):
		ops->expires_ns = uops->expires_ns;
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

static void kvm_gmem_stub_fault_end(struct kvm *kvm,
				    const struct kvm_gmem_fault *fault,
				    u64 allocated, s32 result)
{
}

static void kvm_gmem_stub_convert_end(struct kvm *kvm,
				      const struct kvm_gmem_convert *convert,
				      u64 changed, s32 result)
{
}

static struct kvm_gmem_ops kvm_gmem_ops_stubs = {
	.vm_init = kvm_gmem_stub_vm,
	.vm_exit = kvm_gmem_stub_vm,
	.fault = kvm_gmem_stub_fault,
	.convert = kvm_gmem_stub_convert,
	.invalidate = kvm_gmem_stub_invalidate,
	.fault_end = kvm_gmem_stub_fault_end,
	.convert_end = kvm_gmem_stub_convert_end,
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
