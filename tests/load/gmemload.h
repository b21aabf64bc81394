/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the three halves of gmemload share: the driver (gmemload.c, options.c,
 * output.c), the host side of one guest (vmm.c) and the code that runs inside
 * it (guest.c).  They meet in struct gl_guest, one mapping that all three see,
 * so that a guest never waits for its numbers to be read.
 */
#ifndef GMEMLOAD_H
#define GMEMLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define GL_NSEC		1000000000ULL	/* in a second */
#define GL_PAGE_SIZE	4096ULL
#define GL_HUGE_SIZE	(2ULL << 20)
#define GL_NAME_LEN	32
#define GL_MAX_GUESTS	64
#define GL_MAX_VCPUS	256
#define GL_MAX_MEM	(1ULL << 40)
#define GL_MAX_BUFFERS	65536
#define GL_ALL_BUFFERS	UINT64_MAX	/* as many as there are ranges */
/* More than this is mapped in pages of 1 GiB, and not all looked at in the end. */
#define GL_LARGE_MEM	(1ULL << 30)
#define GL_NR_ERRNO	134	/* EHWPOISON is the highest errno of x86 */

/* A histogram of times: 8 buckets for each power of two of nanoseconds. */
#define GL_HIST_SUB	8
#define GL_NR_HIST	(64 * GL_HIST_SUB)

/* Where the guest finds its memory; virtual and physical address are equal. */
#define GL_CTL_GPA	0x80000000ULL
#define GL_DATA_GPA	0x100000000ULL
/* Frames from here on have no memory, and the host converts them all the same. */
#define GL_HOLE_GPA	0x8000000000ULL
#define GL_HOLE_SIZE	0x4000000000ULL

/* Ports outside the one the selftest library uses for its own calls. */
#define GL_DOORBELL_PORT	0x1100

/* What a doorbell asks of the host; the arguments are in struct gl_mailbox. */
enum gl_request {
	GL_REQ_PACE,		/* return when the next step is due */
	GL_REQ_DISCARD,		/* punch [gpa, gpa + size) out of private memory */
	GL_REQ_DONE,		/* all iterations are done */
	GL_REQ_FAIL,		/* memory did not hold what it must */
};

enum gl_state {
	GL_STARTING,
	GL_READY,		/* booted, waits for the others */
	GL_RUNNING,
	GL_DONE,		/* ended in order */
	GL_FAILED,		/* gl_guest.detail says why */
};

/**
 * struct gl_counters - what one vCPU did, since its start
 *
 * Only 64-bit counters that grow: the driver adds and subtracts them as an
 * array.  The first two are the guest's own, the host writes the others.
 */
struct gl_counters {
	uint64_t steps;
	uint64_t touched;		/* pages the guest wrote */
	uint64_t conversions;
	uint64_t pages_to_private;
	uint64_t pages_to_shared;
	uint64_t refused;		/* conversions that failed */
	uint64_t faults_refused;	/* page faults that failed */
	uint64_t implicit;		/* conversions no hypercall asked for */
	uint64_t held;			/* calls refused since somebody held a page */
	uint64_t punched_pages;		/* out of the guest_memfd */
	uint64_t discarded_pages;	/* out of the shared memory */
	uint64_t calls;			/* of KVM_SET_MEMORY_ATTRIBUTES(2) */
	uint64_t call_ns;
	uint64_t call_hist[GL_NR_HIST];
	uint64_t convert_errno[GL_NR_ERRNO];
	uint64_t fault_errno[GL_NR_ERRNO];
};

struct gl_mailbox {
	uint32_t request;
	uint32_t check_shared;	/* the host must see @seq in the shared range */
	uint32_t check_notes;	/* both sides leave notes for each other */
	uint64_t gpa;
	uint64_t size;
	uint64_t seq;
	uint64_t turn;		/* number of the request, in the notes */
	uint64_t want;		/* of GL_REQ_FAIL */
	uint64_t got;
};

struct gl_vcpu {
	struct gl_mailbox mail;
	struct gl_counters n;
	/* Of the interval: the driver takes them and leaves "none yet". */
	uint64_t call_min;
	uint64_t call_max;
} __attribute__((aligned(64)));

/* Which words --corrupt spoils. */
enum gl_corrupt {
	GL_CORRUPT_STAMP,	/* a stamp, once */
	GL_CORRUPT_GUEST,	/* the guest's notes, from then on */
	GL_CORRUPT_HOST,	/* the host's notes, from then on */
};

struct gl_config {
	char name[GL_NAME_LEN];
	uint32_t pattern;
	uint32_t vcpus;
	uint64_t mem;
	uint64_t range;
	uint64_t rate;		/* steps a second of each vCPU, 0: no limit */
	uint64_t iterations;	/* steps of each vCPU, 0: no limit */
	uint64_t corrupt;	/* spoil a word after this step, 0: never */
	uint64_t buffers;	/* ranges that a vCPU keeps shared */
	uint32_t corrupt_what;	/* enum gl_corrupt */
	uint32_t punch;
	uint32_t in_place;	/* shared and private memory are the same pages */
	uint32_t plain;		/* a VM without private memory */
	uint32_t huge;		/* private memory comes in huge folios */
	uint32_t hold;		/* a way to hold shared pages + 1, 0: none are held */
};

struct gl_guest {
	struct gl_config cfg;
	uint32_t state;		/* enum gl_state */
	uint32_t go;
	uint64_t boot_ns;	/* to make all memory private at start, 0 if none is made so */
	uint64_t host_visible;	/* pages whose data the host sees at the end */
	char detail[256];
	struct gl_vcpu vcpu[GL_MAX_VCPUS];
} __attribute__((aligned(4096)));

struct gl_run;

/**
 * struct gl_pattern - one way for a guest to behave
 * @name: what the user calls it
 * @help: what a step of it does
 * @range: default of the range it works on, 0: all memory of a vCPU
 * @rate: default steps a second, 0: as fast as it can
 * @buffers: default of the ranges that a vCPU keeps shared, 0: it keeps none,
 *	GL_ALL_BUFFERS: all
 * @shared: all memory is shared at the start
 * @plain: it converts nothing, so that it needs no private memory
 * @start: guest code, once; may be NULL
 * @step: guest code, over and over
 */
struct gl_pattern {
	const char *name;
	const char *help;
	uint64_t range;
	uint64_t rate;
	uint64_t buffers;
	bool shared;
	bool plain;
	bool idle;
	void (*start)(struct gl_run *run);
	void (*step)(struct gl_run *run);
};

extern const struct gl_pattern gl_patterns[];
extern const unsigned int gl_nr_patterns;

/* Is all memory made private at the start, by the VM's attributes? */
static inline bool gl_starts_private(const struct gl_config *cfg)
{
	return !cfg->in_place && !cfg->plain && !gl_patterns[cfg->pattern].shared;
}

/*
 * Every page the guest writes carries a stamp in its first and its last word:
 * whether it was private, which visit wrote it, and which page it is.
 */
#define GL_STAMP_PRIVATE	0x5052ULL
#define GL_STAMP_SHARED		0x5348ULL

static inline uint64_t gl_stamp(uint64_t gpa, uint64_t seq, bool is_private)
{
	uint64_t kind = is_private ? GL_STAMP_PRIVATE : GL_STAMP_SHARED;

	return kind << 48 | (seq & 0xffffff) << 24 |
	       ((gpa / GL_PAGE_SIZE) & 0xffffff);
}

static inline uint64_t gl_stamp_kind(uint64_t stamp)
{
	return stamp >> 48;
}

/*
 * Converted in place, a page keeps what is in it.  Beside the stamps, guest and
 * host each have a word in it for the other to find after the conversion: the
 * page's number, and which request it was.  A long range has notes in some of
 * its pages only.
 */
#define GL_NOTE_GUEST		0x474eULL
#define GL_NOTE_HOST		0x484eULL
#define GL_NOTE_PAGES		64ULL

/* The words of a page that they are in, counted in words. */
#define GL_NOTE_GUEST_WORD	1
#define GL_NOTE_HOST_WORD	(GL_PAGE_SIZE / sizeof(uint64_t) - 2)

static inline uint64_t gl_note(uint64_t kind, uint64_t gpa, uint64_t turn)
{
	return kind << 48 | (turn & 0xffffff) << 24 |
	       ((gpa / GL_PAGE_SIZE) & 0xffffff);
}

/* Page @i of those @samples that stand for a range: its ends, and some between. */
static inline uint64_t gl_sample(uint64_t pages, uint64_t samples, uint64_t i)
{
	return samples == 1 ? 0 : i * (pages - 1) / (samples - 1);
}

static inline uint64_t gl_nr_notes(uint64_t pages)
{
	return pages < GL_NOTE_PAGES ? pages : GL_NOTE_PAGES;
}

/* The page of note @i of a range. */
static inline uint64_t gl_note_gpa(uint64_t gpa, uint64_t pages, uint64_t i)
{
	return gpa + gl_sample(pages, gl_nr_notes(pages), i) * GL_PAGE_SIZE;
}

/* Are the notes of @what to be wrong by now? */
static inline bool gl_spoils(const struct gl_config *cfg, uint32_t what, uint64_t steps)
{
	return cfg->corrupt && cfg->corrupt_what == what && steps >= cfg->corrupt;
}

/* Histogram bucket of a time, and the longest time that falls into a bucket. */
static inline unsigned int gl_hist_bucket(uint64_t ns)
{
	unsigned int log2;

	if (ns < GL_HIST_SUB)
		return ns;
	log2 = 63 - __builtin_clzll(ns);
	return (log2 - 2) * GL_HIST_SUB + ((ns >> (log2 - 3)) & (GL_HIST_SUB - 1));
}

static inline uint64_t gl_hist_limit(unsigned int bucket)
{
	if (bucket < GL_HIST_SUB)
		return bucket;
	return ((GL_HIST_SUB + bucket % GL_HIST_SUB + 1ULL)
		<< (bucket / GL_HIST_SUB - 1)) - 1;
}

void gl_guest_main(struct gl_guest *guest, uint64_t vcpu);
int gl_vmm_main(struct gl_guest *guest);

#endif /* GMEMLOAD_H */
