// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy that has every hook, allows everything and counts how often it was
 * asked.  It shows that the hooks by themselves change nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

__u64 calls = 0;

SEC("struct_ops/vm_init")
void BPF_PROG(allow_vm_init, struct kvm *kvm)
{
	__sync_fetch_and_add(&calls, 1);
}

SEC("struct_ops/vm_exit")
void BPF_PROG(allow_vm_exit, struct kvm *kvm)
{
	__sync_fetch_and_add(&calls, 1);
}

SEC("struct_ops.s/fault")
s64 BPF_PROG(allow_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(allow_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("struct_ops/invalidate")
void BPF_PROG(allow_invalidate, struct kvm *kvm,
	      const struct kvm_gmem_invalidate *invalidate)
{
	__sync_fetch_and_add(&calls, 1);
}

SEC("struct_ops/fault_end")
void BPF_PROG(allow_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
	__sync_fetch_and_add(&calls, 1);
}

SEC("struct_ops/convert_end")
void BPF_PROG(allow_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
	__sync_fetch_and_add(&calls, 1);
}

SEC(".struct_ops.link")
struct kvm_gmem_ops allow = {
	.vm_init = (void *)allow_vm_init,
	.vm_exit = (void *)allow_vm_exit,
	.fault = (void *)allow_fault,
	.convert = (void *)allow_convert,
	.invalidate = (void *)allow_invalidate,
	.fault_end = (void *)allow_fault_end,
	.convert_end = (void *)allow_convert_end,
	.name = "allow",
};
