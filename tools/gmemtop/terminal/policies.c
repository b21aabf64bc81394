// SPDX-License-Identifier: GPL-2.0-only
/*
 * The panel of policies: what is attached, and what it did.
 */

#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_denial.h"
#include "terminal/head.h"
#include "terminal/help.h"
#include "terminal/panel.h"
#include "terminal/policies.h"
#include "terminal/screen.h"

static const struct gmem_policies *policies(const struct tui *tui)
{
	return &view_frame(tui->view)->policies;
}

/* A name may be longer than an 80th column leaves room for; a wide screen helps. */
static int name_width(void)
{
	int width = 16 + (COLS > 80 ? COLS - 80 : 0);

	return width < GMEM_POLICY_NAME_LEN - 1 ? width :
						  GMEM_POLICY_NAME_LEN - 1;
}

/* In full if there is room for it. */
static const char *count(char *dst, size_t size, int width, uint64_t nr)
{
	if (snprintf(dst, size, "%ju", (uintmax_t)nr) > width)
		gmem_format_rate(dst, size, nr);
	return dst;
}

static bool has_ended(const struct tui *tui, const struct gmem_policy_sample *p)
{
	return p->expires_ns && p->expires_ns <= view_frame(tui->view)->boot_ns;
}

static void draw_row(const struct tui *tui, int y,
		     const struct gmem_policy_sample *p, bool selected)
{
	char text[256], name[GMEM_POLICY_NAME_LEN], scope[24];
	char calls[24], denied[24], delayed[24], ms[24];
	attr_t bar = screen_style(tui, PAIR_SELECTED, A_REVERSE);

	snprintf(scope, sizeof(scope), "all VMs");
	if (p->vm_id)
		snprintf(scope, sizeof(scope), "VM %ju", (uintmax_t)p->vm_id);
	snprintf(text, sizeof(text),
		 "%-*.*s %-9s %-7s %5d %4u %9s %8s %8s %6s", name_width(),
		 name_width(), gmem_printable(name, sizeof(name), p->name),
		 scope, has_ended(tui, p) ? "ended" :
		 p->flags & GMEM_POLICY_AUDIT ? "audit" : "enforce",
		 p->priority, p->nr_vms,
		 count(calls, sizeof(calls), 9, p->calls),
		 count(denied, sizeof(denied), 8, p->denied),
		 count(delayed, sizeof(delayed), 8, p->delayed),
		 count(ms, sizeof(ms), 6, (p->delayed_ns + 500000) / 1000000));
	if (selected)
		screen_bar(y, bar);
	screen_put(y, 0, text, selected ? bar : A_NORMAL);
}

/* When a policy ends by itself, to the second; empty if it does not. */
static const char *end_of(const struct tui *tui,
			  const struct gmem_policy_sample *p, char *dst,
			  size_t size)
{
	int64_t ns = p->expires_ns - view_frame(tui->view)->boot_ns;
	uint64_t seconds = (ns < 0 ? -ns : ns) / NSEC_PER_SEC;

	*dst = '\0';
	if (p->expires_ns)
		snprintf(dst, size, ns > 0 ? ", ends in %ju s" :
			 ", ended %ju s ago", (uintmax_t)seconds);
	return dst;
}

/* What has no room in the row of a terminal 80 columns wide. */
static void draw_selected(const struct tui *tui, int y,
			  const struct gmem_policy_sample *p)
{
	char text[256], name[GMEM_POLICY_NAME_LEN], end[40];
	size_t len;
	int i;

	snprintf(text, sizeof(text), "%s: link %u%s; allowed %ju, clamped %ju",
		 gmem_printable(name, sizeof(name), p->name), p->link_id,
		 end_of(tui, p, end, sizeof(end)),
		 (uintmax_t)p->allowed, (uintmax_t)p->clamped);
	screen_items(y, 0, text, A_NORMAL);
	len = snprintf(text, sizeof(text), "denied with");
	for (i = 0; i < GMEM_NR_DENIALS; i++)
		len += snprintf(text + len, sizeof(text) - len, "%s %s %ju",
				i ? "," : "", gmem_denial_name(i),
				(uintmax_t)p->denied_by_errno[i]);
	screen_items(y + 1, 0, text, A_NORMAL);
}

static void draw_policies(struct tui *tui)
{
	const struct gmem_policies *all = policies(tui);
	attr_t bar = screen_style(tui, PAIR_TITLES, A_REVERSE);
	size_t i, room = LINES > LINE_ROWS + 4 ? LINES - LINE_ROWS - 4 : 1;
	size_t first;
	char text[160];

	if (tui->policy >= all->nr)
		tui->policy = all->nr ? all->nr - 1 : 0;
	first = tui->policy >= room ? tui->policy - room + 1 : 0;
	head_draw(tui);
	screen_bar(LINE_TITLES, bar);
	snprintf(text, sizeof(text), "%-*s %-9s %-7s %5s %4s %9s %8s %8s %6s",
		 name_width(), "POLICY", "SCOPE", "MODE", "PRIO", "VMS", "CALLS", "DENIED",
		 "DELAYED", "MS");
	screen_put(LINE_TITLES, 0, text, bar);
	for (i = first; i < all->nr && i - first < room; i++)
		draw_row(tui, LINE_ROWS + i - first, &all->policies[i],
			 i == tui->policy);
	if (all->nr)
		draw_selected(tui, LINES - 3, &all->policies[tui->policy]);
	else
		screen_put(LINE_ROWS, 0,
			   "No policy is attached; gmempolicy attach does it.",
			   A_NORMAL);
}

static void key_in_policies(struct tui *tui, int key)
{
	size_t nr = policies(tui)->nr;

	switch (key) {
	case KEY_UP:
		if (tui->policy)
			tui->policy--;
		break;
	case KEY_DOWN:
		if (tui->policy + 1 < nr)
			tui->policy++;
		break;
	case KEY_HOME:
		tui->policy = 0;
		break;
	case KEY_END:
		tui->policy = nr ? nr - 1 : 0;
		break;
	case 'h':
	case '?':
	case KEY_F(1):
		panel_enter(tui, &help_panel);
		break;
	case 'q':
	case 'P':
	case 'p':
	case KEY_ESCAPE:
	case KEY_F(10):
		panel_leave(tui);
		break;
	}
}

static const struct hint policies_hints[] = {
	{ "F1 Help", KEY_F(1) },
	{ "Z Freeze", 'z' },
	{ "Esc Back", KEY_ESCAPE },
	{}
};

const struct panel policies_panel = {
	.hints = policies_hints,
	.draw = draw_policies,
	.key = key_in_policies,
};
