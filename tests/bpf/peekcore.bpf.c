// SPDX-License-Identifier: GPL-2.0-only
#include "peek.h"

PEEK(peekcore, x = BPF_CORE_READ(kvm, gmem.id));
