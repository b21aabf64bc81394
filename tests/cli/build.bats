#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# kernel/build on a toy kernel whose Makefile answers the same targets: what is
# built when, and how the patched tree follows the patches. Runs on the host.

bats_require_minimum_version 1.5.0

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	export GMEM_CACHE=$PWD/cache KERNEL_SRC=$PWD/src
	unset MAKEFLAGS MAKELEVEL

	mkdir -p top/kernel/configs top/kernel/linux/virt/kvm top/kernel/patches/6.12 \
		src/virt/kvm src/mm
	cp "$BATS_TEST_DIRNAME"/../../kernel/{build,lib.sh} top/kernel/
	printf 'CONFIG_KVM=y\n' >top/kernel/configs/test-vm.config
	printf 'CONFIG_KVM_GMEM_BPF=y\n' >top/kernel/configs/gmem.config
	: >top/kernel/patches/6.12/series

	seq 1 20 >src/virt/kvm/kvm_main.c
	seq 1 20 >src/mm/mm.c
	touch -d '2001-01-01' src/virt/kvm/kvm_main.c src/mm/mm.c
	cat >src/Makefile <<'END'
VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 1
allnoconfig:
	cat $(KCONFIG_ALLCONFIG) >$(O)/.config
	sed -i '/DROPPED/d' $(O)/.config
bzImage:
	echo built >>$(O)/times
	! grep broken virt/kvm/kvm_main.c
	mkdir -p $(O)/arch/x86/boot
	cat virt/kvm/*.c >$(O)/vmlinux
	cp $(O)/vmlinux $(O)/arch/x86/boot/bzImage
	: >$(O)/System.map
END
}

build()
{
	run --separate-stderr top/kernel/build "$@"
	echo "$stderr"
}

# patch_line NAME LINE: a patch that changes one line of kvm_main.c
patch_line()
{
	mkdir -p p/a/virt/kvm p/b/virt/kvm
	cp src/virt/kvm/kvm_main.c p/a/virt/kvm/
	sed "$2s/\$/ $3/" src/virt/kvm/kvm_main.c >p/b/virt/kvm/kvm_main.c
	(cd p && diff -u --label a/virt/kvm/kvm_main.c --label b/virt/kvm/kvm_main.c \
		{a,b}/virt/kvm/kvm_main.c) \
		>"top/kernel/patches/6.12/$1" || true
	grep -qx "$1" top/kernel/patches/6.12/series ||
		echo "$1" >>top/kernel/patches/6.12/series
}

patched()
{
	echo cache/src/*/patched
}

one_line()
{
	[ "$status" -eq "$1" ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"$2"* ]]
}

@test "patches and new files reach the kernel; the baseline stays free of them" {
	patch_line one.patch 3 patched
	echo new >top/kernel/linux/virt/kvm/gmem.c
	build
	[ "$status" -eq 0 ]
	grep -q '^3 patched' top/build/kernel/gmem/vmlinux
	grep -q '^new' top/build/kernel/gmem/bzImage
	build --variant baseline
	[ "$status" -eq 0 ]
	run ! grep patched top/build/kernel/baseline/vmlinux
	run ! grep new top/build/kernel/baseline/vmlinux
	run ! grep patched src/virt/kvm/kvm_main.c
}

@test "a second run builds nothing and says nothing" {
	patch_line one.patch 3 patched
	build
	build
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "$(cat "$(patched)"/O-gmem/times)" = built ]
}

@test "going back to earlier patches finds their kernel in the cache" {
	patch_line one.patch 3 first
	build
	patch_line one.patch 3 second
	build
	grep -q '^3 second' top/build/kernel/gmem/vmlinux
	patch_line one.patch 3 first
	build
	[ -z "$stderr" ]
	grep -q '^3 first' top/build/kernel/gmem/vmlinux
}

@test "only files whose content changes get a new time" {
	patch_line one.patch 3 patched
	echo new >top/kernel/linux/virt/kvm/gmem.c
	build
	tree=$(patched)
	touch -d '2002-02-02' "$tree"/virt/kvm/*.c
	echo newer >top/kernel/linux/virt/kvm/gmem.c
	build
	[ "$(date -r "$tree/virt/kvm/kvm_main.c" +%Y)" = 2002 ]
	[ "$(date -r "$tree/mm/mm.c" +%Y)" = 2001 ]
	[ "$(date -r "$tree/virt/kvm/gmem.c" +%Y)" != 2002 ]
}

@test "what is no longer patched or added goes back, with a new time" {
	patch_line one.patch 3 patched
	echo new >top/kernel/linux/virt/kvm/gmem.c
	build
	tree=$(patched)
	: >top/kernel/patches/6.12/series
	rm top/kernel/linux/virt/kvm/gmem.c
	build
	[ "$status" -eq 0 ]
	cmp "$tree/virt/kvm/kvm_main.c" src/virt/kvm/kvm_main.c
	[ ! -e "$tree/virt/kvm/gmem.c" ]
	[ "$(date -r "$tree/virt/kvm/kvm_main.c" +%Y)" != 2001 ]
	cmp cache/src/*/pristine/virt/kvm/kvm_main.c src/virt/kvm/kvm_main.c
}

@test "a patch may add and remove files" {
	printf -- '--- a/mm/mm.c\n+++ /dev/null\n@@ -1,20 +0,0 @@\n' >top/kernel/patches/6.12/rm.patch
	seq -f '-%g' 1 20 >>top/kernel/patches/6.12/rm.patch
	printf -- '--- /dev/null\n+++ b/mm/new.c\n@@ -0,0 +1 @@\n+hello\n' >top/kernel/patches/6.12/add.patch
	printf 'rm.patch\nadd.patch\n' >top/kernel/patches/6.12/series
	build
	[ "$status" -eq 0 ]
	tree=$(patched)
	[ ! -e "$tree/mm/mm.c" ]
	[ "$(cat "$tree/mm/new.c")" = hello ]
	: >top/kernel/patches/6.12/series
	build
	cmp "$tree/mm/mm.c" src/mm/mm.c
	[ ! -e "$tree/mm/new.c" ]
}

@test "a patch that does not apply is named, and nothing is published" {
	patch_line good.patch 3 patched
	patch_line bad.patch 9 patched
	sed -i 's/^ 8$/ 88/' top/kernel/patches/6.12/bad.patch
	build
	[ "$status" -eq 1 ]
	[[ $stderr == *"kernel/patches/6.12/bad.patch does not apply"* ]]
	[ ! -e top/build/kernel/gmem ]
}

@test "a patch is for the versions that its name says" {
	patch_line way-before-6.12.10.patch 3 old
	patch_line way-from-6.12.10.patch 3 new
	for sublevel in 9:old 10:new 118:new; do
		sed -i "s/^SUBLEVEL.*/SUBLEVEL = ${sublevel%:*}/" src/Makefile
		build
		[ "$status" -eq 0 ]
		[ "$(sed -n 3p top/build/kernel/gmem/vmlinux)" = "3 ${sublevel#*:}" ]
	done
}

@test "a new file that the source already has is refused" {
	echo x >top/kernel/linux/virt/kvm/kvm_main.c
	build
	[ "$status" -eq 1 ]
	[[ $stderr == *"kernel/linux/virt/kvm/kvm_main.c exists in the kernel source"* ]]
}

@test "a symbol that kconfig drops is an error that names it" {
	echo CONFIG_DROPPED=y >>top/kernel/configs/test-vm.config
	echo 'config DROPPED' >src/Kconfig
	build
	[ "$status" -eq 1 ]
	[[ $stderr == *"CONFIG_DROPPED is n, wanted y"* ]]
}

@test "a failed build shows the end of its log" {
	patch_line one.patch 3 broken
	build
	[ "$status" -eq 1 ]
	[[ $stderr == *"3 broken"*"the whole log is"*kernel-gmem.log* ]]
	[ ! -e top/build/kernel/gmem ]
	[ -z "$(ls cache/kernel 2>/dev/null)" ]
}

@test "a tarball serves as well as a tree" {
	tar -cJf linux.tar.xz src
	KERNEL_SRC=$PWD/linux.tar.xz build
	[ "$status" -eq 0 ]
	[ -s top/build/kernel/gmem/bzImage ]
}

@test "--print-key builds nothing and changes with patches and configuration" {
	build --print-key
	[ "$status" -eq 0 ]
	first=$output
	[ ! -e cache/kernel ]
	patch_line one.patch 3 patched
	build --print-key
	[ "$output" != "$first" ]
	second=$output
	echo CONFIG_X=y >>top/kernel/configs/test-vm.config
	build --print-key
	[ "$output" != "$second" ]
}

# other NAME OUTPUT: a program that is of another Debian release
other()
{
	mkdir -p bin
	printf '#!/bin/sh\n[ "$1" != %s ] || { echo "%s"; exit; }\nexec %s "$@"\n' \
		"$2" "$3" "$(command -v "$1")" >"bin/$1"
	chmod +x "bin/$1"
}

@test "another compiler, linker, pahole or C library makes another kernel, in an empty directory" {
	build
	keys=("$(top/kernel/build --print-key)")
	other gcc --version 'gcc (Debian 98.1.0-1) 98.1.0'
	other ld --version 'GNU ld (GNU Binutils for Debian) 98.1'
	other pahole --version v98.1
	other getconf GNU_LIBC_VERSION 'glibc 98.1'
	for program in gcc ld pahole getconf; do
		mkdir "only-$program"
		cp "bin/$program" "only-$program"
		keys+=("$(PATH=$PWD/only-$program:$PATH top/kernel/build --print-key)")
	done
	[ "$(printf '%s\n' "${keys[@]}" | sort -u | wc -l)" -eq 5 ]

	touch "$(patched)/O-gmem/of-the-old-compiler"
	PATH=$PWD/bin:$PATH build
	[ "$status" -eq 0 ]
	[ ! -e "$(patched)/O-gmem/of-the-old-compiler" ]
	[ "$(cat "$(patched)"/O-gmem/times)" = built ]
	[ "$(find cache/kernel -mindepth 1 -maxdepth 1 | wc -l)" -eq 2 ]
	# Neither is in the way of the other.
	build
	[ -z "$stderr" ]
	[ "$(cat top/build/kernel/gmem.key)" = "${keys[0]}" ]
}

@test "bad input is one line that names the cause" {
	build --variant nosuch
	one_line 2 "unknown variant 'nosuch'"
	build --nonsense
	one_line 2 "unknown argument '--nonsense'"
	build --source
	one_line 2 "--source wants a value"
	build --source /nonexistent
	one_line 1 "run make setup"
	build --source "$PWD/top"
	one_line 1 "not a Linux source tree"
	echo gone.patch >top/kernel/patches/6.12/series
	build
	one_line 1 "gone.patch, which is missing"
}

@test "a source of another version and one built in place are refused" {
	sed -i 's/^PATCHLEVEL.*/PATCHLEVEL = 1/' src/Makefile
	build
	[ "$status" -eq 1 ]
	[[ ${stderr_lines[-1]} == *"is Linux 6.1 and gmem's patches are for 6.12"* ]]
	touch src/.config
	build
	one_line 1 "run make mrproper"
}

@test "a full disk is noticed before anything is unpacked" {
	mkdir bin
	printf '#!/bin/sh\necho Avail\necho 100\n' >bin/df
	chmod +x bin/df
	PATH=$PWD/bin:$PATH build
	one_line 1 "GiB free and this build needs about"
	[ -z "$(ls -d cache/src/*/pristine 2>/dev/null)" ]
}
