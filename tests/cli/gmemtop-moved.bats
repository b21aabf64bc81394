#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What gmemtop says of memory that the host moves: how much, how long it took, and
# why some stays.  On a machine of two NUMA nodes; gmemmove is who moves it.

load gmemtop.bash
load monitor.bash

gmemmove=$build/gmemmove

# figure_is KEY PAGES [TYPE]: of the last monitor, in every output; a TYPE of "now" is
# an amount of now, and others count from when the VM began
figure_is()
{
	local key=$1 nr=$2 json=$1 metric=gmem_vm_$1 name

	name=$(cat "/proc/$pid/comm")
	case $key in
	moved) json=moved_pages metric=${metric}_bytes_total ;;
	unmovable) json=unmovable_pages metric=${metric}_bytes ;;
	*) metric=${metric}_total ;;
	esac
	sample 0.1
	[ "$(of_pid "$pid" ".$json")" -eq "$nr" ] || { of_pid "$pid" .; return 1; }
	if [[ $metric == *_bytes* ]]; then
		[ "$(metric_sum "$metric" "$pid")" -eq "$nr" ]
	else
		[ "$(exported "$metric")" -eq "$nr" ]
	fi
	rm -f rec
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec --json | jq ".vms[] | select(.pid == $pid).$json")" -eq "$nr" ]
	# Rates are not known yet.
	[ "${3-}" = now ] || return 0
	[ "$("$gmemtop" --csv --once --no-header --vm "$name" --fields "$key" | tr -d '\r' | cut -d, -f2-)" = "$nr" ]
}

# A counter in Prometheus: metric_sum is of bytes.
exported()
{
	echo "$(metric_sum "$1" "$pid") * 4096" | perl -ne 'print eval'
}

nodes_are()
{
	[ "$("$gmemtop" --once --no-header --vm "$(cat "/proc/$pid/comm")" --fields nodes | xargs)" = "$1" ]
}

# The last whole frame is from after so many pages were moved.
last_frame_has()
{
	[ "$(tail -n 2 frames | head -n 1 | jq ".vms[] | select(.pid == $pid).moved_pages")" = "$1" ]
}

# A VM whose guest_memfd is mapped, with PAGES of it touched on node 0.
mapped_vm()
{
	start_monitor "$1"
	tell vm default
	tell_node 0
	tell slot 0 $G 8 mapped
	tell touch 0 0 "$2"
	nodes_are "0:$3"
}

@test "moved pages, the time that they took, and where they are" {
	mapped_vm moves 1024 4.00M
	figure_is moved 0
	figure_is unmovable 0 now
	[ "$(of_pid "$pid" '[.move_time, .move_ns] | @csv')" = ,0 ]
	"$gmemmove" --to 1 moves --quiet
	nodes_are 1:4.00M
	figure_is moved 1024
	figure_is invalidations_migration 1024
	figure_is moves_refused_broken 0
	[ "$(of_pid "$pid" '.move_ns > 1000000')" = true ]
	[ "$(metric_sum gmem_vm_node_populated_bytes "$pid")" -eq 1024 ]
	# Back, and in rates: a frame is of the time since the one before.
	"$gmemtop" --json -d 0.5 >frames 3>&- &
	frames=$!
	mine="$mine $frames"
	wait_for 60 test -s frames
	"$gmemmove" --to 0 moves --quiet
	wait_for 60 last_frame_has 2048
	end "$frames"
	sed -i '/}$/!d' frames
	run jq -s -e "map(.seconds as \$s | .vms[] | select(.pid == $pid).rates.moved // 0 | . * (\$s // 0)) |
		add - 1024 | fabs < 2" frames
	[ "$status" -eq 0 ]
	jq -s "max_by(.vms[] | select(.pid == $pid).rates.moved // 0)" frames >frame.json
	[ "$(of_pid "$pid" '.rates.invalidations >= .rates.invalidations_migration and .rates.invalidations_migration > 0')" = true ]
	# As long as one page takes: more than nothing, and not all of them.
	[ "$(of_pid "$pid" '.move_time > 100 and .move_time * 1000 < .move_ns')" = true ]
}

@test "a huge folio is 512 pages that moved, and one invalidation" {
	start_monitor whole
	tell vm
	tell_node 0
	tell slot 0 $G 8 huge
	tell private 0 0 2048
	tell allocate 0 0 1024
	"$gmemmove" --to 1 whole --quiet
	nodes_are 1:4.00M
	figure_is moved 1024
	figure_is invalidations_migration 2
	[ "$(of_pid "$pid" .huge_pages)" -eq 1024 ]
}

@test "what stays is counted by its reason: held, broken" {
	mapped_vm stays 100 400K
	tell hold 0 0 10
	run "$gmemmove" --to 1 stays --quiet
	[ "$status" -eq 1 ]
	nodes_are '0:40K 1:360K'
	figure_is moved 90
	sample 0.1
	# Each is tried several times.
	held=$(of_pid "$pid" .moves_refused_held)
	[ "$held" -ge 20 ]
	figure_is moves_refused_held "$held"
	[ "$(of_pid "$pid" '[.moves_refused_consumer, .moves_refused_broken] | @csv')" = 0,0 ]
	[ "$(exported gmem_vm_moves_refused_total)" -eq \
		$((held + $(of_pid "$pid" .moves_refused_busy))) ]
	tell release
	# What is moved is mapped when it is touched again.
	tell touch 0 50 3
	tell break 0 50 3
	run "$gmemmove" --to 0 stays --quiet
	[ "$status" -eq 1 ]
	nodes_are '0:388K 1:12K'
	figure_is moves_refused_broken 3
	figure_is moved 177
}

@test "unmovable memory is part of what is populated, and is not tried" {
	start_monitor nailed
	tell vm
	tell_node 0
	tell slot 0 $G 8 pinned
	tell slot 0 0x200000000 8 anon
	tell allocate 0 0 300
	tell allocate 1 0 200
	figure_is unmovable 300 now
	[ "$(of_pid "$pid" .populated_pages)" -eq 500 ]
	[ "$("$gmemtop" --once --no-header --vm nailed --fields unmovable | xargs)" = 1.17M ]
	run "$gmemmove" --to 1 nailed --quiet
	[ "$status" -eq 1 ]
	nodes_are '0:1.17M 1:800K'
	figure_is moved 200
	figure_is moves_refused_held 0
	tell punch 0 0 300
	figure_is unmovable 0 now
}

@test "on the screen: columns, and all of it on the page Counters" {
	mapped_vm seen 512 2.00M
	"$gmemmove" --to 1 seen --quiet
	start_live "" 80 24 "--vm seen --fields name,moved,move_time,moves_refused,moves_refused_held,unmovable,nodes"
	wait_screen '^NAME +MOVE/S +M-TIME +M-NO M-HELD UNMOV NODES'
	# A rate that is none, the mean of nothing.
	wait_screen '^seen +0 +- +0 +0 +0K 1:2.00M'
	press q
	wait_screen '^status 0'
	tmux -L "$session" kill-server
	open_page seen 1 "" 44
	wait_screen '(^| )moved +512( |$)'
	wait_screen '(^| )move_time +[0-9.]+[num]?s'
	wait_screen '(^| )moves_refused_held +0( |$)'
	wait_screen '(^| )unmovable +0K( |$)'
	wait_screen '(^| )invalidations_migration +512( |$)'
}
