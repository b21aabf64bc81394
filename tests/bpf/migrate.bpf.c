// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves memory of a VM to a node, and reads what became of it.  The test writes the
 * question into the globals.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "gmem_kfuncs.h"
#include "migrate.h"

extern int bpf_kvm_gmem_moves(struct kvm *kvm, struct kvm_gmem_moves *moves,
			      u32 moves__sz) __ksym;
extern int bpf_kvm_gmem_move(struct kvm *kvm,
			     struct kvm_gmem_move_request *request,
			     u32 request__sz) __ksym;

_Static_assert(sizeof(struct moves) == sizeof(struct kvm_gmem_moves) &&
	       offsetof(struct moves, unmovable_pages) ==
	       offsetof(struct kvm_gmem_moves, unmovable_pages) &&
	       (int)NR_REFUSED == (int)KVM_GMEM_NR_MOVE_REFUSALS,
	       "struct moves differs from the kernel's");
_Static_assert(sizeof(struct move_request) ==
	       sizeof(struct kvm_gmem_move_request) &&
	       offsetof(struct move_request, pages) ==
	       offsetof(struct kvm_gmem_move_request, pages) &&
	       (int)NR_MOVED == (int)KVM_GMEM_NR_MOVED,
	       "struct move_request differs from the kernel's");

char _license[] SEC("license") = "GPL";

#define ESRCH	3

__u64 vm_id = 0;
__s32 result = 0;
struct moves moves = {};
struct move_request request = {};

SEC("syscall")
int read_moves(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	result = -ESRCH;
	if (!kvm)
		return 0;
	result = bpf_kvm_gmem_moves(kvm, (void *)&moves, sizeof(moves));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("syscall")
int move(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	result = -ESRCH;
	if (!kvm)
		return 0;
	result = bpf_kvm_gmem_move(kvm, (void *)&request, sizeof(request));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

/* As who was built for another kernel. */
SEC("syscall")
int move_short(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	result = -ESRCH;
	if (!kvm)
		return 0;
	result = bpf_kvm_gmem_move(kvm, (void *)&request,
				   sizeof(request) - sizeof(request.pages[0]));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}
