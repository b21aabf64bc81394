// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest frames that a guest_memfd is behind: how many are private, and into
 * how many ranges of private and shared they are cut.  Attributes can be set for
 * any frame; those of frames without memory cost nobody anything but the map.
 *
 * Both are kept up to date where they change, which is under slots_lock: by
 * conversions, and by memslots and guest_memfds that come and go.
 */
#include <linux/bpf.h>
#include <linux/btf.h>

#include "gmem.h"

/* Frames that are looked at before others may run: 1 GiB. */
#define KVM_GMEM_FRAMES_BATCH	(1UL << (30 - PAGE_SHIFT))

/* Is there memory behind the frames of a memslot? */
static bool kvm_gmem_slot_backed(const struct kvm_memory_slot *slot)
{
	return kvm_slot_can_be_private(slot) && READ_ONCE(slot->gmem.file);
}

static bool kvm_gmem_frame_private(struct kvm *kvm, gfn_t gfn)
{
	return kvm_mem_attr_map_get(&kvm->mem_attr_map, gfn) &
	       KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/* Ranges of equal attributes from @start to @end. */
static s64 kvm_gmem_count_ranges(struct kvm *kvm, gfn_t start, gfn_t end)
{
	const struct kvm_mem_attr_map *map = &kvm->mem_attr_map;
	gfn_t first = start, next;
	s64 ranges = 1;

	for (; start < end; start = next) {
		next = min(end, start + KVM_GMEM_FRAMES_BATCH);
		/* With the frame before, whose range may go on. */
		ranges += kvm_mem_attr_map_runs(map, start - (start > first),
						next) - 1;
		if (next < end)
			cond_resched();
	}

	return ranges;
}

static u64 kvm_gmem_count_private(struct kvm *kvm, gfn_t start, gfn_t end)
{
	u64 private = 0;
	gfn_t next;

	for (; start < end; start = next) {
		next = min(end, start + KVM_GMEM_FRAMES_BATCH);
		private += kvm_mem_attr_map_count(&kvm->mem_attr_map, start,
						  next,
						  KVM_MEMORY_ATTRIBUTE_PRIVATE);
		if (next < end)
			cond_resched();
	}

	return private;
}

/* Frames of a range that are not yet what they shall be. */
static u64 kvm_gmem_frames_differ(struct kvm *kvm, gfn_t start, gfn_t end,
				  bool private)
{
	u64 nr_private = kvm_gmem_count_private(kvm, start, end);

	return private ? end - start - nr_private : nr_private;
}

static void kvm_gmem_frames_add(struct kvm *kvm, s64 private, s64 ranges)
{
	struct kvm_gmem_vm *gmem = &kvm->gmem;

	lockdep_assert_held(&kvm->slots_lock);

	WRITE_ONCE(gmem->private_frames, gmem->private_frames + private);
	WRITE_ONCE(gmem->ranges, gmem->ranges + ranges);
}

/* What a memslot adds to both, or takes away with it. */
static void kvm_gmem_count_slot(struct kvm *kvm,
				const struct kvm_memory_slot *slot, int sign)
{
	gfn_t start = slot->base_gfn, end = start + slot->npages;
	s64 private = kvm_gmem_count_private(kvm, start, end);
	s64 ranges = kvm_gmem_count_ranges(kvm, start, end);

	kvm_gmem_frames_add(kvm, sign * private, sign * ranges);
}

/**
 * kvm_gmem_frames_bound - there is memory behind the frames of a memslot
 * @kvm: the VM
 * @slot: the memslot, with its guest_memfd
 *
 * Context: may sleep; holds slots_lock.
 */
void kvm_gmem_frames_bound(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	kvm_gmem_count_slot(kvm, slot, 1);
}

/**
 * kvm_gmem_frames_unbound - the memory behind the frames of a memslot is gone
 * @kvm: the VM
 * @slot: the memslot, which had a guest_memfd until now
 *
 * Context: may sleep; holds slots_lock.
 */
void kvm_gmem_frames_unbound(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	kvm_gmem_count_slot(kvm, slot, -1);
}

/**
 * kvm_gmem_frames_convert_one - count a frame that was converted by itself
 * @kvm: the VM
 * @slot: the memslot that it is in, with a guest_memfd
 * @gfn: the frame
 * @private: what it is now, and was not
 * @change: the change of its attributes, which knows its neighbours
 *
 * It joins a neighbour that is what it is now, and parts from one that is what it
 * was.  So nobody had to look before, and @slot is at hand afterwards.
 *
 * Context: holds slots_lock.
 */
void kvm_gmem_frames_convert_one(struct kvm *kvm,
				 const struct kvm_memory_slot *slot, gfn_t gfn,
				 bool private,
				 const struct kvm_mem_attr_change *change)
{
	unsigned long attrs = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	s64 ranges = 0;

	/* PRIVATE is the only attribute there is. */
	if (gfn > slot->base_gfn)
		ranges += change->before == attrs ? -1 : 1;
	if (gfn + 1 < slot->base_gfn + slot->npages)
		ranges += change->after == attrs ? -1 : 1;

	kvm_gmem_frames_add(kvm, private ? 1 : -1, ranges);
}

/* By how much a range adds to them, some of which may be what it is going to be. */
static s64 kvm_gmem_new_ranges(struct kvm *kvm,
			       const struct kvm_memory_slot *slot, gfn_t start,
			       gfn_t end, bool private)
{
	gfn_t first = start - (start > slot->base_gfn);
	gfn_t last = end + (end < slot->base_gfn + slot->npages);
	s64 ranges = 1;

	/* One for the range that it is going to be, and those beside it. */
	if (first < start)
		ranges += kvm_gmem_frame_private(kvm, first) != private;
	if (last > end)
		ranges += kvm_gmem_frame_private(kvm, end) != private;

	return ranges - kvm_gmem_count_ranges(kvm, first, last);
}

/* The part of a conversion that is in one memslot, before it is done. */
static void kvm_gmem_convert_slot_frames(struct kvm *kvm,
					 const struct kvm_memory_slot *slot,
					 gfn_t start, gfn_t end, bool private,
					 u64 changed)
{
	if (changed)
		kvm_gmem_frames_add(kvm, private ? changed : -(s64)changed,
				    kvm_gmem_new_ranges(kvm, slot, start, end,
							private));
}

/* One that is in several memslots, or not all in one. */
static noinline void kvm_gmem_convert_slots_frames(struct kvm *kvm, gfn_t start,
						   gfn_t end, bool private)
{
	struct kvm_memslot_iter iter;

	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm), start, end) {
		const struct kvm_memory_slot *slot = iter.slot;
		gfn_t first = max(start, slot->base_gfn);
		gfn_t last = min(end, slot->base_gfn + slot->npages);

		if (!kvm_gmem_slot_backed(slot))
			continue;
		kvm_gmem_convert_slot_frames(kvm, slot, first, last, private,
					     kvm_gmem_frames_differ(kvm, first,
								    last,
								    private));
		cond_resched();
	}
}

/**
 * kvm_gmem_frames_convert - count the frames that are about to be converted, if
 *	they are several
 * @kvm: the VM
 * @start: first guest frame
 * @end: guest frame after the last
 * @private: what they are going to be
 * @changed: how many of them are something else now
 *
 * A VM that can have private memory has one address space, which is the first.
 *
 * Context: may sleep; holds slots_lock; the attributes are as they were, and no
 *	vCPU waits yet.
 */
void kvm_gmem_frames_convert(struct kvm *kvm, gfn_t start, gfn_t end,
			     bool private, u64 changed)
{
	/* Most conversions are of one memslot, the same as the last. */
	const struct kvm_memory_slot *slot = gfn_to_memslot(kvm, start);

	if (unlikely(!slot || end > slot->base_gfn + slot->npages))
		kvm_gmem_convert_slots_frames(kvm, start, end, private);
	else if (kvm_gmem_slot_backed(slot))
		kvm_gmem_convert_slot_frames(kvm, slot, start, end, private,
					     changed);
}

__bpf_kfunc_start_defs();

/**
 * bpf_kvm_gmem_convert_changes - how many frames would a conversion change?
 * @kvm: the VM
 * @convert: the conversion that a policy is asked about
 *
 * Of those only that memory is behind, and of pages that no memslot has, all.
 * Others may convert at the same time:
 * what it changed in the end is said to convert_end.
 *
 * Context: may sleep.
 * Return: how many there are at the moment.
 */
__bpf_kfunc u64
bpf_kvm_gmem_convert_changes(struct kvm *kvm,
			     const struct kvm_gmem_convert *convert)
{
	bool private = convert->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	struct kvm_memslot_iter iter;
	u64 changes = 0;
	int idx;

	/* Of pages that no memslot has, all may be. */
	if (convert->start == KVM_GMEM_NO_GFN)
		return convert->nr_pages;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(kvm),
					  convert->start, convert->end) {
		const struct kvm_memory_slot *slot = iter.slot;
		gfn_t start = max(convert->start, slot->base_gfn);
		gfn_t end = min(convert->end, slot->base_gfn + slot->npages);

		if (!kvm_gmem_slot_backed(slot))
			continue;
		changes += kvm_gmem_frames_differ(kvm, start, end, private);
		cond_resched();
	}
	srcu_read_unlock(&kvm->srcu, idx);

	return changes;
}

__bpf_kfunc_end_defs();
