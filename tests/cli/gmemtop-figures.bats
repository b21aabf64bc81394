#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What gmemtop counts as a VM's memory, and that sums over VMs mean something, on
# a machine of two NUMA nodes. monitor.pl has the VMs, /proc knows better.

load gmemtop.bash
load monitor.bash

docs=$BATS_TEST_DIRNAME/../../docs

# Pages as MiB, as three digits show them.
mib()
{
	awk -v p="$1" 'BEGIN { printf "%.1f", p / 256 }'
}

huge_pages()
{
	echo "$1" >/proc/sys/vm/nr_hugepages
	[ "$(cat /proc/sys/vm/nr_hugepages)" = "$1" ]
}

### Resident memory

@test "VMs of one process: its memory is in every sum once, and in shares" {
	start_monitor several
	tell vm
	tell slot 0 $G 32 anon
	tell touch 0 0 8192
	# Another process between them.
	start_vms 1 between
	between=$pid
	pid=$(pgrep -x several)
	for i in 1 2; do
		tell vm
	done
	kill -STOP "$pid"
	sample 0.1
	want=$(resident "$pid")
	[ "$want" -gt 8192 ]
	[ "$(sum_of "$pid" .rss_pages)" -eq "$want" ]
	[ "$(sum_of "$pid" .total_pages)" -eq "$want" ]
	# Equal shares, but for a page that does not divide.
	run jq -e "[.vms[] | select(.pid == $pid).rss_pages] | length == 3 and max - min <= 1" frame.json
	[ "$status" -eq 0 ]
	[ "$(of_pid "$between" .rss_pages)" -eq "$(resident "$between")" ]
	[ "$(metric_sum gmem_vm_monitor_resident_bytes "$pid")" -eq "$want" ]
	[ "$(metric_sum gmem_vm_host_memory_bytes "$pid")" -eq "$want" ]
	# Text and CSV.
	[ "$("$gmemtop" --csv --once --no-header --vm several --fields rss |
		awk -F, '{ n += $2 } END { print n }')" -eq "$want" ]
	# A recording has what was sampled, and its replay the same sums.
	"$gmemtop" record rec -n 1
	"$gmemtop" replay rec --json >frame.json
	[ "$(sum_of "$pid" .rss_pages)" -eq "$want" ]
	# Tagged VMs are added up, too.
	start_live "" 80 24 "--vm several"
	wait_screen ' several '
	press Space Space Space
	wait_screen "^3 tagged, .*, $(mib "$want")M rss, $(mib "$want")M total"
	press q
	wait_screen '^status 0'
	kill -CONT "$pid"
}

@test "a guest_memfd that is mapped is in TOTAL once" {
	start_monitor maps
	tell vm default
	tell slot 0 $G 32 mapped
	tell allocate 0 0 100
	kill -STOP "$pid"
	# Populated, and in nobody's page tables.
	mapped_is 0 $(($(resident "$pid") + 100))
	kill -CONT "$pid"
	# All of it: that much, and what the process has besides.
	tell touch 0 0 8192
	kill -STOP "$pid"
	[ "$(resident "$pid")" -gt 8192 ]
	mapped_is 8192 "$(resident "$pid")"
	[ "$(of_pid "$pid" .faults_host)" -eq 8192 ]
	[ "$(metric_sum gmem_vm_faults_host_total "$pid")" = 2 ]
	start_live "" 80 24 "--vm maps"
	wait_screen ' maps '
	press Enter
	wait_screen "host memory $(mib "$(resident "$pid")")M$"
	tmux -L "$session" kill-server
	kill -CONT "$pid"
	# It stays populated when it is mapped no more.
	tell drop 0 0 4096
	kill -STOP "$pid"
	mapped_is 4096 $(($(resident "$pid") + 4096))
	kill -CONT "$pid"
	tell punch 0 0 8192
	kill -STOP "$pid"
	mapped_is 0 "$(resident "$pid")"
	kill -CONT "$pid"
}

@test "VMs of one process, of which some map their guest_memfds" {
	start_monitor mixed
	for i in 0 1 2; do
		tell vm default
	done
	tell slot 0 $G 16 mapped
	tell slot 1 $G 8 mapped
	tell slot 2 $G 8 anon
	tell touch 0 0 4096
	tell touch 1 0 1000
	tell touch 2 0 500
	tell allocate 2 0 300
	kill -STOP "$pid"
	mapped_is 5096 $(($(resident "$pid") + 300))
	# Each has its own, and nobody less than is populated.
	[ "$(jq -c "[.vms[] | select(.pid == $pid).mapped_pages]" frame.json)" = '[4096,1000,0]' ]
	run jq -e "[.vms[] | select(.pid == $pid) | .rss_pages - .mapped_pages] | min > 0 and max - min <= 1" frame.json
	[ "$status" -eq 0 ]
	run jq -e "[.vms[] | .total_pages >= .populated_pages] | all" frame.json
	[ "$status" -eq 0 ]
	kill -CONT "$pid"
}

@test "what another process has mapped of it is populated all the same" {
	start_monitor lends
	tell vm default
	tell slot 0 $G 8 mapped
	# 2,048 pages, by a process that is given the file.
	fd=$(for fd in "/proc/$pid/fd"/*; do
		[[ $(readlink "$fd") != *guest_memfd* && $(readlink "$fd") != *kvm-gmem* ]] || echo "${fd##*/}"
	done)
	perl -e '
		my $pidfd = syscall(434, $ARGV[0] + 0, 0);
		my $fd = syscall(438, $pidfd, $ARGV[1] + 0, 0);
		my $at = syscall(9, 0, 8 << 20, 3, 1, $fd, 0);
		open(my $zero, "<", "/dev/zero") or die $!;
		$at != -1 && syscall(0, fileno($zero), $at, 8 << 20) == 8 << 20 or die $!;
		open(my $f, ">", "mapped"); close($f);
		sleep 1000;
	' "$pid" "$fd" 3>&- &
	mine="$mine $!"
	wait_for 30 test -e mapped
	kill -STOP "$pid"
	sample 0.1
	[ "$(of_pid "$pid" .mapped_pages)" -eq 2048 ]
	[ "$(of_pid "$pid" .total_pages)" -ge 2048 ]
	[ "$(of_pid "$pid" .total_pages)" -le $((2048 + $(resident "$pid"))) ]
	kill -CONT "$pid"
}

@test "hugetlb pages are resident: of any kind, in every output" {
	huge_pages 40
	for kind in hugetlb hugememfd; do
		start_monitor "$kind"
		tell vm
		tell slot 0 $G 32 "$kind"
		tell touch 0 0 8192
		tell allocate 0 0 2048
		kill -STOP "$pid"
		sample 0.1
		want=$(resident "$pid")
		[ "$want" -gt 8192 ]
		[ "$(of_pid "$pid" .rss_pages)" -eq "$want" ]
		[ "$(of_pid "$pid" .total_pages)" -eq $((want + 2048)) ]
		[ "$(metric_sum gmem_vm_host_memory_bytes "$pid")" -eq $((want + 2048)) ]
		# Their frames are backed by both.
		[ "$(of_pid "$pid" .twice_pages)" -eq 2048 ]
		start_live "" 80 24 "--vm $kind"
		wait_screen " $kind "
		press Enter
		wait_screen "host memory $(mib $((want + 2048)))M$"
		tmux -L "$session" kill-server
		session=$session-
		end "$pid"
	done
	huge_pages 0
}

@test "the memory of a process that is gone is in no sum" {
	start_monitor gone
	tell vm
	tell slot 0 $G 4 anon
	tell touch 0 0 1024
	sample 0.1
	id=$(of_pid "$pid" .id)
	[ "$(of_pid "$pid" .rss_pages)" -gt 1024 ]
	# Somebody else holds the VM.
	fd=$(for fd in "/proc/$pid/fd"/*; do
		[[ $(readlink "$fd") != *kvm-vm* ]] || echo "${fd##*/}"
	done)
	perl -e '
		my $pidfd = syscall(434, $ARGV[0] + 0, 0);
		syscall(438, $pidfd, $ARGV[1] + 0, 0) >= 0 or die $!;
		open(my $f, ">", "held"); close($f);
		sleep 1000;
	' "$pid" "$fd" 3>&- &
	mine="$mine $!"
	wait_for 30 test -e held
	end "$pid"
	sample 0.1
	[ "$(jq ".vms[] | select(.id == $id) | .rss_pages + .twice_pages" frame.json)" -eq 0 ]
}

### Private memory

@test "private memory is what memory is behind: not of holes, slots that are gone, closed files" {
	start_monitor holes
	tell vm
	tell slot 0 $G 8 anon
	tell slot 0 0x200000000 8 anon
	# A TiB around both, and a frame far away.
	tell frames 0 0 $((1 << 28))
	tell frames 0 0x80000000 1
	sample 0.1
	[ "$(of_pid "$pid" '[.private_pages, .size_pages] | @csv')" = 4096,4096 ]
	[ "$("$gmemtop" --once --no-header --vm holes --fields private,size | xargs)" = "16.0M 16.0M" ]
	tell close 1
	sample 0.1
	[ "$(of_pid "$pid" '[.private_pages, .size_pages] | @csv')" = 2048,2048 ]
	[ "$(metric_sum gmem_vm_private_bytes "$pid")" -eq 2048 ]
	# Whatever else is there: nobody has more private memory than guest_memfds.
	run jq -e '[.vms[] | .private_pages <= .size_pages] | all' frame.json
	[ "$status" -eq 0 ]
}

### Ranges

# The ranges of the last monitor, in all outputs.
ranges_are()
{
	local nr=$1 name=$2

	sample 0.1
	[ "$(of_pid "$pid" .ranges)" -eq "$nr" ]
	[ "$(metric_sum gmem_vm_ranges "$pid" | awk '{ print $1 * 4096 }')" -eq "$nr" ]
	[ "$("$gmemtop" --once --no-header --vm "$name" --fields ranges | xargs)" = "$nr" ]
	[ "$("$gmemtop" --csv --once --no-header --vm "$name" --fields ranges | tr -d '\r' |
		cut -d, -f2)" = "$nr" ]
	rm -f rec
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec --json | jq ".vms[] | select(.pid == $pid).ranges")" -eq "$nr" ]
}

@test "ranges: none private, all private, page by page, two memslots" {
	start_monitor cut
	tell vm
	ranges_are 0 cut
	tell slot 0 $G 16 anon
	ranges_are 1 cut
	tell private 0 0 4096
	ranges_are 1 cut
	# 500 shared pages, each between private ones.
	tell shared 0 1 4x500
	ranges_are 1001 cut
	tell slot 0 0x200000000 16 anon
	ranges_are 1002 cut
	tell private 1 4095 1
	ranges_are 1003 cut
	tell shared 0 0 4096
	ranges_are 3 cut
	# As high as it takes to show all counters.
	start_live "" 80 40 "--vm cut"
	wait_screen ' cut '
	press Enter
	wait_screen ' ranges +3$|^ranges +3 '
	press Escape
	wait_screen '^ +ID'
	press q
	wait_screen '^status 0'
}

@test "--sort ranges and --sort twice put the greatest first" {
	start_monitor one
	tell vm
	tell slot 0 $G 1 anon
	tell private 0 0 2x20
	tell touch 0 0 10
	tell allocate 0 0 10
	start_monitor two
	tell vm
	tell slot 0 $G 1 anon
	tell private 0 0 2x30
	for key in ranges twice; do
		run jq -s -e '[.[0].vms[].'$key'] | length > 1 and . == (sort | reverse)' \
			<("$gmemtop" --json --once --sort $key | sed s/twice_pages/twice/g)
		[ "$status" -eq 0 ]
	done
	[ "$("$gmemtop" --once --no-header --sort ranges --fields name | head -n 1)" = two ]
	[ "$("$gmemtop" --once --no-header --sort twice --fields name | head -n 1)" = one ]
}

### Memory that is backed twice

twice_is()
{
	local nr=$1 name=$2

	sample 0.1
	[ "$(of_pid "$pid" .twice_pages)" -eq "$nr" ] || { of_pid "$pid" .twice_pages; return 1; }
	[ "$(metric_sum gmem_vm_backed_twice_bytes "$pid")" -eq "$nr" ]
	[ "$("$gmemtop" --csv --once --no-header --vm "$name" --fields twice | tr -d '\r' |
		cut -d, -f2)" = "$nr" ]
	rm -f rec
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec --json | jq ".vms[] | select(.pid == $pid).twice_pages")" -eq "$nr" ]
}

@test "memory backed twice: by private, shared and locked memory, until either half goes" {
	for kind in anon shared; do
		start_monitor "$kind"
		tell vm
		tell slot 0 $G 16 "$kind"
		tell touch 0 0 3000
		twice_is 0 "$kind"
		tell private 0 0 4096
		tell allocate 0 2000 2000
		twice_is 1000 "$kind"
		# Whatever the frames are by now.
		tell shared 0 0 4096
		twice_is 1000 "$kind"
		tell punch 0 2000 500
		twice_is 500 "$kind"
		tell drop 0 2500 200
		twice_is 300 "$kind"
	done
	tell lock 0 0 4096
	twice_is 1500 shared
	[ "$("$gmemtop" --once --no-header --vm shared --fields twice | xargs)" = 5.86M ]
}

@test "memory backed twice is looked for while somebody looks" {
	local up=()

	start_monitor looked
	tell vm
	tell slot 0 $G 16 anon
	tell touch 0 0 2560
	tell allocate 0 0 2560
	# On the page of every counter, of this VM.
	start_live "" 80 30 "--vm looked"
	wait_screen ' looked '
	press Enter
	wait_screen ' twice +10\.0M$|^twice +10\.0M '
	press Escape
	wait_screen '^ +ID'
	# As a column that is chosen by a key, and as the order: so many come after it.
	while read -r; do
		up+=(Up)
	done < <("$gmemtop" --csv --once --fields all | head -n 1 | tr -d '\r' | tr , '\n' | sed '1,/^twice$/d')
	press s End "${up[@]}" Enter
	wait_screen 'by twice, descending'
	press C Home End "${up[@]}" Space Enter
	wait_screen '^ +ID'
	press End Right Right Right Right Right Right Right Right Right Right Right Right Right Right Right Right Right Right Right Right
	wait_screen 'TWICE$'
	wait_screen ' 10\.0M$'
	press q
	wait_screen '^status 0'
}

### NUMA nodes

@test "memory by node: JSON, CSV, column, metrics, recording and its details" {
	[ -d /sys/devices/system/node/node1 ] || skip "one node; tests/suites gives two"
	start_monitor nodes
	tell vm
	tell slot 0 $G 16 anon
	for node in 0 1; do
		tell_node "$node"
		tell allocate 0 $((node * 1024)) $((1024 + node * 512))
	done
	sample 0.1
	[ "$(of_pid "$pid" '.node_pages | @csv')" = 1024,1536 ]
	# Of every VM the nodes have what is populated.
	run jq -e '[.vms[] | (.node_pages | add) == .populated_pages] | all' frame.json
	[ "$status" -eq 0 ]
	"$gmemtop" export --textfile "$PWD" >/dev/null
	id=$(of_pid "$pid" .id)
	grep -q "^gmem_vm_node_populated_bytes{vm=\"$id\",node=\"0\"} $((1024 * 4096))\$" gmem.prom
	grep -q "^gmem_vm_node_populated_bytes{vm=\"$id\",node=\"1\"} $((1536 * 4096))\$" gmem.prom
	[ "$(metric_sum gmem_vm_node_populated_bytes "$pid")" -eq 2560 ]
	[ "$("$gmemtop" --once --no-header --vm nodes --fields nodes,id | xargs)" = "0:4.00M 1:6.00M $id" ]
	[ "$("$gmemtop" --csv --once --no-header --vm nodes --fields nodes,id | tr -d '\r' |
		cut -d, -f2-)" = "0:1024 1:1536,$id" ]
	# Without a memslot, and of a file that is closed, too.
	"$gmemtop" record rec -n 1
	tell punch 0 0 4096
	sample 0.1
	[ "$(of_pid "$pid" '.node_pages | @csv')" = 0,0 ]
	[ "$("$gmemtop" --once --no-header --vm nodes --fields nodes)" = - ]
	[ "$("$gmemtop" replay rec --json | jq -c ".vms[] | select(.pid == $pid).node_pages")" = '[1024,1536]' ]
	tmux -L "$session" -f /dev/null new-session -d -x 80 -y 24 \
		"XDG_CONFIG_HOME=$config '$gmemtop' replay '$PWD/rec' --vm nodes; sleep 1000" 3>&-
	wait_screen ' nodes '
	press Enter 4
	wait_screen '^Populated by NUMA node: node0 4.00M node1 6.00M$'
	wait_screen '^A recording does not have this'
}

### Times and documents

@test "JSON: times are texts, too, with all digits" {
	"$gmemtop" --json -n 3 -d 0.1 >frames
	[ "$(wc -l <frames)" -eq 3 ]
	while read -r line; do
		real=$(grep -o '"real_ns": *[0-9]*' <<<"$line" | grep -o '[0-9]*$')
		mono=$(grep -o '"time_ns": *[0-9]*' <<<"$line" | grep -o '[0-9]*$')
		time=$(jq -r .time <<<"$line")
		[[ $time =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z$ ]]
		[ "$(date -d "$time" +%s%N)" = "$real" ]
		[ "$(jq -r .monotonic <<<"$line" | tr -d . | sed 's/^0*//')" = "$mono" ]
	done <frames
	# They order frames, and tell them apart.
	[ "$(jq -r .time frames | sort -u | wc -l)" -eq 3 ]
	[ "$(jq -r .time frames)" = "$(jq -r .time frames | sort)" ]
	grep -q '2^53' "$docs/man/gmemtop.8"
	# Of a recording it is the recorded time, wherever it is shown.
	"$gmemtop" record rec -n 1
	[ "$(TZ=Asia/Tokyo "$gmemtop" replay rec --json | jq -r .time)" = "$("$gmemtop" replay rec --json | jq -r .time)" ]
}

@test "docs/metrics.md says of every figure what it is the sum of" {
	sed -n '/^## Sums/,/^## /s/^| \(`[a-z_`, ]*`\) | ..* | ..* |$/\1/p' "$docs/metrics.md" |
		tr -d '`,' | tr ' ' '\n' | sort >summed
	# All columns but those that are names.
	"$gmemtop" --csv --once --fields all | head -n 1 | tr -d '\r' | tr , '\n' |
		grep -vxE 'time|id|pid|name|policies|cgroup' | sort >figures
	[ "$(wc -l <figures)" -gt 30 ]
	run diff figures summed
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
}
