/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy's source as programs of BPF's LSM, for a kernel that has nothing of gmem:
 * what gmem.bpf.h is made of when GMEM_LSM is defined.  It asks the policy before an
 * ioctl converts memory, and does what it says, but for a delay: that refuses, too.
 *
 * The policy is compiled as it is.  Its programs become functions of those at the
 * end of this file, and its struct kvm pointer is a struct gmem_lsm_request.
 *
 * The ioctl's argument is read once, and what was read is what is decided on.  A VMM
 * that changes it before KVM reads it, too, converts something else.  What KVM did is
 * noted where KVM does it, under its slots_lock: lsm_changed().  There a request ends
 * that was let pass, or where KVM finds nothing to do: lsm_no_change().  Of one that
 * comes to neither the policy hears when its task asks again or exits: KVM's answer is
 * seen at the end of all that is asked of a VM only, and nobody is to pay for that.
 */
#ifndef __GMEM_LSM_H
#define __GMEM_LSM_H

#include "gmem_lsm_abi.h"
#include "gmem_stock.h"
#include "gmem_watch.h"

/* KVM_SET_MEMORY_ATTRIBUTES of a VM, and KVM_SET_MEMORY_ATTRIBUTES2 of a guest_memfd */
#define GMEM_LSM_SET		0x4020aed2U
#define GMEM_LSM_SET2		0xc080aed2U

#define GMEM_LSM_PAGE_SHIFT	12
/* KVM_MEM_GUEST_MEMFD */
#define GMEM_LSM_HAS_MEMFD	(1U << 2)
#define GMEM_LSM_EFAULT		14
#define GMEM_LSM_MAX_ERRNO	4095

/* Of these, vmlinux.h has others or none, which this kernel's BTF is not asked for. */
#define kvm_gmem_convert	gmem_lsm_convert
#define kvm_gmem_fault		gmem_lsm_fault
#define kvm_gmem_invalidate	gmem_lsm_invalidate
#define kvm_gmem_ops		gmem_lsm_ops
#define kvm_gmem_usage		gmem_lsm_usage

struct gmem_lsm_convert {
	u64 start;
	u64 end;
	u64 attributes;
	u64 flags;
	u64 nr_pages;
};

struct gmem_lsm_fault {
	u64 gfn;
	u64 nr_pages;
	u32 reason;
	u32 flags;
};

struct gmem_lsm_invalidate {
	u64 start;
	u64 end;
	u32 reason;
};

/*
 * Of the kernel's usage, what is known of a VM here.  Conversions and their pages are
 * counted for policies that have invalidate or convert_end.
 */
struct gmem_lsm_usage {
	u64 size_pages;
	u64 private_pages;
	u64 pages_to_private;
	u64 pages_to_shared;
	u64 invalidations[KVM_GMEM_INVALIDATE_CONVERSION + 1];
	u64 attribute_bytes;
};

struct gmem_lsm_ops {
	void (*vm_init)(struct kvm *kvm);
	void (*vm_exit)(struct kvm *kvm);
	s64 (*fault)(struct kvm *kvm, const struct gmem_lsm_fault *fault);
	s64 (*convert)(struct kvm *kvm, const struct gmem_lsm_convert *convert);
	void (*convert_end)(struct kvm *kvm,
			    const struct gmem_lsm_convert *convert, u64 changed,
			    s32 result);
	void (*invalidate)(struct kvm *kvm,
			   const struct gmem_lsm_invalidate *invalidate);
	char name[GMEM_POLICY_NAME_LEN];
};

/**
 * struct gmem_lsm_request - what a policy has in the place of struct kvm
 * @id: the VM's id
 * @kvm: the VM, as the kernel has it
 * @vm: what was counted of it, NULL if there was no room
 * @fresh: its first conversion under this policy is asked for
 */
struct gmem_lsm_request {
	u64 id;
	struct kvm *kvm;
	struct gmem_lsm_vm *vm;
	bool fresh;
};

static __always_inline const struct gmem_lsm_request *
gmem_lsm_request(const struct kvm *kvm)
{
	return (const struct gmem_lsm_request *)(const void *)kvm;
}

/* --------------------------------------------------- what a policy is built of */

/* Its programs are no programs here. */
#undef SEC
#define SEC(name)	__attribute__((section(name)))
#undef BPF_PROG
#define BPF_PROG(name, args...)	static __always_inline name(args)

#define GMEM_POLICY(name_)						\
	struct gmem_lsm_settings lsm_settings SEC(GMEM_LSM_SETTINGS) = {	\
		.abi = GMEM_LSM_ABI,					\
		.name = #name_,						\
	};								\
	static const struct gmem_lsm_ops gmem_lsm_policy

/* --------------------------------------------------------- in place of kfuncs */

extern struct gmem_lsm_settings lsm_settings;

/* By id: the VMs that it was asked about. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct gmem_lsm_vm);
} lsm_vms SEC(".maps");

static __always_inline u64 gmem_vm_id(const struct kvm *kvm)
{
	return gmem_lsm_request(kvm)->id;
}

/* vmlinux.h may declare those. */
#define bpf_kvm_gmem_vm_id		gmem_vm_id
#define bpf_kvm_gmem_usage		gmem_lsm_get_usage
#define bpf_kvm_gmem_convert_changes	gmem_lsm_convert_changes

/* vm_exit is for VMs that end. */
static __always_inline bool gmem_vm_is_dying(const struct kvm *kvm)
{
	return true;
}

struct kvm___attributes {
	struct xarray mem_attr_array;
} __attribute__((preserve_access_index));

/* Has it any private memory?  The kernel has an entry for each such frame. */
static __always_inline bool gmem_lsm_has_private(u64 kvm)
{
	const struct kvm___attributes *vm = (const void *)kvm;

	return bpf_core_field_exists(vm->mem_attr_array) &&
	       BPF_CORE_READ(vm, mem_attr_array.xa_head);
}

/* Since when is it under the policy?  One that ran before was so from the start. */
static __always_inline u64 gmem_vm_since(const struct kvm *kvm, u64 now)
{
	return gmem_lsm_has_private((u64)gmem_lsm_request(kvm)->kvm) ?
	       lsm_settings.since_ns : now;
}

/* For policies that bound what is shared, and say so before they include anything. */
#ifdef GMEM_LSM_FRAMES

#include "gmem_ranges.h"

struct kvm_memory_slot___stock {
	struct hlist_node id_node[2];
	unsigned long npages;
	u32 flags;
} __attribute__((preserve_access_index));

struct kvm_memslots___stock {
	struct hlist_head id_hash[1];
	int node_idx;
} __attribute__((preserve_access_index));

struct kvm___slots {
	struct kvm_memslots___stock *memslots[1];
} __attribute__((preserve_access_index));

/* 1 << 7 buckets of id_hash, and as many memslots of each as are looked at. */
#define GMEM_LSM_BUCKETS	128
#define GMEM_LSM_SLOTS		16

/*
 * Pages of a VM that a guest_memfd is behind, by its memslots.  Neither this nor the
 * next ones are static: so each is verified once, and not for each way to it.
 */
__noinline u64 gmem_lsm_size(u64 vm)
{
	const struct kvm___slots *kvm = (const void *)vm;
	const struct kvm_memslots___stock *slots = BPF_CORE_READ(kvm, memslots[0]);
	const struct kvm_memory_slot___stock *slot = NULL;
	u64 heads, back, node, pages = 0;
	int bucket, i;

	heads = (u64)slots + bpf_core_field_offset(slots->id_hash);
	back = bpf_core_field_offset(slot->id_node) +
	       (BPF_CORE_READ(slots, node_idx) & 1) * sizeof(struct hlist_node);
	bpf_for(bucket, 0, GMEM_LSM_BUCKETS) {
		node = 0;
		bpf_probe_read_kernel(&node, sizeof(node),
				      (void *)(heads + 8 * bucket));
		bpf_for(i, 0, GMEM_LSM_SLOTS) {
			if (!node)
				break;
			slot = (const void *)(node - back);
			if (BPF_CORE_READ(slot, flags) & GMEM_LSM_HAS_MEMFD)
				pages += BPF_CORE_READ(slot, npages);
			bpf_probe_read_kernel(&node, sizeof(node), (void *)node);
		}
	}
	return pages;
}

/* Which frames of a VM are private, of those that a guest_memfd is behind. */
struct gmem_lsm_frames {
	struct bpf_spin_lock lock;
	u64 to_private;
	u64 to_shared;
	struct gmem_ranges ranges;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct gmem_lsm_frames);
} lsm_frames SEC(".maps");

static const struct gmem_lsm_frames gmem_lsm_no_frames;

/* A VM that has private memory by then has nothing else, as VMMs make it first. */
static __always_inline struct gmem_lsm_frames *gmem_lsm_frames_of(u64 id, u64 vm)
{
	struct gmem_lsm_frames *frames;
	u64 size;

	frames = bpf_map_lookup_elem(&lsm_frames, &id);
	if (frames)
		return frames;
	if (bpf_map_update_elem(&lsm_frames, &id, &gmem_lsm_no_frames,
				BPF_NOEXIST))
		return bpf_map_lookup_elem(&lsm_frames, &id);
	frames = bpf_map_lookup_elem(&lsm_frames, &id);
	if (!frames || !gmem_lsm_has_private(vm))
		return frames;
	size = gmem_lsm_size(vm);
	bpf_spin_lock(&frames->lock);
	frames->ranges.outside = 1;
	frames->to_private += size;
	bpf_spin_unlock(&frames->lock);
	return frames;
}

/* Frames that a conversion would change; very many if it could not be kept count of. */
__noinline u64 gmem_lsm_look(u64 id, u64 vm, u64 start, u64 end, u64 attr)
{
	struct gmem_lsm_frames *frames = gmem_lsm_frames_of(id, vm);
	struct gmem_ranges_change change;
	u64 changes;

	if (!frames)
		return end - start;
	bpf_spin_lock(&frames->lock);
	changes = gmem_ranges_count(&frames->ranges, start, end, attr ^ 1);
	change = gmem_ranges_look(&frames->ranges, start, end, attr);
	bpf_spin_unlock(&frames->lock);
	return change.nr > GMEM_RANGES_MAX ? GMEM_RANGES_TOP : changes;
}

/*
 * Changes them, and returns how many.  If there is no room to tell them from others
 * they count if they became shared, so that no cap is lifted by it.
 */
__noinline u64 gmem_lsm_set(u64 id, u64 start, u64 end, u64 attr)
{
	struct gmem_lsm_frames *frames = bpf_map_lookup_elem(&lsm_frames, &id);
	u64 changes;

	if (!frames)
		return end - start;
	bpf_spin_lock(&frames->lock);
	changes = gmem_ranges_count(&frames->ranges, start, end, attr ^ 1);
	changes *= gmem_ranges_set(&frames->ranges, start, end, attr) | (attr ^ 1);
	frames->to_private += changes * attr;
	frames->to_shared += changes * (attr ^ 1);
	bpf_spin_unlock(&frames->lock);
	return changes;
}

static __always_inline u64
bpf_kvm_gmem_convert_changes(struct kvm *kvm,
			     const struct gmem_lsm_convert *convert)
{
	const struct gmem_lsm_request *request = gmem_lsm_request(kvm);

	return gmem_lsm_look(request->id, (u64)request->kvm, convert->start,
			     convert->end, !!convert->attributes);
}

/* Returns how many frames it changes. */
static __always_inline u64
gmem_lsm_note(struct gmem_lsm_request *request,
	      const struct gmem_lsm_convert *convert, bool has_memfd)
{
	return has_memfd ? gmem_lsm_set(request->id, convert->start, convert->end,
					!!convert->attributes) : 0;
}

static __always_inline void
gmem_lsm_fill(struct gmem_lsm_usage *usage,
	      const struct gmem_lsm_request *request, const struct gmem_lsm_vm *vm)
{
	struct gmem_lsm_frames *frames =
		gmem_lsm_frames_of(request->id, (u64)request->kvm);

	if (!frames)
		return;
	usage->size_pages = gmem_lsm_size((u64)request->kvm);
	bpf_spin_lock(&frames->lock);
	usage->pages_to_private = frames->to_private;
	usage->pages_to_shared = frames->to_shared;
	bpf_spin_unlock(&frames->lock);
	usage->private_pages = usage->pages_to_private - usage->pages_to_shared;
}

static __always_inline void gmem_lsm_forget(u64 id)
{
	bpf_map_delete_elem(&lsm_frames, &id);
}

#else

static __always_inline u64
gmem_lsm_note(struct gmem_lsm_request *request,
	      const struct gmem_lsm_convert *convert, bool has_memfd)
{
	return convert->nr_pages;
}

static __always_inline void
gmem_lsm_fill(struct gmem_lsm_usage *usage,
	      const struct gmem_lsm_request *request, const struct gmem_lsm_vm *vm)
{
	usage->private_pages = gmem_lsm_has_private((u64)request->kvm);
	usage->pages_to_private = vm->to_private;
	usage->pages_to_shared = vm->to_shared;
}

static __always_inline void gmem_lsm_forget(u64 id)
{
}

#endif /* GMEM_LSM_FRAMES */

static __always_inline int bpf_kvm_gmem_usage(struct kvm *kvm,
					      struct gmem_lsm_usage *usage,
					      u32 usage__sz)
{
	const struct gmem_lsm_request *request = gmem_lsm_request(kvm);
	const struct gmem_lsm_vm *vm =
		bpf_map_lookup_elem(&lsm_vms, &request->id);

	__builtin_memset(usage, 0, sizeof(*usage));
	if (!vm)
		return -1;
	gmem_lsm_fill(usage, request, vm);
	usage->invalidations[KVM_GMEM_INVALIDATE_CONVERSION] = vm->conversions;
	return sizeof(*usage);
}

/* ---------------------------------------------------------------- programs */

/* The policy, at the end of its file. */
static const struct gmem_lsm_ops gmem_lsm_policy;

struct gmem_lsm_counts lsm_counts SEC(GMEM_LSM_COUNTS) = {};

/* Verdicts that denied, for who watches. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} lsm_events SEC(".maps");

/**
 * struct gmem_lsm_under_way - a task's request that was let pass
 * @id: id of its VM
 * @kvm: the VM, as the kernel has it
 * @changed: frames that KVM has changed so far
 * @open: the policy was not told yet how it ended
 * @convert: what was asked for
 */
struct gmem_lsm_under_way {
	u64 id;
	u64 kvm;
	u64 changed;
	u64 open;
	struct gmem_lsm_convert convert;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct gmem_lsm_under_way);
} lsm_under_way SEC(".maps");

static __always_inline void gmem_lsm_of(struct gmem_lsm_request *request,
					struct kvm *kvm)
{
	request->kvm = kvm;
	request->id = gmem_stock_id(kvm);
	request->vm = NULL;
	request->fresh = false;
}

static __always_inline bool gmem_lsm_begin(struct gmem_lsm_request *request,
					   const struct file *file, int kind)
{
	struct kvm *kvm = gmem_stock_kvm(file, kind);

	if (!kvm)
		return false;
	gmem_lsm_of(request, kvm);
	return true;
}

/* Of the VM, what was counted so far; if need be, from now on. */
static __always_inline void gmem_lsm_find(struct gmem_lsm_request *request)
{
	const struct gmem_lsm_vm nothing = {};

	request->vm = bpf_map_lookup_elem(&lsm_vms, &request->id);
	if (request->vm)
		return;
	request->fresh = !bpf_map_update_elem(&lsm_vms, &request->id, &nothing,
					      BPF_NOEXIST);
	request->vm = bpf_map_lookup_elem(&lsm_vms, &request->id);
}

/* What it denies with; a delay is none here.  Other numbers are EACCES, as in KVM. */
static __always_inline int gmem_lsm_errno(s64 verdict, enum gmem_denial *denial)
{
	int err = verdict > 0 ? EBUSY :
		  verdict < -EDQUOT ? EACCES : -verdict;

	switch (err) {
	case EPERM:
		*denial = GMEM_DENIED_EPERM;
		return EPERM;
	case EBUSY:
		*denial = GMEM_DENIED_EBUSY;
		return EBUSY;
	case ENOMEM:
		*denial = GMEM_DENIED_ENOMEM;
		return ENOMEM;
	case ENOSPC:
		*denial = GMEM_DENIED_ENOSPC;
		return ENOSPC;
	case EDQUOT:
		*denial = GMEM_DENIED_EDQUOT;
		return EDQUOT;
	}
	*denial = GMEM_DENIED_EACCES;
	if (verdict != -EACCES)
		__sync_fetch_and_add(&lsm_counts.clamped, 1);
	return EACCES;
}

static __always_inline void gmem_lsm_tell(const struct gmem_lsm_request *request,
					  int err, bool audit)
{
	struct gmem_watch_event *event;
	unsigned int i;

	event = bpf_ringbuf_reserve(&lsm_events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lsm_counts.untold, 1);
		return;
	}
	event->type = GMEM_WATCH_VERDICT;
	event->vm_pid = 0;
	event->vm_id = request->id;
	event->time_ns = bpf_ktime_get_boot_ns();
	event->verdict = -err;
	event->hook = 1;
	event->tid = bpf_get_current_pid_tgid();
	event->audit = audit;
	for (i = 0; i < GMEM_WATCH_POLICY_LEN; i++)
		event->policy[i] = lsm_settings.name[i];
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
}

/* ------------------------------------------------------- what the policy is told */

/*
 * None of these is static: so each is verified once, and not for each way to it.  What
 * they are given is numbers, and memory of the caller's.  They say that they use all of
 * it: what a policy has no use for the compiler would not pass, and the verifier asks
 * for it.
 */
#define gmem_lsm_use(v)		asm volatile("" : : "r"(v))

/* Its verdict; first it hears of the VM, if that is @fresh. */
__noinline s64 gmem_lsm_ask(u64 id, u64 kvm, u64 fresh,
			    const struct gmem_lsm_convert *convert)
{
	struct gmem_lsm_request request = {
		.id = id,
		.kvm = (struct kvm *)kvm,
	};

	gmem_lsm_use(id);
	gmem_lsm_use(kvm);
	gmem_lsm_use(fresh);
	gmem_lsm_use(convert);
	if (!convert)
		return -ENOMEM;
	if (fresh && gmem_lsm_policy.vm_init)
		gmem_lsm_policy.vm_init((struct kvm *)(void *)&request);
	return gmem_lsm_policy.convert ?
	       gmem_lsm_policy.convert((struct kvm *)(void *)&request, convert) : 0;
}

/* One that it let pass has ended. */
__noinline int gmem_lsm_tell_end(u64 id, u64 kvm, const struct gmem_lsm_convert *convert,
				 u64 changed, s32 result)
{
	struct gmem_lsm_request request = {
		.id = id,
		.kvm = (struct kvm *)kvm,
	};

	gmem_lsm_use(id);
	gmem_lsm_use(kvm);
	gmem_lsm_use(changed);
	gmem_lsm_use(result);
	gmem_lsm_use(convert);
	if (!convert || !gmem_lsm_policy.convert_end)
		return 0;
	gmem_lsm_policy.convert_end((struct kvm *)(void *)&request, convert, changed,
				    result);
	return 0;
}

/* KVM changes these frames. */
__noinline int gmem_lsm_tell_change(u64 id, u64 kvm, u64 start, u64 end)
{
	const struct gmem_lsm_invalidate invalidate = {
		.start = start,
		.end = end,
		.reason = KVM_GMEM_INVALIDATE_CONVERSION,
	};
	struct gmem_lsm_request request = {
		.id = id,
		.kvm = (struct kvm *)kvm,
	};

	gmem_lsm_use(id);
	gmem_lsm_use(kvm);
	gmem_lsm_use(start);
	gmem_lsm_use(end);
	if (!gmem_lsm_policy.invalidate)
		return 0;
	gmem_lsm_policy.invalidate((struct kvm *)(void *)&request, &invalidate);
	return 0;
}

/* ------------------------------------------------------ what came of a request */

/* The task's, if the policy is to hear of its end. */
static __always_inline struct gmem_lsm_under_way *gmem_lsm_of_task(u64 flags)
{
	return bpf_task_storage_get(&lsm_under_way, bpf_get_current_task_btf(), NULL,
				    flags);
}

static __always_inline void gmem_lsm_end(struct gmem_lsm_under_way *ended, s32 result)
{
	const struct gmem_lsm_convert convert = ended->convert;

	ended->open = 0;
	gmem_lsm_tell_end(ended->id, ended->kvm, &convert, ended->changed, result);
}

/*
 * The task is not in that request any more.  If it is open still, KVM refused it, or
 * found no memory where it ends, or it did not come to KVM: a security module refused
 * it that was asked later.
 */
static __always_inline void gmem_lsm_end_last(struct gmem_lsm_under_way *last)
{
	if (last && last->open)
		gmem_lsm_end(last, last->changed ? 0 : -EPERM);
}

/* Where the task's next request is to be kept; NULL if there is no memory for it. */
static __always_inline struct gmem_lsm_under_way *gmem_lsm_next(void)
{
	struct gmem_lsm_under_way *next =
		gmem_lsm_of_task(BPF_LOCAL_STORAGE_GET_F_CREATE);

	gmem_lsm_end_last(next);
	return next;
}

static __always_inline void gmem_lsm_open(struct gmem_lsm_under_way *next,
					  const struct gmem_lsm_request *request,
					  const struct gmem_lsm_convert *convert)
{
	next->id = request->id;
	next->kvm = (u64)request->kvm;
	next->changed = 0;
	next->convert = *convert;
	next->open = 1;
}

/* Notes a change that KVM makes, and returns of how many frames. */
static __always_inline u64
gmem_lsm_changes(struct gmem_lsm_request *request,
		 const struct gmem_lsm_convert *change, bool has_memfd)
{
	u64 changed = gmem_lsm_note(request, change, has_memfd);
	struct gmem_lsm_vm *vm = request->vm;

	if (vm) {
		__sync_fetch_and_add(change->attributes ? &vm->to_private :
							 &vm->to_shared,
				     change->nr_pages);
		__sync_fetch_and_add(&vm->conversions, 1);
	}
	gmem_lsm_tell_change(request->id, (u64)request->kvm, change->start,
			     change->end);
	return changed;
}

/* Of the ioctl of a guest_memfd it is not known where KVM does it: it counts as done. */
static __always_inline void
gmem_lsm_passes(struct gmem_lsm_request *request,
		const struct gmem_lsm_convert *convert, bool allowed)
{
	u64 changed = gmem_lsm_changes(request, convert, true);

	if (allowed)
		gmem_lsm_tell_end(request->id, (u64)request->kvm, convert, changed, 0);
}

/* Returns the errno to refuse with, or 0. */
static __always_inline int gmem_lsm_decide(struct gmem_lsm_request *request, u32 cmd,
					   const struct gmem_lsm_convert *convert)
{
	bool waits = gmem_lsm_policy.convert_end && cmd == GMEM_LSM_SET;
	bool audit = lsm_settings.flags & GMEM_POLICY_AUDIT;
	struct gmem_lsm_under_way *next = NULL;
	enum gmem_denial denial;
	s64 verdict;
	int err = 0;

	gmem_lsm_find(request);
	if (waits)
		next = gmem_lsm_next();
	__sync_fetch_and_add(&lsm_counts.calls, 1);
	if (request->vm)
		__sync_fetch_and_add(&request->vm->calls, 1);
	verdict = waits && !next ? -ENOMEM :
		  gmem_lsm_ask(request->id, (u64)request->kvm, request->fresh, convert);

	if (!verdict) {
		__sync_fetch_and_add(&lsm_counts.allowed, 1);
		if (next)
			gmem_lsm_open(next, request, convert);
	} else {
		err = gmem_lsm_errno(verdict, &denial);
		__sync_fetch_and_add(&lsm_counts.denied, 1);
		__sync_fetch_and_add(&lsm_counts.denied_by_errno[denial], 1);
		if (request->vm)
			__sync_fetch_and_add(&request->vm->denied, 1);
		gmem_lsm_tell(request, err, audit);
		if (!audit)
			return err;
	}
	if (cmd == GMEM_LSM_SET2)
		gmem_lsm_passes(request, convert, !verdict);
	return 0;
}

/* As struct kvm_memory_attributes is, and as struct kvm_memory_attributes2 begins. */
struct gmem_lsm_attributes {
	u64 address;
	u64 size;
	u64 attributes;
	u64 flags;
};

/* What KVM refuses by itself is not asked about.  What flags the other ioctl has is its own. */
static __always_inline bool
gmem_lsm_is_valid(const struct gmem_lsm_attributes *attributes, u32 cmd)
{
	u64 end = attributes->address + attributes->size;

	return (!attributes->flags || cmd == GMEM_LSM_SET2) && attributes->size &&
	       end > attributes->address &&
	       !((attributes->address | attributes->size) &
		 ((1ULL << GMEM_LSM_PAGE_SHIFT) - 1)) &&
	       !(attributes->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

/* KVM takes what is asked of a VM from the process alone that made it. */
static __always_inline bool gmem_lsm_is_makers(const struct kvm *kvm)
{
	return BPF_CORE_READ(gmem_stock_vm(kvm), mm) == bpf_get_current_task_btf()->mm;
}

/* Which VM it is about, if it is one of ours and the policy is for it. */
static __always_inline bool gmem_lsm_is_asked(struct gmem_lsm_request *request,
					      const struct file *file, u32 cmd)
{
	int kind = gmem_stock_kind(file);
	u64 expires_ns = lsm_settings.expires_ns;

	if (kind != (cmd == GMEM_LSM_SET ? GMEM_STOCK_VM : GMEM_STOCK_MEMFD) ||
	    !gmem_lsm_begin(request, file, kind))
		return false;
	if (!lsm_settings.in_force ||
	    (lsm_settings.vm_id && lsm_settings.vm_id != request->id))
		return false;
	if (cmd == GMEM_LSM_SET && !gmem_lsm_is_makers(request->kvm))
		return false;
	return !expires_ns || bpf_ktime_get_boot_ns() < expires_ns;
}

/*
 * The pages of a guest_memfd stand for guest frames, each file's somewhere else: where
 * a memslot has them is not looked for.
 */
static __always_inline u64 gmem_lsm_first_frame(const struct file *file, u32 cmd)
{
	return cmd == GMEM_LSM_SET ? 0 : (file->f_inode->i_ino & 0x7ff) << 40;
}

/* The verifier wants to see that it is an errno, and loses track of that. */
static __always_inline int gmem_lsm_bounded(s64 result)
{
	asm volatile("" : "+r"(result));
	if (result > 0 || result < -GMEM_LSM_MAX_ERRNO)
		result = -EACCES;
	/* Here, not on one of the ways to here. */
	asm volatile("" : "+r"(result));
	return result;
}

static __always_inline int
gmem_lsm_answer(struct gmem_lsm_request *request, const struct file *file,
		u32 cmd, const struct gmem_lsm_attributes *attributes)
{
	struct gmem_lsm_convert convert = {
		.nr_pages = attributes->size >> GMEM_LSM_PAGE_SHIFT,
		.attributes = attributes->attributes,
	};

	if (!gmem_lsm_is_valid(attributes, cmd))
		return 0;
	convert.start = gmem_lsm_first_frame(file, cmd) +
			(attributes->address >> GMEM_LSM_PAGE_SHIFT);
	convert.end = convert.start + convert.nr_pages;
	return gmem_lsm_bounded(-gmem_lsm_decide(request, cmd, &convert));
}

__attribute__((section("lsm.s/file_ioctl"), used)) int
lsm_ioctl(unsigned long long *ctx)
{
	const struct file *file = (void *)ctx[0];
	u32 cmd = ctx[1];
	struct gmem_lsm_attributes attributes;
	struct gmem_lsm_request request;

	/* Nearly all that comes here: KVM_RUN, and what others do. */
	if (cmd != GMEM_LSM_SET && cmd != GMEM_LSM_SET2)
		return 0;
	if (!gmem_lsm_is_asked(&request, file, cmd))
		return 0;
	/* KVM would say the same; and if it can be read later, it was not checked. */
	if (bpf_copy_from_user(&attributes, sizeof(attributes), (void *)ctx[2]))
		return -GMEM_LSM_EFAULT;
	return gmem_lsm_answer(&request, file, cmd, &attributes);
}

/* The same from 32-bit code, where what is not in memory cannot be waited for. */
__attribute__((section("lsm/file_ioctl_compat"), used)) int
lsm_compat(unsigned long long *ctx)
{
	const struct file *file = (void *)ctx[0];
	u32 cmd = ctx[1];
	struct gmem_lsm_attributes attributes;
	struct gmem_lsm_request request;

	if (cmd != GMEM_LSM_SET && cmd != GMEM_LSM_SET2)
		return 0;
	if (!gmem_lsm_is_asked(&request, file, cmd))
		return 0;
	if (bpf_probe_read_user(&attributes, sizeof(attributes), (void *)ctx[2]))
		return -GMEM_LSM_EFAULT;
	return gmem_lsm_answer(&request, file, cmd, &attributes);
}

/*
 * KVM changes frames of a memslot.  It holds slots_lock, so there is one at a time of a
 * VM, in the order in which KVM does them.
 */
__attribute__((section("fentry/kvm_arch_post_set_memory_attributes"), used)) int
lsm_changed(unsigned long long *ctx)
{
	const struct kvm_gfn_range *range = (void *)ctx[1];
	struct gmem_lsm_under_way *under_way;
	struct gmem_lsm_request request;
	struct gmem_lsm_convert change;
	u64 kvm = 0, changed;

	/* A program that does nothing else is not attached. */
	if (!gmem_lsm_policy.convert_end && !gmem_lsm_policy.invalidate)
		return 0;
	/* As a number, which is what others have of it. */
	bpf_get_func_arg(ctx, 0, &kvm);
	gmem_lsm_of(&request, (struct kvm *)kvm);
	request.vm = bpf_map_lookup_elem(&lsm_vms, &request.id);
	if (!request.vm)
		return 0;
	change.start = range->start;
	change.end = range->end;
	change.nr_pages = change.end - change.start;
	change.attributes = range->arg.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	change.flags = 0;
	changed = gmem_lsm_changes(&request, &change,
				   range->slot->flags & GMEM_LSM_HAS_MEMFD);
	under_way = gmem_lsm_policy.convert_end ? gmem_lsm_of_task(0) : NULL;
	if (!under_way || !under_way->open || under_way->kvm != kvm)
		return 0;
	under_way->changed += changed;
	/* Its memslots come in the order of their frames. */
	if (change.end >= under_way->convert.end)
		gmem_lsm_end(under_way, 0);
	return 0;
}

/*
 * KVM has seen whether all is so already that the request asks for.  If so, there is
 * nothing to change, and that is the end of it.
 */
__attribute__((section("fexit/kvm_range_has_memory_attributes"), used)) int
lsm_no_change(unsigned long long *ctx)
{
	u64 kvm = 0, start = ctx[1], end = ctx[2], is_so = 0;
	struct gmem_lsm_under_way *under_way;

	if (!gmem_lsm_policy.convert_end)
		return 0;
	/* How many arguments come before it differs. */
	bpf_get_func_ret(ctx, &is_so);
	if (!(is_so & 0xff))
		return 0;
	bpf_get_func_arg(ctx, 0, &kvm);
	under_way = gmem_lsm_of_task(0);
	if (under_way && under_way->open && under_way->kvm == kvm &&
	    under_way->convert.start == start && under_way->convert.end == end)
		gmem_lsm_end(under_way, 0);
	return 0;
}

/* A task that exits has left its last request. */
__attribute__((section("tp_btf/sched_process_exit"), used)) int
lsm_task_exit(unsigned long long *ctx)
{
	if (gmem_lsm_policy.convert_end)
		gmem_lsm_end_last(gmem_lsm_of_task(0));
	return 0;
}

/* Nobody can ask KVM for anything by this file any more: forget the VM. */
__attribute__((section("fentry/kvm_vm_release"), used)) int
lsm_vm_release(unsigned long long *ctx)
{
	const struct file *file = (void *)ctx[1];
	struct gmem_lsm_request request;

	if (!gmem_lsm_begin(&request, file, GMEM_STOCK_VM))
		return 0;
	if (gmem_lsm_policy.vm_exit)
		gmem_lsm_policy.vm_exit((struct kvm *)(void *)&request);
	gmem_lsm_forget(request.id);
	bpf_map_delete_elem(&lsm_vms, &request.id);
	if (lsm_settings.vm_id == request.id)
		lsm_counts.gone = 1;
	return 0;
}

#endif /* __GMEM_LSM_H */
