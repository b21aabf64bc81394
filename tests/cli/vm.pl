#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# The cheapest VM there is: no vCPU and no memory, only what KVM asks policies
# about. It converts a part of its address space back and forth, so that each
# request and its outcome can be counted. Where KVM has no software-protected VMs
# it is an ordinary one, whose requests KVM refuses ("other") if no policy does.
#
#	vm.pl NAME [RATE [COUNT [PAGES]]]
#
# NAME is the name of its process; with | in it, words of its command line, the
# program's first. RATE is conversions per second, 0 for none
# (the default) and -1 for as many as go; COUNT ends it after so many, 0 never.
# PAGES is how many a conversion is for, by default 1. Prints "ready" and, when
# it ends or on SIGTERM, what came of its requests as JSON.
use strict;
use warnings;
use Time::HiRes qw(sleep time);
use POSIX qw(EBUSY EPERM);

use constant {
	KVM_CREATE_VM => 0xae01,
	KVM_SET_MEMORY_ATTRIBUTES => 0x4020aed2,
	KVM_X86_DEFAULT_VM => 0,
	KVM_X86_SW_PROTECTED_VM => 1,
	PRIVATE => 1 << 3,
	PAGE => 4096,
};

my ($name, $rate, $count, $pages) = @ARGV;
$rate //= 0;
$count //= 0;
$pages //= 1;
my ($done, $stop) = (0, 0);
my %outcome = (ok => 0, busy => 0, perm => 0, other => 0);

# Perl would cut its name at a NUL, so words are given to a new start of it.
if ($name =~ /\|/) {
	my ($program, @words) = split(/\|/, $name);

	exec { $^X } $program, $0, '', $rate, $count, $pages, @words;
}
$0 = $name if $name ne '';
$| = 1;
open(my $kvm, '+<', '/dev/kvm') or die "vm.pl: /dev/kvm: $!\n";
my $fd = ioctl($kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM) ||
	ioctl($kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM)
	or die "vm.pl: KVM_CREATE_VM: $!\n";
open(my $vm, '+<&=', $fd + 0) or die "vm.pl: $!\n";
$SIG{TERM} = $SIG{INT} = sub { $stop = 1 };
print "ready\n";

my $began = time;
until ($stop || ($count && $done >= $count)) {
	if (!$rate) {
		sleep 1;
		next;
	}
	my $range = pack('QQQQ', 0x100000, $pages * PAGE, $done % 2 ? 0 : PRIVATE, 0);

	if (ioctl($vm, KVM_SET_MEMORY_ATTRIBUTES, $range)) {
		$outcome{ok}++;
	} elsif ($! == EBUSY) {
		$outcome{busy}++;
	} elsif ($! == EPERM) {
		$outcome{perm}++;
	} else {
		$outcome{other}++;
	}
	$done++;
	if ($rate > 0) {
		my $wait = $began + $done / $rate - time;
		sleep $wait if $wait > 0;
	}
}
printf "{%s}\n", join(', ', map { "\"$_\": $outcome{$_}" } sort keys %outcome);
