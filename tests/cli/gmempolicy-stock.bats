#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy on a kernel that has nothing of gmem, where BPF's LSM asks policies
# before an ioctl converts memory. What a policy says it did is compared with what its
# VM saw. Run as root in the VM:
#	tests/vm/run --kernel baseline -- bats tests/cli/gmempolicy-stock.bats

load gmempolicy

RATE=100

setup_file()
{
	use_build
}

teardown()
{
	gmempolicy detach --all >/dev/null 2>&1
	stop_vm one two
	stop_guests abuser
}

# with_vm TYPE: runs the Perl on standard input with a VM of that type, whose memory is
# PAGES pages from PLACE on. convert(PAGE, PAGES, ATTRIBUTES) returns 0 or the errno;
# waiting_thread(the same) has a thread do it, which is there until it is ended(THREAD).
with_vm()
{
	run perl -e '
		use threads;
		use constant { PLACE => 0x100000, PAGES => 1024, PRIVATE => 8 };
		use constant { EBUSY => 16, EINVAL => 22, ENOSPC => 28, EDQUOT => 122 };
		sub convert { my ($page, $pages, $to) = @_;
			return ioctl($vm, 0x4020aed2, pack("QQQQ", PLACE + $page * 4096,
				$pages * 4096, $to, 0)) ? 0 : $! + 0; }
		sub want { my ($name, $errno, $want) = @_;
			die "$name: $errno, not $want\n" if $errno != $want; }
		sub waiting_thread { my @what = @_;
			pipe(my $done, my $tell_done) and pipe(my $end, my $tell_end) or die;
			my $thread = threads->create(sub {
				my $errno = convert(@what);
				syswrite($tell_done, "d");
				sysread($end, my $byte, 1);
				return $errno; });
			sysread($done, my $byte, 1);
			return [$thread, $tell_end]; }
		sub ended { my ($thread, $tell_end) = @{$_[0]};
			syswrite($tell_end, "e");
			want("the thread", $thread->join, 0); }
		sub add_memory {
			my $create = pack("Q8", PAGES * 4096);
			my $memfd = ioctl($vm, 0xc040aed4, $create) or die "memfd: $!";
			my $at = syscall(9, 0, PAGES * 4096, 3, 0x22, -1, 0);
			ioctl($vm, 0x40a0ae49, pack("LLQQQQLLQ14", 0, 4, PLACE, PAGES * 4096,
				$at, 0, $memfd + 0, 0)) or die "memslot: $!"; }
		open(our $kvm, "+<", "/dev/kvm") or die;
		my $fd = ioctl($kvm, 0xae01, $ARGV[0] + 0) or die "a VM: $!";
		open(our $vm, "+<&=", $fd + 0) or die;
		add_memory() if $ARGV[0];
		my $then = do { local $/; <STDIN> };
		eval("$then; 1") or die $@;
	' "$1"
	echo "$output"
	[ "$status" -eq 0 ]
}

# attach ARGUMENT...: which tells what is not enforced, and nothing else.
attach()
{
	run --separate-stderr gmempolicy attach "$@"
	echo "status $status, stdout '$output', stderr '$stderr'"
	[ "$status" -eq 0 ]
	[[ $output == "attached "* ]]
	[[ ${stderr_lines[0]} == "gmempolicy: this kernel does not enforce delays: "* ]]
}

# end_vm LABEL: its own count of what came of its requests is complete then.
end_vm()
{
	kill -TERM "$(cat "$BATS_FILE_TMPDIR/$1.vm.pid")"
	wait_for 30 grep -q '^{' "$BATS_FILE_TMPDIR/$1.vm"
	rm "$BATS_FILE_TMPDIR/$1.vm.pid"
}

# Calls, allowed and denied of a pin.
counts()
{
	attached | jq -r --arg pin "$1" \
		'select(.pin == $pin) | "\(.calls) \(.allowed) \(.denied)"'
}

@test "deny refuses what one VM converts, and counts each refusal" {
	start_vm one first 50
	start_vm two second 50
	attach deny --vm "$(vm_of first)" --set error=EACCES
	local pin=deny-vm$(vm_of first)
	wait_for 30 eval '[ "$(policy '"$pin"' denied)" -gt 20 ]'
	[ "$(policy "$pin" vms)" -eq 1 ]
	[ "$(policy "$pin" state)" = active ]
	end_vm one
	end_vm two
	[ "$(counts "$pin")" = "$(came_of one other) 0 $(came_of one other)" ]
	[ "$(came_of one other)" -gt 20 ]
	[ "$(came_of two other)" -eq 0 ]
	[ "$(came_of two ok)" -gt 20 ]
	# What it knew of the VM went with it.
	[ "$(policy "$pin" state)" = "stale: VM gone" ]
	gmempolicy detach "$pin"
	nothing_left
}

@test "ratelimit lets a guest convert at its rate, and the others fail with EBUSY" {
	start_guests abuser pingpong --rate max
	# What is left over from a moment without the guest is not lost.
	attach ratelimit --all --set rate=$RATE --set burst=10
	sleep 2
	local before=$(counts ratelimit-all) began=$(seconds) after ended
	sleep 6
	after=$(counts ratelimit-all)
	ended=$(seconds)
	echo "# $before -> $after in $(bc <<<"$ended - $began") s" >&3
	read -r _ before _ <<<"$before"
	read -r _ after _ <<<"$after"
	# A row of the list is read within a tenth of a second.
	jq -ne "($after - $before) / ($ended - $began) |
		. > $RATE * 0.95 and . < $RATE * 1.05"
}

@test "what ratelimit let pass and refused is what the guest saw" {
	attach ratelimit --all --set rate=$RATE --set burst=1
	run gmemload pingpong --duration 8 --rate max --json -
	[ "$status" -eq 0 ]
	local last=$(grep '^{' <<<"$output" | tail -n 1)
	local ok=$(jq .conversions <<<"$last") refused=$(jq .refused <<<"$last")
	echo "# $ok let pass, $refused refused in $(jq .t <<<"$last") s; $(counts ratelimit-all)" >&3
	[ "$refused" -gt 0 ]
	[ "$(policy ratelimit-all denied)" -eq "$refused" ]
	# Its memory is made private first, which is no conversion of the guest's.
	[ "$(policy ratelimit-all allowed)" -eq $((ok + 1)) ]
}

@test "policies are asked about VMs' files only, once for each request that KVM takes" {
	start_vm one first
	attach deny --all
	run perl -e '
		use constant { SET => 0x4020aed2, SET2 => 0xc080aed2 };
		sub want { my ($name, $file, $cmd, $arg, $errno) = @_;
			my $did = ioctl($file, $cmd, $arg);
			die "$name: " . ($did ? "done" : $! + 0) . ", not $errno\n"
				if $did || $! != $errno; }
		my $good = pack("QQQQ", 0x100000, 4096, 8, 0);
		open(my $kvm, "+<", "/dev/kvm") or die;
		my $fd = ioctl($kvm, 0xae01, 1) or die;
		open(my $vm, "+<&=", $fd + 0) or die;
		my $vcpufd = ioctl($vm, 0xae41, 0) or die "vcpu: $!";
		open(my $vcpu, "+<&=", $vcpufd + 0) or die;
		open(my $file, "+>", "/tmp/kvm-vm") or die;
		pipe(my $in, my $out);
		want("a VM", $vm, SET, $good, 1);
		want("/dev/kvm", $kvm, SET, $good, 22);
		want("a vCPU", $vcpu, SET, $good, 22);
		want("a file of that name", $file, SET, $good, 25);
		want("a pipe", $in, SET, $good, 25);
		want("no page", $vm, SET, pack("QQQQ", 0x100000, 100, 8, 0), 22);
		want("nothing", $vm, SET, pack("QQQQ", 0x100000, 0, 8, 0), 22);
		want("too much", $vm, SET, pack("QQQQ", 1 << 63, (1 << 63) + 4096, 8, 0), 22);
		want("flags", $vm, SET, pack("QQQQ", 0x100000, 4096, 8, 1), 22);
		want("no such attribute", $vm, SET, pack("QQQQ", 0x100000, 4096, 128, 0), 22);
		want("no memory", $vm, SET, 8, 14);
		want("another ioctl", $vm, SET2, $good . "\0" x 96, 25);
		my $child = fork // die;
		if (!$child) {
			want("a VM of another process", $vm, SET, $good, 5);
			exit(0);
		}
		waitpid($child, 0);
		die if $?;
		want("the VM again", $vm, SET, $good, 1);
	'
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(counts deny-all)" = "2 0 2" ]
}

@test "policies are for VMs by id, process, name, cgroup, or all" {
	local cgroup=/sys/fs/cgroup/gmem-test-stock how pin
	start_vm one first 20
	start_vm two second 20
	mkdir -p $cgroup
	cat "$BATS_FILE_TMPDIR/one.vm.pid" >$cgroup/cgroup.procs
	pin=deny-vm$(vm_of first)
	for how in "--vm $(vm_of first)" "--pid $(cat "$BATS_FILE_TMPDIR/one.vm.pid")" \
		"--name fir*" "--cgroup /gmem-test-stock"; do
		# shellcheck disable=SC2086 # two words
		attach deny $how
		[ "$(attached | jq -r .pin)" = "$pin" ]
		gmempolicy detach "$pin"
		nothing_left
	done
	attach deny --all
	wait_for 30 eval '[ "$(policy deny-all vms)" -eq 2 ]'
	refuses 1 "no VM has the id 4000000001" attach ratelimit --vm 4000000001
	refuses 1 "no VM has a name that matches" attach ratelimit --name nobody
	end_vm one
	wait_for 30 eval '[ "$(policy deny-all vms)" -eq 1 ]'
	end_vm two
	wait_for 30 eval '[ "$(policy deny-all vms)" -eq 0 ]'
	rmdir $cgroup
}

@test "what was set comes into force at once, and mode and time are as asked for" {
	start_vm one first 200
	attach ratelimit --all --set rate=1000000 --for 1h
	[ "$(policy ratelimit-all left_s)" -gt 3500 ]
	wait_for 30 eval '[ "$(policy ratelimit-all allowed)" -gt 20 ]'
	[ "$(policy ratelimit-all denied)" -eq 0 ]
	gmempolicy set ratelimit-all rate=1 burst=1
	[ "$(param ratelimit-all rate)" = 1 ]
	wait_for 30 eval '[ "$(policy ratelimit-all denied)" -gt 20 ]'
	gmempolicy audit ratelimit-all
	[ "$(policy ratelimit-all mode)" = audit ]
	# It counts what it would do, and does nothing.
	local before=$(policy ratelimit-all denied)
	wait_for 30 eval '[ "$(policy ratelimit-all denied)" -gt $((before + 20)) ]'
	gmempolicy status ratelimit-all --state
	end_vm one
	[ "$(came_of one busy)" -lt "$(policy ratelimit-all denied)" ]
	# It asked before the policy was there, too.
	[ "$(policy ratelimit-all calls)" -gt "$(came_of one busy)" ]
	[ "$(policy ratelimit-all calls)" -le $(($(came_of one ok) + $(came_of one busy))) ]
}

@test "status says who is held back by what" {
	start_vm one first 100
	attach ratelimit --all --set rate=1 --set burst=1
	wait_for 30 eval '[ "$(policy ratelimit-all denied)" -gt 20 ]'
	run gmempolicy status
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "1 VM, 1 held back; 1 policy" ]]
	[[ $output == *first*ratelimit-all* ]]
	local verdict=$(gmempolicy status --json | jq -c '.verdicts[0]')
	[ "$(jq -r .pin <<<"$verdict")" = ratelimit-all ]
	[ "$(jq .denied <<<"$verdict")" -gt 20 ]
	[ "$(gmempolicy status --json | jq '.budgets | length')" -gt 0 ]
}

@test "a policy ends by itself" {
	start_vm one first 50
	attach deny --all --for 3
	wait_for 30 eval '[ "$(policy deny-all denied)" -gt 5 ]'
	wait_for 30 eval '[ "$(policy deny-all state)" = "ended: time is up" ]'
	local denied=$(policy deny-all denied)
	sleep 1
	[ "$(policy deny-all denied)" -eq "$denied" ]
	refuses 1 "has ended: its time is up" set deny-all error=EBUSY
	attach ratelimit --all
	[ "$(attached | jq -r .pin)" = ratelimit-all ]
	end_vm one
	[ "$(came_of one ok)" -gt 0 ]
}

@test "watch tells of refusals as they come" {
	start_vm one first 50
	attach deny --all
	run --separate-stderr gmempolicy watch --json --events 3
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
	[ "$(jq -r '"\(.name) \(.policy) \(.verdict) \(.mode) \(.hook)"' <<<"${lines[2]}")" = \
		"first deny deny EPERM enforce convert" ]
	# What was before is old news.
	run --separate-stderr gmempolicy watch --json --vm 4000000001 --seconds 1
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "several policies: the first that denies decides, and all can be detached" {
	start_vm one first 50
	attach audit --all
	attach deny --all
	wait_for 30 eval '[ "$(policy deny-all denied)" -gt 20 ]'
	[ "$(policy audit-all denied)" -eq 0 ]
	refuses 1 "attached already, as deny-all" attach deny --all
	run gmempolicy detach --all
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	nothing_left
	[ -z "$(bpftool_progs)" ]
}

# Programs of policies that are still loaded.
bpftool_progs()
{
	"$TOP/build/bpftool" prog show |
		grep -E 'name lsm_(ioctl|compat|changed|done|vm_release)' || :
}

# elements MAP: how many a map has, of the one policy that there is
elements()
{
	"$TOP/build/bpftool" map dump name "$1" -j | jq length
}

no_elements()
{
	[ "$(elements lsm_vms)" -eq 0 ] && [ "$(elements lsm_frames)" -eq 0 ] &&
		[ "$(elements vms)" -eq 0 ]
}

@test "what is known of a VM goes with it, also of one without a name in debugfs" {
	attach sharedcap --all
	perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die;
		my $first = ioctl($kvm, 0xae01, 1) or die;
		# KVM names the directory by process and descriptor, and has that already.
		syscall(33, $first + 0, 100) == 100 or die "dup2: $!";
		syscall(3, $first + 0);
		my $second = ioctl($kvm, 0xae01, 1) or die;
		die "$first, $second" if $first != $second;
		open(my $vm, "+<&=", $second + 0) or die;
		open(my $other, "+<&=", 100) or die;
		my $page = pack("QQQQ", 0x100000, 4096, 8, 0);
		ioctl($_, 0x4020aed2, $page) or die $! for ($vm, $other);
		open(my $f, ">", $ARGV[0]); close($f);
		sleep 1000;
	' "$BATS_TEST_TMPDIR/ready" 3>&- &
	wait_for 30 test -e "$BATS_TEST_TMPDIR/ready"
	gmemtop --json --once >"$BATS_TEST_TMPDIR/frame"
	# The one has its number, the other what is made of where it is.
	[ "$(jq '[.vms[].id >= pow(2; 51)] | sort | . == [false, true]' \
		"$BATS_TEST_TMPDIR/frame")" = true ]
	[ "$(elements lsm_vms)" -eq 2 ]
	[ "$(elements lsm_frames)" -eq 2 ]
	[ "$(elements vms)" -eq 2 ]
	kill -KILL $!
	wait_for 30 no_elements
}

@test "pingpong refuses what is converted back and forth, and not the rest" {
	start_vm one first 200
	attach pingpong --all --set free=4 --set window=60000 --set most_delay=1000
	wait_for 30 eval '[ "$(policy pingpong-all denied)" -gt 20 ]'
	[ "$(policy pingpong-all allowed)" -ge 4 ]
	end_vm one
	[ "$(policy pingpong-all denied)" -eq "$(came_of one busy)" ]
}

@test "fragment bounds the ranges of a new VM" {
	attach fragment --all --set ranges=10
	run gmemload fragment --rate max --iterations 64 --json -
	local last=$(grep '^{' <<<"$output" | tail -n 1)
	echo "$last"
	[ "$(policy fragment-all denied)" -gt 0 ]
	[ "$(policy fragment-all denied)" -eq "$(jq .refused <<<"$last")" ]
	# All private, and five pages shared: ten places where that changes.
	[ "$(jq .conversions <<<"$last")" -eq 5 ]
}

@test "sharedcap bounds what is shared" {
	attach sharedcap --all --set grace=0 --set percent=25
	run gmemload fragment --mem 4M --rate max --iterations 512 --json -
	local last=$(grep '^{' <<<"$output" | tail -n 1)
	echo "$last"
	[ "$(jq .pages_to_shared <<<"$last")" -eq 256 ]
	[ "$(policy sharedcap-all denied)" -eq "$(jq .refused <<<"$last")" ]
	[ "$(jq .refused <<<"$last")" -gt 0 ]
}

@test "fragment keeps its bound when vCPUs convert at once" {
	attach fragment --all --set ranges=10
	run gmemload fragment --vcpus 4 --rate max --iterations 500 --json -
	local last=$(grep '^{' <<<"$output" | tail -n 1)
	echo "$last"
	[ "$(policy fragment-all denied)" -eq "$(jq .refused <<<"$last")" ]
	# The fifth is at the begin of the memory, where there was such a place already.
	[ "$(jq .conversions <<<"$last")" -ge 4 ]
	[ "$(jq .conversions <<<"$last")" -le 5 ]
}

@test "what KVM refuses makes no range, and holds no place of one" {
	attach fragment --all --set ranges=4
	# An ordinary VM has no private memory.
	with_vm 0 <<-'END'
	want("page $_", convert(2 * $_, 1, PRIVATE), EINVAL) for (1 .. 50);
	END
	[ "$(counts fragment-all)" = "50 50 0" ]
	with_vm 1 <<-'END'
	want("all", convert(0, PAGES, PRIVATE), 0);
	want("a page", convert(10, 1, 0), 0);
	want("another", convert(20, 1, 0), ENOSPC);
	want("the first again", convert(10, 1, PRIVATE), 0);
	want("another", convert(20, 1, 0), 0);
	END
}

@test "frames that no memory is behind lift no cap of sharedcap" {
	attach sharedcap --all --set grace=0 --set percent=25
	[ "$(ls $PINS | sed 's/^sharedcap-all//' | xargs)" = "+changed +compat +exit +release +same" ]
	with_vm 1 <<-'END'
	want("all", convert(0, PAGES, PRIVATE), 0);
	want("nothing", convert(65536, 65536, PRIVATE), 0);
	want("half of nothing", convert(1000, 8192, PRIVATE), 0);
	want("page $_", convert($_, 1, 0), 0) for (0 .. PAGES / 4 - 1);
	want("one more", convert(300, 1, 0), EDQUOT);
	want("nothing again", convert(65536, 65536, 0), 0);
	want("one more still", convert(300, 1, 0), EDQUOT);
	want("one less", convert(0, 1, PRIVATE), 0);
	want("one more", convert(300, 1, 0), 0);
	END
}

@test "what another policy refuses is not credited" {
	attach ratelimit --all --set rate=1000000 --set private_rate=1
	# The one that came last is asked first.
	attach sharedcap --all --set grace=0 --set percent=25
	with_vm 1 <<-'END'
	my $errno;
	want("all", convert(0, PAGES, PRIVATE), 0);
	want("page $_", convert($_, 1, 0), 0) for (0 .. PAGES / 4 - 1);
	for (1 .. 100) {
		$errno = convert(0, 1, PRIVATE);
		last if $errno;
		want("page 0 again", convert(0, 1, 0), 0);
	}
	want("private beyond its rate", $errno, EBUSY);
	want("one more", convert(300, 1, 0), EDQUOT);
	END
	[ "$(policy ratelimit-all denied)" -gt 0 ]
}

@test "what another policy refuses holds no place" {
	attach ratelimit --all --set rate=5 --set burst=1
	attach fragment --all --set ranges=6
	with_vm 1 <<-'END'
	my ($begun, $errno) = (time);
	# Each of these was let pass by the first, and refused by the second.
	for my $page (0, 10, 20) {
		do {
			$errno = convert($page, 1, PRIVATE);
			die "page $page: $errno\n" if $errno && $errno != EBUSY;
			die "page $page is never done\n" if time - $begun > 120;
		} while ($errno);
	}
	END
	[ "$(policy ratelimit-all denied)" -gt 3 ]
	[ "$(policy fragment-all denied)" -eq 0 ]
}

@test "what changes nothing holds no place, whoever asked for it" {
	attach fragment --all --set ranges=4
	with_vm 1 <<-'END'
	want("all", convert(0, PAGES, PRIVATE), 0);
	my @threads = map { waiting_thread(0, 100, PRIVATE) } (1 .. 3);
	want("a page", convert(10, 1, 0), 0);
	want("another", convert(20, 1, 0), ENOSPC);
	ended($_) for @threads;
	END
	[ "$(counts fragment-all)" = "6 5 1" ]
}

@test "what KVM does not do to its end holds a place until its thread asks again or ends" {
	attach fragment --all --set ranges=4
	with_vm 1 <<-'END'
	want("all", convert(0, PAGES, PRIVATE), 0);
	# There is no memory where this ends.
	my $thread = waiting_thread(1000, 100, PRIVATE);
	want("a page", convert(10, 1, 0), EBUSY);
	ended($thread);
	want("a page", convert(10, 1, 0), 0);
	want("another", convert(20, 1, 0), ENOSPC);
	want("beyond the end", convert(1000, 100, 0), 0);
	want("the page again", convert(10, 1, PRIVATE), 0);
	want("another", convert(20, 1, 0), 0);
	END
}

@test "audit records what is above a threshold" {
	start_vm one first 50
	attach audit --all --set rate=1
	wait_for 30 eval '[ "$(policy audit-all allowed)" -gt 20 ]'
	[ "$("$TOP/build/bpftool" map dump name audit_vms -j | jq '[.[].formatted.value.conversions.recorded // .[].value] | length')" -eq 1 ]
}

@test "what cannot be enforced is refused, and said in show" {
	refuses 2 "decides on faults, of which this kernel asks nobody" attach guard --all
	refuses 2 "decides on faults" attach quota --all
	refuses 2 "'delay'" attach ratelimit --all --set action=delay
	refuses 2 "'guest'" attach ratelimit --all --set whose=guest
	refuses 2 "metadata" attach fragment --all --set metadata=100
	run gmempolicy show pingpong
	[ "$status" -eq 0 ]
	[[ $output == *"not here"*delays*faults*priorities* ]]
	[[ $output == *"file_ioctl"* ]]
	[ "$(gmempolicy list --json | jq -r '[.available[].name] | join(" ")')" = \
		"audit deny fragment pingpong ratelimit sharedcap" ]
	[ -z "$(ls -A $PINS 2>/dev/null)" ]
}

@test "who is killed leaves no policy, and the next one tidies up" {
	local i
	for i in 1 2 3 4 5 6; do
		gmempolicy attach ratelimit --all >/dev/null 2>&1 3>&- &
		sleep 0.$((i * 3))
		kill -KILL $! 2>/dev/null || :
		wait $! 2>/dev/null || :
		[ ! -e $PINS/ratelimit-all ] || gmempolicy detach ratelimit-all
	done
	# What helps a policy, without it.
	attach deny --all
	[ "$(ls $PINS)" = $'deny-all\ndeny-all+compat\ndeny-all+release' ]
	rm $PINS/deny-all
	[ -z "$(attached)" ]
	run gmempolicy detach --all
	[ "$status" -eq 0 ]
	nothing_left
	[ -z "$(bpftool_progs)" ]
}

@test "a policy that was not put into force does nothing, and is removed" {
	local map value
	start_vm one first 50
	attach deny --all
	wait_for 30 eval '[ "$(policy deny-all denied)" -gt 5 ]'
	# As one leaves it that is killed at the last moment.
	map=$("$TOP/build/bpftool" map show -j | jq '.[] | select(.name == ".data.lsm").id')
	value=$("$TOP/build/bpftool" map lookup id "$map" key 0 0 0 0 -j |
		jq -r '.value | join(" ")')
	# shellcheck disable=SC2086 # its bytes
	set -- $value
	[ "${33}" = 0x01 ]
	"$TOP/build/bpftool" map update id "$map" key 0 0 0 0 value hex \
		"${@:1:32}" 00 "${@:34}"
	[ -z "$(policy deny-all denied)" ] || [ "$(attached | jq -r .state)" = "stale: detached" ]
	sleep 1
	attach ratelimit --all --set rate=1000000
	[ "$(attached | jq -r .pin)" = ratelimit-all ]
	[ "$(ls $PINS)" = $'ratelimit-all\nratelimit-all+compat\nratelimit-all+release' ]
	wait_for 30 eval '[ "$(policy ratelimit-all allowed)" -gt 5 ]'
}

@test "apply makes the host match a file" {
	local file=$BATS_TEST_TMPDIR/policy.toml
	start_vm one first 50
	cat >"$file" <<-'END'
	[policy.everyone]
	use = "ratelimit"
	all = true
	set = { rate = 7 }
	END
	gmempolicy diff "$file"
	run gmempolicy apply "$file"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(attached | wc -l)" -eq 1 ]
	local pin=$(attached | jq -r .pin)
	[ "$(param "$pin" rate)" = 7 ]
	sed -i 's/rate = 7/rate = 9/' "$file"
	gmempolicy apply "$file"
	[ "$(param "$pin" rate)" = 9 ]
	[ "$(gmempolicy diff "$file")" = "Nothing to change." ]
	: >"$file"
	gmempolicy apply "$file"
	nothing_left
}

@test "off and on say that there is no switch" {
	refuses 1 "no gmem hooks" off
	refuses 1 "no gmem hooks" on
}

@test "who is not root sees and changes nothing" {
	attach deny --all
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all gmempolicy list
	check_refusal 1 "no privilege: CAP_SYS_ADMIN missing"
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all gmempolicy attach ratelimit --all
	check_refusal 1 "no privilege: CAP_SYS_ADMIN missing"
	[ "$(attached | wc -l)" -eq 1 ]
}
