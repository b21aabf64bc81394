#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop and gmempolicy on kernels that have nothing of gmem. Which guests there are
# differs (lib.sh: kind_of_guest), and so does what can be seen; that what is seen is
# right, and that what is refused is refused, does not. As root in a test VM.

. "$BATS_TEST_DIRNAME/../cli/gmempolicy.bash"
. "$BATS_TEST_DIRNAME/lib.sh"

setup_file()
{
	use_build
	export KIND=$(kind_of_guest)
	mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
	# A guest that all tests look at.
	case $KIND in
	private) start_guests seen pingpong --name seen --mem 8M --rate 50 ;;
	mapped) start_guests seen steady --plain --name seen --mem 8M --rate 50 ;;
	none) start_vm seen seen 0 ;;
	esac
}

teardown_file()
{
	stop_vm seen
	stop_guests seen
}

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
}

teardown()
{
	gmempolicy detach --all >/dev/null 2>&1 || :
	stop_vm one two three
	stop_guests load
}

# end_vm LABEL: what came of its requests is known then
end_vm()
{
	stop_vm "$1"
	wait_for 30 grep -q '^{' "$BATS_FILE_TMPDIR/$1.vm"
}

# look: what all VMs are now, for of; without rates, for which KVM would be traced
look()
{
	frame=$(gmemtop --json --once)
}

# programs: how many BPF programs there are, of whoever
programs()
{
	bpftool prog show --json | jq length
}

at_rest()
{
	[ "$(programs)" -eq "$before" ]
}

# --------------------------------------------------------------------------- see

@test "the source of figures is named, and what this kernel lacks" {
	run gmemtop --version
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"source: stock"* ]]
	[[ $output == *"gmem-dkms adds "* ]]
	run -0 gmempolicy --version
	[[ $output == *"source: stock"* ]]
	run gmemtop -b --once
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "gmemtop "*" stock"* ]]
	case $KIND in
	private) [[ ${lines[0]} != *"no type of VM"* ]] ;;
	*) [[ ${lines[0]} == *"no memory is private, as KVM has no type of VM for it here"* ]] ;;
	esac
}

@test "VMs are those whose files are open in /proc" {
	start_vm one first
	start_vm two second
	start_vm three third
	look
	open_vms=$(find /proc/[0-9]*/fd -lname 'anon_inode:kvm-vm' 2>/dev/null | wc -l)
	[ "$open_vms" -eq 4 ]
	[ "$(jq '.vms | length' <<<"$frame")" -eq 4 ]
	[ "$(jq '[.vms[].id] | unique | length' <<<"$frame")" -eq 4 ]
	[ "$(of first pid)" -eq "$(cat "$BATS_FILE_TMPDIR/one.vm.pid")" ]
	[ "$(of third pid)" -eq "$(cat "$BATS_FILE_TMPDIR/three.vm.pid")" ]
	[ "$(of second populated_pages)" -eq 0 ]
	[ "$(of second cgroup)" = '"/"' ]
	[ "$(of second rss_pages)" -gt 0 ]
}

@test "an id is a VM's while it lives, and never another's" {
	start_vm one lasting
	look
	lasting=$(of lasting id)
	seen=$(of seen id)
	echo "$lasting $seen" | tr ' ' '\n' >ids
	for i in 1 2 3 4 5; do
		start_vm two short
		look
		[ "$(of lasting id)" -eq "$lasting" ]
		[ "$(of seen id)" -eq "$seen" ]
		[ "$(of short id | wc -w)" -eq 1 ]
		of short id >>ids
		stop_vm two
	done
	cat ids
	[ "$(sort -u ids | wc -l)" -eq 7 ]
}

@test "what cannot be known is - in the table, null in JSON, and no series" {
	watch_vms 0.2
	[ "$(of seen rates.delayed)" = null ]
	gmemtop -b --once --vm seen --fields id,private,stale,populated,delayed >table
	cat table
	read -r id private stale populated delayed < <(tail -n 1 table)
	[ "$id" -eq "$(of seen id)" ]
	[ "$populated" != - ]
	[ "$delayed" = - ]
	# Where nothing can be private, that is known.
	if [ "$KIND" = private ]; then
		[ "$private $stale" = "- -" ]
		[ "$(of seen private_pages)" = null ]
		[ "$(of seen stale_pages)" = null ]
	else
		[ "$private $stale" = "0K 0K" ]
		[ "$(of seen private_pages)" -eq 0 ]
	fi
	gmemtop export --textfile .
	run ! grep -q '^gmem_vm_delay_seconds_total{' ./*.prom
	[ "$KIND" != private ] || run ! grep -q '^gmem_vm_private_bytes{' ./*.prom
	grep -q '^gmem_vm_populated_bytes{' ./*.prom
}

cached()
{
	awk '/^Cached:/ { print $2 }' /proc/meminfo
}

cached_more_than()
{
	[ $(($(cached) - had)) -ge "$1" ]
}

@test "populated memory is, within 1 %, what /proc/meminfo has more" {
	local plain= guest was had more took
	[ "$KIND" != none ] || skip "no VM has a guest_memfd on this kernel"
	[ "$KIND" = private ] || plain=--plain
	# It is looked at while the guest is stopped, so that both tell of one moment.
	start_guests load steady --name filling --mem 256M --rate 200 $plain
	guest=$(guest_pid filling)
	kill -STOP "$guest"
	# What gmemtop itself reads is in the page cache from now on.
	look
	had=$(cached)
	look
	was=$(of filling populated_pages)
	kill -CONT "$guest"
	wait_for 200 cached_more_than 98304
	kill -STOP "$guest"
	took=$(($(cached) - had))
	look
	more=$((($(of filling populated_pages) - was) * 4))
	kill -CONT "$guest"
	echo "# populated $more KiB more, Cached $took KiB more" >&3
	[ $((more - took)) -le $((took / 100)) ]
	[ $((took - more)) -le $((took / 100)) ]
	[ "$(of filling size_pages)" -eq 65536 ]
	[ "$(of filling total_pages)" -ge "$(of filling populated_pages)" ]
}

@test "rates are those that gmemload has" {
	[ "$KIND" = private ] || skip "no guest converts on this kernel"
	start_guests load pingpong --name counted --mem 4M --rate 100 --interval 0.5
	gmemtop --json -n 2 -d 8 --vm counted | tail -n 1 >frame.json
	stop_guests load
	tail -n 1 frame.json | jq -c '.vms[0].rates'
	# In eight seconds a conversion more or less is nothing.
	run jq -s -e --argjson sees "$(jq '.vms[0].rates.conversions' frame.json)" '
		[.[] | select(.summary | not)][4:-4] | (map(.conversions) | add) / (.[-1].t - .[0].t + 0.5) |
		debug | . - $sees | fabs < 5' "$BATS_FILE_TMPDIR/load.json"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a hostile name is shown as text" {
	start_vm one $'\e[31mred\x7f'
	gmemtop -b --once >table
	[ "$(LC_ALL=C grep -c '[^ -~]' table)" -eq 0 ]
	grep -qF '?[31mred?' table
}

@test "who is not root sees nothing, and is told in one line" {
	local args

	for args in "gmemtop -b --once" "gmempolicy attach deny --all" "gmempolicy list"; do
		# shellcheck disable=SC2086 # its words
		run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all $args
		echo "$args: $output $stderr"
		[ "$status" -eq 1 ]
		[ -z "$output" ]
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
}

more_programs()
{
	[ "$(programs)" -gt "$before" ]
}

@test "nothing is left of a gmemtop that is killed" {
	local before=$(programs)

	gmemtop --json -d 0.2 >/dev/null 3>&- &
	job=$!
	wait_for 60 more_programs
	sleep 1
	kill -KILL "$job"
	wait_for 20 at_rest
}

# ------------------------------------------------------------------------- govern

@test "deny refuses all that is asked, and counts it exactly" {
	start_vm one asker 50
	look
	gmempolicy attach deny --vm "$(of asker id)"
	sleep 3
	end_vm one
	cat "$BATS_FILE_TMPDIR/one.vm"
	[ "$(came_of one perm)" -gt 50 ]
	[ "$(came_of one busy)" -eq 0 ]
	[ "$(attached | jq .denied)" -eq "$(came_of one perm)" ]
	[ "$(attached | jq .calls)" -eq "$(came_of one perm)" ]
}

@test "a policy that is detached refuses nothing, and leaves nothing" {
	local before=$(programs)

	gmempolicy attach deny --all
	[ -n "$(ls -A $PINS)" ]
	[ "$(programs)" -gt "$before" ]
	gmempolicy detach --all
	wait_for 20 at_rest
	nothing_left
	start_vm one asker 50
	sleep 1
	end_vm one
	[ "$(came_of one perm)" -eq 0 ]
	[ "$(came_of one busy)" -eq 0 ]
}

@test "a policy for one VM is for no other" {
	start_vm one held 50
	start_vm two free 50
	look
	gmempolicy attach deny --vm "$(of held id)"
	sleep 2
	gmempolicy detach --all
	end_vm one
	end_vm two
	[ "$(came_of one perm)" -gt 20 ]
	[ "$(came_of two perm)" -eq 0 ]
}

@test "ratelimit lets through its rate, and what it refuses is counted exactly" {
	start_vm one limited -1
	look
	gmempolicy attach ratelimit --vm "$(of limited id)" --set rate=50 --set burst=5
	sleep 2
	for i in 1 2; do
		attached >"counts.$i"
		seconds >"time.$i"
		[ "$i" -eq 2 ] || sleep 20
	done
	end_vm one
	attached >end
	cat end "$BATS_FILE_TMPDIR/one.vm"
	# The VM's own count is the witness. Nothing else is EBUSY.
	[ "$(jq .denied end)" -eq "$(came_of one busy)" ]
	[ "$(jq .denied end)" -gt 1000 ]
	run jq -n -e --slurpfile a counts.1 --slurpfile b counts.2 --argjson s "$(cat time.1)" \
		--argjson e "$(cat time.2)" \
		'($b[0].allowed - $a[0].allowed) / ($e - $s) | debug | . >= 47.5 and . <= 52.5'
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "ratelimit holds a guest to its rate, with gmemload as the witness" {
	[ "$KIND" = private ] || skip "no guest converts on this kernel"
	start_guests load pingpong --name limited --mem 4M --rate max --interval 0.5
	look
	gmempolicy attach ratelimit --vm "$(of limited id)" --set rate=40 --set burst=4
	sleep 24
	stop_guests load
	attached >end
	jq 'select(.summary)' "$BATS_FILE_TMPDIR/load.json" >summary.json
	cat end
	jq -c '{conversions, refused, errors, status}' summary.json
	[ "$(jq -r .status summary.json)" = ok ]
	# Nobody else asks, and it was never refused before.
	[ "$(jq .denied end)" -eq "$(jq .refused summary.json)" ]
	[ "$(jq .denied end)" -gt 100 ]
	# Of the intervals that were under the policy from end to end, but for the first ones.
	run jq -s -e '[.[] | select((.summary | not) and .refused > 0)][4:-1] |
		(.[1:] | map(.conversions) | add) / (.[-1].t - .[0].t) | debug | . >= 38 and . <= 42' \
		"$BATS_FILE_TMPDIR/load.json"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "audit refuses nothing, and counts what it would have" {
	start_vm one asker 20
	gmempolicy attach deny --all --audit
	sleep 3
	end_vm one
	[ "$(came_of one perm)" -eq 0 ]
	[ "$(attached | jq .denied)" -gt 10 ]
}

@test "what is not enforced is said at attach and by show" {
	run --separate-stderr gmempolicy attach ratelimit --all
	echo "$stderr"
	[ "$status" -eq 0 ]
	[[ $stderr == *"does not enforce"*delay*fault* ]]
	run gmempolicy show ratelimit
	echo "$output"
	[[ $output == *delay*fault* ]]
}

@test "each policy of conversions can be attached, whatever this kernel's verifier thinks" {
	for name in audit deny fragment pingpong ratelimit sharedcap; do
		run gmempolicy attach $name --all
		echo "$output"
		[ "$status" -eq 0 ]
		gmempolicy detach $name-all
	done
	nothing_left
}

@test "policies of faults are refused in one line that says what to do" {
	for name in faultrate quota guard; do
		refuses 1 "gmem-dkms" attach $name --all
	done
	nothing_left
}

@test "an argument that cannot be read is refused, and does no harm" {
	gmempolicy attach deny --all
	run perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die;
		my $fd = ioctl($kvm, 0xae01, 0) or die;
		# A pointer that leads nowhere, and one into the kernel.
		for my $at (1, 0xffffffff81000000) {
			syscall(16, $fd + 0, 0x4020aed2, $at);
			print $! + 0, "\n";
		}
	'
	echo "$output"
	[ "$output" = $'14\n14' ]
}

@test "files that are none of KVM's are not asked about" {
	gmempolicy attach deny --all
	# The same number, on a file of another kind: ENOTTY.
	run perl -e 'open(my $f, "<", "/dev/null"); my $x = "\0" x 128; ioctl($f, 0x4020aed2, $x); print $! + 0'
	[ "$output" -eq 25 ]
	[ "$KIND" = private ] || [ "$(attached | jq .calls)" -eq 0 ]
}

# ---------------------------------------------------------------------- all of it

@test "docs/kernels.md says of this kernel what is found" {
	"$TOP/tests/kernels/probe" >probe.json
	[ -z "${GMEM_RESULTS-}" ] || cp probe.json "$GMEM_RESULTS/probe.json"
	"$TOP/tests/kernels/table" probe.json >&3
	"$TOP/tests/kernels/table" --check "$TOP/docs/kernels.md" probe.json
}
