// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is the same for all frames: the shares of VMs in their process's memory,
 * what is to be told of where they come from, and the frame's own.
 */
#include <errno.h>
#include <stdlib.h>

#include "figures/frame.h"

void source_tell(struct source *source)
{
	if (source->notice[0])
		gmem_err("%s", source->notice);
	source->notice[0] = '\0';
}

/**
 * struct process - a process that has VMs, in a table with free places
 * @pid: its number
 * @nr_vms: how many
 * @nr_served: how many of these have their share
 * @pages: its resident memory
 * @mapped: what of it is their guest_memfds
 * @given: what of @mapped they have
 */
struct process {
	uint32_t pid;
	uint32_t nr_vms;
	uint32_t nr_served;
	uint64_t pages;
	uint64_t mapped;
	uint64_t given;
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Where it is not known what of the guest_memfds is resident, all is shared. */
static uint64_t mapped_of(const struct gmem_vm_sample *vm)
{
	return vm->mapped_pages == GMEM_UNKNOWN ? 0 : vm->mapped_pages;
}

static bool is_resident(const struct gmem_vm_sample *vm)
{
	return vm->rss_pages && vm->rss_pages != GMEM_UNKNOWN;
}

static struct process *find_process(struct process *table, size_t room,
				    uint32_t pid)
{
	size_t i = pid & (room - 1);

	while (table[i].nr_vms && table[i].pid != pid)
		i = (i + 1) & (room - 1);
	return &table[i];
}

static void add_vm(struct process *process, const struct gmem_vm_sample *vm)
{
	if (!process->nr_vms++) {
		process->pid = vm->pid;
		process->pages = vm->rss_pages;
	}
	/* More may be mapped than is resident: by another process. */
	process->mapped += smaller(mapped_of(vm),
				   process->pages - process->mapped);
}

/* The pages that do not divide are the oldest VMs'. */
static void share(struct gmem_vm_sample *vm, struct process *process)
{
	uint64_t own = smaller(mapped_of(vm),
			       process->mapped - process->given);
	uint64_t rest = process->pages - process->mapped;

	process->given += own;
	vm->rss_pages = own + rest / process->nr_vms +
			(process->nr_served++ < rest % process->nr_vms);
}

int frame_share_resident(struct frame *frame)
{
	struct gmem_vm_sample *vms = frame->vms.vms;
	size_t i, room = 16, nr = frame->vms.nr_vms;
	struct process *table, *process;
	bool shared = false;

	while (room < 2 * nr)
		room *= 2;
	table = calloc(room, sizeof(*table));
	if (!table) {
		gmem_err("no memory for the processes of %zu VMs; free some", nr);
		return -ENOMEM;
	}
	/* One that is gone has nothing, and its number may be another's. */
	for (i = 0; i < nr; i++) {
		if (!is_resident(&vms[i]))
			continue;
		process = find_process(table, room, vms[i].pid);
		add_vm(process, &vms[i]);
		shared |= process->nr_vms > 1;
	}
	for (i = 0; i < nr && shared; i++)
		if (is_resident(&vms[i]))
			share(&vms[i], find_process(table, room, vms[i].pid));
	free(table);
	return 0;
}

void frame_free(struct frame *frame)
{
	gmem_sample_free(&frame->vms);
	gmem_policies_free(&frame->policies);
	*frame = (struct frame) {};
}
