// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the VM under the cursor again when rows have changed.
 */
#include "terminal/cursor.h"

size_t cursor_room(void)
{
	return LINES > LINE_ROWS + 1 ? LINES - LINE_ROWS - 1 : 0;
}

void cursor_follow(struct tui *tui)
{
	const struct view *view = tui->view;
	struct cursor *cursor = &tui->cursor;
	size_t i, room = cursor_room();

	if (!cursor->id)
		cursor->row = 0;
	for (i = 0; i < view->nr_rows; i++) {
		if (view->rows[i].now->vm_id == cursor->id) {
			cursor->row = i;
			break;
		}
	}
	if (cursor->row >= view->nr_rows)
		cursor->row = view->nr_rows ? view->nr_rows - 1 : 0;
	/* Its VM is gone: go on with the one that took its place. */
	if (cursor->id && i == view->nr_rows)
		cursor->id = cursor->row ? view->rows[cursor->row].now->vm_id :
					   0;

	if (cursor->top + room > view->nr_rows)
		cursor->top = view->nr_rows > room ? view->nr_rows - room : 0;
	if (cursor->row < cursor->top)
		cursor->top = cursor->row;
	if (room && cursor->row >= cursor->top + room)
		cursor->top = cursor->row - room + 1;
}
