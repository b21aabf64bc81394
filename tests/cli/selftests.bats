#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What tests/selftests makes of programs that pass, fail, skip and hang, and of
# two lists that differ. Runs on the host, on made-up programs and lists.

bats_require_minimum_version 1.5.0

dir=$BATS_TEST_DIRNAME/../selftests

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	unset GMEM_VM
	: >names
	: >baseline
	: >ours
}

# both NAME VERDICT VERDICT: a test on the baseline and on ours
both()
{
	local list verdict

	echo "$1" >>names
	for list in baseline:$2 ours:$3; do
		verdict=${list#*:}
		[ "$verdict" != none ] || continue
		printf '%s\t%s\t1.5\t%s\n' "$1" "$verdict" \
			"$([ "$verdict" = pass ] || echo "why $verdict")" >>"${list%%:*}"
	done
}

compares()
{
	run --separate-stderr "$dir/compare" names baseline ours "${@:2}"
	echo "$output"
	[ "$status" -eq "$1" ]
}

# program NAME SHELL-CODE
program()
{
	mkdir -p "programs/$(dirname "$1")"
	printf '#!/bin/sh\n%s\n' "$2" >"programs/$1"
	chmod +x "programs/$1"
}

# got NAME VERDICT REASON: what "inside" wrote of a program
got()
{
	awk -F '\t' -v name="$1" '$1 == name { print $2 "|" $4 }' out/list | grep -xF "$2|$3"
}

@test "equal lists are no failure" {
	both a pass pass
	both x/b pass pass
	compares 0
	[ "${lines[1]}" = "1..2" ]
	[ "${lines[3]}" = "ok 2 - x/b: baseline pass, 1.5 s; ours pass, 1.5 s" ]
}

@test "what passes on the baseline alone fails, however it does not pass" {
	local verdict

	both a pass pass
	for verdict in fail skip timeout died; do
		both "$verdict" pass "$verdict"
	done
	compares 1
	[ "$(grep -c '^not ok' <<<"$output")" -eq 4 ]
	[[ $output == *"not ok 3 - skip: baseline pass, 1.5 s; ours skip (why skip)"* ]]
	[[ ${lines[-1]} == *"1 pass on both kernels"*"4 fail on ours" ]]
	run "$dir/compare" --regressions names baseline ours
	[ "$status" -eq 1 ]
	[ "$output" = fail$'\n'skip$'\n'timeout$'\n'died ]
}

@test "what passes on neither is skipped with both reasons" {
	both a pass pass
	both b fail timeout
	compares 0
	[[ $output == *"ok 2 - b # SKIP passes on neither: baseline fail (why fail); ours timeout (why timeout)"* ]]
}

@test "what passes on ours alone passes" {
	both a pass pass
	both b skip pass
	compares 0
	[[ $output == *"ok 2 - b: baseline skip (why skip); ours pass"* ]]
}

@test "a test that did not run on one of them fails" {
	both a pass pass
	both b pass none
	both c none pass
	compares 1
	[ "$(grep -c '^not ok.*not run' <<<"$output")" -eq 2 ]
}

@test "a second try counts and is shown" {
	both a pass pass
	both b pass timeout
	printf 'b\tpass\t9\t\n' >again
	compares 0 again
	[[ $output == *"ok 2 - b: baseline pass, 1.5 s; ours timeout (why timeout); second try pass, 9 s"* ]]
	printf 'b\tfail\t9\twrong\n' >again
	compares 1 again
}

@test "kernels on which nothing works prove nothing" {
	both a fail fail
	compares 1
	[[ $output == *"Bail out! no test passes on both kernels"* ]]
}

@test "lists that make no sense are errors of one line" {
	both a pass pass
	echo a fine >ours
	compares 2
	[ "${#stderr_lines[@]}" -eq 1 ]
	printf 'a\tfail\t1\t\n' >ours
	compares 2
	[[ $stderr == *"no reason"* ]]
	printf 'a\tpass\t1\t\na\tpass\t1\t\n' >ours
	compares 2
	[[ $stderr == *"twice"* ]]
	rm ours
	compares 2
	: >ours
	: >names
	compares 2
	[[ $stderr == *"names no test"* ]]
	run -2 "$dir/compare" names
}

@test "a program's end becomes a verdict with its reason" {
	program good 'echo fine'
	program x/bad 'echo "==== Test Assertion Failure ===="
		echo "  x/bad.c:7: one == two"; echo "  more"; exit 254'
	program skips 'echo "1..0 # SKIP - Requirement not met: luck"; exit 4'
	program hangs 'echo waiting; sleep 600 & wait'
	program dies 'kill -SEGV $$'
	run -0 "$dir/inside" "$PWD/out" 3 programs good x/bad skips hangs dies missing
	cut -f 1 out/list | diff - <(printf '%s\n' good x/bad skips hangs dies missing)
	got good pass ""
	got x/bad fail "status 254: x/bad.c:7: one == two"
	got skips skip "1..0 # SKIP - Requirement not met: luck"
	got hangs timeout "not finished after 3 s"
	awk -F '\t' '$1 ~ /dies|missing/ { print $2 }' out/list | diff - <(printf 'fail\nfail\n')
	[ ! -e out/begun ]
	[ "$(cat out/log/x_bad | wc -l)" -eq 3 ]
}

@test "a test runs in its own directory and its children end with it" {
	local i

	# Numbers that no process of another checkout has.
	program x/here "test -x ./here || exit 1; sleep 4322.$$ & :"
	run -0 "$dir/inside" "$PWD/out" 30 programs x/here
	got x/here pass ""
	program hangs "sleep 4321.$$ & wait"
	run -0 "$dir/inside" "$PWD/out" 1 programs hangs
	got hangs timeout "not finished after 1 s"
	# What was killed is there until the kernel gets to it.
	for ((i = 0; i < 100; i++)); do
		pgrep -f "sleep 432[12]\\.$$\$" || return 0
		sleep 0.1
	done
	return 1
}

@test "wrong usage of the runner is one line" {
	run -2 --separate-stderr "$dir/run" --nonsense
	[ "${#stderr_lines[@]}" -eq 1 ]
	run -2 --separate-stderr "$dir/run" a b
	[ "${#stderr_lines[@]}" -eq 1 ]
	GMEM_SELFTEST_SECONDS=0 run -2 --separate-stderr "$dir/run"
	[ "${#stderr_lines[@]}" -eq 1 ]
	run -0 "$dir/run" --help
	[[ $output == "Usage: tests/selftests/run"*"Exit status"* ]]
}
