// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks how many pages there are of guest_memfds whose VM is gone.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "gmem_kfuncs.h"

char _license[] SEC("license") = "GPL";

__u64 pages = 0;

SEC("syscall")
int read_orphans(void *ctx)
{
	pages = bpf_kvm_gmem_orphaned_pages();
	return 0;
}
