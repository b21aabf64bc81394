// SPDX-License-Identifier: GPL-2.0-only
#include "peek.h"

PEEK(peek, bpf_probe_read_kernel(&x, sizeof(x), kvm));
