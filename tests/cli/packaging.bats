#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What is installed beside the programs: make install, completion, units, rules for
# Prometheus, and what gmem-dkms refuses to build for. Runs on the host;
# tests/debian/run installs the packages themselves.

bats_require_minimum_version 1.5.0

setup()
{
	top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	version=$(sed -n '1s/^gmem //p' "$top/NEWS")
	cd "$BATS_TEST_TMPDIR" || return
	unset MAKEFLAGS MAKELEVEL
}

# With what is built: the suites run beside this one.
make_install()
{
	make -s -C "$top" -o tools "$@"
}

# --------------------------------------------------------------- make install

@test "make install puts all below DESTDIR, under PREFIX" {
	make_install install DESTDIR="$PWD/root" PREFIX=/opt/gmem
	for file in opt/gmem/sbin/gmemtop opt/gmem/sbin/gmempolicy opt/gmem/sbin/gmemmove \
		opt/gmem/share/man/man8/gmemmove.8 opt/gmem/share/bash-completion/completions/gmemmove opt/gmem/share/man/man8/gmemtop.8 \
		opt/gmem/share/bash-completion/completions/gmempolicy opt/gmem/share/zsh/site-functions/_gmemtop \
		opt/gmem/include/gmem/gmem.bpf.h opt/gmem/share/gmem/prometheus-gmem.yml \
		opt/gmem/lib/systemd/system/gmempolicyd.service etc/gmem/policy.d/gmem.toml; do
		[ -s "root/$file" ]
	done
	[ -x root/opt/gmem/sbin/gmemtop ]
	grep -q '^ExecStart=/opt/gmem/sbin/gmemtop export' root/opt/gmem/lib/systemd/system/gmemtop-export.service
	[ "$(find root -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd' ')" = "etc opt" ]
}

@test "make uninstall leaves what is the administrator's, and what is others'" {
	make_install install DESTDIR="$PWD/root" PREFIX=/usr
	echo '# mine' >>root/etc/gmem/policy.d/gmem.toml
	touch root/usr/sbin/other
	make_install install DESTDIR="$PWD/root" PREFIX=/usr
	grep -qx '# mine' root/etc/gmem/policy.d/gmem.toml
	make_install uninstall DESTDIR="$PWD/root" PREFIX=/usr
	[ "$(find root -type f -printf '%P\n' | sort | paste -sd' ')" = \
		"etc/default/gmemtop-export etc/gmem/policy.d/gmem.toml usr/sbin/other" ]
	[ ! -e root/usr/share/gmem ]
}

@test "a version stands in one place" {
	[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ "$("$top/build/gmemtop" --version)" = "gmemtop $version" ]
	[ "$("$top/build/gmempolicy" --version)" = "gmempolicy $version" ]
	make_install install DESTDIR="$PWD/root" PREFIX=/usr
	grep -q "^\.TH .* \"gmem $version\"" root/usr/share/man/man8/gmempolicy.8
	run git -C "$top" grep -lF "$version" -- ':!NEWS' ':!kernel' ':!bench' ':!*.md'
	echo "$output"
	[ -z "$output" ]
}

# ------------------------------------------------------------------ completion

# complete WORD...: what bash offers for the last one
complete_words()
{
	bash -c '. "$1/build/completion/bash/$2"
		shift
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		COMPREPLY=()
		"_$1"
		printf "%s\n" "${COMPREPLY[@]}"' - "$top" "$@" | sort | paste -sd' '
}

# The options that a help names, as words.
options_in()
{
	sed -nE 's/^  (-[a-zA-Z], | {4})(--[a-z-]+).*/\1 \2/p' | tr ', ' '\n\n' | grep . | sort | paste -sd' '
}

@test "bash completes each option of each verb, and no other" {
	verbs=$("$top/build/gmempolicy" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
	[ "$(wc -w <<<"$verbs")" -gt 10 ]
	for verb in $verbs; do
		[ "$(complete_words gmempolicy "$verb" -)" = "$("$top/build/gmempolicy" help "$verb" | options_in)" ]
	done
	for verb in export record replay; do
		[ "$(complete_words gmemtop $verb -)" = "$("$top/build/gmemtop" $verb --help | options_in)" ]
	done
	[ "$(complete_words gmemtop -)" = "$("$top/build/gmemtop" --help | options_in)" ]
	[ "$(complete_words gmemmove -)" = "$("$top/build/gmemmove" --help | options_in)" ]
	[ "$(complete_words gmempolicy '')" = "$(sort <<<"$verbs" | paste -sd' ')" ]
	[ "$(complete_words gmemtop '')" = "export record replay" ]
}

@test "bash completes what an option and a verb take" {
	[ "$(complete_words gmempolicy attach pi)" = pingpong ]
	[ "$(complete_words gmempolicy help det)" = detach ]
	[ "$(complete_words gmemtop --sort conversions_d)" = "conversions_delayed conversions_denied" ]
	[ "$(complete_words gmemtop --sort = conversions_d)" = "conversions_delayed conversions_denied" ]
	mkdir dir
	touch file.toml
	[ "$(complete_words gmempolicy apply file)" = file.toml ]
	[ "$(complete_words gmemtop export --textfile '')" = dir ]
	complete_words gmemmove --pid $$ | grep -qw $$
	[ "$(complete_words gmemmove '')" = "" ]
	[ "$(complete_words gmempolicy attach guard --priority '')" = "" ]
}

@test "zsh takes the completion, which names each verb and option" {
	command -v zsh >/dev/null || skip "zsh is not installed"
	for tool in gmemtop gmempolicy gmemmove; do
		zsh -n "$top/build/completion/zsh/_$tool"
		head -n 1 "$top/build/completion/zsh/_$tool" | grep -qx "#compdef $tool"
	done
	for option in $("$top/build/gmempolicy" help attach | options_in); do
		sed -n '/^attach)/,/;;/p' "$top/build/completion/zsh/_gmempolicy" | grep -qE -- "'$option[=+]?\["
	done
}

# ----------------------------------------------------------------------- units

@test "systemd rates what the units may do" {
	command -v systemd-analyze >/dev/null || skip "there is no systemd-analyze"
	for unit in gmempolicy/gmempolicyd gmemtop/gmemtop-export gmemtop/gmemtop-record; do
		run systemd-analyze security --offline=true --threshold=25 --no-pager "$top/tools/$unit.service"
		echo "$output" | tail -n 1
		[ "$status" -eq 0 ]
	done
	# It is a threshold that something can fail.
	sed '/^Protect/d; /^SystemCallFilter/d' "$top/tools/gmemtop/gmemtop-export.service" >weak.service
	run systemd-analyze security --offline=true --threshold=25 --no-pager "$PWD/weak.service"
	[ "$status" -ne 0 ]
}

@test "the exporter has a user of its own, and options from a file" {
	grep -qx DynamicUser=yes "$top/tools/gmemtop/gmemtop-export.service"
	grep -qx 'EnvironmentFile=-/etc/default/gmemtop-export' "$top/tools/gmemtop/gmemtop-export.service"
	(. "$top/tools/gmemtop/gmemtop-export.default" && [ -z "$GMEMTOP_EXPORT" ])
}

# ------------------------------------------------------------------ Prometheus

@test "Prometheus takes the rules, and each alert comes when it is to" {
	cp "$top/docs/prometheus-gmem.yml" "$top/tests/rules/gmem.yml" .
	run "$top/build/prometheus/promtool" check rules prometheus-gmem.yml
	echo "$output"
	[ "$status" -eq 0 ]
	run "$top/build/prometheus/promtool" test rules gmem.yml
	echo "$output"
	[ "$status" -eq 0 ]
	# Nothing is left out.
	for alert in $(sed -n 's/.*- alert: //p' prometheus-gmem.yml); do
		grep -q "alertname: $alert\$" gmem.yml
	done
	sed -i 's/> 0.9$/> 0.96/' prometheus-gmem.yml
	run "$top/build/prometheus/promtool" test rules gmem.yml
	[ "$status" -ne 0 ]
}

@test "the rules ask for metrics that there are" {
	for metric in $(grep -oE '\bgmem_[a-z_]+' "$top/docs/prometheus-gmem.yml" | grep -vE '^gmem_(populated|stale|conversions|delay)$' | sort -u); do
		grep -qF "\`$metric\`" "$top/docs/metrics.md"
	done
}

@test "Prometheus takes the fleet's configuration" {
	cp -r "$top/docs/fleet/." .
	cp "$top/docs/prometheus-gmem.yml" .
	run "$top/build/prometheus/promtool" check config prometheus.yml
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"13 rules found"* ]]
	run "$top/build/prometheus/promtool" check config --agent prometheus.yml
	[ "$status" -ne 0 ]
}

# ------------------------------------------------------------------- gmem-dkms

# A toy kernel: headers, and a source that a series of two patches is for.
toy()
{
	local dir

	mkdir -p gmem/packaging gmem/kernel/linux/{include,virt} gmem/kernel/patches/6.12 headers \
		source/linux-source-6.12/{arch/x86/kvm,arch/x86/include/asm,virt/kvm,include/linux,include/uapi/linux,kernel/bpf,mm}
	cp -r "$top/packaging/dkms" gmem/packaging/
	cp "$top/kernel/lib.sh" gmem/kernel/
	printf 'kernelversion:\n\t@echo %s\n' "${1:-6.12.5}" >headers/Makefile
	echo CONFIG_KVM=m >headers/.config
	echo types >headers/vmlinux
	(
		cd source/linux-source-6.12 || exit
		printf 'VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = %s\n' "${2:-5}" >Makefile
		echo 'ccflags-y += -I $(srctree)/arch/x86/kvm' >arch/x86/kvm/Makefile
		seq 1 9 | tee virt/kvm/kvm_main.c >mm/swap.c
		touch include/linux/kvm_host.h include/uapi/linux/kvm.h arch/x86/include/asm/kvm_host.h
		printf 'struct bpf_struct_ops_map {\n\tint kvalue;\n};\nint other;\n' >kernel/bpf/bpf_struct_ops.c
	)
	for dir in virt/kvm/kvm_main.c mm/swap.c; do
		printf -- '--- a/%s\n+++ b/%s\n@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n' $dir $dir \
			>"gmem/kernel/patches/6.12/${dir%%/*}.patch"
	done
	printf 'virt.patch\nmm.patch\n' >gmem/kernel/patches/6.12/series
	tar -C source -cf source.tar linux-source-6.12
	export KERNEL_SRC=$PWD/source.tar
}

prepare()
{
	run --separate-stderr gmem/packaging/dkms/prepare 6.12.5-amd64 "$PWD/headers" 1.2.3
	echo "$stderr"
}

refuses()
{
	prepare
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "gmem-dkms: "*"$1"* ]]
	# dkms would build it.
	[ ! -e gmem/tree ]
}

@test "gmem-dkms takes what makes up the modules, and no more" {
	toy
	prepare
	[ "$status" -eq 0 ]
	grep -qx three gmem/tree/virt/kvm/kvm_main.c
	[ ! -e gmem/tree/mm ]
	head -n 1 gmem/tree/arch/x86/kvm/Makefile | grep -q Makefile.stock
	run ! grep -F '$(srctree)' gmem/tree/arch/x86/kvm/Makefile
	grep -q kvalue gmem/tree/virt/kvm/stock_map.h
	grep -qF '"version=gmem-1.2.3"' gmem/tree/virt/kvm/stock_version.h
	run ! grep -q other gmem/tree/virt/kvm/stock_map.h
}

@test "gmem-dkms refuses, in one line that says what to do" {
	toy
	rm headers/vmlinux
	refuses "install Debian's linux-headers-6.12.5-amd64"
	echo CONFIG_KVM=y >headers/.config
	refuses "boot one of Debian's kernels, or remove gmem-dkms"
	mv headers elsewhere
	refuses "apt-get install linux-headers-6.12.5-amd64"
	rm -rf elsewhere gmem source
	toy 6.1.4
	refuses "are for Linux 6.12, and 6.12.5-amd64 is 6.1.4: boot a kernel of 6.12"
	rm -rf headers gmem source
	toy 6.12.5 6
	refuses "is Linux 6.12.6, and 6.12.5-amd64 is 6.12.5: install linux-source-6.12 and a kernel of one version"
	KERNEL_SRC=$PWD/nowhere refuses "apt-get install linux-source-6.12"
}

@test "gmem-dkms names a patch that does not apply" {
	toy
	sed -i 's/^ 2$/ two/' gmem/kernel/patches/6.12/virt.patch
	prepare
	[ "$status" -eq 1 ]
	[[ ${stderr_lines[-1]} == "gmem-dkms: virt.patch does not apply to Linux 6.12.5: "* ]]
	[ ! -e gmem/tree ]
}
