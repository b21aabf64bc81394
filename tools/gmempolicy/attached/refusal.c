// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the errors of attaching mean, and what to do about them.
 */
#include <errno.h>

#include "attached/refusal.h"
#include "gmem_common.h"
#include "gmem_confined.h"
#include "gmem_kernel.h"
#include "gmem_scope.h"

void refusal_explain(int err, const char *name, uint64_t vm)
{
	char why[GMEM_CONFINED_LEN];

	switch (-err) {
	case ESRCH:
		scope_no_vm(vm);
		break;
	case EPERM:
		if (gmem_confined(EPERM, why, sizeof(why)))
			gmem_err("cannot attach the policy %s: %s", name, why);
		else
			gmem_err("cannot attach the policy %s: KVM asks for CAP_SYS_ADMIN in the initial user namespace, whatever a BPF token allows; run it as root of the host",
				 name);
		break;
	case EBUSY:
		gmem_err("cannot attach the policy %s: these very programs are in force, or a VM has not left them yet; try again, or detach them first, see gmempolicy list",
			 name);
		break;
	case E2BIG:
		gmem_err("too many policies on %s; detach one, see gmempolicy list",
			 vm ? "this VM" : "a VM");
		break;
	case ETIME:
		gmem_err("cannot attach the policy %s: the time at which it ends has passed already; give it a later one, with a longer --for or as .expires_ns of its struct",
			 name);
		break;
	case EOPNOTSUPP:
		gmem_err("cannot attach the policy %s: this kernel knows no policies that end by themselves; leave --for out, or boot one whose struct kvm_gmem_ops has expires_ns",
			 name);
		break;
	default:
		gmem_err_bpf(err, "cannot attach the policy %s", name);
	}
}
