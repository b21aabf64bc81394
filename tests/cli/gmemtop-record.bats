#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop record and replay: what is recorded is what was, whatever happens to
# the recorder, the disk or the file.

load gmemtop.bash

setup_file()
{
	start_guests --guest pingpong,name=abuser,mem=8M,rate=100 \
		--guest steady,name=steady,mem=16M,rate=5
}

teardown_file()
{
	end_guests
}

# The id and conversions of each VM in each frame of recording $1.
counters_of()
{
	"$gmemtop" replay "$1" --json | jq -c '.vms[] | [.id, .conversions]'
}

@test "record: replay gives what was sampled" {
	pid=$(pid_of steady)
	kill -STOP "$(pid_of abuser)" "$pid"
	"$gmemtop" record rec -n 3 -d 0.2
	sample 0.1
	kill -CONT "$(pid_of abuser)" "$pid"
	run "$gmemtop" replay rec --json
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
	# Nothing moved, so all but the times is the same, the names included.
	without_times='del(.time, .monotonic, .time_ns, .real_ns, .seconds) | .vms |= sort_by(.id)'
	[ "$(jq -cS "$without_times" <<<"${lines[2]}")" = "$(jq -cS "$without_times" frame.json)" ]
}

@test "record: policies and their counters are in it" {
	"$gmempolicy" attach ratelimit --pid "$(pid_of steady)" --set rate=1000
	"$gmemtop" record rec -n 1
	"$gmempolicy" detach --all
	[ "$("$gmemtop" replay rec --json | jq .policies)" -eq 1 ]
	[ "$("$gmemtop" replay rec --json | jq -r '.vms[] | select(.name == "steady").policies')" = ratelimit ]
}

@test "record: rates of a replay are over the recorded time" {
	"$gmemtop" record rec -n 4 -d 0.5
	run jq -s -e '.[0].seconds == 0 and ([.[1:][] | .seconds] | all(. > 0.4 and . < 1.5)) and
		([.[1:][].vms[] | select(.name == "abuser").rates.conversions] | all(. > 20 and . < 250))' \
		<("$gmemtop" replay rec --json)
	[ "$status" -eq 0 ]
}

@test "record: a signal ends it in order" {
	for signal in INT TERM; do
		"$gmemtop" record "rec-$signal" -d 0.1 3>&- &
		mine=$!
		wait_for 30 test -s "rec-$signal"
		kill -$signal $mine
		rc=0
		wait $mine || rc=$?
		[ "$rc" -eq 0 ]
		[ "$("$gmemtop" replay "rec-$signal" --json | wc -l)" -ge 1 ]
	done
}

@test "record: kill -9 costs at most the frame under way" {
	"$gmemtop" record rec -d 0.05 3>&- &
	mine=$!
	# Beyond the first part, so that both kinds of part are read.
	long_enough() { [ "$("$gmemtop" replay rec --json 2>/dev/null | wc -l)" -gt 66 ]; }
	wait_for 90 long_enough
	kill -STOP $mine
	before=$(date +%s%N)
	kill -KILL $mine
	wait $mine || :
	run --separate-stderr "$gmemtop" replay rec --json
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "${#lines[@]}" -gt 64 ]
	last=$(jq .real_ns <<<"${lines[-1]}")
	[ $((before - last)) -lt 2000000000 ]
	# Each frame is there once, and in order.
	run jq -s -e '[.[].time_ns] | . == unique and length > 64' <("$gmemtop" replay rec --json)
	[ "$status" -eq 0 ]
}

@test "record: a recording cut at any byte shows the frames before" {
	"$gmemtop" record whole -n 12 -d 0.02
	counters_of whole >expected
	size=$(stat -c %s whole)
	seen=0
	for ((cut = 250; cut < size; cut += size / 12)); do
		head -c "$cut" whole >part
		run --separate-stderr "$gmemtop" replay part --csv --no-header --fields id
		if [ "$status" -eq 0 ]; then
			[ -z "$stderr" ]
			counters_of part >found
			cmp -n "$(stat -c %s found)" found expected
			[ "$(wc -l <found)" -lt "$(wc -l <expected)" ]
			seen=$((seen + 1))
		else
			one_line_error "is not a recording, or has no frame"
		fi
	done
	[ "$seen" -gt 5 ]
}

@test "record: a damaged recording says where, and shows what is before" {
	"$gmemtop" record whole -n 150 -d 0.01
	counters_of whole >expected
	size=$(stat -c %s whole)
	for at in $((size / 3)) $((size / 2)) $((size - 40)); do
		cp whole bad
		printf '\xff\x00\xff\x00\xff\x00' | dd of=bad bs=1 seek="$at" conv=notrunc status=none
		run --separate-stderr "$gmemtop" replay bad --json
		[ "$status" -eq 1 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ ${stderr_lines[0]} =~ bad\ is\ damaged\ after\ byte\ [0-9]+:\ only\ the\ ([0-9]+)\ frames ]]
		[ "${#lines[@]}" -eq "${BASH_REMATCH[1]}" ]
		jq -c '.vms[] | [.id, .conversions]' <<<"$output" >found
		cmp -n "$(stat -c %s found)" found expected
	done
}

@test "record: what is no recording is refused, and never overwritten" {
	echo "my thesis" >precious
	run --separate-stderr "$gmemtop" record precious -n 1
	[ "$status" -eq 1 ]
	one_line_error "precious exists and is not a recording; name another file"
	[ "$(cat precious)" = "my thesis" ]
	# Compressed as a recording is, and somebody else's.
	printf '\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello' >backup.zst
	cp backup.zst before.zst
	run --separate-stderr "$gmemtop" record backup.zst -n 1
	[ "$status" -eq 1 ]
	one_line_error "backup.zst exists and is not a recording; name another file"
	cmp before.zst backup.zst
	# Nor is what the rotation would replace.
	"$gmemtop" record d -n 1
	"$gmemtop" record d -n 1
	cp d d.before
	echo "dear diary" >d.2
	run --separate-stderr "$gmemtop" record d -n 1
	[ "$status" -eq 1 ]
	one_line_error "d.2 exists and is not a recording; name another file, or move it away"
	[ "$(cat d.2)" = "dear diary" ]
	cmp d d.before
	# Known before the first file is full.
	echo mine >e.1
	run --separate-stderr "$gmemtop" record e -n 1
	[ "$status" -eq 1 ]
	one_line_error "e.1 exists and is not a recording"
	[ ! -e e ]
	: >empty
	head -c 4096 /dev/urandom >noise
	for file in precious empty noise . /dev/null; do
		run --separate-stderr "$gmemtop" replay "$file" --json
		[ "$status" -eq 1 ]
		one_line_error "is not a recording"
	done
	run --separate-stderr "$gmemtop" replay missing --json
	[ "$status" -eq 1 ]
	one_line_error "cannot read missing: No such file or directory"
}

@test "record: a second one keeps the first as FILE.1" {
	"$gmemtop" record rec -n 1
	counters_of rec >first
	"$gmemtop" record rec -n 2 -d 0.1
	counters_of rec.1 >second
	cmp first second
	[ "$("$gmemtop" replay rec --json | wc -l)" -eq 2 ]
}

@test "record: rotates by size, and keeps as many as asked" {
	"$gmemtop" record rec -n 200 -d 0.01 --max-size 1K --keep 2
	[ -e rec ]
	[ -e rec.1 ]
	[ -e rec.2 ]
	[ ! -e rec.3 ]
	for file in rec.1 rec.2; do
		size=$(stat -c %s $file)
		[ "$size" -ge 1024 ]
		[ "$size" -lt 2048 ]
	done
	# No frame is lost between two files.
	run jq -s -e '[.[].time_ns] as $t | $t == ($t | sort) and ([range(1; $t | length) | $t[.] - $t[. - 1]] | all(. < 2e9))' \
		<(for f in rec.2 rec.1 rec; do "$gmemtop" replay $f --json; done)
	[ "$status" -eq 0 ]
}

@test "record: rotates by age" {
	"$gmemtop" record rec -n 15 -d 0.2 --max-age 1
	[ -e rec.1 ]
	run jq -s -e '(last.time_ns - first.time_ns) < 2e9' <("$gmemtop" replay rec.1 --json)
	[ "$status" -eq 0 ]
}

@test "record: a full disk is one line, and what was written stays good" {
	mkdir full
	mount -t tmpfs -o size=16k none full
	run --separate-stderr "$gmemtop" record full/rec -d 0.01
	[ "$status" -eq 1 ]
	one_line_error "cannot write full/rec: No space left on device; the frames before are kept"
	run --separate-stderr "$gmemtop" replay full/rec --json
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "${#lines[@]}" -gt 20 ]
	umount full
}

@test "record: after a full disk it starts again" {
	mkdir full
	mount -t tmpfs -o size=64k none full
	"$gmemtop" record full/rec -n 1
	dd if=/dev/zero of=full/filler bs=4k 2>/dev/null || :
	run --separate-stderr "$gmemtop" record full/rec -n 1
	[ "$status" -eq 1 ]
	one_line_error "cannot write full/rec: No space left on device"
	[ ! -e full/rec ]
	[ "$("$gmemtop" replay full/rec.1 --json | wc -l)" -eq 1 ]
	rm full/filler
	"$gmemtop" record full/rec -n 2 -d 0.1
	[ "$("$gmemtop" replay full/rec --json | wc -l)" -eq 2 ]
	umount full
	# As a machine that went down leaves it. It is no FILE.1 either.
	: >rec
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec --json | wc -l)" -eq 1 ]
	[ ! -e rec.1 ]
}

@test "record: a place that cannot be written to is one line" {
	run --separate-stderr "$gmemtop" record /proc/rec -n 1
	[ "$status" -eq 1 ]
	one_line_error "cannot create /proc/rec"
	run --separate-stderr "$gmemtop" record missing/rec -n 1
	[ "$status" -eq 1 ]
	one_line_error "cannot create missing/rec: No such file or directory"
}

@test "record and replay: bad options are one line and status 2" {
	"$gmemtop" record rec -n 1
	while IFS='|' read -r args text; do
		# shellcheck disable=SC2086
		run --separate-stderr "$gmemtop" $args
		[ "$status" -eq 2 ] || { echo "status $status: $args"; return 1; }
		one_line_error "$text" || { echo "$args: $stderr"; return 1; }
	done <<-END
		record|takes one file
		record a b|takes one file
		record x --max-size 0|takes bytes from 1
		record x --max-size 5X|takes bytes from 1
		record x --max-size K|takes bytes from 1
		record x --max-age 0|takes seconds from 1
		record x --keep 0|takes a whole number from 1 to 1000
		record x --json|unknown option '--json'; see gmemtop record --help
		replay --json|takes one file
		replay rec --json --at noon|takes a time of day
		replay rec --json --at +x|takes a time of day
		replay rec --debug|unknown option '--debug'; see gmemtop replay --help
		record x -h -q|unknown option '-q'; see gmemtop record --help
		replay rec|is not a terminal
	END
}

@test "record: a step of the clock changes no rate" {
	"$gmemtop" record rec -d 0.3 -n 10 3>&- &
	mine=$!
	wait_for 30 test -s rec
	now=$(date +%s)
	date -s "@$((now - 7200))" >/dev/null
	sleep 1
	date -s "@$((now + 1))" >/dev/null
	wait "$mine"
	mine=
	run jq -s -e '([range(1; length) as $i | .[$i].real_ns - .[$i - 1].real_ns] | any(. < -3.6e12)) and
		([.[1:][].seconds] | all(. > 0.2 and . < 3)) and
		([.[1:][].vms[].rates.conversions] | all(. >= 0 and . < 300))' \
		<("$gmemtop" replay rec --json)
	[ "$status" -eq 0 ]
}

@test "replay: --at begins at a time, with rates" {
	"$gmemtop" record rec -n 10 -d 0.3
	"$gmemtop" replay rec --json >all.json
	run jq -s -e 'first.seconds > 0' <("$gmemtop" replay rec --json --at +1.5)
	[ "$status" -eq 0 ]
	first=$(jq -s 'first.real_ns' all.json)
	at=$("$gmemtop" replay rec --json --at +1.5 -n 1 | jq .real_ns)
	[ $((at - first)) -le 1500000000 ]
	[ $((at - first)) -gt 700000000 ]
	# The same by the clock: the first frame of the next second.
	second=$((first / 1000000000 + 2))
	clock=$(date -d "@$second" +%H:%M:%S)
	at=$("$gmemtop" replay rec --json --at "$clock" -n 1 | jq .real_ns)
	[ "$at" -le $((second * 1000000000)) ]
	[ "$at" -eq "$(jq -s "[.[].real_ns | select(. <= $second * 1e9)] | last" all.json)" ]
	dated=$(date -d "@$second" +%FT%H:%M:%S)
	[ "$("$gmemtop" replay rec --json --at "$dated" -n 1 | jq .real_ns)" -eq "$at" ]
}

@test "replay: --at beyond either end is the last or the first frame" {
	"$gmemtop" record rec -n 3 -d 0.1
	"$gmemtop" replay rec --json >all.json
	for at in +17000000000 2262-01-01T00:00 9999-12-31T23:59; do
		[ "$("$gmemtop" replay rec --json --at "$at" | jq .real_ns)" -eq "$(jq -s last.real_ns all.json)" ]
	done
	for at in +0 1970-01-02T00:00 1969-07-20T20:17 1901-01-01T00:00; do
		[ "$("$gmemtop" replay rec --json --at "$at" -n 1 | jq .real_ns)" -eq "$(jq -s first.real_ns all.json)" ]
	done
}

@test "replay: a VM that no frame has is an error, one that comes later is not" {
	"$gmemtop" record rec -d 0.2 -n 30 3>&- &
	mine=$!
	wait_for 30 test -s rec
	start_vms 1 latecomer
	wait "${mine%% *}"
	for args in -b --json --csv --once; do
		run --separate-stderr "$gmemtop" replay rec $args --vm nobody
		[ "$status" -eq 1 ]
		one_line_error "no VM of the recording has the id or name 'nobody'"
	done
	run --separate-stderr "$gmemtop" replay rec --once --vm latecomer
	[ "$status" -eq 1 ]
	one_line_error "no VM of the recording has the id or name 'latecomer'"
	[ "$("$gmemtop" replay rec --json --vm latecomer | jq -r '.vms[].name' | sort -u)" = latecomer ]
	[ "$("$gmemtop" replay rec --json --vm latecomer | wc -l)" -eq 30 ]
}

@test "replay: details of a VM that is gone, and back to when it was not" {
	start_vms 1 mayfly
	"$gmemtop" record rec -d 0.1 -n 60 3>&- &
	recorder=$!
	wait_for 30 test -s rec
	kill -KILL "$pid"
	wait "$recorder"
	start_live "" 100 24 "replay $PWD/rec"
	wait_screen ' of 60; '
	press g
	press +0 Enter
	wait_screen '^FROZEN .*, 1 of 60; '
	press F3
	press m a y f Enter
	press Enter
	wait_screen '^VM [0-9]+  mayfly .* FROZEN$'
	press '}'
	wait_screen '^VM [0-9]+  mayfly .* GONE'
	press '{'
	wait_screen '^VM [0-9]+  mayfly .* FROZEN$'
	press Escape q
	wait_screen '^status 0'
}

@test "replay: a file that is cut while it is shown is one line" {
	"$gmemtop" record rec -n 130 -d 0.01
	start_live "" 200 24 "replay $PWD/rec -d 3600"
	wait_screen ', [12] of 130; '
	truncate -s 4096 rec
	press '}' '}'
	wait_screen '^gmemtop: frame [0-9]+ of .*/rec is gone: the file was changed meanwhile'
	wait_screen '^status 1'
	wait_screen '^icanon'
}

@test "replay: text and CSV have the recorded time" {
	"$gmemtop" record rec -n 2 -d 0.2
	sleep 2
	real=$("$gmemtop" replay rec --json -n 1 | jq '.real_ns / 1e9 | floor')
	run "$gmemtop" replay rec -b -n 1
	[ "${lines[0]}" = "gmemtop $(date -d "@$real" +%T)" ]
	run "$gmemtop" replay rec --csv --no-header --fields id
	[ "${#lines[@]}" -eq 4 ]
	[ "${lines[0]%%.*}" -eq "$real" ]
}

@test "replay: needs no privilege, and no kernel of ours" {
	"$gmemtop" record "$config/rec" -n 1
	chmod 755 "$config"
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all "$gmemtop" replay "$config/rec" --json
	[ "$status" -eq 0 ]
	[ "$(jq '.vms | length' <<<"$output")" -eq 2 ]
}

@test "replay: the live view steps, jumps and stops at the end" {
	"$gmemtop" record rec -n 70 -d 0.05
	start_live "" 100 24 "replay $PWD/rec -d 0.3"
	wait_screen ', [2-9] of 70; '
	press ']'
	wait_screen '^FROZEN .* of 70; '
	press g
	wait_screen '^Go to'
	press +0 Enter
	wait_screen ', 1 of 70; '
	press '}'
	wait_screen ', 61 of 70; '
	shown=$(screen | awk '/ abuser / { print $9 }')
	[ -n "$shown" ]
	press ']'
	wait_screen ', 62 of 70; '
	press '['
	wait_screen ', 61 of 70; '
	[ "$(screen | awk '/ abuser / { print $9 }')" = "$shown" ]
	press '}'
	wait_screen ', 70 of 70; '
	press '{'
	wait_screen ', 10 of 70; '
	press g
	press noon Enter
	wait_screen '^A time is 12:30'
	press Enter
	wait_screen '^VM [0-9]+ '
	press 5
	wait_screen 'A recording does not have this'
	press Escape
	press q
	wait_screen '^status 0'
}

@test "replay: hostile names in a recording are shown as text" {
	start_vms 1 $'\e[31mred\n\x7f\xff"\\'
	"$gmemtop" record rec -n 1
	run "$gmemtop" replay rec -b
	[ "$(grep -cF '?[31mred???"\' <<<"$output")" -eq 1 ]
	[ "$(LC_ALL=C grep -c '[^ -~]' <<<"$output")" -eq 0 ]
}
