#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/demo/report on figures that are made up: what it prints, and that each
# of its promises is judged. Runs on the host.

bats_require_minimum_version 1.5.0

REPORT=$BATS_TEST_DIRNAME/../demo/report

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	mkdir in-place
	echo '{"limit": 10}' >limit.json
	printf 'web 11\nabuser 12\n' >guests
	sample before-begin 0 0
	sample before-end 10 10000
	sample under-begin 20 10000
	sample under-end 30 10100
	sample after-begin 40 10100
	sample after-end 50 20100
	sharing . false 82240
	sharing in-place true 65824
}

# sample NAME SECONDS CONVERSIONS: what gmemtop wrote then, and of the abuser
sample()
{
	jq -n --argjson t "$2" --argjson n "$3" '{time_ns: ($t * 1e9), vms: [
		{pid: 11, conversions: 0}, {pid: 12, conversions: $n} |
		. + {conversions_denied: 0, faults_denied: 0, delayed_ns: 0}]}' >"$1.json"
}

# sharing DIR IN_PLACE KIB: what a guest of 64M took of the host
sharing()
{
	jq -n --argjson in_place "$2" --argjson kib "$3" '{in_place: $in_place,
		mem_kib: 65536, shared_kib: 16384, populated_kib: 65536,
		beside_kib: ($kib - 65540), host_kib: $kib,
		size_factor: ($kib / 65.536 | round / 1000)}' >"$1/sharing.json"
}

# edit FILE EXPRESSION
edit()
{
	jq "$2" "$1" >edited
	mv edited "$1"
}

# fails TEXT: status 1, and one line that has TEXT
fails()
{
	run --separate-stderr -1 "$REPORT" .
	[ "${#stderr_lines[@]}" -eq 1 ] || { echo "$stderr"; return 1; }
	[[ $stderr == "demo: "*"$1"* ]] || { echo "$stderr"; return 1; }
}

@test "the demo's report has both tables, and says that all is well" {
	run --separate-stderr -0 "$REPORT" .
	[ -z "$stderr" ]
	[[ $output == *"abuser    pingpong      1000        10      1000 "* ]]
	[[ $output == *"What a guest of 64M takes"*"shared 16M of it"* ]]
	[[ $output == *"another (Linux 6.12)  "*" 64.0M "*" 16.3M "*" 80.3M "*" 1.25"* ]]
	[[ $output == *"the same page, in place "*" 64.0M "*" 0.3M "*" 64.3M "*" 1.00"* ]]
	jq -e '.limit == 10 and [.guests[].under] == [0, 10] and
		[.sharing[].size_factor] == [1.255, 1.004]' summary.json
}

@test "the demo fails if the policy or detaching it did not work" {
	sample under-end 30 11000
	fails "the abuser was at 100/s under a limit of 10/s"
	sample under-end 30 10100
	sample after-end 50 10200
	fails "detaching did not restore the abuser: 1000/s before, 10/s after"
	sample after-end 50 20100
	edit after-end.json '.vms[0].conversions_denied = 3'
	fails "web was denied 3 times"
}

@test "the demo fails if a mode takes another part of the host than it promises" {
	sharing . false 65824
	fails "to other pages took 1.004 times its size, not 1.235 to 1.27"
	sharing . false 85000
	fails "to other pages took 1.297 times its size"
	sharing . false 82240
	sharing in-place true 82240
	fails "in place took 1.255 times its size, not 0.99 to 1.02"
}

@test "the demo fails if gmemtop and the host disagree" {
	edit in-place/sharing.json '.beside_kib = 16384'
	fails "gmemtop says that a guest took 81920 KiB, the host 65824 KiB"
}

@test "the demo fails if both guests ran in one mode" {
	sharing in-place false 82240
	fails "did not run in one mode each"
}
