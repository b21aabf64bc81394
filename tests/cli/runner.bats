#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/run counts what test programs say and does not believe silence.

bats_require_minimum_version 1.5.0

run_tests=$BATS_TEST_DIRNAME/../run

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	export GMEM_SUITES=$PWD/suites GMEM_TEST_OUT=$PWD/out
	unset T
}

# suite NAME SHELL-CODE: a suite of one program
suite()
{
	local program

	# run-programs starts programs below the checkout's top.
	program=$(realpath --relative-to="$BATS_TEST_DIRNAME/../.." "$PWD")/$1.sh
	printf '#!/bin/sh\n%s\n' "$2" >"$1.sh"
	chmod +x "$1.sh"
	echo "$1 host 60 $program" >>suites
}

# ends STATUS LAST-LINE
ends()
{
	run --separate-stderr "$run_tests"
	echo "$output"
	[ "$status" -eq "$1" ]
	[ "${lines[-1]}" = "$2" ]
}

@test "passes are counted over suites" {
	suite one 'echo 1..2; echo ok 1 a; echo ok 2 - b'
	suite two 'echo TAP version 13; echo ok 1 c; echo 1..1'
	ends 0 "3 passed, 0 failed"
}

@test "a failed test is counted once and named at the end" {
	suite one 'echo 1..2; echo ok 1; echo "not ok 2 the name"; exit 1'
	ends 1 "1 passed, 1 failed"
	[ "${lines[-2]}" = "#   one: the name" ]
}

@test "a long suite runs if a pattern asks for it" {
	suite one 'echo 1..1; echo ok 1'
	suite two 'echo 1..1; echo ok 1'
	sed -i 's/^two/+two/' suites
	ends 0 "1 passed, 0 failed"
	T=. ends 0 "2 passed, 0 failed"
	T='^two$' ends 0 "1 passed, 0 failed"
	"$run_tests" --help | grep -qx 'Long suites: two'
}

@test "skips count apart" {
	suite one 'echo 1..2; echo ok 1; echo "ok 2 b # SKIP no such thing here"'
	ends 0 "1 passed, 0 failed, 1 skipped"
}

@test "a whole program may skip with a reason" {
	suite one 'echo "1..0 # SKIP no such thing here"; exit 4'
	suite two 'echo 1..1; echo ok 1'
	ends 0 "1 passed, 0 failed, 1 skipped"
}

@test "a skip without a reason fails" {
	suite one 'echo 1..2; echo ok 1; echo "ok 2 b # SKIP"'
	ends 1 "1 passed, 1 failed"
}

@test "fewer tests than planned fail" {
	suite one 'echo 1..3; echo ok 1; echo ok 2'
	ends 1 "2 passed, 1 failed"
}

@test "no plan, no test, or no output fail" {
	suite one 'echo ok 1'
	ends 1 "1 passed, 1 failed"
	rm suites
	suite two 'echo 1..0'
	ends 1 "0 passed, 1 failed"
	rm suites
	suite three ':'
	ends 1 "0 passed, 1 failed"
}

@test "a program that dies after its tests fails" {
	suite one 'echo 1..1; echo ok 1; kill -SEGV $$'
	ends 1 "1 passed, 1 failed"
}

@test "bail out fails" {
	suite one 'echo 1..1; echo ok 1; echo "Bail out! disk on fire"'
	ends 1 "1 passed, 1 failed"
}

@test "a missing program fails" {
	echo "one host 20 tests/nothing-here" >suites
	ends 1 "0 passed, 1 failed"
}

@test "nested TAP is not counted" {
	suite one 'echo 1..1; echo "    1..2"; echo "    not ok 1 inner"; echo ok 1 outer'
	ends 0 "1 passed, 0 failed"
}

@test "a suite that hangs fails at its time limit" {
	suite one 'echo 1..2; echo ok 1; sleep 600'
	sed -i 's/ 60 / 5 /' suites
	run "$run_tests"
	[ "$status" -eq 1 ]
	[ "${lines[-1]}" = "1 passed, 2 failed" ]
}

@test "T and the argument choose suites; choosing none fails" {
	suite alpha 'echo 1..1; echo ok 1'
	suite beta 'echo 1..1; echo not ok 1; exit 1'
	T='^al' run "$run_tests"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "1 passed, 0 failed" ]
	run "$run_tests" 'alpha|nothing'
	[ "$status" -eq 0 ]
	run --separate-stderr "$run_tests" gamma
	[ "$status" -eq 1 ]
	[ "$output" = "0 passed, 0 failed" ]
	[[ $stderr == *"no suite matches 'gamma'"* ]]
}

@test "--kernels names the kernels that the chosen suites want" {
	printf 'one vm 9 x\ntwo vm 9 --kernel off x\nthree vm 9 --cpus 1 --kernel module x\n' >suites
	echo '# four vm 9 --kernel debug x' >>suites
	run -0 --separate-stderr "$run_tests" --kernels
	[ "$output" = module$'\n'off ]
	run -0 --separate-stderr "$run_tests" --kernels '^t.o'
	[ "$output" = off ]
	T=one run -0 --separate-stderr "$run_tests" --kernels
	[ -z "$output" ]
	[ ! -e out ]
}

@test "wrong usage" {
	echo 'one host 9 x' >suites
	run -2 --separate-stderr "$run_tests" '['
	[ "${#stderr_lines[@]}" -eq 1 ]
	run -2 --separate-stderr "$run_tests" --nonsense
	[ "${#stderr_lines[@]}" -eq 1 ]
	run -2 --separate-stderr "$run_tests" a b
	[ "${#stderr_lines[@]}" -eq 1 ]
}

@test "a kernel warning in the VM fails a suite whose tests passed" {
	suite one 'echo 1..1; echo ok 1; echo WARNING >/sys/kernel/debug/provoke-crash/DIRECT'
	sed -i 's/ host 60 / vm 300 /' suites
	ends 1 "1 passed, 1 failed"
	[[ $output == *"one: the kernel complained"* ]]
}

@test "a VM that dies under a suite fails it" {
	suite one 'echo 1..2; echo ok 1
		echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger; sleep 60'
	sed -i 's/ host 60 / vm 300 /' suites
	run "$run_tests"
	[ "$status" -eq 1 ]
	[[ ${lines[-1]} =~ ^[01]" passed, 2 failed"$ ]]
}
