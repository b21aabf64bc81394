#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy beside a real guest: that a policy outlives the tool, how it is found
# and ended again, and every way of using the tool wrongly. Run as root in the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy.bats
# What policies do to guests is in gmempolicy-effect.bats.

load gmempolicy

RATE=200

setup_file()
{
	use_build
	start_calm
}

teardown_file()
{
	gmempolicy detach --all
	stop_guests calm
}

teardown()
{
	gmempolicy detach --all
	stop_guests extra
}

@test "help and version" {
	run gmempolicy --help
	[ "$status" -eq 0 ]
	[[ $output == *attach* && $output == *ratelimit* ]]
	run gmempolicy help attach
	[ "$status" -eq 0 ]
	[[ $output == *--set* && $output == *--audit* ]]
	[ "$(gmempolicy attach --help)" = "$output" ]
	run gmempolicy --version
	[ "$status" -eq 0 ]
	[[ $output == "gmempolicy "* ]]
}

@test "list without an attached policy" {
	run gmempolicy list
	[ "$status" -eq 0 ]
	[[ $output == *ratelimit* ]]
	[[ $output == *"No policy is attached."* ]]
	[ "$(gmempolicy list --json | jq -r '.available[] |
		select(.name == "ratelimit").about')" != null ]
	[ "$(gmempolicy list --json | jq '.attached | length')" -eq 0 ]
}

@test "list shows what was attached, plain and as JSON" {
	id=$CALM
	gmempolicy attach ratelimit --vm "$id" --set rate=1 --priority -5
	wait_for 60 eval '[ "$(attached | jq .denied)" -gt 0 ]'
	[ "$(attached | jq -r '[.pin, .policy, .scope, .vm_id, .vms, .priority,
		.mode, .state, .clamped] | map(tostring) | join(" ")')" = \
		"ratelimit-vm$id ratelimit vm $id 1 -5 enforce active 0" ]
	[ "$(attached | jq .calls)" -gt 0 ]
	link=$(attached | jq .link_id)
	run gmempolicy list
	[ "$status" -eq 0 ]
	[[ $output == *"ratelimit-vm$id  ratelimit  vm"*" -5  enforce"*"$link"*active* ]]
}

@test "the policy stays when the tool has ended, and its directory is private" {
	gmempolicy attach ratelimit --all --set rate=$RATE
	[ "$(stat -c '%a %u' $PINS)" = "700 0" ]
	[ "$(ls $PINS)" = ratelimit-all ]
	[ "$(attached | jq .vms)" -eq 1 ]
}

@test "detach by link id" {
	gmempolicy attach ratelimit --all
	link=$(attached | jq .link_id)
	run gmempolicy detach "$link"
	[ "$status" -eq 0 ]
	[ "$output" = "detached ratelimit-all" ]
	nothing_left
}

@test "detach --all" {
	run gmempolicy detach --all
	[ "$status" -eq 0 ]
	[ "$output" = "no policy is attached" ]
	gmempolicy attach ratelimit --all
	gmempolicy attach ratelimit --vm "$CALM"
	[ "$(attached | wc -l)" -eq 2 ]
	run gmempolicy detach --all
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	nothing_left
}

@test "the same policy twice on the same scope is refused" {
	id=$CALM
	gmempolicy attach ratelimit --vm "$id" --set rate=$RATE
	refuses 1 "attached already, as ratelimit-vm$id" \
		attach ratelimit --vm "$id" --set rate=5
	[ "$(attached | wc -l)" -eq 1 ]
	gmempolicy attach ratelimit --all
	refuses 1 "attached already, as ratelimit-all" attach ratelimit --all
	[ "$(attached | wc -l)" -eq 2 ]
}

@test "of several attaches at once one wins" {
	local i pids=()
	for i in 1 2 3 4; do
		gmempolicy attach ratelimit --all 3>&- &
		pids+=($!)
	done
	won=0
	for i in "${pids[@]}"; do
		! wait "$i" || won=$((won + 1))
	done
	[ "$won" -eq 1 ]
	[ "$(attached | wc -l)" -eq 1 ]
	[ "$(ls $PINS)" = ratelimit-all ]
}

@test "a VM that ends leaves a stale pin that list explains and detach removes" {
	start_guests extra --guest idle,name=short
	gmempolicy attach ratelimit --pid "$(guest_pid short)"
	id=$(attached | jq .vm_id)
	[ "$(attached | jq -r .state)" = active ]
	stop_guests extra
	[ "$(attached | jq -r '"\(.pin) \(.vms) \(.state)"')" = \
		"ratelimit-vm$id 0 stale: VM gone" ]
	refuses 1 "no VM has the id $id" attach ratelimit --vm "$id"
	run gmempolicy detach "ratelimit-vm$id"
	[ "$status" -eq 0 ]
	nothing_left
}

@test "a link that was detached by other means is shown as stale" {
	gmempolicy attach ratelimit --all
	bpftool link detach id "$(attached | jq .link_id)"
	[ "$(attached | jq -r '"\(.pin) \(.state)"')" = \
		"ratelimit-all stale: detached" ]
	refuses 1 "the policy ratelimit-all has ended and only its pin is left" \
		attach ratelimit --all
	gmempolicy detach ratelimit-all
	nothing_left
}

@test "a file that is no policy's pin is left alone" {
	mkdir -p -m 700 $PINS
	bpftool map create $PINS/stranger type array key 4 value 4 entries 1 \
		name stranger
	[ "$(attached | jq -r '"\(.pin) \(.state)"')" = "stranger no policy" ]
	refuses 1 "no attached policy has the name" detach stranger
	gmempolicy detach --all
	[ -e $PINS/stranger ]
	mv $PINS/stranger $PINS/ratelimit-all
	refuses 1 "the name ratelimit-all is taken by a file that is no policy; remove $PINS/ratelimit-all" \
		attach ratelimit --all
	rm $PINS/ratelimit-all
}

@test "a link id that no policy of ours has is refused" {
	refuses 1 "no attached policy has the name or link id '1'" detach 1
}

@test "one policy too many is refused and leaves nothing behind" {
	for i in $(seq 16); do
		gmempolicy attach ratelimit --all --audit
		mv $PINS/ratelimit-all $PINS/copy$i
	done
	refuses 1 "too many policies" attach ratelimit --all
	[ ! -e $PINS/ratelimit-all ]
	[ "$(attached | wc -l)" -eq 16 ]
}

@test "a signal at any moment leaves all or nothing" {
	for ms in 01 05 10 15 20 25 30 35 40 50 70 90; do
		timeout -s INT 0.$ms gmempolicy attach ratelimit --all || true
		# The kernel ends the links of a process that was killed.
		for i in $(seq 20); do
			pins=$(ls -A $PINS | wc -l)
			links=$(attached | wc -l)
			[ "$pins" -ne "$links" ] || break
			sleep 0.1
		done
		[ "$pins" -eq "$links" ]
		gmempolicy detach --all
	done
	nothing_left
}

@test "usage: no scope, two scopes" {
	refuses 2 "no scope given; say which VM with --vm ID, --pid PID, --name GLOB or --cgroup PATH, or give --all" \
		attach ratelimit
	refuses 2 "more than one scope" attach ratelimit --all --vm 1
	refuses 2 "more than one scope" attach ratelimit --pid 1 --vm 1
	nothing_left
}

@test "usage: verbs, policies and words" {
	refuses 2 "no verb given"
	refuses 2 "unknown verb 'atach'" atach ratelimit
	refuses 2 "unknown option '--frob'" --frob
	refuses 2 "unknown option '--frob'" attach ratelimit --all --frob
	refuses 2 "no policy given" attach --all
	refuses 2 "unknown policy 'quta'" attach quta --all
	refuses 2 "leave 'b' out" attach ratelimit b --all
	refuses 2 "leave 'x' out" list x
	refuses 2 "nothing to detach" detach
	refuses 2 "leave 'b' out" detach a b
	refuses 2 "leave 'a' out" detach --all a
	refuses 2 "unknown verb 'x'" help x
	nothing_left
}

@test "usage: numbers of a parameter" {
	for rate in 0 0/s -1 -1/s abc 1.5 500/ 500/m /s " 5" 5x 0x10 1000000001 \
		18446744073709551616 99999999999999999999999999999999999999 ""; do
		refuses 2 "rate takes a whole number of conversions/s from 1 to 1000000000, not '$rate'" \
			attach ratelimit --all --set "rate=$rate"
	done
	refuses 2 "burst takes a whole number of conversions from 0 to 1000000000" \
		attach ratelimit --all --set burst=-1
	nothing_left
}

@test "usage: names and words of a parameter" {
	refuses 2 "the policy ratelimit has no parameter 'rat'; it has rate, burst" \
		attach ratelimit --all --set rat=5
	refuses 2 "'rate' sets no parameter; write NAME=VALUE" \
		attach ratelimit --all --set rate
	refuses 2 "'=5' sets no parameter" attach ratelimit --all --set =5
	refuses 2 "action takes one of deny, delay, not 'kill'" \
		attach ratelimit --all --set action=kill
	refuses 2 "--set needs an argument" attach ratelimit --all --set
	nothing_left
}

@test "usage: priority, ids" {
	refuses 2 "--priority takes a whole number" \
		attach ratelimit --all --priority 2147483648
	refuses 2 "--vm takes a whole number" attach ratelimit --vm 0
	refuses 2 "--vm takes a whole number" attach ratelimit --vm x
	refuses 2 "--pid takes a whole number" attach ratelimit --pid -1
	nothing_left
}

@test "extremes of the parameters are accepted" {
	for args in "--set rate=1 --set burst=1" "--set rate=1000000000 --set burst=1000000000" \
		"--set rate=500/s --priority -2147483648" \
		"--set rate=1 --priority=2147483647 --set action=delay"; do
		gmempolicy attach ratelimit --vm "$CALM" $args
		gmempolicy detach --all
	done
	nothing_left
}

@test "unknown VM, unknown process, process without a VM" {
	refuses 1 "no VM has the id 4000000000" attach ratelimit --vm 4000000000
	refuses 1 "no process has the id 2147483646" \
		attach ratelimit --pid 2147483646
	refuses 1 "process $$ has no VM" attach ratelimit --pid $$
	refuses 1 "no attached policy has the name or link id 'nope'" \
		detach nope
	nothing_left
}

@test "without privilege" {
	for verb in "attach ratelimit --all" list "detach --all"; do
		run --separate-stderr setpriv --reuid nobody --clear-groups \
			gmempolicy $verb
		check_refusal 1 "no privilege"
	done
	nothing_left
}

# two_caps ARGUMENT...: as root, but with no more than BPF asks for.
two_caps()
{
	run --separate-stderr setpriv --bounding-set=-all,+bpf,+perfmon \
		gmempolicy "$@"
}

@test "with CAP_BPF and CAP_PERFMON alone" {
	two_caps attach ratelimit --all
	check_refusal 1 "no privilege: CAP_SYS_ADMIN missing"
	nothing_left
	gmempolicy attach ratelimit --all
	for args in "set ratelimit-all rate=5" "enforce ratelimit-all" \
		"audit --all" list status "detach ratelimit-all" "detach --all"; do
		two_caps $args
		check_refusal 1 "no privilege: CAP_SYS_ADMIN missing"
	done
	if [ ! -e /sys/kernel/btf/kvm ]; then
		two_caps check ratelimit
		[ "$status" -eq 0 ]
	fi
	mkdir "$BATS_TEST_TMPDIR/policy.d"
	for verb in apply diff; do
		two_caps $verb "$BATS_TEST_TMPDIR/policy.d"
		check_refusal 1 "no privilege: CAP_SYS_ADMIN missing"
	done
	[ "$(attached | wc -l)" -eq 1 ]
}

@test "as root of a user namespace" {
	unshare -Ur true || skip "no user namespaces"
	for verb in "attach ratelimit --all" list "detach --all"; do
		run --separate-stderr unshare -Ur gmempolicy $verb
		check_refusal 1 "no privilege: this is a user namespace of its own"
	done
	nothing_left
}

@test "without a BPF file system" {
	run --separate-stderr unshare -m sh -c \
		'umount -l /sys/fs/bpf; exec gmempolicy attach ratelimit --all'
	check_refusal 1 "mount -t bpf bpf /sys/fs/bpf"
	nothing_left
}

@test "with a read-only BPF file system" {
	run --separate-stderr unshare -m sh -c \
		'mount --bind /sys/fs/bpf /sys/fs/bpf &&
		 mount -o remount,ro,bind /sys/fs/bpf &&
		 exec gmempolicy attach ratelimit --all'
	check_refusal 1 "remount,rw"
	nothing_left
}

@test "with a directory that others can use" {
	mkdir -p $PINS
	chmod 755 $PINS
	refuses 1 "is not yours alone" attach ratelimit --all
	refuses 1 "is not yours alone" list
	chmod 700 $PINS
	nothing_left
}

@test "without BTF" {
	run --separate-stderr unshare -m sh -c \
		'mount -t tmpfs none /sys/kernel/btf &&
		 exec gmempolicy attach ratelimit --all'
	check_refusal 1 "no BTF"
	nothing_left
}

@test "on a kernel without our hooks" {
	command -v clang-19 llvm-objcopy-19 || skip "needs clang-19 and llvm-19"
	echo 'int nothing;' |
		clang-19 -g -target bpf -x c -c - -o "$BATS_TEST_TMPDIR/o"
	llvm-objcopy-19 --dump-section .BTF="$BATS_TEST_TMPDIR/btf" \
		"$BATS_TEST_TMPDIR/o"
	run --separate-stderr unshare -m sh -c \
		"mount --bind '$BATS_TEST_TMPDIR/btf' /sys/kernel/btf/vmlinux &&
		 exec gmempolicy attach ratelimit --all"
	check_refusal 1 "no gmem hooks"
	nothing_left
}

@test "output that cannot be written is an error" {
	for args in "list" "list --json" "--help" "help attach" "--version"; do
		run -1 sh -c "gmempolicy $args >/dev/full"
		[[ $output == *"cannot write"* ]]
	done
	run -1 sh -c "gmempolicy attach ratelimit --all >/dev/full"
	[[ $output == "gmempolicy: attached, but: cannot write the output"* ]]
	[ "$(attached | wc -l)" -eq 1 ]
}

@test "the kernel's switch is pointed out" {
	echo N >/sys/module/kvm/parameters/gmem_policies
	run --separate-stderr gmempolicy attach ratelimit --all
	echo Y >/sys/module/kvm/parameters/gmem_policies
	[ "$status" -eq 0 ]
	[[ $stderr == *"switched off"* ]]
}
