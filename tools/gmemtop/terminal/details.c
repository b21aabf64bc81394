// SPDX-License-Identifier: GPL-2.0-only
/*
 * The panel of one VM: five pages, of which one is shown.  What a page needs
 * beside the counters is opened when it comes up and closed when it goes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem_common.h"
#include "terminal/details.h"
#include "terminal/help.h"
#include "terminal/map.h"
#include "terminal/page.h"
#include "terminal/pages.h"
#include "terminal/panel.h"
#include "terminal/screen.h"

#define LINE_PAGE	3

static const struct details_page *const pages[] = {
	&counters_page, &latency_page, &events_page, &memory_page, &map_page,
};

static const struct panel details_panel;

/* There is one screen, and so one VM that is looked at. */
static struct details details;

static void close_page(struct tui *tui)
{
	observer_close(details.observer);
	layout_close(details.layout);
	details.observer = NULL;
	details.layout = NULL;
	tui->view->looked_at = 0;
}

/* The monitor ends before its VM does: whose it was is known from before. */
static int remember_owner(const struct row *row)
{
	if (details.gone) {
		if (details.now.owner_pid || !details.owner_pid)
			return 0;
		details.now.owner_pid = details.owner_pid;
		return facts_copy(&details.facts, &details.owner);
	}
	if (!row->now->owner_pid)
		return 0;
	details.owner_pid = row->now->owner_pid;
	return facts_copy(&details.owner, row->facts);
}

static int read_page(struct tui *tui)
{
	const struct details_page *page = pages[details.page];
	struct row row;
	int err;

	tui->view->looked_at = page->counts ? details.vm_id : 0;
	/* A replay may go back to when it was there. */
	details.gone = !view_find(tui->view, details.vm_id, &row);
	if (!details.gone) {
		details.now = *row.now;
		details.nodes = row.nodes;
		if (facts_copy(&details.facts, row.facts))
			return -ENOMEM;
	}
	if (remember_owner(&row))
		return -ENOMEM;
	if (!page->read || details.gone || !tui->view->source->live)
		return 0;
	errno = 0;
	if (page->observes && !details.observer)
		details.observer = observer_open(details.vm_id);
	if (!page->observes && !details.layout)
		details.layout = layout_open(details.vm_id);
	err = errno;
	if (page->observes ? !details.observer : !details.layout)
		return page_failed(&details, err ? -err : -EIO);
	return page->read(&details);
}

/*
 * The line of error becomes a complaint on the screen: what one page cannot
 * have is no reason to end.
 */
static int details_read(struct tui *tui)
{
	FILE *was = stderr;
	const char *message;
	char *text = NULL;
	size_t len;
	int err;

	stderr = open_memstream(&text, &len);
	if (!stderr) {
		stderr = was;
		return read_page(tui);
	}
	gmem_err_before(NULL);
	err = read_page(tui);
	fclose(stderr);
	stderr = was;
	gmem_err_before(tui->before_error);
	if (details.gone)
		close_page(tui);
	if (err) {
		close_page(tui);
		details.page = 0;
		details.first = 0;
		/* The last line, without the name of the program. */
		text[len ? len - 1 : 0] = '\0';
		message = strrchr(text, '\n') ?: text;
		message = strchr(message, ' ') ?: "";
		complain(tui, "%s", message + strspn(message, " "));
	}
	free(text);
	return 0;
}

static void turn_to(struct tui *tui, int nr)
{
	int nr_pages = ARRAY_LEN(pages);

	nr = (nr + nr_pages) % nr_pages;
	/* What both pages observe goes on. */
	if (pages[nr]->observes != pages[details.page]->observes ||
	    !pages[nr]->read)
		close_page(tui);
	details.page = nr;
	details.first = 0;
	if (pages[nr]->open)
		pages[nr]->open(&details);
	details_read(tui);
}

void details_enter(struct tui *tui)
{
	const struct view *view = tui->view;

	if (!view->nr_rows)
		return;
	facts_forget(&details.facts);
	facts_forget(&details.owner);
	details = (struct details) {
		.vm_id = view->rows[tui->cursor.row].now->vm_id,
	};
	panel_enter(tui, &details_panel);
	turn_to(tui, 0);
}

/* Puts @text between @before and @after, without its middle if there is no room. */
static void put_between(int y, const char *before, const char *text,
			const char *after, int room, attr_t attr)
{
	char shown[PROCESS_NAME_LEN], fit[1024], line[1280];

	room -= strlen(before) + strlen(after);
	gmem_printable(shown, sizeof(shown), text);
	gmem_text_fit(fit, sizeof(fit), shown, room > 1 ? room : 1);
	snprintf(line, sizeof(line), "%s%s%s", before, fit, after);
	screen_put(y, 0, line, attr);
}

static void draw_head(struct tui *tui)
{
	attr_t bar = screen_style(tui, PAIR_TITLES, A_REVERSE);
	const struct gmem_vm_sample *vm = &details.now;
	char text[128], before[48], item[32], memory[16] = "-", pid[16] = "-";
	int i, x = 0;

	snprintf(before, sizeof(before), "VM %ju  ", (uintmax_t)vm->vm_id);
	if (vm->owner_pid)
		snprintf(pid, sizeof(pid), "%u", vm->owner_pid);
	snprintf(text, sizeof(text), "  pid %s  %u vCPUs%s", pid, vm->nr_vcpus,
		 details.gone ? "  GONE: this is the last that was known" :
		 tui->frozen ? "  FROZEN" : "");
	put_between(0, before, facts_name(&details.facts), text, COLS, A_BOLD);
	if (column_known(&columns[COLUMN_TOTAL], vm))
		gmem_format_pages(memory, sizeof(memory),
				  column_counter(&columns[COLUMN_TOTAL], vm));
	snprintf(text, sizeof(text), "host memory %s", memory);
	put_between(1, "cgroup ", facts_cgroup(&details.facts), "",
		    COLS - (int)strlen(text) - 1, A_NORMAL);
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
		page_not_recorded(LINE_PAGE + 1);
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
	if (page->key && page->key(tui, &details, key)) {
		if (details.layout && !details.gone)
			details_read(tui);
		return;
	}
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
	.read = details_read,
	.hide = close_page,
};
