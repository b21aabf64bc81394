/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What guest_memfd.c reports of its files.  Nothing here decides or counts;
 * see gmem_events.c.
 */
#ifndef __KVM_GMEM_FILE_H
#define __KVM_GMEM_FILE_H

#include <linux/kvm_host.h>
#include <linux/pagemap.h>

#ifdef CONFIG_KVM_GMEM_BPF

/**
 * struct kvm_gmem_file - what is kept of a guest_memfd
 * @node: in the list of its VM's files
 * @kvm: its VM
 * @mapping: its page cache
 * @bindings: memslots by page index, stable under @mapping's invalidate lock
 */
struct kvm_gmem_file {
	struct list_head node;
	struct kvm *kvm;
	struct address_space *mapping;
	struct xarray *bindings;
};

/**
 * struct kvm_gmem_request - a request for a range of pages under way
 * @fault: what was asked for
 * @began_ns: when it began, 0 if nobody asked for the duration
 */
struct kvm_gmem_request {
	struct kvm_gmem_fault fault;
	u64 began_ns;
};

void kvm_gmem_file_created(struct kvm_gmem_file *file, struct kvm *kvm,
			   struct address_space *mapping,
			   struct xarray *bindings);
void kvm_gmem_file_released(struct kvm_gmem_file *file);
struct folio *kvm_gmem_file_grab_folio(struct kvm_gmem_file *file,
				       struct address_space *mapping,
				       pgoff_t index);
int kvm_gmem_file_begin(struct kvm_gmem_file *file,
			struct kvm_gmem_request *request, pgoff_t start,
			pgoff_t end, u32 reason);
void kvm_gmem_file_end(struct kvm_gmem_file *file,
		       struct kvm_gmem_request *request, pgoff_t end,
		       int result);
void kvm_gmem_file_punched(struct kvm_gmem_file *file, pgoff_t start,
			   pgoff_t end);
void kvm_gmem_file_failed(struct kvm_gmem_file *file, pgoff_t start,
			  pgoff_t end);
void kvm_gmem_slot_bound(struct kvm_gmem_file *file,
			 struct kvm_memory_slot *slot);
void kvm_gmem_slot_unbound(struct kvm_gmem_file *file,
			   struct kvm_memory_slot *slot);

#else /* !CONFIG_KVM_GMEM_BPF */

struct kvm_gmem_file {
};

struct kvm_gmem_request {
};

static inline struct folio *
kvm_gmem_file_grab_folio(struct kvm_gmem_file *file,
			 struct address_space *mapping, pgoff_t index)
{
	return filemap_grab_folio(mapping, index);
}

static inline void kvm_gmem_file_created(struct kvm_gmem_file *file,
					 struct kvm *kvm,
					 struct address_space *mapping,
					 struct xarray *bindings)
{
}

static inline void kvm_gmem_file_released(struct kvm_gmem_file *file)
{
}

static inline int kvm_gmem_file_begin(struct kvm_gmem_file *file,
				      struct kvm_gmem_request *request,
				      pgoff_t start, pgoff_t end, u32 reason)
{
	return 0;
}

static inline void kvm_gmem_file_end(struct kvm_gmem_file *file,
				     struct kvm_gmem_request *request,
				     pgoff_t end, int result)
{
}

static inline void kvm_gmem_file_punched(struct kvm_gmem_file *file,
					 pgoff_t start, pgoff_t end)
{
}

static inline void kvm_gmem_file_failed(struct kvm_gmem_file *file,
					pgoff_t start, pgoff_t end)
{
}

static inline void kvm_gmem_slot_bound(struct kvm_gmem_file *file,
				       struct kvm_memory_slot *slot)
{
}

static inline void kvm_gmem_slot_unbound(struct kvm_gmem_file *file,
					 struct kvm_memory_slot *slot)
{
}

#endif /* CONFIG_KVM_GMEM_BPF */

#endif /* __KVM_GMEM_FILE_H */
