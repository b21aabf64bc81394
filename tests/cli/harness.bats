#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/run, from outside: what it returns, what it prints, and that nothing
# of it stays behind. Runs on the host; each test boots a VM or refuses to.

bats_require_minimum_version 1.5.0

vm=$BATS_TEST_DIRNAME/../vm/run

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	results=$BATS_TEST_TMPDIR/results
}

# QEMU processes whose command line names this test's results directory.
our_qemus()
{
	pgrep -f "qemu-system.*path=$results" || true
}

wait_for()
{
	local i

	for ((i = 0; i < 1200; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "not true after 120 s: $*"
	return 1
}

no_qemu()
{
	[ -z "$(our_qemus)" ]
}

# Starts a VM that would sleep for long, in a session of its own like a
# terminal's job; $runner is vm/run itself. The VM need not be up to be killed.
start_sleeper()
{
	# bash would start it with SIGINT ignored, which a terminal does not.
	setsid perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' \
		"$vm" --results "$results" -- sleep 500 >log 2>&1 3>&- &
	runner=$!
	wait_for test -s "$results/console.log"
	[ -n "$(our_qemus)" ]
}

one_line_error()
{
	[ "$status" -eq "$1" ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "vm/run: "* ]]
}

@test "the command's status, output and directory come through" {
	run --separate-stderr "$vm" --results "$results" -- \
		sh -c 'pwd; echo "a  b" >&2; exit 7'
	[ "$status" -eq 7 ]
	[ "$output" = "$PWD" ]
	[ "$stderr" = "a  b" ]
}

@test "sysrq switched on and false: status 1" {
	run -1 "$vm" --results "$results" -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; false'
	[ -z "$output" ]
}

@test "binary output of some size is unchanged, and so are the arguments" {
	head -c 3000000 /dev/urandom >data
	"$vm" --results "$results" -- sh -c 'cat "$1"; printf "%s|" "$@" >&2' sh \
		"$PWD/data" 'a b' "c'd" '$e' '' $'f\ng' >copy 2>args
	cmp data copy
	[ "$(cat args)" = "$PWD/data|a b|c'd|\$e||f"$'\n'"g|" ]
}

@test "programs may reopen /dev/stdout and /dev/stderr" {
	run --separate-stderr "$vm" --results "$results" -- \
		bash -c 'echo one >/dev/stdout; echo two >/dev/stderr'
	[ "$output" = one ]
	[ "$stderr" = two ]
}

@test "what a test program says of a test stays beside it, and cuts into no line" {
	cat >talker <<-'END'
		#!/usr/bin/env perl
		$| = 1;
		for my $i (1 .. 500) {
			print STDERR "# of $i\n";
			# As an unbuffered stream does it.
			print $_ for "o", "k $i\n";
		}
	END
	chmod +x talker
	"$vm" --results "$results" -- "$BATS_TEST_DIRNAME/../run-programs" talker >out 2>&1
	{
		echo "@@ begin talker"
		for ((i = 1; i <= 500; i++)); do printf '# of %d\nok %d\n' $i $i; done
		echo "@@ end 0"
	} >expected
	diff expected out
}

@test "writes stay in the VM except in the results directory" {
	echo before >file
	"$vm" --results "$results" -- sh -c 'echo after >file; cat file >$GMEM_RESULTS/kept
		touch /gmem-test /etc/gmem-test'
	[ "$(cat file)" = before ]
	[ "$(cat "$results/kept")" = after ]
	[ ! -e /gmem-test ]
	[ ! -e /etc/gmem-test ]
}

@test "the VM has KVM, BPF, cgroups, tracing and a loopback device" {
	"$vm" --results "$results" -- sh -ec 'test -c /dev/kvm
		test -w /dev/kvm
		test -d /sys/kernel/tracing/events
		test -f /sys/fs/cgroup/cgroup.procs
		test -r /sys/kernel/btf/vmlinux
		grep -q "^bpf /sys/fs/bpf" /proc/mounts
		ip -br link show lo | grep -q UP'
}

@test "--nodes gives the VM as many NUMA nodes, each with memory and a CPU" {
	run "$vm" --nodes 2 --mem 2G -- bash -c 'cat /sys/devices/system/node/online
		for n in /sys/devices/system/node/node[01]; do
			awk "/MemTotal/ { print (\$4 > 800000) }" $n/meminfo
			cat $n/cpulist
		done'
	[ "$status" -eq 0 ]
	[ "$(xargs <<<"$output")" = "0-1 1 0 1 1" ]
}

@test "a kernel warning fails a command that returned 0, and is printed" {
	run --separate-stderr "$vm" --results "$results" -- \
		sh -c 'echo WARNING >/sys/kernel/debug/provoke-crash/DIRECT'
	[ "$status" -eq 70 ]
	[[ $stderr == *"the kernel complained"*"WARNING: "*lkdtm* ]]
	[[ $stderr == *"the command returned 0"* ]]
}

@test "an oops ends the VM at once, fails and is printed" {
	run --separate-stderr "$vm" --results "$results" -- \
		sh -c 'echo BUG >/sys/kernel/debug/provoke-crash/DIRECT; sleep 100'
	[ "$status" -eq 70 ]
	[[ $stderr == *"the kernel died"*"kernel BUG at"* ]]
}

@test "a command cannot fake a warning, neither by output nor through kmsg" {
	run "$vm" --results "$results" -- sh -c 'echo "WARNING: CPU: 0"
		echo "BUG: no" >&2
		echo "<0>------------[ cut here ]------------" >/dev/kmsg
		echo "WARNING: no" >/dev/kmsg'
	[ "$status" -eq 0 ]
}

@test "a command cannot hide a warning by clearing the log" {
	run "$vm" --results "$results" -- sh -c 'dmesg -n 1
		echo WARNING >/sys/kernel/debug/provoke-crash/DIRECT; dmesg -C'
	[ "$status" -eq 70 ]
	[[ $output == *"WARNING: "*lkdtm* ]]
}

@test "a process left running fails the command and is named" {
	run --separate-stderr "$vm" --results "$results" -- sh -c 'setsid sleep 4321 & true'
	[ "$status" -eq 70 ]
	[[ $stderr == *"left processes running"*"sleep 4321"* ]]
}

@test "a child that ends soon is no leak" {
	run "$vm" --results "$results" -- sh -c 'sleep 3 & true'
	[ "$status" -eq 0 ]
}

@test "a VM that hangs is killed at the timeout and its log kept" {
	run --separate-stderr "$vm" --results "$results" --timeout 15 -- sleep 500
	[ "$status" -eq 124 ]
	[[ ${stderr_lines[0]} == "vm/run: the VM did not finish in 15 s"* ]]
	[ -s "$results/console.log" ]
	no_qemu
}

@test "a command that powers the VM off is an error of its own" {
	run --separate-stderr "$vm" --results "$results" -- \
		sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger; sleep 60'
	[ "$status" -eq 125 ]
	[[ ${stderr_lines[0]} == "vm/run: the VM ended before its command did" ]]
}

@test "with --icount two runs of the same work agree" {
	local round took=()

	for round in 1 2; do
		run -0 "$vm" --icount -- bash -c 'start=${EPOCHREALTIME/./}
			for ((i = 0; i < 100000; i++)); do :; done
			echo $((${EPOCHREALTIME/./} - start)) $(nproc)'
		echo "microseconds and CPUs: $output"
		[[ $output == *" 1" ]]
		took+=("${output% *}")
	done
	[ $((took[0] * 100)) -gt $((took[1] * 99)) ]
	[ $((took[1] * 100)) -gt $((took[0] * 99)) ]
}

@test "SIGINT to vm/run ends the VM" {
	start_sleeper
	kill -INT "$runner"
	wait_for no_qemu
	# Not by "run": its subshell may wait for no child of this shell.
	rc=0
	wait "$runner" || rc=$?
	[ "$rc" -eq 130 ]
}

@test "Ctrl-C, that is SIGINT to the whole group, ends the VM" {
	start_sleeper
	kill -INT -- "-$runner"
	wait_for no_qemu
}

@test "SIGTERM to vm/run ends the VM" {
	start_sleeper
	kill -TERM "$runner"
	wait_for no_qemu
}

@test "SIGKILL to vm/run ends the VM" {
	start_sleeper
	kill -KILL "$runner"
	wait_for no_qemu
}

@test "a reader that goes away ends the VM" {
	"$vm" --results "$results" -- sh -c 'while :; do echo y; done' 2>err | head -n 1 >first
	[ "$(cat first)" = y ]
	wait_for no_qemu
}

@test "--interactive gives the command a terminal of the same size" {
	echo 'set -g status off' >tmux.conf
	tmux -L gmem-bats-$$ -f tmux.conf new-session -d -x 91 -y 33 "$vm --results '$results' --interactive -- \
		sh -c 'tty; stty size; sleep 1; exit 5'; echo status \$?; stty -a | grep -o ' -*icanon'; sleep 60"
	shown()
	{
		tmux -L gmem-bats-$$ capture-pane -p >screen
		grep -q '^status 5' screen && grep -q icanon screen
	}
	wait_for shown
	tmux -L gmem-bats-$$ kill-server
	grep -q /dev/hvc0 screen
	grep -q '^33 91' screen
	grep -q '^ icanon' screen
}

@test "--help prints the options" {
	run -0 "$vm" --help
	[[ $output == "Usage: tests/vm/run "*"--interactive"* ]]
}

@test "bad options are usage errors of one line" {
	run --separate-stderr "$vm" --nonsense -- true
	one_line_error 2
	run --separate-stderr "$vm" true
	one_line_error 2
	run --separate-stderr "$vm"
	one_line_error 2
	run --separate-stderr "$vm" --cpus
	one_line_error 2
	run --separate-stderr "$vm" --nodes 3 -- true
	[ "$status" -eq 2 ]
	run --separate-stderr "$vm" --cpus 0 -- true
	one_line_error 2
	run --separate-stderr "$vm" --mem much -- true
	one_line_error 2
	run --separate-stderr "$vm" --timeout -1 -- true
	one_line_error 2
	run --separate-stderr "$vm" --icount --kvm -- true
	one_line_error 2
	run --separate-stderr "$vm" --interactive -- true </dev/null
	one_line_error 2
}

@test "a missing kernel, variant or QEMU names the remedy" {
	run --separate-stderr "$vm" --kernel /nonexistent/bzImage -- true
	one_line_error 125
	run --separate-stderr "$vm" --kernel nosuch -- true
	one_line_error 125
	[[ $stderr == *"kernel/build --variant nosuch"* ]]

	mkdir bin
	for p in bash sh env dirname realpath; do
		ln -s "$(command -v $p)" bin/
	done
	run --separate-stderr env PATH="$PWD/bin" "$vm" -- true
	one_line_error 125
	[[ $stderr == *"qemu-system-x86_64 is not installed: run make setup"* ]]
}

@test "a file that is no kernel is an error, not a hang" {
	echo nonsense >bzImage
	run --separate-stderr "$vm" --results "$results" --kernel ./bzImage -- true
	[ "$status" -eq 125 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "vm/run: QEMU failed: "* ]]
}

@test "an unwritable results directory is an error" {
	run --separate-stderr "$vm" --results /proc/nothing -- true
	one_line_error 125
}
