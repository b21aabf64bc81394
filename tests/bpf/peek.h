/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policies that read the kernel's memory in a way that lockdown forbids, each in
 * another one: tests/cli/lockdown.bats sees them refused and told why.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

/* A policy of that name; @read reads from kvm into x, a u64. */
#define PEEK(policy, read)						\
	SEC("struct_ops.s/convert")					\
	s64 BPF_PROG(policy##_convert, struct kvm *kvm,			\
		     const struct kvm_gmem_convert *convert)		\
	{								\
		u64 x = 0;						\
									\
		read;							\
		return x == ~0ULL ? gmem_deny(EPERM) : 0;		\
	}								\
									\
	SEC(".struct_ops.link")						\
	struct kvm_gmem_ops policy = {					\
		.convert = (void *)policy##_convert,			\
		.name = #policy,					\
	}
