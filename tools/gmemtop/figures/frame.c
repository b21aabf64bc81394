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

/* A process that has VMs, in a table with free places. */
struct process {
	uint32_t pid;
	uint32_t nr_vms;
	uint32_t nr_served;
};

static struct process *find_process(struct process *table, size_t room,
				    uint32_t pid)
{
	size_t i = pid & (room - 1);

	while (table[i].nr_vms && table[i].pid != pid)
		i = (i + 1) & (room - 1);
	return &table[i];
}

/* The pages that do not divide are the oldest VMs'. */
static void share(struct gmem_vm_sample *vm, struct process *process)
{
	uint64_t pages = vm->rss_pages;

	vm->rss_pages = pages / process->nr_vms +
			(process->nr_served++ < pages % process->nr_vms);
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
		if (!vms[i].rss_pages)
			continue;
		process = find_process(table, room, vms[i].pid);
		process->pid = vms[i].pid;
		shared |= process->nr_vms++;
	}
	for (i = 0; i < nr && shared; i++)
		if (vms[i].rss_pages)
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
