// SPDX-License-Identifier: GPL-2.0-only
/*
 * The panel of one VM: five pages, of which one is shown.  What a page needs
 * beside the counters is opened when it comes up and closed when it goes.
 */
#include <errno.h>
#include <string.h>

#include "details.h"

#define LINE_PAGE	3

static const struct details_page *const pages[] = {
	&counters_page, &latency_page, &events_page, &memory_page, &map_page,
};

static const struct panel details_panel;

/* There is one screen, and so one VM that is looked at. */
static struct details details;

char *details_ns(char *dst, size_t size, uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = ns;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(dst, size, "%.*f %s", unit && value < 9.95 ? 1 : 0, value,
		 units[unit]);
	return dst;
}

int details_failed(struct details *details, int err)
{
	if (err != -ESRCH)
		return err < 0 ? -1 : 0;
	details->gone = true;
	return 0;
}

static void close_page(void)
{
	observer_close(details.observer);
	layout_close(details.layout);
	details.observer = NULL;
	details.layout = NULL;
}

static int read_page(struct tui *tui)
{
	const struct details_page *page = pages[details.page];
	struct row row;

	if (view_find(tui->view, details.vm_id, &row)) {
		details.now = *row.now;
		details.facts = *row.facts;
	} else {
		details.gone = true;
	}
	if (!page->read || details.gone || !tui->view->source->live)
		return 0;
	if (page->observes && !details.observer) {
		details.observer = observer_open(details.vm_id);
		if (!details.observer)
			return -1;
	}
	if (!page->observes && !details.layout) {
		details.layout = layout_open(details.vm_id);
		if (!details.layout)
			return -1;
	}
	return page->read(&details);
}

static void turn_to(struct tui *tui, int nr)
{
	int nr_pages = ARRAY_LEN(pages);

	nr = (nr + nr_pages) % nr_pages;
	/* What both pages observe goes on. */
	if (pages[nr]->observes != pages[details.page]->observes ||
	    !pages[nr]->read)
		close_page();
	details.page = nr;
	details.first = 0;
	if (pages[nr]->open)
		pages[nr]->open(&details);
	if (read_page(tui))
		tui->failed = true;
}

void details_enter(struct tui *tui)
{
	const struct view *view = tui->view;

	if (!view->nr_rows)
		return;
	details = (struct details) {
		.vm_id = view->rows[tui->cursor.row].now->vm_id,
	};
	panel_enter(tui, &details_panel);
	turn_to(tui, 0);
}

static void draw_head(struct tui *tui)
{
	attr_t bar = screen_style(tui, PAIR_TITLES, A_REVERSE);
	const struct gmem_vm_sample *vm = &details.now;
	char text[TEXT_LEN + VM_NAME_LEN], item[32], memory[16];
	int i, x = 0;

	snprintf(text, sizeof(text), "VM %ju  %s  pid %u  %u vCPUs%s",
		 (uintmax_t)vm->vm_id, details.facts.name, vm->pid,
		 vm->nr_vcpus, details.gone ? "  GONE: this is the last that was known" :
		 tui->frozen ? "  FROZEN" : "");
	screen_put(0, 0, text, A_BOLD);
	snprintf(text, sizeof(text), "cgroup %s", details.facts.cgroup);
	screen_put(1, 0, text, A_NORMAL);
	gmem_format_pages(memory, sizeof(memory),
			  vm->populated_pages + vm->rss_pages);
	snprintf(text, sizeof(text), "host memory %s", memory);
	screen_put(1, COLS - (int)strlen(text), text, A_BOLD);

	screen_bar(2, bar);
	for (i = 0; i < (int)ARRAY_LEN(pages); i++) {
		snprintf(item, sizeof(item), " %d %s ", i + 1, pages[i]->name);
		screen_put(2, x, item,
			   i == details.page ?
			   screen_style(tui, PAIR_SELECTED, A_BOLD) : bar);
		x += strlen(item);
	}
}

static void draw_details(struct tui *tui)
{
	const struct details_page *page = pages[details.page];

	draw_head(tui);
	if (page->live && !tui->view->source->live)
		screen_put(LINE_PAGE + 1, 0,
			   "A recording does not have this, only the live view.",
			   A_NORMAL);
	else
		page->draw(tui, &details, LINE_PAGE);
}

static bool page_of_key(int key, int *nr)
{
	if (key < '1' || key >= '1' + (int)ARRAY_LEN(pages))
		return false;
	*nr = key - '1';
	return true;
}

static void key_in_details(struct tui *tui, int key)
{
	const struct details_page *page = pages[details.page];
	int nr;

	if (page_of_key(key, &nr)) {
		turn_to(tui, nr);
		return;
	}
	if (page->key && page->key(tui, &details, key))
		return;
	switch (key) {
	case '\t':
	case KEY_RIGHT:
		turn_to(tui, details.page + 1);
		break;
	case KEY_BTAB:
	case KEY_LEFT:
		turn_to(tui, details.page - 1);
		break;
	case KEY_UP:
		if (details.first)
			details.first--;
		break;
	case KEY_DOWN:
		details.first++;
		break;
	case KEY_HOME:
		details.first = 0;
		break;
	case 'h':
	case '?':
	case KEY_F(1):
		panel_enter(tui, &help_panel);
		break;
	case 'q':
	case KEY_ESCAPE:
	case KEY_F(10):
		panel_leave(tui);
		break;
	}
}

static void leave_details(struct tui *tui)
{
	close_page();
}

static const struct hint details_hints[] = {
	{ "F1 Help", KEY_F(1) },
	{ "Tab Next page", '\t' },
	{ "1-5 Page", 0 },
	{ "Z Freeze", 'z' },
	{ "Esc Back", KEY_ESCAPE },
	{}
};

static const struct panel details_panel = {
	.hints = details_hints,
	.draw = draw_details,
	.key = key_in_details,
	.read = read_page,
	.leave = leave_details,
};
