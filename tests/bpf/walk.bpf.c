// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that use what a walk gives for what it is not, or a VM when they do
 * not have it: the verifier must refuse each.  And programs that do all that is
 * left, which must be harmless.  The test turns one on at a time.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "gmem_kfuncs.h"

char _license[] SEC("license") = "GPL";

extern int bpf_copy_from_user_str(void *dst, u32 dst__sz,
				  const void *unsafe_ptr__ign,
				  u64 flags) __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

static struct kvm_gmem_usage usage = {};
static struct kvm_gmem_slot_info slots[1] = {};
__u64 page = 0;
__u64 kept = 0;
__u64 result = 0;

static void *first_vm(void)
{
	struct bpf_iter_kvm_gmem_vm it;
	void *first;

	bpf_iter_kvm_gmem_vm_new(&it);
	first = (void *)bpf_iter_kvm_gmem_vm_next(&it);
	bpf_iter_kvm_gmem_vm_destroy(&it);

	return first;
}

static void sleep_on_page(void)
{
	char byte[8];

	bpf_copy_from_user_str(byte, sizeof(byte), (void *)page, 0);
}

/* The program of ../shared/repro/kernel/stale_vm.bpf.c. */
SEC("?syscall")
int stale_vm(void *ctx)
{
	struct kvm *kvm = first_vm();

	if (!kvm)
		return 0;
	sleep_on_page();
	result = bpf_kvm_gmem_slots(kvm, 0, slots, sizeof(slots));
	return 0;
}

SEC("?syscall")
int element_is_no_vm(void *ctx)
{
	struct bpf_iter_kvm_gmem_vm it;
	void *element;

	bpf_iter_kvm_gmem_vm_new(&it);
	element = (void *)bpf_iter_kvm_gmem_vm_next(&it);
	if (element)
		result = bpf_kvm_gmem_usage(element, &usage, sizeof(usage));
	bpf_iter_kvm_gmem_vm_destroy(&it);
	return 0;
}

SEC("?syscall")
int element_is_released(void *ctx)
{
	struct bpf_iter_kvm_gmem_vm it;
	void *element;

	bpf_iter_kvm_gmem_vm_new(&it);
	element = (void *)bpf_iter_kvm_gmem_vm_next(&it);
	if (element)
		bpf_kvm_gmem_vm_release(element);
	bpf_iter_kvm_gmem_vm_destroy(&it);
	return 0;
}

SEC("?syscall")
int element_is_cast(void *ctx)
{
	void *element = first_vm();
	struct kvm *kvm;

	if (!element)
		return 0;
	kvm = bpf_rdonly_cast(element, bpf_core_type_id_kernel(struct kvm));
	result = bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage));
	return 0;
}

SEC("?syscall")
int element_is_larger(void *ctx)
{
	struct bpf_iter_kvm_gmem_vm it;
	__u64 *element;

	bpf_iter_kvm_gmem_vm_new(&it);
	element = (void *)bpf_iter_kvm_gmem_vm_next(&it);
	if (element)
		result = element[1];
	bpf_iter_kvm_gmem_vm_destroy(&it);
	return 0;
}

/* It is a copy in the iterator, which is the program's stack. */
SEC("?syscall")
int element_after_the_end(void *ctx)
{
	__u64 *element = first_vm();

	sleep_on_page();
	if (element)
		result = *element;
	return 0;
}

SEC("?syscall")
int element_is_written(void *ctx)
{
	struct bpf_iter_kvm_gmem_vm it;
	__u64 *element;

	bpf_iter_kvm_gmem_vm_new(&it);
	element = (void *)bpf_iter_kvm_gmem_vm_next(&it);
	if (element)
		*element = 1;
	bpf_iter_kvm_gmem_vm_destroy(&it);
	return 0;
}

SEC("?syscall")
int policy_is_a_struct(void *ctx)
{
	struct bpf_iter_kvm_gmem_policy it;
	struct kvm_gmem_policy_info *info;

	bpf_iter_kvm_gmem_policy_new(&it);
	info = (void *)bpf_iter_kvm_gmem_policy_next(&it);
	if (info)
		result = info->calls;
	bpf_iter_kvm_gmem_policy_destroy(&it);
	return 0;
}

SEC("?syscall")
int policy_is_written(void *ctx)
{
	struct bpf_iter_kvm_gmem_policy it;
	__u32 *id;

	bpf_iter_kvm_gmem_policy_new(&it);
	id = (void *)bpf_iter_kvm_gmem_policy_next(&it);
	if (id)
		*id = 1;
	bpf_iter_kvm_gmem_policy_destroy(&it);
	return 0;
}

SEC("?syscall")
int walk_without_end(void *ctx)
{
	struct bpf_iter_kvm_gmem_vm it;

	bpf_iter_kvm_gmem_vm_new(&it);
	bpf_iter_kvm_gmem_vm_next(&it);
	return 0;
}

SEC("?syscall")
int vm_not_checked(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);

	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("?syscall")
int vm_after_release(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);

	if (!kvm)
		return 0;
	bpf_kvm_gmem_vm_release(kvm);
	result = bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage));
	return 0;
}

SEC("?syscall")
int vm_released_twice(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);

	if (!kvm)
		return 0;
	bpf_kvm_gmem_vm_release(kvm);
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("?syscall")
int vm_kept(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);

	if (kvm)
		result = bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage));
	return 0;
}

SEC("?syscall")
int vm_from_memory(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);

	if (!kvm)
		return 0;
	*(volatile __u64 *)&kept = (__u64)kvm;
	bpf_kvm_gmem_vm_release(kvm);
	kvm = (struct kvm *)*(volatile __u64 *)&kept;
	result = bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage));
	return 0;
}

SEC("?syscall")
int vm_in_an_rcu_section(void *ctx)
{
	struct kvm *kvm;

	bpf_rcu_read_lock();
	kvm = bpf_kvm_gmem_vm_acquire(kept);
	bpf_rcu_read_unlock();
	if (kvm)
		bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

/* A VM that is found by another way than acquire. */
SEC("?syscall")
int vm_of_a_vcpu(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);

	if (!kvm)
		return 0;
	result = bpf_kvm_gmem_usage(kvm->buses[0] ? (void *)kvm->buses[0] : kvm,
				    &usage, sizeof(usage));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

struct value {
	struct kvm __kptr *kvm;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct value);
} keeper SEC(".maps");

SEC("?syscall")
int vm_in_a_map(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(kept);
	struct value *value;
	__u32 zero = 0;

	if (!kvm)
		return 0;
	value = bpf_map_lookup_elem(&keeper, &zero);
	if (value)
		kvm = bpf_kptr_xchg(&value->kvm, kvm);
	if (kvm)
		bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

/* Other kinds of programs have no walks and find no VMs. */

SEC("?tp_btf/kvm_gmem_convert")
int BPF_PROG(traced_acquire, struct kvm *kvm)
{
	kvm = bpf_kvm_gmem_vm_acquire(kept);
	if (kvm)
		bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("?tp_btf/kvm_gmem_convert")
int BPF_PROG(traced_walk, struct kvm *kvm)
{
	kept = (__u64)first_vm();
	return 0;
}

SEC("?tp_btf/kvm_gmem_convert")
int BPF_PROG(traced_usage, struct kvm *kvm)
{
	if (kvm)
		result = bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage));
	return 0;
}

/* The arguments of a function are not trusted: they may be stale. */
SEC("?fentry/kvm_vm_release")
int BPF_PROG(entered_usage, struct inode *inode, struct file *file)
{
	struct kvm *kvm = file->private_data;

	result = bpf_kvm_gmem_usage(kvm, &usage, sizeof(usage));
	return 0;
}

/* What loads. */

__u64 ids[4] = {};
__u64 nr_ids = 0;
__u64 acquired = 0;

/* Ids beyond the walk's end, while the VMs may die. */
SEC("?syscall")
int stale_ids(void *ctx)
{
	struct kvm *kvm;
	__u64 i, *id;

	nr_ids = 0;
	acquired = 0;
	bpf_for_each(kvm_gmem_vm, id) {
		if (nr_ids < 4)
			ids[nr_ids & 3] = *id;
		nr_ids++;
	}
	sleep_on_page();
	bpf_for(i, 0, 4) {
		kvm = bpf_kvm_gmem_vm_acquire(ids[i & 3]);
		if (!kvm)
			continue;
		acquired++;
		bpf_kvm_gmem_vm_release(kvm);
	}
	return 0;
}

/* Between two steps the walk holds nothing: what it was at is gone. */
SEC("?syscall")
int stale_step(void *ctx)
{
	struct bpf_iter_kvm_gmem_vm it;
	struct kvm *kvm;
	__u64 *id;
	int i;

	nr_ids = 0;
	bpf_iter_kvm_gmem_vm_new(&it);
	id = (void *)bpf_iter_kvm_gmem_vm_next(&it);
	if (id) {
		sleep_on_page();
		/* The element is a copy, and stays what it was. */
		ids[0] = *id;
		nr_ids = 1;
		for (i = 0; i < 3; i++) {
			id = (void *)bpf_iter_kvm_gmem_vm_next(&it);
			if (!id)
				break;
			/* It may have looked further ahead than they lived. */
			kvm = bpf_kvm_gmem_vm_acquire(*id);
			if (!kvm)
				continue;
			ids[nr_ids & 3] = *id;
			nr_ids++;
			bpf_kvm_gmem_vm_release(kvm);
		}
	}
	bpf_iter_kvm_gmem_vm_destroy(&it);
	return 0;
}

__u64 all_ids[64];

SEC("?syscall")
int list_vms(void *ctx)
{
	__u64 *id;

	nr_ids = 0;
	bpf_for_each(kvm_gmem_vm, id) {
		all_ids[nr_ids & 63] = *id;
		nr_ids++;
	}
	return 0;
}

SEC("?syscall")
int impossible_ids(void *ctx)
{
	struct kvm *kvm;

	acquired = 0;
	kvm = bpf_kvm_gmem_vm_acquire(0);
	if (kvm) {
		acquired++;
		bpf_kvm_gmem_vm_release(kvm);
	}
	kvm = bpf_kvm_gmem_vm_acquire(~0ULL);
	if (kvm) {
		acquired++;
		bpf_kvm_gmem_vm_release(kvm);
	}
	return 0;
}

__u32 link_ids[8] = {};
__u64 nr_links = 0;
__s32 info_result = 0;

SEC("?syscall")
int list_policies(void *ctx)
{
	struct kvm_gmem_policy_info info;
	__u32 *id;

	nr_links = 0;
	bpf_for_each(kvm_gmem_policy, id) {
		if (nr_links < 8)
			link_ids[nr_links & 7] = *id;
		nr_links++;
	}
	sleep_on_page();
	info_result = bpf_kvm_gmem_policy_info(link_ids[0], &info, sizeof(info));
	return 0;
}

/* One for each of what needs more than to load programs. */

__u64 orphans = 0;

SEC("?syscall")
int only_orphans(void *ctx)
{
	orphans = bpf_kvm_gmem_orphaned_pages();
	return 0;
}

SEC("?syscall")
int only_info(void *ctx)
{
	struct kvm_gmem_policy_info info;

	info_result = bpf_kvm_gmem_policy_info(link_ids[0], &info, sizeof(info));
	return 0;
}

/* And one of the same kind that looks at nothing. */
SEC("?syscall")
int only_counts(void *ctx)
{
	nr_ids++;
	return 0;
}
