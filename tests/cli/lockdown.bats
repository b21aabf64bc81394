#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Both tools on a kernel that is locked down: everything works, and a policy that
# cannot work there is told why. Run as root in the VM, in either mode:
#	tests/vm/run --append lockdown=confidentiality -- bats tests/cli/lockdown.bats

load gmempolicy

setup_file()
{
	use_build
	mountpoint -q /sys/kernel/security ||
		mount -t securityfs none /sys/kernel/security
	export MODE=$(sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/security/lockdown)
	start_calm
}

teardown_file()
{
	gmempolicy detach --all
	stop_guests calm
}

setup()
{
	cd "$BATS_TEST_TMPDIR"
	export XDG_CONFIG_HOME=$PWD
	session=lockdown-$BATS_TEST_NUMBER
}

teardown()
{
	gmempolicy detach --all
	[ -z "${daemon-}" ] || kill "$daemon" 2>/dev/null || true
	tmux -L "$session" kill-server 2>/dev/null || true
}

screen_has()
{
	tmux -L "$session" capture-pane -p | grep -qE -- "$1"
}

# What /proc/kcore and bpftrace would read is out of reach: this is no pretence.
@test "the kernel is locked down" {
	[[ $MODE == integrity || $MODE == confidentiality ]]
	if [ "$MODE" = confidentiality ]; then
		run head -c 1 /proc/kcore
		[ "$status" -ne 0 ]
		[[ $output == *"Operation not permitted"* ]]
		run cat /sys/kernel/tracing/available_events
		[ "$status" -ne 0 ]
	else
		run sh -c 'echo 0 >/sys/kernel/security/lockdown'
		[ "$status" -ne 0 ]
	fi
}

@test "gmemtop: text, JSON, CSV" {
	gmemtop -b -n 2 -d 0.2 | grep -q calm
	gmemtop --json -n 1 -d 0.5 |
		jq -e '.vms[] | select(.name == "calm") | .private_pages > 0 and .rates.conversions > 0'
	gmemtop --csv --once --fields all | grep -q calm
}

@test "gmemtop: record and replay" {
	gmemtop record rec -n 3 -d 0.1
	[ "$(gmemtop replay rec --json | jq -s 'length')" -eq 3 ]
	gmemtop replay rec -b | grep -q calm
}

@test "gmemtop: export over HTTP and to a file" {
	gmemtop export --listen 127.0.0.1:9753 >out 3>&- &
	daemon=$!
	wait_for 30 grep -q Serving out
	curl -sf http://127.0.0.1:9753/metrics | grep -q '^gmem_vm_info{.*calm'
	mkdir -m 777 dir
	gmemtop export --textfile dir
	grep -q '^gmem_vm_info{.*calm' dir/gmem.prom
}

@test "gmemtop: every page of a VM, and the policies" {
	gmempolicy attach ratelimit --all --set rate=5
	tmux -L "$session" -f /dev/null new-session -d -x 100 -y 40 "$TOP/build/gmemtop" 3>&-
	wait_for 30 screen_has calm
	tmux -L "$session" send-keys P
	wait_for 30 screen_has 'ratelimit.*enforce'
	tmux -L "$session" send-keys Escape
	wait_for 30 screen_has calm
	tmux -L "$session" send-keys Enter
	while IFS='|' read -r page text; do
		tmux -L "$session" send-keys "$page"
		wait_for 30 screen_has "$text" || {
			tmux -L "$session" capture-pane -p
			return 1
		}
	done <<-'END'
	1|invalidations_conversion +[0-9]
	2|Conversions: [1-9]
	3|conversions and verdicts since
	3|ratelimit denied a conversion: EBUSY
	4|Populated by NUMA node: node0
	5|a cell, to 0x1
	END
}

@test "gmempolicy: each policy loads, governs and ends" {
	for name in $(gmempolicy list --json | jq -r '.available[].name'); do
		gmempolicy check "$name"
		gmempolicy attach "$name" --vm "$CALM"
		[ "$(policy "$name-vm$CALM" state)" = active ]
		wait_for 30 eval '[ "$(policy "$name-vm$CALM" calls)" -gt 0 ]'
		gmempolicy status "$name-vm$CALM" >/dev/null
		gmempolicy detach "$name-vm$CALM"
	done
}

@test "gmempolicy: watch, set, audit, apply, off" {
	gmempolicy attach ratelimit --all --set rate=5
	gmempolicy watch -n 2 --seconds 60 --json | jq -se 'length == 2 and all(.policy == "ratelimit")'
	gmempolicy set ratelimit-all rate=7
	[ "$(param ratelimit-all rate)" = 7 ]
	gmempolicy audit ratelimit-all
	[ "$(policy ratelimit-all mode)" = audit ]
	gmempolicy detach --all
	printf '[policy.p]\nuse = "guard"\nname = "calm"\n' >p.toml
	gmempolicy apply p.toml
	[ "$(policy "p@vm$CALM" state)" = active ]
	gmempolicy diff p.toml | grep -q 'Nothing to change'
	gmempolicy off
	gmempolicy on
}

@test "gmempolicy: what new writes" {
	gmempolicy new mine
	ln -s "$TOP/build/include/vmlinux.h" mine/include/vmlinux.h
	make -C mine CLANG="$(command -v clang-19 || command -v clang)" -o include/vmlinux.h
	gmempolicy attach mine/mine.bpf.o --all
	[ "$(policy mine-all state)" = active ]
}

# libbpf makes the old helpers of the new ones where the kernel has none.
@test "gmempolicy: a policy that reads what it likes is told that it can't" {
	for name in peek peekstr peekcore; do
		obj=$TOP/build/bpf/$name.bpf.o
		if [ "$MODE" = confidentiality ]; then
			refuses 1 "this kernel is locked down (lockdown=confidentiality)" \
				check "$obj"
			[[ $stderr == *"read through the typed pointers"* ]]
			refuses 1 "this kernel is locked down" attach "$obj" --all
		else
			gmempolicy check "$obj"
		fi
	done
	nothing_left
	[ "$MODE" = confidentiality ] || return 0
	# The cause is known without securityfs.
	run --separate-stderr unshare -m sh -c \
		"umount /sys/kernel/security && exec gmempolicy check $obj"
	check_refusal 1 "this kernel is locked down"
}
