// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a frame.
 */
#include "figures/frame.h"

void frame_free(struct frame *frame)
{
	gmem_sample_free(&frame->vms);
	gmem_policies_free(&frame->policies);
	*frame = (struct frame) {};
}
