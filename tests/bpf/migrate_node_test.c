// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a guest that is moved to a NUMA node by bpf_kvm_gmem_move(): what becomes
 * of each page, what is counted and told of it, and what goes along.
 */
#include "migrate_fixture.h"

/* How many folios the memory is in. */
static uint64_t folios(const struct guest *g)
{
	return g->kind == IN_HUGE_FOLIOS ? g->pages / PER_HUGE : g->pages;
}

TEST_F(migrate, there_and_back)
{
	struct guest *g = &self->guest;
	struct gmem_vm_sample before, after;
	struct moves moves;
	uint64_t held = 0;
	int i;

	EXPECT_TRUE(guest_is_fine(g));
	/* Wherever it came from. */
	move_all(g, 0);
	EXPECT_ON_NODE(0, g->pages);
	moves = moves_of(g->vm_id);
	before = usage();
	for (i = 0; i < 10; i++) {
		held += move_all(g, !(i % 2));
		EXPECT_ON_NODE(!(i % 2), g->pages);
		EXPECT_TRUE(guest_is_fine(g));
	}
	after = usage();
	/* Only the place is another one. */
	EXPECT_EQ(before.private_pages, after.private_pages);
	EXPECT_EQ(before.stale_pages, after.stale_pages);
	EXPECT_EQ(before.huge_pages, after.huge_pages);
	EXPECT_EQ(g->kind == IN_HUGE_FOLIOS ? g->pages : 0, after.huge_pages);
	EXPECT_EQ(before.allocated_pages, after.allocated_pages);
	EXPECT_EQ(before.freed_pages, after.freed_pages);
	EXPECT_EQ(before.huge_splits, after.huge_splits);

	EXPECT_EQ(moves.moved_pages + 10 * g->pages, moves_of(g->vm_id).moved_pages);
	EXPECT_LT(moves.move_ns, moves_of(g->vm_id).move_ns);
	/* All that gets as far as this is told, and no more. */
	EXPECT_LE(moves.invalidations + 10 * folios(g), moves_of(g->vm_id).invalidations);
	EXPECT_GE(moves.invalidations + 10 * folios(g) + held,
		  moves_of(g->vm_id).invalidations);
	EXPECT_EQ(held ? 1 : 0, ({
		struct moves now = moves_of(g->vm_id);

		all_refused(&now) > all_refused(&moves);
	}));
}

TEST_F(migrate, what_is_there_stays)
{
	struct guest *g = &self->guest;
	struct move_request request;
	struct moves before;
	int r;

	move_all(g, 1);
	before = moves_of(g->vm_id);
	request = move_once(g->vm_id, 0, g->pages, 1, &r);
	EXPECT_EQ(0, r);
	EXPECT_EQ(g->pages, request.pages[MOVED_THERE]);
	EXPECT_EQ(0, request.pages[MOVED_NOW]);
	EXPECT_EQ(before.moved_pages, moves_of(g->vm_id).moved_pages);
	EXPECT_EQ(before.invalidations, moves_of(g->vm_id).invalidations);
}

/* Beside it, and beyond all memslots, there is nothing to do. */
TEST_F(migrate, a_part_of_it)
{
	struct guest *g = &self->guest;
	uint64_t unit = g->pages / folios(g);
	struct move_request request;
	int tries = 0, r;

	move_all(g, 0);
	do {
		request = move_once(g->vm_id, unit, unit, 1, &r);
		EXPECT_EQ(0, r);
	} while (request.pages[MOVED_HELD] && tries++ < 1000);
	EXPECT_EQ(unit, request.pages[MOVED_NOW]);
	EXPECT_EQ(unit, usage().node_pages[1]);
	EXPECT_EQ(g->pages - unit, usage().node_pages[0]);

	request = move_once(g->vm_id, g->pages, 1ULL << 30, 1, &r);
	EXPECT_EQ(0, r);
	EXPECT_EQ(0, request.pages[MOVED_THERE] + request.pages[MOVED_NOW]);
	request = move_once(g->vm_id, 1, 0, 1, &r);
	EXPECT_EQ(0, r);
	EXPECT_EQ(0, request.pages[MOVED_THERE] + request.pages[MOVED_NOW]);
	/* All that there can be: what is at the other memslots is no guest_memfd's. */
	request = move_once(g->vm_id, -MOVE_GFN, ~0ULL, 0, &r);
	EXPECT_EQ(0, r);
	EXPECT_EQ(g->pages, request.pages[MOVED_THERE] + request.pages[MOVED_NOW] +
		  request.pages[MOVED_HELD]);
}

TEST_F(migrate, no_such_node)
{
	static const uint32_t nodes[] = { 2, 63, 1023, 1024, 1U << 31, ~0U };
	struct migrate_bpf *skel = mover(self->guest.vm_id);
	struct gmem_vm_sample before = usage();
	struct guest *g = &self->guest;
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		move_once(g->vm_id, 0, g->pages, nodes[i], &r);
		EXPECT_EQ(-EINVAL, r) TH_LOG("node %u", nodes[i]);
	}
	/* Nor for whom another kernel is meant, or without a VM. */
	skel->bss->request = (struct move_request){
		.start = MOVE_GFN,
		.end = MOVE_GFN + g->pages,
		.node = !before.node_pages[1],
	};
	EXPECT_EQ(-EINVAL, run_program(skel, skel->progs.move_short));
	move_once(~0ULL, 0, g->pages, 1, &r);
	EXPECT_EQ(-ESRCH, r);
	EXPECT_EQ(before.node_pages[0], usage().node_pages[0]);
	EXPECT_EQ(before.node_pages[1], usage().node_pages[1]);
	EXPECT_EQ(0, moves_of(g->vm_id).moved_pages);
}

TEST_F(migrate, is_traced)
{
	struct guest *g = &self->guest;
	struct traced_move moves[2 * SMALL_PAGES];
	uint64_t unit = g->pages / folios(g);
	uint64_t done = 0, pages = 0, indices = 0;
	struct moves before;
	size_t nr, i;

	move_all(g, 0);
	before = moves_of(g->vm_id);
	moves_trace();
	move_all(g, 1);
	nr = moves_read(moves, ARRAY_SIZE(moves));
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(g->vm_id, moves[i].vm_id);
		EXPECT_EQ(0, moves[i].from_node);
		EXPECT_EQ(1, moves[i].to_node);
		EXPECT_NE(moves[i].from_pfn, moves[i].to_pfn);
		EXPECT_EQ(unit, moves[i].pages);
		if (moves[i].result)
			continue;
		indices += moves[i].index;
		pages += moves[i].pages;
		done++;
	}
	EXPECT_EQ(folios(g), done);
	EXPECT_EQ(g->pages, pages);
	EXPECT_EQ(done * (done - 1) / 2 * unit, indices);
	EXPECT_EQ(nr - done, ({
		struct moves after = moves_of(g->vm_id);

		all_refused(&after) - all_refused(&before);
	}));
}

/* A policy is told of each, with what it is for, and nothing is freed. */
TEST_F(migrate, a_policy_is_told)
{
	struct guest *g = &self->guest;
	uint64_t unit = g->pages / folios(g), page = 2 * unit;
	struct puppet_bpf *p;
	struct bpf_link *link;
	int r, tries = 0;

	move_all(g, 0);
	EXPECT_TRUE(guest_is_fine(g));
	p = new_puppet("told", 0, 0, 0);
	link = attach(p);
	/* One that is held is not told of, unless it is found out late. */
	do {
		p->bss->invalidates = 0;
	} while (!move_once(g->vm_id, page, unit, 1, &r).pages[MOVED_NOW] &&
		 tries++ < 1000);
	EXPECT_EQ(0, r);
	EXPECT_EQ(1, p->bss->invalidates);
	EXPECT_EQ(INVALIDATE_MIGRATION, p->bss->told_reason[0]);
	EXPECT_EQ(MOVE_GFN + page, p->bss->told_start[0]);
	EXPECT_EQ(MOVE_GFN + page + unit, p->bss->told_end[0]);
	EXPECT_EQ(0, p->bss->told_freed[0]);
	EXPECT_EQ(0, p->bss->freed);
	EXPECT_EQ(0, p->bss->out_of_order);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
}

/* Pages of each kind at once: their attributes and marks are by index. */
TEST(what_is_known_of_a_page_goes_along)
{
	struct gmem_vm_sample before, after;
	struct guest g;
	uint64_t i;

	guest_begin(&g, PRIVATE, SMALL_PAGES, 0);
	ASSERT_EQ(0, allocate(&g, 0, g.pages));
	ASSERT_EQ(0, hole(&g, 40, 8));
	for (i = 0; i < 32; i += 2)
		ASSERT_EQ(0, turn(&g, i, 1, false));
	before = usage();
	EXPECT_EQ(g.pages - 16, before.private_pages);
	EXPECT_EQ(g.in_place ? 0 : 16, before.stale_pages);
	move_all(&g, 1);
	move_all(&g, 0);
	EXPECT_ON_NODE(0, g.pages - 8);
	after = usage();
	EXPECT_EQ(before.private_pages, after.private_pages);
	EXPECT_EQ(before.stale_pages, after.stale_pages);
	EXPECT_EQ(before.ranges, after.ranges);
	/* Each mark is where it was: they go one by one. */
	for (i = 0; i < 32; i += 2) {
		ASSERT_EQ(0, turn(&g, i, 1, true));
		EXPECT_EQ(g.in_place ? 0 : 15 - i / 2, usage().stale_pages);
	}
	EXPECT_EQ(0, usage().stale_pages);
	EXPECT_EQ(g.pages, usage().private_pages);
	guest_start(&g);
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
}

/* All of each page, which the host sees here. */
TEST(nothing_of_a_page_is_lost)
{
	uint64_t word, page, wrong = 0;
	struct guest g;

	guest_begin(&g, SHARED, SMALL_PAGES, 0);
	for (page = 0; page < g.pages; page++)
		for (word = 0; word < 512; word++)
			((uint64_t *)g.mem)[page * 512 + word] = page << 32 | word;
	move_all(&g, 1);
	move_all(&g, 0);
	move_all(&g, 1);
	for (page = 0; page < g.pages; page++)
		for (word = 0; word < 512; word++)
			wrong += ((uint64_t *)g.mem)[page * 512 + word] !=
				 (page << 32 | word);
	EXPECT_EQ(0, wrong);
	guest_end(&g);
}

/* Who made the file so that it stays: none is moved, guests are not disturbed. */
static void unmovable_stays(struct __test_metadata *_metadata, enum kind kind,
			    uint64_t pages)
{
	struct gmem_vm_sample before;
	struct move_request request;
	struct moves moves;
	struct guest g;
	int r;

	guest_begin(&g, kind, pages, GUEST_MEMFD_FLAG_UNMOVABLE);
	EXPECT_EQ(0, moves_of(g.vm_id).unmovable_pages);
	ASSERT_EQ(0, allocate(&g, 0, pages / 2));
	EXPECT_EQ(pages / 2, moves_of(g.vm_id).unmovable_pages);
	ASSERT_EQ(0, allocate(&g, 0, pages));
	guest_start(&g);
	EXPECT_TRUE(guest_is_fine(&g));
	before = usage();
	request = move_once(g.vm_id, 0, pages, !before.node_pages[1], &r);
	EXPECT_EQ(0, r);
	EXPECT_EQ(pages, request.pages[MOVED_UNMOVABLE] + request.pages[MOVED_THERE] +
		  request.pages[MOVED_HELD]);
	EXPECT_LT(0, request.pages[MOVED_UNMOVABLE]);
	EXPECT_EQ(before.node_pages[0], usage().node_pages[0]);
	moves = moves_of(g.vm_id);
	EXPECT_EQ(pages, moves.unmovable_pages);
	EXPECT_EQ(0, moves.moved_pages);
	EXPECT_EQ(0, moves.invalidations);
	EXPECT_EQ(0, all_refused(&moves));
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, guest_stop(&g));
	ASSERT_EQ(0, hole(&g, 0, pages / 2));
	EXPECT_EQ(pages / 2, moves_of(g.vm_id).unmovable_pages);
	guest_end(&g);
}

TEST(unmovable_private)
{
	unmovable_stays(_metadata, PRIVATE, SMALL_PAGES);
}

TEST(unmovable_shared)
{
	unmovable_stays(_metadata, SHARED, SMALL_PAGES);
}

TEST(unmovable_huge)
{
	unmovable_stays(_metadata, IN_HUGE_FOLIOS, HUGE_PAGES);
}

TEST_F(migrate, none_is_unmovable)
{
	EXPECT_EQ(0, moves_of(self->guest.vm_id).unmovable_pages);
}

/* Linux's own flags go with it, and no other. */
TEST(the_flag)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_create_guest_memfd create = {
		.size = HUGE,
		.flags = GUEST_MEMFD_FLAG_UNMOVABLE << 1,
	};

	EXPECT_TRUE(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS) &
		    GUEST_MEMFD_FLAG_UNMOVABLE);
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create));
	EXPECT_EQ(EINVAL, errno);
	kvm_vm_free(vm);
}

/* Charged to whom it was charged to, whoever moves it. */
static void charge_goes_along(struct __test_metadata *_metadata, enum kind kind)
{
	const uint64_t pages = 8 * PER_HUGE;
	struct guest g;
	long before;

	guest_begin(&g, kind, pages, 0);
	enter_cgroup();
	ASSERT_EQ(0, allocate(&g, 0, pages));
	must_write(CGROUPS "/cgroup.procs", "0");
	before = charged();
	EXPECT_LE(pages * PAGE_SIZE, before);
	move_all(&g, 1);
	EXPECT_GE(CHARGE_SLACK, labs(charged() - before));
	move_all(&g, 0);
	EXPECT_GE(CHARGE_SLACK, labs(charged() - before));
	ASSERT_EQ(0, hole(&g, 0, pages));
	EXPECT_GE(CHARGE_SLACK, labs(charged() - (before - (long)(pages * PAGE_SIZE))));
	leave_cgroup();
	guest_end(&g);
}

TEST(a_charge_goes_along)
{
	charge_goes_along(_metadata, PRIVATE);
}

TEST(a_huge_charge_goes_along)
{
	charge_goes_along(_metadata, IN_HUGE_FOLIOS);
}

/* The node's pages and the host's are as before when the guest is gone. */
TEST(nothing_is_left)
{
	static const enum kind kinds[] = { PRIVATE, SHARED, IN_HUGE_FOLIOS };
	long unevictable, isolated;
	size_t i;

	/* The programs, and what is loaded once. */
	mover(0);
	unevictable = vmstat("nr_unevictable");
	isolated = vmstat("nr_isolated_file") + vmstat("nr_isolated_anon");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct guest g;

		guest_begin(&g, kinds[i], 4 * PER_HUGE, 0);
		ASSERT_EQ(0, allocate(&g, 0, g.pages));
		guest_start(&g);
		move_all(&g, 1);
		move_all(&g, 0);
		move_all(&g, 1);
		EXPECT_LE((long)g.pages, vmstat("nr_unevictable") - unevictable + 64);
		EXPECT_TRUE(guest_is_fine(&g));
		EXPECT_EQ(0, guest_stop(&g));
		guest_end(&g);
		/* Some may wait for a CPU's list. */
		EXPECT_GE(64, labs(vmstat("nr_unevictable") - unevictable));
		EXPECT_EQ(isolated, vmstat("nr_isolated_file") +
			  vmstat("nr_isolated_anon"));
	}
}

int main(int argc, char **argv)
{
	return run_migrate_tests(argc, argv);
}
