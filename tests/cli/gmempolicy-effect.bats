#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy on real guests: what a policy does to the guest it is for, and that
# it does nothing to the one beside it. Run as root in the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-effect.bats
# Counts and clock are the kernel's own, read through gmemtop.

load gmempolicy

RATE=200

# The calm guest is there all the time. The abuser takes a CPU, so only the tests
# whose name begins with "effect" have it.
setup_file()
{
	use_build
	start_calm
}

teardown_file()
{
	gmempolicy detach --all
	stop_guests abuser
	stop_guests calm
}

setup()
{
	if [[ $BATS_TEST_DESCRIPTION != effect* ]]; then
		stop_guests abuser
	elif [ ! -e "$BATS_FILE_TMPDIR/abuser.pid" ]; then
		start_guests abuser --guest pingpong,name=abuser
	fi
}

teardown()
{
	gmempolicy detach --all
	stop_guests extra
}

# is_limited GUEST: within what ratelimit is to guarantee over some seconds. A
# guest may get less because the machine did not run it in time.
is_limited()
{
	local rate=$(of "$1" rates.conversions)

	echo "# $1: $rate conversions per second, limit $RATE" >&3
	jq -ne "$rate >= $RATE * 0.5 and $rate <= $RATE * 1.1"
}

is_unlimited()
{
	local rate=$(of "$1" rates.conversions)

	echo "# $1: $rate conversions per second" >&3
	jq -ne "$rate > 3 * $RATE"
	[ "$(of "$1" "rates.denied == 0")" = true ]
	[ "$(of "$1" "rates.delayed == 0")" = true ]
}

# The calm guest is neither limited nor otherwise disturbed.
is_untouched()
{
	[ "$(of calm "rates.denied == 0")" = true ]
	[ "$(of calm "rates.delayed == 0")" = true ]
	jq -ne "$(of calm rates.conversions) > 10"
}

# no_overspending START BURST: not one conversion more than the bucket allows
# since a time before it was made.
no_overspending()
{
	local allowed=$(attached | jq .allowed)

	jq -ne "$allowed <= $2 + $RATE * ($(seconds) - $1)"
}

@test "effect: deny by VM id: abuser held to its rate, the other untouched, detach restores" {
	watch_vms 2
	is_unlimited abuser
	id=$(of abuser id)

	start=$(seconds)
	run gmempolicy attach ratelimit --vm "$id" --set rate=$RATE/s
	[ "$status" -eq 0 ]
	[ "$output" = "attached ratelimit-vm$id" ]
	sleep 0.5
	watch_vms 10
	is_limited abuser
	is_untouched
	jq -ne "$(of abuser rates.denied) > 0 and $(of abuser rates.delayed) == 0"
	no_overspending "$start" $((RATE / 4))

	run gmempolicy detach "ratelimit-vm$id"
	[ "$status" -eq 0 ]
	nothing_left
	watch_vms 2
	is_unlimited abuser
}

@test "effect: delay by pid: abuser held to its rate without a denial" {
	start=$(seconds)
	gmempolicy attach ratelimit --pid "$(guest_pid abuser)" --set rate=$RATE \
		--set action=delay
	sleep 0.5
	watch_vms 10
	is_limited abuser
	is_untouched
	jq -ne "$(of abuser rates.denied) == 0 and $(of abuser rates.delayed) > 0"
	no_overspending "$start" $((RATE / 4))
	gmempolicy detach "ratelimit-vm$(of abuser id)"
	nothing_left
}

@test "effect: audit counts but denies nothing" {
	gmempolicy attach ratelimit --pid "$(guest_pid abuser)" --set rate=$RATE \
		--audit
	watch_vms 2
	jq -ne "$(of abuser rates.conversions) > 3 * $RATE"
	[ "$(attached | jq -r '"\(.mode) \(.denied > 0)"')" = "audit true" ]
}

@test "effect: all VMs: each has a bucket of its own" {
	run gmempolicy attach ratelimit --all --set rate=$RATE
	[ "$status" -eq 0 ]
	[ "$output" = "attached ratelimit-all" ]
	sleep 0.5
	watch_vms 5
	is_limited abuser
	is_untouched
}

@test "effect: burst bounds what is saved up" {
	start=$(seconds)
	gmempolicy attach ratelimit --pid "$(guest_pid abuser)" --set rate=1 --set burst=50
	sleep 1
	n=$(attached | jq .allowed)
	echo "# $n allowed" >&3
	[ "$n" -ge 50 ]
	jq -ne "$n <= 50 + $(seconds) - $start"
}

@test "all VMs: one that starts later is limited, too, and is told EBUSY" {
	gmempolicy attach ratelimit --all --set rate=$RATE
	start_guests extra --guest pingpong,name=late
	sleep 0.5
	watch_vms 5
	is_limited late
	[ "$(attached | jq .vms)" -eq 2 ]
	stop_guests extra
	[ "$(attached | jq .vms)" -eq 1 ]
	# Nor does the policy keep anything of it.
	[ "$(bpftool -j map dump name vms | jq length)" -eq 1 ]
	jq -se 'map(select(.summary)) | .[0] |
		.status == "ok" and (.errors | tostring | contains("EBUSY"))' \
		"$BATS_FILE_TMPDIR/extra.json"
}

@test "delay with several vCPUs at once neither overspends nor starves" {
	start_guests extra --guest pingpong,name=many,vcpus=4
	start=$(seconds)
	gmempolicy attach ratelimit --pid "$(guest_pid many)" --set rate=$RATE \
		--set action=delay
	sleep 0.5
	watch_vms 10
	is_limited many
	no_overspending "$start" $((RATE / 4))
	stop_guests extra
	# Each waits for about three others, 20 ms; the machine may be busy.
	call=$(jq -sc 'map(select(.summary)) | .[0].call_ns' \
		"$BATS_FILE_TMPDIR/extra.json")
	echo "# $call" >&3
	jq -ne "$call.p99 < 1000000000"
}
