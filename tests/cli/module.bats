#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# KVM as modules: what holds them, and that they work as before once they were
# unloaded and loaded again. Run as root in a VM whose kernel has KVM=m:
#	tests/vm/run --kernel module -- bats tests/cli/module.bats
# The tests are steps of one run: each leaves KVM loaded and no policy attached.

bats_require_minimum_version 1.5.0

events=/sys/kernel/tracing/events/kvm_gmem

setup_file()
{
	export TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export PATH=$TOP/build:$PATH
	export VENDOR=kvm_amd
	! grep -q '^kvm_intel ' /proc/modules || VENDOR=kvm_intel
	grep -q '^kvm ' /proc/modules || {
		echo "KVM is no module here, or not loaded" >&2
		return 1
	}
}

teardown()
{
	[ ! -e "$BATS_TEST_TMPDIR/pid" ] ||
		kill -KILL "$(cat "$BATS_TEST_TMPDIR/pid")" 2>/dev/null || :
	modprobe "$VENDOR"
	gmempolicy detach --all
}

users()
{
	cat /sys/module/kvm/refcnt
}

# What a policy has of the module goes after an RCU grace period, which comes
# soon and at no fixed time.
unload()
{
	local i

	rmmod "$VENDOR"
	for ((i = 0; i < 600; i++)); do
		! rmmod kvm 2>rmmod.err || return 0
		sleep 0.1
	done
	echo "kvm has $(users) users after 60 s: $(cat rmmod.err)"
	return 1
}

# refused MODULE: it stays, and rmmod says why
refused()
{
	run rmmod "$1"
	[ "$status" -ne 0 ]
	[[ $output == *"Module $1 is in use"* ]]
	grep -q "^$1 " /proc/modules
}

# converts NR: the lines of a guest that asks for NR conversions, most of them
# sooner than ratelimit allows
converts()
{
	gmemload pingpong --name guest --iterations "$1" --json load.out
	refusals=$(jq -s 'map(select(.summary)) | last.refused' load.out)
}

# start COMMAND...: in the background, until this test is over at the latest
start()
{
	"$@" >started.out 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/pid"
}

# within 60 s
until_true()
{
	local i

	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "not true after 60 s: $*"
	return 1
}

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
}

@test "the interface is the module's" {
	bpftool()
	{
		"$TOP/build/bpftool" "$@"
	}
	bpftool btf dump file /sys/kernel/btf/kvm -B /sys/kernel/btf/vmlinux >kvm.btf
	grep -q "STRUCT 'kvm_gmem_ops'" kvm.btf
	bpftool btf dump file /sys/kernel/btf/vmlinux >vmlinux.btf
	run ! grep "STRUCT 'kvm_gmem_ops'" vmlinux.btf
	gmemtop --json -n 1 | jq -es 'length == 1'
	gmempolicy list
}

@test "unused modules unload, the tools name the remedy, and they load again" {
	local tool

	# Programs that the teardown before used go after a grace period.
	until_true eval '[ "$(users)" -eq 1 ]'
	unload
	[ ! -e $events ]
	[ ! -e /sys/kernel/btf/kvm ]
	for tool in "gmemtop -b -n 1" "gmempolicy list"; do
		run --separate-stderr $tool
		[ "$status" -eq 1 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"KVM is not loaded; load it (modprobe"* ]]
	done
	modprobe "$VENDOR"
	gmemtop --json -n 1 | jq -es 'length == 1'
}

@test "an attached policy holds kvm, and holds on without the vendor's module" {
	gmempolicy attach ratelimit --all --set rate=10 --set burst=5
	[ "$(users)" -gt 1 ]
	refused kvm
	rmmod "$VENDOR"
	refused kvm
	[ "$(gmempolicy list --json | jq '.attached | length')" -eq 1 ]

	modprobe "$VENDOR"
	converts 50
	[ "$refusals" -gt 0 ]
	[ "$(gmempolicy list --json | jq '.attached[0].denied')" -eq "$refusals" ]
	refused kvm

	gmempolicy detach --all
	unload
}

@test "a policy goes with its last pin, and kvm can go then" {
	gmempolicy attach ratelimit --all
	refused kvm
	rm -r /sys/fs/bpf/gmem
	unload
}

@test "a tool that reads the counters holds kvm while it runs" {
	start gmemtop -b -d 0.2
	until_true test -s started.out
	refused kvm
	kill "$(cat pid)"
	unload
}

@test "a guest holds both modules, with a policy and without" {
	start gmemload idle --json /dev/null --pidfile guests
	until_true test -s guests
	refused "$VENDOR"
	refused kvm
	gmempolicy attach ratelimit --all
	gmempolicy detach --all
	refused "$VENDOR"
	kill -INT "$(cat pid)"
	until_true test ! -e guests
	until_true eval '[ "$(cat "/sys/module/$VENDOR/refcnt")" -eq 0 ]'
	unload
}

@test "the tools watch a module's tracepoints" {
	start gmemload --guest pingpong,mem=1M,rate=50 --json /dev/null --pidfile guests
	until_true test -s guests
	gmempolicy attach deny --all
	run timeout 300 gmempolicy watch -n 2 --json
	[ "$status" -eq 0 ]
	jq -e '.policy == "deny"' <<<"${lines[0]}"
}

@test "loaded again and again, policies, tracepoints and kfuncs work" {
	local round conversions

	for round in 1 2 3; do
		unload
		modprobe "$VENDOR"
		[ "$(ls -d $events/kvm_gmem_* | wc -l)" -eq 13 ]

		gmempolicy attach ratelimit --all --set rate=10 --set burst=5
		: >/sys/kernel/tracing/trace
		echo 1 >$events/enable
		converts 50
		echo 0 >$events/enable
		[ "$refusals" -gt 0 ]
		grep -c 'kvm_gmem_verdict: .* policy ratelimit hook convert verdict -16$' \
			/sys/kernel/tracing/trace >verdicts
		[ "$(cat verdicts)" -eq "$refusals" ]
		conversions=$(jq -s 'map(select(.summary)) | last.conversions' load.out)
		# All memory once, before the guest starts.
		[ "$(grep -c 'kvm_gmem_convert: .* result 0 ' /sys/kernel/tracing/trace)" -eq \
			$((conversions + 1)) ]
		gmempolicy detach --all
	done
}

@test "the rules of policies hold on modules that were loaded again" {
	unload
	modprobe "$VENDOR"
	for program in "$TOP"/build/tests/bpf/policy_*_test; do
		"$program" >policy.out || {
			cat policy.out
			return 1
		}
	done
	"$TOP/build/tests/bpf/account_test" -t kvm_stats_agree -t dead_vms_are_gone >account.out || {
		cat account.out
		return 1
	}
	unload
}
