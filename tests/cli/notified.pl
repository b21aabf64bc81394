#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# A service manager's end of sd_notify(3): prints each datagram that comes to the
# socket PATH, or with an @ before it, to that abstract name. Lines of one are
# joined by a blank.
#
#	notified.pl PATH
use strict;
use warnings;
use Socket;

my ($path) = @ARGV;
my $name = $path =~ s/^@/\0/r;

socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
bind($socket, pack('S a*', AF_UNIX, $name)) or die "$path: $!\n";
$| = 1;
print "listening\n";
while (defined recv($socket, my $text, 4096, 0)) {
	print join(' ', split(/\n/, $text)), "\n";
}
