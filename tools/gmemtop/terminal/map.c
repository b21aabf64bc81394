// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page with the memory map of a VM: its address space as a heat map, a cell
 * for each stretch.  Only what is on the screen is asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "gmem_common.h"
#include "terminal/map.h"
#include "terminal/screen.h"

/* Lines above and below the cells: where we are, the cursor's cell, hints. */
#define HEAD_LINES	4
#define FOOT_LINES	3
#define NR_SHADES	4

/**
 * struct found - pages of a kind in the cells of a window
 * @shown: the VM has memory of the kind, or had
 * @start: first guest frame
 * @pages: guest frames of a cell
 * @nr: how many cells
 * @cells: pages of each, as far as they were looked at; NULL before any was
 * @look: how far that is
 */
struct found {
	bool shown;
	uint64_t start;
	uint64_t pages;
	size_t nr;
	uint64_t *cells;
	struct layout_look look;
};

/**
 * struct map - a window on the address space
 * @start: first guest frame
 * @pages: guest frames of a cell, a power of two
 * @cursor: the cell that keys move to and zoom into
 * @columns: cells of a line
 * @lines: lines
 * @cells: what they are, @nr of them
 * @nr: how many are read
 * @mapped: what the host has mapped of the cells
 * @huge: what of them is in huge folios
 * @slots: the memslots
 * @end: guest frame after the last of them
 * @whole: show everything, whatever size the screen has
 */
static struct map {
	uint64_t start;
	uint64_t pages;
	size_t cursor;
	size_t columns;
	size_t lines;
	struct gmem_bucket *cells;
	size_t nr;
	struct found mapped;
	struct found huge;
	struct layout_slots slots;
	uint64_t end;
	bool whole;
} map;

static void open_map(struct details *details)
{
	free(map.cells);
	free(map.mapped.cells);
	free(map.huge.cells);
	free(map.slots.slot);
	map = (struct map) { .whole = true };
}

static size_t room(void)
{
	return map.columns * map.lines;
}

/* What is mapped takes one more line, and so does what is huge. */
static int foot_lines(void)
{
	return FOOT_LINES + map.mapped.shown + map.huge.shown;
}

static void measure_screen(void)
{
	map.columns = COLS > 0 ? COLS : 1;
	map.lines = LINES > HEAD_LINES + foot_lines() ?
		    LINES - HEAD_LINES - foot_lines() : 1;
}

static void show_all(void)
{
	map.start = 0;
	map.pages = 1;
	while (map.pages * room() < map.end)
		map.pages *= 2;
	map.cursor = 0;
}

static int find_end(struct details *details)
{
	const struct gmem_slot *last;
	int err = layout_slots(details->layout, &map.slots);

	if (err)
		return err;
	last = map.slots.slot + map.slots.nr - 1;
	map.end = map.slots.nr ? last->base_gfn + last->nr_pages : 0;
	return 0;
}

/* A cell may be more than the kernel tells of at once. */
static int read_cells(struct layout *layout)
{
	uint64_t pages = map.pages, left;
	size_t i, j, parts = 1, nr;
	struct gmem_bucket *buckets;
	int err;

	if (pages > GMEM_BUCKET_PAGES_MAX) {
		parts = pages / GMEM_BUCKET_PAGES_MAX;
		pages = GMEM_BUCKET_PAGES_MAX;
	}
	left = map.end > map.start ? map.end - map.start : 0;
	nr = (left + map.pages - 1) / map.pages;
	if (nr > room())
		nr = room();
	buckets = calloc(nr * parts + 1, sizeof(*buckets));
	if (!buckets) {
		gmem_err("no memory for the map; free some");
		return -ENOMEM;
	}
	err = layout_map(layout, map.start, pages, nr * parts, buckets);
	if (err) {
		free(buckets);
		return err;
	}
	for (i = 0; i < nr && parts > 1; i++) {
		buckets[i] = buckets[i * parts];
		for (j = 1; j < parts; j++) {
			const struct gmem_bucket *b = &buckets[i * parts + j];

			buckets[i].private_pages += b->private_pages;
			buckets[i].shared_pages += b->shared_pages;
			buckets[i].populated_pages += b->populated_pages;
			buckets[i].stale_pages += b->stale_pages;
		}
	}
	free(map.cells);
	map.cells = buckets;
	map.nr = nr;
	return 0;
}

/* What is known of the cells is kept as long as they are of the same memory. */
static int keep_found(struct found *found)
{
	if (found->cells && found->start == map.start &&
	    found->pages == map.pages && found->nr == map.nr)
		return 0;
	free(found->cells);
	*found = (struct found) {
		.shown = true,
		.start = map.start,
		.pages = map.pages,
	};
	found->cells = calloc(map.nr + 1, sizeof(*found->cells));
	if (!found->cells) {
		gmem_err("no memory for the map; free some");
		return -ENOMEM;
	}
	found->nr = map.nr;
	return 0;
}

/* What a VM never had costs nothing. */
static int read_found(struct layout *layout, enum layout_kind kind,
		      struct found *found)
{
	int err;

	if (!found->shown)
		return 0;
	err = keep_found(found);
	if (err)
		return err;
	return layout_find(layout, kind, map.start, map.pages, map.nr, map.cells,
			   &found->look, found->cells);
}

static uint64_t found_of(const struct found *found, size_t cell, uint64_t most)
{
	if (!found->shown || cell >= found->nr)
		return 0;
	return found->cells[cell] < most ? found->cells[cell] : most;
}

/* What has become private since it was looked at is mapped no more. */
static uint64_t mapped_of(size_t cell)
{
	return found_of(&map.mapped, cell, map.cells[cell].shared_pages);
}

static uint64_t huge_of(size_t cell)
{
	return found_of(&map.huge, cell, map.cells[cell].populated_pages);
}

/* There is less room from then on. */
static void show_found(struct found *found, bool there)
{
	if (found->shown || !there)
		return;
	found->shown = true;
	map.whole = true;
}

static int read_map(struct details *details)
{
	int err;

	show_found(&map.mapped, details->now.host_faults);
	show_found(&map.huge, details->now.huge_pages);
	measure_screen();
	err = find_end(details);
	if (!err && map.whole)
		show_all();
	if (!err)
		err = read_cells(details->layout);
	if (!err)
		err = read_found(details->layout, LAYOUT_MAPPED, &map.mapped);
	if (!err)
		err = read_found(details->layout, LAYOUT_HUGE, &map.huge);
	map.whole = false;
	return page_failed(details, err);
}

/* Private memory of which nothing to all is populated. */
static const char *shade(const struct tui *tui, int level)
{
	static const char *const ascii[NR_SHADES] = { ".", ":", "+", "#" };
	static const char *const shades[NR_SHADES] = {
		"\u00b7", "\u2591", "\u2592", "\u2588",
	};

	return tui->unicode ? shades[level] : ascii[level];
}

/* What a cell looks like; stale and mapped memory is shown however little it is. */
static const char *glyph(const struct tui *tui, size_t nr, attr_t *attr)
{
	const struct gmem_bucket *cell = &map.cells[nr];
	uint64_t here = (uint64_t)cell->private_pages + cell->shared_pages;
	int level;

	*attr = A_NORMAL;
	if (!here)
		return " ";
	if (cell->stale_pages) {
		*attr = screen_style(tui, PAIR_ALERT, A_BOLD);
		return "!";
	}
	if (mapped_of(nr)) {
		*attr = screen_style(tui, cell->private_pages ? PAIR_WARN :
							       PAIR_SHARED,
				     A_NORMAL) | A_BOLD;
		return "=";
	}
	if (!cell->private_pages) {
		*attr = screen_style(tui, PAIR_SHARED, A_NORMAL);
		return "-";
	}
	*attr = screen_style(tui, cell->shared_pages ? PAIR_WARN : PAIR_PRIVATE,
			     A_NORMAL);
	if (huge_of(nr) == here) {
		*attr |= A_BOLD;
		return "H";
	}
	level = (uint64_t)cell->populated_pages * (NR_SHADES - 1) /
		cell->private_pages;
	if (!level && cell->populated_pages)
		level = 1;
	return shade(tui, level < NR_SHADES ? level : NR_SHADES - 1);
}

static void draw_legend(const struct tui *tui, int y)
{
	int i;

	for (i = 0; i < NR_SHADES; i++)
		screen_glyph(y, 2 * i, shade(tui, i), A_NORMAL);
	screen_put(y, 2 * NR_SHADES,
		   "private, by what is populated  - shared  ! stale  +- zoom  a all  n slot",
		   A_NORMAL);
}

static void draw_cursor_cell(int y)
{
	char text[160], a[16], b[16], c[16], d[16];
	const struct gmem_bucket *cell = &map.cells[map.cursor];
	uint64_t gfn = map.start + map.cursor * map.pages;

	snprintf(text, sizeof(text),
		 "gfn 0x%" PRIx64 "-0x%" PRIx64 ": private %s, shared %s, populated %s, stale %s",
		 gfn, gfn + map.pages - 1,
		 gmem_format_pages(a, sizeof(a), cell->private_pages),
		 gmem_format_pages(b, sizeof(b), cell->shared_pages),
		 gmem_format_pages(c, sizeof(c), cell->populated_pages),
		 gmem_format_pages(d, sizeof(d), cell->stale_pages));
	screen_put(y, 0, text, A_BOLD);
}

static void draw_found(int y, const char *what, uint64_t pages)
{
	char text[80], size[16];

	snprintf(text, sizeof(text), "%s: %s of this cell", what,
		 gmem_format_pages(size, sizeof(size), pages));
	screen_put(y, 0, text, A_BOLD);
}

static void draw_map(struct tui *tui, struct details *details, int y)
{
	char text[160], size[16];
	size_t i;

	if (!map.nr) {
		screen_put(y, 0, "No memslot is in this window.", A_NORMAL);
		return;
	}
	if (map.cursor >= map.nr)
		map.cursor = map.nr - 1;
	gmem_format_pages(size, sizeof(size), map.pages);
	snprintf(text, sizeof(text),
		 "from gfn 0x%" PRIx64 ", %s a cell, to 0x%" PRIx64, map.start,
		 size, map.end - 1);
	screen_put(y, 0, text, A_NORMAL);
	for (i = 0; i < map.nr; i++) {
		attr_t attr;
		const char *what = glyph(tui, i, &attr);

		if (i == map.cursor)
			attr |= A_REVERSE;
		screen_glyph(HEAD_LINES + i / map.columns, i % map.columns,
			     what, attr);
	}
	y = LINES - foot_lines();
	draw_cursor_cell(y++);
	if (map.mapped.shown)
		draw_found(y++, "= mapped by the host", mapped_of(map.cursor));
	if (map.huge.shown)
		draw_found(y++, "H in huge folios", huge_of(map.cursor));
	draw_legend(tui, LINES - 2);
}

/* Cells four times smaller or greater, with the cursor on the same memory. */
static void zoom(bool in)
{
	uint64_t gfn = map.start + map.cursor * map.pages, half;

	if (in && map.pages == 1)
		return;
	if (in) {
		map.pages = map.pages > 4 ? map.pages / 4 : 1;
	} else {
		if (map.pages * room() >= map.end)
			return;
		map.pages *= 4;
	}
	half = map.pages * (room() / 2);
	map.start = gfn > half ? (gfn - half) / map.pages * map.pages : 0;
	/* A window beyond the end would be half empty. */
	if (map.pages * room() >= map.end)
		map.start = 0;
	map.cursor = (gfn - map.start) / map.pages;
}

/* Fits the window to the first memslot after the cursor, or to the first. */
static void next_slot(void)
{
	uint64_t gfn = map.start + map.cursor * map.pages;
	const struct gmem_slot *slots = map.slots.slot;
	int i, nr = map.slots.nr;

	if (!nr)
		return;
	for (i = 0; i < nr && slots[i].base_gfn <= gfn; i++)
		;
	i %= nr;
	map.pages = 1;
	while (map.pages * room() < slots[i].nr_pages)
		map.pages *= 2;
	map.start = slots[i].base_gfn / map.pages * map.pages;
	map.cursor = (slots[i].base_gfn - map.start) / map.pages;
}

static void move_cursor(long by)
{
	long to = (long)map.cursor + by;
	uint64_t line = map.columns * map.pages;

	/* Beyond an edge the window moves by a line. */
	if (to < 0) {
		if (map.start < line)
			return;
		map.start -= line;
		to += map.columns;
	} else if (to >= (long)room()) {
		if (map.start + room() * map.pages >= map.end)
			return;
		map.start += line;
		to -= map.columns;
	}
	map.cursor = to;
}

static bool key_in_map(struct tui *tui, struct details *details, int key)
{
	switch (key) {
	case KEY_LEFT:
		move_cursor(-1);
		break;
	case KEY_RIGHT:
		move_cursor(1);
		break;
	case KEY_UP:
		move_cursor(-(long)map.columns);
		break;
	case KEY_DOWN:
		move_cursor(map.columns);
		break;
	case '+':
	case '=':
	case '\r':
	case KEY_ENTER:
		zoom(true);
		break;
	case '-':
		zoom(false);
		break;
	case 'a':
	case KEY_RESIZE:
		map.whole = true;
		break;
	case 'n':
		next_slot();
		break;
	default:
		return false;
	}
	return true;
}

const struct details_page map_page = {
	.name = "Map",
	.live = true,
	.open = open_map,
	.read = read_map,
	.draw = draw_map,
	.key = key_in_map,
};
