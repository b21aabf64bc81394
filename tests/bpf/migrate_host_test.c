// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hosts that want the memory back where a guest has it: for huge pages, to take it
 * away, as an area of its own, or since it is about to break.  The VM has two nodes,
 * memory that is for what can be moved (movablecore=), and an area (cma=).
 */
#include <glob.h>
#include <sys/sysinfo.h>
#include <sys/time.h>

#include "migrate_host.h"

/* A block of memory is taken away, and comes back */

TEST_F(migrate, its_block_goes_offline_and_online)
{
	struct guest *g = &self->guest;
	uint64_t inside, moved, block;
	struct gmem_vm_sample before;

	block = move_to_block(g, 1, &inside);
	ASSERT_TRUE(block_is_of(block, 1));
	ASSERT_TRUE(block_is(block, "valid_zones", "Movable"));
	EXPECT_LT(0, inside);
	moved = moves_of(g->vm_id).moved_pages;
	before = usage();

	ASSERT_EQ(0, offline_block(block));
	EXPECT_TRUE(block_is(block, "state", "offline"));
	EXPECT_TRUE(guest_is_fine(g));
	EXPECT_EQ(moved + inside, moves_of(g->vm_id).moved_pages);
	EXPECT_EQ(g->pages, usage().populated_pages);
	/* mm prefers another node. */
	EXPECT_EQ(inside, usage().node_pages[0]);
	EXPECT_EQ(g->pages - inside, usage().node_pages[1]);
	EXPECT_EQ(before.huge_pages, usage().huge_pages);
	EXPECT_EQ(before.freed_pages, usage().freed_pages);
	/* What is left of the node is as good as before. */
	move_all(g, 0);
	move_all(g, 1);
	EXPECT_TRUE(guest_is_fine(g));

	ASSERT_EQ(0, online_block(block));
	EXPECT_TRUE(block_is(block, "state", "online"));
	move_all(g, 0);
	move_all(g, 1);
	EXPECT_ON_NODE(1, g->pages);
}

/* Free pages of a node that are not only for what can be moved. */
static uint64_t free_for_all(int node)
{
	uint64_t free = 0, nr;
	char line[256], zone[32];
	int in = -1, n;
	FILE *f = fopen("/proc/zoneinfo", "r");

	MUST(f, "cannot read /proc/zoneinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %d, zone %31s", &n, zone) == 2)
			in = n;
		if (in == node && strcmp(zone, "Movable") &&
		    sscanf(line, " pages free %lu", &nr) == 1)
			free += nr;
	}
	fclose(f);
	return free;
}

static void no_more(int sig)
{
}

/* As who waits no longer than that; 0 or the errno. */
static int offline_for(uint64_t block, int seconds)
{
	const struct sigaction action = { .sa_handler = no_more };
	const struct itimerval in = { .it_value.tv_sec = seconds }, never = {};
	int r;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &in, NULL);
	r = set_block(block, "offline");
	setitimer(ITIMER_REAL, &never, NULL);
	return r;
}

/* The kernel gives up what it has and does not need; KASAN keeps what was freed. */
static void shrink_slabs(void)
{
	glob_t caches;
	size_t i;

	must_write("/proc/sys/vm/drop_caches", "3");
	MUST(!glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches), "no slabs in /sys");
	for (i = 0; i < caches.gl_pathc; i++)
		must_write(caches.gl_pathv[i], "1");
	globfree(&caches);
}

/* A block that the kernel may give away, of memory for all kinds. */
static uint64_t find_block_for_all(int node)
{
	uint64_t block;
	int tries;

	for (tries = 0; tries < 5; tries++) {
		shrink_slabs();
		for (block = 0; block < 64; block++) {
			if (!block_is_of(block, node) ||
			    block_is(block, "valid_zones", "Movable") ||
			    offline_for(block, 5))
				continue;
			MUST(!set_block(block, "online_kernel"),
			     "the block does not come back");
			return block;
		}
	}
	MUST(false, "no block of node %d can be taken away", node);
	return 0;
}

/* One that goes as long as it is empty. */
TEST(a_block_with_unmovable_pages_stays)
{
	const unsigned long preferred = 1 << 1;
	struct gmem_vm_sample before;
	uint64_t block, pages;
	struct guest g;
	int r;

	/* The kernel's own memory for what this does comes from node 0. */
	kvm_pin_this_task_to_pcpu(0);
	block = find_block_for_all(1);
	pages = free_for_all(1);
	/* There is no room for all of them beside the block. */
	pages = (pages - pages_per_block() / 2) & ~(PER_HUGE - 1);
	ASSERT_LT(pages_per_block(), pages);
	guest_begin(&g, PRIVATE, pages, GUEST_MEMFD_FLAG_UNMOVABLE);
	ASSERT_EQ(0, syscall(__NR_set_mempolicy, MPOL_PREFERRED, &preferred, 64));
	ASSERT_EQ(0, allocate(&g, 0, pages));
	ASSERT_EQ(0, syscall(__NR_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	before = usage();
	EXPECT_LT(pages - PER_HUGE, before.node_pages[1]);
	EXPECT_EQ(pages, moves_of(g.vm_id).unmovable_pages);
	tell_guest(&g, &work.pages, 4 * PER_HUGE);
	guest_start(&g);
	EXPECT_TRUE(guest_is_fine(&g));

	/* mm tries for ever, or says so at once. */
	r = offline_for(block, 5);
	EXPECT_TRUE(r == EINTR || r == EBUSY) TH_LOG("%s", strerror(r));
	EXPECT_TRUE(block_is(block, "state", "online"));
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, moves_of(g.vm_id).moved_pages);
	EXPECT_EQ(0, moves_of(g.vm_id).invalidations);
	EXPECT_EQ(before.node_pages[1], usage().node_pages[1]);
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);

	/* One like it can go when they are gone, but others may have come into this one. */
	find_block_for_all(1);
}

/* Nobody but an O_PATH descriptor has the file. */
static void closed_file_moves(struct __test_metadata *_metadata, bool with_vm)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_sample sample = {};
	uint64_t inside, block, moved;
	char path[32];
	struct guest g;
	int holder;

	guest_begin(&g, PRIVATE, SMALL_PAGES, 0);
	ASSERT_EQ(0, allocate(&g, 0, g.pages));
	block = move_to_block(&g, 1, &inside);
	moved = moves_of(g.vm_id).moved_pages;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", g.fd);
	holder = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, holder);
	munmap(g.mem, g.pages * PAGE_SIZE);
	g.mem = map_memory(-1, g.pages);
	close(g.fd);
	g.fd = -1;
	EXPECT_EQ(g.pages, usage().closed_pages);
	EXPECT_EQ(g.pages, usage().node_pages[1]);
	if (!with_vm)
		guest_end(&g);

	EXPECT_EQ(0, offline_block(block));
	if (with_vm) {
		EXPECT_EQ(moved + inside, moves_of(g.vm_id).moved_pages);
		EXPECT_EQ(inside, usage().node_pages[0]);
		EXPECT_EQ(g.pages - inside, usage().node_pages[1]);
		EXPECT_EQ(g.pages, usage().closed_pages);
		guest_end(&g);
	}
	ASSERT_EQ(0, gmem_sampler_read(sampler, &sample));
	EXPECT_EQ(g.pages, sample.orphaned_pages);
	EXPECT_EQ(0, online_block(block));
	close(holder);
	ASSERT_EQ(0, gmem_sampler_read(sampler, &sample));
	EXPECT_EQ(0, sample.orphaned_pages);
	gmem_sampler_close(sampler);
}

TEST(a_closed_file_moves)
{
	closed_file_moves(_metadata, true);
}

TEST(a_file_moves_whose_vm_is_gone)
{
	closed_file_moves(_metadata, false);
}

/* Compaction */

static long in_huge_pages(const char *mem)
{
	long before = vmstat("thp_fault_alloc");

	*(volatile char *)mem = 1;
	return vmstat("thp_fault_alloc") - before;
}

/* Address space for huge pages of node 1, in place of what is there. */
static void map_for_huge_pages(char *mem, size_t size)
{
	const unsigned long mask = 1 << 1;

	MUST(mmap(mem, size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == mem,
	     "map memory");
	MUST(!syscall(__NR_mbind, mem, size, MPOL_BIND, &mask, 64, 0), "mbind: %s",
	     strerror(errno));
	MUST(!madvise(mem, size, MADV_HUGEPAGE), "huge pages: %s", strerror(errno));
}

/*
 * Pages of 2 MiB on node 1, @max at most, without anybody making room for them.  All
 * are at the beginning of *@mem; the rest of that is empty.
 */
static uint64_t take_huge_pages(char **mem, uint64_t max)
{
	int tries = 0;
	uint64_t nr;

	*mem = mmap(NULL, (max + 1) * HUGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(*mem != MAP_FAILED, "map memory");
	*mem = (char *)(((uintptr_t)*mem + HUGE - 1) & ~(HUGE - 1));
	map_for_huge_pages(*mem, max * HUGE);
	/*
	 * A CPU has free pages in lists of its own, of which others get none, or get
	 * them within a second or two.
	 */
	for (nr = 0; nr < max && tries < 2 * get_nprocs();) {
		kvm_pin_this_task_to_pcpu(tries % get_nprocs());
		if (in_huge_pages(*mem + nr * HUGE)) {
			nr++;
			tries = 0;
			continue;
		}
		/* Where there were small pages, their page table stays without this. */
		map_for_huge_pages(*mem + nr * HUGE, HUGE);
		tries++;
		usleep(700000);
	}
	kvm_pin_this_task_to_pcpu(0);
	return nr;
}

static uint64_t count_huge_pages(uint64_t max)
{
	char *mem;
	uint64_t nr = take_huge_pages(&mem, max);

	munmap(mem, max * HUGE);
	return nr;
}

/* What does not fit stays, and the first piece is enough to know that. */
TEST(a_node_is_full)
{
	struct move_request request;
	uint64_t others, fit;
	struct guest g;
	char *mem;
	int r;

	must_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	must_write("/sys/kernel/mm/transparent_hugepage/defrag", "never");
	/* Who asks for huge folios has memory compacted for some, but not for all of these. */
	guest_begin(&g, IN_HUGE_FOLIOS, 32 * PER_HUGE, 0);
	tell_guest(&g, &work.pages, HUGE_PAGES);
	ASSERT_EQ(0, allocate(&g, 0, g.pages));
	guest_start(&g);
	move_all(&g, 0);
	others = take_huge_pages(&mem, 4096);
	request = move_once(g.vm_id, 0, g.pages, 1, &r);
	EXPECT_EQ(1, r);
	EXPECT_EQ(PER_HUGE, request.pages[MOVED_NO_MEMORY]);
	fit = request.pages[MOVED_NOW];
	EXPECT_GT(g.pages, fit);
	EXPECT_EQ(MOVE_GFN + fit + PER_HUGE, request.start);
	EXPECT_EQ(fit, usage().node_pages[1]);
	EXPECT_EQ(g.pages - fit, usage().node_pages[0]);
	EXPECT_TRUE(guest_is_fine(&g));
	munmap(mem, others * HUGE);
	move_all(&g, 1);
	EXPECT_ON_NODE(1, g.pages);
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
}

/* Huge pages' worth of memory that the guest gets, and how much lies together then. */
#define SCATTERED	128ULL
#define TOGETHER	32ULL

/*
 * Makes and starts a guest with all that is left of node 1, and takes every other
 * piece of it away again.  Returns how many pages it still has.
 */
static uint64_t scatter(struct __test_metadata *_metadata, struct guest *g,
			uint64_t flags)
{
	const unsigned long preferred = 1 << 1;
	uint64_t nr, page;

	guest_begin(g, PRIVATE, 3 * SCATTERED * PER_HUGE, flags);
	/* Not only there: who finds no memory at all is killed. */
	EXPECT_EQ(0, syscall(__NR_set_mempolicy, MPOL_PREFERRED, &preferred, 64));
	for (nr = 0; nr < 3 * SCATTERED && !usage().node_pages[0]; nr++)
		EXPECT_EQ(0, allocate(g, nr * PER_HUGE, PER_HUGE));
	EXPECT_EQ(0, syscall(__NR_set_mempolicy, MPOL_DEFAULT, NULL, 0));
	EXPECT_LE(SCATTERED / 2, nr);
	EXPECT_LT(nr, 3 * SCATTERED);
	for (page = 0; page < nr * PER_HUGE; page += 2 * TOGETHER)
		EXPECT_EQ(0, hole(g, page + TOGETHER, TOGETHER));
	tell_guest(g, &work.holes, TOGETHER);
	tell_guest(g, &work.pages, nr * PER_HUGE);
	guest_start(g);
	EXPECT_TRUE(guest_is_fine(g));

	return nr * PER_HUGE / 2;
}

/*
 * All of a node is in use but for the guest's memory, of which every other piece is
 * free: there is enough for huge pages, but none that lies together.
 */
static void compaction(struct __test_metadata *_metadata, uint64_t flags, bool works)
{
	uint64_t others, left, pages, got;
	char *mem, *rest;
	struct guest g;

	must_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	must_write("/sys/kernel/mm/transparent_hugepage/defrag", "never");
	/* What others have is together before. */
	must_write("/proc/sys/vm/compact_memory", "1");
	others = take_huge_pages(&mem, 4096);
	ASSERT_LT(2 * SCATTERED, others);
	munmap(mem + (others - SCATTERED) * HUGE, SCATTERED * HUGE);
	pages = scatter(_metadata, &g, flags);
	left = take_huge_pages(&rest, 4096);
	printf("# %lu pages are free, %lu huge ones were left\n", pages, left);

	EXPECT_EQ(0, count_huge_pages(1));
	EXPECT_EQ(0, moves_of(g.vm_id).moved_pages);
	must_write("/proc/sys/vm/compact_memory", "1");
	got = count_huge_pages(pages / PER_HUGE);
	printf("# of %lu huge pages that are free, %lu are to be had\n",
	       (uint64_t)(pages / PER_HUGE), got);
	if (works) {
		EXPECT_LE(pages / PER_HUGE / 4, got);
		EXPECT_LE(pages / 4, moves_of(g.vm_id).moved_pages);
	} else {
		EXPECT_GT(pages / PER_HUGE / 4, got);
		EXPECT_EQ(0, moves_of(g.vm_id).moved_pages);
		EXPECT_EQ(0, moves_of(g.vm_id).invalidations);
		EXPECT_EQ(pages, moves_of(g.vm_id).unmovable_pages);
	}
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(pages, usage().populated_pages);
	EXPECT_EQ(pages, usage().node_pages[0] + usage().node_pages[1]);
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
	munmap(mem, (others - SCATTERED) * HUGE);
	munmap(rest, left * HUGE);
}

TEST(compaction_makes_room_for_huge_pages)
{
	compaction(_metadata, 0, true);
}

TEST(compaction_leaves_what_is_unmovable)
{
	compaction(_metadata, GUEST_MEMFD_FLAG_UNMOVABLE, false);
}

/* An area that the host wants for itself */

/* Moves all pages to the area's node; how many are in it. */
static uint64_t move_into(struct guest *g, const struct area *area, size_t take)
{
	static struct traced_move moves[4096];
	uint64_t inside = 0;
	size_t nr, i;

	move_all(g, 1);
	if (take)
		take_memory(g, 0, take);
	moves_trace();
	move_all(g, 0);
	nr = moves_read(moves, ARRAY_SIZE(moves));
	for (i = 0; i < nr; i++) {
		if (!moves[i].result && moves[i].to_pfn - area->base < area->pages)
			inside += moves[i].pages;
	}
	return inside;
}

TEST_F(migrate, the_area_is_wanted)
{
	struct guest *g = &self->guest;
	uint64_t inside = 0, moved;
	struct area area;
	int tries;

	ASSERT_TRUE(find_area(&area)) TH_LOG("no cma= on the command line");
	for (tries = 0; tries < 20 && !inside; tries++)
		inside = move_into(g, &area, 16 << 20);
	ASSERT_LT(0, inside) TH_LOG("no page is in the area");
	moved = moves_of(g->vm_id).moved_pages;
	EXPECT_EQ(0, area_write(AREA "/alloc", area.pages));
	EXPECT_EQ(moved + inside, moves_of(g->vm_id).moved_pages);
	EXPECT_TRUE(guest_is_fine(g));
	/* None comes back before it is given back. */
	EXPECT_EQ(0, move_into(g, &area, 0));
	EXPECT_EQ(0, area_write(AREA "/free", area.pages));
}

/* Pages that are about to break, and one that is broken */

static int at_page(const char *path, uint64_t pfn)
{
	char text[32];

	snprintf(text, sizeof(text), "%#llx", pfn * PAGE_SIZE);
	return write_file(path, text);
}

static long corrupted(void)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "HardwareCorrupted: %ld", &kib);
	if (f)
		fclose(f);
	return kib / 4;
}

static void unpoison(uint64_t pfn)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", pfn);
	MUST(!write_file("/sys/kernel/debug/hwpoison/unpoison-pfn", text),
	     "cannot make a page whole again");
}

TEST(a_page_that_is_about_to_break)
{
	static const uint64_t pages[] = { 0, 7, SMALL_PAGES - 1 };
	uint64_t pfns[SMALL_PAGES];
	long before = corrupted();
	struct guest g;
	size_t i;

	guest_begin(&g, PRIVATE, SMALL_PAGES, 0);
	start_and_find(&g, pfns);
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		ASSERT_EQ(0, at_page(MEMORY "/soft_offline_page", pfns[pages[i]]));
		EXPECT_EQ(i + 1, moves_of(g.vm_id).moved_pages);
		EXPECT_EQ(before + (long)i + 1, corrupted());
		EXPECT_TRUE(guest_is_fine(&g));
	}
	EXPECT_EQ(SMALL_PAGES, usage().populated_pages);
	EXPECT_EQ(0, usage().freed_pages);
	EXPECT_EQ(0, usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]);
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		unpoison(pfns[pages[i]]);
	EXPECT_EQ(before, corrupted());
}

TEST(an_unmovable_page_that_is_about_to_break)
{
	uint64_t pfns[SMALL_PAGES];
	long before = corrupted();
	struct guest g;

	guest_begin(&g, PRIVATE, SMALL_PAGES, GUEST_MEMFD_FLAG_UNMOVABLE);
	start_and_find(&g, pfns);
	EXPECT_EQ(EBUSY, at_page(MEMORY "/soft_offline_page", pfns[3]));
	EXPECT_EQ(before, corrupted());
	EXPECT_EQ(SMALL_PAGES, usage().populated_pages);
	EXPECT_EQ(0, moves_of(g.vm_id).moved_pages);
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
}

/* mm would split it first. */
TEST(a_huge_folio_that_is_about_to_break)
{
	static struct traced_move moves[64];
	long before = corrupted();
	struct guest g;

	guest_begin(&g, IN_HUGE_FOLIOS, HUGE_PAGES, 0);
	ASSERT_EQ(0, allocate(&g, 0, g.pages));
	guest_start(&g);
	move_all(&g, 0);
	moves_trace();
	move_all(&g, 1);
	ASSERT_LT(0, moves_read(moves, ARRAY_SIZE(moves)));
	EXPECT_EQ(EBUSY, at_page(MEMORY "/soft_offline_page", moves[0].to_pfn + 7));
	EXPECT_EQ(before, corrupted());
	EXPECT_ON_NODE(1, g.pages);
	EXPECT_EQ(g.pages, usage().huge_pages);
	EXPECT_EQ(0, usage().huge_splits);
	EXPECT_TRUE(guest_is_fine(&g));
	EXPECT_EQ(0, guest_stop(&g));
	guest_end(&g);
}

TEST(a_broken_page_stays)
{
	struct move_request request = {};
	uint64_t pfns[SMALL_PAGES];
	struct moves moves;
	char text[32];
	struct guest g;
	int tries, r;

	/* The guest's memory is on one node, then. */
	kvm_pin_this_task_to_pcpu(0);
	guest_begin(&g, PRIVATE, SMALL_PAGES, 0);
	start_and_find(&g, pfns);
	ASSERT_EQ(g.pages, usage().node_pages[0]);
	tell_guest(&g, &work.skip, 9);
	EXPECT_TRUE(guest_is_fine(&g));
	snprintf(text, sizeof(text), "%lu", pfns[9]);
	write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
	ASSERT_EQ(1, usage().invalidations[GMEM_INVALIDATE_MEMORY_FAILURE]);

	for (tries = 0; tries < 1000; tries++) {
		request = move_once(g.vm_id, 0, g.pages, 1, &r);
		ASSERT_EQ(0, r);
		if (!request.pages[MOVED_HELD])
			break;
		/* Once for each time that it is asked for. */
		EXPECT_EQ(1, request.pages[MOVED_REFUSED]);
	}
	EXPECT_EQ(1, request.pages[MOVED_REFUSED]);
	moves = moves_of(g.vm_id);
	EXPECT_LE(1, moves.refused[REFUSED_BROKEN]);
	EXPECT_EQ(g.pages - 1, moves.moved_pages);
	EXPECT_EQ(g.pages, usage().populated_pages);
	EXPECT_EQ(1, usage().node_pages[0]);
	EXPECT_EQ(g.pages - 1, usage().node_pages[1]);
	EXPECT_TRUE(guest_is_fine(&g));
	/* The guest does not get it by this. */
	EXPECT_EQ(0, guest_stop(&g));
	tell_guest(&g, &work.stop, 0);
	tell_guest(&g, &work.skip, NO_PAGE);
	EXPECT_EQ(-1, __vcpu_run(g.vcpu));
	EXPECT_EQ(EHWPOISON, errno);
	guest_end(&g);
	unpoison(pfns[9]);
}

int main(int argc, char **argv)
{
	/* Nobody makes room who was not asked, and what is free can be had. */
	must_write("/proc/sys/vm/compaction_proactiveness", "0");
	must_write("/proc/sys/vm/watermark_boost_factor", "0");
	return run_migrate_tests(argc, argv);
}
