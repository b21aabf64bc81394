// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of a VM that are lists: counters, latencies, events, and memslots
 * with NUMA nodes.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>

#include "figures/cells.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "terminal/pages.h"
#include "terminal/screen.h"

/* ---- counters */

/* A mean is one of all since the VM was born. */
static void format_counter(const struct column *col,
			   const struct gmem_vm_sample *vm, char *dst,
			   size_t size)
{
	const struct row always = { .now = vm, .seconds = 1 };
	uint64_t value = column_counter(col, vm);
	bool of_two = col->kind == COLUMN_MEAN || col->kind == COLUMN_PERCENT;

	if (!column_known(col, vm) ||
	    (of_two && column_value(col, &always) < 0))
		snprintf(dst, size, "-");
	else if (of_two)
		column_format_value(col, column_value(col, &always), dst, size);
	else if (col->kind == COLUMN_PAGES || col->kind == COLUMN_BYTES ||
		 col->kind == COLUMN_TIME)
		column_format_value(col, value, dst, size);
	else if (col->scale)
		snprintf(dst, size, "%.1f ms", value * col->scale);
	else
		snprintf(dst, size, "%" PRIu64, value);
}

/* Two columns; every counter there is, by its key. */
static void draw_counters(struct tui *tui, struct details *details, int y)
{
	int c, n = 0, nr = 0, rows, room = LINES - 1 - y;
	char value[CELL_LEN], text[64];

	for (c = COLUMN_PRIVATE; c < NR_COLUMNS; c++)
		nr += columns[c].kind != COLUMN_TEXT &&
		      columns[c].kind != COLUMN_TREND;
	rows = (nr + 1) / 2;
	if (details->first > rows - room)
		details->first = rows > room ? rows - room : 0;
	for (c = COLUMN_PRIVATE; c < NR_COLUMNS; c++) {
		int line = n % rows - details->first;

		if (columns[c].kind == COLUMN_TEXT ||
		    columns[c].kind == COLUMN_TREND)
			continue;
		format_counter(&columns[c], &details->now, value,
			       sizeof(value));
		snprintf(text, sizeof(text), "%-28.28s %10s", columns[c].key,
			 value);
		if (line >= 0 && line < room)
			screen_put(y + line, n / rows * 41, text, A_NORMAL);
		n++;
	}
}

const struct details_page counters_page = {
	.name = "Counters",
	.counts = true,
	.draw = draw_counters,
};

/* ---- latencies */

static struct latency faults, conversions;

static void forget_latency(struct details *details)
{
	faults.count = 0;
	conversions.count = 0;
}

static int read_latency(struct details *details)
{
	observer_latency(details->observer, &faults, &conversions);
	return 0;
}

#define NR_OCTAVES	(GMEM_HIST_LEN / GMEM_HIST_SUB)
/* So many octaves without an event in a row are drawn as one line. */
#define GAP		3

static int gap_at(const uint64_t *octave, int i, int last)
{
	int n = 0;

	while (i + n <= last && !octave[i + n])
		n++;
	return n >= GAP ? n : 0;
}

static int lines_from(const uint64_t *octave, int first, int last)
{
	int i, n = 0, gap;

	for (i = first; i <= last; i += gap ? gap : 1, n++)
		gap = gap_at(octave, i, last);
	return n;
}

static void draw_bar(const struct tui *tui, int y, int x, int width, int octave,
		     uint64_t nr, uint64_t most)
{
	int bar = width > 20 ? nr * (width - 20) / most : 0, n;
	char limit[16], text[64];

	/* The last of the octave's buckets says how far it goes. */
	gmem_format_ns(limit, sizeof(limit),
		       latency_limit((octave + 1) * GMEM_HIST_SUB - 1) + 1);
	snprintf(text, sizeof(text), "<%7s %9" PRIu64 " ", limit, nr);
	screen_put(y, x, text, A_NORMAL);
	for (n = 0; n < bar; n++)
		screen_glyph(y, x + 19 + n, screen_level(tui, 1),
			     screen_style(tui, PAIR_PRIVATE, A_NORMAL));
}

/*
 * A bar for each power of two, as wide as @width allows, from the shortest time
 * that there was to the longest.  If there are too many, the shortest ones share
 * a bar: who looks at latencies looks for long ones.
 */
static void draw_histogram(const struct tui *tui, int y, int x, int width,
			   const char *title, const struct latency *latency)
{
	uint64_t octave[NR_OCTAVES] = {}, most = 1;
	int i, gap, first = 0, last = NR_OCTAVES - 1;
	char a[16], b[16], c[16], text[128];

	for (i = 0; i < GMEM_HIST_LEN; i++)
		if (latency->count)
			octave[i / GMEM_HIST_SUB] += latency->bucket[i];
	while (first <= last && !octave[first])
		first++;
	while (last > first && !octave[last])
		last--;
	while (first < last &&
	       lines_from(octave, first, last) > LINES - 1 - (y + 2)) {
		octave[first + 1] += octave[first];
		first++;
	}
	for (i = first; i <= last; i++)
		if (octave[i] > most)
			most = octave[i];
	snprintf(text, sizeof(text), "%s: %" PRIu64, title, latency->count);
	screen_put(y++, x, text, A_BOLD);
	snprintf(text, sizeof(text), "p50 %s, p90 %s, p99 %s",
		 gmem_format_ns(a, sizeof(a), latency_percentile(latency, 50)),
		 gmem_format_ns(b, sizeof(b), latency_percentile(latency, 90)),
		 gmem_format_ns(c, sizeof(c), latency_percentile(latency, 99)));
	screen_put(y++, x, latency->count ? text : "none yet", A_NORMAL);
	for (i = first; i <= last && y < LINES - 1; i += gap ? gap : 1, y++) {
		gap = gap_at(octave, i, last);
		if (gap)
			screen_put(y, x, "   ...           0", A_NORMAL);
		else
			draw_bar(tui, y, x, width, i, octave[i], most);
	}
}

static void draw_latency(struct tui *tui, struct details *details, int y)
{
	int half = COLS / 2;

	draw_histogram(tui, y, 0, half - 1, "Faults", &faults);
	draw_histogram(tui, y, half, COLS - half, "Conversions", &conversions);
}

const struct details_page latency_page = {
	.name = "Latency",
	.live = true,
	.observes = true,
	.open = forget_latency,
	.read = read_latency,
	.draw = draw_latency,
};

/* ---- events */

static struct gmem_event events[GMEM_EVENTS_MAX];
static size_t nr_events;
static uint64_t total_events;

static void forget_events(struct details *details)
{
	nr_events = 0;
	total_events = 0;
}

static int read_events(struct details *details)
{
	nr_events = observer_events(details->observer, events, &total_events);
	return 0;
}

static void format_event(const struct tui *tui, const struct gmem_event *event,
			 char *dst, size_t size)
{
	/* Events and samples are timed by one clock. */
	double ago = ((double)view_frame(tui->view)->time_ns -
		      (double)event->time_ns) / NSEC_PER_SEC;
	char time[16] = "-", pending[16], name[GMEM_POLICY_NAME_LEN];
	int len = snprintf(dst, size, "%8.3f s ago  ", ago < 0 ? 0 : ago);

	dst += len;
	size -= len;
	if (event->kind == GMEM_EVENT_CONVERT) {
		/* Of one that began before anybody looked, nobody knows. */
		if (event->duration_ns)
			gmem_format_ns(time, sizeof(time), event->duration_ns);
		snprintf(dst, size,
			 "gfn 0x%" PRIx64 "-0x%" PRIx64 " to %s, %" PRIu64 " changed, %s%s%s%s%s",
			 (uint64_t)event->start, (uint64_t)event->end - 1,
			 event->to_private ? "private" : "shared",
			 (uint64_t)event->changed, time,
			 event->asked ? ", asked " : "",
			 event->asked ? gmem_format_ns(pending, sizeof(pending),
						       event->pending_ns) : "",
			 event->result ? ", " : "",
			 event->result ? strerrorname_np(-event->result) ?:
					 "failed" : "");
		return;
	}
	gmem_printable(name, sizeof(name), event->policy);
	if (event->verdict < 0)
		snprintf(dst, size, "%s denied a %s: %s%s", name,
			 event->hook == GMEM_EVENT_HOOK_FAULT ? "fault" :
								"conversion",
			 strerrorname_np(-event->verdict) ?: "?",
			 event->audit ? " (audit)" : "");
	else
		snprintf(dst, size, "%s delayed a %s by %s%s", name,
			 event->hook == GMEM_EVENT_HOOK_FAULT ? "fault" :
								"conversion",
			 gmem_format_ns(time, sizeof(time), event->verdict),
			 event->audit ? " (audit)" : "");
}

static void draw_events(struct tui *tui, struct details *details, int y)
{
	int room = LINES - 2 - y, i;
	char text[256];

	if (details->first > (int)nr_events - room)
		details->first = (int)nr_events > room ? nr_events - room : 0;
	snprintf(text, sizeof(text),
		 "%" PRIu64 " conversions and verdicts since this page came up; the newest first",
		 total_events);
	screen_put(y, 0, text, A_BOLD);
	for (i = 0; i < room && details->first + i < (int)nr_events; i++) {
		const struct gmem_event *event = &events[details->first + i];

		format_event(tui, event, text, sizeof(text));
		screen_put(y + 1 + i, 0, text,
			   event->kind == GMEM_EVENT_VERDICT ?
			   screen_style(tui, PAIR_ALERT, A_BOLD) : A_NORMAL);
	}
}

const struct details_page events_page = {
	.name = "Events",
	.live = true,
	.observes = true,
	.open = forget_events,
	.read = read_events,
	.draw = draw_events,
};

/* ---- memslots and nodes */

static struct layout_slots slots;

static void forget_memory(struct details *details)
{
	slots.nr = 0;
}

static int read_memory(struct details *details)
{
	return page_failed(details, layout_slots(details->layout, &slots));
}

/* As many lines as it takes; returns the one after them. */
static int draw_nodes(const struct details *details, int y)
{
	char text[64] = "Populated by NUMA node:", value[16];
	int i, x = strlen(text), len;

	screen_put(y, 0, text, A_BOLD);
	for (i = 0; i < GMEM_NODES_MAX; i++) {
		if (!(details->nodes >> i & 1) || !details->now.node_pages[i])
			continue;
		gmem_format_pages(value, sizeof(value),
				  details->now.node_pages[i]);
		len = snprintf(text, sizeof(text), " node%d %s", i, value);
		if (x + len > COLS && x) {
			x = 0;
			y++;
		}
		screen_put(y, x, text, A_BOLD);
		x += len;
	}
	if (!details->nodes)
		screen_put(y, x, " -", A_BOLD);
	return y + 1;
}

static void draw_memory(struct tui *tui, struct details *details, int y)
{
	char text[160], size[16], file[16], populated[16];
	int i, room;

	y = draw_nodes(details, y);
	if (!tui->view->source->live) {
		page_not_recorded(y + 1);
		return;
	}
	room = LINES - 2 - y;
	snprintf(text, sizeof(text), "%5s %-27s %5s  %10s %8s %5s %5s", "SLOT",
		 "GFNS", "SIZE", "GUESTMEMFD", "AT PAGE", "SIZE", "POPUL");
	screen_bar(y, screen_style(tui, PAIR_TITLES, A_REVERSE));
	screen_put(y++, 0, text, screen_style(tui, PAIR_TITLES, A_REVERSE));
	if (details->first > slots.nr - room)
		details->first = slots.nr > room ? slots.nr - room : 0;
	for (i = details->first; i < slots.nr && y < LINES - 1; i++, y++) {
		const struct gmem_slot *slot = &slots.slot[i];
		char gfns[40];
		int len;

		snprintf(gfns, sizeof(gfns), "0x%" PRIx64 "-0x%" PRIx64,
			 (uint64_t)slot->base_gfn,
			 (uint64_t)(slot->base_gfn + slot->nr_pages - 1));
		len = snprintf(text, sizeof(text), "%5u %-27s %5s", slot->id,
			       gfns,
			       gmem_format_pages(size, sizeof(size),
						 slot->nr_pages));
		if (slot->inode)
			snprintf(text + len, sizeof(text) - len,
				 "  inode %4" PRIu64 " %8" PRIu64 " %5s %5s",
				 (uint64_t)slot->inode, (uint64_t)slot->index,
				 gmem_format_pages(file, sizeof(file),
						   slot->file_pages),
				 gmem_format_pages(populated, sizeof(populated),
						   slot->populated_pages));
		screen_put(y, 0, text, A_NORMAL);
	}
}

const struct details_page memory_page = {
	.name = "Memory",
	.open = forget_memory,
	.read = read_memory,
	.draw = draw_memory,
};
