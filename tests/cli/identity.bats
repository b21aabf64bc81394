#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Whose a VM is, in both tools: names and cgroups of any length and script, in
# namespaces of their own, when a process has gone, runs another program or has
# left its number to another. As root in the test VM:
#	tests/vm/run -- bats tests/cli/identity.bats

load gmemtop.bash

teardown()
{
	local pid

	"$gmempolicy" detach --all
	for pid in $mine; do
		end "$pid"
	done
	tmux -L "$session" kill-server 2>/dev/null || :
	rm -rf "$config"
}

# monitor NAME: a VM of QEMU's with that name. Sets pid.
monitor()
{
	start_vms 1 "" "${2-}" qemu-system-x86_64 -name "$1"
}

# apply_for KEY VALUE: a directory of policies for that scope. Sets dir.
apply_for()
{
	dir=$BATS_TEST_TMPDIR/policy.d
	mkdir -p "$dir"
	printf '[policy.x]\nuse = "deny"\n%s = "%s"\n' "$1" "$2" >"$dir/x.toml"
}

attached()
{
	"$gmempolicy" list --json | jq -r '[.attached[].pin] | join(" ")'
}

# refused PATTERN COMMAND...: fails with one line that has the pattern.
refused()
{
	local pattern=$1

	shift
	run --separate-stderr "$@"
	echo "status $status, stdout '$output', stderr '$stderr'"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"$pattern"* ]]
}

# A VM whose descriptor is kept: by whoever made it, which at USR1 becomes
# another program, or by a child, while who made it ends. Sets pid.
start_leaver()
{
	how=$1 ready=$BATS_TEST_TMPDIR/ready \
		bash -c 'exec -a qemu-system-x86_64 perl -e "$1" -- -name leaver' - '
		use Fcntl;
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
		my $fd = ioctl($kvm, 0xae01, 0) or die "KVM_CREATE_VM: $!";
		open(my $vm, "+<&=", $fd + 0) or die $!;
		fcntl($vm, F_SETFD, 0) or die $!;
		$SIG{USR1} = sub { $go = 1 };
		if ($ENV{how} eq "fork") {
			my $child = fork();
			if (!$child) {
				open(my $f, ">", "$ENV{ready}.child"); print $f "$$\n"; close($f);
				sleep 1000;
				exit;
			}
			select(undef, undef, undef, 0.05) until -s "$ENV{ready}.child";
		}
		open(my $f, ">", $ENV{ready}); close($f);
		select(undef, undef, undef, 0.05) until $go;
		exec { "sleep" } "qemu-system-x86_64", "1000" if $ENV{how} eq "exec";
		exit;
	' 3>&- &
	pid=$!
	mine="$mine $pid"
	wait_for 30 test -e "$BATS_TEST_TMPDIR/ready"
	[ "$1" = exec ] || mine="$mine $(cat "$BATS_TEST_TMPDIR/ready.child")"
}

# The newest VM: its $1.
newest()
{
	jq -r ".vms | max_by(.id) | $1" frame.json
}

### Processes that are not the VM's

@test "a VMM that runs another program: nothing of that one, and policies stay" {
	apply_for name leaver
	start_leaver exec
	"$gmempolicy" apply "$dir"
	pin=$(attached)
	[[ $pin == x@vm* ]]
	kill -USR1 "$pid"
	wait_for 20 grep -qx sleep "/proc/$pid/comm"
	sample 0.1
	[ "$(newest '[.pid, .name, .cgroup] | @json')" = '[null,"-","-"]' ]
	run "$gmemtop" --csv --once --fields id,pid,name
	[[ $output == *',,"-"'* ]]
	run "$gmemtop" --once --no-header --fields pid,name
	[ "$(xargs <<<"$output")" = "- -" ]
	"$gmemtop" export --textfile .
	grep -q '^gmem_vm_info{.*,pid="-",name="-",cgroup="-"} 1$' gmem.prom
	# It keeps what it has, and nothing new finds it.
	run "$gmempolicy" diff "$dir"
	[ "$output" = "Nothing to change." ]
	"$gmempolicy" apply "$dir"
	[ "$(attached)" = "$pin" ]
	refused "no VM has a name that matches '*'" "$gmempolicy" attach deny --name '*'
	refused "no VM is in the cgroup '/'" "$gmempolicy" attach deny --cgroup /
	refused "process $pid has no VM" "$gmempolicy" attach deny --pid "$pid"
	# Unless nobody asks for it any more.
	: >"$dir/x.toml"
	"$gmempolicy" apply "$dir"
	[ -z "$(attached)" ]
}

@test "a pid that was used again: the VM of the one that is gone is not the new one's" {
	start_leaver fork
	sample 0.1
	[ "$(newest .name)" = leaver ]
	old=$(newest .id)
	kill -USR1 "$pid"
	wait "$pid" || :
	wait_for 20 test ! -e "/proc/$pid"
	apply_for name stranger
	ready=$BATS_TEST_TMPDIR/again want=$pid perl -e '
		for (1 .. 1000) {
			open(my $last, ">", "/proc/sys/kernel/ns_last_pid") or die $!;
			print $last $ENV{want} - 1;
			close($last);
			my $child = fork();
			if (!$child) {
				exit unless $$ == $ENV{want};
				open(my $f, ">", $ENV{ready}); close($f);
				exec { $^X } "qemu-system-x86_64", "-e", "sleep 1000", "--", "-name", "stranger";
			}
			last if $child == $ENV{want};
			waitpid($child, 0);
		}
		sleep 1000;
	' 3>&- &
	mine="$mine $! $pid"
	wait_for 120 test -e "$BATS_TEST_TMPDIR/again"
	wait_for 20 grep -q stranger "/proc/$pid/cmdline"
	sample 0.1
	[ "$(jq -r ".vms[] | select(.id == $old) | [.pid, .name, .cgroup] | @json" frame.json)" = '[null,"-","-"]' ]
	refused "process $pid has no VM" "$gmempolicy" attach deny --pid "$pid"
	refused "no VM has a name that matches 'stranger'" "$gmempolicy" attach deny --name stranger
	"$gmempolicy" apply "$dir"
	[ -z "$(attached)" ]
	run "$gmemtop" --once --vm stranger
	[ "$status" -eq 1 ]
}

### Namespaces

@test "another PID namespace: what it cannot know is not shown, and not acted on" {
	mkdir -p /sys/fs/cgroup/t/a
	monitor out /t/a
	apply_for name out
	"$gmempolicy" apply "$dir"
	pin=$(attached)
	inside() { unshare -p -f --mount-proc "$@"; }
	inside "$gmemtop" --json --once >frame.json 2>err
	[ "$(newest '[.pid, .name, .cgroup] | @json')" = '[null,"-","/t/a"]' ]
	[ "$(wc -l <err)" -eq 1 ]
	grep -q 'PID namespace' err
	for verb in apply diff; do
		refused "another PID namespace" inside "$gmempolicy" $verb "$dir"
		[ "$(attached)" = "$pin" ]
	done
	refused "another PID namespace" inside "$gmempolicy" apply "$dir" --watch
	refused "another PID namespace" inside "$gmempolicy" attach deny --name out
	[ "$(attached)" = "$pin" ]
	# The kernel tells of cgroups wherever one is.
	apply_for cgroup /t
	run inside "$gmempolicy" diff "$dir"
	[ "$status" -eq 0 ]
	[ "$output" = "Nothing to change." ]
	# Its pid here is that of another process there, or of none.
	refused "has" inside "$gmempolicy" attach deny --pid "$pid"
	rmdir /sys/fs/cgroup/t/a /sys/fs/cgroup/t 2>/dev/null || :
}

@test "a VM in a PID namespace: each has the pid that its reader can use" {
	cat >in.sh <<-END
	bash -c 'exec -a qemu-system-x86_64 perl -e "\$1" -- -name within' - '
		open(my \$kvm, "+<", "/dev/kvm") or die; ioctl(\$kvm, 0xae01, 0) or die;
		open(my \$f, ">", "$BATS_TEST_TMPDIR/ready"); close(\$f); sleep 1000;' &
	echo \$! >pid
	until [ -e ready ]; do sleep 0.1; done
	"$gmemtop" --json --once >in.json 2>in.err
	"$gmempolicy" attach deny --pid \$! >in.attached 2>&1
	until [ -e over ]; do sleep 0.1; done
	END
	unshare -p -f --mount-proc bash in.sh 3>&- &
	mine="$mine $!"
	wait_for 60 test -s in.attached
	[ "$(jq -r '.vms | max_by(.id) | [.pid, .name] | @csv' in.json)" = "$(cat pid),\"within\"" ]
	grep -q '^attached deny-vm' in.attached
	sample 0.1
	outer=$(newest .pid)
	[ "$outer" -ne "$(cat pid)" ]
	grep -q within "/proc/$outer/cmdline"
	[ "$(newest .name)" = within ]
	touch over
	kill "$outer"
}

@test "/proc of another PID namespace than the reader's" {
	cat >in.sh <<-END
	# Numbers that others have out there, too.
	for i in \$(seq 30); do
	bash -c 'exec -a qemu-system-x86_64 perl -e "\$1" -- -name within' - '
		open(my \$kvm, "+<", "/dev/kvm") or die; ioctl(\$kvm, 0xae01, 0) or die;
		open(my \$f, ">", "$BATS_TEST_TMPDIR/ready"); close(\$f); sleep 1000;' &
	[ \$i = 30 ] || { kill \$!; wait \$!; }
	done 2>/dev/null
	until [ -e ready ]; do sleep 0.1; done
	"$gmemtop" --json --once >in.json 2>in.err
	"$gmempolicy" attach deny --name '*' >in.attached 2>&1
	echo \$? >>in.attached
	kill \$!
	END
	timeout 200 unshare -p -f bash in.sh
	[ "$(jq -r '.vms | max_by(.id) | .name' in.json)" = - ]
	[ "$(wc -l <in.err)" -eq 1 ]
	grep -q '/proc does not show its process' in.err
	grep -q '/proc does not show its process' in.attached
	[ "$(tail -n 1 in.attached)" = 1 ]
}

@test "a cgroup namespace with a hierarchy of its own at /sys/fs/cgroup" {
	mkdir -p /sys/fs/cgroup/tenants/a/b /sys/fs/cgroup/ops/tenants
	monitor a /tenants/a/b
	apply_for cgroup //tenants///a/
	"$gmempolicy" apply "$dir"
	pin=$(attached)
	[[ $pin == x@vm* ]]
	inside()
	{
		bash -c 'echo $$ >/sys/fs/cgroup/ops/cgroup.procs; exec unshare -C -m \
			sh -c "umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec \"\$@\"" - "$@"' - "$@"
	}
	inside "$gmemtop" --json --once >frame.json
	[ "$(newest .cgroup)" = /tenants/a/b ]
	[ "$(inside "$gmemtop" --once --no-header --fields name --cgroup /tenants/a | xargs)" = a ]
	run inside "$gmempolicy" apply "$dir"
	[ "$output" = "Nothing to change." ]
	[ "$(attached)" = "$pin" ]
	# That directory is not there, and the cgroup is.
	run inside "$gmempolicy" attach guard --cgroup /tenants/a
	[ "$status" -eq 0 ]
	[[ $output == "attached guard-vm"* ]]
	# The same path is another cgroup's.
	refused "is not the root of the hierarchy here" \
		inside "$gmempolicy" attach deny --cgroup /sys/fs/cgroup/tenants
	apply_for cgroup /sys/fs/cgroup/tenants
	refused "is not the root of the hierarchy here" inside "$gmempolicy" apply "$dir"
	[[ $(attached) == *"$pin"* ]]
	run --separate-stderr inside "$gmemtop" --once --cgroup /sys/fs/cgroup/tenants
	[ "$status" -eq 2 ]
	[[ $stderr == *"is not the root of the hierarchy here"* ]]
}

### Texts

@test "UTF-8 names: whole in data, as they are where the terminal shows them" {
	name=$'fr\xc3\xbch-\xe6\x97\xa5\xe6\x9c\xac'
	monitor "$name"
	sample 0.1
	[ "$(of_pid "$pid" .name)" = "$name" ]
	"$gmemtop" export --textfile .
	grep -qF "name=\"$name\"" gmem.prom
	[ "$(LC_ALL=C "$gmemtop" --once --no-header --fields name | xargs)" = 'fr??h-??????' ]
	LC_ALL=C.UTF-8 "$gmemtop" --once --no-header --vm "$name" --fields name,pid >out
	# 9 columns of 15, whatever the bytes.
	grep -qx "$name      *$pid" out
	[ "$(sed "s/^$name//; s/$pid.*//" out | tr -d '\n' | wc -c)" -eq $((15 - 9 + 1 + 7 - ${#pid})) ]
	for glob in "$name" $'fr?h-??' $'*\xe6\x9c\xac'; do
		"$gmempolicy" attach deny --name "$glob"
		"$gmempolicy" detach --all
	done
	apply_for name "$name"
	"$gmempolicy" apply "$dir"
	[[ $(attached) == x@vm* ]]
	[ "$("$gmempolicy" status --json | jq -r '.vms[].name')" = "$name" ]
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec --json | jq -r '.vms[].name')" = "$name" ]
	start_live LC_ALL=C.UTF-8
	wait_screen "$name"
	# It is searched for by what is typed.
	press '\'
	press -l $'\xe6\x97'
	press -l $'\xa5'
	wait_screen $'Filter.*: \xe6\x97\xa5'
	wait_screen "$name"
	press BSpace x
	wait_screen 'No VM passes the filter'
}

@test "what turns, hides or is no UTF-8 in a name" {
	monitor $'\xcc\x81a\xe2\x80\xaeb\xe2\x80\x8bc\xff\xc2\x9bd'
	[ "$(LC_ALL=C.UTF-8 "$gmemtop" --once --no-header --fields name | xargs)" = '?a?b?c??d' ]
	"$gmemtop" --json --once >frame.json
	iconv -f UTF-8 -t UTF-8 frame.json >/dev/null
	"$gmemtop" export --textfile .
	iconv -f UTF-8 -t UTF-8 gmem.prom >/dev/null
	"$gmempolicy" status --json | iconv -f UTF-8 -t UTF-8 | jq . >/dev/null
}

@test "names as long as they may be, longer ones, and those behind a long command line" {
	long=$(printf 'x%.0s' {1..4094})
	monitor "${long}a"
	first=$pid
	monitor "${long}b"
	second=$pid
	monitor "${long}cd"
	third=$pid
	many=()
	for i in $(seq 2000); do many+=(-device "virtio-net-pci,id=a-name-of-some-length-$i"); done
	start_vms 1 "" "" qemu-system-x86_64 "${many[@]}" -name behind
	sample 0.1
	[ "$(of_pid "$first" .name)" = "${long}a" ]
	[ "$(of_pid "$second" .name)" = "${long}b" ]
	[ "$(of_pid "$third" .name)" = - ]
	[ "$(of_pid "$pid" .name)" = behind ]
	[ "$("$gmemtop" --once --no-header --vm "${long}b" --fields pid | xargs)" = "$second" ]
	run --separate-stderr "$gmemtop" --once --vm "${long}cd"
	[ "$status" -eq 2 ]
	[[ $stderr == *"up to 4095 bytes"* ]]
	"$gmempolicy" attach deny --name "${long}a"
	[ "$("$gmempolicy" list --json | jq '.attached | length')" = 1 ]
	# They differ at the end, and look it.
	"$gmemtop" --once --no-header --fields name,pid >out
	grep -q "^xxxxxxxx~xxxxxa *$first\$" out
	grep -q "^xxxxxxxx~xxxxxb *$second\$" out
	"$gmemtop" record rec -n 1
	[ "$("$gmemtop" replay rec --once --no-header --vm "${long}a" --fields pid | xargs)" = "$first" ]
}

@test "a name that is a pattern is found by itself" {
	monitor 'web[1]'
	monitor web1
	"$gmempolicy" attach deny --name 'web[1]'
	[ "$("$gmempolicy" list --json | jq '.attached | length')" = 2 ]
	"$gmempolicy" detach --all
	apply_for name 'web[1]*'
	"$gmempolicy" apply "$dir"
	[ "$("$gmempolicy" list --json | jq '.attached | length')" = 1 ]
}

@test "names that differ in their middle, and paths in menus, look different" {
	deep=/$(printf 'd%.0s' {1..100}) group=
	mkdir -p "/sys/fs/cgroup$deep/one" "/sys/fs/cgroup$deep/two"
	monitor prod-web-01-europe-central-1a "$deep/one"
	monitor prod-web-02-europe-central-1a "$deep/two"
	"$gmemtop" --once --no-header --fields name,cgroup >out
	grep -q '^[^ ]*01[^ ]* ' out
	grep -q '^[^ ]*02[^ ]* ' out
	grep -q 'ddd~d*/one$' out
	grep -q 'ddd~d*/two$' out
	start_live "LC_ALL=C"
	wait_screen 01-eur
	press u
	wait_screen 'ddd~d*/one$'
	wait_screen 'ddd~d*/two$'
	press Down
	press Enter
	wait_screen '; in /ddd.*~d*/one'
	press Enter
	wait_screen '^VM [0-9]+  prod-web-01-europe-central-1a '
	wait_screen '^cgroup /ddd.*~d*/one .*host memory'
}

@test "a cgroup as long as a path may be" {
	part=$(printf 'p%.0s' {1..250}) group=
	for i in $(seq 15); do group=$group/$part; done
	(
		cd /sys/fs/cgroup || exit
		for i in $(seq 15); do mkdir "$part"; cd "$part" || exit; done
		mkdir a b
	)
	monitor a
	in_group()
	{
		(
			cd /sys/fs/cgroup || exit
			for i in $(seq 15); do cd "$part" || exit; done
			echo "$2" >"$1/cgroup.procs"
		)
	}
	in_group a "$pid"
	first=$pid
	monitor b
	in_group b "$pid"
	sample 0.1
	[ "$(of_pid "$first" .cgroup)" = "$group/a" ]
	[ "$(of_pid "$pid" .cgroup)" = "$group/b" ]
	[ "$("$gmemtop" --once --no-header --cgroup "$group/b" --fields name | xargs)" = b ]
	"$gmempolicy" attach deny --cgroup "$group/a"
	[ "$("$gmempolicy" list --json | jq '.attached | length')" = 1 ]
	apply_for cgroup "$group/b"
	"$gmempolicy" apply "$dir"
	[ "$("$gmempolicy" list --json | jq '.attached | length')" = 2 ]
	refused "there is no cgroup '$group/c'" "$gmempolicy" attach deny --cgroup "$group/c"
	run "$gmempolicy" attach deny --cgroup "$group/$group"
	[ "$status" -eq 1 ]
	[[ $output == *"longer than any path"*"shorten it" ]]
}

@test "sockets and ids of monitors" {
	check()
	{
		local want=$1

		shift
		start_vms 1 "" "" "$@"
		names="$names$pid $want"$'\n'
	}
	names=
	check 4f0d cloud-hypervisor --api-socket /run/vc/vm/4f0d/api.sock
	check 551e firecracker --api-sock /srv/jailer/firecracker/551e/root/run/firecracker.socket
	check sandbox-1 stratovirt -name sandbox-1
	check 77aa containerd-shim-kata-v2 -id 77aa
	check web krunvm start --cpus 2 web
	check last qemu-system-x86_64 -name first -name guest=last
	check deep .cloud-hypervisor-wrapped --api-socket /x//deep///clh.sock/
	sample 0.1
	while read -r pid want; do
		[ -z "$pid" ] || [ "$(of_pid "$pid" .name)" = "$want" ]
	done <<<"$names"
}
