#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What gmemtop says of memory that is converted in place, with the kernel's parameter
# gmem_in_place_conversion.

load gmemtop.bash
load monitor.bash

setup_file()
{
	[ "$(cat /sys/module/kvm/parameters/gmem_in_place_conversion)" = Y ] ||
		skip "kvm.gmem_in_place_conversion is off"
}

# The value of jq expression $1 in the VM of the last monitor.
of_monitor()
{
	sample 0.1
	of_pid "$pid" "$1"
}

@test "a page is one, shared and private in turn, and in TOTAL once" {
	start_monitor turns
	tell vm
	tell slot 0 $G 32 mapped
	tell touch 0 0 8192
	kill -STOP "$pid"
	mapped_is 8192 "$(resident "$pid")"
	kill -CONT "$pid"
	# The host has them no more, and the guest the same ones.
	tell private 0 0 6144
	kill -STOP "$pid"
	[ "$(resident "$pid")" -lt 6144 ]
	mapped_is 2048 $(($(resident "$pid") + 6144))
	[ "$(of_monitor '[.private_pages, .populated_pages, .stale_pages, .twice_pages] | @csv')" = 6144,8192,0,0 ]
	kill -CONT "$pid"
	# Shared, they are there, and mapped when they are touched.
	tell shared 0 0 6144
	kill -STOP "$pid"
	mapped_is 2048 $(($(resident "$pid") + 6144))
	[ "$(of_monitor '[.private_pages, .populated_pages, .stale_pages] | @csv')" = 0,8192,0 ]
	kill -CONT "$pid"
	tell touch 0 0 8192
	kill -STOP "$pid"
	mapped_is 8192 "$(resident "$pid")"
	kill -CONT "$pid"
	# The monitor's own, all of them.
	[ "$(of_monitor '[.conversions, .conversions_asked, .conversions_held] | @csv')" = 2,0,0 ]
}

@test "a conversion that a reference holds up is counted" {
	start_monitor holds
	tell vm
	tell slot 0 $G 4 mapped
	tell touch 0 0 1024
	tell hold 0 10 3
	run tell private 0 0 1024
	[ "$status" -ne 0 ]
	[[ $output == "err private: Resource temporarily unavailable at page 10" ]]
	[ "$(of_monitor '[.conversions_held, .private_pages] | @csv')" = 1,0 ]
	[ "$(metric_sum gmem_vm_conversions_held_total "$pid")" = "$(perl -e 'print 1 / 4096')" ]
	tell release
	tell private 0 0 1024
	[ "$(of_monitor '[.conversions_held, .private_pages, .mapped_pages] | @csv')" = 1,1024,0 ]
}
