#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The details that gmemtop shows of one VM, on a machine of two NUMA nodes.
# Guests are stopped where numbers are compared.

load gmemtop.bash

setup_file()
{
	start_guests --guest pingpong,name=abuser,mem=8M,rate=50 \
		--guest steady,name=steady,mem=16M,rate=5 \
		--guest idle,name=idle,mem=32M
	# It takes its pages as it touches them.
	wait_for 60 steady_is_there
}

steady_is_there()
{
	[ "$("$gmemtop" --once --no-header --vm steady --fields populated)" = 16.0M ]
}

teardown_file()
{
	end_guests
}

leave()
{
	press Escape
	wait_screen '^ +ID +PID NAME'
	press q
	wait_screen '^status 0'
}

programs()
{
	"$build/bpftool" prog show | grep -c -E "name ($1) "
}

@test "details: every counter is the one of JSON" {
	pid=$(pid_of abuser)
	kill -STOP "$pid"
	sample 0.1
	# As high as it takes to show all of them.
	open_page abuser 1 "" 40
	wait_screen '^private +8.00M'
	# Looked for from the next refresh on.
	wait_screen 'twice +[0-9.]+[KM]'
	# Both columns, by key.
	shown=$(screen | sed -n '4,39p' | cut -c1-40; screen | sed -n '4,39p' | cut -c41-)
	kill -CONT "$pid"
	n=0
	while read -r key value; do
		[ -n "$key" ] || continue
		case $key in
		faults) want=$(of_pid "$pid" '.faults_vcpu + .faults_prefault + .faults_populate + .faults_fallocate') ;;
		invalidations) want=$(of_pid "$pid" '[to_entries[] | select(.key | startswith("invalidations_")).value] | add') ;;
		denied) want=$(of_pid "$pid" '.faults_denied + .conversions_denied') ;;
		huge) want=0% ;;
		# The host moves no page of its own accord: nothing has a mean.
		move_time) want=- ;;
		moves_refused) want=$(of_pid "$pid" '[to_entries[] | select(.key | startswith("moves_refused_")).value] | add') ;;
		moved) want=$(of_pid "$pid" .moved_pages) ;;
		unmovable) want=0K ;;
		huge_fallbacks) want=$(of_pid "$pid" '[to_entries[] | select(.key | startswith("huge_fallbacks_")).value] | add') ;;
		delayed) want="0.0 ms" ;;
		to_private | to_shared) want=$(of_pid "$pid" ".pages_$key") ;;
		allocated | freed) want=$(of_pid "$pid" ".${key}_pages") ;;
		vcpus) want=1 ;;
		# It was stopped with a request under way or without.
		request_age) [[ $value =~ ^[0-9.]+[num]?s$ ]]; want=$value ;;
		request_wait)
			want=$(of_pid "$pid" '.request_ns / .requests_done' | awk '{
				for (u = 1; $1 >= 999.5; u++) $1 /= 1000
				split("ns us ms s", unit)
				printf((u > 1 && $1 < 9.95) ? "%.1f%s" : "%.0f%s", $1, unit[u]) }')
			;;
		attributes)
			want=$(of_pid "$pid" .attribute_bytes | awk '{ print $1 < 999.5 ? $1 "B" : sprintf("%.2fK", $1 / 1024) }')
			;;
		huge_pages) want=0K ;;
		private | populated | stale | rss | total | size | closed | twice | mapped)
			# Shown in units that three digits fit; compare in KiB.
			want=$(of_pid "$pid" ".${key}_pages * 4")
			value=$(awk -v v="$value" -v w="$want" 'BEGIN {
				u = substr(v, length(v)); f = u == "K" ? 1 : u == "M" ? 1024 : 1048576
				d = v * f - w; print (d < 0 ? -d : d) <= f / 200 + w / 100 ? w : v }')
			;;
		*) want=$(of_pid "$pid" ".$key") ;;
		esac
		[ "$value" = "$want" ] || { echo "$key: $value instead of $want"; return 1; }
		n=$((n + 1))
	done <<<"$shown"
	[ "$n" -ge 66 ]
	leave
}

@test "details: latencies are of the conversions that happened meanwhile" {
	pid=$(pid_of abuser)
	kill -STOP "$pid"
	open_page abuser 2
	wait_screen '^Faults: 0 +Conversions: 0$'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 3 ]
	sample 0.1
	before=$(of_pid "$pid" .conversions)
	faults=$(of_pid "$pid" .faults_vcpu)
	kill -CONT "$pid"
	wait_screen '^Faults: [1-9][0-9]+ +Conversions: [1-9][0-9]+'
	kill -STOP "$pid"
	sample 0.1
	wait_screen "^Faults: $(($(of_pid "$pid" .faults_vcpu) - faults)) +Conversions: $(($(of_pid "$pid" .conversions) - before))$"
	kill -CONT "$pid"
	press z
	wait_screen FROZEN
	shown=$(screen)
	count=$(sed -n 's/.*Conversions: \([0-9]*\)$/\1/p' <<<"$shown")
	# The bars of the right half add up to their number.
	sum=$(sed -n '6,23p' <<<"$shown" | cut -c41- | awk '$1 == "<" { s += $4 } $1 ~ /^<[0-9]/ { s += $3 } END { print s }')
	[ "$sum" -eq "$count" ]
	percentiles=$(sed -n 5p <<<"$shown" | cut -c41-)
	[[ $percentiles =~ ^p50\ [1-9][0-9.]*\ [um]s,\ p90\ [1-9][0-9.]*\ [um]?s,\ p99\ [1-9][0-9.]*\ [um]?s ]]
	press z
	leave
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 0 ]
}

@test "details: the table attaches nothing, and a page only while it is shown" {
	open_page steady 1
	[ "$(programs 'on_fault|on_convert|on_verdict|read_map')" -eq 0 ]
	press 3
	wait_screen 'conversions and verdicts since'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 3 ]
	press 5
	wait_screen 'a cell, to 0x'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 0 ]
	[ "$(programs read_map)" -eq 1 ]
	press 1
	wait_screen '^private '
	[ "$(programs 'on_convert|read_map')" -eq 0 ]
	leave
}

@test "details: events name the policy and what it said" {
	pid=$(pid_of abuser)
	open_page abuser 3
	wait_screen ' s ago  gfn 0x[0-9a-f]+-0x[0-9a-f]+ to (private|shared), 1 changed, [0-9.]+ [um]?s, asked [0-9.]+ [um]?s$'
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=1 --set burst=1 --set action=deny
	wait_screen ' s ago  ratelimit denied a conversion: EBUSY$'
	"$gmempolicy" detach --all
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=5 --set burst=1 --set action=delay
	wait_screen ' s ago  ratelimit delayed a conversion by [0-9.]+ [um]?s$'
	"$gmempolicy" detach --all
	leave
}

# A VM whose conversions wait for a second each, so that one is under way
# whenever somebody begins to look. Sets pid.
start_slow()
{
	"$BATS_TEST_DIRNAME/vm.pl" slow -1 >/dev/null 3>&- &
	pid=$!
	mine="$mine $pid"
	slow_is_there()
	{
		"$gmemtop" --once --no-header --fields name | grep -qx 'slow *'
	}
	wait_for 30 slow_is_there
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=1 --set burst=1 --set action=delay
	sleep 2
}

@test "details: what began before the page came up has no time, and is in no histogram" {
	start_slow
	open_page slow 3
	wait_screen ' s ago  gfn 0x[0-9a-f]+-0x[0-9a-f]+ to (private|shared), 1 changed, -(, asked .*)?$'
	wait_screen ', 1 changed, [0-9.]+ m?s(, asked .*)?$'
	press z
	wait_screen FROZEN
	# The oldest, and no other.
	[ "$(screen | grep -c ' changed, ')" -ge 2 ]
	[ "$(screen | grep -cE ' changed, -(, asked .*)?$')" -eq 1 ]
	screen | grep ' changed, ' | tail -n 1 | grep -qE ' changed, -(, asked .*)?$'
	press z
	press 2
	# Events and Latency share what is attached: all but that one is counted.
	wait_screen 'Conversions: [1-9]'
	! screen_has '<    8 ns'
	leave
	"$gmempolicy" detach --all
}

@test "details: the histogram begins where there is data, and fits the screen" {
	start_slow
	open_page slow 2
	wait_screen 'Conversions: [2-9]'
	press z
	wait_screen FROZEN
	shown=$(screen | sed -n '6,23p' | cut -c41-)
	echo "$shown"
	# The first and the last line have something, and the sum is the count.
	[ "$(grep -c '^<' <<<"$shown")" -le 4 ]
	[ "$(sed -n 1p <<<"$shown" | sed 's/^< *[0-9.]* [num]*s *\([0-9]*\).*/\1/')" -gt 0 ]
	sum=$(sed -n 's/^< *[0-9.]* [num]*s *\([0-9]*\).*/\1/p' <<<"$shown" | awk '{ s += $1 } END { print s }')
	[ "$sum" -eq "$(screen | sed -n 's/.*Conversions: \([0-9]*\)$/\1/p')" ]
	press z
	leave
	"$gmempolicy" detach --all
}

@test "details: a histogram of very short and very long times" {
	"$BATS_TEST_DIRNAME/vm.pl" both 20 >/dev/null 3>&- &
	pid=$!
	mine="$mine $pid"
	both_is_there()
	{
		"$gmemtop" --once --no-header --fields name | grep -qx 'both *'
	}
	wait_for 30 both_is_there
	open_page both 2
	wait_screen 'Conversions: [1-9][0-9]'
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=1 --set burst=1 --set action=delay
	wait_screen '^.{40}< +1\.1 s +[1-9]'
	# Microseconds to a second, and what is between them is one line.
	wait_screen '^.{40}< *[0-9.]+ [um]s +[1-9]'
	wait_screen '^.{40}   \.\.\. +0$'
	# On few lines the long ones are kept, and all are in some bar.
	press z
	wait_screen FROZEN
	tmux -L "$session" resize-window -x 80 -y 9
	wait_screen '^.{40}< +1\.1 s +[1-9]'
	sum=$(screen | sed -n '6,8p' | cut -c41- | sed -n 's/^< *[0-9.]* [num]*s *\([0-9]*\).*/\1/p' |
		awk '{ s += $1 } END { print s }')
	[ "$sum" -eq "$(screen | sed -n 's/.*Conversions: \([0-9]*\)$/\1/p')" ]
	tmux -L "$session" resize-window -x 80 -y 24
	press z
	leave
	"$gmempolicy" detach --all
}

@test "details: latencies on a narrow terminal" {
	start_live "LC_ALL=C" 40 20 "--vm abuser"
	wait_screen 'abuser'
	press Enter 2
	wait_screen '^Faults: [1-9]'
	wait_screen '^<'
	sleep 2
	# It goes on.
	before=$(screen)
	wait_for 10 eval '[ "$(screen)" != "$before" ]'
	press Escape
	wait_screen '^ +ID +PID'
	press q
	wait_screen '^status 0'
}

@test "details: help over a page, and a VM that is gone, let go of BPF" {
	"$gmemload" pingpong --name mayfly --mem 4M --rate 20 --pidfile pids \
		--json /dev/null 3>&- &
	mine=$!
	wait_for 60 test -s pids
	open_page mayfly 3
	wait_screen 'conversions and verdicts since'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 3 ]
	press F1
	wait_screen 'private memory of KVM guests'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 0 ]
	press x
	wait_screen 'conversions and verdicts since'
	wait_screen 's ago '
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 3 ]
	kill -KILL "$(sed -n 's/^mayfly //p' pids)"
	wait_screen '^VM [0-9]+  mayfly .* GONE'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 0 ]
	wait_screen 's ago '
	leave
}

@test "details: what a page cannot have is a complaint, and the view goes on" {
	open_page steady 1
	wait_screen '^private '
	pid=$(pgrep -x gmemtop)
	prlimit --pid "$pid" --nofile=3:
	for page in 2 4; do
		press "$page"
		wait_screen '^ *cannot (attach|load) the programs'
		wait_screen '^private '
		press Home
		wait_screen '^F1 Help'
	done
	prlimit --pid "$pid" --nofile=1024:
	press 2
	wait_screen '^Faults: '
	leave
}

@test "details: memslots beyond the 64th" {
	perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		my $fd = ioctl($kvm, 0xae01, 0) or die "KVM_CREATE_VM: $!";
		open(my $vm, "+<&=", $fd) or die "$!";
		my $memory = "x" x 8192;
		my $at = (unpack("Q", pack("p", $memory)) + 4095) & ~4095;
		for (0 .. 149) {
			my $slot = pack("LLQQQ", $_, 0, $_ << 21, 4096, $at);
			ioctl($vm, 0x4020ae46, $slot) or die "memslot $_: $!";
		}
		open(my $f, ">", "slots"); close($f);
		sleep 1000;
	' 3>&- &
	mine=$!
	wait_for 30 test -e slots
	sample 0.1
	start_live "LC_ALL=C" 80 24 "--vm $(of_pid "$mine" .id)"
	wait_screen ' perl '
	press Enter 4
	wait_screen '^ +0 0x0-0x0 '
	press $(printf 'Down %.0s' {1..140})
	wait_screen '^ +149 0x12a00-0x12a00 '
	press 5
	wait_screen ' a cell, to 0x12a00$'
	leave
}

@test "details: memslots and guest_memfds are those of /proc and of JSON" {
	pid=$(pid_of steady)
	open_page steady 4
	wait_screen '^ SLOT GFNS '
	wait_screen 'inode'
	row=$(screen | grep inode)
	inode=$(for fd in "/proc/$pid/fd"/*; do
		[[ $(readlink "$fd") != *kvm-gmem* ]] || stat -L -c %i "$fd"
	done)
	read -r _ gfns size _ shown_inode at file populated <<<"$row"
	[ "$shown_inode" = "$inode" ]
	[ "$gfns" = 0x100000-0x100fff ]
	[ "$size $at $file" = "16.0M 0 16.0M" ]
	[ "$populated" = 16.0M ]
	leave
}

# Unevictable pages of node $1, in KiB: guest_memfd's are among them.
unevictable()
{
	awk '/Unevictable:/ { print $4 }' "/sys/devices/system/node/node$1/meminfo"
}

@test "details: memory by NUMA node is where the kernel counts it" {
	[ -d /sys/devices/system/node/node1 ] || skip "one node; tests/suites gives two"
	for node in 0 1; do
		before=$(unevictable 0),$(unevictable 1)
		taskset -c "$(cat /sys/devices/system/node/node$node/cpulist)" \
			"$gmemload" steady --name "on$node" --mem 24M --rate 20 \
			--pidfile pids --json /dev/null 3>&- &
		mine=$!
		wait_for 60 test -s pids
		populated()
		{
			[ "$("$gmemtop" --once --no-header --vm "on$node" --fields populated)" = 24.0M ]
		}
		wait_for 60 populated
		open_page "on$node" 4
		wait_screen "^Populated by NUMA node: .*node$node [0-9.]+M"
		line=$(screen | grep '^Populated by')
		kib=$(sed -n "s/.*node$node \([0-9.]*\)M.*/\1 1024/p" <<<"$line" | awk '{ print int($1 * $2) }')
		# All but a little is on the node that its guest ran on.
		[ "$kib" -gt $((22 * 1024)) ]
		delta=$(($(unevictable $node) - $(cut -d, -f $((node + 1)) <<<"$before")))
		[ $((delta - kib)) -lt 2048 ]
		[ $((kib - delta)) -lt 2048 ]
		leave
		tmux -L "$session" kill-server
		session=$session-$node
		end "$mine"
		mine=
		rm -f pids
	done
}

@test "details: the map draws what is private, shared, populated and stale" {
	# 16 MiB, all private and there: in cells of 16 KiB, 1024 of them.
	open_page steady 5
	wait_screen '^from gfn 0x0, .* a cell, to 0x100fff$'
	press n n n n n
	wait_screen '^from gfn 0x100000, 16K a cell'
	[ "$(screen | sed -n '5,21p' | tr -cd '#' | wc -c)" -eq 1024 ]
	wait_screen '^gfn 0x100000-0x100003: private 16K, shared 0K, populated 16K, stale 0K'
	press Right Right Down
	wait_screen '^gfn 0x100148-0x10014b: private 16K'
	press +
	wait_screen '^from gfn 0x[0-9a-f]+, 4K a cell'
	wait_screen '^gfn 0x100148-0x100148: private 4K, shared 0K, populated 4K'
	press - -
	wait_screen ', 64K a cell'
	press a
	wait_screen '^from gfn 0x0, '
	leave
}

@test "details: the map is live, and shows memory that is not there or stale" {
	pid=$(pid_of idle)
	open_page idle 5
	wait_screen '^from gfn 0x0, .* a cell, to 0x101fff$'
	press n n n n n
	wait_screen '^from gfn 0x100000, 32K a cell'
	wait_screen 'private 32K, shared 0K, populated 0K, stale 0K'
	[ "$(screen | sed -n '5,21p' | tr -cd . | wc -c)" -eq 1024 ]
	leave
	tmux -L "$session" kill-server

	# A conversion to shared leaves the page behind, until it is punched out.
	session=$session-stale
	"$gmemload" pingpong --name leaver --mem 4M --rate 3 --pidfile pids \
		--json /dev/null 3>&- &
	mine=$!
	wait_for 60 test -s pids
	pid=$(sed -n 's/^leaver //p' pids)
	stale()
	{
		kill -CONT "$pid"
		sleep 0.2
		kill -STOP "$pid"
		sample 0.01
		[ "$(of_pid "$pid" .stale_pages)" -gt 0 ]
	}
	wait_for 60 stale
	open_page leaver 5
	press n n n n n
	wait_screen '^from gfn 0x100000, 4K a cell'
	[ "$(screen | sed -n '5,21p' | tr -cd '!' | wc -c)" -eq "$(of_pid "$pid" .stale_pages)" ]
	[ "$(screen | sed -n '5,21p' | tr -cd '.:+#' | wc -c)" -eq "$(of_pid "$pid" .private_pages)" ]
	kill -CONT "$pid"
	leave
}

@test "details: a monitor that dies while its details are open" {
	for page in 1 2 3 4 5; do
		session=gmemtop-$$-gone-$page
		rm -f pids
		"$gmemload" pingpong --name mayfly --mem 4M --rate 20 --pidfile pids \
			--json /dev/null 3>&- &
		mine=$!
		wait_for 60 test -s pids
		pid=$(sed -n 's/^mayfly //p' pids)
		open_page mayfly "$page"
		sleep 1
		kill -KILL "$pid"
		wait_screen '^VM [0-9]+  mayfly .* GONE'
		press 4
		wait_screen '^VM [0-9]+  mayfly .* GONE'
		press Escape
		wait_screen 'No VM passes the filter'
		press q
		wait_screen '^status 0'
		wait_screen '^icanon'
		tmux -L "$session" kill-server
		end "$mine"
		mine=
	done
}

@test "details: a hostile name, cgroup and size of the screen" {
	mkdir "/sys/fs/cgroup/"$'evil\e[31m'
	start_vms 1 $'\e[2Jevil\n' "/"$'evil\e[31m'
	id=$(sample 0.1; of_pid "$pid" .id)
	start_live "LC_ALL=C" 80 24 "--vm $id"
	wait_screen '\?\[2Jevil\?'
	press Enter
	wait_screen '^VM [0-9]+  \?\[2Jevil\? '
	wait_screen '^cgroup /evil\?\[31m'
	press 5
	wait_screen 'No memslot is in this window'
	for size in "20 5" "1 1" "200 50" "80 24"; do
		# shellcheck disable=SC2086
		set -- $size
		tmux -L "$session" resize-window -x "$1" -y "$2"
		sleep 0.5
		press 4
		press 5
	done
	wait_screen 'No memslot is in this window'
	leave
	end "$pid"
	rmdir "/sys/fs/cgroup/"$'evil\e[31m'
}

@test "details: without root, CAP_SYS_ADMIN suffices, and is all that is kept" {
	open_page steady 2 "setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=+sys_admin,+net_raw --ambient-caps=+sys_admin,+net_raw"
	pid=$(pgrep -x gmemtop)
	[ "$(awk '/^Uid/ { print $2, $3, $4 }' "/proc/$pid/status")" = "65534 65534 65534" ]
	[ "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" = 0000000000200000 ]
	[ "$(awk '/^CapPrm/ { print $2 }' "/proc/$pid/status")" = 0000000000200000 ]
	[ "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status")" = 1 ]
	wait_screen '^Faults: '
	press 5
	wait_screen ' a cell, to 0x'
	leave
}
