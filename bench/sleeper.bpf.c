// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy that sleeps in a conversion until userspace serves the page that it
 * reads, if userspace has registered the page with userfaultfd.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

extern int bpf_copy_from_user_str(void *dst, u32 dst__sz,
				  const void *unsafe_ptr__ign,
				  u64 flags) __ksym;

/* An address of the task that converts. */
__u64 page = 0;

SEC("struct_ops.s/convert")
s64 BPF_PROG(sleeper_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	char byte[8];

	bpf_copy_from_user_str(byte, sizeof(byte), (void *)page, 0);

	return 0;
}

SEC(".struct_ops.link")
struct kvm_gmem_ops sleeper = {
	.convert = (void *)sleeper_convert,
	.name = "sleeper",
};
