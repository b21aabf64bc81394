#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The tools on a kernel without hooks: one that is not ours, or ours built with
# CONFIG_KVM_GMEM_BPF off, which must look the same. Run it in a VM:
#	tests/vm/run --kernel baseline -- bats tests/cli/nohooks.bats
#	tests/vm/run --kernel off -- bats tests/cli/nohooks.bats

bats_require_minimum_version 1.5.0

build=$BATS_TEST_DIRNAME/../../build

setup()
{
	if [ -r /sys/module/kvm/parameters/gmem_policies ]; then
		skip "this kernel has the hooks"
	fi
}

# says_no_hooks TOOL ARGUMENT...
says_no_hooks()
{
	run --separate-stderr "$build/$1" "${@:2}"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "$1: this kernel has no gmem hooks"* ]]
	[[ $stderr == *"boot a kernel built with CONFIG_KVM_GMEM_BPF=y"* ]]
}

@test "gmemtop on a kernel without hooks shows what it can" {
	run --separate-stderr "$build/gmemtop" -b -n 1 -d 0.1
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ ${lines[0]} == "gmemtop "*" stock: "* ]]
}

@test "gmempolicy off on a kernel without hooks names the remedy" {
	says_no_hooks gmempolicy off
}

@test "a kernel without hooks has no function, tracepoint or stat of gmem" {
	local map=$build/kernel/baseline/System.map kernel=$BATS_TEST_DIRNAME/../../kernel
	local always=$BATS_TEST_TMPDIR/always hooks=$BATS_TEST_TMPDIR/hooks

	# guest_memfd has functions of that name, too, and so has what is there
	# with hooks and without: inodes, mappings, conversion in place, huge folios.
	awk '$3 ~ /^kvm_gmem_/ { print $3 }' "$map" >"$always"
	[ "$(wc -l <"$always")" -gt 5 ]
	if [ -r /sys/module/kvm/parameters/gmem_in_place_conversion ]; then
		cat "$kernel"/linux/virt/kvm/gmem_{inode,convert,mmap,notifier,huge*,migrate}.c |
			grep -E '^([a-z]|DEFINE_)' | grep -oE 'kvm_gmem_[a-z_]+' >>"$always"
		cat "$kernel"/patches/6.12/{0004,001[0167]}-*.patch |
			grep -E '^\+[a-z]' | grep -oE 'kvm_gmem_[a-z_]+' >>"$always"
	fi
	awk '$3 ~ /^kvm_gmem_/ { sub(/\..*/, "", $3); print $3 }' /proc/kallsyms |
		sort -u >"$hooks.all"
	grep -vxFf "$always" "$hooks.all" >"$hooks" || :
	cat "$hooks"
	[ ! -s "$hooks" ]
	[ -d /sys/kernel/tracing/events/kvm ]
	[ ! -e /sys/kernel/tracing/events/kvm_gmem ]
	[ -e /sys/kernel/debug/kvm/remote_tlb_flush ]
	run ! compgen -G '/sys/kernel/debug/kvm/gmem_*'
}
