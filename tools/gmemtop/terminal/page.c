// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every page of a VM needs.
 */
#include <errno.h>

#include "gmem_common.h"
#include "terminal/page.h"
#include "terminal/screen.h"

char *page_format_ns(char *dst, size_t size, uint64_t ns)
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
