#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# Processes that may not do what the tools ask for: each is told the cause that is
# really so, in one line. Run as root in the VM:
#	tests/vm/run --append lsm=lockdown,selinux -- bats tests/cli/confined.bats

load gmempolicy

SYS_bpf=321
SYS_userfaultfd=323
selinux=/sys/fs/selinux

setup_file()
{
	use_build
	start_vm web web-1
	export WEB=$(vm_of web-1)
}

teardown_file()
{
	gmempolicy detach --all
	stop_vm web
}

setup()
{
	cd "$BATS_TEST_TMPDIR"
	printf '[policy.p]\nuse = "guard"\nname = "web-*"\n' >p.toml
}

teardown()
{
	[ ! -e $selinux/enforce ] || echo 0 >$selinux/enforce
	gmempolicy detach --all
	[ -z "${daemon-}" ] || kill "$daemon" 2>/dev/null || true
	sysctl -qw kernel.unprivileged_bpf_disabled=2
}

# What asks the kernel for BPF, a line each.
verbs()
{
	cat <<-'END'
	gmemtop -b -n 1
	gmemtop --json --once
	gmemtop export --listen 127.0.0.1:0
	gmemtop record rec -n 1
	gmempolicy list
	gmempolicy status
	gmempolicy attach ratelimit --all
	gmempolicy detach --all
	gmempolicy watch -n 1
	gmempolicy check ratelimit
	gmempolicy apply p.toml
	gmempolicy apply p.toml --watch
	gmempolicy diff p.toml
	END
}

# told PATTERN COMMAND...: it fails with one line that has PATTERN.
told()
{
	local pattern=$1

	shift
	run --separate-stderr "$@"
	echo "$*: status $status, stdout '$output', stderr '$stderr'"
	[ "$status" -eq 1 ] && [ -z "$output" ] &&
		[ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == *$pattern* ]]
}

@test "seccomp: every verb says that a filter answers, and what" {
	while read -r command; do
		# shellcheck disable=SC2086
		told "no BPF: a seccomp filter answers bpf(2) with Operation not permitted; run it outside of the container" \
			"$TOP/tests/cli/filtered.pl" $SYS_bpf 1 $command </dev/null
		[ ! -e rec ]
	done < <(verbs)
	told "a seccomp filter answers bpf(2) with Function not implemented" \
		"$TOP/tests/cli/filtered.pl" $SYS_bpf 38 gmemtop -b -n 1
	told "a seccomp filter answers bpf(2) with Permission denied" \
		"$TOP/tests/cli/filtered.pl" $SYS_bpf 13 gmempolicy list
}

@test "seccomp: a filter for something else is not blamed" {
	"$TOP/tests/cli/filtered.pl" $SYS_userfaultfd 1 gmemtop -b -n 1 | grep -q web-1
	told "no VM has the id 99999" \
		"$TOP/tests/cli/filtered.pl" $SYS_userfaultfd 1 gmempolicy attach ratelimit --vm 99999
}

# Docker's default profile answers EPERM because the capability is missing.
@test "a container's defaults: the capability is what is missing" {
	told "no privilege: CAP_SYS_ADMIN missing" \
		setpriv --bounding-set=-sys_admin,-bpf,-perfmon \
		"$TOP/tests/cli/filtered.pl" $SYS_bpf 1 gmemtop -b -n 1
	told "no privilege: CAP_BPF and CAP_PERFMON missing" \
		setpriv --bounding-set=-sys_admin,-bpf,-perfmon \
		"$TOP/tests/cli/filtered.pl" $SYS_bpf 1 gmempolicy watch
	told "no privilege: CAP_PERFMON missing" \
		setpriv --bounding-set=-sys_admin,-perfmon gmempolicy check ratelimit
}

@test "a user namespace, whose capabilities do not count" {
	for command in "gmemtop -b -n 1" "gmempolicy list" "gmempolicy watch -n 1" \
		"gmempolicy check ratelimit" "gmempolicy attach ratelimit --all"; do
		# shellcheck disable=SC2086
		told "this is a user namespace of its own" unshare -Ur $command
	done
}

# Nothing of the tools is of a kind that is loaded without privilege.
@test "kernel.unprivileged_bpf_disabled changes nothing" {
	for value in 0 2; do
		sysctl -qw kernel.unprivileged_bpf_disabled=$value
		gmemtop -b -n 1 | grep -q web-1
		gmempolicy check ratelimit
		told "no privilege: CAP_SYS_ADMIN missing" \
			setpriv --reuid 1234 --regid 1234 --clear-groups gmemtop -b -n 1
		told "no privilege: CAP_BPF and CAP_PERFMON missing" \
			setpriv --reuid 1234 --regid 1234 --clear-groups gmempolicy check ratelimit
	done
}

@test "files that cannot be written: read-only, not root's, and root without its powers" {
	told "cannot write /sys/module/kvm/parameters/gmem_policies: Read-only file system; it is mounted read-only" \
		unshare -m sh -c 'mount -o remount,ro,bind /sys && exec gmempolicy off'
	told "Permission denied; run it as root" \
		setpriv --reuid 1234 --regid 1234 --clear-groups gmempolicy off
	told "Permission denied; root has no CAP_DAC_OVERRIDE here" \
		unshare -m sh -c "mount -t bpf -o mode=0555 bpf /sys/fs/bpf &&
			exec setpriv --bounding-set=-dac_override gmempolicy attach ratelimit --all"
	told "no BPF file system at /sys/fs/bpf; mount one" \
		unshare -m sh -c 'umount /sys/fs/bpf && exec gmempolicy attach ratelimit --all'
	told "mount it writable: mount -o remount,rw /sys/fs/bpf" \
		unshare -m sh -c 'mount -o remount,ro,bind /sys/fs/bpf && exec gmempolicy attach ratelimit --all'
}

# hidden OPTIONS COMMAND...: with a /proc of its own, and CAP_SYS_ADMIN alone.
hidden()
{
	local options=$1

	shift
	unshare -m sh -c 'mount -t proc -o "$1" proc /proc && shift && exec "$@"' \
		sh "$options" setpriv --bounding-set=-all,+sys_admin --regid 1234 \
		--clear-groups "$@"
}

@test "hidepid: what goes by names says that they are hidden, and does nothing" {
	gmempolicy apply p.toml
	for mode in noaccess invisible ptraceable; do
		told "cannot tell which of the 1 VMs are meant by 'web-*': /proc is mounted with hidepid=$mode" \
			hidden hidepid=$mode gmempolicy attach ratelimit --name 'web-*'
		told "p.toml:1:9: cannot tell which guests are meant: /proc is mounted with hidepid=$mode" \
			hidden hidepid=$mode gmempolicy apply p.toml
		told "cannot tell which guests are meant" \
			hidden hidepid=$mode gmempolicy apply p.toml --watch
		told "cannot tell which guests are meant" \
			hidden hidepid=$mode gmempolicy diff p.toml
	done
	[ "$(policy "p@vm$WEB" state)" = active ]
}

@test "hidepid: who may see, sees" {
	hidden hidepid=invisible,gid=1234 gmempolicy attach ratelimit --name 'web-*'
	gmempolicy detach --all
	unshare -m sh -c 'mount -t proc -o hidepid=invisible proc /proc &&
		exec gmempolicy attach ratelimit --name "web-*"'
	gmempolicy detach --all
	# An id needs no name.
	hidden hidepid=ptraceable gmempolicy attach ratelimit --vm "$WEB"
}

@test "hidepid: export says once that names are missing" {
	mkdir dir
	chmod 777 dir
	unshare -m sh -c 'mount -t proc -o hidepid=invisible proc /proc &&
		exec gmemtop export --textfile dir --user nobody' 2>err
	[ "$(wc -l <err)" -eq 1 ]
	grep -q "names of other users' guests are not exported: /proc is mounted with hidepid=invisible" err
	! grep -q web-1 dir/gmem.prom
	gmemtop export --textfile dir --user nobody 2>err
	[ ! -s err ]
	grep -q web-1 dir/gmem.prom
}

# domain NAME COMMAND...
domain()
{
	local to=system:r:$1:s0

	shift
	sh -c 'printf %s "$1" >/proc/self/attr/exec; shift; exec "$@"' sh "$to" "$@"
}

load_selinux()
{
	mountpoint -q $selinux || mount -t selinuxfs none $selinux
	secilc -c 33 -o policy -f /dev/null "$TOP/tests/cli/confined.cil"
	dd if=policy of=$selinux/load bs=1M 2>/dev/null
	echo 1 >$selinux/enforce
}

@test "SELinux: the domain and what it is refused are named" {
	load_selinux
	told "cannot load the programs that sample: Permission denied: SELinux refuses the domain system:r:locked_t:s0 bpf { map_create map_read map_write prog_load prog_run }; allow that in its policy" \
		domain locked_t gmemtop -b -n 1
	told "SELinux refuses the domain system:r:locked_t:s0 bpf {" \
		domain locked_t gmempolicy attach ratelimit --all
	told "SELinux refuses the domain system:r:locked_t:s0 bpf {" \
		domain locked_t gmempolicy watch -n 1
	told "SELinux refuses the domain system:r:locked_t:s0 bpf {" \
		domain locked_t gmempolicy check ratelimit
	# A capability that is there, and refused.
	told "SELinux refuses the domain system:r:half_t:s0 capability { sys_admin }" \
		domain half_t gmemtop -b -n 1
	told "SELinux is enforcing and does not tell the domain system:r:mute_t:s0 what it may do" \
		domain mute_t gmemtop -b -n 1
	domain free_t gmemtop -b -n 1 | grep -q web-1
}

@test "SELinux: permissive, it is in nobody's way and not blamed" {
	load_selinux
	echo 0 >$selinux/enforce
	domain locked_t gmemtop -b -n 1 | grep -q web-1
	told "no VM has the id 99999" \
		domain locked_t gmempolicy attach ratelimit --vm 99999
}
