// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tells userspace of verdicts as they are given, and of VMs that come and go.
 * Only while somebody watches: nothing here is attached otherwise.  When
 * userspace does not keep up, events are lost and counted; nobody waits.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gmem_trace.h"
#include "gmem_vm.h"
#include "gmem_watch.h"

/* Only verdicts on this VM; 0: on any. */
const volatile __u64 only_vm = 0;

__u64 lost = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

static __u32 vm_pid(struct kvm *kvm)
{
	/* As struct kvm_gmem_usage begins, of which no more is asked for. */
	struct {
		u64 vm_id;
		u32 pid;
		u32 nr_vcpus;
	} usage = {};

	if (gmem_kvm_is_known(kvm))
		return gmem_known(kvm)->gmem.pid;
	bpf_kvm_gmem_usage(kvm, (struct kvm_gmem_usage *)&usage, sizeof(usage));
	return usage.pid;
}

static struct gmem_watch_event *reserve(struct kvm *kvm, __u32 type)
{
	struct gmem_watch_event *event;

	/* It never is; of a module's tracepoint the verifier does not know. */
	if (!kvm)
		return NULL;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return NULL;
	}
	event->type = type;
	event->vm_id = gmem_vm_id(kvm);
	event->vm_pid = vm_pid(kvm);
	return event;
}

SEC("tp_btf/kvm_gmem_verdict")
int BPF_PROG(on_verdict, struct kvm *kvm, const struct kvm_gmem_ops *ops,
	     u32 hook, s64 verdict, bool audit)
{
	struct gmem_watch_event *event;

	if (!kvm || !ops || (only_vm && gmem_vm_id(kvm) != only_vm))
		return 0;
	event = reserve(kvm, GMEM_WATCH_VERDICT);
	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_boot_ns();
	event->verdict = verdict;
	event->hook = hook;
	event->tid = (__u32)bpf_get_current_pid_tgid();
	event->audit = audit;
	gmem_copy_policy_name(event->policy, ops);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

static int on_vm(struct kvm *kvm, __u32 type)
{
	struct gmem_watch_event *event = reserve(kvm, type);

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/kvm_gmem_vm_create")
int BPF_PROG(on_vm_create, struct kvm *kvm)
{
	return on_vm(kvm, GMEM_WATCH_VM_CREATE);
}

SEC("tp_btf/kvm_gmem_vm_destroy")
int BPF_PROG(on_vm_destroy, struct kvm *kvm)
{
	return on_vm(kvm, GMEM_WATCH_VM_DESTROY);
}

char LICENSE[] SEC("license") = "GPL";
