#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemmove, with guests that check their memory all the time, on a machine of two NUMA
# nodes.

load gmemtop.bash
load monitor.bash

gmemmove=$build/gmemmove
events=/sys/kernel/tracing/events/kvm_gmem/kvm_gmem_migrate
trace=/sys/kernel/tracing/trace

setup_file()
{
	local cpu

	cpu=$(sed 's/[,-].*//' /sys/devices/system/node/node0/cpulist)
	# Where a guest runs its memory comes.
	(
		taskset -pc "$cpu" "$BASHPID" >/dev/null
		start_guests --guest steady,name=steady,mem=16M,rate=50 \
			--guest steady,name=huge,mem=16M,huge,rate=50 \
			--guest pingpong,name=pingpong,mem=8M,rate=50
	)
	wait_for 60 populated steady 16.0M
	wait_for 60 populated huge 16.0M
}

teardown_file()
{
	echo 0 >"$events/enable"
	[ ! -e "$BATS_FILE_TMPDIR/load.pid" ] || end_guests
}

populated()
{
	[ "$("$gmemtop" --once --no-header --vm "$1" --fields populated | xargs)" = "$2" ]
}

nodes_of()
{
	"$gmemtop" --once --no-header --vm "$1" --fields nodes | xargs
}

# From now on attempts to move a page are in the trace.
trace_moves()
{
	: >"$trace"
	echo 1 >"$events/enable"
}

# Has one come to that result?
moves_came_to()
{
	grep -q "kvm_gmem_migrate: .* result $1\$" "$trace"
}

# Do the nodes of VM $1 match extended regular expression $2?
nodes_match()
{
	[[ $(nodes_of "$1") =~ $2 ]]
}

# The value of jq expression $2 in the VM named $1, of the last JSON of gmemmove.
said()
{
	jq -r ".vms[] | select(.name == \"$1\") | $2" <<<"$output"
}

id_of()
{
	"$gmemtop" --once --no-header --vm "$1" --fields id | xargs
}

# Guests that go on, each of them, and that found nothing wrong so far.
guests_go_on()
{
	local before after name

	"$gmemtop" --json --once >before.json
	before=$(jq '[.vms[] | select(.name == "pingpong").conversions] | add' before.json)
	sleep 1
	after=$("$gmemtop" --json --once | jq '[.vms[] | select(.name == "pingpong").conversions] | add')
	[ "$after" -gt "$before" ]
	for name in steady huge pingpong; do
		! gone "$(pid_of "$name")"
	done
}

# One line on stderr that has the text $1, and nothing on stdout; and the status.
refused()
{
	local status_is=$1 text=$2

	shift 2
	run --separate-stderr "$gmemmove" "$@"
	[ "$status" -eq "$status_is" ] || { echo "$status: $stderr"; return 1; }
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ ${stderr_lines[0]} == gmemmove:\ *"$text"* ]] || { echo "$stderr"; return 1; }
}

# All that is there by now; what the guest touches meanwhile may come elsewhere.
all_moves()
{
	"$gmemmove" --to "$2" "$1" --quiet && nodes_match "$1" "^$2:[^ ]+$"
}

@test "memory goes to the other node and back, and guests go on with what is in it" {
	local name node

	[ "$(nodes_of steady)" = 0:16.0M ]
	for node in 1 0; do
		run --separate-stderr "$gmemmove" --to $node steady huge
		[ "$status" -eq 0 ] || { echo "$output $stderr"; return 1; }
		[ -z "$stderr" ]
		# In the order of their ids.
		[ "$(sort -k 3 <<<"$output")" = "VM $(id_of huge) huge: 16.0M moved to node $node
VM $(id_of steady) steady: 16.0M moved to node $node" ] || { echo "$output"; return 1; }
		for name in steady huge; do
			[ "$(nodes_of $name)" = "$node:16.0M" ]
		done
		guests_go_on
	done
	# As huge as it was.
	[ "$("$gmemtop" --once --no-header --vm huge --fields huge | xargs)" = 100% ]
	run --separate-stderr "$gmemmove" --to 0 steady
	[ "$status" -eq 0 ]
	[ "$output" = "VM $(id_of steady) steady: 0K moved to node 0, 16.0M there before" ]
}

@test "a guest that converts all the time" {
	local node

	for node in 1 0 1 0; do
		wait_for 30 all_moves pingpong "$node"
		guests_go_on
	done
}

@test "VMs by id, name, pattern, pid, and all of them" {
	local id

	id=$(id_of steady)
	run "$gmemmove" --to 1 --json "$id"
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.node, [.vms[].id]]' <<<"$output")" = "[1,[$id]]" ]
	[ "$(said steady '[.moved_pages, .there_pages, .held_pages, .refused_pages, .no_memory_pages, .unmovable_pages, .ended] | @csv')" = '4096,0,0,0,0,0,"done"' ]
	[ "$(said steady .pid)" = "$(pid_of steady)" ]
	run "$gmemmove" --to 0 --json --pid "$(pid_of steady)"
	[ "$status" -eq 0 ]
	[ "$(said steady .moved_pages)" -eq 4096 ]
	# One that is named twice is moved once.
	run "$gmemmove" --to 1 --json 'st*dy' "$id" huge
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.vms[].name] | sort' <<<"$output")" = '["huge","steady"]' ]
	run "$gmemmove" --to 0 --json --all
	[ "$(jq -c '[.vms[].name] | sort' <<<"$output")" = '["huge","pingpong","steady"]' ]
	[ "$(said huge .moved_pages)" -eq 4096 ]
	[ "$(said steady .moved_pages)" -eq 4096 ]
}

@test "what stays is named with its reason and what to do" {
	start_monitor stays
	tell vm default
	tell_node 0
	tell slot 0 $G 8 mapped
	tell touch 0 0 1000
	tell hold 0 100 10
	tell break 0 500 2
	tell slot 0 0x200000000 8 pinned
	tell allocate 1 0 100
	run --separate-stderr "$gmemmove" --to 1 stays
	[ "$status" -eq 1 ]
	[ "$output" = "VM $(id_of stays) stays: 3.86M moved to node 1, 448K not: 40K held, 8K refused, 400K unmovable" ] || { echo "$output"; return 1; }
	[ "${#stderr_lines[@]}" -eq 3 ]
	[[ ${stderr_lines[0]} == "gmemmove: 40K held: "*"try again"* ]]
	[[ ${stderr_lines[1]} == "gmemmove: 8K refused: "*moves_refused_broken* ]]
	[[ ${stderr_lines[2]} == "gmemmove: 400K unmovable: "*numactl* ]]
	tell release
	run --separate-stderr "$gmemmove" --to 1 --json stays
	[ "$status" -eq 1 ]
	[ "$(said stays '[.moved_pages, .there_pages, .held_pages, .refused_pages, .unmovable_pages] | @csv')" = 10,988,0,2,100 ]
}

@test "a page that is let go a moment later is moved" {
	start_monitor later
	tell vm default
	tell_node 0
	tell slot 0 $G 8 mapped
	tell touch 0 0 1000
	tell hold 0 100 10
	trace_moves
	"$gmemmove" --to 1 later >out 2>err 3>&- &
	mover=$!
	wait_for 120 moves_came_to -11
	tell release
	wait "$mover"
	[ ! -s err ]
	[ "$(cat out)" = "VM $(id_of later) later: 3.91M moved to node 1" ]
	[ "$(nodes_of later)" = 1:3.91M ]
}

@test "a node that is full is named, and the end is near" {
	local node=/sys/devices/system/node/node1 free
	local taken=$node/hugepages/hugepages-2048kB/nr_hugepages

	start_monitor large
	tell vm
	tell_node 0
	tell slot 0 $G 200 anon
	tell allocate 0 0 51200
	# All but a piece of it is taken, and the guest has more than that.
	free=$(awk '/MemFree/ { print int($4 / 1024) }' "$node/meminfo")
	echo $(((free - 60) / 2)) >"$taken"
	run --separate-stderr "$gmemmove" --to 1 large --json
	echo 0 >"$taken"
	[ "$status" -eq 1 ]
	# It did not try each page of the rest.
	[ "$(said large .ended)" = full ]
	[ "$(said large '.no_memory_pages > 0 and .moved_pages > 0')" = true ]
	[ "$(said large '.no_memory_pages + .moved_pages < 51200')" = true ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ ${stderr_lines[0]} == "gmemmove: "*" without room: "*"another node"* ]]
	run --separate-stderr "$gmemmove" --to 1 large
	[ "$status" -eq 0 ]
	[ "$(nodes_of large)" = 1:200M ]
}

@test "Ctrl-C ends it after what is under way, and it says how far it came" {
	start_monitor long
	tell vm default
	tell_node 0
	tell slot 0 $G 8 mapped
	tell touch 0 0 1024
	# What is tried again takes more than a second.
	tell hold 0 0 10
	# Of the same process, and name.
	tell vm
	trace_moves
	"$gmemmove" --to 1 long >out 2>err 3>&- &
	mover=$!
	wait_for 120 moves_came_to -11
	kill -INT "$mover"
	# bash starts it with SIGINT ignored, which it does not leave at that.
	status=0
	wait "$mover" || status=$?
	[ "$status" -eq 1 ]
	grep -qE '^VM [0-9]+ long: [0-9.]+M moved to node 1, .* held; stopped before the rest was tried$' out
	[ "$(wc -l <out)" -eq 1 ]
	[ "$(head -n 1 err)" = "gmemmove: stopped before 1 other VMs; run it again for those" ]
	grep -q '^gmemmove: .* held: .*try again' err
	[ "$(wc -l <err)" -eq 2 ]
	# It goes on where it was.
	tell release
	run "$gmemmove" --to 1 long
	[ "$status" -eq 0 ]
	nodes_match long '^1:4\.00M( -)?$'
}

@test "progress is on a terminal only" {
	start_monitor shown
	tell vm default
	tell_node 0
	tell slot 0 $G 8 mapped
	tell touch 0 0 1024
	# What is tried again takes more than a second.
	tell hold 0 0 10
	tmux -L "$session" -f /dev/null new-session -d -x 80 -y 24 \
		"sleep 1; '$gmemmove' --to 1 shown; echo \"status \$?\"; sleep 1000" 3>&-
	wait_screen '^VM [0-9]+ shown: 99%, 3\.96M moved$'
	wait_screen '^VM [0-9]+ shown: 3\.96M moved to node 1, 40K not: 40K held$'
	wait_screen '^status 1'
	run ! screen_has '%'
	tell release
	run --separate-stderr "$gmemmove" --to 0 shown --quiet
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
}

@test "wrong usage is one line, and status 2" {
	refused 2 "no node given" steady
	refused 2 "no VM given" --to 0
	refused 2 "--to takes a whole number" --to one steady
	refused 2 "--all is every VM; leave steady out" --to 0 --all steady
	refused 2 "--all is every VM; leave --pid out" --to 0 --all --pid 5
	refused 2 "--json and --quiet exclude each other" --to 0 --all --json --quiet
	refused 2 "unknown option '--from'" --from 0 steady
	run "$gmemmove" --help
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "Usage: gmemmove --to NODE "* ]]
	run "$gmemmove" --version
	[ "$status" -eq 0 ]
	[[ $output == "gmemmove "* ]]
}

@test "what is not there is one line that says what is" {
	refused 1 "there is no node 7 with memory; choose one of 0-1" --to 7 steady
	refused 1 "no VM has the id 99999" --to 0 99999
	refused 1 "no VM has a name that matches 'nobody'" --to 0 nobody
	refused 1 "process $$ has no VM" --to 0 --pid $$
	# Nothing is moved if one of them is wrong.
	[ "$(nodes_of steady)" = 0:16.0M ]
	refused 1 "no VM has a name that matches 'nobody'" --to 1 steady nobody
	[ "$(nodes_of steady)" = 0:16.0M ]
	start_vms 2 several
	refused 1 "process $pid has 2 VMs; choose one by its id:" --to 0 --pid "$pid"
}

@test "without the privilege it says what is missing" {
	refused_as()
	{
		run --separate-stderr setpriv --reuid=nobody --clear-groups --inh-caps=-all "$gmemmove" --to 0 --all
		[ "$status" -eq 1 ]
		[ -z "$output" ]
		[[ $stderr == "gmemmove: no privilege: CAP_SYS_ADMIN missing"* ]]
	}
	refused_as
}

@test "the guests found nothing wrong in their memory" {
	guests_go_on
	end_guests
	rm "$BATS_FILE_TMPDIR/load.pid"
	[ "$(jq -c 'select(.summary) | [.guest, .status, .errors]' "$BATS_FILE_TMPDIR/load.json" | sort | paste -sd' ')" = \
		'["huge","ok",{"convert":{},"fault":{}}] ["pingpong","ok",{"convert":{},"fault":{}}] ["steady","ok",{"convert":{},"fault":{}}]' ]
}
