/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pages of one VM share.  Not here: the panel that shows one of them
 * (details.h).
 */
#ifndef GMEMTOP_PAGE_H
#define GMEMTOP_PAGE_H

#include "sampling/layout.h"
#include "sampling/observe.h"
#include "terminal/tui.h"

/**
 * struct details - one VM, looked at closely
 * @vm_id: the VM
 * @gone: it is gone, what is shown is the last that was known
 * @now: its counters
 * @nodes: NUMA nodes that they tell of, as struct frame has it
 * @facts: its name
 * @owner: the name when its monitor was last there
 * @owner_pid: the monitor's pid then
 * @page: which page is shown
 * @first: first line shown of a page that is longer than the screen
 * @layout: answers where its memory is, while a page needs it
 * @observer: attached while a page needs it
 */
struct details {
	uint64_t vm_id;
	bool gone;
	struct gmem_vm_sample now;
	uint64_t nodes;
	struct vm_facts facts;
	struct vm_facts owner;
	uint32_t owner_pid;
	int page;
	int first;
	struct layout *layout;
	struct observer *observer;
};

/**
 * struct details_page - one page
 * @name: its name
 * @live: it shows what only the running kernel knows
 * @counts: it shows every figure there is of the VM
 * @observes: it needs the observer
 * @open: called when it comes up, may be NULL
 * @read: reads what it shows; 0, or -errno after one line of error; may be NULL
 * @draw: draws it from line @y to the last but one
 * @key: takes a key, may be NULL; returns false if it does not want it, and
 *	otherwise the page is read again
 */
struct details_page {
	const char *name;
	bool live;
	bool counts;
	bool observes;
	void (*open)(struct details *details);
	int (*read)(struct details *details);
	void (*draw)(struct tui *tui, struct details *details, int y);
	bool (*key)(struct tui *tui, struct details *details, int key);
};

/**
 * page_failed() - deal with what layout.h returned
 * @details: the VM
 * @err: 0, -ESRCH if the VM is gone, -EAGAIN to try again later, or another
 *	-errno
 *
 * Return: 0 if the page can go on, else @err.
 */
int page_failed(struct details *details, int err);

/**
 * page_not_recorded() - say that a recording does not have what is to be shown
 * @y: line
 */
void page_not_recorded(int y);

#endif /* GMEMTOP_PAGE_H */
