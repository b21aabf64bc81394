#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Passes the output of tests/run-programs on and counts its tests. Writes
# "passed N", "failed N", "skipped N" and a "failure TEXT" line for each failed
# test to COUNTS. A program fails as a whole when it breaks its own promise:
# no plan, not all of the plan, no test at all, or an exit status of failure
# without a failed test.
use strict;
use warnings;

my ($suite, $counts) = @ARGV;
my ($passed, $failed, $skipped) = (0, 0, 0);
my @failures;
my $programs = 0;
my $p;		# the program whose output is being read

$| = 1;

sub fail
{
	my ($text) = @_;

	$failed++;
	push @failures, $text;
}

sub broken
{
	my ($why) = @_;

	print "not ok - $p->{name}: $why\n";
	fail("$p->{name}: $why");
}

sub finish
{
	my ($status) = @_;

	if (!defined $status) {
		broken("died without an exit status");
	} elsif ($p->{missing}) {
		broken("is missing: run make all");
	} elsif ($p->{bail}) {
		broken("bailed out: $p->{bail}");
	} elsif (!defined $p->{plan}) {
		broken("has no plan (exit status $status)");
	} elsif ($p->{seen} != $p->{plan}) {
		broken("planned $p->{plan} tests and ran $p->{seen} (exit status $status)");
	} elsif (!$p->{seen} && !defined $p->{skip_all}) {
		broken("ran no test (exit status $status)");
	} elsif ($status && !$p->{failed} && !defined $p->{skip_all}) {
		broken("returned $status although no test failed");
	} elsif (defined $p->{skip_all}) {
		$skipped++;
	}
	undef $p;
}

while (my $line = <STDIN>) {
	# Not from a test program: a frame.
	if ($line =~ /^@@ begin (.*)$/) {
		finish(undef) if $p;
		$programs++;
		$p = { name => $1, seen => 0, failed => 0 };
		print "# $1\n";
		next;
	}
	if ($p && $line =~ /^@@ missing$/) {
		$p->{missing} = 1;
		next;
	}
	if ($p && $line =~ /^@@ end (\d+)$/) {
		finish($1);
		next;
	}
	print $line;
	next unless $p;
	if ($line =~ /^1\.\.(\d+)\s*(?:#\s*skip\S*\s*(.*))?$/i) {
		$p->{plan} = $1;
		$p->{skip_all} = $2 if !$1 && defined $2;
	} elsif ($line =~ /^(not )?ok\b\s*(\d*)\s*-?\s*(.*)$/) {
		my ($not, $n, $text) = ($1, $2, $3);

		$p->{seen}++;
		if ($not) {
			$p->{failed}++;
			fail($text);
		} elsif ($text =~ /#\s*skip\S*\s*(.*)$/i) {
			if ($1 eq '') {
				$p->{failed}++;
				broken("test $n is skipped without a reason");
			} else {
				$skipped++;
			}
		} else {
			$passed++;
		}
	} elsif ($line =~ /^Bail out!\s*(.*)$/) {
		$p->{bail} = $1 eq '' ? 'no reason' : $1;
	}
}
finish(undef) if $p;
if (!$programs) {
	print "not ok - $suite: no program ran\n";
	fail("no program ran");
}

open(my $out, '>', $counts) or die "$counts: $!\n";
print $out "passed $passed\nfailed $failed\nskipped $skipped\n";
print $out "failure $_\n" for @failures;
close($out) or die "$counts: $!\n";
