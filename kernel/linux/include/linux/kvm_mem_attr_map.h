/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory attributes of a VM's guest frames, kept by range: see
 * virt/kvm/mem_attr_map.c.
 */
#ifndef __LINUX_KVM_MEM_ATTR_MAP_H
#define __LINUX_KVM_MEM_ATTR_MAP_H

#include <linux/kconfig.h>
#include <linux/types.h>

/**
 * struct kvm_mem_attr_map - attributes by guest frame
 * @root: the topmost node, with the number of frame number bits that it
 *	resolves in the pointer's low bits; 0 when no frame has an attribute
 * @bits: the attributes that a frame can have
 * @bytes: memory that the tree takes up
 *
 * One writer at a time, which the caller sees to; readers need no lock.
 */
struct kvm_mem_attr_map {
	unsigned long root;
	unsigned long bits;
	unsigned long bytes;
};

struct kvm_mem_attr_node;

/**
 * struct kvm_mem_attr_change - a change that has all it needs
 * @changed: frames whose attributes it makes differ from what they were
 * @before: if there is one frame to change, the attributes of the one before it
 * @after: and of the one after it
 * @first: first frame
 * @last: last frame
 * @attrs: the attributes that they get
 * @node: the lowest node whose range has all of them
 * @shift: how many bits of a frame's number it resolves
 * @room: how many entries can be retired
 * @nr_retired: how many have been
 * @bytes: memory of those that are replaced together with all below them
 * @nodes: memory for nodes
 * @blocks: memory for bitmaps
 * @more: entries that have been retired, if they might be more than a few
 * @few: the same if not
 * @gfp: more flags for what it takes of memory, as __GFP_NOFAIL; 0 as a rule
 *
 * The caller sets the last one and may look at the first three.
 */
struct kvm_mem_attr_change {
	u64 changed;
	unsigned long before;
	unsigned long after;
	u64 first;
	u64 last;
	unsigned long attrs;
	struct kvm_mem_attr_node *node;
	unsigned int shift;
	unsigned int room;
	unsigned int nr_retired;
	unsigned long bytes;
	unsigned long nodes;
	unsigned long blocks;
	unsigned long *more;
	unsigned long few[8];
	gfp_t gfp;
};

void kvm_mem_attr_map_init(struct kvm_mem_attr_map *map, unsigned long bits);
void kvm_mem_attr_map_destroy(struct kvm_mem_attr_map *map);

unsigned long kvm_mem_attr_map_get(const struct kvm_mem_attr_map *map, u64 gfn);
u64 kvm_mem_attr_map_run(const struct kvm_mem_attr_map *map, u64 gfn, u64 end,
			 unsigned long *attrs);
bool kvm_mem_attr_map_has(const struct kvm_mem_attr_map *map, u64 start,
			  u64 end, unsigned long mask, unsigned long attrs);
u64 kvm_mem_attr_map_count(const struct kvm_mem_attr_map *map, u64 start,
			   u64 end, unsigned long attr);
u64 kvm_mem_attr_map_runs(const struct kvm_mem_attr_map *map, u64 start,
			  u64 end);

int kvm_mem_attr_map_prepare(struct kvm_mem_attr_map *map,
			     struct kvm_mem_attr_change *change, u64 start,
			     u64 end, unsigned long attrs);
void kvm_mem_attr_map_commit(struct kvm_mem_attr_map *map,
			     struct kvm_mem_attr_change *change);
void kvm_mem_attr_map_abort(struct kvm_mem_attr_map *map,
			    struct kvm_mem_attr_change *change);
void kvm_mem_attr_map_finish(struct kvm_mem_attr_change *change);

#if IS_ENABLED(CONFIG_KUNIT)
void *kvm_mem_attr_map_alloc(size_t size, gfp_t gfp);
void kvm_mem_attr_map_free(const void *memory, unsigned long gp);
#endif

#endif /* __LINUX_KVM_MEM_ATTR_MAP_H */
