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

#define NR_VMS	40

static struct gmem_vm_sample vms[NR_VMS];
static size_t nr_vms;
static uint64_t now_ns = 1;
static unsigned int described[1000];
static uint64_t asked_twice_of;

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

void gmem_sampler_twice_of(struct gmem_sampler *sampler, uint64_t vm_id,
			   uint64_t max_ns)
{
	asked_twice_of = vm_id;
}

int gmem_sampler_read_all(struct gmem_sampler *sampler,
			  struct gmem_sample *sample,
			  struct gmem_policies *policies)
{
	sample->vms = vms;
	sample->nr_vms = nr_vms;
	sample->time_ns = now_ns;
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

void process_describe(uint32_t pid, char *name, size_t name_size, char *cgroup,
		      size_t cgroup_size)
{
	described[pid]++;
	snprintf(name, name_size, "vm");
	snprintf(cgroup, cgroup_size, "/");
}

static unsigned int least(void)
{
	unsigned int n = ~0U;
	size_t i;

	for (i = 0; i < nr_vms; i++)
		if (described[vms[i].pid] < n)
			n = described[vms[i].pid];
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
		vms[i].pid = i;
		vms[i].rss_pages = 1;
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

TEST_F(host, others_while_vms_come_and_go)
{
	size_t i, round;

	refresh(self, 1);
	/* In each second one dies and one is born, so that one is young. */
	for (round = 0; round < 30; round++) {
		memmove(vms + NR_VMS / 2, vms + NR_VMS / 2 + 1,
			(nr_vms - NR_VMS / 2 - 1) * sizeof(*vms));
		vms[nr_vms - 1].vm_id = NR_VMS + round;
		vms[nr_vms - 1].pid = 100 + round;
		refresh(self, 1);
	}
	for (i = 0; i < NR_VMS / 2; i++)
		EXPECT_GE(described[i], 3);
}

TEST_HARNESS_MAIN
