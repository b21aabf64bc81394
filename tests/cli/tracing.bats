#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Other people's tools, as root in the test VM. Debian's perf, trace-cmd and
# bpftrace record the same run at the same time, one started by the other, so
# that what they say of the tracepoints can be compared with each other and with
# what the run is known to have done. The kernel's own kvm_stat, from its source
# and unchanged, shows the counters.

bats_require_minimum_version 1.5.0

events="bind convert create fault held invalidate merge migrate split unbind verdict vm_create vm_destroy"

# Every field of every event, for a program that counts a run's events.
all_fields='
tracepoint:kvm_gmem:kvm_gmem_bind { printf("bind %d %lx %lx %lx\n",
	args->slot, args->start, args->end, args->index); }
tracepoint:kvm_gmem:kvm_gmem_unbind { printf("unbind %d %lx %lx %lx\n",
	args->slot, args->start, args->end, args->index); }
tracepoint:kvm_gmem:kvm_gmem_create { printf("create %lu\n", args->nr_pages); }
tracepoint:kvm_gmem:kvm_gmem_convert { printf("convert %lx %lx %lx %lu %d %d\n",
	args->start, args->end, args->attributes, args->changed, args->result,
	args->duration_ns > 0); }
tracepoint:kvm_gmem:kvm_gmem_fault { printf("fault %lx %lx %lu %u %u %u %d %d\n",
	args->gfn, args->index, args->nr_pages, args->order, args->reason,
	args->present, args->result, args->duration_ns > 0); }
tracepoint:kvm_gmem:kvm_gmem_invalidate { printf("invalidate %lx %lx %lu %u\n",
	args->start, args->end, args->pages_freed, args->reason); }
tracepoint:kvm_gmem:kvm_gmem_vm_create { printf("vm_create %d\n", args->pid == pid); }
tracepoint:kvm_gmem:kvm_gmem_vm_destroy { printf("vm_destroy %d\n", args->pid == pid); }
'

counts='
tracepoint:kvm_gmem:kvm_gmem_vm_create { @vm[args->pid] = args->vm_id; }
tracepoint:kvm_gmem:kvm_gmem_convert { @converts[args->vm_id, args->result] = count();
	@changed[args->vm_id, args->attributes] = sum(args->changed); }
tracepoint:kvm_gmem:kvm_gmem_fault { @faults[args->vm_id, args->present] = count(); }
tracepoint:kvm_gmem:kvm_gmem_verdict { @verdicts[args->vm_id, str(args->policy),
	args->hook, args->verdict] = count(); }
'

# record NAME BPFTRACE-PROGRAM COMMAND
record()
{
	trace-cmd record -q -o "$1.trace" -e kvm_gmem \
		perf record -q -a -o "$1.perf" -e 'kvm_gmem:*' \
		bpftrace -f json -c "$3" -e "$2" >"$1.json" 2>"$1.err" 3>&- || {
		cat "$1.err" >&2
		return 1
	}
	# The command's own output is in between.
	sed -i '/^{/!d' "$1.json"
	trace-cmd report "$1.trace" 2>"$1.err" | sed -n 's/^.*: \(kvm_gmem_[a-z_]*\): */\1: /p' >"$1.trace-cmd"
	perf script -i "$1.perf" 2>>"$1.err" | sed -n 's/^.* kvm_gmem:\(kvm_gmem_[a-z_]*\): */\1: /p' >"$1.perf-script"
}

# What each side says of the two guests, as variables of the shell in "numbers".
numbers()
{
	jq -r 'select(.summary) | .pattern as $guest | to_entries[] |
		select(.value | type == "number") |
		"load_\($guest)_\(.key)=\(.value)"' load.out >numbers

	# perf_GUEST_KEY, trace_cmd_GUEST_KEY
	awk '
		FILENAME == "numbers" && /_pid=/ {
			split($1, word, "[_=]")
			guest[word[4]] = word[2]
		}
		FILENAME == "numbers" { next }
		{ tool = FILENAME == "load.perf-script" ? "perf" : "trace_cmd" }
		/^kvm_gmem_vm_create/ { of[$3] = tool "_" guest[$5] "_"; n[of[$3] "vm"] = $3 }
		/ changed .* result 0/ {
			n[of[$3] "conversions"]++
			n[of[$3] "pages_to_" $7] += $9
		}
		/ changed 0 result -16/ { n[of[$3] "refused"]++ }
		/policy ratelimit hook convert verdict -16$/ { n[of[$3] "denials"]++ }
		/ new reason vcpu result 0/ { n[of[$3] "touched"]++ }
		/ reason punch_hole/ { n[of[$3] "punches"]++ }
		/ freed / { n[of[$3] "freed_by_" $9] += $7 }
		END { for (key in n) print key "=" n[key] }
		' numbers load.perf-script load.trace-cmd >counted

	# bpftrace_vmVM_KEYS_MAP: what the program has in its maps
	jq -r 'select(.type == "map") | .data | to_entries[] | .key as $map |
		.value | to_entries[] |
		"bpftrace_vm\(.key | sub(","; "@")) \($map) \(.value)"' load.json |
		sed 's/[@,]/_/g; s/ _/_/; s/-//g; s/ /=/' >>counted
	cat counted >>numbers
}

setup_file()
{
	local build=$BATS_TEST_DIRNAME/../../build load

	cd "$BATS_FILE_TMPDIR" || return
	record known "$all_fields" "$build/tests/kvm/with_events"

	"$build/gmempolicy" attach ratelimit --all --set rate=100 --set burst=10 >&2
	load="$build/gmemload --json load.out --guest pingpong,mem=1M,iterations=30"
	record load "$counts" "$load --guest churn,mem=256K,iterations=3"
	"$build/gmempolicy" list --json >policies.json
	"$build/gmempolicy" detach --all >&2
	numbers

	# On one CPU, whose clock puts the events in order.
	# shellcheck disable=SC2016 # it is for the inner shell
	trace-cmd record -q -o verdicts.trace -e kvm_gmem_verdict \
		taskset -c 0 sh -c '"$1/policy_verdict_test" -t denied_guest_goes_on \
			-t audit_never_enforces &&
			"$1/policy_delay_test" -t delay_asks_again' sh "$build/tests/bpf" \
		>verdicts.out 2>&1 3>&- || {
		cat verdicts.out >&2
		return 1
	}
}

setup()
{
	cd "$BATS_FILE_TMPDIR" || return
}

# What differs from run to run becomes a letter; a zero stays a zero.
mask()
{
	sed -E 's/vm [1-9][0-9]*/vm V/; s/pid [1-9][0-9]*/pid P/
		s/pfn 0x[1-9a-f][0-9a-f]*/pfn P/; s/duration [1-9][0-9]* ns/duration D ns/' "$@"
}

# What tests/kvm/with_events.c does.
known_run()
{
	cat <<END
kvm_gmem_vm_create: vm V pid P
kvm_gmem_create: vm V pages 32
kvm_gmem_bind: vm V slot 10 gfn 0x10000-0x10010 index 0x10
kvm_gmem_invalidate: vm V gfn 0x10000-0x10010 freed 0 reason conversion
kvm_gmem_convert: vm V gfn 0x10000-0x10010 to private changed 16 result 0 duration D ns index 0xffffffffffffffff asked 0 pending 0 ns
kvm_gmem_convert: vm V gfn 0x10000-0x10010 to private changed 0 result 0 duration D ns index 0xffffffffffffffff asked 0 pending 0 ns
kvm_gmem_fault: vm V gfn 0x10000 index 0x10 pages 1 pfn P order 0 new reason vcpu result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10001 index 0x11 pages 1 pfn P order 0 new reason vcpu result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10002 index 0x12 pages 1 pfn P order 0 new reason vcpu result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10003 index 0x13 pages 1 pfn P order 0 new reason vcpu result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10004 index 0x14 pages 1 pfn P order 0 new reason prefault result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10005 index 0x15 pages 1 pfn P order 0 new reason prefault result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10008 index 0x18 pages 3 pfn 0x0 order 0 new reason fallocate result 0 duration D ns
kvm_gmem_invalidate: vm V gfn 0x10000-0x10002 freed 0 reason conversion
kvm_gmem_convert: vm V gfn 0x10000-0x10002 to shared changed 2 result 0 duration D ns index 0xffffffffffffffff asked 0 pending 0 ns
kvm_gmem_invalidate: vm V gfn 0x10000-0x10001 freed 0 reason conversion
kvm_gmem_convert: vm V gfn 0x10000-0x10001 to private changed 1 result 0 duration D ns index 0xffffffffffffffff asked 0 pending 0 ns
kvm_gmem_invalidate: vm V gfn 0x10001-0x10002 freed 1 reason punch_hole
kvm_gmem_invalidate: vm V gfn 0x10001-0x10002 freed 0 reason conversion
kvm_gmem_convert: vm V gfn 0x10001-0x10002 to private changed 1 result 0 duration D ns index 0xffffffffffffffff asked 0 pending 0 ns
kvm_gmem_fault: vm V gfn 0x10000 index 0x10 pages 1 pfn P order 0 present reason vcpu result 0 duration D ns
kvm_gmem_fault: vm V gfn 0x10001 index 0x11 pages 1 pfn P order 0 new reason vcpu result 0 duration D ns
kvm_gmem_invalidate: vm V gfn 0x10003-0x10004 freed 0 reason memory_failure
kvm_gmem_invalidate: vm V gfn 0x10000-0x10010 freed 0 reason unbind
kvm_gmem_unbind: vm V slot 10 gfn 0x10000-0x10010 index 0x10
kvm_gmem_invalidate: vm V gfn 0xffffffffffffffff-0xffffffffffffffff freed 9 reason release
kvm_gmem_vm_destroy: vm V pid P
END
}

# The same in the numbers that a program gets.
known_numbers()
{
	cat <<END
vm_create 1
create 32
bind 10 10000 10010 10
invalidate 10000 10010 0 0
convert 10000 10010 8 16 0 1
convert 10000 10010 8 0 0 1
fault 10000 10 1 0 0 0 0 1
fault 10001 11 1 0 0 0 0 1
fault 10002 12 1 0 0 0 0 1
fault 10003 13 1 0 0 0 0 1
fault 10004 14 1 0 1 0 0 1
fault 10005 15 1 0 1 0 0 1
fault 10008 18 3 0 3 0 0 1
invalidate 10000 10002 0 0
convert 10000 10002 0 2 0 1
invalidate 10000 10001 0 0
convert 10000 10001 8 1 0 1
invalidate 10001 10002 1 1
invalidate 10001 10002 0 0
convert 10001 10002 8 1 0 1
fault 10000 10 1 0 0 1 0 1
fault 10001 11 1 0 0 0 0 1
invalidate 10003 10004 0 4
invalidate 10000 10010 0 3
unbind 10 10000 10010 10
invalidate ffffffffffffffff ffffffffffffffff 9 2
vm_destroy 1
END
}

@test "each tool lists all events" {
	local event

	# shellcheck disable=SC2086 # words are wanted
	printf 'kvm_gmem:kvm_gmem_%s\n' $events >expected
	perf list 'kvm_gmem:*' 2>/dev/null | awk '$1 ~ /^kvm_gmem:/ { print $1 }' | diff expected -
	trace-cmd list -e '^kvm_gmem:' | grep kvm_gmem: | sort | diff expected -
	bpftrace -l 'tracepoint:kvm_gmem:*' | sed 's/^tracepoint://' | sort | diff expected -
}

@test "the fields have fixed sizes and the documented names" {
	bpftrace -lv 'tracepoint:kvm_gmem:*' | sed 's/^tracepoint:kvm_gmem:kvm_gmem_//; s/^ *//' |
		diff - <(cat <<END
bind
u64 vm_id
u64 start
u64 end
u64 index
s32 slot
convert
u64 vm_id
u64 start
u64 end
u64 attributes
u64 changed
u64 duration_ns
u64 index
u64 pending_ns
s32 result
u8 asked
create
u64 vm_id
u64 nr_pages
fault
u64 vm_id
u64 gfn
u64 index
u64 nr_pages
u64 pfn
u64 duration_ns
u32 order
u32 reason
s32 result
u8 present
held
u64 vm_id
u64 inode
u64 index
s32 refs
__data_loc char[] holder
invalidate
u64 vm_id
u64 start
u64 end
u64 pages_freed
u32 reason
merge
u64 vm_id
u64 inode
u64 index
u64 nr_pages
s32 result
migrate
u64 vm_id
u64 inode
u64 index
u64 nr_pages
u64 from_pfn
u64 to_pfn
s32 from_node
s32 to_node
s32 result
split
u64 vm_id
u64 inode
u64 index
u64 nr_pages
s32 result
unbind
u64 vm_id
u64 start
u64 end
u64 index
s32 slot
verdict
u64 vm_id
s64 verdict
u32 hook
u8 audit
__data_loc char[] policy
vm_create
u64 vm_id
u32 pid
vm_destroy
u64 vm_id
u32 pid
END
		)
}

@test "trace-cmd tells a known run in words" {
	mask known.trace-cmd | diff <(known_run) -
}

@test "perf tells a known run in words" {
	mask known.perf-script | diff <(known_run) -
}

@test "bpftrace gets a known run in numbers" {
	jq -j 'select(.type == "printf") | .data' known.json | diff <(known_numbers) -
}

@test "page frames and durations are plausible" {
	local pages

	pages=$(awk '/^MemTotal/ { print int($2 / 4) }' /proc/meminfo)
	# Frames are memory, though the machine has holes in front of some.
	perl -e '
		my $most = shift() + (4 << 18);
		while (<>) {
			next unless / pfn 0x([0-9a-f]+) .* reason vcpu .* duration (\d+) ns/;
			$frames{hex($1)} = 1;
			$bad .= $_ unless hex($1) && hex($1) < $most && $2 > 0 && $2 < 60e9;
		}
		print $bad;
		exit($bad || keys(%frames) < 50);
	' "$pages" load.perf-script
}

@test "nothing was lost and all was understood" {
	run ! grep -iE 'lost|overrun|failed|error|bad' known.err load.err
	run ! grep -E 'FAILED|BAD|UNKNOWN' known.trace-cmd load.trace-cmd
	trace-cmd report --stat known.trace >known.stat 2>/dev/null
	grep -qE '(overrun|dropped)' known.stat
	run ! grep -E '(overrun|dropped).*[1-9]' known.stat
	diff <(sort load.trace-cmd) <(sort load.perf-script)
}

# A guest has a page by its mapping of it for as long as it has that: no page of a
# hole may go before the mappings have. The thread that punches is one.
hole='
tracepoint:kvm_gmem:kvm_gmem_invalidate /args->reason == 1/ { @hole[tid] = 1; }
kretprobe:kvm_unmap_gfn_range /@hole[tid] == 1/ { @hole[tid] = 2; @unmaps = count(); }
tracepoint:filemap:mm_filemap_delete_from_page_cache /@hole[tid] == 1/ { @early = count(); }
tracepoint:filemap:mm_filemap_delete_from_page_cache /@hole[tid] == 2/ { @pages = count(); }
kprobe:kvm_mmu_invalidate_end /@hole[tid] == 2/ { delete(@hole[tid]); @holes = count(); }
'

@test "a hole is one in the guest's mappings before the pages go" {
	local build=$BATS_TEST_DIRNAME/../../build

	bpftrace -f json -e "$hole" -c \
		"$build/gmemload --json hole.out --guest churn,mem=256K,iterations=3" >hole.json 3>&-
	cat hole.json
	found()
	{
		jq -s "map(select(.type == \"map\") | .data) | add | .[\"@$1\"] // 0" hole.json
	}
	[ "$(found holes)" -ge 3 ]
	[ "$(found unmaps)" -ge "$(found holes)" ]
	# The first one finds nothing to free.
	[ "$(found pages)" -eq "$(jq -s 'map(select(.summary) | .punched_pages) | add - 64' hole.out)" ]
	[ "$(found early)" -eq 0 ]
}

# by_each NUMBER GUEST KEY: perf and trace-cmd counted as many
by_each()
{
	local perf=perf_$2_$3 trace_cmd=trace_cmd_$2_$3

	echo "$2, $3: perf ${!perf-0}, trace-cmd ${!trace_cmd-0}, should be $1"
	[ "${!perf-0}" -eq "$1" ]
	[ "${!trace_cmd-0}" -eq "$1" ]
}

# by_bpftrace NUMBER GUEST KEY
by_bpftrace()
{
	local vm=perf_$2_vm map

	map=bpftrace_vm${!vm}_$3
	echo "$2, $3: bpftrace ${!map-0}, should be $1; it has:"
	grep "^bpftrace.*_${3##*_}=" numbers
	[ "${!map-0}" -eq "$1" ]
}

@test "conversions are as many as gmemload made" {
	source numbers
	# One more, of all memory, before the guest starts.
	by_each $((load_pingpong_conversions + 1)) pingpong conversions
	by_each $((load_pingpong_pages_to_private + 256)) pingpong pages_to_private
	by_each "$load_pingpong_pages_to_shared" pingpong pages_to_shared
	by_bpftrace $((load_pingpong_conversions + 1)) pingpong 0_converts
	by_bpftrace $((load_pingpong_pages_to_private + 256)) pingpong 8_changed
	by_bpftrace "$load_pingpong_pages_to_shared" pingpong 0_changed
	by_each 1 churn conversions
}

@test "faults and freed pages are as many as gmemload made" {
	source numbers
	by_each "$load_churn_touched" churn touched
	by_bpftrace "$load_churn_touched" churn 0_faults
	by_each "$load_churn_steps" churn punches
	# The first step finds nothing to free, and the last leaves its pages.
	by_each $((load_churn_punched_pages - 64)) churn freed_by_punch_hole
	by_each 64 churn freed_by_release
}

@test "denials are as many as gmemload met and gmempolicy counts" {
	local policy

	source numbers
	[ "$load_pingpong_refused" -gt 0 ]
	by_each "$load_pingpong_refused" pingpong denials
	by_each "$load_pingpong_refused" pingpong refused
	# bpftrace 0.22 and 0.23 find no string whose place is in the event (its
	# pull request 4238).
	case $(bpftrace --version) in
	*v0.2[23].*) policy= ;;
	*) policy=ratelimit ;;
	esac
	by_bpftrace "$load_pingpong_refused" pingpong "${policy}_1_16_verdicts"
	[ "$(jq '.attached[0].denied' policies.json)" -eq "$load_pingpong_refused" ]
}

@test "verdicts name policy and hook, and tell denial, delay and audit" {
	trace-cmd report verdicts.trace | sed -n 's/^.*: kvm_gmem_verdict: *//p' | mask |
		uniq -c | awk '{ $1 = $1; print }' | diff - <(cat <<END
1 vm V policy fault hook fault verdict -122
1 vm V policy audit hook convert verdict -16 audit
1 vm V policy audit hook fault verdict 1000000000 audit
3 vm V policy delay hook convert verdict 1000
6 vm V policy delay hook fault verdict 1000
END
		)
}

teardown()
{
	[ ! -e stat.pid ] || kill -KILL "$(cat stat.pid)" 2>/dev/null || :
}

# within 60 s
until_true()
{
	local i

	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "not true after 60 s: $*"
	return 1
}

# stopped PID: all its threads are
stopped()
{
	awk '$1 == "State:" && $2 != "T" { runs = 1 } END { exit runs }' /proc/"$1"/task/*/status
}

# A guest that is stopped in the middle of its work holds still for comparing.
@test "kvm_stat shows every counter of a guest, with what others say of it" {
	local build=$BATS_TEST_DIRNAME/../../build kvm_stat guest field value lines ahead

	kvm_stat=$(realpath "$build/selftests/source")/../../../kvm/kvm_stat/kvm_stat
	: >stat.out
	"$build/gmemload" --json stat.out --interval 0.2 --pidfile stat.guests \
		--guest pingpong,mem=1M,range=16K,rate=200 2>stat.err 3>&- &
	echo $! >stat.pid
	until_true test -s stat.guests
	until_true jq -es 'map(.conversions) | add > 50' stat.out
	guest=$(awk '{ print $2 }' stat.guests)
	kill -STOP "$guest"
	until_true stopped "$guest"
	# gmemload goes on reporting. The first line may be from before the stop,
	# and the second has all that the guest has done.
	lines=$(wc -l <stat.out)
	until_true eval '[ "$(wc -l <stat.out)" -ge $((lines + 2)) ]'

	"$kvm_stat" -d -i -1 -p "$guest" -f '^gmem_' >stat.shown
	"$build/gmemtop" --json -n 1 >stat.top
	jq -s 'map(select(.summary | not))' stat.out >stat.load
	cat stat.shown
	(cd /sys/kernel/debug/kvm/"$guest"-*/ && grep -H . gmem_*) | tr : ' ' | sort >stat.debugfs
	[ "$(wc -l <stat.debugfs)" -eq 4 ]
	awk '{ print $1, $2 }' stat.shown | sort | diff stat.debugfs -
	# Nothing happens while it is stopped.
	awk '$3 != 0 { exit 1 }' stat.shown

	shown()
	{
		awk -v field="gmem_$1" '$1 == field { print $2 }' stat.shown
	}
	# What kvm_stat does not have.
	counted()
	{
		jq --argjson pid "$guest" ".vms[] | select(.pid == \$pid) | .$1" stat.top
	}
	loaded()
	{
		jq "map(.$1) | add" stat.load
	}
	# One more, of all memory, before the guest starts. And one of 4 pages may
	# be done but not yet counted by the guest.
	ahead=$(($(shown conversions) - $(loaded conversions) - 1))
	echo "conversions: kvm_stat is $ahead ahead"
	[ "$ahead" -eq 0 ] || [ "$ahead" -eq 1 ]
	[ $(($(counted pages_to_private) + $(counted pages_to_shared))) -eq \
		$(($(loaded pages_to_private) + $(loaded pages_to_shared) + 256 + 4 * ahead)) ]
	value=$(($(counted pages_to_shared) - $(loaded pages_to_shared)))
	[ "$value" -eq 0 ] || [ "$value" -eq $((4 * ahead)) ]
	[ "$(shown populated_pages)" -eq "$(counted populated_pages)" ]
	[ "$(shown conversions)" -eq "$(counted conversions)" ]
	[ "$(shown faults)" -eq "$(counted faults_vcpu)" ]

	kill -CONT "$guest"
	"$kvm_stat" -d -1 -p "$guest" -f '^gmem_conversions$' >stat.moving
	cat stat.moving
	awk '$1 == "gmem_conversions" && $3 > 0 { found = 1 } END { exit !found }' stat.moving
	kill -INT "$(cat stat.pid)"
	wait "$(cat stat.pid)"
	rm stat.pid
}
