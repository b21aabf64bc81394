// SPDX-License-Identifier: GPL-2.0-only
/*
 * When names are looked up: of new VMs at once, of the others in turn, however
 * VMs come and go.
 */
#include "kselftest_harness.h"

#include "../../tools/gmemtop/figures/facts.c"
#include "../../tools/gmemtop/figures/frame.c"
#include "../../tools/gmemtop/sampling/host.c"
#include "../../tools/lib/gmem_clock.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

#define NR_VMS	40

static struct gmem_vm_sample vms[NR_VMS];
static size_t nr_vms;
static uint64_t now_ns = 1;
static unsigned int described[1000];
static uint64_t asked_twice_of;
static uint64_t twice_pages;
static unsigned int reads;
static enum whose_why why;

struct gmem_sampler *gmem_sampler_open(void)
{
	return (struct gmem_sampler *)vms;
}

void gmem_sampler_close(struct gmem_sampler *sampler)
{
}

int gmem_sampler_fix(struct gmem_sampler *sampler, size_t vms, size_t policies)
{
	return 0;
}

int gmem_sampler_count(struct gmem_sampler *sampler)
{
	return 0;
}

const struct gmem_source *gmem_source(void)
{
	static const struct gmem_source source = { .name = "fake" };

	return &source;
}

void gmem_sampler_find_mapped(struct gmem_sampler *sampler)
{
}

void gmem_sampler_twice_of(struct gmem_sampler *sampler, uint64_t vm_id,
			   uint64_t max_ns)
{
	asked_twice_of = vm_id;
}

int gmem_sampler_read_all(struct gmem_sampler *sampler,
			  struct gmem_sample *sample,
			  struct gmem_policies *policies)
{
	size_t i;

	sample->vms = vms;
	sample->nr_vms = nr_vms;
	sample->time_ns = now_ns;
	reads++;
	for (i = 0; i < nr_vms; i++)
		vms[i].twice_pages = asked_twice_of == GMEM_TWICE_OF_ALL ?
				     twice_pages : GMEM_UNKNOWN;
	return 0;
}

void gmem_sample_free(struct gmem_sample *sample)
{
}

void gmem_policies_free(struct gmem_policies *policies)
{
}

int gmem_policies_enabled(void)
{
	return 1;
}

void whose_read(struct whose *whose, struct gmem_sampler *sampler,
		const struct gmem_vm_sample *vm)
{
	described[vm->owner_pid]++;
	*whose = (struct whose) { .no_name = why, .cgroup = "/" };
	if (why == WHOSE_KNOWN)
		whose->name = "vm";
}

bool whose_is_hidden(enum whose_why why)
{
	return why >= WHOSE_PID_NS;
}

const char *whose_explain(enum whose_why why)
{
	return "so it is";
}

static unsigned int least(void)
{
	unsigned int n = ~0U;
	size_t i;

	for (i = 0; i < nr_vms; i++)
		if (described[vms[i].owner_pid] < n)
			n = described[vms[i].owner_pid];
	return n;
}

FIXTURE(host) {
	struct source *source;
	struct frame frame;
	struct facts facts;
};

FIXTURE_SETUP(host)
{
	size_t i;

	self->source = host_open();
	nr_vms = NR_VMS - 1;
	for (i = 0; i < NR_VMS; i++) {
		vms[i].vm_id = i + 1;
		vms[i].owner_pid = i;
		vms[i].owner_start_ns = 1;
	}
}

FIXTURE_TEARDOWN(host)
{
	facts_free(&self->facts);
	host_close(self->source);
}

static void refresh(FIXTURE_DATA(host) *self, uint64_t seconds)
{
	now_ns += seconds * NSEC_PER_SEC;
	self->source->read(self->source, &self->frame, &self->facts);
}

TEST_F(host, new_ones_at_once_and_others_in_turn)
{
	int i;

	refresh(self, 1);
	EXPECT_EQ(1, least());
	refresh(self, 5);
	EXPECT_EQ(1, described[0]);
	refresh(self, 6);
	EXPECT_EQ(2, described[0]);
	EXPECT_EQ(2, described[CHECKS_MAX - 1]);
	EXPECT_EQ(1, described[CHECKS_MAX]);
	for (i = 0; i < 4; i++)
		refresh(self, 1);
	EXPECT_EQ(2, least());
}

TEST_F(host, what_is_asked_for_is_looked_for)
{
	refresh(self, 1);
	EXPECT_EQ(GMEM_TWICE_OF_NONE, asked_twice_of);
	self->source->twice_of = 7;
	refresh(self, 1);
	EXPECT_EQ(7, asked_twice_of);
	/* There is memory on this machine, on some node. */
	EXPECT_NE(0, self->frame.nodes);
}

TEST_F(host, what_costs_more_is_looked_for_less_often)
{
	self->source->twice_of = GMEM_TWICE_OF_ALL;
	self->source->twice_age_ns = UINT64_MAX;
	twice_pages = 5;
	refresh(self, 1);
	EXPECT_EQ(5, self->frame.vms.vms[3].twice_pages);

	twice_pages = 6;
	reads = 0;
	refresh(self, 1);
	EXPECT_EQ(GMEM_TWICE_OF_LATER, asked_twice_of);
	EXPECT_EQ(5, self->frame.vms.vms[3].twice_pages);
	EXPECT_EQ(1, reads);

	/* Of one that is new nothing is known. */
	nr_vms++;
	refresh(self, 1);
	EXPECT_EQ(6, self->frame.vms.vms[3].twice_pages);
	EXPECT_EQ(6, self->frame.vms.vms[nr_vms - 1].twice_pages);

	/* What was found is old at once. */
	self->source->twice_age_ns = 1;
	twice_pages = 7;
	reads = 0;
	refresh(self, 1);
	EXPECT_EQ(7, self->frame.vms.vms[3].twice_pages);
	EXPECT_EQ(1, reads);
}

TEST_F(host, others_while_vms_come_and_go)
{
	size_t i, round;

	refresh(self, 1);
	/* In each second one dies and one is born, so that one is young. */
	for (round = 0; round < 30; round++) {
		memmove(vms + NR_VMS / 2, vms + NR_VMS / 2 + 1,
			(nr_vms - NR_VMS / 2 - 1) * sizeof(*vms));
		vms[nr_vms - 1].vm_id = NR_VMS + round;
		vms[nr_vms - 1].owner_pid = 100 + round;
		refresh(self, 1);
	}
	for (i = 0; i < NR_VMS / 2; i++)
		EXPECT_GE(described[i], 3);
}

/* At once, and not when it is looked at again. */
TEST_F(host, what_was_known_of_a_process_goes_with_it)
{
	refresh(self, 1);
	EXPECT_STREQ("vm", facts_name(&self->facts.vm[3]));
	vms[3].owner_start_ns = 0;
	refresh(self, 1);
	EXPECT_STREQ("-", facts_name(&self->facts.vm[3]));
	EXPECT_STREQ("-", facts_cgroup(&self->facts.vm[3]));
	EXPECT_STREQ("vm", facts_name(&self->facts.vm[4]));
}

TEST_F(host, what_is_hidden_is_told_once)
{
	why = WHOSE_GONE;
	refresh(self, 1);
	EXPECT_STREQ("", self->source->notice);
	why = WHOSE_PID_NS;
	refresh(self, 11);
	EXPECT_STREQ("of VM 1, and maybe of others, the name is not known: so it is",
		     self->source->notice);
	self->source->notice[0] = '\0';
	refresh(self, 11);
	EXPECT_STREQ("", self->source->notice);
	EXPECT_STREQ("/", facts_cgroup(&self->facts.vm[0]));
}

TEST_HARNESS_MAIN
