// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that try to keep others waiting: by sleeping on a page that userspace
 * does not serve, in a hook or with a VM, and by asking for what may wait for
 * themselves.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem_kfuncs.h"

char _license[] SEC("license") = "GPL";

extern int bpf_copy_from_user_str(void *dst, u32 dst__sz,
				  const void *unsafe_ptr__ign,
				  u64 flags) __ksym;

/* An address of the task; 0 is served at once. */
__u64 page = 0;

__u64 asleep = 0;
__u64 woken = 0;
__u64 inits = 0;
__u64 exits = 0;
/* Calls of vm_exit with a hook still asleep. */
__u64 early_exits = 0;

static void sleep_on_page(void)
{
	char byte[8];

	__sync_fetch_and_add(&asleep, 1);
	bpf_copy_from_user_str(byte, sizeof(byte), (void *)page, 0);
	__sync_fetch_and_add(&asleep, -1);
	__sync_fetch_and_add(&woken, 1);
}

SEC("struct_ops/vm_init")
void BPF_PROG(hang_vm_init, struct kvm *kvm)
{
	__sync_fetch_and_add(&inits, 1);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(hang_vm_exit, struct kvm *kvm)
{
	if (*(volatile __u64 *)&asleep)
		__sync_fetch_and_add(&early_exits, 1);
	__sync_fetch_and_add(&exits, 1);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(hang_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	sleep_on_page();
	return 0;
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(hang_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	sleep_on_page();
	return 0;
}

/* The end of a request that passed before the policy went. */
__u64 ends = 0;

SEC("struct_ops/convert_end")
void BPF_PROG(hang_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	__sync_fetch_and_add(&ends, 1);
}

SEC("struct_ops/fault_end")
void BPF_PROG(hang_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
	__sync_fetch_and_add(&ends, 1);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops hang = {
	.vm_init = (void *)hang_vm_init,
	.vm_exit = (void *)hang_vm_exit,
	.fault = (void *)hang_fault,
	.convert = (void *)hang_convert,
	.fault_end = (void *)hang_fault_end,
	.convert_end = (void *)hang_convert_end,
	.name = "hang",
};

/* What syscall programs work on, and what they found. */
__u64 vm_id = 0;
union bpf_attr link_attr = {};
__s64 made = 0;
__u64 steps = 0;

SEC("syscall")
int link_in_vm_walk(void *ctx)
{
	__u64 *id;

	made = 0;
	steps = 0;
	bpf_for_each(kvm_gmem_vm, id) {
		if (!steps++)
			made = bpf_sys_bpf(BPF_LINK_CREATE, &link_attr,
					   sizeof(link_attr));
	}
	return 0;
}

SEC("syscall")
int link_in_policy_walk(void *ctx)
{
	__u32 *id;

	made = 0;
	steps = 0;
	bpf_for_each(kvm_gmem_policy, id) {
		if (!steps++)
			made = bpf_sys_bpf(BPF_LINK_CREATE, &link_attr,
					   sizeof(link_attr));
	}
	return 0;
}

SEC("syscall")
int link_with_vm(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	made = 0;
	steps = 0;
	if (!kvm)
		return 0;
	steps = 1;
	made = bpf_sys_bpf(BPF_LINK_CREATE, &link_attr, sizeof(link_attr));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("syscall")
int sleep_with_vm(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	if (!kvm)
		return 0;
	sleep_on_page();
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("syscall")
int sleep_in_vm_walk(void *ctx)
{
	__u64 *id;

	steps = 0;
	bpf_for_each(kvm_gmem_vm, id) {
		if (!steps++)
			sleep_on_page();
	}
	return 0;
}

SEC("syscall")
int sleep_in_policy_walk(void *ctx)
{
	__u32 *id;

	steps = 0;
	bpf_for_each(kvm_gmem_policy, id) {
		if (!steps++)
			sleep_on_page();
	}
	return 0;
}
