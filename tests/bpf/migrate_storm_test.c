// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once: a guest that looks at its memory, conversions, holes, memslots
 * that come and go, and VMs that are killed, while the host moves memory by all the
 * ways that it has.  A guest that is not killed must find each page as it wrote it,
 * and its counters must be those of its pages; in the end the host must have all its
 * memory back.
 *
 * GMEM_SEED repeats a run's choices, GMEM_SECONDS makes it longer.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "migrate_host.h"

/* It lasts as long as GMEM_SECONDS says; who hangs meets the suite's limit. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	7200

#define MAX_PAGES	(4 * PER_HUGE)
#define SLOT_B		(MOVE_SLOT + 1)
/* What the host may use more of in the end, for itself: pages. */
#define SLACK		16384L

/* Shared by all processes. */
static struct {
	uint64_t vm_id;
	bool stop;
	bool rest;		/* who moves memory is to wait */
	int busy;		/* how many do not wait yet */
	uint64_t pages;		/* of the VM */
	uint64_t moved;		/* of VMs that came to an end */
	uint64_t passes;	/* of guests */
	uint64_t taken, areas, compactions, calls, by_mapping;
} *host;

static struct guest guest;
static volatile bool stop;
static unsigned int seed;
static bool private[MAX_PAGES];
static bool bound_b;

/* Who moves */

/* False when it is over; host_may_not() is to be called if not. */
static bool host_may(void)
{
	for (;;) {
		if (__atomic_load_n(&host->stop, __ATOMIC_SEQ_CST))
			return false;
		__atomic_add_fetch(&host->busy, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&host->rest, __ATOMIC_SEQ_CST))
			return true;
		__atomic_sub_fetch(&host->busy, 1, __ATOMIC_SEQ_CST);
		usleep(1000);
	}
}

static void host_may_not(void)
{
	__atomic_sub_fetch(&host->busy, 1, __ATOMIC_SEQ_CST);
}

static void rest(bool yes)
{
	__atomic_store_n(&host->rest, yes, __ATOMIC_SEQ_CST);
	while (yes && __atomic_load_n(&host->busy, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static void *moves_to_nodes(void *arg)
{
	unsigned int state = seed + 1;
	int r;

	while (host_may()) {
		uint64_t pages = *(volatile uint64_t *)&host->pages;
		uint64_t first = pages ? rand_r(&state) % pages : 0;

		if (rand_r(&state) % 4 == 0)
			first = 0;
		if (pages && host->vm_id) {
			move_once(host->vm_id, first, pages - first, rand_r(&state) % 2,
				  &r);
			MUST(!r || r == -ESRCH, "move: %s", strerror(-r));
			host->calls++;
		}
		host_may_not();
		usleep(rand_r(&state) % 10000);
	}
	return NULL;
}

/*
 * Who looks for room in all memory may be in a block while that goes.  mm bears it, but
 * not that a debug kernel poisons the block's struct pages: one at a time.
 */
static pthread_mutex_t all_memory = PTHREAD_MUTEX_INITIALIZER;

static void *takes_blocks(void *arg)
{
	unsigned int state = seed + 2;
	uint64_t block;

	while (host_may()) {
		do {
			block = rand_r(&state) % 64;
		} while (!block_is(block, "valid_zones", "Movable"));
		pthread_mutex_lock(&all_memory);
		if (!set_block(block, "offline")) {
			host->taken++;
			MUST(!online_block(block), "a block does not come back: %s",
			     strerror(errno));
		}
		pthread_mutex_unlock(&all_memory);
		host_may_not();
		usleep(rand_r(&state) % 100000);
	}
	return NULL;
}

static void *wants_areas(void *arg)
{
	unsigned int state = seed + 3;
	struct area area;

	MUST(find_area(&area), "no cma= on the command line");
	while (host_may()) {
		uint64_t pages = area.pages / (1 + rand_r(&state) % 8);

		if (!area_write(AREA "/alloc", pages)) {
			host->areas++;
			MUST(!area_write(AREA "/free", pages), "the area is not free");
		}
		if (rand_r(&state) % 4 == 0) {
			pthread_mutex_lock(&all_memory);
			must_write("/proc/sys/vm/compact_memory", "1");
			pthread_mutex_unlock(&all_memory);
			host->compactions++;
		}
		host_may_not();
		usleep(rand_r(&state) % 100000);
	}
	return NULL;
}

/* A process of its own, which no VM's death concerns. */
static pid_t start_host(void)
{
	void *(*const threads[])(void *) = { moves_to_nodes, takes_blocks, wants_areas };
	pthread_t ids[ARRAY_SIZE(threads)];
	pid_t pid = fork();
	size_t i;

	MUST(pid >= 0, "cannot fork");
	if (pid)
		return pid;
	/* Who fails leaves nobody behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		MUST(!pthread_create(&ids[i], NULL, threads[i], NULL),
		     "cannot start a thread");
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(ids[i], NULL);
	exit(0);
}

/* The guest and its VMM */

static void *runner(void *arg)
{
	long r = (long)guest_thread(&guest);

	MUST(!r, "KVM_RUN: %s, exit %u", strerror(r), guest.vcpu->run->exit_reason);
	return NULL;
}

/* Pages from @first on, in pieces of all sizes. */
static uint64_t pick(unsigned int *state, uint64_t first, uint64_t *nr)
{
	uint64_t page = first + rand_r(state) % (guest.pages - first);
	uint64_t most = guest.pages - page;

	switch (rand_r(state) % 4) {
	case 0:
		*nr = 1 + rand_r(state) % most;
		break;
	case 1:
		*nr = min(most, (uint64_t)PER_HUGE);
		break;
	default:
		*nr = min(most, 1 + rand_r(state) % 8UL);
	}
	return page;
}

/* In place nothing is lost; otherwise what is shared is another page. */
static void *converter(void *arg)
{
	unsigned int state = seed + 4;
	uint64_t first, nr;

	while (!stop && guest.kind != SHARED) {
		bool to_private = rand_r(&state) % 2;

		first = pick(&state, guest.in_place ? 0 : work.strict, &nr);
		MUST(!turn(&guest, first, nr, to_private), "convert");
		memset(private + first, to_private, nr);
		usleep(rand_r(&state) % 3000);
	}
	return NULL;
}

static void *puncher(void *arg)
{
	unsigned int state = seed + 5;
	uint64_t first, nr;
	int r;

	while (!stop) {
		first = pick(&state, work.strict, &nr);
		r = rand_r(&state) % 3 ? allocate(&guest, first, nr) :
					 hole(&guest, first, nr);
		MUST(!r || r == EAGAIN, "fallocate: %s", strerror(r));
		usleep(rand_r(&state) % 3000);
	}
	return NULL;
}

/*
 * The last quarter, which the guest does not touch: Linux 6.12 takes what a guest of
 * this type has touched without a memslot for shared until the end.
 */
static void bind_b(bool there)
{
	uint64_t first = guest.pages * 3 / 4;

	if (there != bound_b)
		MUST(!set_slot(&guest, SLOT_B, first, guest.pages - first, there),
		     "memslot: %s", strerror(errno));
	bound_b = there;
}

static void *binder(void *arg)
{
	unsigned int state = seed + 6;

	while (!stop) {
		bind_b(!bound_b);
		usleep(rand_r(&state) % 20000);
	}
	return NULL;
}

/* By the VMM's own mapping, of what it can map just then. */
static void *moves_by_mapping(void *arg)
{
	unsigned int state = seed + 7;
	uint64_t first, nr, i;

	while (!stop) {
		void *at[8];
		int node[8], status[8];

		first = pick(&state, 0, &nr);
		nr = min(nr, 8UL);
		for (i = 0; i < nr; i++) {
			at[i] = guest.mem + (first + i) * PAGE_SIZE;
			node[i] = rand_r(&state) % 2;
			status[i] = -1;
		}
		/* No SIGBUS for what is private. */
		madvise(at[0], nr * PAGE_SIZE, 22 /* MADV_POPULATE_READ */);
		syscall(__NR_move_pages, 0, nr, at, node, status, MPOL_MF_MOVE);
		for (i = 0; i < nr; i++)
			host->by_mapping += status[i] == node[i];
		usleep(rand_r(&state) % 10000);
	}
	return NULL;
}

static bool is_populated(uint64_t page)
{
	struct {
		uint64_t off, len;
	} range = { page * PAGE_SIZE, PAGE_SIZE };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} stat;

	MUST(!syscall(451 /* cachestat */, guest.fd, &range, &stat, 0), "cachestat: %s",
	     strerror(errno));
	return stat.cache;
}

/* Nobody does anything. */
static void check_counters(void)
{
	uint64_t nr_private = 0, nr_populated = 0, nr_stale = 0, nodes = 0, page;
	struct gmem_vm_sample u = usage();

	for (page = 0; page < guest.pages; page++) {
		bool there = is_populated(page);

		nr_private += private[page];
		nr_populated += there;
		nr_stale += there && !private[page] && !guest.in_place &&
			    guest.kind != SHARED;
	}
	nodes = u.node_pages[0] + u.node_pages[1];
	MUST(u.private_pages == nr_private && u.populated_pages == nr_populated &&
	     u.stale_pages == nr_stale && nodes == nr_populated &&
	     u.freed_pages == u.allocated_pages - nr_populated && !u.closed_pages,
	     "private %llu not %lu, populated %llu not %lu, stale %llu not %lu, on nodes %lu, allocated %llu, freed %llu, closed %llu",
	     u.private_pages, nr_private, u.populated_pages, nr_populated,
	     u.stale_pages, nr_stale, nodes, u.allocated_pages, u.freed_pages,
	     u.closed_pages);
}

/* A VM from its beginning to its end; one that @dies waits for that. */
static void one_vm(enum kind kind, unsigned int ms, bool dies)
{
	void *(*const threads[])(void *) = {
		runner, converter, puncher, binder, moves_by_mapping,
	};
	pthread_t ids[ARRAY_SIZE(threads)];
	uint64_t passes;
	size_t i;

	guest_begin(&guest, kind, kind == IN_HUGE_FOLIOS ? MAX_PAGES : MAX_PAGES / 4, 0);
	MUST(!set_slot(&guest, MOVE_SLOT, 0, guest.pages, false) &&
	     !set_slot(&guest, MOVE_SLOT, 0, guest.pages * 3 / 4, true), "memslot");
	bind_b(true);
	tell_guest(&guest, &work.pages, guest.pages * 3 / 4);
	tell_guest(&guest, &work.strict, guest.pages / 4);
	memset(private, kind != SHARED, guest.pages);
	MUST(!allocate(&guest, 0, guest.pages), "allocate");
	host->pages = guest.pages;
	host->vm_id = guest.vm_id;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		MUST(!pthread_create(&ids[i], NULL, threads[i], NULL),
		     "cannot start a thread");
	usleep(ms * 1000);
	while (dies)
		pause();

	stop = true;
	for (i = 1; i < ARRAY_SIZE(threads); i++)
		pthread_join(ids[i], NULL);
	bind_b(true);
	host->passes += guest_passes(&guest);
	/* It looks at all of it again, and nobody takes a page from it meanwhile. */
	rest(true);
	passes = guest_passes(&guest) + 2;
	for (i = 0; i < PASS_SECONDS * 100 && guest_passes(&guest) < passes; i++)
		usleep(10000);
	MUST(guest_passes(&guest) >= passes, "the guest stands still");
	tell_guest(&guest, &work.stop, 1);
	pthread_join(ids[0], NULL);
	MUST(guest_is_fine(&guest), "the guest finds something else");

	check_counters();
	if (kind != SHARED)
		MUST(!turn(&guest, 0, guest.pages, true), "all private");
	memset(private, kind != SHARED, guest.pages);
	check_counters();
	MUST(!hole(&guest, 0, guest.pages), "all freed");
	check_counters();
	host->moved += moves_of(guest.vm_id).moved_pages;
	host->vm_id = 0;
	rest(false);
	guest_end(&guest);
}

static long free_pages(void)
{
	must_write("/proc/sys/vm/drop_caches", "3");
	sleep(1);
	return vmstat("nr_free_pages");
}

static uint64_t blocks_online(void)
{
	uint64_t block, nr = 0;

	for (block = 0; block < 64; block++)
		nr += block_is(block, "state", "online");
	return nr;
}

TEST(all_at_once)
{
	int seconds = getenv("GMEM_SECONDS") ? atoi(getenv("GMEM_SECONDS")) : 20;
	uint64_t blocks = blocks_online();
	long free = free_pages(), unevictable = vmstat("nr_unevictable");
	time_t end = time(NULL) + seconds;
	unsigned int round;
	pid_t mover_pid;
	int status;

	seed = getenv("GMEM_SEED") ? atoi(getenv("GMEM_SEED")) : time(NULL);
	printf("# GMEM_SEED=%u\n", seed);
	host = mmap(NULL, sizeof(*host), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)host);
	fflush(stdout);
	mover_pid = start_host();
	for (round = 0; time(NULL) < end || round < 6; round++) {
		bool dies = round % 2;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			seed += round * 100;
			one_vm(round / 2 % 3, 1500, dies);
			exit(0);
		}
		if (dies) {
			usleep(1500000 + rand_r(&seed) % 1000000);
			kill(pid, SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		host->vm_id = 0;
		ASSERT_EQ(dies ? SIGKILL : 0, status) TH_LOG("round %u", round);
	}
	__atomic_store_n(&host->stop, true, __ATOMIC_SEQ_CST);
	ASSERT_EQ(mover_pid, waitpid(mover_pid, &status, 0));
	EXPECT_EQ(0, status);
	printf("# %u VMs, %lu passes: %lu pages moved in those that lived, %lu by their mapping, %lu calls, %lu blocks, %lu areas, %lu compactions\n",
	       round, host->passes, host->moved, host->by_mapping, host->calls, host->taken,
	       host->areas, host->compactions);
	EXPECT_LT(0, host->passes);
	EXPECT_LT(0, host->moved);
	EXPECT_LT(0, host->by_mapping);
	EXPECT_LT(0, host->taken);
	EXPECT_LT(0, host->areas);
	EXPECT_LT(0, host->compactions);

	EXPECT_EQ(blocks, blocks_online());
	EXPECT_GT(SLACK, free - free_pages());
	EXPECT_GE(64, labs(vmstat("nr_unevictable") - unevictable));
	EXPECT_EQ(0, vmstat("nr_isolated_anon") + vmstat("nr_isolated_file"));
}

int main(int argc, char **argv)
{
	return run_migrate_tests(argc, argv);
}
