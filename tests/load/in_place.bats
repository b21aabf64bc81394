#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemload --in-place: every pattern works where shared and private memory are
# the same pages, which keep what is in them; who holds one is refused, and no
# page is taken twice. The kernel was started with
# kvm.gmem_in_place_conversion=1.

load gmemload.bash

# start_holders WAY: start a guest that keeps a page held; HOLDERS are its children
start_holders() {
	start hoard --in-place --hold "$1" --mem 4M --rate max
	for _ in $(seq 300); do
		HOLDERS=$(pgrep -P "$(cut -d' ' -f2 pids)") && return 0
		sleep 0.1
	done
	echo "nobody holds a page by $1"
	return 1
}

# cannot_hold WAY TEXT: one line of error that says what is missing, no output
cannot_hold() {
	run --separate-stderr "$GMEMLOAD" pingpong --in-place --hold "$1"
	[ "$status" -eq 1 ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] &&
		[[ $stderr == "gmemload: cannot hold pages by $1: no $2"* ]]
}

@test "patterns convert in place as they do otherwise" {
	load pingpong --in-place --iterations 1000
	holds ".conversions == 1000 and .pages_to_private == 500 and .pages_to_shared == 500"
	holds '.in_place and .refused == 0 and .held == 0 and .status == "ok"'

	load pingpong --in-place --iterations 100 --range 64K
	holds ".pages_to_private == 50 * 16 and .pages_to_shared == 50 * 16"

	load giant --in-place --iterations 4 --rate max
	holds ".pages_to_private == 2 * $MEM_PAGES and .pages_to_shared == 2 * $MEM_PAGES"

	load boot --in-place --iterations 388
	holds ".pages_to_shared == 288 and .pages_to_private == 16 and .touched == 388"

	load fragment --in-place --mem 4M --rate max --iterations $((512 + 1024))
	holds ".pages_to_shared == 1024 and .pages_to_private == 512"

	load bounce --in-place --mem 4M --buffers 10 --rate max --iterations 110
	holds ".pages_to_shared == 110 * 16 and .pages_to_private == 100 * 16"

	load reset --in-place --mem 4M --rate max --iterations 3
	holds ".pages_to_shared == 3 * 1024 and .pages_to_private == 3 * 1024"

	load hoard --in-place --mem 4M --rate max --iterations 100
	holds ".pages_to_shared == 1024 and .pages_to_private == 0"
}

@test "patterns that convert nothing have their memory in the same file" {
	load steady --in-place --iterations 130 --rate max
	holds ".touched == 130 * 64 and .conversions == 0 and .host_visible == 0"
	load idle --in-place --duration 1
	holds '.touched == 0 and .status == "ok"'
	load churn --in-place --iterations 70 --rate max
	holds ".punched_pages == 70 * 64 and .touched == .punched_pages"
}

@test "memory begins private, or shared where a pattern wants it so" {
	local pattern
	load idle --in-place --duration 0.2
	holds ".boot.pages == 0 and .boot.ns == 0"
	for pattern in walk scatter; do
		load $pattern --in-place --mem 4M --iterations 1100
		holds ".pages_to_private == 1024 and .conversions == 1024"
		holds ".touched == 1024 + 76 and .host_visible == 0"
	done
}

@test "the host sees what is shared at the end, and no more" {
	load fragment --in-place --mem 4M --rate max --iterations 512
	holds ".host_visible == 512"
	load bounce --in-place --mem 4M --buffers 10 --rate max --iterations 110
	holds ".host_visible == 10"
	load hoard --in-place --mem 4M --buffers 16 --rate max --iterations 100
	holds ".host_visible == 16 * 16"
}

@test "frames without memory are refused: they are nowhere in the file" {
	load holes --in-place --iterations 100
	holds ".conversions == 0 and .refused == 100 and .errors.convert.EINVAL == 100"
	holds '.status == "ok"'
}

@test "a guest of a list is in place if its key says so" {
	load --guest pingpong,name=a,in-place,vcpus=2 --guest bounce,name=b,in-place,mem=4M \
		--guest steady,name=c,in-place --iterations 50 --rate max
	jq -es 'map(select(.summary)) | length == 3 and
		all(.in_place and .status == "ok") and .[0].conversions == 100' out.json
}

@test "a spoiled stamp is found by every pattern that checks" {
	local pattern
	for pattern in steady churn pingpong giant fragment; do
		run --separate-stderr -1 timeout 300 "$GMEMLOAD" "$pattern" --in-place --mem 1M \
			--rate max --corrupt 2 --duration 60
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"guest $pattern-1 failed: guest found 0x"*"expected 0x"* ]]
	done
}

@test "a spoiled note is found on the other side of the conversion" {
	local pattern
	for pattern in pingpong giant fragment bounce reset; do
		run --separate-stderr -1 timeout 300 "$GMEMLOAD" "$pattern" --in-place --mem 1M \
			--range 16K --rate max --corrupt 2:guest --duration 60
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"guest $pattern-1 failed: host sees 0x"*"guest wrote 0x"* ]]
		run --separate-stderr -1 timeout 300 "$GMEMLOAD" "$pattern" --in-place --mem 1M \
			--range 16K --rate max --corrupt 2:host --duration 60
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"guest $pattern-1 failed: guest found 0x"*"expected 0x"* ]]
	done
}

@test "a page that is held is refused, and private once it is let go" {
	local way
	for way in vmsplice io_uring process; do
		load pingpong --in-place --hold $way --rate max --iterations 100
		holds '.conversions == 100 and .refused == 0 and .status == "ok"'
		holds ".held >= 50 and .call_ns.count == .conversions + .held"
	done
	load pingpong --in-place --hold vmsplice --range 64K --vcpus 2 --rate max --iterations 100
	holds ".conversions == 200 and .refused == 0 and .held >= 100"
	load bounce --in-place --hold io_uring --mem 4M --buffers 10 --rate max --iterations 110
	holds ".pages_to_private == 100 * 16 and .refused == 0 and .held >= 9"
	load reset --in-place --hold process --mem 4M --rate max --iterations 3
	holds ".pages_to_private == 3 * 1024 and .refused == 0 and .held >= 3"
}

@test "a page is held by gup_test, or it is said what is missing" {
	if [ -e /sys/kernel/debug/gup_test ]; then
		load pingpong --in-place --hold gup_test --rate max --iterations 100
		holds ".conversions == 100 and .refused == 0 and .held >= 50"
	else
		cannot_hold gup_test "/sys/kernel/debug/gup_test: mount debugfs"
	fi
}

@test "a page is held by O_DIRECT, or it is said what is missing" {
	local missing
	if [ -e /dev/fuse ]; then
		load pingpong --in-place --hold o_direct --rate max --iterations 100
		holds ".conversions == 100 and .refused == 0 and .held >= 50"
		load pingpong --in-place --hold o_direct --range 64K --vcpus 4 --rate max \
			--iterations 100
		holds ".conversions == 400 and .refused == 0 and .held >= 200"
		load bounce --in-place --hold o_direct --mem 4M --buffers 10 --rate max \
			--iterations 110
		holds ".pages_to_private == 100 * 16 and .refused == 0 and .held >= 9"
		mv /dev/fuse /dev/fuse.hidden
	fi
	missing=0
	cannot_hold o_direct "/dev/fuse: load fuse" || missing=$?
	[ ! -e /dev/fuse.hidden ] || mv /dev/fuse.hidden /dev/fuse
	[ "$missing" -eq 0 ]
}

@test "a page that stays held is an error to the guest, which goes on" {
	make_refuser
	REFUSE_HELD=0 LD_PRELOAD=$PWD/refuse.so "$GMEMLOAD" pingpong --in-place \
		--iterations 3 --interval 60 >summary.json
	holds '.conversions == 1 and .refused == 2 and .status == "ok"'
	# Each has been asked for again, for a second.
	holds ".errors.convert.EAGAIN == 2 and .held > 10 and .t >= 2"
}

@test "a hold that KVM overlooks is found, and a page that it makes up" {
	make_refuser
	run --separate-stderr -1 env OVERLOOK_HELD=1 LD_PRELOAD="$PWD/refuse.so" \
		"$GMEMLOAD" pingpong --in-place --hold vmsplice --iterations 10
	[ "$stderr" = "gmemload: guest pingpong-1 failed: KVM overlooks that gpa 0x100000000 is held by vmsplice" ]
	run --separate-stderr -1 env REFUSE_HELD=4096 LD_PRELOAD="$PWD/refuse.so" \
		"$GMEMLOAD" pingpong --in-place --range 64K --hold vmsplice --iterations 10
	[ "$stderr" = "gmemload: guest pingpong-1 failed: KVM overlooks that gpa 0x100000000 is held by vmsplice" ]
	run --separate-stderr -1 env REFUSE_HELD=4096 LD_PRELOAD="$PWD/refuse.so" \
		"$GMEMLOAD" pingpong --in-place --iterations 10
	[ "$stderr" = "gmemload: guest pingpong-1 failed: KVM says that gpa 0x100001000 is held, of 0x1000 bytes at gpa 0x100000000" ]
}

@test "a guest whose conversion is delayed stops at once" {
	stop_while_delayed --in-place
	jq -es 'map(select(.summary)) | last |
		.status == "ok" and .refused == 0 and .held == 0' out.json
}

@test "memory that is still in the host's reach is found" {
	make_refuser
	run --separate-stderr -1 env OVERLOOK_HELD=1 LD_PRELOAD="$PWD/refuse.so" \
		"$GMEMLOAD" pingpong --in-place --iterations 10
	[ "$stderr" = "gmemload: guest pingpong-1 failed: host can read private memory at gpa 0x100000000" ]
}

@test "who holds a page ends with the guest, however that ends" {
	local way signal
	for way in process o_direct; do
		[ "$way" = process ] || [ -e /dev/fuse ] || continue
		for signal in TERM KILL; do
			start_holders $way
			kill -$signal "$(cat driver.pid)"
			wait "$(cat driver.pid)" || [ $signal = KILL ]
			gone $HOLDERS
		done
		# The holder first.
		start_holders $way
		kill -KILL $HOLDERS
		kill -TERM "$(cat driver.pid)"
		wait "$(cat driver.pid)"
		gone $HOLDERS
	done
}

@test "no file system is left of what held a page by O_DIRECT" {
	[ -e /dev/fuse ] || skip "no /dev/fuse"
	mount -t fusectl fusectl /sys/fs/fuse/connections
	start_holders o_direct
	[ -n "$(ls /sys/fs/fuse/connections)" ]
	run ! grep " fuse " "/proc/$(cut -d' ' -f2 pids)/mounts"
	kill -KILL "$(cat driver.pid)"
	gone $HOLDERS
	for _ in $(seq 100); do
		[ -n "$(ls /sys/fs/fuse/connections)" ] || break
		sleep 0.1
	done
	[ -z "$(ls /sys/fs/fuse/connections)" ]
	umount /sys/fs/fuse/connections
}

@test "a guest of the other mode is told what to do" {
	run --separate-stderr -1 "$GMEMLOAD" pingpong
	[ -z "$output" ]
	[ "$stderr" = "gmemload: KVM only converts in place, so KVM_SET_MEMORY_ATTRIBUTES is ENOTTY: add --in-place, or boot with kvm.gmem_in_place_conversion=0" ]
	run --separate-stderr -1 "$GMEMLOAD" --guest pingpong,in-place --guest steady
	[[ $stderr == *"add --in-place"* ]]
}

@test "a guest that shares a quarter of its memory takes 1.00 times its size" {
	share_a_quarter --in-place
	[ "$TAKEN" -ge 990 ]
	[ "$TAKEN" -le 1020 ]
}

@test "memory comes in huge folios" {
	touches_huge --in-place
}

@test "patterns work with huge folios" {
	survives_huge --in-place
}
