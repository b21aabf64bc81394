# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What tests/debian/run and tests/debian/setup.bats know of Debian: the releases
# that the README names, and how apt gets at them.

# Global: bats reads this in a function of its own.
# shellcheck disable=SC2034
declare -gA codenames=([12]=bookworm [13]=trixie)
mirror=${GMEM_DEBIAN_MIRROR:-http://deb.debian.org}

# debian_sources CODENAME [OPTION]: sources.list as the installer writes it
debian_sources()
{
	local what

	for what in "debian $1" "debian $1-updates" "debian-security $1-security"; do
		echo "deb ${2:+[$2] }$mirror/$what main"
	done
}

# How this machine's apt gets out holds for another apt as well. A helper that finds
# a proxy is a program of this machine, and stays here.
apt_settings()
{
	apt-config dump | grep -E '^Acquire::((https?|ftp)::|Retries|Check-Valid-Until|Check-Date)' |
		grep -viE '::(Proxy-?Auto-?Detect|User-Agent)' || :
}

# modules_key [DIR]: of what the modules for Debian's kernel are made, in this tree or
# in the one of the package
modules_key()
{
	(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}" &&
		find packaging/dkms/{prepare,stock.[ch],Makefile.stock} kernel/lib.sh kernel/patches \
			kernel/linux/{include,virt} -type f -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-32)
}
