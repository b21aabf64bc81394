// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks for the counters of a VM with a struct of any length.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "gmem_kfuncs.h"

#define ESRCH	3

char _license[] SEC("license") = "GPL";

/* Questions. */
__u64 vm_id = 0;
__u64 length = 0;

/* Answers; a negative result is an errno. */
__s64 result = 0;
char answer[512] = {};

SEC("syscall")
int read_usage(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);
	__u64 nr = length;

	result = -ESRCH;
	if (!kvm)
		return 0;
	if (nr > sizeof(answer))
		nr = sizeof(answer);
	result = bpf_kvm_gmem_usage(kvm, (void *)answer, nr);
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}
