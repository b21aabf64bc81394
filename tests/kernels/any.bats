#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop and gmempolicy on kernels that have nothing of gmem. Which guests there are
# differs (lib.sh: kind_of_guest), and so does what can be seen; that what is seen is
# right, and that what is refused is refused, does not. As root in a test VM.

bats_require_minimum_version 1.5.0

. "$BATS_TEST_DIRNAME/lib.sh"

setup_file()
{
	export TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export PATH=$TOP/build:$PATH
	export KIND=$(kind_of_guest) KERNEL=$(this_kernel)
	mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
	# Whoever is not root can come here, too.
	chmod 755 "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
	cd "$BATS_FILE_TMPDIR" || return
	# A guest that all tests look at.
	case $KIND in
	private) guest pingpong --name seen --mem 8M --rate 50 ;;
	mapped) guest steady --plain --name seen --mem 8M --rate 50 ;;
	none) vm seen 0 ;;
	esac
}

teardown_file()
{
	end "$(cat "$BATS_FILE_TMPDIR/seen.job")"
}

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
}

teardown()
{
	local job

	gmempolicy detach --all >/dev/null 2>&1 || :
	for job in "$BATS_TEST_TMPDIR"/*.job; do
		[ ! -e "$job" ] || end "$(cat "$job")"
	done
}

# guest PATTERN --name NAME ARG...: runs gmemload; NAME.pid is its guest's process
guest()
{
	gmemload "$@" --pidfile "$3.pids" --json "$3.json" 2>"$3.err" 3>&- &
	echo $! >"$3.job"
	wait_for 120 test -s "$3.pids" || { cat "$3.err" >&2; return 1; }
	cut -d' ' -f2 "$3.pids" >"$3.pid"
}

# vm NAME RATE [COUNT [PAGES]]: a VM without a guest, which asks to convert
vm()
{
	"$TOP/tests/cli/vm.pl" "$@" >"$1.out" 2>&1 3>&- &
	echo $! | tee "$1.job" >"$1.pid"
	wait_for 60 grep -q ready "$1.out"
}

end()
{
	kill -CONT "$1" 2>/dev/null || :
	kill "$1" 2>/dev/null || :
	wait_for 30 gone "$1" || kill -KILL "$1"
}

gone()
{
	! grep -qs '^State:	[^Z]' "/proc/$1/status"
}

# sample [SECONDS]: what gmemtop sees, with rates over so long, in frame.json
sample()
{
	gmemtop --json -n 2 -d "${1:-0.5}" | tail -n 1 >frame.json
}

# of NAME EXPRESSION: of a VM in frame.json
of()
{
	jq -r --arg name "$1" ".vms[] | select(.name == \$name) | $2" frame.json
}

# came_of NAME OUTCOME: how many requests of a VM that has ended ended so
came_of()
{
	tail -n 1 "$1.out" | jq ".$2"
}

# finish NAME: ends it, so that it tells what came of it
finish()
{
	end "$(cat "$1.job")"
	rm "$1.job"
}

open_vms()
{
	find /proc/[0-9]*/fd -lname 'anon_inode:kvm-vm' 2>/dev/null | wc -l
}

# programs: what of ours is loaded; the tools' names begin so
programs()
{
	bpftool prog show --json 2>/dev/null | jq -r '.[].name // empty' | grep -cE '^(walk_|stock_|lsm_|count_)' || :
}

# --------------------------------------------------------------------------- see

@test "the source of figures is named, and what this kernel lacks" {
	run gmemtop --version
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"source: stock"* ]]
	[[ $output == *"missing: "*"gmem-dkms adds "* ]]
	if [ "$KIND" = private ]; then
		[[ $output != *"no type of VM with private memory"* ]]
	else
		[[ $output == *"no type of VM with private memory"* ]]
	fi
	run gmemtop -b -n 1
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "gmemtop "*" stock" ]]
	[[ $output == *"gmem-dkms"* ]]
}

@test "VMs are those whose files are open in /proc" {
	for i in 1 2 3; do
		vm "many$i" 0
	done
	sample
	[ "$(jq '.vms | length' frame.json)" -eq "$(open_vms)" ]
	[ "$(jq '[.vms[].id] | unique | length' frame.json)" -eq "$(open_vms)" ]
	for i in 1 2 3; do
		[ "$(of "many$i" .pid)" -eq "$(cat "many$i.pid")" ]
		[ "$(of "many$i" .populated_pages)" -eq 0 ]
	done
	[ "$(of seen .pid)" -eq "$(cat "$BATS_FILE_TMPDIR/seen.pid")" ]
}

@test "an id is a VM's while it lives, and never another's" {
	vm first 0
	vm second 0
	sample
	of first .id >ids
	of second .id >>ids
	seen=$(of seen .id)
	finish first
	for i in 1 2 3 4 5; do
		vm "later$i" 0
		sample
		[ "$(of second .id)" -eq "$(sed -n 2p ids)" ]
		[ "$(of seen .id)" -eq "$seen" ]
		of "later$i" .id >>ids
		[ -z "$(of first .id)" ]
		finish "later$i"
	done
	[ "$(sort -u ids | wc -l)" -eq 7 ]
}

@test "what cannot be known is - in the table, null in JSON, and no series" {
	sample
	[ "$(of seen .rates.delayed)" = null ]
	gmemtop -b -n 1 --vm seen --fields id,private,stale,populated,delayed >table
	cat table
	read -r id private stale populated delayed < <(tail -n 1 table)
	[ "$id" -eq "$(of seen .id)" ]
	[ "$populated" != - ]
	[ "$delayed" = - ]
	# Where nothing can be private, that is known.
	if [ "$KIND" = private ]; then
		[ "$private $stale" = "- -" ]
		[ "$(of seen .private_pages)" = null ]
		[ "$(of seen .stale_pages)" = null ]
	else
		[ "$private $stale" = "0K 0K" ]
		[ "$(of seen .private_pages)" -eq 0 ]
	fi
	gmemtop export --textfile .
	cat ./*.prom >metrics
	run ! grep -q '^gmem_vm_delay_seconds_total{' metrics
	[ "$KIND" != private ] || run ! grep -q '^gmem_vm_private_bytes{' metrics
	grep -q '^gmem_vm_populated_bytes{' metrics
}

# The guest stops, so that gmemtop and /proc/meminfo tell of the same moment.
populated_and_cached()
{
	kill -STOP "$(cat filling.pid)"
	sample 0.1
	populated=$(($(of filling .populated_pages) * 4))
	cached=$(awk '/^Cached:/ { print $2 }' /proc/meminfo)
	kill -CONT "$(cat filling.pid)"
}

filled_to()
{
	sample 0.1
	[ "$(of filling .populated_pages)" -ge "$1" ]
}

@test "populated memory is, within 1 %, what /proc/meminfo has more" {
	case $KIND in
	private) guest steady --name filling --mem 160M --rate 200 ;;
	mapped) guest steady --name filling --mem 160M --rate 200 --plain ;;
	none) skip "no VM has a guest_memfd on this kernel" ;;
	esac
	# What gmemtop itself reads is in the page cache from now on.
	filled_to 1
	populated_and_cached
	was=$populated
	had=$cached
	wait_for 200 filled_to $((was / 4 + 24576))
	populated_and_cached
	took=$((cached - had))
	more=$((populated - was))
	echo "# populated $more KiB more, Cached $took KiB more" >&3
	[ "$more" -ge 98304 ]
	[ $((more - took)) -le $((took / 100)) ]
	[ $((took - more)) -le $((took / 100)) ]
	[ "$(of filling .size_pages)" -eq 40960 ]
	[ "$(of filling '.total_pages >= .populated_pages')" = true ]
}

@test "what was counted while someone looked is what gmemload counted" {
	[ "$KIND" = private ] || skip "no guest converts on this kernel"
	guest pingpong --name counted --mem 4M --rate 100 --interval 0.2
	gmemtop --json -n 12 -d 0.5 --vm counted >frames.json
	finish counted
	# Between the first sample and the last of them, by the clock of the kernel.
	run jq -s -e '[.[].vms[0].conversions] | map(select(. != null)) |
		length >= 10 and (. == sort) and .[-1] - .[0] > 200' frames.json
	echo "$output"
	[ "$status" -eq 0 ]
	rate=$(jq -s '(.[-1].vms[0].conversions - .[1].vms[0].conversions) /
		((.[-1].time_ns - .[1].time_ns) / 1e9)' frames.json)
	# gmemload keeps its rate; both are given the same 5 %.
	witness=$(jq -s '[.[] | select(.summary | not)] | (map(.conversions) | add) / (map(.dt // 0.2) | add)' counted.json)
	echo "gmemtop $rate/s, gmemload $witness/s"
	jq -n -e --argjson a "$rate" --argjson b "$witness" '($a - $b | fabs) <= $b * 0.05'
}

@test "a hostile name is shown as text" {
	vm $'\e[31mred\x7f' 0
	gmemtop -b -n 1 >table
	[ "$(LC_ALL=C grep -c '[^ -~]' table)" -eq 0 ]
	grep -qF '?[31mred?' table
}

@test "who is not root sees nothing, and is told in one line" {
	run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups "$TOP/build/gmemtop" -b -n 1
	echo "$stderr"
	[ "$status" -ne 0 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups "$TOP/build/gmempolicy" attach deny --all
	echo "$stderr"
	[ "$status" -ne 0 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

no_programs()
{
	[ "$(programs)" -eq 0 ]
}

@test "nothing is left of a gmemtop that is killed" {
	wait_for 10 no_programs
	gmemtop --json -d 0.2 >/dev/null 3>&- &
	echo $! >killed.job
	some_programs()
	{
		[ "$(programs)" -gt 0 ]
	}
	wait_for 60 some_programs
	kill -KILL "$(cat killed.job)"
	wait_for 20 no_programs
}

# ------------------------------------------------------------------------- govern

@test "deny refuses all that is asked, and is counted exactly" {
	gmempolicy attach deny --all 2>said
	cat said
	vm asker 50
	sleep 4
	finish asker
	cat asker.out
	[ "$(came_of asker perm)" -gt 50 ]
	[ "$(came_of asker ok)" -eq 0 ]
	[ "$(came_of asker busy)" -eq 0 ]
	[ "$(came_of asker other)" -eq 0 ]
	if [ "$KIND" != private ]; then
		denied=$(gmempolicy list --json | jq '.attached[0].denied')
		[ "$denied" -eq "$(came_of asker perm)" ]
	fi
}

@test "a policy that is detached refuses nothing any more, and leaves nothing" {
	gmempolicy attach deny --all
	[ -n "$(ls -A /sys/fs/bpf/gmem)" ]
	gmempolicy detach --all
	[ -z "$(ls -A /sys/fs/bpf/gmem 2>/dev/null)" ]
	no_programs
	vm asker 50
	sleep 1
	finish asker
	[ "$(came_of asker perm)" -eq 0 ]
	[ "$(came_of asker busy)" -eq 0 ]
	if [ "$KIND" = private ]; then
		[ "$(came_of asker other)" -eq 0 ]
	else
		[ "$(came_of asker ok)" -eq 0 ]
	fi
}

@test "a policy for one VM is for no other" {
	vm held 50
	vm free 50
	sample 0.1
	gmempolicy attach deny --vm "$(of held .id)"
	sleep 2
	gmempolicy detach --all
	finish held
	finish free
	[ "$(came_of held perm)" -gt 20 ]
	[ "$(came_of free perm)" -eq 0 ]
}

@test "ratelimit lets through its rate, and what it refuses is counted exactly" {
	vm limited -1
	sample 0.1
	gmempolicy attach ratelimit --vm "$(of limited .id)" --set rate=50 --set burst=1
	sleep 2
	for i in 1 2; do
		gmempolicy list --json | jq '.attached[0] | {allowed, denied, calls}' >"counts.$i"
		date +%s.%N >"time.$i"
		[ "$i" -eq 2 ] || sleep 20
	done
	finish limited
	cat counts.* limited.out
	gmempolicy list --json | jq '.attached[0]' >end
	# The VM's own count is the witness; all that was asked for after the attach is
	# the policy's, and before it nothing was EBUSY.
	[ "$(jq .denied end)" -eq "$(came_of limited busy)" ]
	[ "$(jq .denied end)" -gt 1000 ]
	jq -n -e --slurpfile a counts.1 --slurpfile b counts.2 --argjson s "$(cat time.1)" --argjson e "$(cat time.2)" \
		'(($b[0].allowed - $a[0].allowed) / ($e - $s)) as $rate | ($rate | debug) >= 47.5 and $rate <= 52.5'
}

@test "ratelimit holds a guest to its rate, with gmemload as the witness" {
	[ "$KIND" = private ] || skip "no guest converts on this kernel"
	guest pingpong --name limited --mem 4M --rate max --interval 0.5
	sample 0.1
	gmempolicy attach ratelimit --vm "$(of limited .id)" --set rate=40 --set burst=1
	sleep 24
	finish limited
	gmempolicy list --json | jq '.attached[0]' >end
	jq -s 'map(select(.summary)) | last' limited.json >summary.json
	cat end summary.json
	# Exactly: nobody else asks, and it was never refused before.
	[ "$(jq .denied end)" -eq "$(jq .refused summary.json)" ]
	[ "$(jq .denied end)" -gt 100 ]
	[ "$(jq .allowed end)" -le "$(jq .conversions summary.json)" ]
	# Of the whole intervals under the policy, but for the first two seconds.
	run jq -s -e '[.[] | select(.summary | not)] | (map(select(.refused > 0)) | .[4:-1]) as $held |
		($held | map(.conversions) | add) as $n | ($held[-1].t - $held[0].t) as $t |
		($held[1:] | map(.conversions) | add) / $t | debug | . >= 38 and . <= 42' limited.json
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(jq -r .status summary.json)" = ok ]
}

@test "audit refuses nothing, and counts what it would have" {
	vm asker 20
	gmempolicy attach deny --all --audit
	sleep 3
	finish asker
	[ "$(came_of asker perm)" -eq 0 ]
	[ "$(gmempolicy list --json | jq '.attached[0].denied')" -gt 10 ]
}

@test "what is not enforced is said at attach and by show" {
	run gmempolicy attach ratelimit --all
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *delay* ]]
	[[ $output == *fault* ]]
	run gmempolicy show ratelimit
	echo "$output"
	[[ $output == *delay* ]]
	[[ $output == *fault* ]]
}

@test "policies of faults are refused in one line that says what to do" {
	run --separate-stderr gmempolicy attach faultrate --all
	echo "$stderr"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "gmempolicy: "*fault*gmem-dkms* ]]
	no_programs
}

@test "an argument that cannot be read changes nothing and hurts nobody" {
	gmempolicy attach deny --all
	run perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die;
		my $fd = ioctl($kvm, 0xae01, 0) or die;
		open(my $vm, "+<&=", $fd + 0) or die;
		# A pointer that leads nowhere, and one into the kernel.
		for my $at (1, 0xffffffff81000000) {
			my $r = syscall(16, fileno($vm), 0x4020aed2, $at);
			print $! + 0, "\n";
		}
	'
	echo "$output"
	[ "$output" = $'14\n14' ]
}

@test "files that are none of KVM's are not asked about" {
	gmempolicy attach deny --all
	before=$(gmempolicy list --json | jq '.attached[0].calls')
	# The same number, on a file of another kind.
	run perl -e 'open(my $f, "<", "/dev/null"); my $x = "\0" x 128; ioctl($f, 0x4020aed2, $x); print $! + 0'
	[ "$output" -eq 25 ]
	[ "$KIND" = private ] || [ "$(gmempolicy list --json | jq '.attached[0].calls')" -eq "$before" ]
}

# -------------------------------------------------------------------------- all of it

@test "docs/kernels.md says of this kernel what is found" {
	"$TOP/tests/kernels/probe" >probe.json
	[ -z "${GMEM_RESULTS-}" ] || cp probe.json "$GMEM_RESULTS/probe.json"
	"$TOP/tests/kernels/table" probe.json >&3
	"$TOP/tests/kernels/table" --check "$TOP/docs/kernels.md" probe.json
}
