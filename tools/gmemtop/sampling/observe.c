// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and attaches bpf/observe.bpf.c and reads what it found.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "sampling/observe.h"

#include "observe.skel.h"

struct observer {
	struct observe_bpf *skel;
};

struct observer *observer_open(uint64_t vm_id)
{
	struct observe_bpf *skel;
	struct observer *observer;
	int err;

	if (gmem_check_kernel()) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	observer = calloc(1, sizeof(*observer));
	if (!observer) {
		gmem_err("no memory to observe with; free some");
		return NULL;
	}
	skel = observe_bpf__open();
	err = skel ? 0 : -errno;
	if (!err) {
		observer->skel = skel;
		skel->rodata->vm_id = vm_id;
		err = observe_bpf__load(skel);
	}
	if (!err)
		err = observe_bpf__attach(skel);
	if (!err)
		return observer;
	if (err != -EAGAIN)
		gmem_err_bpf(err, "cannot attach the programs that observe");
	observer_close(observer);
	errno = -err;
	return NULL;
}

static void copy(struct latency *latency, const __u64 *hist)
{
	size_t i;

	latency->count = 0;
	for (i = 0; i < GMEM_HIST_LEN; i++) {
		latency->bucket[i] = __atomic_load_n(&hist[i], __ATOMIC_RELAXED);
		latency->count += latency->bucket[i];
	}
}

void observer_latency(const struct observer *observer, struct latency *faults,
		      struct latency *conversions)
{
	copy(faults, observer->skel->bss->fault_hist);
	copy(conversions, observer->skel->bss->convert_hist);
}

size_t observer_events(const struct observer *observer,
		       struct gmem_event *events, uint64_t *total)
{
	const struct observe_bpf__bss *bss = observer->skel->bss;
	uint64_t nr;
	size_t n = 0;

	*total = __atomic_load_n(&bss->nr_events, __ATOMIC_ACQUIRE);
	for (nr = *total; nr && nr + GMEM_EVENTS_MAX > *total; nr--) {
		const struct gmem_event *event =
			&bss->events[nr % GMEM_EVENTS_MAX];

		events[n] = *event;
		/* Half written, or overwritten while it was copied? */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (events[n].nr == nr &&
		    __atomic_load_n(&event->nr, __ATOMIC_RELAXED) == nr)
			n++;
	}
	return n;
}

void observer_close(struct observer *observer)
{
	if (!observer)
		return;
	observe_bpf__destroy(observer->skel);
	free(observer);
}

uint64_t latency_limit(unsigned int bucket)
{
	if (bucket < GMEM_HIST_SUB)
		return bucket;
	return ((GMEM_HIST_SUB + bucket % GMEM_HIST_SUB + 1ULL)
		<< (bucket / GMEM_HIST_SUB - 1)) - 1;
}

uint64_t latency_percentile(const struct latency *latency, unsigned int percent)
{
	uint64_t seen = 0, wanted;
	unsigned int i;

	if (!latency->count)
		return 0;
	/* Rounded up: of one event it is that event. */
	wanted = (latency->count * percent + 99) / 100;
	for (i = 0; i < GMEM_HIST_LEN; i++) {
		seen += latency->bucket[i];
		if (seen >= wanted)
			break;
	}
	return latency_limit(i);
}
