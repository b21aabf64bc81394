/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy on guest private memory includes, after vmlinux.h,
 * bpf_helpers.h and bpf_tracing.h: the kfuncs, verdicts, token buckets and
 * state per VM.  Not here: any decision.
 *
 * A policy is a struct kvm_gmem_ops in the section ".struct_ops.link" and the
 * programs it points to:
 *
 *	SEC("struct_ops.s/convert")
 *	s64 BPF_PROG(my_convert, struct kvm *kvm, const struct kvm_gmem_convert *c)
 *	{
 *		return gmem_deny(EPERM);
 *	}
 *
 *	SEC(".struct_ops.link")
 *	struct kvm_gmem_ops my = { .convert = (void *)my_convert, .name = "my" };
 *
 * ".s" lets a program sleep; only fault and convert may, so leave it out for all
 * others.
 */
#ifndef __GMEM_BPF_H
#define __GMEM_BPF_H

#include "gmem_bucket.h"
#include "gmem_params.h"
#ifndef GMEM_LSM
#include "gmem_kfuncs.h"
#include "gmem_vm.h"
#endif

/* struct kvm_gmem_fault.flags, struct kvm_gmem_convert.flags */
#ifndef KVM_GMEM_OVERDUE
#define KVM_GMEM_OVERDUE 1
#endif
#ifndef KVM_GMEM_NO_GFN
#define KVM_GMEM_NO_GFN (~0ULL)
#endif
#ifndef KVM_GMEM_ASKED
#define KVM_GMEM_ASKED 2
#endif

/* Numbers of the errnos with which KVM lets a policy deny; BTF has none. */
#ifndef EPERM
#define EPERM	1
#define ENOMEM	12
#define EACCES	13
#define EBUSY	16
#define ENOSPC	28
#define EDQUOT	122
#endif

/* BTF has no macros; these are the kernel's. */
#ifndef KVM_MEMORY_ATTRIBUTE_PRIVATE
#define KVM_MEMORY_ATTRIBUTE_PRIVATE	(1ULL << 3)
#endif

#ifdef GMEM_LSM
#include "gmem_lsm.h"
#else
/**
 * GMEM_POLICY() - begin the struct kvm_gmem_ops of a policy
 * @name: its name
 *
 * Behind it comes "= { ... };", with the hooks and with .name, the same.  A policy
 * that begins it so can be compiled for BPF's LSM, too: with -DGMEM_LSM, and then
 * gmem_lsm.h says what it is.
 */
#define GMEM_POLICY(name)						\
	SEC(".struct_ops.link")						\
	struct kvm_gmem_ops name

/* When a VM came under the policy of which it is now that the policy first hears. */
#define gmem_vm_since(kvm, now)	(now)
#endif

#define NSEC_PER_USEC	1000ULL
#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL
/* Pages of 4 KiB. */
#define PAGES_PER_MIB	256ULL

static __always_inline u64 gmem_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

static __always_inline u64 gmem_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* 1 if memory is to become private, 0 if shared. */
static __always_inline u64
gmem_is_private(const struct kvm_gmem_convert *convert)
{
	return !!(convert->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

/* Whose conversions a policy looks at: what GMEM_PARAM_WHOSE() declares. */
enum gmem_whose {
	GMEM_WHOSE_ALL,
	GMEM_WHOSE_GUEST,
	GMEM_WHOSE_VMM,
};

/*
 * Does a policy look at this one?  The guest's are those that it asked for, the
 * VMM's all others.
 */
static __always_inline bool
gmem_is_whose(const struct kvm_gmem_convert *convert, u64 whose)
{
	bool asked = convert->flags & KVM_GMEM_ASKED;

	return whose == GMEM_WHOSE_ALL || asked == (whose == GMEM_WHOSE_GUEST);
}

/* Verdicts of fault and convert. */
static __always_inline s64 gmem_allow(void)
{
	return 0;
}

/* Fail the request with one of the errnos above. */
static __always_inline s64 gmem_deny(int err)
{
	return -(s64)err;
}

/* Let the caller sleep and ask again; KVM caps the time. */
static __always_inline s64 gmem_delay(u64 ns)
{
	/* 0 would allow, and the sign bit would deny. */
	return gmem_clamp(ns, 1, 1ULL << 62);
}

/* Who asks; the same when KVM asks again after a delay. */
static __always_inline u64 gmem_caller(void)
{
	return bpf_get_current_pid_tgid();
}

/* VMs for which a policy keeps state of their own. */
#define GMEM_MAX_VMS	16384

/**
 * GMEM_VM_STATE() - define a policy's state per VM
 * @states: name of the map; @states##_common is the entry that VMs share for
 *	which there was no room
 * @value: type of the state, all zero at first
 *
 * Bounded, and filled as VMs come: GMEM_MAX_VMS entries at most.
 *
 * A VM for which vm_init finds no room gets an entry of its own with a later
 * event, once another VM has left one.  So all zero has to mean "nothing is
 * known yet" wherever the state is used, and what vm_init puts there has to be
 * made up for.
 */
#define GMEM_VM_STATE(states, value_type)				\
	struct {							\
		__uint(type, BPF_MAP_TYPE_HASH);			\
		__uint(map_flags, BPF_F_NO_PREALLOC);			\
		__uint(max_entries, GMEM_MAX_VMS);			\
		__type(key, u64);					\
		__type(value, value_type);				\
	} states SEC(".maps");						\
	struct {							\
		__uint(type, BPF_MAP_TYPE_ARRAY);			\
		__uint(max_entries, 1);					\
		__type(key, u32);					\
		__type(value, value_type);				\
	} states##_common SEC(".maps");					\
	static const value_type states##_zero

/* gmem_vm_state(states, kvm): a VM's state; NULL only to please the verifier */
#define gmem_vm_state(states, kvm)					\
	__gmem_vm_state(&(states), &states##_common, &states##_zero, kvm)

/*
 * gmem_vm_state_own(states, kvm): the same, but NULL for a VM that has no state
 * of its own: for states that cannot be shared, and where none is to be made, as
 * in invalidate and at the end of a request
 */
#define gmem_vm_state_own(states, kvm)					\
	({								\
		u64 __id = gmem_vm_id(kvm);				\
									\
		bpf_map_lookup_elem(&(states), &__id);			\
	})

static __always_inline void *__gmem_vm_state(void *states, void *common,
					     const void *zero, struct kvm *kvm)
{
	u64 id = gmem_vm_id(kvm);
	void *state = bpf_map_lookup_elem(states, &id);
	u32 first = 0;

	if (state)
		return state;

	/* If another CPU is quicker, its state is the one that counts. */
	bpf_map_update_elem(states, &id, zero, BPF_NOEXIST);
	state = bpf_map_lookup_elem(states, &id);
	if (state)
		return state;

	/* Full: a VM must not get out of its limits by being one too many. */
	return bpf_map_lookup_elem(common, &first);
}

/*
 * gmem_vm_state_forget(states, kvm): for vm_exit.  KVM calls no other program
 * for the VM by then, so nobody uses the entry.
 *
 * A VM that lives on keeps its entry.  If the policy is detached the map goes
 * as a whole; if it is put in place of itself, as when it changes between audit
 * and enforce, it finds its VMs as it left them.
 */
#define gmem_vm_state_forget(states, kvm)				\
	do {								\
		u64 __id = bpf_kvm_gmem_vm_id(kvm);			\
									\
		if (gmem_vm_is_dying(kvm))				\
			bpf_map_delete_elem(&(states), &__id);		\
	} while (0)

#endif /* __GMEM_BPF_H */
