// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs bpf/move.bpf.c over a VM's address space, a bounded part in each run.  Parts
 * where somebody has a page are kept and tried again: most have it for a moment.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "move.h"
#include "move.skel.h"

/* How often parts are tried, and the pause before the second time; it doubles. */
#define PASSES		6
#define PAUSE_MS	50

/*
 * Runs that moved nothing for want of memory, one after the other: each tries one
 * page, or a huge folio, and what comes after it may be small, and have room.
 */
#define FULL_RUNS	64

#define NODES_WITH_MEMORY	"/sys/devices/system/node/has_memory"

/* A part that is to be tried again, and what became of it so far. */
struct part {
	uint64_t start;
	uint64_t end;
	uint64_t pages[GMEM_NR_MOVED];
};

struct parts {
	size_t nr;
	size_t room;
	struct part *parts;
};

struct mover {
	struct move_bpf *skel;
	uint32_t node;
	int pass;
	unsigned int full_runs;
	struct parts now;
	struct parts later;
};

static volatile sig_atomic_t stop;

void mover_stop(void)
{
	stop = 1;
}

uint64_t moved_tried(const struct moved *moved)
{
	return moved->pages[GMEM_MOVED_THERE] + moved->pages[GMEM_MOVED_NOW] +
	       moved_stayed(moved);
}

uint64_t moved_stayed(const struct moved *moved)
{
	uint64_t sum = 0;
	int i;

	for (i = GMEM_MOVED_HELD; i < GMEM_NR_MOVED; i++)
		sum += moved->pages[i];
	return sum;
}

/* What the program says, or what kept it from running. */
static int run(struct mover *mover)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err;

	err = bpf_prog_test_run_opts(bpf_program__fd(mover->skel->progs.move_part),
				     &opts);
	if (err)
		gmem_err_bpf(err, "cannot run the program that moves memory");
	return err ? -EIO : mover->skel->bss->result;
}

struct mover *mover_open(uint32_t node)
{
	struct mover *mover = calloc(1, sizeof(*mover));
	int err;

	if (!mover) {
		gmem_err("no memory for what moves it; free some");
		return NULL;
	}
	mover->node = node;
	mover->skel = move_bpf__open_and_load();
	if (!mover->skel) {
		err = -errno;
		gmem_err_bpf(err, "cannot load the program that moves memory");
		goto fail;
	}
	/* There is no VM 0. */
	err = run(mover);
	if (err == -ESRCH)
		return mover;
	if (err == -ENOSYS)
		gmem_err("this kernel moves no private memory (no bpf_kvm_gmem_move() in its BTF); boot one with a newer gmem, or update gmem-dkms");
fail:
	mover_close(mover);
	return NULL;
}

void mover_close(struct mover *mover)
{
	if (!mover)
		return;
	free(mover->now.parts);
	free(mover->later.parts);
	move_bpf__destroy(mover->skel);
	free(mover);
}

static bool add_part(struct parts *parts, const struct part *part)
{
	size_t room = parts->room ? 2 * parts->room : 64;
	struct part *p;

	if (parts->nr == parts->room) {
		p = reallocarray(parts->parts, room, sizeof(*p));
		if (!p)
			return false;
		parts->parts = p;
		parts->room = room;
	}
	parts->parts[parts->nr++] = *part;
	return true;
}

/* Of what stayed; the others are counted at once, as they are final. */
static void settle(struct moved *moved, const struct part *part)
{
	int i;

	for (i = GMEM_MOVED_HELD; i < GMEM_NR_MOVED; i++)
		moved->pages[i] += part->pages[i];
}

static int refused(const struct mover *mover, int err)
{
	char nodes[256] = "";
	FILE *f;

	if (err != -EINVAL) {
		gmem_err_bpf(err, "cannot move memory");
		return err;
	}
	f = fopen(NODES_WITH_MEMORY, "re");
	if (f) {
		if (!fgets(nodes, sizeof(nodes), f))
			nodes[0] = '\0';
		fclose(f);
	}
	nodes[strcspn(nodes, "\n")] = '\0';
	gmem_err("there is no node %u with memory; choose one of %s",
		 mover->node, nodes[0] ? nodes : NODES_WITH_MEMORY);
	return err;
}

/* Returns 1 if there is more of the part, 0, or a negative errno. */
static int try_part(struct mover *mover, struct part *part, struct moved *moved)
{
	struct gmem_move *move = &mover->skel->bss->move;
	struct part tried = { .start = part->start };
	int more;

	memset(move->pages, 0, sizeof(move->pages));
	move->start = part->start;
	more = run(mover);
	if (more < 0)
		return more;
	move->drain = false;
	part->start = more ? move->start : part->end;
	tried.end = part->start;
	memcpy(tried.pages, move->pages, sizeof(tried.pages));

	moved->pages[GMEM_MOVED_NOW] += tried.pages[GMEM_MOVED_NOW];
	/* Those that came there by an earlier pass are counted. */
	if (!mover->pass)
		moved->pages[GMEM_MOVED_THERE] += tried.pages[GMEM_MOVED_THERE];
	if (!tried.pages[GMEM_MOVED_HELD] || !add_part(&mover->later, &tried))
		settle(moved, &tried);

	if (tried.pages[GMEM_MOVED_NOW])
		mover->full_runs = 0;
	else if (tried.pages[GMEM_MOVED_NO_MEMORY])
		mover->full_runs++;
	return more;
}

/* What is left of a pass that does not come to its end is as it was. */
static int pass(struct mover *mover, struct moved *moved,
		void (*progress)(void *ctx, const struct moved *moved), void *ctx)
{
	struct gmem_move *move = &mover->skel->bss->move;
	int more = 0;
	size_t i;

	/* New pages are in lists of the CPUs, which count as somebody. */
	move->drain = mover->pass > 0;
	move->node = mover->node;
	for (i = 0; i < mover->now.nr; i++) {
		struct part part = mover->now.parts[i];

		move->end = part.end;
		do {
			if (stop)
				moved->end = MOVE_STOPPED;
			else if (mover->full_runs >= FULL_RUNS)
				moved->end = MOVE_FULL;
			if (moved->end != MOVE_DONE)
				break;
			more = try_part(mover, &part, moved);
			progress(ctx, moved);
		} while (more > 0);
		if (more < 0)
			return more;
		if (moved->end != MOVE_DONE && part.start == mover->now.parts[i].start)
			settle(moved, &part);
	}
	return 0;
}

static void pause_before(int pass)
{
	const long ms = PAUSE_MS << (pass - 1);
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	/* A signal ends it, as it is to. */
	nanosleep(&time, NULL);
}

int mover_run(struct mover *mover, uint64_t vm_id, struct moved *moved,
	      void (*progress)(void *ctx, const struct moved *moved), void *ctx)
{
	const struct part all = { .end = UINT64_MAX };
	int err = 0;
	size_t i;

	*moved = (struct moved) {};
	mover->skel->bss->vm_id = vm_id;
	mover->full_runs = 0;
	mover->later.nr = 0;
	if (!add_part(&mover->later, &all)) {
		gmem_err("no memory for what is to be moved; free some");
		return -ENOMEM;
	}
	for (mover->pass = 0; mover->pass < PASSES && mover->later.nr;
	     mover->pass++) {
		struct parts parts = mover->now;

		if (mover->pass)
			pause_before(mover->pass);
		mover->now = mover->later;
		mover->later = parts;
		mover->later.nr = 0;
		err = pass(mover, moved, progress, ctx);
		if (err || moved->end != MOVE_DONE)
			break;
	}
	/* Then nothing of it is anywhere. */
	if (err == -ESRCH) {
		for (i = GMEM_MOVED_HELD; i < GMEM_NR_MOVED; i++)
			moved->pages[i] = 0;
		moved->end = MOVE_GONE;
		return 0;
	}
	for (i = 0; i < mover->later.nr; i++)
		settle(moved, &mover->later.parts[i]);
	return err && err != -EIO ? refused(mover, err) : err;
}
