#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# A real guest: gmemboot boots our kernel, unmodified, with all its memory in
# one guest_memfd, and gmemtop's figures are those that the guest gives.
#
# With one CPU: of several, QEMU may stop one just after an interrupt was given to
# its guest, and gives it to the guest once more, whether it takes interrupts or
# not.

bats_require_minimum_version 1.5.0

build=$BATS_TEST_DIRNAME/../../build
kernel=$build/kernel/gmem/bzImage
MIB=256
PAGES=$((MIB * 256))

setup() {
	cd "$BATS_TEST_TMPDIR"
	guest=
}

teardown() {
	[ -z "$guest" ] || kill -KILL "$guest" 2>/dev/null || true
}

# boot ARG...: until the guest's last line; it stays
boot() {
	local patience=${GMEM_TEST_PATIENCE:-1}

	"$build/gmemboot" --kernel "$kernel" --mem ${MIB}M --stay --timeout $((120 * patience)) "$@" \
		>console 2>err 3>&- &
	guest=$!
	until grep -qx "guest: done" console; do
		kill -0 "$guest" 2>/dev/null || break
		sleep 1
	done
	[ "$(tail -n 1 console)" = "guest: done" ] || {
		cat console err >&2
		return 1
	}
}

# What the guest says of its memory, in pages.
guest_says() {
	local kib

	kib=$(sed -n "s/^guest: $1 \([0-9]*\) kB$/\1/p" console)
	[ -n "$kib" ] && echo $((kib / 4))
}

# The value of a jq expression in the VM of that name
figure() {
	jq ".vms[] | select(.name == \"$1\") | $2" frame.json
}

# compare NAME PRIVATE: gmemtop's figures against the guest's
compare() {
	local total free populated size

	"$build/gmemtop" --json -n 1 -d 0.1 >frame.json
	total=$(guest_says MemTotal)
	free=$(guest_says MemFree)
	size=$(figure "$1" .size_pages)
	populated=$(figure "$1" .populated_pages)
	echo "guest: $total pages, $free free; gmemtop: $size, $populated populated"

	[ "$size" -eq $PAGES ]
	[ "$total" -le $PAGES ]
	[ "$(figure "$1" .private_pages)" -eq "$2" ]
	# What the guest uses it has touched: of its own count, and what its kernel
	# kept for itself.  What it never touched nobody has: some of the free pages.
	[ "$populated" -ge $((total - free)) ]
	[ "$populated" -lt $PAGES ]
	# A quarter is its program's.
	[ "$populated" -ge $((total / 4)) ]
	# Free pages that were in use once are the start's: the kernel as it was
	# packed, the initramfs, and the like.
	[ "$populated" -le $((PAGES - free + PAGES / 16)) ]
	[ "$(figure "$1" .stale_pages)" -eq 0 ]
}

end() {
	kill -TERM "$guest"
	wait "$guest"
	guest=
	[ ! -s err ]
}

@test "a default VM boots Linux, and its figures are the guest's" {
	boot --type default --name ordinary
	compare ordinary 0
	end
}

@test "a software-protected VM boots Linux with all memory private" {
	boot --type protected --name private
	compare private $PAGES
	end
}

@test "without --stay the guest ends by itself" {
	"$build/gmemboot" --kernel "$kernel" --type default >console
	grep -qx "guest: done" console
}

@test "a guest that says nothing in time is given up" {
	run --separate-stderr -1 "$build/gmemboot" --kernel "$kernel" --timeout 1
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "gmemboot: no line \"guest: done\" in 1 s"* ]]
}

# usage_error TEXT ARG...
usage_error() {
	local text=$1

	shift
	run --separate-stderr -2 "$build/gmemboot" "$@"
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == gmemboot:\ *"$text"* ]]
}

@test "bad options are one line and exit status 2" {
	usage_error "'x'" --mem x
	usage_error "'1M'" --mem 1M
	usage_error "'100000K'" --mem 100000K
	usage_error "'secret'" --type secret
	usage_error "'0'" --timeout 0
	usage_error "needs a value" --kernel
	usage_error "unknown option '--bogus'" --bogus
	usage_error "unexpected argument 'x'" x
	usage_error "bad name" --name ''
}

@test "output that nobody gets is an error" {
	for args in --help "--kernel $kernel"; do
		# shellcheck disable=SC2086
		run --separate-stderr -1 bash -c "'$build/gmemboot' $args >/dev/full"
		[ "$stderr" = "gmemboot: cannot write the output" ]
	done
}

@test "a kernel that is none is refused in one line" {
	local file

	head -c 65536 /dev/zero >zeroes
	head -c 100 /dev/zero >short
	for file in zeroes short /nowhere; do
		run --separate-stderr -1 "$build/gmemboot" --kernel $file
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == "gmemboot: "*"$file"* ]]
	done
}
