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
	stop_vm busy late $(seq -f 'many%g' 20)
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
	run --separate-stderr gmempolicy attach ratelimit --name 'web-*' --set rate=3
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ $stderr == *"only VMs that run now are meant"* ]]
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
	run --separate-stderr gmempolicy attach ratelimit --name 'mail-*'
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
	run --separate-stderr gmempolicy attach ratelimit --cgroup /sys/fs/cgroup/vms
	[ "$output" = "attached ratelimit-vm$(vm_of web-1)" ]
	gmempolicy detach --all
	run --separate-stderr gmempolicy attach ratelimit --cgroup /vms/inner/
	[ "$output" = "attached ratelimit-vm$(vm_of web-1)" ]
	refuses 1 "there is no cgroup '/vm'" attach ratelimit --cgroup /vm
	mkdir -p /sys/fs/cgroup/empty
	refuses 1 "no VM is in the cgroup '/empty'" \
		attach ratelimit --cgroup /empty
}

@test "a scope of VMs that run now says so, and one of all or of an id does not" {
	pid=$(cat "$BATS_FILE_TMPDIR/web1.vm.pid")
	for scope in "--name web-*" "--pid $pid" "--cgroup /"; do
		run --separate-stderr gmempolicy attach deny --audit $scope
		[ "$status" -eq 0 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"only VMs that run now are meant"*"/etc/gmem/policy.d"* ]]
		gmempolicy detach --all
	done
	for scope in --all "--vm $(vm_of web-1)"; do
		run --separate-stderr gmempolicy attach deny --audit $scope
		[ -z "$stderr" ]
		gmempolicy detach --all
	done
}

# attach_within UNSHARE... COMMAND: in namespaces of its own, which stay until
# attach_ended. Sets $told, what attach said on standard error.
attach_within()
{
	local out=$BATS_TEST_TMPDIR/within

	rm -f "$out" "$out.err"
	"${@:1:$#-1}" sh -c "${*: -1}
		gmempolicy attach deny --audit --all >$out.1 2>$out.err
		mv $out.1 $out; exec sleep 1000" 3>&- &
	within=$!
	wait_for 60 test -s "$out"
	told=$(cat "$out.err")
}

attach_ended()
{
	pkill -KILL -P $within || true
	kill -KILL $within 2>/dev/null || true
	wait $within || true
}

@test "attach says when the policy ends with a mount namespace" {
	attach_within unshare -m "mount -t bpf bpf /sys/fs/bpf"
	[[ $told == *"is in a mount namespace of its own, and the policy ends with that"* ]]
	[ "$(attached | jq -r '"\(.pin) \(.policy) \(.state)"')" = "null deny active" ]
	attach_ended
	wait_for 60 eval '[ -z "$(attached)" ]'
}

@test "a mount namespace that has the host's BPF file system is none of that" {
	attach_within unshare -m "mount -t tmpfs none /mnt"
	[ -z "$told" ]
	attach_ended
	[ "$(policy deny-all state)" = active ]
	gmempolicy detach --all
	attach_within unshare -m "mkdir -p /run/b; mount --bind /sys/fs/bpf /run/b
		umount /sys/fs/bpf; mount --bind /run/b /sys/fs/bpf"
	[ -z "$told" ]
	attach_ended
	[ "$(policy deny-all state)" = active ]
}

@test "attach says when it cannot tell what the policy ends with" {
	attach_within unshare -pf --mount-proc "mount -t bpf bpf /sys/fs/bpf"
	[[ $told == *"cannot tell whether the BPF file system"* ]]
	attach_ended
	wait_for 60 eval '[ -z "$(attached)" ]'
	# In another PID namespace, with the host's /proc.
	attach_within unshare -pf "true"
	[ -z "$told" ]
	attach_ended
	[ "$(policy deny-all state)" = active ]
}

@test "detach by link id ends what is pinned elsewhere" {
	gmempolicy attach ratelimit --all
	id=$(policy ratelimit-all link_id)
	mkdir -p /sys/fs/bpf/elsewhere
	bpftool link pin id "$id" /sys/fs/bpf/elsewhere/x
	rm $PINS/ratelimit-all
	[ "$(attached | jq -r '"\(.pin) \(.state)"')" = "null active" ]
	run gmempolicy detach "$id"
	[ "$output" = "detached link $id" ]
	[ -z "$(attached)" ]
	rm -r /sys/fs/bpf/elsewhere
}

@test "a BPF file system over the pins hides them and ends nothing" {
	gmempolicy attach ratelimit --all
	id=$(policy ratelimit-all link_id)
	mount -t bpf bpf /sys/fs/bpf
	[ "$(attached | jq -r '"\(.pin) \(.state)"')" = "null active" ]
	gmempolicy detach --all
	umount /sys/fs/bpf
	[ "$(attached | jq -r '"\(.pin) \(.state) \(.link_id)"')" = \
		"ratelimit-all stale: detached $id" ]
	gmempolicy detach ratelimit-all
	nothing_left
}

@test "two conflicting scopes" {
	for scopes in "--name x --all" "--cgroup / --vm 1" "--name x --cgroup /" \
		"--pid 1 --name x"; do
		refuses 2 "more than one scope" attach ratelimit $scopes
	done
	nothing_left
}

# ended PIN: its time is up, and nobody has removed it.
ended()
{
	[ "$(policy "$1" state)" = "ended: time is up" ]
}

# timed_out: ratelimit-all is there, and its time is up.
timed_out()
{
	gmempolicy attach ratelimit --all --for 1s
	wait_for 60 ended ratelimit-all
}

@test "--for: the policy is in force until its time, and then KVM asks it no more" {
	start_vm busy busy 20
	start=$(seconds)
	gmempolicy attach deny --vm "$(vm_of busy)" --for 30s
	pin=deny-vm$(attached | jq .vm_id)
	[ "$(policy $pin state)" = active ]
	[ "$(policy $pin left_s)" -le 30 ]
	wait_for 60 ended $pin
	jq -ne "$(seconds) - $start >= 30"
	[ "$(policy $pin left_s)" = 0 ]
	calls=$(policy $pin calls)
	[ "$calls" -gt 0 ]
	sleep 1
	[ "$(policy $pin calls)" = "$calls" ]
	[ -e "$PINS/$pin" ]
	stop_vm busy
	[ "$(came_of busy ok)" -gt 0 ]
	[ "$(came_of busy perm)" -gt 0 ]
}

@test "--for: the end is a text and seconds, in list, status and attach" {
	before=$(date +%s)
	json=$(gmempolicy attach ratelimit --all --for 1h --json | jq '.attached[0]')
	after=$(date +%s)
	end=$(date -d "$(jq -r .ends <<<"$json")" +%s)
	[ "$end" -ge $((before + 3599)) ]
	[ "$end" -le $((after + 3601)) ]
	[ "$(jq .left_s <<<"$json")" -le 3600 ]
	for json in "$(attached)" "$(gmempolicy status --json | jq '.policies[0]')"; do
		other=$(date -d "$(jq -r .ends <<<"$json")" +%s)
		[ $((other - end)) -le 1 ]
		[ $((end - other)) -le 1 ]
		[ "$(jq .left_s <<<"$json")" -gt 3000 ]
	done
	gmempolicy attach deny --audit --all
	[ "$(policy deny-all ends)" = null ]
	[ "$(policy deny-all left_s)" = null ]
}

@test "--for: it outlives whoever asked for it" {
	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
	mkdir -p /sys/fs/cgroup/job
	# A job that is killed with all that it started.
	(
		echo $BASHPID >/sys/fs/cgroup/job/cgroup.procs
		gmempolicy attach ratelimit --all --for 1h
	)
	echo 1 >/sys/fs/cgroup/job/cgroup.kill
	[ -z "$(cat /sys/fs/cgroup/job/cgroup.procs)" ]
	rmdir /sys/fs/cgroup/job
	# A session whose leader and terminal go.
	script -qc 'gmempolicy attach deny --audit --all --for 1h; kill -KILL $$' \
		/dev/null </dev/null || true
	! pgrep gmempolicy
	[ "$(policy ratelimit-all state)" = active ]
	[ "$(policy deny-all state)" = active ]
}

@test "--for: kill -9 of the tool at any moment leaves no policy for good" {
	for ms in 05 10 20 30 40 60 80; do
		timeout -s KILL 0.$ms gmempolicy attach ratelimit --all \
			--for 2s || true
	done
	wait_for 60 eval \
		'[ -z "$(attached | jq -c '"'select(.state == \"active\")'"')" ]'
}

@test "--for: set, audit and enforce keep the end" {
	gmempolicy attach ratelimit --all --for 1h
	ends=$(policy ratelimit-all ends)
	gmempolicy set ratelimit-all rate=5
	gmempolicy audit ratelimit-all
	[ "$(policy ratelimit-all mode)" = audit ]
	gmempolicy enforce ratelimit-all
	[ "$(param ratelimit-all rate)" = 5 ]
	jq -ne "$(date -d "$ends" +%s) - $(date -d "$(policy ratelimit-all ends)" +%s) |
		. >= -1 and . <= 1"
	refuses 1 "attached already" attach ratelimit --all
}

@test "--for: what has ended cannot be changed, and is told" {
	timed_out
	for verb in "set ratelimit-all rate=7" "audit ratelimit-all" \
		"enforce $(policy ratelimit-all link_id)"; do
		refuses 1 "has ended: its time is up" $verb
	done
	[[ $(gmempolicy list) == *"ratelimit-all"*"ended: time is up"* ]]
	[[ $(gmempolicy status) == *"1 policy, 1 of them not in force any more"* ]]
	[ "$(gmempolicy status --json | jq '.limits | length')" -eq 0 ]
	gmempolicy detach ratelimit-all
	nothing_left
}

@test "--for: what has ended is in nobody's way, and the next change removes it" {
	timed_out
	gmempolicy attach ratelimit --all
	[ "$(policy ratelimit-all state)" = active ]
	gmempolicy detach ratelimit-all
	for verb in "attach deny --audit --all" "set deny-all error=EACCES" \
		"audit deny-all" "enforce --all" "audit deny-all" "detach deny-all"; do
		timed_out
		gmempolicy $verb
		[ ! -e $PINS/ratelimit-all ]
		[ -z "$(attached | jq 'select(.policy == "ratelimit")')" ]
	done
	nothing_left
}

@test "--for: apply removes what has ended, and diff says so" {
	dir=$BATS_TEST_TMPDIR/policy.d
	mkdir "$dir"
	timed_out
	[[ $(gmempolicy diff "$dir") == *"detach"*"ratelimit-all"*"its time is up"* ]]
	ended ratelimit-all
	gmempolicy attach deny --audit --all --for 1h
	timed_out
	[ "$(gmempolicy apply "$dir" --json | jq -r '.changes[] | "\(.action) \(.pin)"')" = \
		"detach ratelimit-all" ]
	# One whose time is not up was attached by hand, and stays.
	[ "$(attached | jq -r .pin)" = deny-all ]
}

@test "--for: the daemon removes what has ended" {
	mkdir "$BATS_TEST_TMPDIR/policy.d"
	gmempolicy apply "$BATS_TEST_TMPDIR/policy.d" --watch 3>&- &
	pid=$!
	gmempolicy attach ratelimit --all --for 1s
	wait_for 60 nothing_left
	kill $pid
	wait $pid
}

@test "--for: a time that is over before it begins" {
	refuses 1 "the time at which it ends has passed already" \
		attach ratelimit --all --for 0.000000001
	nothing_left
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
	[[ $output == *ratelimit-all*enforce* && $output != *burst* ]]
	run gmempolicy status --state
	[ "$status" -eq 0 ]
	[[ $output == *ratelimit-all*enforce* && $output == *burst*10* ]]
	[[ $output == *"limits.all.credit"* ]]
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

# held VM KEY: how it is held back.
held()
{
	gmempolicy status --json |
		jq -r --arg name "$1" ".held[] | select(.name == \$name) | .$2"
}

@test "status: who is held back by what, and how near each is to a limit" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=4
	gmempolicy attach pingpong --all --audit --set free=0
	start_vm late late 0
	start_vm busy busy 50
	wait_for 60 eval '[ "$(held busy denied)" -gt 10 ]'
	[ "$(held busy held_by)" = ratelimit-all ]
	[ "$(held busy nearest_limit)" = conversions ]
	[ "$(held busy nearest_percent)" -gt 50 ]
	[ "$(held late denied)" = 0 ]
	[ "$(held late held_by)" = null ]
	# Whom a policy would hold back that only audits is not held back by it.
	[ "$(gmempolicy status pingpong-all --json | jq '[.held[].denied] | add')" = 0 ]
	run gmempolicy status
	echo "$output"
	[[ ${lines[0]} == "5 VMs, 1 held back; 2 policies" ]]
	[[ ${lines[2]} == *" busy "*" ratelimit-all "*" conversions" ]]
	[ "${#lines[@]}" -le 24 ]
	! grep -q '.\{81\}' <<<"$output"
	[[ $output != *"credit"* ]]
	# What nobody uses any more is full again.
	kill -STOP "$(cat "$BATS_FILE_TMPDIR/busy.vm.pid")"
	wait_for 60 eval '[ "$(held busy nearest_percent)" = 0 ]'
	kill -CONT "$(cat "$BATS_FILE_TMPDIR/busy.vm.pid")"
}

@test "status: a ceiling, and a limit that a policy does not have" {
	gmempolicy attach quota --all --set populated=10 --set stale_percent=100
	json=$(gmempolicy status --json)
	[ "$(jq -c '[.limits[] | [.limit, .used, .most, .unit]] | unique' \
		<<<"$json")" = '[["populated",0,10,"MiB"]]' ]
	gmempolicy detach --all
	gmempolicy attach deny --audit --all
	[ "$(gmempolicy status --json | jq -c '.limits')" = '[]' ]
	[ "$(held web-1 nearest_limit)" = null ]
}

@test "status: tens of VMs fit a screen, and the rest is counted" {
	gmempolicy attach ratelimit --all --set rate=1 --set burst=1
	for i in $(seq 20); do
		start_vm "many$i" "a-long-name-$i" 0
	done
	start_vm busy busy 20
	wait_for 60 eval '[ "$(held busy denied)" -gt 0 ]'
	run gmempolicy status
	echo "$output"
	[ "$(gmempolicy status | wc -l)" -le 23 ]
	! grep -q '.\{81\}' <<<"$output"
	[[ ${lines[0]} == "24 VMs, 1 held back; 1 policy" ]]
	[[ ${lines[2]} == *" busy "* ]]
	[[ $output == *"and "*" more VMs, 0 of them held back; --wide shows all"* ]]
	run gmempolicy status --wide
	[ "$(grep -c 'a-long-name-' <<<"$output")" -eq 20 ]
	[[ $output != *"--wide"* ]]
	[ "$(gmempolicy status --json | jq '.held | length')" -eq 24 ]
	# Likewise on a terminal of another size.
	run script -qc "stty cols 70 rows 16; gmempolicy status" /dev/null
	echo "$output"
	[ "${#lines[@]}" -le 15 ]
	! tr -d '\r' <<<"$output" | grep -q '.\{71\}'
	stop_vm busy $(seq -f 'many%g' 20)
}

@test "list and show fit the terminal, and are whole elsewhere" {
	gmempolicy attach ratelimit --all
	for columns in 120 80 60; do
		run script -qc "stty cols $columns rows 24; gmempolicy list; gmempolicy show guard" /dev/null
		echo "$output"
		! tr -d '\r' <<<"$output" | grep -q ".\{$((columns + 1))\}"
		[[ $output == *ratelimit-all*enforce*active* ]]
	done
	whole=$(gmempolicy list)
	[[ $whole == *CALLS*ALLOWED*CLAMPED* ]]
	run script -qc "stty cols 60 rows 24; gmempolicy list --wide" /dev/null
	[[ $output == *CALLS*ALLOWED*CLAMPED* ]]
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
	[ "$(gmempolicy status --json | jq -c 'del(.vms, .held, .without)')" = \
		'{"policies":[],"verdicts":[],"parameters":[],"limits":[],"budgets":[]}' ]
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
