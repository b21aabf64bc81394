// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy that reads the kernel's memory in a way that lockdown forbids; see
 * tests/cli/lockdown.bats.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops.s/convert")
s64 BPF_PROG(peekstr_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	u64 x = 0;

	bpf_probe_read_kernel_str(&x, sizeof(x), kvm);
	return x == ~0ULL ? gmem_deny(EPERM) : 0;
}

SEC(".struct_ops.link")
struct kvm_gmem_ops peekstr = {
	.convert = (void *)peekstr_convert,
	.name = "peekstr",
};
