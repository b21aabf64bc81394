// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks the kernel where the memory of one VM is: its memslots, and stretches of
 * its address space.  The tool writes what it wants to know into the globals,
 * runs a program, and reads the answer there.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "gmem_abi.h"
#include "gmem_kfuncs.h"

_Static_assert(sizeof(struct gmem_slot) == sizeof(struct kvm_gmem_slot_info),
	       "struct gmem_slot differs from the kernel's");
_Static_assert(offsetof(struct gmem_slot, populated_pages) ==
	       offsetof(struct kvm_gmem_slot_info, populated_pages),
	       "struct gmem_slot differs from the kernel's");
_Static_assert(sizeof(struct gmem_bucket) == sizeof(struct kvm_gmem_bucket),
	       "struct gmem_bucket differs from the kernel's");
_Static_assert(offsetof(struct gmem_bucket, stale_pages) ==
	       offsetof(struct kvm_gmem_bucket, stale),
	       "struct gmem_bucket differs from the kernel's");

#define ESRCH	3

/* Calls of the kernel in one run of read_mapped or read_huge; the tool goes on. */
#define LOOKS_MAX	(2 * GMEM_BUCKETS_MAX)

/* Questions. */
__u64 vm_id = 0;
__u64 start = 0;
__u64 bucket_pages = 0;
__u64 nr_buckets = 0;

/* Answers; a negative result is an errno. */
__s64 result = 0;
struct gmem_slot slots[GMEM_SLOTS_MAX] = {};
struct gmem_bucket buckets[GMEM_BUCKETS_MAX] = {};

/*
 * Of read_mapped and read_huge the buckets are a question, too: where nothing is
 * populated, or nothing shared, nothing is mapped, and so on.  They take many steps,
 * so they end at a time, maybe within a bucket: how many guest frames from the start
 * on were looked at, and how many of the last bucket's were found, are where it goes
 * on.
 */
__u64 look_until_ns = 0;
__u64 looked_at = 0;
__u64 found_so_far = 0;
__u64 found[GMEM_BUCKETS_MAX] = {};

SEC("syscall")
int read_slots(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	result = -ESRCH;
	if (!kvm)
		return 0;
	result = bpf_kvm_gmem_slots(kvm, start, (void *)slots, sizeof(slots));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("syscall")
int read_map(void *ctx)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);
	__u64 nr = nr_buckets;

	result = -ESRCH;
	if (!kvm)
		return 0;
	if (nr > GMEM_BUCKETS_MAX)
		nr = GMEM_BUCKETS_MAX;
	result = bpf_kvm_gmem_map(kvm, start, bucket_pages, (void *)buckets,
				  nr * sizeof(buckets[0]));
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

static __always_inline bool may_have(const struct gmem_bucket *bucket, bool huge)
{
	return bucket->populated_pages && (huge || bucket->shared_pages);
}

/*
 * Looks once at least.  The result is how many buckets are complete; it is counted
 * in memory, where the verifier does not follow it through each step.
 */
static __always_inline void look(struct kvm *kvm, bool huge)
{
	int looks;

	result = 0;
	bpf_for(looks, 0, LOOKS_MAX) {
		__u64 i = result, end, pages = 0;
		__s64 next = 0;

		if (i >= nr_buckets || i >= GMEM_BUCKETS_MAX)
			break;
		end = start + (i + 1) * bucket_pages;
		if (may_have(&buckets[i], huge))
			next = huge ? bpf_kvm_gmem_huge(kvm, start + looked_at,
							end, &pages) :
				      bpf_kvm_gmem_host_mapped(kvm,
							       start + looked_at,
							       end, &pages);
		found_so_far += pages;
		if (next > 0) {
			looked_at = next - start;
		} else {
			looked_at = end - start;
			found[i] = found_so_far;
			found_so_far = 0;
			result++;
		}
		if (bpf_ktime_get_ns() >= look_until_ns)
			break;
	}
}

static __always_inline int read_found(bool huge)
{
	struct kvm *kvm = bpf_kvm_gmem_vm_acquire(vm_id);

	result = -ESRCH;
	if (!kvm)
		return 0;
	look(kvm, huge);
	bpf_kvm_gmem_vm_release(kvm);
	return 0;
}

SEC("syscall")
int read_mapped(void *ctx)
{
	return read_found(false);
}

SEC("syscall")
int read_huge(void *ctx)
{
	return read_found(true);
}

char LICENSE[] SEC("license") = "GPL";
