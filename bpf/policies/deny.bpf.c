// SPDX-License-Identifier: GPL-2.0-only
/*
 * deny: refuses every conversion of a VM: quarantine.
 *
 * The guest keeps the memory it has, private as private and shared as shared,
 * and goes on running; whatever it asks to convert fails with "error".
 *
 * It is fair to nobody and meant for one VM; do not attach it to all, for a VM
 * that starts under it cannot make its memory private.
 *
 * It does not look at page faults: memory that is private and not yet touched
 * can still be populated.  It cannot stop what a guest does with memory that
 * is shared already.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "gmem.bpf.h"

char _license[] SEC("license") = "GPL";

struct deny_params {
	GMEM_PARAM_CHOICE(u64, error,
			  "EPERM=1,ENOMEM=12,EACCES=13,EBUSY=16,ENOSPC=28,EDQUOT=122",
			  "errno with which conversions fail");
};

GMEM_PARAMS(struct deny_params, "refuse every conversion: quarantine",
	    "every conversion fails with the errno; the guest runs on") = {
	.error = EPERM,
};

SEC("struct_ops.s/convert")
s64 BPF_PROG(deny_convert, struct kvm *kvm,
	     const struct kvm_gmem_convert *convert)
{
	const struct deny_params *params = gmem_params();

	/* 0 would allow, and KVM makes EACCES of what it does not know. */
	return params->error ? -(s64)params->error : gmem_deny(EPERM);
}

GMEM_POLICY(deny) = {
	.convert = (void *)deny_convert,
	.name = "deny",
};
