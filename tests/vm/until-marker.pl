#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Copies FILE to stdout up to MARKER and exits 0 there. At end of file without
# a marker it exits 1. A virtio port cannot say "end of file", hence the marker.
use strict;
use warnings;

my ($marker, $file) = @ARGV;
my $held = '';

open(my $in, '<:raw', $file) or die "$file: $!\n";
binmode(STDOUT);

sub out
{
	my ($text) = @_;

	while (length $text) {
		my $n = syswrite(STDOUT, $text);
		defined $n or die "stdout: $!\n";
		substr($text, 0, $n) = '';
	}
}

while (sysread($in, my $chunk, 65536)) {
	$held .= $chunk;
	my $at = index($held, $marker);
	if ($at >= 0) {
		out(substr($held, 0, $at));
		exit 0;
	}
	# Hold back only what may be the beginning of the marker.
	my $keep = length($marker) - 1;
	$keep = length($held) if $keep > length($held);
	$keep-- while $keep && substr($held, -$keep) ne substr($marker, 0, $keep);
	out(substr($held, 0, length($held) - $keep));
	$held = $keep ? substr($held, -$keep) : '';
}
out($held);
exit 1;
