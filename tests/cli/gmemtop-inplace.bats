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

# The map has $1 cells of it for each letter in $2...: NR LETTER.
map_has()
{
	local drawn nr letter

	# Where the cells are: below four lines, and above as many.
	drawn=$(screen | sed -n '5,20p')
	for letter in '=' - . ; do
		nr=$1
		shift
		[ "$(tr -cd "$letter" <<<"$drawn" | wc -c)" -eq "$nr" ] || return 1
	done
}

# wait_map MAPPED SHARED PRIVATE: so many cells of a page each
wait_map()
{
	wait_for 30 map_has "$@" || {
		screen >&2
		return 1
	}
}

@test "the map shows what the host has mapped, at this moment" {
	start_monitor seen
	tell vm
	tell slot 0 $G 4 mapped
	tell private 0 512 512
	open_page seen 5 NO_COLOR=1
	press n
	# Nothing was ever touched: there is no line for it.
	wait_screen '^from gfn 0x100000, 4K a cell, to 0x1003ff$'
	wait_map 0 512 512
	! screen_has 'mapped'
	tell touch 0 0 100
	wait_screen '^= mapped by the host: 0K of this cell$'
	press n
	wait_map 100 412 512
	wait_screen '^= mapped by the host: 4K of this cell$'
	wait_screen '^gfn 0x100000-0x100000: private 0K, shared 4K, populated 4K, stale 0K$'
	# Allocated is not mapped, and no more is what was unmapped.
	tell allocate 0 100 50
	tell drop 0 10 20
	wait_map 80 432 512
	tell private 0 0 60
	wait_map 40 412 512
	tell shared 0 0 1024
	wait_map 40 984 0
	# Cells of 16 pages: one is enough, whatever else there is.
	press - -
	wait_screen ', 64K a cell'
	wait_map 4 60 0
	tell touch 0 1023 1
	wait_map 5 59 0
	tell private 0 1008 15
	wait_map 5 59 0
	press $(printf 'Right %.0s' {1..63})
	wait_screen '^= mapped by the host: 4K of this cell$'
	wait_screen '^gfn 0x1003f0-0x1003ff: private 60K, shared 4K, '
	tell private 0 1023 1
	wait_map 4 59 0
	wait_screen '^= mapped by the host: 0K of this cell$'
	wait_screen '^F1 Help '
}
