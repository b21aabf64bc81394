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
#include "gmem_source.h"
#include "gmem_whose.h"
#include "sampling/host.h"

/* Names hardly ever change, and reading one costs more than all counters. */
#define CHECK_AGAIN_NS	(10 * NSEC_PER_SEC)
#define CHECKS_MAX	8

struct host {
	struct source source;
	struct gmem_sampler *sampler;
	size_t next_check;
	uint64_t twice_ns;
	bool noticed;
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

/* Told once: which VMs these are changes, and why does not. */
static void notice(struct host *host, const struct whose *whose, uint64_t vm_id)
{
	bool name = whose_is_hidden(whose->no_name);

	if (host->noticed ||
	    (!name && !whose_is_hidden(whose->no_cgroup)))
		return;
	host->noticed = true;
	snprintf(host->source.notice, sizeof(host->source.notice),
		 "of VM %ju, and maybe of others, the %s is not known: %s",
		 (uintmax_t)vm_id, name ? "name" : "cgroup",
		 whose_explain(name ? whose->no_name : whose->no_cgroup));
}

static int check(struct host *host, struct facts *facts, struct vm_facts *vm,
		 const struct gmem_vm_sample *sample, uint64_t now)
{
	char cgroup[GMEM_CGROUP_LEN];
	struct whose whose;

	whose_read(&whose, host->sampler, sample);
	notice(host, &whose, vm->vm_id);
	vm->checked_ns = now;
	if (whose.cgroup)
		gmem_clean(cgroup, sizeof(cgroup), whose.cgroup);
	return facts_set(facts, vm, whose.name, whose.cgroup ? cgroup : NULL);
}

/* What a process was called that is gone says nothing of whose the VM is now. */
static int forget_gone(const struct frame *frame, struct facts *facts)
{
	size_t i;
	int err = 0;

	for (i = 0; i < facts->nr && !err; i++)
		if (!frame->vms.vms[i].owner_start_ns)
			err = facts_set(facts, &facts->vm[i], NULL, NULL);
	return err;
}

/* New ones at once; of those not looked at lately a few each time, in turn. */
static int check_processes(struct host *host, const struct frame *frame,
			   struct facts *facts)
{
	size_t i, nr = facts->nr, checks = 0, at;
	int err = forget_gone(frame, facts);

	for (i = 0; i < nr && !err; i++)
		if (!facts->vm[i].checked_ns)
			err = check(host, facts, &facts->vm[i],
				    &frame->vms.vms[i], frame->time_ns);
	at = host->next_check;
	for (i = 0; i < nr && checks < CHECKS_MAX && !err; i++, at++) {
		if (at >= nr)
			at = 0;
		/* One that is new may stand between those that are not. */
		if (frame->time_ns - facts->vm[at].checked_ns < CHECK_AGAIN_NS)
			continue;
		err = check(host, facts, &facts->vm[at], &frame->vms.vms[at],
			    frame->time_ns);
		checks++;
	}
	host->next_check = at;
	return err;
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

/* Whose memory that is backed twice is to be looked for now. */
static uint64_t twice_of(const struct host *host)
{
	const struct source *source = &host->source;

	if (source->twice_of == GMEM_TWICE_OF_ALL && host->twice_ns &&
	    gmem_now_ns() - host->twice_ns < source->twice_age_ns)
		return GMEM_TWICE_OF_LATER;
	return source->twice_of;
}

static int read_vms(struct host *host, struct frame *frame, struct facts *facts,
		    uint64_t twice)
{
	int err;

	gmem_sampler_twice_of(host->sampler, twice,
			      host->source.look_max_ns);
	err = gmem_sampler_read_all(host->sampler, &frame->vms,
				    &frame->policies);
	if (err)
		return err;
	order_vms(&frame->vms);
	return facts_keep(facts, &frame->vms.vms->vm_id,
			  sizeof(*frame->vms.vms), frame->vms.nr_vms);
}

static void note_twice(struct host *host, const struct frame *frame,
		       struct facts *facts)
{
	size_t i;

	for (i = 0; i < facts->nr; i++) {
		facts->vm[i].twice_pages = frame->vms.vms[i].twice_pages;
		facts->vm[i].twice_known = true;
	}
	host->twice_ns = frame->vms.time_ns;
}

/* Returns whether it was found of all. */
static bool recall_twice(struct frame *frame, const struct facts *facts)
{
	size_t i;

	for (i = 0; i < facts->nr; i++) {
		if (!facts->vm[i].twice_known)
			return false;
		frame->vms.vms[i].twice_pages = facts->vm[i].twice_pages;
	}
	return true;
}

static int host_read(struct source *source, struct frame *frame,
		     struct facts *facts)
{
	struct host *host = (struct host *)source;
	uint64_t twice = twice_of(host), nodes = memory_nodes();
	int err;

	err = read_vms(host, frame, facts, twice);
	if (!err && twice != source->twice_of && !recall_twice(frame, facts)) {
		twice = source->twice_of;
		err = read_vms(host, frame, facts, twice);
	}
	if (err)
		return err;
	if (twice == GMEM_TWICE_OF_ALL)
		note_twice(host, frame, facts);
	frame->real_ns = gmem_clock_ns(CLOCK_REALTIME);
	frame->boot_ns = gmem_clock_ns(CLOCK_BOOTTIME);
	frame->time_ns = frame->vms.time_ns;
	frame->host_pages = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			    (sysconf(_SC_PAGESIZE) / (GMEM_PAGE_KIB * 1024));
	frame->policies_enabled = gmem_policies_enabled();
	frame->nodes = frame->vms.by_node || nodes == 1 ? nodes : 0;
	return check_processes(host, frame, facts);
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
	host->source.about = gmem_source()->name;
	host->source.lacks = gmem_source()->lacks;
	gmem_sampler_find_mapped(host->sampler);
	return &host->source;
}

void host_count(struct source *source)
{
	struct host *host = (struct host *)source;

	/* Without, there are no rates, which is no reason to show nothing. */
	gmem_sampler_count(host->sampler);
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
