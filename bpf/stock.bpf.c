// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds VMs and their guest_memfds on a kernel that has nothing of gmem: among the
 * files that processes have open.  A walk is one read of the iterator from end to
 * end, and gives a struct gmem_stock_file for each file that is one of a VM; the tool
 * makes VMs of them.  Attaches to nothing, so it costs nothing between two walks.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gmem_abi.h"
#include "gmem_counts.h"
#include "gmem_rss.h"
#include "gmem_stock.h"

/* Of a guest_memfd that somebody has mapped: how far its pages were looked at. */
struct look {
	__u64 ino;
	__u64 index;
	__u64 counted;
	__u64 mapped;
};

/**
 * struct teller - of files that all tell the same, what they have in common
 * @vm: the VM
 * @inode: of a guest_memfd, else 0
 * @kind: enum gmem_stock_kind
 * @is_owners: the process is the one whose memory the VM's is
 */
struct teller {
	__u64 vm;
	__u64 inode;
	__u32 kind;
	__u32 is_owners;
};

/*
 * In which walk that was told last.  Whoever has a VM may have very many descriptors of
 * it.  What was forgotten for want of room is told again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, GMEM_VMS_MAX);
	__type(key, struct teller);
	__type(value, __u64);
} told SEC(".maps");

/* By where its inode is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, GMEM_VMS_MAX);
	__type(key, __u64);
	__type(value, struct look);
} looks SEC(".maps");

/* Slots of a node of the page cache, and nodes that one walk looks at: 1 GiB. */
#define SLOTS		64
#define NODES_MAX	4096
/* Levels of a page cache of 2^60 pages. */
#define LEVELS		10

static __u64 slots[SLOTS];

struct kvm_arch___stock {
	bool has_private_mem;
} __attribute__((preserve_access_index));

struct kvm___private {
	struct kvm_arch___stock arch;
} __attribute__((preserve_access_index));

/* What the clock of the reader's time namespace adds to the time since boot. */
static __always_inline __u64 since_boot(__u64 start_ns)
{
	struct task_struct *reader = bpf_get_current_task_btf();
	struct timespec64 *ahead;

	if (!bpf_core_field_exists(reader->nsproxy->time_ns))
		return start_ns;
	ahead = &reader->nsproxy->time_ns->offsets.boottime;
	return start_ns + ahead->tv_sec * 1000000000ULL + ahead->tv_nsec;
}

/* A process's number in the PID namespace of who reads; 0 if it has none there. */
static __always_inline __u32 pid_of(struct task_struct *leader)
{
	struct pid *own = bpf_get_current_task_btf()->thread_pid;
	struct pid *pid = leader->thread_pid;
	unsigned int level = own->level;
	struct upid here, there;

	if (bpf_core_read(&here, sizeof(here), &own->numbers[level]) ||
	    bpf_core_read(&there, sizeof(there), &pid->numbers[level]))
		return 0;
	/* What is beyond a process's own level is none of its numbers. */
	return pid->level >= level && here.ns == there.ns ? there.nr : 0;
}

static __always_inline void describe_owner(struct gmem_stock_file *found,
					   const struct task_struct *owner)
{
	struct task_struct *leader = owner->group_leader;

	found->owner_start_ns = since_boot(leader->start_boottime);
	found->owner_pid = pid_of(leader);
	found->pid = leader->tgid;
}

/* Whose memory the VM's is; @task has the file, which may have been given to it. */
static __always_inline void describe_process(struct gmem_stock_file *found,
					     const struct kvm *kvm,
					     struct task_struct *task, int kind)
{
	struct mm_struct *mm = BPF_CORE_READ(gmem_stock_vm(kvm), mm);
	struct task_struct *owner = gmem_stock_owner(kvm);

	found->rss_pages = GMEM_UNKNOWN;
	if (task->mm == mm)
		describe_owner(found, task);
	else if (owner)
		describe_owner(found, bpf_core_cast(owner, struct task_struct));
	/* Once is enough, and takes a look at each CPU. */
	if (kind == GMEM_STOCK_VM)
		found->rss_pages = rss_pages(bpf_core_cast(mm, struct mm_struct));
}

static __always_inline void describe_vm(struct gmem_stock_file *found,
					const struct kvm *kvm)
{
	const struct kvm___private *vm = (const void *)kvm;
	struct gmem_stock_counts *counted;

	found->vm = (__u64)kvm;
	found->vm_id = gmem_stock_id(kvm);
	found->nr_vcpus = BPF_CORE_READ(gmem_stock_vm(kvm), online_vcpus.counter);
	if (!bpf_core_field_exists(vm->arch.has_private_mem) ||
	    BPF_CORE_READ(vm, arch.has_private_mem))
		found->flags |= GMEM_STOCK_PRIVATE;
	counted = bpf_map_lookup_elem(&counts, &found->vm);
	if (counted)
		found->counts = *counted;
}

static __always_inline bool is_node(__u64 entry)
{
	return (entry & 3) == 2 && entry > 4096;
}

/*
 * Reads the node of the page cache that has the page at an index, or finds that there
 * is none.  Returns how many pages from there on it speaks of; 0 at the end.
 */
static __noinline __u64 read_node(__u64 head, __u64 index)
{
	__u64 entry = head, skip = 0;
	struct xa_node *node;
	unsigned int shift;
	int level;

	__builtin_memset(slots, 0, sizeof(slots));
	/* A file of one page has no node. */
	if (!is_node(entry)) {
		slots[0] = index ? 0 : entry;
		return index ? 0 : 1;
	}
	for (level = 0; level < LEVELS && is_node(entry); level++) {
		node = (struct xa_node *)(entry - 2);
		shift = BPF_CORE_READ(node, shift) & 63;
		if (!level && index >> shift >= SLOTS)
			return 0;
		if (!shift) {
			bpf_core_read(slots, sizeof(slots), &node->slots);
			return SLOTS - index % SLOTS;
		}
		skip = (1ULL << shift) - (index & ((1ULL << shift) - 1));
		if (bpf_core_read(&entry, sizeof(entry),
				  &node->slots[index >> shift & (SLOTS - 1)]))
			return 0;
	}
	return skip;
}

static __noinline __u64 count_mapped(void)
{
	__u64 nr = 0;
	int i;

	bpf_for(i, 0, SLOTS) {
		__u64 entry = slots[i & (SLOTS - 1)];

		/* Neither a page that was there, nor what stands for another. */
		if (entry && !(entry & 3))
			nr += bpf_core_cast((void *)entry, struct folio)
				      ->_mapcount.counter >= 0;
	}
	return nr;
}

/* Goes on where the walk before ended; from the first page to the last, and again. */
static __noinline __u64 look_mapped(struct inode *inode)
{
	__u64 key = (__u64)inode, ino = inode->i_ino, skip;
	struct look fresh = { .ino = ino, .mapped = GMEM_UNKNOWN };
	struct look *look = bpf_map_lookup_elem(&looks, &key);
	int i;

	if (!look || look->ino != ino) {
		bpf_map_update_elem(&looks, &key, &fresh, BPF_ANY);
		look = bpf_map_lookup_elem(&looks, &key);
	}
	if (!look)
		return GMEM_UNKNOWN;
	bpf_for(i, 0, NODES_MAX) {
		skip = read_node((__u64)inode->i_mapping->i_pages.xa_head,
				 look->index);
		look->counted += count_mapped();
		look->index += skip;
		if (skip)
			continue;
		look->mapped = look->counted;
		look->counted = 0;
		look->index = 0;
		break;
	}
	return look->mapped;
}

static __always_inline void describe_memfd(struct gmem_stock_file *found,
					   struct inode *inode)
{
	found->inode = (__u64)inode;
	found->size_pages = (__u64)inode->i_size / 4096;
	found->populated_pages = inode->i_mapping->nrpages;
	if (inode->i_mapping->i_mmap.rb_root.rb_node)
		found->mapped_pages = look_mapped(inode);
}

static __always_inline bool is_wanted(const struct file *file, int kind)
{
	struct kvm_vcpu___stock *vcpu = file->private_data;

	/* A VM may live in the file of a vCPU alone; the first one stands for all. */
	return kind != GMEM_STOCK_NONE &&
	       (kind != GMEM_STOCK_VCPU || !BPF_CORE_READ(vcpu, vcpu_idx));
}

static __always_inline struct teller teller_of(const struct kvm *kvm,
					       const struct task_struct *task,
					       const struct file *file, int kind)
{
	struct teller teller = {
		.vm = (__u64)kvm,
		.inode = kind == GMEM_STOCK_MEMFD ? (__u64)file->f_inode : 0,
		.kind = kind,
		.is_owners = task->mm == BPF_CORE_READ(gmem_stock_vm(kvm), mm),
	};

	return teller;
}

SEC("iter/task_file")
int walk_files(struct bpf_iter__task_file *ctx)
{
	struct gmem_stock_file found = {};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct teller teller;
	__u64 walk, *last;
	struct kvm *kvm;
	int kind;

	if (!ctx->meta->seq_num)
		find_cpus();
	if (!task || !file)
		return 0;
	kind = gmem_stock_kind(file);
	if (!is_wanted(file, kind))
		return 0;
	kvm = gmem_stock_kvm(file, kind);
	if (!kvm)
		return 0;
	walk = ctx->meta->session_id;
	teller = teller_of(kvm, task, file, kind);
	last = bpf_map_lookup_elem(&told, &teller);
	if (last && *last == walk)
		return 0;
	describe_vm(&found, kvm);
	describe_process(&found, kvm, task, kind);
	if (kind == GMEM_STOCK_MEMFD)
		describe_memfd(&found, file->f_inode);
	/* What does not fit comes again. */
	if (!bpf_seq_write(ctx->meta->seq, &found, sizeof(found)))
		bpf_map_update_elem(&told, &teller, &walk, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
