// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's tracepoints are listened to by bpf/watch.bpf.c.  A policy of BPF's LSM has a
 * ring of its own: those in force are looked for again now and then.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "attached/events.h"
#include "gmem_clock.h"
#include "gmem_kernel.h"
#include "gmem_lsm_policies.h"
#include "gmem_sample.h"
#include "gmem_source.h"

#include "watch.skel.h"

#define LOOK_AGAIN_NS	(1000000000ULL)

/* A policy whose ring is read. */
struct source {
	uint32_t link_id;
	int counts;
	uint64_t untold;
};

struct events {
	enum events_of of;
	uint64_t vm;
	ring_buffer_sample_fn use;
	void *ctx;
	struct ring_buffer *ring;
	struct watch_bpf *skel;
	uint64_t began_ns;
	uint64_t looked_ns;
	size_t nr_sources;
	struct source *sources;
};

/* ------------------------------------------------------------- tracepoints */

static int open_tracepoints(struct events *events)
{
	bool verdicts = events->of == EVENTS_OF_VERDICTS;
	struct watch_bpf *skel = watch_bpf__open();
	int err;

	if (!skel)
		return -errno;
	events->skel = skel;
	skel->rodata->only_vm = events->vm;
	bpf_program__set_autoload(skel->progs.on_verdict, verdicts);
	bpf_program__set_autoload(skel->progs.on_vm_create, !verdicts);
	bpf_program__set_autoload(skel->progs.on_vm_destroy, !verdicts);
	err = watch_bpf__load(skel);
	if (!err)
		err = watch_bpf__attach(skel);
	if (err)
		return err;
	events->ring = ring_buffer__new(bpf_map__fd(skel->maps.events),
					events->use, events->ctx, NULL);
	return events->ring ? 0 : -errno;
}

/* ------------------------------------------------------------------- rings */

static uint64_t untold(int counts)
{
	struct gmem_lsm_counts c;
	uint32_t zero = 0;

	return counts < 0 || bpf_map_lookup_elem(counts, &zero, &c) ? 0 :
								       c.untold;
}

/* What nobody listened to is still there. */
static int on_ring_event(void *ctx, void *data, size_t size)
{
	const struct gmem_watch_event *event = data;
	struct events *events = ctx;

	if (size < sizeof(*event) || event->time_ns < events->began_ns ||
	    (events->vm && event->vm_id != events->vm))
		return 0;
	return events->use(events->ctx, data, size);
}

static int add_ring(struct events *events, int map)
{
	if (events->ring)
		return ring_buffer__add(events->ring, map, on_ring_event,
					events);
	events->ring = ring_buffer__new(map, on_ring_event, events, NULL);
	return events->ring ? 0 : -errno;
}

static int add_source(struct events *events, uint32_t link_id)
{
	int link = bpf_link_get_fd_by_id(link_id), map = -1, err;
	struct gmem_lsm_link lsm;
	struct source *source;

	/* It may have ended meanwhile. */
	if (link < 0)
		return 0;
	err = gmem_lsm_link(link, &lsm);
	close(link);
	if (err)
		return 0;
	source = reallocarray(events->sources, events->nr_sources + 1,
			      sizeof(*source));
	if (!source)
		return -ENOMEM;
	events->sources = source;
	source += events->nr_sources;
	source->link_id = link_id;
	source->counts = gmem_lsm_map(lsm.prog_id, GMEM_LSM_COUNTS);
	map = gmem_lsm_map(lsm.prog_id, GMEM_LSM_EVENTS);
	/* One that never refuses anything has no ring. */
	if (source->counts >= 0 && map >= 0) {
		source->untold = untold(source->counts);
		err = add_ring(events, map);
	}
	if (map >= 0)
		close(map);
	events->nr_sources++;
	return err;
}

static bool is_known(const struct events *events, uint32_t link_id)
{
	size_t i;

	for (i = 0; i < events->nr_sources; i++) {
		if (events->sources[i].link_id == link_id)
			return true;
	}
	return false;
}

static int look_for_rings(struct events *events)
{
	struct gmem_policies policies = {};
	size_t i;
	int err;

	err = gmem_lsm_read_policies(&policies);
	for (i = 0; i < policies.nr && !err; i++) {
		if (!is_known(events, policies.policies[i].link_id))
			err = add_source(events, policies.policies[i].link_id);
	}
	gmem_policies_free(&policies);
	events->looked_ns = gmem_now_ns();
	return err;
}

/* ------------------------------------------------------------------ either */

struct events *events_open(enum events_of of, uint64_t vm,
			   ring_buffer_sample_fn use, void *ctx)
{
	struct events *events = calloc(1, sizeof(*events));
	int err;

	if (!events) {
		gmem_err("no memory to listen to KVM; free some");
		return NULL;
	}
	events->of = of;
	events->vm = vm;
	events->use = use;
	events->ctx = ctx;
	events->began_ns = gmem_clock_ns(CLOCK_BOOTTIME);
	if (!gmem_source_is_stock())
		err = open_tracepoints(events);
	else
		err = of == EVENTS_OF_VERDICTS ? look_for_rings(events) : 0;
	if (!err)
		return events;
	gmem_err_bpf(err, "cannot watch %s",
		     of == EVENTS_OF_VERDICTS ? "the verdicts" :
						"which VMs come and go");
	events_close(events);
	return NULL;
}

int events_poll(struct events *events, int ms)
{
	int err;

	if (events->looked_ns &&
	    gmem_now_ns() - events->looked_ns > LOOK_AGAIN_NS) {
		err = look_for_rings(events);
		if (err)
			return err;
	}
	if (events->ring)
		return ring_buffer__poll(events->ring, ms);
	return poll(NULL, 0, ms) < 0 ? -errno : 0;
}

uint64_t events_lost(const struct events *events)
{
	uint64_t lost = events->skel ? events->skel->bss->lost : 0;
	size_t i;

	for (i = 0; i < events->nr_sources; i++)
		lost += untold(events->sources[i].counts) -
			events->sources[i].untold;
	return lost;
}

void events_close(struct events *events)
{
	size_t i;

	if (!events)
		return;
	ring_buffer__free(events->ring);
	watch_bpf__destroy(events->skel);
	for (i = 0; i < events->nr_sources; i++) {
		if (events->sources[i].counts >= 0)
			close(events->sources[i].counts);
	}
	free(events->sources);
	free(events);
}
