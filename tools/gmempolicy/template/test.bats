#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the policy @NAME@ on the kernel that runs here; needs root. "make test"
# builds it first. Add what your policy is for: start a guest that does what is
# to be stopped, and compare its counters with and without the policy.

setup()
{
	cd "$BATS_TEST_DIRNAME"
	GMEMPOLICY=${GMEMPOLICY:-gmempolicy}
}

teardown()
{
	$GMEMPOLICY detach @NAME@-all 2>/dev/null || true
}

attached()
{
	$GMEMPOLICY list --json | jq -r '.attached[] | select(.pin == "@NAME@-all") | .'"$1"
}

@test "the kernel accepts it" {
	$GMEMPOLICY check @NAME@.bpf.o
}

@test "it says what it does and what can be set" {
	$GMEMPOLICY show @NAME@.bpf.o --json |
		jq -e '.policy.about != null and .parameters[0].name == "max_pages"'
}

@test "it can be attached, tuned and detached" {
	$GMEMPOLICY attach @NAME@.bpf.o --all --audit
	[ "$(attached mode)" = audit ]
	$GMEMPOLICY set @NAME@-all max_pages=1
	$GMEMPOLICY enforce @NAME@-all
	[ "$(attached mode)" = enforce ]
	$GMEMPOLICY detach @NAME@-all
	[ -z "$(attached pin)" ]
}
