// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that the verifier must refuse.  None is loaded by itself; the test
 * turns one on at a time.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

SEC("?struct_ops.s/invalidate")
void BPF_PROG(sleepable_invalidate, struct kvm *kvm,
	      const struct kvm_gmem_invalidate *invalidate)
{
}

SEC("?struct_ops.s/vm_init")
void BPF_PROG(sleepable_vm_init, struct kvm *kvm)
{
}

SEC("?struct_ops.s/vm_exit")
void BPF_PROG(sleepable_vm_exit, struct kvm *kvm)
{
}

SEC("?struct_ops.s/fault_end")
void BPF_PROG(sleepable_fault_end, struct kvm *kvm,
	      const struct kvm_gmem_fault *fault, u64 allocated, s32 result)
{
}

SEC("?struct_ops.s/convert_end")
void BPF_PROG(sleepable_convert_end, struct kvm *kvm,
	      const struct kvm_gmem_convert *convert, u64 changed, s32 result)
{
}

SEC("?struct_ops.s/convert")
s64 BPF_PROG(writes_arguments, struct kvm *kvm, struct kvm_gmem_convert *convert)
{
	convert->end = 0;
	return 0;
}

SEC("?struct_ops.s/convert")
s64 BPF_PROG(writes_kvm, struct kvm *kvm, const struct kvm_gmem_convert *convert)
{
	kvm->userspace_pid = 0;
	return 0;
}

SEC("?.struct_ops.link")
struct kvm_gmem_ops sleepable_invalidate_ops = {
	.invalidate = (void *)sleepable_invalidate,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops sleepable_vm_init_ops = {
	.vm_init = (void *)sleepable_vm_init,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops sleepable_vm_exit_ops = {
	.vm_exit = (void *)sleepable_vm_exit,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops sleepable_fault_end_ops = {
	.fault_end = (void *)sleepable_fault_end,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops sleepable_convert_end_ops = {
	.convert_end = (void *)sleepable_convert_end,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops writes_arguments_ops = {
	.convert = (void *)writes_arguments,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops writes_kvm_ops = {
	.convert = (void *)writes_kvm,
	.name = "refused",
};
