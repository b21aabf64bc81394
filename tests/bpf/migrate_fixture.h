/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that looks at its memory all the time while the host moves it: each pass it
 * expects in each page what it wrote in the last one, and writes something else.  So a
 * page that is another one, that is copied too early, or that is given to somebody
 * else, is found out, and which one.
 */
#ifndef MIGRATE_FIXTURE_H
#define MIGRATE_FIXTURE_H

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "gmem_test.h"
#include "../kvm/frames.h"
#include "migrate.h"
#include "migrate.skel.h"

#ifndef GUEST_MEMFD_FLAG_UNMOVABLE
#define GUEST_MEMFD_FLAG_UNMOVABLE	(1ULL << 17)
#endif

/* What the samples of the tools end before. */
#define INVALIDATE_MIGRATION	5

#define HUGE		(2ULL << 20)
#define PER_HUGE	(HUGE / PAGE_SIZE)
#define MOVE_GPA	0x40000000ULL
#define MOVE_GFN	(MOVE_GPA / PAGE_SIZE)
#define MOVE_SLOT	(DATA_SLOT + 1)
#define SMALL_PAGES	64ULL
#define HUGE_PAGES	(4 * PER_HUGE)

/* A guest that has made no pass for so long, on whatever machine, makes none. */
#define PASS_SECONDS	120
#define NO_PAGE		(~0ULL)

enum kind {
	PRIVATE,	/* of a software-protected VM, in single pages */
	SHARED,		/* of a default VM, and the host can map it */
	IN_HUGE_FOLIOS,	/* as the first, in pieces of 2 MiB */
};

/*
 * Shared with the guest.  Pages from @strict on may be empty, or what they were a
 * while ago, but never another one's.  It does not touch page @skip, nor those whose
 * number has a bit of @holes.
 */
static struct {
	uint64_t pages, strict, skip, holes, stop, passes;
	uint64_t wrong, page, seen, expected;
} work;

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	bool runs;
	uint64_t vm_id;
	enum kind kind;
	bool in_place;
	uint64_t pages;
	int fd;
	char *mem;
};

/* Where in the page its word is. */
static inline uint64_t word_at(uint64_t page)
{
	return page * PAGE_SIZE + page % 512 * 8;
}

static inline void guest_look(uint64_t page, uint64_t pass)
{
	volatile typeof(work) *w = &work;
	volatile uint64_t *p = (void *)(MOVE_GPA + word_at(page));
	uint64_t seen = *p, expected = pass ? pass << 32 | (page + 1) : 0;

	*p = (pass + 1) << 32 | (page + 1);
	if (seen == expected ||
	    (page >= w->strict && (!seen || (uint32_t)seen == page + 1)))
		return;
	if (!w->wrong++) {
		w->page = page;
		w->seen = seen;
		w->expected = expected;
	}
}

static inline void guest_code(void)
{
	volatile typeof(work) *w = &work;
	uint64_t page;

	for (;;) {
		for (page = 0; page < w->pages; page++) {
			if (page != w->skip && !(page & w->holes))
				guest_look(page, w->passes);
		}
		w->passes++;
		if (w->stop)
			GUEST_SYNC(0);
	}
}

/* Addresses that are multiples of a huge page, of the file or of other memory. */
static inline char *map_memory(int fd, uint64_t pages)
{
	uint64_t size = pages * PAGE_SIZE;
	char *mem = mmap(NULL, size + HUGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(mem != MAP_FAILED, "reserve addresses");
	mem = (char *)(((uintptr_t)mem + HUGE - 1) & ~(HUGE - 1));
	mem = mmap(mem, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED |
		   (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	MUST(mem != MAP_FAILED, "map memory: %s", strerror(errno));
	return mem;
}

/* 0 or the errno; a page that a fault is just taking is held for a moment. */
static inline int turn(struct guest *g, uint64_t page, uint64_t nr, bool private)
{
	struct kvm_memory_attributes attr = {
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.address = MOVE_GPA + page * PAGE_SIZE,
		.size = nr * PAGE_SIZE,
	};
	int r;

	do {
		if (g->in_place)
			r = set_attributes_at(g->fd, page * PAGE_SIZE, nr * PAGE_SIZE,
					      attr.attributes, NULL);
		else
			r = __vm_ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr) ?
			    errno : 0;
	} while (r == EAGAIN);

	return r;
}

static inline int allocate(struct guest *g, uint64_t page, uint64_t nr)
{
	return fallocate(g->fd, FALLOC_FL_KEEP_SIZE, page * PAGE_SIZE,
			 nr * PAGE_SIZE) ? errno : 0;
}

static inline int hole(struct guest *g, uint64_t page, uint64_t nr)
{
	return fallocate(g->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 page * PAGE_SIZE, nr * PAGE_SIZE) ? errno : 0;
}

static inline int set_slot(struct guest *g, unsigned int slot, uint64_t page,
			   uint64_t nr, bool there)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = MOVE_GPA + page * PAGE_SIZE,
		.memory_size = there ? nr * PAGE_SIZE : 0,
		.userspace_addr = (uintptr_t)g->mem + page * PAGE_SIZE,
		.guest_memfd = g->fd,
		.guest_memfd_offset = page * PAGE_SIZE,
	};

	return __vm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, &region) ? errno : 0;
}

/* @pages that nobody has touched yet, in a file with @flags besides. */
static inline void guest_begin(struct guest *g, enum kind kind, uint64_t pages,
			       uint64_t flags)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = kind == SHARED ? KVM_X86_DEFAULT_VM : KVM_X86_SW_PROTECTED_VM,
	};
	struct kvm_create_guest_memfd create = {
		.size = pages * PAGE_SIZE,
		.flags = flags,
	};

	*g = (struct guest){ .kind = kind, .pages = pages };
	work = (typeof(work)){ .pages = pages, .strict = pages, .skip = NO_PAGE };
	g->in_place = kind != SHARED &&
		      kvm_check_cap(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
	if (kind == SHARED)
		create.flags |= GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	if (g->in_place)
		create.flags |= GUEST_MEMFD_FLAG_MMAP;
	if (kind == IN_HUGE_FOLIOS)
		create.flags |= GUEST_MEMFD_FLAG_HUGE_PAGES;

	g->vm = vm_create_shape_with_one_vcpu(shape, &g->vcpu, guest_code);
	g->fd = ioctl(g->vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
	MUST(g->fd >= 0, "cannot create a guest_memfd: %s", strerror(errno));
	g->mem = map_memory(kind == SHARED || g->in_place ? g->fd : -1, pages);
	MUST(!set_slot(g, MOVE_SLOT, 0, pages, true), "no memslot: %s",
	     strerror(errno));
	if (pages % PER_HUGE)
		virt_map(g->vm, MOVE_GPA, MOVE_GPA, pages);
	else
		virt_map_level(g->vm, MOVE_GPA, MOVE_GPA, pages * PAGE_SIZE,
			       PG_LEVEL_2M);
	if (kind != SHARED && !g->in_place)
		MUST(!turn(g, 0, pages, true), "cannot make it private");
	sync_global_to_guest(g->vm, work);
	g->vm_id = usage().vm_id;
}

static inline void *guest_thread(void *arg)
{
	struct guest *g = arg;

	/* A fault that meets a conversion, or a memslot that changes, exits. */
	while (__vcpu_run(g->vcpu)) {
		if (errno != EFAULT && errno != EINTR && errno != EAGAIN)
			return (void *)(long)errno;
	}
	return (void *)(g->vcpu->run->exit_reason == KVM_EXIT_IO ? 0L : EPROTO);
}

static inline void guest_start(struct guest *g)
{
	MUST(!pthread_create(&g->thread, NULL, guest_thread, g),
	     "cannot start a thread");
	g->runs = true;
}

/* What the guest is to do otherwise from now on. */
static inline void tell_guest(struct guest *g, uint64_t *what, uint64_t value)
{
	*what = value;
	memcpy(addr_gva2hva(g->vm, (vm_vaddr_t)what), &value, sizeof(value));
}

/* 0, or the errno that its vCPU ended with. */
static inline int guest_stop(struct guest *g)
{
	void *r;

	if (!g->runs)
		return 0;
	tell_guest(g, &work.stop, 1);
	pthread_join(g->thread, &r);
	g->runs = false;
	return (long)r;
}

static inline void guest_end(struct guest *g)
{
	munmap(g->mem, g->pages * PAGE_SIZE);
	if (g->fd >= 0)
		close(g->fd);
	kvm_vm_free(g->vm);
}

static inline uint64_t guest_passes(struct guest *g)
{
	return *(volatile uint64_t *)addr_gva2hva(g->vm,
						  (vm_vaddr_t)&work.passes);
}

/* Has it looked at each page since now, and was all as it wrote it? */
static inline bool guest_is_fine(struct guest *g)
{
	uint64_t until = guest_passes(g) + 2;
	time_t end = time(NULL) + PASS_SECONDS;

	while (g->runs && guest_passes(g) < until && time(NULL) < end)
		usleep(1000);
	sync_global_from_guest(g->vm, work);
	if (work.wrong)
		printf("# %lu pages are wrong, first page %lu: %#lx, not %#lx, after %lu passes\n",
		       work.wrong, work.page, work.seen, work.expected, work.passes);
	if (g->runs && work.passes < until)
		printf("# the guest stands still after %lu passes\n", work.passes);
	return !work.wrong && (!g->runs || work.passes >= until);
}

/* The kernel's programs, one copy for all of this process. */
static inline struct migrate_bpf *mover(uint64_t vm_id)
{
	static struct migrate_bpf *skel;

	if (!skel)
		skel = migrate_bpf__open_and_load();
	MUST(skel, "cannot load the programs that move: %s", strerror(errno));
	skel->bss->vm_id = vm_id;
	return skel;
}

static inline int run_program(struct migrate_bpf *skel, struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	MUST(!bpf_prog_test_run_opts(bpf_program__fd(prog), &opts),
	     "cannot run the program: %s", strerror(errno));
	return skel->bss->result;
}

static inline struct moves moves_of(uint64_t vm_id)
{
	struct migrate_bpf *skel = mover(vm_id);
	int r = run_program(skel, skel->progs.read_moves);

	MUST(r == sizeof(struct moves), "cannot read what was moved: %d", r);
	return skel->bss->moves;
}

/* What became of each page; in *@result 0, 1 if there was no memory, or -errno. */
static inline struct move_request move_once(uint64_t vm_id, uint64_t first,
					    uint64_t nr, uint32_t node, int *result)
{
	struct migrate_bpf *skel = mover(vm_id);

	skel->bss->request = (struct move_request){
		.start = MOVE_GFN + first,
		.end = MOVE_GFN + first + nr,
		.node = node,
		.drain = 1,
	};
	do {
		*result = run_program(skel, skel->progs.move);
		skel->bss->request.drain = 0;
	} while (*result > 0 && !skel->bss->request.pages[MOVED_NO_MEMORY]);
	return skel->bss->request;
}

/* All of them, with patience for who has one for a moment; how often that was so. */
static inline uint64_t move_all(struct guest *g, uint32_t node)
{
	struct move_request request;
	uint64_t held = 0;
	int tries = 0, r;

	do {
		request = move_once(g->vm_id, 0, g->pages, node, &r);
		MUST(!r, "cannot move to node %u: %s", node, strerror(-r));
		held += request.pages[MOVED_HELD];
	} while (request.pages[MOVED_HELD] && tries++ < 200);
	MUST(request.pages[MOVED_THERE] + request.pages[MOVED_NOW] ==
	     usage().populated_pages,
	     "of %llu pages there were %llu, came %llu, held %llu, refused %llu, no memory %llu, unmovable %llu",
	     usage().populated_pages, request.pages[MOVED_THERE],
	     request.pages[MOVED_NOW], request.pages[MOVED_HELD],
	     request.pages[MOVED_REFUSED], request.pages[MOVED_NO_MEMORY],
	     request.pages[MOVED_UNMOVABLE]);
	return held;
}

/* All pages are on one node. */
#define EXPECT_ON_NODE(node, pages)					\
	do {								\
		struct gmem_vm_sample __u = usage();			\
									\
		EXPECT_EQ(pages, __u.populated_pages);			\
		EXPECT_EQ(pages, __u.node_pages[node]);			\
		EXPECT_EQ(0, __u.node_pages[!(node)]);			\
	} while (0)

static inline uint64_t all_refused(const struct moves *moves)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < NR_REFUSED; i++)
		sum += moves->refused[i];
	return sum;
}

/* The figure of that name in /proc/vmstat. */
static inline long vmstat(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char is[64];
	long value;

	MUST(f, "cannot read /proc/vmstat");
	while (fscanf(f, "%63s %ld", is, &value) == 2) {
		if (!strcmp(is, name)) {
			fclose(f);
			return value;
		}
	}
	MUST(false, "/proc/vmstat has no %s", name);
	return -1;
}

/* A traced attempt to move a folio. */
struct traced_move {
	unsigned long long vm_id, index, pages, from_pfn, to_pfn;
	int from_node, to_node, result;
};

#define MOVES_TRACE	"/sys/kernel/tracing/instances/gmem_moves"

static inline void moves_trace(void)
{
	mkdir(MOVES_TRACE, 0700);
	MUST(!write_file(MOVES_TRACE "/buffer_size_kb", "8192") &&
	     !write_file(MOVES_TRACE "/events/kvm_gmem/kvm_gmem_migrate/enable", "1"),
	     "cannot trace");
}

/* Ends what moves_trace() began.  Returns how many there were, @max at most. */
static inline size_t moves_read(struct traced_move *moves, size_t max)
{
	char line[512];
	size_t nr = 0;
	FILE *f;

	write_file(MOVES_TRACE "/events/kvm_gmem/kvm_gmem_migrate/enable", "0");
	f = fopen(MOVES_TRACE "/trace", "r");
	while (f && nr < max && fgets(line, sizeof(line), f)) {
		struct traced_move *m = moves + nr;
		char *at = strstr(line, "kvm_gmem_migrate: ");

		nr += at && sscanf(at, "kvm_gmem_migrate: vm %llu inode %*u index 0x%llx pages %llu pfn 0x%llx node %d to pfn 0x%llx node %d result %d",
				   &m->vm_id, &m->index, &m->pages, &m->from_pfn,
				   &m->from_node, &m->to_pfn, &m->to_node,
				   &m->result) == 8;
	}
	if (f)
		fclose(f);
	rmdir(MOVES_TRACE);
	return nr;
}

/* What main() of such a program is. */
static inline int run_migrate_tests(int argc, char **argv)
{
	libbpf_set_print(NULL);
	return test_harness_run(argc, argv);
}

FIXTURE(migrate) {
	struct guest guest;
};

FIXTURE_VARIANT(migrate) {
	enum kind kind;
	uint64_t pages;
};

FIXTURE_VARIANT_ADD(migrate, private) {
	.kind = PRIVATE,
	.pages = SMALL_PAGES,
};

FIXTURE_VARIANT_ADD(migrate, shared) {
	.kind = SHARED,
	.pages = SMALL_PAGES,
};

FIXTURE_VARIANT_ADD(migrate, huge) {
	.kind = IN_HUGE_FOLIOS,
	.pages = HUGE_PAGES,
};

/* All its memory is there. */
FIXTURE_SETUP(migrate)
{
	struct guest *g = &self->guest;

	guest_begin(g, variant->kind, variant->pages, 0);
	MUST(!allocate(g, 0, g->pages), "cannot allocate its memory");
	guest_start(g);
}

FIXTURE_TEARDOWN(migrate)
{
	struct guest *g = &self->guest;

	EXPECT_TRUE(guest_is_fine(g));
	EXPECT_EQ(0, guest_stop(g));
	guest_end(g);
}

#endif /* MIGRATE_FIXTURE_H */
