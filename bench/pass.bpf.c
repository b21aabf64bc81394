// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least a policy can do: it is asked before each fault and conversion,
 * and allows.  What it costs is the price of the hooks.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

SEC("struct_ops.s/fault")
s64 BPF_PROG(pass_fault, struct kvm *kvm, const struct kvm_gmem_fault *fault)
{
	return 0;
}

SEC("struct_ops.s/convert")
s64 BPF_PROG(pass_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	return 0;
}

SEC(".struct_ops.link")
struct kvm_gmem_ops pass = {
	.fault = (void *)pass_fault,
	.convert = (void *)pass_convert,
	.name = "pass",
};
