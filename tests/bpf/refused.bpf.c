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
struct kvm_gmem_ops writes_arguments_ops = {
	.convert = (void *)writes_arguments,
	.name = "refused",
};

SEC("?.struct_ops.link")
struct kvm_gmem_ops writes_kvm_ops = {
	.convert = (void *)writes_kvm,
	.name = "refused",
};
