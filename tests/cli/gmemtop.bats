#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop's numbers against real guests, as root in the test VM. What it shows is
# compared with what others know: gmemload's own record, /proc, cachestat(2).

load gmemtop.bash

# Three guests that all tests look at: one that changes, two that do not.
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

### Numbers

@test "batch prints as many frames as asked, with a row a VM" {
	run --separate-stderr "$gmemtop" -b -n 3 -d 0.3
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "$(grep -c '^gmemtop ' <<<"$output")" -eq 3 ]
	[ "$(grep -c '^   ID     PID NAME ' <<<"$output")" -eq 3 ]
	for name in abuser steady idle; do
		[ "$(awk -v n=$name '$3 == n' <<<"$output" | wc -l)" -eq 3 ]
	done
}

@test "lines fit 80 columns" {
	run "$gmemtop" -b -n 1 -d 0.3
	[ "$status" -eq 0 ]
	[ "$(awk 'length > 79' <<<"$output")" = "" ]
}

@test "the number of VMs is the number of kvm-vm files in /proc" {
	start_vms 5 five
	sample
	open_vms=$(find /proc/[0-9]*/fd -lname 'anon_inode:kvm-vm' 2>/dev/null |
		wc -l)
	[ "$(jq '.vms | length' frame.json)" -eq "$open_vms" ]
	[ "$(jq '[.vms[].id] | unique | length' frame.json)" -eq "$open_vms" ]
	[ "$(jq "[.vms[] | select(.pid == $pid)] | length" frame.json)" -eq 5 ]
	run "$gmemtop" -b -n 1 -d 0.1
	[[ ${lines[1]} == "$open_vms VMs, "* ]]
}

@test "more VMs than the first load has room for" {
	start_vms 150 many
	sample
	[ "$(jq "[.vms[] | select(.pid == $pid)] | length" frame.json)" -eq 150 ]
	[ "$(jq '[.vms[].id] | unique | length' frame.json)" -ge 153 ]
	[ "$(jq '[.vms[].id] | index(0)' frame.json)" = null ]
}

@test "private pages are the size of a guest that never converted" {
	sample
	[ "$(of_pid "$(pid_of idle)" .private_pages)" -eq $((32 * 256)) ]
	[ "$(of_pid "$(pid_of steady)" .private_pages)" -eq $((16 * 256)) ]
	[ "$(of_pid "$(pid_of steady)" .name)" = steady ]
	run "$gmemtop" -b -n 1 -d 0.1
	[ "$(awk '$3 == "idle" { print $4 }' <<<"$output")" = 32.0M ]
}

@test "populated pages are those that cachestat(2) counts" {
	# Stopped, so that the page cache is the same for both.
	pid=$(pid_of steady)
	kill -STOP "$pid"
	sample
	cached=$(cached_pages "$pid")
	kill -CONT "$pid"
	[ "$cached" -gt 0 ]
	[ "$(of_pid "$pid" .populated_pages)" -eq "$cached" ]
	[ "$(of_pid "$pid" '.allocated_pages - .freed_pages')" -eq "$cached" ]
}

@test "conversions are those that gmemload counted" {
	"$gmemload" pingpong --name counted --mem 4M --rate 100 --pidfile pids \
		--json load.json 3>&- &
	load=$!
	mine=$load
	wait_for 60 test -s pids
	pid=$(sed -n 's/^counted //p' pids)
	sleep 2
	# Killed while stopped: its record ends where the sample was taken.
	kill -STOP "$pid"
	sample
	kill -KILL "$pid"
	wait_for 20 gone "$load"

	run jq -e 'select(.summary)' load.json
	[ "$status" -eq 0 ]
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
}

@test "rates are the difference of the counters over the kernel's time" {
	"$gmemtop" --json -n 3 -d 0.5 >frames.json
	[ "$(jq -s length frames.json)" -eq 3 ]
	run jq -s -e '
		[range(1; 3) as $i | .[$i] as $now | .[$i - 1] as $before |
		 (($now.time_ns - $before.time_ns) / 1e9) as $dt |
		 $now.vms[] | . as $vm |
		 ($before.vms[] | select(.id == $vm.id)) as $old |
		 (($vm.conversions - $old.conversions) / $dt
		  - $vm.rates.conversions | fabs < 0.01),
		 (($vm.faults_vcpu + $vm.faults_prefault + $vm.faults_populate +
		   $vm.faults_fallocate - $old.faults_vcpu - $old.faults_prefault -
		   $old.faults_populate - $old.faults_fallocate) / $dt
		  - $vm.rates.faults | fabs < 0.01),
		 ($now.seconds - $dt | fabs < 0.001)] | length == 18 and all' \
		frames.json
	[ "$status" -eq 0 ]
	run jq -s -e "last.vms[] | select(.name == \"abuser\") |
		.rates.conversions > 100" frames.json
	[ "$status" -eq 0 ]
	run jq -s -e "last.vms[] | select(.name == \"idle\") |
		.rates.conversions == 0" frames.json
	[ "$status" -eq 0 ]
}

@test "the interval is kept" {
	run jq -s -e 'all(.seconds > 0.9 and .seconds < 1.5)' \
		<("$gmemtop" --json -n 2 -d 1)
	[ "$status" -eq 0 ]
}

newborn_seen_twice()
{
	[ "$(grep -c newborn frames.json)" -ge 2 ]
}

@test "VMs that are born and die between two samples" {
	"$gmemtop" --json -d 0.3 >frames.json 3>&- &
	mine=$!
	wait_for 30 test -s frames.json
	start_vms 3 mayfly
	first=$pid
	# All three: it may have looked while they were being made.
	wait_for 30 grep -qE '("mayfly".*){3}' frames.json
	kill "$first"
	wait_for 20 gone "$first"
	start_vms 1 newborn
	wait_for 30 newborn_seen_twice
	end "${mine%% *}"
	# The last line may be cut short by the signal.
	sed -i '$d' frames.json
	run jq -s -e '
		([.[].vms[] | select(.name == "mayfly").id] | unique) as $dead |
		([.[].vms[] | select(.name == "newborn").id] | unique) as $new |
		($dead | length == 3) and ($new | length == 1) and
		($new[0] > ($dead | max)) and
		(last.vms | all(.name != "mayfly")) and
		([.[].vms[].rates | .[]] | all(. >= 0 and . < 1e9))' frames.json
	[ "$status" -eq 0 ]
}

@test "a hostile name is shown as text" {
	start_vms 1 $'\e[31mred\n\x7f\xff"\\'
	sample
	[ "$(of_pid "$pid" .name)" = '?[31mred???"\' ]
	run "$gmemtop" -b -n 1 -d 0.1
	[ "$status" -eq 0 ]
	[ "$(grep -cF '?[31mred???"\' <<<"$output")" -eq 1 ]
	[ "$(LC_ALL=C grep -c '[^ -~]' <<<"$output")" -eq 0 ]
}

@test "resident memory is that of /proc, and the total adds what is populated" {
	pid=$(pid_of steady)
	kill -STOP "$pid"
	sample
	read -r _ rss _ <"/proc/$pid/statm"
	kill -CONT "$pid"
	[ "$rss" -gt 0 ]
	[ "$(of_pid "$pid" .rss_pages)" -eq "$rss" ]
	[ "$(of_pid "$pid" '.total_pages - .populated_pages')" -eq "$rss" ]
	[ "$(of_pid "$pid" .vcpus)" -eq 1 ]
	[ "$(of_pid "$pid" .size_pages)" -eq $((16 * 256)) ]
}

# A VM of which somebody holds a guest_memfd of 5 MiB by O_PATH: it is closed at
# the first signal USR1, and the VM ends at the second. Sets pid.
start_holder()
{
	ready=$BATS_TEST_TMPDIR/ready perl -e '
		use Fcntl;
		use constant { O_PATH => 010000000, FALLOCATE => 285 };

		$0 = "holder";
		sub say_ready { open(my $f, ">", $ENV{ready}); close($f); }
		sub wait_for { $go = 0; say_ready(); select(undef, undef, undef, 0.1) until $go; }
		$SIG{USR1} = sub { $go = 1 };
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		my $fd = ioctl($kvm, 0xae01, 1) or die "KVM_CREATE_VM: $!";
		open(my $vm, "+<&=", $fd + 0) or die $!;
		my $create = pack("Q8", 5 << 20);
		$fd = ioctl($vm, 0xc040aed4, $create) or die "KVM_CREATE_GUEST_MEMFD: $!";
		open(my $memory, "+<&=", $fd + 0) or die $!;
		syscall(FALLOCATE, $fd + 0, 1, 0, 5 << 20) and die "fallocate: $!";
		sysopen(my $path, "/proc/self/fd/" . ($fd + 0), O_PATH) or die "O_PATH: $!";
		wait_for();
		close($memory);
		wait_for();
		close($vm);
		wait_for();
	' 3>&- &
	pid=$!
	mine="$mine $pid"
	holder_goes_on
}

# holder_goes_on [SIGNAL]
holder_goes_on()
{
	[ -z "${1-}" ] || kill "-$1" "$pid"
	wait_for 30 test -e "$BATS_TEST_TMPDIR/ready"
	rm "$BATS_TEST_TMPDIR/ready"
}

@test "memory of a closed guest_memfd, and of a VM that is gone" {
	start_holder
	sample 0.1
	[ "$(of_pid "$pid" '[.populated_pages, .stale_pages, .closed_pages, .size_pages] | @csv')" = \
		1280,1280,0,1280 ]
	[ "$(jq .orphaned_pages frame.json)" -eq 0 ]
	holder_goes_on USR1
	sample 0.1
	[ "$(of_pid "$pid" '[.populated_pages, .stale_pages, .closed_pages, .size_pages] | @csv')" = \
		1280,1280,1280,0 ]
	[ "$(of_pid "$pid" .freed_pages)" -eq 0 ]
	run "$gmemtop" --once --fields name,populated,closed
	[[ $output != *orphaned* ]]
	grep -qE '^holder +5\.00M +5\.00M$' <<<"$output"
	holder_goes_on USR1
	sample 0.1
	[ -z "$(of_pid "$pid" .id)" ]
	[ "$(jq .orphaned_pages frame.json)" -eq 1280 ]
	run "$gmemtop" --once
	[[ $output == *" stale, 5.00M orphaned"* ]]
	end "$pid"
	sample 0.1
	[ "$(jq .orphaned_pages frame.json)" -eq 0 ]
}

@test "the host's memory is that of /proc/meminfo" {
	sample 0.1
	total=$(awk '/^MemTotal:/ { print $2 / 4 }' /proc/meminfo)
	[ "$(jq .host_pages frame.json)" -eq "$total" ]
	run "$gmemtop" -b -n 1 -d 0.1
	[[ ${lines[1]} =~ \(0\.[0-9]%\ of\ host\) ]]
}

@test "names are those that monitors were given" {
	start_vms 1 "" "" qemu-system-x86_64 -m 1G -name debug-threads=on,guest=web,,1
	qemu=$pid
	start_vms 1 "" "" /usr/bin/crosvm run --name=cros1 --socket /run/x.sock
	crosvm=$pid
	start_vms 1 "" "" cloud-hypervisor --api-socket path=/run/ch/db.sock
	cloud=$pid
	start_vms 1 "" "" some-monitor -name other
	other=$pid
	sample 0.1
	[ "$(of_pid "$qemu" .name)" = web,1 ]
	[ "$(of_pid "$crosvm" .name)" = cros1 ]
	[ "$(of_pid "$cloud" .name)" = db ]
	[ "$(of_pid "$other" .name)" = "$(cat "/proc/$other/comm")" ]
}

@test "a name of 200 characters is whole but for the screen, and breaks nothing" {
	long=$(printf 'x%.0s' {1..200})
	start_vms 1 "" "" qemu-system-x86_64 -name "guest=$long"
	sample 0.1
	[ "$(of_pid "$pid" .name)" = "$long" ]
	run "$gmemtop" --once
	[ "$status" -eq 0 ]
	[ "$(awk 'length > 79' <<<"$output")" = "" ]
	[ "$(grep -c " ${long:0:8}~${long:0:6} " <<<"$output")" -eq 1 ]
	# It is found by all of it only.
	run "$gmemtop" --once --no-header --vm "$long" --fields pid
	[ "$status" -eq 0 ]
	[ "$(xargs <<<"$output")" = "$pid" ]
	for name in "${long:0:63}" "${long:0:199}" -; do
		run "$gmemtop" --once --vm "$name"
		[ "$status" -eq 1 ]
	done
}

@test "--cgroup and --vm choose VMs" {
	mkdir -p /sys/fs/cgroup/tenants/a /sys/fs/cgroup/tenants-not
	start_vms 2 inside /tenants/a
	inside=$pid
	start_vms 1 outside /tenants-not
	sample 0.1
	[ "$(of_pid "$inside" .cgroup | sort -u)" = "$(sed 's/^0:://' "/proc/$inside/cgroup")" ]
	run "$gmemtop" --once --no-header --cgroup /tenants --fields name,cgroup
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} =~ ^inside\ +/tenants/a$ ]]
	run "$gmemtop" --once --no-header --vm outside --fields name,cgroup
	[[ $output =~ ^outside\ +/tenants-not$ ]]
	id=$(of_pid "$pid" .id)
	run "$gmemtop" --once --no-header --vm "$id" --fields id
	[ "$((output))" -eq "$id" ]
	run --separate-stderr "$gmemtop" --once --vm nobody
	[ "$status" -eq 1 ]
	one_line_error "no VM has the id or name 'nobody'"
	for p in $mine; do
		end "$p"
	done
	rmdir /sys/fs/cgroup/tenants/a /sys/fs/cgroup/tenants /sys/fs/cgroup/tenants-not
}

@test "CSV is what a CSV reader and JSON say it is" {
	start_vms 1 $'a,"b"\n=1+1'
	pid_quoted=$pid
	"$gmemtop" --csv -n 2 -d 0.3 --fields name,id,private,populated,faults,trend,cgroup >frames.csv
	sample 0.1
	run python3 - frames.csv frame.json "$pid_quoted" <<-'END'
		import csv, json, sys
		rows = list(csv.DictReader(open(sys.argv[1], newline='')))
		vms = {str(v["id"]): v for v in json.load(open(sys.argv[2]))["vms"]}
		assert len(rows) == 2 * len(vms), rows
		assert list(rows[0]) == ["time", "name", "id", "private", "populated", "faults", "cgroup"]
		assert len({r["time"] for r in rows}) == 2
		for r in rows:
		    vm = vms[r["id"]]
		    assert r["name"] == vm["name"] and r["cgroup"] == vm["cgroup"]
		    if vm["name"] in ("idle", "steady"):
		        assert int(r["private"]) == vm["private_pages"], (r, vm)
		    float(r["faults"])
		assert any(v["name"] == 'a,"b"?=1+1' for v in vms.values())
		print("good")
	END
	[ "$output" = good ]
	run "$gmemtop" --csv --once --no-header --vm idle --fields id,faults
	[[ $output =~ ^[0-9.]+,[0-9]+, ]]
}

@test "--fields chooses columns and their order" {
	run "$gmemtop" --once --fields stale,id,name --vm idle
	[ "$status" -eq 0 ]
	[[ ${lines[4]} == "STALE    ID NAME" ]]
	[[ ${lines[5]} =~ ^\ +0K\ +[0-9]+\ idle$ ]]
	run "$gmemtop" --once --fields all --vm idle
	[ "$status" -eq 0 ]
	[ "$(wc -w <<<"${lines[4]}")" -eq "$(grep -c '^\.BR .* " (" ' "$BATS_TEST_DIRNAME/../../docs/man/gmemtop.8")" ]
}

@test "the manual page lists the columns in their order, and --help their keys" {
	man=$BATS_TEST_DIRNAME/../../docs/man/gmemtop.8
	keys=$(sed -n '/columns begin/,/columns end/s/^\.BR .* " (" \([a-z_]*\) )$/\1/p' "$man")
	titles=$(sed -n '/columns begin/,/columns end/s/^\.BR \(.*\) " (" .*/\1/p' "$man")
	[ "$(wc -l <<<"$keys")" -gt 30 ]
	run "$gmemtop" --once --fields "$(paste -sd, <<<"$keys")"
	[ "$status" -eq 0 ]
	[ "$(xargs <<<"${lines[4]}")" = "$(xargs <<<"$titles")" ]
	run "$gmemtop" --help
	[ "$(tr -d ' \n' <<<"$output" | grep -cF "$(paste -sd, <<<"$keys")")" -eq 1 ]
}

@test "policies in force are shown by name" {
	pid=$(pid_of steady)
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=1000
	sample 0.1
	"$gmempolicy" detach --all
	[ "$(of_pid "$pid" .policies)" = ratelimit ]
	[ "$(of_pid "$(pid_of idle)" .policies)" = - ]
}

@test "--sort orders the VMs" {
	for key in id pid name; do
		run jq -s -e "[.[0].vms[].$key] | . == sort" \
			<("$gmemtop" --json -n 1 -d 0.1 --sort $key)
		[ "$status" -eq 0 ]
	done
	run jq -s -e '[.[0].vms[].private_pages] | . == (sort | reverse)' \
		<("$gmemtop" --json -n 1 -d 0.1 --sort private)
	[ "$status" -eq 0 ]
	run jq -s -e '[.[0].vms[].rates.conversions] | . == (sort | reverse)' \
		<("$gmemtop" --json -n 1 -d 0.3)
	[ "$status" -eq 0 ]
}

@test "JSON has the keys of the manual page" {
	sample
	man=$BATS_TEST_DIRNAME/../../docs/man/gmemtop.8
	keys=$(jq -r '[keys, (.vms[0] | keys), (.vms[0].rates | keys)] | .[][]' \
		frame.json)
	[ "$(wc -l <<<"$keys")" -ge 35 ]
	# All that the section names, but for the values of one key.
	named=$(sed -n '/^\.SH JSON OUTPUT/,/^\.SH CSV OUTPUT/s/^\.BR\{0,1\} \([a-z_]*\)\( .*\)*$/\1/p' "$man" |
		grep -vx -e false -e null)
	run diff <(sort -u <<<"$keys") <(sort -u <<<"$named")
	[ "$status" -eq 0 ]
}

@test "the switch that bypasses policies is shown" {
	switch=/sys/module/kvm/parameters/gmem_policies
	before=$(cat $switch)
	echo N >$switch
	sample
	run "$gmemtop" -b -n 1 -d 0.1
	echo "$before" >$switch
	[ "$(jq .policies_enabled frame.json)" = false ]
	[[ ${lines[3]} == "0 policies, OFF by gmem_policies=N" ]]
	sample
	[ "$(jq .policies_enabled frame.json)" = true ]
}

@test "denials and delays under a policy are the ones that gmemload met" {
	pid=$(pid_of abuser)
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=50 --set action=deny
	sample 1
	run "$gmemtop" -b -n 1 -d 0.5
	"$gmempolicy" detach --all
	[[ ${lines[3]} == "1 policy, on" ]]
	[ "$(jq .policies frame.json)" -eq 1 ]
	[ "$(of_pid "$pid" '.rates.denied > 0')" = true ]
	[ "$(jq '[.vms[] | select(.conversions_denied > 0)] | length' frame.json)" -eq 1 ]

	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=50 --set action=delay
	sample 1
	"$gmempolicy" detach --all
	[ "$(of_pid "$pid" '.rates.delayed > 0')" = true ]
	[ "$(of_pid "$pid" '.conversions_delayed > 0')" = true ]
	[ "$(jq '[.vms[] | select(.delayed_ns > 0)] | length' frame.json)" -eq 1 ]

	# Nothing attached, nothing moves: the record can be added up.
	sample 1
	[ "$(jq .policies frame.json)" -eq 0 ]
	[ "$(of_pid "$pid" '.rates.denied == 0')" = true ]
	denied=$(of_pid "$pid" .conversions_denied)
	wait_for 10 refused "$denied"
}

# Has gmemload's abuser met $1 refusals?
refused()
{
	[ "$(jq -s '[.[] | select(.guest == "abuser") | .refused] | add' \
		"$BATS_FILE_TMPDIR/load.json")" = "$1" ]
}

### Bad input

@test "bad options are one line and status 2" {
	while IFS='|' read -r args text; do
		# shellcheck disable=SC2086
		run --separate-stderr "$gmemtop" -b $args
		[ "$status" -eq 2 ] || { echo "status $status: $args"; return 1; }
		one_line_error "$text" || { echo "$args: $stderr"; return 1; }
	done <<-END
		-n 0|from 1 to 1000000000, not '0'
		-n -1|from 1 to 1000000000, not '-1'
		-n x|from 1 to 1000000000, not 'x'
		-n 99999999999999999999|from 1 to 1000000000
		-n|needs an argument
		-d 0|from 0.01 to 3600, not '0'
		-d 3600.5|from 0.01 to 3600, not '3600.5'
		-d -2|from 0.01 to 3600, not '-2'
		-d soon|from 0.01 to 3600, not 'soon'
		-d 1e3|from 0.01 to 3600, not '1e3'
		--sort colour|takes one of id, pid
		--fields id,colour|no column is called 'colour'
		--fields id,,pid|takes columns with commas between them
		--fields id,pid,id|column 'id' is there twice
		--cgroup machine|takes a path below the root
		--json --csv|exclude each other
		--once -n 2|exclude each other
		--batch=yes|takes no argument
		--nonsense|unknown option '--nonsense'
		-x|unknown option '-x'
		extra|unexpected argument 'extra'
	END
}

@test "an option with control characters stays one line" {
	run --separate-stderr "$gmemtop" $'--a\nb\e[2J'
	[ "$status" -eq 2 ]
	one_line_error "unknown option '--a?b?[2J'"
}

@test "without a terminal the live view points at -b" {
	run --separate-stderr "$gmemtop"
	[ "$status" -eq 2 ]
	one_line_error "stdout is not a terminal; use -b"
}

@test "no privilege: names the missing capability" {
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all "$gmemtop" -b -n 1
	[ "$status" -eq 1 ]
	one_line_error "no privilege: CAP_SYS_ADMIN missing"
	[[ $stderr == *"run it as root"* ]]
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=+bpf,+perfmon --ambient-caps=+bpf,+perfmon \
		"$gmemtop" -b -n 1
	[ "$status" -eq 1 ]
	one_line_error "no privilege: CAP_SYS_ADMIN missing"
}

@test "no privilege: root of a user namespace is not root" {
	unshare -Ur true || skip "no user namespaces"
	run --separate-stderr unshare -Ur "$gmemtop" -b -n 1
	[ "$status" -eq 1 ]
	one_line_error "no privilege: this is a user namespace of its own"
	[[ $stderr == *"run it as root of the host"* ]]
}

@test "CAP_SYS_ADMIN suffices" {
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=+sys_admin --ambient-caps=+sys_admin \
		"$gmemtop" -b -n 1 -d 0.1
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ $output == *abuser* ]]
}

@test "no BTF: says so and what to do" {
	run --separate-stderr unshare -m sh -c \
		"mount -t tmpfs none /sys/kernel/btf && exec '$gmemtop' -b -n 1"
	[ "$status" -eq 1 ]
	one_line_error "no BTF"
	[[ $stderr == *CONFIG_DEBUG_INFO_BTF* ]]
}

@test "a full disk is an error" {
	for args in "-b -n 1 -d 0.1" "--json -n 1 -d 0.1" --help --version; do
		# shellcheck disable=SC2086
		run --separate-stderr bash -c "'$gmemtop' $args >/dev/full"
		[ "$status" -eq 1 ]
		one_line_error "cannot write the output: No space left on device"
	done
}

@test "a full disk is an error for a frame larger than a buffer of stdio" {
	start_vms 150 many
	for args in -b --csv --json; do
		# shellcheck disable=SC2086
		"$gmemtop" $args -n 1 -d 0.1 >frame
		[ "$(stat -c %s frame)" -gt 8192 ]
		# shellcheck disable=SC2086
		run --separate-stderr bash -c "'$gmemtop' $args -n 1 -d 0.1 >/dev/full"
		[ "$status" -eq 1 ]
		one_line_error "cannot write the output: No space left on device"
	done
}

@test "a reader that goes away ends it quietly" {
	run --separate-stderr bash -c \
		"'$gmemtop' -b -d 0.05 | head -n 1; exit \${PIPESTATUS[0]}"
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
}

@test "--help and --version" {
	run --separate-stderr "$gmemtop" --help
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ ${lines[0]} == "Usage: gmemtop "* ]]
	run "$gmemtop" --version
	[ "$status" -eq 0 ]
	[[ $output =~ ^gmemtop\ [0-9]+\.[0-9]+ ]]
}

@test "nothing of BPF is left behind" {
	bpftool=$build/bpftool
	[ -x "$bpftool" ] || skip "no build/bpftool"
	"$gmemtop" -b -n 1 -d 0.1 >/dev/null
	run "$bpftool" prog show
	[ "$status" -eq 0 ]
	[[ $output != *sample_vms* ]]
}

