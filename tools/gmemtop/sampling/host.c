// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames of this host: the kernel's counters, and the names of the processes
 * that they belong to.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "gmem_clock.h"
#include "gmem_kernel.h"
#include "gmem_process.h"
#include "sampling/host.h"

/* Names hardly ever change, and reading one costs more than all counters. */
#define CHECK_AGAIN_NS	(10 * NSEC_PER_SEC)
#define CHECKS_MAX	8

struct host {
	struct source source;
	struct gmem_sampler *sampler;
	size_t next_check;
};

static int compare_ids(const void *a, const void *b)
{
	const struct gmem_vm_sample *va = a, *vb = b;

	return (va->vm_id > vb->vm_id) - (va->vm_id < vb->vm_id);
}

/* The kernel lists VMs as they were born, which is the order of their ids. */
static void order_vms(struct gmem_sample *sample)
{
	size_t i;

	for (i = 1; i < sample->nr_vms; i++) {
		if (sample->vms[i - 1].vm_id > sample->vms[i].vm_id) {
			qsort(sample->vms, sample->nr_vms, sizeof(*sample->vms),
			      compare_ids);
			return;
		}
	}
}

static void check(struct vm_facts *facts, const struct gmem_vm_sample *vm,
		  uint64_t now)
{
	/* A process that is gone may have left its number to another. */
	if (!facts->checked_ns || vm->rss_pages)
		process_describe(vm->pid, facts->name, sizeof(facts->name),
				 facts->cgroup, sizeof(facts->cgroup));
	facts->checked_ns = now;
}

/* New ones at once; of those not looked at lately a few each time, in turn. */
static void check_processes(struct host *host, const struct frame *frame,
			    struct facts *facts)
{
	size_t i, nr = facts->nr, checks = 0, at;

	for (i = 0; i < nr; i++)
		if (!facts->vm[i].checked_ns)
			check(&facts->vm[i], &frame->vms.vms[i], frame->time_ns);
	at = host->next_check;
	for (i = 0; i < nr && checks < CHECKS_MAX; i++, at++) {
		if (at >= nr)
			at = 0;
		/* One that is new may stand between those that are not. */
		if (frame->time_ns - facts->vm[at].checked_ns < CHECK_AGAIN_NS)
			continue;
		check(&facts->vm[at], &frame->vms.vms[at], frame->time_ns);
		checks++;
	}
	host->next_check = at;
}

/*
 * The NUMA nodes that have memory, as in "0-1,4": one may be plugged in at any
 * time.  A kernel without NUMA has no such file, and node 0 alone.
 */
static uint64_t memory_nodes(void)
{
	FILE *f = fopen("/sys/devices/system/node/has_memory", "re");
	unsigned int first, last;
	uint64_t nodes = 0;

	while (f && fscanf(f, "%u", &first) == 1) {
		if (fscanf(f, "-%u", &last) != 1)
			last = first;
		for (; first <= last && first < GMEM_NODES_MAX; first++)
			nodes |= 1ULL << first;
		if (fgetc(f) != ',')
			break;
	}
	if (f)
		fclose(f);
	return nodes ? nodes : 1;
}

static int host_read(struct source *source, struct frame *frame,
		     struct facts *facts)
{
	struct host *host = (struct host *)source;
	int err;

	gmem_sampler_twice_of(host->sampler, source->twice_of,
			      source->twice_max_ns);
	err = gmem_sampler_read_all(host->sampler, &frame->vms,
				    &frame->policies);
	if (err)
		return err;
	frame->real_ns = gmem_clock_ns(CLOCK_REALTIME);
	frame->time_ns = frame->vms.time_ns;
	frame->host_pages = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			    (sysconf(_SC_PAGESIZE) / (GMEM_PAGE_KIB * 1024));
	frame->policies_enabled = gmem_policies_enabled();
	frame->nodes = memory_nodes();

	order_vms(&frame->vms);
	err = facts_keep(facts, &frame->vms.vms->vm_id,
			 sizeof(*frame->vms.vms), frame->vms.nr_vms);
	if (err)
		return err;
	check_processes(host, frame, facts);
	return 0;
}

struct source *host_open(void)
{
	struct host *host = calloc(1, sizeof(*host));

	if (!host) {
		gmem_err("no memory to sample with; free some");
		return NULL;
	}
	host->source.read = host_read;
	host->source.live = true;
	host->sampler = gmem_sampler_open();
	if (!host->sampler) {
		free(host);
		return NULL;
	}
	return &host->source;
}

int host_fix(struct source *source, size_t vms, size_t policies)
{
	struct host *host = (struct host *)source;

	return gmem_sampler_fix(host->sampler, vms, policies);
}

void host_close(struct source *source)
{
	struct host *host = (struct host *)source;

	if (!host)
		return;
	gmem_sampler_close(host->sampler);
	free(host);
}
