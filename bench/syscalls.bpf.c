// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a thread runs in system calls, so that a bench can tell what it
 * costs in the kernel from what it costs in userspace.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* The thread to watch, 0 for none. */
__u32 watched = 0;

__u64 ns = 0;
/* How often it read the counters of all VMs. */
__u64 refreshes = 0;

static bool in_call = false;
static __u64 since = 0;

static bool is_watched(void)
{
	return (__u32)bpf_get_current_pid_tgid() == watched;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long id)
{
	if (!is_watched())
		return 0;
	in_call = true;
	since = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	if (!is_watched() || !in_call)
		return 0;
	ns += bpf_ktime_get_ns() - since;
	in_call = false;
	return 0;
}

/*
 * gmemtop runs other programs, too: for what it has to know of a VM once, or of
 * one VM.
 */
SEC("fentry/bpf_prog_test_run_syscall")
int BPF_PROG(on_run, struct bpf_prog *prog)
{
	const char *name = prog->aux->name;

	if (!is_watched() || name[0] != 's' || name[6] != '_')
		return 0;
	/* sample_all or sample_vms, not sample_verdicts. */
	if (name[7] == 'a' || (name[7] == 'v' && name[8] == 'm'))
		refreshes++;
	return 0;
}

/* A call that waits costs nothing meanwhile. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	if (!in_call)
		return 0;
	if (prev->pid == watched)
		ns += bpf_ktime_get_ns() - since;
	else if (next->pid == watched)
		since = bpf_ktime_get_ns();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
