#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a program under a seccomp filter that answers one system call with an
# error, as container runtimes do.
#
#	filtered.pl SYSCALL ERRNO PROGRAM ARGUMENT...
#
# Both are numbers.
use strict;
use warnings;

use constant {
	SYS_prctl => 157, PR_SET_NO_NEW_PRIVS => 38, PR_SET_SECCOMP => 22,
	SECCOMP_MODE_FILTER => 2,
	LOAD => 0x20, JUMP_EQUAL => 0x15, RETURN => 0x06,
	ALLOW => 0x7fff0000, ANSWER => 0x00050000,
};

my ($number, $errno, @command) = @ARGV;
my $filter = join('', map { pack('S C C L', @$_) }
	[LOAD, 0, 0, 0],
	[JUMP_EQUAL, 0, 1, $number],
	[RETURN, 0, 0, ANSWER | $errno],
	[RETURN, 0, 0, ALLOW]);
my $program = pack('S x6 P', length($filter) / 8, $filter);

syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "no_new_privs: $!\n";
syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, $program) == 0
	or die "seccomp: $!\n";
exec(@command) or die "$command[0]: $!\n";
