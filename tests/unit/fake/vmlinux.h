/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of the kernel and of BPF as a policy needs to run on the host:
 * a unit test includes this and then the whole bpf/policies/NAME.bpf.c, and
 * calls its programs.  Clock, counters and maps do as the test says.  Not
 * here: what KVM makes of a verdict, and the verifier.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

/* In place of the headers that a policy includes next. */
#define __BPF_HELPERS__
#define __BPF_TRACING_H__
#define __GMEM_KFUNCS_H
#define __GMEM_VM_H

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef int32_t s32;

#define SEC(name)
#define BPF_PROG(name, args...)	name(args)
#define __noinline	__attribute__((noinline))
#define __uint(name, value)	int (*name)[value]
#define __type(name, value)	__typeof__(value) *name

#define GMEM_PARAM(type, name, unit, min, max, help)	type name
#define GMEM_PARAM_CHOICE(type, name, values, help)	type name
#define GMEM_PARAM_WHOSE()				u64 whose
#define GMEM_PARAMS(params_type, about, sees)				\
	extern params_type params;					\
	static const params_type *gmem_params(void) { return &params; }	\
	params_type params

enum kvm_gmem_fault_reason {
	KVM_GMEM_FAULT_VCPU,
	KVM_GMEM_FAULT_PREFAULT,
	KVM_GMEM_FAULT_POPULATE,
	KVM_GMEM_FAULT_FALLOCATE,
	KVM_GMEM_FAULT_ARCH,
};

enum kvm_gmem_invalidate_reason {
	KVM_GMEM_INVALIDATE_CONVERSION,
	KVM_GMEM_INVALIDATE_PUNCH_HOLE,
};

/* Of the kernel's, what policies look at. */
struct kvm_gmem_usage {
	u64 invalidations[1];
	u64 size_pages;
	u64 private_pages;
	u64 populated_pages;
	u64 stale_pages;
	u64 allocated_pages;
	u64 freed_pages;
	u64 pages_to_private;
	u64 pages_to_shared;
	u64 attribute_bytes;
};

struct kvm {
	struct { u64 id; } gmem;
	struct { struct { int counter; } refs; } users_count;
	int created_vcpus;
	struct kvm_gmem_usage usage;
};

struct kvm_gmem_convert {
	u64 start;
	u64 end;
	u64 attributes;
	u64 flags;
	u64 nr_pages;
};

#define KVM_GMEM_OVERDUE	1
#define KVM_GMEM_ASKED		2

struct kvm_gmem_fault {
	u64 gfn;
	u64 nr_pages;
	u32 reason;
	u32 flags;
};

struct kvm_gmem_invalidate {
	u64 start;
	u64 end;
	u64 pages_freed;
	u32 reason;
};

struct kvm_gmem_ops {
	void *vm_init;
	void *vm_exit;
	void *fault;
	void *convert;
	void *invalidate;
	void *fault_end;
	void *convert_end;
	const char *name;
};

struct fake_entry {
	bool used;
	u64 key;
	_Alignas(64) char value[1 << 17];
};

/**
 * fake - the machine
 * @now: the clock, in ns
 * @task: who asks
 * @present: the page of a fault is there
 * @on_present: called whenever somebody looks for a page
 * @changes: frames with memory that a conversion would change, at most
 * @full: no map has room
 * @on_usage: called once while the counters are read: what another CPU does
 * @locked: a lock is held
 * @common: the map of one entry, which all share
 * @shared: that entry
 * @entries: of the map of VMs
 */
static struct {
	u64 now;
	u64 task;
	bool present;
	void (*on_present)(void);
	u64 changes;
	bool full;
	void (*on_usage)(void);
	bool locked;
	void *common;
	struct fake_entry shared;
	struct fake_entry entries[4];
} fake;

static inline void fake_reset(void *common)
{
	memset(&fake, 0, sizeof(fake));
	fake.now = 1000000000;
	fake.task = 1;
	fake.changes = ~0ULL;
	fake.common = common;
}

/* What BPF's verifier would refuse. */
static inline void fake_no_lock(const char *what)
{
	if (!fake.locked)
		return;
	printf("# %s with a lock held\n", what);
	abort();
}

static inline void bpf_spin_lock(struct bpf_spin_lock *lock)
{
	fake_no_lock("a second lock");
	fake.locked = true;
}

static inline void bpf_spin_unlock(struct bpf_spin_lock *lock)
{
	fake.locked = false;
}

static inline struct fake_entry *fake_find(bool used, u64 key)
{
	size_t i;

	for (i = 0; i < sizeof(fake.entries) / sizeof(fake.entries[0]); i++) {
		struct fake_entry *e = &fake.entries[i];

		if (e->used == used && (!used || e->key == key))
			return e;
	}
	return NULL;
}

/* Not inline: the compiler would see keys of 4 bytes, which are of @common. */
static __noinline __attribute__((unused)) void *
bpf_map_lookup_elem(void *map, const void *key)
{
	struct fake_entry *e;

	fake_no_lock("a lookup");
	if (map == fake.common)
		return fake.shared.value;
	e = fake_find(true, *(const u64 *)key);
	return e ? e->value : NULL;
}

/* Policies make new entries, all of zeroes, and no others. */
static inline int bpf_map_update_elem(void *map, const void *key,
				      const void *value, u64 flags)
{
	struct fake_entry *e = fake_find(false, 0);

	fake_no_lock("an update");
	if (fake.full || !e)
		return -E2BIG;
	memset(e, 0, sizeof(*e));
	e->used = true;
	e->key = *(const u64 *)key;
	return 0;
}

static inline int bpf_map_delete_elem(void *map, const void *key)
{
	struct fake_entry *e = fake_find(true, *(const u64 *)key);

	if (e)
		e->used = false;
	return e ? 0 : -ENOENT;
}

static inline u64 bpf_ktime_get_ns(void)
{
	fake_no_lock("the clock");
	return fake.now;
}

static inline u64 bpf_get_current_pid_tgid(void)
{
	return fake.task;
}

static inline u32 bpf_get_prandom_u32(void)
{
	return 12345;
}

static inline bool gmem_vm_is_dying(const struct kvm *kvm)
{
	return !kvm->users_count.refs.counter;
}

static inline u64 bpf_kvm_gmem_vm_id(const struct kvm *kvm)
{
	return kvm->gmem.id;
}

static inline u64 gmem_vm_id(const struct kvm *kvm)
{
	return kvm->gmem.id;
}

static inline int bpf_kvm_gmem_usage(struct kvm *kvm,
				     struct kvm_gmem_usage *usage, u32 size)
{
	void (*on_usage)(void) = fake.on_usage;

	fake_no_lock("the counters");
	*usage = kvm->usage;
	fake.on_usage = NULL;
	if (on_usage)
		on_usage();
	return size;
}

/* As many as the test says; ~0: all of them. */
static inline u64
bpf_kvm_gmem_convert_changes(struct kvm *kvm,
			     const struct kvm_gmem_convert *convert)
{
	u64 pages = convert->nr_pages;

	fake_no_lock("a look at frames");
	return fake.changes < pages ? fake.changes : pages;
}

static inline bool bpf_kvm_gmem_fault_present(const struct kvm_gmem_fault *fault)
{
	fake_no_lock("a look for a page");
	if (fake.on_present)
		fake.on_present();
	return fake.present;
}

#endif /* __VMLINUX_H__ */
