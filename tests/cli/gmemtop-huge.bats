#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What gmemtop and gmempolicy say of huge folios: how much is in them, where, and
# why what is not is not.

load gmemtop.bash
load monitor.bash

parameter=/sys/module/kvm/parameters/gmem_huge_pages

teardown_file()
{
	umount /sys/kernel/mm 2>/dev/null || :
	umount "${parameter%/*}" 2>/dev/null || :
	echo advise >"$parameter"
}

# huge_is PERCENT PAGES: of the last monitor, in every output
huge_is()
{
	local percent=$1 nr=$2 name

	name=$(cat "/proc/$pid/comm")
	sample 0.1
	[ "$(of_pid "$pid" .huge_pages)" -eq "$nr" ] || { of_pid "$pid" .huge_pages; return 1; }
	[ "$("$gmemtop" --once --no-header --vm "$name" --fields huge | xargs)" = "$percent" ]
	[ "$(metric_sum gmem_vm_huge_bytes "$pid")" -eq "$nr" ]
	[ "$(cat "/sys/kernel/debug/kvm/$pid"-*/gmem_huge_pages)" -eq "$nr" ]
	rm -f rec
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec -b --no-header --vm "$name" --fields huge | xargs)" = "$percent" ]
	[ "$("$gmemtop" replay rec --json | jq ".vms[] | select(.pid == $pid).huge_pages")" -eq "$nr" ]
}

# merged PAGES: so many are huge, now or in a while
merged()
{
	sample 0.1
	[ "$(of_pid "$pid" .huge_pages)" -eq "$1" ]
}

# The value of a jq expression in the VM of the last monitor.
counted()
{
	sample 0.1
	of_pid "$pid" "$1"
}

# A counter in Prometheus: metric_sum is of bytes.
exported()
{
	echo "$(metric_sum "gmem_vm_$1" "$pid") * 4096" | perl -ne 'print eval'
}

@test "HUGE is the part of what is populated" {
	start_monitor parts
	tell vm
	tell slot 0 $G 8 huge
	tell private 0 0 2048
	huge_is - 0
	tell allocate 0 3 1
	huge_is 0% 0
	tell allocate 0 512 1024
	huge_is 99.9% 1024
	[ "$("$gmemtop" --csv --once --no-header --vm parts --fields huge,huge_pages,populated | tr -d '\r' |
		cut -d, -f2-)" = "99.902,1024,1025" ]
	tell punch 0 3 1
	huge_is 100% 1024
	# By its share, not by its amount.
	start_monitor more
	tell vm
	tell slot 0 $G 16 huge
	tell private 0 0 4096
	tell allocate 0 0 2048
	tell allocate 0 2049 1
	[ "$("$gmemtop" --once --no-header --sort huge --fields name | xargs)" = "parts more" ]
	[ "$("$gmemtop" --once --no-header --sort huge_pages --fields name | xargs)" = "more parts" ]
	tell punch 0 0 4096
	huge_is - 0
}

@test "splits, merges and what waits are counted" {
	start_monitor moves
	tell vm
	tell slot 0 $G 8 huge
	tell private 0 0 2048
	tell allocate 0 0 2048
	huge_is 100% 2048
	tell shared 0 5 1
	huge_is 75.0% 1536
	tell punch 0 600 1
	huge_is 50.0% 1024
	[ "$(counted '[.huge_splits, .huge_merges, .huge_waiting] | @csv')" = 2,0,0 ]
	[ "$(exported huge_splits_total)" -eq 2 ]
	tell private 0 5 1
	wait_for 60 merged 1536
	[ "$(counted '[.huge_splits, .huge_merges, .huge_waiting] | @csv')" = 2,1,0 ]
	tell allocate 0 600 1
	wait_for 60 merged 2048
	huge_is 100% 2048
	[ "$(exported huge_merges_total)" -eq 2 ]
	[ "$(exported huge_waiting)" -eq 0 ]
}

@test "each reason has its own figure" {
	local key

	start_monitor reasons
	tell vm
	# One frame beside what the file's pages need.
	tell slot 0 0x100001000 4 huge
	tell private 0 0 1024
	tell allocate 0 0 20
	[ "$(counted .huge_fallbacks_alignment)" -eq 20 ]
	tell slot 0 0x200000000 4 huge
	tell private 1 0 1000
	tell allocate 1 512 300
	# As much as it can be: nothing was wanted.
	tell allocate 1 7 1
	[ "$(counted .huge_fallbacks_mixed)" -eq 300 ]
	tell allocate 1 0 512
	[ "$(counted .huge_fallbacks_present)" -eq 511 ]
	[ "$(counted '[.huge_fallbacks_memory, .huge_fallbacks_limit] | @csv')" = 0,0 ]
	sample 0.1
	[ "$(of_pid "$pid" '.rates.huge_fallbacks == 0')" = true ]
	for key in alignment:20 mixed:300 present:511 memory:0 limit:0; do
		[ "$(exported "huge_fallbacks_${key%:*}_total")" -eq "${key#*:}" ]
	done
	[ "$(exported huge_fallbacks_total)" -eq 831 ]
	open_page reasons 1 "" 40
	wait_screen 'huge_fallbacks +831$|^huge_fallbacks +831 '
	wait_screen 'huge_fallbacks_present +511'
	wait_screen 'huge_pages +2.00M|huge_pages +0K'
}

# map_of H HASH STALE: so many cells of each
map_of()
{
	local drawn nr letter

	# Where the cells are: below four lines, and above as many.
	drawn=$(screen | sed -n '5,20p')
	for letter in H '#' '!'; do
		nr=$1
		shift
		[ "$(tr -cd "$letter" <<<"$drawn" | wc -c)" -eq "$nr" ] || return 1
	done
}

wait_map()
{
	wait_for 60 map_of "$@" || {
		screen >&2
		return 1
	}
}

@test "the map shows what is in huge folios, at this moment" {
	start_monitor seen
	tell vm
	tell slot 0 $G 4 huge
	tell private 0 0 1024
	tell allocate 0 600 100
	open_page seen 5 NO_COLOR=1
	press n
	# There are none: there is no line for them.
	wait_screen '^from gfn 0x100000, 4K a cell, to 0x1003ff$'
	wait_map 0 100 0
	! screen_has 'huge'
	tell allocate 0 0 512
	wait_screen '^H in huge folios: 0K of this cell$'
	press n
	wait_map 512 100 0
	wait_screen '^H in huge folios: 4K of this cell$'
	wait_screen '^gfn 0x100000-0x100000: private 4K, shared 0K, populated 4K, stale 0K$'
	# The folio is split: its pages are as populated as before.
	tell shared 0 3 1
	wait_map 0 611 1
	wait_screen '^H in huge folios: 0K of this cell$'
	tell private 0 3 1
	wait_map 512 100 0
	# A cell that is huge in part has the shade of what is populated.
	press - - - - -
	wait_screen ', 4.00M a cell'
	wait_map 0 0 0
	wait_screen '^H in huge folios: 2.00M of this cell$'
	wait_screen '^F1 Help '
}

@test "gmempolicy status says why there are none" {
	run --separate-stderr "$gmempolicy" status
	[ "$output" = "No policy is attached." ]
	[ "$("$gmempolicy" status --json | jq -c .huge_folios)" = '{"mode":"advise","off_since":null}' ]
	echo never >"$parameter"
	run --separate-stderr "$gmempolicy" status
	[ "${lines[1]}" = "No huge folios: kvm.gmem_huge_pages is never." ]
	[ "$("$gmempolicy" status --json | jq -c .huge_folios)" = \
		'{"mode":"never","off_since":"kvm.gmem_huge_pages is never"}' ]
	# With policies, and on a screen that is full of them.
	"$gmempolicy" attach audit --all
	run --separate-stderr "$gmempolicy" status
	"$gmempolicy" detach --all
	[ "${lines[-1]}" = "No huge folios: kvm.gmem_huge_pages is never." ]
	[ "${#lines[@]}" -le 23 ]
	echo always >"$parameter"
	run --separate-stderr "$gmempolicy" status
	[ "$output" = "No policy is attached." ]
	echo advise >"$parameter"
	# What a KVM without them looks like from here, and a kernel that cannot split them.
	mount -t tmpfs none "${parameter%/*}"
	echo Y >"${parameter%/*}/gmem_policies"
	run --separate-stderr "$gmempolicy" status
	[ "${lines[1]}" = "No huge folios: KVM was built without CONFIG_KVM_GMEM_HUGE." ]
	mount -t tmpfs none /sys/kernel/mm
	run --separate-stderr "$gmempolicy" status
	umount /sys/kernel/mm "${parameter%/*}"
	[ "${lines[1]}" = "No huge folios: the kernel has no CONFIG_TRANSPARENT_HUGEPAGE." ]
}

fields_are()
{
	[ "$("$gmemtop" --once --no-header --vm "$1" --fields huge,populated | xargs)" = "$2" ]
}

@test "a guest with huge folios, as gmemload starts it" {
	start_guests --guest steady,name=big,mem=16M,huge,rate=max \
		--guest steady,name=small,mem=16M,rate=max
	wait_for 60 fields_are big "100% 16.0M"
	wait_for 60 fields_are small "0% 16.0M"
	# A fault for each folio, and for each page.
	[ "$("$gmemtop" --json --once | jq '.vms[] | select(.name == "big").faults_vcpu')" -eq 8 ]
	[ "$("$gmemtop" --json --once | jq '.vms[] | select(.name == "small").faults_vcpu')" -eq 4096 ]
	end_guests
}
