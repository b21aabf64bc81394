/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that are attached to the tracepoints of kvm_gmem.  Include it
 * after vmlinux.h and bpf_helpers.h.
 */
#ifndef GMEM_TRACE_H
#define GMEM_TRACE_H

/*
 * The name of a policy, 32 bytes, byte by byte: bpf_probe_read_kernel_str() is
 * refused where the kernel is locked down for confidentiality.
 */
static __always_inline void gmem_copy_policy_name(char *dst,
						  const struct kvm_gmem_ops *ops)
{
	unsigned int i;

#pragma unroll
	for (i = 0; i < sizeof(ops->name); i++)
		dst[i] = ops->name[i];
}

#endif /* GMEM_TRACE_H */
