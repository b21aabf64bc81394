#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What must hold however often: sets and VMs leave nothing behind. Run as root in
# the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-stress.bats

load gmempolicy

VMS=500

setup_file()
{
	export TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export PATH=$TOP/build:$PATH
	start_vm web1 web-1
}

teardown_file()
{
	gmempolicy detach --all
	stop_vm web1
}

teardown()
{
	gmempolicy detach --all
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
	[ "$(bpftool -j map list | jq length)" -eq "$maps" ]
}
