#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemload: each pattern does what its name says, the numbers add up, the
# guests' checks of their memory work, and nothing is left behind.

load gmemload.bash

@test "steady touches its working set and converts nothing" {
	load steady --iterations 130 --rate max
	holds ".touched == 130 * 64 and .steps == 130"
	holds ".conversions == 0 and .punched_pages == 0"
	holds '.status == "ok" and .pattern == "steady"'
}

@test "idle does nothing" {
	load idle --duration 2
	holds ".touched == 0 and .conversions == 0 and .steps == 0"
	holds '.status == "ok"'
}

@test "churn faults in every page that was punched" {
	load churn --iterations 70 --rate max
	holds ".punched_pages == 70 * 64 and .touched == .punched_pages"
	holds ".conversions == 0"
}

@test "pingpong converts in both directions, as often each way" {
	load pingpong --iterations 1000
	holds ".conversions == 1000 and .refused == 0"
	holds ".pages_to_private == 500 and .pages_to_shared == 500"
	holds ".call_ns.count == 1000 and .punched_pages == 0"
	holds ".call_ns.min > 0 and .call_ns.min <= .call_ns.avg"
	holds ".call_ns.avg <= .call_ns.max and .call_ns.p99 <= .call_ns.max"
}

@test "pingpong is an abuser: hundreds of conversions a second" {
	load pingpong --duration 3
	holds ".conversions / .t > 500"
}

@test "punch gives back the side that lost the page" {
	load pingpong --iterations 100 --range 64K --punch
	holds ".punched_pages == 50 * 16 and .discarded_pages == 50 * 16"
}

@test "giant converts all memory at once" {
	load giant --iterations 4 --rate max
	holds ".conversions == 4"
	holds ".pages_to_private == 2 * $MEM_PAGES and .pages_to_shared == 2 * $MEM_PAGES"
}

@test "fragment leaves every other page shared" {
	# With punch the host sees the pages that are shared now, and no others.
	load fragment --rate max --punch --iterations $((MEM_PAGES / 2))
	holds ".pages_to_shared == $MEM_PAGES / 2 and .pages_to_private == 0"
	holds ".host_visible == $MEM_PAGES / 2"

	# One more sweep swaps the two halves.
	load fragment --rate max --punch --iterations $((MEM_PAGES / 2 + MEM_PAGES))
	holds ".pages_to_shared == $MEM_PAGES and .pages_to_private == $MEM_PAGES / 2"
	holds ".host_visible == $MEM_PAGES / 2"
}

@test "boot shares a range and some pages once, and then works" {
	# 256 pages, 32 drivers of which 16 come back, and 100 steps of work.
	load boot --iterations 388
	holds ".pages_to_shared == 288 and .pages_to_private == 16"
	holds ".conversions == 304 and .refused == 0 and .touched == 388"

	run --separate-stderr -1 timeout 300 "$GMEMLOAD" boot --mem 4M --range 64K \
		--corrupt 60 --duration 60
	[[ $stderr == *"guest boot-1 failed: guest found 0x"*"expected 0x"* ]]
}

@test "walk and scatter make all memory private, one range after the other" {
	local pattern
	for pattern in walk scatter; do
		load $pattern --mem 4M --iterations 1100
		holds ".pages_to_private == 1024 and .pages_to_shared == 0"
		holds ".conversions == 1024 and .boot.pages == 0 and .touched == 1024 + 76"
	done
	load walk --mem 4M --range 2M --iterations 2
	holds ".conversions == 2 and .pages_to_private == 1024"
}

@test "bounce keeps so many buffers shared" {
	load bounce --mem 4M --buffers 10 --rate max --iterations 110
	holds ".pages_to_shared == 110 * 16 and .pages_to_private == 100 * 16"
	load bounce --mem 4M --buffers 10 --rate max --iterations 110 --punch
	holds ".host_visible == 10"
}

@test "reset shares all memory, makes it private again and touches it" {
	load reset --mem 4M --rate max --iterations 3
	holds ".pages_to_shared == 3 * 1024 and .pages_to_private == 3 * 1024"
	holds ".conversions == 9 and .touched == 3 * (1024 + 2)"
}

@test "hoard shares all memory and keeps it" {
	load hoard --mem 4M --rate max --iterations 100
	holds ".pages_to_shared == 1024 and .pages_to_private == 0"
	holds ".conversions == 64 and .host_visible == 1024"
	load hoard --mem 4M --rate max --iterations 100 --buffers 16
	holds ".conversions == 16 and .host_visible == 256 and .touched == 1024 + 256"
}

@test "a guest that shares a quarter of its memory takes 1.25 times its size" {
	share_a_quarter
	[ "$TAKEN" -ge 1235 ]
	[ "$TAKEN" -le 1270 ]
}

@test "in place needs a kernel that converts so" {
	run --separate-stderr -1 "$GMEMLOAD" pingpong --in-place
	[ -z "$output" ]
	[ "$stderr" = "gmemload: KVM does not convert in place: boot with kvm.gmem_in_place_conversion=1, or load kvm with gmem_in_place_conversion=1" ]
	run --separate-stderr -1 "$GMEMLOAD" --guest steady --guest pingpong,in-place,hold=vmsplice
	[[ $stderr == *"does not convert in place"* ]]
}

@test "a plain guest has all its memory in a guest_memfd, shared" {
	load churn --plain --mem 4M --rate max --iterations 100
	holds '.plain and .status == "ok" and .steps == 100 and .punched_pages == 6400'
	holds '.conversions == 0 and .implicit == 0 and .boot.pages == 0'
	run --separate-stderr -1 "$GMEMLOAD" steady --plain --mem 4M --rate max --corrupt 100
	[[ $stderr == *"guest found"* ]]
}

@test "a plain guest converts nothing, and has nothing private" {
	usage_error pingpong pingpong --plain
	usage_error reset --guest reset,plain
	usage_error in-place steady --plain --in-place
	usage_error huge steady --plain --huge --mem 4M
	usage_error punch --guest churn,plain,punch
	usage_error plain --guest steady,plain=1
}

@test "holes converts frames that have no memory" {
	load holes --iterations 100
	holds ".conversions == 100 and .pages_to_private == 100"
}

@test "all memory is private at start, whatever its size" {
	load idle --duration 0.2 --mem 100K
	holds ".boot.pages == 25 and .boot.ns > 0"
	load steady --rate max --iterations 100 --mem 2052K
	holds ".boot.pages == 513 and .touched == 6400"
}

@test "vcpus share the memory and add up" {
	load steady --vcpus 2 --rate max --iterations 100
	holds ".touched == 2 * 100 * 64 and .steps == 200 and .vcpus == 2"
}

@test "rate holds a guest to its steps a second" {
	load pingpong --rate 100/s --duration 4
	# What lags by more than a second is dropped, on a busy machine.
	holds ".steps / .t > 40 and .steps / .t < 110"
}

@test "the intervals add up to the summary" {
	load pingpong --duration 5 --interval 0.5
	jq -es 'map(select(.summary | not)) | length >= 3' out.json
	jq -es '(map(select(.summary | not) | .conversions) | add) as $sum |
		$sum > 0 and $sum <= last.conversions and $sum >= last.conversions * 0.7' out.json
}

@test "several guests run at once, each with its own pid, name and lines" {
	start --guest steady,name=web --guest churn,name=db --guest pingpong,name=abuser,punch
	[ "$(wc -l <pids)" -eq 3 ]
	[ "$(cut -d' ' -f2 pids | sort -u | wc -l)" -eq 3 ]
	while read -r name pid; do
		[ "$(cat "/proc/$pid/comm")" = "$name" ]
		tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--name $name "
	done <pids
	pids=$(cut -d' ' -f2 pids)

	for _ in $(seq 600); do
		! jq -es 'map(select(.touched + .conversions > 0) | .guest) |
			unique | length == 3' out.json || break
		sleep 0.1
	done
	kill -INT "$(cat driver.pid)"
	wait "$(cat driver.pid)"
	gone $pids
	[ ! -e pids ]

	jq -es 'map(select(.summary) | .guest) == ["web", "db", "abuser"]' out.json
	jq -es 'map(select(.summary | not) | .guest) | unique == ["abuser", "db", "web"]' out.json
	jq -es 'map(select(.summary)) | all(.status == "ok") and
		.[0].touched > 0 and .[1].punched_pages > 0 and .[2].conversions > 0' out.json
}

@test "count starts that many guests" {
	load steady -n 3 --name vm --duration 1
	jq -es 'map(select(.summary) | .guest) == ["vm-1", "vm-2", "vm-3"]' out.json
}

@test "duration ends the run by itself" {
	local before=$SECONDS
	load steady --duration 2
	[ $((SECONDS - before)) -lt 60 ]
	holds ".t >= 2 and .t < 30"
}

@test "SIGTERM ends everything in order" {
	start pingpong -n 2
	pids=$(cut -d' ' -f2 pids)
	kill -TERM "$(cat driver.pid)"
	wait "$(cat driver.pid)"
	gone $pids
}

@test "guests don't outlive a driver that was killed" {
	start pingpong -n 2
	pids=$(cut -d' ' -f2 pids)
	kill -KILL "$(cat driver.pid)"
	gone $pids
}

@test "a guest that dies is reported and the others go on" {
	start --guest steady,name=one --guest steady,name=two --duration 15
	kill -KILL "$(sed -n 's/^one //p' pids)"
	local status=0
	wait "$(cat driver.pid)" || status=$?
	[ "$status" -eq 1 ]
	[ "$(cat err.txt)" = "gmemload: guest one died: Killed" ]
	jq -es 'map(select(.summary) | .status) == ["died", "ok"]' out.json
	jq -es 'map(select(.summary)) | .[1].t >= 15' out.json
}

@test "a spoiled word is found by every pattern that checks" {
	local pattern
	for pattern in steady churn pingpong giant fragment; do
		run --separate-stderr -1 timeout 300 "$GMEMLOAD" "$pattern" --mem 1M \
			--rate max --corrupt 2 --duration 60
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"guest $pattern-1 failed: guest found 0x"*"expected 0x"* ]]
		jq -e '.status == "failed" and .t < 60' <<<"${lines[-1]}"
	done
}

@test "a guest whose conversion is delayed stops at once" {
	stop_while_delayed
	jq -es 'map(select(.summary)) | last |
		.status == "ok" and .errors.convert.EINTR == null' out.json
}

@test "a refused conversion is an error to the guest, which goes on" {
	make_refuser
	REFUSE_CONVERT=1 LD_PRELOAD=$PWD/refuse.so "$GMEMLOAD" pingpong --iterations 200 >summary.json
	holds ".steps == 200 and .refused > 50 and .conversions > 50"
	holds ".refused + .conversions == 200 and .errors.convert.EBUSY == .refused"
	holds '.errors.convert.EINTR == null and .status == "ok"'
}

@test "a refused fault is tried again and counted" {
	make_refuser
	export REFUSE_FAULT=122 # EDQUOT
	LD_PRELOAD=$PWD/refuse.so "$GMEMLOAD" pingpong --iterations 200 >summary.json
	holds ".conversions == 200 and .faults_refused > 20"
	holds '.errors.fault.EDQUOT == .faults_refused and .status == "ok"'
}

@test "a fault that asks for a conversion gets it" {
	make_refuser
	export REFUSE_FAULT=14 # EFAULT
	FAULT_GPA=0x100003000 LD_PRELOAD=$PWD/refuse.so \
		"$GMEMLOAD" steady --iterations 100 --rate 200 >summary.json
	holds ".implicit > 10 and .conversions == .implicit and .faults_refused == 0"
	holds '.pages_to_private == .implicit and .status == "ok"'

	# Outside its memory nothing can be done for the guest.
	run --separate-stderr -1 env FAULT_GPA=0x5000 LD_PRELOAD="$PWD/refuse.so" \
		"$GMEMLOAD" steady --iterations 100 --rate 200
	[ "$stderr" = "gmemload: guest steady-1 failed: private access to gpa 0x5000 cannot be resolved" ]
}

@test "lines go to the file of --json, and a full disk is an error" {
	run "$GMEMLOAD" steady --duration 0.5 --json lines.json
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	jq -es 'length >= 2' lines.json

	run --separate-stderr -1 "$GMEMLOAD" steady -n 2 --duration 5 --interval 0.2 --json /dev/full
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"/dev/full: No space left on device"* ]]
}

@test "help and list describe every pattern" {
	"$GMEMLOAD" --help >help.txt
	"$GMEMLOAD" --list >list.txt
	local pattern
	for pattern in steady idle churn pingpong giant boot fragment walk scatter \
		bounce reset hoard holes; do
		grep -q "^  $pattern " help.txt
		grep -q "^  $pattern " list.txt
	done
}

@test "bad options are one line and exit status 2" {
	usage_error "no guest"
	usage_error "unknown pattern 'gaint'" gaint
	usage_error "bogus" pingpong --bogus
	usage_error "'-q'" -q
	usage_error "needs a value" pingpong --duration
	usage_error "'0'" pingpong -n 0
	usage_error "'-1'" pingpong --duration -1
	usage_error "'x'" pingpong --interval x
	usage_error "'0'" pingpong --interval 0
	usage_error "'0'" pingpong --rate 0
	usage_error "'10x'" pingpong --rate 10x
	usage_error "'1000'" pingpong --mem 1000
	usage_error "'2T'" pingpong --mem 2T
	usage_error "'99999999999G'" pingpong --mem 99999999999G
	usage_error "'257'" pingpong --vcpus 257
	usage_error "'0'" bounce --buffers 0
	usage_error "buffers" pingpong --buffers 2
	usage_error "nothing private" bounce --mem 1M --buffers 16
	usage_error "larger" pingpong --mem 1M --range 2M
	usage_error "evenly" pingpong --mem 4K --vcpus 2
	usage_error "larger" fragment --mem 4K
	usage_error "bad name" pingpong --name 'a b'
	usage_error "bad name" pingpong --name ''
	usage_error "unexpected argument 'x'" pingpong x
	usage_error "not both" pingpong --guest steady
	usage_error "unknown key 'size'" --guest steady,size=1M
	usage_error "takes a value" --guest steady,mem
	usage_error "takes no value" --guest steady,punch=1
	usage_error "named 'a'" --guest steady,name=a --guest churn,name=a
	usage_error "idle" idle --iterations 5
	usage_error "leave out punch" pingpong --in-place --punch
	usage_error "leave out punch" --guest pingpong,in-place,punch
	usage_error "takes no value" --guest steady,in-place=1
	usage_error "bad hold 'glue'" pingpong --in-place --hold glue
	usage_error "hold needs in-place" pingpong --hold vmsplice
	usage_error "bad corrupt '3:me'" pingpong --in-place --corrupt 3:me
	usage_error "needs in-place" pingpong --corrupt 3:host
}

@test "memory comes in huge folios" {
	touches_huge
}

@test "patterns work with huge folios" {
	survives_huge
}

@test "huge folios that there cannot be are an error" {
	usage_error "multiple" steady --huge --mem 3M
	usage_error "huge" --guest steady,huge=1
	echo never >/sys/module/kvm/parameters/gmem_huge_pages
	run --separate-stderr "$GMEMLOAD" steady --huge
	echo advise >/sys/module/kvm/parameters/gmem_huge_pages
	[ "$status" -eq 1 ] && [ -z "$output" ]
	[[ $stderr == "gmemload: KVM has no huge folios: "*gmem_huge_pages* ]]
}
