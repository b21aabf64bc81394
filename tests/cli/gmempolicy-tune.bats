#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy while policies are in force: tuning, modes, the switch, policies
# that end by themselves, scopes that are lists of VMs, status and watch. Run as
# root in the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-tune.bats
# The VMs are those of vm.pl, whose requests can be counted.

load gmempolicy

setup_file()
{
	use_build
	start_vm web1 web-1
	start_vm web2 web-2
	start_vm db db-1
}

teardown_file()
{
	gmempolicy detach --all
	stop_vm web1 web2 db
}

teardown()
{
	echo Y >/sys/module/kvm/parameters/gmem_policies
	gmempolicy detach --all
	stop_vm busy late
}

@test "set: a running policy is tuned without a detach, plain and JSON" {
	gmempolicy attach ratelimit --all --set rate=5
	link=$(policy ratelimit-all link_id)
	run gmempolicy set ratelimit-all rate=77/s burst=9
	[ "$status" -eq 0 ]
	[[ $output == *"rate"*77* && $output == *"burst"*9* ]]
	[ "$(gmempolicy set ratelimit-all action=delay --json |
		jq -r '.parameters[] | select(.name == "action").value')" = delay ]
	[ "$(param ratelimit-all rate)" = 77 ]
	[ "$(policy ratelimit-all link_id)" = "$link" ]
	gmempolicy set "$link" rate=78
	[ "$(param ratelimit-all rate)" = 78 ]
}

@test "set: what is set holds for the next request" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	start_vm busy busy 200
	sleep 1
	before=$(policy ratelimit-all allowed)
	[ "$before" -le 20 ]
	gmempolicy set ratelimit-all rate=1000000 burst=1000000
	sleep 1
	stop_vm busy
	[ "$(policy ratelimit-all allowed)" -gt $((before + 50)) ]
	[ "$(came_of busy ok)" = "$(policy ratelimit-all allowed)" ]
	[ "$(came_of busy busy)" = "$(policy ratelimit-all denied)" ]
}

@test "set: a mistake in one assignment sets none of them" {
	gmempolicy attach ratelimit --all --set rate=5
	refuses 2 "rate takes a whole number of conversions/s from 1 to 1000000000, not '0'" \
		set ratelimit-all burst=4 rate=0
	[ "$(param ratelimit-all burst)" = 0 ]
	[ "$(param ratelimit-all rate)" = 5 ]
}

@test "set: lines of input are sets of their own" {
	gmempolicy attach ratelimit --all
	printf 'rate=11 burst=12\n\nrate=13\n' | gmempolicy set ratelimit-all -
	[ "$(param ratelimit-all rate) $(param ratelimit-all burst)" = "13 12" ]
	run bash -c "printf 'rate=14\nrate=x\nrate=15\n' | gmempolicy set ratelimit-all -"
	[ "$status" -eq 2 ]
	[[ $output == *"stopped at line 2 of the input"* ]]
	[ "$(param ratelimit-all rate)" = 14 ]
}

@test "set: wrong usage" {
	gmempolicy attach ratelimit --all
	refuses 2 "no policy given" set
	refuses 2 "nothing to set" set ratelimit-all
	refuses 2 "leave 'rate=1' out" set ratelimit-all - rate=1
	refuses 2 "has no parameter 'x'; it has rate, burst" set ratelimit-all x=1
	refuses 2 "sets no parameter" set ratelimit-all rate
	refuses 1 "no attached policy has the name or link id 'nope'" \
		set nope rate=1
	refuses 1 "no attached policy has the name or link id '4000000'" \
		set 4000000 rate=1
}

@test "two calls of set at once lose neither" {
	gmempolicy attach ratelimit --all
	for i in $(seq 10); do echo "rate=$i"; done |
		gmempolicy set ratelimit-all - >/dev/null 3>&- &
	for i in $(seq 10); do echo "burst=$i"; done |
		gmempolicy set ratelimit-all - >/dev/null
	wait $!
	[ "$(param ratelimit-all rate) $(param ratelimit-all burst)" = "10 10" ]
}

@test "audit and enforce switch the mode live, and the budget stays" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=20
	link=$(policy ratelimit-all link_id)
	start_vm busy busy 100
	wait_for 60 eval '[ "$(policy ratelimit-all denied)" -gt 0 ]'
	run gmempolicy audit ratelimit-all
	[ "$status" -eq 0 ]
	[ "$output" = "ratelimit-all audit" ]
	[ "$(policy ratelimit-all mode)" = audit ]
	[ "$(gmempolicy enforce ratelimit-all --json | jq -c .changed)" = \
		'[{"pin":"ratelimit-all","mode":"enforce"}]' ]
	[ "$(policy ratelimit-all mode) $(policy ratelimit-all link_id)" = \
		"enforce $link" ]
	# A bucket that was filled anew would let 20 more pass.
	allowed=$(policy ratelimit-all allowed)
	sleep 2
	[ "$(policy ratelimit-all allowed)" -lt $((allowed + 15)) ]
	stop_vm busy
}

@test "audit lets pass what it counts" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	gmempolicy audit --all
	start_vm busy busy 100
	sleep 1
	stop_vm busy
	[ "$(came_of busy busy)" = 0 ]
	[ "$(policy ratelimit-all denied)" -gt 10 ]
}

@test "audit and enforce: wrong usage" {
	refuses 2 "no policy given" audit
	refuses 2 "leave 'b' out" enforce a b
	refuses 2 "leave 'a' out" audit --all a
	refuses 1 "no attached policy has the name" audit nope
	run gmempolicy enforce --all
	[ "$status" -eq 0 ]
	[ "$output" = "no policy is attached" ]
}

@test "off and on, plain and JSON" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	# Were they on, it would be asked.
	start_vm busy busy 100
	wait_for 60 eval '[ "$(policy ratelimit-all denied)" -gt 0 ]'
	stop_vm busy
	calls=$(policy ratelimit-all calls)
	run gmempolicy off
	[ "$output" = "policies off" ]
	[ "$(cat /sys/module/kvm/parameters/gmem_policies)" = N ]
	start_vm busy busy 100
	sleep 2
	stop_vm busy
	[ "$(came_of busy ok)" -gt 0 ]
	[ "$(came_of busy busy)" = 0 ]
	[ "$(policy ratelimit-all calls)" = "$calls" ]
	[ "$(gmempolicy on --json | jq -r .switch.policies)" = on ]
	[ "$(cat /sys/module/kvm/parameters/gmem_policies)" = Y ]
	refuses 2 "leave 'x' out" off x
	run --separate-stderr setpriv --reuid nobody --clear-groups gmempolicy off
	check_refusal 1 "run it as root"
}

@test "--name attaches to each VM whose name matches" {
	run gmempolicy attach ratelimit --name 'web-*' --set rate=3
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[ "$(policy "ratelimit-vm$(vm_of web-1)" state)" = active ]
	[ "$(policy "ratelimit-vm$(vm_of web-2)" vms)" = 1 ]
	[ "$(attached | wc -l)" -eq 2 ]
	# Each with parameters of its own.
	gmempolicy set "ratelimit-vm$(vm_of web-1)" rate=4
	[ "$(param "ratelimit-vm$(vm_of web-2)" rate)" = 3 ]
}

@test "--name: the name is the one that gmemtop shows, QEMU's -name too" {
	start_vm late 'qemu-system-x86_64|-name|guest=mail-7,debug-threads=on'
	id=$(vm_of mail-7)
	run gmempolicy attach ratelimit --name 'mail-*'
	[ "$output" = "attached ratelimit-vm$id" ]
	[ "$(gmempolicy status --json |
		jq -r ".vms[] | select(.vm_id == $id).name")" = mail-7 ]
	stop_vm late
}

@test "--name: a glob that matches nothing" {
	refuses 1 "no VM has a name that matches 'mail-*'" \
		attach ratelimit --name 'mail-*'
	refuses 2 "takes a text that is not empty" attach ratelimit --name ""
	nothing_left
}

@test "--name: a signal between two pins leaves none or both" {
	command -v strace >/dev/null || skip "needs strace"
	strace -o "$BATS_TEST_TMPDIR/calls" -e trace=bpf \
		gmempolicy attach deny --audit --name 'web-*'
	gmempolicy detach --all
	pins=$(grep -n BPF_OBJ_PIN "$BATS_TEST_TMPDIR/calls" | cut -d : -f 1)
	[ "$(wc -w <<<"$pins")" -eq 2 ]
	for call in $pins; do
		status=0
		strace -o /dev/null -e trace=bpf \
			-e "inject=bpf:signal=SIGINT:when=$call" \
			gmempolicy attach deny --audit --name 'web-*' || status=$?
		[ "$status" -ne 0 ]
		wait_for 60 eval '[ "$(attached | wc -l)" -eq 0 ]'
		[ -z "$(ls -A $PINS)" ]
	done
}

@test "--name: all or none" {
	gmempolicy attach ratelimit --vm "$(vm_of web-2)"
	refuses 1 "attached already, as ratelimit-vm$(vm_of web-2)" \
		attach ratelimit --name 'web-*'
	[ "$(attached | wc -l)" -eq 1 ]
}

@test "--cgroup attaches to the VMs in it and below" {
	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
	mkdir -p /sys/fs/cgroup/vms/inner /sys/fs/cgroup/vmsother
	cat "$BATS_FILE_TMPDIR/web1.vm.pid" >/sys/fs/cgroup/vms/inner/cgroup.procs
	cat "$BATS_FILE_TMPDIR/web2.vm.pid" >/sys/fs/cgroup/vmsother/cgroup.procs
	run gmempolicy attach ratelimit --cgroup /sys/fs/cgroup/vms
	[ "$output" = "attached ratelimit-vm$(vm_of web-1)" ]
	gmempolicy detach --all
	run gmempolicy attach ratelimit --cgroup /vms/inner/
	[ "$output" = "attached ratelimit-vm$(vm_of web-1)" ]
	refuses 1 "there is no cgroup '/vm'" attach ratelimit --cgroup /vm
	mkdir -p /sys/fs/cgroup/empty
	refuses 1 "no VM is in the cgroup '/empty'" \
		attach ratelimit --cgroup /empty
}

@test "two conflicting scopes" {
	for scopes in "--name x --all" "--cgroup / --vm 1" "--name x --cgroup /" \
		"--pid 1 --name x"; do
		refuses 2 "more than one scope" attach ratelimit $scopes
	done
	nothing_left
}

@test "--for: the policy ends by itself, and the tool is long gone" {
	gmempolicy attach ratelimit --all --for 1h
	[ "$(policy ratelimit-all state)" = active ]
	[ "$(policy ratelimit-all left_s)" -gt 0 ]
	[ "$(policy ratelimit-all left_s)" -le 3600 ]
	gmempolicy set ratelimit-all rate=5
	refuses 1 "attached already" attach ratelimit --all
	gmempolicy detach ratelimit-all
	start=$(seconds)
	gmempolicy attach ratelimit --all --for 2s
	wait_for 60 nothing_left
	jq -ne "$(seconds) - $start >= 2"
}

@test "--for: killing the holder ends the policy at once" {
	gmempolicy attach ratelimit --all --for 1h
	# It takes its name after the tool has ended.
	wait_for 60 pkill -KILL -x gmempolicy-for
	wait_for 60 eval '[ "$(policy ratelimit-all state)" = "stale: time is up" ]'
	# What it leaves is in nobody's way.
	gmempolicy attach ratelimit --all
	[ "$(policy ratelimit-all state)" = active ]
}

@test "--for: detach ends the holder, too" {
	gmempolicy attach ratelimit --all --for 1d
	wait_for 60 pgrep -x gmempolicy-for
	gmempolicy detach ratelimit-all
	nothing_left
	wait_for 60 eval '! pgrep -x gmempolicy-for'
}

@test "--for: kill -9 of the tool at any moment leaves no policy for good" {
	for ms in 05 10 20 30 40 60 80; do
		timeout -s KILL 0.$ms gmempolicy attach ratelimit --all \
			--for 2s || true
	done
	wait_for 60 eval '! pgrep -x gmempolicy-for'
	wait_for 60 eval \
		'[ -z "$(attached | jq -c '"'select(.state == \"active\")'"')" ]'
}

@test "--for: durations" {
	for time in 0 0s -1 x 10x "" 1.2.3m 367d 99999999999999999999; do
		refuses 2 "--for takes a time of up to 366d" \
			attach ratelimit --all "--for=$time"
	done
	for time in 0.5m 90 2h 1d; do
		gmempolicy attach ratelimit --all --for $time
		gmempolicy detach --all
	done
}

@test "status: counts, parameters and the budget of each VM, plain and JSON" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=10
	start_vm busy busy 50
	wait_for 60 eval '[ "$(policy ratelimit-all denied)" -gt 0 ]'
	[ "$(gmempolicy status --json |
		jq '.vms[] | select(.name == "busy").denied')" -gt 0 ]
	# The policy bites one VM and no other.
	pid=$(cat "$BATS_FILE_TMPDIR/busy.vm.pid")
	kill -STOP "$pid"
	wait_for 60 grep -q "^State:.*stopped" "/proc/$pid/status"
	json=$(gmempolicy status --json)
	[ "$(jq '.verdicts[] | select(.name == "busy").denied' <<<"$json")" = \
		"$(jq '.policies[0].denied' <<<"$json")" ]
	[ "$(jq '.verdicts[] | select(.name == "busy").calls' <<<"$json")" -gt \
		"$(jq '.verdicts[] | select(.name == "busy").denied' <<<"$json")" ]
	[ "$(jq '[.verdicts[] | select(.name != "busy").denied] | add' <<<"$json")" -eq 0 ]
	kill -CONT "$pid"
	stop_vm busy
	start_vm late late 0
	run gmempolicy status
	[ "$status" -eq 0 ]
	[[ $output == *ratelimit-all*enforce* && $output == *burst*10* ]]
	json=$(gmempolicy status ratelimit-all --json)
	[ "$(jq -r '.policies[0].pin' <<<"$json")" = ratelimit-all ]
	[ "$(jq '.policies[0].denied' <<<"$json")" = "$(came_of busy busy)" ]
	# And to whom: the one that has gone is not told of, the others were quiet.
	[ "$(jq '[.verdicts[].pin] | unique == ["ratelimit-all"]' <<<"$json")" = true ]
	[ "$(jq '[.verdicts[].vm_id] | unique | length' <<<"$json")" -eq 4 ]
	[ "$(jq '[.verdicts[].denied] | add' <<<"$json")" -eq 0 ]
	# One budget for each VM there is, and the one that has gone has none.
	[ "$(jq '[.budgets[].vm_id] | unique | length' <<<"$json")" -eq 4 ]
	jq -e 'all(.budgets[]; .value <= 10 and .unit == "tokens")' <<<"$json"
}

@test "status: the budgets of each direction" {
	gmempolicy attach ratelimit --vm "$(vm_of web-1)" --set shared_rate=40 \
		--set private_rate=80
	start_vm busy busy 0
	json=$(gmempolicy status --json)
	for member in all all_pages "some[0]" "some[1]" "some_pages[0]"; do
		[ "$(jq --arg member "limits.$member.credit" \
			'[.budgets[] | select(.member == $member)] | length' \
			<<<"$json")" -eq 1 ]
	done
	stop_vm busy
}

@test "status: nothing attached, and wrong usage" {
	run gmempolicy status
	[ "$output" = "No policy is attached." ]
	[ "$(gmempolicy status --json | jq -c 'del(.vms)')" = \
		'{"policies":[],"verdicts":[],"parameters":[],"budgets":[]}' ]
	refuses 1 "no attached policy has the name" status nope
	refuses 2 "leave 'b' out" status a b
}

@test "watch: who, what and why, plain and JSON" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	start_vm busy busy 50
	run timeout 30 gmempolicy watch -n 3
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[1]} == *busy*convert*ratelimit*enforce*"deny EBUSY" ]]
	json=$(timeout 30 gmempolicy watch --events 2 --json)
	[ "$(jq -sr '.[1] | "\(.name) \(.hook) \(.policy) \(.mode) \(.verdict)"' \
		<<<"$json")" = "busy convert ratelimit enforce deny EBUSY" ]
	gmempolicy set ratelimit-all action=delay
	gmempolicy audit ratelimit-all
	json=$(timeout 30 gmempolicy watch --events 3 --json | tail -n 1)
	jq -e '.mode == "audit" and .delay_ns > 0' <<<"$json"
	stop_vm busy
}

@test "watch: one VM only" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	start_vm busy busy 50
	run timeout 30 gmempolicy watch --vm "$(vm_of web-1)" --seconds 1 --json
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	stop_vm busy
}

@test "watch: Ctrl-C and a reader that goes away leave nothing behind" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	start_vm busy busy 50
	before=$(bpftool -j prog list | jq length)
	gmempolicy watch >"$BATS_TEST_TMPDIR/out" 3>&- &
	pid=$!
	wait_for 60 eval '[ $(wc -l <"$BATS_TEST_TMPDIR/out") -gt 2 ]'
	kill -INT $pid
	wait $pid
	[ "$(gmempolicy watch | head -n 2 | wc -l)" -eq 2 ]
	wait_for 60 eval '[ "$(bpftool -j prog list | jq length)" -eq $before ]'
	stop_vm busy
}

@test "watch: wrong usage" {
	refuses 2 "leave 'x' out" watch x
	refuses 2 "--events takes a whole number" watch --events 0
	refuses 2 "--seconds takes seconds" watch --seconds -1
}

@test "JSON of attach and detach" {
	[ "$(gmempolicy attach ratelimit --all --json |
		jq -r '.attached[0].pin')" = ratelimit-all ]
	[ "$(gmempolicy detach ratelimit-all --json |
		jq -r '.detached[0].pin')" = ratelimit-all ]
	[ "$(gmempolicy detach --all --json | jq -c .)" = '{"detached":[]}' ]
}
