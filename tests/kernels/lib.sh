# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests share that run on any kernel: which one it is, and what guests it has.

# this_kernel: the name of its variant in build/kernel
this_kernel()
{
	local release

	release=$(uname -r)
	case $release in
	*+deb*) echo "debian-$(cut -d. -f1,2 <<<"$release")" ;;
	*) [ -e /sys/module/kvm/parameters/gmem_policies ] && echo gmem || echo baseline ;;
	esac
}

# kind_of_guest: private (software-protected VMs), mapped (ordinary VMs in a guest_memfd
# that the host may map), or none: no VM here has a guest_memfd
kind_of_guest()
{
	perl -e '
		# KVM_CHECK_EXTENSION of KVM_CAP_VM_TYPES and KVM_CAP_GUEST_MEMFD_FLAGS
		open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!\n";
		my $types = ioctl($kvm, 0xae03, 235) // 0;
		my $flags = ioctl($kvm, 0xae03, 244) // 0;
		print $types & 2 ? "private" : ($flags & 3) == 3 ? "mapped" : "none", "\n";
	'
}
