#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The short part of make test-stock, on the kernel and the modules that it has left
# in build/kernel/debian: boots them and runs tests/debian/short there. Where there
# are none, or others than this tree makes, it is skipped: to build them takes long.

. "$BATS_TEST_DIRNAME/lib.sh"

@test "a guest is seen and held on Debian's own kernel" {
	top=$BATS_TEST_DIRNAME/../..
	kernel=$top/build/kernel/debian
	[ -e "$kernel/key" ] || skip "there are no modules for Debian's kernel: make test-stock builds them"
	[ "$(cat "$kernel/key")" = "$(modules_key)" ] ||
		skip "the modules for Debian's kernel are not of this tree: make test-stock builds them"
	cd "$top"
	run tests/vm/run --kernel debian --timeout 280 -- tests/debian/short
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"short: all of it on 6.12."*-amd64* ]]
}
