// SPDX-License-Identifier: GPL-2.0-only
#include "peek.h"

PEEK(peekstr, bpf_probe_read_kernel_str(&x, sizeof(x), kvm));
