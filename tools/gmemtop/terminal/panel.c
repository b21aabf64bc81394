// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stack of panels.
 */
#include <stdarg.h>
#include <stdio.h>

#include "gmem_common.h"
#include "terminal/panel.h"

void complain(struct tui *tui, const char *fmt, ...)
{
	char raw[sizeof(tui->complaint)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	gmem_printable(tui->complaint, sizeof(tui->complaint), raw);
}

const struct panel *panel_shown(const struct tui *tui)
{
	return tui->panels[tui->depth - 1];
}

void panel_enter(struct tui *tui, const struct panel *panel)
{
	if (tui->depth == PANELS_MAX)
		return;
	if (tui->depth && panel_shown(tui)->hide)
		panel_shown(tui)->hide(tui);
	tui->panels[tui->depth++] = panel;
}

void panel_leave(struct tui *tui)
{
	const struct panel *panel = panel_shown(tui);

	if (panel->hide)
		panel->hide(tui);
	if (tui->depth > 1)
		tui->depth--;
	panel = panel_shown(tui);
	if (panel->read && panel->read(tui))
		tui->failed = true;
}
