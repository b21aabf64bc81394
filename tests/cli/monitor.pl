#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# A monitor that does what it is told on standard input, a line a command, and
# answers "ok" or "err REASON". It has VMs, each with memslots that have a
# guest_memfd and memory of this process; no vCPU runs.
#
#	vm [default]			another VM, software-protected if it is not to be
#					a default VM; they count from 0
#	slot VM GPA MIB KIND		memory of KIND anon, shared, hugetlb, hugememfd,
#					huge: anon, with huge folios in the guest_memfd,
#					pinned: anon, with pages that the host cannot move,
#					or mapped: the guest_memfd's own, which takes a
#					default VM or conversion in place; slots count
#					from 0
#	touch|drop|lock SLOT PAGE NR	pages of this process
#	allocate|punch SLOT PAGE NR	pages of the guest_memfd
#	private|shared SLOT PAGE NR	what the frames are; NR may be STEPxNR: NR
#					single frames, STEP from one to the next
#	hold SLOT PAGE NR		takes references to pages of this process
#	release				gives back those that were taken last
#	break SLOT PAGE NR		pages that this process has touched, as failing memory does
#	frames VM GFN NR		makes frames private, whoever has them
#	cpu NR				run there from now on
#	close SLOT			closes the guest_memfd
use strict;
use warnings;
use Errno;
# Guest addresses have more than 32 bits, and so has this perl.
no warnings 'portable';

use constant {
	KVM_CREATE_VM => 0xae01,
	KVM_X86_SW_PROTECTED_VM => 1,
	KVM_CREATE_GUEST_MEMFD => 0xc040aed4,
	KVM_SET_USER_MEMORY_REGION2 => 0x40a0ae49,
	KVM_SET_MEMORY_ATTRIBUTES => 0x4020aed2,
	KVM_SET_MEMORY_ATTRIBUTES2 => 0xc080aed2,
	KVM_MEM_GUEST_MEMFD => 1 << 2,
	GUEST_MEMFD_MMAP => 1 << 0, GUEST_MEMFD_INIT_SHARED => 1 << 1,
	GUEST_MEMFD_HUGE_PAGES => 1 << 16, GUEST_MEMFD_UNMOVABLE => 1 << 17,
	PRIVATE => 1 << 3,
	PAGE => 4096,
	# System calls of x86-64.
	READ => 0, MMAP => 9, IOCTL => 16, MADVISE => 28, FTRUNCATE => 77, MLOCK => 149,
	SCHED_SETAFFINITY => 203, VMSPLICE => 278, FALLOCATE => 285, MEMFD_CREATE => 319,
	MAP_SHARED => 1, MAP_PRIVATE => 2, MAP_ANONYMOUS => 0x20,
	MAP_NORESERVE => 0x4000, MAP_HUGETLB => 0x40000,
	MFD_HUGETLB => 4, MADV_DONTNEED => 4, MADV_NOHUGEPAGE => 15,
	KEEP_SIZE => 1, PUNCH_HOLE => 2,
};

my (@vms, @slots, @pipe);

$0 = shift // 'monitor';
$| = 1;
open(my $kvm, '+<', '/dev/kvm') or die "monitor.pl: /dev/kvm: $!\n";
open(my $zero, '<', '/dev/zero') or die "monitor.pl: /dev/zero: $!\n";

# A system call with numbers only.
sub call { my $r = syscall($_[0], map { $_ + 0 } @_[1 .. $#_]); die "$!\n" if $r == -1; return $r; }
sub memfd
{
	my ($size, $flags) = @_;
	my $name = "ram\0";
	my $fd = syscall(MEMFD_CREATE, $name, $flags);

	die "memfd_create: $!\n" if $fd < 0;
	call(FTRUNCATE, $fd, $size);
	return $fd;
}

sub memory
{
	my ($size, $kind, $fd) = @_;
	my $rw = 3;

	return call(MMAP, 0, $size, $rw, MAP_SHARED, $fd, 0) if $kind eq 'mapped';
	return call(MMAP, 0, $size, $rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)
		if $kind eq 'hugetlb';
	return call(MMAP, 0, $size, $rw, MAP_SHARED, memfd($size, MFD_HUGETLB), 0)
		if $kind eq 'hugememfd';
	return call(MMAP, 0, $size, $rw, MAP_SHARED, memfd($size, 0), 0) if $kind eq 'shared';
	my $at = call(MMAP, 0, $size, $rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	call(MADVISE, $at, $size, MADV_NOHUGEPAGE);
	return $at;
}

sub attributes
{
	my ($vm, $gpa, $nr, $attributes) = @_;
	my $arg = pack('Q4', $gpa, $nr * PAGE, $attributes, 0);

	ioctl($vms[$vm], KVM_SET_MEMORY_ATTRIBUTES, $arg) or die "$!\n";
}

# Of the guest_memfd itself.
sub attributes_in_place
{
	my ($fd, $page, $nr, $attributes) = @_;
	my $arg = pack('Q16', $page * PAGE, $nr * PAGE, $attributes, 0, 0);

	return if syscall(IOCTL, $fd, KVM_SET_MEMORY_ATTRIBUTES2, $arg) >= 0;
	die "$! at page ", unpack('x32 Q', $arg) / PAGE, "\n";
}

my %commands = (
	vm => sub {
		my $type = ($_[0] // '') eq 'default' ? 0 : KVM_X86_SW_PROTECTED_VM;
		my $fd = ioctl($kvm, KVM_CREATE_VM, $type) or die "$!\n";
		open(my $vm, '+<&=', $fd + 0) or die "$!\n";
		push @vms, $vm;
	},
	slot => sub {
		my ($vm, $gpa, $mib, $kind) = @_;
		my $size = $mib << 20;
		my $flags = $kind eq 'mapped' ? GUEST_MEMFD_MMAP | GUEST_MEMFD_INIT_SHARED :
			$kind eq 'huge' ? GUEST_MEMFD_HUGE_PAGES :
			$kind eq 'pinned' ? GUEST_MEMFD_UNMOVABLE : 0;
		my $create = pack('Q8', $size, $flags);
		my $fd = ioctl($vms[$vm], KVM_CREATE_GUEST_MEMFD, $create) or die "$!\n";
		my $at = memory($size, $kind, $fd + 0);
		my $region = pack('LLQQQQLLQ14', scalar @slots, KVM_MEM_GUEST_MEMFD,
			hex($gpa), $size, $at, 0, $fd + 0, 0);

		ioctl($vms[$vm], KVM_SET_USER_MEMORY_REGION2, $region) or die "$!\n";
		push @slots, { vm => $vm, gpa => hex($gpa), at => $at, fd => $fd + 0, kind => $kind };
	},
	touch => sub {
		my ($slot, $page, $nr) = @_;

		# By the kernel, which writes where it is told to.
		call(READ, fileno($zero), $slots[$slot]{at} + ($page + $_) * PAGE, 1) for 0 .. $nr - 1;
	},
	drop => sub { call(MADVISE, $slots[$_[0]]{at} + $_[1] * PAGE, $_[2] * PAGE, MADV_DONTNEED); },
	lock => sub { call(MLOCK, $slots[$_[0]]{at} + $_[1] * PAGE, $_[2] * PAGE); },
	allocate => sub { call(FALLOCATE, $slots[$_[0]]{fd}, KEEP_SIZE, $_[1] * PAGE, $_[2] * PAGE); },
	punch => sub {
		call(FALLOCATE, $slots[$_[0]]{fd}, KEEP_SIZE | PUNCH_HOLE, $_[1] * PAGE, $_[2] * PAGE);
	},
	hold => sub {
		my ($slot, $page, $nr) = @_;
		my $vec = pack('QQ', $slots[$slot]{at} + $page * PAGE, $nr * PAGE);

		pipe($pipe[0], $pipe[1]) or die "$!\n";
		syscall(VMSPLICE, fileno($pipe[1]), $vec, 1, 0) == $nr * PAGE or die "$!\n";
	},
	release => sub { @pipe = (); },
	break => sub {
		my ($slot, $page, $nr) = @_;

		# Not by madvise(2), which sends a signal.
		open(my $map, '<', '/proc/self/pagemap') or die "pagemap: $!\n";
		seek($map, ($slots[$slot]{at} / PAGE + $page) * 8, 0);
		read($map, my $entries, $nr * 8) == $nr * 8 or die "pagemap: $!\n";
		for (map { $_ & ((1 << 55) - 1) } unpack('Q*', $entries)) {
			$_ or die "not touched\n";
			open(my $to, '>', '/sys/kernel/debug/hwpoison/corrupt-pfn') or die "$!\n";
			# A page that the guest_memfd keeps is broken all the same.
			syswrite($to, sprintf("%#x", $_)) or $!{EBUSY} or die "$!\n";
		}
	},
	frames => sub { attributes($_[0], hex($_[1]) * PAGE, $_[2], PRIVATE); },
	cpu => sub {
		my $mask = pack('Q16', 1 << $_[0]);

		syscall(SCHED_SETAFFINITY, 0, length($mask), $mask) >= 0 or die "$!\n";
	},
	close => sub { call(3, $slots[$_[0]]{fd}); },
);
for my $word ('private', 'shared') {
	$commands{$word} = sub {
		my ($slot, $page, $nr) = @_;
		my ($vm, $gpa) = @{$slots[$slot]}{'vm', 'gpa'};
		my $attributes = $word eq 'private' ? PRIVATE : 0;

		if ($slots[$slot]{kind} eq 'mapped') {
			attributes_in_place($slots[$slot]{fd}, $page, $nr, $attributes);
		} elsif ($nr =~ /^(\d+)x(\d+)$/) {
			attributes($vm, $gpa + ($page + $_ * $1) * PAGE, 1, $attributes) for 0 .. $2 - 1;
		} else {
			attributes($vm, $gpa + $page * PAGE, $nr, $attributes);
		}
	};
}

print "ok\n";
while (<STDIN>) {
	my ($word, @args) = split;

	next unless defined $word;
	eval { ($commands{$word} // die "no such command\n")->(@args); };
	print $@ ? "err $word: $@" : "ok\n";
}
