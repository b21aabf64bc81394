/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a host does that moves memory of all kinds: takes blocks of memory away, wants
 * a part of an area for itself, looks for room for huge pages.
 */
#ifndef MIGRATE_HOST_H
#define MIGRATE_HOST_H

#include "migrate_fixture.h"

#define MEMORY		"/sys/devices/system/memory"
#define AREA		"/sys/kernel/debug/cma/reserved"

/* A number that a file of the kernel has, in that base; -1 if there is none. */
static inline long long number_in(const char *path, int base)
{
	char text[64] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return text[0] ? strtoll(text, NULL, base) : -1;
}

static inline uint64_t pages_per_block(void)
{
	return number_in(MEMORY "/block_size_bytes", 16) / PAGE_SIZE;
}

/* The state of a block: online or offline; 0 or the errno. */
static inline int set_block(uint64_t block, const char *state)
{
	char path[96];

	snprintf(path, sizeof(path), MEMORY "/memory%lu/state", block);
	return write_file(path, state);
}

static inline bool block_is(uint64_t block, const char *name, const char *is)
{
	char path[96], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), MEMORY "/memory%lu/%s", block, name);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return !strncmp(text, is, strlen(is));
}

/* Is it memory of that node? */
static inline bool block_is_of(uint64_t block, int node)
{
	char path[96];

	snprintf(path, sizeof(path), MEMORY "/memory%lu/node%d", block, node);
	return !access(path, F_OK);
}

/* Patience for what has a page for a moment. */
static inline int offline_block(uint64_t block)
{
	int tries, r = EBUSY;

	for (tries = 0; tries < 20 && (r == EBUSY || r == EAGAIN); tries++)
		r = set_block(block, "offline");
	return r;
}

/* Memory for what can be moved, as it is at the start. */
static inline int online_block(uint64_t block)
{
	return set_block(block, "online_movable");
}

/* Starts a guest that has touched no page yet, and finds the frames of all. */
static inline void start_and_find(struct guest *g, uint64_t *pfns)
{
	frames_trace();
	guest_start(g);
	MUST(guest_is_fine(g), "the guest reads something else");
	MUST(frames_read(MOVE_GFN, g->pages, pfns) == g->pages,
	     "not all frames are traced");
}

/* Has the kernel memory there from before there was a kernel?  Such a block stays. */
static inline bool block_is_reserved(uint64_t block)
{
	const uint64_t reserved = 1ULL << 32; /* KPF_RESERVED */
	const size_t pages = pages_per_block();
	uint64_t flags[512];
	bool found = false;
	size_t page, i;
	int fd;

	fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0, "cannot read /proc/kpageflags");
	for (page = 0; page < pages && !found; page += ARRAY_SIZE(flags)) {
		MUST(pread(fd, flags, sizeof(flags),
			   (block * pages + page) * sizeof(*flags)) == sizeof(flags),
		     "cannot read /proc/kpageflags");
		for (i = 0; i < ARRAY_SIZE(flags); i++)
			found |= flags[i] & reserved;
	}
	close(fd);
	return found;
}

/*
 * Takes memory of a node as the guest has it, until the process ends.  A CPU gives away
 * first what it got back last: who takes nothing between two moves gets the same pages
 * again.
 */
static inline void take_memory(const struct guest *g, uint32_t node, size_t size)
{
	const unsigned long mask = 1UL << node;
	char *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(mem != MAP_FAILED, "map memory");
	MUST(!syscall(__NR_mbind, mem, size, MPOL_BIND, &mask, 64, 0), "mbind: %s",
	     strerror(errno));
	/* A kernel without huge pages refuses. */
	madvise(mem, size, g->kind == IN_HUGE_FOLIOS ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(mem, 1, size);
}

/* Moves all pages to a node; which block that can be taken away has how many. */
static inline uint64_t move_to_block(struct guest *g, uint32_t node, uint64_t *inside)
{
	static struct traced_move moves[4096];
	uint64_t block = 0;
	size_t nr, i;
	int tries;

	*inside = 0;
	for (tries = 0; tries < 8 && !*inside; tries++) {
		move_all(g, !node);
		if (tries)
			take_memory(g, node, pages_per_block() / 2 * PAGE_SIZE);
		moves_trace();
		move_all(g, node);
		nr = moves_read(moves, ARRAY_SIZE(moves));
		MUST(nr, "no move is traced");
		for (i = 0; i < nr; i++) {
			uint64_t at = moves[i].to_pfn / pages_per_block();

			if (moves[i].result)
				continue;
			if (!*inside && !block_is_reserved(at))
				block = at;
			if (block && at == block)
				*inside += moves[i].pages;
		}
	}
	return block;
}

/* The area that memory of all kinds is in, and that the host can have back (cma=). */
struct area {
	uint64_t base, pages;
};

/* False if the kernel was not told to have one. */
static inline bool find_area(struct area *area)
{
	*area = (struct area){
		.base = number_in(AREA "/base_pfn", 10),
		.pages = number_in(AREA "/count", 10),
	};
	return area->base != -1ULL;
}

/* Takes pages of the area, or gives them back; 0 or the errno. */
static inline int area_write(const char *file, uint64_t pages)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", pages);
	return write_file(file, text);
}

#endif /* MIGRATE_HOST_H */
