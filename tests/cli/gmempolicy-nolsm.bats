#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy on a kernel that has nothing of gmem and was booted without bpf among its
# LSMs: a policy would be attached and never asked. Run as root in the VM:
#	tests/vm/run --kernel baseline --append lsm=lockdown -- \
#		bats tests/cli/gmempolicy-nolsm.bats

load gmempolicy

setup_file()
{
	use_build
}

@test "attach says which boot parameter is missing, and attaches nothing" {
	refuses 1 "bpf is not among the active LSMs, so the kernel would not ask the policy; boot with lsm=lockdown,bpf" \
		attach deny --all
	[ -z "$(ls -A $PINS 2>/dev/null)" ]
	[ -z "$(attached)" ]
}

@test "apply says so, too, and changes nothing" {
	printf '[policy.all]\nuse = "deny"\nall = true\n' >"$BATS_TEST_TMPDIR/p.toml"
	refuses 1 "boot with lsm=lockdown,bpf" apply "$BATS_TEST_TMPDIR/p.toml"
	[ -z "$(attached)" ]
}

@test "what needs no policy works" {
	run --separate-stderr gmempolicy list
	[ "$status" -eq 0 ]
	[[ $output == *"No policy is attached."* ]]
	run --separate-stderr gmempolicy show deny
	[ "$status" -eq 0 ]
}
