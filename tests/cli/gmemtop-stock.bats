#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop on a kernel that has nothing of gmem, as root in the test VM. What it shows
# is compared with what others know: gmemload's own record, /proc, cachestat(2).
#	tests/vm/run --kernel baseline -- bats tests/cli/gmemtop-stock.bats

load gmemtop.bash

setup_file()
{
	start_guests --guest pingpong,name=abuser,mem=8M,rate=300 \
		--guest steady,name=steady,mem=16M,rate=5 \
		--guest idle,name=idle,mem=32M
}

teardown_file()
{
	end_guests
}

# watch_frames: gmemtop from now on, in frames.json. Sets watcher.
watch_frames()
{
	"$gmemtop" --json -d 0.2 >frames.json 3>&- &
	watcher=$!
	mine="$mine $watcher"
	wait_for 60 test -s frames.json
}

# The last two frames were both taken after this was called.
fresh_frames()
{
	local nr

	nr=$(wc -l <frames.json)
	wait_for 60 has_lines $((nr + 3))
}

has_lines()
{
	[ "$(wc -l <frames.json)" -ge "$1" ]
}

# The value of jq expression $2 of process $1's VM in the last whole frame.
last_of()
{
	tail -n 2 frames.json | head -n 1 |
		jq -r ".vms[] | select(.pid == $1) | $2"
}

### The source

@test "the source is shown, and what it lacks" {
	run --separate-stderr "$gmemtop" -b -n 1 -d 0.3
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ ${lines[0]} =~ ^gmemtop\ [0-9:]{8}\ stock:\ no\ private,.*gmem-dkms\ adds\ them$ ]]
	[[ ${lines[1]} == "3 VMs, - private, "*" populated ("*"), - stale" ]]
	[[ ${lines[2]} == *" faults/s, "*" conv/s, "*" denied/s, - ms/s delayed, "* ]]
	[ "$(awk 'length > 79' <<<"$output")" = "" ]
	run "$gmemtop" --version
	[[ ${lines[1]} == "source: stock: "* ]]
	[[ ${lines[2]} == *"gmem-dkms adds them"* ]]
}

@test "who is not root sees the version and no VM" {
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
	run "${as_nobody[@]}" "$gmemtop" --version
	[ "$status" -eq 0 ]
	[[ ${lines[1]} == "source: stock: "* ]]
	run --separate-stderr "${as_nobody[@]}" "$gmemtop" -b -n 1
	[ "$status" -eq 1 ]
	one_line_error "no privilege: CAP_SYS_ADMIN missing"
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=+sys_admin --ambient-caps=+sys_admin \
		"$gmemtop" -b -n 1 -d 0.1
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ $output == *abuser* ]]
}

### VMs

@test "the number of VMs is the number of kvm-vm files in /proc" {
	start_vms 150 many
	sample
	open_vms=$(find /proc/[0-9]*/fd -lname 'anon_inode:kvm-vm' 2>/dev/null |
		wc -l)
	[ "$open_vms" -eq 153 ]
	[ "$(jq '.vms | length' frame.json)" -eq "$open_vms" ]
	[ "$(jq '[.vms[].id] | unique | length' frame.json)" -eq "$open_vms" ]
	[ "$(jq "[.vms[] | select(.pid == $pid)] | length" frame.json)" -eq 150 ]
	[ "$(jq '[.vms[].id] | index(0)' frame.json)" = null ]
}

@test "an id is one VM's while it lives, for all who ask, and no other VM's" {
	sample 0.1
	id=$(of_pid "$(pid_of idle)" .id)
	for _ in 1 2; do
		sample 0.1
		[ "$(of_pid "$(pid_of idle)" .id)" = "$id" ]
	done
	# Made and ended by one process, at one place in memory if that can be.
	run perl -e '
		use warnings;
		$| = 1;
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		for (1 .. 5) {
			my $fd = ioctl($kvm, 0xae01, 0) or die "KVM_CREATE_VM: $!";
			open(my $vm, "+<&=", $fd + 0) or die $!;
			print qx($ARGV[0] --json --once);
		}
	' "$gmemtop"
	[ "$status" -eq 0 ]
	ids=$(jq -s '[.[].vms[] | select(.name == "perl").id]' <<<"$output")
	[ "$(jq length <<<"$ids")" -eq 5 ]
	[ "$(jq 'unique | length' <<<"$ids")" -eq 5 ]
}

@test "a VM that several processes have is one, and its creator's" {
	start_vms 1 given
	perl -e '
		my $pidfd = syscall(434, $ARGV[0] + 0, 0);
		for (0 .. 20) {
			next if readlink("/proc/$ARGV[0]/fd/$_") ne "anon_inode:kvm-vm";
			syscall(438, $pidfd, $_, 0) >= 0 or die "pidfd_getfd: $!";
			open(my $f, ">", $ARGV[1]); close($f);
		}
		sleep 1000;
	' "$pid" "$PWD/taken" 3>&- &
	mine="$mine $!"
	wait_for 30 test -e taken
	sample 0.1
	[ "$(jq '[.vms[] | select(.name == "given")] | length' frame.json)" -eq 1 ]
	[ "$(jq '.vms | length' frame.json)" -eq 4 ]
	# Its process gone, it lives on: whose it was is not known any more.
	end "$pid"
	sample 0.1
	[ "$(jq '.vms | length' frame.json)" -eq 4 ]
	[ "$(jq '[.vms[] | select(.pid == null)] | length' frame.json)" -eq 1 ]
	[ "$(jq '[.vms[] | select(.pid == null)][0].name' frame.json)" = '"-"' ]
}

@test "a VM of which there are millions of descriptors is one, and hides no other" {
	# More than the records that are kept, from what one user may open.
	ulimit -n 524288
	perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		my $fd = ioctl($kvm, 0xae01, 0) or die "KVM_CREATE_VM: $!";
		for (1 .. 524200) { syscall(32, $fd + 0) >= 0 or die "dup: $!"; }
		for (1 .. 8) {
			my $child = fork // die "fork: $!";
			push @children, $child;
			sleep(1000), exit if !$child;
		}
		$SIG{TERM} = sub { kill("KILL", @children); exit };
		open(my $f, ">", $ARGV[0]); close($f);
		sleep 1000;
	' "$PWD/many" 3>&- &
	pid=$!
	mine="$mine $pid"
	wait_for 120 test -e many
	"$gmemtop" --json --once >frame.json
	[ "$(jq '.vms | length' frame.json)" -eq 4 ]
	[ "$(of_pid "$pid" '.rss_pages > 0')" = true ]
}

@test "a file that is called as a VM's is none" {
	sample 0.1
	before=$(jq '.vms | length' frame.json)
	perl -e '
		for my $name ("kvm-vm", "[kvm-gmem]", "kvm-vcpu:0", "anon_inode:kvm-vm") {
			open(my $f, ">", "$ARGV[0]/$name") or die $!;
			push @files, $f;
			# memfd_create(2)
			my $fd = syscall(319, my $copy = $name, 0);
			$fd >= 0 or die "memfd_create: $!";
		}
		open(my $f, ">", "$ARGV[0]/ready"); close($f);
		sleep 1000;
	' "$PWD" 3>&- &
	mine="$mine $!"
	wait_for 30 test -e ready
	sample 0.1
	[ "$(jq '.vms | length' frame.json)" -eq "$before" ]
}

@test "names and control groups" {
	mkdir -p /sys/fs/cgroup/tenants/a
	start_vms 1 "" /tenants/a qemu-system-x86_64 -m 1G -name debug-threads=on,guest=web,,1
	sample 0.1
	[ "$(of_pid "$pid" .name)" = web,1 ]
	[ "$(of_pid "$pid" .cgroup)" = /tenants/a ]
	end "$pid"
	rmdir /sys/fs/cgroup/tenants/a /sys/fs/cgroup/tenants
}

### Memory

@test "populated pages are those that cachestat(2) counts" {
	# Stopped, so that the page cache is the same for both.
	pid=$(pid_of steady)
	kill -STOP "$pid"
	sample 0.1
	cached=$(cached_pages "$pid")
	read -r _ rss _ <"/proc/$pid/statm"
	kill -CONT "$pid"
	[ "$cached" -gt 0 ]
	[ "$(of_pid "$pid" .populated_pages)" -eq "$cached" ]
	[ "$(of_pid "$pid" .size_pages)" -eq $((16 * 256)) ]
	[ "$(of_pid "$pid" .vcpus)" -eq 1 ]
	[ "$(of_pid "$pid" .rss_pages)" -eq "$rss" ]
	[ "$(of_pid "$pid" '.total_pages - .populated_pages')" -eq "$rss" ]
	[ "$(of_pid "$pid" .node_pages[0])" -eq "$cached" ]
}

@test "what is not known is null, -, empty, and no series" {
	"$gmemtop" --json --once >frame.json
	pid=$(pid_of idle)
	[ "$(of_pid "$pid" '[.private_pages, .stale_pages, .ranges, .delayed_ns,
		.faults_denied, .closed_pages, .attribute_bytes] | all(. == null)')" = true ]
	# In one frame nothing was counted.
	[ "$(of_pid "$pid" '[.conversions, .faults_vcpu, .rates.conversions] | all(. == null)')" = true ]
	[ "$(jq .orphaned_pages frame.json)" = null ]
	[ "$(jq .policies_enabled frame.json)" = null ]
	# That one has touched nothing.
	[ "$(jq '[.vms[] | select(.name != "idle").populated_pages] | all(. > 0)' frame.json)" = true ]
	[ "$(of_pid "$pid" .populated_pages)" -eq 0 ]

	run "$gmemtop" --once --no-header --vm idle --fields name,private,stale,conversions,ranges
	[ "$(xargs <<<"$output")" = "idle - - - -" ]
	run "$gmemtop" --csv --once --no-header --vm idle --fields name,private,vcpus,ranges
	[[ $output =~ ^[0-9.]+,\"idle\",,1,.?$ ]]

	mkdir metrics
	"$gmemtop" export --textfile "$PWD/metrics" -d 1 --user root 3>&- &
	mine="$mine $!"
	wait_for 60 test -s metrics/gmem.prom
	run cat metrics/gmem.prom
	[[ $output == *"gmem_vm_populated_bytes{vm="* ]]
	[[ $output == *"gmem_vm_conversions_total{vm="* ]]
	[[ $output == *"gmem_vm_host_memory_bytes{vm="* ]]
	for family in private stale ranges delay_seconds faults_denied closed; do
		! grep -E "^gmem_vm_$family[_a-z]*\{" metrics/gmem.prom || return 1
	done
	[[ $output != *18446744073709551615* && $output != *e+19* ]]
	[[ $output != *$'\n'gmem_orphaned* && $output != *$'\n'"gmem_policies "* ]]
}

### What VMs do

@test "conversions and faults are those that gmemload counted" {
	watch_frames
	"$gmemload" pingpong --name counted --mem 4M --rate 100 --pidfile pids \
		--json load.json 3>&- &
	load=$!
	mine="$mine $load"
	wait_for 60 test -s pids
	pid=$(sed -n 's/^counted //p' pids)
	sleep 2
	# Killed while stopped: its record ends where the last frame was taken.
	kill -STOP "$pid"
	fresh_frames
	kill -KILL "$pid"
	wait_for 20 gone "$load"
	end "$watcher"
	grep -F "\"counted\"" frames.json | sed '/}$/!d' | tail -n 1 >frame.json

	counted() { jq "select(.summary) | $1" load.json; }
	# One conversion may be done but not yet counted, and starting is one.
	diff=$(($(of_pid "$pid" .conversions) - $(counted .conversions) - 1))
	[ "$diff" -eq 0 ] || [ "$diff" -eq 1 ]
	diff=$(($(of_pid "$pid" .pages_to_private) -
		$(counted '.pages_to_private + .boot.pages')))
	[ "$diff" -eq 0 ] || [ "$diff" -eq 1 ]
	diff=$(($(of_pid "$pid" .pages_to_shared) - $(counted .pages_to_shared)))
	[ "$diff" -eq 0 ] || [ "$diff" -eq 1 ]
	[ "$(counted .conversions)" -gt 50 ]
	[ "$(of_pid "$pid" '.faults_vcpu > 50')" = true ]
	[ "$(of_pid "$pid" '.invalidations_conversion >= .conversions')" = true ]
}

@test "rates are the difference of the counters over time" {
	"$gmemtop" --json -n 3 -d 0.5 >frames.json
	run jq -s -e '
		[range(1; 3) as $i | .[$i] as $now | .[$i - 1] as $before |
		 (($now.time_ns - $before.time_ns) / 1e9) as $dt |
		 $now.vms[] | . as $vm |
		 ($before.vms[] | select(.id == $vm.id)) as $old |
		 (($vm.conversions - $old.conversions) / $dt
		  - $vm.rates.conversions | fabs < 0.01),
		 ($now.seconds - $dt | fabs < 0.001)] | length == 12 and all' \
		frames.json
	[ "$status" -eq 0 ]
	run jq -s -e 'last.vms[] | select(.name == "abuser") |
		.rates.conversions > 50 and .rates.faults > 50 and .rates.private == null' frames.json
	[ "$status" -eq 0 ]
	run jq -s -e 'last.vms[] | select(.name == "idle") | .rates.conversions == 0' frames.json
	[ "$status" -eq 0 ]
}

@test "requests for pages by range, and holes" {
	watch_frames
	perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		my $fd = ioctl($kvm, 0xae01, 1) or die "KVM_CREATE_VM: $!";
		open(my $vm, "+<&=", $fd + 0) or die $!;
		my $create = pack("Q8", 5 << 20);
		$fd = ioctl($vm, 0xc040aed4, $create) or die "KVM_CREATE_GUEST_MEMFD: $!";
		syscall(285, $fd + 0, 1, 0, 5 << 20) and die "fallocate: $!";
		syscall(285, $fd + 0, 3, 0, 1 << 20) and die "fallocate: $!";
		# What is refused is not counted.
		syscall(285, $fd + 0, 1, 0, 6 << 20) or die "beyond the end";
		open(my $f, ">", $ARGV[0]); close($f);
		sleep 1000;
	' "$PWD/done" 3>&- &
	pid=$!
	mine="$mine $pid"
	wait_for 30 test -e done
	fresh_frames
	[ "$(last_of "$pid" '[.populated_pages, .faults_fallocate, .invalidations_punch_hole, .size_pages] | @csv')" = \
		1024,1280,1,1280 ]
}

@test "what a policy denies is counted, and what another VM does is not" {
	local pin abuser

	abuser=$(pid_of abuser)
	watch_frames
	"$build/gmempolicy" attach deny --pid "$abuser"
	pin=$("$build/gmempolicy" list --json | jq -r '.attached[0].pin')
	wait_for 60 eval '[ "$(last_of "$abuser" .conversions_denied)" -gt 20 ]'
	kill -STOP "$abuser"
	fresh_frames
	[ "$(last_of "$abuser" .conversions_denied)" -eq \
		"$("$build/gmempolicy" list --json | jq '.attached[0].denied')" ]
	[ "$(last_of "$(pid_of steady)" .conversions_denied)" -eq 0 ]
	[ "$(last_of "$(pid_of steady)" .rates.denied)" = 0 ]
	kill -CONT "$abuser"
	"$build/gmempolicy" detach "$pin"
}

@test "an argument that cannot be read is no denial" {
	"$build/gmempolicy" attach deny --all
	watch_frames
	perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		my $fd = ioctl($kvm, 0xae01, 1) or die "KVM_CREATE_VM: $!";
		open(my $vm, "+<&=", $fd + 0) or die $!;
		for (1 .. 5) { ioctl($vm, 0x4020aed2, 8) and die; $! == 14 or die $!; }
		my $page = pack("QQQQ", 0x100000, 4096, 8, 0);
		ioctl($vm, 0x4020aed2, $page) and die;
		open(my $f, ">", $ARGV[0]); close($f);
		sleep 1000;
	' "$PWD/asked" 3>&- &
	pid=$!
	mine="$mine $pid"
	wait_for 30 test -e asked
	fresh_frames
	[ "$(last_of "$pid" .conversions_denied)" -eq 1 ]
	"$build/gmempolicy" detach --all
}

# links FUNCTION...: of programs of those names, in the order in which they were attached
links()
{
	"$build/bpftool" prog show -j | jq -c '[.[] | {id, name}]' >progs
	"$build/bpftool" link show -j | jq -r --slurpfile progs progs '
		sort_by(.id) | .[] | .prog_id as $id |
		$progs[0][] | select(.id == $id).name' | grep -xE "$(IFS='|'; echo "$*")"
}

@test "who ends what a task is about is attached first" {
	watch_frames
	[ "$(links on_changed on_ioctl)" = $'on_ioctl\non_changed' ]
	[ "$(links on_prefault on_prefaulted)" = $'on_prefaulted\non_prefault' ]
}

@test "nothing is attached but while somebody looks at rates" {
	bpftool=$build/bpftool
	[ -x "$bpftool" ] || skip "no build/bpftool"
	attached() { "$bpftool" prog show | grep -cE ' name on_(get_pfn|ioctl|changed) '; }
	[ "$(attached)" -eq 0 ]
	watch_frames
	[ "$(attached)" -eq 3 ]
	end "$watcher"
	wait_for 20 eval '[ "$(attached)" -eq 0 ]'
	"$gmemtop" --once >/dev/null
	[ "$(attached)" -eq 0 ]
	run "$bpftool" prog show
	[[ $output != *walk_files* ]]
}

### Views

@test "the live view shows the source, and pages that need the hooks say so" {
	start_live "LC_ALL=C" 100 24
	wait_screen "abuser"
	wait_screen "; stock"
	wait_screen "gmem-dkms adds them"
	press Enter
	wait_screen "^VM [0-9]+ "
	wait_screen "populated"
	for page in 2 3 4 5; do
		press $page
		wait_screen "no gmem hooks"
		wait_screen "private +-"
	done
	press q
	press q
	wait_screen "status 0"
}

@test "a recording has what was known" {
	"$gmemtop" record rec -n 3 -d 0.3
	"$gmemtop" replay rec --json -n 1 >frame.json
	pid=$(pid_of steady)
	[ "$(of_pid "$pid" .private_pages)" = null ]
	[ "$(of_pid "$pid" .populated_pages)" -gt 0 ]
	[ "$(of_pid "$pid" .name)" = steady ]
}
