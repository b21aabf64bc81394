# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What tests/debian/run, tests/debian/kernel and tests/debian/setup.bats know of Debian:
# the releases that the README names, and how apt gets at them.

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

# private_apt DIR CODENAME [SUITE...]: an apt of its own, which knows nothing of this
# machine's packages, with the release's lists as of today, and those of more suites.
# APT_CONFIG=DIR/conf is how to use it. Fails if there are no lists; DIR/log says why.
private_apt()
{
	local dir=$1 codename=$2 options=signed-by=/usr/share/keyrings/debian-archive-keyring.gpg lock suite
	shift 2

	mkdir -p "$dir"/etc/apt/{apt.conf.d,preferences.d,sources.list.d} \
		"$dir"/var/lib/apt/lists/partial "$dir"/var/cache/apt/archives/partial || return
	exec {lock}>"$dir/lock"
	flock "$lock"
	: >"$dir/status"
	{
		debian_sources "$codename" "$options"
		for suite; do
			echo "deb [$options] $mirror/debian $suite main"
		done
	} >"$dir/etc/apt/sources.list"
	{
		apt_settings
		cat <<-END
			Dir "$dir/";
			Dir::State::status "$dir/status";
			APT::Architecture "amd64";
			APT::Sandbox::User "root";
			Acquire::Languages "none";
			Acquire::Retries "1";
			Acquire::http::Timeout "20";
		END
	} >"$dir/conf"
	if [ -z "$(find "$dir/updated" -mtime -1 2>/dev/null)" ]; then
		# Older lists are better than none.
		! APT_CONFIG=$dir/conf apt-get -q update --error-on=any >"$dir/log" 2>&1 || touch "$dir/updated"
	fi
	exec {lock}>&-
	[ -e "$dir/updated" ]
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
