/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The columns of gmemtop: one table that titles, widths, order, formats, help,
 * JSON keys and metrics follow from.  Not here: which of them are shown
 * (fields.h) and how (cells.h).
 */
#ifndef GMEMTOP_COLUMNS_H
#define GMEMTOP_COLUMNS_H

#include "figures/facts.h"
#include "gmem_sample.h"

/*
 * Room for any cell that is not text, for a text that is made for a cell (all
 * policies that a VM can have), and for what is shown of one.
 */
#define CELL_LEN	32
#define TEXT_LEN	768

/**
 * struct row - one VM as it is shown
 * @now: its counters
 * @before: its counters at the sample before, NULL if it was born since
 * @seconds: time since the sample before, 0 if there was none
 * @facts: what is known of its process
 * @policies: the policies attached to any VM
 * @nodes: which NUMA nodes have a figure, a bit each; 0 if none has
 * @key: value of the column that rows are sorted by, unless that is text
 */
struct row {
	const struct gmem_vm_sample *now;
	const struct gmem_vm_sample *before;
	double seconds;
	struct vm_facts *facts;
	const struct gmem_policies *policies;
	uint64_t nodes;
	double key;
};

/**
 * enum column_kind - how a column's value is made and written
 * @COLUMN_NUMBER: the counter as it is
 * @COLUMN_COUNT: the counter, of interest for how great it is
 * @COLUMN_TEXT: what @text gives
 * @COLUMN_PAGES: the counter, an amount of memory
 * @COLUMN_BYTES: the counter, an amount of memory too small for pages
 * @COLUMN_TIME: the counter, in nanoseconds
 * @COLUMN_MEAN: how many nanoseconds the counter rose for each time that another
 *	one did
 * @COLUMN_PERCENT: the counter, as a part of another one
 * @COLUMN_RATE: how much the counter rose a second
 * @COLUMN_TREND: the row's last conversion rates, as a curve
 */
enum column_kind {
	COLUMN_NUMBER,
	COLUMN_COUNT,
	COLUMN_TEXT,
	COLUMN_PAGES,
	COLUMN_BYTES,
	COLUMN_TIME,
	COLUMN_MEAN,
	COLUMN_PERCENT,
	COLUMN_RATE,
	COLUMN_TREND,
};

/**
 * enum metric_type - what a column is for Prometheus
 * @METRIC_NONE: not exported
 * @METRIC_LABEL: a label that each series of the VM has
 * @METRIC_INFO: a label of the VM's info series
 * @METRIC_GAUGE: a value that goes up and down
 * @METRIC_COUNTER: a value that only rises; the sample's name ends in _total
 */
enum metric_type {
	METRIC_NONE,
	METRIC_LABEL,
	METRIC_INFO,
	METRIC_GAUGE,
	METRIC_COUNTER,
};

/**
 * struct metric - a column as Prometheus knows it
 * @type: enum metric_type
 * @name: name of the family, without _total; of a label its name
 * @unit: "bytes", "seconds" or NULL
 * @help: one sentence
 * @scale: what the counter is multiplied by to be in @unit, 0 for 1
 */
struct metric {
	enum metric_type type;
	const char *name;
	const char *unit;
	const char *help;
	double scale;
};

/**
 * struct column - one column
 * @key: its name for --fields and --sort, in menus, and of a rate or mean in JSON
 * @title: what stands above it, at most @width characters
 * @total: what its sum over all VMs is called, NULL if it has none
 * @help: one line
 * @json: key of its counter or text in JSON, NULL if it is not there
 * @width: characters
 * @kind: how to make its value
 * @scale: what a rate is multiplied by, 0 for 1
 * @may_lack: GMEM_UNKNOWN is a value that is not known
 * @offset: of the 64-bit counter in struct gmem_vm_sample
 * @per: of COLUMN_MEAN and COLUMN_PERCENT: the other counter, as @offset
 * @counter: the counter, instead of @offset
 * @text: of COLUMN_TEXT: the text, as gmem_clean() has it; @dst has TEXT_LEN
 *	bytes that it may be made in
 * @shown: of COLUMN_TEXT: the text as it fits the column, NULL if it is yet to
 *	be made; instead of @text
 * @metric: what it is for Prometheus
 */
struct column {
	const char *key;
	const char *title;
	const char *total;
	const char *help;
	const char *json;
	int width;
	enum column_kind kind;
	double scale;
	bool may_lack;
	size_t offset;
	size_t per;
	uint64_t (*counter)(const struct gmem_vm_sample *vm);
	const char *(*text)(const struct row *row, char *dst);
	const char *(*shown)(const struct row *row);
	struct metric metric;
};

/* In the order of the live view. */
enum column_id {
	COLUMN_ID,
	COLUMN_PID,
	COLUMN_NAME,
	COLUMN_PRIVATE,
	COLUMN_POPULATED,
	COLUMN_STALE,
	COLUMN_RSS,
	COLUMN_TOTAL,
	COLUMN_FAULTS,
	COLUMN_TO_PRIVATE,
	COLUMN_TO_SHARED,
	COLUMN_CONVERSIONS,
	COLUMN_DENIED,
	COLUMN_DELAYED,
	COLUMN_POLICIES,
	COLUMN_TREND_CONVERSIONS,
	COLUMN_INVALIDATIONS,
	COLUMN_VCPUS,
	COLUMN_SIZE,
	COLUMN_HUGE,
	COLUMN_CGROUP,
	/* Not shown unless asked for. */
	COLUMN_FAULTS_VCPU,
	COLUMN_FAULTS_PREFAULT,
	COLUMN_FAULTS_POPULATE,
	COLUMN_FAULTS_FALLOCATE,
	COLUMN_FAULTS_ARCH,
	COLUMN_FAULTS_HOST,
	COLUMN_ALLOCATED,
	COLUMN_FREED,
	COLUMN_NOOP,
	COLUMN_ASKED,
	COLUMN_HELD,
	COLUMN_REQUESTS,
	COLUMN_REQUESTS_DONE,
	COLUMN_REQUESTS_REFUSED,
	COLUMN_REQUESTS_PENDING,
	COLUMN_REQUEST_AGE,
	COLUMN_REQUEST_WAIT,
	COLUMN_INVALIDATED_CONVERSION,
	COLUMN_INVALIDATED_PUNCH,
	COLUMN_INVALIDATED_RELEASE,
	COLUMN_INVALIDATED_UNBIND,
	COLUMN_INVALIDATED_FAILURE,
	COLUMN_INVALIDATED_MIGRATION,
	COLUMN_FAULTS_DENIED,
	COLUMN_CONVERSIONS_DENIED,
	COLUMN_FAULTS_DELAYED,
	COLUMN_CONVERSIONS_DELAYED,
	COLUMN_DELAYS_EXPIRED,
	COLUMN_ATTRIBUTES,
	COLUMN_CLOSED,
	COLUMN_RANGES,
	COLUMN_MAPPED,
	COLUMN_TWICE,
	COLUMN_HUGE_PAGES,
	COLUMN_HUGE_SPLITS,
	COLUMN_HUGE_MERGES,
	COLUMN_HUGE_WAITING,
	COLUMN_HUGE_FALLBACKS,
	COLUMN_HUGE_ALIGNMENT,
	COLUMN_HUGE_MIXED,
	COLUMN_HUGE_PRESENT,
	COLUMN_HUGE_MEMORY,
	COLUMN_HUGE_LIMIT,
	COLUMN_MOVED,
	COLUMN_MOVE_TIME,
	COLUMN_MOVES_REFUSED,
	COLUMN_MOVES_HELD,
	COLUMN_MOVES_BUSY,
	COLUMN_MOVES_CONSUMER,
	COLUMN_MOVES_BROKEN,
	COLUMN_UNMOVABLE,
	COLUMN_NODES,
	NR_COLUMNS,
};

/* What the live view shows by default, and what fits into 80 characters. */
#define NR_COLUMNS_LIVE		COLUMN_FAULTS_VCPU
#define NR_COLUMNS_BATCH	COLUMN_CONVERSIONS

extern const struct column columns[NR_COLUMNS];

/**
 * column_keys() - the keys of all columns
 *
 * Return: NR_COLUMNS keys in the order of @columns, NULL at the end.
 */
const char *const *column_keys(void);

/**
 * column_by_key() - find a column
 * @key: its key
 * @len: characters of @key
 *
 * Return: its id, -1 if there is none.
 */
int column_by_key(const char *key, size_t len);

/**
 * column_is_stored() - is the column's counter kept in recordings?
 * @col: the column
 *
 * Return: true for a counter of its own; others follow from those.
 */
bool column_is_stored(const struct column *col);

/**
 * column_counter() - the counter that a column shows
 * @col: a column of numbers, pages or rates
 * @vm: a VM
 */
static inline uint64_t column_counter(const struct column *col,
				      const struct gmem_vm_sample *vm)
{
	if (col->counter)
		return col->counter(vm);
	return *(const uint64_t *)((const char *)vm + col->offset);
}

/**
 * column_known() - is the counter known that a column shows?
 * @col: a column that is not text
 * @vm: a VM
 *
 * Return: false if nobody looked for it, or a recording does not have it.
 */
bool column_known(const struct column *col, const struct gmem_vm_sample *vm);

/**
 * column_value() - the value of a cell
 * @col: a column that is neither text nor trend
 * @row: a VM
 *
 * Return: the value; a rate of a VM that was never sampled before is 0, what is
 * not known, or the mean of nothing, is -1.
 */
double column_value(const struct column *col, const struct row *row);

/**
 * column_text() - the text of a cell, in full
 * @col: a column of text
 * @row: a VM
 * @dst: TEXT_LEN bytes that may be used for it
 *
 * Return: the text, as gmem_clean() has it.
 */
const char *column_text(const struct column *col, const struct row *row,
			char *dst);

#endif /* GMEMTOP_COLUMNS_H */
