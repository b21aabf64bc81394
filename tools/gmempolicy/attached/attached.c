// SPDX-License-Identifier: GPL-2.0-only
/*
 * Joins the kernel's policies and the pins by link id.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attached/attached.h"
#include "gmem_clock.h"
#include "gmem_sample.h"
#include "gmem_scope.h"

/* Public part first, so that one pointer serves for both. */
struct snapshot {
	struct attached attached;
	struct pins pins;
	struct gmem_policies policies;
};

static enum entry_state state_of(const struct gmem_policy_sample *policy)
{
	if (policy->expires_ns &&
	    policy->expires_ns <= gmem_clock_ns(CLOCK_BOOTTIME))
		return ENTRY_ENDED;
	return policy->vm_id && !policy->nr_vms ? ENTRY_GONE : ENTRY_ACTIVE;
}

static void add_entry(struct attached *attached, enum entry_state state,
		      const struct pin *pin,
		      const struct gmem_policy_sample *policy)
{
	struct entry *entry = &attached->entries[attached->nr++];

	entry->state = state;
	entry->pin = pin ? pin->name : NULL;
	entry->link_id = pin ? pin->link_id : policy->link_id;
	entry->until_ns = policy ? policy->expires_ns : 0;
	entry->policy = policy;
}

static enum entry_state state_without_policy(const struct pin *pin)
{
	return pin->is_link && pin->detached ? ENTRY_DETACHED : ENTRY_FOREIGN;
}

/* A policy may have no pin, as when its loader runs on, or several. */
static void add_policy(struct snapshot *snap, bool *matched,
		       const struct gmem_policy_sample *policy)
{
	bool pinned = false;
	size_t i;

	for (i = 0; i < snap->pins.nr; i++) {
		const struct pin *pin = &snap->pins.pins[i];

		if (!pin->is_link || pin->link_id != policy->link_id)
			continue;
		add_entry(&snap->attached, state_of(policy), pin, policy);
		matched[i] = true;
		pinned = true;
	}
	if (!pinned)
		add_entry(&snap->attached, state_of(policy), NULL, policy);
}

static void join(struct snapshot *snap, bool *matched)
{
	size_t i;

	for (i = 0; i < snap->policies.nr; i++)
		add_policy(snap, matched, &snap->policies.policies[i]);
	for (i = 0; i < snap->pins.nr; i++) {
		const struct pin *pin = &snap->pins.pins[i];

		if (!matched[i])
			add_entry(&snap->attached, state_without_policy(pin),
				  pin, NULL);
	}
}

bool entry_is(const struct entry *entry, const char *what)
{
	uint64_t id;

	if (!what || (entry->pin && !strcmp(entry->pin, what)))
		return true;
	return !gmem_parse_uint(what, &id) && id && id == entry->link_id;
}

const char *entry_says(const struct entry *entry)
{
	static const char *const text[] = {
		[ENTRY_ACTIVE] = "active",
		[ENTRY_GONE] = "stale: VM gone",
		[ENTRY_DETACHED] = "stale: detached",
		[ENTRY_ENDED] = "ended: time is up",
		[ENTRY_FOREIGN] = "no policy",
	};

	return text[entry->state];
}

char *entry_ends(uint64_t until_ns, char *dst)
{
	/* To the second: the two clocks are not read at once. */
	int64_t ns = gmem_clock_ns(CLOCK_REALTIME) -
		     gmem_clock_ns(CLOCK_BOOTTIME) + until_ns +
		     NSEC_PER_SEC / 2;
	time_t seconds = ns / (int64_t)NSEC_PER_SEC;
	struct tm tm;

	if (!localtime_r(&seconds, &tm) ||
	    !strftime(dst, ENTRY_TIME_SIZE, "%FT%T%z", &tm))
		snprintf(dst, ENTRY_TIME_SIZE, "-");
	return dst;
}

uint64_t entry_left(uint64_t until_ns)
{
	uint64_t now = gmem_clock_ns(CLOCK_BOOTTIME);

	return until_ns <= now ? 0 :
	       (until_ns - now + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
}

struct attached *attached_read(struct gmem_sampler *sampler)
{
	struct snapshot *snap = calloc(1, sizeof(*snap));
	bool *matched;

	if (!snap) {
		gmem_err("no memory for the list of policies; free some");
		return NULL;
	}
	if (pins_read(&snap->pins) ||
	    gmem_sampler_read_policies(sampler, &snap->policies))
		goto fail;
	matched = calloc(snap->pins.nr + 1, sizeof(*matched));
	snap->attached.entries = calloc(snap->pins.nr + snap->policies.nr + 1,
					sizeof(*snap->attached.entries));
	if (!matched || !snap->attached.entries) {
		gmem_err("no memory for the list of policies; free some");
		free(matched);
		goto fail;
	}
	join(snap, matched);
	free(matched);
	return &snap->attached;
fail:
	attached_free(&snap->attached);
	return NULL;
}

int attached_read_with_vms(struct attached **attached, struct vms *vms,
			   struct gmem_sampler *sampler)
{
	int err;

	err = vms_read(vms, sampler);
	if (err)
		return err;
	*attached = attached_read(sampler);
	if (!*attached) {
		vms_free(vms);
		return -EIO;
	}
	return 0;
}

void attached_free(struct attached *attached)
{
	struct snapshot *snap = (struct snapshot *)attached;

	if (!snap)
		return;
	pins_free(&snap->pins);
	gmem_policies_free(&snap->policies);
	free(snap->attached.entries);
	free(snap);
}
