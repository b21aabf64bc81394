/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A frame: everything there is to know of a host at one moment, whether it was
 * sampled right now or is read from a recording.
 */
#ifndef GMEMTOP_FRAME_H
#define GMEMTOP_FRAME_H

#include "figures/facts.h"
#include "gmem_sample.h"

/**
 * struct frame - a host at one moment
 * @time_ns: the kernel's CLOCK_MONOTONIC
 * @boot_ns: its CLOCK_BOOTTIME, by which policies end; in a recording, which does
 *	not have it, @time_ns, which is less if the host was suspended
 * @real_ns: the time of day, in nanoseconds since 1970
 * @host_pages: memory of the host, in pages of 4 KiB
 * @policies_enabled: as gmem_policies_enabled() returns it
 * @vms: its VMs, in the order of their ids
 * @policies: the attached policies, in the order they run
 * @nodes: NUMA nodes that gmem_vm_sample.node_pages tells of, a bit each; 0 if
 *	it tells of none
 *
 * Starts as all zeroes; frame_free() gives the memory back.
 */
struct frame {
	uint64_t time_ns;
	uint64_t boot_ns;
	uint64_t real_ns;
	uint64_t host_pages;
	int policies_enabled;
	struct gmem_sample vms;
	struct gmem_policies policies;
	uint64_t nodes;
};

#define SOURCE_NOTICE_LEN	320

/**
 * struct source - where frames come from
 * @read: fills in the next frame, and the names of its VMs; returns 0, or
 *	-errno after one line of error
 * @live: it is this host, now; so the kernel can be asked for more
 * @about: what its figures are from, a word or two; NULL if it is not known
 * @lacks: what cannot be known of it, a line; NULL if all can
 * @twice_of: of this host: whose memory that is backed twice the next frames
 *	have, as for gmem_sampler_twice_of()
 * @look_max_ns: how long to look for it and for what is mapped, likewise
 * @twice_age_ns: how old it may be if it is that of all, unless a VM is new; 0 to
 *	look for it at each frame
 * @seek: of a recording: makes a frame the next one
 * @find: of a recording: sets @nr to the frame of a time that the user typed;
 *	returns 0, or -EINVAL if it is no time
 * @position: of a recording: the frame that was read last
 * @count: of a recording: how many there are
 * @ended: of a recording: there is no frame after the last that was read
 * @notice: what is to be told once, a line; who tells it empties it
 *
 * Embedded in what knows more of it.
 */
struct source {
	int (*read)(struct source *source, struct frame *frame,
		    struct facts *facts);
	bool live;
	const char *about;
	const char *lacks;
	uint64_t twice_of;
	uint64_t look_max_ns;
	uint64_t twice_age_ns;
	void (*seek)(struct source *source, size_t nr);
	int (*find)(struct source *source, const char *text, size_t *nr);
	size_t position;
	size_t count;
	bool ended;
	char notice[SOURCE_NOTICE_LEN];
};

/**
 * frame_share_resident() - divide the resident memory of a process among its VMs
 * @frame: a frame as its source gave it
 *
 * What a process has is the memory of all its VMs together.  Of guest_memfds it is
 * known whose they are, and each VM gets its own.  Of the rest nobody knows which
 * is whose: in equal shares, it is in a sum over VMs once.
 *
 * Return: 0, or -ENOMEM after one line of error.
 */
int frame_share_resident(struct frame *frame);

/**
 * source_tell() - print what is to be told of a source, if there is anything
 * @source: the source
 */
void source_tell(struct source *source);

/**
 * frame_free() - give back the memory of a frame
 * @frame: a frame, all zeroes afterwards
 */
void frame_free(struct frame *frame);

#endif /* GMEMTOP_FRAME_H */
