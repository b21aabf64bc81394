// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves memory of one VM to a NUMA node, a bounded part in each run: the tool says
 * which and where to, runs the program, and reads there what became of it and where
 * to go on.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "gmem_abi.h"
#include "gmem_kfuncs.h"

_Static_assert(sizeof(struct gmem_move) == sizeof(struct kvm_gmem_move_request) &&
	       offsetof(struct gmem_move, node) ==
	       offsetof(struct kvm_gmem_move_request, node) &&
	       offsetof(struct gmem_move, pages) ==
	       offsetof(struct kvm_gmem_move_request, pages),
	       "struct gmem_move differs from the kernel's");
_Static_assert((int)GMEM_NR_MOVED == (int)KVM_GMEM_NR_MOVED,
	       "enum gmem_moved differs from the kernel's");

#define ESRCH	3
#define ENOSYS	38

__u64 vm_id = 0;
struct gmem_move move = {};

/* 1: there is more to do; a negative errno. */
__s32 result = 0;

SEC("syscall")
int move_part(void *ctx)
{
	struct kvm *kvm;

	result = -ENOSYS;
	if (!bpf_ksym_exists(bpf_kvm_gmem_move))
		return 0;
	kvm = bpf_kvm_gmem_vm_acquire(vm_id);
	result = -ESRCH;
	if (!kvm)
		return 0;
	result = bpf_kvm_gmem_move(kvm, (void *)&move, sizeof(move));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
