#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/setup on the package lists of each release that the README names: a name
# that one of them has not, or packages that exclude each other, fail here and not
# in somebody's first minute. apt only plays the installation, for a machine that
# has nothing. tests/debian/run does it in earnest.

bats_require_minimum_version 1.5.0

. "$BATS_TEST_DIRNAME/lib.sh"
top=$BATS_TEST_DIRNAME/../..
cache=${GMEM_CACHE:-$HOME/.cache/gmem}

setup_file()
{
	local codename

	command -v apt-get >/dev/null || skip "this is not Debian"
	for codename in "${codenames[@]}"; do
		# What it lacks, each test says.
		private_apt "$cache/debian/$codename/apt" "$codename" || :
	done
}

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	unset MAKEFLAGS MAKELEVEL
}

# machine RELEASE [root]: one with apt, and with nothing that setup looks for
machine()
{
	local dir=$cache/debian/${codenames[$1]}/apt program

	[ -e "$dir/updated" ] || skip "the package lists of Debian $1 could not be had: $(grep -m 1 '^E:' "$dir/log")"
	mkdir -p bin admin/{info,updates}
	: >admin/status
	for program in bash env sed grep tr apt-cache dpkg-query; do
		ln -sf "$(command -v "$program")" bin/
	done
	printf '#!/bin/sh\necho %s\n' "$([ "${2-}" = root ] && echo 0 || echo 1000)" >bin/id
	printf '#!/bin/sh\n[ "$1" = update ] || exec %s -o APT::Get::Simulate=true "$@"\n' \
		"$(command -v apt-get)" >bin/apt-get
	ln -sf "$(command -v sh)" bin/
	chmod +x bin/id bin/apt-get
	with=(env -i "PATH=$PWD/bin" LC_ALL=C "APT_CONFIG=$dir/conf" "DPKG_ADMINDIR=$PWD/admin")
}

# has PACKAGE VERSION-PATTERN: what apt would install
has()
{
	grep -qE "^Inst $1 \($2" <<<"$output"
}

installs_all()
{
	machine "$1" root
	run "${with[@]}" "$top/tests/setup"
	echo "$output"
	[ "$status" -eq 0 ]
	has linux-source-6.12 '6\.12\.'
	has 'clang-(19|2[0-9])' '1:(19|2[0-9])\.'
	has 'llvm-(19|2[0-9])' '1:(19|2[0-9])\.'
	has qemu-system-x86 '1:([7-9]|[1-9][0-9])\.'
	has gcc '4:1[2-9]\.'
	has make '4\.'
}

# What a user is told to run does the same.
tells()
{
	local command

	machine "$1"
	run --separate-stderr "${with[@]}" "$top/tests/setup"
	echo "$stderr"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	command=${stderr#*; run: sudo }
	[ "$command" != "$stderr" ]
	# shellcheck disable=SC2086 # its words
	run "${with[@]}" $command
	echo "$output"
	[ "$status" -eq 0 ]
	has 'clang-(19|2[0-9])' '1:(19|2[0-9])\.'
}

@test "the README names the releases that are tested" {
	for release in "${!codenames[@]}"; do
		grep -qE "^- Debian .*\b$release\b" "$top/README.md"
	done
}

@test "tests/debian/run: bad input is one line that names the cause" {
	for bad in 11 trixie build --nonsense; do
		run --separate-stderr "$BATS_TEST_DIRNAME/run" 13 $bad
		[ "$status" -eq 2 ]
		[ -z "$output" ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"'$bad' is no release (12, 13) and no target (setup, demo, test, packages)"* ]]
	done
	mkdir bin
	printf '#!/bin/sh\necho 1000\n' >bin/id
	chmod +x bin/id
	PATH=$PWD/bin:$PATH run --separate-stderr "$BATS_TEST_DIRNAME/run"
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"is made by root: run sudo make test-debian" ]]
}

@test "Debian 12 has all that setup installs" {
	installs_all 12
}

@test "Debian 13 has all that setup installs" {
	installs_all 13
}

@test "Debian 12 and 13 have what make deb, tests/debian/run and tests/prometheus want" {
	for release in 12 13; do
		machine $release
		for package in debootstrap make prometheus debhelper fakeroot lintian; do
			"${with[@]}" apt-cache show "$package" | grep -qx "Package: $package"
		done
	done
}

@test "the command that a user is told to run installs it, in Debian 12" {
	tells 12
}

@test "the command that a user is told to run installs it, in Debian 13" {
	tells 13
}

@test "a package that is nowhere is named, and nothing is installed" {
	machine 12 root
	run --separate-stderr "${with[@]}" "$top/tests/setup" gmem-no-such-package
	echo "$stderr"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "setup: no package gmem-no-such-package in the package lists"* ]]
}

@test "where all is installed, apt is not asked" {
	machine 12 root
	run --separate-stderr "${with[@]}" "$top/tests/setup"
	packages=$(sed -n 's/^setup: installing //p' <<<"$stderr")
	[ -n "$packages" ]
	for package in $packages; do
		printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: x <x@x>\nVersion: 1\nDescription: x\n\n' \
			"$package" >>admin/status
	done
	printf '#!/bin/sh\necho asked >&2\nexit 1\n' >bin/apt-get
	rm bin/apt-cache
	ln -s apt-get bin/apt-cache
	ln -s sh bin/clang-19
	ln -s sh bin/llvm-strip-19
	run "${with[@]}" "$top/tests/setup"
	echo "$output"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

# A copy of the script, which would link what it gets into this checkout, with a mirror
# where nobody listens and a cache of its own.
kernel()
{
	mkdir -p top/kernel top/tests/debian
	cp "$top/kernel/lib.sh" top/kernel/
	cp "$BATS_TEST_DIRNAME"/{kernel,lib.sh} top/tests/debian/
	GMEM_CACHE=$PWD/cache GMEM_DEBIAN_MIRROR=http://127.0.0.1:9 run --separate-stderr top/tests/debian/kernel "$@"
	echo "$stderr"
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

@test "tests/debian/kernel: bad input is one line that names the cause" {
	for bad in '' 7 v7.3 7.3.4 '7.3 6.12' ../7.3; do
		# shellcheck disable=SC2086 # its words
		kernel $bad
		[ "$status" -eq 2 ]
		[[ $stderr == *"give the version of a series, such as 7.3"* ]]
	done
}

@test "tests/debian/kernel: where Debian cannot be reached, the last kernel serves, or none" {
	kernel 7.3
	[ "$status" -eq 1 ]
	[[ $stderr == *"cannot reach http://127.0.0.1:9/debian "*"check the network"* ]]
	[ ! -e top/build/kernel/debian-7.3 ]
	mkdir -p cache/kernel/abc
	ln -s "$PWD/cache/kernel/abc" cache/debian/debian-7.3
	kernel 7.3
	[ "$status" -eq 0 ]
	[[ $stderr == *"taking the last one" ]]
	[ "$(readlink -f top/build/kernel/debian-7.3)" = "$PWD/cache/kernel/abc" ]
	[ "$(cat top/build/kernel/debian-7.3.key)" = abc ]
	kernel 6.12
	[ "$status" -eq 1 ]
}
