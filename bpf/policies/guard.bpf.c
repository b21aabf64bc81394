// SPDX-License-Identifier: GPL-2.0-only
/*
 * guard: the policy to start with.  It bounds what a VM costs others: what it
 * does on its own time and its own memory the limits of its cgroup bound, and
 * guard leaves alone.  docs/policies.md has the figures that it is made from.
 *
 * Three things are left.  Each conversion and each page that is allocated leaves
 * a little work to the host's own threads, so each has a token bucket: beside
 * what it gains by the second, and "..._burst", it holds twice as many tokens as
 * the VM has pages.  So all memory may be made private, page by page if need be,
 * and populated, as fast as the VM can, and all of it once again, as after a
 * reset.  What comes beyond that takes longer, and is never refused.  Attributes
 * of frames without memory may take up as much as the attributes of memory can
 * at most ("attributes"): a conversion of more such frames fails with ENOSPC.
 * And memory that is populated but shared is there twice when the host's side is
 * filled, too: a VM that could have more than its size by "stale_percent", for
 * longer than "stale_grace", is delayed when it shares or populates more, until
 * its VMM has punched out enough, and refused with EDQUOT in the end.
 *
 * Memory that is shared in place is the page that it was when it was private, and
 * there once: it is never beyond the VM's size.
 *
 * "whose" is whose conversions cost tokens: those that the guest asked for, the
 * VMM's own, or all.  What a VM may have is bounded for all of them.
 *
 * A conversion that changes nothing, and a page that is there already, cost
 * nothing.  Into how many ranges a guest cuts its memory, how much of it is
 * shared, and how often the same memory is converted is of no concern.
 *
 * It is fair between VMs: each has its own buckets.  Within a VM threads that
 * have to wait are served in the order in which they came, as long as no more
 * than 16 wait.
 *
 * It cannot tell a guest that shares all of its memory from one that is reset,
 * if their VMM does not punch: it has twice its size for "stale_grace", and what
 * it has by then it keeps.  Nor can it see what is filled on the host's side of
 * private memory: a VMM that does not give that back after a conversion is
 * bounded by its cgroup alone.  Its memory may be 64 pages for each thread beyond
 * "stale_percent" when it is looked at.  VMs beyond the first 16,384 share one
 * pair of buckets, and their memory is not bounded.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

struct guard_params {
	GMEM_PARAM(u64, conversion_rate, "conversions/s", 1, 1000000000,
		   "conversions that a VM gets per second, once it has used up its burst");
	GMEM_PARAM(u64, conversion_burst, "conversions", 1, 1000000000,
		   "conversions that a VM may save up, beside two for each page of its memory");
	GMEM_PARAM(u64, fault_rate, "pages/s", 1, 1000000000,
		   "private pages that a VM may allocate per second, once it has used up its burst; at least a 512th of its memory");
	GMEM_PARAM(u64, fault_burst, "pages", 1, 1000000000,
		   "pages that a VM may save up, beside twice its memory");
	GMEM_PARAM(u64, attributes, "KiB", 0, 1048576,
		   "host memory for attributes that a VM may have for each GiB of its memory, beside 1 MiB; 0: no bound");
	GMEM_PARAM(u64, stale_percent, "percent", 0, 100,
		   "part of its size that a VM may have beyond its size, since it was not punched out; 100: no bound");
	GMEM_PARAM(u64, stale_grace, "s", 0, 86400,
		   "time for which a VM may have more");
	GMEM_PARAM_WHOSE();
};

GMEM_PARAMS(struct guard_params,
	    "the one to start with: bounds what a VM costs others, with safe defaults",
	    "conversions and faults beyond a rate take longer; memory kept beyond its size makes them take longer and then fail with EDQUOT; attributes without memory fail with ENOSPC") = {
	.conversion_rate = 10000,
	.conversion_burst = 10000,
	.fault_rate = 10000,
	.fault_burst = 10000,
	.attributes = 64,
	.stale_percent = 50,
	.stale_grace = 60,
};

/* How often a VM's buckets hold all of its memory. */
#define GUARD_TIMES		2
/* Seconds in which a VM may allocate all of its memory anew, and anew. */
#define GUARD_REFILL_S		512
#define GUARD_ATTRIBUTES	(1024 * 1024ULL)
#define GUARD_GIB_PAGES		262144ULL
/* Attributes that one conversion can add: at each end all levels of the tree. */
#define GUARD_BYTES		(2 * (64 + 8 * 512))
/* Pages that may go by, at most, before the counters are read again. */
#define GUARD_ROOM		64
/* How often a request that waits for memory to go looks whether it went. */
#define GUARD_RETRY_NS		(10 * NSEC_PER_MSEC)

/**
 * struct guard_rate - how often a VM does one kind of thing
 * @bucket: what it has saved up
 * @queue: who waits
 */
struct guard_rate {
	struct gmem_bucket bucket;
	struct gmem_queue queue;
};

/**
 * struct vm_state - what is known of a VM
 * @lock: protects the rest
 * @own: 1 unless VMs share it
 * @size: the most memory that it ever had
 * @room: what may go by before the counters are read again
 * @over: for how long it had too much, less the time for which it had not
 * @looked: when that was last brought up to date, in ns, 0 before
 * @conversions: a token for each
 * @faults: a token for each page
 */
struct vm_state {
	struct bpf_spin_lock lock;
	u64 own;
	GMEM_STATUS(u64, size, "its memory at most", "pages", 1);
	u64 room;
	GMEM_STATUS(u64, over, "time with memory beyond its size", "s",
		    1000000000);
	u64 looked;
	struct guard_rate conversions;
	struct guard_rate faults;
};

GMEM_VM_STATE(vms, struct vm_state);

/**
 * struct guard_memory - a VM's memory by the kernel's counters
 * @known: they were read; else all is as it may be
 * @size: pages that it has
 * @beyond: pages that it can have beyond that: what is populated and not
 *	private, nor shared in place, may be on the host's side as well
 * @most: as many as there may be
 * @attributes: bytes that its attributes may yet take
 */
struct guard_memory {
	bool known;
	u64 size;
	u64 beyond;
	u64 most;
	u64 attributes;
};

static __always_inline u64 guard_less(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

static __always_inline struct vm_state *guard_state(struct kvm *kvm)
{
	struct vm_state *vm = gmem_vm_state(vms, kvm), *own;

	if (!vm || vm->own)
		return vm;
	own = gmem_vm_state_own(vms, kvm);
	if (own)
		own->own = 1;
	return vm;
}

static __always_inline void guard_read(struct guard_memory *m, struct kvm *kvm,
				       const struct guard_params *p)
{
	struct kvm_gmem_usage usage;

	*m = (struct guard_memory){ .most = ~0ULL, .attributes = ~0ULL };
	if (bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage)) < 0)
		return;
	m->known = true;
	m->size = usage.size_pages;
	/* No stale page is one that is shared in place, and it is there once. */
	m->beyond = gmem_min(guard_less(usage.populated_pages,
					usage.private_pages),
			     usage.stale_pages);
	if (p->stale_percent < 100)
		m->most = m->size * p->stale_percent / 100;
	if (p->attributes)
		m->attributes = guard_less(GUARD_ATTRIBUTES +
					   m->size * p->attributes * 1024 /
					   GUARD_GIB_PAGES,
					   usage.attribute_bytes);
}

/* Memory that is added adds to what the VM has saved up. */
static __always_inline void guard_grow(struct guard_rate *rate, u64 pages)
{
	/* Before it is used for the first time it is full, whatever it holds. */
	if (rate->bucket.last)
		gmem_bucket_give(&rate->bucket, GUARD_TIMES * pages);
}

/* Notes what was read; locked. */
static __always_inline void guard_note(struct vm_state *vm,
				       const struct guard_memory *m,
				       const struct guard_params *p, u64 now)
{
	u64 grace = p->stale_grace * NSEC_PER_SEC;
	u64 passed = vm->looked ? guard_less(now, vm->looked) : 0;

	if (m->size > vm->size) {
		guard_grow(&vm->conversions, m->size - vm->size);
		guard_grow(&vm->faults, m->size - vm->size);
		vm->size = m->size;
	}
	/*
	 * It had it all the time: only requests add to it, and they look.  Who
	 * goes back and forth is held to half of the time.
	 */
	if (m->beyond > m->most)
		vm->over = gmem_min(vm->over + passed, 2 * grace);
	else
		vm->over = guard_less(vm->over, passed);
	vm->looked = now;
	vm->room = gmem_min(gmem_min(GUARD_ROOM, guard_less(m->most, m->beyond)),
			    m->attributes / GUARD_BYTES);
	if (vm->over)
		vm->room = 0;
}

/* Has a VM had too much for so long that it is to get no more? */
static __always_inline bool guard_is_over(const struct vm_state *vm,
					  const struct guard_memory *m,
					  const struct guard_params *p)
{
	return m->known && vm->over >= p->stale_grace * NSEC_PER_SEC;
}

/*
 * Verdict on @adds pages more that are there twice, for a VM that has had too
 * much for long.
 */
static __always_inline s64 guard_more(const struct guard_memory *m, u64 adds,
				      u64 flags)
{
	if (!adds || m->beyond + adds <= m->most)
		return gmem_allow();
	if (!(flags & KVM_GMEM_OVERDUE))
		return gmem_delay(GUARD_RETRY_NS);
	/* It could wait no longer for the time that it had too much to pass. */
	return m->beyond > m->most ? gmem_deny(EDQUOT) : gmem_allow();
}

static __always_inline u64 guard_take(struct guard_rate *rate, u64 per_second,
				      u64 burst, u64 size, u64 tokens, u64 task,
				      u64 now)
{
	struct gmem_limit limit = gmem_limit(per_second,
					     burst + GUARD_TIMES * size);

	return gmem_bucket_take_turn(&rate->bucket, &rate->queue, &limit, task,
				     tokens, now);
}

SEC("struct_ops/vm_init")
void BPF_PROG(guard_vm_init, struct kvm *kvm)
{
	guard_state(kvm);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(guard_vm_exit, struct kvm *kvm)
{
	gmem_vm_state_forget(vms, kvm);
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(guard_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct guard_params *params = gmem_params();
	u64 pages = convert->nr_pages, adds;
	u64 now = bpf_ktime_get_ns(), task = gmem_caller();
	struct vm_state *vm = guard_state(kvm);
	struct guard_memory m = {};
	bool over = false, counts;
	u64 wait = 0;
	s64 verdict;

	if (!vm)
		return gmem_allow();
	adds = gmem_is_private(convert) ? 0 : pages;
	if (vm->own && vm->room < gmem_max(adds, 1)) {
		guard_read(&m, kvm, params);
		/* Memory can be converted however much there is without. */
		if (m.attributes < GUARD_BYTES &&
		    bpf_kvm_gmem_convert_changes(kvm, convert) != pages)
			return gmem_deny(ENOSPC);
		bpf_spin_lock(&vm->lock);
		guard_note(vm, &m, params, now);
		over = guard_is_over(vm, &m, params);
		bpf_spin_unlock(&vm->lock);
		if (over && adds)
			adds = bpf_kvm_gmem_convert_changes(kvm, convert);
	}
	if (over) {
		verdict = guard_more(&m, adds, convert->flags);
		if (verdict)
			return verdict;
	}

	counts = gmem_is_whose(convert, params->whose);
	bpf_spin_lock(&vm->lock);
	if (counts)
		wait = guard_take(&vm->conversions, params->conversion_rate,
				  params->conversion_burst, vm->size, 1, task,
				  now);
	/* Who has to wait looks again: it may have more memory by then. */
	vm->room = wait ? 0 : guard_less(vm->room, gmem_max(adds, 1));
	bpf_spin_unlock(&vm->lock);

	return wait ? gmem_delay(wait) : gmem_allow();
}

SEC("struct_ops/convert_end")
void BPF_PROG(guard_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (!vm || changed)
		return;
	/* If "whose" was set meanwhile, it is a token more or less. */
	if (!gmem_is_whose(convert, gmem_params()->whose))
		return;
	bpf_spin_lock(&vm->lock);
	gmem_bucket_give(&vm->conversions.bucket, 1);
	bpf_spin_unlock(&vm->lock);
}

/* A fault that finds its page takes nothing, and is not to wait. */
static __always_inline bool guard_is_present(struct vm_state *vm,
					     const struct kvm_gmem_fault *fault)
{
	if (fault->nr_pages != 1 || !bpf_kvm_gmem_fault_present(fault))
		return false;
	/* It is given back in the end. */
	bpf_spin_lock(&vm->lock);
	gmem_bucket_spend(&vm->faults.bucket, 1);
	bpf_spin_unlock(&vm->lock);
	return true;
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(guard_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	const struct guard_params *params = gmem_params();
	u64 now = bpf_ktime_get_ns(), task = gmem_caller();
	u64 pages = fault->nr_pages, rate, wait;
	struct vm_state *vm = guard_state(kvm);
	struct guard_memory m = {};
	bool over = false;
	s64 verdict;

	if (!vm)
		return gmem_allow();
	if (vm->own && vm->room < pages) {
		guard_read(&m, kvm, params);
		bpf_spin_lock(&vm->lock);
		guard_note(vm, &m, params, now);
		over = guard_is_over(vm, &m, params);
		bpf_spin_unlock(&vm->lock);
	}
	verdict = over ? guard_more(&m, pages, fault->flags) : gmem_allow();
	if (!verdict) {
		bpf_spin_lock(&vm->lock);
		rate = gmem_max(params->fault_rate,
				vm->size / GUARD_REFILL_S);
		wait = guard_take(&vm->faults, rate, params->fault_burst,
				  vm->size, pages, task, now);
		vm->room = wait ? 0 : guard_less(vm->room, pages);
		bpf_spin_unlock(&vm->lock);
		if (wait)
			verdict = gmem_delay(wait);
	}
	if (!verdict || guard_is_present(vm, fault))
		return gmem_allow();
	return verdict;
}

SEC("struct_ops/fault_end")
void BPF_PROG(guard_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
	struct vm_state *vm = gmem_vm_state_own(vms, kvm);

	if (!vm)
		return;
	bpf_spin_lock(&vm->lock);
	gmem_bucket_give(&vm->faults.bucket,
			 guard_less(fault->nr_pages, allocated));
	bpf_spin_unlock(&vm->lock);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops guard = {
	.vm_init = (void *)guard_vm_init,
	.vm_exit = (void *)guard_vm_exit,
	.fault = (void *)guard_fault,
	.fault_end = (void *)guard_fault_end,
	.convert = (void *)guard_convert,
	.convert_end = (void *)guard_convert_end,
	.name = "guard",
};
