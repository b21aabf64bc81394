#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel that has nothing of gmem, with "bpf" not among its active LSMs: policies
# cannot be, and that is said in one line with what to do. As root in a test VM.

bats_require_minimum_version 1.5.0

setup()
{
	top=$BATS_TEST_DIRNAME/../..
	PATH=$top/build:$PATH
	mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
	run ! grep -qw bpf /sys/kernel/security/lsm
}

@test "attach and apply name the boot parameter in one line" {
	printf '[policy.one]\nuse = "deny"\nall = true\n' >"$BATS_TEST_TMPDIR/one.toml"
	for args in "attach deny --all" "apply $BATS_TEST_TMPDIR/one.toml"; do
		# shellcheck disable=SC2086 # its words
		run --separate-stderr gmempolicy $args
		echo "$stderr"
		[ "$status" -eq 1 ]
		[ -z "$output" ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == "gmempolicy: "*lsm=*bpf* ]]
	done
	[ -z "$(ls -A /sys/fs/bpf/gmem 2>/dev/null)" ]
}

@test "the parameter that is named keeps the LSMs that are active" {
	run --separate-stderr gmempolicy attach deny --all
	[[ $stderr == *lsm=*lockdown*,bpf* ]]
}

@test "gmemtop works, and says that policies are missing" {
	run gmemtop -b -n 1
	echo "$output"
	[ "$status" -eq 0 ]
	gmemtop --version | grep '^missing: ' | grep -q 'LSM'
}
