// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of columns, and what follows from it for one cell.
 */
#include <errno.h>
#include <string.h>

#include "figures/columns.h"

static uint64_t pid(const struct gmem_vm_sample *vm)
{
	return vm->owner_pid ? vm->owner_pid : GMEM_UNKNOWN;
}

static uint64_t vcpus(const struct gmem_vm_sample *vm)
{
	return vm->nr_vcpus;
}

/*
 * What the process has mapped of the guest_memfds is populated and resident.  More
 * may be mapped than is resident: by another process.
 */
static uint64_t total_pages(const struct gmem_vm_sample *vm)
{
	uint64_t other = vm->rss_pages > vm->mapped_pages ?
			 vm->rss_pages - vm->mapped_pages : 0;

	return vm->populated_pages + other;
}

static uint64_t faults(const struct gmem_vm_sample *vm)
{
	uint64_t sum = vm->arch_faults + vm->host_faults;
	int i;

	for (i = 0; i < GMEM_NR_FAULTS; i++)
		sum += vm->faults[i];
	return sum;
}

static uint64_t invalidations(const struct gmem_vm_sample *vm)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < GMEM_NR_INVALIDATES; i++)
		sum += vm->invalidations[i];
	/* Where that is not known there are none. */
	if (vm->invalidations_migration != GMEM_UNKNOWN)
		sum += vm->invalidations_migration;
	return sum;
}

/* All reasons are known, or none is. */
static uint64_t sum_known(const __u64 *reasons, int nr)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < nr; i++) {
		if (reasons[i] == GMEM_UNKNOWN)
			return GMEM_UNKNOWN;
		sum += reasons[i];
	}
	return sum;
}

static uint64_t huge_fallbacks(const struct gmem_vm_sample *vm)
{
	return sum_known(vm->huge_fallbacks + GMEM_HUGE_ALIGNMENT,
			 GMEM_NR_HUGE_FALLBACKS - GMEM_HUGE_ALIGNMENT);
}

static uint64_t moves_refused(const struct gmem_vm_sample *vm)
{
	return sum_known(vm->moves_refused, GMEM_NR_MOVE_REFUSALS);
}

static uint64_t denied(const struct gmem_vm_sample *vm)
{
	return vm->faults_denied + vm->conversions_denied;
}

static const char *name(const struct row *row, char *dst)
{
	return facts_name(row->facts);
}

static const char *shown_name(const struct row *row)
{
	return row->facts->short_name;
}

static const char *cgroup(const struct row *row, char *dst)
{
	return facts_cgroup(row->facts);
}

static const char *shown_cgroup(const struct row *row)
{
	return row->facts->short_cgroup;
}

/* The policies that are asked for this VM, in the order they run. */
static const char *policies(const struct row *row, char *dst)
{
	const struct gmem_policies *all = row->policies;
	size_t i, len = 0;

	strcpy(dst, "-");
	for (i = 0; all && i < all->nr; i++) {
		const struct gmem_policy_sample *p = &all->policies[i];
		char safe[GMEM_POLICY_NAME_LEN];

		if (p->vm_id && p->vm_id != row->now->vm_id)
			continue;
		gmem_clean(safe, sizeof(safe), p->name);
		len += snprintf(dst + len, TEXT_LEN - len, "%s%s%s",
				len ? "," : "", safe,
				p->flags & GMEM_POLICY_AUDIT ? "?" : "");
		if (len >= TEXT_LEN)
			break;
	}
	return dst;
}

/*
 * Populated memory by NUMA node, of those nodes that have some; "..." stands for
 * those that there is no room for.
 */
static const char *nodes(const struct row *row, char *dst)
{
	static const char more[] = " ...";
	char pages[CELL_LEN], item[2 * CELL_LEN];
	size_t len = 0;
	int i, n;

	strcpy(dst, "-");
	for (i = 0; i < GMEM_NODES_MAX; i++) {
		if (!(row->nodes >> i & 1) || !row->now->node_pages[i])
			continue;
		gmem_format_pages(pages, sizeof(pages), row->now->node_pages[i]);
		n = snprintf(item, sizeof(item), "%s%d:%s", len ? " " : "", i,
			     pages);
		if (len + n + sizeof(more) > TEXT_LEN) {
			strcpy(dst + len, more);
			break;
		}
		strcpy(dst + len, item);
		len += n;
	}
	return dst;
}

#define AT(member) .offset = offsetof(struct gmem_vm_sample, member)
#define PER(member) .per = offsetof(struct gmem_vm_sample, member)

#define GAUGE(_name, _unit, _scale, _help)				\
	.metric = { METRIC_GAUGE, "gmem_vm_" _name, _unit, _help, _scale }
#define COUNTER(_name, _unit, _scale, _help)				\
	.metric = { METRIC_COUNTER, "gmem_vm_" _name, _unit, _help, _scale }
#define LABEL(_name, _help)						\
	.metric = { METRIC_LABEL, _name, NULL, _help, 0 }
#define INFO(_name, _help)						\
	.metric = { METRIC_INFO, _name, NULL, _help, 0 }
#define BYTES(_name, _help)						\
	GAUGE(_name "_bytes", "bytes", GMEM_PAGE_KIB * 1024.0, _help)
#define BYTES_MOVED(_name, _help)					\
	COUNTER(_name "_bytes", "bytes", GMEM_PAGE_KIB * 1024.0, _help)
#define EVENTS(_name, _help)						\
	COUNTER(_name, NULL, 0, _help)

const struct column columns[NR_COLUMNS] = {
	[COLUMN_ID] = {
		.key = "id", .title = "ID", .width = 5,
		.kind = COLUMN_NUMBER, AT(vm_id),
		.json = "id",
		.help = "the VM's id, not used again while KVM is loaded",
		LABEL("vm", "Id of the VM, not used again while KVM is loaded."),
	},
	[COLUMN_PID] = {
		.key = "pid", .title = "PID", .width = 7,
		.kind = COLUMN_NUMBER, .counter = pid, .may_lack = true,
		.json = "pid",
		.help = "process that created the VM, as this PID namespace has it",
		INFO("pid", "Process that created the VM, as the exporter's PID namespace has it."),
	},
	[COLUMN_NAME] = {
		.key = "name", .title = "NAME", .width = 15,
		.kind = COLUMN_TEXT, .text = name, .shown = shown_name,
		.json = "name",
		.help = "what its monitor calls it, or the name of the process",
		INFO("name", "Name of the VM."),
	},
	[COLUMN_PRIVATE] = {
		.key = "private", .title = "PRIV", .width = 5,
		.kind = COLUMN_PAGES, AT(private_pages),
		.json = "private_pages", .total = "private",
		.help = "guest memory that is private, of its guest_memfds",
		BYTES("private", "Guest memory that is private and that a guest_memfd is behind."),
	},
	[COLUMN_POPULATED] = {
		.key = "populated", .title = "POPUL", .width = 5,
		.kind = COLUMN_PAGES, AT(populated_pages),
		.json = "populated_pages", .total = "populated",
		.help = "host memory allocated in its guest_memfds",
		BYTES("populated", "Host memory allocated in guest_memfds."),
	},
	[COLUMN_STALE] = {
		.key = "stale", .title = "STALE", .width = 5,
		.kind = COLUMN_PAGES, AT(stale_pages),
		.json = "stale_pages", .total = "stale",
		.help = "populated memory that no private guest page uses",
		BYTES("stale", "Populated memory that no private guest page uses."),
	},
	[COLUMN_RSS] = {
		.key = "rss", .title = "RSS", .width = 5,
		.kind = COLUMN_PAGES, AT(rss_pages),
		.json = "rss_pages",
		.help = "its share of its process's resident memory, huge pages too",
		BYTES("monitor_resident", "Resident memory of the process that created the VM, hugetlb pages included; of several VMs of one process each has what is mapped of its own guest_memfds, and an equal share of the rest."),
	},
	[COLUMN_TOTAL] = {
		.key = "total", .title = "TOTAL", .width = 5,
		.kind = COLUMN_PAGES, .counter = total_pages,
		.json = "total_pages",
		.help = "host memory it takes: populated or resident, each page once",
		BYTES("host_memory", "Host memory that the VM takes: populated, and its share of what else is resident."),
	},
	[COLUMN_FAULTS] = {
		.key = "faults", .title = "FLT/S", .width = 5,
		.kind = COLUMN_RATE, .counter = faults,
		.total = "faults/s",
		.help = "requests for pages of its guest_memfds per second",
		EVENTS("faults", "Requests for pages of guest_memfds."),
	},
	[COLUMN_TO_PRIVATE] = {
		.key = "to_private", .title = ">PRIV", .width = 5,
		.kind = COLUMN_RATE, AT(pages_to_private),
		.json = "pages_to_private",
		.help = "pages made private per second",
		BYTES_MOVED("to_private", "Guest memory that became private."),
	},
	[COLUMN_TO_SHARED] = {
		.key = "to_shared", .title = ">SHAR", .width = 5,
		.kind = COLUMN_RATE, AT(pages_to_shared),
		.json = "pages_to_shared",
		.help = "pages made shared per second",
		BYTES_MOVED("to_shared", "Guest memory that became shared."),
	},
	[COLUMN_CONVERSIONS] = {
		.key = "conversions", .title = "CONV/S", .width = 6,
		.kind = COLUMN_RATE, AT(conversions),
		.json = "conversions", .total = "conv/s",
		.help = "attribute changes per second that changed something",
		EVENTS("conversions", "Attribute changes that changed something."),
	},
	[COLUMN_DENIED] = {
		.key = "denied", .title = "DENY/S", .width = 6,
		.kind = COLUMN_RATE, .counter = denied,
		.total = "denied/s",
		.help = "requests that policies denied per second",
		EVENTS("denied", "Requests that policies denied."),
	},
	[COLUMN_DELAYED] = {
		.key = "delayed", .title = "DELAY", .width = 5,
		.kind = COLUMN_RATE, AT(delayed_ns),
		.json = "delayed_ns", .total = "ms/s delayed", .scale = 1e-6,
		.help = "milliseconds of delay by policies per second",
		COUNTER("delay_seconds", "seconds", 1e-9, "Delay that policies imposed."),
	},
	[COLUMN_POLICIES] = {
		.key = "policies", .title = "POLICIES", .width = 12,
		.kind = COLUMN_TEXT, .text = policies,
		.json = "policies",
		.help = "policies in force on it, ? marks one in audit mode",
		.metric = { .type = METRIC_NONE },
	},
	[COLUMN_TREND_CONVERSIONS] = {
		.key = "trend", .title = "TREND", .width = VM_TREND_LEN,
		.kind = COLUMN_TREND, AT(conversions),
		.help = "its conversions at the last refreshes",
		.metric = { .type = METRIC_NONE },
	},
	[COLUMN_INVALIDATIONS] = {
		.key = "invalidations", .title = "INV/S", .width = 5,
		.kind = COLUMN_RATE, .counter = invalidations,
		.total = "inval/s",
		.help = "ranges of guest mappings taken away per second",
		EVENTS("invalidations", "Ranges of guest mappings taken away."),
	},
	[COLUMN_VCPUS] = {
		.key = "vcpus", .title = "VCPUS", .width = 5,
		.kind = COLUMN_NUMBER, .counter = vcpus,
		.json = "vcpus",
		.help = "virtual processors online",
		GAUGE("vcpus", NULL, 0, "Virtual processors online."),
	},
	[COLUMN_SIZE] = {
		.key = "size", .title = "SIZE", .width = 5,
		.kind = COLUMN_PAGES, AT(size_pages),
		.json = "size_pages",
		.help = "sum of the sizes of its guest_memfds",
		BYTES("guest_memfd", "Sum of the sizes of the guest_memfds."),
	},
	[COLUMN_HUGE] = {
		.key = "huge", .title = "HUGE", .width = 5,
		.kind = COLUMN_PERCENT, .may_lack = true,
		AT(huge_pages), PER(populated_pages),
		.help = "part of POPUL that is in huge folios",
		.metric = { .type = METRIC_NONE },
	},
	[COLUMN_CGROUP] = {
		.key = "cgroup", .title = "CGROUP", .width = 24,
		.kind = COLUMN_TEXT, .text = cgroup, .shown = shown_cgroup,
		.json = "cgroup",
		.help = "control group of its process",
		INFO("cgroup", "Control group of the process."),
	},
	[COLUMN_FAULTS_VCPU] = {
		.key = "faults_vcpu", .title = "F-VCPU", .width = 6,
		.kind = COLUMN_RATE, AT(faults[GMEM_FAULT_VCPU]),
		.json = "faults_vcpu",
		.help = "faults of its vCPUs per second",
		EVENTS("faults_vcpu", "Private pages that vCPUs faulted in."),
	},
	[COLUMN_FAULTS_PREFAULT] = {
		.key = "faults_prefault", .title = "F-PRE", .width = 6,
		.kind = COLUMN_RATE, AT(faults[GMEM_FAULT_PREFAULT]),
		.json = "faults_prefault",
		.help = "pages faulted in advance per second",
		EVENTS("faults_prefault", "Private pages that were faulted in advance."),
	},
	[COLUMN_FAULTS_POPULATE] = {
		.key = "faults_populate", .title = "F-POP", .width = 6,
		.kind = COLUMN_RATE, AT(faults[GMEM_FAULT_POPULATE]),
		.json = "faults_populate",
		.help = "pages filled at start per second",
		EVENTS("faults_populate", "Private pages that were filled at start."),
	},
	[COLUMN_FAULTS_FALLOCATE] = {
		.key = "faults_fallocate", .title = "F-FALL", .width = 6,
		.kind = COLUMN_RATE, AT(faults[GMEM_FAULT_FALLOCATE]),
		.json = "faults_fallocate",
		.help = "pages allocated by fallocate(2) per second",
		EVENTS("faults_fallocate", "Private pages that fallocate asked for."),
	},
	[COLUMN_FAULTS_ARCH] = {
		.key = "faults_arch", .title = "F-ARCH", .width = 6,
		.kind = COLUMN_RATE, AT(arch_faults),
		.json = "faults_arch",
		.help = "pages that the host keeps vCPUs' state in per second",
		EVENTS("faults_arch", "Private pages that the host asked for to keep a vCPU's state in."),
	},
	[COLUMN_FAULTS_HOST] = {
		.key = "faults_host", .title = "F-HOST", .width = 6,
		.kind = COLUMN_RATE, AT(host_faults),
		.json = "faults_host",
		.help = "faults of processes that have its memory mapped per second",
		EVENTS("faults_host", "Pages that processes of the host faulted in."),
	},
	[COLUMN_ALLOCATED] = {
		.key = "allocated", .title = "ALLOC", .width = 6,
		.kind = COLUMN_RATE, AT(allocated_pages),
		.json = "allocated_pages",
		.help = "pages allocated per second",
		BYTES_MOVED("allocated", "Host memory ever allocated in guest_memfds."),
	},
	[COLUMN_FREED] = {
		.key = "freed", .title = "FREED", .width = 6,
		.kind = COLUMN_RATE, AT(freed_pages),
		.json = "freed_pages",
		.help = "pages given back per second",
		BYTES_MOVED("freed", "Host memory ever given back by guest_memfds."),
	},
	[COLUMN_NOOP] = {
		.key = "conversions_noop", .title = "NOOP/S", .width = 6,
		.kind = COLUMN_RATE, AT(conversions_noop),
		.json = "conversions_noop",
		.help = "attribute changes per second that changed nothing",
		EVENTS("conversions_noop", "Attribute changes that changed nothing."),
	},
	[COLUMN_ASKED] = {
		.key = "conversions_asked", .title = "ASKED", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(conversions_asked),
		.json = "conversions_asked",
		.help = "of CONV/S, those that the guest had asked for",
		EVENTS("conversions_asked", "Attribute changes that changed something and that the guest had asked for."),
	},
	[COLUMN_HELD] = {
		.key = "conversions_held", .title = "HELD", .width = 6,
		.kind = COLUMN_RATE, AT(conversions_held),
		.json = "conversions_held",
		.help = "conversions per second that failed since somebody had a page",
		EVENTS("conversions_held", "Conversions that failed since somebody had a page."),
	},
	[COLUMN_REQUESTS] = {
		.key = "requests", .title = "REQ", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(requests),
		.json = "requests",
		.help = "conversions that the guest asked its monitor for per second",
		EVENTS("requests", "Conversions that the guest asked its monitor for."),
	},
	[COLUMN_REQUESTS_DONE] = {
		.key = "requests_done", .title = "R-DONE", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(requests_done),
		.json = "requests_done",
		.help = "of REQ, those that the monitor did",
		EVENTS("requests_done", "Conversions that the guest asked for and got."),
	},
	[COLUMN_REQUESTS_REFUSED] = {
		.key = "requests_refused", .title = "R-NO", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(requests_refused),
		.json = "requests_refused",
		.help = "of REQ, those that it refused, or that the guest gave up",
		EVENTS("requests_refused", "Conversions that the guest asked for and did not get."),
	},
	[COLUMN_REQUESTS_PENDING] = {
		.key = "requests_pending", .title = "R-PEND", .width = 6,
		.kind = COLUMN_COUNT, .may_lack = true, AT(requests_pending),
		.json = "requests_pending",
		.help = "conversions that vCPUs have asked for and wait for",
		GAUGE("requests_pending", NULL, 0, "Conversions that vCPUs have asked for and that have no answer yet."),
	},
	[COLUMN_REQUEST_AGE] = {
		.key = "request_age", .title = "R-AGE", .width = 7,
		.kind = COLUMN_TIME, .may_lack = true, AT(request_age_ns),
		.json = "request_age_ns",
		.help = "how long the oldest of these has been waiting",
		GAUGE("request_age_seconds", "seconds", 1e-9, "How long the oldest of the requests that have no answer yet has been waiting."),
	},
	[COLUMN_REQUEST_WAIT] = {
		.key = "request_wait", .title = "R-WAIT", .width = 7,
		.kind = COLUMN_MEAN, .may_lack = true,
		AT(request_ns), PER(requests_done),
		.json = "request_ns",
		.help = "how long those that were done waited, on the average",
		COUNTER("request_wait_seconds", "seconds", 1e-9, "Time that the guest waited for the conversions that it asked for and got."),
	},
	[COLUMN_INVALIDATED_CONVERSION] = {
		.key = "invalidations_conversion", .title = "I-CONV", .width = 6,
		.kind = COLUMN_RATE, AT(invalidations[GMEM_INVALIDATE_CONVERSION]),
		.json = "invalidations_conversion",
		.help = "invalidations by conversions per second",
		EVENTS("invalidations_conversion", "Invalidations by conversions."),
	},
	[COLUMN_INVALIDATED_PUNCH] = {
		.key = "invalidations_punch_hole", .title = "I-HOLE", .width = 6,
		.kind = COLUMN_RATE, AT(invalidations[GMEM_INVALIDATE_PUNCH_HOLE]),
		.json = "invalidations_punch_hole",
		.help = "invalidations by hole punching per second",
		EVENTS("invalidations_punch_hole", "Invalidations by hole punching."),
	},
	[COLUMN_INVALIDATED_RELEASE] = {
		.key = "invalidations_release", .title = "I-REL", .width = 6,
		.kind = COLUMN_RATE, AT(invalidations[GMEM_INVALIDATE_RELEASE]),
		.json = "invalidations_release",
		.help = "invalidations by the release of a guest_memfd per second",
		EVENTS("invalidations_release", "Invalidations by the release of a guest_memfd."),
	},
	[COLUMN_INVALIDATED_UNBIND] = {
		.key = "invalidations_unbind", .title = "I-UNB", .width = 6,
		.kind = COLUMN_RATE, AT(invalidations[GMEM_INVALIDATE_UNBIND]),
		.json = "invalidations_unbind",
		.help = "invalidations by the removal of a memslot per second",
		EVENTS("invalidations_unbind", "Invalidations by the removal of a memslot."),
	},
	[COLUMN_INVALIDATED_FAILURE] = {
		.key = "invalidations_memory_failure", .title = "I-FAIL", .width = 6,
		.kind = COLUMN_RATE, AT(invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]),
		.json = "invalidations_memory_failure",
		.help = "invalidations by failed memory per second",
		EVENTS("invalidations_memory_failure", "Invalidations by failed memory."),
	},
	[COLUMN_INVALIDATED_MIGRATION] = {
		.key = "invalidations_migration", .title = "I-MIGR", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(invalidations_migration),
		.json = "invalidations_migration",
		.help = "invalidations by moving memory per second",
		EVENTS("invalidations_migration", "Invalidations by moving memory."),
	},
	[COLUMN_FAULTS_DENIED] = {
		.key = "faults_denied", .title = "D-FLT", .width = 6,
		.kind = COLUMN_RATE, AT(faults_denied),
		.json = "faults_denied",
		.help = "requests for pages that policies denied per second",
		EVENTS("faults_denied", "Requests for pages that policies denied."),
	},
	[COLUMN_CONVERSIONS_DENIED] = {
		.key = "conversions_denied", .title = "D-CONV", .width = 6,
		.kind = COLUMN_RATE, AT(conversions_denied),
		.json = "conversions_denied",
		.help = "conversions that policies denied per second",
		EVENTS("conversions_denied", "Conversions that policies denied."),
	},
	[COLUMN_FAULTS_DELAYED] = {
		.key = "faults_delayed", .title = "L-FLT", .width = 6,
		.kind = COLUMN_RATE, AT(faults_delayed),
		.json = "faults_delayed",
		.help = "delays of requests for pages per second",
		EVENTS("faults_delayed", "Delays that policies imposed on requests for pages."),
	},
	[COLUMN_CONVERSIONS_DELAYED] = {
		.key = "conversions_delayed", .title = "L-CONV", .width = 6,
		.kind = COLUMN_RATE, AT(conversions_delayed),
		.json = "conversions_delayed",
		.help = "delays of conversions per second",
		EVENTS("conversions_delayed", "Delays that policies imposed on conversions."),
	},
	[COLUMN_DELAYS_EXPIRED] = {
		.key = "delays_expired", .title = "L-END", .width = 6,
		.kind = COLUMN_RATE, AT(delays_expired),
		.json = "delays_expired",
		.help = "requests that waited as long as any may per second",
		EVENTS("delays_expired", "Requests that went on since their delays had reached the limit of KVM."),
	},
	[COLUMN_ATTRIBUTES] = {
		.key = "attributes", .title = "ATTRS", .width = 5,
		.kind = COLUMN_BYTES, AT(attribute_bytes),
		.json = "attribute_bytes",
		.help = "kernel memory that its memory attributes take",
		GAUGE("attributes_bytes", "bytes", 0, "Kernel memory that the memory attributes take."),
	},
	[COLUMN_CLOSED] = {
		.key = "closed", .title = "CLOSED", .width = 6,
		.kind = COLUMN_PAGES, AT(closed_pages),
		.json = "closed_pages",
		.help = "populated memory of a closed guest_memfd that somebody holds",
		BYTES("closed", "Populated memory of a closed guest_memfd that somebody holds."),
	},
	[COLUMN_RANGES] = {
		.key = "ranges", .title = "RANGES", .width = 6,
		.kind = COLUMN_COUNT, .may_lack = true, AT(ranges),
		.json = "ranges",
		.help = "ranges of private and of shared memory it is cut into",
		GAUGE("ranges", NULL, 0, "Ranges of private and of shared memory that the guest is cut into."),
	},
	[COLUMN_MAPPED] = {
		.key = "mapped", .title = "MAPPED", .width = 6,
		.kind = COLUMN_PAGES, AT(mapped_pages),
		.json = "mapped_pages",
		.help = "populated memory that processes of the host have mapped",
		BYTES("mapped", "Populated memory that processes of the host have mapped."),
	},
	[COLUMN_TWICE] = {
		.key = "twice", .title = "TWICE", .width = 5,
		.kind = COLUMN_PAGES, .may_lack = true, AT(twice_pages),
		.json = "twice_pages",
		.help = "guest memory backed twice: populated and resident, too",
		BYTES("backed_twice", "Guest memory that is backed twice: populated in a guest_memfd, and resident in the process, too."),
	},
	[COLUMN_HUGE_PAGES] = {
		.key = "huge_pages", .title = "H-MEM", .width = 6,
		.kind = COLUMN_PAGES, .may_lack = true, AT(huge_pages),
		.json = "huge_pages",
		.help = "populated memory that is in huge folios",
		BYTES("huge", "Populated memory that is in huge folios."),
	},
	[COLUMN_HUGE_SPLITS] = {
		.key = "huge_splits", .title = "SPLITS", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(huge_splits),
		.json = "huge_splits",
		.help = "huge folios split per second",
		EVENTS("huge_splits", "Huge folios that were split."),
	},
	[COLUMN_HUGE_MERGES] = {
		.key = "huge_merges", .title = "MERGES", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(huge_merges),
		.json = "huge_merges",
		.help = "huge folios made of small ones per second",
		EVENTS("huge_merges", "Huge folios that were made of small ones."),
	},
	[COLUMN_HUGE_WAITING] = {
		.key = "huge_waiting", .title = "H-WAIT", .width = 6,
		.kind = COLUMN_COUNT, .may_lack = true, AT(huge_waiting),
		.json = "huge_waiting",
		.help = "ranges of 2M that could be huge folios and are not yet",
		GAUGE("huge_waiting", NULL, 0, "Ranges that could be merged to a huge folio and were not when they were last looked at."),
	},
	[COLUMN_HUGE_FALLBACKS] = {
		.key = "huge_fallbacks", .title = "SMALL", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, .counter = huge_fallbacks,
		.help = "pages per second that came one by one where huge was wanted",
		EVENTS("huge_fallbacks", "Pages of guest_memfds with huge folios that came one by one."),
	},
	[COLUMN_HUGE_ALIGNMENT] = {
		.key = "huge_fallbacks_alignment", .title = "S-ALGN", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(huge_fallbacks[GMEM_HUGE_ALIGNMENT]),
		.json = "huge_fallbacks_alignment",
		.help = "of SMALL, since file or memslot end or are not aligned",
		EVENTS("huge_fallbacks_alignment", "Pages that came one by one since the file or the memslot ends, or the memslot is not aligned as the file is."),
	},
	[COLUMN_HUGE_MIXED] = {
		.key = "huge_fallbacks_mixed", .title = "S-MIX", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(huge_fallbacks[GMEM_HUGE_MIXED]),
		.json = "huge_fallbacks_mixed",
		.help = "of SMALL, since not all around was private",
		EVENTS("huge_fallbacks_mixed", "Pages that came one by one since not all of the range was private, or it was just changing."),
	},
	[COLUMN_HUGE_PRESENT] = {
		.key = "huge_fallbacks_present", .title = "S-PRES", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(huge_fallbacks[GMEM_HUGE_PRESENT]),
		.json = "huge_fallbacks_present",
		.help = "of SMALL, since pages around were there",
		EVENTS("huge_fallbacks_present", "Pages that came one by one since others of the range were there."),
	},
	[COLUMN_HUGE_MEMORY] = {
		.key = "huge_fallbacks_memory", .title = "S-MEM", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(huge_fallbacks[GMEM_HUGE_MEMORY]),
		.json = "huge_fallbacks_memory",
		.help = "of SMALL, since the host had no memory in such pieces",
		EVENTS("huge_fallbacks_memory", "Pages that came one by one since the host had no memory in such pieces."),
	},
	[COLUMN_HUGE_LIMIT] = {
		.key = "huge_fallbacks_limit", .title = "S-LIM", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(huge_fallbacks[GMEM_HUGE_LIMIT]),
		.json = "huge_fallbacks_limit",
		.help = "of SMALL, since the control group had no room for more",
		EVENTS("huge_fallbacks_limit", "Pages that came one by one since a control group had no room for more."),
	},
	[COLUMN_MOVED] = {
		.key = "moved", .title = "MOVE/S", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, AT(moved_pages),
		.json = "moved_pages",
		.help = "pages that the host put in another place per second",
		BYTES_MOVED("moved", "Memory of guest_memfds that the host put in another place."),
	},
	[COLUMN_MOVE_TIME] = {
		.key = "move_time", .title = "M-TIME", .width = 7,
		.kind = COLUMN_MEAN, .may_lack = true,
		AT(move_ns), PER(moved_pages),
		.json = "move_ns",
		.help = "how long moving a page took, on the average",
		COUNTER("move_seconds", "seconds", 1e-9, "Time that attempts to move memory took, those that failed included."),
	},
	[COLUMN_MOVES_REFUSED] = {
		.key = "moves_refused", .title = "M-NO", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true, .counter = moves_refused,
		.help = "attempts to move a page that failed per second",
		EVENTS("moves_refused", "Attempts to move a page, or a huge folio, that failed."),
	},
	[COLUMN_MOVES_HELD] = {
		.key = "moves_refused_held", .title = "M-HELD", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(moves_refused[GMEM_MOVE_HELD]),
		.json = "moves_refused_held",
		.help = "of M-NO, since somebody had the page",
		EVENTS("moves_refused_held", "Attempts that failed since somebody had the page."),
	},
	[COLUMN_MOVES_BUSY] = {
		.key = "moves_refused_busy", .title = "M-BUSY", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(moves_refused[GMEM_MOVE_BUSY]),
		.json = "moves_refused_busy",
		.help = "of M-NO, since a lock was taken; tried again by who moves",
		EVENTS("moves_refused_busy", "Attempts that failed since a lock was taken, or who moves could not wait."),
	},
	[COLUMN_MOVES_CONSUMER] = {
		.key = "moves_refused_consumer", .title = "M-CONS", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(moves_refused[GMEM_MOVE_CONSUMER]),
		.json = "moves_refused_consumer",
		.help = "of M-NO, since a consumer of its memory refused",
		EVENTS("moves_refused_consumer", "Attempts that a consumer of the guest_memfd's pages refused."),
	},
	[COLUMN_MOVES_BROKEN] = {
		.key = "moves_refused_broken", .title = "M-BROK", .width = 6,
		.kind = COLUMN_RATE, .may_lack = true,
		AT(moves_refused[GMEM_MOVE_BROKEN]),
		.json = "moves_refused_broken",
		.help = "of M-NO, since the memory is broken",
		EVENTS("moves_refused_broken", "Attempts that failed since the memory is broken."),
	},
	[COLUMN_UNMOVABLE] = {
		.key = "unmovable", .title = "UNMOV", .width = 5,
		.kind = COLUMN_PAGES, .may_lack = true, AT(unmovable_pages),
		.json = "unmovable_pages",
		.help = "populated memory that the host cannot move",
		BYTES("unmovable", "Populated memory that the host cannot move."),
	},
	[COLUMN_NODES] = {
		.key = "nodes", .title = "NODES", .width = 24,
		.kind = COLUMN_TEXT, .text = nodes,
		.help = "populated memory by NUMA node",
		.metric = { .type = METRIC_NONE },
	},
};

const char *const *column_keys(void)
{
	static const char *keys[NR_COLUMNS + 1];
	int i;

	for (i = 0; i < NR_COLUMNS; i++)
		keys[i] = columns[i].key;
	return keys;
}

int column_by_key(const char *key, size_t len)
{
	int i;

	for (i = 0; i < NR_COLUMNS; i++)
		if (strlen(columns[i].key) == len &&
		    !memcmp(columns[i].key, key, len))
			return i;
	return -1;
}

bool column_is_stored(const struct column *col)
{
	return col->json && !col->counter && !col->text;
}

bool column_known(const struct column *col, const struct gmem_vm_sample *vm)
{
	return !col->may_lack || column_counter(col, vm) != GMEM_UNKNOWN;
}

static uint64_t rise(const struct row *row, size_t offset)
{
	uint64_t now = *(const uint64_t *)((const char *)row->now + offset);
	uint64_t before = 0;

	/* A VM born since the sample before started from zero. */
	if (row->before)
		before = *(const uint64_t *)((const char *)row->before + offset);
	return now > before ? now - before : 0;
}

/* Of what happened since the sample before; if nothing did, it has none. */
static double mean(const struct column *col, const struct row *row)
{
	uint64_t nr = row->seconds ? rise(row, col->per) : 0;

	return nr ? (double)rise(row, col->offset) / nr : -1;
}

/* Of nothing there is no part. */
static double percent(const struct column *col, const struct row *row)
{
	uint64_t all = *(const uint64_t *)((const char *)row->now + col->per);

	return all ? 100.0 * column_counter(col, row->now) / all : -1;
}

double column_value(const struct column *col, const struct row *row)
{
	uint64_t now = column_counter(col, row->now), before;
	double scale = col->scale ? col->scale : 1;

	if (col->may_lack && now == GMEM_UNKNOWN)
		return -1;
	if (col->kind == COLUMN_MEAN)
		return mean(col, row);
	if (col->kind == COLUMN_PERCENT)
		return percent(col, row);
	if (col->kind != COLUMN_RATE && col->kind != COLUMN_TREND)
		return now;
	if (!row->seconds)
		return 0;
	/* A VM born since the sample before started from zero. */
	before = row->before ? column_counter(col, row->before) : 0;
	if (now < before)
		return 0;
	return (now - before) / row->seconds * scale;
}

const char *column_text(const struct column *col, const struct row *row,
			char *dst)
{
	return col->text(row, dst);
}
