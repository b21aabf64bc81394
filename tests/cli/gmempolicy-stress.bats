#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What must hold however often and at whatever moment: sets under load, apply
# killed wherever it changes something, VMs that come and go. Run as root in the
# VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-stress.bats

load gmempolicy

SETS=${GMEM_SETS:-10000}
VMS=500

setup_file()
{
	use_build
	prepare_objects
	start_vm web1 web-1
}

teardown_file()
{
	gmempolicy detach --all
	stop_vm web1
}

teardown()
{
	echo 0 >/sys/kernel/rcu_expedited
	gmempolicy detach --all
	stop_vm busy
}

# A policy that notices when it sees half of a set.
twins()
{
	object twins <<-'END'
	struct twins_params {
		GMEM_PARAM(u64, one, "", 0, 1000000, "equals other");
		GMEM_PARAM(u64, other, "", 0, 1000000, "equals one");
	};
	GMEM_PARAMS(struct twins_params, "twins", "nothing") = {};
	u64 torn, changes, last;
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		const struct twins_params *params = gmem_params();
		u64 one = *(volatile u64 *)&params->one;
		u64 other;

		/* Time for someone to write in between. */
		bpf_ktime_get_ns();
		other = *(volatile u64 *)&params->other;
		if (one != other)
			torn++;
		if (one != last)
			changes++;
		last = one;
		return one & 1 ? gmem_deny(EBUSY) : gmem_allow();
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops twins = { .convert = (void *)c, .name = "twins" };
	END
}

bss()
{
	bpftool -j map dump name twins.bss | jq ".. | .$1? // empty" | head -n 1
}

@test "$SETS sets under load lose no verdict, and none is seen by halves" {
	twins
	# The kernel waits for readers after each; not for long, here.
	echo 1 >/sys/kernel/rcu_expedited
	gmempolicy attach "$obj" --all
	start_vm busy busy 1000
	start=$SECONDS
	for ((i = 1; i <= SETS; i++)); do
		echo "one=$i other=$i"
	done | gmempolicy set twins-all - >/dev/null
	echo "# $SETS sets in $((SECONDS - start)) s" >&3
	stop_vm busy
	echo "# $(came_of busy ok) allowed, $(came_of busy busy) denied, $(bss changes) changes seen" >&3
	[ "$(bss torn)" = 0 ]
	[ "$(bss changes)" -gt 100 ]
	[ "$(param twins-all one) $(param twins-all other)" = "$SETS $SETS" ]
	[ "$(policy twins-all allowed)" = "$(came_of busy ok)" ]
	[ "$(policy twins-all denied)" = "$(came_of busy busy)" ]
	[ "$(came_of busy perm) $(came_of busy other)" = "0 0" ]
}

@test "sets leave no map behind" {
	gmempolicy attach ratelimit --all
	before=$(bpftool -j map list | jq length)
	for i in $(seq 50); do echo "rate=$i"; done |
		gmempolicy set ratelimit-all - >/dev/null
	# The first set makes a map; the kernel frees the others in its own time.
	wait_for 20 eval '[ "$(bpftool -j map list | jq length)" -le $((before + 1)) ]'
	gmempolicy detach --all
	wait_for 20 eval '[ "$(bpftool -j map list | jq length)" -lt $before ]'
}

@test "$VMS VMs come and go and no state leaks" {
	gmempolicy attach ratelimit --all
	entries()
	{
		bpftool -j map dump name vms | jq length
	}
	before=$(entries)
	maps=$(bpftool -j map list | jq length)
	[ "$before" -eq 1 ]
	perl -e '
		open(my $kvm, "+<", "/dev/kvm") or die;
		for my $batch (1 .. shift() / 50) {
			my @vms;
			for (1 .. 50) {
				my $fd = ioctl($kvm, 0xae01, 1) or die "create: $!";
				open(my $vm, "+<&=", $fd + 0) or die;
				my $range = pack("QQQQ", 0x100000, 4096, 8, 0);
				ioctl($vm, 0x4020aed2, $range) or die "convert: $!";
				push @vms, $vm;
			}
			if ($batch == 1) {
				system("bpftool -j map dump name vms | jq length >$ARGV[0]");
			}
		}' $VMS "$BATS_TEST_TMPDIR/during"
	[ "$(cat "$BATS_TEST_TMPDIR/during")" -eq 51 ]
	[ "$(policy ratelimit-all calls)" -eq $VMS ]
	wait_for 20 eval '[ "$(policy ratelimit-all vms)" -eq 1 ]'
	[ "$(entries)" -eq "$before" ]
	# Those of tools that ended before may have been there still.
	wait_for 20 eval '[ "$(bpftool -j map list | jq length)" -le "$maps" ]'
}

old_files()
{
	cat >"$dir/x.toml" <<-'END'
	[policy.everyone]
	use = "ratelimit"
	all = true
	mode = "audit"
	set = { rate = 500 }
	[policy.web]
	use = "ratelimit"
	name = "web-*"
	set = { rate = 20 }
	[policy.gone]
	use = "ratelimit"
	all = true
	mode = "audit"
	END
}

new_files()
{
	cat >"$dir/x.toml" <<-'END'
	[policy.everyone]
	use = "ratelimit"
	all = true
	set = { rate = 600 }
	[policy.web]
	use = "ratelimit"
	name = "web-*"
	set = { rate = 30, burst = 40 }
	[policy.fresh]
	use = "ratelimit"
	all = true
	set = { rate = 5 }
	END
}

# Each policy in a word: its pin, mode, rate and burst.
host()
{
	gmempolicy status --json | jq -r '. as $s | [.policies[] | .pin as $pin |
		([$s.parameters[] | select(.pin == $pin and
			(.name == "rate" or .name == "burst")).value] | join("/")) as $p |
		"\($pin):\(.mode):\($p)"] | sort | join(" ")'
}

# What is legal: each policy as it was or as it is to be; the new one is there
# before the old one goes.
is_legal()
{
	local web=web@vm$id
	local everyone="everyone@all:(audit:500/0|enforce:600/0)"

	[[ $1 =~ ^$everyone\ (gone@all:audit:1000/0\ )?$web:enforce:(20/0|30/40)$ ]] &&
		[[ $1 == *gone@all* ]] && return
	[[ $1 =~ ^$everyone\ fresh@all:enforce:5/0\ (gone@all:audit:1000/0\ )?$web:enforce:(20/0|30/40)$ ]]
}

# killed_at N: apply is killed at its Nth system call of the two kinds that
# change anything. Fails if it does not come so far.
killed_at()
{
	local status=0

	strace -o /dev/null -e trace=bpf,unlinkat \
		-e "inject=bpf,unlinkat:signal=SIGKILL:when=$1" \
		gmempolicy apply "$dir/x.toml" >/dev/null 2>&1 || status=$?
	[ "$status" -ne 0 ] || return 1
	kills=$((kills + 1))
	# What was not pinned goes with the process, in a moment.
	for i in $(seq 20); do
		now=$(host)
		! is_legal "$now" || return 0
		sleep 0.1
	done
	echo "killed at call $1: $now"
	illegal=1
}

@test "kill -9 of apply wherever it changes something: every policy is as it was or as it is to be" {
	command -v strace >/dev/null || skip "needs strace"
	dir=$BATS_TEST_TMPDIR
	id=$(vm_of web-1)
	# Where the calls are that change something: from there on each is tried,
	# before that every tenth.
	old_files
	gmempolicy apply "$dir/x.toml"
	old=$(host)
	echo "# old: $old" >&3
	is_legal "$old"
	new_files
	strace -o "$dir/calls" -e trace=bpf,unlinkat gmempolicy apply "$dir/x.toml"
	new=$(host)
	echo "# new: $new" >&3
	is_legal "$new"
	first=$(grep -n BPF_LINK_UPDATE "$dir/calls" | head -n 1 | cut -d : -f 1)
	old_files
	gmempolicy apply "$dir/x.toml"
	new_files

	kills=0
	changed=0
	illegal=
	n=1
	while killed_at $n; do
		[ -z "$illegal" ]
		if [ "$now" != "$old" ]; then
			changed=$((changed + 1))
			old_files
			gmempolicy apply "$dir/x.toml" >/dev/null
			[ "$(host)" = "$old" ]
			new_files
		fi
		[ $n -lt $((first - 12)) ] && n=$((n + 10)) || n=$((n + 1))
	done
	echo "# $kills kills, $changed of them with something changed; $(wc -l <"$dir/calls") calls" >&3
	[ "$kills" -gt 20 ]
	[ "$changed" -gt 3 ]
	[ "$(host)" = "$new" ]
}
