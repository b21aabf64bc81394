// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every page of a VM needs.
 */
#include <errno.h>

#include "gmem_common.h"
#include "terminal/page.h"
#include "terminal/screen.h"

void page_not_recorded(int y)
{
	screen_put(y, 0, "A recording does not have this, only the live view.",
		   A_NORMAL);
}

int page_failed(struct details *details, int err)
{
	if (err == -ESRCH)
		details->gone = true;
	return err == -ESRCH || err == -EAGAIN ? 0 : err;
}
