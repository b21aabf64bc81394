/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What gmemmove says: how far it is, what became of each VM's memory, and why some
 * has stayed where it was.
 */
#ifndef GMEMMOVE_REPORT_H
#define GMEMMOVE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "gmem_scope.h"
#include "move.h"

struct json_object;

/**
 * struct report - what is said, and what of it at the end
 * @node: where memory is moved to
 * @quiet: only errors are
 * @json: an array with an object a VM, NULL for lines of text
 * @vm: the VM of now
 * @began_ns: when it began
 * @sum: what became of all
 */
struct report {
	uint32_t node;
	bool quiet;
	struct json_object *json;
	const struct vm *vm;
	uint64_t began_ns;
	struct moved sum;
};

/**
 * report_begin() - a VM is next
 * @report: what is said
 * @vm: the VM
 */
void report_begin(struct report *report, const struct vm *vm);

/**
 * report_progress() - say on a terminal how far it is
 * @ctx: a struct report
 * @moved: what became of the VM's memory so far
 */
void report_progress(void *ctx, const struct moved *moved);

/**
 * report_vm() - say what became of the VM's memory
 * @report: what is said
 * @moved: that
 *
 * Return: 0, or -errno after one line of error.
 */
int report_vm(struct report *report, const struct moved *moved);

/**
 * report_end() - say why some has stayed, and what to do
 * @report: what is said
 *
 * Return: 0, or -errno after one line of error.
 */
int report_end(struct report *report);

#endif /* GMEMMOVE_REPORT_H */
