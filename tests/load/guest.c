// SPDX-License-Identifier: GPL-2.0-only
/*
 * The code that runs inside a guest: it touches pages, asks for conversions
 * by hypercall, and checks that its memory holds what it must.  It calls
 * nothing of the C library, and it never waits for anyone who reads its
 * counters.
 */
#include <linux/kvm_para.h>

#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"

#include "gmemload.h"

#define KIB		1024ULL
/* Pages that a step of "steady" touches. */
#define STEADY_PAGES	64
/* Pages that "boot" shares one by one, of which every other one comes back. */
#define BOOT_DRIVER_PAGES	32
/* Pages of its range that "giant" writes and checks. */
#define GIANT_SAMPLES	64
/* What becomes private was shared by its attribute alone. */
#define NEVER_SHARED	UINT64_MAX

/**
 * struct gl_run - where the pattern of one vCPU stands
 * @cfg: what was asked for
 * @vcpu: counters and mailbox of this vCPU
 * @base: its own part of the memory
 * @pages: size of that part
 * @range: pages a step works on
 * @samples: pages of the range that are written and checked
 * @buffers: ranges that are kept shared
 * @stride: to go through all ranges in an order that looks random
 * @pos: next page or range
 * @seq: number of the visit, in the stamps
 * @shared: state of the range
 * @half: of a pair, one range is done
 */
struct gl_run {
	const struct gl_config *cfg;
	struct gl_vcpu *vcpu;
	uint64_t base;
	uint64_t pages;
	uint64_t range;
	uint64_t samples;
	uint64_t buffers;
	uint64_t stride;
	uint64_t pos;
	uint64_t seq;
	bool shared;
	bool half;
};

static void host_request(struct gl_vcpu *vcpu, uint32_t request)
{
	WRITE_ONCE(vcpu->mail.request, request);
	asm volatile("outb %%al, %%dx" : : "a"(0), "d"(GL_DOORBELL_PORT) : "memory");
}

static void count(uint64_t *counter, uint64_t n)
{
	WRITE_ONCE(*counter, *counter + n);
}

static uint64_t page_gpa(struct gl_run *run, uint64_t page)
{
	return run->base + page * GL_PAGE_SIZE;
}

static volatile uint64_t *first_word(uint64_t gpa)
{
	return (volatile uint64_t *)gpa;
}

static volatile uint64_t *last_word(uint64_t gpa)
{
	return (volatile uint64_t *)(gpa + GL_PAGE_SIZE) - 1;
}

static void write_page(struct gl_run *run, uint64_t gpa, uint64_t seq, bool is_private)
{
	uint64_t stamp = gl_stamp(gpa, seq, is_private);

	*first_word(gpa) = stamp;
	*last_word(gpa) = stamp;
	count(&run->vcpu->n.touched, 1);
}

static void expect_word(struct gl_run *run, volatile uint64_t *word, uint64_t want)
{
	uint64_t got = *word;

	if (got == want)
		return;
	run->vcpu->mail.gpa = (uint64_t)word;
	run->vcpu->mail.want = want;
	run->vcpu->mail.got = got;
	for (;;)
		host_request(run->vcpu, GL_REQ_FAIL);
}

static void expect_zero(struct gl_run *run, uint64_t gpa)
{
	expect_word(run, first_word(gpa), 0);
	expect_word(run, last_word(gpa), 0);
}

static void expect_page(struct gl_run *run, uint64_t gpa, uint64_t seq, bool is_private)
{
	uint64_t stamp = gl_stamp(gpa, seq, is_private);

	expect_word(run, first_word(gpa), stamp);
	expect_word(run, last_word(gpa), stamp);
}

static void write_notes(struct gl_run *run, uint64_t gpa, uint64_t pages)
{
	uint64_t spoiled = gl_spoils(run->cfg, GL_CORRUPT_GUEST, run->vcpu->n.steps);
	uint64_t i, page;

	for (i = 0; i < gl_nr_notes(pages); i++) {
		page = gl_note_gpa(gpa, pages, i);
		first_word(page)[GL_NOTE_GUEST_WORD] =
			gl_note(GL_NOTE_GUEST, page, run->vcpu->mail.turn) ^ spoiled;
	}
}

static void expect_notes(struct gl_run *run, uint64_t gpa, uint64_t pages)
{
	uint64_t i, page;

	for (i = 0; i < gl_nr_notes(pages); i++) {
		page = gl_note_gpa(gpa, pages, i);
		expect_word(run, first_word(page) + GL_NOTE_HOST_WORD,
			    gl_note(GL_NOTE_HOST, page, run->vcpu->mail.turn));
	}
}

/*
 * Ask for a conversion.  Where the range was shared, the host also checks that
 * it sees the stamps of visit @seq, unless that is NEVER_SHARED.  In place, what
 * becomes shared has our notes for the host, and either way the host's are there
 * afterwards.  Returns false if it was refused.
 */
static bool convert(struct gl_run *run, uint64_t gpa, uint64_t pages,
		    bool to_private, uint64_t seq)
{
	struct gl_mailbox *mail = &run->vcpu->mail;
	uint64_t flags = to_private ? KVM_MAP_GPA_RANGE_ENCRYPTED :
				      KVM_MAP_GPA_RANGE_DECRYPTED;

	mail->seq = seq;
	mail->turn++;
	mail->check_notes = run->cfg->in_place && gpa < GL_HOLE_GPA;
	if (mail->check_notes && !to_private)
		write_notes(run, gpa, pages);
	WRITE_ONCE(mail->check_shared, to_private && seq != NEVER_SHARED);
	if (__kvm_hypercall_map_gpa_range(gpa, pages * GL_PAGE_SIZE, flags))
		return false;
	if (mail->check_notes)
		expect_notes(run, gpa, pages);
	return true;
}

/* A little of what programs do between two visits of memory: read and add. */
static void light_work(uint64_t gpa)
{
	volatile uint64_t *word = first_word(gpa);
	uint64_t sum = 0;
	int i;

	for (i = 0; i < 32; i++)
		sum += word[i * 16];
	asm volatile("" : : "r"(sum));
}

static void idle_step(struct gl_run *run)
{
	asm volatile("hlt");
}

/* Sweep over the working set; each page must still hold the last sweep. */
static void steady_step(struct gl_run *run)
{
	uint64_t i, gpa;

	for (i = 0; i < STEADY_PAGES; i++) {
		gpa = page_gpa(run, run->pos);
		if (run->seq)
			expect_page(run, gpa, run->seq, true);
		write_page(run, gpa, run->seq + 1, true);
		light_work(gpa);
		if (++run->pos == run->range) {
			run->pos = 0;
			run->seq++;
		}
	}
}

/*
 * Have one range after the other taken away and fault it in again.  A page
 * that comes back is zero, and all the others keep what they held.
 */
static void churn_step(struct gl_run *run)
{
	struct gl_mailbox *mail = &run->vcpu->mail;
	uint64_t i, gpa;

	if (run->seq)
		for (i = 0; i < run->range; i++)
			expect_page(run, page_gpa(run, run->pos + i), run->seq, true);

	mail->gpa = page_gpa(run, run->pos);
	mail->size = run->range * GL_PAGE_SIZE;
	host_request(run->vcpu, GL_REQ_DISCARD);

	for (i = 0; i < run->range; i++) {
		gpa = page_gpa(run, run->pos + i);
		expect_zero(run, gpa);
		write_page(run, gpa, run->seq + 1, true);
	}

	run->pos += run->range;
	if (run->pos + run->range > run->pages) {
		run->pos = 0;
		run->seq++;
	}
}

static uint64_t sample_gpa(struct gl_run *run, uint64_t i)
{
	return page_gpa(run, gl_sample(run->range, run->samples, i));
}

static void write_samples(struct gl_run *run)
{
	uint64_t i;

	for (i = 0; i < run->samples; i++)
		write_page(run, sample_gpa(run, i), run->seq, !run->shared);
}

static void pingpong_start(struct gl_run *run)
{
	run->samples = run->range > 1 ? 2 : 1;
	write_samples(run);
}

static void giant_start(struct gl_run *run)
{
	run->samples = run->range < GIANT_SAMPLES ? run->range : GIANT_SAMPLES;
	write_samples(run);
}

/* Convert the range to what it isn't.  Refused, it must hold what it held. */
static void toggle_step(struct gl_run *run)
{
	uint64_t i;

	for (i = 0; i < run->samples; i++)
		expect_page(run, sample_gpa(run, i), run->seq, !run->shared);

	if (!convert(run, run->base, run->range, run->shared, run->seq))
		return;

	run->shared = !run->shared;
	run->seq++;
	write_samples(run);
}

/*
 * Of each pair of neighbours one is shared and one is private.  A sweep makes
 * it so and the next one swaps them, so the attributes always alternate.  A
 * refused conversion is tried again by the next step.
 */
static void fragment_step(struct gl_run *run)
{
	uint64_t odd = run->seq & 1;
	uint64_t leave = page_gpa(run, run->pos + odd * run->range);
	uint64_t enter = page_gpa(run, run->pos + !odd * run->range);

	if (!run->half) {
		if (run->seq) {
			expect_page(run, enter, run->seq, false);
			if (!convert(run, enter, run->range, true, run->seq))
				return;
		}
		write_page(run, enter, run->seq + 1, true);
		run->half = true;
		if (run->seq)
			return;
	}

	if (run->seq)
		expect_page(run, leave, run->seq, true);
	if (!convert(run, leave, run->range, false, 0))
		return;
	write_page(run, leave, run->seq + 1, false);
	run->half = false;

	run->pos += 2 * run->range;
	if (run->pos + 2 * run->range > run->pages) {
		run->pos = 0;
		run->seq++;
	}
}

/*
 * What a guest does while it boots: it shares an area at the end of its memory
 * page by page, as for bounce buffers; then its drivers share single pages, and
 * half of them give theirs back.  After that it works with what is private.
 */
static void boot_step(struct gl_run *run)
{
	uint64_t driver = run->pos - run->range;
	uint64_t stride = (run->pages - run->range) / (BOOT_DRIVER_PAGES + 1);
	uint64_t gpa;

	if (run->pos < run->range) {
		gpa = page_gpa(run, run->pages - run->range + run->pos);
		if (!convert(run, gpa, 1, false, 0))
			return;
		write_page(run, gpa, 1, false);
		run->pos++;
	} else if (stride && driver < BOOT_DRIVER_PAGES) {
		gpa = page_gpa(run, (driver + 1) * stride);
		if (!run->shared) {
			if (!convert(run, gpa, 1, false, 0))
				return;
			write_page(run, gpa, 1, false);
			run->shared = true;
		}
		if (driver % 2) {
			expect_page(run, gpa, 1, false);
			if (!convert(run, gpa, 1, true, 1))
				return;
		}
		run->shared = false;
		run->pos++;
	} else {
		gpa = run->base;
		if (run->seq)
			expect_page(run, gpa, run->seq, true);
		write_page(run, gpa, ++run->seq, true);
	}
}

/* As far apart as can be, and such that each range has its turn. */
static void scatter_start(struct gl_run *run)
{
	uint64_t ranges = run->pages / run->range, a, b, rest;

	for (run->stride = ranges * 5 / 8 | 1;; run->stride += 2) {
		for (a = ranges, b = run->stride; b; a = b, b = rest)
			rest = a % b;
		if (a == 1)
			return;
	}
}

static uint64_t scattered_gpa(struct gl_run *run, uint64_t nr)
{
	uint64_t ranges = run->pages / run->range;

	return page_gpa(run, nr * run->stride % ranges * run->range);
}

static void walk_start(struct gl_run *run)
{
	run->stride = 1;
}

/* Make one range after the other private and touch it, and then work. */
static void walk_step(struct gl_run *run)
{
	uint64_t gpa, i;

	if (run->pos == run->pages / run->range) {
		expect_page(run, run->base, ++run->seq, true);
		write_page(run, run->base, run->seq + 1, true);
		return;
	}
	gpa = scattered_gpa(run, run->pos);
	if (!convert(run, gpa, run->range, true, NEVER_SHARED))
		return;
	for (i = 0; i < run->range; i++)
		write_page(run, gpa + i * GL_PAGE_SIZE, 1, true);
	run->pos++;
}

/*
 * A buffer for each request, as from a pool: once there are enough, each step
 * makes the oldest private before it shares another one.
 */
static void bounce_step(struct gl_run *run)
{
	uint64_t gpa;

	if (run->pos >= run->buffers && !run->half) {
		gpa = scattered_gpa(run, run->pos - run->buffers);
		expect_page(run, gpa, run->pos - run->buffers, false);
		if (!convert(run, gpa, run->range, true, run->pos - run->buffers))
			return;
		write_page(run, gpa, run->pos, true);
		run->half = true;
	}
	gpa = scattered_gpa(run, run->pos);
	if (!convert(run, gpa, run->range, false, 0))
		return;
	write_page(run, gpa, run->pos, false);
	run->half = false;
	run->pos++;
}

/* Share all, make one range after the other private, touch all of it. */
static void reset_step(struct gl_run *run)
{
	uint64_t i;

	if (!run->shared && !convert(run, run->base, run->pages, false, 0))
		return;
	/* What becomes private is checked against what the host has of it. */
	for (i = 0; !run->shared && i < run->pages; i += run->range)
		write_page(run, page_gpa(run, i), run->seq, false);
	run->shared = true;
	for (; run->pos < run->pages; run->pos += run->range) {
		if (!convert(run, page_gpa(run, run->pos), run->range, true,
			     run->seq))
			return;
	}
	run->shared = false;
	run->pos = 0;
	run->seq++;
	for (i = 0; i < run->pages; i++)
		write_page(run, page_gpa(run, i), run->seq, true);
}

/* Populate all, share one range (buffer) after the other, and keep it so. */
static void hoard_step(struct gl_run *run)
{
	uint64_t gpa = page_gpa(run, run->pos), i;

	if (run->pos / run->range == run->buffers || run->pos + run->range > run->pages) {
		expect_page(run, run->base, 2, false);
		return;
	}
	for (i = 0; i < run->pages && !run->seq; i++)
		write_page(run, page_gpa(run, i), 1, true);
	run->seq = 1;
	expect_page(run, gpa, 1, true);
	if (!convert(run, gpa, run->range, false, 0))
		return;
	for (i = 0; i < run->range; i++)
		write_page(run, gpa + i * GL_PAGE_SIZE, 2, false);
	run->pos += run->range;
}

/* Frames that no memory is behind: each step converts the next of every other. */
static void holes_step(struct gl_run *run)
{
	uint64_t gpa = GL_HOLE_GPA + (run->base - GL_DATA_GPA) +
		       run->pos * 2 * run->range * GL_PAGE_SIZE % GL_HOLE_SIZE;

	if (convert(run, gpa, run->range, true, NEVER_SHARED))
		run->pos++;
}

const struct gl_pattern gl_patterns[] = {
	{
		.name = "steady",
		.help = "touch the working set (range) over and over; a step is 64 pages",
		.rate = 50,
		.plain = true,
		.step = steady_step,
	}, {
		.name = "idle",
		.help = "halt",
		.idle = true,
		.plain = true,
		.step = idle_step,
	}, {
		.name = "churn",
		.help = "have a range punched out and fault it in again",
		.range = 256 * KIB,
		.rate = 20,
		.plain = true,
		.step = churn_step,
	}, {
		.name = "pingpong",
		.help = "convert one range to shared or back, as fast as it can",
		.range = 4 * KIB,
		.start = pingpong_start,
		.step = toggle_step,
	}, {
		.name = "giant",
		.help = "convert all memory to shared or back",
		.rate = 2,
		.start = giant_start,
		.step = toggle_step,
	}, {
		.name = "boot",
		.help = "share a range page by page and some pages beside it, then work",
		.range = 1024 * KIB,
		.step = boot_step,
	}, {
		.name = "fragment",
		.help = "convert a range; every other one is shared",
		.range = 4 * KIB,
		.rate = 500,
		.step = fragment_step,
	}, {
		.name = "walk",
		.help = "begin shared; make one range after the other private, then work",
		.range = 4 * KIB,
		.shared = true,
		.start = walk_start,
		.step = walk_step,
	}, {
		.name = "scatter",
		.help = "the same in an order that looks random",
		.range = 4 * KIB,
		.shared = true,
		.start = scatter_start,
		.step = walk_step,
	}, {
		.name = "bounce",
		.help = "keep some ranges (buffers) shared, each step another one",
		.range = 64 * KIB,
		.rate = 500,
		.buffers = 32,
		.start = scatter_start,
		.step = bounce_step,
	}, {
		.name = "reset",
		.help = "share all memory, make it private by the range, touch all of it",
		.range = 2048 * KIB,
		.rate = 1,
		.step = reset_step,
	}, {
		.name = "hoard",
		.help = "touch all memory, then share it, or some ranges (buffers), for good",
		.range = 64 * KIB,
		.rate = 50,
		.buffers = GL_ALL_BUFFERS,
		.step = hoard_step,
	}, {
		.name = "holes",
		.help = "make every other range private where no memory is",
		.range = 4 * KIB,
		.step = holes_step,
	},
};

const unsigned int gl_nr_patterns = ARRAY_SIZE(gl_patterns);

/**
 * gl_guest_main - entry point of each vCPU
 * @guest: the page that guest, host and driver share
 * @vcpu: number of this vCPU
 *
 * Context: inside the guest.  Doesn't return.
 */
void gl_guest_main(struct gl_guest *guest, uint64_t vcpu)
{
	const struct gl_config *cfg = &guest->cfg;
	const struct gl_pattern *pattern = &gl_patterns[cfg->pattern];
	uint64_t pages = cfg->mem / GL_PAGE_SIZE / cfg->vcpus;
	struct gl_run run = {
		.cfg = cfg,
		.vcpu = &guest->vcpu[vcpu],
		.base = GL_DATA_GPA + vcpu * pages * GL_PAGE_SIZE,
		.pages = pages,
		.range = cfg->range / GL_PAGE_SIZE,
		.buffers = cfg->buffers,
	};
	uint64_t step = 0;

	if (pattern->start)
		pattern->start(&run);

	while (!cfg->iterations || step < cfg->iterations) {
		if (cfg->rate)
			host_request(run.vcpu, GL_REQ_PACE);
		pattern->step(&run);
		WRITE_ONCE(run.vcpu->n.steps, ++step);
		if (step == cfg->corrupt && cfg->corrupt_what == GL_CORRUPT_STAMP)
			*last_word(run.base) ^= 1;
	}
	for (;;)
		host_request(run.vcpu, GL_REQ_DONE);
}
